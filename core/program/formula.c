/* formula.c -- the small calls formulas are written with. */
#include <string.h>

#include "formula.h"

static forge_tid settle(build *b, forge_status st, forge_tid tid) {
  if (st && !b->status) b->status = st;
  return st ? FORGE_TID_NONE : tid;
}

forge_tensor formula_shape(build *b, forge_tid x) {
  forge_tensor t = {0};
  if (!b->status) settle(b, forge_builder_describe(b->builder, x, &t), x);
  return t;
}

forge_tid formula_constant(build *b, double value, uint8_t dtype, forge_tid like) {
  return build_broadcast(b, build_fill(b, dtype, 0, NULL, NULL, value), like);
}

forge_tid formula_zeros(build *b, forge_tid like) {
  return formula_constant(b, 0, FORGE_F32, like);
}

forge_tid formula_scale(build *b, forge_tid x, double factor) {
  return build_mul(b, x, formula_constant(b, factor, formula_shape(b, x).dtype, x));
}

forge_tid formula_plus(build *b, forge_tid x, double addend) {
  return build_add(b, x, formula_constant(b, addend, formula_shape(b, x).dtype, x));
}

forge_tid formula_sub(build *b, forge_tid x, forge_tid y) {
  return build_binary(b, x, y, FORGE_BINARY_SUB);
}

forge_tid formula_div(build *b, forge_tid x, forge_tid y) {
  return build_binary(b, x, y, FORGE_BINARY_DIV);
}

forge_tid formula_scale_number(build *b, forge_tid x, forge_attr_number factor) {
  const forge_attr_axpby a = {factor, {0, 0, 0}};
  if (!factor.scalar && factor.value == 1) return x;
  forge_tid out = 0;
  const forge_tid in[] = {x, formula_constant(b, 0, formula_shape(b, x).dtype, x)};
  return build_op(b, FORGE_OP_AXPBY, &a, sizeof a, in, 2, &out, 1);
}

forge_tid formula_f32(build *b, forge_tid x) { return build_cast(b, x, FORGE_F32); }

forge_tid formula_row(build *b, forge_tid x, uint32_t kind) {
  const uint8_t rank = formula_shape(b, x).rank;
  return build_reduce(b, x, kind, rank ? 1u << (rank - 1) : 0);
}

forge_tid formula_sum_rows(build *b, forge_tid x) {
  const forge_tensor t = formula_shape(b, x);
  if (b->status || t.rank < 2) return x;
  const forge_tid sum = build_reduce(b, x, FORGE_REDUCE_SUM, (1u << (t.rank - 1)) - 1);
  return build_reshape(b, sum, 1, &t.dim[t.rank - 1]);
}

forge_tid formula_sum_all(build *b, forge_tid x) {
  const uint8_t rank = formula_shape(b, x).rank;
  if (b->status || !rank) return x;
  return build_reshape(b, build_reduce(b, x, FORGE_REDUCE_SUM, (1u << rank) - 1), 0, NULL);
}

forge_tid formula_mask(build *b, forge_tid x, forge_tid keep, uint32_t kind, double fill) {
  const forge_attr_mask a = {kind, 0, fill};
  forge_tid out = 0;
  return build_op(b, FORGE_OP_MASK, &a, sizeof a, (forge_tid[]){x, keep}, 2, &out, 1);
}

forge_tid formula_equal(build *b, forge_tid a, forge_tid x) {
  const forge_tid zero = formula_constant(b, 0, FORGE_I32, a);
  return formula_mask(b, zero, formula_sub(b, a, x), FORGE_MASK_TENSOR, 1);
}

forge_tid formula_iota(build *b, int64_t n) {
  forge_tid out = FORGE_TID_NONE;
  if (b->status) return out;
  int32_t *data = mem_zalloc_array((size_t)n, sizeof *data);
  if (!data) return settle(b, FAIL(FORGE_E_OOM, "no memory for a constant"), out);
  for (int64_t i = 0; i < n; i++) data[i] = (int32_t)i;
  const forge_status st = graph_constant(b->builder, FORGE_I32, 1, &n, data, &out);
  mem_free(data);
  return settle(b, st, out);
}

forge_tid formula_values(build *b, uint8_t rank, const int64_t *dim, const float *values) {
  forge_tid out = FORGE_TID_NONE;
  if (b->status) return out;
  const forge_status st = graph_constant(b->builder, FORGE_F32, rank, dim, values, &out);
  return settle(b, st, out);
}

forge_tid formula_onehot(build *b, forge_tid ids, int64_t n) {
  const forge_tid column = formula_unsqueeze(b, ids, formula_shape(b, ids).rank);
  forge_tensor t = formula_shape(b, column);
  if (b->status) return FORGE_TID_NONE;
  t.dim[t.rank - 1] = n;
  t.stride[t.rank - 1] = 0;
  forge_tid wide = FORGE_TID_NONE;
  settle(b, forge_builder_view(b->builder, column, &t, 0, &wide), wide);
  return formula_equal(b, wide, formula_iota(b, n));
}

forge_tid formula_matmul(build *b, forge_tid x, forge_tid y, uint32_t flags) {
  return build_matmul(b, x, y, FORGE_TID_NONE, flags);
}

forge_tid formula_unsqueeze(build *b, forge_tid x, uint32_t dim) {
  forge_tensor t = formula_shape(b, x);
  forge_tid out = FORGE_TID_NONE;
  if (b->status) return out;
  if (t.rank == FORGE_MAX_RANK)
    return settle(b, FAIL(FORGE_E_UNSUPPORTED, "a formula needs more than %d dims", FORGE_MAX_RANK),
                  out);
  for (uint32_t k = t.rank; k > dim; k--) {
    t.dim[k] = t.dim[k - 1];
    t.stride[k] = t.stride[k - 1];
    t.dim_scalar[k] = t.dim_scalar[k - 1];
  }
  t.dim[dim] = 1;
  t.stride[dim] = 0;
  t.dim_scalar[dim] = 0;
  t.rank++;
  const forge_status st = forge_builder_view(b->builder, x, &t, 0, &out);
  return settle(b, st, out);
}

forge_tid formula_repeat(build *b, forge_tid x, uint32_t dim, forge_tid like, uint32_t like_dim) {
  forge_tensor t = formula_shape(b, x);
  const forge_tensor l = formula_shape(b, like);
  forge_tid out = FORGE_TID_NONE;
  if (b->status) return out;
  t.dim[dim] = l.dim[like_dim];
  t.dim_scalar[dim] = l.dim_scalar[like_dim];
  t.stride[dim] = 0;
  const forge_status st = forge_builder_view(b->builder, x, &t, 0, &out);
  return settle(b, st, out);
}

void formula_into(build *b, uint16_t op, const void *attr, uint32_t attr_bytes, const forge_tid *in,
                  uint32_t n_in, forge_tid *out) {
  for (uint32_t k = 0; !b->status && k < n_in; k++)
    if (in[k] != FORGE_TID_NONE && in[k] >= b->builder->n_values)
      settle(b, FAIL(FORGE_E_INTERNAL, "a formula lost an operand"), 0);
  if (!b->status) settle(b, graph_write(b->builder, op, attr, attr_bytes, in, n_in, out, 1), 0);
}

void formula_copy_into(build *b, forge_tid x, forge_tid out) {
  formula_into(b, FORGE_OP_COPY_STRIDED, NULL, 0, &x, 1, &out);
}

forge_tid formula_fresh(build *b, forge_tid like, uint8_t dtype) {
  const forge_tensor t = formula_shape(b, like);
  forge_tid out = FORGE_TID_NONE;
  if (b->status) return out;
  const forge_status st = graph_fresh(b->builder, &t, dtype, &out);
  return settle(b, st, out);
}

forge_tid formula_renew(build *b, forge_tid x) {
  if (b->status) return FORGE_TID_NONE;
  const forge_status st = graph_renew(b->builder, &x);
  return settle(b, st, x);
}
