/* order.c -- which work is under way, and what is ordered before what.
 *
 * Each queue numbers its pieces of work. A clock says of each queue up to which number everything
 * comes before; a piece's clock is joined from the piece before it on its queue, from the work that
 * signals what it waits for, and from what the host was told is done. Two pieces on different
 * queues of which neither is in the other's clock are not ordered, whether or not one happened to
 * finish first. */
#include <stdio.h>
#include <string.h>

#include "validate.h"

enum { MAX_WORKS = 256 }; /* remembered per queue; older ones are taken as ordered */

static void join(clock_vector *to, const clock_vector *from) {
  for (uint32_t i = 0; i < MAX_QUEUES; i++)
    if (to->seq[i] < from->seq[i]) to->seq[i] = from->seq[i];
}

/* ---- the list of a queue ---- */

static void drop_first(vqueue *q) {
  work *w = q->first;
  q->first = w->next;
  if (!q->first) q->last = NULL;
  q->n_works--;
  kit_free(w);
}

static bool is_known(const vdev *d, const work *w) {
  return w->q->index == MAX_QUEUES || d->known.seq[w->q->index] >= w->seq;
}

/* What is done matters for races only, and only as long as the host might not know. */
static void tidy(vqueue *q) {
  const vdev *d = q->o.d;
  while (q->first && q->first->done && q->first->given &&
         (!d->several || !d->races || is_known(d, q->first) || q->n_works > MAX_WORKS))
    drop_first(q);
}

/* Work of one queue is done in order. */
static void mark_done(work *w) {
  for (work *at = w->q->first; at; at = at->next) {
    at->done = true;
    if (at == w) break;
  }
}

work *work_create(vqueue *q, uint64_t number, uint32_t n_touches, uint32_t n_signals) {
  work *w = kit_zalloc(sizeof *w + n_touches * sizeof(touch) + n_signals * sizeof(signal_point));
  if (!w) return NULL;
  w->q = q;
  w->call = number;
  w->touches = (touch *)(void *)(w + 1);
  w->signals = (signal_point *)(void *)(w->touches + n_touches);
  return w;
}

/* ---- points ---- */

/* The clock of the signal that reaches |value|: of those remembered the least that is not below. */
static const clock_vector *clock_of_wait(const vtl *tl, uint64_t value) {
  const uint64_t n = tl->n_points < MAX_POINTS ? tl->n_points : MAX_POINTS;
  const clock_vector *best = NULL;
  uint64_t least = UINT64_MAX;
  for (uint64_t i = 0; i < n; i++) {
    if (tl->points[i].value < value || tl->points[i].value > least) continue;
    least = tl->points[i].value;
    best = &tl->points[i].clock;
  }
  return best;
}

/* The clock of the last signal that |value| stands for. */
static const clock_vector *clock_of_reached(const vtl *tl, uint64_t value) {
  const uint64_t n = tl->n_points < MAX_POINTS ? tl->n_points : MAX_POINTS;
  const clock_vector *best = NULL;
  uint64_t most = 0;
  for (uint64_t i = 0; i < n; i++) {
    if (tl->points[i].value > value || tl->points[i].value < most) continue;
    most = tl->points[i].value;
    best = &tl->points[i].clock;
  }
  return best;
}

static void promise(vtl *tl, uint64_t value, const clock_vector *clock) {
  tl->promised = value > tl->promised ? value : tl->promised;
  if (!tl->points) return; /* destroyed by another thread at this moment */
  tl->points[tl->n_points % MAX_POINTS].value = value;
  tl->points[tl->n_points++ % MAX_POINTS].clock = *clock;
}

void work_place(work *w, const forge_submit *order) {
  vqueue *q = w->q;
  vdev *d = q->o.d;
  join(&w->clock, &d->known);
  if (q->last) join(&w->clock, &q->last->clock);
  for (uint32_t i = 0; order && i < order->n_wait; i++) {
    const clock_vector *clock =
        clock_of_wait((const vtl *)(void *)order->wait[i].tl, order->wait[i].value);
    if (clock) join(&w->clock, clock);
  }
  if (q->index < MAX_QUEUES) w->clock.seq[q->index] = w->seq = ++d->seq[q->index];
  for (uint32_t i = 0; order && i < order->n_signal; i++) {
    w->signals[w->n_signals++] =
        (signal_point){(vtl *)(void *)order->signal[i].tl, order->signal[i].value};
    promise(w->signals[i].tl, w->signals[i].value, &w->clock);
  }
  if (q->last)
    q->last->next = w;
  else
    q->first = w;
  q->last = w;
  q->n_works++;
}

void work_given(work *w) {
  w->given = true;
  tidy(w->q);
}

void work_withdraw(work *w) {
  vqueue *q = w->q;
  work **at = &q->first;
  while (*at && *at != w) at = &(*at)->next;
  if (!*at) return;
  *at = w->next;
  q->last = NULL;
  for (work *left = q->first; left; left = left->next) q->last = left;
  q->n_works--;
  for (uint32_t i = 0; i < w->n_signals; i++) { /* nobody will keep that promise */
    vtl *tl = w->signals[i].tl;
    if (tl->n_points) tl->n_points--;
    tl->promised = tl->n_points ? tl->points[(tl->n_points - 1) % MAX_POINTS].value : tl->seen;
  }
  kit_free(w);
}

/* ---- time ---- */

void time_reached(vtl *tl, uint64_t value, forge_status failed, bool told) {
  vdev *d = tl->o.d;
  if (failed)
    tl->failed = failed;
  else if (value > tl->seen)
    tl->seen = value;
  for (uint32_t k = 0; k < MAX_QUEUES; k++)
    for (work *w = d->by_index[k] ? d->by_index[k]->first : NULL; w; w = w->next)
      for (uint32_t i = 0; !w->done && i < w->n_signals; i++)
        if (w->signals[i].tl == tl && (failed || w->signals[i].value <= tl->seen)) mark_done(w);
  const clock_vector *clock = told && !failed ? clock_of_reached(tl, tl->seen) : NULL;
  if (clock) join(&d->known, clock);
  for (uint32_t k = 0; k < MAX_QUEUES; k++)
    if (d->by_index[k]) tidy(d->by_index[k]);
}

void works_end(vqueue *q) {
  vdev *d = q->o.d;
  if (q->index < MAX_QUEUES && d->known.seq[q->index] < d->seq[q->index])
    d->known.seq[q->index] = d->seq[q->index];
  while (q->first) drop_first(q);
}

/* ---- questions ---- */

static bool uses(const work *w, const object *o) {
  if ((const object *)w->prog == o || &w->q->o == o) return true;
  for (uint32_t i = 0; i < w->n_touches; i++)
    if (w->touches[i].mem && &w->touches[i].mem->o == o) return true;
  for (uint32_t i = 0; i < w->n_signals; i++)
    if (&w->signals[i].tl->o == o) return true;
  return false;
}

const work *work_using(vdev *d, const object *o) {
  for (uint32_t k = 0; k < MAX_QUEUES; k++)
    for (work *w = d->by_index[k] ? d->by_index[k]->first : NULL; w; w = w->next)
      if (!w->done && w->n_signals && uses(w, o)) return w;
  return NULL;
}

static const touch *conflict(const work *a, const work *b, const touch **out_b) {
  for (uint32_t i = 0; i < a->n_touches; i++)
    for (uint32_t k = 0; k < b->n_touches; k++) {
      const touch *x = &a->touches[i], *y = &b->touches[k];
      if (x->mem != y->mem || !(x->writes || y->writes) || x->lo >= y->hi || y->lo >= x->hi)
        continue;
      *out_b = y;
      return x;
    }
  return NULL;
}

bool work_races(const work *w, char *out, size_t size) {
  const vdev *d = w->q->o.d;
  for (uint32_t k = 0; d->races && d->several && k < MAX_QUEUES; k++) {
    const vqueue *q = d->by_index[k];
    if (!q || q == w->q) continue;
    for (const work *x = q->first; x; x = x->next) {
      const touch *theirs, *ours;
      if (w->clock.seq[k] >= x->seq || !(ours = conflict(w, x, &theirs))) continue;
      const uint64_t lo = ours->lo > theirs->lo ? ours->lo : theirs->lo;
      const uint64_t hi = ours->hi < theirs->hi ? ours->hi : theirs->hi;
      char place[64];
      snprintf(place, sizeof place, ours->mem ? "memory %u" : "host memory",
               ours->mem ? ours->mem->o.number : 0);
      snprintf(out, size,
               "race: bytes %llu to %llu of %s are %s by this on queue %u and %s by call %llu on "
               "queue %u, and nothing orders the two; let one wait for a point the other signals",
               (unsigned long long)lo, (unsigned long long)hi, place,
               ours->writes ? "written" : "read", w->q->o.number,
               theirs->writes ? "written" : "read", (unsigned long long)x->call, q->o.number);
      return true;
    }
  }
  return false;
}
