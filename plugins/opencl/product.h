/* product.h -- matrix products as the kernels of matmul.cl, pack.cl and quant.cl take them. */
#ifndef FORGE_OPENCL_PRODUCT_H
#define FORGE_OPENCL_PRODUCT_H

#include "opencl.h"

enum { PRODUCT_DIMS = 4 };

/* struct product of the kernels. */
typedef struct product {
  int64_t m, n, k, block;
  int64_t a_m, a_k, b_n, b_k, y_m, y_n, bias_n; /* bias_n < 0: none */
  int64_t count, dim[PRODUCT_DIMS], a[PRODUCT_DIMS], b[PRODUCT_DIMS], y[PRODUCT_DIMS];
  int64_t y_type;
} product;

/* struct panel of pack.cl. */
typedef struct panel {
  int64_t rows, columns, row, column;
  int64_t count, dim[PRODUCT_DIMS], x[PRODUCT_DIMS];
} panel;

/* Rows of a tile where there are many. */
enum { PRODUCT_DOT_ROWS = 4, PRODUCT_OUTER_ROWS = 8 };

/* y [.., M, N]: the dims before the last |last| of |y| are what a product is repeated over. */
void product_batch(product *p, const forge_tensor *a, const forge_tensor *b, const forge_tensor *y,
                   uint32_t last);
/* Repetitions of one b whose rows go on evenly become rows of one product. */
void product_fold(product *p);
/* Columns of a work-item and work-groups for tiles of |rows| rows; |least| divides the columns. */
void product_split(product *p, const ocl_caps *caps, int64_t rows, int64_t least, size_t groups[3]);
/* Bytes of scratch for |rows| rows along K of each of the products, as f32; more than any device
 * has where that cannot be counted. */
uint64_t product_packed(const product *p, int64_t rows);

/* ---- tile.cl, for devices whose teams are more than one ---- */

/* Wanted kernels: tiles, and one row at a time. */
enum { PRODUCT_TILES, PRODUCT_ROW };

/* Whether a submit can have more than one row, or just one. */
bool product_has_tiles(const ocl_call *c, product p);
bool product_has_row(const ocl_call *c, product p);
/* Asks for the kernels for inputs 0 and 1 of |c|, whose product at its maximal extents is |p|. */
forge_status product_want(ocl_plan *plan, const ocl_call *c, const product *p);
/* Runs it: inputs 0 and 1, the optional bias of input 2. */
void product_run(ocl_launch *l, const ocl_call *c, const product *p);

/* ---- packing ---- */

/* Packs operand |x| (|tall| [rows, columns] at the strides of |p|) to scratch + |off|. */
void product_pack(ocl_launch *l, uint32_t want, const ocl_view *x, const panel *p, uint64_t off);

#endif
