/* ops_quant.c -- block types: QMATMUL, and CAST and GATHER_ROWS out of them. Few rows are
 * multiplied with the blocks as they are decoded; for many, panels of the weights are decoded into
 * scratch and go to matmul.cl. The sums have the same order either way. Where work-groups are many
 * items, products are tile.cl's. */
#include "product.h"

enum { MANY = 32, PANEL_FLOATS = 2 << 20 };

/* struct block_rows of quant.cl. */
typedef struct block_rows {
  ocl_nd shape;
  int64_t columns, table_rows, table_row, y_column, has_ids;
} block_rows;

static bool is_block(uint8_t dtype) { return dtype >= FORGE_Q8_0 && dtype <= FORGE_Q6_K; }

/* Decodes; columns in pieces of 256. */
static void run_rows(ocl_launch *l, const block_rows *a) {
  ocl_arg_struct(l, a, sizeof *a);
  ocl_run2(l, ocl_groups(a->columns, 256), a->shape.n, 1, 1);
}

/* ---- CAST, GATHER_ROWS ---- */

static uint8_t support_rows(const ocl_call *c) {
  const uint8_t y = c->out[0].t.dtype;
  if (!is_block(c->in[0].t.dtype) || is_block(y)) return FORGE_REASON_DTYPE;
  return c->op == FORGE_OP_GATHER_ROWS && y != FORGE_F32 ? FORGE_REASON_DTYPE : FORGE_REASON_NONE;
}

static forge_status plan_rows(ocl_plan *plan, const ocl_call *c) {
  return ocl_want(plan, "quant", "rows", "-DQ=%d -DY=%d -DMR=1", c->in[0].t.dtype,
                  c->out[0].t.dtype);
}

static forge_status launch_rows(ocl_launch *l, const ocl_call *c) {
  const bool gather = c->op == FORGE_OP_GATHER_ROWS;
  const ocl_view *table = &c->in[0];
  ocl_view from = gather ? c->in[1] : *table, to = c->out[0];
  block_rows a = {.columns = ocl_columns(&to.t),
                  .table_rows = table->t.dim[0],
                  .table_row = table->t.stride[0],
                  .y_column = ocl_column_stride(&to.t),
                  .has_ids = gather};
  if (!gather) from.t.rank--;
  to.t.rank--;
  ocl_nd_make(&a.shape, (const ocl_view *const[]){&from, &to}, 2);
  ocl_begin(l, 0);
  ocl_arg_view(l, table);
  ocl_arg_view(l, gather ? &c->in[1] : table);
  ocl_arg_view(l, &c->out[0]);
  run_rows(l, &a);
  return ocl_done(l);
}

/* ---- QMATMUL ---- */

/* Wanted kernels: PRODUCT_TILES and PRODUCT_ROW, both out of the blocks; the packer where x needs
 * it; then, where rows may be many, decoding and the product of what is decoded. */
enum { REST = 2 };

typedef struct qmatmul {
  product p;
  bool pack, many;
  int64_t panel;           /* columns of y for which weights are decoded at a time */
  uint64_t b_off, scratch; /* bytes: where the panel begins, all */
} qmatmul;

static uint8_t support_qmatmul(const ocl_call *c) {
  if (c->in[0].t.dtype != FORGE_F32 || !is_block(c->in[1].t.dtype) ||
      c->out[0].t.dtype != FORGE_F32)
    return FORGE_REASON_DTYPE;
  if (c->n_in > 2 && c->in[2].there && c->in[2].t.dtype != FORGE_F32) return FORGE_REASON_DTYPE;
  return c->in[0].t.rank < 2 ? FORGE_REASON_SHAPE : FORGE_REASON_NONE;
}

static qmatmul describe(const ocl_call *c) {
  const forge_tensor *x = &c->in[0].t, *w = &c->in[1].t, *y = &c->out[0].t;
  const int row = y->rank - 2, column = y->rank - 1;
  qmatmul q = {.p = {.m = y->dim[row],
                     .n = y->dim[column],
                     .k = w->dim[1],
                     .a_m = x->stride[row],
                     .a_k = x->stride[column],
                     .b_n = w->stride[0],
                     .b_k = 1,
                     .y_m = y->stride[row],
                     .y_n = y->stride[column],
                     .bias_n = -1,
                     .y_type = FORGE_F32}};
  if (c->n_in > 2 && c->in[2].there) q.p.bias_n = c->in[2].t.stride[0];
  product_batch(&q.p, x, NULL, y, 2);
  q.pack = q.p.a_k != 1;
  q.many = q.p.m * q.p.count >= MANY;
  if (q.pack) q.b_off = product_packed(&q.p, q.p.m);
  q.panel = PANEL_FLOATS / (q.p.k ? q.p.k : 1) / 4 * 4;
  if (q.panel < 4) q.panel = 4;
  if (q.panel > q.p.n) q.panel = q.p.n;
  q.scratch = q.b_off + (q.many ? (uint64_t)(q.panel * q.p.k) * sizeof(float) : 0);
  return q;
}

static forge_status plan_qmatmul(ocl_plan *plan, const ocl_call *c) {
  const qmatmul q = describe(c);
  const int type = c->in[1].t.dtype;
  if (c->caps->team > 1) return product_want(plan, c, &q.p);
  forge_status s = ocl_want(plan, "quant", "qdot", "-DQ=%d -DY=1 -DMR=%d", type, PRODUCT_DOT_ROWS);
  if (!s) s = ocl_want(plan, "quant", "qdot", "-DQ=%d -DY=1 -DMR=1", type);
  if (!s && q.pack) s = ocl_want(plan, "pack", "pack", "-DX=1");
  if (!s && q.many) s = ocl_want(plan, "quant", "rows", "-DQ=%d -DY=1 -DMR=1", type);
  if (!s && q.many) s = ocl_want(plan, "matmul", "dot_tiles", "-DB=1");
  if (q.scratch) ocl_scratch(plan, q.scratch);
  return s;
}

static void pack_x(ocl_launch *l, const ocl_call *c, product *p) {
  panel n = {.rows = p->m, .columns = p->k, .row = p->a_m, .column = p->a_k, .count = p->count};
  for (int d = 0; d < PRODUCT_DIMS; d++) {
    n.dim[d] = p->dim[d];
    n.x[d] = p->a[d];
  }
  product_pack(l, REST, &c->in[0], &n, 0);
  int64_t one = p->m * p->k;
  for (int d = PRODUCT_DIMS - 1; d >= 0; d--) {
    p->a[d] = one;
    one *= p->dim[d];
  }
  p->a_m = p->k;
  p->a_k = 1;
}

/* Tensors moved along by |j| columns of y. */
static ocl_view moved(const ocl_view *v, uint64_t bytes) {
  ocl_view m = *v;
  if (m.there) m.off += bytes;
  return m;
}

/* Columns j.. of y, as many as p.n says, by kernel number |want|. */
static void multiply(ocl_launch *l, uint32_t want, const ocl_call *c, const qmatmul *q, product p,
                     int64_t j) {
  const ocl_view none = {.there = false};
  const ocl_view y = moved(&c->out[0], (uint64_t)(j * p.y_n) * sizeof(float));
  const ocl_view bias =
      moved(c->n_in > 2 ? &c->in[2] : &none, (uint64_t)(j * p.bias_n) * sizeof(float));
  size_t groups[3];
  product_split(&p, c->caps, want == PRODUCT_ROW ? 1 : PRODUCT_DOT_ROWS, 4, groups);
  ocl_begin(l, want);
  if (q->pack)
    ocl_arg_scratch(l, 0);
  else
    ocl_arg_view(l, &c->in[0]);
  if (want >= REST)
    ocl_arg_scratch(l, q->b_off);
  else
    ocl_arg_view(l, &c->in[1]);
  ocl_arg_view(l, &bias);
  ocl_arg_view(l, &y);
  ocl_arg_struct(l, &p, sizeof p);
  ocl_run(l, 3, groups, (const size_t[3]){1, 1, 1});
}

/* Weights of columns j.. of y into scratch. */
static void decode(ocl_launch *l, const ocl_call *c, const qmatmul *q, int64_t j, int64_t n) {
  const ocl_view *w = &c->in[1];
  ocl_view from = *w, to = {.t = {.dtype = FORGE_F32, .rank = 1}, .there = true};
  from.t.rank = 1;
  from.t.dim[0] = to.t.dim[0] = n;
  to.t.stride[0] = q->p.k;
  block_rows a = {.columns = q->p.k, .y_column = 1};
  ocl_nd_make(&a.shape, (const ocl_view *const[]){&from, &to}, 2);
  static const uint16_t bytes[] = {34, 18, 144, 210}, elems[] = {32, 32, 256, 256};
  const int type = w->t.dtype - FORGE_Q8_0;
  const ocl_view table = moved(w, (uint64_t)(j * w->t.stride[0] / elems[type] * bytes[type]));
  ocl_begin(l, REST + q->pack);
  ocl_arg_view(l, &table);
  ocl_arg_view(l, &table);
  ocl_arg_scratch(l, q->b_off);
  run_rows(l, &a);
}

/* By panels of decoded weights. */
static void multiply_many(ocl_launch *l, const ocl_call *c, const qmatmul *q) {
  for (int64_t j = 0; j < q->p.n; j += q->panel) {
    product part = q->p;
    part.n = q->panel < q->p.n - j ? q->panel : q->p.n - j;
    part.b_n = q->p.k;
    decode(l, c, q, j, part.n);
    multiply(l, REST + 1u + q->pack, c, q, part, j);
  }
}

static forge_status launch_qmatmul(ocl_launch *l, const ocl_call *c) {
  qmatmul q = describe(c);
  const bool warming = ocl_is_warming(l), moving = ocl_is_moving(&c->out[0].t);
  if (q.p.m == 0 || q.p.n == 0 || q.p.count == 0) return FORGE_OK;
  if (c->caps->team > 1) {
    product_run(l, c, &q.p);
    return ocl_done(l);
  }
  if (q.pack) pack_x(l, c, &q.p);
  product_fold(&q.p);
  const bool few = !q.many || (warming && moving);
  if (few && (warming ? product_has_tiles(c, q.p) : q.p.m != 1))
    multiply(l, PRODUCT_TILES, c, &q, q.p, 0);
  if (few && (warming ? product_has_row(c, q.p) : q.p.m == 1))
    multiply(l, PRODUCT_ROW, c, &q, q.p, 0);
  if (q.many) multiply_many(l, c, &q);
  return ocl_done(l);
}

const ocl_op ocl_ops_quant[] = {
    {.op = FORGE_OP_CAST, .support = support_rows, .plan = plan_rows, .launch = launch_rows},
    {.op = FORGE_OP_GATHER_ROWS, .support = support_rows, .plan = plan_rows, .launch = launch_rows},
    {.op = FORGE_OP_QMATMUL,
     .support = support_qmatmul,
     .plan = plan_qmatmul,
     .launch = launch_qmatmul},
    {.op = 0},
};
