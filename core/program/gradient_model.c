/* gradient_model.c -- reverse steps of the composites: each is a composite of its own, which a
 * backend may have and the core expands otherwise. */
#include "formula.h"

forge_status grad_rmsnorm(grad_call *c) {
  forge_tid out[2] = {0, 0};
  build_op(c->b, FORGE_OP_RMSNORM_BWD, c->attr, sizeof(forge_attr_norm),
           (forge_tid[]){c->in[0], c->in[1], c->dout[0]}, 3, out, 2);
  c->din[0] = out[0];
  c->din[1] = out[1];
  return FORGE_OK;
}

forge_status grad_layernorm(grad_call *c) {
  build_op(c->b, FORGE_OP_LAYERNORM_BWD, c->attr, sizeof(forge_attr_norm),
           (forge_tid[]){c->in[0], c->in[1], c->dout[0]}, 3, c->din, 3);
  return FORGE_OK;
}

/* A rotation's gradient is the rotation back. */
forge_status grad_rope(grad_call *c) {
  forge_attr_rope a = *(const forge_attr_rope *)c->attr;
  a.flags ^= FORGE_ROPE_INVERSE;
  if (c->need[2]) return FAIL(FORGE_E_UNSUPPORTED, "ROPE: no gradient for freq_factors");
  c->din[0] = build_rope(c->b, c->dout[0], c->in[1], c->in[2], &a);
  return FORGE_OK;
}

forge_status grad_swiglu(grad_call *c) {
  build_op(c->b, FORGE_OP_SWIGLU_BWD, NULL, 0, (forge_tid[]){c->in[0], c->in[1], c->dout[0]}, 3,
           c->din, 2);
  return FORGE_OK;
}

forge_status grad_attention(grad_call *c) {
  const forge_attr_attention *a = c->attr;
  build *b = c->b;
  if (c->in[3] != FORGE_TID_NONE || c->in[4] != FORGE_TID_NONE || a->window)
    return FAIL(
        FORGE_E_UNSUPPORTED,
        "ATTENTION: a gradient exists for dense attention from position 0 without a window");
  if (c->dout[1] != FORGE_TID_NONE)
    return FAIL(FORGE_E_UNSUPPORTED, "ATTENTION: no gradient through its second output (lse)");
  const forge_tid in[] = {
      c->in[0],  formula_f32(b, c->in[1]), formula_f32(b, c->in[2]), c->out[0], c->out[1],
      c->dout[0]};
  build_op(b, FORGE_OP_ATTENTION_BWD, a, sizeof *a, in, 6, c->din, 3);
  return FORGE_OK;
}

forge_status grad_cross_entropy(grad_call *c) {
  build_op(c->b, FORGE_OP_CROSS_ENTROPY_BWD, NULL, 0, (forge_tid[]){c->in[0], c->in[1], c->dout[0]},
           3, c->din, 1);
  return FORGE_OK;
}

/* Stored blocks do not change; only the activations have a gradient. */
forge_status grad_qmatmul(grad_call *c) {
  build *b = c->b;
  if (c->need[2]) c->din[2] = formula_sum_rows(b, c->dout[0]);
  if (!c->need[0]) return FORGE_OK;
  const forge_tid w = formula_f32(b, c->in[1]);
  c->din[0] = build_linear(b, c->dout[0], w, FORGE_TID_NONE, true);
  return FORGE_OK;
}

forge_status grad_moe_route(grad_call *c) {
  const forge_attr_moe *a = c->attr;
  if (c->dout[1] == FORGE_TID_NONE) return FORGE_OK;
  build_op(c->b, FORGE_OP_MOE_ROUTE_BWD, a, sizeof *a,
           (forge_tid[]){c->in[0], c->out[0], c->dout[1]}, 3, c->din, 1);
  return FORGE_OK;
}

forge_status grad_grouped(grad_call *c) {
  const forge_attr_matmul *a = c->attr, turned = {a->flags ^ FORGE_MATMUL_TRANS_A, 0},
                          plain = {0, 0};
  build *b = c->b;
  const bool back = a->flags & FORGE_MATMUL_TRANS_A;
  const forge_tid dy = c->dout[0];
  if (c->need[0])
    build_op(b, FORGE_OP_GROUPED_MATMUL, &turned, sizeof turned,
             (forge_tid[]){dy, c->in[1], c->in[2]}, 3, c->din, 1);
  if (!c->need[1] || b->status) return FORGE_OK;
  forge_tensor w = formula_shape(b, c->in[1]);
  w.dtype = FORGE_F32;
  const forge_tid in[] = {back ? dy : c->in[0], back ? c->in[0] : dy, c->in[2]};
  return forge_builder_op_shaped(b->builder, FORGE_OP_GROUPED_MATMUL_DW, &plain, sizeof plain, in,
                                 3, &w, &c->din[1]);
}
