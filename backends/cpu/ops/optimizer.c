/* optimizer.c -- ADAMW (Loshchilov and Hutter 2019), each element alone. */
#include "map.h"

typedef struct adamw {
  float clip, beta1, rest1, beta2, rest2, eps, decay, rate;
  float scale1, scale2; /* 1/(1-beta^t) */
} adamw;

static void adamw_f32(const void *ctx, const float *const *in, float *const *out, int64_t n) {
  const adamw *k = ctx;
  const lanes clip = lanes_set1(k->clip), beta1 = lanes_set1(k->beta1);
  const lanes rest1 = lanes_set1(k->rest1), beta2 = lanes_set1(k->beta2);
  const lanes rest2 = lanes_set1(k->rest2), eps = lanes_set1(k->eps);
  const lanes scale1 = lanes_set1(k->scale1), scale2 = lanes_set1(k->scale2);
  const lanes decay = lanes_set1(k->decay), rate = lanes_set1(-k->rate);
  for (int64_t i = 0; i < n; i += LANES) {
    const int64_t left = n - i;
    const lanes p = cpu_take(in[0] + i, left), g = lanes_mul(clip, cpu_take(in[3] + i, left));
    const lanes m = lanes_fma(beta1, cpu_take(in[1] + i, left), lanes_mul(rest1, g));
    const lanes v = lanes_fma(beta2, cpu_take(in[2] + i, left), lanes_mul(rest2, lanes_mul(g, g)));
    const lanes root = lanes_add(lanes_sqrt(lanes_mul(scale2, v)), eps);
    const lanes step = lanes_fma(decay, p, lanes_div(lanes_mul(scale1, m), root));
    cpu_put(out[0] + i, lanes_fma(rate, step, p), left);
    cpu_put(out[1] + i, m, left);
    cpu_put(out[2] + i, v, left);
  }
}

static forge_status run_adamw(const cpu_call *c) {
  const forge_attr_adamw *a = c->attr;
  const double t = cpu_number(c, &a->step);
  if (!(t >= 1.0))
    return cpu_fail(FORGE_E_INVALID, "adamw: step is %g; the first step is number 1", t);
  adamw k = {.clip = 1.0f,
             .beta1 = (float)a->beta1,
             .rest1 = (float)(1.0 - a->beta1),
             .beta2 = (float)a->beta2,
             .rest2 = (float)(1.0 - a->beta2),
             .eps = (float)a->eps,
             .decay = (float)a->weight_decay,
             .rate = cpu_number_f32(c, &a->lr),
             .scale1 = (float)(1.0 / (1.0 - pow(a->beta1, t))),
             .scale2 = (float)(1.0 / (1.0 - pow(a->beta2, t)))};
  if (cpu_in(c, 4)->data) memcpy(&k.clip, cpu_in(c, 4)->data, sizeof k.clip);
  return cpu_map(c, 4, adamw_f32, &k);
}

const cpu_op cpu_ops_optimizer[] = {
    {.op = FORGE_OP_ADAMW, .supports = cpu_supports_f32, .run = run_adamw},
    {.op = 0},
};
