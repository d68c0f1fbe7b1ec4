/* gemm.h -- products y[i, j] = sum over k of a[i, k] * b[j, k], in pieces that threads can share.
 *
 * Every element of y is cpu_dot() (lanes.h) of its two rows converted to f32, to the bit: whatever
 * the tile, the path, the variant. Nothing here allocates or starts threads. */
#ifndef FORGE_CPU_GEMM_H
#define FORGE_CPU_GEMM_H

#include <stdbool.h>
#include <stdint.h>

/* One factor: element (row, k) is element row * row_stride + k * k_stride behind data. Block types
 * have k_stride 1 and a row_stride in whole blocks. */
typedef struct gemm_side {
  const uint8_t *data;
  int64_t row_stride, k_stride;
  const int32_t *index; /* row number r stands for row index[r]; NULL: for itself */
  uint8_t dtype;
} gemm_side;

typedef struct gemm {
  gemm_side a, b;
  int64_t m, n, k;
  uint8_t *y; /* F32, F16 or BF16 */
  int64_t y_row, y_col;
  const int32_t *y_index; /* as gemm_side.index, for rows of y */
  const uint8_t *bias;    /* f32, added last; NULL: none */
  int64_t bias_row, bias_col;
  uint8_t y_dtype;
} gemm;

/* Extents of the tile one call computes. */
enum { GEMM_TILE_M = 96, GEMM_TILE_N = 48 };
int64_t gemm_tiles(int64_t m, int64_t n);
/* Bytes one thread needs for tiles of a product over |k|. */
uint64_t gemm_scratch(int64_t k);
/* Tiles begin..end-1 of |g|; |scratch| is the thread's own, 64-byte aligned. */
void gemm_run_tiles(const gemm *g, int64_t begin, int64_t end, void *scratch);

/* Exchanges the factors: y transposed, same bits. Not with an index. */
void gemm_swap(gemm *g);

/* The way for few rows of a (GEMV_MOST at most): b is read once, row by row, and decoded in
 * registers. */
enum { GEMV_MOST = 4 };
/* a: f32 along k, no index; b: along k. */
bool gemv_fits(const gemm *g);
/* Columns begin..end-1 of y. */
void gemv_run(const gemm *g, int64_t begin, int64_t end);

/* Shared by both (gemm.c). */
const uint8_t *gemm_row(const gemm_side *s, int64_t row);
void gemm_store(const gemm *g, int64_t i, int64_t j, float sum);

#endif
