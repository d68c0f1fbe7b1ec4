/* gemv.c -- products with few rows: b is streamed once, some of its rows at a time, each element
 * made f32 in a register; block types that take more work are decoded a chunk at a time into a
 * buffer that stays in the first cache. */
#include <string.h>

#include "cpu.h"
#include "gemm.h"
#include "lanes.h"
#include "quant.h"

enum { GROUP = 4, CHUNK = 256 };
/* Rows of b taken together for 1, 2, 3 and 4 rows of a: as many sums as registers hold. */
static const int group_of[GEMV_MOST + 1] = {0, LANES_GEMV_1, LANES_GEMV_2, LANES_GEMV_3,
                                            LANES_GEMV_4};

bool gemv_fits(const gemm *g) {
  return g->m <= GEMV_MOST && g->b.k_stride == 1 && g->a.k_stride == 1 && g->a.dtype == FORGE_F32;
}

/* Sixteen elements from number |k| (a multiple of 16) of a row. */
static inline __attribute__((always_inline)) lanes load(uint8_t dtype, const uint8_t *row,
                                                        int64_t k) {
  switch (dtype) {
  case FORGE_F16: return lanes_load_f16((const uint16_t *)(const void *)row + k);
  case FORGE_BF16: return lanes_load_bf16((const uint16_t *)(const void *)row + k);
  case FORGE_Q8_0: {
    const uint8_t *block = row + k / 32 * 34;
    uint16_t scale;
    memcpy(&scale, block, sizeof scale);
    const lanes q = lanes_load_i8((const int8_t *)block + 2 + (k & 16));
    return lanes_mul(lanes_set1(lanes_widen_f16(scale)), q);
  }
  default: return lanes_load((const float *)(const void *)row + k);
  }
}

/* sum[i][j] += over k of a[i][k] * b[j][k], for whole sixteens up to |n|. */
static inline __attribute__((always_inline)) void stream(int rows, int group, uint8_t dtype,
                                                         const float *const *a,
                                                         const uint8_t *const *b, int64_t n,
                                                         lanes sum[GEMV_MOST][GROUP]) {
  lanes s[GEMV_MOST][GROUP];
#pragma GCC unroll 4
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int j = 0; j < group; j++) s[i][j] = sum[i][j];
  for (int64_t k = 0; k + LANES <= n; k += LANES) {
#pragma GCC unroll 4
    for (int j = 0; j < group; j++) {
      const lanes y = load(dtype, b[j], k);
#pragma GCC unroll 4
      for (int i = 0; i < rows; i++) s[i][j] = lanes_fma(lanes_load(a[i] + k), y, s[i][j]);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int j = 0; j < group; j++) sum[i][j] = s[i][j];
}

#define STREAM(type, rows, group)                                                                  \
  static __attribute__((noinline)) void stream_##type##_##rows(                                    \
      const float *const *a, const uint8_t *const *b, int64_t n, lanes sum[GEMV_MOST][GROUP]) {    \
    stream(rows, group, FORGE_##type, a, b, n, sum);                                               \
  }
#define STREAMS(type)                                                                              \
  STREAM(type, 1, LANES_GEMV_1)                                                                    \
  STREAM(type, 2, LANES_GEMV_2)                                                                    \
  STREAM(type, 3, LANES_GEMV_3)                                                                    \
  STREAM(type, 4, LANES_GEMV_4)
STREAMS(F32)
STREAMS(F16)
STREAMS(BF16)
STREAMS(Q8_0)

typedef void (*stream_fn)(const float *const *, const uint8_t *const *, int64_t,
                          lanes[GEMV_MOST][GROUP]);
#define ROW(type)                                                                                  \
  [FORGE_##                                                                                        \
      type] = {NULL, stream_##type##_1, stream_##type##_2, stream_##type##_3, stream_##type##_4}
static const stream_fn streams[][GEMV_MOST + 1] = {ROW(F32), ROW(F16), ROW(BF16), ROW(Q8_0)};

/* Runs |fn| over the last elements, fewer than 16, with zeros behind them. */
static void stream_tail(const gemm *g, int group, const float *const *a, const uint8_t *const *b,
                        int64_t k, lanes sum[GEMV_MOST][GROUP]) {
  float x[GEMV_MOST][LANES] = {{0}}, y[GROUP][LANES] = {{0}};
  const float *from[GEMV_MOST];
  const uint8_t *to[GROUP];
  for (int i = 0; i < g->m; i++) from[i] = x[i];
  for (int i = 0; i < g->m; i++) memcpy(x[i], a[i] + k, (size_t)(g->k - k) * sizeof(float));
  for (int j = 0; j < GROUP; j++) to[j] = (const uint8_t *)y[j];
  for (int j = 0; j < group; j++) cpu_decode(g->b.dtype, b[j], k, g->k - k, y[j]);
  streams[FORGE_F32][g->m](from, to, LANES, sum);
}

/* A type without a stream of its own, chunk by chunk. */
static void stream_decoded(const gemm *g, int group, const float *const *a, const uint8_t *const *b,
                           lanes sum[GEMV_MOST][GROUP]) {
  float y[GROUP][CHUNK];
  const float *from[GEMV_MOST];
  const uint8_t *to[GROUP];
  for (int j = 0; j < GROUP; j++) to[j] = (const uint8_t *)y[j];
  for (int64_t k = 0; k < g->k; k += CHUNK) {
    const int64_t n = g->k - k < CHUNK ? g->k - k : CHUNK;
    for (int i = 0; i < g->m; i++) from[i] = a[i] + k;
    for (int j = 0; j < group; j++) cpu_decode(g->b.dtype, b[j], k, n, y[j]);
    streams[FORGE_F32][g->m](from, to, n, sum);
  }
}

static void few_columns(const gemm *g, const float *const *a, int64_t j0, int group) {
  lanes sum[GEMV_MOST][GROUP];
  const uint8_t *b[GROUP];
  const bool own = g->b.dtype < sizeof streams / sizeof *streams && streams[g->b.dtype][1];
  for (int i = 0; i < GEMV_MOST; i++)
    for (int j = 0; j < GROUP; j++) sum[i][j] = lanes_zero();
  for (int j = 0; j < GROUP; j++) {
    const int64_t last = g->n - 1, row = j0 + j;
    b[j] = gemm_row(&g->b, row < last ? row : last); /* behind the last: computed, not stored */
  }
  if (own) {
    streams[g->b.dtype][g->m](a, b, g->k, sum);
    if (g->k % LANES) stream_tail(g, group, a, b, g->k / LANES * LANES, sum);
  } else {
    stream_decoded(g, group, a, b, sum);
  }
  for (int i = 0; i < g->m; i++)
    for (int j = 0; j < group && j0 + j < g->n; j++) gemm_store(g, i, j0 + j, lanes_sum(sum[i][j]));
}

void gemv_run(const gemm *g, int64_t begin, int64_t end) {
  const float *a[GEMV_MOST];
  const int group = group_of[g->m];
  for (int i = 0; i < g->m; i++) a[i] = (const float *)(const void *)gemm_row(&g->a, i);
  for (int64_t j = begin; j < end; j += group)
    few_columns(g, a, j, end - j < group ? (int)(end - j) : group);
}
