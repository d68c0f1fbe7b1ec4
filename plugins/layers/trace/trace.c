/* trace.c -- a layer that writes what a device does, and when, into a file that Perfetto
 * (ui.perfetto.dev) and chrome://tracing open. file.c: the file. tracks.c: slices and arrows.
 * work.c: programs, submits and copies. Here: the rest of the slots, and memory as a counter. */
#include "trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

static void count_memory(tdev *d) {
  char quoted[128];
  file_event(d->file,
             "\"name\":\"memory of %s\",\"ph\":\"C\",\"pid\":%u,\"tid\":0,\"ts\":" FILE_US
             ",\"args\":{"
             "\"bytes\":%llu}",
             file_quote(d->w.name, quoted, sizeof quoted), d->group,
             FILE_US_OF(file_ns(d->file, kit_now_ns())), (unsigned long long)d->held);
}

static void note_block(tdev *d, const forge_mem *mem, uint64_t bytes) {
  pthread_mutex_lock(&d->lock);
  if (KIT_GROW(d->blocks, d->n_blocks, d->cap_blocks)) {
    d->blocks[d->n_blocks].mem = mem;
    d->blocks[d->n_blocks++].bytes = bytes;
    d->held += bytes;
  }
  count_memory(d);
  pthread_mutex_unlock(&d->lock);
}

static void forget_block(tdev *d, const forge_mem *mem) {
  pthread_mutex_lock(&d->lock);
  for (size_t i = 0; i < d->n_blocks; i++) {
    if (d->blocks[i].mem != mem) continue;
    d->held -= d->blocks[i].bytes;
    d->blocks[i] = d->blocks[--d->n_blocks];
    break;
  }
  count_memory(d);
  pthread_mutex_unlock(&d->lock);
}

static forge_status t_mem_alloc(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                                forge_mem_out *info) {
  tdev *d = dev_of(wrap_of_dev(dev));
  const uint64_t began = kit_now_ns();
  const forge_status st = d->w.inner->mem_alloc(d->w.dev, desc, out, info);
  host_call(d, "mem_alloc", began, 0);
  if (!st) note_block(d, *out, desc->bytes);
  return st;
}

static void t_mem_free(forge_dev *dev, forge_mem *mem) {
  tdev *d = dev_of(wrap_of_dev(dev));
  if (mem) forget_block(d, mem);
  d->w.inner->mem_free(d->w.dev, mem);
}

static forge_status t_import(forge_dev *dev, void *host, uint64_t bytes, uint32_t writable,
                             forge_mem **out, forge_mem_out *info) {
  tdev *d = dev_of(wrap_of_dev(dev));
  const uint64_t began = kit_now_ns();
  const forge_status st = d->w.hostreg->import(d->w.dev, host, bytes, writable, out, info);
  host_call(d, "import", began, 0); /* the host's pages: not counted as the device's memory */
  return st;
}

static void t_release(forge_dev *dev, forge_mem *mem) {
  const tdev *d = dev_of(wrap_of_dev(dev));
  d->w.hostreg->release(d->w.dev, mem);
}

static const forge_block_hostreg_v0 hostreg = {
    .n_slots = 2, .import = t_import, .release = t_release};

/* ---- queues ---- */

static void op_reached(forge_listener *self, uint64_t value, forge_status status) {
  tqueue *q = (tqueue *)(void *)((char *)self - offsetof(tqueue, op_listener));
  tdev *d = dev_of(q->w.d);
  pthread_mutex_lock(&d->lock);
  tracks_reached(d, (const forge_tl *)(void *)q, value, status);
  pthread_mutex_unlock(&d->lock);
}

static forge_status begin_queue(tdev *d, tqueue *q, uint32_t kind) {
  pthread_mutex_lock(&d->lock);
  q->next = d->queues;
  d->queues = q;
  const uint32_t number = ++d->n_queues;
  track_begin(d, &q->work, "queue %u (%s)", number, kind == FORGE_QUEUE_COPY ? "copy" : "compute");
  if (d->per_op) track_begin(d, &q->ops, "ops of queue %u", number);
  pthread_mutex_unlock(&d->lock);
  q->op_listener.reached = op_reached;
  if (!d->per_op) return FORGE_OK;
  return d->w.inner->tl_create(d->w.dev, 0, (uint64_t)(uintptr_t)&q->op_listener, &q->op_tl);
}

static void t_queue_destroy(forge_queue *queue) {
  tqueue *q = (tqueue *)(void *)queue;
  if (!q) return;
  tdev *d = dev_of(q->w.d);
  pthread_mutex_lock(&d->lock);
  track_end(d, &q->ops);
  track_end(d, &q->work);
  tqueue **at = &d->queues;
  while (*at != q) at = &(*at)->next;
  *at = q->next;
  pthread_mutex_unlock(&d->lock);
  if (q->op_tl) d->w.inner->tl_destroy(q->op_tl);
  wrap_queue_destroy(queue);
}

static forge_status t_queue_create(forge_dev *dev, uint32_t kind, int32_t priority,
                                   forge_queue **out) {
  tdev *d = dev_of(wrap_of_dev(dev));
  forge_status st = wrap_queue_create(dev, kind, priority, out);
  if (!st && (st = begin_queue(d, (tqueue *)(void *)*out, kind))) t_queue_destroy(*out);
  return st;
}

/* ---- time ---- */

static void saw(ttl *tl, uint64_t value, forge_status status) {
  tdev *d = dev_of(tl->w.d);
  pthread_mutex_lock(&d->lock);
  tracks_reached(d, (const forge_tl *)(void *)tl, value, status);
  pthread_mutex_unlock(&d->lock);
}

static void t_reached(forge_listener *self, uint64_t value, forge_status status) {
  ttl *tl = (ttl *)(void *)self;
  saw(tl, value, status);
  tl->w.d->host->tl_notify(tl->w.d->host->ctx, tl->w.cookie, value, status);
}

static forge_status t_tl_create(forge_dev *dev, uint64_t initial, uint64_t cookie, forge_tl **out) {
  const forge_status st = wrap_tl_create(dev, initial, cookie, out);
  if (!st) ((ttl *)(void *)*out)->w.listener.reached = t_reached;
  return st;
}

static void t_tl_destroy(forge_tl *timeline) {
  ttl *tl = (ttl *)(void *)timeline;
  if (!tl) return;
  tdev *d = dev_of(tl->w.d);
  pthread_mutex_lock(&d->lock); /* its work is finished; no piece may point to it any more */
  tracks_reached(d, timeline, UINT64_MAX, FORGE_OK);
  tracks_forget(d, tl);
  pthread_mutex_unlock(&d->lock);
  wrap_tl_destroy(timeline);
}

static forge_status t_tl_query(forge_tl *timeline, uint64_t *out) {
  ttl *tl = (ttl *)(void *)timeline;
  const forge_status st = tl->w.d->inner->tl_query(tl->w.inner, out);
  saw(tl, st ? 0 : *out, st);
  return st;
}

static forge_status t_tl_wait(forge_tl *timeline, uint64_t value, uint64_t timeout_ns) {
  ttl *tl = (ttl *)(void *)timeline;
  const uint64_t began = kit_now_ns();
  const forge_status st = tl->w.d->inner->tl_wait(tl->w.inner, value, timeout_ns);
  host_call(dev_of(tl->w.d), "wait", began, 0);
  if (st != FORGE_E_TIMEOUT) saw(tl, st ? 0 : value, st);
  return st;
}

/* ---- opening ---- */

static void t_dev_close(forge_dev *dev) {
  tdev *d = dev_of(wrap_of_dev(dev));
  if (!d) return;
  trace_file *file = d->file;
  kit_free(d->blocks);
  pthread_mutex_destroy(&d->lock);
  wrap_dev_close(dev);
  file_release(file);
}

static void introduce(tdev *d) {
  char quoted[128];
  extern char *program_invocation_short_name;
  static const char note[] =
      "each op was submitted alone: times hold one submit each, and nothing was fused across ops";
  if (d->group == 2) {
    file_event(
        d->file,
        "\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"tid\":0,\"args\":{\"name\":\"host: "
        "%s\"}",
        file_quote(program_invocation_short_name, quoted, sizeof quoted));
  }
  file_event(
      d->file,
      "\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%u,\"tid\":0,\"args\":{\"name\":\"device "
      "%s\"}",
      d->group, file_quote(d->w.name, quoted, sizeof quoted));
  if (d->per_op)
    file_event(
        d->file,
        "\"name\":\"per_op: %s\",\"ph\":\"i\",\"s\":\"p\",\"pid\":%u,\"tid\":0,\"ts\":" FILE_US,
        note, d->group, FILE_US_OF(file_ns(d->file, kit_now_ns())));
}

static void set_slots(forge_backend_v1 *t) {
  t->dev_close = t_dev_close;
  t->mem_alloc = t_mem_alloc;
  t->mem_free = t_mem_free;
  t->queue_create = t_queue_create;
  t->queue_destroy = t_queue_destroy;
  t->tl_create = t_tl_create;
  t->tl_destroy = t_tl_destroy;
  t->tl_query = t_tl_query;
  t->tl_wait = t_tl_wait;
  t->prog_create = t_prog_create;
  t->prog_destroy = t_prog_destroy;
  t->submit = t_submit;
  t->copy = t_copy;
}

static forge_status t_open(const forge_layer_open *in, forge_layer_device *out) {
  trace_file *file = file_acquire(kit_option(in->options, "file", "forge-trace-%p.json"), in->host);
  if (!file) return FORGE_E_IO;
  tdev *d = (tdev *)(void *)wrap_open(in, sizeof *d);
  if (!d) {
    file_release(file);
    return kit_fail(in->host, FORGE_E_OOM, "trace: no host memory");
  }
  d->file = file;
  d->group = file_new_group(file);
  d->per_op = kit_option_bool(in->options, "per_op");
  d->from = kit_option_u64(in->options, "from", 1);
  d->to = kit_option_u64(in->options, "to", 0);
  d->w.queue_bytes = sizeof(tqueue);
  d->w.tl_bytes = sizeof(ttl);
  pthread_mutex_init(&d->lock, NULL);
  set_slots(&d->w.table);
  introduce(d);
  wrap_answer(&d->w, out);
  return FORGE_OK;
}

static const forge_layer_v1 table = {
    .n_slots = FORGE_LAYER_SLOTS, .open = t_open, .block = wrap_block};

FORGE_BACKEND_ENTRY forge_status forge_layer_entry_v1(const forge_layer_hello *hello,
                                                      forge_layer_reply *reply) {
  wrap_hostreg = &hostreg;
  return kit_greet(hello, reply, "trace", &table) ? FORGE_OK : FORGE_E_ABI;
}
