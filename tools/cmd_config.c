/* cmd_config.c -- `forge config`: the settings in force with their origin, and what there is to
 * set. */
#include <string.h>

#include "cli.h"
#include "table.h"

static const cli_option options[] = {
    {"markdown", NULL, "with help: the table of docs/configuration.md", false},
    {NULL, NULL, NULL, false}};

static void value_text(const json_t *value, char *out, size_t size) {
  size_t i, n = 0;
  const json_t *item;
  snprintf(out, size, "%s", json_string_value(value) ? json_string_value(value) : "");
  json_array_foreach(value, i, item) if (n < size) n +=
      (size_t)snprintf(out + n, size - n, "%s%s", n ? ", " : "", json_string_value(item));
  if (!out[0]) snprintf(out, size, "-");
}

static void show(const json_t *root) {
  size_t i;
  const json_t *s;
  table t = {0};
  const char *file = table_text(root, "file", NULL);
  if (file)
    printf("The operator's file is %s.\n\n", file);
  else
    printf("There is no operator's file.\n\n");
  table_add(&t, CLI_BOLD, "SETTING", "VALUE", "FROM", NULL);
  json_array_foreach(json_object_get(root, "settings"), i, s) {
    char value[512];
    const bool is_default = !strcmp(table_text(s, "source", ""), "default");
    value_text(json_object_get(s, "value"), value, sizeof value);
    table_add(&t, is_default ? CLI_DIM : CLI_PLAIN, table_text(s, "key", ""), value,
              table_text(s, "origin", ""), NULL);
  }
  table_print(&t, 0);
}

static void print_entry(const json_t *row) {
  const char *fallback = table_text(row, "default", "");
  printf("  %s%s%s\n      %s\n      %s%s: %s; default %s%s\n", cli_colour(stdout, CLI_BOLD),
         table_text(row, "key", ""), cli_colour(stdout, CLI_PLAIN), table_text(row, "help", "-"),
         cli_colour(stdout, CLI_DIM), table_text(row, "type", ""), table_text(row, "range", "any"),
         *fallback ? fallback : "empty", cli_colour(stdout, CLI_PLAIN));
}

static void help(const json_t *root) {
  size_t i;
  const json_t *row;
  printf("Settings\n");
  json_array_foreach(json_object_get(root, "known"), i, row) print_entry(row);
  printf("\nOptions of the backends and layers installed here\n");
  json_array_foreach(json_object_get(root, "options"), i, row) print_entry(row);
  printf("\nFirst found wins: --set key=value, environment FORGE_<KEY> (dots become underscores, "
         "upper case),\nthe operator's file, the default. The file: --config, $FORGE_CONFIG, "
         "$XDG_CONFIG_HOME/forge/forge.conf\n(~/.config), /etc/forge/forge.conf.\n");
}

static void markdown(const json_t *root) {
  size_t i;
  const json_t *row;
  printf("| setting | type | default | values | meaning |\n|---|---|---|---|---|\n");
  json_array_foreach(json_object_get(root, "known"), i, row) {
    char range[256];
    const char *from = table_text(row, "range", "");
    size_t n = 0;
    for (; *from && n + 3 < sizeof range; from++) { /* a bar would end the cell */
      if (*from == '|') range[n++] = '\\';
      range[n++] = *from;
    }
    range[n] = 0;
    printf("| `%s` | %s | %s | %s | %s |\n", table_text(row, "key", ""),
           table_text(row, "type", ""), table_text(row, "default", ""), range,
           table_text(row, "help", ""));
  }
}

static int run(cli *c) {
  const char *what = cli_arg(c, 0);
  const bool wants_help = what && !strcmp(what, "help");
  if (what && !wants_help && strcmp(what, "show") != 0)
    return cli_usage(c, "there is no '%s'; show or help", what);
  char *json = NULL;
  forge_runtime *runtime = cli_runtime(c, NULL);
  if (!runtime) return CLI_FAILED;
  int rc = CLI_OK;
  if (forge_runtime_report(runtime, FORGE_REPORT_CONFIG, &json)) {
    rc = cli_failed(c, "settings");
  } else if (cli_json(c)) {
    puts(json);
  } else {
    json_t *root = json_loads(json, 0, NULL);
    (!wants_help ? show : cli_flag(c, "markdown") ? markdown : help)(root);
    json_decref(root);
  }
  forge_text_free(json);
  forge_runtime_destroy(runtime);
  return rc;
}

const cli_command cmd_config = {
    .name = "config",
    .summary = "show the settings in force and where each came from",
    .usage = "[show | help] [options]",
    .examples =
        "  forge config show                              # every value with file and line\n"
        "  forge config help                              # what there is to set\n"
        "  forge config show --set memory_limit=8G        # try a setting\n"
        "  FORGE_FALLBACK=allow forge config show --json  # for machines\n",
    .options = options,
    .max_args = 1,
    .run = run,
};
