/* test_loss.c -- CROSS_ENTROPY and its gradient on the CPU variants. */
#include "check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char none = 0;

static rig_tensor *make_targets(int64_t rows, int64_t columns) {
  rig_tensor *t = rig_make(FORGE_I32, 1, &rows);
  rig_random(t, 9, 0, (double)columns);
  if (rows > 3) rig_set(t, 1, -100);
  if (rows > 3) rig_set(t, 2, (double)columns);
  return t;
}

static rig_tensor *make_number(double value) {
  rig_tensor *t = rig_make(FORGE_F32, 0, NULL);
  rig_set(t, 0, value);
  return t;
}

static void loss_and_gradient_are_right(void **state) {
  (void)state;
  static const int64_t shapes[][2] = {{1, 1}, {5, 3}, {9, 65}, {4, 5000}, {0, 7}, {200, 100}};
  for (size_t s = 0; s < LENGTH(shapes) * 3; s++) {
    const int64_t *dim = shapes[s / 3];
    rig_tensor *x = make_random(FORGE_F32, 2, dim, s, -8, 8);
    rig_tensor *form = s % 3 == 0 ? x : s % 3 == 1 ? make_spread(x) : make_turned(x);
    rig_tensor *in[] = {form, make_targets(dim[0], dim[1]), make_number(1.7)};
    rig_tensor *loss[] = {make_number(5)}, *slope[] = {rig_make(FORGE_F32, 2, dim)};
    const check forward = {FORGE_OP_CROSS_ENTROPY, &none, 0, in, 2, loss, 1};
    const check backward = {FORGE_OP_CROSS_ENTROPY_BWD, &none, 0, in, 3, slope, 1};
    check_op(&forward, 1e-6);
    check_op(&backward, 1e-6);
    if (form != x) rig_free(x);
    free_all(in, 3);
    free_all(loss, 1);
    free_all(slope, 1);
  }
}

static void without_targets_the_loss_is_zero(void **state) {
  (void)state;
  const int64_t dim[] = {3, 4};
  rig_tensor *in[] = {make_random(FORGE_F32, 2, dim, 1, -1, 1), rig_make(FORGE_I32, 1, dim),
                      make_number(1)};
  rig_tensor *loss[] = {make_number(5)}, *slope[] = {make_random(FORGE_F32, 2, dim, 1, 1, 2)};
  for (int i = 0; i < 3; i++) rig_set(in[1], i, i == 1 ? INT32_MIN : INT32_MAX);
  rig_same_bits(FORGE_OP_CROSS_ENTROPY, &none, 0, in, 2, loss, 1);
  rig_same_bits(FORGE_OP_CROSS_ENTROPY_BWD, &none, 0, in, 3, slope, 1);
  assert_true(rig_get(loss[0], 0) == 0.0);
  for (int i = 0; i < 12; i++) assert_true(rig_get(slope[0], i) == 0.0);
  free_all(in, 3);
  free_all(loss, 1);
  free_all(slope, 1);
}

static void large_logits_do_not_overflow(void **state) {
  (void)state;
  const int64_t dim[] = {2, 6};
  rig_tensor *in[] = {make_random(FORGE_F32, 2, dim, 1, -1, 1), rig_make(FORGE_I32, 1, dim),
                      make_number(1)};
  rig_tensor *loss[] = {make_number(5)}, *slope[] = {rig_make(FORGE_F32, 2, dim)};
  rig_set(in[0], 3, 3e4);
  rig_set(in[0], 8, -(double)INFINITY);
  const check forward = {FORGE_OP_CROSS_ENTROPY, &none, 0, in, 2, loss, 1};
  const check backward = {FORGE_OP_CROSS_ENTROPY_BWD, &none, 0, in, 3, slope, 1};
  check_op(&forward, 1e-6);
  check_op(&backward, 1e-6);
  free_all(in, 3);
  free_all(loss, 1);
  free_all(slope, 1);
}

static void gradient_agrees_with_differences(void **state) {
  (void)state;
  const int64_t dim[] = {5, 7};
  rig_tensor *t = make_random(FORGE_F32, 2, dim, 1, -2, 2), *ids = make_targets(5, 7);
  rig_tensor *number = make_number(0.8);
  ref *in[] = {ref_of(t), ref_of(ids)}, *dy = ref_of(number), *dx = ref_make(2, dim);
  ref64_run(FORGE_OP_CROSS_ENTROPY_BWD, NULL, (const ref *const[]){in[0], in[1], dy}, 3, &dx, 1,
            NULL);
  check_slope(FORGE_OP_CROSS_ENTROPY, NULL, in, 2, dy, dy, 0, dx, 1e-8);
  ref_free(in[0]);
  ref_free(in[1]);
  ref_free(dy);
  ref_free(dx);
  free_all((rig_tensor *[]){t, ids, number}, 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(loss_and_gradient_are_right),
      cmocka_unit_test(without_targets_the_loss_is_zero),
      cmocka_unit_test(large_logits_do_not_overflow),
      cmocka_unit_test(gradient_agrees_with_differences),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
