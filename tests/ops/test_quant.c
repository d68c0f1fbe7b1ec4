/* test_quant.c -- element types: decoding is exact, encoding rounds or fits well, and both have the
 * same bits on every variant. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blocks.h"
#include "rig.h"

static rig *r;

static int open_portable(void **state) {
  (void)state;
  r = rig_open("portable", 1);
  return r == NULL;
}
static int close_portable(void **state) {
  (void)state;
  rig_close(r);
  return 0;
}

static rig_tensor *cast(rig_tensor *from, uint8_t to) {
  rig_tensor *y = rig_make(to, from->t.rank, from->t.dim);
  rig_same_bits(FORGE_OP_CAST, NULL, 0, &from, 1, &y, 1);
  return y;
}

static void every_half_is_widened_exactly(void **state) {
  const int64_t n = 65536;
  (void)state;
  for (int bf = 0; bf < 2; bf++) {
    rig_tensor *h = rig_make(bf ? FORGE_BF16 : FORGE_F16, 1, &n);
    for (int i = 0; i < n; i++) memcpy(h->data + 2 * i, &(uint16_t){(uint16_t)i}, 2);
    rig_tensor *f = rig_make(FORGE_F32, 1, &n);
    rig_must(r, FORGE_OP_CAST, NULL, 0, &h, 1, &f, 1);
    for (int64_t i = 0; i < n; i++) {
      const double want = rig_get(h, i), got = rig_get(f, i);
      assert_true(isnan(want) ? isnan(got) : got == want && !signbit(got) == !signbit(want));
    }
    rig_free(h);
    rig_free(f);
  }
}

/* All halves and the points between them: nearest, and even when there are two. */
static void rounding_to_halves_is_to_nearest_even(void **state) {
  const int64_t n = 3 * 31744;
  (void)state;
  rig_tensor *h = rig_make(FORGE_F16, 1, (int64_t[]){65536}), *f = rig_make(FORGE_F32, 1, &n);
  for (int i = 0; i < 65536; i++) memcpy(h->data + 2 * i, &(uint16_t){(uint16_t)i}, 2);
  for (int64_t i = 0; i < 31744; i++) {
    const double a = rig_get(h, i), b = i == 31743 ? 65536.0 : rig_get(h, i + 1);
    rig_set(f, 3 * i, (a + b) / 2);
    rig_set(f, 3 * i + 1, (double)nextafterf((float)((a + b) / 2), 0.0f));
    rig_set(f, 3 * i + 2, -(double)nextafterf((float)((a + b) / 2), 1e9f));
  }
  rig_tensor *y = cast(f, FORGE_F16);
  for (int64_t i = 0; i < 31744; i++) {
    uint16_t got[3];
    memcpy(got, y->data + 6 * i, sizeof got);
    assert_int_equal(got[0], i + (i & 1));
    assert_int_equal(got[1], i);
    assert_int_equal(got[2], 0x8000 | (i + 1));
  }
  rig_free(h);
  rig_free(f);
  rig_free(y);
}

static void casts_to_whole_numbers_truncate_and_saturate(void **state) {
  static const double from[] = {1.9, -1.9, 300, -300, 3e9, -3e9, NAN, 0.5, INFINITY, -INFINITY};
  static const double i8[] = {1, -1, 127, -128, 127, -128, 0, 0, 127, -128};
  static const double i32[] = {1, -1, 300,          -300,         2147483647.0, -2147483648.0,
                               0, 0,  2147483647.0, -2147483648.0};
  (void)state;
  rig_tensor *f = rig_make(FORGE_F32, 1, (int64_t[]){10});
  for (int i = 0; i < 10; i++) rig_set(f, i, from[i]);
  rig_tensor *small = cast(f, FORGE_I8), *large = cast(f, FORGE_I32);
  for (int i = 0; i < 10; i++) {
    assert_true(rig_get(small, i) == i8[i]);
    assert_true(rig_get(large, i) == i32[i]);
  }
  rig_free(f);
  rig_free(small);
  rig_free(large);
}

/* ---- block types ---- */

static const struct {
  uint8_t type;
  int elems, bytes;
  double error; /* root mean square of the error by that of the elements, for even noise */
} kinds[] = {{FORGE_Q8_0, 32, 34, 0.0045},
             {FORGE_Q4_0, 32, 18, 0.075},
             {FORGE_Q4_K, 256, 144, 0.068},
             {FORGE_Q6_K, 256, 210, 0.018}};

static void any_bytes_decode_as_the_layout_says(void **state) {
  (void)state;
  for (int k = 0; k < 4; k++) {
    const int64_t n = 40 * 256;
    rig_tensor *w = rig_make(kinds[k].type, 1, &n), *f = rig_make(FORGE_F32, 1, &n);
    uint32_t s = 1;
    for (uint64_t i = 0; i < w->bytes; i++)
      w->data[i] = (uint8_t)((s = s * 1664525u + 1013904223u) >> 24);
    for (int64_t b = 0; b < n / kinds[k].elems; b++) { /* scales of ordinary size */
      uint8_t *block = w->data + b * kinds[k].bytes;
      if (kinds[k].type == FORGE_Q6_K) block += 208;
      block[1] = (uint8_t)(0x20 | (block[1] & 0x9f));
      if (kinds[k].type == FORGE_Q4_K) block[3] = (uint8_t)(0x20 | (block[3] & 0x9f));
    }
    rig_same_bits(FORGE_OP_CAST, NULL, 0, &w, 1, &f, 1);
    for (int64_t i = 0; i < n; i++) {
      const uint8_t *block = w->data + i / kinds[k].elems * kinds[k].bytes;
      const float want = (float)block_element(kinds[k].type, block, (int)(i % kinds[k].elems));
      if (!((float)rig_get(f, i) == want || (isnan(want) && isnan(rig_get(f, i)))))
        fail_msg("type %d, element %lld: %g, should be %g", kinds[k].type, (long long)i,
                 rig_get(f, i), (double)want);
    }
    rig_free(w);
    rig_free(f);
  }
}

static double relative_error(const rig_tensor *a, const rig_tensor *b) {
  double error = 0, size = 0;
  for (int64_t i = 0; i < rig_elements(a); i++) {
    const double d = rig_get(a, i) - rig_get(b, i);
    error += d * d;
    size += rig_get(a, i) * rig_get(a, i);
  }
  return size > 0 ? sqrt(error / size) : sqrt(error);
}

static double round_trip(rig_tensor *f, uint8_t type) {
  rig_tensor *w = cast(f, type), *back = rig_make(FORGE_F32, f->t.rank, f->t.dim);
  rig_must(r, FORGE_OP_CAST, NULL, 0, &w, 1, &back, 1);
  const double error = relative_error(f, back);
  rig_free(w);
  rig_free(back);
  return error;
}

static void blocks_keep_noise_within_their_number_of_bits(void **state) {
  (void)state;
  for (int k = 0; k < 4; k++) {
    rig_tensor *f = rig_make(FORGE_F32, 2, (int64_t[]){3, 2048});
    rig_random(f, 5, -1.0, 1.0);
    const double even = round_trip(f, kinds[k].type);
    for (int64_t i = 0; i < rig_elements(f); i++) /* heavier tails, as weights have */
      rig_set(f, i, 0.02 * rig_get(f, i) / (1.05 - fabs(rig_get(f, i))));
    const double tails = round_trip(f, kinds[k].type);
    print_message("type %d: error %.5f of even noise, %.5f of heavy tails\n", kinds[k].type, even,
                  tails);
    assert_true(even < kinds[k].error);
    assert_true(tails < 2.5 * kinds[k].error);
    rig_free(f);
  }
}

static void zeros_and_constants_survive_and_tiny_blocks_do_no_harm(void **state) {
  static const double values[] = {0.0, 1.0, -3.0, 1e-30, -1e-42};
  (void)state;
  for (int k = 0; k < 4; k++)
    for (int v = 0; v < 5; v++) {
      rig_tensor *f = rig_make(FORGE_F32, 1, (int64_t[]){256});
      for (int i = 0; i < 256; i++) rig_set(f, i, values[v]);
      assert_true(round_trip(f, kinds[k].type) <= (fabs(values[v]) > 1e-3 ? 0.01 : 1.0));
      rig_free(f);
    }
}

static void elements_that_are_not_finite_do_not_upset_the_encoder(void **state) {
  (void)state;
  for (int k = 0; k < 4; k++)
    for (int v = 0; v < 3; v++) {
      rig_tensor *f = rig_make(FORGE_F32, 1, (int64_t[]){512});
      rig_random(f, 1, -1.0, 1.0);
      rig_set(f, 7, v == 0 ? (double)INFINITY : v == 1 ? -(double)INFINITY : (double)NAN);
      rig_tensor *w = rig_make(kinds[k].type, 1, (int64_t[]){512}),
                 *y = rig_make(FORGE_F32, 1, (int64_t[]){512});
      rig_must(r, FORGE_OP_CAST, NULL, 0, &f, 1, &w, 1);
      rig_must(r, FORGE_OP_CAST, NULL, 0, &w, 1, &y, 1);
      for (int i = 256; i < 512; i++) assert_true(fabs(rig_get(f, i) - rig_get(y, i)) < 0.2);
      rig_free(f);
      rig_free(w);
      rig_free(y);
    }
}

static void gathered_rows_of_block_tables_are_decoded(void **state) {
  (void)state;
  for (int k = 0; k < 4; k++) {
    rig_tensor *f = rig_make(FORGE_F32, 2, (int64_t[]){5, 512}),
               *ids = rig_make(FORGE_I32, 2, (int64_t[]){2, 2});
    rig_random(f, 9, -1.0, 1.0);
    rig_tensor *w = cast(f, kinds[k].type), *y = rig_make(FORGE_F32, 3, (int64_t[]){2, 2, 512});
    rig_must(r, FORGE_OP_CAST, NULL, 0, &w, 1, &f, 1);
    for (int i = 0; i < 4; i++) rig_set(ids, i, (double[]){4, 5, 0, -1}[i]);
    rig_same_bits(FORGE_OP_GATHER_ROWS, NULL, 0, (rig_tensor *[]){w, ids}, 2, &y, 1);
    for (int i = 0; i < 512; i++) {
      assert_true(rig_get(y, i) == rig_get(f, 4 * 512 + i));
      assert_true(isnan(rig_get(y, 512 + i)));
      assert_true(rig_get(y, 2 * 512 + i) == rig_get(f, i));
      assert_true(isnan(rig_get(y, 3 * 512 + i)));
    }
    rig_free(f);
    rig_free(ids);
    rig_free(w);
    rig_free(y);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_half_is_widened_exactly),
      cmocka_unit_test(rounding_to_halves_is_to_nearest_even),
      cmocka_unit_test(casts_to_whole_numbers_truncate_and_saturate),
      cmocka_unit_test(any_bytes_decode_as_the_layout_says),
      cmocka_unit_test(blocks_keep_noise_within_their_number_of_bits),
      cmocka_unit_test(zeros_and_constants_survive_and_tiny_blocks_do_no_harm),
      cmocka_unit_test(elements_that_are_not_finite_do_not_upset_the_encoder),
      cmocka_unit_test(gathered_rows_of_block_tables_are_decoded),
  };
  return cmocka_run_group_tests(tests, open_portable, close_portable);
}
