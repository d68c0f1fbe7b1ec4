/* times.c -- bugs of queues, waits and signals. */
#include <pthread.h>
#include <time.h>

#include "plant.h"

#if defined(BUG_NONE_ASYNCHRONOUS)
/* No bug: shows that later.c itself is sound. */
void plant(void) { later_watch((later_wrong){false, false, false}); }

#elif defined(BUG_MISSING_SYNC)
/* A stream for each queue, and no event between them. */
void plant(void) { later_watch((later_wrong){.ignores_waits = true}); }

#elif defined(BUG_SIGNALS_EARLY)
/* The timeline rises when the work is handed over, not when it is done. */
void plant(void) { later_watch((later_wrong){.signals_first = true}); }

#elif defined(BUG_BORROWED_ARRAYS)
/* The thread of a queue reads the caller's arrays. */
void plant(void) { later_watch((later_wrong){.reads_arrays_late = true}); }

#elif defined(BUG_HOST_READ_LATE)
/* Says the copy is done when it is queued; the engine reads the host's pages some time after. */
enum { JOBS = 64, DELAY_MS = 20 };
static struct {
  forge_copy copy;
  bool waiting;
} jobs[JOBS];
static pthread_t engine;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool leaving;

static void *run(void *arg) {
  (void)arg;
  for (bool go = true; go;) {
    nanosleep(&(struct timespec){.tv_nsec = DELAY_MS * 1000000L}, NULL);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < JOBS; i++)
      if (jobs[i].waiting) {
        const forge_copy *c = &jobs[i].copy;
        const shadow_block *to = shadow_of(c->dst.mem);
        if (to) memcpy(to->data + c->dst.off, c->host, c->dst.len);
        jobs[i].waiting = false;
      }
    go = !leaving;
    pthread_mutex_unlock(&lock);
  }
  return NULL;
}

static forge_status copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                         const forge_submit *order) {
  const shadow_block *to = n == 1 ? shadow_of(copies[0].dst.mem) : NULL;
  if (!to || copies[0].kind != FORGE_COPY_TO_DEVICE || copies[0].dst.off > to->bytes ||
      copies[0].dst.len > to->bytes - copies[0].dst.off)
    return sound->copy(queue, copies, n, order);
  pthread_mutex_lock(&lock);
  for (int i = 0; i < JOBS; i++)
    if (!jobs[i].waiting) {
      jobs[i].copy = copies[0];
      jobs[i].waiting = true;
      break;
    }
  pthread_mutex_unlock(&lock);
  return sound->copy(queue, NULL, 0, order);
}

static forge_status open_device(uint32_t ordinal, const char *const *options, forge_dev **out) {
  const forge_status status = sound->dev_open(ordinal, options, out);
  leaving = false;
  if (!status && pthread_create(&engine, NULL, run, NULL)) return FORGE_E_OOM;
  return status;
}

static void close_device(forge_dev *dev) {
  pthread_mutex_lock(&lock);
  leaving = true;
  pthread_mutex_unlock(&lock);
  pthread_join(engine, NULL);
  sound->dev_close(dev);
}

void plant(void) {
  shadow_watch();
  planted.copy = copy;
  planted.dev_open = open_device;
  planted.dev_close = close_device;
}

#elif defined(BUG_NEVER_SIGNALS)
/* Forgets the second signal of a submit. */
static forge_status submit(forge_queue *queue, forge_prog *prog, const forge_submit *order) {
  forge_submit fewer = *order;
  if (fewer.n_signal > 1) fewer.n_signal = 1;
  return sound->submit(queue, prog, &fewer);
}
void plant(void) { planted.submit = submit; }

#elif defined(BUG_DEADLOCK_IN_WAIT)
/* One lock for the device, held while waiting: whoever could signal needs it too. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static forge_status wait(forge_tl *tl, uint64_t value, uint64_t timeout_ns) {
  pthread_mutex_lock(&lock);
  const forge_status status = sound->tl_wait(tl, value, timeout_ns);
  pthread_mutex_unlock(&lock);
  return status;
}
static forge_status submit(forge_queue *queue, forge_prog *prog, const forge_submit *order) {
  pthread_mutex_lock(&lock);
  const forge_status status = sound->submit(queue, prog, order);
  pthread_mutex_unlock(&lock);
  return status;
}
static forge_status copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                         const forge_submit *order) {
  pthread_mutex_lock(&lock);
  const forge_status status = sound->copy(queue, copies, n, order);
  pthread_mutex_unlock(&lock);
  return status;
}
void plant(void) {
  planted.tl_wait = wait;
  planted.submit = submit;
  planted.copy = copy;
}

#elif defined(BUG_TIMEOUT_IGNORED)
/* The driver's wait has no deadline. */
static forge_status wait(forge_tl *tl, uint64_t value, uint64_t timeout_ns) {
  (void)timeout_ns;
  return sound->tl_wait(tl, value, FORGE_WAIT_FOREVER);
}
void plant(void) { planted.tl_wait = wait; }

#elif defined(BUG_WAIT_SPINS)
/* Polls. */
static forge_status wait(forge_tl *tl, uint64_t value, uint64_t timeout_ns) {
  struct timespec start, now;
  uint64_t reached = 0;
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (;;) {
    const forge_status status = sound->tl_query(tl, &reached);
    if (status || reached >= value) return status;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const uint64_t ns = (uint64_t)(now.tv_sec - start.tv_sec) * 1000000000u +
                        (uint64_t)now.tv_nsec - (uint64_t)start.tv_nsec;
    if (ns >= timeout_ns) return FORGE_E_TIMEOUT;
  }
}
void plant(void) { planted.tl_wait = wait; }

#elif defined(BUG_TIMELINE_FALLS)
/* The value is what was signalled last. */
enum { TIMELINES = 256 };
static struct {
  forge_tl *tl;
  uint64_t value;
} last[TIMELINES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void note(const forge_submit *order) {
  pthread_mutex_lock(&lock);
  for (uint32_t k = 0; order && k < order->n_signal; k++)
    for (int i = 0; i < TIMELINES; i++)
      if (!last[i].tl || last[i].tl == order->signal[k].tl) {
        last[i].tl = order->signal[k].tl;
        last[i].value = order->signal[k].value;
        break;
      }
  pthread_mutex_unlock(&lock);
}
static void forget(forge_tl *tl) {
  pthread_mutex_lock(&lock);
  for (int i = 0; i < TIMELINES; i++)
    if (last[i].tl == tl) last[i].tl = NULL;
  pthread_mutex_unlock(&lock);
  sound->tl_destroy(tl);
}
static forge_status query(forge_tl *tl, uint64_t *out) {
  const forge_status status = sound->tl_query(tl, out);
  pthread_mutex_lock(&lock);
  for (int i = 0; !status && i < TIMELINES; i++)
    if (last[i].tl == tl) *out = last[i].value;
  pthread_mutex_unlock(&lock);
  return status;
}
static forge_status submit(forge_queue *queue, forge_prog *prog, const forge_submit *order) {
  const forge_status status = sound->submit(queue, prog, order);
  if (!status) note(order);
  return status;
}
static forge_status copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                         const forge_submit *order) {
  const forge_status status = sound->copy(queue, copies, n, order);
  if (!status) note(order);
  return status;
}
void plant(void) {
  planted.tl_query = query;
  planted.tl_destroy = forget;
  planted.submit = submit;
  planted.copy = copy;
}

#elif defined(BUG_WRONG_COOKIE)
/* Notifies with the number of the timeline before. */
static void notify(void *ctx, uint64_t cookie, uint64_t value, forge_status status) {
  host->tl_notify(ctx, cookie - 1, value, status);
}
void plant(void) { given.tl_notify = notify; }

#elif defined(BUG_NEVER_NOTIFIES)
static void notify(void *ctx, uint64_t cookie, uint64_t value, forge_status status) {
  (void)ctx;
  (void)cookie;
  (void)value;
  (void)status;
}
void plant(void) { given.tl_notify = notify; }

#elif defined(BUG_32_BIT_TIME)
/* The hardware's counter has 32 bits, and nobody counts its turns. */
static forge_status query(forge_tl *tl, uint64_t *out) {
  const forge_status status = sound->tl_query(tl, out);
  *out &= 0xFFFFFFFFu;
  return status;
}
void plant(void) { planted.tl_query = query; }
#endif
