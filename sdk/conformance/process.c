/* process.c -- see process.h. Linux: /proc tells. */
#include "process.h"

#include <dirent.h>
#include <fenv.h>
#include <locale.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "borrow.h"
#include "host.h"
#include "test.h"

extern char **environ;

static uint32_t entries(const char *folder) {
  uint32_t n = 0;
  DIR *d = opendir(folder);
  if (!d) return 0;
  for (const struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
  closedir(d);
  return n;
}

static uint32_t lines(const char *path) {
  uint32_t n = 0;
  FILE *f = fopen(path, "r");
  if (!f) return 0;
  for (int c; (c = fgetc(f)) != EOF;) n += c == '\n';
  fclose(f);
  return n;
}

static uint64_t resident(void) {
  unsigned long long all = 0, here = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (!f) return 0;
  if (fscanf(f, "%llu %llu", &all, &here) != 2) here = 0;
  fclose(f);
  return here * (uint64_t)sysconf(_SC_PAGESIZE);
}

process_state process_look(void) {
  const struct mallinfo2 heap = mallinfo2();
  const host_count host = host_counts();
  return (process_state){.threads = entries("/proc/self/task"),
                         .files = entries("/proc/self/fd"),
                         .mappings = lines("/proc/self/maps"),
                         .heap_bytes = heap.uordblks + heap.hblkhd,
                         .resident_bytes = resident(),
                         .host_bytes = host.bytes,
                         .host_blocks = host.blocks};
}

process_state process_settle(void) {
  host_check();
  borrow_forget();
  return process_look();
}

/* ---- manners ---- */

struct process_manners {
  sigset_t mask;
  struct sigaction action[65];
  char locale[256], folder[4096];
  fenv_t fenv;
  int rounding, exceptions;
  mode_t umask;
  char *environment; /* all of it, joined */
};

static char *join_environment(void) {
  size_t bytes = 1, n = 0;
  for (char **e = environ; e && *e; e++) bytes += strlen(*e) + 1;
  char *text = calloc(1, bytes);
  if (!text) test_fail("the suite has no memory");
  for (char **e = environ; e && *e; e++) n += (size_t)sprintf(text + n, "%s\n", *e);
  return text;
}

process_manners *process_remember(void) {
  process_manners *m = calloc(1, sizeof *m);
  if (!m) test_fail("the suite has no memory");
  pthread_sigmask(SIG_BLOCK, NULL, &m->mask);
  for (int i = 1; i < 65; i++) sigaction(i, NULL, &m->action[i]);
  snprintf(m->locale, sizeof m->locale, "%s", setlocale(LC_ALL, NULL));
  if (!getcwd(m->folder, sizeof m->folder)) m->folder[0] = 0;
  m->rounding = fegetround();
  m->exceptions = fegetexcept();
  fegetenv(&m->fenv);
  m->umask = umask(0);
  umask(m->umask);
  m->environment = join_environment();
  return m;
}

/* SA_RESTORER, which the C library sets with every handler, so that putting one back shows. */
#define KERNELS_OWN_FLAG 0x04000000

static const char *changed_signals(const process_manners *a, const process_manners *b) {
  static char text[128];
  for (int i = 1; i < 65; i++) {
    if (sigismember(&a->mask, i) != sigismember(&b->mask, i)) {
      snprintf(text, sizeof text, "the signal mask (%s)", strsignal(i));
      return text;
    }
    if (a->action[i].sa_handler != b->action[i].sa_handler ||
        ((a->action[i].sa_flags ^ b->action[i].sa_flags) & ~KERNELS_OWN_FLAG)) {
      snprintf(text, sizeof text, "the handler of a signal (%s)", strsignal(i));
      return text;
    }
  }
  return NULL;
}

/* Flags of exceptions that have occurred may rise: every addition raises "inexact". */
static const char *changed_arithmetic(const process_manners *a, const process_manners *b) {
  if (a->rounding != b->rounding) return "the rounding mode";
  if (a->exceptions != b->exceptions) return "which floating-point exceptions trap";
#if defined(__x86_64__)
  if ((a->fenv.__mxcsr ^ b->fenv.__mxcsr) & 0xFFC0)
    return "the floating-point control word (MXCSR: denormals, masks or rounding)";
#endif
  return NULL;
}

const char *process_changed(const process_manners *a) {
  process_manners *b = process_remember();
  const char *what = changed_signals(a, b);
  if (!what) what = changed_arithmetic(a, b);
  if (!what && strcmp(a->locale, b->locale) != 0) what = "the locale";
  if (!what && strcmp(a->folder, b->folder) != 0) what = "the working directory";
  if (!what && a->umask != b->umask) what = "the umask";
  if (!what && strcmp(a->environment, b->environment) != 0) what = "the environment";
  free(b->environment);
  free(b);
  return what;
}
