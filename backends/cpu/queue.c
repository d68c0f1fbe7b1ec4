/* queue.c -- an order of execution without a thread of its own: the work is done when submit
 * returns. What is wrong with the arguments is the call's failure; what goes wrong with the work is
 * the failure of the timelines it was to signal. */
#include <inttypes.h>
#include <string.h>

#include "glue.h"

#define COPY_GRAIN (INT64_C(1) << 20)

struct forge_queue {
  forge_dev *dev;
};

forge_status cpu_queue_create(forge_dev *dev, uint32_t kind, int32_t priority, forge_queue **out) {
  (void)priority;
  if (kind != FORGE_QUEUE_COMPUTE && kind != FORGE_QUEUE_COPY)
    return cpu_fail(FORGE_E_INVALID, "cpu: unknown kind of queue %" PRIu32 "; there are 1 and 2",
                    kind);
  const forge_status alive = cpu_dev_check(dev);
  if (alive) return alive;
  forge_queue *queue = cpu_alloc(sizeof *queue, 0);
  if (!queue) return FORGE_E_OOM;
  queue->dev = dev;
  *out = queue;
  return FORGE_OK;
}

void cpu_queue_destroy(forge_queue *queue) { cpu_free(queue); }

/* A failure nobody's timeline carries is the call's own. */
static forge_status finish(const forge_submit *order, forge_status status) {
  cpu_order_signal(order, status);
  return order && order->n_signal ? FORGE_OK : status;
}

static uint64_t first_signal(const forge_submit *order) {
  return order && order->n_signal ? order->signal[0].value : 0;
}

forge_status cpu_submit(forge_queue *queue, forge_prog *prog, const forge_submit *submit) {
  forge_status status = cpu_dev_check(queue->dev);
  if (!status) status = cpu_prog_check(prog, submit);
  if (status) return status;
  const cpu_place here = {.op_index = FORGE_OP_INDEX_UNKNOWN, .tl_value = first_signal(submit)};
  cpu_set_place(&here);
  status = cpu_order_wait(submit);
  if (!status) status = cpu_prog_run(prog, queue->dev->threads, submit);
  cpu_set_place(NULL);
  return finish(submit, status);
}

/* ---- copies ---- */

typedef struct stretch {
  uint8_t *to;
  const uint8_t *from; /* NULL: fill */
  int value;
} stretch;

static void copy_part(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  (void)thread;
  const stretch *s = ctx;
  const size_t n = (size_t)(end - begin);
  if (s->from)
    memcpy(s->to + begin, s->from + begin, n);
  else
    memset(s->to + begin, s->value, n);
}

/* Both ends of |c|, checked. */
static forge_status resolve(const forge_copy *c, stretch *out, uint64_t *bytes) {
  forge_status status = FORGE_OK;
  uint8_t *from = NULL;
  const bool to_host = c->kind == FORGE_COPY_TO_HOST, to_device = c->kind == FORGE_COPY_TO_DEVICE;
  if (c->kind < FORGE_COPY_TO_DEVICE || c->kind > FORGE_COPY_FILL)
    return cpu_fail(FORGE_E_INVALID, "cpu: unknown kind of copy %" PRIu32, c->kind);
  *out = (stretch){.to = c->host, .from = c->host, .value = (int)(c->pattern & 255)};
  *bytes = to_host ? c->src.len : c->dst.len;
  if ((to_host || to_device) && !c->host && *bytes)
    return cpu_fail(FORGE_E_INVALID, "cpu: a copy to or from the host has no host address");
  if (c->kind == FORGE_COPY_ON_DEVICE && c->src.len != c->dst.len)
    return cpu_fail(FORGE_E_INVALID, "cpu: a copy of %" PRIu64 " bytes into %" PRIu64, c->src.len,
                    c->dst.len);
  if (!to_host) status = cpu_bind_address(&c->dst, true, &out->to);
  if (status || to_device) return status;
  if (c->kind != FORGE_COPY_FILL) status = cpu_bind_address(&c->src, false, &from);
  out->from = from;
  return status;
}

forge_status cpu_copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                      const forge_submit *order) {
  forge_status status = cpu_dev_check(queue->dev);
  stretch s;
  uint64_t bytes = 0;
  if (status) return status;
  if (order && order->flags)
    return cpu_fail(FORGE_E_UNSUPPORTED, "cpu: copy flags %#" PRIx32 " are not known",
                    order->flags);
  for (uint32_t i = 0; i < n; i++)
    if ((status = resolve(&copies[i], &s, &bytes))) return status;
  status = cpu_order_wait(order);
  for (uint32_t i = 0; i < n && !status; i++) {
    status = resolve(&copies[i], &s, &bytes);
    cpu_parallel(queue->dev->threads, (int64_t)bytes, COPY_GRAIN, copy_part, &s);
  }
  return finish(order, status);
}
