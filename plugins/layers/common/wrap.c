/* wrap.c -- see wrap.h. */
#include "wrap.h"

#include <stdio.h>
#include <string.h>

/* ---- device and memory ---- */

void wrap_dev_close(forge_dev *dev) {
  wrap_dev *d = wrap_of_dev(dev);
  if (!d) return;
  d->inner->dev_close(d->dev);
  kit_free(d);
}

static forge_status dev_query(forge_dev *dev, uint32_t key, uint64_t arg, forge_value *out) {
  wrap_dev *d = wrap_of_dev(dev);
  return d->inner->dev_query(d->dev, key, arg, out);
}

static forge_status mem_alloc(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                              forge_mem_out *info) {
  wrap_dev *d = wrap_of_dev(dev);
  return d->inner->mem_alloc(d->dev, desc, out, info);
}

static void mem_free(forge_dev *dev, forge_mem *mem) {
  wrap_dev *d = wrap_of_dev(dev);
  d->inner->mem_free(d->dev, mem);
}

/* ---- queues and time ---- */

static forge_status no_memory(const wrap_dev *d) {
  return kit_fail(d->host, FORGE_E_OOM, "%s: no host memory for a layer", d->name);
}

forge_status wrap_queue_create(forge_dev *dev, uint32_t kind, int32_t priority, forge_queue **out) {
  wrap_dev *d = wrap_of_dev(dev);
  wrap_queue *q = kit_zalloc(d->queue_bytes);
  if (!q) return no_memory(d);
  q->d = d;
  const forge_status st = d->inner->queue_create(d->dev, kind, priority, &q->inner);
  if (st)
    kit_free(q);
  else
    *out = (forge_queue *)(void *)q;
  return st;
}

void wrap_queue_destroy(forge_queue *queue) {
  wrap_queue *q = wrap_of_queue(queue);
  if (!q) return;
  q->d->inner->queue_destroy(q->inner);
  kit_free(q);
}

static void pass_on(forge_listener *self, uint64_t value, forge_status status) {
  const wrap_tl *tl = (const wrap_tl *)(void *)self;
  tl->d->host->tl_notify(tl->d->host->ctx, tl->cookie, value, status);
}

forge_status wrap_tl_create(forge_dev *dev, uint64_t initial, uint64_t cookie, forge_tl **out) {
  wrap_dev *d = wrap_of_dev(dev);
  wrap_tl *tl = kit_zalloc(d->tl_bytes);
  if (!tl) return no_memory(d);
  *tl = (wrap_tl){.listener = {pass_on}, .d = d, .cookie = cookie};
  const forge_status st =
      d->inner->tl_create(d->dev, initial, (uint64_t)(uintptr_t)&tl->listener, &tl->inner);
  if (st)
    kit_free(tl);
  else
    *out = (forge_tl *)(void *)tl;
  return st;
}

void wrap_tl_destroy(forge_tl *timeline) {
  wrap_tl *tl = wrap_of_tl(timeline);
  if (!tl) return;
  tl->d->inner->tl_destroy(tl->inner);
  kit_free(tl);
}

static forge_status tl_query(forge_tl *timeline, uint64_t *out) {
  const wrap_tl *tl = wrap_of_tl(timeline);
  return tl->d->inner->tl_query(tl->inner, out);
}

static forge_status tl_wait(forge_tl *timeline, uint64_t value, uint64_t timeout_ns) {
  const wrap_tl *tl = wrap_of_tl(timeline);
  return tl->d->inner->tl_wait(tl->inner, value, timeout_ns);
}

/* ---- work ---- */

static forge_status op_support(forge_dev *dev, const forge_prog_desc *desc, forge_support *out) {
  wrap_dev *d = wrap_of_dev(dev);
  return d->inner->op_support(d->dev, desc, out);
}

forge_status wrap_prog_create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                              forge_prog_out *info) {
  wrap_dev *d = wrap_of_dev(dev);
  wrap_prog *p = kit_zalloc(d->prog_bytes);
  if (!p) return no_memory(d);
  p->d = d;
  const forge_status st = d->inner->prog_create(d->dev, desc, &p->inner, info);
  if (st)
    kit_free(p);
  else
    *out = (forge_prog *)(void *)p;
  return st;
}

void wrap_prog_destroy(forge_prog *prog) {
  wrap_prog *p = wrap_of_prog(prog);
  if (!p) return;
  p->d->inner->prog_destroy(p->inner);
  kit_free(p);
}

forge_status wrap_order_init(wrap_order *w, const forge_submit *order, uint32_t extra,
                             const forge_host *host) {
  w->inner = order ? *order : (forge_submit){.size = sizeof w->inner};
  w->points = w->small;
  const size_t n = (size_t)w->inner.n_wait + w->inner.n_signal;
  if (n + extra > WRAP_POINTS) {
    w->points = kit_zalloc((n + extra) * sizeof *w->points);
    if (!w->points) return kit_fail(host, FORGE_E_OOM, "no host memory for an order");
  }
  for (size_t i = 0; i < n; i++) {
    const bool waits = i < w->inner.n_wait;
    const forge_point *p = waits ? &order->wait[i] : &order->signal[i - w->inner.n_wait];
    w->points[i] = (forge_point){wrap_of_tl(p->tl)->inner, p->value};
  }
  w->inner.wait = w->points;
  w->inner.signal = w->points + w->inner.n_wait;
  return FORGE_OK;
}

void wrap_order_signal(wrap_order *w, forge_tl *inner, uint64_t value) {
  w->points[(size_t)(w->inner.signal - w->points) + w->inner.n_signal++] =
      (forge_point){inner, value};
}

void wrap_order_finish(wrap_order *w) {
  if (w->points != w->small) kit_free(w->points);
}

static forge_status submit(forge_queue *queue, forge_prog *prog, const forge_submit *order) {
  const wrap_queue *q = wrap_of_queue(queue);
  wrap_order w;
  forge_status st = wrap_order_init(&w, order, 0, q->d->host);
  if (st) return st;
  st = q->d->inner->submit(q->inner, wrap_of_prog(prog)->inner, &w.inner);
  wrap_order_finish(&w);
  return st;
}

static forge_status copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                         const forge_submit *order) {
  const wrap_queue *q = wrap_of_queue(queue);
  wrap_order w;
  forge_status st = wrap_order_init(&w, order, 0, q->d->host);
  if (st) return st;
  st = q->d->inner->copy(q->inner, copies, n, order ? &w.inner : NULL);
  wrap_order_finish(&w);
  return st;
}

/* ---- blocks ---- */

const forge_block_hostreg_v0 *wrap_hostreg;

static forge_status import(forge_dev *dev, void *host, uint64_t bytes, uint32_t writable,
                           forge_mem **out, forge_mem_out *info) {
  wrap_dev *d = wrap_of_dev(dev);
  return d->hostreg->import(d->dev, host, bytes, writable, out, info);
}

static void release(forge_dev *dev, forge_mem *mem) {
  wrap_dev *d = wrap_of_dev(dev);
  d->hostreg->release(d->dev, mem);
}

static forge_status lose(forge_dev *dev) {
  wrap_dev *d = wrap_of_dev(dev);
  return d->testing->lose(d->dev);
}

static const forge_block_hostreg_v0 hostreg = {.n_slots = 2, .import = import, .release = release};
static const forge_block_testing_v0 testing = {.n_slots = 1, .lose = lose};

forge_status wrap_block(forge_dev *dev, uint32_t id, uint32_t minor, const void *inner,
                        const void **out_table) {
  wrap_dev *d = wrap_of_dev(dev);
  (void)minor; /* minors of a block append, and the slots of minor 0 are all that is passed on */
  if (id == FORGE_BLOCK_HOSTREG) {
    d->hostreg = inner;
    *out_table = wrap_hostreg ? wrap_hostreg : &hostreg;
    return FORGE_OK;
  }
  if (id == FORGE_BLOCK_TESTING) {
    d->testing = inner;
    *out_table = &testing;
    return FORGE_OK;
  }
  return FORGE_E_UNSUPPORTED;
}

/* ---- opening ---- */

wrap_dev *wrap_open(const forge_layer_open *in, size_t dev_bytes) {
  wrap_dev *d = kit_zalloc(dev_bytes);
  if (!d) return NULL;
  d->inner = in->inner;
  d->dev = in->inner_dev;
  d->host = in->host;
  d->report_count = in->report_count;
  d->queue_bytes = sizeof(wrap_queue);
  d->tl_bytes = sizeof(wrap_tl);
  d->prog_bytes = sizeof(wrap_prog);
  snprintf(d->name, sizeof d->name, "%s", in->device);
  forge_backend_v1 *t = &d->table;
  *t = *in->inner;
  t->n_slots = FORGE_BACKEND_SLOTS;
  t->dev_close = wrap_dev_close;
  t->dev_query = dev_query;
  t->mem_alloc = mem_alloc;
  t->mem_free = mem_free;
  t->queue_create = wrap_queue_create;
  t->queue_destroy = wrap_queue_destroy;
  t->tl_create = wrap_tl_create;
  t->tl_destroy = wrap_tl_destroy;
  t->tl_query = tl_query;
  t->tl_wait = tl_wait;
  t->op_support = op_support;
  t->prog_create = wrap_prog_create;
  t->prog_destroy = wrap_prog_destroy;
  t->submit = submit;
  t->copy = copy;
  return d;
}

void wrap_answer(wrap_dev *d, forge_layer_device *out) {
  out->table = &d->table;
  out->dev = (forge_dev *)(void *)d;
}
