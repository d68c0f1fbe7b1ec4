/* ops_encode.c -- CAST into block types. */
#include "opencl.h"

#define ACROSS 8 /* blocks of a row in a work-group */

static int64_t elems_of(uint8_t dtype) {
  return dtype == FORGE_Q8_0 || dtype == FORGE_Q4_0 ? 32 : 256;
}

static uint8_t encode_support(const ocl_call *c) {
  const forge_tensor *x = &c->in[0].t, *y = &c->out[0].t;
  if (y->dtype < FORGE_Q8_0 || y->dtype > FORGE_Q6_K || !ocl_type_bytes(x->dtype))
    return FORGE_REASON_DTYPE;
  return ocl_rows_dense(y) ? FORGE_REASON_NONE : FORGE_REASON_STRIDES;
}

static forge_status encode_plan(ocl_plan *plan, const ocl_call *c) {
  return ocl_want(plan, "encode", "encode_rows", "-DX=%u -DBLOCK=%u", c->in[0].t.dtype,
                  c->out[0].t.dtype);
}

static forge_status encode_launch(ocl_launch *l, const ocl_call *c) {
  const ocl_view *x = &c->in[0], *y = &c->out[0];
  const int64_t blocks = ocl_columns(&y->t) / elems_of(y->t.dtype);
  ocl_nd rows;
  ocl_nd_rows(&rows, (const ocl_view *const[]){y, x}, 2);
  ocl_begin(l, 0);
  ocl_arg_struct(l, &rows, sizeof rows);
  ocl_arg_long(l, blocks);
  ocl_arg_long(l, ocl_column_stride(&x->t));
  ocl_arg_view(l, y);
  ocl_arg_view(l, x);
  ocl_run2(l, ocl_groups(blocks, ACROSS), rows.n, ACROSS, 1);
  return ocl_done(l);
}

const ocl_op ocl_ops_encode[] = {{FORGE_OP_CAST, encode_support, encode_plan, encode_launch}, {0}};
