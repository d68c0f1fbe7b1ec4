/* moe.c -- MOE_ROUTE and its gradient. With p = softmax(logits), w_j = p[id_j] / s, s = 1 or, when
 * NORMALISE, the sum of the chosen p. Backwards: dp[id_j] += (dw_j - [NORMALISE] sum_k dw_k w_k) /
 * s, dlogits = p (dp - sum_e dp_e p_e). */
#include "rows.h"

typedef struct route {
  const cpu_call *call;
  int64_t experts;
  uint32_t k;
  bool normalise;
} route;

static route route_of(const cpu_call *c) {
  const forge_attr_moe *a = c->attr;
  return (route){.call = c,
                 .experts = cpu_columns(&c->in[0].t),
                 .k = a->k,
                 .normalise = a->flags & FORGE_MOE_NORMALISE};
}

static float f32_at(const cpu_span *s, int64_t i) {
  float value;
  cpu_span_gather(s, i, 1, &value);
  return value;
}

static int32_t i32_at(const cpu_span *s, int64_t i) {
  int32_t value;
  memcpy(&value, s->data + i * s->stride * 4, sizeof value);
  return value;
}

/* ---- forward ---- */

static void route_row(const route *r, int64_t row, uint64_t *best) {
  const cpu_span x = cpu_span_row(&r->call->in[0], row);
  const cpu_span ids = cpu_span_row(&r->call->out[0], row);
  const cpu_span weights = cpu_span_row(&r->call->out[1], row);
  float sum = 0.0f;
  const float max = cpu_row_max(&x, r->experts, 1.0f);
  const float all = cpu_row_exp(&x, r->experts, 1.0f, max, NULL);
  cpu_row_best(&x, r->experts, r->k, best);
  for (uint32_t i = 0; i < r->k; i++) {
    const int32_t id = (int32_t)cpu_rank_column(best[i]);
    const lanes e = lanes_exp(lanes_set1(f32_at(&x, id) - max));
    const float p = max == -INFINITY ? 0.0f : lanes_hmax(e) / all;
    sum += p;
    memcpy(ids.data + i * ids.stride * 4, &id, sizeof id);
    cpu_span_scatter(&weights, i, 1, &p);
  }
  for (uint32_t i = 0; r->normalise && sum > 0.0f && i < r->k; i++) {
    const float w = f32_at(&weights, i) / sum;
    cpu_span_scatter(&weights, i, 1, &w);
  }
}

static void route_rows(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  const route *r = ctx;
  uint64_t *best = (uint64_t *)r->call->scratch + (uint64_t)thread * r->k;
  for (int64_t row = begin; row < end; row++) route_row(r, row, best);
}

static forge_status run_route(const cpu_call *c) {
  route r = route_of(c);
  if (cpu_elements(&c->out[0].t) == 0) return FORGE_OK;
  if (r.k > r.experts)
    return cpu_fail(FORGE_E_INVALID, "moe_route: k is %u but there are %lld experts", r.k,
                    (long long)r.experts);
  cpu_parallel(c->threads, cpu_rows(&c->in[0].t), cpu_grain(8 * r.experts), route_rows, &r);
  return FORGE_OK;
}

static uint64_t scratch_route(const forge_tensor *const *in, uint32_t n_in,
                              const forge_tensor *const *out, uint32_t n_out, const void *attr,
                              uint32_t n_threads) {
  (void)in, (void)n_in, (void)out, (void)n_out;
  return (uint64_t)n_threads * ((const forge_attr_moe *)attr)->k * sizeof(uint64_t);
}

static uint8_t supports_route(const forge_tensor *const *in, uint32_t n_in,
                              const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  (void)n_in, (void)n_out, (void)attr;
  const bool fine = in[0]->dtype == FORGE_F32 && out[0]->dtype == FORGE_I32;
  return fine && out[1]->dtype == FORGE_F32 ? FORGE_REASON_NONE : FORGE_REASON_DTYPE;
}

/* ---- backward ---- */

static bool is_expert(const route *r, int32_t id) { return id >= 0 && id < r->experts; }

/* dp of the chosen experts, in |dp| that held zeros. p is the softmax. */
static void chosen_slopes(const route *r, int64_t row, const float *p, float *dp) {
  const cpu_span ids = cpu_span_row(&r->call->in[1], row);
  const cpu_span dw = cpu_span_row(&r->call->in[2], row);
  float sum = 0.0f, mixed = 0.0f;
  for (uint32_t i = 0; i < r->k; i++) {
    const int32_t id = i32_at(&ids, i);
    if (!is_expert(r, id)) continue;
    sum += p[id];
    mixed += p[id] * f32_at(&dw, i);
  }
  const bool normalise = r->normalise && sum > 0.0f;
  const float s = normalise ? sum : 1.0f, mean = normalise ? mixed / sum : 0.0f;
  for (uint32_t i = 0; i < r->k; i++) {
    const int32_t id = i32_at(&ids, i);
    if (is_expert(r, id)) dp[id] += (f32_at(&dw, i) - mean) / s;
  }
}

static void route_row_bwd(const route *r, int64_t row, float *p, float *dp) {
  const int64_t n = r->experts;
  const cpu_span x = cpu_span_row(&r->call->in[0], row), dx = cpu_span_row(&r->call->out[0], row);
  const cpu_span to = cpu_span_of((uint8_t *)p, FORGE_F32, 1);
  const float max = cpu_row_max(&x, n, 1.0f), sum = cpu_row_exp(&x, n, 1.0f, max, &to);
  cpu_row_scale(&to, n, max == -INFINITY ? 0.0f : 1.0f / sum);
  memset(dp, 0, (size_t)n * sizeof *dp);
  chosen_slopes(r, row, p, dp);
  const float mean = cpu_dot(p, dp, n);
  for (int64_t e = 0; e < n; e++) dp[e] = p[e] * (dp[e] - mean);
  cpu_span_scatter(&dx, 0, n, dp);
}

static void route_rows_bwd(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  const route *r = ctx;
  float *p = (float *)r->call->scratch + (int64_t)thread * 2 * r->experts;
  for (int64_t row = begin; row < end; row++) route_row_bwd(r, row, p, p + r->experts);
}

static forge_status run_route_bwd(const cpu_call *c) {
  route r = route_of(c);
  r.k = (uint32_t)cpu_columns(&c->in[1].t);
  if (cpu_elements(&c->in[0].t) == 0) return FORGE_OK;
  cpu_parallel(c->threads, cpu_rows(&c->in[0].t), cpu_grain(8 * r.experts), route_rows_bwd, &r);
  return FORGE_OK;
}

static uint64_t scratch_route_bwd(const forge_tensor *const *in, uint32_t n_in,
                                  const forge_tensor *const *out, uint32_t n_out, const void *attr,
                                  uint32_t n_threads) {
  (void)n_in, (void)out, (void)n_out, (void)attr;
  return (uint64_t)n_threads * (uint64_t)cpu_columns(in[0]) * 2 * sizeof(float);
}

static uint8_t supports_route_bwd(const forge_tensor *const *in, uint32_t n_in,
                                  const forge_tensor *const *out, uint32_t n_out,
                                  const void *attr) {
  (void)n_in, (void)n_out, (void)attr;
  const bool fine = in[0]->dtype == FORGE_F32 && in[1]->dtype == FORGE_I32;
  return fine && in[2]->dtype == FORGE_F32 && out[0]->dtype == FORGE_F32 ? FORGE_REASON_NONE
                                                                         : FORGE_REASON_DTYPE;
}

const cpu_op cpu_ops_moe[] = {
    {.op = FORGE_OP_MOE_ROUTE,
     .supports = supports_route,
     .scratch = scratch_route,
     .run = run_route},
    {.op = FORGE_OP_MOE_ROUTE_BWD,
     .supports = supports_route_bwd,
     .scratch = scratch_route_bwd,
     .run = run_route_bwd},
    {.op = 0},
};
