/* expand_attention.c -- attention, its gradient and KV_WRITE in primitives. Heads are seen as [B,
 * KVH, G, .., ..] with G query heads to a key head; keys repeat over G by stride 0. */
#include <math.h>

#include "expand.h"

static const double LOWEST = -3e38; /* finite stand-in for -inf where a difference follows */

/* [B, T, H, D] -> [B, KVH, G, T, D], a view. */
static forge_tid group_heads(build *b, forge_tid x, int64_t kvh) {
  const forge_tensor t = formula_shape(b, x);
  if (b->status) return x;
  const int64_t dim[5] = {t.dim[0], t.dim[1], kvh, t.dim[2] / kvh, t.dim[3]};
  return build_permute(b, build_reshape(b, x, 5, dim), (const uint8_t[]){0, 2, 3, 1, 4});
}

/* [B, S, KVH, D] -> [B, KVH, G, S, D], a view that repeats over G as |q| has it. */
static forge_tid spread_keys(build *b, forge_tid k, forge_tid q) {
  const forge_tid heads = build_permute(b, k, (const uint8_t[]){0, 2, 1, 3});
  return formula_repeat(b, formula_unsqueeze(b, heads, 2), 2, q, 2);
}

/* [B] -> the first |n| dims of |like|, a view. */
static forge_tid per_batch(build *b, forge_tid x, forge_tid like, uint32_t n) {
  for (uint32_t k = 1; k < n; k++) x = formula_repeat(b, formula_unsqueeze(b, x, k), k, like, k);
  return x;
}

/* The paged keys of each sequence side by side, and how many of them there are. */
typedef struct gathered {
  forge_tid k, v;   /* [B, S, KVH, D] */
  forge_tid length; /* I32 [B] */
} gathered;

static forge_tid gather_pages(build *b, forge_tid pages, forge_tid table) {
  const forge_tensor p = formula_shape(b, pages), t = formula_shape(b, table);
  if (b->status) return pages;
  const int64_t rows[2] = {p.dim[0], p.dim[1] * p.dim[2] * p.dim[3]};
  const int64_t keys[4] = {t.dim[0], t.dim[1] * p.dim[1], p.dim[2], p.dim[3]};
  return build_reshape(b, build_gather(b, build_reshape(b, pages, 2, rows), table), 4, keys);
}

/* Number of leading pages of each row of |table| that exist, as keys: I32 [B]. */
static forge_tid keys_in_pages(build *b, forge_tid table, const forge_tensor *pages) {
  const forge_tensor t = formula_shape(b, table);
  if (b->status) return table;
  const forge_tid low =
      build_binary(b, table, formula_constant(b, 0, FORGE_I32, table), FORGE_BINARY_MAX);
  const forge_tid last = formula_constant(b, (double)(pages->dim[0] - 1), FORGE_I32, table);
  const forge_tid off = formula_sub(b, table, build_binary(b, low, last, FORGE_BINARY_MIN));
  const forge_tid column = build_broadcast(b, formula_iota(b, t.dim[1]), table);
  const forge_tid bad = formula_mask(b, column, off, FORGE_MASK_TENSOR, (double)t.dim[1]);
  const forge_tid negative = build_unary(b, build_cast(b, bad, FORGE_F32), FORGE_UNARY_NEG);
  const forge_tid first = formula_row(b, negative, FORGE_REDUCE_MAX);
  const forge_tid count = build_cast(b, formula_scale(b, first, -(double)pages->dim[1]), FORGE_I32);
  return build_reshape(b, count, 1, t.dim);
}

/* T as I32 [B]; T may be a scalar, so it is counted. */
static forge_tid count_queries(build *b, forge_tid q) {
  const forge_tid one = build_slice(b, build_slice(b, q, 2, 0, 1), 3, 0, 1);
  const forge_tid sum =
      build_reduce(b, formula_constant(b, 1, FORGE_F32, one), FORGE_REDUCE_SUM, 2 | 4 | 8);
  return build_cast(b, build_reshape(b, sum, 1, formula_shape(b, q).dim), FORGE_I32);
}

/* Rows behind the end may hold anything, so that 0 * row could be NaN: they become zeros. */
static forge_tid clear_behind(build *b, forge_tid v, forge_tid length) {
  const forge_tid columns = build_permute(b, v, (const uint8_t[]){0, 2, 3, 1});
  const forge_tid keep = per_batch(b, length, columns, 3);
  const forge_tid clear = formula_mask(b, columns, keep, FORGE_MASK_LENGTH, 0);
  return build_permute(b, clear, (const uint8_t[]){0, 3, 1, 2});
}

static gathered gather_keys(expand_call *c) {
  build *b = c->b;
  const forge_tensor pages = formula_shape(b, c->in[1]);
  const forge_tid keys = keys_in_pages(b, c->in[4], &pages);
  forge_tid end = count_queries(b, c->in[0]);
  if (c->in[3] != FORGE_TID_NONE) end = build_add(b, end, c->in[3]);
  gathered g = {.k = gather_pages(b, c->in[1], c->in[4]), .v = gather_pages(b, c->in[2], c->in[4])};
  g.length = build_binary(b, end, keys, FORGE_BINARY_MIN);
  g.v = clear_behind(b, g.v, g.length);
  return g;
}

/* Hides keys at or before starts + i - window: a causal mask marks them, a second one uses it. */
static forge_tid hide_before_window(build *b, forge_tid scores, forge_tid starts, uint32_t window) {
  forge_tid p = starts;
  const forge_tensor s = formula_shape(b, scores);
  if (p == FORGE_TID_NONE) p = build_fill(b, FORGE_I32, 3, s.dim, s.dim_scalar, 0);
  p = formula_sub(b, p, formula_constant(b, window, FORGE_I32, p));
  const forge_tid zeros = formula_constant(b, 0, FORGE_I32, scores);
  const forge_tid visible = formula_mask(b, zeros, p, FORGE_MASK_CAUSAL, 1);
  return formula_mask(b, scores, visible, FORGE_MASK_TENSOR, -INFINITY);
}

/* scale q k^T with hidden keys at -inf: [B, KVH, G, T, S]. |starts| I32 [B] or none, |length| too.
 */
static forge_tid masked_scores(build *b, forge_tid q, forge_tid k, forge_tid starts,
                               forge_tid length, const forge_attr_attention *a) {
  forge_tid s = formula_scale(b, formula_matmul(b, q, k, FORGE_MATMUL_TRANS_B), a->scale);
  const forge_tid first = starts == FORGE_TID_NONE ? starts : per_batch(b, starts, s, 3);
  if (length != FORGE_TID_NONE)
    s = formula_mask(b, s, per_batch(b, length, s, 4), FORGE_MASK_LENGTH, -INFINITY);
  if (a->flags & FORGE_ATTENTION_CAUSAL)
    s = formula_mask(b, s, first, FORGE_MASK_CAUSAL, -INFINITY);
  return a->window ? hide_before_window(b, s, first, a->window) : s;
}

/* max + log sum exp(s - max); a row of -inf gives -inf. */
static forge_tid log_sum_exp(build *b, forge_tid s) {
  const forge_tid top = formula_row(b, s, FORGE_REDUCE_MAX);
  const forge_tid finite =
      build_binary(b, top, formula_constant(b, LOWEST, FORGE_F32, top), FORGE_BINARY_MAX);
  const forge_tid e = build_unary(b, formula_sub(b, s, finite), FORGE_UNARY_EXP);
  const forge_tid log = build_unary(b, formula_row(b, e, FORGE_REDUCE_SUM), FORGE_UNARY_LOG);
  return build_add(b, log, finite);
}

/* A product whose heads lie where [B, T, H, D] has them. */
static forge_tid product_by_heads(build *b, forge_tid x, forge_tid y, uint32_t flags,
                                  forge_tid like, int64_t kvh) {
  const forge_attr_matmul a = {flags, 0};
  const forge_tid whole = formula_fresh(b, like, FORGE_F32);
  forge_tid view = group_heads(b, whole, kvh);
  formula_into(b, FORGE_OP_MATMUL, &a, sizeof a, (forge_tid[]){x, y, FORGE_TID_NONE}, 3, &view);
  return whole;
}

void expand_attention(expand_call *c) {
  build *b = c->b;
  gathered g = {c->in[1], c->in[2], FORGE_TID_NONE};
  if (c->in[4] != FORGE_TID_NONE) g = gather_keys(c);
  const int64_t kvh = formula_shape(b, c->in[1]).dim[2];
  const forge_tid q = group_heads(b, c->in[0], kvh);
  const forge_tid s = masked_scores(b, q, spread_keys(b, g.k, q), c->in[3], g.length, c->attr);
  const forge_tid p = build_softmax(b, s, 1);
  expand_result(c, 0, product_by_heads(b, p, spread_keys(b, g.v, q), 0, c->in[0], kvh));
  if (c->out[1] == FORGE_TID_NONE) return;
  const forge_tensor lse = formula_shape(b, c->out[1]);
  expand_result(c, 1, build_reshape(b, log_sum_exp(b, s), 3, lse.dim));
}

/* [B, KVH, G, S, D] summed over G -> [B, S, KVH, D]. */
static forge_tid sum_group(build *b, forge_tid x) {
  const forge_tensor t = formula_shape(b, x);
  if (b->status) return x;
  const int64_t dim[4] = {t.dim[0], t.dim[1], t.dim[3], t.dim[4]};
  const forge_tid sum = build_reshape(b, build_reduce(b, x, FORGE_REDUCE_SUM, 4), 4, dim);
  return build_permute(b, sum, (const uint8_t[]){0, 2, 1, 3});
}

/* p = exp(s - lse); ds = p (dy v^T - sum(dy y)) scale. */
void expand_attention_bwd(expand_call *c) {
  build *b = c->b;
  const forge_attr_attention *a = c->attr;
  const int64_t kvh = formula_shape(b, c->in[1]).dim[2];
  const forge_tid q = group_heads(b, c->in[0], kvh), y = group_heads(b, c->in[3], kvh);
  const forge_tid dy = group_heads(b, c->in[5], kvh);
  const forge_tid k = spread_keys(b, c->in[1], q), v = spread_keys(b, c->in[2], q);
  const forge_tid s = masked_scores(b, q, k, FORGE_TID_NONE, FORGE_TID_NONE, a);
  const forge_tensor t = formula_shape(b, q);
  const int64_t rows[5] = {t.dim[0], t.dim[1], t.dim[2], t.dim[3], 1};
  forge_tid lse = build_reshape(b, c->in[4], 5, rows);
  lse = build_binary(b, lse, formula_constant(b, LOWEST, FORGE_F32, lse), FORGE_BINARY_MAX);
  const forge_tid p = build_unary(b, formula_sub(b, s, lse), FORGE_UNARY_EXP);
  const forge_tid dp = formula_matmul(b, dy, v, FORGE_MATMUL_TRANS_B);
  const forge_tid inner = formula_row(b, build_mul(b, dy, y), FORGE_REDUCE_SUM);
  const forge_tid ds = formula_scale(b, build_mul(b, formula_sub(b, dp, inner), p), a->scale);
  expand_result(c, 0, product_by_heads(b, ds, k, 0, c->in[0], kvh));
  expand_result(c, 1, sum_group(b, formula_matmul(b, ds, q, FORGE_MATMUL_TRANS_A)));
  expand_result(c, 2, sum_group(b, formula_matmul(b, p, dy, FORGE_MATMUL_TRANS_A)));
}

/* Pages as rows [P * page, KVH * D]; the rows are set in place. */
void expand_kv_write(expand_call *c) {
  static const forge_attr_scatter set = {FORGE_SCATTER_SET, 0};
  build *b = c->b;
  const forge_tensor t = formula_shape(b, c->in[0]), s = formula_shape(b, c->in[2]);
  const int64_t rows[2] = {t.dim[0] * t.dim[1], t.dim[2] * t.dim[3]};
  const int64_t src[2] = {s.dim[0], rows[1]};
  forge_tid out = build_reshape(b, c->out[0], 2, rows);
  const forge_tid in[] = {build_reshape(b, c->in[0], 2, rows), c->in[1],
                          build_reshape(b, c->in[2], 2, src)};
  const graph_value *values = b->builder->values;
  if (!b->status && values[out].storage != values[c->out[0]].storage)
    b->status = FAIL(FORGE_E_UNSUPPORTED,
                     "KV_WRITE: pages that are no rows of memory cannot be written in place by "
                     "primitives; give pages whose last three dims lie together");
  formula_into(b, FORGE_OP_SCATTER_ROWS, &set, sizeof set, in, 3, &out);
}
