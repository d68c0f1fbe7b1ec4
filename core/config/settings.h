/* settings.h -- the operator's settings as one checked table.
 *
 * A setting is one row (rows.c): key, type, default, range, help; the documentation's table, the
 * errors and `forge config help` are printed from the rows. Its value is the first found of
 *   override ("key=value")  >  environment FORGE_<KEY>  >  the operator's file  >  default
 * and every value knows its origin. Keys beginning with "backend.NAME." belong to one backend, with
 * "layer.NAME." to one layer; the options among them are declared by the manifest, so they are
 * checked when the manifest is known (settings_declare). FORGE_BACKEND_PATH is not the value of
 * backend_path: its folders are searched in addition (loader.h).
 *
 * Threads: a settings object is read-only once every option is declared. */
#ifndef FORGE_SETTINGS_H
#define FORGE_SETTINGS_H

#include "base.h"

enum { SETTINGS_LIST = 1, SETTINGS_CHOICE, SETTINGS_BYTES, SETTINGS_BOOL, SETTINGS_OPTION };
enum { SETTINGS_DEFAULT = 0, SETTINGS_FILE, SETTINGS_ENVIRONMENT, SETTINGS_OVERRIDE };

typedef struct settings_row {
  const char *key; /* "backend.NAME.enabled" stands for every backend's */
  uint32_t type;   /* SETTINGS_LIST .. */
  const char *fallback;
  const char *range; /* CHOICE: "auto|error|warn|allow"; else words for people */
  const char *help;
} settings_row;
const settings_row *settings_rows(size_t *out_n);
const char *settings_type_name(uint32_t type);

typedef struct settings_item {
  char *key;
  const settings_row *row; /* NULL: an option of a backend or layer */
  char *text;              /* the value as written; a list joined with ", " */
  char **list;             /* LIST: |n| words */
  size_t n;
  uint32_t source; /* SETTINGS_DEFAULT .. */
  uint32_t known;  /* 1: a row, or declared by a manifest */
  char *origin;    /* "/etc/forge/forge.conf:12", "environment FORGE_FALLBACK", .. */
} settings_item;

typedef struct settings settings;

/* |path| NULL: $FORGE_CONFIG, else the first that exists of $XDG_CONFIG_HOME/forge/forge.conf
 * (~/.config without it) and /etc/forge/forge.conf, else no file. |overrides|: "key=value",
 * NULL-terminated, may be NULL. Fails: E_CONFIG (place, what is wrong, nearest name), E_NOT_FOUND,
 * E_IO. */
forge_status settings_load(const char *path, const char *const *overrides, settings **out);
/* The same from |n| bytes of text; |name| stands for the file in messages. */
forge_status settings_parse(const char *name, const char *source, size_t n,
                            const char *const *overrides, settings **out);
void settings_free(settings *s);

/* The file that was read, NULL if none. */
const char *settings_file(const settings *s);

/* A row's value; never NULL for a key that is a row. "backend.NAME.x": NULL when not given. */
const settings_item *settings_get(const settings *s, const char *key);
size_t settings_count(const settings *s);
const settings_item *settings_at(const settings *s, size_t i);

/* Makes backend.|backend|.|option| a known key; its value may come from the environment
 * (FORGE_BACKEND_<NAME>_<OPTION>). |fallback| NULL: no default, the item is there only when given.
 */
forge_status settings_declare(settings *s, const char *backend, const char *option,
                              const char *fallback);
/* The same for layer.|layer|.|option|. */
forge_status settings_declare_layer(settings *s, const char *layer, const char *option,
                                    const char *fallback);
/* Bytes of "backend." or "layer." before the name that an option's key begins with; 0: the key is
 * no option. */
size_t settings_room_of(const char *key);
/* backend.|backend|.enabled and .memory_limit, whose values are checked. */
forge_status settings_declare_backend(settings *s, const char *backend);

/* An amount of memory: "512M", "2G" (binary units K M G T), "80%", "none". Exactly one of the two
 * is not 0, or both are for none. */
typedef struct settings_bytes {
  uint64_t bytes;
  uint32_t percent;
} settings_bytes;
bool settings_parse_bytes(const char *s, settings_bytes *out);
/* "true", "yes", "on", "1" and their opposites. */
bool settings_parse_bool(const char *s, bool *out);

#endif
