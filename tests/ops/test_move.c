/* test_move.c -- ops that carry elements: copies, fills, gathers, scatters, the KV cache. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"

static void numbered(rig_tensor *t) {
  for (int64_t i = 0; i < rig_elements(t); i++) rig_set(t, i, (double)(i % 120));
}

static void assert_equal_elements(const rig_tensor *a, const rig_tensor *b) {
  for (int64_t i = 0; i < rig_elements(a); i++)
    if (rig_get(a, i) != rig_get(b, i))
      fail_msg("element %lld: %g, should be %g", (long long)i, rig_get(b, i), rig_get(a, i));
}

static void copy(rig_tensor *x, rig_tensor *y) {
  numbered(x);
  rig_same_bits(FORGE_OP_COPY_STRIDED, NULL, 0, &x, 1, &y, 1);
  assert_equal_elements(x, y);
  rig_free(x);
  rig_free(y);
}

static void copies_follow_any_strides(void **state) {
  static const uint8_t types[] = {FORGE_F32, FORGE_F16, FORGE_BF16, FORGE_I32, FORGE_I8};
  const int64_t dim[] = {5, 1, 7, 13};
  (void)state;
  for (int i = 0; i < 5; i++) {
    const uint8_t t = types[i];
    copy(rig_make(t, 4, dim), rig_make(t, 4, dim));
    copy(rig_make_strided(t, 4, dim, (int64_t[]){1, 500, 65, 5}), rig_make(t, 4, dim));
    copy(rig_make(t, 4, dim), rig_make_strided(t, 4, dim, (int64_t[]){1, 9, 78, 6}));
    copy(rig_make_strided(t, 4, dim, (int64_t[]){100, 9, 14, 1}), rig_make(t, 4, dim));
    copy(rig_make_strided(t, 4, dim, (int64_t[]){0, 0, 0, 1}), rig_make(t, 4, dim));
    copy(rig_make_strided(t, 4, dim, (int64_t[]){0, 0, 0, 0}), rig_make(t, 4, dim));
  }
}

static void copies_of_scalars_of_nothing_and_of_much_work(void **state) {
  (void)state;
  copy(rig_make(FORGE_F32, 0, NULL), rig_make(FORGE_F32, 0, NULL));
  copy(rig_make(FORGE_F32, 1, (int64_t[]){1}), rig_make(FORGE_F32, 1, (int64_t[]){1}));
  copy(rig_make(FORGE_F32, 2, (int64_t[]){3, 0}), rig_make(FORGE_F32, 2, (int64_t[]){3, 0}));
  copy(rig_make(FORGE_F32, 2, (int64_t[]){0, 3}), rig_make(FORGE_F32, 2, (int64_t[]){0, 3}));
  copy(rig_make(FORGE_F32, 1, (int64_t[]){200001}), rig_make(FORGE_F32, 1, (int64_t[]){200001}));
  copy(rig_make_strided(FORGE_F32, 2, (int64_t[]){300, 401}, (int64_t[]){1, 300}),
       rig_make(FORGE_F32, 2, (int64_t[]){300, 401}));
}

static void casts_between_plain_types_follow_strides(void **state) {
  static const uint8_t types[] = {FORGE_F32, FORGE_F16, FORGE_BF16, FORGE_I32, FORGE_I8};
  const int64_t dim[] = {3, 300};
  (void)state;
  for (int a = 0; a < 5; a++)
    for (int b = 0; b < 5; b++) {
      rig_tensor *x = rig_make_strided(types[a], 2, dim, (int64_t[]){1, 3});
      rig_tensor *y = rig_make_strided(types[b], 2, dim, (int64_t[]){700, 2});
      numbered(x);
      rig_same_bits(FORGE_OP_CAST, NULL, 0, &x, 1, &y, 1);
      assert_equal_elements(x, y);
      rig_free(x);
      rig_free(y);
    }
}

static void fills_round_floats_and_truncate_whole_numbers(void **state) {
  static const struct {
    uint8_t type;
    double value, want;
  } cases[] = {{FORGE_F32, 0.5, 0.5},       {FORGE_F16, 0.1, 0.0999755859375},
               {FORGE_BF16, 1.0, 1.0},      {FORGE_I32, -7.9, -7},
               {FORGE_I32, 5e9, INT32_MAX}, {FORGE_I32, 16777217.0, 16777217.0},
               {FORGE_I8, -300, -128}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const forge_attr_fill fill = {cases[i].value};
    rig_tensor *y = rig_make_strided(cases[i].type, 2, (int64_t[]){7, 30}, (int64_t[]){64, 2});
    rig_same_bits(FORGE_OP_FILL, &fill, sizeof fill, NULL, 0, &y, 1);
    for (int64_t e = 0; e < rig_elements(y); e++) assert_true(rig_get(y, e) == cases[i].want);
    rig_free(y);
  }
}

static void gathers_never_read_outside_the_table(void **state) {
  static const uint8_t types[] = {FORGE_F32, FORGE_F16, FORGE_BF16, FORGE_I32};
  static const double ids[] = {2, 0, -1, 3, 2147483647.0, -2147483648.0};
  (void)state;
  for (int i = 0; i < 4; i++)
    for (int same = 0; same < 2; same++) {
      if (types[i] == FORGE_I32 && !same) continue;
      rig_tensor *table = rig_make_strided(types[i], 2, (int64_t[]){3, 20}, (int64_t[]){1, 3});
      rig_tensor *id = rig_make_strided(FORGE_I32, 2, (int64_t[]){2, 3}, (int64_t[]){3, 1});
      rig_tensor *y = rig_make(same ? types[i] : FORGE_F32, 3, (int64_t[]){2, 3, 20});
      numbered(table);
      for (int k = 0; k < 6; k++) rig_set(id, k, ids[k]);
      rig_same_bits(FORGE_OP_GATHER_ROWS, NULL, 0, (rig_tensor *[]){table, id}, 2, &y, 1);
      for (int64_t e = 0; e < 120; e++) {
        const double row = ids[e / 20], got = rig_get(y, e);
        if (row >= 0 && row < 3)
          assert_true(got == rig_get(table, (int64_t)row * 20 + e % 20));
        else
          assert_true(types[i] == FORGE_I32 ? got == -1 : isnan(got));
      }
      rig_free(table);
      rig_free(id);
      rig_free(y);
    }
}

static void scatters_take_rows_in_order(void **state) {
  static const double ids[] = {1, 3, 1, -1, 4, 1};
  (void)state;
  for (uint32_t mode = FORGE_SCATTER_SET; mode <= FORGE_SCATTER_ADD; mode++)
    for (int with_base = 0; with_base < 2; with_base++) {
      const forge_attr_scatter scatter = {mode, 0};
      rig_tensor *base = with_base ? rig_make(FORGE_F32, 2, (int64_t[]){4, 9000}) : NULL;
      rig_tensor *id = rig_make(FORGE_I32, 1, (int64_t[]){6});
      rig_tensor *src = rig_make(FORGE_F32, 2, (int64_t[]){6, 9000});
      rig_tensor *y = rig_make(FORGE_F32, 2, (int64_t[]){4, 9000});
      if (base) rig_random(base, 1, -1.0, 1.0);
      rig_random(src, 2, -1.0, 1.0);
      rig_random(y, 3, -1.0, 1.0);
      for (int k = 0; k < 6; k++) rig_set(id, k, ids[k]);
      rig_same_bits(FORGE_OP_SCATTER_ROWS, &scatter, sizeof scatter,
                    (rig_tensor *[]){base, id, src}, 3, &y, 1);
      for (int64_t e = 0; e < rig_elements(y); e++) {
        float want = base ? (float)rig_get(base, e) : 0.0f;
        for (int k = 0; k < 6; k++) {
          const float s = (float)rig_get(src, k * 9000 + e % 9000);
          if ((int64_t)ids[k] == e / 9000) want = mode == FORGE_SCATTER_ADD ? want + s : s;
        }
        assert_true((float)rig_get(y, e) == want);
      }
      rig_free(base);
      rig_free(id);
      rig_free(src);
      rig_free(y);
    }
}

static void kv_rows_are_rounded_into_their_pages(void **state) {
  static const uint8_t types[] = {FORGE_F32, FORGE_F16, FORGE_BF16};
  static const double slots[] = {5, 0, 11, -1, 12, 5};
  (void)state;
  for (int i = 0; i < 3; i++) {
    rig_tensor *pages = rig_make(types[i], 4, (int64_t[]){3, 4, 2, 8}); /* 12 rows of 16 */
    rig_tensor *slot = rig_make(FORGE_I32, 1, (int64_t[]){6});
    rig_tensor *src = rig_make(FORGE_F32, 3, (int64_t[]){6, 2, 8});
    rig_tensor *rounded = rig_make(types[i], 3, (int64_t[]){6, 2, 8});
    rig_random(pages, 1, 2.0, 3.0);
    rig_tensor *before = rig_make(types[i], 4, (int64_t[]){3, 4, 2, 8});
    memcpy(before->data, pages->data, pages->bytes);
    rig_random(src, 2, -1.0, 1.0);
    for (int64_t e = 0; e < 96; e++) rig_set(rounded, e, rig_get(src, e));
    for (int k = 0; k < 6; k++) rig_set(slot, k, slots[k]);
    rig_same_bits(FORGE_OP_KV_WRITE, NULL, 0, (rig_tensor *[]){pages, slot, src}, 3, &pages, 1);
    for (int64_t e = 0; e < rig_elements(pages); e++) {
      double want = rig_get(before, e);
      for (int k = 0; k < 6; k++)
        if ((int64_t)slots[k] == e / 16) want = rig_get(rounded, k * 16 + e % 16);
      assert_true(rig_get(pages, e) == want);
    }
    rig_free(pages);
    rig_free(slot);
    rig_free(src);
    rig_free(rounded);
    rig_free(before);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(copies_follow_any_strides),
      cmocka_unit_test(copies_of_scalars_of_nothing_and_of_much_work),
      cmocka_unit_test(casts_between_plain_types_follow_strides),
      cmocka_unit_test(fills_round_floats_and_truncate_whole_numbers),
      cmocka_unit_test(gathers_never_read_outside_the_table),
      cmocka_unit_test(scatters_take_rows_in_order),
      cmocka_unit_test(kv_rows_are_rounded_into_their_pages),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
