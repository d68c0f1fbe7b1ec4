/* blocks.h -- block types (forge/types.h has the layouts): one element read, one block written.
 * Written blocks map the largest element onto the end of the range; a search would fit better. */
#ifndef BLOCKS_H
#define BLOCKS_H

#include <math.h>

#include "elements.h"

enum { MAX_BLOCK = 256 }; /* elements */

static inline double half_at(const uint8_t *p) { return element_read(FORGE_F16, p); }

/* Stores a scale and gives back what was stored, so that what is divided by is what will be
 * multiplied by. Rounds away from zero: a scale that is too small would cut off the largest. */
static inline double scale_put(uint8_t *p, double value) {
  uint16_t h = float_to_f16((float)value);
  if (fabs((double)f16_to_float(h)) < fabs(value)) h++;
  memcpy(p, &h, sizeof h);
  return f16_to_float(h);
}

/* ---- Q4_K packs eight 6-bit scales and eight 6-bit minima into 12 bytes ---- */

static inline int six_scale(const uint8_t *p, int b) {
  return b < 4 ? p[b] & 63 : (p[b + 4] & 15) | p[b - 4] >> 6 << 4;
}
static inline int six_minimum(const uint8_t *p, int b) {
  return b < 4 ? p[b + 4] & 63 : p[b + 4] >> 4 | p[b] >> 6 << 4;
}
static inline void six_put(uint8_t *p, int b, int scale, int minimum) {
  if (b < 4) {
    p[b] |= (uint8_t)scale;
    p[b + 4] |= (uint8_t)minimum;
  } else {
    p[b + 4] = (uint8_t)((scale & 15) | (minimum & 15) << 4);
    p[b - 4] |= (uint8_t)(scale >> 4 << 6);
    p[b] |= (uint8_t)(minimum >> 4 << 6);
  }
}

/* Where element |i| of a Q6_K block keeps its low four and its high two bits. */
typedef struct six_place {
  int low, low_shift, high, high_shift;
} six_place;
static inline six_place q6_place(int i) {
  const int half = i / 128, quarter = i % 128 / 32, k = i % 32;
  return (six_place){64 * half + 32 * (quarter & 1) + k, 4 * (quarter >> 1), 128 + 32 * half + k,
                     2 * quarter};
}

static inline double block_read(uint8_t dtype, const uint8_t *p, int i) {
  switch (dtype) {
  case FORGE_Q8_0: return half_at(p) * (int8_t)p[2 + i];
  case FORGE_Q4_0: return half_at(p) * ((p[2 + i % 16] >> 4 * (i / 16) & 15) - 8);
  case FORGE_Q4_K: {
    const int b = i / 32, q = p[16 + 32 * (b / 2) + i % 32] >> 4 * (b % 2) & 15;
    return half_at(p) * six_scale(p + 4, b) * q - half_at(p + 2) * six_minimum(p + 4, b);
  }
  default: {
    const six_place at = q6_place(i);
    const int q = (p[at.low] >> at.low_shift & 15) | (p[at.high] >> at.high_shift & 3) << 4;
    return half_at(p + 208) * (int8_t)p[192 + i / 16] * (q - 32);
  }
  }
}

/* ---- writing ---- */

static inline int nearest(double x, int low, int high) {
  return x > low ? x < high ? (int)lrint(x) : high : low;
}
static inline double inverse_of(double x) { return x != 0 ? 1 / x : 0; }

/* The element farthest from zero, with its sign. */
static inline double extreme(const float *x, int n) {
  double most = 0;
  for (int i = 0; i < n; i++)
    if (fabs(x[i]) > fabs(most)) most = x[i];
  return most;
}

static inline void write_q8_0(uint8_t *p, const float *x) {
  const double inverse = inverse_of(scale_put(p, fabs(extreme(x, 32)) / 127));
  for (int i = 0; i < 32; i++) p[2 + i] = (uint8_t)nearest(x[i] * inverse, -127, 127);
}

static inline void write_q4_0(uint8_t *p, const float *x) {
  const double inverse = inverse_of(scale_put(p, extreme(x, 32) / -8));
  for (int i = 0; i < 32; i++)
    p[2 + i % 16] |= (uint8_t)(nearest(x[i] * inverse + 8, 0, 15) << 4 * (i / 16));
}

static inline void write_q4_k(uint8_t *p, const float *x) {
  double low[8], high[8], most_range = 0, most_low = 0;
  for (int b = 0; b < 8; b++) {
    low[b] = high[b] = 0;
    for (int i = 32 * b; i < 32 * b + 32; i++) {
      low[b] = fmin(low[b], x[i]);
      high[b] = fmax(high[b], x[i]);
    }
    most_range = fmax(most_range, high[b] - low[b]);
    most_low = fmax(most_low, -low[b]);
  }
  const double d = scale_put(p, most_range / 15 / 63), dmin = scale_put(p + 2, most_low / 63);
  for (int b = 0; b < 8; b++) {
    const int scale = nearest((high[b] - low[b]) / 15 * inverse_of(d), 0, 63);
    const int minimum = nearest(-low[b] * inverse_of(dmin), 0, 63);
    const double inverse = inverse_of(d * scale);
    six_put(p + 4, b, scale, minimum);
    for (int i = 0; i < 32; i++) {
      const int q = nearest((x[32 * b + i] + dmin * minimum) * inverse, 0, 15);
      p[16 + 32 * (b / 2) + i] |= (uint8_t)(q << 4 * (b % 2));
    }
  }
}

static inline void write_q6_k(uint8_t *p, const float *x) {
  const double d = scale_put(p + 208, fabs(extreme(x, 256)) / 32 / 127);
  for (int b = 0; b < 16; b++) {
    const int scale = nearest(extreme(x + 16 * b, 16) / -32 * inverse_of(d), -128, 127);
    p[192 + b] = (uint8_t)scale;
    for (int i = 16 * b; i < 16 * b + 16; i++) {
      const int q = nearest(x[i] * inverse_of(d * scale), -32, 31) + 32;
      const six_place at = q6_place(i);
      p[at.low] |= (uint8_t)((q & 15) << at.low_shift);
      p[at.high] |= (uint8_t)(q >> 4 << at.high_shift);
    }
  }
}

static inline void block_write(uint8_t dtype, uint8_t *p, const float *x) {
  memset(p, 0, (size_t)packing_of(dtype).bytes);
  switch (dtype) {
  case FORGE_Q8_0: write_q8_0(p, x); return;
  case FORGE_Q4_0: write_q4_0(p, x); return;
  case FORGE_Q4_K: write_q4_k(p, x); return;
  default: write_q6_k(p, x);
  }
}

#endif
