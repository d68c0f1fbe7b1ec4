/* ops_pointwise.c -- SWIGLU, SWIGLU_BWD and UNARY_BWD. */
#include "opencl.h"

enum { EACH = 16, LOCAL = 16 }; /* elements of a work-item, work-items of a group */

static uint8_t support(const ocl_call *c) {
  const uint8_t dtype = c->in[0].t.dtype;
  if (c->op == FORGE_OP_UNARY_BWD ? !ocl_is_float(dtype) : dtype != FORGE_F32)
    return FORGE_REASON_DTYPE;
  for (uint32_t i = 0; i < c->n_in; i++)
    if (c->in[i].t.dtype != dtype) return FORGE_REASON_DTYPE;
  for (uint32_t i = 0; i < c->n_out; i++)
    if (c->out[i].there && c->out[i].t.dtype != dtype) return FORGE_REASON_DTYPE;
  if (c->op != FORGE_OP_UNARY_BWD) return FORGE_REASON_NONE;
  const uint32_t kind = ((const forge_attr_kind *)c->attr)->kind;
  return kind < FORGE_UNARY_NEG || kind > FORGE_UNARY_STEP ? FORGE_REASON_ATTRIBUTES
                                                           : FORGE_REASON_NONE;
}

static forge_status plan(ocl_plan *plan, const ocl_call *c) {
  const char *kernel = c->op == FORGE_OP_SWIGLU       ? "swiglu"
                       : c->op == FORGE_OP_SWIGLU_BWD ? "swiglu_bwd"
                                                      : "unary_bwd";
  return ocl_want(plan, "pointwise", kernel, "-DX=%d", c->in[0].t.dtype);
}

/* Inputs, then |out|; |extra|: the kernel's last argument, -1: none. */
static void run(ocl_launch *l, const ocl_call *c, const ocl_view *out, int64_t extra) {
  const ocl_view *views[4];
  ocl_nd shape;
  for (uint32_t i = 0; i < c->n_in; i++) views[i] = &c->in[i];
  views[c->n_in] = out;
  ocl_nd_make(&shape, views, c->n_in + 1u);
  ocl_begin(l, 0);
  for (uint32_t i = 0; i <= c->n_in; i++) ocl_arg_view(l, views[i]);
  ocl_arg_struct(l, &shape, sizeof shape);
  if (extra >= 0) ocl_arg_int(l, extra);
  ocl_run1(l, ocl_groups(shape.n, EACH * LOCAL), LOCAL);
}

static forge_status launch_swiglu(ocl_launch *l, const ocl_call *c) {
  run(l, c, &c->out[0], -1);
  return ocl_done(l);
}

static forge_status launch_swiglu_bwd(ocl_launch *l, const ocl_call *c) {
  for (uint32_t side = 0; side < c->n_out; side++)
    if (c->out[side].there) run(l, c, &c->out[side], side);
  return ocl_done(l);
}

static forge_status launch_unary_bwd(ocl_launch *l, const ocl_call *c) {
  run(l, c, &c->out[0], ((const forge_attr_kind *)c->attr)->kind);
  return ocl_done(l);
}

const ocl_op ocl_ops_pointwise[] = {
    {FORGE_OP_SWIGLU, support, plan, launch_swiglu},
    {FORGE_OP_SWIGLU_BWD, support, plan, launch_swiglu_bwd},
    {FORGE_OP_UNARY_BWD, support, plan, launch_unary_bwd},
    {.op = 0},
};
