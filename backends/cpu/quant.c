/* quant.c -- elements of every type to f32 and back. Plain types here; block types are read here
 * and written in quant_encode.c. */
#include <string.h>

#include "cpu.h"
#include "lanes.h"
#include "quant.h"
#include "quant_block.h"

/* ---- half precision ---- */

float cpu_f16_to_f32(uint16_t h) {
  const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, rest = (uint32_t)(h & 0x7fffu) << 13;
  uint32_t bits = sign | rest;
  float f;
  if (rest > 0x0f800000u)
    bits |= 0x7fc00000u; /* NaN, made quiet */
  else if (rest == 0x0f800000u)
    bits |= 0x7f800000u;
  memcpy(&f, &bits, sizeof f);
  return rest >= 0x0f800000u ? f : f * 0x1p112f; /* the exponent's bias, and denormals */
}

uint16_t cpu_f32_to_f16(float f) {
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
  const uint32_t rest = bits & 0x7fffffffu;
  if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (rest >> 13 & 0x3ffu));
  if (rest >= 0x477ff000u) return sign | 0x7c00u; /* rounds past 65504 */
  if (rest < 0x38800000u) {                       /* a denormal: let an addition round */
    float small;
    memcpy(&small, &rest, sizeof small);
    small += 0.5f;
    memcpy(&bits, &small, sizeof bits);
    return (uint16_t)(sign | (bits - 0x3f000000u));
  }
  return (uint16_t)(sign | ((rest + 0xfffu + (rest >> 13 & 1u) - 0x38000000u) >> 13));
}

float cpu_bf16_to_f32(uint16_t h) {
  const uint32_t bits = (uint32_t)h << 16;
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

uint16_t cpu_f32_to_bf16(float f) {
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
  return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* ---- block types (quant_block.h) ---- */

static uint16_t load16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

/* One block of each type. */
#define DECODE(name, dtype)                                                                        \
  static void decode_##name(const uint8_t *block, float *out) {                                    \
    quant_scales s;                                                                                \
    quant_open(dtype, block, &s);                                                                  \
    _Pragma("GCC unroll 16") for (int t = 0; t < quant_elems(dtype) / LANES; t++)                  \
        lanes_store(out + LANES * t, quant_piece(dtype, block, t, &s));                            \
  }
DECODE(q8_0, FORGE_Q8_0)
DECODE(q4_0, FORGE_Q4_0)
DECODE(q4_k, FORGE_Q4_K)
DECODE(q6_k, FORGE_Q6_K)

static const struct {
  int32_t elems, bytes;
  void (*decode)(const uint8_t *block, float *out);
  void (*encode)(const float *in, uint8_t *block);
} blocks[] = {
    [FORGE_Q8_0] = {32, 34, decode_q8_0, cpu_encode_q8_0},
    [FORGE_Q4_0] = {32, 18, decode_q4_0, cpu_encode_q4_0},
    [FORGE_Q4_K] = {256, 144, decode_q4_k, cpu_encode_q4_k},
    [FORGE_Q6_K] = {256, 210, decode_q6_k, cpu_encode_q6_k},
};

bool cpu_is_block(uint8_t dtype) {
  return dtype < sizeof blocks / sizeof *blocks && blocks[dtype].elems;
}
int64_t cpu_block_elems(uint8_t dtype) { return cpu_is_block(dtype) ? blocks[dtype].elems : 1; }
int64_t cpu_row_bytes(uint8_t dtype, int64_t n) {
  return cpu_is_block(dtype) ? n / blocks[dtype].elems * blocks[dtype].bytes
                             : n * (int64_t)cpu_type_bytes(dtype);
}

/* ---- rows ---- */

static void decode_halves(const uint8_t *from, int64_t n, float *out,
                          lanes (*load)(const uint16_t *), float (*one)(uint16_t)) {
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    lanes_store(out + i, load((const uint16_t *)(const void *)(from + 2 * i)));
  for (; i < n; i++) out[i] = one(load16(from + 2 * i));
}

static void decode_i32(const uint8_t *from, int64_t n, float *out) {
  for (int64_t i = 0; i < n; i++) {
    int32_t v;
    memcpy(&v, from + 4 * i, sizeof v);
    out[i] = (float)v;
  }
}

void cpu_decode(uint8_t dtype, const uint8_t *row, int64_t first, int64_t n, float *out) {
  const uint8_t *from = row + cpu_row_bytes(dtype, first);
  switch (dtype) {
  case FORGE_F32: memcpy(out, from, (size_t)n * sizeof *out); return;
  case FORGE_F16: decode_halves(from, n, out, lanes_load_f16, cpu_f16_to_f32); return;
  case FORGE_BF16: decode_halves(from, n, out, lanes_load_bf16, cpu_bf16_to_f32); return;
  case FORGE_I32: decode_i32(from, n, out); return;
  case FORGE_I8:
    for (int64_t i = 0; i < n; i++) out[i] = (float)(int8_t)from[i];
    return;
  default: break;
  }
  for (; n > 0; n -= blocks[dtype].elems, from += blocks[dtype].bytes, out += blocks[dtype].elems)
    blocks[dtype].decode(from, out);
}

/* Towards zero, NaN to 0, what does not fit to the nearest that does. */
static int32_t whole(float f, float low, float high) {
  if (!(f > low)) return f <= low ? (int32_t)low : 0;
  return f >= high ? (high > 1e9f ? INT32_MAX : (int32_t)high) : (int32_t)f;
}

void cpu_encode(uint8_t dtype, const float *in, int64_t n, uint8_t *out) {
  if (dtype == FORGE_F32) memcpy(out, in, (size_t)n * sizeof *in);
  uint16_t half;
  int32_t number;
  for (int64_t i = 0; i < n && !cpu_is_block(dtype); i++) switch (dtype) {
    case FORGE_F16:
      half = cpu_f32_to_f16(in[i]);
      memcpy(out + 2 * i, &half, sizeof half);
      break;
    case FORGE_BF16:
      half = cpu_f32_to_bf16(in[i]);
      memcpy(out + 2 * i, &half, sizeof half);
      break;
    case FORGE_I32:
      number = whole(in[i], -0x1p31f, 0x1p31f);
      memcpy(out + 4 * i, &number, sizeof number);
      break;
    case FORGE_I8: out[i] = (uint8_t)whole(in[i], -128.0f, 127.0f); break;
    default: break;
    }
  if (!cpu_is_block(dtype)) return;
  for (; n > 0; n -= blocks[dtype].elems, in += blocks[dtype].elems, out += blocks[dtype].bytes)
    blocks[dtype].encode(in, out);
}
