/* gemm.c -- one tile of a matrix product.
 *
 * The smallest step holds TILE_ROWS x TILE_COLUMNS sums of 16 lanes in registers and runs along k.
 * Around it: chunks of k that keep both panels in the caches (the sums of a tile rest in scratch
 * between chunks, so that their order stays that of k), and panels copied to f32 rows along k where
 * a factor is of another type, lies the other way, or has rows that fall on the same cache sets. */
#include <string.h>

#include "cpu.h"
#include "gemm.h"
#include "lanes.h"
#include "quant.h"

enum { TILE_ROWS = LANES_TILE_ROWS, TILE_COLUMNS = LANES_TILE_COLUMNS };
enum { SUMS = TILE_ROWS * TILE_COLUMNS };
enum { CHUNK = 1024 };

_Static_assert(GEMM_TILE_M % TILE_ROWS == 0 && GEMM_TILE_N % TILE_COLUMNS == 0, "whole steps");
_Static_assert(CHUNK % 256 == 0, "whole blocks");

/* Floats from row to row of a copied panel: whole lines, and one more, which spreads the rows over
 * the cache's sets. */
static int64_t stride_for(int64_t k) {
  const int64_t n = k < CHUNK ? k : CHUNK;
  return (n + LANES - 1) / LANES * LANES + LANES;
}

int64_t gemm_tiles(int64_t m, int64_t n) {
  return ((m + GEMM_TILE_M - 1) / GEMM_TILE_M) * ((n + GEMM_TILE_N - 1) / GEMM_TILE_N);
}

uint64_t gemm_scratch(int64_t k) {
  const uint64_t panels = (uint64_t)((GEMM_TILE_M + GEMM_TILE_N) * stride_for(k)) * sizeof(float);
  /* Eight more: the last sums are added up in eights. */
  return panels + (k > CHUNK ? (GEMM_TILE_M * GEMM_TILE_N + 8) * sizeof(lanes) : 0);
}

static void swap_strides(int64_t *a, int64_t *b) {
  const int64_t t = *a;
  *a = *b;
  *b = t;
}

void gemm_swap(gemm *g) {
  const gemm_side t = g->a;
  g->a = g->b;
  g->b = t;
  swap_strides(&g->m, &g->n);
  swap_strides(&g->y_row, &g->y_col);
  swap_strides(&g->bias_row, &g->bias_col);
}

const uint8_t *gemm_row(const gemm_side *s, int64_t row) {
  return s->data + cpu_row_bytes(s->dtype, (s->index ? s->index[row] : row) * s->row_stride);
}

void gemm_store(const gemm *g, int64_t i, int64_t j, float sum) {
  if (g->bias) {
    float b;
    memcpy(&b, g->bias + 4 * (i * g->bias_row + j * g->bias_col), sizeof b);
    sum += b;
  }
  const int64_t at = (g->y_index ? g->y_index[i] : i) * g->y_row + j * g->y_col;
  if (g->y_dtype == FORGE_F32)
    memcpy(g->y + 4 * at, &sum, sizeof sum);
  else
    cpu_encode(g->y_dtype, &sum, 1, g->y + 2 * at);
}

/* ---- panels ---- */

/* A factor's rows of the tile: |row| points at their part of this chunk of k. */
typedef struct panel {
  const gemm_side *side;
  int64_t first, rows;
  float *copy;    /* scratch */
  int64_t stride; /* of its rows */
  bool direct;    /* the rows are used where they are */
  const float *row[GEMM_TILE_M + LANES];
} panel;

static panel panel_of(const gemm_side *s, int64_t first, int64_t rows, int64_t other, float *copy,
                      int64_t stride) {
  /* Rows a multiple of 1 KiB apart meet in a few cache sets: worth a copy if it is used often. */
  const bool crowded = s->row_stride % 256 == 0 && other >= GEMM_TILE_N;
  return (panel){.side = s,
                 .first = first,
                 .rows = rows,
                 .copy = copy,
                 .stride = stride,
                 .direct = s->dtype == FORGE_F32 && s->k_stride == 1 && !crowded};
}

typedef float four __attribute__((vector_size(16)));

static four load4(const float *p) {
  four v;
  memcpy(&v, p, sizeof v);
  return v;
}

/* out[r][k] = from[k][r], four by four. */
static void transpose4(const float *from, int64_t stride, float *out, int64_t out_stride) {
  const four a = load4(from), b = load4(from + stride);
  const four c = load4(from + 2 * stride), d = load4(from + 3 * stride);
  const four ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const four ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const four cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const four cd1 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  const four y[4] = {
      __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5), __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7),
      __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5), __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7)};
  for (int r = 0; r < 4; r++) memcpy(out + r * out_stride, &y[r], sizeof y[r]);
}

/* Sixteen steps along k at a time: whole lines are written, and those of the next sixteen asked
 * for, since each lies in a page of its own. */
static void transpose(const float *from, int64_t stride, int64_t rows, int64_t n, float *out,
                      int64_t out_stride) {
  int64_t k = 0;
  for (; k + LANES <= n; k += LANES) {
    const float *next = from + (n - k >= 2 * LANES ? k + LANES : k) * stride;
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
      for (int i = 0; i < LANES; i += 4) {
        __builtin_prefetch(next + (r % LANES + i / 4) * stride + r / LANES * LANES);
        transpose4(from + (k + i) * stride + r, stride, out + r * out_stride + k + i, out_stride);
      }
    }
    for (; r < rows; r++)
      for (int i = 0; i < LANES; i++) out[r * out_stride + k + i] = from[(k + i) * stride + r];
  }
  for (; k < n; k++)
    for (int64_t r = 0; r < rows; r++) out[r * out_stride + k] = from[k * stride + r];
}

/* The factor lies the other way: neighbouring rows are neighbours in memory. */
static void copy_crosswise(const panel *p, int64_t k0, int64_t n) {
  const gemm_side *s = p->side;
  const int64_t size = cpu_type_bytes(s->dtype);
  const uint8_t *from = s->data + (p->first + k0 * s->k_stride) * size;
  if (s->dtype == FORGE_F32) {
    transpose((const float *)(const void *)from, s->k_stride, p->rows, n, p->copy, p->stride);
    return;
  }
  float line[LANES][GEMM_TILE_M];
  for (int64_t k = 0; k < n; k += LANES) {
    const int64_t few = n - k < LANES ? n - k : LANES;
    for (int64_t i = 0; i < few; i++)
      cpu_decode(s->dtype, from + (k + i) * s->k_stride * size, 0, p->rows, line[i]);
    transpose(line[0], GEMM_TILE_M, p->rows, few, p->copy + k, p->stride);
  }
}

static void gather_row(const gemm_side *s, const uint8_t *row, int64_t k0, int64_t n, float *out) {
  const int64_t size = cpu_type_bytes(s->dtype);
  for (int64_t k = 0; k < n; k++)
    cpu_decode(s->dtype, row + (k0 + k) * s->k_stride * size, 0, 1, out + k);
}

static void copy_panel(const panel *p, int64_t k0, int64_t n) {
  const gemm_side *s = p->side;
  if (s->row_stride == 1 && s->k_stride != 1 && !s->index) {
    copy_crosswise(p, k0, n);
    return;
  }
  for (int64_t r = 0; r < p->rows; r++) {
    const uint8_t *row = gemm_row(s, p->first + r);
    if (s->k_stride == 1)
      cpu_decode(s->dtype, row, k0, n, p->copy + r * p->stride);
    else
      gather_row(s, row, k0, n, p->copy + r * p->stride);
  }
}

/* Rows behind the last repeat it: computed with, never stored. */
static void aim_panel(panel *p, int64_t k0, int64_t n) {
  if (!p->direct) copy_panel(p, k0, n);
  for (int64_t r = 0; r < p->rows; r++)
    p->row[r] = p->direct ? (const float *)(const void *)gemm_row(p->side, p->first + r) + k0
                          : p->copy + r * p->stride;
  for (int64_t r = p->rows; r < p->rows + LANES; r++) p->row[r] = p->row[p->rows - 1];
}

/* ---- the smallest step ---- */

/* sum[i * TILE_COLUMNS + j] += over k of a[i][k] * b[j][k], for the lanes of part |part|; |fresh|:
 * from zero. An instruction set with few registers goes twice along k, with half the lanes each
 * time, and holds a larger tile. */
static inline __attribute__((always_inline)) void step_part(const float *const *a,
                                                            const float *const *b, int64_t n,
                                                            bool fresh, int part, lanes *sum) {
  lanes_part s[TILE_ROWS][TILE_COLUMNS], x[TILE_ROWS], y;
#pragma GCC unroll 8
  for (int i = 0; i < TILE_ROWS; i++)
#pragma GCC unroll 8
    for (int j = 0; j < TILE_COLUMNS; j++)
      s[i][j] = lanes_part_of(fresh ? lanes_zero() : sum[i * TILE_COLUMNS + j], part);
  int64_t k = 0;
  for (; k + LANES <= n; k += LANES) {
#pragma GCC unroll 8
    for (int i = 0; i < TILE_ROWS; i++) x[i] = lanes_part_load(a[i] + k, part);
#pragma GCC unroll 8
    for (int j = 0; j < TILE_COLUMNS; j++) {
      y = lanes_part_load(b[j] + k, part);
#pragma GCC unroll 8
      for (int i = 0; i < TILE_ROWS; i++) s[i][j] = lanes_part_fma(x[i], y, s[i][j]);
    }
  }
  if (k < n) {
#pragma GCC unroll 8
    for (int i = 0; i < TILE_ROWS; i++) x[i] = lanes_part_of(lanes_load_n(a[i] + k, n - k), part);
#pragma GCC unroll 8
    for (int j = 0; j < TILE_COLUMNS; j++) {
      y = lanes_part_of(lanes_load_n(b[j] + k, n - k), part);
#pragma GCC unroll 8
      for (int i = 0; i < TILE_ROWS; i++) s[i][j] = lanes_part_fma(x[i], y, s[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < TILE_ROWS; i++)
#pragma GCC unroll 8
    for (int j = 0; j < TILE_COLUMNS; j++)
      lanes_part_put(&sum[i * TILE_COLUMNS + j], s[i][j], part);
}

static __attribute__((noinline)) void step_first(const float *const *a, const float *const *b,
                                                 int64_t n, lanes *sum) {
  step_part(a, b, n, true, 0, sum);
  if (LANES_PARTS > 1) step_part(a, b, n, true, 1, sum);
}
static __attribute__((noinline)) void step_next(const float *const *a, const float *const *b,
                                                int64_t n, lanes *sum) {
  step_part(a, b, n, false, 0, sum);
  if (LANES_PARTS > 1) step_part(a, b, n, false, 1, sum);
}

static void finish(const gemm *g, int64_t i0, int64_t j0, const lanes *sum) {
  float total[(SUMS + 7) / 8 * 8];
  for (int s = 0; s < SUMS; s += 8) lanes_sum8(sum + s, total + s);
  const int64_t rows = g->m - i0 < TILE_ROWS ? g->m - i0 : TILE_ROWS;
  const int64_t columns = g->n - j0 < TILE_COLUMNS ? g->n - j0 : TILE_COLUMNS;
  if (g->y_dtype == FORGE_F32 && g->y_col == 1 && !g->bias && !g->y_index &&
      columns == TILE_COLUMNS) {
    for (int64_t i = 0; i < rows; i++)
      memcpy(g->y + 4 * ((i0 + i) * g->y_row + j0), total + i * TILE_COLUMNS,
             TILE_COLUMNS * sizeof *total);
    return;
  }
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j++)
      gemm_store(g, i0 + i, j0 + j, total[i * TILE_COLUMNS + j]);
}

/* One chunk of k through the tile. With one chunk alone the sums never leave the step's own. */
static void sweep(const gemm *g, const panel *a, const panel *b, int64_t n, bool first, bool last,
                  lanes *sums) {
  lanes own[(SUMS + 7) / 8 * 8] = {0};
  for (int64_t j = 0; j < b->rows; j += TILE_COLUMNS)
    for (int64_t i = 0; i < a->rows; i += TILE_ROWS) {
      lanes *sum = first && last ? own : sums;
      if (first)
        step_first(a->row + i, b->row + j, n, sum);
      else
        step_next(a->row + i, b->row + j, n, sum);
      if (last) finish(g, a->first + i, b->first + j, sum);
      sums += first && last ? 0 : SUMS;
    }
}

void gemm_run_tiles(const gemm *g, int64_t begin, int64_t end, void *scratch) {
  const int64_t across = (g->n + GEMM_TILE_N - 1) / GEMM_TILE_N, stride = stride_for(g->k);
  float *copies = scratch;
  lanes *sums = (lanes *)(void *)(copies + (GEMM_TILE_M + GEMM_TILE_N) * stride);
  panel a = {.rows = 0};
  for (int64_t tile = begin; tile < end; tile++) {
    const int64_t i0 = tile / across * GEMM_TILE_M, j0 = tile % across * GEMM_TILE_N;
    const int64_t rows = g->m - i0 < GEMM_TILE_M ? g->m - i0 : GEMM_TILE_M;
    const int64_t columns = g->n - j0 < GEMM_TILE_N ? g->n - j0 : GEMM_TILE_N;
    /* Neighbours share rows of a: one chunk of k is copied once. */
    const bool aimed = g->k <= CHUNK && a.rows && a.first == i0;
    panel b = panel_of(&g->b, j0, columns, rows, copies + GEMM_TILE_M * stride, stride);
    if (!aimed) a = panel_of(&g->a, i0, rows, g->n, copies, stride);
    for (int64_t k = 0; k == 0 || k < g->k; k += CHUNK) {
      const int64_t n = g->k - k < CHUNK ? g->k - k : CHUNK;
      if (!aimed) aim_panel(&a, k, n);
      aim_panel(&b, k, n);
      sweep(g, &a, &b, n, k == 0, k + CHUNK >= g->k, sums);
    }
  }
}
