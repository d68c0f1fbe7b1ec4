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

uint64_t product_round(uint64_t bytes) { return (bytes + 255) / 256 * 256; }

void product_pack(ocl_launch *l, uint32_t want, const ocl_view *x, const panel *p, uint64_t off) {
  const size_t groups[3] = {(size_t)ocl_groups(p->columns, 64), (size_t)ocl_groups(p->rows, 16),
                            (size_t)p->count};
  ocl_begin(l, want);
  ocl_arg_view(l, x);
  ocl_arg_scratch(l, off);
  ocl_arg_struct(l, p, sizeof *p);
  ocl_run(l, 3, groups, (const size_t[3]){1, 1, 1});
}
