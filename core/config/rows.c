/* rows.c -- every setting there is, and the check of a value against its row. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "settings_parts.h"

static const settings_row rows[] = {
    {"backends", SETTINGS_LIST, "", "backend names",
     "the backends admitted, best first; empty: every one installed, by its manifest's priority"},
    {"backend_path", SETTINGS_LIST, "", "absolute folders",
     "folders with more manifests, searched before $FORGE_BACKEND_PATH and the usual places"},
    {"visible", SETTINGS_LIST, "", "device names, uuid:.., pci:..",
     "the only devices that may be used; empty: all"},
    {"hidden", SETTINGS_LIST, "", "device names, uuid:.., pci:..",
     "devices that may not be used; wins over visible"},
    {"fallback", SETTINGS_CHOICE, "auto", "auto|error|warn|allow",
     "what happens to an op the device cannot run; auto: error where a device was named, else "
     "warn"},
    {"memory_limit", SETTINGS_BYTES, "none", "bytes with K, M, G or T; percent; none",
     "the most memory Forge takes on each device"},
    {"layers", SETTINGS_LIST, "", "layer names",
     "layers put around every device, the first outermost (docs/layers.md)"},
    {"log_level", SETTINGS_CHOICE, "warn", "error|warn|info|debug|trace",
     "how much is logged on standard error"},
    {"backend.NAME.enabled", SETTINGS_BOOL, "true", "true or false",
     "false: the backend NAME is neither loaded nor offered"},
    {"backend.NAME.memory_limit", SETTINGS_BYTES, "", "bytes with K, M, G or T; percent; none",
     "memory_limit for the devices of the backend NAME"},
};

const settings_row *settings_rows(size_t *out_n) {
  *out_n = COUNT_OF(rows);
  return rows;
}

const char *settings_type_name(uint32_t type) {
  static const char *const names[] = {"", "list", "choice", "amount", "bool", "option"};
  return type < COUNT_OF(names) ? names[type] : "";
}

size_t settings_room_of(const char *key) {
  return !strncmp(key, "backend.", 8) ? 8 : !strncmp(key, "layer.", 6) ? 6 : 0;
}

/* The part of "backend.NAME.option" or "layer.NAME.option" behind the name; NULL if |key| is not of
 * that form. */
static const char *option_of(const char *key) {
  const size_t room = settings_room_of(key);
  const char *dot = room ? strchr(key + room, '.') : NULL;
  if (!dot || dot == key + room || !dot[1] || strchr(dot + 1, '.')) return NULL;
  return dot + 1;
}

static const settings_row *row_of_backend(const char *option) {
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    const char *own = option_of(rows[i].key);
    if (own && !strcmp(own, option)) return &rows[i];
  }
  return NULL;
}

forge_status settings_find_row(const char *key, const char *origin, const settings_row **out) {
  const char *names[COUNT_OF(rows)], *option = option_of(key);
  if (option) {
    *out = *key == 'b' ? row_of_backend(option) : NULL;
    return FORGE_OK;
  }
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    names[i] = rows[i].key;
    *out = &rows[i];
    if (!strcmp(key, rows[i].key)) return FORGE_OK;
  }
  const char *nearest = name_nearest(key, names, COUNT_OF(rows));
  return FAIL(FORGE_E_CONFIG, "%s: there is no setting '%s'%s%s%s", origin, key,
              nearest ? "; did you mean '" : "; `forge config help` lists them",
              nearest ? nearest : "", nearest ? "'?" : "");
}

bool settings_parse_bytes(const char *s, settings_bytes *out) {
  *out = (settings_bytes){0};
  if (!strcmp(s, "none")) return true;
  if (!isdigit((unsigned char)*s)) return false;
  char *end;
  const uint64_t value = strtoull(s, &end, 10);
  if (!value || value == UINT64_MAX) return false; /* 0 would read as "none" */
  if (!strcmp(end, "%")) {
    out->percent = value <= 100 ? (uint32_t)value : 0;
    return value <= 100;
  }
  static const char units[] = "KMGT";
  const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
  if (*end && !unit) return false;
  const uint64_t scale = unit ? (uint64_t)1 << (10 * (unit - units + 1)) : 1;
  if (unit && end[1] && strcmp(end + 1, "B") != 0 && strcmp(end + 1, "iB") != 0) return false;
  return !MUL_OVERFLOWS(value, scale, &out->bytes);
}

bool settings_parse_bool(const char *s, bool *out) {
  static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
  for (size_t i = 0; i < COUNT_OF(words); i++) {
    if (strcmp(s, words[i]) != 0) continue;
    *out = i & 1;
    return true;
  }
  return false;
}

/* True when |word| is one of "a|b|c". */
static bool is_choice(const char *choices, const char *word) {
  const size_t n = strcspn(word, "|");
  for (const char *at = choices; n && !word[n] && (at = strstr(at, word)); at += n)
    if ((at == choices || at[-1] == '|') && (!at[n] || at[n] == '|')) return true;
  return false;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): ARRAY_GROW writes it */
static forge_status add_word(settings_item *item, size_t *cap, const char *word, size_t n) {
  char *copy = ARRAY_GROW(item->list, item->n, *cap) ? mem_strndup(word, n) : NULL;
  if (!copy) return FAIL(FORGE_E_OOM, "no memory for the setting %s", item->key);
  item->list[item->n++] = copy;
  return FORGE_OK;
}

static forge_status split(settings_item *item) {
  size_t cap = 0;
  for (const char *s = item->text; *s;) {
    const size_t n = strcspn(s, ",");
    size_t from = 0, to = n;
    while (from < to && isspace((unsigned char)s[from])) from++;
    while (to > from && isspace((unsigned char)s[to - 1])) to--;
    if (to > from) TRY(add_word(item, &cap, s + from, to - from));
    s += n + (s[n] == ',');
  }
  return FORGE_OK;
}

static forge_status check_list(const settings_item *item) {
  if (!item->list) return FORGE_OK;
  for (size_t i = 0; i < item->n; i++) {
    if (!strcmp(item->key, "backend_path") && item->list[i][0] != '/')
      return FAIL(FORGE_E_CONFIG,
                  "%s: backend_path: '%s' is relative; name folders from the root, so that it does "
                  "not matter where a program is started",
                  item->origin, item->list[i]);
    for (size_t k = 0; k < i; k++)
      if (!strcmp(item->list[i], item->list[k]))
        return FAIL(FORGE_E_CONFIG, "%s: %s: '%s' is there twice", item->origin, item->key,
                    item->list[i]);
  }
  return FORGE_OK;
}

forge_status settings_check(settings_item *item) {
  const settings_row *row = item->row;
  settings_bytes amount;
  bool truth = true;
  if (!row) return FORGE_OK;
  if (row->type == SETTINGS_LIST) {
    if (!item->list) TRY(split(item));
    return check_list(item);
  }
  if (row->type == SETTINGS_CHOICE) truth = is_choice(row->range, item->text);
  if (row->type == SETTINGS_BYTES) truth = settings_parse_bytes(item->text, &amount);
  if (row->type == SETTINGS_BOOL) {
    bool value;
    truth = settings_parse_bool(item->text, &value);
  }
  if (truth) return FORGE_OK;
  return FAIL(FORGE_E_CONFIG, "%s: %s = '%s' must be %s%s", item->origin, item->key, item->text,
              row->type == SETTINGS_CHOICE ? "one of " : "", row->range);
}
