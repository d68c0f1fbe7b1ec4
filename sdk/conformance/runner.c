/* runner.c -- see runner.h. */
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "process.h"
#include "stage.h"

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
  (void)number;
  interrupted = 1;
}

void *runner_share(size_t bytes) {
  void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

/* ---- one child ---- */

/* In the child: a group of its own, no input, output kept, no core files, dead with its parent. */
static void settle(int out, int err) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  const int nothing = open("/dev/null", O_RDONLY);
  if (nothing >= 0) dup2(nothing, 0);
  dup2(out, 1);
  dup2(err, 2);
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
}

static bool make_channels(child *c, int *ear) {
  int both[2];
  c->out = memfd_create("out", MFD_CLOEXEC);
  c->err = memfd_create("err", MFD_CLOEXEC);
  if (c->out < 0 || c->err < 0 || pipe2(both, O_CLOEXEC)) return false;
  c->pipe = both[0];
  *ear = both[1];
  fcntl(c->pipe, F_SETFL, O_NONBLOCK);
  return true;
}

static bool start(child *c, result *r) {
  int ear;
  stage *shared = c->stage;
  *c = (child){.stage = shared, .result = r, .pipe = -1};
  memset(c->stage, 0, sizeof *c->stage);
  r->reason = strdup("");
  r->notes = strdup("");
  if (!make_channels(c, &ear)) return false;
  const double limit = r->test->limit_seconds > 0 ? r->test->limit_seconds : test_set.timeout;
  c->limit = limit * test_set.slow;
  c->began = test_now();
  fflush(NULL);
  c->pid = fork();
  if (c->pid == 0) {
    settle(c->out, c->err);
    test_stage = c->stage;
    test_run_child(r->test, ear);
  }
  close(ear);
  return c->pid > 0;
}

/* A machine that has no processor for the child does not make its test fail: time it stood in line
 * for one is not counted, up to this many limits. */
#define MOST_STARVED 4.0

static bool is_late(const child *c) {
  const double over = test_now() - c->began - c->limit;
  if (over < 0) return false;
  const double starved = process_starved(c->pid), most = MOST_STARVED * c->limit;
  return over >= (starved < most ? starved : most);
}

/* Seconds a killed child has to go. One that sits in its driver, where no signal reaches it, is
 * left there: it must not take the other tests with it. */
#define LAST_WORDS 10.0

static bool reap(pid_t pid, int *status) {
  const double until = test_now() + LAST_WORDS;
  pid_t gone;
  while ((gone = waitpid(pid, status, WNOHANG)) == 0 && test_now() < until) usleep(1000);
  return gone == pid;
}

static bool is_over(child *c) {
  siginfo_t end = {.si_pid = 0};
  int status = 0;
  child_listen(c);
  /* Its number stays its own until those it left behind are ended too. */
  if (!waitid(P_PID, (id_t)c->pid, &end, WEXITED | WNOHANG | WNOWAIT) && !end.si_pid) {
    if (!is_late(c)) return false;
    c->late = true;
  }
  kill(-c->pid, SIGKILL);
  kill(c->pid, SIGKILL);
  c->stuck = !reap(c->pid, &status);
  child_listen(c);
  child_judge(c, status);
  close(c->pipe);
  close(c->out);
  close(c->err);
  c->pid = 0;
  return true;
}

/* ---- all ---- */

typedef struct crowd {
  child *child;
  unsigned jobs, active;
} crowd;

static void wait_for_news(const crowd *w) {
  struct pollfd fds[256];
  nfds_t n = 0;
  for (unsigned i = 0; i < w->jobs; i++)
    if (w->child[i].pid > 0) fds[n++] = (struct pollfd){.fd = w->child[i].pipe, .events = POLLIN};
  if (poll(fds, n, 20) > 0)
    for (nfds_t i = 0; i < n; i++)
      if (fds[i].revents & POLLHUP) usleep(200); /* its end is a moment away */
}

static void collect(crowd *w, const results *all, runner_heard *heard, void *ctx) {
  wait_for_news(w);
  for (unsigned i = 0; i < w->jobs; i++) {
    if (w->child[i].pid <= 0 || !is_over(&w->child[i])) continue;
    w->active--;
    heard(ctx, all, w->child[i].result);
  }
}

static bool begin(crowd *w, result *r) {
  unsigned i = 0;
  while (w->child[i].pid > 0) i++;
  if (!start(&w->child[i], r)) {
    fprintf(stderr, "forge-conformance: no process for %s: %s\n", r->test->id, strerror(errno));
    return false;
  }
  w->active++;
  return true;
}

static bool is_next(const result *r, bool alone) {
  const bool wants = (r->test->flags & (TEST_ALONE | TEST_PERF)) != 0;
  return !r->done && wants == alone;
}

static bool run_those(crowd *w, results *all, bool alone, runner_heard *heard, void *ctx) {
  const unsigned most = alone ? 1 : w->jobs;
  for (size_t i = 0; i < all->n && !interrupted; i++) {
    if (!is_next(&all->result[i], alone)) continue;
    while (w->active >= most && !interrupted) collect(w, all, heard, ctx);
    if (!interrupted && !begin(w, &all->result[i])) return false;
  }
  while (w->active && !interrupted) collect(w, all, heard, ctx);
  return !interrupted;
}

static void kill_all(crowd *w) {
  for (unsigned i = 0; i < w->jobs; i++) {
    if (w->child[i].pid <= 0) continue;
    int status;
    kill(-w->child[i].pid, SIGKILL);
    kill(w->child[i].pid, SIGKILL);
    reap(w->child[i].pid, &status);
  }
}

bool runner_run(results *all, unsigned jobs, runner_heard *heard, void *ctx) {
  crowd w = {.child = calloc(jobs, sizeof *w.child), .jobs = jobs};
  stage *stages = runner_share(jobs * sizeof *stages);
  bool well = w.child && stages;
  const double began = test_now();
  signal(SIGINT, on_interrupt);
  signal(SIGTERM, on_interrupt);
  for (unsigned i = 0; well && i < jobs; i++) w.child[i].stage = &stages[i];
  well = well && run_those(&w, all, false, heard, ctx) && run_those(&w, all, true, heard, ctx);
  if (w.child) kill_all(&w);
  if (interrupted) fprintf(stderr, "forge-conformance: interrupted\n");
  all->seconds = test_now() - began;
  free(w.child);
  if (stages) munmap(stages, jobs * sizeof *stages);
  return well;
}
