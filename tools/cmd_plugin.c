/* cmd_plugin.c -- `forge plugin`: a new backend from the installed template, and the conformance
 * suite run on one. Both lie at fixed places beside this executable. */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

#define WORD "template" /* becomes the new name, in file names and in files */

enum { MAX_NAME = 23, MAX_FILE_BYTES = 1 << 20 };

static const cli_option options[] = {
    {"dir", "DIR", "new: the folder to make (default: NAME, here)", false},
    {NULL, NULL, NULL, false}};

/* ---- where Forge is installed ---- */

/* "BIN/|leaf|" beside this executable. */
static bool beside(const char *leaf, char out[PATH_MAX]) {
  char self[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0) return false;
  self[n] = 0;
  *strrchr(self, '/') = 0;
  return snprintf(out, PATH_MAX, "%s/%s", self, leaf) < PATH_MAX;
}

/* ---- new ---- */

static bool is_word(const char *s) {
  const size_t n = strlen(s);
  return n && n <= MAX_NAME && *s >= 'a' && *s <= 'z' &&
         strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

/* Whether a manifest installed here has the name; says so. -1: that could not be found out. */
static int is_taken(const cli *c, const char *name) {
  char *text = NULL;
  size_t i;
  const json_t *b;
  forge_runtime *runtime = cli_runtime(c, NULL);
  if (!runtime) return -1;
  if (forge_runtime_report(runtime, FORGE_REPORT_DOCTOR, &text)) {
    cli_failed(c, "installed backends");
    forge_runtime_destroy(runtime);
    return -1;
  }
  int taken = 0;
  json_t *root = json_loads(text, 0, NULL);
  json_array_foreach(json_object_get(root, "backends"), i, b) {
    const char *other = json_string_value(json_object_get(b, "name"));
    if (!other || strcmp(other, name) != 0) continue;
    fprintf(stderr, "forge plugin: there is a backend '%s' already: %s; choose another name\n",
            name, json_string_value(json_object_get(b, "manifest")));
    taken = 1;
  }
  json_decref(root);
  forge_text_free(text);
  forge_runtime_destroy(runtime);
  return taken;
}

/* |from| with every WORD as |name|; the caller frees it. NULL: no memory. */
static char *renamed(const char *from, const char *name) {
  size_t n = 0;
  for (const char *at = from; (at = strstr(at, WORD)); at += strlen(WORD)) n++;
  char *out = malloc(strlen(from) + n * strlen(name) + 1), *to = out;
  for (const char *at; out; from = at + strlen(WORD)) {
    at = strstr(from, WORD);
    const size_t plain = at ? (size_t)(at - from) : strlen(from);
    memcpy(to, from, plain);
    to += plain;
    *to = 0;
    if (!at) break;
    to = stpcpy(to, name);
  }
  return out;
}

static char *read_text(const char *path) {
  FILE *file = fopen(path, "re");
  char *text = file ? malloc(MAX_FILE_BYTES) : NULL;
  if (text) text[fread(text, 1, MAX_FILE_BYTES - 1, file)] = 0;
  const bool bad = file && ferror(file);
  if (file) fclose(file);
  if (!bad) return text;
  free(text);
  return NULL;
}

static bool write_text(const char *path, const char *text) {
  FILE *file = fopen(path, "wxe");
  if (!file) return false;
  const bool written = fputs(text, file) >= 0;
  return !fclose(file) && written;
}

/* One file of the template; false with errno. */
static bool copy_file(const char *from_dir, const char *leaf, const char *to_dir,
                      const char *name) {
  char from[PATH_MAX], to[PATH_MAX];
  char *new_leaf = renamed(leaf, name), *text = NULL, *new_text = NULL;
  bool done = false;
  errno = ENAMETOOLONG;
  if (new_leaf && snprintf(from, sizeof from, "%s/%s", from_dir, leaf) < PATH_MAX &&
      snprintf(to, sizeof to, "%s/%s", to_dir, new_leaf) < PATH_MAX && (text = read_text(from)) &&
      (new_text = renamed(text, name)))
    done = write_text(to, new_text);
  free(new_leaf);
  free(text);
  free(new_text);
  return done;
}

static int copy_template(const char *from, const char *to, const char *name) {
  DIR *dir = opendir(from);
  if (!dir) {
    fprintf(stderr, "forge plugin: no template in %s: %s; `new` works in an installed Forge\n",
            from, strerror(errno));
    return CLI_FAILED;
  }
  int rc = CLI_OK;
  if (mkdir(to, 0777)) {
    fprintf(stderr, "forge plugin: %s: %s; choose another folder with --dir\n", to,
            strerror(errno));
    rc = CLI_FAILED;
  }
  for (const struct dirent *e; !rc && (e = readdir(dir));) {
    if (e->d_name[0] == '.' || copy_file(from, e->d_name, to, name)) continue;
    fprintf(stderr, "forge plugin: %s/%s was not copied: %s; %s is incomplete, remove it\n", from,
            e->d_name, strerror(errno), to);
    rc = CLI_FAILED;
  }
  closedir(dir);
  return rc;
}

static int print_json(const char *name, const char *dir) {
  json_t *root = json_pack("{s:s, s:s}", "name", name, "folder", dir);
  json_dumpf(root, stdout, JSON_INDENT(2));
  putchar('\n');
  json_decref(root);
  return CLI_OK;
}

/* A path as a shell takes it: |quote| goes before it and behind it. */
static const char *quote_for(const char *path) {
  const size_t plain = strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                    "_./+=:,@%-");
  return !path[plain] ? "" : strchr(path, '\'') ? "\"" : "'";
}

static int print_next(const char *name, const char *dir) {
  char up[PATH_MAX], prefix[PATH_MAX] = "";
  if (beside("..", up) && !realpath(up, prefix)) *prefix = 0;
  const char *q = quote_for(dir), *p = quote_for(prefix);
  printf("Backend %s lies in %s. Next:\n\n", name, dir);
  printf("  cmake -S %s%s%s -B %s%s/build%s -DCMAKE_PREFIX_PATH=%s%s%s\n", q, dir, q, q, dir, q, p,
         prefix, p);
  printf("  cmake --build %s%s/build%s\n", q, dir, q);
  printf("  forge plugin check %s%s/build/backends.d/%s.ini%s\n\n", q, dir, name, q);
  printf("%s/README.md goes on from there.\n", dir);
  return CLI_OK;
}

static int make_new(cli *c) {
  const char *name = cli_arg(c, 1);
  char template[PATH_MAX];
  if (!name || cli_arg(c, 2)) return cli_usage(c, "new takes one NAME");
  const char *dir = cli_text(c, "dir", name);
  if (!is_word(name) || !strcmp(name, WORD))
    return cli_usage(c,
                     "'%s' is no name for a backend: a lower-case word of at most %d letters, "
                     "digits, - and _, and not '" WORD "'",
                     name, MAX_NAME);
  if (is_taken(c, name) || !beside(FORGE_DATA_FROM_BIN "/forge/" WORD, template)) return CLI_FAILED;
  const int rc = copy_template(template, dir, name);
  if (rc) return rc;
  return cli_json(c) ? print_json(name, dir) : print_next(name, dir);
}

/* ---- check ---- */

/* Becomes the suite, with the words behind `check` as they stand. */
static int check(cli *c) {
  char suite[PATH_MAX];
  const char **words = calloc((size_t)cli_args(c) + 1, sizeof *words);
  if (!words || !beside("forge-conformance", suite)) {
    fprintf(stderr, "forge plugin: out of memory\n");
    free(words);
    return CLI_FAILED;
  }
  words[0] = suite;
  for (uint32_t i = 1; i < cli_args(c); i++) words[i] = cli_arg(c, i);
  execv(suite, (char *const *)words);
  fprintf(stderr, "forge plugin: %s: %s; it is installed beside this command\n", suite,
          strerror(errno));
  free(words);
  return CLI_FAILED;
}

static int run(cli *c) {
  const char *what = cli_arg(c, 0);
  if (!strcmp(what, "new")) return make_new(c);
  if (!strcmp(what, "check")) return check(c);
  return cli_usage(c, "there is no 'plugin %s'; there are new and check", what);
}

const cli_command cmd_plugin = {
    .name = "plugin",
    .summary = "begin a backend for new hardware, and check one against every rule",
    .usage = "new NAME [--dir DIR] | check PLUGIN [options of forge-conformance]",
    .examples = "  forge plugin new tin                          # a backend in ./tin that builds\n"
                "  forge plugin check tin/build/backends.d/tin.ini\n"
                "  forge plugin check --help                     # options of the suite\n",
    .options = options,
    .verbatim = "check",
    .min_args = 1,
    .max_args = UINT32_MAX,
    .run = run,
};
