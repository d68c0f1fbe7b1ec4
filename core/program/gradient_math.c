/* gradient_math.c -- reverse steps of the primitives. dy: gradient of the output, always F32 and of
 * the output's dims; what is stored in din is F32 and of the input's dims. */
#include <math.h>
#include <string.h>

#include "formula.h"

/* COPY_STRIDED and CAST between floats: gradients are F32 whatever the value's type. */
forge_status grad_copy(grad_call *c) {
  c->din[0] = c->dout[0];
  return FORGE_OK;
}

static forge_tid unary_bwd(build *b, forge_tid x, forge_tid dy, uint32_t kind) {
  const forge_attr_kind a = {kind, 0};
  forge_tid out = 0;
  return build_op(b, FORGE_OP_UNARY_BWD, &a, sizeof a, (forge_tid[]){x, dy}, 2, &out, 1);
}

forge_status grad_unary(grad_call *c) {
  const forge_attr_kind *a = c->attr;
  c->din[0] = unary_bwd(c->b, formula_f32(c->b, c->in[0]), c->dout[0], a->kind);
  return FORGE_OK;
}

/* MAX takes the first operand where they are equal; so does MIN. */
static void grad_extreme(grad_call *c, bool max) {
  build *b = c->b;
  const forge_tid x = formula_f32(b, c->in[0]), y = formula_f32(b, c->in[1]);
  const forge_tid second =
      build_unary(b, max ? formula_sub(b, y, x) : formula_sub(b, x, y), FORGE_UNARY_STEP);
  const forge_tid dsecond = build_mul(b, c->dout[0], second);
  c->din[0] = formula_sub(b, c->dout[0], dsecond);
  c->din[1] = dsecond;
}

static void grad_quotient(grad_call *c) {
  build *b = c->b;
  const forge_tid x = formula_f32(b, c->in[0]), y = formula_f32(b, c->in[1]);
  c->din[0] = formula_div(b, c->dout[0], y);
  if (!c->need[1]) return;
  const forge_tid slope = formula_div(b, x, build_unary(b, y, FORGE_UNARY_SQUARE));
  c->din[1] = build_unary(b, build_mul(b, c->dout[0], slope), FORGE_UNARY_NEG);
}

forge_status grad_binary(grad_call *c) {
  build *b = c->b;
  const forge_tid dy = c->dout[0];
  switch (((const forge_attr_kind *)c->attr)->kind) {
  case FORGE_BINARY_ADD: c->din[0] = c->din[1] = dy; break;
  case FORGE_BINARY_SUB:
    c->din[0] = dy;
    if (c->need[1]) c->din[1] = build_unary(b, dy, FORGE_UNARY_NEG);
    break;
  case FORGE_BINARY_MUL:
    if (c->need[0]) c->din[0] = build_mul(b, dy, formula_f32(b, c->in[1]));
    if (c->need[1]) c->din[1] = build_mul(b, dy, formula_f32(b, c->in[0]));
    break;
  case FORGE_BINARY_DIV: grad_quotient(c); break;
  case FORGE_BINARY_MAX: grad_extreme(c, true); break;
  default: grad_extreme(c, false); break;
  }
  return FORGE_OK;
}

forge_status grad_axpby(grad_call *c) {
  const forge_attr_axpby *a = c->attr;
  if (c->need[0]) c->din[0] = formula_scale_number(c->b, c->dout[0], a->alpha);
  if (c->need[1]) c->din[1] = formula_scale_number(c->b, c->dout[0], a->beta);
  return FORGE_OK;
}

/* Elements behind each reduced one, as a tensor: the count of ones, which also follows extents that
 * are scalars. */
static forge_tid group_size(build *b, forge_tid x, uint32_t dims) {
  return build_reduce(b, formula_constant(b, 1, FORGE_F32, x), FORGE_REDUCE_SUM, dims);
}

forge_status grad_reduce(grad_call *c) {
  const forge_attr_reduce *a = c->attr;
  build *b = c->b;
  forge_tid dy = c->dout[0];
  if (a->kind == FORGE_REDUCE_MEAN) dy = formula_div(b, dy, group_size(b, c->in[0], a->dims));
  c->din[0] = build_broadcast(b, dy, c->in[0]);
  if (a->kind != FORGE_REDUCE_MAX) return FORGE_OK;
  const forge_tid x = formula_f32(b, c->in[0]);
  const forge_tid top = build_broadcast(b, formula_f32(b, c->out[0]), x);
  const forge_tid below = build_unary(b, formula_sub(b, top, x), FORGE_UNARY_STEP);
  c->din[0] = formula_sub(b, c->din[0], build_mul(b, c->din[0], below));
  return FORGE_OK;
}

/* y = op(a) op(b): each gradient is again one product, with the transposes turned round. */
forge_status grad_matmul(grad_call *c) {
  const forge_attr_matmul *attr = c->attr;
  const uint32_t ta = attr->flags & FORGE_MATMUL_TRANS_A, tb = attr->flags & FORGE_MATMUL_TRANS_B;
  const forge_tid a = c->in[0], w = c->in[1], dy = c->dout[0];
  build *b = c->b;
  if (c->need[0] && ta) {
    c->din[0] = formula_matmul(b, w, dy, FORGE_MATMUL_TRANS_B | (tb ? FORGE_MATMUL_TRANS_A : 0u));
  } else if (c->need[0]) {
    c->din[0] = formula_matmul(b, dy, w, tb ? 0 : FORGE_MATMUL_TRANS_B);
  }
  if (c->need[1] && tb) {
    c->din[1] = formula_matmul(b, dy, a, FORGE_MATMUL_TRANS_A | (ta ? FORGE_MATMUL_TRANS_B : 0u));
  } else if (c->need[1]) {
    c->din[1] = formula_matmul(b, a, dy, ta ? 0 : FORGE_MATMUL_TRANS_A);
  }
  if (c->need[2]) c->din[2] = formula_sum_rows(b, dy);
  return FORGE_OK;
}

/* I32 [n]: 1 where 0 <= id < rows. */
static forge_tid valid_ids(build *b, forge_tid ids, int64_t rows) {
  const forge_tid low =
      build_binary(b, ids, formula_constant(b, 0, FORGE_I32, ids), FORGE_BINARY_MAX);
  const forge_tid last = formula_constant(b, (double)(rows - 1), FORGE_I32, ids);
  return formula_equal(b, ids, build_binary(b, low, last, FORGE_BINARY_MIN));
}

/* Rows of x where keep is not 0, else zeros. */
static forge_tid keep_rows(build *b, forge_tid x, forge_tid keep) {
  const forge_tid column = formula_unsqueeze(b, keep, formula_shape(b, keep).rank);
  return formula_mask(b, x, build_broadcast(b, column, x), FORGE_MASK_TENSOR, 0);
}

forge_status grad_gather(grad_call *c) {
  build *b = c->b;
  const forge_tensor table = formula_shape(b, c->in[0]), ids = formula_shape(b, c->in[1]);
  if (dtype_block_elems(table.dtype) > 1 || !c->need[0]) return FORGE_OK;
  if (table.dim_scalar[0] || (uint64_t)table.dim[0] > UINT32_MAX)
    return FAIL(FORGE_E_UNSUPPORTED, "GATHER_ROWS: no gradient for a table with so many rows");
  const forge_attr_scatter a = {FORGE_SCATTER_ADD, (uint32_t)table.dim[0]};
  const int64_t flat[2] = {(int64_t)tensor_elements(&ids), table.dim[1]};
  forge_tid in[] = {FORGE_TID_NONE, build_reshape(b, c->in[1], 1, flat),
                    build_reshape(b, c->dout[0], 2, flat)};
  c->din[0] = FORGE_TID_NONE;
  build_op(b, FORGE_OP_SCATTER_ROWS, &a, sizeof a, in, 3, &c->din[0], 1);
  return FORGE_OK;
}

/* For SET: the row of src that stays is the last that named it. Scattering row numbers tells which.
 */
static forge_tid winners(build *b, forge_tid ids, forge_tid src, uint32_t rows) {
  const forge_tensor s = formula_shape(b, src);
  const forge_attr_scatter a = {FORGE_SCATTER_SET, rows};
  forge_tid number = formula_unsqueeze(b, formula_iota(b, s.dim[0]), 1);
  forge_tensor t = formula_shape(b, number);
  t.dim_scalar[0] = s.dim_scalar[0];
  if (!b->status) b->status = forge_builder_view(b->builder, number, &t, 0, &number);
  const forge_tid in[] = {FORGE_TID_NONE, ids, formula_f32(b, number)};
  forge_tid table = 0;
  build_op(b, FORGE_OP_SCATTER_ROWS, &a, sizeof a, in, 3, &table, 1);
  const forge_tid last = build_gather(b, table, ids);
  return formula_equal(b, build_cast(b, last, FORGE_I32), number);
}

forge_status grad_scatter(grad_call *c) {
  const forge_attr_scatter *a = c->attr;
  build *b = c->b;
  const forge_tid dy = c->dout[0], ids = c->in[1];
  const forge_tensor y = formula_shape(b, dy);
  if (y.dim_scalar[0])
    return FAIL(FORGE_E_UNSUPPORTED, "SCATTER_ROWS: no gradient for a scalar extent");
  const forge_attr_scatter set = {FORGE_SCATTER_SET, 0};
  if (c->need[0] && a->mode == FORGE_SCATTER_SET) {
    const forge_tid in[] = {dy, ids, formula_zeros(b, c->in[2])};
    build_op(b, FORGE_OP_SCATTER_ROWS, &set, sizeof set, in, 3, &c->din[0], 1);
  } else if (c->need[0]) {
    c->din[0] = dy;
  }
  if (!c->need[2]) return FORGE_OK;
  forge_tid dsrc = keep_rows(b, build_gather(b, dy, ids), valid_ids(b, ids, y.dim[0]));
  if (a->mode == FORGE_SCATTER_SET) {
    const forge_tid stays = winners(b, ids, c->in[2], (uint32_t)y.dim[0]);
    dsrc = formula_mask(b, dsrc, build_broadcast(b, stays, dsrc), FORGE_MASK_TENSOR, 0);
  }
  c->din[2] = dsrc;
  return FORGE_OK;
}

/* dx = scale y (dy - sum(y dy)) */
forge_status grad_softmax(grad_call *c) {
  const forge_attr_softmax *a = c->attr;
  build *b = c->b;
  const forge_tid y = c->out[0], dy = c->dout[0];
  const forge_tid inner = formula_row(b, build_mul(b, y, dy), FORGE_REDUCE_SUM);
  const forge_tid dx = build_mul(b, y, formula_sub(b, dy, inner));
  c->din[0] = a->scale == 1 ? dx : formula_scale(b, dx, a->scale);
  return FORGE_OK;
}

forge_status grad_mask(grad_call *c) {
  const forge_attr_mask *a = c->attr;
  c->din[0] = formula_mask(c->b, c->dout[0], c->in[1], a->kind, 0);
  return FORGE_OK;
}
