/* ops_norm.c -- RMSNORM, LAYERNORM, their gradients, and GLOBAL_NORM. */
#include "opencl.h"

/* struct norm of norm.cl. */
typedef struct norm {
  ocl_nd rows;
  int64_t columns, x, y, dy, w, b, db;
  int32_t has_b, has_dx, has_dw, has_db, rsv;
  float eps;
} norm;

static uint8_t support(const ocl_call *c) {
  for (uint32_t i = 0; i < c->n_in; i++)
    if (c->in[i].there && c->in[i].t.dtype != FORGE_F32) return FORGE_REASON_DTYPE;
  for (uint32_t i = 0; i < c->n_out; i++)
    if (c->out[i].there && c->out[i].t.dtype != FORGE_F32) return FORGE_REASON_DTYPE;
  return FORGE_REASON_NONE;
}

static const ocl_view none = {.there = false};
static const ocl_view *output(const ocl_call *c, uint32_t i) {
  return i < c->n_out ? &c->out[i] : &none;
}

static int64_t column_step(const ocl_view *v) { return v->there ? ocl_column_stride(&v->t) : 0; }

/* ---- forward ---- */

static forge_status plan_forward(ocl_plan *plan, const ocl_call *c) {
  return ocl_want(plan, "norm", "norm_rows", "-DCENTRED=%d -DTEAM=%u", c->op == FORGE_OP_LAYERNORM,
                  c->caps->team);
}

static forge_status launch_forward(ocl_launch *l, const ocl_call *c) {
  const ocl_view *bias = c->n_in > 2 ? &c->in[2] : &none;
  norm a = {.columns = ocl_columns(&c->in[0].t),
            .x = column_step(&c->in[0]),
            .y = column_step(&c->out[0]),
            .w = column_step(&c->in[1]),
            .b = column_step(bias),
            .has_b = bias->there,
            .eps = (float)((const forge_attr_norm *)c->attr)->eps};
  ocl_nd_rows(&a.rows, (const ocl_view *const[]){&c->in[0], &c->out[0]}, 2);
  if (a.columns == 0) return FORGE_OK;
  ocl_begin(l, 0);
  ocl_arg_view(l, &c->in[0]);
  ocl_arg_view(l, &c->in[1]);
  ocl_arg_view(l, bias);
  ocl_arg_view(l, &c->out[0]);
  ocl_arg_struct(l, &a, sizeof a);
  ocl_arg_local(l, c->caps->team * sizeof(float));
  ocl_run1(l, a.rows.n, c->caps->team);
  return ocl_done(l);
}

/* ---- gradients ---- */

enum { DX, DW }; /* wanted kernels */

static forge_status plan_backward(ocl_plan *plan, const ocl_call *c) {
  const int centred = c->op == FORGE_OP_LAYERNORM_BWD;
  forge_status s =
      ocl_want(plan, "norm", "norm_dx", "-DCENTRED=%d -DTEAM=%u", centred, c->caps->team);
  if (!s) s = ocl_want(plan, "norm", "norm_dw", "-DCENTRED=%d -DTEAM=%u", centred, c->caps->team);
  ocl_scratch(plan, (uint64_t)ocl_rows(&c->in[0].t) * 2 * sizeof(float));
  return s;
}

static void launch_dx(ocl_launch *l, const ocl_call *c, norm a) {
  a.w = column_step(&c->in[1]);
  ocl_begin(l, DX);
  for (uint32_t i = 0; i < 3; i++) ocl_arg_view(l, &c->in[i]);
  ocl_arg_view(l, &c->out[0]);
  ocl_arg_scratch(l, 0);
  ocl_arg_struct(l, &a, sizeof a);
  ocl_arg_local(l, c->caps->team * sizeof(float));
  ocl_run1(l, a.rows.n, c->caps->team);
}

static void launch_dw(ocl_launch *l, const ocl_call *c, norm a) {
  const ocl_view *dw = output(c, 1), *db = output(c, 2);
  a.w = column_step(dw);
  a.db = column_step(db);
  a.has_dw = dw->there;
  a.has_db = db->there;
  ocl_begin(l, DW);
  ocl_arg_view(l, &c->in[0]);
  ocl_arg_view(l, &c->in[2]);
  ocl_arg_scratch(l, 0);
  ocl_arg_view(l, dw);
  ocl_arg_view(l, db);
  ocl_arg_struct(l, &a, sizeof a);
  ocl_run1(l, ocl_groups(a.columns, 16), 1);
}

static forge_status launch_backward(ocl_launch *l, const ocl_call *c) {
  const ocl_view *dx = output(c, 0);
  norm a = {.columns = ocl_columns(&c->in[0].t),
            .x = column_step(&c->in[0]),
            .y = column_step(dx),
            .dy = column_step(&c->in[2]),
            .has_dx = dx->there,
            .eps = (float)((const forge_attr_norm *)c->attr)->eps};
  ocl_nd_rows(&a.rows, (const ocl_view *const[]){&c->in[0], dx, &c->in[2]}, 3);
  if (a.columns == 0) return FORGE_OK;
  launch_dx(l, c, a);
  if (output(c, 1)->there || output(c, 2)->there) launch_dw(l, c, a);
  return ocl_done(l);
}

/* ---- GLOBAL_NORM ---- */

enum { SQUARES, FINISH, PIECE = 16384 };

/* struct finish of global_norm.cl. */
typedef struct finish {
  int64_t pieces;
  int32_t has_norm, has_factor;
  float limit;
  int32_t rsv;
} finish;

static forge_status plan_global(ocl_plan *plan, const ocl_call *c) {
  int64_t pieces = 0;
  for (uint32_t i = 0; i < c->n_in; i++) pieces += ocl_groups(ocl_elements(&c->in[i].t), PIECE);
  ocl_scratch(plan, (uint64_t)(pieces + 1) * sizeof(double));
  forge_status s = ocl_want(plan, "global_norm", "squares", "%s", "");
  return s ? s : ocl_want(plan, "global_norm", "finish_norm", "%s", "");
}

static forge_status launch_global(ocl_launch *l, const ocl_call *c) {
  finish f = {.has_norm = output(c, 0)->there,
              .has_factor = output(c, 1)->there,
              .limit = (float)((const forge_attr_global_norm *)c->attr)->max_norm};
  const uint64_t size = c->caps->fp64 ? sizeof(double) : sizeof(float);
  for (uint32_t i = 0; i < c->n_in; i++) {
    ocl_nd shape;
    ocl_nd_make(&shape, (const ocl_view *const[]){&c->in[i]}, 1);
    ocl_begin(l, SQUARES);
    ocl_arg_view(l, &c->in[i]);
    ocl_arg_scratch(l, (uint64_t)f.pieces * size);
    ocl_arg_struct(l, &shape, sizeof shape);
    ocl_run1(l, ocl_groups(shape.n, PIECE), 1);
    f.pieces += ocl_groups(shape.n, PIECE);
  }
  ocl_begin(l, FINISH);
  ocl_arg_scratch(l, 0);
  ocl_arg_view(l, output(c, 0));
  ocl_arg_view(l, output(c, 1));
  ocl_arg_struct(l, &f, sizeof f);
  ocl_run1(l, 1, 1);
  return ocl_done(l);
}

const ocl_op ocl_ops_norm[] = {
    {FORGE_OP_RMSNORM, support, plan_forward, launch_forward},
    {FORGE_OP_RMSNORM_BWD, support, plan_backward, launch_backward},
    {FORGE_OP_LAYERNORM, support, plan_forward, launch_forward},
    {FORGE_OP_LAYERNORM_BWD, support, plan_backward, launch_backward},
    {FORGE_OP_GLOBAL_NORM, support, plan_global, launch_global},
    {.op = 0},
};
