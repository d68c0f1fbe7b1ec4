/* program.c -- a built program: kernels looked up, tensors laid out per op, scratch reserved. A
 * submit only fills in addresses and extents and walks the list. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "glue.h"

typedef struct step {
  const cpu_op *row;
  cpu_view *views; /* inputs, then outputs */
  const void *attr;
  uint32_t n_in, n_out;
} step;

/* Where the view of the same number comes from. */
typedef struct operand {
  uint64_t offset;
  uint32_t bind; /* FORGE_SLOT_NONE: absent */
  bool moving;   /* some extent is a scalar */
} operand;

typedef struct binding {
  uint64_t bytes; /* that the slots reach */
  bool written;
} binding;

struct forge_prog {
  pthread_mutex_t lock;
  uint64_t id;
  uint32_t n_bind, n_scalars, n_steps;
  uint64_t n_views;
  step *steps;
  cpu_view *views;
  operand *operands;
  uint8_t *ops; /* the records: attributes stay there */
  binding *bindings;
  uint8_t **base;    /* per binding, of the running submit */
  uint64_t *maximum; /* per scalar, that extents allow */
  uint8_t *scratch;
};

/* Bytes from a slot's first element to behind its last, at maximal extents. */
static bool slot_bytes(const forge_tensor *t, uint64_t *out) {
  static const struct {
    uint8_t elems, bytes;
  } block[32] = {[FORGE_Q8_0] = {32, 34}, [FORGE_Q4_0] = {32, 18}};
  uint64_t last = 0, step_size;
  for (int k = 0; k < t->rank; k++) {
    if (t->dim[k] < 0 || t->stride[k] < 0) return false;
    if (t->dim[k] == 0) return *out = 0, true;
    if (__builtin_mul_overflow((uint64_t)t->dim[k] - 1, (uint64_t)t->stride[k], &step_size) ||
        __builtin_add_overflow(last, step_size, &last))
      return false;
  }
  if (last > UINT64_MAX / 256) return false;
  const uint32_t plain = cpu_type_bytes(t->dtype);
  const uint64_t n = last + 1;
  if (plain)
    *out = n * plain;
  else if (t->dtype == FORGE_Q4_K || t->dtype == FORGE_Q6_K)
    *out = (n + 255) / 256 * (t->dtype == FORGE_Q4_K ? 144 : 210);
  else if (t->dtype < 32 && block[t->dtype].elems)
    *out = (n + 31) / 32 * block[t->dtype].bytes;
  else
    return false;
  return true;
}

static forge_status add_slot(forge_prog *p, const forge_prog_desc *desc, uint32_t id, bool written,
                             uint64_t at) {
  const forge_slot *slot = &desc->slots[id];
  const forge_tensor *t = &slot->tensor;
  uint64_t end;
  if (slot->bind >= p->n_bind || t->rank > FORGE_MAX_RANK || !slot_bytes(t, &end) ||
      __builtin_add_overflow(end, slot->offset, &end))
    return cpu_fail(FORGE_E_INVALID,
                    "cpu: slot %" PRIu32 " (type %u, rank %u, binding %" PRIu32
                    ") is not a tensor this backend can address",
                    id, t->dtype, t->rank, slot->bind);
  operand *o = &p->operands[at];
  *o = (operand){.offset = slot->offset, .bind = slot->bind};
  p->views[at].t = *t;
  for (int k = 0; k < t->rank; k++) {
    const uint32_t s = t->dim_scalar[k];
    if (s > p->n_scalars)
      return cpu_fail(FORGE_E_INVALID, "cpu: slot %" PRIu32 " names scalar %" PRIu32, id, s - 1);
    if (!s) continue;
    o->moving = true;
    if (p->maximum[s - 1] > (uint64_t)t->dim[k]) p->maximum[s - 1] = (uint64_t)t->dim[k];
  }
  binding *b = &p->bindings[slot->bind];
  if (b->bytes < end) b->bytes = end;
  b->written |= written;
  return FORGE_OK;
}

static forge_status add_step(forge_prog *p, const forge_dev *dev, const forge_prog_desc *desc,
                             uint32_t index, uint64_t *at, uint64_t *view, uint64_t *scratch,
                             const forge_tensor **tensors) {
  cpu_record r;
  forge_status status = cpu_read_record(desc, index, at, &r);
  if (status) return status;
  cpu_record_tensors(desc, &r, tensors);
  const uint8_t why = cpu_record_reason(dev, &r, tensors);
  if (why)
    return cpu_fail(FORGE_E_UNSUPPORTED,
                    "cpu: op %" PRIu32 " (number %u) cannot run here, reason %u; ask op_support "
                    "first",
                    index, r.head.op, why);
  const uint32_t n = (uint32_t)r.head.n_in + r.head.n_out;
  for (uint32_t i = 0; i < n && !status; i++) {
    p->operands[*view + i].bind = FORGE_SLOT_NONE;
    if (tensors[i]) status = add_slot(p, desc, r.ids[i], i >= r.head.n_in, *view + i);
  }
  step *s = &p->steps[index];
  *s = (step){.row = cpu_find_op(r.head.op),
              .views = p->views + *view,
              .attr = p->ops + ((const uint8_t *)r.attr - (const uint8_t *)desc->ops),
              .n_in = r.head.n_in,
              .n_out = r.head.n_out};
  const uint64_t need = status || !s->row->scratch
                            ? 0
                            : s->row->scratch(tensors, s->n_in, tensors + s->n_in, s->n_out, r.attr,
                                              cpu_threads_count(dev->threads));
  if (need > *scratch) *scratch = need;
  *view += n;
  return status;
}

static forge_status reserve(forge_prog *p, const forge_prog_desc *desc) {
  p->steps = cpu_alloc(desc->n_ops * sizeof *p->steps, 0);
  p->views = cpu_alloc(p->n_views * sizeof *p->views, 0);
  p->operands = cpu_alloc(p->n_views * sizeof *p->operands, 0);
  p->ops = cpu_alloc(desc->ops_bytes, 0);
  p->bindings = cpu_alloc(p->n_bind * sizeof *p->bindings, 0);
  p->base = cpu_alloc(p->n_bind * sizeof *p->base, 0);
  p->maximum = cpu_alloc(p->n_scalars * sizeof *p->maximum, 0);
  if (!p->steps || !p->views || !p->operands || !p->ops || !p->bindings || !p->base || !p->maximum)
    return FORGE_E_OOM;
  if (desc->ops_bytes) memcpy(p->ops, desc->ops, desc->ops_bytes);
  for (uint32_t i = 0; i < p->n_scalars; i++) p->maximum[i] = UINT64_MAX;
  return FORGE_OK;
}

static forge_status build(forge_prog *p, forge_dev *dev, const forge_prog_desc *desc, uint32_t most,
                          uint64_t *scratch) {
  uint64_t at = 0, view = 0;
  forge_status status = reserve(p, desc);
  const forge_tensor **tensors = cpu_alloc(most * sizeof *tensors, 0);
  if (!tensors) status = FORGE_E_OOM;
  for (; !status && p->n_steps < desc->n_ops; p->n_steps += !status)
    status = add_step(p, dev, desc, p->n_steps, &at, &view, scratch, tensors);
  if (!status && *scratch && !(p->scratch = cpu_alloc(*scratch, 64))) status = FORGE_E_OOM;
  cpu_free(tensors);
  return status;
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

forge_status cpu_prog_create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                             forge_prog_out *info) {
  const uint64_t start = now_ns();
  const uint32_t known =
      FORGE_PROGRAM_ONE_SHOT | FORGE_PROGRAM_REPLAYABLE | FORGE_PROGRAM_DETERMINISTIC;
  uint64_t scratch = 0, total;
  uint32_t most;
  if (desc->flags & ~known)
    return cpu_fail(FORGE_E_UNSUPPORTED, "cpu: program flags %#" PRIx32 " are not known",
                    desc->flags & ~known);
  forge_status status = cpu_dev_check(dev);
  if (!status) status = cpu_scan_records(desc, &most, &total);
  if (status) return status;
  forge_prog *p = cpu_alloc(sizeof *p, 0);
  if (!p) return FORGE_E_OOM;
  pthread_mutex_init(&p->lock, NULL);
  p->id = desc->prog_id;
  p->n_bind = desc->n_bind;
  p->n_scalars = desc->n_scalars;
  p->n_views = total;
  if ((status = build(p, dev, desc, most, &scratch))) {
    cpu_prog_destroy(p);
    return status;
  }
  info->flags = 0;
  info->workspace_bytes = scratch;
  info->build_ns = now_ns() - start;
  *out = p;
  return FORGE_OK;
}

void cpu_prog_destroy(forge_prog *p) {
  if (!p) return;
  pthread_mutex_destroy(&p->lock);
  cpu_free(p->steps);
  cpu_free(p->views);
  cpu_free(p->operands);
  cpu_free(p->ops);
  cpu_free(p->bindings);
  cpu_free(p->base);
  cpu_free(p->maximum);
  cpu_free(p->scratch);
  cpu_free(p);
}

/* ---- running ---- */

forge_status cpu_prog_check(const forge_prog *p, const forge_submit *s) {
  uint8_t *ignored;
  forge_status status;
  if (s->flags)
    return cpu_fail(FORGE_E_UNSUPPORTED, "cpu: submit flags %#" PRIx32 " are not known", s->flags);
  if (s->n_bind != p->n_bind || s->n_scalar != p->n_scalars)
    return cpu_fail(FORGE_E_INVALID,
                    "cpu: a submit with %" PRIu32 " bindings and %" PRIu32
                    " scalars of a program with %" PRIu32 " and %" PRIu32,
                    s->n_bind, s->n_scalar, p->n_bind, p->n_scalars);
  for (uint32_t i = 0; i < p->n_scalars; i++)
    if (s->scalar[i] > p->maximum[i])
      return cpu_fail(FORGE_E_INVALID,
                      "cpu: scalar %" PRIu32 " is %" PRIu64 ", over its maximum %" PRIu64, i,
                      s->scalar[i], p->maximum[i]);
  for (uint32_t i = 0; i < p->n_bind; i++) {
    const binding *b = &p->bindings[i];
    if (!b->bytes) continue;
    if (s->bind[i].len < b->bytes)
      return cpu_fail(FORGE_E_INVALID,
                      "cpu: binding %" PRIu32 " has %" PRIu64 " bytes; the program needs %" PRIu64,
                      i, s->bind[i].len, b->bytes);
    if ((status = cpu_bind_address(&s->bind[i], b->written, &ignored))) return status;
  }
  return FORGE_OK;
}

static void resolve(forge_prog *p, const forge_submit *s) {
  for (uint32_t i = 0; i < p->n_bind; i++)
    p->base[i] = s->bind[i].mem ? s->bind[i].mem->base + s->bind[i].off : NULL;
  for (uint64_t i = 0; i < p->n_views; i++) {
    const operand *o = &p->operands[i];
    cpu_view *v = &p->views[i];
    if (o->bind == FORGE_SLOT_NONE) continue;
    v->data = p->base[o->bind] + o->offset;
    for (int k = 0; o->moving && k < v->t.rank; k++)
      if (v->t.dim_scalar[k]) v->t.dim[k] = (int64_t)s->scalar[v->t.dim_scalar[k] - 1];
  }
}

forge_status cpu_prog_run(forge_prog *p, cpu_threads *threads, const forge_submit *s) {
  forge_status status = FORGE_OK;
  cpu_place here = {.prog_id = p->id, .tl_value = s->n_signal ? s->signal[0].value : 0};
  pthread_mutex_lock(&p->lock);
  resolve(p, s);
  for (uint32_t i = 0; i < p->n_steps && !status; i++) {
    const step *e = &p->steps[i];
    const cpu_call call = {.in = e->views,
                           .out = e->views + e->n_in,
                           .n_in = e->n_in,
                           .n_out = e->n_out,
                           .attr = e->attr,
                           .scalar = s->scalar,
                           .threads = threads,
                           .scratch = p->scratch};
    here.op_index = i;
    cpu_set_place(&here);
    status = e->row->run(&call);
  }
  pthread_mutex_unlock(&p->lock);
  return status;
}
