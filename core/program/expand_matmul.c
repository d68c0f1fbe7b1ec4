/* expand_matmul.c -- products with stored blocks and with experts in primitives. */
#include "expand.h"

enum { PANEL_ELEMENTS = 1 << 20, MAX_PANELS = 64 };

/* y = x w^T + bias, decoding a panel of w's rows at a time. */
void expand_qmatmul(expand_call *c) {
  build *b = c->b;
  const forge_tensor w = formula_shape(b, c->in[1]), y = formula_shape(b, c->out[0]);
  if (b->status) return;
  const int64_t n = w.dim[0];
  int64_t rows = PANEL_ELEMENTS / (w.dim[1] ? w.dim[1] : 1);
  if (rows < (n + MAX_PANELS - 1) / MAX_PANELS) rows = (n + MAX_PANELS - 1) / MAX_PANELS;
  if (rows < 1) rows = 1;
  const forge_tid whole = formula_fresh(b, c->out[0], FORGE_F32);
  for (int64_t at = 0; at < n && !b->status; at += rows) {
    const int64_t count = n - at < rows ? n - at : rows;
    const forge_tid panel = build_cast(b, build_slice(b, c->in[1], 0, at, count), FORGE_F32);
    const forge_tid bias =
        c->in[2] == FORGE_TID_NONE ? FORGE_TID_NONE : build_slice(b, c->in[2], 0, at, count);
    formula_copy_into(b, build_linear(b, c->in[0], panel, bias, false),
                      build_slice(b, whole, y.rank - 1u, at, count));
  }
  expand_result(c, 0, whole);
}

/* I32 [T]: 1 where the id is |e|. */
static forge_tid chosen(build *b, forge_tid ids, int64_t e) {
  return formula_equal(b, ids, formula_constant(b, (double)e, FORGE_I32, ids));
}

/* Rows of x [T, C] whose keep [T] is 1, else zeros. */
static forge_tid keep_rows(build *b, forge_tid x, forge_tid keep) {
  const forge_tid wide = build_broadcast(b, formula_unsqueeze(b, keep, 1), x);
  return formula_mask(b, x, wide, FORGE_MASK_TENSOR, 0);
}

static forge_tid expert(build *b, forge_tid w, int64_t e) {
  const forge_tensor t = formula_shape(b, w);
  return build_reshape(b, build_slice(b, w, 0, e, 1), 2, &t.dim[1]);
}

/* Each expert sees all rows; the ones that are not its own are dropped. */
void expand_grouped(expand_call *c) {
  build *b = c->b;
  const forge_attr_matmul *a = c->attr;
  const forge_tensor w = formula_shape(b, c->in[1]), t = formula_shape(b, c->out[0]);
  forge_tid y = build_fill(b, FORGE_F32, t.rank, t.dim, t.dim_scalar, 0);
  for (int64_t e = 0; e < w.dim[0] && !b->status; e++) {
    const forge_tid product =
        formula_matmul(b, c->in[0], expert(b, c->in[1], e),
                       a->flags & FORGE_MATMUL_TRANS_A ? 0 : FORGE_MATMUL_TRANS_B);
    y = build_axpby(b, 1, y, 1, keep_rows(b, product, chosen(b, c->in[2], e)));
  }
  expand_result(c, 0, y);
}

void expand_grouped_dw(expand_call *c) {
  static const forge_attr_matmul turned = {FORGE_MATMUL_TRANS_A, 0};
  build *b = c->b;
  const forge_tensor w = formula_shape(b, c->out[0]);
  const forge_tid whole = formula_fresh(b, c->out[0], FORGE_F32);
  for (int64_t e = 0; e < w.dim[0] && !b->status; e++) {
    const forge_tid keep = chosen(b, c->in[2], e);
    forge_tid to = expert(b, whole, e);
    const forge_tid in[] = {keep_rows(b, c->in[1], keep), keep_rows(b, c->in[0], keep),
                            FORGE_TID_NONE};
    formula_into(b, FORGE_OP_MATMUL, &turned, sizeof turned, in, 3, &to);
  }
  expand_result(c, 0, whole);
}

void expand_moe_route(expand_call *c) {
  build *b = c->b;
  const forge_attr_moe *a = c->attr;
  const forge_attr_topk top = {a->k, 0};
  const forge_tid p = build_softmax(b, c->in[0], 1);
  forge_tid out[2] = {0, 0};
  build_op(b, FORGE_OP_TOPK, &top, sizeof top, &p, 1, out, 2);
  if (a->flags & FORGE_MOE_NORMALISE)
    out[0] = formula_div(b, out[0], formula_row(b, out[0], FORGE_REDUCE_SUM));
  expand_result(c, 0, out[1]);
  expand_result(c, 1, out[0]);
}

/* dp at the chosen experts (divided by their sum s: dp_j = (dw_j - sum dw_i w_i) / s), then through
 * the softmax: dx = p (dp - sum(p dp)). */
void expand_moe_route_bwd(expand_call *c) {
  build *b = c->b;
  const forge_attr_moe *a = c->attr;
  const forge_tensor t = formula_shape(b, c->in[0]);
  const forge_tid p = build_softmax(b, c->in[0], 1);
  const forge_tid hit = formula_onehot(b, c->in[1], t.dim[1]); /* [T, k, E] */
  forge_tid dw = c->in[2];
  if (a->flags & FORGE_MOE_NORMALISE) {
    const forge_tid spread = build_broadcast(b, formula_unsqueeze(b, p, 1), hit);
    const forge_tid of = formula_mask(b, spread, hit, FORGE_MASK_TENSOR, 0);
    const forge_tensor d = formula_shape(b, dw);
    const forge_tid pick = build_reshape(b, formula_row(b, of, FORGE_REDUCE_SUM), 2, d.dim);
    const forge_tid s = formula_row(b, pick, FORGE_REDUCE_SUM);
    const forge_tid inner =
        formula_div(b, formula_row(b, build_mul(b, dw, pick), FORGE_REDUCE_SUM), s);
    dw = formula_div(b, formula_sub(b, dw, inner), s);
  }
  const forge_tid wide = build_broadcast(b, formula_unsqueeze(b, dw, 2), hit);
  const forge_tid placed = formula_mask(b, wide, hit, FORGE_MASK_TENSOR, 0);
  const forge_tid sum = build_reduce(b, placed, FORGE_REDUCE_SUM, 2);
  const forge_tid dp = build_reshape(b, sum, 2, t.dim);
  const forge_tid inner = formula_row(b, build_mul(b, p, dp), FORGE_REDUCE_SUM);
  expand_result(c, 0, build_mul(b, p, formula_sub(b, dp, inner)));
}
