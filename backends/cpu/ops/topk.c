/* topk.c -- TOPK: the k largest of each row by a heap of k keys (rows.h), one row per thread. */
#include "rows.h"

static void topk_rows(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  const cpu_call *c = ctx;
  const uint32_t k = ((const forge_attr_topk *)c->attr)->k;
  uint64_t *best = (uint64_t *)c->scratch + (uint64_t)thread * k;
  for (int64_t row = begin; row < end; row++) {
    const cpu_span x = cpu_span_row(&c->in[0], row);
    const cpu_span values = cpu_span_row(&c->out[0], row), ids = cpu_span_row(&c->out[1], row);
    cpu_row_best(&x, cpu_columns(&c->in[0].t), k, best);
    for (uint32_t i = 0; i < k; i++) {
      const int32_t column = (int32_t)cpu_rank_column(best[i]);
      memcpy(values.data + i * values.stride * 4, x.data + column * x.stride * 4, 4);
      memcpy(ids.data + i * ids.stride * 4, &column, 4);
    }
  }
}

uint8_t cpu_supports_topk(const forge_tensor *const *in, uint32_t n_in,
                          const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  (void)n_in, (void)n_out, (void)attr;
  const bool fine = in[0]->dtype == FORGE_F32 && out[0]->dtype == FORGE_F32;
  return fine && out[1]->dtype == FORGE_I32 ? FORGE_REASON_NONE : FORGE_REASON_DTYPE;
}

uint64_t cpu_scratch_topk(const forge_tensor *const *in, uint32_t n_in,
                          const forge_tensor *const *out, uint32_t n_out, const void *attr,
                          uint32_t n_threads) {
  (void)in, (void)n_in, (void)out, (void)n_out;
  return (uint64_t)n_threads * ((const forge_attr_topk *)attr)->k * sizeof(uint64_t);
}

forge_status cpu_run_topk(const cpu_call *c) {
  const uint32_t k = ((const forge_attr_topk *)c->attr)->k;
  const int64_t columns = cpu_columns(&c->in[0].t);
  if (cpu_elements(&c->out[0].t) == 0) return FORGE_OK;
  if (k > columns)
    return cpu_fail(FORGE_E_INVALID, "topk: k is %u but a row has %lld columns", k,
                    (long long)columns);
  const int64_t rows = cpu_rows(&c->in[0].t);
  cpu_parallel(c->threads, rows, cpu_grain(columns), topk_rows, (void *)c);
  return FORGE_OK;
}
