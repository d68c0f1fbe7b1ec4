/* cmd_devices.c -- `forge devices`: what there is to compute on. */
#include <string.h>

#include "cli.h"
#include "table.h"

static const cli_option options[] = {{NULL, NULL, NULL, false}};

static void add_device(table *t, const json_t *d) {
  char memory[32], note[512] = "";
  const json_int_t bytes = json_integer_value(json_object_get(d, "memory_total"));
  const char *alias = table_text(d, "alias", NULL), *same = table_text(d, "same_as", NULL);
  const bool usable = json_is_true(json_object_get(d, "usable"));
  const char *why = table_text(d, "why_not", "");
  if (!usable)
    snprintf(note, sizeof note, "not usable: %s", why);
  else
    snprintf(note, sizeof note, "%s%s%s%s%s", alias ? "also " : "", alias ? alias : "",
             alias && same ? ", " : "", same ? "the same hardware as " : "", same ? same : "");
  table_add(t, usable ? CLI_PLAIN : CLI_DIM,
            json_is_true(json_object_get(d, "default")) ? "*" : " ", table_text(d, "name", ""),
            table_text(d, "type", ""), bytes ? cli_bytes((uint64_t)bytes, memory) : "-",
            table_text(d, "model", "-"), note, NULL);
}

static void print_devices(const json_t *root) {
  const json_t *devices = json_object_get(root, "devices");
  const json_t *problems = json_object_get(root, "problems"), *item;
  table t = {0};
  size_t i;
  table_add(&t, CLI_BOLD, " ", "NAME", "TYPE", "MEMORY", "MODEL", "", NULL);
  json_array_foreach(devices, i, item) add_device(&t, item);
  if (json_array_size(devices))
    table_print(&t, 0);
  else
    printf("There is no device.\n");
  if (table_text(root, "default", NULL))
    printf("\n* is used when no device is named.\n");
  else
    printf("\nNothing is used unless it is named.\n");
  json_array_foreach(problems, i, item)
      printf("%s%s%s: %s\n", cli_colour(stdout, CLI_YELLOW), table_text(item, "name", ""),
             cli_colour(stdout, CLI_PLAIN), table_text(item, "reason", ""));
}

static int run(cli *c) {
  char *json = NULL;
  forge_runtime *runtime = cli_runtime(c, NULL);
  if (!runtime) return CLI_FAILED;
  int rc = CLI_OK;
  if (forge_runtime_report(runtime, FORGE_REPORT_DEVICES, &json)) {
    rc = cli_failed(c, "devices");
  } else if (cli_json(c)) {
    puts(json);
  } else {
    json_t *root = json_loads(json, 0, NULL);
    print_devices(root);
    json_decref(root);
  }
  forge_text_free(json);
  forge_runtime_destroy(runtime);
  return rc;
}

const cli_command cmd_devices = {
    .name = "devices",
    .summary = "list what there is to compute on",
    .usage = "[options]",
    .examples = "  forge devices                        # names to give as --device\n"
                "  forge devices --set visible=cpu:0    # what this setting would leave\n"
                "  forge devices --json | jq -r .default\n",
    .options = options,
    .run = run,
};
