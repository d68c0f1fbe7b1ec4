/* cli.c -- see cli.h. */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli_main.h"

static const cli_option common[] = {
    {"config", "FILE", "the operator's file (default: $FORGE_CONFIG, then the usual places)",
     false},
    {"set", "KEY=VALUE", "override one setting of the file; may be repeated", true},
    {"json", NULL, "print JSON for machines", false},
    {"help", NULL, "print this help", false},
    {NULL, NULL, NULL, false}};

static const cli_option *find(const cli_option *table, const char *name, size_t n) {
  for (; table && table->name; table++)
    if (strlen(table->name) == n && !memcmp(table->name, name, n)) return table;
  return NULL;
}

static void print_options(const cli_option *table, const cli_option *hidden_by) {
  for (; table && table->name; table++) {
    if (find(hidden_by, table->name, strlen(table->name))) continue;
    char left[64];
    snprintf(left, sizeof left, "--%s%s%s", table->name, table->value ? " " : "",
             table->value ? table->value : "");
    printf("  %-28s %s\n", left, table->help);
  }
}

void cli_help(const cli_command *command) {
  printf("forge %s -- %s\n\nUsage: forge %s %s\n\nOptions:\n", command->name, command->summary,
         command->name, command->usage);
  print_options(command->options, NULL);
  print_options(common, command->options);
  if (command->more_help) command->more_help();
  printf("\nExamples:\n%s", command->examples);
}

static int parse_option(cli *c, int argc, char **argv, int *i) {
  const char *name = argv[*i] + 2, *equals = strchr(name, '=');
  const size_t n = equals ? (size_t)(equals - name) : strlen(name);
  const cli_option *option = find(c->command->options, name, n);
  if (!option) option = find(common, name, n);
  if (!option) return cli_usage(c, "there is no option --%.*s", (int)n, name);
  const char *value = equals ? equals + 1 : NULL;
  if (!option->value && value) return cli_usage(c, "--%s takes no value", option->name);
  if (option->value && !value && ++*i < argc) value = argv[*i];
  if (option->value && !value) return cli_usage(c, "--%s needs %s", option->name, option->value);
  for (uint32_t k = 0; k < c->n_given && !option->many; k++)
    if (c->given[k].option == option) return cli_usage(c, "--%s is given twice", option->name);
  c->given[c->n_given++] = (cli_given){option, value};
  return CLI_OK;
}

int cli_parse(cli *c, int argc, char **argv) {
  bool options = true;
  for (int i = 0; i < argc; i++) {
    if (options && !strcmp(argv[i], "--")) {
      options = false;
    } else if (options && !strncmp(argv[i], "--", 2)) {
      const int rc = parse_option(c, argc, argv, &i);
      if (rc) return rc;
    } else {
      const char *verbatim = c->command->verbatim;
      c->args[c->n_args++] = argv[i];
      if (c->n_args == 1 && verbatim && !strcmp(argv[i], verbatim)) options = false;
    }
  }
  if (cli_flag(c, "help")) return CLI_OK;
  if (c->n_args < c->command->min_args)
    return cli_usage(c, "something is missing: %s", c->command->usage);
  if (c->n_args > c->command->max_args)
    return cli_usage(c, "'%s' is one argument too many", c->args[c->command->max_args]);
  return CLI_OK;
}

const char *cli_arg(const cli *c, uint32_t i) { return i < c->n_args ? c->args[i] : NULL; }
uint32_t cli_args(const cli *c) { return c->n_args; }

static const cli_given *given(const cli *c, const char *option) {
  for (uint32_t i = 0; i < c->n_given; i++)
    if (!strcmp(c->given[i].option->name, option)) return &c->given[i];
  return NULL;
}

const char *cli_text(const cli *c, const char *option, const char *otherwise) {
  const cli_given *g = given(c, option);
  return g ? g->value : otherwise;
}

const char *cli_text_at(const cli *c, const char *option, uint32_t i) {
  for (uint32_t k = 0; k < c->n_given; k++)
    if (!strcmp(c->given[k].option->name, option) && i-- == 0) return c->given[k].value;
  return NULL;
}

bool cli_flag(const cli *c, const char *option) { return given(c, option) != NULL; }

bool cli_json(const cli *c) { return cli_flag(c, "json"); }

bool cli_u64(const cli *c, const char *option, uint64_t min, uint64_t max, uint64_t otherwise,
             uint64_t *out) {
  const char *s = cli_text(c, option, NULL);
  *out = otherwise;
  if (!s) return true;
  char *end;
  errno = 0;
  const unsigned long long value = strtoull(s, &end, 10);
  if (errno || *s < '0' || *s > '9' || *end || value < min || value > max) {
    cli_usage(c, "--%s '%s' is no whole number from %llu to %llu", option, s,
              (unsigned long long)min, (unsigned long long)max);
    return false;
  }
  *out = value;
  return true;
}

bool cli_f64(const cli *c, const char *option, double min, double max, double otherwise,
             double *out) {
  const char *s = cli_text(c, option, NULL);
  *out = otherwise;
  if (!s) return true;
  char *end;
  const double value = strtod(s, &end);
  if (end == s || *end || !isfinite(value) || value < min || value > max) {
    cli_usage(c, "--%s '%s' is no number from %g to %g", option, s, min, max);
    return false;
  }
  *out = value;
  return true;
}

forge_runtime *cli_runtime(const cli *c, const char *const *extra) {
  size_t n_extra = 0;
  while (extra && extra[n_extra]) n_extra++;
  const char **overrides = calloc(c->n_given + n_extra + 1, sizeof *overrides);
  if (!overrides) {
    fprintf(stderr, "forge %s: out of memory\n", c->command->name);
    return NULL;
  }
  size_t n = 0;
  for (uint32_t i = 0; i < c->n_given; i++)
    if (!strcmp(c->given[i].option->name, "set")) overrides[n++] = c->given[i].value;
  for (size_t i = 0; i < n_extra; i++) overrides[n++] = extra[i];
  const bool own_config = find(c->command->options, "config", strlen("config"));
  const forge_runtime_options options = {
      .size = sizeof options,
      .config_path = cli_text(c, own_config ? "runtime-config" : "config", NULL),
      .overrides = overrides};
  forge_runtime *runtime = NULL;
  if (forge_runtime_create(&options, &runtime)) {
    cli_failed(c, "configuration");
    runtime = NULL;
  }
  free(overrides);
  return runtime;
}

bool cli_take_threads(const cli *c, cli_threads *out) {
  uint64_t n;
  *out = (cli_threads){.text = ""};
  if (!cli_u64(c, "threads", 0, CLI_THREADS_MAX, 0, &n)) return false;
  snprintf(out->text, sizeof out->text, "backend.cpu.threads=%llu", (unsigned long long)n);
  if (cli_flag(c, "threads")) out->extra[0] = out->text;
  return true;
}

forge_device *cli_device(forge_runtime *runtime, const char *name) {
  forge_device *device = NULL;
  if (!forge_device_open(runtime, name, &device)) return device;
  fprintf(stderr, "forge: device %s: %s\n", name && *name ? name : "(default)",
          forge_error_last()->msg);
  return NULL;
}

int cli_failed(const cli *c, const char *what) {
  const char *message = forge_error_last()->msg;
  const bool named = strstr(message, what); /* most messages about a file say which */
  fprintf(stderr, "%sforge %s:%s %s%s%s\n", cli_colour(stderr, CLI_RED), c->command->name,
          cli_colour(stderr, CLI_PLAIN), named ? "" : what, named ? "" : ": ", message);
  return CLI_FAILED;
}

int cli_usage(const cli *c, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "forge %s: ", c->command->name);
  vfprintf(stderr, format, args);
  va_end(args);
  fprintf(stderr, "\nforge %s --help explains\n", c->command->name);
  return CLI_USAGE;
}

void cli_note(const cli *c, const char *format, ...) {
  (void)c;
  va_list args;
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fputc('\n', stderr);
}

const char *cli_colour(FILE *stream, int colour) {
  static const char *const codes[] = {"\033[0m",  "\033[1m",  "\033[31m",
                                      "\033[32m", "\033[33m", "\033[2m"};
  return isatty(fileno(stream)) && !getenv("NO_COLOR") ? codes[colour] : "";
}

static volatile sig_atomic_t stop_wanted;

static void on_stop(int number) {
  stop_wanted = 1;
  signal(number, SIG_DFL); /* the second one is not argued with */
}

void cli_catch_stop(void) {
  signal(SIGINT, on_stop);
  signal(SIGTERM, on_stop);
}

bool cli_stop_wanted(void) { return stop_wanted; }
