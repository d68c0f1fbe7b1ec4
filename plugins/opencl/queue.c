/* queue.c -- command queues in order, submits and copies, and what the timeline library wants to
 * know about OpenCL's events. Nothing here waits, except for a copy nobody will hear the end of. */
#include <inttypes.h>

#include "host.h"

/* ---- events ---- */

/* What became of the command behind |event|, which is over. */
static forge_status judge(forge_dev *dev, cl_event event, cl_int waited) {
  cl_int code = CL_COMPLETE;
  if (waited)
    ocl_cl.GetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof code, &code, NULL);
  if (waited && code >= 0) code = waited;
  forge_status status = code < 0 ? ocl_status_of(code) : FORGE_OK;
  if (status == FORGE_E_OOM) status = FORGE_E_FAULT; /* nothing is as it was */
  if (status == FORGE_E_DEVICE_LOST) atomic_store(&dev->lost, true);
  return atomic_load(&dev->lost) ? FORGE_E_DEVICE_LOST : status;
}

static forge_status event_wait(void *ctx, void *event) {
  cl_event e = event;
  return judge(ctx, e, ocl_cl.WaitForEvents(1, &e));
}

static int event_is_done(void *ctx, void *event) {
  (void)ctx;
  cl_int code = CL_QUEUED;
  ocl_cl.GetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof code, &code, NULL);
  return code <= CL_COMPLETE;
}

static forge_status event_before(void *ctx, void *stream, void *event) {
  (void)ctx;
  cl_event e = event;
  const cl_int code = ocl_cl.EnqueueBarrierWithWaitList(stream, 1, &e, NULL);
  return code ? ocl_fail_cl(code, "opencl: a queue cannot wait for another") : FORGE_OK;
}

static void event_release(void *ctx, void *event) {
  (void)ctx;
  ocl_cl.ReleaseEvent(event);
}

static void work_failed(void *ctx, uint64_t tag, uint64_t value, forge_status status) {
  const forge_dev *dev = ctx;
  const ocl_place place = {FORGE_OP_INDEX_UNKNOWN, tag, value};
  ocl_set_place(&place);
  ocl_fail(status, "opencl: the work on %s failed%s", dev->name,
           status == FORGE_E_DEVICE_LOST ? ": the device is gone" : "");
  ocl_set_place(NULL);
}

const forge_timeline_events ocl_events = {.wait = event_wait,
                                          .is_done = event_is_done,
                                          .stream_wait = event_before,
                                          .release = event_release,
                                          .failed = work_failed};

forge_status ocl_tl_create(forge_dev *dev, uint64_t initial, uint64_t cookie, forge_tl **out) {
  return forge_timeline_create(&dev->source, initial, cookie, out);
}

/* ---- queues ---- */

forge_status ocl_queue_create(forge_dev *dev, uint32_t kind, int32_t priority, forge_queue **out) {
  (void)priority; /* OpenCL 1.2 has none */
  forge_status status = ocl_check_alive(dev);
  if (status) return status;
  if (kind != FORGE_QUEUE_COMPUTE && kind != FORGE_QUEUE_COPY)
    return ocl_fail(FORGE_E_INVALID, "opencl: unknown kind of queue %" PRIu32 "; there are 1 and 2",
                    kind);
  forge_queue *q = ocl_alloc(sizeof *q);
  if (!q) return FORGE_E_OOM;
  cl_int code;
  q->dev = dev;
  q->queue = ocl_cl.CreateCommandQueue(dev->context, dev->id, 0, &code);
  if (code)
    status = ocl_fail_cl(code, "opencl: no command queue on %s", dev->name);
  else
    status = forge_watch_create(&dev->source, &q->watch);
  if (status)
    ocl_queue_destroy(q);
  else
    *out = q;
  return status;
}

void ocl_queue_destroy(forge_queue *q) {
  if (!q) return;
  forge_watch_destroy(q->watch);
  if (q->queue) ocl_cl.ReleaseCommandQueue(q->queue);
  ocl_free(q);
}

/* ---- work ---- */

/* Hands what was enqueued to the device and to the watch. */
static forge_status finish(forge_queue *q, forge_work *work, cl_event event, forge_status status) {
  if (!event && !status) {
    const cl_int code = ocl_cl.EnqueueMarkerWithWaitList(q->queue, 0, NULL, &event);
    if (code) status = ocl_fail_cl(code, "opencl: no marker in the queue");
  }
  ocl_cl.Flush(q->queue);
  return forge_timeline_end(work, event, status);
}

forge_status ocl_submit(forge_queue *q, forge_prog *prog, const forge_submit *submit) {
  forge_work *work;
  cl_event event = NULL;
  forge_status status = ocl_check_alive(q->dev);
  if (!status) status = ocl_prog_check(prog, submit);
  if (!status) status = forge_timeline_begin(q->watch, q->queue, prog->id, submit, &work);
  if (status) return status;
  if (forge_work_status(work)) return forge_timeline_end(work, NULL, FORGE_OK);
  status = ocl_prog_run(prog, q->queue, submit, &event);
  return finish(q, work, event, status);
}

/* ---- copies ---- */

static forge_status check_copy(const forge_copy *c) {
  const bool to_host = c->kind == FORGE_COPY_TO_HOST, to_device = c->kind == FORGE_COPY_TO_DEVICE;
  const uint64_t bytes = to_host ? c->src.len : c->dst.len;
  forge_status status = FORGE_OK;
  if (c->kind < FORGE_COPY_TO_DEVICE || c->kind > FORGE_COPY_FILL)
    return ocl_fail(FORGE_E_INVALID, "opencl: unknown kind of copy %" PRIu32, c->kind);
  if ((to_host || to_device) && !c->host && bytes)
    return ocl_fail(FORGE_E_INVALID, "opencl: a copy to or from the host has no host address");
  if (c->kind == FORGE_COPY_ON_DEVICE && c->src.len != c->dst.len)
    return ocl_fail(FORGE_E_INVALID, "opencl: a copy of %" PRIu64 " bytes into %" PRIu64,
                    c->src.len, c->dst.len);
  if (!to_host) status = ocl_bind_check(&c->dst);
  if (!status && (to_host || c->kind == FORGE_COPY_ON_DEVICE)) status = ocl_bind_check(&c->src);
  return status;
}

/* Lengths of 0 are no command: OpenCL refuses them. */
static cl_int enqueue_copy(cl_command_queue q, const forge_copy *c, cl_event *event) {
  const forge_bind *d = &c->dst, *s = &c->src;
  const cl_uchar byte = (cl_uchar)c->pattern;
  if ((c->kind == FORGE_COPY_TO_HOST ? s->len : d->len) == 0) return CL_SUCCESS;
  switch (c->kind) {
  case FORGE_COPY_TO_DEVICE:
    return ocl_cl.EnqueueWriteBuffer(q, d->mem->mem, CL_FALSE, d->off, d->len, c->host, 0, NULL,
                                     event);
  case FORGE_COPY_TO_HOST:
    return ocl_cl.EnqueueReadBuffer(q, s->mem->mem, CL_FALSE, s->off, s->len, c->host, 0, NULL,
                                    event);
  case FORGE_COPY_ON_DEVICE:
    return ocl_cl.EnqueueCopyBuffer(q, s->mem->mem, d->mem->mem, s->off, d->off, d->len, 0, NULL,
                                    event);
  default:
    return ocl_cl.EnqueueFillBuffer(q, d->mem->mem, &byte, 1, d->off, d->len, 0, NULL, event);
  }
}

/* *event is the last command's that was enqueued, also when the next one fails. */
static forge_status run_copies(forge_queue *q, const forge_copy *copies, uint32_t n,
                               cl_event *event) {
  cl_int code = CL_SUCCESS;
  for (uint32_t i = 0; i < n && !code; i++) {
    cl_event e = NULL;
    code = enqueue_copy(q->queue, &copies[i], &e);
    if (code || !e) continue;
    if (*event) ocl_cl.ReleaseEvent(*event);
    *event = e;
  }
  return code ? ocl_fail_cl(code, "opencl: a copy could not be enqueued") : FORGE_OK;
}

forge_status ocl_copy(forge_queue *q, const forge_copy *copies, uint32_t n,
                      const forge_submit *order) {
  forge_work *work;
  cl_event event = NULL;
  forge_status status = ocl_check_alive(q->dev);
  if (!status && order && order->flags)
    status = ocl_fail(FORGE_E_UNSUPPORTED, "opencl: copy flags %#" PRIx32 " are not known",
                      order->flags);
  for (uint32_t i = 0; i < n && !status; i++) status = check_copy(&copies[i]);
  if (!status) status = forge_timeline_begin(q->watch, q->queue, 0, order, &work);
  if (status) return status;
  if (forge_work_status(work)) return forge_timeline_end(work, NULL, FORGE_OK);
  status = run_copies(q, copies, n, &event);
  if (event && (!order || !order->n_signal)) { /* the host's memory is lent for the call then */
    const forge_status waited = event_wait(q->dev, event);
    if (!status) status = waited;
  }
  return finish(q, work, event, status);
}
