/* timeline.c -- counts that only rise: read without a lock, raised by whoever learns first. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "parts.h"

forge_status timeline_fail_call(const forge_timeline_source *source, forge_status status,
                                const char *msg) {
  const forge_error error = {.size = sizeof error,
                             .scope = FORGE_SCOPE_CALL,
                             .code = status,
                             .msg = msg,
                             .op_index = FORGE_OP_INDEX_UNKNOWN,
                             .retryable = status == FORGE_E_OOM};
  source->host->report(source->host->ctx, &error);
  return status;
}

void *timeline_alloc(const forge_timeline_source *source, size_t bytes) {
  void *p = source->host->alloc(source->host->ctx, bytes, 0);
  if (p) return memset(p, 0, bytes);
  timeline_fail_call(source, FORGE_E_OOM, "no host memory for a timeline; use less of it");
  return NULL;
}

/* ---- the table's slots ---- */

forge_status forge_timeline_create(const forge_timeline_source *source, uint64_t initial,
                                   uint64_t cookie, forge_tl **out) {
  forge_tl *tl = timeline_alloc(source, sizeof *tl);
  if (!tl) return FORGE_E_OOM;
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&tl->changed, &attr);
  pthread_condattr_destroy(&attr);
  pthread_mutex_init(&tl->lock, NULL);
  tl->source = source;
  tl->cookie = cookie;
  tl->last = &tl->pending;
  atomic_init(&tl->value, initial);
  atomic_init(&tl->status, FORGE_OK);
  *out = tl;
  return FORGE_OK;
}

/* Takes |p| out of the list. Under the lock. */
static void unlink_point(forge_tl *tl, point *p) {
  point **at = &tl->pending;
  while (*at != p) at = &(*at)->next;
  *at = p->next;
  if (tl->last == &p->next) tl->last = at;
}

/* Claims what nobody has; what somebody has is waited for. Under the lock. */
static void forget_points(forge_tl *tl) {
  for (point *p = tl->pending, *next; p; p = next) {
    next = p->next;
    if (!atomic_exchange(&p->claimed, true)) unlink_point(tl, p);
  }
}

void forge_timeline_destroy(forge_tl *tl) {
  if (!tl) return;
  const forge_host *host = tl->source->host;
  pthread_mutex_lock(&tl->lock);
  forget_points(tl);
  while (tl->pending || tl->busy) pthread_cond_wait(&tl->changed, &tl->lock);
  pthread_mutex_unlock(&tl->lock);
  pthread_cond_destroy(&tl->changed);
  pthread_mutex_destroy(&tl->lock);
  host->free(host->ctx, tl);
}

/* ---- settling ---- */

/* The news is made under the lock and told without it; destroy waits until it is told. |p|: the
 * claimed point that brings it, NULL: none does. */
static void settle(forge_tl *tl, uint64_t value, forge_status status, point *p) {
  const forge_host *host = tl->source->host;
  pthread_mutex_lock(&tl->lock);
  if (p) unlink_point(tl, p);
  tl->busy++;
  const bool alive = !atomic_load(&tl->status);
  const bool news = alive && (status || atomic_load(&tl->value) < value);
  if (news && status) atomic_store(&tl->status, status);
  if (news && !status) atomic_store(&tl->value, value);
  pthread_cond_broadcast(&tl->changed);
  pthread_mutex_unlock(&tl->lock);
  if (news) host->tl_notify(host->ctx, tl->cookie, value, status);
  pthread_mutex_lock(&tl->lock);
  if (!--tl->busy) pthread_cond_broadcast(&tl->changed);
  pthread_mutex_unlock(&tl->lock);
}

void timeline_settle(forge_work *work, forge_status status) {
  for (uint32_t i = 0; i < work->n_points; i++) {
    point *p = &work->points[i];
    if (!atomic_exchange(&p->claimed, true)) settle(p->tl, p->value, status, p);
  }
}

void forge_timeline_fail(forge_tl *tl, forge_status status) {
  settle(tl, atomic_load(&tl->value), status, NULL);
}

void timeline_publish(forge_work *work) {
  for (uint32_t i = 0; i < work->n_points; i++) {
    point *p = &work->points[i];
    forge_tl *tl = p->tl;
    pthread_mutex_lock(&tl->lock);
    *tl->last = p;
    tl->last = &p->next;
    pthread_cond_broadcast(&tl->changed); /* who waits may wait for the event from now on */
    pthread_mutex_unlock(&tl->lock);
  }
}

/* ---- asking ---- */

/* Whether waiting for |value| is over, and with what. A value reached before the failure counts. */
static bool is_settled(forge_tl *tl, uint64_t value, forge_status *out) {
  const forge_status failed = atomic_load(&tl->status);
  const bool reached = atomic_load(&tl->value) >= value;
  *out = reached ? FORGE_OK : failed;
  return reached || failed;
}

/* The work that brings |value|, held. Under the lock. */
static forge_work *find_bringer(forge_tl *tl, uint64_t value) {
  for (point *p = tl->pending; p; p = p->next)
    if (p->value >= value) {
      work_hold(p->work);
      return p->work;
    }
  return NULL;
}

forge_work *timeline_find(forge_tl *tl, uint64_t value, forge_status *out_status) {
  forge_work *work = NULL;
  pthread_mutex_lock(&tl->lock);
  if (!is_settled(tl, value, out_status) && !(work = find_bringer(tl, value)))
    *out_status = TIMELINE_NOBODY;
  pthread_mutex_unlock(&tl->lock);
  return work;
}

/* The oldest of the points that the watch of |work| brings to |tl|; NULL: |work| was settled. Waits
 * for whoever is settling one: he does not block. Under the lock. */
static point *oldest_through(forge_tl *tl, const forge_work *work) {
  for (;;) {
    point *found = NULL;
    bool there = false;
    for (point *p = tl->pending; p; p = p->next) {
      if (!found && p->work->watch == work->watch) found = p;
      there |= p->work == work;
    }
    if (!there) return NULL;
    if (!atomic_load(&found->claimed)) return found;
    pthread_cond_wait(&tl->changed, &tl->lock);
  }
}

/* |work| is done: tells |tl| about it and about what its stream did before, in order, so that an
 * earlier failure is not passed over. */
static void settle_through(forge_tl *tl, forge_work *work) {
  bool last = false;
  while (!last) {
    pthread_mutex_lock(&tl->lock);
    const point *p = oldest_through(tl, work);
    forge_work *w = p ? p->work : NULL;
    if (w) work_hold(w);
    pthread_mutex_unlock(&tl->lock);
    if (!w) return;
    timeline_settle(w, work_wait(w));
    last = w == work;
    work_drop(w);
  }
}

forge_status forge_timeline_query(forge_tl *tl, uint64_t *out_value) {
  forge_work *work = NULL;
  pthread_mutex_lock(&tl->lock);
  if (tl->pending) work_hold(work = tl->pending->work);
  pthread_mutex_unlock(&tl->lock);
  if (work && work_is_done(work)) settle_through(tl, work);
  if (work) work_drop(work);
  *out_value = atomic_load(&tl->value);
  return atomic_load(&tl->status);
}

static struct timespec deadline(uint64_t timeout_ns) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  const uint64_t ns = (uint64_t)t.tv_nsec + timeout_ns % UINT64_C(1000000000);
  t.tv_sec += (time_t)(timeout_ns / UINT64_C(1000000000) + ns / UINT64_C(1000000000));
  t.tv_nsec = (long)(ns % UINT64_C(1000000000));
  return t;
}

static forge_status wait_until(forge_tl *tl, uint64_t value, uint64_t timeout_ns) {
  const struct timespec until = deadline(timeout_ns);
  forge_status status;
  int late = 0;
  pthread_mutex_lock(&tl->lock);
  while (!is_settled(tl, value, &status) && !late)
    late = pthread_cond_timedwait(&tl->changed, &tl->lock, &until) == ETIMEDOUT;
  if (late && !is_settled(tl, value, &status)) status = FORGE_E_TIMEOUT;
  pthread_mutex_unlock(&tl->lock);
  return status;
}

/* Waits for the event that brings the value, then sees to it that the timeline knows. */
static forge_status wait_forever(forge_tl *tl, uint64_t value) {
  forge_status status;
  pthread_mutex_lock(&tl->lock);
  while (!is_settled(tl, value, &status)) {
    forge_work *work = find_bringer(tl, value);
    if (!work) { /* not given yet */
      pthread_cond_wait(&tl->changed, &tl->lock);
      continue;
    }
    pthread_mutex_unlock(&tl->lock);
    work_wait(work);
    settle_through(tl, work);
    work_drop(work);
    pthread_mutex_lock(&tl->lock);
  }
  pthread_mutex_unlock(&tl->lock);
  return status;
}

forge_status forge_timeline_wait(forge_tl *tl, uint64_t value, uint64_t timeout_ns) {
  /* Longer than this is for ever: the clock's seconds must not overflow. */
  const bool forever = timeout_ns > UINT64_C(1) << 62;
  forge_status status;
  if (is_settled(tl, value, &status)) return status;
  if (forever) return wait_forever(tl, value);
  if (timeout_ns) return wait_until(tl, value, timeout_ns);
  uint64_t ignored;
  forge_timeline_query(tl, &ignored);
  return is_settled(tl, value, &status) ? status : FORGE_E_TIMEOUT;
}
