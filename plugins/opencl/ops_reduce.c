/* ops_reduce.c -- REDUCE SOFTMAX TOPK. */
#include "opencl.h"
#include "parts.h"

enum { GROUP, ITEM };
#define ITEMS 64

static uint32_t group_size(const ocl_call *c) {
  uint32_t n = 64; /* a power of two, for the trees */
  while (n > c->caps->max_group) n /= 2;
  return n;
}

/* ---- REDUCE ---- */

static uint8_t reduce_support(const ocl_call *c) {
  const forge_attr_reduce *a = c->attr;
  const forge_tensor *x = &c->in[0].t, *y = &c->out[0].t;
  if (a->kind < FORGE_REDUCE_SUM || a->kind > FORGE_REDUCE_MEAN) return FORGE_REASON_ATTRIBUTES;
  if (!ocl_is_float(x->dtype)) return FORGE_REASON_DTYPE;
  if (a->kind != FORGE_REDUCE_ARGMAX)
    return ocl_is_float(y->dtype) ? FORGE_REASON_NONE : FORGE_REASON_DTYPE;
  if (x->rank && a->dims != 1u << (x->rank - 1)) return FORGE_REASON_ATTRIBUTES;
  return y->dtype == FORGE_I32 ? FORGE_REASON_NONE : FORGE_REASON_DTYPE;
}

static forge_status reduce_plan(ocl_plan *plan, const ocl_call *c) {
  const uint32_t x = c->in[0].t.dtype, y = c->out[0].t.dtype, wg = group_size(c);
  if (((const forge_attr_reduce *)c->attr)->kind == FORGE_REDUCE_ARGMAX)
    return ocl_want(plan, "reduce", "argmax", "-DOP_ARGMAX -DX=%u -DY=%u -DWG=%u", x, FORGE_F32,
                    wg);
  const forge_status status =
      ocl_want(plan, "reduce", "reduce_group", "-DOP_REDUCE -DX=%u -DY=%u -DWG=%u", x, y, wg);
  if (status) return status;
  return ocl_want(plan, "reduce", "reduce_item", "-DOP_REDUCE -DX=%u -DY=%u -DWG=%u", x, y, wg);
}

/* |v| with only the dims whose bit is set in |dims|. */
static ocl_view only_dims(const ocl_view *v, uint32_t dims) {
  ocl_view out = *v;
  out.t.rank = 0;
  for (int k = 0; k < v->t.rank; k++) {
    if (!(dims >> k & 1)) continue;
    out.t.dim[out.t.rank] = v->t.dim[k];
    out.t.stride[out.t.rank++] = v->t.stride[k];
  }
  return out;
}

/* Whether neighbouring outputs are neighbours in x. */
static bool by_item(const ocl_call *c, uint32_t dims) {
  const forge_tensor *x = &c->in[0].t;
  for (int k = x->rank - 1; k >= 0; k--)
    if (x->dim[k] > 1 || x->dim_scalar[k]) return !(dims >> k & 1);
  return false;
}

static forge_status argmax_launch(ocl_launch *l, const ocl_call *c) {
  const ocl_view *x = &c->in[0];
  ocl_view y = c->out[0];
  ocl_nd rows;
  ocl_nd_rows(&rows, (const ocl_view *const[]){&y, x}, 2);
  ocl_begin(l, GROUP);
  ocl_arg_struct(l, &rows, sizeof rows);
  ocl_arg_long(l, ocl_columns(&x->t));
  ocl_arg_long(l, ocl_column_stride(&x->t));
  ocl_arg_view(l, &y);
  ocl_arg_view(l, x);
  ocl_run1(l, rows.n, group_size(c));
  return ocl_done(l);
}

static forge_status reduce_launch(ocl_launch *l, const ocl_call *c) {
  const forge_attr_reduce *a = c->attr;
  const ocl_view *x = &c->in[0], *y = &c->out[0];
  if (a->kind == FORGE_REDUCE_ARGMAX) return argmax_launch(l, c);
  const bool item = by_item(c, a->dims);
  const ocl_view y_kept = only_dims(y, ~a->dims), x_kept = only_dims(x, ~a->dims);
  const ocl_view x_gone = only_dims(x, a->dims);
  ocl_nd kept, gone;
  ocl_nd_make(&kept, (const ocl_view *const[]){&y_kept, &x_kept}, 2);
  ocl_nd_make(&gone, (const ocl_view *const[]){&x_gone}, 1);
  ocl_begin(l, item ? ITEM : GROUP);
  ocl_arg_struct(l, &kept, sizeof kept);
  ocl_arg_struct(l, &gone, sizeof gone);
  ocl_arg_int(l, a->kind);
  ocl_arg_view(l, y);
  ocl_arg_view(l, x);
  if (item)
    ocl_run1(l, ocl_groups(kept.n, ITEMS), ITEMS);
  else
    ocl_run1(l, kept.n, group_size(c));
  return ocl_done(l);
}

/* ---- SOFTMAX ---- */

static uint8_t softmax_support(const ocl_call *c) {
  return c->in[0].t.dtype == FORGE_F32 && c->out[0].t.dtype == FORGE_F32 ? FORGE_REASON_NONE
                                                                         : FORGE_REASON_DTYPE;
}

static forge_status softmax_plan(ocl_plan *plan, const ocl_call *c) {
  return ocl_want(plan, "reduce", "softmax", "-DOP_SOFTMAX -DX=1 -DY=1 -DWG=%u", group_size(c));
}

static forge_status softmax_launch(ocl_launch *l, const ocl_call *c) {
  const ocl_view *x = &c->in[0], *y = &c->out[0];
  ocl_nd rows;
  ocl_nd_rows(&rows, (const ocl_view *const[]){y, x}, 2);
  ocl_begin(l, 0);
  ocl_arg_struct(l, &rows, sizeof rows);
  ocl_arg_long(l, ocl_columns(&x->t));
  ocl_arg_float(l, ((const forge_attr_softmax *)c->attr)->scale);
  ocl_arg_long(l, ocl_column_stride(&y->t));
  ocl_arg_long(l, ocl_column_stride(&x->t));
  ocl_arg_view(l, y);
  ocl_arg_view(l, x);
  ocl_run1(l, ocl_columns(&x->t) ? rows.n : 0, group_size(c));
  return ocl_done(l);
}

/* ---- TOPK ---- */

static uint8_t topk_support(const ocl_call *c) {
  return c->in[0].t.dtype == FORGE_F32 && c->out[0].t.dtype == FORGE_F32 &&
                 c->out[1].t.dtype == FORGE_I32
             ? FORGE_REASON_NONE
             : FORGE_REASON_DTYPE;
}

static forge_status topk_plan(ocl_plan *plan, const ocl_call *c) {
  return ocl_want(plan, "reduce", "topk", "-DOP_TOPK -DX=1 -DY=1 -DWG=%u", group_size(c));
}

static forge_status topk_launch(ocl_launch *l, const ocl_call *c) {
  const ocl_view *x = &c->in[0], *values = &c->out[0], *ids = &c->out[1];
  ocl_nd rows;
  ocl_nd_rows(&rows, (const ocl_view *const[]){values, ids, x}, 3);
  ocl_begin(l, 0);
  ocl_arg_struct(l, &rows, sizeof rows);
  ocl_arg_long(l, ocl_columns(&x->t));
  ocl_arg_int(l, ((const forge_attr_topk *)c->attr)->k);
  ocl_arg_long(l, ocl_column_stride(&values->t));
  ocl_arg_long(l, ocl_column_stride(&ids->t));
  ocl_arg_long(l, ocl_column_stride(&x->t));
  ocl_arg_view(l, values);
  ocl_arg_view(l, ids);
  ocl_arg_view(l, x);
  ocl_run1(l, ocl_columns(&x->t) ? rows.n : 0, group_size(c));
  return ocl_done(l);
}

const ocl_op ocl_ops_reduce[] = {
    {FORGE_OP_REDUCE, reduce_support, reduce_plan, reduce_launch},
    {FORGE_OP_SOFTMAX, softmax_support, softmax_plan, softmax_launch},
    {FORGE_OP_TOPK, topk_support, topk_plan, topk_launch},
    {0},
};
