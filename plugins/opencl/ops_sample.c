/* ops_sample.c -- SAMPLE. */
#include "opencl.h"

/* struct sample of sample.cl. */
typedef struct sample {
  int64_t rows, columns, x_row, x_column, param_row, param_column, iparam_row, iparam_column, id;
} sample;

static uint8_t support(const ocl_call *c) {
  if (c->in[0].t.rank != 2 || c->out[0].t.rank != 1) return FORGE_REASON_SHAPE;
  return c->in[0].t.dtype == FORGE_F32 && c->in[1].t.dtype == FORGE_F32 &&
                 c->in[2].t.dtype == FORGE_I32 && c->out[0].t.dtype == FORGE_I32
             ? FORGE_REASON_NONE
             : FORGE_REASON_DTYPE;
}

static forge_status plan(ocl_plan *plan, const ocl_call *c) {
  ocl_scratch(plan, (uint64_t)ocl_elements(&c->in[0].t) * sizeof(uint64_t));
  return ocl_want(plan, "sample", "sample_rows", "-DTEAM=%u", c->caps->team);
}

static forge_status launch(ocl_launch *l, const ocl_call *c) {
  const forge_tensor *x = &c->in[0].t, *p = &c->in[1].t, *k = &c->in[2].t;
  const sample a = {.rows = x->dim[0],
                    .columns = x->dim[1],
                    .x_row = x->stride[0],
                    .x_column = x->stride[1],
                    .param_row = p->stride[0],
                    .param_column = p->stride[1],
                    .iparam_row = k->stride[0],
                    .iparam_column = k->stride[1],
                    .id = c->out[0].t.stride[0]};
  ocl_begin(l, 0);
  for (uint32_t i = 0; i < 3; i++) ocl_arg_view(l, &c->in[i]);
  ocl_arg_view(l, &c->out[0]);
  ocl_arg_scratch(l, 0);
  ocl_arg_struct(l, &a, sizeof a);
  ocl_arg_local(l, c->caps->team * sizeof(uint64_t));
  ocl_arg_local(l, c->caps->team * sizeof(float));
  ocl_run1(l, a.rows, c->caps->team);
  return ocl_done(l);
}

const ocl_op ocl_ops_sample[] = {
    {FORGE_OP_SAMPLE, support, plan, launch},
    {.op = 0},
};
