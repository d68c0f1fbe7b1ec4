/* work.c -- submit and copy: what is given is checked, noted in the books, and passed on with the
 * backend's own handles. */
#include <stdio.h>
#include <string.h>

#include "validate.h"

enum { SMALL = 32 };

/* What is passed on. */
typedef struct passing {
  forge_submit order;
  forge_bind small_bind[SMALL], *bind;
  forge_point small_point[SMALL], *point;
} passing;

static void finish(passing *p) {
  if (p->bind != p->small_bind) kit_free(p->bind);
  if (p->point != p->small_point) kit_free(p->point);
}

static forge_status no_memory(const call *c) {
  return kit_fail(c->d->host, FORGE_E_OOM, "%s: %s: no host memory for validate's books",
                  c->d->name, c->name);
}

static bool make_room(passing *p, size_t n_bind, size_t n_point) {
  p->bind = p->small_bind;
  p->point = p->small_point;
  if (n_bind > SMALL) p->bind = kit_zalloc(n_bind * sizeof *p->bind);
  if (n_point > SMALL) p->point = kit_zalloc(n_point * sizeof *p->point);
  return p->bind && p->point;
}

/* ---- time ---- */

static forge_status check_wait(const call *c, const forge_point *w, uint32_t i) {
  char what[32];
  const vtl *tl = (const vtl *)(void *)known(c, w->tl, OBJECT_TIMELINE);
  if (!tl) {
    snprintf(what, sizeof what, "wait %u", i);
    find(c, w->tl, OBJECT_TIMELINE, what);
    return FORGE_E_INVALID;
  }
  pthread_mutex_lock(&c->d->lock);
  const uint64_t promised = tl->promised;
  pthread_mutex_unlock(&c->d->lock);
  if (w->value <= promised) return FORGE_OK;
  return wrong(
      c,
      "wait %u: nobody is to signal %llu on timeline %u (at most %llu), so this work would "
      "wait for ever; submit first what signals it",
      i, (unsigned long long)w->value, tl->o.number, (unsigned long long)promised);
}

static forge_status check_signal(const call *c, const forge_submit *order, uint32_t i) {
  const forge_point *s = &order->signal[i];
  char what[32];
  const vtl *tl = (const vtl *)(void *)known(c, s->tl, OBJECT_TIMELINE);
  if (!tl) {
    snprintf(what, sizeof what, "signal %u", i);
    find(c, s->tl, OBJECT_TIMELINE, what);
    return FORGE_E_INVALID;
  }
  pthread_mutex_lock(&c->d->lock);
  uint64_t above = tl->promised;
  pthread_mutex_unlock(&c->d->lock);
  for (uint32_t k = 0; k < i; k++)
    if (order->signal[k].tl == s->tl && order->signal[k].value > above)
      above = order->signal[k].value;
  if (s->value > above) return FORGE_OK;
  return wrong(c, "signal %u: %llu on timeline %u does not rise above %llu; timelines only rise", i,
               (unsigned long long)s->value, tl->o.number, (unsigned long long)above);
}

/* Checks the points of an order and puts the inner ones into |p|. */
static forge_status check_points(const call *c, const forge_submit *order, passing *p) {
  forge_status st = FORGE_OK;
  if ((order->n_wait && !order->wait) || (order->n_signal && !order->signal))
    return refuse(c, "%u waits and %u signals, but their array is NULL", order->n_wait,
                  order->n_signal);
  for (uint32_t i = 0; !st && i < order->n_wait; i++) st = check_wait(c, &order->wait[i], i);
  for (uint32_t i = 0; !st && i < order->n_signal; i++) st = check_signal(c, order, i);
  if (st) return st;
  for (uint32_t i = 0; i < order->n_wait; i++)
    p->point[i] =
        (forge_point){((const vtl *)(void *)order->wait[i].tl)->inner, order->wait[i].value};
  for (uint32_t i = 0; i < order->n_signal; i++)
    p->point[order->n_wait + i] =
        (forge_point){((const vtl *)(void *)order->signal[i].tl)->inner, order->signal[i].value};
  p->order.wait = p->point;
  p->order.signal = p->point + order->n_wait;
  return FORGE_OK;
}

/* ---- memory ---- */

/* A stretch of live memory of this device, called "|title| |i|"; |inner| is what is passed on. */
static forge_status check_stretch(const call *c, const forge_bind *b, const char *title, uint32_t i,
                                  forge_bind *inner) {
  const vmem *m = (const vmem *)(void *)known(c, b->mem, OBJECT_MEMORY);
  if (m) *inner = (forge_bind){m->inner, b->off, b->len};
  if (m && b->off <= m->bytes && b->len <= m->bytes - b->off) return FORGE_OK;
  char what[48];
  snprintf(what, sizeof what, "%s %u", title, i);
  if (!m) find(c, b->mem, OBJECT_MEMORY, what);
  if (!m) return FORGE_E_INVALID;
  return wrong(c, "%s: bytes %llu to %llu leave memory %u, which has %llu", what,
               (unsigned long long)b->off, (unsigned long long)b->off + b->len, m->o.number,
               (unsigned long long)m->bytes);
}

static forge_status check_bind(const call *c, const vprog *p, const forge_submit *order, uint32_t i,
                               forge_bind *inner) {
  const forge_bind *b = &order->bind[i];
  const uint64_t need = p->need ? p->need[i] : 0;
  *inner = *b;
  if (!b->mem && !need) return FORGE_OK; /* nothing lies in it */
  const forge_status st = check_stretch(c, b, "binding", i, inner);
  if (st) return st;
  if (b->len < need)
    return wrong(c, "binding %u has %llu bytes, the program uses %llu of it; bind more", i,
                 (unsigned long long)b->len, (unsigned long long)need);
  if (p->align && p->align[i] && b->off % p->align[i])
    return wrong(c, "binding %u begins at byte %llu, its tensors want multiples of %u", i,
                 (unsigned long long)b->off, p->align[i]);
  return FORGE_OK;
}

/* Imported pages are read-only unless they were imported otherwise. */
static forge_status check_written(const call *c, const vprog *p, const forge_submit *order) {
  for (uint32_t i = 0; i < p->n_access; i++) {
    const vmem *m = (const vmem *)(void *)order->bind[p->access[i].bind].mem;
    if (p->access[i].writes && m && !m->writable)
      return wrong(c, "binding %u is memory %u, imported for reading, and the program writes it",
                   p->access[i].bind, m->o.number);
  }
  return FORGE_OK;
}

static forge_status check_scalars(const call *c, const vprog *p, const forge_submit *order) {
  for (uint32_t i = 0; p->limit && i < p->n_scalars; i++)
    if (p->limit[i] != UINT64_MAX && order->scalar[i] > p->limit[i])
      return wrong(c, "scalar %u is %llu; as an extent it is at most %llu", i,
                   (unsigned long long)order->scalar[i], (unsigned long long)p->limit[i]);
  return FORGE_OK;
}

static forge_status check_program(const call *c, const vprog *p, const forge_submit *order,
                                  passing *pass) {
  if (order->n_bind != p->n_bind || order->n_scalar != p->n_scalars)
    return refuse(c, "%u bindings and %u scalars given, program %u has %u and %u", order->n_bind,
                  order->n_scalar, p->o.number, p->n_bind, p->n_scalars);
  if ((order->n_bind && !order->bind) || (order->n_scalar && !order->scalar))
    return refuse(c, "%u bindings and %u scalars, but their array is NULL", order->n_bind,
                  order->n_scalar);
  for (uint32_t i = 0; i < p->n_bind; i++) {
    const forge_status st = check_bind(c, p, order, i, &pass->bind[i]);
    if (st) return st;
  }
  pass->order.bind = pass->bind;
  const forge_status st = check_written(c, p, order);
  return st ? st : check_scalars(c, p, order);
}

/* ---- the books ---- */

/* Ranges are noted only where a second queue makes order a question; else what is used. */
static uint32_t note_touches(const vprog *p, const forge_submit *order, bool ranges, touch *out) {
  uint32_t n = 0;
  for (uint32_t i = 0; ranges && i < p->n_access; i++) {
    const access_range *a = &p->access[i];
    const forge_bind *b = &order->bind[a->bind];
    out[n++] = (touch){(const vmem *)(void *)b->mem, b->off + a->lo, b->off + a->hi, a->writes};
  }
  for (uint32_t i = 0; !ranges && i < order->n_bind; i++)
    if (order->bind[i].mem)
      out[n++] = (touch){(const vmem *)(void *)order->bind[i].mem, 0, 0, false};
  return n;
}

/* Puts |w| into the books and looks for races. */
static forge_status enter(const call *c, work *w, const forge_submit *order) {
  char race[300];
  pthread_mutex_lock(&c->d->lock);
  work_place(w, order);
  const bool races = work_races(w, race, sizeof race);
  pthread_mutex_unlock(&c->d->lock);
  const forge_status st = races ? wrong(c, "%s", race) : FORGE_OK;
  if (!st) return FORGE_OK;
  pthread_mutex_lock(&c->d->lock);
  work_withdraw(w);
  pthread_mutex_unlock(&c->d->lock);
  return st;
}

/* After the call: work that was refused never was; a queue beyond those followed keeps no books. */
static void leave(const call *c, vqueue *q, work *w, forge_status st) {
  pthread_mutex_lock(&c->d->lock);
  if (st)
    work_withdraw(w);
  else if (q->index == MAX_QUEUES)
    works_end(q);
  else
    work_given(w);
  pthread_mutex_unlock(&c->d->lock);
}

static bool take_queue(const call *c, vqueue *q) {
  if (!atomic_exchange(&q->busy, 1)) return true;
  refuse(c,
         "queue %u is in use by another thread at this moment; calls on one queue come one "
         "after the other",
         q->o.number);
  return false;
}

/* ---- submit ---- */

static forge_status submit_checked(const call *c, vqueue *q, vprog *p, const forge_submit *order) {
  passing pass = {.order = *order};
  forge_status st = make_room(&pass, order->n_bind, (size_t)order->n_wait + order->n_signal)
                        ? FORGE_OK
                        : no_memory(c);
  if (!st) st = check_points(c, order, &pass);
  if (!st) st = check_program(c, p, order, &pass);
  work *w = NULL;
  if (!st) {
    const bool ranges = c->d->several && c->d->races;
    w = work_create(q, c->number, ranges ? p->n_access : order->n_bind, order->n_signal);
    if (!w) st = no_memory(c);
    if (w) w->n_touches = note_touches(p, order, ranges, w->touches);
    if (w) w->prog = p;
  }
  if (!st && !(st = enter(c, w, order))) {
    st = judge(c, c->d->inner->submit(q->inner, p->inner, &pass.order));
    leave(c, q, w, st);
  }
  finish(&pass);
  return st;
}

forge_status v_submit(forge_queue *queue, forge_prog *prog, const forge_submit *order) {
  call c;
  object *o;
  if (!begin_on(queue, OBJECT_QUEUE, "submit", &c, &o)) return FORGE_E_INVALID;
  vqueue *q = (vqueue *)(void *)o;
  if (!order) return refuse(&c, "the order is NULL");
  if (order->size < sizeof *order)
    return refuse(&c, "order->size is %u; set it to sizeof *order", order->size);
  forge_status st = order->flags ? wrong(&c, "unknown flags %x", order->flags) : FORGE_OK;
  vprog *p = st ? NULL : (vprog *)(void *)find(&c, prog, OBJECT_PROGRAM, "program");
  if (!p || !take_queue(&c, q)) return FORGE_E_INVALID;
  st = submit_checked(&c, q, p, order);
  atomic_store(&q->busy, 0);
  return st;
}

/* ---- copy ---- */

static forge_status check_ends(const call *c, const forge_copy *k, uint32_t i, forge_copy *inner) {
  const bool reads = k->kind == FORGE_COPY_TO_HOST || k->kind == FORGE_COPY_ON_DEVICE;
  const bool writes = k->kind != FORGE_COPY_TO_HOST;
  forge_status st = FORGE_OK;
  if (reads) st = check_stretch(c, &k->src, "source of copy", i, &inner->src);
  if (!st && writes) st = check_stretch(c, &k->dst, "destination of copy", i, &inner->dst);
  if (!st && writes && !((const vmem *)(void *)k->dst.mem)->writable)
    st = wrong(c, "destination of copy %u is memory imported for reading", i);
  return st;
}

static forge_status check_copy(const call *c, const forge_copy *k, uint32_t i, forge_copy *inner) {
  *inner = *k;
  if (k->kind < FORGE_COPY_TO_DEVICE || k->kind > FORGE_COPY_FILL || k->rsv)
    return refuse(c, "copy %u: kind %u is no FORGE_COPY_*, or a reserved word is not 0", i,
                  k->kind);
  const bool host = k->kind == FORGE_COPY_TO_DEVICE || k->kind == FORGE_COPY_TO_HOST;
  const uint64_t bytes = k->kind == FORGE_COPY_TO_HOST ? k->src.len : k->dst.len;
  if (host && bytes && !k->host) return refuse(c, "copy %u: the host's address is NULL", i);
  const forge_status st = check_ends(c, k, i, inner);
  if (st || k->kind != FORGE_COPY_ON_DEVICE) return st;
  if (k->src.len != k->dst.len)
    return wrong(c, "copy %u: %llu bytes to a stretch of %llu; lengths must be equal", i,
                 (unsigned long long)k->src.len, (unsigned long long)k->dst.len);
  if (k->src.mem == k->dst.mem && k->src.off < k->dst.off + k->dst.len &&
      k->dst.off < k->src.off + k->src.len)
    return wrong(c, "copy %u: source and destination overlap in memory %u", i,
                 ((const vmem *)(void *)k->src.mem)->o.number);
  return FORGE_OK;
}

static touch stretch(const forge_bind *b, bool writes) {
  return (touch){(const vmem *)(void *)b->mem, b->off, b->off + b->len, writes};
}

static void note_copies(work *w, const forge_copy *copies, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    const forge_copy *k = &copies[i];
    const uint64_t host = (uint64_t)(uintptr_t)k->host;
    if (k->kind == FORGE_COPY_TO_HOST) {
      w->touches[w->n_touches++] = stretch(&k->src, false);
      w->touches[w->n_touches++] = (touch){NULL, host, host + k->src.len, true};
    } else {
      w->touches[w->n_touches++] = stretch(&k->dst, true);
    }
    if (k->kind == FORGE_COPY_ON_DEVICE) w->touches[w->n_touches++] = stretch(&k->src, false);
    if (k->kind == FORGE_COPY_TO_DEVICE)
      w->touches[w->n_touches++] = (touch){NULL, host, host + k->dst.len, false};
  }
}

static forge_status copy_checked(const call *c, vqueue *q, const forge_copy *copies, uint32_t n,
                                 const forge_submit *order) {
  const forge_submit none = {.size = sizeof none};
  const forge_submit *o = order ? order : &none;
  passing pass = {.order = *o};
  forge_copy one = {0}, *inner = n > 1 ? kit_zalloc(n * sizeof *inner) : &one;
  work *w = work_create(q, c->number, 2 * n, o->n_signal);
  const bool room = make_room(&pass, 0, (size_t)o->n_wait + o->n_signal);
  forge_status st = room && inner && w ? FORGE_OK : no_memory(c);
  if (!st) st = check_points(c, o, &pass);
  for (uint32_t i = 0; !st && i < n; i++) st = check_copy(c, &copies[i], i, &inner[i]);
  if (!st) note_copies(w, copies, n);
  if (st)
    kit_free(w);
  else if (!(st = enter(c, w, o))) {
    st = judge(c, c->d->inner->copy(q->inner, inner, n, order ? &pass.order : NULL));
    leave(c, q, w, st);
  }
  if (inner != &one) kit_free(inner);
  finish(&pass);
  return st;
}

forge_status v_copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                    const forge_submit *order) {
  call c;
  object *o;
  if (!begin_on(queue, OBJECT_QUEUE, "copy", &c, &o)) return FORGE_E_INVALID;
  vqueue *q = (vqueue *)(void *)o;
  if (n && !copies) return refuse(&c, "%u copies, but their array is NULL", n);
  if (order && order->size < sizeof *order)
    return refuse(&c, "order->size is %u; set it to sizeof *order", order->size);
  if (order && (order->n_bind || order->n_scalar || order->flags)) {
    const forge_status st = wrong(&c, "the order of a copy carries waits and signals only");
    if (st) return st;
  }
  if (!take_queue(&c, q)) return FORGE_E_INVALID;
  const forge_status st = copy_checked(&c, q, copies, n, order);
  atomic_store(&q->busy, 0);
  return st;
}
