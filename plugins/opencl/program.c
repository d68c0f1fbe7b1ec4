/* program.c -- a built program: rows found, kernels made, tensors laid out per op, scratch
 * reserved. A submit fills in addresses and extents and enqueues the list. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "host.h"

/* Bytes from a slot's first element to behind its last, at maximal extents. */
static bool slot_bytes(const forge_tensor *t, uint64_t *out) {
#define BLOCK(name, number, elems, bytes, text) [number] = {elems, bytes},
  static const struct { uint16_t elems, bytes; } block[] = {FORGE_DTYPE_MAP(BLOCK)};
#undef BLOCK
  uint64_t last = 0, far, elements = 1;
  if (t->dtype >= sizeof block / sizeof *block || !block[t->dtype].elems) return false;
  for (int k = 0; k < t->rank; k++) {
    if (t->dim[k] < 0 || t->stride[k] < 0) return false;
    if (t->dim[k] == 0) return *out = 0, true;
    if (__builtin_mul_overflow(elements, (uint64_t)t->dim[k], &elements) ||
        __builtin_mul_overflow((uint64_t)t->dim[k] - 1, (uint64_t)t->stride[k], &far) ||
        __builtin_add_overflow(last, far, &last))
      return false;
  }
  if (last > UINT64_MAX / 1024 || elements > INT64_MAX / 1024) return false;
  *out = (last / block[t->dtype].elems + 1) * block[t->dtype].bytes;
  return true;
}

static forge_status add_slot(forge_prog *p, const forge_prog_desc *desc, uint32_t id, uint64_t at) {
  const forge_slot *slot = &desc->slots[id];
  const forge_tensor *t = &slot->tensor;
  uint64_t end;
  if (slot->bind >= p->n_bind || t->rank > FORGE_MAX_RANK || !slot_bytes(t, &end) ||
      __builtin_add_overflow(end, slot->offset, &end))
    return ocl_fail(FORGE_E_INVALID,
                    "opencl: slot %" PRIu32 " (type %u, rank %u, binding %" PRIu32
                    ") is not a tensor this backend can address",
                    id, t->dtype, t->rank, slot->bind);
  ocl_operand *o = &p->operands[at];
  *o = (ocl_operand){.offset = slot->offset, .bind = slot->bind};
  for (int k = 0; k < t->rank; k++) {
    const uint32_t s = t->dim_scalar[k];
    if (s > p->n_scalars)
      return ocl_fail(FORGE_E_INVALID, "opencl: slot %" PRIu32 " names scalar %" PRIu32, id, s - 1);
    if (!s) continue;
    o->moving = true;
    if (p->maximum[s - 1] > (uint64_t)t->dim[k]) p->maximum[s - 1] = (uint64_t)t->dim[k];
  }
  if (p->bounds[slot->bind].bytes < end) p->bounds[slot->bind].bytes = end;
  return FORGE_OK;
}

static forge_status plan_step(forge_prog *p, ocl_step *s) {
  ocl_plan plan = {.dev = p->dev, .prog = p};
  const forge_status status = s->row->plan(&plan, &s->call);
  memcpy(s->wants, plan.wants, sizeof s->wants);
  s->n_wants = plan.n;
  if (p->scratch_bytes < plan.scratch) p->scratch_bytes = plan.scratch;
  return status;
}

static forge_status add_step(forge_prog *p, const forge_prog_desc *desc, uint64_t *at,
                             uint64_t *view) {
  ocl_record r;
  uint8_t reason;
  ocl_step *s = &p->steps[p->n_steps];
  forge_status status = ocl_read_record(desc, p->n_steps, at, &r);
  if (status) return status;
  ocl_view *views = p->views + *view;
  ocl_record_views(desc, &r, views);
  s->call = (ocl_call){.op = r.head.op,
                       .n_in = r.head.n_in,
                       .n_out = r.head.n_out,
                       .in = views,
                       .out = views + r.head.n_in,
                       .attr = p->ops + ((const uint8_t *)r.attr - (const uint8_t *)desc->ops),
                       .scalar = p->scalar,
                       .caps = &p->dev->caps};
  const uint32_t n = (uint32_t)r.head.n_in + r.head.n_out;
  for (uint32_t i = 0; i < n && !status; i++) {
    p->operands[*view + i].bind = FORGE_SLOT_NONE;
    if (views[i].there) status = add_slot(p, desc, r.ids[i], *view + i);
  }
  if (status) return status;
  s->row = ocl_find_row(p->dev, &s->call, &reason);
  if (!s->row)
    return ocl_fail(FORGE_E_UNSUPPORTED,
                    "opencl: op %" PRIu32
                    " (number %u) cannot run here, reason %u; ask op_support first",
                    p->n_steps, r.head.op, reason);
  *view += n;
  return plan_step(p, s);
}

static forge_status reserve(forge_prog *p, const forge_prog_desc *desc) {
  p->steps = ocl_alloc(desc->n_ops * sizeof *p->steps);
  p->views = ocl_alloc(p->n_views * sizeof *p->views);
  p->operands = ocl_alloc(p->n_views * sizeof *p->operands);
  p->ops = ocl_alloc(desc->ops_bytes);
  p->bounds = ocl_alloc(p->n_bind * sizeof *p->bounds);
  p->maximum = ocl_alloc(p->n_scalars * sizeof *p->maximum);
  p->scalar = ocl_alloc(p->n_scalars * sizeof *p->scalar);
  if (!p->steps || !p->views || !p->operands || !p->ops || !p->bounds || !p->maximum || !p->scalar)
    return FORGE_E_OOM;
  if (desc->ops_bytes) memcpy(p->ops, desc->ops, desc->ops_bytes);
  for (uint32_t i = 0; i < p->n_scalars; i++) p->maximum[i] = UINT64_MAX;
  return FORGE_OK;
}

static forge_status reserve_scratch(forge_prog *p) {
  cl_int code;
  if (!p->scratch_bytes) return FORGE_OK;
  p->scratch = ocl_new_buffer(p->dev, p->scratch_bytes, &code);
  if (!code) return FORGE_OK;
  return ocl_fail_cl(code, "opencl: no %" PRIu64 " bytes of scratch on %s", p->scratch_bytes,
                     p->dev->name);
}

static forge_status build(forge_prog *p, const forge_prog_desc *desc) {
  uint64_t at = 0, view = 0;
  forge_status status = reserve(p, desc);
  for (; !status && p->n_steps < desc->n_ops; p->n_steps += !status)
    status = add_step(p, desc, &at, &view);
  if (!status) status = ocl_prog_build(p);
  if (!status) status = reserve_scratch(p);
  return status;
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

forge_status ocl_prog_create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                             forge_prog_out *info) {
  const uint64_t start = now_ns();
  const uint32_t known =
      FORGE_PROGRAM_ONE_SHOT | FORGE_PROGRAM_REPLAYABLE | FORGE_PROGRAM_DETERMINISTIC;
  uint32_t most;
  uint64_t total;
  forge_status status = ocl_check_alive(dev);
  if (!status && (desc->flags & ~known))
    status = ocl_fail(FORGE_E_UNSUPPORTED, "opencl: program flags %#" PRIx32 " are not known",
                      desc->flags & ~known);
  if (!status) status = ocl_scan_records(desc, &most, &total);
  if (status) return status;
  forge_prog *p = ocl_alloc(sizeof *p);
  if (!p) return FORGE_E_OOM;
  pthread_mutex_init(&p->lock, NULL);
  p->dev = dev;
  p->id = desc->prog_id;
  p->n_bind = desc->n_bind;
  p->n_scalars = desc->n_scalars;
  p->n_views = total;
  if ((status = build(p, desc))) {
    ocl_prog_destroy(p);
    return status;
  }
  info->flags = 0;
  info->workspace_bytes = p->scratch_bytes;
  info->build_ns = now_ns() - start;
  *out = p;
  return FORGE_OK;
}

void ocl_prog_destroy(forge_prog *p) {
  if (!p) return;
  for (uint32_t i = 0; i < p->n_kernels; i++)
    if (p->kernels[i].kernel) ocl_cl.ReleaseKernel(p->kernels[i].kernel);
  if (p->last) ocl_cl.ReleaseEvent(p->last);
  if (p->scratch) ocl_cl.ReleaseMemObject(p->scratch);
  pthread_mutex_destroy(&p->lock);
  ocl_free(p->steps);
  ocl_free(p->views);
  ocl_free(p->operands);
  ocl_free(p->ops);
  ocl_free(p->bounds);
  ocl_free(p->maximum);
  ocl_free(p->scalar);
  ocl_free(p->kernels);
  ocl_free(p);
}

/* ---- running ---- */

forge_status ocl_prog_check(const forge_prog *p, const forge_submit *s) {
  forge_status status;
  if (s->flags)
    return ocl_fail(FORGE_E_UNSUPPORTED, "opencl: submit flags %#" PRIx32 " are not known",
                    s->flags);
  if (s->n_bind != p->n_bind || s->n_scalar != p->n_scalars)
    return ocl_fail(FORGE_E_INVALID,
                    "opencl: a submit with %" PRIu32 " bindings and %" PRIu32
                    " scalars of a program with %" PRIu32 " and %" PRIu32,
                    s->n_bind, s->n_scalar, p->n_bind, p->n_scalars);
  for (uint32_t i = 0; i < p->n_scalars; i++)
    if (s->scalar[i] > p->maximum[i])
      return ocl_fail(FORGE_E_INVALID,
                      "opencl: scalar %" PRIu32 " is %" PRIu64 ", over its maximum %" PRIu64, i,
                      s->scalar[i], p->maximum[i]);
  for (uint32_t i = 0; i < p->n_bind; i++) {
    if (!p->bounds[i].bytes) continue;
    if (s->bind[i].len < p->bounds[i].bytes)
      return ocl_fail(FORGE_E_INVALID,
                      "opencl: binding %" PRIu32 " has %" PRIu64
                      " bytes; the program needs %" PRIu64,
                      i, s->bind[i].len, p->bounds[i].bytes);
    if ((status = ocl_bind_check(&s->bind[i]))) return status;
  }
  return FORGE_OK;
}

static void resolve(forge_prog *p, const forge_submit *s) {
  if (p->n_scalars) memcpy(p->scalar, s->scalar, p->n_scalars * sizeof *p->scalar);
  for (uint32_t i = 0; i < p->n_bind; i++) {
    ocl_bound *b = &p->bounds[i];
    b->mem = b->bytes ? ocl_bind_buffer(&s->bind[i], &b->off) : NULL;
  }
  for (uint64_t i = 0; i < p->n_views; i++) {
    const ocl_operand *o = &p->operands[i];
    ocl_view *v = &p->views[i];
    if (!v->there) continue;
    v->mem = p->bounds[o->bind].mem;
    v->off = p->bounds[o->bind].off + o->offset;
    for (int k = 0; o->moving && k < v->t.rank; k++)
      if (v->t.dim_scalar[k]) v->t.dim[k] = (int64_t)p->scalar[v->t.dim_scalar[k] - 1];
  }
}

/* Scratch and scalars of one submit are not to be overtaken by the next one's on another queue. */
static forge_status order_queues(forge_prog *p, cl_command_queue queue) {
  if (!p->last || p->last_queue == queue) return FORGE_OK;
  const cl_int code = ocl_cl.EnqueueBarrierWithWaitList(queue, 1, &p->last, NULL);
  return code ? ocl_fail_cl(code, "opencl: a queue cannot wait for another") : FORGE_OK;
}

static void remember(forge_prog *p, cl_command_queue queue, cl_event event) {
  if (!p->scratch || !event) return;
  if (p->last) ocl_cl.ReleaseEvent(p->last);
  ocl_cl.RetainEvent(event);
  p->last = event;
  p->last_queue = queue;
}

forge_status ocl_prog_run(forge_prog *p, cl_command_queue queue, const forge_submit *s,
                          cl_event *event) {
  ocl_launch l = {.prog = p, .queue = queue};
  ocl_place here = {.prog_id = p->id, .tl_value = s->n_signal ? s->signal[0].value : 0};
  ocl_set_place(&here);
  pthread_mutex_lock(&p->lock);
  resolve(p, s);
  l.status = order_queues(p, queue);
  for (uint32_t i = 0; i < p->n_steps && !l.status; i++) {
    here.op_index = i;
    l.status = ocl_step_run(&l, &p->steps[i]);
  }
  remember(p, queue, l.event);
  for (uint32_t i = 0; i < p->n_bind; i++)
    if (p->bounds[i].mem) ocl_cl.ReleaseMemObject(p->bounds[i].mem);
  pthread_mutex_unlock(&p->lock);
  ocl_set_place(NULL);
  *event = l.event;
  return l.status;
}
