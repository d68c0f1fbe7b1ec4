/* time.c -- queues and timelines: lifetime, promises, and what the backend says of them. */
#include <stdio.h>
#include <string.h>

#include "validate.h"

/* ---- queues ---- */

static void give_index(vqueue *q) {
  vdev *d = q->o.d;
  q->index = MAX_QUEUES;
  for (uint32_t i = MAX_QUEUES; i--;)
    if (!d->by_index[i]) q->index = i;
  if (q->index < MAX_QUEUES) d->by_index[q->index] = q;
  if (++d->n_queues > 1) d->several = true;
}

forge_status v_queue_create(forge_dev *dev, uint32_t kind, int32_t priority, forge_queue **out) {
  call c;
  forge_status st = FORGE_OK;
  if (!begin(dev, "queue_create", &c)) return FORGE_E_INVALID;
  if (!out) return refuse(&c, "no place for the queue: |out| is NULL");
  if (kind != FORGE_QUEUE_COMPUTE && kind != FORGE_QUEUE_COPY)
    st = wrong(&c, "kind %u is neither FORGE_QUEUE_COMPUTE nor _COPY", kind);
  if (st) return st;
  vqueue *q = object_create(&c, OBJECT_QUEUE, sizeof *q);
  if (!q) return FORGE_E_OOM;
  st = c.d->inner->queue_create(c.d->dev, kind, priority, &q->inner);
  st = judge_made(&c, st, q->inner);
  if (!st && !object_publish(&c, &q->o)) {
    c.d->inner->queue_destroy(q->inner);
    st = FORGE_E_OOM;
  }
  if (st) {
    kit_free(q);
    return st;
  }
  pthread_mutex_lock(&c.d->lock);
  give_index(q);
  pthread_mutex_unlock(&c.d->lock);
  *out = (forge_queue *)(void *)q;
  return FORGE_OK;
}

/* The work that uses an object, unless the backend says that it is done: its timelines tell, also
 * of a backend that does not call tl_notify(). Under the lock, which is given up meanwhile. */
static uint64_t call_using(vdev *d, const object *o) {
  const work *w;
  uint64_t asked = 0;
  while ((w = work_using(d, o)) && w->call != asked && !w->signals[0].tl->o.died) {
    vtl *tl = w->signals[0].tl;
    uint64_t value = 0;
    asked = w->call;
    pthread_mutex_unlock(&d->lock);
    const forge_status st = d->inner->tl_query(tl->inner, &value);
    pthread_mutex_lock(&d->lock);
    time_reached(tl, value, st, false);
  }
  return w ? w->call : 0;
}

bool object_in_use(const call *c, const object *o, const char *verb) {
  vdev *d = c->d;
  pthread_mutex_lock(&d->lock);
  const uint64_t by = call_using(d, o);
  pthread_mutex_unlock(&d->lock);
  if (!by) return false;
  complain(c, "%s %u is %s while the work of call %llu uses it; wait for that work first",
           kind_name(o->kind), o->number, verb, (unsigned long long)by);
  return true;
}

void v_queue_destroy(forge_queue *queue) {
  call c;
  object *o;
  if (!queue || !begin_on(queue, OBJECT_QUEUE, "queue_destroy", &c, &o)) return;
  vqueue *q = (vqueue *)(void *)o;
  if (object_in_use(&c, o, "destroyed") && c.d->refuses) return;
  pthread_mutex_lock(&c.d->lock);
  works_end(q);
  if (q->index < MAX_QUEUES) c.d->by_index[q->index] = NULL;
  c.d->n_queues--;
  pthread_mutex_unlock(&c.d->lock);
  object_bury(&c, o);
  c.d->inner->queue_destroy(q->inner);
}

/* ---- timelines ---- */

/* What the backend says of a timeline must rise, and not beyond what was promised. */
static void judge_value(const call *c, vtl *tl, uint64_t value, uint64_t before) {
  if (value < before)
    complain(c, "timeline %u fell from %llu to %llu; it may only rise", tl->o.number,
             (unsigned long long)before, (unsigned long long)value);
  pthread_mutex_lock(&c->d->lock);
  const uint64_t promised = tl->promised;
  pthread_mutex_unlock(&c->d->lock);
  if (value > promised)
    complain(c, "timeline %u is at %llu, but no work was ever to signal more than %llu",
             tl->o.number, (unsigned long long)value, (unsigned long long)promised);
}

static void heard(forge_listener *self, uint64_t value, forge_status status) {
  vtl *tl = (vtl *)(void *)((char *)self - offsetof(vtl, listener));
  vdev *d = tl->o.d;
  const call c = {.d = d, .name = "tl_notify"};
  if (!status) judge_value(&c, tl, value, 0);
  pthread_mutex_lock(&d->lock);
  time_reached(tl, value, status, false);
  pthread_mutex_unlock(&d->lock);
  d->host->tl_notify(d->host->ctx, tl->cookie, value, status);
}

/* What is kept of a destroyed timeline is small. */
void tl_release(vtl *tl) {
  vdev *d = tl->o.d;
  pthread_mutex_lock(&d->lock);
  kit_free(tl->points);
  tl->points = NULL;
  tl->n_points = 0;
  pthread_mutex_unlock(&d->lock);
}

static forge_status keep_timeline(const call *c, vtl *tl) {
  tl->points = kit_zalloc(MAX_POINTS * sizeof *tl->points);
  if (tl->points && object_publish(c, &tl->o)) return FORGE_OK;
  c->d->inner->tl_destroy(tl->inner);
  kit_free(tl->points);
  return kit_fail(c->d->host, FORGE_E_OOM, "%s: no host memory for validate's books", c->d->name);
}

forge_status v_tl_create(forge_dev *dev, uint64_t initial, uint64_t cookie, forge_tl **out) {
  call c;
  if (!begin(dev, "tl_create", &c)) return FORGE_E_INVALID;
  if (!out) return refuse(&c, "no place for the timeline: |out| is NULL");
  vtl *tl = object_create(&c, OBJECT_TIMELINE, sizeof *tl);
  if (!tl) return FORGE_E_OOM;
  tl->listener.reached = heard;
  tl->cookie = cookie;
  tl->promised = tl->seen = initial;
  forge_status st =
      c.d->inner->tl_create(c.d->dev, initial, (uint64_t)(uintptr_t)&tl->listener, &tl->inner);
  st = judge_made(&c, st, tl->inner);
  if (!st) st = keep_timeline(&c, tl);
  if (st)
    kit_free(tl);
  else
    *out = (forge_tl *)(void *)tl;
  return st;
}

void v_tl_destroy(forge_tl *timeline) {
  call c;
  object *o;
  if (!timeline || !begin_on(timeline, OBJECT_TIMELINE, "tl_destroy", &c, &o)) return;
  if (object_in_use(&c, o, "destroyed") && c.d->refuses) return;
  object_bury(&c, o);
  c.d->inner->tl_destroy(((vtl *)(void *)o)->inner);
  tl_release((vtl *)(void *)o);
}

forge_status v_tl_query(forge_tl *timeline, uint64_t *out_value) {
  call c;
  object *o;
  if (!begin_on(timeline, OBJECT_TIMELINE, "tl_query", &c, &o)) return FORGE_E_INVALID;
  if (!out_value) return refuse(&c, "no place for the value: |out_value| is NULL");
  vtl *tl = (vtl *)(void *)o;
  pthread_mutex_lock(&c.d->lock);
  const uint64_t before = tl->seen;
  const forge_status failed = tl->failed;
  pthread_mutex_unlock(&c.d->lock);
  const forge_status st = c.d->inner->tl_query(tl->inner, out_value);
  if (!st && failed)
    complain(&c, "timeline %u had failed with %d and is well again; a failure is for good",
             tl->o.number, failed);
  if (!st) judge_value(&c, tl, *out_value, before);
  pthread_mutex_lock(&c.d->lock);
  time_reached(tl, st ? 0 : *out_value, st, true);
  pthread_mutex_unlock(&c.d->lock);
  return st;
}

forge_status v_tl_wait(forge_tl *timeline, uint64_t value, uint64_t timeout_ns) {
  call c;
  object *o;
  uint64_t now = 0;
  if (!begin_on(timeline, OBJECT_TIMELINE, "tl_wait", &c, &o)) return FORGE_E_INVALID;
  vtl *tl = (vtl *)(void *)o;
  pthread_mutex_lock(&c.d->lock);
  const uint64_t promised = tl->promised;
  pthread_mutex_unlock(&c.d->lock);
  forge_status st = FORGE_OK;
  if (value > promised && timeout_ns == FORGE_WAIT_FOREVER)
    st = wrong(&c,
               "nobody is to signal %llu on timeline %u (at most %llu), so this wait would not "
               "end; submit the work first",
               (unsigned long long)value, tl->o.number, (unsigned long long)promised);
  if (st) return st;
  st = c.d->inner->tl_wait(tl->inner, value, timeout_ns);
  if (st == FORGE_E_TIMEOUT) return st;
  if (!st && !c.d->inner->tl_query(tl->inner, &now) && now < value)
    complain(&c, "the backend ended the wait for %llu on timeline %u, which is at %llu",
             (unsigned long long)value, tl->o.number, (unsigned long long)now);
  pthread_mutex_lock(&c.d->lock);
  time_reached(tl, st ? 0 : value, st, true);
  pthread_mutex_unlock(&c.d->lock);
  return st;
}
