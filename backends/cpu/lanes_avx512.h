/* lanes_avx512.h -- lanes.h on AVX-512 F and DQ: one register. */
#ifndef FORGE_CPU_LANES_AVX512_H
#define FORGE_CPU_LANES_AVX512_H

#include <immintrin.h>

typedef struct lanes {
  __m512 v;
} lanes;

/* Sums held in registers by a step of gemm.c: 24, and 5 for what they are made of. */
#define LANES_TILE_ROWS    4
#define LANES_TILE_COLUMNS 6
/* Rows of b that gemv.c takes together for 1 to 4 rows of a. */
#define LANES_GEMV_1 4
#define LANES_GEMV_2 4
#define LANES_GEMV_3 4
#define LANES_GEMV_4 4

#define LANES_UNARY(name, expression)                                                              \
  static inline lanes name(lanes a) { return (lanes){expression}; }
#define LANES_BINARY(name, expression)                                                             \
  static inline lanes name(lanes a, lanes b) { return (lanes){expression}; }

static inline __mmask16 lanes_mask(int64_t n) { return (__mmask16)((1u << n) - 1u); }
static inline lanes lanes_load(const float *p) { return (lanes){_mm512_loadu_ps(p)}; }
static inline void lanes_store(float *p, lanes a) { _mm512_storeu_ps(p, a.v); }
static inline lanes lanes_load_n(const float *p, int64_t n) {
  return (lanes){_mm512_maskz_loadu_ps(lanes_mask(n), p)};
}
static inline void lanes_store_n(float *p, lanes a, int64_t n) {
  _mm512_mask_storeu_ps(p, lanes_mask(n), a.v);
}
static inline lanes lanes_load_f16(const uint16_t *p) {
  return (lanes){_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p))};
}
static inline lanes lanes_load_bf16(const uint16_t *p) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
  return (lanes){_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
static inline lanes lanes_set_f16(uint16_t h) {
  return (lanes){_mm512_cvtph_ps(_mm256_set1_epi16((short)h))};
}
static inline lanes lanes_of_i8(lanes_bytes q) {
  return (lanes){_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32((__m128i)q))};
}
static inline lanes lanes_zero(void) { return (lanes){_mm512_setzero_ps()}; }
static inline lanes lanes_set1(float x) { return (lanes){_mm512_set1_ps(x)}; }

LANES_BINARY(lanes_add, _mm512_add_ps(a.v, b.v))
LANES_BINARY(lanes_sub, _mm512_sub_ps(a.v, b.v))
LANES_BINARY(lanes_mul, _mm512_mul_ps(a.v, b.v))
LANES_BINARY(lanes_div, _mm512_div_ps(a.v, b.v))
LANES_BINARY(lanes_min, _mm512_min_ps(a.v, b.v))
LANES_BINARY(lanes_max, _mm512_max_ps(a.v, b.v))
LANES_UNARY(lanes_sqrt, _mm512_sqrt_ps(a.v))
LANES_UNARY(lanes_neg, _mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f)))
LANES_UNARY(lanes_abs, _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a.v))

static inline lanes lanes_fma(lanes a, lanes b, lanes c) {
  return (lanes){_mm512_fmadd_ps(a.v, b.v, c.v)};
}
static inline lanes lanes_gt_select(lanes a, lanes b, lanes x, lanes y) {
  return (lanes){_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ), y.v, x.v)};
}
static inline lanes lanes_scale2(lanes a, lanes n) {
  const __m512i e = _mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127));
  return (lanes){_mm512_mul_ps(a.v, _mm512_castsi512_ps(_mm512_slli_epi32(e, 23)))};
}

static inline float lanes_sum(lanes a) {
  const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_shuffle_ps(q, q, 1)));
}
/* The halves of v and w side by side: one addition does both. */
static inline __m512 lanes_fold8(__m512 v, __m512 w) {
  return _mm512_add_ps(_mm512_shuffle_f32x4(v, w, 0x44), _mm512_shuffle_f32x4(v, w, 0xEE));
}
static inline __m512 lanes_fold4(__m512 v, __m512 w) {
  return _mm512_add_ps(_mm512_shuffle_f32x4(v, w, 0x88), _mm512_shuffle_f32x4(v, w, 0xDD));
}
static inline void lanes_sum8(const lanes *a, float *out) {
  const __m512 even = lanes_fold4(lanes_fold8(a[0].v, a[2].v), lanes_fold8(a[4].v, a[6].v));
  const __m512 odd = lanes_fold4(lanes_fold8(a[1].v, a[3].v), lanes_fold8(a[5].v, a[7].v));
  const __m512 pair =
      _mm512_add_ps(_mm512_shuffle_ps(even, odd, 0x44), _mm512_shuffle_ps(even, odd, 0xEE));
  const __m512 one =
      _mm512_add_ps(_mm512_shuffle_ps(pair, pair, 0x88), _mm512_shuffle_ps(pair, pair, 0xDD));
  const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 0, 2, 4, 6);
  const __m512d packed = _mm512_permutexvar_pd(order, _mm512_castps_pd(one));
  _mm256_storeu_ps(out, _mm512_castps512_ps256(_mm512_castpd_ps(packed)));
}
static inline float lanes_hmax(lanes a) {
  const __m256 h = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_shuffle_ps(q, q, 1)));
}

#endif
