/* expand_norm.c -- norms and their gradients in primitives. r = 1/sqrt(mean(x^2) + eps), one per
 * row; the mean over the last dimension keeps it with extent 1. */
#include "expand.h"

static forge_tid inverse_root(build *b, forge_tid mean_square, double eps) {
  return build_unary(b, formula_plus(b, mean_square, eps), FORGE_UNARY_RSQRT);
}

static forge_tid square_mean(build *b, forge_tid x) {
  return formula_row(b, build_unary(b, x, FORGE_UNARY_SQUARE), FORGE_REDUCE_MEAN);
}

void expand_rmsnorm(expand_call *c) {
  build *b = c->b;
  const forge_attr_norm *a = c->attr;
  const forge_tid r = inverse_root(b, square_mean(b, c->in[0]), a->eps);
  expand_result(c, 0, build_mul(b, build_mul(b, c->in[0], r), c->in[1]));
}

/* With n = x r and g = dy w: dx = r (g - n mean(g n)); dw = sum over rows of dy n. */
void expand_rmsnorm_bwd(expand_call *c) {
  build *b = c->b;
  const forge_attr_norm *a = c->attr;
  const forge_tid r = inverse_root(b, square_mean(b, c->in[0]), a->eps);
  const forge_tid n = build_mul(b, c->in[0], r), g = build_mul(b, c->in[2], c->in[1]);
  const forge_tid mean = formula_row(b, build_mul(b, g, n), FORGE_REDUCE_MEAN);
  expand_result(c, 0, build_mul(b, formula_sub(b, g, build_mul(b, n, mean)), r));
  expand_result(c, 1, formula_sum_rows(b, build_mul(b, c->in[2], n)));
}

/* (x - mean) / sqrt(var + eps); |out_r| is the second factor. */
static forge_tid normalised(build *b, forge_tid x, double eps, forge_tid *out_r) {
  const forge_tid centred = formula_sub(b, x, formula_row(b, x, FORGE_REDUCE_MEAN));
  *out_r = inverse_root(b, square_mean(b, centred), eps);
  return build_mul(b, centred, *out_r);
}

void expand_layernorm(expand_call *c) {
  build *b = c->b;
  const forge_attr_norm *a = c->attr;
  forge_tid r;
  forge_tid y = build_mul(b, normalised(b, c->in[0], a->eps, &r), c->in[1]);
  if (c->in[2] != FORGE_TID_NONE) y = build_add(b, y, c->in[2]);
  expand_result(c, 0, y);
}

/* With n as above and g = dy w: dx = r (g - mean(g) - n mean(g n)). */
void expand_layernorm_bwd(expand_call *c) {
  build *b = c->b;
  const forge_attr_norm *a = c->attr;
  forge_tid r;
  const forge_tid n = normalised(b, c->in[0], a->eps, &r);
  const forge_tid g = build_mul(b, c->in[2], c->in[1]);
  const forge_tid mean = formula_row(b, g, FORGE_REDUCE_MEAN);
  const forge_tid along = formula_row(b, build_mul(b, g, n), FORGE_REDUCE_MEAN);
  const forge_tid inner = formula_sub(b, formula_sub(b, g, mean), build_mul(b, n, along));
  expand_result(c, 0, build_mul(b, inner, r));
  expand_result(c, 1, formula_sum_rows(b, build_mul(b, c->in[2], n)));
  expand_result(c, 2, formula_sum_rows(b, c->in[2]));
}
