/* tensor.c -- see tensor.h */
#include "tensor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blocks.h"

void *rig_zalloc(uint64_t bytes) {
  void *p = calloc(1, bytes ? (size_t)bytes : 1);
  if (p) return p;
  fprintf(stderr, "no memory for %llu bytes of a test\n", (unsigned long long)bytes);
  exit(3);
}

/* ---- types ---- */

static const struct {
  int64_t elems, bytes;
  const char *name;
} types[FORGE_DTYPE_LIMIT] = {
#define ROW(name, number, elems, bytes, text) [number] = {elems, bytes, #name},
    FORGE_DTYPE_MAP(ROW)
#undef ROW
};

uint64_t rig_type_bytes(uint8_t dtype, int64_t elements) {
  const int64_t per = types[dtype].elems;
  return (uint64_t)((elements + per - 1) / per * types[dtype].bytes);
}
int64_t rig_type_block(uint8_t dtype) { return types[dtype].elems; }
const char *rig_type_name(uint8_t dtype) { return types[dtype].name; }

/* ---- tensors ---- */

rig_tensor *rig_make_strided(uint8_t dtype, int rank, const int64_t *dim, const int64_t *stride) {
  rig_tensor *t = rig_zalloc(sizeof *t);
  int64_t last = 1;
  t->t.dtype = dtype;
  t->t.rank = (uint8_t)rank;
  for (int k = 0; k < rank; k++) {
    t->t.dim[k] = dim[k];
    t->t.stride[k] = stride[k];
    if (dim[k] == 0) last = INT64_MIN / 2;
    last += (dim[k] - 1) * stride[k];
  }
  t->bytes = last > 0 ? rig_type_bytes(dtype, last) : 0;
  t->data = rig_zalloc(t->bytes);
  return t;
}

rig_tensor *rig_make(uint8_t dtype, int rank, const int64_t *dim) {
  int64_t stride[FORGE_MAX_RANK], n = 1;
  for (int k = rank - 1; k >= 0; k--) {
    stride[k] = n;
    n *= dim[k];
  }
  return rig_make_strided(dtype, rank, dim, stride);
}

void rig_free(rig_tensor *t) {
  if (t) free(t->data);
  free(t);
}

int64_t rig_elements(const rig_tensor *t) {
  int64_t n = 1;
  for (int k = 0; k < t->t.rank; k++) n *= t->t.dim[k];
  return n;
}

int64_t rig_offset(const rig_tensor *t, int64_t i) {
  int64_t offset = 0;
  for (int k = t->t.rank - 1; k >= 0; k--) {
    offset += i % t->t.dim[k] * t->t.stride[k];
    i /= t->t.dim[k];
  }
  return offset;
}

/* ---- elements ---- */

double rig_from_half(uint16_t h) {
  const uint64_t e = h >> 10 & 31, m = h & 1023;
  const double sign = h & 0x8000 ? -1.0 : 1.0;
  if (e == 31) return m ? (double)NAN : sign * (double)INFINITY;
  if (!e) return sign * (double)m * 0x1p-24;
  const uint64_t bits = (e - 15 + 1023) << 52 | m << 42;
  double x;
  memcpy(&x, &bits, sizeof x);
  return sign * x;
}

/* Nearest even by ldexp: slow, and independent of anybody else's. */
uint16_t rig_to_half(double x) {
  const uint16_t sign = signbit(x) ? 0x8000 : 0;
  int e;
  if (isnan(x)) return 0x7e00;
  frexp(x, &e);
  if (e < -13) e = -13;
  const double m = nearbyint(ldexp(fabs(x), 11 - e));
  if (isinf(x) || ldexp(m, e - 11) >= 65520.0) return sign | 0x7c00;
  return (uint16_t)(sign | (int)(m < 1024 ? m : (e + 13) * 1024 + m));
}

static uint32_t to_bf16(float f) {
  uint32_t word;
  memcpy(&word, &f, 4);
  return isnan(f) ? 0x7fc0 : (word + 0x7fff + (word >> 16 & 1)) >> 16;
}

static int32_t saturated(double x, double low, double high) {
  return isnan(x) ? 0 : (int32_t)fmin(fmax(x, low), high);
}

/* The element |at| elements from the start. */
static double get_at(const rig_tensor *t, int64_t at) {
  const uint8_t dtype = t->t.dtype;
  const uint8_t *p = t->data;
  uint32_t word;
  int32_t number;
  uint16_t half;
  float f;
  switch (dtype) {
  case FORGE_F32: memcpy(&f, p + 4 * at, 4); return (double)f;
  case FORGE_F16: memcpy(&half, p + 2 * at, 2); return rig_from_half(half);
  case FORGE_BF16:
    memcpy(&half, p + 2 * at, 2);
    word = (uint32_t)half << 16;
    memcpy(&f, &word, 4);
    return (double)f;
  case FORGE_I32: memcpy(&number, p + 4 * at, 4); return number;
  case FORGE_I8: return (int8_t)p[at];
  default: {
    const int64_t per = rig_type_block(dtype);
    return block_element(dtype, p + (uint64_t)(at / per) * rig_type_bytes(dtype, 1),
                         (int)(at % per));
  }
  }
}

static void set_at(rig_tensor *t, int64_t at, double value) {
  const uint64_t width = rig_type_bytes(t->t.dtype, 1);
  const float f = (float)value;
  uint32_t word;
  memcpy(&word, &f, 4);
  switch (t->t.dtype) {
  case FORGE_F16: word = rig_to_half(value); break;
  case FORGE_BF16: word = to_bf16(f); break;
  case FORGE_I8: word = (uint32_t)saturated(value, -128.0, 127.0); break;
  case FORGE_I32: word = (uint32_t)saturated(value, -2147483648.0, 2147483647.0); break;
  default: break;
  }
  memcpy(t->data + width * (uint64_t)at, &word, width);
}

double rig_get(const rig_tensor *t, int64_t i) { return get_at(t, rig_offset(t, i)); }
void rig_set(rig_tensor *t, int64_t i, double value) { set_at(t, rig_offset(t, i), value); }

/* Rows of the last dimension: its extent, and the elements between neighbours. */
static int64_t row_of(const rig_tensor *t, int64_t *step) {
  *step = t->t.rank ? t->t.stride[t->t.rank - 1] : 0;
  return t->t.rank ? t->t.dim[t->t.rank - 1] : 1;
}

void rig_read(const rig_tensor *t, double *out) {
  int64_t step;
  const int64_t n = rig_elements(t), row = row_of(t, &step);
  for (int64_t i = 0; i < n; i += row) {
    const int64_t at = rig_offset(t, i);
    for (int64_t k = 0; k < row; k++) out[i + k] = get_at(t, at + k * step);
  }
}

void rig_write(rig_tensor *t, const double *values) {
  int64_t step;
  const int64_t n = rig_elements(t), row = row_of(t, &step);
  for (int64_t i = 0; i < n; i += row) {
    const int64_t at = rig_offset(t, i);
    for (int64_t k = 0; k < row; k++) set_at(t, at + k * step, values[i + k]);
  }
}

void rig_random(rig_tensor *t, uint64_t seed, double low, double high) {
  uint64_t s = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
  int64_t step;
  const int64_t n = rig_elements(t), row = row_of(t, &step);
  for (int64_t i = 0; i < n; i += row) {
    const int64_t at = rig_offset(t, i);
    for (int64_t k = 0; k < row; k++) {
      s = s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
      set_at(t, at + k * step, low + (high - low) * ((double)(s >> 33) * 0x1p-31));
    }
  }
}
