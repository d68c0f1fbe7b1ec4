/* blocks.c -- see blocks.h */
#include "blocks.h"

#include <math.h>
#include <string.h>

static double half_at(const uint8_t *p) { return rig_from_half((uint16_t)(p[0] | p[1] << 8)); }

/* Scale and minimum number |j| of the eight that Q4_K packs into twelve bytes, six bits each. */
static int scale_of(const uint8_t *s, int j) {
  return j < 4 ? s[j] & 63 : (s[j + 4] & 15) + (s[j - 4] >> 6) * 16;
}
static int minimum_of(const uint8_t *s, int j) {
  return j < 4 ? s[j + 4] & 63 : (s[j + 4] >> 4) + (s[j] >> 6) * 16;
}

static double q4_k(const uint8_t *b, int i) {
  const int j = i / 32;
  const uint8_t q = b[16 + i / 64 * 32 + i % 32];
  const int nibble = j & 1 ? q >> 4 : q & 15;
  return half_at(b) * scale_of(b + 4, j) * nibble - half_at(b + 2) * minimum_of(b + 4, j);
}

static double q6_k(const uint8_t *b, int i) {
  const int h = i / 128, quarter = i % 128 / 32, l = i % 32;
  const uint8_t low = b[64 * h + l + (quarter & 1) * 32], high = b[128 + 32 * h + l];
  const int q = (quarter < 2 ? low & 15 : low >> 4) + ((high >> (2 * quarter)) & 3) * 16 - 32;
  return half_at(b + 208) * (int8_t)b[192 + i / 16] * q;
}

double block_element(uint8_t dtype, const uint8_t *b, int i) {
  switch (dtype) {
  case FORGE_Q8_0: return half_at(b) * (int8_t)b[2 + i];
  case FORGE_Q4_0: return half_at(b) * ((i < 16 ? b[2 + i] & 15 : b[2 + i - 16] >> 4) - 8);
  case FORGE_Q4_K: return q4_k(b, i);
  case FORGE_Q6_K: return q6_k(b, i);
  default: return (double)NAN;
  }
}

/* ---- filling ---- */

static uint64_t next(uint64_t *s) {
  *s = *s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return *s >> 33;
}

static void put_half(uint8_t *p, double x) {
  const uint16_t h = rig_to_half(x);
  p[0] = (uint8_t)h;
  p[1] = (uint8_t)(h >> 8);
}

/* Products of the largest scale with the largest numbers stay far below the largest float. */
static double scale_number(uint64_t r, int scales) {
  static const double extreme[] = {0.0, 5.9604644775390625e-8, -6.1035e-5, 65504.0, -65504.0, 1.0};
  if (scales == BLOCK_EXTREME) return extreme[r % 6];
  if (scales == BLOCK_WHOLE) return r & 1 ? 1.0 : -1.0;
  return (r & 1 ? 1.0 : -1.0) * (0.01 + 0.09 * (double)(r % 1000) / 1000.0);
}

/* Scales of one and small numbers in the types that have their numbers in whole bytes. */
static void make_whole(uint8_t dtype, uint8_t *b) {
  if (dtype == FORGE_Q8_0)
    for (int i = 2; i < 34; i++) b[i] = (uint8_t)((int8_t)b[i] / 16);
  if (dtype == FORGE_Q4_K)
    for (int i = 4; i < 16; i++) b[i] &= 0x03;
  if (dtype == FORGE_Q6_K)
    for (int i = 192; i < 208; i++) b[i] = (uint8_t)((int8_t)b[i] / 64);
}

/* In extreme blocks whole stretches hold one byte, so that sums reach their ends too. */
static void fill_block(uint8_t *b, uint64_t bytes, uint64_t *s, int scales) {
  static const uint8_t ends[] = {0x00, 0xff, 0x80, 0x7f, 0x0f, 0xf0};
  const uint8_t end = ends[next(s) % 6];
  const bool same = scales == BLOCK_EXTREME && next(s) % 2;
  for (uint64_t i = 0; i < bytes; i++) {
    const uint8_t any = (uint8_t)next(s);
    b[i] = same ? end : any;
  }
}

void block_random(rig_tensor *t, uint64_t seed, int scales) {
  const uint64_t bytes = rig_type_bytes(t->t.dtype, 1);
  uint64_t s = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
  for (uint64_t at = 0; at + bytes <= t->bytes; at += bytes) {
    uint8_t *b = t->data + at;
    fill_block(b, bytes, &s, scales);
    if (scales == BLOCK_WHOLE) make_whole(t->t.dtype, b);
    put_half(t->t.dtype == FORGE_Q6_K ? b + 208 : b, scale_number(next(&s), scales));
    if (t->t.dtype == FORGE_Q4_K) put_half(b + 2, scale_number(next(&s), scales));
  }
}
