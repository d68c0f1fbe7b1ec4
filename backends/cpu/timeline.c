/* timeline.c -- counts that only rise, and how submits wait for and reach them. A value is read and
 * raised without a lock; the lock is for threads that sleep. */
#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "glue.h"

struct forge_tl {
  _Atomic uint64_t value;
  _Atomic int32_t status; /* the failure; 0 while it lives */
  _Atomic uint32_t sleepers;
  uint64_t cookie;
  pthread_mutex_t lock;
  pthread_cond_t risen;
  forge_dev *dev;
  forge_tl *next, **place; /* in the device's list; |place| points here */
  bool telling;            /* the host is being told that it failed with the device */
};

/* A device that is lost makes no more: none would fail with the others. */
static forge_status enlist(forge_dev *dev, forge_tl *tl) {
  pthread_mutex_lock(&dev->timelines_lock);
  const bool lost = atomic_load(&dev->lost);
  if (!lost) {
    tl->dev = dev;
    tl->next = dev->timelines;
    tl->place = &dev->timelines;
    if (tl->next) tl->next->place = &tl->next;
    dev->timelines = tl;
  }
  pthread_mutex_unlock(&dev->timelines_lock);
  return lost ? cpu_dev_check(dev) : FORGE_OK;
}

static void delist(forge_tl *tl) {
  if (!tl->dev) return;
  pthread_mutex_lock(&tl->dev->timelines_lock);
  while (tl->telling) pthread_cond_wait(&tl->dev->told, &tl->dev->timelines_lock);
  *tl->place = tl->next;
  if (tl->next) tl->next->place = tl->place;
  pthread_mutex_unlock(&tl->dev->timelines_lock);
}

forge_status cpu_tl_create(forge_dev *dev, uint64_t initial, uint64_t cookie, forge_tl **out) {
  forge_tl *tl = cpu_alloc(sizeof *tl, 0);
  if (!tl) return FORGE_E_OOM;
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&tl->risen, &attr);
  pthread_condattr_destroy(&attr);
  pthread_mutex_init(&tl->lock, NULL);
  atomic_init(&tl->value, initial);
  tl->cookie = cookie;
  const forge_status status = enlist(dev, tl);
  if (status)
    cpu_tl_destroy(tl);
  else
    *out = tl;
  return status;
}

void cpu_tl_destroy(forge_tl *tl) {
  if (!tl) return;
  delist(tl);
  pthread_cond_destroy(&tl->risen);
  pthread_mutex_destroy(&tl->lock);
  cpu_free(tl);
}

forge_status cpu_tl_query(forge_tl *tl, uint64_t *out_value) {
  *out_value = atomic_load(&tl->value);
  return atomic_load(&tl->status);
}

/* Whether waiting for |value| is over, and with what. A value reached before the failure counts. */
static bool settled(forge_tl *tl, uint64_t value, forge_status *out) {
  const forge_status failed = atomic_load(&tl->status);
  const bool reached = atomic_load(&tl->value) >= value;
  *out = reached ? FORGE_OK : failed;
  return reached || failed;
}

static struct timespec deadline(uint64_t timeout_ns) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  const uint64_t ns = (uint64_t)t.tv_nsec + timeout_ns % UINT64_C(1000000000);
  t.tv_sec += (time_t)(timeout_ns / UINT64_C(1000000000) + ns / UINT64_C(1000000000));
  t.tv_nsec = (long)(ns % UINT64_C(1000000000));
  return t;
}

forge_status cpu_tl_wait(forge_tl *tl, uint64_t value, uint64_t timeout_ns) {
  /* Longer than this is for ever: the clock's seconds must not overflow. */
  const bool forever = timeout_ns > UINT64_C(1) << 62;
  forge_status status;
  if (settled(tl, value, &status)) return status;
  if (timeout_ns == 0) return FORGE_E_TIMEOUT;
  struct timespec until = {0};
  if (!forever) until = deadline(timeout_ns);
  int late = 0;
  pthread_mutex_lock(&tl->lock);
  atomic_fetch_add(&tl->sleepers, 1); /* before looking again: see wake() */
  while (!settled(tl, value, &status) && !late) {
    if (forever)
      pthread_cond_wait(&tl->risen, &tl->lock);
    else
      late = pthread_cond_timedwait(&tl->risen, &tl->lock, &until) == ETIMEDOUT;
  }
  if (late && !settled(tl, value, &status)) status = FORGE_E_TIMEOUT;
  atomic_fetch_sub(&tl->sleepers, 1);
  pthread_mutex_unlock(&tl->lock);
  return status;
}

/* The value was stored before: whoever counts himself a sleeper after this sees it. */
static void wake(forge_tl *tl) {
  if (!atomic_load(&tl->sleepers)) return;
  pthread_mutex_lock(&tl->lock);
  pthread_cond_broadcast(&tl->risen);
  pthread_mutex_unlock(&tl->lock);
}

/* Only upwards: a value that was passed already is no news. */
static void reach(forge_tl *tl, uint64_t value) {
  uint64_t old = atomic_load(&tl->value);
  while (old < value && !atomic_compare_exchange_weak(&tl->value, &old, value)) {
  }
  if (old >= value) return;
  cpu_host->tl_notify(cpu_host->ctx, tl->cookie, value, FORGE_OK);
  wake(tl);
}

static void fail(forge_tl *tl, uint64_t value, forge_status status) {
  int32_t alive = 0;
  if (!atomic_compare_exchange_strong(&tl->status, &alive, status)) return;
  cpu_host->tl_notify(cpu_host->ctx, tl->cookie, value, status);
  wake(tl);
}

/* One that lives yet, failed; NULL: there is none. Under the lock. */
static forge_tl *fail_one(forge_dev *dev, forge_status status) {
  for (forge_tl *tl = dev->timelines; tl; tl = tl->next) {
    int32_t alive = 0;
    if (atomic_compare_exchange_strong(&tl->status, &alive, status)) return tl;
  }
  return NULL;
}

/* The host is told without the lock; a timeline is not destroyed meanwhile. */
void cpu_tl_fail_all(forge_dev *dev, forge_status status) {
  pthread_mutex_lock(&dev->timelines_lock);
  for (forge_tl *tl; (tl = fail_one(dev, status));) {
    tl->telling = true;
    pthread_mutex_unlock(&dev->timelines_lock);
    wake(tl);
    cpu_host->tl_notify(cpu_host->ctx, tl->cookie, atomic_load(&tl->value) + 1, status);
    pthread_mutex_lock(&dev->timelines_lock);
    tl->telling = false;
    pthread_cond_broadcast(&dev->told);
  }
  pthread_mutex_unlock(&dev->timelines_lock);
}

forge_status cpu_order_wait(const forge_submit *order) {
  for (uint32_t i = 0; order && i < order->n_wait; i++) {
    const forge_point *p = &order->wait[i];
    const forge_status status = cpu_tl_wait(p->tl, p->value, FORGE_WAIT_FOREVER);
    if (status)
      return cpu_fail(
          status, "cpu: the work waited for value %" PRIu64 " of a timeline that failed", p->value);
  }
  return FORGE_OK;
}

void cpu_order_signal(const forge_submit *order, forge_status status) {
  for (uint32_t i = 0; order && i < order->n_signal; i++) {
    const forge_point *p = &order->signal[i];
    if (atomic_load(&p->tl->status)) continue; /* failed for good */
    if (status)
      fail(p->tl, p->value, status);
    else
      reach(p->tl, p->value);
  }
}
