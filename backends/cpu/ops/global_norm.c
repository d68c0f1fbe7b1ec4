/* global_norm.c -- GLOBAL_NORM. Every input is cut into pieces of PIECE elements in row-major
 * order; a piece is squared and summed in 16 lanes of doubles (the squares are exact), the pieces'
 * sums are added in order of input and piece. */
#include "rows.h"

#define PIECE (16 * SPAN_MAX)

typedef struct squares {
  double *sum;         /* one per piece of all inputs */
  const cpu_view *now; /* the input being summed */
} squares;

static int64_t pieces_of(const forge_tensor *t) { return cpu_ceil_div(cpu_elements(t), PIECE); }

static double sum_piece(const cpu_view *v, int64_t first, int64_t end) {
  _Alignas(64) float buffer[SPAN_MAX];
  double lane[LANES] = {0};
  for (int64_t at = first; at < end; at += SPAN_MAX) {
    const int64_t n = cpu_min(SPAN_MAX, end - at);
    const float *x = cpu_flat_read(v, at, n, buffer);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
      for (int j = 0; j < LANES; j++) lane[j] += (double)x[i + j] * (double)x[i + j];
    }
    for (int j = 0; i < n; i++, j++) lane[j] += (double)x[i] * (double)x[i];
  }
  for (int half = LANES / 2; half > 0; half /= 2) {
    for (int j = 0; j < half; j++) lane[j] += lane[j + half];
  }
  return lane[0];
}

static void sum_pieces(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  (void)thread;
  squares *s = ctx;
  const int64_t elements = cpu_elements(&s->now->t);
  for (int64_t i = begin; i < end; i++)
    s->sum[i] = sum_piece(s->now, i * PIECE, cpu_min(elements, (i + 1) * PIECE));
}

uint64_t cpu_scratch_global_norm(const forge_tensor *const *in, uint32_t n_in,
                                 const forge_tensor *const *out, uint32_t n_out, const void *attr,
                                 uint32_t n_threads) {
  (void)out, (void)n_out, (void)attr, (void)n_threads;
  int64_t most = 0;
  for (uint32_t i = 0; i < n_in; i++) most = cpu_max(most, pieces_of(in[i]));
  return (uint64_t)most * sizeof(double);
}

forge_status cpu_run_global_norm(const cpu_call *c) {
  const double limit = ((const forge_attr_global_norm *)c->attr)->max_norm;
  squares s = {.sum = c->scratch};
  double total = 0.0;
  for (uint32_t i = 0; i < c->n_in; i++) {
    s.now = &c->in[i];
    const int64_t pieces = pieces_of(&s.now->t);
    cpu_parallel(c->threads, pieces, 2, sum_pieces, &s);
    for (int64_t k = 0; k < pieces; k++) total += s.sum[k];
  }
  const float norm = (float)sqrt(total);
  float factor = limit > 0.0 && (double)norm > limit ? (float)(limit / (double)norm) : 1.0f;
  if (!isfinite(norm)) factor = 0.0f;
  if (cpu_out(c, 0)->data) memcpy(c->out[0].data, &norm, sizeof norm);
  if (cpu_out(c, 1)->data) memcpy(c->out[1].data, &factor, sizeof factor);
  return FORGE_OK;
}
