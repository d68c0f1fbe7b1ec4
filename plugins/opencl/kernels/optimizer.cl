/* optimizer.cl -- ADAMW (Loshchilov and Hutter 2019), sixteen elements to a work-item. */

typedef struct adamw {
  nd shape; /* tensors 0: p, 1: m, 2: v, 3: g */
  float beta1, rest1, beta2, rest2, eps, decay, rate;
  float scale1, scale2; /* 1/(1-beta^t) */
  int has_clip;
} adamw;

__kernel GROUP(16, 1) void adamw_step(TENSOR(p), TENSOR(m), TENSOR(v), TENSOR(g), TENSOR(clip),
                                      const adamw a) {
  const long i = 16L * get_global_id(0);
  if (i >= a.shape.n) return;
  __global float *tensor[4] = {(__global float *)BASE(p), (__global float *)BASE(m),
                               (__global float *)BASE(v), (__global float *)BASE(g)};
  float16 x[4];
  const bool whole = a.shape.dense && i + 16 <= a.shape.n;
  const int n = (int)min(16L, a.shape.n - i);
  for (int k = 0; k < 4; k++) {
    float some[16];
    if (whole) {
      x[k] = vload16(0, tensor[k] + i);
      continue;
    }
    for (int l = 0; l < 16; l++) some[l] = l < n ? tensor[k][ND_AT(a.shape, k, i + l)] : 0.0f;
    x[k] = vload16(0, some);
  }
  const float16 flow = x[3] * (a.has_clip ? *(__global const float *)BASE(clip) : 1.0f);
  x[1] = fma((float16)a.beta1, x[1], a.rest1 * flow);
  x[2] = fma((float16)a.beta2, x[2], a.rest2 * (flow * flow));
  const float16 root = sqrt(a.scale2 * x[2]) + a.eps;
  x[0] = fma((float16)-a.rate, fma((float16)a.decay, x[0], a.scale1 * x[1] / root), x[0]);
  for (int k = 0; k < 3; k++) {
    float some[16];
    if (whole) {
      vstore16(x[k], 0, tensor[k] + i);
      continue;
    }
    vstore16(x[k], 0, some);
    for (int l = 0; l < n; l++) tensor[k][ND_AT(a.shape, k, i + l)] = some[l];
  }
}
