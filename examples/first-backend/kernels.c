/* kernels.c -- all fourteen primitives: enough for every model to train and to run, since the core
 * expands what else there is into these. Here: what is supported, and why not. */
#include "primitives.h"

static uint8_t because(bool dtypes_fit) {
  return dtypes_fit ? FORGE_REASON_NONE : FORGE_REASON_DTYPE;
}
static uint8_t dtype_in(const call *c, int i) { return c->in[i].t.dtype; }
static uint8_t dtype_out(const call *c) { return c->out[0].t.dtype; }

/* Any known type; a block type with its blocks side by side. */
static uint8_t can_walk(const forge_tensor *t) {
  if (!packing_of(t->dtype).bytes) return FORGE_REASON_DTYPE;
  return is_block(t->dtype) && column_stride(t) != 1 ? FORGE_REASON_STRIDES : FORGE_REASON_NONE;
}

static uint8_t fill_supports(const call *c) { return because(is_plain(dtype_out(c))); }

static uint8_t cast_supports(const call *c) {
  const uint8_t reason = can_walk(&c->in[0].t);
  return reason ? reason : can_walk(&c->out[0].t);
}

static uint8_t copy_supports(const call *c) {
  return dtype_in(c, 0) == dtype_out(c) ? cast_supports(c) : FORGE_REASON_DTYPE;
}

static uint8_t binary_supports(const call *c) {
  const forge_attr_kind *attr = c->attr;
  if (attr->kind < FORGE_BINARY_ADD || attr->kind > FORGE_BINARY_MIN)
    return FORGE_REASON_ATTRIBUTES;
  return because((is_float(dtype_out(c)) || dtype_out(c) == FORGE_I32) &&
                 dtype_in(c, 0) == dtype_out(c) && dtype_in(c, 1) == dtype_out(c));
}

static uint8_t unary_supports(const call *c) {
  const forge_attr_kind *attr = c->attr;
  if (attr->kind < FORGE_UNARY_NEG || attr->kind > FORGE_UNARY_STEP) return FORGE_REASON_ATTRIBUTES;
  return because(is_float(dtype_out(c)) && dtype_in(c, 0) == dtype_out(c));
}

static uint8_t axpby_supports(const call *c) {
  return because(is_float(dtype_in(c, 0)) && is_float(dtype_in(c, 1)) && is_float(dtype_out(c)));
}

static uint8_t reduce_supports(const call *c) {
  const forge_attr_reduce *attr = c->attr;
  const uint8_t rank = c->in[0].t.rank;
  const bool argmax = attr->kind == FORGE_REDUCE_ARGMAX;
  if (attr->kind < FORGE_REDUCE_SUM || attr->kind > FORGE_REDUCE_MEAN)
    return FORGE_REASON_ATTRIBUTES;
  if (argmax && rank && attr->dims != 1u << (rank - 1)) return FORGE_REASON_ATTRIBUTES;
  return because(is_float(dtype_in(c, 0)) &&
                 (argmax ? dtype_out(c) == FORGE_I32 : is_float(dtype_out(c))));
}

static uint8_t matmul_supports(const call *c) {
  const forge_attr_matmul *attr = c->attr;
  const uint8_t bias = dtype_in(c, 2);
  if (attr->flags & ~(uint32_t)(FORGE_MATMUL_TRANS_A | FORGE_MATMUL_TRANS_B))
    return FORGE_REASON_ATTRIBUTES;
  if (c->in[0].t.rank < 2) return FORGE_REASON_SHAPE;
  return because(is_float(dtype_in(c, 0)) && is_float(dtype_in(c, 1)) && is_float(dtype_out(c)) &&
                 (!bias || bias == FORGE_F32));
}

static uint8_t gather_supports(const call *c) {
  const uint8_t table = dtype_in(c, 0), y = dtype_out(c);
  if (c->in[0].t.rank != 2) return FORGE_REASON_SHAPE;
  if (dtype_in(c, 1) != FORGE_I32 || !(y == FORGE_F32 || (y == table && is_plain(y))))
    return FORGE_REASON_DTYPE;
  return can_walk(&c->in[0].t);
}

static uint8_t scatter_supports(const call *c) {
  const forge_attr_scatter *attr = c->attr;
  const uint8_t base = dtype_in(c, 0), y = dtype_out(c);
  if (attr->mode != FORGE_SCATTER_SET && attr->mode != FORGE_SCATTER_ADD)
    return FORGE_REASON_ATTRIBUTES;
  if (c->out[0].t.rank != 2) return FORGE_REASON_SHAPE;
  return because((!base || base == y) && dtype_in(c, 1) == FORGE_I32 &&
                 dtype_in(c, 2) == FORGE_F32 &&
                 (y == FORGE_F32 || (is_float(y) && attr->mode == FORGE_SCATTER_SET)));
}

static uint8_t softmax_supports(const call *c) {
  return because(dtype_in(c, 0) == FORGE_F32 && dtype_out(c) == FORGE_F32);
}

static uint8_t topk_supports(const call *c) {
  return because(dtype_in(c, 0) == FORGE_F32 && dtype_out(c) == FORGE_F32 &&
                 c->out[1].t.dtype == FORGE_I32);
}

static uint8_t rng_supports(const call *c) {
  const forge_attr_rng *attr = c->attr;
  if (attr->kind != FORGE_RNG_UNIFORM && attr->kind != FORGE_RNG_NORMAL)
    return FORGE_REASON_ATTRIBUTES;
  return because(dtype_out(c) == FORGE_F32 && (!dtype_in(c, 0) || dtype_in(c, 0) == FORGE_I32));
}

static uint8_t mask_supports(const call *c) {
  const forge_attr_mask *attr = c->attr;
  const uint8_t limit = dtype_in(c, 1);
  if (attr->kind < FORGE_MASK_TENSOR || attr->kind > FORGE_MASK_LENGTH)
    return FORGE_REASON_ATTRIBUTES;
  if (attr->kind == FORGE_MASK_CAUSAL ? c->in[0].t.rank < 2 : !limit) return FORGE_REASON_SHAPE;
  return because((dtype_out(c) == FORGE_F32 || dtype_out(c) == FORGE_I32) &&
                 dtype_in(c, 0) == dtype_out(c) && (!limit || limit == FORGE_I32));
}

const kernel kernels[] = {
    {FORGE_OP_COPY_STRIDED, 0, copy_supports, cast},
    {FORGE_OP_CAST, 0, cast_supports, cast},
    {FORGE_OP_FILL, sizeof(forge_attr_fill), fill_supports, fill},
    {FORGE_OP_BINARY, sizeof(forge_attr_kind), binary_supports, binary},
    {FORGE_OP_UNARY, sizeof(forge_attr_kind), unary_supports, unary},
    {FORGE_OP_AXPBY, sizeof(forge_attr_axpby), axpby_supports, axpby},
    {FORGE_OP_REDUCE, sizeof(forge_attr_reduce), reduce_supports, reduce},
    {FORGE_OP_MATMUL, sizeof(forge_attr_matmul), matmul_supports, matmul},
    {FORGE_OP_GATHER_ROWS, 0, gather_supports, gather_rows},
    {FORGE_OP_SCATTER_ROWS, sizeof(forge_attr_scatter), scatter_supports, scatter_rows},
    {FORGE_OP_SOFTMAX, sizeof(forge_attr_softmax), softmax_supports, softmax},
    {FORGE_OP_TOPK, sizeof(forge_attr_topk), topk_supports, topk},
    {FORGE_OP_RNG_PHILOX, sizeof(forge_attr_rng), rng_supports, rng},
    {FORGE_OP_MASK, sizeof(forge_attr_mask), mask_supports, mask},
    {0, 0, NULL, NULL},
};
