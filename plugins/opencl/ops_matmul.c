/* ops_matmul.c -- MATMUL. With TRANS_B the kernels `dot_*`, else `outer_*`: which ones, and so the
 * order of a sum, follows from the flags alone. An operand that does not lie as the kernel reads it
 * is packed into scratch first. Where work-groups are many items, all of it is tile.cl's. */
#include "product.h"

/* Wanted kernels: PRODUCT_TILES, PRODUCT_ROW, then the packers. */
enum { PACKERS = 2 };

/* What was decided when the program was built; made again at every launch. */
typedef struct matmul {
  product p;
  bool dot, pack_a, pack_b;
  uint64_t b_off, scratch; /* bytes: where packed b begins, all */
} matmul;

static uint8_t support(const ocl_call *c) {
  const forge_attr_matmul *attr = c->attr;
  if (attr->flags & ~(uint32_t)(FORGE_MATMUL_TRANS_A | FORGE_MATMUL_TRANS_B))
    return FORGE_REASON_ATTRIBUTES;
  if (!ocl_is_float(c->in[0].t.dtype) || !ocl_is_float(c->in[1].t.dtype) ||
      !ocl_is_float(c->out[0].t.dtype))
    return FORGE_REASON_DTYPE;
  if (c->n_in > 2 && c->in[2].there && c->in[2].t.dtype != FORGE_F32) return FORGE_REASON_DTYPE;
  return c->in[0].t.rank < 2 ? FORGE_REASON_SHAPE : FORGE_REASON_NONE;
}

static matmul describe(const ocl_call *c) {
  const uint32_t flags = ((const forge_attr_matmul *)c->attr)->flags;
  const forge_tensor *a = &c->in[0].t, *b = &c->in[1].t, *y = &c->out[0].t;
  const int row = y->rank - 2, column = y->rank - 1;
  const int a_m = flags & FORGE_MATMUL_TRANS_A ? column : row, a_k = row + column - a_m;
  const int b_n = flags & FORGE_MATMUL_TRANS_B ? row : column, b_k = row + column - b_n;
  matmul mm = {.p = {.m = y->dim[row],
                     .n = y->dim[column],
                     .k = a->dim[a_k],
                     .a_m = a->stride[a_m],
                     .a_k = a->stride[a_k],
                     .b_n = b->stride[b_n],
                     .b_k = b->stride[b_k],
                     .y_m = y->stride[row],
                     .y_n = y->stride[column],
                     .bias_n = -1,
                     .y_type = y->dtype},
               .dot = flags & FORGE_MATMUL_TRANS_B};
  if (c->n_in > 2 && c->in[2].there) mm.p.bias_n = c->in[2].t.stride[0];
  product_batch(&mm.p, a, b, y, 2);
  mm.pack_a = a->dtype != FORGE_F32 || (mm.dot && mm.p.a_k != 1);
  mm.pack_b = (mm.dot ? mm.p.b_k : mm.p.b_n) != 1;
  if (mm.pack_a) mm.b_off = product_packed(&mm.p, mm.p.m);
  mm.scratch = mm.b_off + (mm.pack_b ? product_packed(&mm.p, mm.p.n) : 0);
  return mm;
}

static forge_status plan(ocl_plan *plan, const ocl_call *c) {
  const matmul mm = describe(c);
  if (c->caps->team > 1) return product_want(plan, c, &mm.p);
  const int b = mm.pack_b ? FORGE_F32 : c->in[1].t.dtype;
  forge_status s = ocl_want(plan, "matmul", mm.dot ? "dot_tiles" : "outer_tiles", "-DB=%d", b);
  if (!s) s = ocl_want(plan, "matmul", mm.dot ? "dot_row" : "outer_row", "-DB=%d", b);
  if (!s && mm.pack_a) s = ocl_want(plan, "pack", "pack", "-DX=%d", c->in[0].t.dtype);
  if (!s && mm.pack_b) s = ocl_want(plan, "pack", "pack", "-DX=%d", c->in[1].t.dtype);
  if (mm.scratch) ocl_scratch(plan, mm.scratch);
  return s;
}

/* Strides of a batch that was packed product by product. */
static void dense_batch(const product *p, int64_t one, int64_t *stride) {
  for (int d = PRODUCT_DIMS - 1; d >= 0; d--) {
    stride[d] = one;
    one *= p->dim[d];
  }
}

static void pack_a(ocl_launch *l, uint32_t want, const ocl_call *c, matmul *mm) {
  product *p = &mm->p;
  panel n = {.rows = p->m, .columns = p->k, .row = p->a_m, .column = p->a_k, .count = p->count};
  for (int d = 0; d < PRODUCT_DIMS; d++) {
    n.dim[d] = p->dim[d];
    n.x[d] = p->a[d];
  }
  product_pack(l, want, &c->in[0], &n, 0);
  p->a_m = p->k;
  p->a_k = 1;
  dense_batch(p, p->m * p->k, p->a);
}

static void pack_b(ocl_launch *l, uint32_t want, const ocl_call *c, matmul *mm) {
  product *p = &mm->p;
  panel n = {.rows = mm->dot ? p->n : p->k,
             .columns = mm->dot ? p->k : p->n,
             .row = mm->dot ? p->b_n : p->b_k,
             .column = mm->dot ? p->b_k : p->b_n,
             .count = p->count};
  for (int d = 0; d < PRODUCT_DIMS; d++) {
    n.dim[d] = p->dim[d];
    n.x[d] = p->b[d];
  }
  product_pack(l, want, &c->in[1], &n, mm->b_off);
  p->b_n = mm->dot ? p->k : 1;
  p->b_k = mm->dot ? 1 : p->n;
  dense_batch(p, p->n * p->k, p->b);
}

static void run(ocl_launch *l, const ocl_call *c, const matmul *mm, bool row) {
  const int64_t rows = mm->dot ? PRODUCT_DOT_ROWS : PRODUCT_OUTER_ROWS;
  const int64_t columns = row ? 64 : 32;
  product p = mm->p;
  size_t groups[3];
  product_split(&p, c->caps, row ? 1 : rows, mm->dot ? 4 : columns, groups);
  ocl_begin(l, row ? PRODUCT_ROW : PRODUCT_TILES);
  if (mm->pack_a)
    ocl_arg_scratch(l, 0);
  else
    ocl_arg_view(l, &c->in[0]);
  if (mm->pack_b)
    ocl_arg_scratch(l, mm->b_off);
  else
    ocl_arg_view(l, &c->in[1]);
  ocl_arg_view(l, c->n_in > 2 ? &c->in[2] : &(ocl_view){.there = false});
  ocl_arg_view(l, &c->out[0]);
  ocl_arg_struct(l, &p, sizeof p);
  ocl_run(l, 3, groups, (const size_t[3]){1, 1, 1});
}

static forge_status launch(ocl_launch *l, const ocl_call *c) {
  matmul mm = describe(c);
  const bool warming = ocl_is_warming(l);
  if (mm.p.m == 0 || mm.p.n == 0 || mm.p.count == 0) return FORGE_OK;
  if (c->caps->team > 1) {
    product_run(l, c, &mm.p);
    return ocl_done(l);
  }
  if (mm.pack_a) pack_a(l, PACKERS, c, &mm);
  if (mm.pack_b) pack_b(l, PACKERS + mm.pack_a, c, &mm);
  product_fold(&mm.p);
  if (warming ? product_has_tiles(c, mm.p) : mm.p.m != 1) run(l, c, &mm, false);
  if (warming ? product_has_row(c, mm.p) : mm.p.m == 1) run(l, c, &mm, true);
  return ocl_done(l);
}

const ocl_op ocl_ops_matmul[] = {
    {.op = FORGE_OP_MATMUL, .support = support, .plan = plan, .launch = launch},
    {.op = 0},
};
