/* expand_sample.c -- SAMPLE in primitives: sort the row (TOPK of full width), cut prefixes of it,
 * and count how many cumulative probabilities do not exceed the random number. All cuts are
 * prefixes because the candidates stand in order of falling probability.
 *
 * Running sums are two products with triangles of ones (inside chunks, then over chunks), so that a
 * row of V needs about V numbers of constants, not V^2. Their rounding differs from a running
 * sum's, so a draw that falls within that rounding of a boundary may give the neighbour. */
#include <math.h>

#include "expand.h"

/* F32 [n, n], 1 where row <= column (or <, when |strict|). */
static forge_tid triangle(build *b, int64_t n, bool strict) {
  const int64_t dim[2] = {n, n};
  float *data = mem_zalloc_array((size_t)n * (size_t)n, sizeof *data);
  if (!data) {
    b->status = FAIL(FORGE_E_OOM, "no memory for a constant");
    return FORGE_TID_NONE;
  }
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = i + strict; j < n; j++) data[i * n + j] = 1;
  const forge_tid out = formula_values(b, 2, dim, data);
  mem_free(data);
  return out;
}

/* x [R, n] with zeros behind, as [R, chunks, chunk]. */
static forge_tid in_chunks(build *b, forge_tid x, int64_t chunks, int64_t chunk) {
  forge_tensor t = formula_shape(b, x);
  const int64_t n = t.dim[1], dim[3] = {t.dim[0], chunks, chunk};
  t.dim[1] = chunks * chunk;
  const forge_tid padded = build_fill(b, FORGE_F32, 2, t.dim, t.dim_scalar, 0);
  formula_copy_into(b, x, build_slice(b, padded, 1, 0, n));
  return build_reshape(b, formula_renew(b, padded), 3, dim);
}

/* Inclusive running sums along the rows of x [R, n]. */
static forge_tid running_sum(build *b, forge_tid x) {
  const forge_tensor t = formula_shape(b, x);
  if (b->status) return x;
  const int64_t n = t.dim[1], chunk = (int64_t)ceil(sqrt((double)n));
  const int64_t chunks = (n + chunk - 1) / chunk, flat[2] = {t.dim[0], chunks * chunk};
  const int64_t totals_dim[2] = {t.dim[0], chunks};
  const forge_tid wide = in_chunks(b, x, chunks, chunk);
  forge_tid ones = formula_unsqueeze(b, triangle(b, chunk, false), 0);
  const forge_tid inner = formula_matmul(b, wide, formula_repeat(b, ones, 0, wide, 0), 0);
  const forge_tid last = build_slice(b, inner, 2, chunk - 1, 1);
  const forge_tid totals = build_reshape(b, last, 2, totals_dim);
  const forge_tid before = formula_matmul(b, totals, triangle(b, chunks, true), 0);
  const forge_tid sum = build_add(b, inner, formula_unsqueeze(b, before, 2));
  return build_slice(b, build_reshape(b, sum, 2, flat), 1, 0, n);
}

/* 1 - step(x): 1 where x <= 0. */
static forge_tid not_above_zero(build *b, forge_tid x) {
  const forge_tid step = build_unary(b, x, FORGE_UNARY_STEP);
  return formula_sub(b, formula_constant(b, 1, FORGE_F32, step), step);
}

/* a - x with a [R, 1] repeated to x's dims. */
static forge_tid column_minus(build *b, forge_tid a, forge_tid x) {
  return formula_sub(b, build_broadcast(b, a, x), x);
}

/* Probabilities after temperature, top_k and min_p, renormalised: F32 [R, V]. */
static forge_tid probabilities(build *b, forge_tid sorted, forge_tid params, forge_tid iparams) {
  const forge_tensor t = formula_shape(b, sorted);
  if (b->status) return sorted;
  const forge_tid temperature = build_slice(b, params, 1, 0, 1);
  const forge_tid greedy = not_above_zero(b, temperature);
  const forge_tid heat = build_add(
      b, build_mul(b, temperature, build_unary(b, temperature, FORGE_UNARY_STEP)), greedy);
  const forge_tid top = build_slice(b, sorted, 1, 0, 1);
  forge_tid z = formula_div(b, formula_sub(b, sorted, top), heat);
  const forge_tid given = build_slice(b, iparams, 1, 0, 1);
  const forge_tid k =
      build_binary(b, given, formula_constant(b, 0, FORGE_I32, given), FORGE_BINARY_MAX);
  const forge_tid length = formula_mask(b, k, k, FORGE_MASK_TENSOR, (double)t.dim[1]);
  z = formula_mask(b, z, build_reshape(b, length, 1, t.dim), FORGE_MASK_LENGTH, -INFINITY);
  const forge_tid p = build_softmax(b, z, 1);
  const forge_tid least = build_mul(b, build_slice(b, p, 1, 0, 1), build_slice(b, params, 1, 2, 1));
  const forge_tid kept = build_mul(b, p, not_above_zero(b, column_minus(b, least, p)));
  return formula_div(b, kept, formula_row(b, kept, FORGE_REDUCE_SUM));
}

/* 1 for the smallest prefix whose sum reaches top_p, the first always. From 1 on nothing is cut,
 * whatever the sums were rounded to. */
static forge_tid nucleus(build *b, forge_tid p, forge_tid params) {
  const forge_tid before = formula_sub(b, running_sum(b, p), p);
  const forge_tid some = build_slice(b, params, 1, 1, 1);
  const forge_tid least = formula_constant(b, 1e-30, FORGE_F32, some);
  const forge_tid one = formula_constant(b, 1, FORGE_F32, some);
  const forge_tid all = not_above_zero(b, formula_sub(b, one, some));
  const forge_tid top_p = build_add(b, build_binary(b, some, least, FORGE_BINARY_MAX), all);
  return build_unary(b, column_minus(b, top_p, before), FORGE_UNARY_STEP);
}

/* One uniform number per row, from the row's own seed and counter: F32 [R, 1]. */
static forge_tid uniform(build *b, forge_tid iparams) {
  static const forge_attr_rng a = {.kind = FORGE_RNG_UNIFORM, .a = 0, .b = 1};
  const forge_tid keys = build_slice(b, iparams, 1, 1, 3);
  forge_tensor t = formula_shape(b, keys);
  forge_tid out = FORGE_TID_NONE;
  if (b->status) return out;
  t.dtype = FORGE_F32;
  t.dim[1] = 1;
  b->status =
      forge_builder_op_shaped(b->builder, FORGE_OP_RNG_PHILOX, &a, sizeof a, &keys, 1, &t, &out);
  return out;
}

/* Place of the drawn candidate, F32 [R, 1]. */
static forge_tid draw(build *b, forge_tid p, forge_tid keep, forge_tid u) {
  const forge_tid q = build_mul(b, p, keep);
  const forge_tid goal = build_mul(b, formula_row(b, q, FORGE_REDUCE_SUM), u);
  const forge_tid sum = running_sum(b, q);
  const forge_tid passed = not_above_zero(b, formula_sub(b, sum, goal));
  const forge_tid place = formula_row(b, passed, FORGE_REDUCE_SUM);
  const forge_tid alive = build_mul(b, build_unary(b, p, FORGE_UNARY_STEP), keep);
  const forge_tid last = formula_plus(b, formula_row(b, alive, FORGE_REDUCE_SUM), -1);
  return build_binary(b, place, last, FORGE_BINARY_MIN);
}

void expand_sample(expand_call *c) {
  build *b = c->b;
  const forge_tensor t = formula_shape(b, c->in[0]);
  if (b->status) return;
  const forge_attr_topk all = {(uint32_t)t.dim[1], 0};
  forge_tid sorted[2] = {0, 0};
  build_op(b, FORGE_OP_TOPK, &all, sizeof all, c->in, 1, sorted, 2);
  const forge_tid p = probabilities(b, sorted[0], c->in[1], c->in[2]);
  const forge_tid drawn = draw(b, p, nucleus(b, p, c->in[1]), uniform(b, c->in[2]));
  const forge_tid warm = build_unary(b, build_slice(b, c->in[1], 1, 0, 1), FORGE_UNARY_STEP);
  const forge_tid place = build_reshape(b, build_mul(b, drawn, warm), 1, t.dim);
  const forge_tid hit = formula_onehot(b, build_cast(b, place, FORGE_I32), t.dim[1]);
  const forge_tid ids = build_cast(b, sorted[1], FORGE_F32); /* exact below 2^24 */
  const forge_tid id =
      formula_row(b, formula_mask(b, ids, hit, FORGE_MASK_TENSOR, 0), FORGE_REDUCE_SUM);
  expand_result(c, 0, build_reshape(b, build_cast(b, id, FORGE_I32), 1, t.dim));
}
