/* grouped.c -- GROUPED_MATMUL: y_t = w[ids_t] x_t; with TRANS_A w[ids_t]^T x_t. GROUPED_MATMUL_DW:
 * dw[e] = sum over t with ids_t = e of dy_t x_t^T, in order of t.
 *
 * The rows of each matrix are listed first; a product then takes its rows through that list. */
#include <string.h>

#include "../lanes.h"
#include "../quant.h"
#include "grouped.h"

/* Rows in order of their matrix: those of matrix e are row[start[e]] .. row[start[e + 1] - 1], in
 * rising order. Rows of no matrix are left out. */
typedef struct lists {
  int32_t *start, *row;
} lists;

static uint64_t lists_bytes(int64_t rows, int64_t matrices) {
  return ((uint64_t)(rows + matrices + 2) * sizeof(int32_t) + 63) / 64 * 64;
}

static int32_t id_of(const cpu_view *ids, int64_t t) {
  int32_t id;
  memcpy(&id, ids->data + 4 * t * ids->t.stride[0], sizeof id);
  return id;
}

static lists list_rows(const cpu_view *ids, int64_t matrices, void *scratch) {
  const int64_t rows = ids->t.dim[0];
  lists l = {.start = scratch};
  l.row = l.start + matrices + 2;
  memset(l.start, 0, (size_t)(matrices + 2) * sizeof *l.start);
  for (int64_t t = 0; t < rows; t++) {
    const int32_t e = id_of(ids, t);
    if (e >= 0 && e < matrices) l.start[e + 2]++;
  }
  for (int64_t e = 0; e < matrices; e++) l.start[e + 2] += l.start[e + 1];
  for (int64_t t = 0; t < rows; t++) { /* start[e + 1] runs from e's first to behind its last */
    const int32_t e = id_of(ids, t);
    if (e >= 0 && e < matrices) l.row[l.start[e + 1]++] = (int32_t)t;
  }
  return l;
}

static bool is_weight(uint8_t dtype) {
  return dtype == FORGE_F32 || dtype == FORGE_F16 || dtype == FORGE_BF16;
}

uint8_t cpu_grouped_supports(const forge_tensor *const *in, uint32_t n_in,
                             const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  const forge_attr_matmul *mm = attr;
  (void)n_in;
  (void)n_out;
  if (mm->flags & ~(uint32_t)FORGE_MATMUL_TRANS_A) return FORGE_REASON_ATTRIBUTES;
  const bool block = cpu_is_block(in[1]->dtype) && !mm->flags;
  if (in[0]->dtype != FORGE_F32 || !(is_weight(in[1]->dtype) || block) ||
      in[2]->dtype != FORGE_I32 || out[0]->dtype != FORGE_F32)
    return FORGE_REASON_DTYPE;
  return in[0]->rank != 2 || in[1]->rank != 3 || in[2]->rank != 1 ? FORGE_REASON_SHAPE
                                                                  : FORGE_REASON_NONE;
}

uint64_t cpu_grouped_scratch(const forge_tensor *const *in, uint32_t n_in,
                             const forge_tensor *const *out, uint32_t n_out, const void *attr,
                             uint32_t n_threads) {
  (void)n_in;
  (void)out;
  (void)n_out;
  (void)attr;
  return lists_bytes(in[2]->dim[0], in[1]->dim[0]) + gemm_scratch(in[0]->dim[1]) * n_threads;
}

static void zero_row(const cpu_view *y, int64_t row) {
  const float zero = 0.0f;
  for (int64_t c = 0; c < y->t.dim[1]; c++)
    memcpy(y->data + 4 * (row * y->t.stride[0] + c * y->t.stride[1]), &zero, sizeof zero);
}

forge_status cpu_grouped_run(const cpu_call *call) {
  const forge_attr_matmul *mm = call->attr;
  const cpu_view *x = &call->in[0], *w = &call->in[1], *ids = &call->in[2], *y = &call->out[0];
  const int row = mm->flags & FORGE_MATMUL_TRANS_A ? 2 : 1, k = 3 - row;
  const lists l = list_rows(ids, w->t.dim[0], call->scratch);
  uint8_t *scratch = (uint8_t *)call->scratch + lists_bytes(ids->t.dim[0], w->t.dim[0]);
  const int64_t k_stride = cpu_is_block(w->t.dtype) ? 1 : w->t.stride[k];
  for (int64_t t = 0; t < ids->t.dim[0]; t++) {
    const int32_t e = id_of(ids, t);
    if (e < 0 || e >= w->t.dim[0]) zero_row(y, t);
  }
  for (int64_t e = 0; e < w->t.dim[0]; e++) {
    const uint8_t *matrix = w->data + cpu_row_bytes(w->t.dtype, e * w->t.stride[0]);
    const int32_t *rows = l.row + l.start[e];
    const gemm g = {.a = {x->data, x->t.stride[0], x->t.stride[1], rows, x->t.dtype},
                    .b = {matrix, w->t.stride[row], k_stride, NULL, w->t.dtype},
                    .m = l.start[e + 1] - l.start[e],
                    .n = w->t.dim[row],
                    .k = w->t.dim[k],
                    .y = y->data,
                    .y_row = y->t.stride[0],
                    .y_col = y->t.stride[1],
                    .y_index = rows,
                    .y_dtype = FORGE_F32};
    cpu_product_run(&g, call->threads, scratch);
  }
  return FORGE_OK;
}

/* ---- the gradient of w ---- */

uint8_t cpu_grouped_dw_supports(const forge_tensor *const *in, uint32_t n_in,
                                const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  (void)n_in;
  (void)n_out;
  (void)attr;
  if (in[0]->dtype != FORGE_F32 || in[1]->dtype != FORGE_F32 || in[2]->dtype != FORGE_I32 ||
      out[0]->dtype != FORGE_F32)
    return FORGE_REASON_DTYPE;
  return in[0]->rank != 2 || in[1]->rank != 2 || out[0]->rank != 3 ? FORGE_REASON_SHAPE
                                                                   : FORGE_REASON_NONE;
}

uint64_t cpu_grouped_dw_scratch(const forge_tensor *const *in, uint32_t n_in,
                                const forge_tensor *const *out, uint32_t n_out, const void *attr,
                                uint32_t n_threads) {
  (void)n_in;
  (void)n_out;
  (void)attr;
  (void)n_threads;
  return lists_bytes(in[2]->dim[0], out[0]->dim[0]);
}

enum { DW_ROWS = 4 };

typedef struct outer {
  const cpu_view *x, *dy, *dw;
  lists l;
  int64_t bands; /* of DW_ROWS rows, per matrix */
} outer;

/* |n| (1..16) neighbours of row |r| from column |c|, zeros behind. */
static lanes load_part(const cpu_view *v, int64_t r, int64_t c, int64_t n) {
  const uint8_t *from = v->data + 4 * (r * v->t.stride[0] + c * v->t.stride[1]);
  float part[LANES] = {0};
  if (v->t.stride[1] == 1) return lanes_load_n((const float *)(const void *)from, n);
  for (int64_t i = 0; i < n; i++) memcpy(&part[i], from + 4 * i * v->t.stride[1], sizeof *part);
  return lanes_load(part);
}

static void store_part(uint8_t *to, int64_t stride, lanes value, int64_t n) {
  float part[LANES];
  lanes_store(part, value);
  for (int64_t i = 0; i < n; i++) memcpy(to + 4 * i * stride, &part[i], sizeof *part);
}

/* DW_ROWS rows of dw[e] from |n0|, sixteen columns from |c0| on: one fused step per t, in order. */
static void add_rows(const outer *o, int64_t e, int64_t n0, int64_t rows, int64_t c0, int64_t n) {
  lanes sum[DW_ROWS];
  for (int i = 0; i < DW_ROWS; i++) sum[i] = lanes_zero();
  for (int32_t at = o->l.start[e]; at < o->l.start[e + 1]; at++) {
    const int64_t t = o->l.row[at];
    const lanes x = load_part(o->x, t, c0, n);
    for (int i = 0; i < DW_ROWS; i++) {
      const int64_t row = n0 + (i < rows ? i : rows - 1);
      float d;
      memcpy(&d, o->dy->data + 4 * (t * o->dy->t.stride[0] + row * o->dy->t.stride[1]), sizeof d);
      sum[i] = lanes_fma(lanes_set1(d), x, sum[i]);
    }
  }
  const int64_t *s = o->dw->t.stride;
  for (int i = 0; i < rows; i++)
    store_part(o->dw->data + 4 * (e * s[0] + (n0 + i) * s[1] + c0 * s[2]), s[2], sum[i], n);
}

static void run_bands(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  const outer *o = ctx;
  const int64_t n = o->dw->t.dim[1], k = o->dw->t.dim[2];
  (void)thread;
  for (int64_t b = begin; b < end; b++) {
    const int64_t n0 = b % o->bands * DW_ROWS, rows = n - n0 < DW_ROWS ? n - n0 : DW_ROWS;
    for (int64_t c = 0; c < k; c += LANES)
      add_rows(o, b / o->bands, n0, rows, c, k - c < LANES ? k - c : LANES);
  }
}

forge_status cpu_grouped_dw_run(const cpu_call *call) {
  const cpu_view *dw = &call->out[0];
  const outer o = {.x = &call->in[0],
                   .dy = &call->in[1],
                   .dw = dw,
                   .l = list_rows(&call->in[2], dw->t.dim[0], call->scratch),
                   .bands = (dw->t.dim[1] + DW_ROWS - 1) / DW_ROWS};
  cpu_parallel(call->threads, dw->t.dim[0] * o.bands, 1, run_bands, (void *)&o);
  return FORGE_OK;
}
