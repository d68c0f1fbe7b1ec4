/* elements.h -- one element of a plain type (F32, F16, BF16, I32, I8) read and written as a double,
 * which holds each of them exactly. Slow and right: what a first kernel needs. */
#ifndef ELEMENTS_H
#define ELEMENTS_H

#include <string.h>

#include "kernels.h"

static inline bool is_float(uint8_t dtype) {
  return dtype == FORGE_F32 || dtype == FORGE_F16 || dtype == FORGE_BF16;
}
static inline bool is_plain(uint8_t dtype) {
  return is_float(dtype) || dtype == FORGE_I32 || dtype == FORGE_I8;
}

static inline float from_bits(uint32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}
static inline uint32_t to_bits(float f) {
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  return bits;
}

static inline float f16_to_float(uint16_t h) {
  const uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = (uint32_t)(h & 0x7fff) << 13;
  if (rest >= 0x0f800000) return from_bits(sign | 0x70000000 | rest); /* infinite or no number */
  return from_bits(sign | rest) * 0x1p112f; /* the exponent begins elsewhere; denormals too */
}

/* Both to nearest, ties to even. */
static inline uint16_t float_to_f16(float f) {
  const uint32_t rest = to_bits(f) & 0x7fffffff;
  const uint16_t sign = (uint16_t)(to_bits(f) >> 16 & 0x8000);
  if (f != f) return (uint16_t)(sign | 0x7e00);
  if (rest >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* rounds past the largest */
  if (rest < 0x38800000) /* a denormal: adding 1/2 puts its last bit where a float's is */
    return (uint16_t)(sign | (to_bits(from_bits(rest) + 0.5f) - 0x3f000000));
  return (uint16_t)(sign | (rest + 0xfff + (rest >> 13 & 1) - 0x38000000) >> 13);
}
static inline uint16_t float_to_bf16(float f) {
  if (f != f) return (uint16_t)(to_bits(f) >> 16 | 0x40);
  return (uint16_t)((to_bits(f) + 0x7fff + (to_bits(f) >> 16 & 1)) >> 16);
}

/* Towards zero, what does not fit to the nearest that does, no number to 0. */
static inline int32_t to_whole(double value, int32_t low, int32_t high) {
  if (value <= low) return low;
  if (value >= high) return high;
  return value == value ? (int32_t)value : 0;
}

static inline double element_read(uint8_t dtype, const uint8_t *p) {
  float f;
  uint16_t h;
  int32_t i;
  switch (dtype) {
  case FORGE_F32: return memcpy(&f, p, sizeof f), f;
  case FORGE_F16: return memcpy(&h, p, sizeof h), f16_to_float(h);
  case FORGE_BF16: return memcpy(&h, p, sizeof h), from_bits((uint32_t)h << 16);
  case FORGE_I32: return memcpy(&i, p, sizeof i), i;
  default: return (int8_t)*p;
  }
}

static inline void element_write(uint8_t dtype, uint8_t *p, double value) {
  const float f = (float)value;
  uint16_t h;
  int32_t i;
  switch (dtype) {
  case FORGE_F32: memcpy(p, &f, sizeof f); return;
  case FORGE_F16: h = float_to_f16(f), memcpy(p, &h, sizeof h); return;
  case FORGE_BF16: h = float_to_bf16(f), memcpy(p, &h, sizeof h); return;
  case FORGE_I32: i = to_whole(value, INT32_MIN, INT32_MAX), memcpy(p, &i, sizeof i); return;
  default: *p = (uint8_t)to_whole(value, INT8_MIN, INT8_MAX);
  }
}

/* Elements of a plain type |step| bytes apart: a row of a tensor, or any other walk along one
 * dimension. */
typedef struct line {
  uint8_t *data;
  int64_t step;
  uint8_t dtype;
} line;

static inline line line_of(const view *v, int64_t row) {
  const int64_t bytes = packing_of(v->t.dtype).bytes;
  return (line){v->data + row_start(&v->t, row) * bytes, column_stride(&v->t) * bytes, v->t.dtype};
}
static inline double get(line l, int64_t i) { return element_read(l.dtype, l.data + i * l.step); }
static inline void put(line l, int64_t i, double value) {
  element_write(l.dtype, l.data + i * l.step, value);
}

#endif
