/* library.c -- see library.h. */
#include "library.h"

#include <errno.h>
#include <ini.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool fail(char *why, size_t bytes, const char *path, const char *text) {
  snprintf(why, bytes, "%s: %s", path, text);
  return false;
}

/* Looks at the first bytes, so that a text file is told from a library of another machine. */
static bool is_shared_object(const char *path, char *why, size_t bytes) {
  unsigned char head[20] = {0};
  struct stat s;
  if (stat(path, &s)) return fail(why, bytes, path, strerror(errno));
  if (S_ISDIR(s.st_mode)) return fail(why, bytes, path, "is a folder; give the .so or its .ini");
  FILE *f = fopen(path, "rb");
  if (!f) return fail(why, bytes, path, strerror(errno));
  const size_t n = fread(head, 1, sizeof head, f);
  fclose(f);
  if (n < sizeof head || memcmp(head, "\177ELF", 4) != 0)
    return fail(why, bytes, path, "is no shared object (it does not begin as an ELF file does)");
  if (head[16] != 3) /* ET_DYN */
    return fail(why, bytes, path, "is an ELF file but no shared object");
  return true;
}

typedef struct reading {
  libraries *out;
  char folder[3072];
} reading;

static void add_library(reading *in, const char *value) {
  libraries *out = in->out;
  if (out->n == MOST_VARIANTS) return;
  if (value[0] == '/')
    snprintf(out->path[out->n++], sizeof out->path[0], "%s", value);
  else
    snprintf(out->path[out->n++], sizeof out->path[0], "%s/%s", in->folder, value);
}

static int on_entry(void *ctx, const char *section, const char *key, const char *value) {
  reading *in = ctx;
  if (!strcmp(section, "backend") && !strcmp(key, "name"))
    snprintf(in->out->name, sizeof in->out->name, "%s", value);
  if (!strcmp(key, "library")) add_library(in, value);
  return 1;
}

static bool read_manifest(const char *path, libraries *out, char *why, size_t bytes) {
  reading in = {.out = out};
  char copy[PATH_MAX];
  snprintf(copy, sizeof copy, "%s", path);
  snprintf(in.folder, sizeof in.folder, "%s", dirname(copy));
  const int bad = ini_parse(path, on_entry, &in);
  if (bad < 0) return fail(why, bytes, path, "cannot be read");
  if (bad > 0) {
    snprintf(why, bytes, "%s: line %d is no line of a manifest", path, bad);
    return false;
  }
  if (!out->n) return fail(why, bytes, path, "names no library; is it a backend's manifest?");
  return true;
}

bool library_find(const char *plugin, libraries *out, char *why, size_t bytes) {
  char real[PATH_MAX];
  const size_t n = strlen(plugin);
  *out = (libraries){.n = 0};
  if (!realpath(plugin, real)) return fail(why, bytes, plugin, strerror(errno));
  if (n > 4 && !strcmp(plugin + n - 4, ".ini")) {
    if (!read_manifest(real, out, why, bytes)) return false;
  } else {
    snprintf(out->path[out->n++], sizeof out->path[0], "%s", real);
  }
  unsigned good = 0;
  for (unsigned i = 0; i < out->n; i++)
    if (is_shared_object(out->path[i], why, bytes) && good++ != i)
      memmove(out->path[good - 1], out->path[i], sizeof out->path[i]);
  out->n = good;
  return good > 0;
}
