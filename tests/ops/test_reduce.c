/* test_reduce.c -- REDUCE SOFTMAX TOPK GLOBAL_NORM on the CPU variants. */
#include "check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void reduce_to(rig_tensor *x, uint32_t kind, uint32_t dims, uint8_t dtype,
                      double tolerance) {
  const forge_attr_reduce attr = {kind, dims};
  int64_t dim[FORGE_MAX_RANK];
  for (int k = 0; k < x->t.rank; k++) dim[k] = dims >> k & 1 ? 1 : x->t.dim[k];
  rig_tensor *in[] = {x}, *out[] = {rig_make(dtype, x->t.rank, dim)};
  const check c = CHECK(FORGE_OP_REDUCE, attr, in, out);
  check_op(&c, tolerance);
  free_all(out, 1);
}

static const uint32_t kinds[] = {FORGE_REDUCE_SUM, FORGE_REDUCE_MAX, FORGE_REDUCE_MEAN};

static void every_set_of_dims_can_be_reduced(void **state) {
  (void)state;
  const int64_t dim[] = {3, 5, 2, 19};
  rig_tensor *x = make_random(FORGE_F32, 4, dim, 7, -1, 1);
  rig_tensor *forms[] = {x, make_spread(x), make_turned(x)};
  for (size_t f = 0; f < 3; f++)
    for (uint32_t dims = 0; dims < 16; dims++)
      for (size_t k = 0; k < 3; k++) reduce_to(forms[f], kinds[k], dims, FORGE_F32, 2e-6);
  free_all(forms, 3);
}

static void a_sum_does_not_depend_on_strides(void **state) {
  (void)state;
  const int64_t dim[] = {37, 83}, one[] = {1, 1};
  const forge_attr_reduce attr = {FORGE_REDUCE_SUM, 3};
  rig_tensor *x = make_random(FORGE_F32, 2, dim, 5, -1, 1), *sum[3];
  rig_tensor *forms[] = {x, make_spread(x), make_turned(x)};
  for (int i = 0; i < 3; i++) {
    sum[i] = rig_make(FORGE_F32, 2, one);
    rig_same_bits(FORGE_OP_REDUCE, &attr, sizeof attr, &forms[i], 1, &sum[i], 1);
    assert_memory_equal(sum[i]->data, sum[0]->data, 4);
  }
  free_all(forms, 3);
  free_all(sum, 3);
}

static void large_and_empty_shapes_reduce(void **state) {
  (void)state;
  static const int64_t shapes[][2] = {{2, 9000}, {700, 300}, {0, 4}, {4, 0}, {1, 1}, {2049, 1}};
  for (size_t s = 0; s < LENGTH(shapes); s++) {
    rig_tensor *x = make_random(FORGE_F32, 2, shapes[s], s, -1, 1);
    for (uint32_t dims = 0; dims < 4; dims++)
      for (size_t k = 0; k < 3; k++) reduce_to(x, kinds[k], dims, FORGE_F32, 3e-5);
    rig_free(x);
  }
}

static void half_precision_reduces_in_f32(void **state) {
  (void)state;
  const int64_t dim[] = {40, 333};
  for (uint8_t dtype = FORGE_F16; dtype <= FORGE_BF16; dtype++) {
    rig_tensor *x = make_random(dtype, 2, dim, 3, 0.0, 1.0);
    for (uint32_t dims = 1; dims < 4; dims++) reduce_to(x, FORGE_REDUCE_SUM, dims, FORGE_F32, 1e-5);
    reduce_to(x, FORGE_REDUCE_MEAN, 2, dtype, dtype == FORGE_F16 ? 1e-3 : 8e-3);
    rig_free(x);
  }
}

static void argmax_takes_the_first_and_a_nan_before_all(void **state) {
  (void)state;
  const int64_t dim[] = {6, 41};
  rig_tensor *x = make_random(FORGE_F32, 2, dim, 3, -3, 3);
  for (int i = 0; i < 41; i++) rig_set(x, i, -(double)INFINITY);
  rig_set(x, 41 + 20, 9);
  rig_set(x, 41 + 33, 9);
  rig_set(x, 82 + 5, (double)NAN);
  rig_set(x, 82 + 40, (double)NAN);
  rig_set(x, 123 + 3, -0.0);
  for (int i = 4; i < 41; i++) rig_set(x, 123 + i, 0.0);
  for (int i = 0; i < 3; i++) rig_set(x, 123 + i, -1.0);
  rig_tensor *forms[] = {x, make_spread(x), make_turned(x)};
  for (int i = 0; i < 3; i++) {
    reduce_to(forms[i], FORGE_REDUCE_ARGMAX, 2, FORGE_I32, 0.0);
    reduce_to(forms[i], FORGE_REDUCE_MAX, 2, FORGE_F32, 0.0);
    reduce_to(forms[i], FORGE_REDUCE_MAX, 1, FORGE_F32, 0.0);
  }
  free_all(forms, 3);
}

static void softmax_is_right(void **state) {
  (void)state;
  static const int64_t shapes[][3] = {{1, 1, 1}, {2, 3, 7}, {3, 1, 17}, {2, 2, 2500},
                                      {0, 2, 3}, {2, 3, 0}, {5, 90, 64}};
  for (size_t s = 0; s < LENGTH(shapes); s++) {
    const forge_attr_softmax attr = {s % 2 ? 0.125 : -1.5};
    rig_tensor *x = make_random(FORGE_F32, 3, shapes[s], s, -9, 9);
    rig_tensor *forms[] = {x, make_spread(x), make_turned(x)};
    for (int i = 0; i < 3; i++) {
      rig_tensor *in[] = {forms[i]}, *out[] = {make_turned(x), rig_make(FORGE_F32, 3, shapes[s])};
      const check a = {FORGE_OP_SOFTMAX, &attr, sizeof attr, in, 1, out, 1};
      const check b = {FORGE_OP_SOFTMAX, &attr, sizeof attr, in, 1, out + 1, 1};
      check_op(&a, 2e-6);
      check_op(&b, 2e-6);
      free_all(out, 2);
    }
    free_all(forms, 3);
  }
}

static void softmax_of_nothing_visible_is_zero(void **state) {
  (void)state;
  const int64_t dim[] = {3, 21};
  const forge_attr_softmax attr = {0.5};
  rig_tensor *x = make_random(FORGE_F32, 2, dim, 1, -1, 1);
  for (int i = 0; i < 21; i++) rig_set(x, i, -(double)INFINITY);
  for (int i = 0; i < 20; i++) rig_set(x, 21 + i, -(double)INFINITY);
  rig_set(x, 45, 1e30);
  rig_tensor *in[] = {x}, *out[] = {rig_make(FORGE_F32, 2, dim)};
  const check c = CHECK(FORGE_OP_SOFTMAX, attr, in, out);
  check_op(&c, 1e-6);
  assert_true(rig_get(out[0], 0) == 0.0 && rig_get(out[0], 41) == 1.0 &&
              rig_get(out[0], 45) == 1.0);
  free_all(in, 1);
  free_all(out, 1);
}

static void topk_of(rig_tensor *x, uint32_t k) {
  const forge_attr_topk attr = {k, 0};
  int64_t dim[FORGE_MAX_RANK];
  memcpy(dim, x->t.dim, sizeof dim);
  dim[x->t.rank - 1] = k;
  rig_tensor *in[] = {x};
  rig_tensor *out[] = {rig_make(FORGE_F32, x->t.rank, dim), rig_make(FORGE_I32, x->t.rank, dim)};
  const check c = CHECK(FORGE_OP_TOPK, attr, in, out);
  check_op(&c, 0.0);
  free_all(out, 2);
}

static void topk_sorts_and_prefers_the_lower_column(void **state) {
  (void)state;
  static const int64_t shapes[][2] = {{4, 1}, {3, 50}, {2, 1500}, {0, 9}};
  for (size_t s = 0; s < LENGTH(shapes); s++) {
    rig_tensor *x = make_random(FORGE_F32, 2, shapes[s], s + 1, -9, 9);
    for (int64_t i = 0; i < rig_elements(x); i += 2) rig_set(x, i, floor(rig_get(x, i)));
    if (rig_elements(x) > 100) rig_set(x, 60, (double)NAN);
    rig_tensor *forms[] = {x, make_spread(x), make_turned(x)};
    for (int i = 0; i < 3; i++) {
      topk_of(forms[i], 1);
      topk_of(forms[i], (uint32_t)(shapes[s][1] + 1) / 2);
      topk_of(forms[i], (uint32_t)shapes[s][1]);
    }
    free_all(forms, 3);
  }
}

static void global_norm_is_right(void **state) {
  (void)state;
  const int64_t a[] = {70001}, b[] = {3, 170}, c[] = {0};
  rig_tensor *x = make_random(FORGE_F32, 2, b, 2, -1, 1);
  rig_tensor *in[] = {make_random(FORGE_F32, 1, a, 1, -1, 1), make_spread(x),
                      rig_make(FORGE_F32, 1, c)};
  rig_tensor *out[] = {rig_make(FORGE_F32, 0, NULL), rig_make(FORGE_F32, 0, NULL)};
  static const double limits[] = {0.0, 1.0, 1e9};
  for (int i = 0; i < 3; i++) {
    const forge_attr_global_norm attr = {limits[i]};
    const check k = CHECK(FORGE_OP_GLOBAL_NORM, attr, in, out);
    check_op(&k, 1e-7);
  }
  rig_set(in[1], 7, (double)INFINITY);
  const forge_attr_global_norm attr = {1.0};
  const check k = CHECK(FORGE_OP_GLOBAL_NORM, attr, in, out);
  check_op(&k, 1e-7);
  assert_true(rig_get(out[1], 0) == 0.0);
  rig_set(in[1], 7, 1e25); /* its square is no float */
  check_op(&k, 1e-7);
  rig_free(x);
  free_all(in, 3);
  free_all(out, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_set_of_dims_can_be_reduced),
      cmocka_unit_test(a_sum_does_not_depend_on_strides),
      cmocka_unit_test(large_and_empty_shapes_reduce),
      cmocka_unit_test(half_precision_reduces_in_f32),
      cmocka_unit_test(argmax_takes_the_first_and_a_nan_before_all),
      cmocka_unit_test(softmax_is_right),
      cmocka_unit_test(softmax_of_nothing_visible_is_zero),
      cmocka_unit_test(topk_sorts_and_prefers_the_lower_column),
      cmocka_unit_test(global_norm_is_right),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
