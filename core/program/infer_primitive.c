/* infer_primitive.c -- shapes of the primitives, as ops.h defines them. */
#include <string.h>

#include "rows.h"

forge_status infer_copy(shape_call *c) {
  shape_out(c, 0, c->in[0]->dtype, c->in[0]);
  return FORGE_OK;
}

/* The shape the caller gave, where it cannot follow from inputs. */
static forge_status take_wanted(shape_call *c) {
  if (!c->wanted)
    return FAIL(FORGE_E_INVALID,
                "%s: its output does not follow from its inputs; use forge_builder_op_shaped",
                c->op);
  shape_out(c, 0, c->wanted->dtype, c->wanted);
  return FORGE_OK;
}

forge_status infer_cast(shape_call *c) {
  TRY(take_wanted(c));
  const uint32_t block = dtype_block_elems(c->wanted->dtype), rank = c->in[0]->rank;
  if (!tensor_same_dims(c->wanted, c->in[0]))
    return shape_fail(c, 0, "CAST keeps the dims; give the output the same ones");
  if (block > 1 && (!rank || c->in[0]->dim[rank - 1] % block || c->in[0]->dim_scalar[rank - 1]))
    return shape_fail(c, 0, "the last dimension is no multiple of the %u elements of a %s block",
                      block, dtype_name(c->wanted->dtype));
  return FORGE_OK;
}

forge_status infer_fill(shape_call *c) {
  TRY(take_wanted(c));
  if (dtype_block_elems(c->wanted->dtype) != 1)
    return FAIL(FORGE_E_INVALID, "FILL: %s is a block type; fill F32 and CAST",
                dtype_name(c->wanted->dtype));
  return FORGE_OK;
}

forge_status infer_binary(shape_call *c) {
  const forge_attr_kind *a = c->attr;
  TRY(shape_kind(c, a->kind, FORGE_BINARY_MIN, "kind"));
  TRY(shape_type(c, 0, SHAPE_FLOAT | SHAPE_I32));
  TRY(shape_same(c, 1, 0));
  if (c->in[0]->dtype != c->in[1]->dtype)
    return shape_fail(c, 1, "input 0 is %s; CAST one of them", dtype_name(c->in[0]->dtype));
  shape_out(c, 0, c->in[0]->dtype, c->in[0]);
  return FORGE_OK;
}

forge_status infer_unary(shape_call *c) {
  const forge_attr_kind *a = c->attr;
  TRY(shape_kind(c, a->kind, FORGE_UNARY_STEP, "kind"));
  for (uint32_t i = 0; i < c->n_in; i++) {
    TRY(shape_type(c, i, SHAPE_FLOAT));
    TRY(shape_same(c, i, 0));
    if (c->in[i]->dtype != c->in[0]->dtype)
      return shape_fail(c, i, "input 0 is %s; CAST one of them", dtype_name(c->in[0]->dtype));
  }
  shape_out(c, 0, c->in[0]->dtype, c->in[0]);
  return FORGE_OK;
}

forge_status infer_axpby(shape_call *c) {
  const forge_attr_axpby *a = c->attr;
  TRY(shape_number(c, &a->alpha, "alpha"));
  TRY(shape_number(c, &a->beta, "beta"));
  TRY(shape_type(c, 0, SHAPE_FLOAT));
  TRY(shape_same(c, 1, 0));
  if (c->in[0]->dtype != c->in[1]->dtype)
    return shape_fail(c, 1, "input 0 is %s; CAST one of them", dtype_name(c->in[0]->dtype));
  shape_out(c, 0, c->in[0]->dtype, c->in[0]);
  return FORGE_OK;
}

forge_status infer_reduce(shape_call *c) {
  const forge_attr_reduce *a = c->attr;
  const uint32_t rank = c->in[0]->rank;
  TRY(shape_kind(c, a->kind, FORGE_REDUCE_MEAN, "kind"));
  TRY(shape_type(c, 0, SHAPE_FLOAT));
  if (!a->dims || a->dims >> rank)
    return shape_fail(c, 0, "dims 0x%x: set bit k for each of its %u dimensions to reduce", a->dims,
                      rank);
  if (a->kind == FORGE_REDUCE_ARGMAX && a->dims != 1u << (rank - 1))
    return shape_fail(c, 0, "ARGMAX reduces the last dimension alone (dims 0x%x)",
                      1u << (rank - 1));
  shape_out(c, 0, a->kind == FORGE_REDUCE_ARGMAX ? FORGE_I32 : c->in[0]->dtype, c->in[0]);
  for (uint32_t k = 0; k < rank; k++)
    if (a->dims >> k & 1) {
      c->out[0].dim[k] = 1;
      c->out[0].dim_scalar[k] = 0;
    }
  return FORGE_OK;
}

forge_status infer_matmul(shape_call *c) {
  const forge_attr_matmul *attr = c->attr;
  const forge_tensor *a = c->in[0];
  const uint32_t r = a->rank;
  if (attr->flags & ~3u) return FAIL(FORGE_E_INVALID, "MATMUL: unknown flags 0x%x", attr->flags);
  const uint32_t ta = attr->flags & FORGE_MATMUL_TRANS_A ? 1 : 0;
  const uint32_t tb = attr->flags & FORGE_MATMUL_TRANS_B ? 1 : 0;
  TRY(shape_type(c, 0, SHAPE_FLOAT));
  if (dtype_block_elems(c->in[1]->dtype) > 1) return shape_fail(c, 1, "a block type; use QMATMUL");
  TRY(shape_type(c, 1, SHAPE_FLOAT));
  TRY(shape_type(c, 2, SHAPE_F32));
  TRY(shape_rank(c, 0, 2, FORGE_MAX_RANK));
  TRY(shape_rank(c, 1, r, r));
  for (uint32_t k = 0; k + 2 < r; k++) TRY(shape_dim(c, 1, k, 0, k));
  TRY(shape_dim(c, 1, r - 2 + tb, 0, r - 1 - ta));
  TRY(shape_rank(c, 2, 1, 1));
  TRY(shape_dim(c, 2, 0, 1, r - 1 - tb));
  shape_out(c, 0, FORGE_F32, a);
  c->out[0].dim[r - 2] = a->dim[r - 2 + ta];
  c->out[0].dim_scalar[r - 2] = a->dim_scalar[r - 2 + ta];
  c->out[0].dim[r - 1] = c->in[1]->dim[r - 1 - tb];
  c->out[0].dim_scalar[r - 1] = c->in[1]->dim_scalar[r - 1 - tb];
  if (c->wanted) c->out[0].dtype = c->wanted->dtype;
  return FORGE_OK;
}

forge_status infer_gather(shape_call *c) {
  const forge_tensor *table = c->in[0], *ids = c->in[1];
  const bool integer = table->dtype == FORGE_I32 || table->dtype == FORGE_I8;
  TRY(shape_rank(c, 0, 2, 2));
  TRY(shape_type(c, 1, SHAPE_I32));
  TRY(shape_rank(c, 1, 0, FORGE_MAX_RANK - 1));
  shape_out(c, 0, integer ? table->dtype : FORGE_F32, ids);
  if (c->wanted && dtype_is_float(table->dtype) && c->wanted->dtype == table->dtype)
    c->out[0].dtype = table->dtype;
  c->out[0].rank = (uint8_t)(ids->rank + 1);
  c->out[0].dim[ids->rank] = table->dim[1];
  c->out[0].dim_scalar[ids->rank] = table->dim_scalar[1];
  return FORGE_OK;
}

forge_status infer_scatter(shape_call *c) {
  const forge_attr_scatter *a = c->attr;
  const forge_tensor *base = c->in[0];
  TRY(shape_kind(c, a->mode, FORGE_SCATTER_ADD, "mode"));
  TRY(shape_type(c, 0, a->mode == FORGE_SCATTER_SET ? SHAPE_FLOAT : SHAPE_F32));
  TRY(shape_type(c, 1, SHAPE_I32));
  TRY(shape_type(c, 2, SHAPE_F32));
  TRY(shape_rank(c, 0, 2, 2));
  TRY(shape_rank(c, 1, 1, 1));
  TRY(shape_rank(c, 2, 2, 2));
  TRY(shape_dim(c, 2, 0, 1, 0));
  TRY(shape_dim(c, 2, 1, 0, 1));
  if (!base == !a->rows)
    return FAIL(FORGE_E_INVALID,
                "SCATTER_ROWS: give base, or the attribute rows in its place, and not both");
  shape_out(c, 0, base ? base->dtype : FORGE_F32, base ? base : c->in[2]);
  if (!base) {
    c->out[0].dim[0] = a->rows;
    c->out[0].dim_scalar[0] = 0;
  }
  return FORGE_OK;
}

forge_status infer_softmax(shape_call *c) {
  TRY(shape_type(c, 0, SHAPE_F32));
  TRY(shape_rank(c, 0, 1, FORGE_MAX_RANK));
  shape_out(c, 0, FORGE_F32, c->in[0]);
  return FORGE_OK;
}

forge_status infer_topk(shape_call *c) {
  const forge_attr_topk *a = c->attr;
  const uint32_t r = c->in[0]->rank;
  TRY(shape_type(c, 0, SHAPE_F32));
  TRY(shape_rank(c, 0, 1, FORGE_MAX_RANK));
  if (!a->k || a->k > c->in[0]->dim[r - 1] || c->in[0]->dim_scalar[r - 1])
    return shape_fail(c, 0, "k = %u is not within 1 and the last extent, or that is a scalar",
                      a->k);
  for (uint32_t k = 0; k < 2; k++) {
    shape_out(c, k, k ? FORGE_I32 : FORGE_F32, c->in[0]);
    c->out[k].dim[r - 1] = a->k;
    c->out[k].dim_scalar[r - 1] = 0;
  }
  return FORGE_OK;
}

forge_status infer_rng(shape_call *c) {
  const forge_attr_rng *a = c->attr;
  TRY(take_wanted(c));
  TRY(shape_kind(c, a->kind, FORGE_RNG_NORMAL, "kind"));
  if (a->seed_scalar > c->n_scalars || a->offset_scalar > c->n_scalars)
    return FAIL(FORGE_E_INVALID, "RNG_PHILOX: seed or offset names a scalar that is not declared");
  if (c->wanted->dtype != FORGE_F32)
    return FAIL(FORGE_E_INVALID, "RNG_PHILOX: the output is F32; CAST it afterwards");
  if (!c->in[0]) return FORGE_OK;
  const forge_tensor *keys = c->in[0], *y = c->wanted;
  TRY(shape_type(c, 0, SHAPE_I32));
  if (keys->rank != y->rank || !keys->rank || keys->dim[keys->rank - 1] != 3)
    return shape_fail(c, 0, "keys are [.., 3] with the output's leading dims");
  for (uint32_t k = 0; k + 1 < y->rank; k++)
    if (!tensor_same_dim(keys, k, y, k))
      return shape_fail(c, 0, "keys are [.., 3] with the output's leading dims");
  return FORGE_OK;
}

forge_status infer_mask(shape_call *c) {
  const forge_attr_mask *a = c->attr;
  const forge_tensor *x = c->in[0], *keep = c->in[1];
  TRY(shape_kind(c, a->kind, FORGE_MASK_LENGTH, "kind"));
  TRY(shape_type(c, 0, SHAPE_F32 | SHAPE_I32));
  TRY(shape_type(c, 1, SHAPE_I32));
  const uint32_t below = a->kind == FORGE_MASK_TENSOR ? 0 : a->kind == FORGE_MASK_CAUSAL ? 2 : 1;
  if (!keep && a->kind != FORGE_MASK_CAUSAL)
    return FAIL(FORGE_E_INVALID, "MASK: only CAUSAL works without input 1 (keep)");
  TRY(shape_rank(c, 0, below, FORGE_MAX_RANK));
  TRY(shape_rank(c, 1, x->rank - below, x->rank - below));
  for (uint32_t k = 0; keep && k < keep->rank; k++) TRY(shape_dim(c, 1, k, 0, k));
  shape_out(c, 0, x->dtype, x);
  return FORGE_OK;
}
