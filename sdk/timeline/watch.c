/* watch.c -- works from their bracket to their end, and the thread that sees them through. */
#include <string.h>

#include "parts.h"

struct forge_watch {
  const forge_timeline_source *source;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t given;
  forge_work *line, **last; /* in the order of the brackets */
  bool stop;
};

/* ---- works ---- */

void work_hold(forge_work *work) { atomic_fetch_add(&work->refs, 1); }

static void drop_waits(forge_work *work) {
  for (uint32_t i = 0; i < work->n_waits; i++) work_drop(work->waits[i]);
  work->n_waits = 0;
}

void work_drop(forge_work *work) {
  if (atomic_fetch_sub(&work->refs, 1) > 1) return;
  const forge_timeline_source *source = work->source;
  drop_waits(work);
  if (work->event) source->events->release(source->ctx, work->event);
  pthread_cond_destroy(&work->known);
  pthread_mutex_destroy(&work->lock);
  source->host->free(source->host->ctx, work);
}

/* What became of |work|, whose own event ended with |own|. What it waited for failing is its
 * failure too. The works waited for are let go: else each would keep its predecessors for ever. */
static void decide(forge_work *work, forge_status own) {
  const forge_timeline_source *source = work->source;
  forge_status status = work->status;
  for (uint32_t i = 0; i < work->n_waits && !status; i++) status = work_wait(work->waits[i]);
  work->status = status ? status : own;
  if (work->status && source->events->failed)
    source->events->failed(source->ctx, work->tag, work->n_points ? work->points[0].value : 0,
                           work->status);
  drop_waits(work);
}

forge_status work_wait(forge_work *work) {
  const forge_timeline_source *source = work->source;
  if (atomic_load(&work->decided)) return work->status;
  const forge_status own = work->event ? source->events->wait(source->ctx, work->event) : FORGE_OK;
  pthread_mutex_lock(&work->lock);
  const bool mine = !work->deciding;
  work->deciding = true;
  while (!mine && !atomic_load(&work->decided)) pthread_cond_wait(&work->known, &work->lock);
  pthread_mutex_unlock(&work->lock);
  if (!mine) return work->status;
  decide(work, own);
  pthread_mutex_lock(&work->lock);
  atomic_store(&work->decided, true);
  pthread_cond_broadcast(&work->known);
  pthread_mutex_unlock(&work->lock);
  return work->status;
}

bool work_is_done(forge_work *work) {
  const forge_timeline_source *source = work->source;
  if (atomic_load(&work->decided)) return true;
  return work->event && source->events->is_done &&
         source->events->is_done(source->ctx, work->event);
}

/* ---- the bracket ---- */

static forge_work *new_work(forge_watch *watch, uint64_t tag, const forge_submit *order) {
  const uint32_t n_points = order ? order->n_signal : 0, n_waits = order ? order->n_wait : 0;
  const size_t head = sizeof(forge_work) + n_points * sizeof(point);
  forge_work *w = timeline_alloc(watch->source, head + n_waits * sizeof(forge_work *));
  if (!w) return NULL;
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->known, NULL);
  atomic_init(&w->refs, 1);
  w->watch = watch;
  w->source = watch->source;
  w->tag = tag;
  w->n_points = n_points;
  w->waits = (forge_work **)(void *)((char *)w + head);
  for (uint32_t i = 0; i < n_points; i++) {
    w->points[i].tl = order->signal[i].tl;
    w->points[i].value = order->signal[i].value;
    w->points[i].work = w;
  }
  return w;
}

/* Makes |stream| start after |before|. Nothing to do within one stream. */
static forge_status order_after(const forge_work *work, void *stream, forge_work *before) {
  const forge_timeline_source *source = work->source;
  if (before->watch == work->watch || !before->event) return FORGE_OK;
  if (source->events->stream_wait)
    return source->events->stream_wait(source->ctx, stream, before->event);
  work_wait(before);
  return FORGE_OK;
}

static forge_status add_wait(forge_work *work, void *stream, const forge_point *p) {
  forge_status status;
  forge_work *before = timeline_find(p->tl, p->value, &status);
  if (!before && status == TIMELINE_NOBODY)
    return timeline_fail_call(work->source, FORGE_E_INVALID,
                              "a wait names a point that no earlier submit or copy signals");
  if (!before) {
    if (!work->status) work->status = status;
    return FORGE_OK;
  }
  work->waits[work->n_waits++] = before;
  return order_after(work, stream, before);
}

forge_status forge_timeline_begin(forge_watch *watch, void *stream, uint64_t tag,
                                  const forge_submit *order, forge_work **out) {
  forge_status status = FORGE_OK;
  forge_work *work = new_work(watch, tag, order);
  if (!work) return FORGE_E_OOM;
  for (uint32_t i = 0; order && i < order->n_wait && !status; i++)
    status = add_wait(work, stream, &order->wait[i]);
  if (status)
    work_drop(work);
  else
    *out = work;
  return status;
}

forge_status forge_work_status(const forge_work *work) { return work->status; }

void forge_timeline_cancel(forge_work *work) { work_drop(work); }

forge_status forge_timeline_end(forge_work *work, void *event, forge_status status) {
  forge_watch *watch = work->watch;
  work->event = event;
  if (!work->status) work->status = status;
  const forge_status said = work->n_points ? FORGE_OK : work->status;
  timeline_publish(work);
  pthread_mutex_lock(&watch->lock);
  *watch->last = work;
  watch->last = &work->next;
  pthread_cond_signal(&watch->given);
  pthread_mutex_unlock(&watch->lock);
  return said;
}

/* ---- the watch ---- */

/* The first of the line; NULL: none will come. Stays in line until it is settled. */
static forge_work *next_work(forge_watch *watch) {
  pthread_mutex_lock(&watch->lock);
  while (!watch->line && !watch->stop) pthread_cond_wait(&watch->given, &watch->lock);
  forge_work *work = watch->line;
  if (work && !(watch->line = work->next)) watch->last = &watch->line;
  pthread_mutex_unlock(&watch->lock);
  return work;
}

static void *run(void *arg) {
  forge_watch *watch = arg;
  for (forge_work *work; (work = next_work(watch)); work_drop(work))
    timeline_settle(work, work_wait(work));
  return NULL;
}

forge_status forge_watch_create(const forge_timeline_source *source, forge_watch **out) {
  forge_watch *watch = timeline_alloc(source, sizeof *watch);
  if (!watch) return FORGE_E_OOM;
  watch->source = source;
  watch->last = &watch->line;
  pthread_mutex_init(&watch->lock, NULL);
  pthread_cond_init(&watch->given, NULL);
  if (pthread_create(&watch->thread, NULL, run, watch)) {
    pthread_cond_destroy(&watch->given);
    pthread_mutex_destroy(&watch->lock);
    source->host->free(source->host->ctx, watch);
    return timeline_fail_call(source, FORGE_E_OOM,
                              "no thread for a queue; raise the limit of threads (ulimit -u)");
  }
  *out = watch;
  return FORGE_OK;
}

void forge_watch_destroy(forge_watch *watch) {
  if (!watch) return;
  const forge_host *host = watch->source->host;
  pthread_mutex_lock(&watch->lock);
  watch->stop = true;
  pthread_cond_signal(&watch->given);
  pthread_mutex_unlock(&watch->lock);
  pthread_join(watch->thread, NULL);
  pthread_cond_destroy(&watch->given);
  pthread_mutex_destroy(&watch->lock);
  host->free(host->ctx, watch);
}
