/* quant_encode.c -- block types written. For each group of elements several scales are tried; for
 * each, the elements are rounded and the scale (and offset) that fits the rounded ones best follows
 * from least squares, weighted so that large elements count more. The best by that measure stays.
 */
#include <math.h>
#include <string.h>

#include "cpu.h"
#include "lanes.h"
#include "quant.h"

static void store16(uint8_t *p, float scale) {
  const uint16_t h = cpu_f32_to_f16(scale);
  memcpy(p, &h, sizeof h);
}
static float as_f16(float f) { return cpu_f16_to_f32(cpu_f32_to_f16(f)); }

/* To the nearest whole number within low..high. The bounds come second: NaN gives a bound. */
static lanes round_to(lanes x, float low, float high) {
  const lanes big = lanes_set1(0x1.8p23f);
  const lanes y = lanes_max(lanes_min(x, lanes_set1(high)), lanes_set1(low));
  return lanes_sub(lanes_add(y, big), big);
}
static int round_one(float x, int low, int high) {
  const float y = x < (float)high ? x : (float)high;
  return (int)nearbyintf(y > (float)low ? y : (float)low);
}

/* q[i] = in[i] * inverse + shift, rounded, within low..high */
static void round_all(const float *in, int n, float inverse, float shift, float low, float high,
                      int8_t *q) {
  float y[32];
  for (int i = 0; i < n; i += LANES) {
    const lanes x =
        lanes_add(lanes_mul(lanes_load(in + i), lanes_set1(inverse)), lanes_set1(shift));
    lanes_store(y + i, round_to(x, low, high));
  }
  for (int i = 0; i < n; i++) q[i] = (int8_t)y[i];
}

/* The element farthest from zero, with its sign. */
static float extreme(const float *in, int n) {
  float most = 0.0f;
  for (int i = 0; i < n; i++)
    if (!(fabsf(in[i]) <= fabsf(most))) most = in[i];
  return most;
}
static float inverse_of(float x) { return x != 0.0f ? 1.0f / x : 0.0f; }

void cpu_encode_q8_0(const float *in, uint8_t *block) {
  const float d = as_f16(fabsf(extreme(in, 32)) / 127.0f);
  store16(block, d);
  round_all(in, 32, inverse_of(d), 0.0f, -127.0f, 127.0f, (int8_t *)block + 2);
}

/* ---- one scale: x = scale * q with q in low..-low-1 ---- */

/* The scale for |n| (16 or 32) elements; 0 where all are. Searched around the one that maps the
 * extreme element onto the end of the range that reaches farther. */
static float fit_scale(const float *in, int n, float low) {
  const float most = extreme(in, n);
  float best = 0.0f, best_gain = 0.0f;
  if (most == 0.0f) return 0.0f;
  for (int try = -9; try <= 9; try++) {
    const lanes inverse = lanes_set1((low + 0.1f * (float)try) / most);
    lanes xq = lanes_zero(), qq = lanes_zero();
    for (int i = 0; i < n; i += LANES) {
      const lanes x = lanes_load(in + i), q = round_to(lanes_mul(x, inverse), low, -low - 1.0f);
      const lanes wq = lanes_mul(lanes_mul(x, x), q);
      xq = lanes_fma(wq, x, xq);
      qq = lanes_fma(wq, q, qq);
    }
    const float sxq = lanes_sum(xq), sqq = lanes_sum(qq), gain = sxq * (sxq / sqq);
    if (!(gain > best_gain)) continue;
    best_gain = gain;
    best = sxq / sqq;
  }
  /* Squares that vanish or overflow, or an element that is not finite: the plain scale. */
  return best_gain > 0.0f && isfinite(best) ? best : most / low;
}

void cpu_encode_q4_0(const float *in, uint8_t *block) {
  const float d = as_f16(fit_scale(in, 32, -8.0f));
  int8_t q[32];
  store16(block, d);
  round_all(in, 32, inverse_of(d), 8.0f, 0.0f, 15.0f, q);
  for (int i = 0; i < 16; i++) block[2 + i] = (uint8_t)(q[i] | q[i + 16] << 4);
}

void cpu_encode_q6_k(const float *in, uint8_t *block) {
  float scale[16];
  int8_t q[256];
  for (int b = 0; b < 16; b++) scale[b] = fit_scale(in + 16 * b, 16, -32.0f);
  const float d = as_f16(extreme(scale, 16) / -128.0f), inverse = inverse_of(d);
  for (int b = 0; b < 16; b++) {
    const int s = round_one(scale[b] * inverse, -128, 127);
    block[192 + b] = (uint8_t)s;
    round_all(in + 16 * b, 16, inverse_of(d * (float)s), 32.0f, 0.0f, 63.0f, q + 16 * b);
  }
  store16(block + 208, d);
  for (int half = 0; half < 2; half++)
    for (int i = 0; i < 32; i++) {
      const uint8_t *u = (const uint8_t *)q + 128 * half + i;
      block[64 * half + i] = (uint8_t)((u[0] & 15) | (u[64] & 15) << 4);
      block[64 * half + i + 32] = (uint8_t)((u[32] & 15) | (u[96] & 15) << 4);
      block[128 + 32 * half + i] =
          (uint8_t)(u[0] >> 4 | (u[32] >> 4) << 2 | (u[64] >> 4) << 4 | (u[96] >> 4) << 6);
    }
}

/* ---- scale and offset: x = scale * q - less with q in 0..15 and less >= 0 ---- */

typedef struct line {
  float scale, less;
} line;

typedef struct sums {
  float w, q, qq, x, xq; /* weighted */
} sums;

/* Weight of an element: its size beside the group's root mean square. */
static float weights(const float *in, float *w) {
  lanes square = lanes_zero();
  for (int i = 0; i < 32; i += LANES)
    square = lanes_fma(lanes_load(in + i), lanes_load(in + i), square);
  const float rms = sqrtf(lanes_sum(square) / 32.0f);
  for (int i = 0; i < 32; i++) w[i] = rms + fabsf(in[i]);
  return rms;
}

static sums sum_up(const float *in, const float *w, float inverse, float low) {
  lanes sw = lanes_zero(), sq = sw, sqq = sw, sx = sw, sxq = sw;
  for (int i = 0; i < 32; i += LANES) {
    const lanes x = lanes_load(in + i), wi = lanes_load(w + i);
    const lanes q =
        round_to(lanes_mul(lanes_sub(x, lanes_set1(low)), lanes_set1(inverse)), 0.0f, 15.0f);
    const lanes wq = lanes_mul(wi, q), wx = lanes_mul(wi, x);
    sw = lanes_add(sw, wi);
    sq = lanes_add(sq, wq);
    sqq = lanes_fma(wq, q, sqq);
    sx = lanes_add(sx, wx);
    sxq = lanes_fma(wx, q, sxq);
  }
  return (sums){lanes_sum(sw), lanes_sum(sq), lanes_sum(sqq), lanes_sum(sx), lanes_sum(sxq)};
}

/* What the weighted squared error is below that of all zeros: the larger the better. */
static float gain_of(const sums *s, line l) {
  return 2.0f * (l.scale * s->xq - l.less * s->x) - l.scale * l.scale * s->qq +
         2.0f * l.scale * l.less * s->q - l.less * l.less * s->w;
}

static line fit_line(const float *in) {
  float low = 0.0f, high = in[0], w[32];
  for (int i = 0; i < 32; i++) {
    low = in[i] < low ? in[i] : low;
    high = in[i] > high ? in[i] : high;
  }
  const float rms = weights(in, w);
  line best = {(high - low) / 15.0f, -low};
  if (!(high > low) || !isfinite(rms)) return best;
  float best_gain = -INFINITY;
  for (int try = -10; try <= 10; try++) {
    const sums s = sum_up(in, w, (15.0f + 0.1f * (float)try) / (high - low), low);
    const float det = s.w * s.qq - s.q * s.q;
    if (!(det > 0.0f)) continue;
    line l = {(s.w * s.xq - s.x * s.q) / det, (s.q * s.xq - s.qq * s.x) / det};
    if (l.less < 0.0f) l = (line){s.xq / s.qq, 0.0f};
    const float gain = gain_of(&s, l);
    if (!(gain > best_gain)) continue;
    best_gain = gain;
    best = l;
  }
  return best;
}

/* Eight 6-bit scales and minima in 12 bytes: the first four whole, the upper bits of the others
 * above them. */
static void pack_six(const uint8_t *scale, const uint8_t *less, uint8_t *out) {
  for (int b = 0; b < 4; b++) {
    out[b] = (uint8_t)(scale[b] | (scale[b + 4] >> 4) << 6);
    out[b + 4] = (uint8_t)(less[b] | (less[b + 4] >> 4) << 6);
    out[b + 8] = (uint8_t)((scale[b + 4] & 15) | (less[b + 4] & 15) << 4);
  }
}

void cpu_encode_q4_k(const float *in, uint8_t *block) {
  line fit[8];
  float scale = 0.0f, less = 0.0f;
  uint8_t s[8], m[8];
  for (int b = 0; b < 8; b++) {
    fit[b] = fit_line(in + 32 * b);
    if (!(fit[b].scale <= scale)) scale = fit[b].scale;
    if (!(fit[b].less <= less)) less = fit[b].less;
  }
  const float d = as_f16(scale / 63.0f), dmin = as_f16(less / 63.0f);
  int8_t q[256];
  store16(block, d);
  store16(block + 2, dmin);
  for (int b = 0; b < 8; b++) {
    s[b] = (uint8_t)round_one(fit[b].scale * inverse_of(d), 0, 63);
    m[b] = (uint8_t)round_one(fit[b].less * inverse_of(dmin), 0, 63);
    const float inverse = inverse_of(d * (float)s[b]);
    round_all(in + 32 * b, 32, inverse, dmin * (float)m[b] * inverse, 0.0f, 15.0f, q + 32 * b);
  }
  pack_six(s, m, block + 4);
  for (int j = 0; j < 4; j++)
    for (int i = 0; i < 32; i++)
      block[16 + 32 * j + i] = (uint8_t)(q[64 * j + i] | q[64 * j + 32 + i] << 4);
}
