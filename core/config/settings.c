/* settings.c -- where values come from and which one wins. Sources are asked best first, and a key
 * that has a value keeps it. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "settings_parts.h"

enum { MAX_FILE_BYTES = 1 << 20, MAX_KEY_BYTES = 200 };

static void item_finish(settings_item *item) {
  for (size_t i = 0; i < item->n; i++) mem_free(item->list[i]);
  mem_free(item->list);
  mem_free(item->key);
  mem_free(item->text);
  mem_free(item->origin);
}

void settings_free(settings *s) {
  if (!s) return;
  for (size_t i = 0; i < s->n; i++) item_finish(&s->items[i]);
  mem_free(s->items);
  mem_free(s->file);
  mem_free(s);
}

const char *settings_file(const settings *s) { return s->file; }
size_t settings_count(const settings *s) { return s->n; }
const settings_item *settings_at(const settings *s, size_t i) { return &s->items[i]; }

static settings_item *find_item(const settings *s, const char *key) {
  for (size_t i = 0; i < s->n; i++)
    if (!strcmp(s->items[i].key, key)) return &s->items[i];
  return NULL;
}

const settings_item *settings_get(const settings *s, const char *key) { return find_item(s, key); }

static bool copy_words(settings_item *item, const char *const *words, size_t n) {
  item->list = mem_zalloc_array(n, sizeof *item->list);
  for (; item->list && item->n < n; item->n++)
    if (!(item->list[item->n] = mem_strdup(words[item->n]))) return false;
  return item->list != NULL;
}

/* A checked item in *out, to be finished by the caller; nothing on failure. */
static forge_status make_item(const char *key, const char *value, const char *const *words,
                              size_t n_words, uint32_t source, const char *origin,
                              settings_item *out) {
  settings_item item = {.source = source};
  TRY(settings_find_row(key, origin, &item.row));
  item.known = item.row != NULL && !settings_room_of(key);
  item.key = mem_strdup(key);
  item.text = mem_strdup(value);
  item.origin = mem_strdup(origin);
  forge_status st = FORGE_OK;
  if (!item.key || !item.text || !item.origin || (words && !copy_words(&item, words, n_words)))
    st = FAIL(FORGE_E_OOM, "no memory for the setting %s", key);
  if (!st) st = settings_check(&item);
  if (st)
    item_finish(&item);
  else
    *out = item;
  return st;
}

forge_status settings_add(settings *s, const char *key, const char *value, const char *const *words,
                          size_t n_words, uint32_t source, const char *origin) {
  settings_item item;
  TRY(make_item(key, value, words, n_words, source, origin, &item));
  const bool known = settings_get(s, key) != NULL;
  if (known || !ARRAY_GROW(s->items, s->n, s->cap)) {
    item_finish(&item);
    return known ? FORGE_OK : FAIL(FORGE_E_OOM, "no memory for the setting %s", key);
  }
  s->items[s->n++] = item;
  return FORGE_OK;
}

static forge_status add_overrides(settings *s, const char *const *overrides) {
  for (; overrides && *overrides; overrides++) {
    const char *equals = strchr(*overrides, '=');
    char key[MAX_KEY_BYTES];
    if (!equals || equals == *overrides || (size_t)(equals - *overrides) >= sizeof key)
      return FAIL(FORGE_E_CONFIG, "override '%s' must read key=value", *overrides);
    memcpy(key, *overrides, (size_t)(equals - *overrides));
    key[equals - *overrides] = 0;
    if (find_item(s, key)) return FAIL(FORGE_E_CONFIG, "%s is overridden twice", key);
    TRY(settings_add(s, key, equals + 1, NULL, 0, SETTINGS_OVERRIDE, "override"));
  }
  return FORGE_OK;
}

/* "backend.cpu.threads" -> "FORGE_BACKEND_CPU_THREADS". */
static void environment_name(const char *key, char out[MAX_KEY_BYTES + 8]) {
  size_t n = 6;
  memcpy(out, "FORGE_", 6);
  for (; *key && n < MAX_KEY_BYTES; key++)
    out[n++] = isalnum((unsigned char)*key) ? (char)toupper((unsigned char)*key) : '_';
  out[n] = 0;
}

/* The environment's value of |key|, NULL if it has none. */
static const char *environment_value(const char *key, char origin[MAX_KEY_BYTES + 32]) {
  char name[MAX_KEY_BYTES + 8];
  environment_name(key, name);
  snprintf(origin, MAX_KEY_BYTES + 32, "environment %s", name);
  return strcmp(name, "FORGE_BACKEND_PATH") ? secure_getenv(name) : NULL;
}

static forge_status add_environment(settings *s, const char *key) {
  char origin[MAX_KEY_BYTES + 32];
  const char *value = environment_value(key, origin);
  return value ? settings_add(s, key, value, NULL, 0, SETTINGS_ENVIRONMENT, origin) : FORGE_OK;
}

static forge_status add_rows(settings *s, bool environment) {
  size_t n;
  const settings_row *rows = settings_rows(&n);
  for (size_t i = 0; i < n; i++) {
    if (settings_room_of(rows[i].key)) continue;
    if (environment)
      TRY(add_environment(s, rows[i].key));
    else
      TRY(settings_add(s, rows[i].key, rows[i].fallback, NULL, 0, SETTINGS_DEFAULT, "default"));
  }
  return FORGE_OK;
}

static forge_status fill(settings *s, const char *name, const char *source, size_t n,
                         const char *const *overrides) {
  TRY(add_overrides(s, overrides));
  TRY(add_rows(s, true));
  if (source) TRY(settings_read(s, name, source, n));
  return add_rows(s, false);
}

static forge_status create(const char *name, const char *source, size_t n,
                           const char *const *overrides, settings **out) {
  settings *s = mem_zalloc(sizeof *s);
  if (!s || (name && !(s->file = mem_strdup(name)))) {
    settings_free(s);
    return FAIL(FORGE_E_OOM, "no memory for the settings");
  }
  const forge_status st = fill(s, name, source, n, overrides);
  if (st)
    settings_free(s);
  else
    *out = s;
  return st;
}

forge_status settings_parse(const char *name, const char *source, size_t n,
                            const char *const *overrides, settings **out) {
  return create(name, source, n, overrides, out);
}

/* The operator's file by the search order of settings.h; *out NULL when there is none. */
static forge_status find_file(char **out) {
  const char *named = secure_getenv("FORGE_CONFIG"), *home = secure_getenv("HOME");
  const char *xdg = secure_getenv("XDG_CONFIG_HOME");
  *out = NULL;
  if (named && *named) {
    if (named[0] != '/')
      return FAIL(FORGE_E_CONFIG, "FORGE_CONFIG: '%s' is relative; name the file from the root",
                  named);
    *out = mem_strdup(named);
    return *out ? FORGE_OK : FAIL(FORGE_E_OOM, "no memory for a path");
  }
  char *places[] = {xdg && xdg[0] == '/'     ? mem_printf("%s/forge/forge.conf", xdg)
                    : home && home[0] == '/' ? mem_printf("%s/.config/forge/forge.conf", home)
                                             : NULL,
                    mem_strdup("/etc/forge/forge.conf")};
  for (size_t i = 0; i < COUNT_OF(places); i++) {
    if (places[i] && !*out && file_exists(places[i]))
      *out = places[i];
    else
      mem_free(places[i]);
  }
  return FORGE_OK;
}

forge_status settings_load(const char *path, const char *const *overrides, settings **out) {
  char *found = NULL, *source = NULL;
  uint64_t n = 0;
  if (!path) TRY(find_file(&found));
  if (!path) path = found;
  forge_status st = path ? file_read(path, MAX_FILE_BYTES, &source, &n) : FORGE_OK;
  if (!st) st = create(path, source, (size_t)n, overrides, out);
  mem_free(source);
  mem_free(found);
  return st;
}

static forge_status declare(settings *s, const char *room, const char *name, const char *option,
                            const char *fallback) {
  char key[MAX_KEY_BYTES];
  if (snprintf(key, sizeof key, "%s.%s.%s", room, name, option) >= (int)sizeof key)
    return FAIL(FORGE_E_CONFIG, "the option '%s' of %s has too long a name", option, name);
  char origin[MAX_KEY_BYTES + 32];
  const char *value = environment_value(key, origin);
  settings_item *given = find_item(s, key);
  if (given && value && given->source < SETTINGS_ENVIRONMENT) {
    settings_item better;
    TRY(make_item(key, value, NULL, 0, SETTINGS_ENVIRONMENT, origin, &better));
    item_finish(given);
    *given = better;
  } else if (!given && (value || fallback)) {
    TRY(settings_add(s, key, value ? value : fallback, NULL, 0,
                     value ? SETTINGS_ENVIRONMENT : SETTINGS_DEFAULT, value ? origin : "default"));
    given = find_item(s, key);
  }
  if (given) given->known = 1;
  return FORGE_OK;
}

forge_status settings_declare(settings *s, const char *backend, const char *option,
                              const char *fallback) {
  return declare(s, "backend", backend, option, fallback);
}

forge_status settings_declare_layer(settings *s, const char *layer, const char *option,
                                    const char *fallback) {
  return declare(s, "layer", layer, option, fallback);
}

forge_status settings_declare_backend(settings *s, const char *backend) {
  TRY(settings_declare(s, backend, "enabled", "true"));
  return settings_declare(s, backend, "memory_limit", NULL);
}
