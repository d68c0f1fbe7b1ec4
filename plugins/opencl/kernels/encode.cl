/* encode.cl -- block types written, a block per work-item. -DX: type of what is read, -DBLOCK:
 * number of the block type. For each group of elements several scales are tried; for each, the
 * elements are rounded and the scale (and offset) that fits the rounded ones best follows from
 * least squares, weighted so that large elements count more. The best by that measure stays. */

#if BLOCK == 16 || BLOCK == 17 /* Q8_0, Q4_0 */
#define ELEMS 32
#else
#define ELEMS 256
#endif
#define BYTES (BLOCK == 16 ? 34 : BLOCK == 17 ? 18 : BLOCK == 18 ? 144 : 210)

inline void put16(__global uchar *p, float f) {
  const ushort h = float_to_half(f);
  p[0] = (uchar)h;
  p[1] = (uchar)(h >> 8);
}
inline float as_f16(float f) { return half_to_float(float_to_half(f)); }
inline float inverse_of(float x) { return x != 0.0f ? 1.0f / x : 0.0f; }

/* To the nearest whole number within low..high; a NaN gives a bound. */
inline float round_to(float x, float low, float high) {
  const float y = x < high ? x : high;
  return rint(y > low ? y : low);
}

/* The element farthest from zero, with its sign. */
inline float extreme(const float *in, int n) {
  float most = 0.0f;
  for (int i = 0; i < n; i++)
    if (!(fabs(in[i]) <= fabs(most))) most = in[i];
  return most;
}

/* One scale, x = scale * q with q in low..-low-1, searched around the one that maps the extreme
 * element onto the end of the range that reaches farther. */
inline float fit_scale(const float *in, int n, float low) {
  const float most = extreme(in, n);
  float best = 0.0f, best_gain = 0.0f;
  if (most == 0.0f) return 0.0f;
  for (int attempt = -9; attempt <= 9; attempt++) {
    const float inverse = (low + 0.1f * (float)attempt) / most;
    float xq = 0.0f, qq = 0.0f;
    for (int i = 0; i < n; i++) {
      const float x = in[i], q = round_to(x * inverse, low, -low - 1.0f), wq = x * x * q;
      xq = fma(wq, x, xq);
      qq = fma(wq, q, qq);
    }
    const float gain = xq * (xq / qq);
    if (!(gain > best_gain)) continue;
    best_gain = gain;
    best = xq / qq;
  }
  /* Squares that vanish or overflow, or an element that is not finite: the plain scale. */
  return best_gain > 0.0f && isfinite(best) ? best : most / low;
}

#if BLOCK == 16
inline void encode(const float *in, __global uchar *block) {
  const float d = as_f16(fabs(extreme(in, 32)) / 127.0f), inverse = inverse_of(d);
  put16(block, d);
  for (int i = 0; i < 32; i++)
    block[2 + i] = (uchar)(char)(int)round_to(in[i] * inverse, -127.0f, 127.0f);
}
#elif BLOCK == 17
inline void encode(const float *in, __global uchar *block) {
  const float d = as_f16(fit_scale(in, 32, -8.0f)), inverse = inverse_of(d);
  put16(block, d);
  for (int i = 0; i < 16; i++) {
    const uint low = (uint)round_to(in[i] * inverse + 8.0f, 0.0f, 15.0f);
    const uint high = (uint)round_to(in[i + 16] * inverse + 8.0f, 0.0f, 15.0f);
    block[2 + i] = (uchar)(low | high << 4);
  }
}
#elif BLOCK == 19 /* Q6_K */
inline void encode(const float *in, __global uchar *block) {
  float scale[16];
  uchar q[256];
  for (int b = 0; b < 16; b++) scale[b] = fit_scale(in + 16 * b, 16, -32.0f);
  const float d = as_f16(extreme(scale, 16) / -128.0f), inverse = inverse_of(d);
  for (int b = 0; b < 16; b++) {
    const float s = round_to(scale[b] * inverse, -128.0f, 127.0f), step = inverse_of(d * s);
    block[192 + b] = (uchar)(char)(int)s;
    for (int i = 16 * b; i < 16 * b + 16; i++)
      q[i] = (uchar)round_to(in[i] * step + 32.0f, 0.0f, 63.0f);
  }
  put16(block + 208, d);
  for (int part = 0; part < 2; part++)
    for (int i = 0; i < 32; i++) {
      const uchar *u = q + 128 * part + i;
      block[64 * part + i] = (uchar)((u[0] & 15) | (u[64] & 15) << 4);
      block[64 * part + i + 32] = (uchar)((u[32] & 15) | (u[96] & 15) << 4);
      block[128 + 32 * part + i] =
          (uchar)(u[0] >> 4 | (u[32] >> 4) << 2 | (u[64] >> 4) << 4 | (u[96] >> 4) << 6);
    }
}
#else /* Q4_K */

/* Scale and offset of 32 elements: x = scale * q - less with q in 0..15 and less >= 0. (x: scale.)
 */
inline float2 fit_line(const float *in) {
  float low = 0.0f, high = in[0], square = 0.0f;
  for (int i = 0; i < 32; i++) {
    low = in[i] < low ? in[i] : low;
    high = in[i] > high ? in[i] : high;
    square = fma(in[i], in[i], square);
  }
  const float rms = sqrt(square / 32.0f); /* an element weighs its size beside this */
  float2 best = (float2)((high - low) / 15.0f, -low);
  if (!(high > low) || !isfinite(rms)) return best;
  float best_gain = -INFINITY;
  for (int attempt = -10; attempt <= 10; attempt++) {
    const float inverse = (15.0f + 0.1f * (float)attempt) / (high - low);
    float sw = 0.0f, sq = 0.0f, sqq = 0.0f, sx = 0.0f, sxq = 0.0f;
    for (int i = 0; i < 32; i++) {
      const float x = in[i], w = rms + fabs(x), q = round_to((x - low) * inverse, 0.0f, 15.0f);
      sw += w;
      sq += w * q;
      sqq = fma(w * q, q, sqq);
      sx += w * x;
      sxq = fma(w * x, q, sxq);
    }
    const float det = sw * sqq - sq * sq;
    if (!(det > 0.0f)) continue;
    float2 l = (float2)((sw * sxq - sx * sq) / det, (sq * sxq - sqq * sx) / det);
    if (l.y < 0.0f) l = (float2)(sxq / sqq, 0.0f);
    /* What the weighted squared error is below that of all zeros: the larger the better. */
    const float gain = 2.0f * (l.x * sxq - l.y * sx) - l.x * l.x * sqq + 2.0f * l.x * l.y * sq -
                       l.y * l.y * sw;
    if (!(gain > best_gain)) continue;
    best_gain = gain;
    best = l;
  }
  return best;
}

inline void encode(const float *in, __global uchar *block) {
  float2 fit[8], most = (float2)(0.0f, 0.0f);
  uint s[8], m[8];
  for (int b = 0; b < 8; b++) {
    fit[b] = fit_line(in + 32 * b);
    if (!(fit[b].x <= most.x)) most.x = fit[b].x;
    if (!(fit[b].y <= most.y)) most.y = fit[b].y;
  }
  const float d = as_f16(most.x / 63.0f), dmin = as_f16(most.y / 63.0f);
  put16(block, d);
  put16(block + 2, dmin);
  for (int b = 0; b < 8; b++) {
    s[b] = (uint)round_to(fit[b].x * inverse_of(d), 0.0f, 63.0f);
    m[b] = (uint)round_to(fit[b].y * inverse_of(dmin), 0.0f, 63.0f);
  }
  for (int b = 0; b < 4; b++) { /* the upper bits of the later four above the first four */
    block[4 + b] = (uchar)(s[b] | (s[b + 4] >> 4) << 6);
    block[8 + b] = (uchar)(m[b] | (m[b + 4] >> 4) << 6);
    block[12 + b] = (uchar)((s[b + 4] & 15) | (m[b + 4] & 15) << 4);
  }
  for (int j = 0; j < 4; j++)
    for (int i = 0; i < 32; i++) {
      uint q[2];
      for (int h = 0; h < 2; h++) {
        const int b = 2 * j + h;
        const float inverse = inverse_of(d * (float)s[b]);
        q[h] = (uint)round_to(in[32 * b + i] * inverse + dmin * (float)m[b] * inverse, 0.0f, 15.0f);
      }
      block[16 + 32 * j + i] = (uchar)(q[0] | q[1] << 4);
    }
}
#endif

/* rows walks y (0) and x (1); x_step: elements from column to column of x. */
__kernel void encode_rows(const nd rows, const long blocks, const long x_step, TENSOR(y),
                          TENSOR(x)) {
  const long b = (long)get_global_id(0), r = (long)get_global_id(1);
  if (b >= blocks || r >= rows.n) return;
  const long from = ND_AT(rows, 1, r) + b * ELEMS * x_step;
  float in[ELEMS];
  for (int i = 0; i < ELEMS; i++) in[i] = LOAD(X, BASE(x), from + i * x_step);
  encode(in, (__global uchar *)BASE(y) + (ND_AT(rows, 0, r) / ELEMS + b) * BYTES);
}
