/* lanes_neon.h -- lanes.h on AArch64: four registers. */
#ifndef FORGE_CPU_LANES_NEON_H
#define FORGE_CPU_LANES_NEON_H

#include <arm_neon.h>

typedef struct lanes {
  float32x4_t a, b, c, d;
} lanes;

/* Sums held by a step of gemm.c. */
#define LANES_TILE_ROWS    2
#define LANES_TILE_COLUMNS 3
/* Rows of b that gemv.c takes together for 1 to 4 rows of a. */
#define LANES_GEMV_1 4
#define LANES_GEMV_2 3
#define LANES_GEMV_3 2
#define LANES_GEMV_4 1

#define LANES_UNARY(name, f)                                                                       \
  static inline lanes name(lanes x) { return (lanes){f(x.a), f(x.b), f(x.c), f(x.d)}; }
#define LANES_BINARY(name, f)                                                                      \
  static inline lanes name(lanes x, lanes y) {                                                     \
    return (lanes){f(x.a, y.a), f(x.b, y.b), f(x.c, y.c), f(x.d, y.d)};                            \
  }

static inline lanes lanes_load(const float *p) {
  return (lanes){vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
static inline void lanes_store(float *p, lanes x) {
  vst1q_f32(p, x.a);
  vst1q_f32(p + 4, x.b);
  vst1q_f32(p + 8, x.c);
  vst1q_f32(p + 12, x.d);
}
static inline lanes lanes_load_n(const float *p, int64_t n) {
  float part[16] = {0};
  memcpy(part, p, (size_t)n * sizeof *part);
  return lanes_load(part);
}
static inline void lanes_store_n(float *p, lanes x, int64_t n) {
  float part[16];
  lanes_store(part, x);
  memcpy(p, part, (size_t)n * sizeof *part);
}
static inline float32x4_t lanes_part_f16(const uint16_t *p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
static inline float32x4_t lanes_part_bf16(const uint16_t *p) {
  return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
static inline lanes lanes_load_f16(const uint16_t *p) {
  return (lanes){lanes_part_f16(p), lanes_part_f16(p + 4), lanes_part_f16(p + 8),
                 lanes_part_f16(p + 12)};
}
static inline lanes lanes_load_bf16(const uint16_t *p) {
  return (lanes){lanes_part_bf16(p), lanes_part_bf16(p + 4), lanes_part_bf16(p + 8),
                 lanes_part_bf16(p + 12)};
}
static inline lanes lanes_set_f16(uint16_t h) {
  const float32x4_t v = vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h)));
  return (lanes){v, v, v, v};
}
static inline lanes lanes_of_i8(lanes_bytes bytes) {
  const int8x16_t q = (int8x16_t)bytes;
  const int16x8_t lo = vmovl_s8(vget_low_s8(q)), hi = vmovl_s8(vget_high_s8(q));
  return (lanes){
      vcvtq_f32_s32(vmovl_s16(vget_low_s16(lo))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(lo))),
      vcvtq_f32_s32(vmovl_s16(vget_low_s16(hi))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(hi)))};
}
static inline lanes lanes_set1(float x) {
  const float32x4_t v = vdupq_n_f32(x);
  return (lanes){v, v, v, v};
}
static inline lanes lanes_zero(void) { return lanes_set1(0.0f); }

/* The comparison by hand: vminq and vmaxq pass a NaN on whichever side it is. */
static inline float32x4_t lanes_part_min(float32x4_t a, float32x4_t b) {
  return vbslq_f32(vcltq_f32(a, b), a, b);
}
static inline float32x4_t lanes_part_max(float32x4_t a, float32x4_t b) {
  return vbslq_f32(vcgtq_f32(a, b), a, b);
}
static inline float32x4_t lanes_part_scale2(float32x4_t a, float32x4_t n) {
  const int32x4_t e = vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127));
  return vmulq_f32(a, vreinterpretq_f32_s32(vshlq_n_s32(e, 23)));
}
LANES_BINARY(lanes_add, vaddq_f32)
LANES_BINARY(lanes_sub, vsubq_f32)
LANES_BINARY(lanes_mul, vmulq_f32)
LANES_BINARY(lanes_div, vdivq_f32)
LANES_BINARY(lanes_min, lanes_part_min)
LANES_BINARY(lanes_max, lanes_part_max)
LANES_BINARY(lanes_scale2, lanes_part_scale2)
LANES_UNARY(lanes_sqrt, vsqrtq_f32)
LANES_UNARY(lanes_neg, vnegq_f32)
LANES_UNARY(lanes_abs, vabsq_f32)

static inline lanes lanes_fma(lanes x, lanes y, lanes z) {
  return (lanes){vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b), vfmaq_f32(z.c, x.c, y.c),
                 vfmaq_f32(z.d, x.d, y.d)};
}
static inline lanes lanes_gt_select(lanes s, lanes t, lanes x, lanes y) {
  return (lanes){vbslq_f32(vcgtq_f32(s.a, t.a), x.a, y.a), vbslq_f32(vcgtq_f32(s.b, t.b), x.b, y.b),
                 vbslq_f32(vcgtq_f32(s.c, t.c), x.c, y.c),
                 vbslq_f32(vcgtq_f32(s.d, t.d), x.d, y.d)};
}

static inline float lanes_sum(lanes x) {
  const float32x4_t q = vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d));
  const float32x2_t h = vadd_f32(vget_low_f32(q), vget_high_f32(q));
  return vget_lane_f32(h, 0) + vget_lane_f32(h, 1);
}
static inline void lanes_sum8(const lanes *a, float *out) {
  for (int k = 0; k < 8; k++) out[k] = lanes_sum(a[k]);
}
static inline float lanes_hmax(lanes x) {
  const float32x4_t q = lanes_part_max(lanes_part_max(x.a, x.c), lanes_part_max(x.b, x.d));
  const float m0 = vgetq_lane_f32(q, 0), m1 = vgetq_lane_f32(q, 1);
  const float m2 = vgetq_lane_f32(q, 2), m3 = vgetq_lane_f32(q, 3);
  const float even = m0 > m2 ? m0 : m2, odd = m1 > m3 ? m1 : m3;
  return even > odd ? even : odd;
}

#endif
