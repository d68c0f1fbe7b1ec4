/* test_optimizer.c -- ADAMW on the CPU variants. */
#include "check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static forge_attr_adamw attr_of(double step) {
  return (forge_attr_adamw){.beta1 = 0.9,
                            .beta2 = 0.999,
                            .eps = 1e-8,
                            .weight_decay = 0.1,
                            .lr = {.value = 3e-3},
                            .step = {.value = step}};
}

/* p, m, v, g and clip; p, m, v are outputs too. */
static void make_inputs(int rank, const int64_t *dim, bool clip, rig_tensor **in) {
  for (uint32_t i = 0; i < 4; i++) in[i] = make_random(FORGE_F32, rank, dim, i, -1, 1);
  rig_random(in[2], 7, 0, 1);
  in[4] = clip ? rig_make(FORGE_F32, 0, NULL) : NULL;
  if (clip) rig_set(in[4], 0, 0.37);
}

static void an_update_is_right(void **state) {
  (void)state;
  static const int64_t shapes[][2] = {{1, 1}, {3, 7}, {0, 5}, {130, 1111}};
  for (size_t s = 0; s < LENGTH(shapes) * 2; s++) {
    const forge_attr_adamw attr = attr_of(s % 2 ? 1 : 1000);
    rig_tensor *in[5];
    make_inputs(2, shapes[s / 2], s % 2, in);
    rig_same_bits(FORGE_OP_ADAMW, &attr, sizeof attr, in, 5, in, 3);
    rig_tensor *again[5];
    make_inputs(2, shapes[s / 2], s % 2, again);
    ref *x[5], *y[3];
    for (int i = 0; i < 5; i++) x[i] = ref_of(again[i]);
    for (int i = 0; i < 3; i++) y[i] = ref_copy(x[i]);
    ref64_run(FORGE_OP_ADAMW, &attr, (const ref *const *)x, 5, y, 3, NULL);
    for (int k = 0; k < 3; k++)
      for (int64_t i = 0; i < ref_count(y[k]); i++)
        assert_true(fabs(rig_get(in[k], i) - y[k]->v[i]) <= 1e-6 * (1 + fabs(y[k]->v[i])));
    for (int i = 0; i < 5; i++) ref_free(x[i]);
    for (int i = 0; i < 3; i++) ref_free(y[i]);
    free_all(in, 5);
    free_all(again, 5);
  }
}

static void rate_and_step_may_be_scalars(void **state) {
  (void)state;
  const int64_t dim[] = {40};
  const double number[] = {3e-3, 12};
  uint64_t scalar[2];
  memcpy(scalar, number, sizeof scalar);
  const forge_attr_adamw fixed = attr_of(12);
  forge_attr_adamw given = attr_of(0);
  given.lr.scalar = 1;
  given.step.scalar = 2;
  rig *r = rig_open("portable", 1);
  rig_tensor *a[5], *b[5];
  make_inputs(1, dim, true, a);
  make_inputs(1, dim, true, b);
  rig_must(r, FORGE_OP_ADAMW, &fixed, sizeof fixed, a, 5, a, 3);
  assert_int_equal(rig_run_scalars(r, FORGE_OP_ADAMW, &given, sizeof given, b, 5, b, 3, scalar, 2),
                   FORGE_OK);
  for (int i = 0; i < 3; i++) assert_memory_equal(a[i]->data, b[i]->data, a[i]->bytes);
  free_all(a, 5);
  free_all(b, 5);
  rig_close(r);
}

static void step_zero_is_refused_with_a_reason(void **state) {
  (void)state;
  const int64_t dim[] = {4};
  const forge_attr_adamw attr = attr_of(0);
  rig *r = rig_open("portable", 1);
  rig_tensor *in[5];
  make_inputs(1, dim, false, in);
  assert_int_equal(rig_run(r, FORGE_OP_ADAMW, &attr, sizeof attr, in, 5, in, 3), FORGE_E_INVALID);
  assert_non_null(strstr(rig_error(), "step"));
  free_all(in, 5);
  rig_close(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_update_is_right),
      cmocka_unit_test(rate_and_step_may_be_scalars),
      cmocka_unit_test(step_zero_is_refused_with_a_reason),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
