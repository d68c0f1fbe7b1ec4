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

/* ---- processors ---- */

/* Nanoseconds that a task ran and that it stood in line. */
static bool schedule_of(pid_t pid, long tid, uint64_t *ran, uint64_t *stood) {
  char path[80];
  unsigned long long a = 0, b = 0;
  snprintf(path, sizeof path, "/proc/%ld/task/%ld/schedstat", (long)pid, tid);
  FILE *f = fopen(path, "r");
  if (!f) return false;
  const bool read = fscanf(f, "%llu %llu", &a, &b) == 2;
  fclose(f);
  *ran = a;
  *stood = b;
  return read;
}

static long sleeps_of(long tid) {
  char path[64], line[128];
  long n = 0;
  snprintf(path, sizeof path, "/proc/self/task/%ld/status", tid);
  FILE *f = fopen(path, "r");
  if (!f) return 0;
  while (fgets(line, sizeof line, f) && sscanf(line, "voluntary_ctxt_switches: %ld", &n) != 1) {
  }
  fclose(f);
  return n;
}

static unsigned tasks_of(pid_t pid, long *out) {
  char path[64];
  unsigned n = 0;
  snprintf(path, sizeof path, "/proc/%ld/task", (long)pid);
  DIR *d = opendir(path);
  for (const struct dirent *e; d && n < PROCESS_MOST_THREADS && (e = readdir(d));)
    if (e->d_name[0] != '.') out[n++] = strtol(e->d_name, NULL, 10);
  if (d) closedir(d);
  return n;
}

double process_starved(pid_t pid) {
  long tid[PROCESS_MOST_THREADS];
  uint64_t worst = 0, ran, stood;
  for (unsigned i = tasks_of(pid, tid); i-- > 0;)
    if (schedule_of(pid, tid[i], &ran, &stood) && stood > worst) worst = stood;
  return (double)worst * 1e-9;
}

void process_work_look(process_work *out) {
  long tid[PROCESS_MOST_THREADS];
  uint64_t ran, stood;
  const unsigned n = tasks_of(getpid(), tid);
  *out = (process_work){.at = test_now()};
  for (unsigned i = 0; i < n; i++) {
    if (!schedule_of(getpid(), tid[i], &ran, &stood)) continue;
    out->thread[out->n].tid = tid[i];
    out->thread[out->n].sleeps = sleeps_of(tid[i]);
    out->thread[out->n++].wanted = (double)(ran + stood) * 1e-9;
  }
}

bool process_polls(const process_work *before, double *out_wanted) {
  enum { FEW_SLEEPS = 10 };
  process_work now;
  process_work_look(&now);
  for (unsigned i = 0; i < now.n; i++) {
    double wanted = now.thread[i].wanted;
    long sleeps = now.thread[i].sleeps;
    for (unsigned k = 0; k < before->n; k++)
      if (before->thread[k].tid == now.thread[i].tid) {
        wanted -= before->thread[k].wanted;
        sleeps -= before->thread[k].sleeps;
      }
    *out_wanted = wanted;
    if (wanted > (now.at - before->at) / 2 && sleeps < FEW_SLEEPS) return true;
  }
  return false;
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
