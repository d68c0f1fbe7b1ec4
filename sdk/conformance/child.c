/* child.c -- see child.h. */
#include "child.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_OUTPUT 8192

/* ---- what it says ---- */

static void set(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void set(char **text, const char *format, ...) {
  char *now = NULL;
  va_list args;
  va_start(args, format);
  const int n = vasprintf(&now, format, args);
  va_end(args);
  if (n < 0) return;
  free(*text);
  *text = now;
}

static void add_figure(result *r, char *text) {
  char *value = strchr(text, '\t'), *unit = value ? strchr(value + 1, '\t') : NULL;
  figure *more = unit ? realloc(r->figure, (r->n_figures + 1) * sizeof *more) : NULL;
  if (!more) return;
  *value++ = *unit++ = 0;
  r->figure = more;
  more[r->n_figures++] =
      (figure){.name = strdup(text), .unit = strdup(unit), .value = strtod(value, NULL)};
}

static void hear(child *c, uint32_t kind, char *text) {
  result *r = c->result;
  if (kind == SAY_FIGURE) {
    add_figure(r, text);
  } else if (kind == SAY_NOTE) {
    set(&r->notes, "%s%s%s", r->notes, r->notes[0] ? "\n" : "", text);
  } else {
    c->heard = true;
    r->verdict = kind == SAY_PASS   ? VERDICT_PASS
                 : kind == SAY_SKIP ? VERDICT_SKIP
                 : kind == SAY_FAIL ? VERDICT_FAIL
                                    : VERDICT_UNSUPPORTED;
    set(&r->reason, "%s", text);
  }
}

void child_listen(child *c) {
  for (;;) {
    const ssize_t n = read(c->pipe, c->kept + c->n_kept, sizeof c->kept - c->n_kept);
    if (n <= 0) return;
    c->n_kept += (size_t)n;
    saying head;
    while (c->n_kept >= sizeof head) {
      memcpy(&head, c->kept, sizeof head);
      const size_t all = sizeof head + head.bytes;
      if (head.bytes >= sizeof c->kept - sizeof head) { /* the plugin wrote to our pipe */
        c->n_kept = 0;
        break;
      }
      if (c->n_kept < all) break;
      char *text = strndup((char *)c->kept + sizeof head, head.bytes);
      if (text) hear(c, head.kind, text);
      free(text);
      memmove(c->kept, c->kept + all, c->n_kept - all);
      c->n_kept -= all;
    }
  }
}

/* ---- what it leaves ---- */

static size_t take(int fd, char *out, size_t most) {
  struct stat s;
  if (fstat(fd, &s) || s.st_size <= 0) return 0;
  const off_t from = s.st_size > (off_t)most ? s.st_size - (off_t)most : 0;
  const ssize_t n = pread(fd, out, most, from);
  return n > 0 ? (size_t)n : 0;
}

static void keep_output(child *c) {
  char *text = calloc(1, 2 * MOST_OUTPUT + 2);
  if (!text) return;
  size_t n = take(c->out, text, MOST_OUTPUT);
  n += take(c->err, text + n, MOST_OUTPUT);
  for (size_t i = 0; i < n; i++)
    if (!text[i]) text[i] = '?';
  c->result->output = text;
}

/* The last line of the output that tells why abort() was called. */
static void last_line(const char *output, char *out, size_t bytes) {
  const char *words[] = {"terminate called", "free()", "malloc",        "corrupt",
                         "Assertion",        "ERROR:", "runtime error", "munmap_chunk",
                         "stack smashing",   "what()"};
  out[0] = 0;
  for (const char *line = output; line && *line;) {
    const char *end = strchr(line, '\n');
    const size_t n = end ? (size_t)(end - line) : strlen(line);
    char now[256];
    snprintf(now, sizeof now, "%.*s", (int)n, line);
    for (size_t w = 0; w < sizeof words / sizeof *words; w++)
      if (strstr(now, words[w]) && !out[0]) snprintf(out, bytes, ": \"%s\"", now);
    line = end ? end + 1 : NULL;
  }
}

/* " in submit(), shape 3x7" */
static void place(const child *c, char *out, size_t bytes) {
  const char *call = c->stage->call;
  snprintf(out, bytes, "%s%s%s%s%.400s", call ? " in " : "", call ? call : "", call ? "()" : "",
           c->stage->at[0] ? "; " : "", c->stage->at);
}

static const char *signal_text(int number) {
  switch (number) {
  case SIGABRT: return "abort() or an uncaught exception (SIGABRT)";
  case SIGSEGV: return "memory that is not there (SIGSEGV)";
  case SIGBUS: return "memory that is not there (SIGBUS)";
  case SIGFPE: return "an arithmetic fault (SIGFPE)";
  case SIGILL: return "an instruction this processor lacks (SIGILL)";
  case SIGKILL: return "SIGKILL: most likely the system ran out of memory";
  default: return strsignal(number);
  }
}

static void judge_death(child *c, int status, const char *where) {
  result *r = c->result;
  char line[300];
  last_line(r->output ? r->output : "", line, sizeof line);
  const char *after = c->heard ? ", after the test's verdict" : "";
  r->verdict = VERDICT_CRASH;
  if (WIFSIGNALED(status))
    set(&r->reason, "the process ended by %s%s%s%s", signal_text(WTERMSIG(status)), where, line,
        after);
  else
    set(&r->reason, "the plugin ended the process: %s with status %d%s%s%s",
        c->stage->exited ? "exit() was called" : "_exit() was called", WEXITSTATUS(status), where,
        line, after);
}

void child_judge(child *c, int status) {
  result *r = c->result;
  char where[512];
  place(c, where, sizeof where);
  keep_output(c);
  r->seconds = test_now() - c->began;
  r->done = true;
  const bool died = WIFSIGNALED(status) || WEXITSTATUS(status) != 0;
  if (c->late) {
    r->verdict = VERDICT_TIMEOUT;
    set(&r->reason, "no end within %.0f s%s%s%s", c->limit, where,
        c->heard ? ", after the test's verdict" : "",
        c->stuck ? "; it cannot be killed: look for its process in state D" : "");
  } else if (!c->heard || (died && r->verdict == VERDICT_PASS)) {
    judge_death(c, status, where);
  } else if (r->verdict == VERDICT_FAIL && c->stage->at[0] && !strstr(r->reason, c->stage->at)) {
    set(&r->reason, "%s (while: %.400s)", r->reason, c->stage->at);
  }
}
