/* lanes_portable.h -- lanes.h in plain C. This is the specification of the others. */
#ifndef FORGE_CPU_LANES_PORTABLE_H
#define FORGE_CPU_LANES_PORTABLE_H

typedef struct lanes {
  float f[16];
} lanes;

/* Sums held by a step of gemm.c. */
#define LANES_TILE_ROWS    2
#define LANES_TILE_COLUMNS 2
/* Rows of b that gemv.c takes together for 1 to 4 rows of a. */
#define LANES_GEMV_1 2
#define LANES_GEMV_2 2
#define LANES_GEMV_3 1
#define LANES_GEMV_4 1

#define LANES_EACH for (int i = 0; i < 16; i++)
#define LANES_BINARY(name, expression)                                                             \
  static inline lanes name(lanes a, lanes b) {                                                     \
    lanes y;                                                                                       \
    LANES_EACH y.f[i] = expression;                                                                \
    return y;                                                                                      \
  }
#define LANES_UNARY(name, expression)                                                              \
  static inline lanes name(lanes a) {                                                              \
    lanes y;                                                                                       \
    LANES_EACH y.f[i] = expression;                                                                \
    return y;                                                                                      \
  }

static inline lanes lanes_load(const float *p) {
  lanes y;
  memcpy(y.f, p, sizeof y.f);
  return y;
}
static inline void lanes_store(float *p, lanes a) { memcpy(p, a.f, sizeof a.f); }
static inline lanes lanes_load_n(const float *p, int64_t n) {
  lanes y = {{0}};
  memcpy(y.f, p, (size_t)n * sizeof *p);
  return y;
}
static inline void lanes_store_n(float *p, lanes a, int64_t n) {
  memcpy(p, a.f, (size_t)n * sizeof *p);
}
static inline float lanes_float(uint32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}
/* binary16: shift the exponent into place, then let one multiplication renormalise; infinities and
 * (quietened) NaN apart. */
static inline float lanes_widen_f16(uint16_t h) {
  const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, rest = (uint32_t)(h & 0x7fffu) << 13;
  if (rest > 0x0f800000u) return lanes_float(sign | rest | 0x7fc00000u);
  if (rest == 0x0f800000u) return lanes_float(sign | 0x7f800000u);
  return lanes_float(sign | rest) * 0x1p112f;
}
static inline lanes lanes_load_f16(const uint16_t *p) {
  lanes y;
  LANES_EACH y.f[i] = lanes_widen_f16(p[i]);
  return y;
}
static inline lanes lanes_load_bf16(const uint16_t *p) {
  lanes y;
  LANES_EACH y.f[i] = lanes_float((uint32_t)p[i] << 16);
  return y;
}
static inline lanes lanes_of_i8(lanes_bytes q) {
  lanes y;
  LANES_EACH y.f[i] = (int8_t)q[i];
  return y;
}
static inline lanes lanes_set1(float x) {
  lanes y;
  LANES_EACH y.f[i] = x;
  return y;
}
static inline lanes lanes_set_f16(uint16_t h) { return lanes_set1(lanes_widen_f16(h)); }
static inline lanes lanes_zero(void) { return lanes_set1(0.0f); }

/* 2^n for a whole n. The addition puts n + 127 into the low bits; a NaN comes to no harm. */
static inline float lanes_power2(float n) {
  const float biased = n + (0x1.8p23f + 127.0f);
  uint32_t bits;
  memcpy(&bits, &biased, sizeof bits);
  return lanes_float(bits << 23);
}
LANES_BINARY(lanes_add, a.f[i] + b.f[i])
LANES_BINARY(lanes_sub, a.f[i] - b.f[i])
LANES_BINARY(lanes_mul, a.f[i] * b.f[i])
LANES_BINARY(lanes_div, a.f[i] / b.f[i])
LANES_BINARY(lanes_min, a.f[i] < b.f[i] ? a.f[i] : b.f[i])
LANES_BINARY(lanes_max, a.f[i] > b.f[i] ? a.f[i] : b.f[i])
LANES_BINARY(lanes_scale2, a.f[i] * lanes_power2(b.f[i]))
LANES_UNARY(lanes_sqrt, sqrtf(a.f[i]))
LANES_UNARY(lanes_neg, -a.f[i])
LANES_UNARY(lanes_abs, fabsf(a.f[i]))

/* The fused multiply-add where the machine has none. The product of two floats is exact in double;
 * the sum is rounded to odd there (its last bit remembers that something was cut off), so that
 * rounding it again to float gives what one rounding would have given (Boldo and Melquiond 2008).
 */
static inline float lanes_fused(float a, float b, float c) {
#ifdef __FP_FAST_FMAF
  return __builtin_fmaf(a, b, c);
#else
  const double p = (double)a * b, d = c, s = p + d, t = s - p;
  const double lost = (p - (s - t)) + (d - t);
  uint64_t bits;
  memcpy(&bits, &s, sizeof bits);
  const uint64_t cut = (uint64_t)(lost > 0.0) | (uint64_t)(lost < 0.0); /* not when NaN */
  const uint64_t inward = (uint64_t)(lost > 0.0) ^ (uint64_t)(s > 0.0); /* s was rounded outward */
  bits += (cut & ~bits & 1u) * (1u - 2u * inward);
  double odd;
  memcpy(&odd, &bits, sizeof odd);
  return (float)odd;
#endif
}
static inline lanes lanes_fma(lanes a, lanes b, lanes c) {
  lanes y;
  LANES_EACH y.f[i] = lanes_fused(a.f[i], b.f[i], c.f[i]);
  return y;
}
static inline lanes lanes_gt_select(lanes a, lanes b, lanes x, lanes y) {
  lanes z;
  LANES_EACH z.f[i] = a.f[i] > b.f[i] ? x.f[i] : y.f[i];
  return z;
}

static inline float lanes_sum(lanes a) {
  for (int half = 8; half; half /= 2)
    for (int i = 0; i < half; i++) a.f[i] += a.f[i + half];
  return a.f[0];
}
static inline void lanes_sum8(const lanes *a, float *out) {
  for (int k = 0; k < 8; k++) out[k] = lanes_sum(a[k]);
}
static inline float lanes_hmax(lanes a) {
  for (int half = 8; half; half /= 2)
    for (int i = 0; i < half; i++) a.f[i] = a.f[i] > a.f[i + half] ? a.f[i] : a.f[i + half];
  return a.f[0];
}

#endif
