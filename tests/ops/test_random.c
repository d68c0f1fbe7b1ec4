/* test_random.c -- RNG_PHILOX and SAMPLE on the CPU variants. */
#include "check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Published with the generator: Random123, kat_vectors. */
static void philox_gives_the_published_words(void **state) {
  (void)state;
  static const uint32_t rows[][10] = {
      {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
      {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d,
       0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
      {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09,
       0x94fdcceb, 0x5001e420, 0x24126ea1}};
  for (size_t i = 0; i < LENGTH(rows); i++) {
    uint32_t got[4];
    ref64_philox(rows[i], rows[i] + 4, got);
    assert_memory_equal(got, rows[i] + 6, sizeof got);
  }
  const forge_attr_rng attr = {.kind = FORGE_RNG_UNIFORM, .a = 0, .b = 1};
  const int64_t dim[] = {4};
  rig_tensor *y = rig_make(FORGE_F32, 1, dim);
  rig_same_bits(FORGE_OP_RNG_PHILOX, &attr, sizeof attr, NULL, 0, &y, 1);
  for (int i = 0; i < 4; i++) assert_true(rig_get(y, i) == ldexp(rows[0][6 + i] >> 8, -24));
  rig_free(y);
}

static void random_numbers_are_those_of_their_element(void **state) {
  (void)state;
  static const int64_t shapes[][2] = {{1, 1}, {3, 5}, {0, 4}, {7, 1000}};
  for (size_t s = 0; s < LENGTH(shapes); s++)
    for (uint32_t kind = FORGE_RNG_UNIFORM; kind <= FORGE_RNG_NORMAL; kind++) {
      const forge_attr_rng attr = {.kind = kind,
                                   .stream = 0x80000001u,
                                   .a = 0,
                                   .b = 1,
                                   .seed = 0x123456789abcdef0u,
                                   .offset = 0xfedcba98u};
      rig_tensor *y = rig_make(FORGE_F32, 2, shapes[s]),
                 *out[] = {y, make_spread(y), make_turned(y)};
      for (int form = 0; form < 3; form++) {
        const check c = {FORGE_OP_RNG_PHILOX, &attr, sizeof attr, NULL, 0, out + form, 1};
        check_op(&c, kind == FORGE_RNG_UNIFORM ? 0.0 : 1e-5);
      }
      free_all(out, 3);
    }
}

static void random_numbers_have_the_right_moments(void **state) {
  (void)state;
  const int64_t dim[] = {200000};
  rig *r = rig_open("portable", 2);
  rig_tensor *y = rig_make(FORGE_F32, 1, dim);
  for (uint32_t kind = FORGE_RNG_UNIFORM; kind <= FORGE_RNG_NORMAL; kind++) {
    const forge_attr_rng attr = {.kind = kind, .a = 3, .b = 5, .seed = 7};
    double mean = 0.0, square = 0.0;
    rig_must(r, FORGE_OP_RNG_PHILOX, &attr, sizeof attr, NULL, 0, &y, 1);
    for (int64_t i = 0; i < dim[0]; i++) mean += rig_get(y, i) / (double)dim[0];
    for (int64_t i = 0; i < dim[0]; i++) square += pow(rig_get(y, i) - mean, 2) / (double)dim[0];
    const bool uniform = kind == FORGE_RNG_UNIFORM;
    assert_true(fabs(mean - (uniform ? 4.0 : 3.0)) < (uniform ? 0.01 : 0.05));
    assert_true(fabs(square - (uniform ? 1.0 / 3.0 : 25.0)) < (uniform ? 0.005 : 0.3));
  }
  rig_free(y);
  rig_close(r);
}

static void seed_and_offset_may_be_scalars(void **state) {
  (void)state;
  const int64_t dim[] = {9};
  const uint64_t scalar[] = {UINT64_C(0xffffffff00000001), 5};
  const forge_attr_rng fixed = {.kind = 1, .b = 1, .seed = scalar[0], .offset = 5};
  const forge_attr_rng given = {.kind = 1, .b = 1, .seed_scalar = 1, .offset_scalar = 2};
  rig *r = rig_open("portable", 1);
  rig_tensor *a = rig_make(FORGE_F32, 1, dim), *b = rig_make(FORGE_F32, 1, dim);
  rig_must(r, FORGE_OP_RNG_PHILOX, &fixed, sizeof fixed, NULL, 0, &a, 1);
  assert_int_equal(
      rig_run_scalars(r, FORGE_OP_RNG_PHILOX, &given, sizeof given, NULL, 0, &b, 1, scalar, 2),
      FORGE_OK);
  assert_memory_equal(a->data, b->data, a->bytes);
  rig_free(a);
  rig_free(b);
  rig_close(r);
}

/* ---- SAMPLE ---- */

static const char none = 0;

typedef struct settings {
  double temperature, top_p, min_p, top_k;
} settings;

/* logits, params and iparams; row r has counter r. */
static void make_rows(rig_tensor *logits, const settings *s, rig_tensor **in) {
  const int64_t dim[] = {logits->t.dim[0], 4};
  in[0] = logits;
  in[1] = rig_make(FORGE_F32, 2, dim);
  in[2] = rig_make(FORGE_I32, 2, dim);
  for (int64_t r = 0; r < dim[0]; r++) {
    const double param[] = {s->temperature, s->top_p, s->min_p, 0};
    const double iparam[] = {s->top_k, -77, 12345, (double)r};
    for (int i = 0; i < 4; i++) {
      rig_set(in[1], 4 * r + i, param[i]);
      rig_set(in[2], 4 * r + i, iparam[i]);
    }
  }
}

static const settings every[] = {{0, 1, 0, 0},     {1, 1, 0, 0},        {0.7, 1, 0, 3},
                                 {1.5, 0.8, 0, 0}, {1, 1, 0.2, 0},      {1.2, 0.9, 0.05, 40},
                                 {1, 0, 0, 0},     {2, 0.999, 0, 1000}, {1e-6, 0.5, 0.5, 0},
                                 {1, 1, 2, 0},     {30, 1, 0, 0},       {30, 0.97, 0, 0}};

static void samples_are_those_of_a_full_sort(void **state) {
  (void)state;
  static const int64_t shapes[][2] = {{3, 1}, {40, 5}, {40, 97}, {3, 3000}, {0, 8}};
  for (size_t s = 0; s < LENGTH(shapes); s++)
    for (size_t i = 0; i < LENGTH(every); i++) {
      rig_tensor *in[3], *out[] = {rig_make(FORGE_I32, 1, shapes[s])};
      rig_tensor *x = make_random(FORGE_F32, 2, shapes[s], i, -6, 6);
      make_rows(i % 2 ? make_turned(x) : make_spread(x), &every[i], in);
      const check c = {FORGE_OP_SAMPLE, &none, 0, in, 3, out, 1};
      check_op(&c, 0.0);
      rig_free(x);
      free_all(in, 3);
      free_all(out, 1);
    }
}

static void equal_logits_come_in_order_of_their_ids(void **state) {
  (void)state;
  const int64_t dim[] = {30, 20};
  const settings s = {1, 0.5, 0, 7}, greedy = {0, 1, 0, 0};
  rig_tensor *in[3], *again[3], *out[] = {rig_make(FORGE_I32, 1, dim)};
  make_rows(rig_make(FORGE_F32, 2, dim), &s, in);
  const check c = {FORGE_OP_SAMPLE, &none, 0, in, 3, out, 1};
  check_op(&c, 0.0);
  for (int i = 0; i < 30; i++) assert_in_range((int64_t)rig_get(out[0], i), 0, 3);
  make_rows(in[0], &greedy, again);
  rig_same_bits(FORGE_OP_SAMPLE, &none, 0, again, 3, out, 1);
  for (int i = 0; i < 30; i++) assert_true(rig_get(out[0], i) == 0.0);
  free_all(in, 3);
  free_all(again + 1, 2);
  free_all(out, 1);
}

/* Pearson's statistic of 20000 draws; with 7 degrees of freedom 29.9 is passed once in 10000. */
static void draws_follow_the_probabilities(void **state) {
  (void)state;
  static const double logit[] = {0.1, 1.4, -0.7, 0.0, 2.0, -2.2, 0.9, 1.1};
  const int64_t dim[] = {20000, 8};
  rig_tensor *x = rig_make(FORGE_F32, 2, dim), *in[3], *out = rig_make(FORGE_I32, 1, dim);
  for (int64_t i = 0; i < 160000; i++) rig_set(x, i, logit[i % 8]);
  make_rows(x, &(settings){0.8, 1, 0, 0}, in);
  rig *r = rig_open("portable", 2);
  rig_must(r, FORGE_OP_SAMPLE, &none, 0, in, 3, &out, 1);
  double count[8] = {0}, sum = 0.0, statistic = 0.0;
  for (int64_t i = 0; i < 20000; i++) count[(int)rig_get(out, i)]++;
  for (int i = 0; i < 8; i++) sum += exp(logit[i] / 0.8);
  for (int i = 0; i < 8; i++) {
    const double want = 20000 * exp(logit[i] / 0.8) / sum;
    statistic += (count[i] - want) * (count[i] - want) / want;
  }
  print_message("chi-square %.2f\n", statistic);
  assert_true(statistic < 29.9);
  free_all(in, 3);
  rig_free(out);
  rig_close(r);
}

static void cuts_leave_only_what_they_say(void **state) {
  (void)state;
  const int64_t dim[] = {400, 6};
  static const double p[] = {0.05, 0.4, 0.1, 0.25, 0.15, 0.05};
  static const struct {
    settings s;
    bool may[6];
  } rows[] = {{{1, 1, 0, 2}, {0, 1, 0, 1, 0, 0}},     {{1, 0.7, 0, 0}, {0, 1, 0, 1, 1, 0}},
              {{1, 1, 0.3, 0}, {0, 1, 0, 1, 1, 0}},   {{1, 0.5, 0, 2}, {0, 1, 0, 0, 0, 0}},
              {{1, 0.9, 0.2, 4}, {0, 1, 1, 1, 1, 0}}, {{1, 1, 0, 5}, {1, 1, 1, 1, 1, 0}}};
  rig *r = rig_open("portable", 1);
  for (size_t i = 0; i < LENGTH(rows); i++) {
    rig_tensor *x = rig_make(FORGE_F32, 2, dim), *in[3], *out = rig_make(FORGE_I32, 1, dim);
    bool seen[6] = {false};
    for (int64_t e = 0; e < 2400; e++) rig_set(x, e, log(p[e % 6]));
    make_rows(x, &rows[i].s, in);
    rig_must(r, FORGE_OP_SAMPLE, &none, 0, in, 3, &out, 1);
    for (int64_t e = 0; e < 400; e++) seen[(int)rig_get(out, e)] = true;
    assert_memory_equal(seen, rows[i].may, sizeof seen);
    free_all(in, 3);
    rig_free(out);
  }
  rig_close(r);
}

static void hostile_logits_give_an_id_of_the_row(void **state) {
  (void)state;
  static const double odd[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, 3e38, -3e38};
  const int64_t dim[] = {120, 37};
  for (size_t i = 0; i < LENGTH(every); i++) {
    rig_tensor *x = make_random(FORGE_F32, 2, dim, i, -6, 6), *in[3],
               *out[] = {rig_make(FORGE_I32, 1, dim)};
    for (int64_t e = 0; e < 120 * 37; e++) {
      const int64_t row = e / 37;
      if (row % 6 < 5 && (row < 30 || e % 3 == 0)) rig_set(x, e, odd[row % 6]);
    }
    make_rows(x, &every[i], in);
    rig_same_bits(FORGE_OP_SAMPLE, &none, 0, in, 3, out, 1);
    for (int64_t r = 0; r < 120; r++) assert_in_range((int64_t)rig_get(out[0], r), 0, 36);
    free_all(in, 3);
    free_all(out, 1);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(philox_gives_the_published_words),
      cmocka_unit_test(random_numbers_are_those_of_their_element),
      cmocka_unit_test(random_numbers_have_the_right_moments),
      cmocka_unit_test(seed_and_offset_may_be_scalars),
      cmocka_unit_test(samples_are_those_of_a_full_sort),
      cmocka_unit_test(equal_logits_come_in_order_of_their_ids),
      cmocka_unit_test(draws_follow_the_probabilities),
      cmocka_unit_test(cuts_leave_only_what_they_say),
      cmocka_unit_test(hostile_logits_give_an_id_of_the_row),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
