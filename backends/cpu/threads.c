/* threads.c -- a pool that runs one parallel loop at a time. The caller works too. A thread without
 * work spins for some microseconds, since the next op of a program comes at once, and then sleeps
 * in the kernel until it is called. */
#include <inttypes.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "glue.h"

#define MAX_THREADS 1024u
#define SPINS       4000
#define OPEN        (UINT64_C(1) << 32) /* of |job|: more threads may join; below it: how many are in */

typedef struct worker {
  cpu_threads *pool;
  pthread_t id;
  uint32_t number;
} worker;

struct cpu_threads {
  uint32_t n, started;
  int spins;
  worker *workers;
  /* The loop being run; written before |job| opens and not while a thread is in. */
  cpu_task task;
  void *ctx;
  int64_t end, step;
  _Alignas(64) _Atomic int64_t next;
  _Alignas(64) _Atomic uint64_t job;   /* rounds << 33 | OPEN | threads in */
  _Alignas(64) _Atomic uint32_t epoch; /* the futex: rises when there is something to do */
  _Atomic uint32_t sleepers, stop;
  _Alignas(64) _Atomic uint32_t busy; /* a caller has the pool */
};

static void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void take_pieces(cpu_threads *t, uint32_t number) {
  for (;;) {
    const int64_t begin = atomic_fetch_add_explicit(&t->next, t->step, memory_order_relaxed);
    if (begin >= t->end) return;
    const int64_t end = t->end - begin < t->step ? t->end : begin + t->step;
    t->task(t->ctx, begin, end, number);
  }
}

/* Joins the open loop, if there is one. A thread that comes late finds it closed. */
static bool join_job(cpu_threads *t, uint32_t number, uint64_t *seen) {
  uint64_t job = atomic_load_explicit(&t->job, memory_order_acquire);
  do {
    if (!(job & OPEN) || job >> 33 == *seen) return false;
  } while (!atomic_compare_exchange_weak_explicit(&t->job, &job, job + 1, memory_order_acquire,
                                                  memory_order_acquire));
  *seen = job >> 33;
  take_pieces(t, number);
  atomic_fetch_sub_explicit(&t->job, 1, memory_order_release);
  return true;
}

static void await_epoch(cpu_threads *t, uint32_t epoch) {
  for (int i = 0; i < t->spins; i++) {
    if (atomic_load_explicit(&t->epoch, memory_order_relaxed) != epoch) return;
    relax();
  }
  atomic_fetch_add(&t->sleepers, 1);
  syscall(SYS_futex, (uint32_t *)&t->epoch, FUTEX_WAIT_PRIVATE, epoch, NULL, NULL, 0);
  atomic_fetch_sub(&t->sleepers, 1);
}

static void *work(void *arg) {
  worker *w = arg;
  cpu_threads *t = w->pool;
  uint64_t seen = 0;
  for (;;) {
    const uint32_t epoch = atomic_load(&t->epoch);
    if (atomic_load(&t->stop)) return NULL;
    if (!join_job(t, w->number, &seen)) await_epoch(t, epoch);
  }
}

static void call(cpu_threads *t, uint32_t n) {
  atomic_fetch_add(&t->epoch, 1);
  if (atomic_load(&t->sleepers))
    syscall(SYS_futex, (uint32_t *)&t->epoch, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

/* A thread that is in holds a piece and will finish it; when there are fewer processors than
 * threads it may need this one's. */
static void await_workers(cpu_threads *t) {
  for (int i = 0; (uint32_t)atomic_load_explicit(&t->job, memory_order_acquire); i++) {
    if (i < t->spins)
      relax();
    else
      sched_yield();
  }
}

void cpu_parallel(cpu_threads *t, int64_t n, int64_t grain, cpu_task task, void *ctx) {
  if (n <= 0) return;
  if (grain < 1) grain = 1;
  /* Another queue has the threads, or there is too little to share: this thread alone. */
  if (t->n == 1 || n <= grain || atomic_exchange_explicit(&t->busy, 1, memory_order_acquire)) {
    task(ctx, 0, n, 0);
    return;
  }
  const int64_t grains = (n - 1) / grain + 1, share = grains / ((int64_t)t->n * 4);
  t->task = task;
  t->ctx = ctx;
  t->end = n;
  t->step = grain * (share > 1 ? share : 1);
  atomic_store_explicit(&t->next, 0, memory_order_relaxed);
  const uint64_t round = (atomic_load_explicit(&t->job, memory_order_relaxed) >> 33) + 1;
  atomic_store_explicit(&t->job, round << 33 | OPEN, memory_order_release);
  call(t, grains < t->n ? (uint32_t)grains - 1 : t->n - 1);
  take_pieces(t, 0);
  atomic_fetch_and_explicit(&t->job, ~OPEN, memory_order_acquire);
  await_workers(t);
  atomic_store_explicit(&t->busy, 0, memory_order_release);
}

uint32_t cpu_threads_count(const cpu_threads *t) { return t->n; }

uint32_t cpu_processors(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return (uint32_t)CPU_COUNT(&set);
  const long n = sysconf(_SC_NPROCESSORS_ONLN);
  return n > 0 ? (uint32_t)n : 1;
}

/* Signals are the program's business: they must not arrive on a thread it does not know. */
static forge_status start(cpu_threads *t) {
  sigset_t all, before;
  int error = 0;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (!error && t->started < t->n - 1) {
    worker *w = &t->workers[t->started];
    *w = (worker){.pool = t, .number = t->started + 1};
    error = pthread_create(&w->id, NULL, work, w);
    if (!error) t->started++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!error) return FORGE_OK;
  return cpu_fail(FORGE_E_OOM,
                  "cpu: thread %" PRIu32 " of %" PRIu32 " could not be started; set the option "
                  "threads to a smaller number",
                  t->started + 1, t->n);
}

forge_status cpu_threads_create(uint32_t n, cpu_threads **out) {
  const uint32_t available = cpu_processors();
  if (n == 0) n = available;
  if (n == 0) n = 1;
  if (n > MAX_THREADS) n = MAX_THREADS;
  cpu_threads *t = cpu_alloc(sizeof *t, 64);
  if (!t) return FORGE_E_OOM;
  t->n = n;
  t->spins = n <= available ? SPINS : 0;
  forge_status status = FORGE_E_OOM;
  t->workers = cpu_alloc(n * sizeof *t->workers, 0);
  if (t->workers) status = start(t);
  if (status)
    cpu_threads_destroy(t);
  else
    *out = t;
  return status;
}

void cpu_threads_destroy(cpu_threads *t) {
  if (!t) return;
  atomic_store(&t->stop, 1);
  call(t, MAX_THREADS);
  for (uint32_t i = 0; i < t->started; i++) pthread_join(t->workers[i].id, NULL);
  cpu_free(t->workers);
  cpu_free(t);
}
