/* lanes_bits.c -- prints a digest of what lanes.h and the matrix products compute from fixed random
 * bits. test_lanes.sh builds it for every instruction set at hand: all must print the same. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "gemm.h"
#include "lanes.h"

static uint64_t digest = 1469598103934665603u, seed = 88172645463325252u;

static void take(lanes a) {
  uint32_t bits[LANES];
  lanes_store((float *)(void *)bits, a);
  for (int i = 0; i < LANES; i++) { /* one NaN is as good as another */
    const uint32_t word = (bits[i] & 0x7fffffffu) > 0x7f800000u ? 0x7fc00000u : bits[i];
    digest = (digest ^ word) * 1099511628211u;
  }
}

static uint32_t random_bits(void) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return (uint32_t)(seed >> 16);
}

/* Any float; or, when |tame|, one between -|tame| and |tame|. */
static lanes some(float tame) {
  float f[LANES];
  for (int i = 0; i < LANES; i++) {
    const uint32_t bits = random_bits();
    memcpy(&f[i], &bits, sizeof bits);
    if (tame > 0.0f) f[i] = ((float)(bits >> 8) * 0x1p-23f - 1.0f) * tame;
  }
  return lanes_load(f);
}

static void take_arithmetic(lanes a, lanes b, lanes c) {
  float part[LANES] = {0};
  const int64_t n = random_bits() % (LANES + 1);
  take(lanes_add(a, b));
  take(lanes_sub(a, b));
  take(lanes_mul(a, b));
  take(lanes_div(a, b));
  take(lanes_fma(a, b, c));
  take(lanes_fma(a, b, lanes_neg(lanes_mul(a, b))));
  take(lanes_min(a, b));
  take(lanes_max(a, b));
  take(lanes_gt_select(a, b, c, a));
  take(lanes_sqrt(lanes_abs(a)));
  take(lanes_exp(a));
  take(lanes_tanh(a));
  take(lanes_sigmoid(a));
  take(lanes_set1(lanes_sum(a)));
  take(lanes_set1(lanes_hmax(b)));
  lanes_store_n(part, c, n);
  take(lanes_load(part));
  take(lanes_load_n(part, n));
}

static void take_narrow(void) {
  uint16_t half[LANES];
  int8_t byte[LANES];
  for (int i = 0; i < LANES; i++) {
    half[i] = (uint16_t)random_bits();
    byte[i] = (int8_t)random_bits();
  }
  take(lanes_load_f16(half));
  take(lanes_load_bf16(half));
  take(lanes_of_i8(lanes_bytes_load(byte)));
  take(lanes_set_f16(half[0]));
}

/* The fused multiply-add against the C library's, where rounding is hardest: near cancellation. */
static int fused_is_exact(lanes a, lanes b, lanes c) {
  float x[LANES], y[LANES], z[LANES], got[LANES];
  lanes_store(x, a);
  lanes_store(y, b);
  lanes_store(z, c);
  lanes_store(got, lanes_fma(a, b, c));
  for (int i = 0; i < LANES; i++) {
    const float want = fmaf(x[i], y[i], z[i]);
    if (got[i] != want && !(isnan(got[i]) && isnan(want))) return 0;
  }
  return 1;
}

enum { M = 101, N = 53, K = 1100 };

static void take_product(uint8_t dtype, bool few) {
  static float a[M * K], plain[N * K], y[M * N];
  static uint8_t b[N * K * 4];
  static _Alignas(64) uint8_t scratch[4 << 20];
  for (int i = 0; i < M * K; i += LANES)
    lanes_store_n(a + i, some(1.0f), M * K - i < LANES ? M * K - i : LANES);
  for (int i = 0; i < N * K; i += LANES)
    lanes_store_n(plain + i, some(1.0f), N * K - i < LANES ? N * K - i : LANES);
  const int64_t k = dtype == FORGE_F32 || dtype == FORGE_BF16 || dtype == FORGE_F16 ? K : 768;
  cpu_encode(dtype, plain, N * k, b);
  const gemm g = {.a = {(const uint8_t *)a, k, 1, NULL, FORGE_F32},
                  .b = {b, k, 1, NULL, dtype},
                  .m = few ? 3 : M,
                  .n = N,
                  .k = k,
                  .y = (uint8_t *)y,
                  .y_row = N,
                  .y_col = 1,
                  .y_dtype = FORGE_F32};
  if (gemm_scratch(k) > sizeof scratch) exit(1);
  if (few)
    gemv_run(&g, 0, N);
  else
    gemm_run_tiles(&g, 0, gemm_tiles(M, N), scratch);
  for (int64_t i = 0; i + LANES <= g.m * N; i += LANES) take(lanes_load(y + i));
}

int main(void) {
  static const uint8_t types[] = {FORGE_F32,  FORGE_F16,  FORGE_BF16, FORGE_Q8_0,
                                  FORGE_Q4_0, FORGE_Q4_K, FORGE_Q6_K};
  int exact = 1;
  for (int round = 0; round < 3000; round++) {
    const float tame = (float[]){0.0f, 1.0f, 100.0f}[round % 3];
    const lanes a = some(tame), b = some(tame), c = some(tame);
    take_arithmetic(a, b, c);
    take_narrow();
    exact &= fused_is_exact(a, b, c) && fused_is_exact(a, b, lanes_neg(lanes_mul(a, b)));
  }
  for (int i = 0; i < 7; i++) {
    take_product(types[i], true);
    take_product(types[i], false);
  }
  printf("%016llx\n", (unsigned long long)digest);
  return exact ? 0 : 1;
}
