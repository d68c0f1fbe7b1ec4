/* ops_rows.c -- GATHER_ROWS and SCATTER_ROWS of plain types. */
#include "opencl.h"
#include "parts.h"

#define ACROSS 64 /* work-items along a row */

/* ---- GATHER_ROWS ---- */

static uint8_t gather_support(const ocl_call *c) {
  const uint8_t x = c->in[0].t.dtype, y = c->out[0].t.dtype;
  if (!ocl_type_bytes(x) || c->in[1].t.dtype != FORGE_I32) return FORGE_REASON_DTYPE;
  if (y != FORGE_F32 && y != x) return FORGE_REASON_DTYPE;
  return c->in[0].t.rank == 2 ? FORGE_REASON_NONE : FORGE_REASON_SHAPE;
}

static forge_status gather_plan(ocl_plan *plan, const ocl_call *c) {
  return ocl_want(plan, "rows", "gather", "-DOP_GATHER -DX=%u -DY=%u", c->in[0].t.dtype,
                  c->out[0].t.dtype);
}

static forge_status gather_launch(ocl_launch *l, const ocl_call *c) {
  const ocl_view *x = &c->in[0], *ids = &c->in[1], *y = &c->out[0];
  const int64_t columns = ocl_columns(&y->t);
  const double nothing = ocl_is_float(y->t.dtype) ? __builtin_nan("") : -1.0;
  ocl_nd s;
  ocl_nd_rows(&s, (const ocl_view *const[]){y, ids}, 2);
  ocl_begin(l, 0);
  ocl_arg_struct(l, &s, sizeof s);
  ocl_arg_long(l, columns);
  ocl_arg_long(l, x->t.dim[0]);
  ocl_arg_long(l, x->t.stride[0]);
  ocl_arg_long(l, x->t.stride[1]);
  ocl_arg_long(l, ocl_column_stride(&y->t));
  ocl_arg_int(l, (int32_t)ocl_element_bits(nothing, y->t.dtype));
  ocl_arg_view(l, y);
  ocl_arg_view(l, x);
  ocl_arg_view(l, ids);
  ocl_run2(l, ocl_groups(columns, ACROSS), s.n, ACROSS, 1);
  return ocl_done(l);
}

/* ---- SCATTER_ROWS: base copied to y, then the rows of src ---- */

enum { CHAIN, SCATTER, BASE };

static uint8_t scatter_support(const ocl_call *c) {
  const uint32_t mode = ((const forge_attr_scatter *)c->attr)->mode;
  const uint8_t type = c->out[0].t.dtype;
  const ocl_view *base = &c->in[0];
  if (mode != FORGE_SCATTER_SET && mode != FORGE_SCATTER_ADD) return FORGE_REASON_ATTRIBUTES;
  if ((base->there && base->t.dtype != type) || c->in[1].t.dtype != FORGE_I32 ||
      c->in[2].t.dtype != FORGE_F32 || !ocl_is_float(type) ||
      (type != FORGE_F32 && mode == FORGE_SCATTER_ADD))
    return FORGE_REASON_DTYPE;
  return c->out[0].t.rank == 2 ? FORGE_REASON_NONE : FORGE_REASON_SHAPE;
}

static forge_status scatter_plan(ocl_plan *plan, const ocl_call *c) {
  const uint8_t type = c->out[0].t.dtype, raw = ocl_raw_type(ocl_type_bytes(type));
  forge_status status = ocl_want(plan, "rows", "scatter_chain", "-DOP_SCATTER -DX=1 -DY=%u", type);
  if (!status) status = ocl_want(plan, "rows", "scatter", "-DOP_SCATTER -DX=1 -DY=%u", type);
  if (!status)
    status = ocl_want(plan, "elementwise", c->in[0].there ? "copy_nd" : "fill_nd",
                      "-DOP_%s -DX=%u -DY=%u", c->in[0].there ? "COPY" : "FILL", raw, raw);
  ocl_scratch(plan, 8 * (uint64_t)c->in[1].t.dim[0]);
  return status;
}

static bool in_place(const ocl_view *base, const ocl_view *y) {
  return base->there && base->mem == y->mem && base->off == y->off &&
         base->t.stride[0] == y->t.stride[0] && base->t.stride[1] == y->t.stride[1];
}

static void put_base(ocl_launch *l, const ocl_call *c) {
  const ocl_view *base = &c->in[0], *y = &c->out[0];
  ocl_nd s;
  ocl_nd_make(&s, (const ocl_view *const[]){y, base}, 2);
  ocl_begin(l, BASE);
  ocl_arg_struct(l, &s, sizeof s);
  if (!base->there) ocl_arg_int(l, 0);
  ocl_arg_view(l, y);
  if (base->there) ocl_arg_view(l, base);
  ocl_run1(l, ocl_groups(s.n, ACROSS), ACROSS);
}

static void chain(ocl_launch *l, const ocl_call *c) {
  const ocl_view *ids = &c->in[1];
  ocl_begin(l, CHAIN);
  ocl_arg_int(l, ids->t.dim[0]);
  ocl_arg_long(l, c->out[0].t.dim[0]);
  ocl_arg_long(l, ids->t.stride[0]);
  ocl_arg_scratch(l, 0);
  ocl_arg_view(l, ids);
  ocl_run1(l, ocl_groups(ids->t.dim[0], ACROSS), ACROSS);
}

static void scatter(ocl_launch *l, const ocl_call *c) {
  const ocl_view *ids = &c->in[1], *src = &c->in[2], *y = &c->out[0];
  const int64_t columns = y->t.dim[1];
  ocl_begin(l, SCATTER);
  ocl_arg_int(l, ids->t.dim[0]);
  ocl_arg_long(l, columns);
  ocl_arg_long(l, ids->t.stride[0]);
  ocl_arg_long(l, src->t.stride[0]);
  ocl_arg_long(l, src->t.stride[1]);
  ocl_arg_long(l, y->t.stride[0]);
  ocl_arg_long(l, y->t.stride[1]);
  ocl_arg_int(l, ((const forge_attr_scatter *)c->attr)->mode == FORGE_SCATTER_ADD);
  ocl_arg_view(l, y);
  ocl_arg_view(l, src);
  ocl_arg_view(l, ids);
  ocl_arg_scratch(l, 0);
  ocl_run2(l, ocl_groups(columns, ACROSS), ids->t.dim[0], ACROSS, 1);
}

static forge_status scatter_launch(ocl_launch *l, const ocl_call *c) {
  if (!in_place(&c->in[0], &c->out[0])) put_base(l, c);
  if (ocl_elements(&c->out[0].t) == 0) return ocl_done(l);
  chain(l, c);
  scatter(l, c);
  return ocl_done(l);
}

const ocl_op ocl_ops_rows[] = {
    {FORGE_OP_GATHER_ROWS, gather_support, gather_plan, gather_launch},
    {FORGE_OP_SCATTER_ROWS, scatter_support, scatter_plan, scatter_launch},
    {0},
};
