/* lanes.h -- sixteen floats side by side, with the same bits on every instruction set.
 *
 * The file of the instruction set supplies type and arithmetic: lanes_avx512.h (one register),
 * lanes_avx2.h (two), lanes_neon.h (four), lanes_portable.h (plain C, exact fused multiply-add).
 * FORGE_CPU_PORTABLE forces the last. What they all offer:
 *
 *   lanes lanes_load(const float *)            lanes lanes_load_n(const float *, int64_t n)
 *   void  lanes_store(float *, lanes)          void  lanes_store_n(float *, lanes, int64_t n)
 *     any alignment; _n touches n <= 16 elements only, and load_n puts zeros behind them
 *   lanes lanes_load_f16, lanes_load_bf16(const uint16_t *)
 *   lanes lanes_set_f16(uint16_t)              sixteen times the same
 *   lanes lanes_of_i8(lanes_bytes)             sixteen signed bytes
 *   lanes lanes_zero(void), lanes_set1(float)
 *   lanes lanes_add, lanes_sub, lanes_mul, lanes_div(a, b), lanes_sqrt(a), lanes_neg, lanes_abs(a)
 *   lanes lanes_fma(a, b, c)                   a*b + c rounded once
 *   lanes lanes_min, lanes_max(a, b)           a < b ? a : b and a > b ? a : b; so b where one is
 *                                              NaN
 *   lanes lanes_gt_select(a, b, x, y)          a > b ? x : y; so y where one is NaN
 *   lanes lanes_scale2(a, n)                   a * 2^n, n whole and -126..127
 *   float lanes_sum(a), lanes_hmax(a)          pairs (i, i+8), then (i, i+4), (i, i+2), (0, 1)
 *   void  lanes_sum8(const lanes *, float *)   eight lanes_sum() at a time
 */
#ifndef FORGE_CPU_LANES_H
#define FORGE_CPU_LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define LANES 16

/* Sixteen bytes, for + - & | << >> element by element: what block types are unpacked with. */
typedef uint8_t lanes_bytes __attribute__((vector_size(16)));

static inline lanes_bytes lanes_bytes_load(const void *p) {
  lanes_bytes v;
  memcpy(&v, p, sizeof v);
  return v;
}

#if defined(FORGE_CPU_PORTABLE)
#include "lanes_portable.h"
#elif defined(__AVX512F__) && defined(__AVX512DQ__)
#include "lanes_avx512.h"
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "lanes_avx2.h"
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include "lanes_neon.h"
#else
#include "lanes_portable.h"
#endif

#ifndef LANES_PARTS /* see step_part() in gemm.c */
#define LANES_PARTS 1
typedef lanes lanes_part;
static inline lanes lanes_part_of(lanes a, int part) { return (void)part, a; }
static inline lanes lanes_part_load(const float *p, int part) { return (void)part, lanes_load(p); }
static inline lanes lanes_part_fma(lanes a, lanes b, lanes c) { return lanes_fma(a, b, c); }
static inline void lanes_part_put(lanes *to, lanes a, int part) { (void)part, *to = a; }
#endif

/* e^a, at most 1 ulp off: a = n ln2 + r, |r| <= ln2/2; e^r by a polynomial; 2^n in two exact
 * halves, so that the last multiplication alone rounds into the denormals, or overflows to inf. */
static inline lanes lanes_exp(lanes a) {
  /* Bounds second: a NaN stays one. Adding and taking away 1.5 * 2^23 rounds to a whole number. */
  const lanes x = lanes_max(lanes_set1(-105.0f), lanes_min(lanes_set1(90.0f), a));
  const lanes big = lanes_set1(0x1.8p23f);
  const lanes n = lanes_sub(lanes_fma(x, lanes_set1(0x1.715476p+0f), big), big);
  lanes r = lanes_fma(n, lanes_set1(-0x1.62e43p-1f), x);
  r = lanes_fma(n, lanes_set1(0x1.05c61p-29f), r);
  lanes q = lanes_set1(0x1.6d1124p-10f);
  q = lanes_fma(q, r, lanes_set1(0x1.120b88p-7f));
  q = lanes_fma(q, r, lanes_set1(0x1.55551ap-5f));
  q = lanes_fma(q, r, lanes_set1(0x1.5554dcp-3f));
  q = lanes_fma(q, r, lanes_set1(0.5f));
  const lanes p = lanes_add(lanes_fma(q, lanes_mul(r, r), r), lanes_set1(1.0f));
  const lanes half = lanes_sub(lanes_fma(n, lanes_set1(0.5f), big), big);
  return lanes_scale2(lanes_scale2(p, half), lanes_sub(n, half));
}

/* 1 / (1 + e^-a) */
static inline lanes lanes_sigmoid(lanes a) {
  const lanes one = lanes_set1(1.0f);
  return lanes_div(one, lanes_add(one, lanes_exp(lanes_neg(a))));
}

/* tanh a: an odd polynomial up to 0.625, then 1 - 2 / (e^2|a| + 1) with a's sign; 2 ulp. */
static inline lanes lanes_tanh(lanes a) {
  const lanes one = lanes_set1(1.0f), u = lanes_mul(a, a), m = lanes_abs(a);
  lanes q = lanes_set1(0x1.25d686p-9f);
  q = lanes_fma(q, u, lanes_set1(-0x1.0fe702p-7f));
  q = lanes_fma(q, u, lanes_set1(0x1.646cc8p-6f));
  q = lanes_fma(q, u, lanes_set1(-0x1.ba04fp-5f));
  q = lanes_fma(q, u, lanes_set1(0x1.1110dep-3f));
  q = lanes_fma(q, u, lanes_set1(-0x1.555556p-2f));
  const lanes small = lanes_fma(lanes_mul(q, u), a, a);
  const lanes e = lanes_add(lanes_exp(lanes_add(m, m)), one);
  const lanes large = lanes_sub(one, lanes_div(lanes_set1(2.0f), e));
  const lanes with_sign = lanes_gt_select(lanes_zero(), a, lanes_neg(large), large);
  return lanes_gt_select(m, lanes_set1(0.625f), with_sign, small);
}

/* The normative dot product: lane j adds the terms k = j mod 16 in order of k, each rounded once;
 * then lanes_sum. What lies behind n counts as zero. */
static inline float cpu_dot(const float *a, const float *b, int64_t n) {
  lanes sum = lanes_zero();
  int64_t k = 0;
  for (; k + LANES <= n; k += LANES) sum = lanes_fma(lanes_load(a + k), lanes_load(b + k), sum);
  if (k < n) sum = lanes_fma(lanes_load_n(a + k, n - k), lanes_load_n(b + k, n - k), sum);
  return lanes_sum(sum);
}

#endif
