/* infer_composite.c -- shapes of the composites, as ops.h defines them. */
#include <inttypes.h>
#include <string.h>

#include "rows.h"

static forge_status all_f32(const shape_call *c, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) TRY(shape_type(c, i, SHAPE_F32));
  return FORGE_OK;
}

forge_status infer_norm(shape_call *c) {
  TRY(all_f32(c, c->n_in));
  TRY(shape_rank(c, 0, 1, FORGE_MAX_RANK));
  for (uint32_t i = 1; i < c->n_in; i++) {
    TRY(shape_rank(c, i, 1, 1));
    TRY(shape_dim(c, i, 0, 0, c->in[0]->rank - 1u));
  }
  shape_out(c, 0, FORGE_F32, c->in[0]);
  return FORGE_OK;
}

forge_status infer_norm_bwd(shape_call *c) {
  TRY(all_f32(c, 3));
  TRY(shape_rank(c, 0, 1, FORGE_MAX_RANK));
  TRY(shape_rank(c, 1, 1, 1));
  TRY(shape_dim(c, 1, 0, 0, c->in[0]->rank - 1u));
  TRY(shape_same(c, 2, 0));
  shape_out(c, 0, FORGE_F32, c->in[0]);
  for (int8_t k = 1; k < c->row->n_out; k++) shape_out(c, (uint32_t)k, FORGE_F32, c->in[1]);
  return FORGE_OK;
}

forge_status infer_rope(shape_call *c) {
  const forge_attr_rope *a = c->attr;
  const forge_tensor *x = c->in[0], *p = c->in[1], *f = c->in[2];
  TRY(shape_type(c, 0, SHAPE_F32));
  TRY(shape_type(c, 1, SHAPE_I32));
  TRY(shape_type(c, 2, SHAPE_F32));
  TRY(shape_rank(c, 0, 3, FORGE_MAX_RANK));
  if (a->n_rot % 2 || !a->n_rot || a->n_rot > x->dim[x->rank - 1] || x->dim_scalar[x->rank - 1])
    return shape_fail(c, 0, "n_rot = %u must be even and within the last extent, no scalar",
                      a->n_rot);
  if (a->flags & ~3u) return FAIL(FORGE_E_INVALID, "ROPE: unknown flags 0x%x", a->flags);
  if (!(a->base > 0)) return FAIL(FORGE_E_INVALID, "ROPE: base must be above 0");
  if (p->rank == 1) {
    TRY(shape_dim(c, 1, 0, 0, x->rank - 3u));
  } else {
    TRY(shape_rank(c, 1, x->rank - 2u, x->rank - 2u));
    for (uint32_t k = 0; k < p->rank; k++) TRY(shape_dim(c, 1, k, 0, k));
  }
  if (f && (f->rank != 1 || f->dim[0] != a->n_rot / 2))
    return shape_fail(c, 2, "[n_rot/2] = [%u] wanted", a->n_rot / 2);
  shape_out(c, 0, FORGE_F32, x);
  return FORGE_OK;
}

forge_status infer_same_f32(shape_call *c) {
  TRY(all_f32(c, c->n_in));
  for (uint32_t i = 1; i < c->n_in; i++) TRY(shape_same(c, i, 0));
  for (int8_t k = 0; k < c->row->n_out; k++) shape_out(c, (uint32_t)k, FORGE_F32, c->in[0]);
  return FORGE_OK;
}

/* lse is [B, H, T] for q [B, T, H, D]. */
static forge_tensor lse_of(const forge_tensor *q) {
  static const uint8_t from[3] = {0, 2, 1};
  forge_tensor t = {.dtype = FORGE_F32, .rank = 3};
  for (uint32_t k = 0; k < 3; k++) {
    t.dim[k] = q->dim[from[k]];
    t.dim_scalar[k] = q->dim_scalar[from[k]];
  }
  return t;
}

static forge_status check_heads(const shape_call *c) {
  const forge_tensor *q = c->in[0], *k = c->in[1];
  if (k->dim[2] < 1 || q->dim[2] % k->dim[2] || q->dim_scalar[2] || k->dim_scalar[2])
    return shape_fail(c, 1, "its %" PRId64 " key heads do not divide the %" PRId64 " heads of q",
                      k->dim[2], q->dim[2]);
  TRY(shape_same(c, 2, 1));
  return shape_dim(c, 1, 3, 0, 3);
}

forge_status infer_attention(shape_call *c) {
  const forge_attr_attention *a = c->attr;
  const forge_tensor *q = c->in[0], *pages = c->in[4];
  TRY(shape_type(c, 0, SHAPE_F32));
  TRY(shape_type(c, 1, SHAPE_FLOAT));
  TRY(shape_type(c, 2, SHAPE_FLOAT));
  TRY(shape_type(c, 3, SHAPE_I32));
  TRY(shape_type(c, 4, SHAPE_I32));
  for (uint32_t i = 0; i < 3; i++) TRY(shape_rank(c, i, 4, 4));
  if (a->flags & ~(uint32_t)FORGE_ATTENTION_CAUSAL)
    return FAIL(FORGE_E_INVALID, "ATTENTION: unknown flags 0x%x", a->flags);
  TRY(check_heads(c));
  TRY(shape_rank(c, 3, 1, 1));
  TRY(shape_dim(c, 3, 0, 0, 0));
  TRY(shape_rank(c, 4, 2, 2));
  TRY(pages ? shape_dim(c, 4, 0, 0, 0) : shape_dim(c, 1, 0, 0, 0));
  shape_out(c, 0, FORGE_F32, q);
  c->out[1] = lse_of(q);
  return FORGE_OK;
}

forge_status infer_attention_bwd(shape_call *c) {
  const forge_attr_attention *a = c->attr;
  TRY(all_f32(c, 6));
  for (uint32_t i = 0; i < 3; i++) TRY(shape_rank(c, i, 4, 4));
  if (a->window)
    return FAIL(FORGE_E_INVALID, "ATTENTION_BWD: no gradient with a window; set window 0");
  TRY(check_heads(c));
  TRY(shape_dim(c, 1, 0, 0, 0));
  TRY(shape_same(c, 3, 0));
  TRY(shape_same(c, 5, 0));
  const forge_tensor lse = lse_of(c->in[0]);
  if (!tensor_same_dims(&lse, c->in[4])) return shape_fail(c, 4, "[B, H, T] wanted");
  for (uint32_t k = 0; k < 3; k++) shape_out(c, k, FORGE_F32, c->in[k]);
  return FORGE_OK;
}

forge_status infer_kv_write(shape_call *c) {
  TRY(shape_type(c, 0, SHAPE_FLOAT));
  TRY(shape_type(c, 1, SHAPE_I32));
  TRY(shape_type(c, 2, SHAPE_F32));
  TRY(shape_rank(c, 0, 4, 4));
  TRY(shape_rank(c, 1, 1, 1));
  TRY(shape_rank(c, 2, 3, 3));
  TRY(shape_dim(c, 2, 0, 1, 0));
  TRY(shape_dim(c, 2, 1, 0, 2));
  TRY(shape_dim(c, 2, 2, 0, 3));
  shape_out(c, 0, c->in[0]->dtype, c->in[0]);
  return FORGE_OK;
}

forge_status infer_cross_entropy(shape_call *c) {
  static const forge_tensor loss = {.dtype = FORGE_F32};
  TRY(shape_type(c, 0, SHAPE_F32));
  TRY(shape_type(c, 1, SHAPE_I32));
  TRY(shape_rank(c, 0, 2, 2));
  TRY(shape_rank(c, 1, 1, 1));
  TRY(shape_dim(c, 1, 0, 0, 0));
  if (c->n_in == 3) {
    TRY(shape_type(c, 2, SHAPE_F32));
    TRY(shape_rank(c, 2, 0, 0));
  }
  shape_out(c, 0, FORGE_F32, c->n_in == 3 ? c->in[0] : &loss);
  return FORGE_OK;
}

forge_status infer_adamw(shape_call *c) {
  const forge_attr_adamw *a = c->attr;
  TRY(all_f32(c, c->n_in));
  for (uint32_t i = 1; i < 4; i++) TRY(shape_same(c, i, 0));
  TRY(shape_rank(c, 4, 0, 0));
  TRY(shape_number(c, &a->lr, "lr"));
  TRY(shape_number(c, &a->step, "step"));
  for (uint32_t k = 0; k < 3; k++) shape_out(c, k, FORGE_F32, c->in[0]);
  return FORGE_OK;
}

forge_status infer_global_norm(shape_call *c) {
  static const forge_tensor one = {.dtype = FORGE_F32};
  TRY(all_f32(c, c->n_in));
  for (uint32_t k = 0; k < 2; k++) shape_out(c, k, FORGE_F32, &one);
  return FORGE_OK;
}

forge_status infer_sample(shape_call *c) {
  TRY(shape_type(c, 0, SHAPE_F32));
  TRY(shape_type(c, 1, SHAPE_F32));
  TRY(shape_type(c, 2, SHAPE_I32));
  for (uint32_t i = 0; i < 3; i++) {
    TRY(shape_rank(c, i, 2, 2));
    TRY(shape_dim(c, i, 0, 0, 0));
    if (i && c->in[i]->dim[1] != 4) return shape_fail(c, i, "[R, 4] wanted");
  }
  shape_out(c, 0, FORGE_I32, c->in[0]);
  c->out[0].rank = 1;
  return FORGE_OK;
}

forge_status infer_qmatmul(shape_call *c) {
  const uint32_t r = c->in[0]->rank;
  TRY(shape_type(c, 0, SHAPE_F32));
  TRY(shape_type(c, 1, SHAPE_BLOCK));
  TRY(shape_type(c, 2, SHAPE_F32));
  TRY(shape_rank(c, 0, 2, FORGE_MAX_RANK));
  TRY(shape_rank(c, 1, 2, 2));
  TRY(shape_dim(c, 1, 1, 0, r - 1));
  TRY(shape_rank(c, 2, 1, 1));
  TRY(shape_dim(c, 2, 0, 1, 0));
  shape_out(c, 0, FORGE_F32, c->in[0]);
  c->out[0].dim[r - 1] = c->in[1]->dim[0];
  c->out[0].dim_scalar[r - 1] = c->in[1]->dim_scalar[0];
  return FORGE_OK;
}

forge_status infer_moe_route(shape_call *c) {
  const forge_attr_moe *a = c->attr;
  TRY(shape_type(c, 0, SHAPE_F32));
  TRY(shape_rank(c, 0, 2, 2));
  if (!a->k || a->k > c->in[0]->dim[1] || c->in[0]->dim_scalar[1])
    return shape_fail(c, 0, "k = %u is not within 1 and the number of experts, or that is a scalar",
                      a->k);
  for (uint32_t k = 0; k < 2; k++) {
    shape_out(c, k, k ? FORGE_F32 : FORGE_I32, c->in[0]);
    c->out[k].dim[1] = a->k;
    c->out[k].dim_scalar[1] = 0;
  }
  return FORGE_OK;
}

forge_status infer_moe_route_bwd(shape_call *c) {
  const forge_attr_moe *a = c->attr;
  TRY(shape_type(c, 0, SHAPE_F32));
  TRY(shape_type(c, 1, SHAPE_I32));
  TRY(shape_type(c, 2, SHAPE_F32));
  for (uint32_t i = 0; i < 3; i++) TRY(shape_rank(c, i, 2, 2));
  TRY(shape_dim(c, 1, 0, 0, 0));
  TRY(shape_same(c, 2, 1));
  if (c->in[1]->dim[1] != a->k) return shape_fail(c, 1, "[T, k] with k = %u wanted", a->k);
  shape_out(c, 0, FORGE_F32, c->in[0]);
  return FORGE_OK;
}

forge_status infer_grouped(shape_call *c) {
  const forge_attr_matmul *a = c->attr;
  const uint32_t ta = a->flags & FORGE_MATMUL_TRANS_A ? 1 : 0;
  if (a->flags & ~1u) return FAIL(FORGE_E_INVALID, "GROUPED_MATMUL: unknown flags 0x%x", a->flags);
  TRY(shape_type(c, 0, SHAPE_F32));
  TRY(shape_type(c, 1, SHAPE_FLOAT));
  TRY(shape_type(c, 2, SHAPE_I32));
  TRY(shape_rank(c, 0, 2, 2));
  TRY(shape_rank(c, 1, 3, 3));
  TRY(shape_rank(c, 2, 1, 1));
  TRY(shape_dim(c, 2, 0, 0, 0));
  TRY(shape_dim(c, 1, 2 - ta, 0, 1));
  shape_out(c, 0, FORGE_F32, c->in[0]);
  c->out[0].dim[1] = c->in[1]->dim[1 + ta];
  c->out[0].dim_scalar[1] = c->in[1]->dim_scalar[1 + ta];
  return FORGE_OK;
}

forge_status infer_grouped_dw(shape_call *c) {
  const forge_tensor *x = c->in[0], *dy = c->in[1], *w = c->wanted;
  TRY(shape_type(c, 0, SHAPE_F32));
  TRY(shape_type(c, 1, SHAPE_F32));
  TRY(shape_type(c, 2, SHAPE_I32));
  TRY(shape_rank(c, 0, 2, 2));
  TRY(shape_rank(c, 1, 2, 2));
  TRY(shape_rank(c, 2, 1, 1));
  TRY(shape_dim(c, 1, 0, 0, 0));
  TRY(shape_dim(c, 2, 0, 0, 0));
  if (!w || w->rank != 3 || w->dtype != FORGE_F32 || !tensor_same_dim(w, 1, dy, 1) ||
      !tensor_same_dim(w, 2, x, 1))
    return FAIL(FORGE_E_INVALID,
                "GROUPED_MATMUL_DW: its output F32 [E, N, K] must be given (E does not follow from "
                "the inputs); use forge_builder_op_shaped with N and K of dy and x");
  shape_out(c, 0, FORGE_F32, w);
  return FORGE_OK;
}
