/* product.c -- see product.h */
#include "product.h"

void product_batch(product *p, const forge_tensor *a, const forge_tensor *b, const forge_tensor *y,
                   uint32_t last) {
  const uint32_t n = y->rank > last ? y->rank - last : 0;
  p->count = 1;
  for (uint32_t d = 0; d < PRODUCT_DIMS; d++) {
    const bool there = d >= PRODUCT_DIMS - n;
    const uint32_t k = there ? d - (PRODUCT_DIMS - n) : 0;
    p->dim[d] = there ? y->dim[k] : 1;
    p->a[d] = there && a ? a->stride[k] : 0;
    p->b[d] = there && b ? b->stride[k] : 0;
    p->y[d] = there ? y->stride[k] : 0;
    p->count *= p->dim[d];
  }
}

void product_fold(product *p) {
  for (int d = PRODUCT_DIMS - 1; d >= 0; d--) {
    if (p->dim[d] == 1) continue;
    if (p->b[d] != 0 || p->a[d] != p->m * p->a_m || p->y[d] != p->m * p->y_m) return;
    p->m *= p->dim[d];
    p->count /= p->dim[d] ? p->dim[d] : 1;
    p->dim[d] = 1;
  }
}

void product_split(product *p, const ocl_caps *caps, int64_t rows, int64_t least,
                   size_t groups[3]) {
  const int64_t most = 64, tiles = ocl_groups(p->m, rows);
  const int64_t wanted = 8 * (int64_t)caps->units, others = tiles * p->count;
  int64_t block = p->n;
  if (others < wanted) block = p->n / ocl_groups(wanted, others ? others : 1);
  block = block / least * least;
  p->block = block < least ? least : block > most ? most : block;
  groups[0] = (size_t)tiles;
  groups[1] = (size_t)ocl_groups(p->n, p->block);
  groups[2] = (size_t)p->count;
}

uint64_t product_packed(const product *p, int64_t rows) {
  const uint64_t most = UINT64_C(1) << 60;
  uint64_t floats;
  if (__builtin_mul_overflow((uint64_t)p->count, (uint64_t)rows, &floats) ||
      __builtin_mul_overflow(floats, (uint64_t)p->k, &floats) || floats > most)
    floats = most;
  return (floats * sizeof(float) + 255) / 256 * 256;
}

void product_pack(ocl_launch *l, uint32_t want, const ocl_view *x, const panel *p, uint64_t off) {
  const size_t groups[3] = {(size_t)ocl_groups(p->columns, 64), (size_t)ocl_groups(p->rows, 16),
                            (size_t)p->count};
  ocl_begin(l, want);
  ocl_arg_view(l, x);
  ocl_arg_scratch(l, off);
  ocl_arg_struct(l, p, sizeof *p);
  ocl_run(l, 3, groups, (const size_t[3]){1, 1, 1});
}

/* ---- tile.cl ---- */

/* A work-group, and the elements of y each of its items has: rows, columns. */
typedef struct tiling {
  uint32_t x, y, rows, columns;
} tiling;

/* Square groups of at most four teams; for a single row a team side by side. */
static tiling choose(const ocl_caps *caps, bool row) {
  uint32_t side = 16;
  while (side * side > 4 * caps->team || side * side > caps->max_group) side /= 2;
  return row ? (tiling){caps->team, 1, 1, 1} : (tiling){side, side, 4, 4};
}

bool product_has_tiles(const ocl_call *c, product p) {
  product_fold(&p);
  return p.m > 1 || ocl_is_moving(&c->out[0].t);
}

bool product_has_row(const ocl_call *c, product p) {
  product_fold(&p);
  return p.m == 1 || ocl_is_moving(&c->out[0].t);
}

static forge_status want(ocl_plan *plan, const ocl_call *c, bool row) {
  const tiling g = choose(c->caps, row);
  const uint8_t b = c->in[1].t.dtype;
  return ocl_want(plan, "tile", "tile", "-DA=%d -D%s=%d -DGX=%u -DGY=%u -DRM=%u -DRN=%u",
                  c->in[0].t.dtype, ocl_is_float(b) ? "B" : "Q", b, g.x, g.y, g.rows, g.columns);
}

/* What no submit can use is not built: the other one stands in its place. */
forge_status product_want(ocl_plan *plan, const ocl_call *c, const product *p) {
  const forge_status status = want(plan, c, !product_has_tiles(c, *p));
  return status ? status : want(plan, c, product_has_row(c, *p));
}

static void run(ocl_launch *l, const ocl_call *c, const product *p, bool row) {
  const tiling g = choose(c->caps, row);
  const size_t groups[3] = {(size_t)ocl_groups(p->n, g.x * g.columns),
                            (size_t)ocl_groups(p->m, g.y * g.rows), (size_t)p->count};
  ocl_begin(l, row ? PRODUCT_ROW : PRODUCT_TILES);
  ocl_arg_view(l, &c->in[0]);
  ocl_arg_view(l, &c->in[1]);
  ocl_arg_view(l, c->n_in > 2 ? &c->in[2] : &(ocl_view){.there = false});
  ocl_arg_view(l, &c->out[0]);
  ocl_arg_struct(l, p, sizeof *p);
  ocl_run(l, 3, groups, (const size_t[3]){g.x, g.y, 1});
}

void product_run(ocl_launch *l, const ocl_call *c, const product *p) {
  product folded = *p;
  product_fold(&folded);
  const bool warming = ocl_is_warming(l);
  if (warming ? product_has_tiles(c, *p) : folded.m != 1) run(l, c, &folded, false);
  if (warming ? product_has_row(c, *p) : folded.m == 1) run(l, c, &folded, true);
}
