/* ops_moe.c -- MOE_ROUTE, MOE_ROUTE_BWD, GROUPED_MATMUL, GROUPED_MATMUL_DW. */
#include "opencl.h"

static void pair(int64_t *row, int64_t *column, const ocl_view *v) {
  *row = v->t.stride[0];
  *column = v->t.stride[1];
}

/* ---- routing ---- */

/* struct route of moe.cl. */
typedef struct route {
  int64_t tokens, experts, k, normalise;
  int64_t x_row, x_column, id_row, id_column, w_row, w_column, dx_row, dx_column;
} route;

static uint8_t support_route(const ocl_call *c) {
  const bool back = c->op == FORGE_OP_MOE_ROUTE_BWD;
  const ocl_view *ids = back ? &c->in[1] : &c->out[0], *w = back ? &c->in[2] : &c->out[1];
  if (!back && (!ids->there || !w->there)) return FORGE_REASON_SHAPE;
  return c->in[0].t.dtype == FORGE_F32 && ids->t.dtype == FORGE_I32 && w->t.dtype == FORGE_F32
             ? FORGE_REASON_NONE
             : FORGE_REASON_DTYPE;
}

static forge_status plan_route(ocl_plan *plan, const ocl_call *c) {
  return ocl_want(plan, "moe", c->op == FORGE_OP_MOE_ROUTE ? "route_tokens" : "route_bwd", "-DW=1");
}

static forge_status launch_route(ocl_launch *l, const ocl_call *c) {
  const forge_attr_moe *attr = c->attr;
  const bool back = c->op == FORGE_OP_MOE_ROUTE_BWD;
  const ocl_view *ids = back ? &c->in[1] : &c->out[0], *w = back ? &c->in[2] : &c->out[1];
  route a = {.tokens = c->in[0].t.dim[0],
             .experts = c->in[0].t.dim[1],
             .k = ids->t.dim[1],
             .normalise = attr->flags & FORGE_MOE_NORMALISE};
  pair(&a.x_row, &a.x_column, &c->in[0]);
  pair(&a.id_row, &a.id_column, ids);
  pair(&a.w_row, &a.w_column, w);
  ocl_begin(l, 0);
  ocl_arg_view(l, &c->in[0]);
  ocl_arg_view(l, ids);
  ocl_arg_view(l, w);
  if (back) {
    pair(&a.dx_row, &a.dx_column, &c->out[0]);
    ocl_arg_view(l, &c->out[0]);
  }
  ocl_arg_struct(l, &a, sizeof a);
  ocl_run1(l, ocl_groups(a.tokens, 8), 8);
  return ocl_done(l);
}

/* ---- products with experts ---- */

/* struct grouped of moe.cl. */
typedef struct grouped {
  int64_t tokens, k, n, experts;
  int64_t x_row, x_column, y_row, y_column, id, w[3];
} grouped;

static uint8_t support_grouped(const ocl_call *c) {
  const bool dw = c->op == FORGE_OP_GROUPED_MATMUL_DW;
  if (((const forge_attr_matmul *)c->attr)->flags > FORGE_MATMUL_TRANS_A)
    return FORGE_REASON_ATTRIBUTES;
  if (c->in[0].t.dtype != FORGE_F32 || c->in[2].t.dtype != FORGE_I32 ||
      c->out[0].t.dtype != FORGE_F32)
    return FORGE_REASON_DTYPE;
  const uint8_t second = c->in[1].t.dtype;
  return (dw ? second == FORGE_F32 : ocl_is_float(second)) ? FORGE_REASON_NONE : FORGE_REASON_DTYPE;
}

static forge_status plan_grouped(ocl_plan *plan, const ocl_call *c) {
  if (c->op == FORGE_OP_GROUPED_MATMUL_DW) return ocl_want(plan, "moe", "expert_dw", "-DW=1");
  return ocl_want(plan, "moe", "expert_rows", "-DW=%d", c->in[1].t.dtype);
}

static grouped describe(const ocl_call *c, const ocl_view *w, const ocl_view *y) {
  grouped a = {.tokens = c->in[0].t.dim[0],
               .experts = w->t.dim[0],
               .n = w->t.dim[1],
               .k = w->t.dim[2],
               .id = c->in[2].t.stride[0]};
  for (int i = 0; i < 3; i++) a.w[i] = w->t.stride[i];
  pair(&a.x_row, &a.x_column, &c->in[0]);
  pair(&a.y_row, &a.y_column, y);
  return a;
}

static forge_status launch_grouped(ocl_launch *l, const ocl_call *c) {
  const bool turned = ((const forge_attr_matmul *)c->attr)->flags & FORGE_MATMUL_TRANS_A;
  grouped a = describe(c, &c->in[1], &c->out[0]);
  if (turned) {
    const int64_t n = a.n, step = a.w[1];
    a.n = a.k;
    a.k = n;
    a.w[1] = a.w[2];
    a.w[2] = step;
  }
  ocl_begin(l, 0);
  for (uint32_t i = 0; i < 3; i++) ocl_arg_view(l, &c->in[i]);
  ocl_arg_view(l, &c->out[0]);
  ocl_arg_struct(l, &a, sizeof a);
  ocl_run2(l, ocl_groups(a.n, 4 * 16), a.tokens, 16, 1);
  return ocl_done(l);
}

static forge_status launch_grouped_dw(ocl_launch *l, const ocl_call *c) {
  const grouped a = describe(c, &c->out[0], &c->in[1]);
  const size_t groups[3] = {(size_t)ocl_groups(a.k, 16), (size_t)ocl_groups(a.n, 16),
                            (size_t)a.experts};
  ocl_begin(l, 0);
  for (uint32_t i = 0; i < 3; i++) ocl_arg_view(l, &c->in[i]);
  ocl_arg_view(l, &c->out[0]);
  ocl_arg_struct(l, &a, sizeof a);
  ocl_run(l, 3, groups, (const size_t[3]){1, 16, 1});
  return ocl_done(l);
}

const ocl_op ocl_ops_moe[] = {
    {FORGE_OP_MOE_ROUTE, support_route, plan_route, launch_route},
    {FORGE_OP_MOE_ROUTE_BWD, support_route, plan_route, launch_route},
    {FORGE_OP_GROUPED_MATMUL, support_grouped, plan_grouped, launch_grouped},
    {FORGE_OP_GROUPED_MATMUL_DW, support_grouped, plan_grouped, launch_grouped_dw},
    {.op = 0},
};
