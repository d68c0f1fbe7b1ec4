/* quant_block.h -- elements of a row made f32 in registers, sixteen at a time: what decodes for the
 * matrix products (gemv.c) and for cpu_decode (quant.c).
 *
 * The layouts are GGUF's (abi/registry/dtype.csv). Every product below is exact in f32 (11 bits of
 * scale times at most 8 of block scale times at most 6 of element; an 8-bit element has no block
 * scale), so that a decoded element has one value, however it was computed.
 *
 * All of it is to be inlined with constant |dtype| and |t|. */
#ifndef FORGE_CPU_QUANT_BLOCK_H
#define FORGE_CPU_QUANT_BLOCK_H

#include <string.h>

#include <forge/types.h>

#include "lanes.h"

#define QUANT_INLINE static inline __attribute__((always_inline))

/* What holds for a whole block. */
typedef struct quant_scales {
  lanes d;                   /* Q8_0, Q4_0 */
  float scale[16], less[16]; /* Q4_K (less from 8 on), Q6_K */
} quant_scales;

/* Elements and bytes of a block; of sixteen elements of a plain type. */
QUANT_INLINE int quant_elems(uint8_t dtype) {
  return dtype == FORGE_Q4_K || dtype == FORGE_Q6_K   ? 256
         : dtype == FORGE_Q8_0 || dtype == FORGE_Q4_0 ? 32
                                                      : LANES;
}
QUANT_INLINE int quant_bytes(uint8_t dtype) {
  switch (dtype) {
  case FORGE_Q8_0: return 34;
  case FORGE_Q4_0: return 18;
  case FORGE_Q4_K: return 144;
  case FORGE_Q6_K: return 210;
  default: return dtype == FORGE_F32 ? 64 : 32;
  }
}

QUANT_INLINE lanes quant_half(const uint8_t *p) {
  uint16_t h;
  memcpy(&h, p, sizeof h);
  return lanes_set_f16(h);
}

/* Eight scales and eight subtrahends of six bits: the first four of either lie whole in four bytes;
 * the others have four bits each in the last four bytes and two on top of the first eight. */
QUANT_INLINE lanes_bytes quant_unpack_q4_k(const uint8_t *packed) {
  uint32_t scale, less, rest;
  memcpy(&scale, packed, sizeof scale);
  memcpy(&less, packed + 4, sizeof less);
  memcpy(&rest, packed + 8, sizeof rest);
  const uint32_t six = 0x3f3f3f3fu, four = 0x0f0f0f0fu, top = 0x30303030u;
  const uint32_t bytes[4] = {scale & six, (rest & four) | (scale >> 2 & top), less & six,
                             (rest >> 4 & four) | (less >> 2 & top)};
  return lanes_bytes_load(bytes);
}

QUANT_INLINE void quant_open(uint8_t dtype, const uint8_t *block, quant_scales *s) {
  if (dtype == FORGE_Q8_0 || dtype == FORGE_Q4_0) {
    s->d = quant_half(block);
  } else if (dtype == FORGE_Q4_K) {
    const lanes packed = lanes_of_i8(quant_unpack_q4_k(block + 4));
    lanes_store(s->scale, lanes_mul(quant_half(block), packed));
    lanes_store(s->less, lanes_mul(quant_half(block + 2), packed));
  } else if (dtype == FORGE_Q6_K) {
    const lanes packed = lanes_of_i8(lanes_bytes_load(block + 192));
    lanes_store(s->scale, lanes_mul(quant_half(block + 208), packed));
  }
}

/* Four bits of each byte: of a pair of sixteens the first has the lower. */
QUANT_INLINE lanes_bytes quant_nibbles(const uint8_t *p, int high) {
  const lanes_bytes q = lanes_bytes_load(p);
  return high ? q >> 4 : q & 15;
}

QUANT_INLINE lanes quant_q4_k(const uint8_t *block, int t, const quant_scales *s) {
  const int b = t / 2;
  const lanes q = lanes_of_i8(quant_nibbles(block + 16 + t / 4 * 32 + t % 2 * 16, b % 2));
  return lanes_sub(lanes_mul(lanes_set1(s->scale[b]), q), lanes_set1(s->less[b + 8]));
}

QUANT_INLINE lanes quant_q6_k(const uint8_t *block, int t, const quant_scales *s) {
  const int b = t / 2 % 4, i = t % 2 * 16;
  const lanes_bytes low = quant_nibbles(block + t / 8 * 64 + b % 2 * 32 + i, b / 2);
  const lanes_bytes h = lanes_bytes_load(block + 128 + t / 8 * 32 + i) >> 2 * b & 3;
  return lanes_mul(lanes_set1(s->scale[t]), lanes_of_i8((low | h << 4) - 32));
}

/* Sixteen number |t| of a block, of which |s| was opened. */
QUANT_INLINE lanes quant_piece(uint8_t dtype, const uint8_t *block, int t, const quant_scales *s) {
  switch (dtype) {
  case FORGE_F16: return lanes_load_f16((const uint16_t *)(const void *)block);
  case FORGE_BF16: return lanes_load_bf16((const uint16_t *)(const void *)block);
  case FORGE_Q8_0: return lanes_mul(s->d, lanes_of_i8(lanes_bytes_load(block + 2 + 16 * t)));
  case FORGE_Q4_0: return lanes_mul(s->d, lanes_of_i8(quant_nibbles(block + 2, t) - 8));
  case FORGE_Q4_K: return quant_q4_k(block, t, s);
  case FORGE_Q6_K: return quant_q6_k(block, t, s);
  default: return lanes_load((const float *)(const void *)block);
  }
}

#endif
