/* read.c -- the operator's file, libconfig syntax, one setting at a time. */
#include <libconfig.h>
#include <stdlib.h>
#include <string.h>

#include "settings_parts.h"

enum { MAX_ORIGIN_BYTES = 1024, MAX_DEPTH = 3 };

typedef struct reader {
  settings *to;
  const char *name;
} reader;

static void place(const reader *r, const config_setting_t *node, char out[MAX_ORIGIN_BYTES]) {
  snprintf(out, MAX_ORIGIN_BYTES, "%s:%u", r->name, config_setting_source_line(node));
}

/* The shortest decimal that reads back as the same number. */
static char *number_text(double value) {
  for (int digits = 6; digits < 17; digits += 3) {
    char digits_of[40];
    snprintf(digits_of, sizeof digits_of, "%.*g", digits, value);
    if (strtod(digits_of, NULL) == value) return mem_strdup(digits_of);
  }
  return mem_printf("%.17g", value);
}

/* A scalar as text, NULL when memory is out. */
static char *scalar_text(const config_setting_t *node) {
  switch (config_setting_type(node)) {
  case CONFIG_TYPE_INT:
  case CONFIG_TYPE_INT64: return mem_printf("%lld", config_setting_get_int64(node));
  case CONFIG_TYPE_FLOAT: return number_text(config_setting_get_float(node));
  case CONFIG_TYPE_BOOL: return mem_strdup(config_setting_get_bool(node) ? "true" : "false");
  default: return mem_strdup(config_setting_get_string(node));
  }
}

static forge_status read_scalar(const reader *r, const config_setting_t *node, const char *key) {
  char origin[MAX_ORIGIN_BYTES];
  place(r, node, origin);
  char *value = scalar_text(node);
  if (!value) return FAIL(FORGE_E_OOM, "%s: no memory for a value", origin);
  const forge_status st = settings_add(r->to, key, value, NULL, 0, SETTINGS_FILE, origin);
  mem_free(value);
  return st;
}

/* ["a", "b"] for a row that is a list. */
static forge_status read_list(const reader *r, const config_setting_t *node, const char *key) {
  char origin[MAX_ORIGIN_BYTES];
  const settings_row *row;
  place(r, node, origin);
  TRY(settings_find_row(key, origin, &row));
  if (!row || row->type != SETTINGS_LIST)
    return FAIL(FORGE_E_CONFIG, "%s: %s takes one value, not a list", origin, key);
  const int n = config_setting_length(node);
  const char **words = mem_zalloc_array((size_t)n, sizeof *words);
  text joined = {0};
  if (!words) return FAIL(FORGE_E_OOM, "%s: no memory for a list", origin);
  forge_status st = FORGE_OK;
  for (int i = 0; !st && i < n; i++) {
    words[i] = config_setting_get_string_elem(node, i);
    if (!words[i] || !*words[i])
      st = FAIL(FORGE_E_CONFIG, "%s: %s: entry %d must be a text in quotes", origin, key, i + 1);
    else
      text_add(&joined, "%s%s", i ? ", " : "", words[i]);
  }
  char *value = st ? NULL : text_take(&joined);
  if (!st && !value) st = FORGE_E_OOM;
  if (!st) st = settings_add(r->to, key, value, words, (size_t)n, SETTINGS_FILE, origin);
  text_finish(&joined);
  mem_free(value);
  mem_free(words);
  return st;
}

/* Groups are |depth| deep: backend: { cpu: { threads = 4 } } is the key backend.cpu.threads. */
static forge_status read_group(const reader *r, const config_setting_t *group, const char *prefix,
                               int depth) {
  const int n = config_setting_length(group);
  for (int i = 0; i < n; i++) {
    const config_setting_t *node = config_setting_get_elem(group, (unsigned)i);
    char *key = mem_printf("%s%s%s", prefix, *prefix ? "." : "", config_setting_name(node));
    forge_status st;
    char origin[MAX_ORIGIN_BYTES];
    place(r, node, origin);
    if (!key)
      st = FAIL(FORGE_E_OOM, "%s: no memory for a key", origin);
    else if (!config_setting_is_group(node))
      st = config_setting_is_scalar(node) ? read_scalar(r, node, key) : read_list(r, node, key);
    else if (strcmp(key, "backend") != 0 && strcmp(key, "layer") != 0 && !settings_room_of(key))
      st = FAIL(FORGE_E_CONFIG, "%s: there is no group '%s'; the groups are 'backend' and 'layer'",
                origin, key);
    else if (depth + 1 >= MAX_DEPTH)
      st = FAIL(FORGE_E_CONFIG, "%s: '%s': an option is a single value", origin, key);
    else
      st = read_group(r, node, key, depth + 1);
    mem_free(key);
    TRY(st);
  }
  return FORGE_OK;
}

/* What libconfig would take and we do not: zero bytes end its text, and @include would read files
 * of which no origin is told. */
static forge_status refuse_foreign(const char *name, const char *source, size_t n) {
  unsigned line = 1;
  bool line_begins = true;
  for (size_t i = 0; i < n; i++) {
    if (!source[i]) return FAIL(FORGE_E_CONFIG, "%s:%u: a zero byte; not a text", name, line);
    if (source[i] == '@' && line_begins)
      return FAIL(FORGE_E_CONFIG, "%s:%u: directives such as @include are not supported", name,
                  line);
    if (source[i] == '\n') line++;
    line_begins = source[i] == '\n' || (line_begins && (source[i] == ' ' || source[i] == '\t'));
  }
  return FORGE_OK;
}

forge_status settings_read(settings *s, const char *name, const char *source, size_t n) {
  TRY(refuse_foreign(name, source, n));
  char *terminated = mem_strndup(source, n);
  if (!terminated) return FAIL(FORGE_E_OOM, "%s: no memory", name);
  config_t tree;
  config_init(&tree);
  forge_status st;
  if (!config_read_string(&tree, terminated))
    st =
        FAIL(FORGE_E_CONFIG, "%s:%d: %s", name, config_error_line(&tree), config_error_text(&tree));
  else
    st = read_group(&(reader){s, name}, config_root_setting(&tree), "", 0);
  config_destroy(&tree);
  mem_free(terminated);
  return st;
}
