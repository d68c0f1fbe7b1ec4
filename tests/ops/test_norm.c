/* test_norm.c -- RMSNORM LAYERNORM and their gradients on the CPU variants. */
#include "check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const forge_attr_norm attr = {1e-5};

static const int64_t shapes[][3] = {{1, 1, 1},    {2, 3, 7}, {1, 5, 17},  {3, 2, 288},
                                    {1, 2, 2500}, {0, 2, 3}, {2, 40, 300}};

/* x, w and b or dy, with x and dy in one of three layouts. */
static void make_inputs(const int64_t *dim, int form, rig_tensor **x, rig_tensor **w,
                        rig_tensor **dy) {
  rig_tensor *a = make_random(FORGE_F32, 3, dim, 1, -2, 3),
             *b = make_random(FORGE_F32, 3, dim, 2, -1, 1);
  *w = make_random(FORGE_F32, 1, dim + 2, 3, 0.5, 1.5);
  *x = form == 0 ? a : form == 1 ? make_spread(a) : make_turned(a);
  *dy = form == 0 ? b : form == 1 ? make_turned(b) : make_spread(b);
  if (form == 0) return;
  rig_free(a);
  rig_free(b);
}

static void norms_are_right(void **state) {
  (void)state;
  for (size_t s = 0; s < LENGTH(shapes) * 3; s++) {
    const int64_t *dim = shapes[s / 3];
    rig_tensor *x, *w, *dy;
    make_inputs(dim, s % 3, &x, &w, &dy);
    rig_tensor *in[] = {x, w, make_random(FORGE_F32, 1, dim + 2, 4, -1, 1)};
    rig_tensor *bare[] = {x, w, NULL},
               *out[] = {s % 2 ? rig_make(FORGE_F32, 3, dim) : make_spread(x)};
    const check rms = {FORGE_OP_RMSNORM, &attr, sizeof attr, in, 2, out, 1};
    const check layer = CHECK(FORGE_OP_LAYERNORM, attr, in, out);
    const check no_bias = CHECK(FORGE_OP_LAYERNORM, attr, bare, out);
    check_op(&rms, 2e-6);
    check_op(&layer, 2e-5);
    check_op(&no_bias, 2e-5);
    rig_free(dy);
    free_all(in, 3);
    free_all(out, 1);
  }
}

static void gradients_are_right(void **state) {
  (void)state;
  for (size_t s = 3; s < LENGTH(shapes) * 3; s++) {
    const int64_t *dim = shapes[s / 3];
    rig_tensor *in[3];
    make_inputs(dim, s % 3, &in[0], &in[1], &in[2]);
    rig_tensor *out[] = {s % 2 ? rig_make(FORGE_F32, 3, dim) : make_spread(in[0]),
                         rig_make(FORGE_F32, 1, dim + 2), rig_make(FORGE_F32, 1, dim + 2)};
    const check rms = {FORGE_OP_RMSNORM_BWD, &attr, sizeof attr, in, 3, out, 2};
    const check layer = CHECK(FORGE_OP_LAYERNORM_BWD, attr, in, out);
    check_op(&rms, 1e-5);
    check_op(&layer, 1e-5);
    free_all(in, 3);
    free_all(out, 3);
  }
}

static void gradients_agree_with_differences(void **state) {
  (void)state;
  const int64_t dim[] = {2, 3, 7};
  for (int layer = 0; layer < 2; layer++) {
    const uint16_t fwd = layer ? FORGE_OP_LAYERNORM : FORGE_OP_RMSNORM;
    const uint16_t bwd = layer ? FORGE_OP_LAYERNORM_BWD : FORGE_OP_RMSNORM_BWD;
    rig_tensor *t[3];
    make_inputs(dim, 0, &t[0], &t[1], &t[2]);
    ref *in[] = {ref_of(t[0]), ref_of(t[1]), ref_make(1, dim + 2)}, *dy = ref_of(t[2]);
    ref *grad[] = {ref_make(3, dim), ref_make(1, dim + 2), ref_make(1, dim + 2)};
    ref64_run(bwd, &attr, (const ref *const[]){in[0], in[1], dy}, 3, grad, layer ? 3 : 2, NULL);
    for (uint32_t i = 0; i < (layer ? 3u : 2u); i++)
      check_slope(fwd, &attr, in, layer ? 3 : 2, in[0], dy, i, grad[i], 1e-7);
    for (int i = 0; i < 3; i++) {
      ref_free(in[i]);
      ref_free(grad[i]);
    }
    ref_free(dy);
    free_all(t, 3);
  }
}

static void a_row_without_rows_gives_zero_slopes(void **state) {
  (void)state;
  const int64_t dim[] = {0, 2, 9};
  rig_tensor *in[3];
  make_inputs(dim, 0, &in[0], &in[1], &in[2]);
  rig_tensor *out[] = {rig_make(FORGE_F32, 3, dim), make_random(FORGE_F32, 1, dim + 2, 9, 1, 2)};
  rig_same_bits(FORGE_OP_RMSNORM_BWD, &attr, sizeof attr, in, 3, out, 2);
  for (int64_t i = 0; i < 9; i++) assert_true(rig_get(out[1], i) == 0.0);
  free_all(in, 3);
  free_all(out, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(norms_are_right),
      cmocka_unit_test(gradients_are_right),
      cmocka_unit_test(gradients_agree_with_differences),
      cmocka_unit_test(a_row_without_rows_gives_zero_slopes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
