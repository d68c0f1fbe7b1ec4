/* ops_optimizer.c -- ADAMW, in place. */
#include <math.h>

#include "opencl.h"

/* struct adamw of optimizer.cl. */
typedef struct adamw {
  ocl_nd shape;
  float beta1, rest1, beta2, rest2, eps, decay, rate, scale1, scale2;
  int32_t has_clip;
} adamw;

/* The outputs are p, m and v themselves. */
static bool in_place(const ocl_call *c) {
  for (uint32_t i = 0; i < 3; i++)
    for (int k = 0; k < c->in[i].t.rank; k++)
      if (c->in[i].t.stride[k] != c->out[i].t.stride[k]) return false;
  return true;
}

static uint8_t support(const ocl_call *c) {
  for (uint32_t i = 0; i < c->n_in; i++)
    if (c->in[i].there && c->in[i].t.dtype != FORGE_F32) return FORGE_REASON_DTYPE;
  return in_place(c) ? FORGE_REASON_NONE : FORGE_REASON_STRIDES;
}

static forge_status plan(ocl_plan *plan, const ocl_call *c) {
  (void)c;
  return ocl_want(plan, "optimizer", "adamw_step", "%s", "");
}

static forge_status launch(ocl_launch *l, const ocl_call *c) {
  const forge_attr_adamw *attr = c->attr;
  const double t = ocl_number(c, &attr->step);
  const ocl_view none = {.there = false}, *clip = c->n_in > 4 ? &c->in[4] : &none;
  adamw a = {.beta1 = (float)attr->beta1,
             .rest1 = (float)(1.0 - attr->beta1),
             .beta2 = (float)attr->beta2,
             .rest2 = (float)(1.0 - attr->beta2),
             .eps = (float)attr->eps,
             .decay = (float)attr->weight_decay,
             .rate = (float)ocl_number(c, &attr->lr),
             .scale1 = (float)(1.0 / (1.0 - pow(attr->beta1, t))),
             .scale2 = (float)(1.0 / (1.0 - pow(attr->beta2, t))),
             .has_clip = clip->there};
  const ocl_view *const views[] = {&c->out[0], &c->out[1], &c->out[2], &c->in[3]};
  ocl_nd_make(&a.shape, views, 4);
  ocl_begin(l, 0);
  for (int i = 0; i < 4; i++) ocl_arg_view(l, views[i]);
  ocl_arg_view(l, clip);
  ocl_arg_struct(l, &a, sizeof a);
  ocl_run1(l, ocl_groups(a.shape.n, 16 * 16), 16);
  return ocl_done(l);
}

const ocl_op ocl_ops_optimizer[] = {
    {FORGE_OP_ADAMW, support, plan, launch},
    {.op = 0},
};
