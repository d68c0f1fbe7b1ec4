/* lanes_avx2.h -- lanes.h on AVX2, FMA and F16C: two registers. */
#ifndef FORGE_CPU_LANES_AVX2_H
#define FORGE_CPU_LANES_AVX2_H

#include <immintrin.h>

typedef struct lanes {
  __m256 v, w; /* lanes 0..7 and 8..15 */
} lanes;

/* Sums held in registers by a step of gemm.c: 12 halves, of 16 registers. */
#define LANES_TILE_ROWS    4
#define LANES_TILE_COLUMNS 3
/* Rows of b that gemv.c takes together for 1 to 4 rows of a. */
#define LANES_GEMV_1 4
#define LANES_GEMV_2 2
#define LANES_GEMV_3 2
#define LANES_GEMV_4 1

#define LANES_UNARY(name, f)                                                                       \
  static inline lanes name(lanes a) { return (lanes){f(a.v), f(a.w)}; }
#define LANES_BINARY(name, f)                                                                      \
  static inline lanes name(lanes a, lanes b) { return (lanes){f(a.v, b.v), f(a.w, b.w)}; }

/* Eight words of which the first n have their top bit set. */
static inline __m256i lanes_mask(int64_t n) {
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), index);
}
static inline lanes lanes_load(const float *p) {
  return (lanes){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
static inline void lanes_store(float *p, lanes a) {
  _mm256_storeu_ps(p, a.v);
  _mm256_storeu_ps(p + 8, a.w);
}
static inline lanes lanes_load_n(const float *p, int64_t n) {
  if (n <= 8) return (lanes){_mm256_maskload_ps(p, lanes_mask(n)), _mm256_setzero_ps()};
  return (lanes){_mm256_loadu_ps(p), _mm256_maskload_ps(p + 8, lanes_mask(n - 8))};
}
static inline void lanes_store_n(float *p, lanes a, int64_t n) {
  _mm256_maskstore_ps(p, lanes_mask(n), a.v);
  if (n > 8) _mm256_maskstore_ps(p + 8, lanes_mask(n - 8), a.w);
}
static inline lanes lanes_load_f16(const uint16_t *p) {
  return (lanes){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)),
                 _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 8)))};
}
static inline __m256 lanes_widen_bf16(const uint16_t *p) {
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
static inline lanes lanes_load_bf16(const uint16_t *p) {
  return (lanes){lanes_widen_bf16(p), lanes_widen_bf16(p + 8)};
}
static inline lanes lanes_set_f16(uint16_t h) {
  const __m256 v = _mm256_cvtph_ps(_mm_set1_epi16((short)h));
  return (lanes){v, v};
}
static inline lanes lanes_of_i8(lanes_bytes bytes) {
  const __m128i q = (__m128i)bytes;
  return (lanes){_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)),
                 _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(q, 8)))};
}
static inline lanes lanes_zero(void) { return (lanes){_mm256_setzero_ps(), _mm256_setzero_ps()}; }
static inline lanes lanes_set1(float x) { return (lanes){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }

static inline __m256 lanes_part_neg(__m256 a) { return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f)); }
static inline __m256 lanes_part_abs(__m256 a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
static inline __m256 lanes_part_scale2(__m256 a, __m256 n) {
  const __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(e, 23)));
}
LANES_BINARY(lanes_add, _mm256_add_ps)
LANES_BINARY(lanes_sub, _mm256_sub_ps)
LANES_BINARY(lanes_mul, _mm256_mul_ps)
LANES_BINARY(lanes_div, _mm256_div_ps)
LANES_BINARY(lanes_min, _mm256_min_ps)
LANES_BINARY(lanes_max, _mm256_max_ps)
LANES_BINARY(lanes_scale2, lanes_part_scale2)
LANES_UNARY(lanes_sqrt, _mm256_sqrt_ps)
LANES_UNARY(lanes_neg, lanes_part_neg)
LANES_UNARY(lanes_abs, lanes_part_abs)

static inline lanes lanes_fma(lanes a, lanes b, lanes c) {
  return (lanes){_mm256_fmadd_ps(a.v, b.v, c.v), _mm256_fmadd_ps(a.w, b.w, c.w)};
}
static inline lanes lanes_gt_select(lanes a, lanes b, lanes x, lanes y) {
  return (lanes){_mm256_blendv_ps(y.v, x.v, _mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ)),
                 _mm256_blendv_ps(y.w, x.w, _mm256_cmp_ps(a.w, b.w, _CMP_GT_OQ))};
}

#define LANES_PARTS 2
typedef __m256 lanes_part;
static inline __m256 lanes_part_of(lanes a, int part) { return part ? a.w : a.v; }
static inline __m256 lanes_part_load(const float *p, int part) {
  return _mm256_loadu_ps(p + 8 * part);
}
static inline __m256 lanes_part_fma(__m256 a, __m256 b, __m256 c) {
  return _mm256_fmadd_ps(a, b, c);
}
static inline void lanes_part_put(lanes *to, __m256 a, int part) { *(part ? &to->w : &to->v) = a; }

static inline float lanes_sum(lanes a) {
  const __m256 h = _mm256_add_ps(a.v, a.w);
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_shuffle_ps(q, q, 1)));
}
/* (i, i+8) of both, then (i, i+4): v's sums in the lower half, w's in the upper. */
static inline __m256 lanes_fold(lanes v, lanes w) {
  const __m256 a = _mm256_add_ps(v.v, v.w), b = _mm256_add_ps(w.v, w.w);
  return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
}
static inline __m256 lanes_fold2(__m256 v, __m256 w) {
  return _mm256_add_ps(_mm256_shuffle_ps(v, w, 0x44), _mm256_shuffle_ps(v, w, 0xEE));
}
static inline void lanes_sum8(const lanes *a, float *out) {
  const __m256 v = lanes_fold2(lanes_fold(a[0], a[4]), lanes_fold(a[1], a[5]));
  const __m256 w = lanes_fold2(lanes_fold(a[2], a[6]), lanes_fold(a[3], a[7]));
  _mm256_storeu_ps(out,
                   _mm256_add_ps(_mm256_shuffle_ps(v, w, 0x88), _mm256_shuffle_ps(v, w, 0xDD)));
}
static inline float lanes_hmax(lanes a) {
  const __m256 h = _mm256_max_ps(a.v, a.w);
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_shuffle_ps(q, q, 1)));
}

#endif
