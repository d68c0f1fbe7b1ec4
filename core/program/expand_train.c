/* expand_train.c -- loss, optimizer step and gradient norm in primitives. */
#include <float.h>
#include <math.h>

#include "expand.h"

/* One row each: the log-likelihood parts the loss and its gradient share. */
typedef struct rows {
  forge_tid hit;   /* I32 [R, V]: 1 at the target */
  forge_tid valid; /* F32 [R, 1]: 1 where the target is a column */
  forge_tid count; /* F32 [1, 1]: how many are, at least 1 */
} rows;

static rows look_at_targets(build *b, forge_tid logits, forge_tid targets) {
  const forge_tensor t = formula_shape(b, logits);
  rows r = {.hit = formula_onehot(b, targets, t.dim[1])};
  r.valid = formula_row(b, build_cast(b, r.hit, FORGE_F32), FORGE_REDUCE_SUM);
  const forge_tid sum = build_reduce(b, r.valid, FORGE_REDUCE_SUM, 1);
  r.count = build_binary(b, sum, formula_constant(b, 1, FORGE_F32, sum), FORGE_BINARY_MAX);
  return r;
}

static forge_tid keep_valid(build *b, forge_tid x, const rows *r) {
  const forge_tid keep = build_broadcast(b, build_cast(b, r->valid, FORGE_I32), x);
  return formula_mask(b, x, keep, FORGE_MASK_TENSOR, 0);
}

void expand_cross_entropy(expand_call *c) {
  build *b = c->b;
  const forge_tid x = c->in[0];
  const rows r = look_at_targets(b, x, c->in[1]);
  const forge_tid top = formula_row(b, x, FORGE_REDUCE_MAX);
  const forge_tid e = build_unary(b, formula_sub(b, x, top), FORGE_UNARY_EXP);
  const forge_tid log = build_unary(b, formula_row(b, e, FORGE_REDUCE_SUM), FORGE_UNARY_LOG);
  const forge_tid at =
      formula_row(b, formula_mask(b, x, r.hit, FORGE_MASK_TENSOR, 0), FORGE_REDUCE_SUM);
  const forge_tid loss = keep_valid(b, formula_sub(b, build_add(b, log, top), at), &r);
  const forge_tid sum = build_reduce(b, loss, FORGE_REDUCE_SUM, 1);
  expand_result(c, 0, build_reshape(b, formula_div(b, sum, r.count), 0, NULL));
}

void expand_cross_entropy_bwd(expand_call *c) {
  build *b = c->b;
  const rows r = look_at_targets(b, c->in[0], c->in[1]);
  const forge_tid p = build_softmax(b, c->in[0], 1);
  const forge_tid d = formula_sub(b, p, build_cast(b, r.hit, FORGE_F32));
  const forge_tid each = formula_div(b, build_broadcast(b, c->in[2], r.count), r.count);
  expand_result(c, 0, keep_valid(b, build_mul(b, d, each), &r));
}

/* 1 - beta^t, [] F32: with u = t ln beta, 1 - e^u = -tanh(u/2) (e^u + 1), which keeps its digits
 * where beta^t is near 1. */
static forge_tid bias_correction(build *b, double beta, forge_attr_number step) {
  const forge_tid log = build_fill(b, FORGE_F32, 0, NULL, NULL, beta > 0 ? log1p(beta - 1) : -1e4);
  const forge_tid u = formula_scale_number(b, log, step);
  const forge_tid half = build_unary(b, formula_scale(b, u, 0.5), FORGE_UNARY_TANH);
  const forge_tid e = formula_plus(b, build_unary(b, u, FORGE_UNARY_EXP), 1);
  return build_unary(b, build_mul(b, half, e), FORGE_UNARY_NEG);
}

/* y = alpha a + beta x written over a (which |out| names). */
static void blend_into(build *b, forge_attr_number alpha, forge_tid a, forge_attr_number beta,
                       forge_tid x, forge_tid out) {
  const forge_attr_axpby attr = {alpha, beta};
  formula_into(b, FORGE_OP_AXPBY, &attr, sizeof attr, (forge_tid[]){a, x}, 2, &out);
}

void expand_adamw(expand_call *c) {
  build *b = c->b;
  const forge_attr_adamw *a = c->attr;
  const forge_tid p = c->in[0], m = c->out[1], v = c->out[2];
  forge_tid g = c->in[3];
  if (c->in[4] != FORGE_TID_NONE) g = build_mul(b, g, c->in[4]);
  blend_into(b, (forge_attr_number){a->beta1, 0, 0}, c->in[1],
             (forge_attr_number){1 - a->beta1, 0, 0}, g, m);
  blend_into(b, (forge_attr_number){a->beta2, 0, 0}, c->in[2],
             (forge_attr_number){1 - a->beta2, 0, 0}, build_unary(b, g, FORGE_UNARY_SQUARE), v);
  const forge_tid mean = formula_div(b, m, bias_correction(b, a->beta1, a->step));
  const forge_tid var = formula_div(b, v, bias_correction(b, a->beta2, a->step));
  const forge_tid root = formula_plus(b, build_unary(b, var, FORGE_UNARY_SQRT), a->eps);
  const forge_tid step = build_axpby(b, -1, formula_div(b, mean, root), -a->weight_decay, p);
  blend_into(b, (forge_attr_number){1, 0, 0}, p, a->lr, step, c->out[0]);
}

/* STEP of a NaN is 0, and so is STEP(largest - inf): what is left is finite. */
void expand_global_norm(expand_call *c) {
  const forge_attr_global_norm *a = c->attr;
  build *b = c->b;
  forge_tid sum = FORGE_TID_NONE;
  for (uint32_t i = 0; i < c->n_in; i++) {
    const forge_tid s = formula_sum_all(b, build_unary(b, c->in[i], FORGE_UNARY_SQUARE));
    sum = i ? build_add(b, sum, s) : s;
  }
  const forge_tid norm = build_unary(b, sum, FORGE_UNARY_SQRT);
  const forge_tid one = build_fill(b, FORGE_F32, 0, NULL, NULL, 1);
  const forge_tid limit = build_fill(b, FORGE_F32, 0, NULL, NULL, a->max_norm);
  const forge_tid most = build_fill(b, FORGE_F32, 0, NULL, NULL, FLT_MAX);
  const forge_tid finite = build_unary(b, formula_sub(b, most, norm), FORGE_UNARY_STEP);
  const forge_tid factor =
      a->max_norm > 0 ? build_binary(b, one, formula_div(b, limit, norm), FORGE_BINARY_MIN) : one;
  const forge_tid kept =
      formula_mask(b, factor, build_cast(b, finite, FORGE_I32), FORGE_MASK_TENSOR, 0);
  expand_result(c, 0, norm);
  expand_result(c, 1, kept);
}
