/* gemv.c -- products with few rows: b is streamed once, some of its rows at a time, and each
 * element made f32 in a register. The rows that follow are fetched meanwhile: one row is often less
 * than a page, too short for the machine to see where it goes. */
#include <string.h>

#include "cpu.h"
#include "gemm.h"
#include "lanes.h"
#include "quant.h"
#include "quant_block.h"

enum { GROUP = 4 };
/* Rows of b taken together for 1, 2, 3 and 4 rows of a: as many sums as registers hold. */
static const int group_of[GEMV_MOST + 1] = {0, LANES_GEMV_1, LANES_GEMV_2, LANES_GEMV_3,
                                            LANES_GEMV_4};

bool gemv_fits(const gemm *g) {
  return g->m <= GEMV_MOST && g->b.k_stride == 1 && g->a.k_stride == 1 && g->a.dtype == FORGE_F32;
}

/* s[i] += over a block's k of a[i][k] * b[k]. */
static inline __attribute__((always_inline)) void add_block(int rows, uint8_t dtype,
                                                            const float *const *a, int64_t k,
                                                            const uint8_t *block, lanes *s) {
  quant_scales scales;
  quant_open(dtype, block, &scales);
#pragma GCC unroll 16
  for (int t = 0; t < quant_elems(dtype) / LANES; t++) {
    const lanes y = quant_piece(dtype, block, t, &scales);
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) s[i] = lanes_fma(lanes_load(a[i] + k + LANES * t), y, s[i]);
  }
}

/* sum[j][i] += over k of a[i][k] * b[j][k], for whole blocks up to |n|, b's |ahead| bytes further
 * on being asked for. */
static inline __attribute__((always_inline)) void stream(int rows, int group, uint8_t dtype,
                                                         const float *const *a,
                                                         const uint8_t *const *b, int64_t n,
                                                         int64_t ahead,
                                                         lanes sum[GROUP][GEMV_MOST]) {
  lanes s[GROUP][GEMV_MOST];
#pragma GCC unroll 4
  for (int j = 0; j < group; j++)
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) s[j][i] = sum[j][i];
  int64_t at = 0;
  for (int64_t k = 0; k + quant_elems(dtype) <= n; k += quant_elems(dtype)) {
#pragma GCC unroll 4
    for (int j = 0; j < group; j++) {
      __builtin_prefetch(b[j] + at + ahead, 0, 2);
      add_block(rows, dtype, a, k, b[j] + at, s[j]);
    }
    at += quant_bytes(dtype);
  }
#pragma GCC unroll 4
  for (int j = 0; j < group; j++)
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) sum[j][i] = s[j][i];
}

/* The same for large blocks: their rows' sums rest in memory between them. */
static inline __attribute__((always_inline)) void stream_large(int rows, int group, uint8_t dtype,
                                                               const float *const *a,
                                                               const uint8_t *const *b, int64_t n,
                                                               int64_t ahead,
                                                               lanes sum[GROUP][GEMV_MOST]) {
  int64_t at = 0;
  for (int64_t k = 0; k < n; k += quant_elems(dtype)) {
    for (int j = 0; j < group; j++) {
      lanes s[GEMV_MOST];
      for (int c = 0; c < quant_bytes(dtype); c += 64) __builtin_prefetch(b[j] + at + ahead + c);
#pragma GCC unroll 4
      for (int i = 0; i < rows; i++) s[i] = sum[j][i];
      add_block(rows, dtype, a, k, b[j] + at, s);
#pragma GCC unroll 4
      for (int i = 0; i < rows; i++) sum[j][i] = s[i];
    }
    at += quant_bytes(dtype);
  }
}

#define STREAM(type, kind, rows, group)                                                            \
  static __attribute__((noinline)) void stream_##type##_##rows(                                    \
      const float *const *a, const uint8_t *const *b, int64_t n, int64_t ahead,                    \
      lanes sum[GROUP][GEMV_MOST]) {                                                               \
    kind(rows, group, FORGE_##type, a, b, n, ahead, sum);                                          \
  }
#define STREAMS(type, kind)                                                                        \
  STREAM(type, kind, 1, LANES_GEMV_1)                                                              \
  STREAM(type, kind, 2, LANES_GEMV_2)                                                              \
  STREAM(type, kind, 3, LANES_GEMV_3)                                                              \
  STREAM(type, kind, 4, LANES_GEMV_4)
STREAMS(F32, stream)
STREAMS(F16, stream)
STREAMS(BF16, stream)
STREAMS(Q8_0, stream)
STREAMS(Q4_0, stream)
STREAMS(Q4_K, stream_large)
STREAMS(Q6_K, stream_large)

typedef void (*stream_fn)(const float *const *, const uint8_t *const *, int64_t, int64_t,
                          lanes[GROUP][GEMV_MOST]);
#define ROW(type)                                                                                  \
  [FORGE_##                                                                                        \
      type] = {NULL, stream_##type##_1, stream_##type##_2, stream_##type##_3, stream_##type##_4}
static const stream_fn streams[][GEMV_MOST + 1] = {ROW(F32),  ROW(F16),  ROW(BF16), ROW(Q8_0),
                                                   ROW(Q4_0), ROW(Q4_K), ROW(Q6_K)};

/* The last elements of a plain type, fewer than 16, with zeros behind them. */
static void stream_tail(const gemm *g, int group, const float *const *a, const uint8_t *const *b,
                        int64_t k, lanes sum[GROUP][GEMV_MOST]) {
  float x[GEMV_MOST][LANES] = {{0}}, y[GROUP][LANES] = {{0}};
  const float *from[GEMV_MOST];
  const uint8_t *to[GROUP];
  for (int i = 0; i < g->m; i++) from[i] = x[i];
  for (int i = 0; i < g->m; i++) memcpy(x[i], a[i] + k, (size_t)(g->k - k) * sizeof(float));
  for (int j = 0; j < GROUP; j++) to[j] = (const uint8_t *)y[j];
  for (int j = 0; j < group; j++) cpu_decode(g->b.dtype, b[j], k, g->k - k, y[j]);
  streams[FORGE_F32][g->m](from, to, LANES, 0, sum);
}

static void few_columns(const gemm *g, const float *const *a, int64_t j0, int group) {
  lanes sum[GROUP][GEMV_MOST];
  const uint8_t *b[GROUP];
  const int64_t ahead = cpu_row_bytes(g->b.dtype, g->b.row_stride) * group_of[g->m];
  for (int j = 0; j < GROUP; j++) {
    const int64_t last = g->n - 1, row = j0 + j;
    b[j] = gemm_row(&g->b, row < last ? row : last); /* behind the last: computed, not stored */
    for (int i = 0; i < GEMV_MOST; i++) sum[j][i] = lanes_zero();
  }
  streams[g->b.dtype][g->m](a, b, g->k, ahead, sum);
  if (g->k % LANES) stream_tail(g, group, a, b, g->k / LANES * LANES, sum);
  for (int i = 0; i < g->m; i++)
    for (int j = 0; j < group && j0 + j < g->n; j++) gemm_store(g, i, j0 + j, lanes_sum(sum[j][i]));
}

void gemv_run(const gemm *g, int64_t begin, int64_t end) {
  const float *a[GEMV_MOST];
  const int group = group_of[g->m];
  for (int i = 0; i < g->m; i++) a[i] = (const float *)(const void *)gemm_row(&g->a, i);
  for (int64_t j = begin; j < end; j += group)
    few_columns(g, a, j, end - j < group ? (int)(end - j) : group);
}
