/* expand_pointwise.c -- SWIGLU, the derivatives of UNARY, and ROPE in primitives. */
#include <math.h>

#include "expand.h"

void expand_swiglu(expand_call *c) {
  expand_result(c, 0, build_mul(c->b, build_unary(c->b, c->in[0], FORGE_UNARY_SILU), c->in[1]));
}

/* 1 - x */
static forge_tid complement(build *b, forge_tid x) {
  return formula_sub(b, formula_constant(b, 1, FORGE_F32, x), x);
}

/* silu' = s (1 + x (1 - s)), s = sigmoid(x) */
static forge_tid silu_slope(build *b, forge_tid x) {
  const forge_tid s = build_unary(b, x, FORGE_UNARY_SIGMOID);
  return build_mul(b, s, formula_plus(b, build_mul(b, x, complement(b, s)), 1));
}

void expand_swiglu_bwd(expand_call *c) {
  build *b = c->b;
  const forge_tid gate = c->in[0], up = c->in[1], dy = c->in[2];
  expand_result(c, 0, build_mul(b, build_mul(b, dy, up), silu_slope(b, gate)));
  expand_result(c, 1, build_mul(b, dy, build_unary(b, gate, FORGE_UNARY_SILU)));
}

/* With t = tanh(u), u = k (x + a x^3): 0.5 (1 + t) + 0.5 x (1 - t^2) k (1 + 3 a x^2). */
static forge_tid gelu_slope(build *b, forge_tid x) {
  const double a = 0.044715, k = sqrt(2 / M_PI);
  const forge_tid x2 = build_unary(b, x, FORGE_UNARY_SQUARE);
  const forge_tid u =
      formula_scale(b, build_mul(b, x, formula_plus(b, formula_scale(b, x2, a), 1)), k);
  const forge_tid t = build_unary(b, u, FORGE_UNARY_TANH);
  const forge_tid du = formula_scale(b, formula_plus(b, formula_scale(b, x2, 3 * a), 1), k);
  const forge_tid bend = complement(b, build_unary(b, t, FORGE_UNARY_SQUARE));
  const forge_tid second = build_mul(b, build_mul(b, x, bend), du);
  return formula_scale(b, build_add(b, formula_plus(b, t, 1), second), 0.5);
}

/* f'(x) */
static forge_tid slope(build *b, forge_tid x, uint32_t kind) {
  forge_tid y;
  switch (kind) {
  case FORGE_UNARY_NEG: return formula_constant(b, -1, FORGE_F32, x);
  case FORGE_UNARY_EXP: return build_unary(b, x, FORGE_UNARY_EXP);
  case FORGE_UNARY_LOG: return build_unary(b, x, FORGE_UNARY_RECIP);
  case FORGE_UNARY_SQRT: return formula_scale(b, build_unary(b, x, FORGE_UNARY_RSQRT), 0.5);
  case FORGE_UNARY_RSQRT:
    y = build_unary(b, x, FORGE_UNARY_RSQRT);
    return formula_scale(b, build_mul(b, build_unary(b, y, FORGE_UNARY_SQUARE), y), -0.5);
  case FORGE_UNARY_RECIP:
    y = build_unary(b, build_unary(b, x, FORGE_UNARY_SQUARE), FORGE_UNARY_RECIP);
    return build_unary(b, y, FORGE_UNARY_NEG);
  case FORGE_UNARY_SQUARE: return formula_scale(b, x, 2);
  case FORGE_UNARY_SIGMOID:
    y = build_unary(b, x, FORGE_UNARY_SIGMOID);
    return build_mul(b, y, complement(b, y));
  case FORGE_UNARY_SILU: return silu_slope(b, x);
  case FORGE_UNARY_GELU: return gelu_slope(b, x);
  case FORGE_UNARY_TANH:
    return complement(b, build_unary(b, build_unary(b, x, FORGE_UNARY_TANH), FORGE_UNARY_SQUARE));
  case FORGE_UNARY_RELU: return build_unary(b, x, FORGE_UNARY_STEP);
  case FORGE_UNARY_SIN: return build_unary(b, x, FORGE_UNARY_COS);
  case FORGE_UNARY_COS: return build_unary(b, build_unary(b, x, FORGE_UNARY_SIN), FORGE_UNARY_NEG);
  case FORGE_UNARY_ABS:
    y = build_unary(b, build_unary(b, x, FORGE_UNARY_NEG), FORGE_UNARY_STEP);
    return formula_sub(b, build_unary(b, x, FORGE_UNARY_STEP), y);
  default: return formula_zeros(b, x); /* STEP */
  }
}

void expand_unary_bwd(expand_call *c) {
  build *b = c->b;
  const forge_attr_kind *a = c->attr;
  const forge_tid dy = formula_f32(b, c->in[1]);
  const forge_tid dx = build_mul(b, dy, slope(b, formula_f32(b, c->in[0]), a->kind));
  expand_result(c, 0, build_cast(b, dx, formula_shape(b, c->in[0]).dtype));
}

enum { MAX_ROT = 1024 };

/* p scale / (base^(2i/n_rot) factor_i), dims [.., T, 1, n_rot/2]. */
static forge_tid angles(build *b, forge_tid positions, forge_tid factors,
                        const forge_attr_rope *a) {
  float rate[MAX_ROT / 2];
  const int64_t half = a->n_rot / 2;
  for (int64_t i = 0; i < half; i++)
    rate[i] = (float)(a->scale * pow(a->base, -2.0 * (double)i / a->n_rot));
  forge_tid f = formula_values(b, 1, &half, rate);
  if (factors != FORGE_TID_NONE) f = formula_div(b, f, factors);
  forge_tid p = build_cast(b, positions, FORGE_F32);
  const uint32_t rank = formula_shape(b, p).rank;
  p = formula_unsqueeze(b, formula_unsqueeze(b, p, rank), rank);
  return build_mul(b, formula_repeat(b, p, rank + 1, f, 0), f);
}

/* Every other, or one half, of the rotated columns: the |which| elements of all pairs. */
static forge_tid pair_view(build *b, forge_tid x, const forge_attr_rope *a, int which) {
  forge_tensor t = formula_shape(b, x);
  forge_tid out = FORGE_TID_NONE;
  if (b->status) return out;
  const bool interleaved = a->flags & FORGE_ROPE_INTERLEAVED;
  int64_t *stride = &t.stride[t.rank - 1];
  const int64_t offset = which * *stride * (interleaved ? 1 : a->n_rot / 2);
  t.dim[t.rank - 1] = a->n_rot / 2;
  if (interleaved) *stride *= 2;
  b->status = forge_builder_view(b->builder, x, &t, offset, &out);
  return out;
}

/* u cos - v sin for the first of each pair, v cos + u sin for the second. */
void expand_rope(expand_call *c) {
  static const forge_attr_kind sub = {FORGE_BINARY_SUB, 0}, add = {FORGE_BINARY_ADD, 0};
  build *b = c->b;
  const forge_attr_rope *a = c->attr;
  if (a->n_rot > MAX_ROT) {
    b->status = FAIL(FORGE_E_UNSUPPORTED, "ROPE: n_rot %u is above %d", a->n_rot, MAX_ROT);
    return;
  }
  const forge_tid angle = angles(b, c->in[1], c->in[2], a);
  const forge_tid cosine = build_unary(b, angle, FORGE_UNARY_COS);
  forge_tid sine = build_unary(b, angle, FORGE_UNARY_SIN);
  if (a->flags & FORGE_ROPE_INVERSE) sine = build_unary(b, sine, FORGE_UNARY_NEG);
  const forge_tid u = pair_view(b, c->in[0], a, 0), v = pair_view(b, c->in[0], a, 1);
  const forge_tid y = formula_fresh(b, c->in[0], FORGE_F32);
  forge_tid y0 = pair_view(b, y, a, 0), y1 = pair_view(b, y, a, 1);
  formula_into(b, FORGE_OP_BINARY, &sub, sizeof sub,
               (forge_tid[]){build_mul(b, u, cosine), build_mul(b, v, sine)}, 2, &y0);
  formula_into(b, FORGE_OP_BINARY, &add, sizeof add,
               (forge_tid[]){build_mul(b, v, cosine), build_mul(b, u, sine)}, 2, &y1);
  const forge_tensor t = formula_shape(b, y);
  const int64_t rest = b->status ? 0 : t.dim[t.rank - 1] - a->n_rot;
  if (rest)
    formula_copy_into(b, build_slice(b, c->in[0], t.rank - 1u, a->n_rot, rest),
                      build_slice(b, y, t.rank - 1u, a->n_rot, rest));
  expand_result(c, 0, y);
}
