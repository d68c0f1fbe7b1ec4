/* cmd_lint.c -- `forge lint`: what can be seen wrong in a plugin's file without loading it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "cli.h"
#include "lint.h"

static const cli_option options[] = {
    {"glibc", "VERSION", "the oldest C library it is to run with (default 2.36)", false},
    {"allow-needed", "LIB", "a library it may need, as in DT_NEEDED; may be repeated", true},
    {NULL, NULL, NULL, false}};

static const char *const words[] = {"ok", "note", "warn", "fail"};

/* ---- the file ---- */

typedef struct image {
  void *bytes;
  size_t n;
} image;

static bool explain(char why[ELF_WHY_BYTES], const char *text) {
  snprintf(why, ELF_WHY_BYTES, "%s", text);
  return false;
}

/* A private map: libelf may turn numbers round in it. */
static bool map_file(int fd, image *out, char why[ELF_WHY_BYTES]) {
  struct stat info;
  if (fstat(fd, &info)) return explain(why, strerror(errno));
  if (S_ISDIR(info.st_mode)) return explain(why, "it is a folder; name a library in it");
  if (!S_ISREG(info.st_mode)) return explain(why, "it is no regular file");
  out->n = (size_t)info.st_size;
  if (!out->n) return explain(why, "it is empty");
  void *p = mmap(NULL, out->n, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  if (p == MAP_FAILED) return explain(why, strerror(errno));
  out->bytes = p;
  return true;
}

static bool open_image(const char *path, image *out, char why[ELF_WHY_BYTES]) {
  *out = (image){0};
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return explain(why, strerror(errno));
  const bool ok = map_file(fd, out, why);
  close(fd);
  return ok;
}

/* ---- the answer ---- */

static const char *verdict(const lint_report *r) {
  if (!r->kind) return "no plugin";
  return r->worst == LINT_FAIL ? "failed" : r->worst == LINT_WARN ? "warnings" : "clean";
}

static void print_finding(const lint_finding *f) {
  static const int colours[] = {CLI_GREEN, CLI_DIM, CLI_YELLOW, CLI_RED};
  printf("  %s%-4s%s  %-6s  %s", cli_colour(stdout, colours[f->level]), words[f->level],
         cli_colour(stdout, CLI_PLAIN), f->rule, f->text);
  if (f->remedy && f->level != LINT_OK)
    printf("\n                %s%s%s", cli_colour(stdout, CLI_DIM), f->remedy,
           cli_colour(stdout, CLI_PLAIN));
  putchar('\n');
}

static void print_text(const char *path, const lint_report *r) {
  size_t count[4] = {0};
  printf("%s%s%s\n", cli_colour(stdout, CLI_BOLD), path, cli_colour(stdout, CLI_PLAIN));
  for (size_t i = 0; i < r->n; i++) {
    print_finding(&r->list[i]);
    count[r->list[i].level]++;
  }
  if (r->kind)
    printf("%s: %zu failed, %zu warning%s\n", r->kind, count[LINT_FAIL], count[LINT_WARN],
           count[LINT_WARN] == 1 ? "" : "s");
}

static json_t *finding_json(const lint_finding *f) {
  json_t *text = json_string(f->text); /* names in the file may be any bytes */
  json_t *o = json_pack("{s:s, s:s, s:o}", "rule", f->rule, "level", words[f->level], "text",
                        text ? text : json_string("a name in the file is no UTF-8"));
  if (f->remedy && f->level != LINT_OK) json_object_set_new(o, "remedy", json_string(f->remedy));
  return o;
}

static void print_json(const char *path, const lint_report *r, const char *problem) {
  json_t *list = json_array(), *name = json_string(path);
  for (size_t i = 0; r && i < r->n; i++) json_array_append_new(list, finding_json(&r->list[i]));
  json_t *root = json_pack("{s:o*, s:s, s:s?, s:s?, s:o}", "file", name, "verdict",
                           r ? verdict(r) : "unreadable", "kind", r ? r->kind : NULL, "problem",
                           problem, "findings", list);
  char *text = json_dumps(root, JSON_INDENT(2));
  puts(text ? text : "{}");
  free(text);
  json_decref(root);
}

/* ---- the command ---- */

static const char *allowed(void *c, uint32_t i) { return cli_text_at(c, "allow-needed", i); }

static bool take_glibc(const cli *c, lint_options *out) {
  const char *text = cli_text(c, "glibc", "2.36");
  char end;
  if (sscanf(text, "%u.%u%c", &out->glibc_major, &out->glibc_minor, &end) == 2) return true;
  cli_usage(c, "--glibc '%s' is no version such as 2.36", text);
  return false;
}

static int refuse(const cli *c, const char *path, const char *why) {
  const size_t n = strlen(path);
  if (cli_json(c)) print_json(path, NULL, why);
  fprintf(stderr, "%sforge lint:%s %s: %s\n", cli_colour(stderr, CLI_RED),
          cli_colour(stderr, CLI_PLAIN), path, why);
  if (n > 4 && !strcmp(path + n - 4, ".ini"))
    cli_note(c, "a manifest: lint the file that its `library =` names");
  return CLI_USAGE;
}

static int judge(const cli *c, const char *path, const elf_facts *facts, const lint_options *o) {
  lint_report report;
  lint_judge(facts, o, &report);
  if (cli_json(c))
    print_json(path, &report, NULL);
  else
    print_text(path, &report);
  if (report.incomplete) cli_note(c, "forge lint: out of memory, not everything is told");
  const bool bad = report.worst == LINT_FAIL || report.incomplete;
  lint_finish(&report);
  return bad ? CLI_FAILED : CLI_OK;
}

static int run(cli *c) {
  const char *path = cli_arg(c, 0);
  char why[ELF_WHY_BYTES];
  lint_options o = {.allowed = allowed, .ctx = c};
  image file;
  elf_facts facts = {0};
  if (!take_glibc(c, &o)) return CLI_USAGE;
  bool ok = open_image(path, &file, why);
  ok = ok && elf_facts_read(file.bytes, file.n, &facts, why) && lint_is_library(&facts, why);
  const int rc = ok ? judge(c, path, &facts, &o) : refuse(c, path, why);
  elf_facts_close(&facts);
  if (file.bytes) munmap(file.bytes, file.n);
  return rc;
}

const cli_command cmd_lint = {
    .name = "lint",
    .summary = "say what is wrong with a plugin's file, without loading it",
    .usage = "PLUGIN [options]",
    .examples =
        "  forge lint build/forge-mychip.so            # exit code 1 when a rule is broken\n"
        "  forge lint --glibc 2.28 forge-mychip.so     # is to run on older systems too\n"
        "  forge lint --allow-needed libmychip.so.2 forge-mychip.so\n"
        "  forge lint --json forge-mychip.so | jq '.findings[] | select(.level == \"fail\")'\n",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
