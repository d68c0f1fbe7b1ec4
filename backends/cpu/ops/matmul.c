/* matmul.c -- MATMUL and QMATMUL: y = op(a) op(b) + bias over a batch, by gemm.h. */
#include <string.h>

#include "../cpu.h"
#include "../gemm.h"
#include "../quant.h"
#include "grouped.h"

/* Multiply-adds that are worth a thread's attention. */
enum { WORTH = 1 << 17 };

static bool is_float(uint8_t dtype) {
  return dtype == FORGE_F32 || dtype == FORGE_F16 || dtype == FORGE_BF16;
}

static uint8_t matmul_supports(const forge_tensor *const *in, uint32_t n_in,
                               const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  const forge_attr_matmul *mm = attr;
  const forge_tensor *bias = n_in > 2 ? in[2] : NULL;
  (void)n_out;
  if (!is_float(in[0]->dtype) || !is_float(in[1]->dtype) || !is_float(out[0]->dtype) ||
      (bias && bias->dtype != FORGE_F32))
    return FORGE_REASON_DTYPE;
  if (mm->flags & ~(uint32_t)(FORGE_MATMUL_TRANS_A | FORGE_MATMUL_TRANS_B))
    return FORGE_REASON_ATTRIBUTES;
  return in[0]->rank < 2 ? FORGE_REASON_SHAPE : FORGE_REASON_NONE;
}

static uint8_t qmatmul_supports(const forge_tensor *const *in, uint32_t n_in,
                                const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  const forge_tensor *bias = n_in > 2 ? in[2] : NULL;
  (void)n_out;
  (void)attr;
  if (in[0]->dtype != FORGE_F32 || !(cpu_is_block(in[1]->dtype) || is_float(in[1]->dtype)) ||
      out[0]->dtype != FORGE_F32 || (bias && bias->dtype != FORGE_F32))
    return FORGE_REASON_DTYPE;
  return in[0]->rank < 1 || in[1]->rank != 2 ? FORGE_REASON_SHAPE : FORGE_REASON_NONE;
}

static uint64_t matmul_scratch(const forge_tensor *const *in, uint32_t n_in,
                               const forge_tensor *const *out, uint32_t n_out, const void *attr,
                               uint32_t n_threads) {
  const forge_attr_matmul *mm = attr;
  const forge_tensor *a = in[0];
  (void)n_in;
  (void)out;
  (void)n_out;
  return gemm_scratch(a->dim[a->rank - (mm->flags & FORGE_MATMUL_TRANS_A ? 2 : 1)]) * n_threads;
}

static uint64_t qmatmul_scratch(const forge_tensor *const *in, uint32_t n_in,
                                const forge_tensor *const *out, uint32_t n_out, const void *attr,
                                uint32_t n_threads) {
  (void)n_in;
  (void)out;
  (void)n_out;
  (void)attr;
  return gemm_scratch(in[1]->dim[1]) * n_threads;
}

/* A product and the dimensions it is repeated over. */
typedef struct batch {
  gemm one;
  int rank; /* of what is repeated */
  int64_t dim[FORGE_MAX_RANK], a[FORGE_MAX_RANK], b[FORGE_MAX_RANK], y[FORGE_MAX_RANK];
  int64_t count, pieces; /* products; pieces of each */
  int64_t columns;       /* per piece, of the way for few rows; 0: tiles */
  uint8_t *scratch;
  uint64_t scratch_bytes; /* of each thread */
} batch;

/* A dimension that repeats b and goes on evenly in a and y is more rows. */
static void fold_rows(batch *t) {
  gemm *g = &t->one;
  while (t->rank > 0) {
    const int d = t->rank - 1;
    if (t->dim[d] != 1) {
      const bool even = t->b[d] == 0 && t->a[d] == g->m * g->a.row_stride &&
                        t->y[d] == g->m * g->y_row && !g->bias_row;
      if (!even) return;
      g->m *= t->dim[d];
    }
    t->rank--;
  }
}

/* The factors change places, and with them their steps from product to product. */
static void swap(batch *t) {
  gemm_swap(&t->one);
  for (int d = 0; d < t->rank; d++) {
    const int64_t a = t->a[d];
    t->a[d] = t->b[d];
    t->b[d] = a;
  }
}

static gemm product(const batch *t, int64_t number) {
  gemm g = t->one;
  int64_t a = 0, b = 0, y = 0;
  for (int d = t->rank - 1; d >= 0; d--) {
    const int64_t i = number % t->dim[d];
    number /= t->dim[d];
    a += i * t->a[d];
    b += i * t->b[d];
    y += i * t->y[d];
  }
  g.a.data += cpu_row_bytes(g.a.dtype, a);
  g.b.data += cpu_row_bytes(g.b.dtype, b);
  g.y += y * cpu_type_bytes(g.y_dtype);
  return g;
}

static void run_pieces(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  const batch *t = ctx;
  for (int64_t p = begin, next; p < end; p = next) {
    const gemm g = product(t, p / t->pieces);
    const int64_t piece = p % t->pieces, left = end - p, rest = t->pieces - piece;
    const int64_t count = left < rest ? left : rest, j = piece * t->columns;
    const int64_t width = count * t->columns;
    next = p + count;
    if (t->columns)
      gemv_run(&g, j, g.n - j < width ? g.n : j + width);
    else
      gemm_run_tiles(&g, piece, piece + count, t->scratch + thread * t->scratch_bytes);
  }
}

/* Small pieces are grouped, so that a thread that joins finds work enough. */
static void run_batch(batch *t, cpu_threads *threads, void *scratch) {
  gemm *g = &t->one;
  t->count = 1;
  fold_rows(t);
  for (int d = 0; d < t->rank; d++) t->count *= t->dim[d];
  if (t->count == 0 || g->m == 0 || g->n == 0) return;
  if (g->n <= GEMV_MOST && g->m > GEMV_MOST && g->b.dtype == FORGE_F32 && !g->y_index) swap(t);
  const int64_t k = g->k > 0 ? g->k : 1;
  if (gemv_fits(g)) {
    t->columns = WORTH / (k * (g->m ? g->m : 1)) / 8 * 8 + 8;
    t->pieces = (g->n + t->columns - 1) / t->columns;
  } else {
    t->pieces = gemm_tiles(g->m, g->n);
  }
  t->scratch = scratch;
  t->scratch_bytes = gemm_scratch(g->k);
  const int64_t rows = g->m < GEMM_TILE_M ? g->m : GEMM_TILE_M;
  const int64_t columns = g->n < GEMM_TILE_N ? g->n : GEMM_TILE_N;
  const int64_t work = t->columns ? WORTH : rows * columns * k;
  const int64_t grain = t->columns && t->pieces > 1 ? 1 : WORTH / (work ? work : 1) + 1;
  cpu_parallel(threads, t->count * t->pieces, grain, run_pieces, t);
}

void cpu_product_run(const gemm *g, cpu_threads *threads, void *scratch) {
  batch t = {.one = *g};
  run_batch(&t, threads, scratch);
}

static void set_bias(gemm *g, const cpu_call *call) {
  const cpu_view *bias = call->n_in > 2 ? &call->in[2] : NULL;
  if (!bias || !bias->data) return;
  g->bias = bias->data;
  g->bias_col = bias->t.stride[0];
}

static forge_status run_matmul(const cpu_call *call) {
  const forge_attr_matmul *mm = call->attr;
  const forge_tensor *a = &call->in[0].t, *b = &call->in[1].t, *y = &call->out[0].t;
  const int row = y->rank - 2, column = y->rank - 1;
  const int a_row = mm->flags & FORGE_MATMUL_TRANS_A ? column : row, a_k = row + column - a_row;
  const int b_row = mm->flags & FORGE_MATMUL_TRANS_B ? row : column, b_k = row + column - b_row;
  batch t = {.one = {.a = {call->in[0].data, a->stride[a_row], a->stride[a_k], NULL, a->dtype},
                     .b = {call->in[1].data, b->stride[b_row], b->stride[b_k], NULL, b->dtype},
                     .m = y->dim[row],
                     .n = y->dim[column],
                     .k = a->dim[a_k],
                     .y = call->out[0].data,
                     .y_row = y->stride[row],
                     .y_col = y->stride[column],
                     .y_dtype = y->dtype},
             .rank = row};
  for (int d = 0; d < row; d++) {
    t.dim[d] = y->dim[d];
    t.a[d] = a->stride[d];
    t.b[d] = b->stride[d];
    t.y[d] = y->stride[d];
  }
  set_bias(&t.one, call);
  run_batch(&t, call->threads, call->scratch);
  return FORGE_OK;
}

static forge_status run_qmatmul(const cpu_call *call) {
  const forge_tensor *x = &call->in[0].t, *w = &call->in[1].t, *y = &call->out[0].t;
  const int last = x->rank - 1, row = last - 1;
  batch t = {.one = {.a = {call->in[0].data, row < 0 ? 0 : x->stride[row], x->stride[last], NULL,
                           x->dtype},
                     .b = {call->in[1].data, w->stride[0],
                           cpu_is_block(w->dtype) ? 1 : w->stride[1], NULL, w->dtype},
                     .m = row < 0 ? 1 : x->dim[row],
                     .n = w->dim[0],
                     .k = w->dim[1],
                     .y = call->out[0].data,
                     .y_row = row < 0 ? 0 : y->stride[row],
                     .y_col = y->stride[last],
                     .y_dtype = y->dtype},
             .rank = row < 0 ? 0 : row};
  for (int d = 0; d < t.rank; d++) {
    t.dim[d] = x->dim[d];
    t.a[d] = x->stride[d];
    t.y[d] = y->stride[d];
  }
  set_bias(&t.one, call);
  run_batch(&t, call->threads, call->scratch);
  return FORGE_OK;
}

const cpu_op cpu_ops_matmul[] = {
    {FORGE_OP_MATMUL, matmul_supports, matmul_scratch, run_matmul},
    {FORGE_OP_QMATMUL, qmatmul_supports, qmatmul_scratch, run_qmatmul},
    {FORGE_OP_GROUPED_MATMUL, cpu_grouped_supports, cpu_grouped_scratch, cpu_grouped_run},
    {FORGE_OP_GROUPED_MATMUL_DW, cpu_grouped_dw_supports, cpu_grouped_dw_scratch,
     cpu_grouped_dw_run},
    {0},
};
