/* work.c -- programs, submits and copies as the trace sees them.
 *
 * With per_op a program becomes programs of one op each, submitted one after the other, every one
 * with a point of its own: that is how the time of an op is known. It costs a submit per op and
 * undoes what the backend would have fused or planned across ops; the trace says so. */
#include <stdio.h>
#include <string.h>

#include "trace.h"

/* ---- programs ---- */

static void free_parts(tprog *p) {
  for (uint32_t i = 0; p->parts && i < p->n_ops; i++)
    if (p->parts[i]) p->w.d->inner->prog_destroy(p->parts[i]);
  kit_free((void *)p->parts);
  kit_free((void *)p->names);
  p->parts = NULL;
  p->names = NULL;
}

static forge_status split(tprog *p, const forge_prog_desc *desc, forge_prog_out *info) {
  const wrap_dev *d = p->w.d;
  const forge_op *op = desc->ops;
  p->n_ops = desc->n_ops;
  p->parts = kit_zalloc(desc->n_ops * sizeof(forge_prog *));
  p->names = kit_zalloc(desc->n_ops * sizeof(char *));
  if (!p->parts || !p->names)
    return kit_fail(d->host, FORGE_E_OOM, "%s: no host memory for trace", d->name);
  for (uint32_t i = 0; i < desc->n_ops; i++, op = kit_op_next(op)) {
    forge_prog_desc one = *desc;
    forge_prog_out out = {.size = sizeof out};
    one.n_ops = 1;
    one.ops = op;
    one.ops_bytes = op->bytes;
    p->names[i] = kit_op_name(op->op);
    const forge_status st = d->inner->prog_create(d->dev, &one, &p->parts[i], &out);
    if (st) return st;
    info->workspace_bytes += out.workspace_bytes;
    info->build_ns += out.build_ns;
  }
  return FORGE_OK;
}

forge_status t_prog_create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                           forge_prog_out *info) {
  tdev *d = dev_of(wrap_of_dev(dev));
  const uint64_t began = kit_now_ns(), number = atomic_fetch_add(&d->programs, 1) + 1;
  tprog *p = kit_zalloc(sizeof *p);
  if (!p) return kit_fail(d->w.host, FORGE_E_OOM, "%s: no host memory for trace", d->w.name);
  p->w.d = &d->w;
  p->n_ops = desc->n_ops;
  if (desc->n_ops == 1)
    snprintf(p->name, sizeof p->name, "%s", kit_op_name(((const forge_op *)desc->ops)->op));
  else
    snprintf(p->name, sizeof p->name, "program %llu (%u ops)", (unsigned long long)number,
             desc->n_ops);
  const bool splits = d->per_op && desc->n_ops > 1;
  const forge_status st =
      splits ? split(p, desc, info) : d->w.inner->prog_create(d->w.dev, desc, &p->w.inner, info);
  host_call(d, "prog_create", began, 0);
  if (st) {
    free_parts(p);
    kit_free(p);
  } else {
    *out = (forge_prog *)(void *)p;
  }
  return st;
}

void t_prog_destroy(forge_prog *prog) {
  tprog *p = (tprog *)(void *)prog;
  if (!p) return;
  free_parts(p);
  if (p->w.inner) p->w.d->inner->prog_destroy(p->w.inner);
  kit_free(p);
}

/* ---- pieces ---- */

static bool is_traced(const tdev *d, uint64_t number) {
  return number >= d->from && (!d->to || number <= d->to);
}

static piece *new_piece(const char *name, uint64_t number, uint32_t ops, uint64_t bytes) {
  piece *p = kit_zalloc(sizeof *p);
  if (!p) return NULL;
  snprintf(p->name, sizeof p->name, "%s", name);
  p->given_ns = kit_now_ns();
  p->number = number;
  p->ops = ops;
  p->bytes = bytes;
  return p;
}

/* Before the call, since a backend may be done before it returns. */
static uint64_t enter(tdev *d, track *t, piece *p, const forge_submit *order) {
  if (!p) return 0;
  pthread_mutex_lock(&d->lock);
  p->flows[p->n_flows++] = file_new_flow(d->file); /* from the call to the work */
  const uint64_t flow = p->flows[0];
  track_arrows(d, t, p, order);
  if (order && order->n_signal) {
    p->tl = order->signal[order->n_signal - 1].tl;
    p->value = order->signal[order->n_signal - 1].value;
  }
  track_push(t, p);
  pthread_mutex_unlock(&d->lock);
  return flow;
}

static void leave(tdev *d, track *t, piece *p, forge_status st) {
  if (!p || !st) return;
  pthread_mutex_lock(&d->lock);
  track_withdraw(t, p);
  pthread_mutex_unlock(&d->lock);
}

/* ---- submit ---- */

static forge_status submit_op(tqueue *q, const tprog *p, uint32_t i, const forge_submit *order,
                              uint64_t number, bool traced) {
  tdev *d = dev_of(q->w.d);
  forge_submit part = *order;
  wrap_order w;
  if (i) part.n_wait = 0;
  if (i + 1 < p->n_ops) part.n_signal = 0;
  forge_status st = wrap_order_init(&w, &part, 1, d->w.host);
  if (st) return st;
  piece *slice = traced ? new_piece(p->names[i], number, 1, 0) : NULL;
  pthread_mutex_lock(&d->lock);
  const uint64_t value = ++q->op_value;
  if (slice) {
    slice->tl = (forge_tl *)(void *)q;
    slice->value = value;
    track_push(&q->ops, slice);
  }
  pthread_mutex_unlock(&d->lock);
  wrap_order_signal(&w, q->op_tl, value);
  st = d->w.inner->submit(q->w.inner, p->parts[i], &w.inner);
  leave(d, &q->ops, slice, st);
  wrap_order_finish(&w);
  return st;
}

/* Where one is refused the submit is, and its memory may be freed at once: by then the ops before
 * are done. */
static forge_status submit_ops(tqueue *q, const tprog *p, const forge_submit *order,
                               uint64_t number, bool traced) {
  for (uint32_t i = 0; i < p->n_ops; i++) {
    const uint64_t given = q->op_value;
    const forge_status st = submit_op(q, p, i, order, number, traced);
    if (st && i) q->w.d->inner->tl_wait(q->op_tl, given, FORGE_WAIT_FOREVER);
    if (st) return st;
  }
  return FORGE_OK;
}

static forge_status submit_whole(tqueue *q, const tprog *p, const forge_submit *order) {
  wrap_order w;
  forge_status st = wrap_order_init(&w, order, 0, q->w.d->host);
  if (st) return st;
  st = q->w.d->inner->submit(q->w.inner, p->w.inner, &w.inner);
  wrap_order_finish(&w);
  return st;
}

forge_status t_submit(forge_queue *queue, forge_prog *prog, const forge_submit *order) {
  tqueue *q = (tqueue *)(void *)queue;
  const tprog *p = (const tprog *)(void *)prog;
  tdev *d = dev_of(q->w.d);
  const uint64_t number = atomic_fetch_add(&d->submits, 1) + 1, began = kit_now_ns();
  const bool traced = is_traced(d, number);
  piece *slice = traced ? new_piece(p->name, number, p->n_ops ? p->n_ops : 1, 0) : NULL;
  const uint64_t flow = enter(d, &q->work, slice, order);
  const forge_status st =
      p->parts ? submit_ops(q, p, order, number, traced) : submit_whole(q, p, order);
  leave(d, &q->work, slice, st);
  if (traced) host_call(d, "submit", began, st ? 0 : flow);
  return st;
}

/* ---- copy ---- */

static void name_copies(const forge_copy *copies, uint32_t n, char *out, size_t size,
                        uint64_t *out_bytes) {
  static const char *const kinds[] = {"copy", "copy to device", "copy to host", "copy on device",
                                      "fill"};
  const uint32_t kind = n ? copies->kind : 0;
  *out_bytes = 0;
  for (uint32_t i = 0; i < n; i++)
    *out_bytes += copies[i].kind == FORGE_COPY_TO_HOST ? copies[i].src.len : copies[i].dst.len;
  snprintf(out, size, "%s", kinds[kind < KIT_COUNT(kinds) ? kind : 0]);
}

forge_status t_copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                    const forge_submit *order) {
  tqueue *q = (tqueue *)(void *)queue;
  tdev *d = dev_of(q->w.d);
  const uint64_t number = atomic_load(&d->submits), began = kit_now_ns();
  const bool traced = is_traced(d, number ? number : 1);
  char name[64];
  uint64_t bytes;
  wrap_order w;
  forge_status st = wrap_order_init(&w, order, 0, d->w.host);
  if (st) return st;
  name_copies(copies, n, name, sizeof name, &bytes);
  piece *slice = traced ? new_piece(name, number, 0, bytes) : NULL;
  const uint64_t flow = enter(d, &q->work, slice, order);
  st = d->w.inner->copy(q->w.inner, copies, n, order ? &w.inner : NULL);
  leave(d, &q->work, slice, st);
  if (traced) host_call(d, "copy", began, st ? 0 : flow);
  wrap_order_finish(&w);
  return st;
}
