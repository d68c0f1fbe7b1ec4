/* test_pointwise.c -- BINARY UNARY UNARY_BWD AXPBY MASK SWIGLU SWIGLU_BWD on the CPU variants. */
#include "check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct shape {
  int rank;
  int64_t dim[4];
} shapes[] = {{0, {0}},        {1, {1}},        {1, {15}},         {1, {17}},
              {2, {3, 7}},     {3, {2, 1, 33}}, {2, {0, 5}},       {2, {5, 0}},
              {3, {3, 5, 16}}, {1, {5000}},     {4, {2, 3, 4, 5}}, {2, {70, 1025}}};

static double tolerance_of(uint8_t dtype) {
  return dtype == FORGE_F32 ? 2e-6 : dtype == FORGE_F16 ? 1e-3 : dtype == FORGE_BF16 ? 8e-3 : 0.0;
}

static void binary_matches(uint8_t dtype, uint32_t kind, const struct shape *s) {
  const forge_attr_kind attr = {kind, 0};
  const double low = dtype == FORGE_I32 ? -9.0 : 0.5, high = dtype == FORGE_I32 ? 9.0 : 3.0;
  rig_tensor *in[] = {make_random(dtype, s->rank, s->dim, 1, -high, high),
                      make_random(dtype, s->rank, s->dim, 2, low, high)};
  rig_tensor *out[] = {rig_make(dtype, s->rank, s->dim)};
  const check c = CHECK(FORGE_OP_BINARY, attr, in, out);
  check_op(&c, tolerance_of(dtype));
  free_all(in, 2);
  free_all(out, 1);
}

static void binary_is_right_in_every_type_and_shape(void **state) {
  (void)state;
  static const uint8_t types[] = {FORGE_F32, FORGE_F16, FORGE_BF16};
  for (uint32_t kind = FORGE_BINARY_ADD; kind <= FORGE_BINARY_MIN; kind++)
    for (size_t t = 0; t < LENGTH(types); t++)
      for (size_t s = t ? 7 : 0; s < LENGTH(shapes); s++)
        binary_matches(types[t], kind, &shapes[s]);
  for (uint32_t kind = FORGE_BINARY_ADD; kind <= FORGE_BINARY_MIN; kind++)
    if (kind != FORGE_BINARY_DIV) binary_matches(FORGE_I32, kind, &shapes[4]);
}

static void binary_takes_any_strides(void **state) {
  (void)state;
  const forge_attr_kind attr = {FORGE_BINARY_SUB, 0};
  const int64_t dim[] = {5, 6, 37};
  rig_tensor *a = make_random(FORGE_F32, 3, dim, 1, -2, 2);
  rig_tensor *row = rig_make_strided(FORGE_F32, 3, dim, (int64_t[]){0, 0, 1});
  rig_tensor *column = rig_make_strided(FORGE_F32, 3, dim, (int64_t[]){6, 1, 0});
  rig_random(row, 3, -1, 1);
  rig_random(column, 4, -1, 1);
  rig_tensor *left[] = {a, make_spread(a), make_turned(a)};
  rig_tensor *right[] = {row, column, make_turned(a)};
  rig_tensor *out[] = {rig_make(FORGE_F32, 3, dim), make_spread(a), make_turned(a)};
  for (size_t i = 0; i < 27; i++) {
    rig_tensor *in[] = {left[i % 3], right[i / 3 % 3]}, *y[] = {out[i / 9]};
    const check c = CHECK(FORGE_OP_BINARY, attr, in, y);
    check_op(&c, 1e-6);
  }
  free_all(left, 3);
  free_all(right, 3);
  free_all(out, 3);
}

static void the_larger_of_a_nan_is_a_nan(void **state) {
  (void)state;
  const int64_t dim[] = {4};
  const double a[] = {(double)NAN, 1, (double)NAN, -(double)INFINITY},
               b[] = {1, (double)NAN, (double)NAN, 2};
  for (uint32_t kind = FORGE_BINARY_MAX; kind <= FORGE_BINARY_MIN; kind++) {
    const forge_attr_kind attr = {kind, 0};
    rig_tensor *in[] = {rig_make(FORGE_F32, 1, dim), rig_make(FORGE_F32, 1, dim)};
    rig_tensor *out[] = {rig_make(FORGE_F32, 1, dim)};
    for (int i = 0; i < 4; i++) {
      rig_set(in[0], i, a[i]);
      rig_set(in[1], i, b[i]);
    }
    const check c = CHECK(FORGE_OP_BINARY, attr, in, out);
    check_op(&c, 0.0);
    free_all(in, 2);
    free_all(out, 1);
  }
}

static void integers_wrap_and_divide_by_zero_safely(void **state) {
  (void)state;
  const int64_t dim[] = {4};
  const double a[] = {7, INT32_MIN, INT32_MAX, -7}, b[] = {0, -1, 1, 2};
  const double quotient[] = {0, INT32_MIN, INT32_MAX, -3};
  const forge_attr_kind divide = {FORGE_BINARY_DIV, 0}, add = {FORGE_BINARY_ADD, 0};
  rig_tensor *in[] = {rig_make(FORGE_I32, 1, dim), rig_make(FORGE_I32, 1, dim)};
  rig_tensor *out[] = {rig_make(FORGE_I32, 1, dim)};
  for (int i = 0; i < 4; i++) {
    rig_set(in[0], i, a[i]);
    rig_set(in[1], i, b[i]);
  }
  rig_same_bits(FORGE_OP_BINARY, &divide, sizeof divide, in, 2, out, 1);
  for (int i = 0; i < 4; i++) assert_int_equal((int64_t)rig_get(out[0], i), (int64_t)quotient[i]);
  rig_same_bits(FORGE_OP_BINARY, &add, sizeof add, in, 2, out, 1);
  assert_int_equal((int64_t)rig_get(out[0], 2), INT32_MIN);
  free_all(in, 2);
  free_all(out, 1);
}

static bool wants_positive(uint32_t kind) {
  return kind == FORGE_UNARY_LOG || kind == FORGE_UNARY_SQRT || kind == FORGE_UNARY_RSQRT ||
         kind == FORGE_UNARY_RECIP;
}

static void unary_matches(uint8_t dtype, uint32_t kind, const struct shape *s) {
  const forge_attr_kind attr = {kind, 0};
  const double low = wants_positive(kind) ? 0.2 : -4.0;
  rig_tensor *x = make_random(dtype, s->rank, s->dim, kind, low, 4.0);
  rig_tensor *in[] = {x, make_random(dtype, s->rank, s->dim, kind + 50, -1.0, 1.0)};
  rig_tensor *out[] = {rig_make(dtype, s->rank, s->dim)};
  const check forward = {FORGE_OP_UNARY, &attr, sizeof attr, in, 1, out, 1};
  const check backward = CHECK(FORGE_OP_UNARY_BWD, attr, in, out);
  check_op(&forward, tolerance_of(dtype));
  check_op(&backward, 2.0 * tolerance_of(dtype));
  free_all(in, 2);
  free_all(out, 1);
}

static void unary_and_its_slope_are_right(void **state) {
  (void)state;
  for (uint32_t kind = FORGE_UNARY_NEG; kind <= FORGE_UNARY_STEP; kind++) {
    for (size_t s = 0; s < 5; s++) unary_matches(FORGE_F32, kind, &shapes[s]);
    unary_matches(FORGE_F32, kind, &(struct shape){2, {33, 131}});
    unary_matches(FORGE_BF16, kind, &(struct shape){2, {3, 9}});
    unary_matches(FORGE_F16, kind, &(struct shape){2, {3, 9}});
  }
}

static void unary_slopes_agree_with_differences(void **state) {
  (void)state;
  const int64_t dim[] = {23};
  for (uint32_t kind = FORGE_UNARY_NEG; kind <= FORGE_UNARY_ABS; kind++) {
    const forge_attr_kind attr = {kind, 0};
    rig_tensor *t = make_random(FORGE_F32, 1, dim, kind, wants_positive(kind) ? 0.3 : -3.0, 3.0);
    rig_tensor *w = make_random(FORGE_F32, 1, dim, kind + 9, -1.0, 1.0);
    ref *x = ref_of(t), *dy = ref_of(w), *dx = ref_make(1, dim);
    ref64_run(FORGE_OP_UNARY_BWD, &attr, (const ref *const[]){x, dy}, 2, &dx, 1, NULL);
    check_slope(FORGE_OP_UNARY, &attr, &x, 1, x, dy, 0, dx, 1e-7);
    rig_free(t);
    rig_free(w);
    ref_free(x);
    ref_free(dy);
    ref_free(dx);
  }
}

static void unary_keeps_the_ends_of_the_range(void **state) {
  (void)state;
  static const struct {
    uint32_t kind;
    double x, y;
  } rows[] = {{FORGE_UNARY_EXP, 200, INFINITY},
              {FORGE_UNARY_EXP, -200, 0},
              {FORGE_UNARY_SIGMOID, -300, 0},
              {FORGE_UNARY_SIGMOID, 300, 1},
              {FORGE_UNARY_TANH, 40, 1},
              {FORGE_UNARY_TANH, -40, -1},
              {FORGE_UNARY_SILU, -300, 0},
              {FORGE_UNARY_SILU, 300, 300},
              {FORGE_UNARY_GELU, -300, 0},
              {FORGE_UNARY_GELU, 300, 300},
              {FORGE_UNARY_RELU, NAN, NAN},
              {FORGE_UNARY_EXP, NAN, NAN},
              {FORGE_UNARY_TANH, NAN, NAN},
              {FORGE_UNARY_LOG, 0, -INFINITY},
              {FORGE_UNARY_RSQRT, 0, INFINITY},
              {FORGE_UNARY_STEP, 0, 0},
              {FORGE_UNARY_ABS, -INFINITY, INFINITY}};
  for (size_t i = 0; i < LENGTH(rows); i++) {
    const forge_attr_kind attr = {rows[i].kind, 0};
    rig_tensor *x = rig_make(FORGE_F32, 0, NULL), *y = rig_make(FORGE_F32, 0, NULL);
    rig_set(x, 0, rows[i].x);
    rig_same_bits(FORGE_OP_UNARY, &attr, sizeof attr, &x, 1, &y, 1);
    if (isnan(rows[i].y))
      assert_true(isnan(rig_get(y, 0)));
    else
      assert_true(rig_get(y, 0) == rows[i].y);
    rig_free(x);
    rig_free(y);
  }
}

static void axpby_may_write_over_its_input(void **state) {
  (void)state;
  const double beta = -0.75;
  uint64_t scalar;
  memcpy(&scalar, &beta, sizeof beta);
  const forge_attr_axpby attr = {.alpha = {.value = 2.5}, .beta = {.scalar = 1}};
  const int64_t dim[] = {9, 130};
  rig_tensor *a = make_random(FORGE_F32, 2, dim, 1, -1, 1);
  rig_tensor *b = make_random(FORGE_F32, 2, dim, 2, -1, 1);
  ref *before = ref_of(b);
  rig *r = rig_open("portable", 2);
  assert_non_null(r);
  assert_int_equal(rig_run_scalars(r, FORGE_OP_AXPBY, &attr, sizeof attr, (rig_tensor *[]){a, b}, 2,
                                   &b, 1, &scalar, 1),
                   FORGE_OK);
  for (int64_t i = 0; i < rig_elements(a); i++) {
    const double want = 2.5 * rig_get(a, i) + beta * before->v[i];
    assert_true(fabs(rig_get(b, i) - want) < 1e-6);
  }
  rig_close(r);
  ref_free(before);
  rig_free(a);
  rig_free(b);
}

static void swiglu_and_its_gradient_are_right(void **state) {
  (void)state;
  const char none = 0;
  for (size_t s = 0; s < LENGTH(shapes); s++) {
    rig_tensor *in[3], *out[2];
    for (uint32_t i = 0; i < 3; i++)
      in[i] = make_random(FORGE_F32, shapes[s].rank, shapes[s].dim, i, -3.0, 3.0);
    for (int i = 0; i < 2; i++) out[i] = rig_make(FORGE_F32, shapes[s].rank, shapes[s].dim);
    const check forward = {FORGE_OP_SWIGLU, &none, 0, in, 2, out, 1};
    const check backward = {FORGE_OP_SWIGLU_BWD, &none, 0, in, 3, out, 2};
    check_op(&forward, 1e-6);
    check_op(&backward, 2e-6);
    free_all(in, 3);
    free_all(out, 2);
  }
}

static void swiglu_slopes_agree_with_differences(void **state) {
  (void)state;
  const int64_t dim[] = {19};
  ref *in[3], *out[2];
  for (uint32_t i = 0; i < 3; i++) {
    rig_tensor *t = make_random(FORGE_F32, 1, dim, i + 1, -3.0, 3.0);
    in[i] = ref_of(t);
    rig_free(t);
  }
  for (int i = 0; i < 2; i++) out[i] = ref_make(1, dim);
  ref64_run(FORGE_OP_SWIGLU_BWD, NULL, (const ref *const *)in, 3, out, 2, NULL);
  for (uint32_t i = 0; i < 2; i++)
    check_slope(FORGE_OP_SWIGLU, NULL, in, 2, in[0], in[2], i, out[i], 1e-7);
  for (int i = 0; i < 3; i++) ref_free(in[i]);
  for (int i = 0; i < 2; i++) ref_free(out[i]);
}

static void mask_with(uint32_t kind, uint8_t dtype, rig_tensor *x, rig_tensor *limit) {
  const forge_attr_mask attr = {.kind = kind, .fill = dtype == FORGE_F32 ? -INFINITY : -7.9};
  const forge_attr_mask whole = {.kind = kind, .fill = -7};
  rig_tensor *in[] = {x, limit}, *out[] = {rig_make(dtype, x->t.rank, x->t.dim)};
  const check c = CHECK(FORGE_OP_MASK, attr, in, out);
  const check w = CHECK(FORGE_OP_MASK, whole, in, out);
  check_op(dtype == FORGE_F32 ? &c : &w, 0.0);
  free_all(out, 1);
}

static void masks_keep_what_they_say(void **state) {
  (void)state;
  const int64_t dim[] = {2, 3, 5, 9};
  static const uint8_t types[] = {FORGE_F32, FORGE_I32};
  for (int i = 0; i < 4; i++) {
    rig_tensor *x = make_random(types[i % 2], 4, dim, 3, -50, 50);
    rig_tensor *use = i < 2 ? x : make_spread(x);
    rig_tensor *every = make_random(FORGE_I32, 4, dim, 1, -2, 2);
    rig_tensor *starts = make_random(FORGE_I32, 2, dim, 2, -7, 12);
    rig_tensor *lengths = make_random(FORGE_I32, 3, dim, 4, -3, 14);
    mask_with(FORGE_MASK_TENSOR, types[i % 2], use, every);
    mask_with(FORGE_MASK_CAUSAL, types[i % 2], use, starts);
    mask_with(FORGE_MASK_CAUSAL, types[i % 2], use, NULL);
    mask_with(FORGE_MASK_LENGTH, types[i % 2], use, lengths);
    if (use != x) rig_free(use);
    free_all((rig_tensor *[]){x, every, starts, lengths}, 4);
  }
}

static void unknown_kinds_and_types_are_refused(void **state) {
  (void)state;
  rig *r = rig_open("portable", 1);
  const forge_attr_kind bad = {99, 0}, good = {FORGE_UNARY_EXP, 0};
  rig_tensor *f = rig_make(FORGE_F32, 0, NULL), *h = rig_make(FORGE_F16, 0, NULL);
  rig_tensor *n = rig_make(FORGE_I32, 0, NULL);
  assert_int_equal(rig_support(r, FORGE_OP_UNARY, &bad, sizeof bad, &f, 1, &f, 1).reason,
                   FORGE_REASON_ATTRIBUTES);
  assert_int_equal(rig_support(r, FORGE_OP_UNARY, &good, sizeof good, &f, 1, &h, 1).reason,
                   FORGE_REASON_DTYPE);
  assert_int_equal(rig_support(r, FORGE_OP_UNARY, &good, sizeof good, &n, 1, &n, 1).reason,
                   FORGE_REASON_DTYPE);
  assert_int_equal(rig_support(r, FORGE_OP_UNARY, &good, sizeof good, &f, 1, &f, 1).answer,
                   FORGE_SUPPORT_NATIVE);
  free_all((rig_tensor *[]){f, h, n}, 3);
  rig_close(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(binary_is_right_in_every_type_and_shape),
      cmocka_unit_test(binary_takes_any_strides),
      cmocka_unit_test(the_larger_of_a_nan_is_a_nan),
      cmocka_unit_test(integers_wrap_and_divide_by_zero_safely),
      cmocka_unit_test(unary_and_its_slope_are_right),
      cmocka_unit_test(unary_slopes_agree_with_differences),
      cmocka_unit_test(unary_keeps_the_ends_of_the_range),
      cmocka_unit_test(axpby_may_write_over_its_input),
      cmocka_unit_test(swiglu_and_its_gradient_are_right),
      cmocka_unit_test(swiglu_slopes_agree_with_differences),
      cmocka_unit_test(masks_keep_what_they_say),
      cmocka_unit_test(unknown_kinds_and_types_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
