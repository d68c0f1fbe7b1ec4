/* train_settings_file.c -- a run's settings from a file in libconfig's syntax. */
#include <libconfig.h>
#include <stdio.h>
#include <string.h>

#include "file.h"
#include "train_settings.h"

enum { MAX_FILE = 1 << 20 };

/* A scalar as text, NULL for what is no scalar. */
static const char *value_text(const config_setting_t *node, char scratch[40]) {
  switch (config_setting_type(node)) {
  case CONFIG_TYPE_INT:
  case CONFIG_TYPE_INT64: snprintf(scratch, 40, "%lld", config_setting_get_int64(node)); break;
  case CONFIG_TYPE_FLOAT: snprintf(scratch, 40, "%.17g", config_setting_get_float(node)); break;
  case CONFIG_TYPE_BOOL: return config_setting_get_bool(node) ? "true" : "false";
  case CONFIG_TYPE_STRING: return config_setting_get_string(node);
  default: return NULL;
  }
  return scratch;
}

static forge_status read_node(train_settings *s, const config_setting_t *node, const char *path) {
  char origin[512], scratch[40];
  uint32_t key;
  snprintf(origin, sizeof origin, "%.480s:%u", path, config_setting_source_line(node));
  TRY(train_settings_find(config_setting_name(node), origin, &key));
  const char *value = value_text(node, scratch);
  if (!value)
    return FAIL(FORGE_E_CONFIG, "%s: %s takes one value, not a list or a group", origin,
                config_setting_name(node));
  return train_settings_set(s, key, value, origin);
}

static forge_status read_tree(train_settings *s, config_t *tree, const char *source,
                              const char *path) {
  if (strstr(source, "@include"))
    return FAIL(FORGE_E_CONFIG, "%s: @include is not supported here", path);
  if (!config_read_string(tree, source))
    return FAIL(FORGE_E_CONFIG, "%s:%d: %s", path, config_error_line(tree),
                config_error_text(tree));
  const config_setting_t *root = config_root_setting(tree);
  for (int i = 0; i < config_setting_length(root); i++)
    TRY(read_node(s, config_setting_get_elem(root, (unsigned)i), path));
  return FORGE_OK;
}

forge_status train_settings_file(train_settings *s, const char *path) {
  char *source;
  uint64_t bytes;
  TRY(file_read(path, MAX_FILE, &source, &bytes));
  config_t tree;
  config_init(&tree);
  const forge_status st = strlen(source) == bytes
                              ? read_tree(s, &tree, source, path)
                              : FAIL(FORGE_E_CONFIG, "%s: holds a zero byte; not a text", path);
  config_destroy(&tree);
  mem_free(source);
  return st;
}
