/* description.c -- what a program's description may say. Shapes are held against each other where
 * an op wants equal dims, and in products; the rest of an op's shapes is the backend's to know. */
#include <stdio.h>
#include <string.h>

#include "runs.h"
#include "validate.h"

/* ---- slots ---- */

static forge_status check_dims(const call *c, const forge_prog_desc *p, uint32_t i) {
  const forge_slot *s = &p->slots[i];
  const forge_tensor *t = &s->tensor;
  const uint32_t block = kit_block_elems(t->dtype);
  uint64_t span, end;
  for (uint32_t k = 0; k < t->rank; k++) {
    if (t->dim[k] < 0 || t->stride[k] < 0)
      return wrong(c, "slot %u: dimension %u has extent %lld and stride %lld; neither is negative",
                   i, k, (long long)t->dim[k], (long long)t->stride[k]);
    if (t->dim_scalar[k] > p->n_scalars)
      return wrong(c, "slot %u: dimension %u names scalar %u, the program has %u", i, k,
                   t->dim_scalar[k] - 1, p->n_scalars);
  }
  if (block > 1 && (!t->rank || t->dim[t->rank - 1] % block || t->stride[t->rank - 1] != 1))
    return wrong(c, "slot %u: %s wants a last dimension of whole blocks of %u with stride 1", i,
                 kit_dtype_name(t->dtype), block);
  if (!kit_view_span(t, &span) || __builtin_add_overflow(s->offset, span, &end))
    return wrong(c, "slot %u: the view's size does not fit 64 bits", i);
  return FORGE_OK;
}

static forge_status check_slot(const call *c, const forge_prog_desc *p, uint32_t i) {
  const forge_slot *s = &p->slots[i];
  const forge_tensor *t = &s->tensor;
  if (!kit_block_elems(t->dtype)) return wrong(c, "slot %u: element type %u is none", i, t->dtype);
  if (t->rank > FORGE_MAX_RANK)
    return wrong(c, "slot %u: rank %u is above %u", i, t->rank, FORGE_MAX_RANK);
  if (t->layout != FORGE_LAYOUT_ROW_MAJOR)
    return wrong(c, "slot %u: layout %u is none", i, t->layout);
  if (t->flags || t->rsv || (s->flags & ~(uint32_t)FORGE_SLOT_CONSTANT))
    return wrong(c, "slot %u: unknown flags or a reserved word that is not 0", i);
  if (s->bind >= p->n_bind)
    return wrong(c, "slot %u lies in binding %u, the program has %u", i, s->bind, p->n_bind);
  if (s->offset % kit_dtype_align(t->dtype))
    return wrong(c,
                 "slot %u begins at byte %llu of binding %u, which does not suit %s (multiples "
                 "of %u)",
                 i, (unsigned long long)s->offset, s->bind, kit_dtype_name(t->dtype),
                 kit_dtype_align(t->dtype));
  return check_dims(c, p, i);
}

/* ---- shapes ---- */

/* Bit k: input k has output 0's dims. */
static uint32_t equal_inputs(uint16_t op) {
  switch (op) {
  case FORGE_OP_COPY_STRIDED:
  case FORGE_OP_CAST:
  case FORGE_OP_UNARY:
  case FORGE_OP_SOFTMAX:
  case FORGE_OP_MASK:
  case FORGE_OP_RMSNORM:
  case FORGE_OP_LAYERNORM:
  case FORGE_OP_ROPE:
  case FORGE_OP_ATTENTION:
  case FORGE_OP_SCATTER_ROWS:
  case FORGE_OP_KV_WRITE:
  case FORGE_OP_CROSS_ENTROPY_BWD: return 1;
  case FORGE_OP_BINARY:
  case FORGE_OP_AXPBY:
  case FORGE_OP_SWIGLU:
  case FORGE_OP_UNARY_BWD: return 1 | 2;
  case FORGE_OP_RMSNORM_BWD:
  case FORGE_OP_LAYERNORM_BWD: return 1 | 4;
  case FORGE_OP_SWIGLU_BWD: return 1 | 2 | 4;
  case FORGE_OP_ADAMW: return 1 | 2 | 4 | 8;
  default: return 0;
  }
}

static bool same_dims(const forge_tensor *a, const forge_tensor *b) {
  return a->rank == b->rank && !memcmp(a->dim, b->dim, a->rank * sizeof *a->dim) &&
         !memcmp(a->dim_scalar, b->dim_scalar, a->rank);
}

static void write_dims(const forge_tensor *t, char *out, size_t size) {
  size_t at = (size_t)snprintf(out, size, "[");
  for (uint32_t k = 0; k < t->rank && at < size; k++)
    at += (size_t)snprintf(out + at, size - at, "%s%lld", k ? ", " : "", (long long)t->dim[k]);
  if (at < size) snprintf(out + at, size - at, "]");
}

static forge_status check_product(const call *c, const forge_op *op, uint32_t number,
                                  const forge_tensor *a, const forge_tensor *b,
                                  const forge_tensor *y) {
  const forge_attr_matmul *attr =
      (const forge_attr_matmul *)(const void *)((const char *)op + op->bytes - sizeof *attr);
  const bool ta = attr->flags & FORGE_MATMUL_TRANS_A, tb = attr->flags & FORGE_MATMUL_TRANS_B;
  char x[80], w[80], z[80];
  const uint32_t r = y->rank;
  bool ok = r >= 2 && a->rank == r && b->rank == r;
  ok = ok && a->dim[r - 1 - ta] == b->dim[r - 2 + tb] && a->dim[r - 2 + ta] == y->dim[r - 2] &&
       b->dim[r - 1 - tb] == y->dim[r - 1];
  for (uint32_t k = 0; ok && k + 2 < r; k++) ok = a->dim[k] == y->dim[k] && b->dim[k] == y->dim[k];
  if (ok) return FORGE_OK;
  write_dims(a, x, sizeof x);
  write_dims(b, w, sizeof w);
  write_dims(y, z, sizeof z);
  return wrong(c, "op %u MATMUL: %s%s by %s%s does not give %s", number, x, ta ? " transposed" : "",
               w, tb ? " transposed" : "", z);
}

static forge_status check_shapes(const call *c, const forge_prog_desc *p, const forge_op *op,
                                 uint32_t number) {
  const uint32_t *ids = kit_op_ids(op), equal = equal_inputs(op->op);
  const forge_tensor *y = &p->slots[ids[op->n_in]].tensor;
  char x_dims[80], y_dims[80];
  for (uint32_t i = 0; i < op->n_in && i < 32; i++) {
    if (!(equal & 1u << i) || ids[i] == FORGE_SLOT_NONE) continue;
    if (same_dims(&p->slots[ids[i]].tensor, y)) continue;
    write_dims(&p->slots[ids[i]].tensor, x_dims, sizeof x_dims);
    write_dims(y, y_dims, sizeof y_dims);
    return wrong(c, "op %u %s: input %u is %s and the output %s; they must be equal", number,
                 kit_op_name(op->op), i, x_dims, y_dims);
  }
  if (op->op != FORGE_OP_MATMUL) return FORGE_OK;
  return check_product(c, op, number, &p->slots[ids[0]].tensor, &p->slots[ids[1]].tensor, y);
}

/* ---- ops ---- */

static forge_status check_ids(const call *c, const forge_prog_desc *p, const forge_op *op,
                              const kit_op *row, uint32_t number) {
  const uint32_t *ids = kit_op_ids(op);
  for (uint32_t i = 0; i < (uint32_t)op->n_in + op->n_out; i++) {
    const bool is_out = i >= op->n_in;
    const uint32_t k = is_out ? i - op->n_in : i;
    const uint32_t optional = is_out ? row->optional_out : row->optional_in;
    const char *what = is_out ? "output" : "input";
    if (ids[i] == FORGE_SLOT_NONE && !(k < 32 && optional & 1u << k))
      return wrong(c, "op %u %s: %s %u is absent and not optional", number, row->name, what, k);
    if (ids[i] != FORGE_SLOT_NONE && ids[i] >= p->n_slots)
      return wrong(c, "op %u %s: %s %u is slot %u, the program has %u", number, row->name, what, k,
                   ids[i], p->n_slots);
  }
  return FORGE_OK;
}

static bool repeats(const forge_tensor *t) {
  for (uint32_t k = 0; k < t->rank; k++)
    if (t->dim[k] > 1 && !t->stride[k]) return true;
  return false;
}

static forge_status check_overlap(const call *c, const forge_prog_desc *p, const forge_op *op,
                                  const kit_op *row, uint32_t number) {
  const uint32_t *ids = kit_op_ids(op), n = (uint32_t)op->n_in + op->n_out;
  uint64_t at;
  for (uint32_t i = op->n_in; i < n; i++) {
    if (ids[i] == FORGE_SLOT_NONE) continue;
    const forge_slot *y = &p->slots[ids[i]];
    if (repeats(&y->tensor))
      return wrong(c, "op %u %s: output %u repeats an element (stride 0)", number, row->name,
                   i - op->n_in);
    for (uint32_t k = 0; k < i; k++) {
      if (ids[k] == FORGE_SLOT_NONE) continue;
      const forge_slot *x = &p->slots[ids[k]];
      const bool is_in = k < op->n_in;
      const bool inplace = i - op->n_in == k && k < 8 && row->inplace & 1u << k;
      if ((is_in && (inplace || same_view(x, y))) || !runs_meet(x, y, &at)) continue;
      return wrong(c,
                   "op %u %s: output %u and %s %u share byte %llu of binding %u and are not the "
                   "same view",
                   number, row->name, i - op->n_in, is_in ? "input" : "output",
                   is_in ? k : k - op->n_in, (unsigned long long)at, y->bind);
    }
  }
  return FORGE_OK;
}

static forge_status check_scalars(const call *c, const forge_prog_desc *p, const forge_op *op,
                                  uint32_t number, const void *attr) {
  uint32_t named[2] = {0, 0};
  const forge_attr_axpby *axpby = attr;
  const forge_attr_adamw *adamw = attr;
  const forge_attr_rng *rng = attr;
  if (op->op == FORGE_OP_AXPBY) named[0] = axpby->alpha.scalar, named[1] = axpby->beta.scalar;
  if (op->op == FORGE_OP_ADAMW) named[0] = adamw->lr.scalar, named[1] = adamw->step.scalar;
  if (op->op == FORGE_OP_RNG_PHILOX) named[0] = rng->seed_scalar, named[1] = rng->offset_scalar;
  for (int i = 0; i < 2; i++)
    if (named[i] > p->n_scalars)
      return wrong(c, "op %u %s: names scalar %u, the program has %u", number, kit_op_name(op->op),
                   named[i] - 1, p->n_scalars);
  return FORGE_OK;
}

static forge_status check_op(const call *c, const forge_prog_desc *p, const forge_op *op,
                             uint32_t number) {
  const kit_op *row = kit_op_find(op->op);
  if (!row) return wrong(c, "op %u: number %u is no op of this ABI", number, op->op);
  if (op->op_ver != 1)
    return wrong(c, "op %u %s: version %u is not known", number, row->name, op->op_ver);
  if (op->flags) return wrong(c, "op %u %s: unknown flags %x", number, row->name, op->flags);
  if (row->n_in < 0 ? op->n_in < 1 : op->n_in != row->n_in)
    return wrong(c, "op %u %s: %u inputs, it has %d", number, row->name, op->n_in, row->n_in);
  if (op->n_out != row->n_out)
    return wrong(c, "op %u %s: %u outputs, it has %d", number, row->name, op->n_out, row->n_out);
  const uint32_t ids = ((uint32_t)op->n_in + op->n_out) * 4, padded = (ids + 7) & ~7u;
  const uint32_t want = (uint32_t)sizeof *op + padded + row->attr_bytes;
  if (op->bytes != want)
    return wrong(c, "op %u %s: its record has %u bytes, with %u of attributes it has %u", number,
                 row->name, op->bytes, row->attr_bytes, want);
  forge_status st = check_ids(c, p, op, row, number);
  if (!st) st = check_scalars(c, p, op, number, (const char *)op + want - row->attr_bytes);
  return st;
}

static forge_status check_ops(const call *c, const forge_prog_desc *p) {
  const char *at = p->ops;
  uint64_t left = p->ops_bytes;
  for (uint32_t i = 0; i < p->n_ops; i++) {
    const forge_op *op = (const forge_op *)(const void *)at;
    if (left < sizeof *op || op->bytes < sizeof *op || op->bytes % 8 || op->bytes > left)
      return wrong(c, "op %u: its record does not fit the %llu bytes of ops", i,
                   (unsigned long long)p->ops_bytes);
    const uint64_t before = atomic_load(&c->d->problems);
    const kit_op *row = kit_op_find(op->op);
    forge_status st = check_op(c, p, op, i);
    if (!st && before == atomic_load(&c->d->problems)) st = check_overlap(c, p, op, row, i);
    if (!st && before == atomic_load(&c->d->problems)) st = check_shapes(c, p, op, i);
    if (st) return st;
    at += op->bytes;
    left -= op->bytes;
  }
  if (left) return wrong(c, "%llu bytes behind the last op", (unsigned long long)left);
  return FORGE_OK;
}

forge_status description_check(const call *c, const forge_prog_desc *p) {
  const uint32_t known =
      FORGE_PROGRAM_ONE_SHOT | FORGE_PROGRAM_REPLAYABLE | FORGE_PROGRAM_DETERMINISTIC;
  if (p->size < sizeof *p) return wrong(c, "desc->size is %u; set it to sizeof *desc", p->size);
  if (p->flags & ~known) return wrong(c, "unknown flags %x", p->flags & ~known);
  if ((p->n_slots && !p->slots) || (p->n_ops && !p->ops))
    return refuse(c, "%u slots and %u ops, but their array is NULL", p->n_slots, p->n_ops);
  if ((uintptr_t)p->ops % 8)
    return wrong(c, "the ops lie at %p; 8 bytes aligned they must be", p->ops);
  const uint64_t before = atomic_load(&c->d->problems);
  for (uint32_t i = 0; i < p->n_slots; i++) {
    const forge_status st = check_slot(c, p, i);
    if (st) return st;
  }
  /* where the operator lets wrong slots pass, no op can be held against them */
  return atomic_load(&c->d->problems) == before ? check_ops(c, p) : FORGE_OK;
}
