/* ops_attention.c -- ATTENTION, its gradient, ROPE and KV_WRITE. */
#include <math.h>

#include "opencl.h"

enum { ROWS = 4, BLOCK = 64 }; /* rows of a work-group; keys (or queries) taken at a time */

static bool heads_dense(const ocl_view *v, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (!ocl_rows_dense(&v[i].t)) return false;
  return true;
}

static void strides_of(int64_t *to, const ocl_view *v, int n) {
  for (int i = 0; i < n; i++) to[i] = v->there ? v->t.stride[i] : 0;
}

static int64_t lanes_up(int64_t d) { return (d + 15) / 16 * 16; }
static const ocl_view *input(const ocl_call *c, uint32_t i) {
  static const ocl_view none = {.there = false};
  return i < c->n_in ? &c->in[i] : &none;
}

/* ---- ATTENTION ---- */

/* struct attention of attention.cl. */
typedef struct attention {
  int64_t batch, queries, heads, key_heads, d, width, keys, page, pages, pages_each;
  int64_t causal, window, has_starts, has_lse;
  int64_t q[3], k[3], v[3], y[3], lse[3], start, table[2];
  float scale;
  int32_t rsv;
} attention;

static uint64_t attention_local(int64_t width) {
  return (uint64_t)(2 * ROWS * width + ROWS * BLOCK + 3 * ROWS) * sizeof(float) +
         2 * BLOCK * sizeof(int64_t);
}

static uint8_t support_attention(const ocl_call *c) {
  const forge_attr_attention *attr = c->attr;
  const ocl_view *starts = input(c, 3), *table = input(c, 4);
  if (attr->flags > FORGE_ATTENTION_CAUSAL) return FORGE_REASON_ATTRIBUTES;
  if (c->in[0].t.rank != 4 || c->in[1].t.rank != 4 || c->in[2].t.rank != 4)
    return FORGE_REASON_SHAPE;
  if (c->in[0].t.dtype != FORGE_F32 || !ocl_is_float(c->in[1].t.dtype) ||
      !ocl_is_float(c->in[2].t.dtype) || c->out[0].t.dtype != FORGE_F32)
    return FORGE_REASON_DTYPE;
  if ((starts->there && starts->t.dtype != FORGE_I32) ||
      (table->there && table->t.dtype != FORGE_I32))
    return FORGE_REASON_DTYPE;
  if (!heads_dense(c->in, 3) || !heads_dense(c->out, 1)) return FORGE_REASON_STRIDES;
  return attention_local(lanes_up(c->in[0].t.dim[3])) > c->caps->local_bytes ? FORGE_REASON_HARDWARE
                                                                             : FORGE_REASON_NONE;
}

/* A decoder without shared heads has one row to a key head, for ever. */
static int rows_of(const ocl_call *c) {
  const forge_tensor *q = &c->in[0].t, *k = &c->in[1].t;
  return q->dim[1] == 1 && !q->dim_scalar[1] && q->dim[2] == k->dim[2] ? 1 : ROWS;
}

static forge_status plan_attention(ocl_plan *plan, const ocl_call *c) {
  return ocl_want(plan, "attention", "attention_rows", "-DK=%d -DV=%d -DR=%d -DTEAM=%u",
                  c->in[1].t.dtype, c->in[2].t.dtype, rows_of(c), c->caps->team);
}

static attention describe_attention(const ocl_call *c) {
  const forge_attr_attention *attr = c->attr;
  const forge_tensor *q = &c->in[0].t, *k = &c->in[1].t;
  const ocl_view *starts = input(c, 3), *table = input(c, 4);
  const ocl_view *lse = c->n_out > 1 ? &c->out[1] : input(c, c->n_in);
  attention a = {.batch = q->dim[0],
                 .queries = q->dim[1],
                 .heads = q->dim[2],
                 .key_heads = k->dim[2],
                 .d = q->dim[3],
                 .width = lanes_up(q->dim[3]),
                 .keys = k->dim[1],
                 .page = table->there ? k->dim[1] : 0,
                 .pages = k->dim[0],
                 .pages_each = table->there ? table->t.dim[1] : 0,
                 .causal = attr->flags & FORGE_ATTENTION_CAUSAL,
                 .window = attr->window,
                 .has_starts = starts->there,
                 .has_lse = lse->there,
                 .scale = (float)attr->scale};
  strides_of(a.q, &c->in[0], 3);
  strides_of(a.k, &c->in[1], 3);
  strides_of(a.v, &c->in[2], 3);
  strides_of(a.y, &c->out[0], 3);
  strides_of(a.lse, lse, 3);
  strides_of(&a.start, starts, 1);
  strides_of(a.table, table, 2);
  return a;
}

static forge_status launch_attention(ocl_launch *l, const ocl_call *c) {
  const attention a = describe_attention(c);
  const int64_t r = rows_of(c);
  if (a.key_heads == 0 || a.d == 0) return FORGE_OK;
  ocl_begin(l, 0);
  for (uint32_t i = 0; i < 5; i++) ocl_arg_view(l, input(c, i));
  ocl_arg_view(l, &c->out[0]);
  ocl_arg_view(l, c->n_out > 1 ? &c->out[1] : input(c, c->n_in));
  ocl_arg_struct(l, &a, sizeof a);
  ocl_arg_local(l, 2 * BLOCK * sizeof(int64_t));
  ocl_arg_local(l, (size_t)(2 * r * a.width + r * BLOCK + 3 * r) * sizeof(float));
  ocl_run2(l, ocl_groups(a.heads / a.key_heads * a.queries, r), a.batch * a.key_heads,
           c->caps->team, 1);
  return ocl_done(l);
}

/* ---- ATTENTION_BWD ---- */

enum { INNER, QUERIES, KEYS }; /* wanted kernels */

/* struct backward of attention_bwd.cl. */
typedef struct backward {
  int64_t batch, queries, heads, key_heads, keys, d, width, causal;
  int64_t q[3], k[3], v[3], y[3], lse[3], dy[3], dq[3], dk[3], dv[3];
  float scale;
  int32_t rsv;
} backward;

static uint64_t backward_local(int64_t width) {
  return (uint64_t)(4 * ROWS * width + 2 * ROWS * BLOCK) * sizeof(float);
}

static uint8_t support_backward(const ocl_call *c) {
  const forge_attr_attention *attr = c->attr;
  if (attr->flags > FORGE_ATTENTION_CAUSAL || attr->window) return FORGE_REASON_ATTRIBUTES;
  for (uint32_t i = 0; i < 6; i++)
    if (c->in[i].t.dtype != FORGE_F32) return FORGE_REASON_DTYPE;
  if (!heads_dense(c->in, 4) || !heads_dense(&c->in[5], 1) || !heads_dense(c->out, 3))
    return FORGE_REASON_STRIDES;
  return backward_local(lanes_up(c->in[0].t.dim[3])) > c->caps->local_bytes ? FORGE_REASON_HARDWARE
                                                                            : FORGE_REASON_NONE;
}

static forge_status plan_backward(ocl_plan *plan, const ocl_call *c) {
  static const char *const kernels[] = {"inner", "queries", "keys"};
  forge_status s = FORGE_OK;
  for (int i = 0; i < 3 && !s; i++)
    s = ocl_want(plan, "attention_bwd", kernels[i], "-DR=%d -DTEAM=%u", (int)ROWS, c->caps->team);
  ocl_scratch(plan, (uint64_t)ocl_elements(&c->in[4].t) * sizeof(float));
  return s;
}

static backward describe_backward(const ocl_call *c) {
  const forge_attr_attention *attr = c->attr;
  const forge_tensor *q = &c->in[0].t, *k = &c->in[1].t;
  backward a = {.batch = q->dim[0],
                .queries = q->dim[1],
                .heads = q->dim[2],
                .key_heads = k->dim[2],
                .keys = k->dim[1],
                .d = q->dim[3],
                .width = lanes_up(q->dim[3]),
                .causal = attr->flags & FORGE_ATTENTION_CAUSAL,
                .scale = (float)attr->scale};
  int64_t *const to[] = {a.q, a.k, a.v, a.y, a.lse, a.dy, a.dq, a.dk, a.dv};
  for (int i = 0; i < 9; i++) strides_of(to[i], i < 6 ? &c->in[i] : &c->out[i - 6], 3);
  return a;
}

static void flow_args(ocl_launch *l, const ocl_call *c) { /* what both big kernels begin with */
  static const int order[] = {0, 1, 2, 4, 5};
  for (int i = 0; i < 5; i++) ocl_arg_view(l, &c->in[order[i]]);
  ocl_arg_scratch(l, 0);
}

static forge_status launch_backward(ocl_launch *l, const ocl_call *c) {
  const backward a = describe_backward(c);
  const uint32_t local = c->caps->team;
  const size_t row = (size_t)(ROWS * a.width) * sizeof(float), block = ROWS * BLOCK * sizeof(float);
  if (a.d == 0 || a.key_heads == 0) return FORGE_OK;
  ocl_begin(l, INNER);
  ocl_arg_view(l, &c->in[3]);
  ocl_arg_view(l, &c->in[5]);
  ocl_arg_scratch(l, 0);
  ocl_arg_struct(l, &a, sizeof a);
  ocl_run1(l, ocl_groups(a.batch * a.heads * a.queries, 64), 64);
  ocl_begin(l, QUERIES);
  flow_args(l, c);
  ocl_arg_view(l, &c->out[0]);
  ocl_arg_struct(l, &a, sizeof a);
  ocl_arg_local(l, 3 * row + block);
  ocl_run(l, 3,
          (const size_t[3]){(size_t)ocl_groups(a.queries, ROWS), (size_t)a.heads, (size_t)a.batch},
          (const size_t[3]){local, 1, 1});
  ocl_begin(l, KEYS);
  flow_args(l, c);
  ocl_arg_view(l, &c->out[1]);
  ocl_arg_view(l, &c->out[2]);
  ocl_arg_struct(l, &a, sizeof a);
  ocl_arg_local(l, 4 * row + 2 * block);
  ocl_run(l, 3,
          (const size_t[3]){(size_t)ocl_groups(a.keys, ROWS), (size_t)a.key_heads, (size_t)a.batch},
          (const size_t[3]){local, 1, 1});
  return ocl_done(l);
}

/* ---- ROPE ---- */

enum { TURNS = 64 };

/* struct rope of rope.cl. */
typedef struct rope {
  ocl_nd shape;
  int64_t heads, columns, x_head, y_head, x_column, y_column, factor;
  int32_t pairs, first, n, interleaved, has_factors, inverse;
  uint64_t turns[TURNS];
} rope;

static uint8_t support_rope(const ocl_call *c) {
  const forge_attr_rope *attr = c->attr;
  const forge_tensor *x = &c->in[0].t;
  if (x->rank < 3) return FORGE_REASON_SHAPE;
  if (attr->flags > 3 || attr->n_rot % 2 || !attr->n_rot || attr->n_rot > x->dim[x->rank - 1])
    return FORGE_REASON_ATTRIBUTES;
  if (!(fabs(attr->scale) < 32) || !(attr->base >= 1)) return FORGE_REASON_ATTRIBUTES;
  if (x->dtype != FORGE_F32 || c->out[0].t.dtype != FORGE_F32 || c->in[1].t.dtype != FORGE_I32 ||
      (input(c, 2)->there && c->in[2].t.dtype != FORGE_F32))
    return FORGE_REASON_DTYPE;
  return FORGE_REASON_NONE;
}

static forge_status plan_rope(ocl_plan *plan, const ocl_call *c) {
  (void)c;
  return ocl_want(plan, "rope", "rope_turn", "-DP=%d", FORGE_F32);
}

/* Tokens: the dims of x before heads and columns. Positions [T] repeat over the others. */
static void find_tokens(ocl_nd *shape, const ocl_call *c) {
  ocl_view x = c->in[0], y = c->out[0], p = c->in[1];
  const uint8_t rank = (uint8_t)(x.t.rank - 2);
  const int64_t step = p.t.stride[p.t.rank - 1];
  if (p.t.rank != rank)
    for (int k = 0; k < rank; k++) p.t.stride[k] = k == rank - 1 ? step : 0;
  for (int k = 0; k < rank; k++) p.t.dim[k] = x.t.dim[k];
  x.t.rank = y.t.rank = p.t.rank = rank;
  ocl_nd_make(shape, (const ocl_view *const[]){&x, &y, &p}, 3);
}

/* Turns per position of pairs |first|.., with 60 bits behind the point. */
static void fill_turns(rope *r, const forge_attr_rope *attr) {
  for (int i = 0; i < r->n; i++) {
    const double exponent = 2.0 * (r->first + i) / attr->n_rot;
    const double turns = attr->scale / pow(attr->base, exponent) / 6.283185307179586476925286766559;
    r->turns[i] = (uint64_t)llrint(fabs(turns) * 0x1p60);
  }
}

static forge_status launch_rope(ocl_launch *l, const ocl_call *c) {
  const forge_attr_rope *attr = c->attr;
  const forge_tensor *x = &c->in[0].t, *y = &c->out[0].t;
  const bool turned_back = attr->flags & FORGE_ROPE_INVERSE;
  rope r = {.heads = x->dim[x->rank - 2],
            .columns = x->dim[x->rank - 1],
            .x_head = x->stride[x->rank - 2],
            .y_head = y->stride[x->rank - 2],
            .x_column = x->stride[x->rank - 1],
            .y_column = y->stride[x->rank - 1],
            .factor = input(c, 2)->there ? c->in[2].t.stride[0] : 0,
            .pairs = (int32_t)(attr->n_rot / 2),
            .interleaved = attr->flags & FORGE_ROPE_INTERLEAVED ? 1 : 0,
            .has_factors = input(c, 2)->there,
            .inverse = turned_back != (attr->scale < 0)};
  find_tokens(&r.shape, c);
  for (r.first = 0; r.first < r.pairs; r.first += TURNS) {
    r.n = r.pairs - r.first < TURNS ? r.pairs - r.first : TURNS;
    fill_turns(&r, attr);
    ocl_begin(l, 0);
    ocl_arg_view(l, &c->in[0]);
    ocl_arg_view(l, &c->in[1]);
    ocl_arg_view(l, input(c, 2));
    ocl_arg_view(l, &c->out[0]);
    ocl_arg_struct(l, &r, sizeof r);
    ocl_run2(l, ocl_groups(r.n, 16), r.shape.n, 16, 1);
  }
  return ocl_done(l);
}

/* ---- KV_WRITE ---- */

/* struct kv_write of rope.cl. */
typedef struct kv_write {
  int64_t n, rows, page, heads, d;
  int64_t pages[4], slot, src[3];
} kv_write;

static uint8_t support_kv_write(const ocl_call *c) {
  if (!ocl_is_float(c->in[0].t.dtype) || c->in[1].t.dtype != FORGE_I32 ||
      c->in[2].t.dtype != FORGE_F32)
    return FORGE_REASON_DTYPE;
  return FORGE_REASON_NONE;
}

static forge_status plan_kv_write(ocl_plan *plan, const ocl_call *c) {
  return ocl_want(plan, "rope", "kv_write_rows", "-DP=%d", c->in[0].t.dtype);
}

static forge_status launch_kv_write(ocl_launch *l, const ocl_call *c) {
  const forge_tensor *pages = &c->out[0].t;
  kv_write a = {.n = c->in[2].t.dim[0],
                .rows = pages->dim[0] * pages->dim[1],
                .page = pages->dim[1],
                .heads = pages->dim[2],
                .d = pages->dim[3],
                .slot = c->in[1].t.stride[0]};
  strides_of(a.pages, &c->out[0], 4);
  strides_of(a.src, &c->in[2], 3);
  ocl_begin(l, 0);
  ocl_arg_view(l, &c->out[0]);
  ocl_arg_view(l, &c->in[1]);
  ocl_arg_view(l, &c->in[2]);
  ocl_arg_struct(l, &a, sizeof a);
  ocl_run1(l, ocl_groups(a.n, 4), 4);
  return ocl_done(l);
}

const ocl_op ocl_ops_attention[] = {
    {.op = FORGE_OP_ATTENTION,
     .support = support_attention,
     .plan = plan_attention,
     .launch = launch_attention},
    {.op = FORGE_OP_ATTENTION_BWD,
     .support = support_backward,
     .plan = plan_backward,
     .launch = launch_backward},
    {.op = FORGE_OP_ROPE, .support = support_rope, .plan = plan_rope, .launch = launch_rope},
    {.op = FORGE_OP_KV_WRITE,
     .support = support_kv_write,
     .plan = plan_kv_write,
     .launch = launch_kv_write},
    {.op = 0},
};
