/* report_file.c -- see report_file.h. */
#include "report_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host.h"

static bool fail(const char *path, const char *what) {
  fprintf(stderr, "forge-conformance: %s: %s: %s\n", path, what, strerror(errno));
  return false;
}

bool report_begin(report_file *r, const char *path) {
  snprintf(r->path, sizeof r->path, "%s", path);
  snprintf(r->draft, sizeof r->draft, "%s.part", r->path);
  r->f = fopen(r->draft, "w");
  return r->f || fail(path, "cannot be written");
}

bool report_end(report_file *r) {
  const bool bad = ferror(r->f) != 0;
  if (fclose(r->f) || bad || rename(r->draft, r->path)) {
    fail(r->path, "was not written");
    unlink(r->draft);
    return false;
  }
  return true;
}

/* Bytes of the UTF-8 character at |s|; 0 if there is none. */
static size_t character(const char *s) {
  for (size_t n = 1; n <= 4 && s[n - 1]; n++)
    if (host_is_text(s, n)) return n;
  return 0;
}

void report_escape(FILE *f, const char *text) {
  for (size_t n; *text; text += n) {
    n = character(text);
    if (*text == '<')
      fputs("&lt;", f);
    else if (*text == '>')
      fputs("&gt;", f);
    else if (*text == '&')
      fputs("&amp;", f);
    else if (*text == '"')
      fputs("&quot;", f);
    else if (*text == '\n' || *text == '\t')
      fputc(*text, f);
    else if (n)
      fwrite(text, 1, n, f);
    else
      fputc('?', f);
    if (!n) n = 1;
  }
}
