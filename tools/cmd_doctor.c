/* cmd_doctor.c -- `forge doctor`: every manifest with its verdict, and what would be chosen. */
#include <string.h>

#include "cli.h"
#include "table.h"

static const cli_option options[] = {{NULL, NULL, NULL, false}};

static int colour_of(const char *verdict) {
  if (!strcmp(verdict, "ready")) return CLI_GREEN;
  if (!strcmp(verdict, "refused")) return CLI_RED;
  return !strcmp(verdict, "no device") ? CLI_YELLOW : CLI_DIM;
}

/* "a, b" of an array of texts, or of one member of objects. */
static void join(const json_t *list, const char *member, char *out, size_t size) {
  size_t i, n = 0;
  const json_t *item;
  out[0] = 0;
  json_array_foreach(list, i, item) {
    const char *s = member ? table_text(item, member, "") : json_string_value(item);
    if (n < size) n += (size_t)snprintf(out + n, size - n, "%s%s", n ? ", " : "", s ? s : "");
  }
}

static void add_plugin(table *t, const json_t *p) {
  char devices[256], blocks[160], about[512];
  const char *verdict = table_text(p, "verdict", ""), *reason = table_text(p, "reason", NULL);
  join(json_object_get(p, "devices"), "name", devices, sizeof devices);
  join(json_object_get(p, "blocks"), NULL, blocks, sizeof blocks);
  if (!strcmp(verdict, "ready"))
    snprintf(about, sizeof about, "%s  (ABI %s, %s %s%s%s)%s%s", devices, table_text(p, "abi", "?"),
             table_text(p, "vendor", "unknown vendor"), table_text(p, "version", ""),
             blocks[0] ? ", blocks " : "", blocks, reason ? "; " : "", reason ? reason : "");
  else
    snprintf(about, sizeof about, "%s", reason ? reason : "");
  table_add(t, colour_of(verdict), table_text(p, "variant", "(no variants)"), verdict, about, NULL);
}

static void print_devices_in_use(const json_t *plugins) {
  size_t i, k;
  const json_t *p, *d;
  json_array_foreach(plugins, i, p) {
    json_array_foreach(json_object_get(p, "devices"), k, d) {
      if (!json_is_true(json_object_get(d, "usable")))
        printf("    %s%s%s\n", cli_colour(stdout, CLI_DIM), table_text(d, "why_not", ""),
               cli_colour(stdout, CLI_PLAIN));
    }
  }
}

static void print_backend(const json_t *b) {
  table t = {0};
  size_t i;
  const json_t *p, *plugins = json_object_get(b, "plugins");
  const char *verdict = table_text(b, "verdict", ""), *reason = table_text(b, "reason", NULL);
  printf("\n  %s%s%s  %s%s%s  priority %" JSON_INTEGER_FORMAT "%s\n", cli_colour(stdout, CLI_BOLD),
         table_text(b, "name", "(no name)"), cli_colour(stdout, CLI_PLAIN),
         cli_colour(stdout, colour_of(verdict)), verdict, cli_colour(stdout, CLI_PLAIN),
         json_integer_value(json_object_get(b, "priority")),
         json_is_true(json_object_get(b, "only_when_named")) ? ", used only when named" : "");
  printf("    %s%s%s\n", cli_colour(stdout, CLI_DIM), table_text(b, "manifest", ""),
         cli_colour(stdout, CLI_PLAIN));
  if (reason)
    printf("    %s%s%s\n", table_text(b, "status", ""), *table_text(b, "status", "") ? ": " : "",
           reason);
  const bool looked = strcmp(verdict, "shadowed") != 0 && strcmp(verdict, "not admitted") != 0;
  json_array_foreach(plugins, i, p) if (looked) add_plugin(&t, p);
  table_print(&t, 4);
  print_devices_in_use(plugins);
}

/* "on, the outermost" .. ; returns the number of those switched on that cannot be used. */
static size_t print_layers(const json_t *layers) {
  table t = {0};
  size_t i, wrong = 0;
  const json_t *l;
  printf("\nLayers\n");
  json_array_foreach(layers, i, l) {
    const char *verdict = table_text(l, "verdict", "");
    char about[768], state[64];
    const json_int_t place = json_integer_value(json_object_get(l, "place"));
    const bool refused = !strcmp(verdict, "refused"), on = !strcmp(verdict, "on");
    snprintf(state, sizeof state, "%s", verdict);
    if (on) snprintf(state, sizeof state, "on, number %d from outside", (int)place);
    snprintf(about, sizeof about, "%s%s%s", refused ? table_text(l, "status", "") : "",
             refused ? ": " : "",
             refused ? table_text(l, "reason", "") : table_text(l, "manifest", ""));
    table_add(&t,
              on        ? CLI_GREEN
              : refused ? CLI_RED
                        : CLI_DIM,
              table_text(l, "name", "(no name)"), state, about, NULL);
    wrong += refused;
  }
  if (!json_array_size(layers)) printf("  none is installed\n");
  table_print(&t, 2);
  return wrong;
}

static void print_folders(const json_t *folders) {
  table t = {0};
  size_t i;
  const json_t *f;
  printf("\nManifests are looked for in\n");
  json_array_foreach(folders, i, f) {
    const bool found = json_is_true(json_object_get(f, "found"));
    table_add(&t, found ? CLI_PLAIN : CLI_DIM, table_text(f, "path", ""),
              table_text(f, "named_by", ""), found ? "" : "not there", NULL);
  }
  table_print(&t, 2);
}

static const char *fallback_words(const char *policy) {
  if (!strcmp(policy, "auto"))
    return "an error where a device was named, else run elsewhere with a warning";
  if (!strcmp(policy, "error")) return "an error";
  return !strcmp(policy, "warn") ? "run elsewhere with a warning" : "run elsewhere";
}

/* The number of things an operator should look at. */
static size_t print_doctor(const json_t *root) {
  size_t i, wrong = 0;
  const json_t *b, *backends = json_object_get(root, "backends");
  const char *first = table_text(root, "default", NULL);
  table t = {0};
  table_add(&t, CLI_PLAIN, "Forge", table_text(root, "version", ""), NULL);
  table_add(&t, CLI_PLAIN, "ABI", table_text(root, "abi", ""), NULL);
  table_add(&t, CLI_PLAIN, "configuration", table_text(root, "config", "no file, defaults"), NULL);
  table_add(&t, first ? CLI_GREEN : CLI_RED, "default device",
            first ? first : "none: nothing runs unless a device is named", NULL);
  table_add(&t, CLI_PLAIN, "ops it lacks are", fallback_words(table_text(root, "fallback", "")),
            NULL);
  table_print(&t, 0);
  printf("\nBackends\n");
  json_array_foreach(backends, i, b) {
    print_backend(b);
    wrong += !strcmp(table_text(b, "verdict", ""), "refused");
  }
  if (!json_array_size(backends)) printf("  none is installed\n");
  json_array_foreach(json_object_get(root, "absent"), i, b) {
    printf("\n  %s%s%s  listed by %s, but not installed\n", cli_colour(stdout, CLI_YELLOW),
           table_text(b, "name", ""), cli_colour(stdout, CLI_PLAIN),
           table_text(b, "listed_by", ""));
    wrong++;
  }
  wrong += print_layers(json_object_get(root, "layers"));
  print_folders(json_object_get(root, "folders"));
  return wrong + !first;
}

static int run(cli *c) {
  char *json = NULL;
  forge_runtime *runtime = cli_runtime(c, NULL);
  if (!runtime) return CLI_FAILED;
  int rc = CLI_OK;
  if (forge_runtime_report(runtime, FORGE_REPORT_DOCTOR, &json)) {
    rc = cli_failed(c, "doctor");
  } else if (cli_json(c)) {
    puts(json);
  } else {
    json_t *root = json_loads(json, 0, NULL);
    const size_t wrong = print_doctor(root);
    if (wrong) cli_note(c, "\n%zu thing%s to look at", wrong, wrong == 1 ? "" : "s");
    if (wrong) rc = CLI_FAILED;
    json_decref(root);
  }
  forge_text_free(json);
  forge_runtime_destroy(runtime);
  return rc;
}

const cli_command cmd_doctor = {
    .name = "doctor",
    .summary = "say which backends work, which do not, and why",
    .usage = "[options]",
    .examples = "  forge doctor                         # exit code 1 when something needs a look\n"
                "  forge doctor --set backends=cpu      # what this setting would change\n"
                "  forge doctor --json | jq '.backends[] | {name, verdict, reason}'\n",
    .options = options,
    .run = run,
};
