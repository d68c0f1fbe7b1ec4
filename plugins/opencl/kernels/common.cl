/* common.cl -- stands before every kernel file: element types by number, walks over strided
 * tensors. Numbers of types are those of forge/types.h. */
#pragma OPENCL FP_CONTRACT OFF

#define F32  1
#define F16  2
#define BF16 3
#define I32  4
#define I8   5

#define CAT_(a, b) a##b
#define CAT(a, b)  CAT_(a, b)

/* A tensor argument: `TENSOR(x)` declares __global char *x, ulong x_at. */
#define TENSOR(name) __global char *name##_base, ulong name##_at
#define BASE(name)   (name##_base + name##_at)

/* A kernel's work-group, said before `void`: what is known is compiled once, and for that alone. */
#define GROUP(x, y) __attribute__((reqd_work_group_size(x, y, 1)))

/* All of a group of TEAM work-items (an option) arrive. On CPUs a group is one work-item: no
 * barrier is left, and drivers have much less to compile. */
#if !defined(TEAM) || TEAM > 1
#define ALL_HERE barrier(CLK_LOCAL_MEM_FENCE)
#else
#define ALL_HERE
#endif

/* ---- numbers ---- */

inline float half_to_float(ushort h) {
  const uint sign = (uint)(h & 0x8000) << 16, rest = (uint)(h & 0x7fff) << 13;
  if (rest > 0x0f800000u) return as_float(sign | rest | 0x7fc00000u);
  if (rest == 0x0f800000u) return as_float(sign | 0x7f800000u);
  if (rest < 0x00800000u) { /* subnormal or zero: exact in float */
    const float f = (float)(h & 0x3ff) * 0x1p-24f;
    return as_float(as_uint(f) | sign);
  }
  return as_float(sign | (rest + 0x38000000u));
}

/* To nearest, ties to even. */
inline ushort float_to_half(float f) {
  const uint bits = as_uint(f), a = bits & 0x7fffffffu, sign = bits >> 16 & 0x8000u;
  if (a > 0x7f800000u) return (ushort)(sign | 0x7e00u);
  if (a >= 0x477ff000u) return (ushort)(sign | 0x7c00u);
  if (a >= 0x38800000u) { /* normal */
    const uint r = a - 0x38000000u;
    return (ushort)(sign | (r + 0xfffu + (r >> 13 & 1u)) >> 13);
  }
  if (a < 0x33000000u) return (ushort)sign; /* less than half of the smallest */
  const uint shift = 126u - (a >> 23), m = (a & 0x7fffffu) | 0x800000u;
  const uint q = m >> shift, rest = m & ((1u << shift) - 1u), tie = 1u << (shift - 1u);
  return (ushort)(sign | (q + (rest > tie || (rest == tie && (q & 1u)))));
}

inline float bf16_to_float(ushort h) { return as_float((uint)h << 16); }

inline ushort float_to_bf16(float f) {
  const uint bits = as_uint(f);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return (ushort)(bits >> 16 | 0x40u);
  return (ushort)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* Towards zero, held at the ends; a NaN is 0. */
inline int float_to_int(float f) {
  if (f != f) return 0;
  if (f >= 2147483648.0f) return INT_MAX;
  if (f <= -2147483648.0f) return INT_MIN;
  return (int)f;
}
inline char float_to_i8(float f) {
  if (f != f) return 0;
  return (char)(int)clamp(f, -128.0f, 127.0f);
}

/* Element |i| of a type as float, and back. |p| is a __global char pointer. */
#define LOAD_1(p, i) (((__global const float *)(p))[i])
#define LOAD_2(p, i) half_to_float(((__global const ushort *)(p))[i])
#define LOAD_3(p, i) bf16_to_float(((__global const ushort *)(p))[i])
#define LOAD_4(p, i) ((float)((__global const int *)(p))[i])
#define LOAD_5(p, i) ((float)((__global const char *)(p))[i])
#define STORE_1(p, i, v) (((__global float *)(p))[i] = (v))
#define STORE_2(p, i, v) (((__global ushort *)(p))[i] = float_to_half(v))
#define STORE_3(p, i, v) (((__global ushort *)(p))[i] = float_to_bf16(v))
#define STORE_4(p, i, v) (((__global int *)(p))[i] = float_to_int(v))
#define STORE_5(p, i, v) (((__global char *)(p))[i] = float_to_i8(v))
#define LOAD(type, p, i)     CAT(LOAD_, type)(p, i)
#define STORE(type, p, i, v) CAT(STORE_, type)(p, i, v)

#define SIZE_1 4
#define SIZE_2 2
#define SIZE_3 2
#define SIZE_4 4
#define SIZE_5 1
#define SIZE(type) CAT(SIZE_, type)

/* ---- sixteen floats side by side ---- */

#define LANES_1(p, i) vload16(0, (__global const float *)(p) + (i))
#define LANES_2(p, i) vload_half16(0, (__global const half *)(p) + (i))
#define LANES_3(p, i)                                                                              \
  as_float16(convert_uint16(vload16(0, (__global const ushort *)(p) + (i))) << 16)
#define LANES(type, p, i) CAT(LANES_, type)(p, i)

/* The first |n| of sixteen elements |step| apart, |rest| behind them. */
#define SOME(type, p, i, step, n, rest, to)                                                        \
  do {                                                                                             \
    float part_[16];                                                                               \
    vstore16((float16)(rest), 0, part_);                                                           \
    _Pragma("unroll 1") for (int l_ = 0; l_ < 16 && l_ < (n); l_++)                                \
      part_[l_] = LOAD(type, p, (i) + l_ * (step));                                                \
    to = vload16(0, part_);                                                                        \
  } while (0)

/* Pairs (l, l+8), then (l, l+4), (l, l+2), (0, 1). */
inline float sum16(float16 s) {
  const float8 a = s.lo + s.hi;
  const float4 b = a.lo + a.hi;
  const float2 c = b.lo + b.hi;
  return c.x + c.y;
}
inline float max16(float16 s) {
  const float8 a = fmax(s.lo, s.hi);
  const float4 b = fmax(a.lo, a.hi);
  const float2 c = fmax(b.lo, b.hi);
  return fmax(c.x, c.y);
}

/* Element |j| of q = element |i| of p, bit for bit; element |j| of q = the low bits of |b|. */
#define COPY_1(q, j, p, i) (((__global uint *)(q))[j] = ((__global const uint *)(p))[i])
#define COPY_2(q, j, p, i) (((__global ushort *)(q))[j] = ((__global const ushort *)(p))[i])
#define COPY_3(q, j, p, i) COPY_2(q, j, p, i)
#define COPY_4(q, j, p, i) COPY_1(q, j, p, i)
#define COPY_5(q, j, p, i) (((__global uchar *)(q))[j] = ((__global const uchar *)(p))[i])
#define COPY(type, q, j, p, i) CAT(COPY_, type)(q, j, p, i)
#define PUT_1(q, j, b) (((__global uint *)(q))[j] = (b))
#define PUT_2(q, j, b) (((__global ushort *)(q))[j] = (ushort)(b))
#define PUT_3(q, j, b) PUT_2(q, j, b)
#define PUT_4(q, j, b) PUT_1(q, j, b)
#define PUT_5(q, j, b) (((__global uchar *)(q))[j] = (uchar)(b))
#define PUT(type, q, j, b) CAT(PUT_, type)(q, j, b)

/* ---- walks ---- */

/* ocl_nd of opencl.h. */
typedef struct nd {
  long n;
  long dim[6], stride[4][6];
  int rank, dense;
} nd;

/* Where element number |i| of tensor |k| is, in elements. */
inline long nd_at(const nd *s, int k, long i) {
  long at = 0;
  if (s->n <= INT_MAX) { /* short divisions are several times as fast */
    uint left = (uint)i;
    for (int d = 0; d + 1 < s->rank; d++) {
      const uint dim = (uint)s->dim[d], q = left / dim;
      at += (left - q * dim) * s->stride[k][d];
      left = q;
    }
    i = left;
  } else {
    for (int d = 0; d + 1 < s->rank; d++) {
      const long q = i / s->dim[d];
      at += (i - q * s->dim[d]) * s->stride[k][d];
      i = q;
    }
  }
  return s->rank ? at + i * s->stride[k][s->rank - 1] : at;
}
#define ND_AT(shape, k, i) ((shape).dense ? (i) : nd_at(&(shape), k, i))

/* ---- products ---- */

/* Extents, strides in elements, and the dims the product is repeated over. */
typedef struct product {
  long m, n, k, block;
  long a_m, a_k, b_n, b_k, y_m, y_n, bias_n; /* bias_n < 0: none */
  long count, dim[4], a[4], b[4], y[4];
  long y_type;
} product;

/* Adds to the three offsets where product number |i| lies. */
inline void find_product(const product *t, long i, long *a, long *b, long *y) {
  for (int d = 3; d >= 0; d--) {
    const long q = i / t->dim[d], at = i - q * t->dim[d];
    *a += at * t->a[d];
    *b += at * t->b[d];
    *y += at * t->y[d];
    i = q;
  }
}

/* Element (i, j) of the product at |y|. */
inline void put_product(const product *t, __global const char *bias, __global char *y, long i,
                        long j, float v) {
  if (t->bias_n >= 0) v += ((__global const float *)bias)[j * t->bias_n];
  const long at = i * t->y_m + j * t->y_n;
  if (t->y_type == F32) STORE(1, y, at, v);
  else if (t->y_type == F16) STORE(2, y, at, v);
  else STORE(3, y, at, v);
}

#ifdef Q
/* ---- block types: sixteen neighbours decoded, number |t| of a block ----
 *
 * Every product is exact in float, so a decoded element has one value, however it is computed. */

#define Q_ELEMS (Q >= 18 ? 256 : 32)
#define Q_BYTES (Q == 16 ? 34 : Q == 17 ? 18 : Q == 18 ? 144 : 210)

inline float block_half(__global const char *p) { return vload_half(0, (__global const half *)p); }

/* Four bits of each of sixteen bytes. */
inline uchar16 block_nibbles(__global const char *p, int high) {
  const uchar16 q = vload16(0, (__global const uchar *)p);
  return high ? q >> (uchar)4 : q & (uchar)15;
}

#if Q == 16 /* Q8_0 */
inline float16 block_lanes(__global const char *p, int t) {
  return block_half(p) * convert_float16(vload16(0, p + 2 + 16 * t));
}
#elif Q == 17 /* Q4_0 */
inline float16 block_lanes(__global const char *p, int t) {
  return block_half(p) * (convert_float16(block_nibbles(p + 2, t)) - 8.0f);
}
#elif Q == 18 /* Q4_K: eight groups of 32 with a scale and a subtrahend of six bits each */
inline float16 block_lanes(__global const char *p, int t) {
  __global const uchar *s = (__global const uchar *)p + 4;
  const int b = t / 2;
  const int scale = b < 4 ? s[b] & 63 : (s[b + 4] & 15) | (s[b - 4] >> 6) << 4;
  const int less = b < 4 ? s[b + 4] & 63 : s[b + 4] >> 4 | (s[b] >> 6) << 4;
  const float16 q = convert_float16(block_nibbles(p + 16 + t / 4 * 32 + t % 2 * 16, b % 2));
  return block_half(p) * (float)scale * q - block_half(p + 2) * (float)less;
}
#else /* Q6_K: sixteen groups of 16 with a scale of eight bits each */
inline float16 block_lanes(__global const char *p, int t) {
  const int b = t / 2 % 4, i = t % 2 * 16;
  const uchar16 low = block_nibbles(p + t / 8 * 64 + b % 2 * 32 + i, b / 2);
  const uchar16 high = vload16(0, (__global const uchar *)p + 128 + t / 8 * 32 + i);
  const uchar16 q = low | (high >> (uchar)(2 * b) & (uchar)3) << (uchar)4;
  return block_half(p + 208) * (float)p[192 + t] * (convert_float16(q) - 32.0f);
}
#endif
#endif /* Q */
