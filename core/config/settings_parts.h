/* settings_parts.h -- what the files of the config room share. */
#ifndef FORGE_SETTINGS_PARTS_H
#define FORGE_SETTINGS_PARTS_H

#include "settings.h"

struct settings {
  char *file;
  settings_item *items;
  size_t n, cap;
};

/* The row |key| falls under: its own, or backend.NAME.{enabled,memory_limit}; NULL for an option of
 * a backend or layer. Fails: E_CONFIG for a key that can be neither, with the nearest. */
forge_status settings_find_row(const char *key, const char *origin, const settings_row **out);

/* Splits a list at commas, checks the value against its row (NULL: anything goes). */
forge_status settings_check(settings_item *item);

/* Adds key = text unless the key has a value already: sources are added best first. The words of a
 * list are given as |words|, or NULL to split |value|. */
forge_status settings_add(settings *s, const char *key, const char *value, const char *const *words,
                          size_t n_words, uint32_t source, const char *origin);

/* Adds what the text says (libconfig syntax). */
forge_status settings_read(settings *s, const char *name, const char *source, size_t n);

#endif
