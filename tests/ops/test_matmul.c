/* test_matmul.c -- matrix products against sums in double, and to the bit against the normative
 * dot product, on every variant and thread count. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"

#define NONE ((rig_tensor *)NULL)

/* cpu_dot() of backends/cpu/lanes.h in its plainest form. */
static float normative(const float *a, const float *b, int64_t n) {
  float lane[16] = {0};
  for (int64_t k = 0; k < (n + 15) / 16 * 16; k++)
    lane[k % 16] = fmaf(k < n ? a[k] : 0.0f, k < n ? b[k] : 0.0f, lane[k % 16]);
  for (int half = 8; half; half /= 2)
    for (int i = 0; i < half; i++) lane[i] += lane[i + half];
  return lane[0];
}

static int64_t at(const rig_tensor *t, int64_t batch, int64_t i, int64_t j) {
  const int r = t->t.rank;
  return (batch * t->t.dim[r - 2] + i) * t->t.dim[r - 1] + j;
}

/* Compares y with the product of the operands as they stand, |step| elements apart. */
static void check_product(uint32_t flags, const rig_tensor *a, const rig_tensor *b,
                          const rig_tensor *bias, const rig_tensor *y, int64_t step) {
  const int r = y->t.rank;
  const bool ta = flags & FORGE_MATMUL_TRANS_A, tb = flags & FORGE_MATMUL_TRANS_B;
  const int64_t m = y->t.dim[r - 2], n = y->t.dim[r - 1], k = a->t.dim[ta ? r - 2 : r - 1];
  float *x = malloc((size_t)(k + 1) * sizeof *x), *w = malloc((size_t)(k + 1) * sizeof *w);
  for (int64_t e = 0; e < rig_elements(y); e += step) {
    const int64_t batch = e / (m * n), i = e / n % m, j = e % n;
    double exact = 0, size = 0;
    for (int64_t q = 0; q < k; q++) {
      x[q] = (float)rig_get(a, ta ? at(a, batch, q, i) : at(a, batch, i, q));
      w[q] = (float)rig_get(b, tb ? at(b, batch, j, q) : at(b, batch, q, j));
      exact += (double)x[q] * (double)w[q];
      size += fabs((double)x[q] * (double)w[q]);
    }
    float want = normative(x, w, k);
    if (bias) want += (float)rig_get(bias, j);
    if (bias) exact += rig_get(bias, j);
    const double got = rig_get(y, e);
    if (y->t.dtype == FORGE_F32 && (float)got != want)
      fail_msg("[%lld,%lld,%lld]: %a, the dot product is %a", (long long)batch, (long long)i,
               (long long)j, got, (double)want);
    const double unit = y->t.dtype == FORGE_F32 ? 1e-6 : y->t.dtype == FORGE_F16 ? 1e-3 : 8e-3;
    if (!(fabs(got - exact) <= unit * (size + fabs(exact)) + 1e-30))
      fail_msg("[%lld,%lld,%lld]: %g, exact %g", (long long)batch, (long long)i, (long long)j, got,
               exact);
  }
  free(x);
  free(w);
}

typedef struct shape {
  int64_t m, n, k;
} shape;

static rig_tensor *operand(uint8_t dtype, int64_t rows, int64_t k, bool k_first, uint64_t seed) {
  rig_tensor *t = rig_make(dtype, 2, k_first ? (int64_t[]){k, rows} : (int64_t[]){rows, k});
  rig_random(t, seed, -1.0, 1.0);
  return t;
}

static void product(uint32_t flags, uint8_t ta, uint8_t tb, uint8_t ty, bool with_bias, shape s) {
  const forge_attr_matmul mm = {flags, 0};
  rig_tensor *a = operand(ta, s.m, s.k, flags & FORGE_MATMUL_TRANS_A, 1);
  rig_tensor *b = operand(tb, s.n, s.k, !(flags & FORGE_MATMUL_TRANS_B), 2);
  rig_tensor *bias = with_bias ? rig_make(FORGE_F32, 1, &s.n) : NULL;
  rig_tensor *y = rig_make(ty, 2, (int64_t[]){s.m, s.n});
  if (bias) rig_random(bias, 3, -1.0, 1.0);
  rig_same_bits(FORGE_OP_MATMUL, &mm, sizeof mm, (rig_tensor *[]){a, b, bias}, 3,
                (rig_tensor *[]){y}, 1);
  const int64_t work = s.m * s.n * s.k;
  check_product(flags, a, b, bias, y, work > 200000 ? work / 200000 * 2 + 1 : 1);
  rig_free(a);
  rig_free(b);
  rig_free(bias);
  rig_free(y);
}

static void f32_products_have_the_bits_of_the_normative_dot_product(void **state) {
  static const shape shapes[] = {{1, 1, 1},    {2, 3, 5},      {1, 7, 16},     {4, 50, 33},
                                 {5, 6, 17},   {17, 31, 15},   {96, 48, 64},   {97, 49, 65},
                                 {3, 200, 31}, {100, 1, 40},   {64, 3, 100},   {33, 70, 512},
                                 {7, 9, 513},  {12, 13, 1100}, {100, 60, 1024}};
  (void)state;
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    for (uint32_t flags = 0; flags < 4; flags++)
      product(flags, FORGE_F32, FORGE_F32, FORGE_F32, i & 1, shapes[i]);
}

static void half_operands_are_widened_and_half_results_rounded_once(void **state) {
  static const uint8_t types[] = {FORGE_F32, FORGE_F16, FORGE_BF16};
  static const shape shapes[] = {{1, 9, 35}, {6, 5, 1050}, {19, 21, 50}};
  (void)state;
  for (int a = 0; a < 3; a++)
    for (int b = 0; b < 3; b++)
      for (int i = 0; i < 3; i++)
        product((uint32_t)(a + b + i) & 3, types[a], types[b], types[(a + b) % 3], b == 1,
                shapes[i]);
}

static void no_terms_give_the_bias_and_no_elements_do_nothing(void **state) {
  const forge_attr_matmul mm = {FORGE_MATMUL_TRANS_B, 0};
  (void)state;
  static const shape shapes[] = {{3, 4, 0}, {30, 40, 0}, {0, 4, 5}, {3, 0, 5}, {0, 0, 0}};
  for (int i = 0; i < 5; i++) {
    const shape s = shapes[i];
    rig_tensor *a = operand(FORGE_F32, s.m, s.k, false, 1),
               *b = operand(FORGE_F32, s.n, s.k, false, 2);
    rig_tensor *bias = rig_make(FORGE_F32, 1, &s.n), *y = rig_make(FORGE_F32, 2, &s.m);
    rig_random(bias, 3, -1.0, 1.0);
    rig_random(y, 4, 5.0, 6.0);
    rig_same_bits(FORGE_OP_MATMUL, &mm, sizeof mm, (rig_tensor *[]){a, b, bias}, 3,
                  (rig_tensor *[]){y}, 1);
    for (int64_t e = 0; e < rig_elements(y); e++)
      assert_true(rig_get(y, e) == rig_get(bias, e % s.n));
    rig_free(a);
    rig_free(b);
    rig_free(bias);
    rig_free(y);
  }
}

/* A batch over two dimensions; b repeats over one of them, y has gaps, a lies crosswise. */
static void batches_repeat_by_stride_zero_and_any_strides_are_followed(void **state) {
  (void)state;
  for (int few = 0; few < 2; few++) {
    const int64_t m = few ? 2 : 13, n = 11, k = 37;
    const forge_attr_matmul mm = {FORGE_MATMUL_TRANS_B, 0};
    rig_tensor *a = rig_make_strided(FORGE_F32, 4, (int64_t[]){2, 3, m, k},
                                     (int64_t[]){3 * m * k + 5, m * k, 1, m});
    rig_tensor *b =
        rig_make_strided(FORGE_F16, 4, (int64_t[]){2, 3, n, k}, (int64_t[]){n * k, 0, k, 1});
    rig_tensor *y = rig_make_strided(FORGE_F32, 4, (int64_t[]){2, 3, m, n},
                                     (int64_t[]){3 * m * n * 2, m * n * 2, n * 2, 2});
    rig_random(a, 1, -1.0, 1.0);
    rig_random(b, 2, -1.0, 1.0);
    rig_same_bits(FORGE_OP_MATMUL, &mm, sizeof mm, (rig_tensor *[]){a, b, NONE}, 3,
                  (rig_tensor *[]){y}, 1);
    check_product(mm.flags, a, b, NULL, y, 1);
    rig_free(a);
    rig_free(b);
    rig_free(y);
  }
}

/* [B, T, K] by one matrix for all: folded into one product inside, the same bits as apart. */
static void a_matrix_repeated_over_the_batch_gives_each_row_the_same_bits(void **state) {
  const int64_t t = 5, k = 48, n = 20;
  const forge_attr_matmul mm = {0, 0};
  (void)state;
  rig_tensor *a = rig_make(FORGE_F32, 3, (int64_t[]){4, t, k});
  rig_tensor *b = rig_make_strided(FORGE_F32, 3, (int64_t[]){4, k, n}, (int64_t[]){0, n, 1});
  rig_tensor *y = rig_make(FORGE_F32, 3, (int64_t[]){4, t, n});
  rig_random(a, 1, -1.0, 1.0);
  rig_random(b, 2, -1.0, 1.0);
  rig_same_bits(FORGE_OP_MATMUL, &mm, sizeof mm, (rig_tensor *[]){a, b, NONE}, 3,
                (rig_tensor *[]){y}, 1);
  check_product(0, a, b, NULL, y, 1);
  rig_free(a);
  rig_free(b);
  rig_free(y);
}

/* ---- block types ---- */

static rig_tensor *decoded(rig *r, rig_tensor *w) {
  rig_tensor *f = rig_make(FORGE_F32, 2, w->t.dim);
  rig_must(r, FORGE_OP_CAST, NULL, 0, &w, 1, &f, 1);
  return f;
}

static void products_with_block_weights_equal_those_with_the_decoded_ones(void **state) {
  static const uint8_t types[] = {FORGE_Q8_0, FORGE_Q4_0, FORGE_Q4_K, FORGE_Q6_K};
  static const int64_t rows[] = {1, 2, 3, 4, 5, 100};
  (void)state;
  rig *r = rig_open("portable", 1);
  assert_non_null(r);
  for (int type = 0; type < 4; type++)
    for (int i = 0; i < 6; i++) {
      const int64_t m = rows[i], n = i == 5 ? 50 : 9, k = i == 4 ? 1280 : 768;
      rig_tensor *plain = rig_make(FORGE_F32, 2, (int64_t[]){n, k});
      rig_tensor *w = rig_make(types[type], 2, (int64_t[]){n, k});
      rig_tensor *x = rig_make(FORGE_F32, 2, (int64_t[]){m, k});
      rig_tensor *bias = rig_make(FORGE_F32, 1, &n), *y = rig_make(FORGE_F32, 2, (int64_t[]){m, n});
      rig_random(plain, 1, -1.0, 1.0);
      rig_random(x, 2, -1.0, 1.0);
      rig_random(bias, 3, -1.0, 1.0);
      rig_must(r, FORGE_OP_CAST, NULL, 0, &plain, 1, &w, 1);
      rig_same_bits(FORGE_OP_QMATMUL, NULL, 0, (rig_tensor *[]){x, w, bias}, 3, (rig_tensor *[]){y},
                    1);
      rig_tensor *f = decoded(r, w);
      check_product(FORGE_MATMUL_TRANS_B, x, f, bias, y, i == 5 ? 7 : 1);
      rig_free(plain);
      rig_free(w);
      rig_free(x);
      rig_free(bias);
      rig_free(y);
      rig_free(f);
    }
  rig_close(r);
}

/* ---- grouped ---- */

static void each_row_goes_through_the_matrix_it_chose(void **state) {
  (void)state;
  for (int trans = 0; trans < 2; trans++)
    for (int many = 0; many < 2; many++) {
      const int64_t rows = many ? 40 : 6, e = 3, n = 10, k = 35;
      const int64_t from = trans ? n : k, to = trans ? k : n;
      const forge_attr_matmul mm = {trans ? FORGE_MATMUL_TRANS_A : 0, 0};
      rig_tensor *x = rig_make(FORGE_F32, 2, (int64_t[]){rows, from});
      rig_tensor *w = rig_make(FORGE_F32, 3, (int64_t[]){e, n, k});
      rig_tensor *ids = rig_make(FORGE_I32, 1, &rows);
      rig_tensor *y = rig_make(FORGE_F32, 2, (int64_t[]){rows, to});
      rig_random(x, 1, -1.0, 1.0);
      rig_random(w, 2, -1.0, 1.0);
      rig_random(y, 3, -1.0, 1.0);
      for (int64_t t = 0; t < rows; t++) rig_set(ids, t, (double)(t * 7 % 5 - 1)); /* -1..3 */
      rig_same_bits(FORGE_OP_GROUPED_MATMUL, &mm, sizeof mm, (rig_tensor *[]){x, w, ids}, 3,
                    (rig_tensor *[]){y}, 1);
      for (int64_t t = 0; t < rows; t++)
        for (int64_t j = 0; j < to; j++) {
          const int64_t id = (int64_t)rig_get(ids, t);
          double want = 0;
          for (int64_t q = 0; q < from && id >= 0 && id < e; q++)
            want +=
                rig_get(x, t * from + q) * rig_get(w, id * n * k + (trans ? q * k + j : j * k + q));
          assert_true(fabs(rig_get(y, t * to + j) - want) < 1e-5);
        }
      rig_free(x);
      rig_free(w);
      rig_free(ids);
      rig_free(y);
    }
}

static void the_grouped_gradient_sums_the_rows_of_each_matrix(void **state) {
  const int64_t rows = 23, e = 4, n = 7, k = 37;
  const forge_attr_matmul mm = {0, 0};
  (void)state;
  rig_tensor *x = rig_make(FORGE_F32, 2, (int64_t[]){rows, k});
  rig_tensor *dy = rig_make(FORGE_F32, 2, (int64_t[]){rows, n});
  rig_tensor *ids = rig_make(FORGE_I32, 1, &rows),
             *dw = rig_make(FORGE_F32, 3, (int64_t[]){e, n, k});
  rig_random(x, 1, -1.0, 1.0);
  rig_random(dy, 2, -1.0, 1.0);
  rig_random(dw, 3, -1.0, 1.0);
  for (int64_t t = 0; t < rows; t++) rig_set(ids, t, (double)(t * 5 % 5 - 1 + t % 4)); /* not 3 */
  rig_same_bits(FORGE_OP_GROUPED_MATMUL_DW, &mm, sizeof mm, (rig_tensor *[]){x, dy, ids}, 3,
                (rig_tensor *[]){dw}, 1);
  for (int64_t i = 0; i < e * n * k; i++) {
    float want = 0;
    for (int64_t t = 0; t < rows; t++)
      if ((int64_t)rig_get(ids, t) == i / (n * k))
        want = fmaf((float)rig_get(dy, t * n + i / k % n), (float)rig_get(x, t * k + i % k), want);
    assert_true((float)rig_get(dw, i) == want);
  }
  rig_free(x);
  rig_free(dy);
  rig_free(ids);
  rig_free(dw);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(f32_products_have_the_bits_of_the_normative_dot_product),
      cmocka_unit_test(half_operands_are_widened_and_half_results_rounded_once),
      cmocka_unit_test(no_terms_give_the_bias_and_no_elements_do_nothing),
      cmocka_unit_test(batches_repeat_by_stride_zero_and_any_strides_are_followed),
      cmocka_unit_test(a_matrix_repeated_over_the_batch_gives_each_row_the_same_bits),
      cmocka_unit_test(products_with_block_weights_equal_those_with_the_decoded_ones),
      cmocka_unit_test(each_row_goes_through_the_matrix_it_chose),
      cmocka_unit_test(the_grouped_gradient_sums_the_rows_of_each_matrix),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
