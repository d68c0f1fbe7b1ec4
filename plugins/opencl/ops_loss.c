/* ops_loss.c -- CROSS_ENTROPY and CROSS_ENTROPY_BWD. */
#include "opencl.h"

/* struct loss of loss.cl. */
typedef struct loss {
  int64_t rows, columns, x_row, x_column, target, dx_row, dx_column;
} loss;

static uint8_t support(const ocl_call *c) {
  if (c->in[0].t.rank != 2) return FORGE_REASON_SHAPE;
  if (c->in[0].t.dtype != FORGE_F32 || c->in[1].t.dtype != FORGE_I32 ||
      c->out[0].t.dtype != FORGE_F32 || (c->n_in > 2 && c->in[2].t.dtype != FORGE_F32))
    return FORGE_REASON_DTYPE;
  return FORGE_REASON_NONE;
}

static loss describe(const ocl_call *c) {
  const forge_tensor *x = &c->in[0].t, *dx = &c->out[0].t;
  loss a = {.rows = x->dim[0],
            .columns = x->dim[1],
            .x_row = x->stride[0],
            .x_column = x->stride[1],
            .target = c->in[1].t.stride[0]};
  if (dx->rank == 2) {
    a.dx_row = dx->stride[0];
    a.dx_column = dx->stride[1];
  }
  return a;
}

enum { FIRST, SECOND }; /* wanted kernels */

static void run_rows(ocl_launch *l, const ocl_call *c, const loss *a) {
  ocl_arg_struct(l, a, sizeof *a);
  ocl_arg_local(l, c->caps->team * sizeof(float));
  ocl_run1(l, a->rows, c->caps->team);
}

static forge_status plan_forward(ocl_plan *plan, const ocl_call *c) {
  ocl_scratch(plan, (uint64_t)(c->in[0].t.dim[0] + 1) * sizeof(float));
  forge_status s = ocl_want(plan, "loss", "loss_rows", "-DTEAM=%u", c->caps->team);
  return s ? s : ocl_want(plan, "loss", "loss_mean", "-DTEAM=%u", c->caps->team);
}

static forge_status launch_forward(ocl_launch *l, const ocl_call *c) {
  const loss a = describe(c);
  ocl_begin(l, FIRST);
  ocl_arg_view(l, &c->in[0]);
  ocl_arg_view(l, &c->in[1]);
  ocl_arg_scratch(l, 0);
  run_rows(l, c, &a);
  ocl_begin(l, SECOND);
  ocl_arg_scratch(l, 0);
  ocl_arg_view(l, &c->in[1]);
  ocl_arg_view(l, &c->out[0]);
  ocl_arg_struct(l, &a, sizeof a);
  ocl_arg_int(l, 1);
  ocl_run1(l, 1, 1);
  return ocl_done(l);
}

static forge_status plan_backward(ocl_plan *plan, const ocl_call *c) {
  ocl_scratch(plan, sizeof(float));
  forge_status s = ocl_want(plan, "loss", "loss_factor", "-DTEAM=%u", c->caps->team);
  return s ? s : ocl_want(plan, "loss", "loss_bwd", "-DTEAM=%u", c->caps->team);
}

static forge_status launch_backward(ocl_launch *l, const ocl_call *c) {
  const loss a = describe(c);
  ocl_begin(l, FIRST);
  ocl_arg_view(l, &c->in[1]);
  ocl_arg_view(l, &c->in[2]);
  ocl_arg_scratch(l, 0);
  ocl_arg_struct(l, &a, sizeof a);
  ocl_run1(l, a.rows ? 1 : 0, 1);
  ocl_begin(l, SECOND);
  ocl_arg_view(l, &c->in[0]);
  ocl_arg_view(l, &c->in[1]);
  ocl_arg_scratch(l, 0);
  ocl_arg_view(l, &c->out[0]);
  run_rows(l, c, &a);
  return ocl_done(l);
}

const ocl_op ocl_ops_loss[] = {
    {FORGE_OP_CROSS_ENTROPY, support, plan_forward, launch_forward},
    {FORGE_OP_CROSS_ENTROPY_BWD, support, plan_backward, launch_backward},
    {.op = 0},
};
