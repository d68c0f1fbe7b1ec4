/* test_attention.c -- ATTENTION and its gradient on the CPU variants. */
#include "check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct shape {
  int64_t b, t, s, h, kvh, d;
} shape;

static const shape shapes[] = {{1, 1, 1, 1, 1, 1},    {2, 3, 5, 4, 2, 8},     {1, 5, 130, 6, 1, 20},
                               {2, 33, 65, 2, 2, 64}, {1, 70, 200, 4, 2, 80}, {1, 1, 300, 8, 2, 64},
                               {0, 2, 3, 2, 1, 4},    {2, 0, 3, 2, 1, 4},     {2, 3, 0, 2, 1, 4},
                               {1, 2, 70, 80, 2, 16}};

static rig_tensor *make_q(const shape *s, uint64_t seed) {
  return make_random(FORGE_F32, 4, (int64_t[]){s->b, s->t, s->h, s->d}, seed, -1, 1);
}
static rig_tensor *make_k(const shape *s, uint8_t dtype, uint64_t seed) {
  return make_random(dtype, 4, (int64_t[]){s->b, s->s, s->kvh, s->d}, seed, -1, 1);
}

/* Runs and compares y and lse. */
static void attend(rig_tensor *q, rig_tensor *k, rig_tensor *v, rig_tensor *starts,
                   rig_tensor *table, uint32_t flags, uint32_t window) {
  const forge_attr_attention attr = {0.7, flags, window};
  const int64_t lse[] = {q->t.dim[0], q->t.dim[2], q->t.dim[1]};
  rig_tensor *in[] = {q, k, v, starts, table};
  rig_tensor *out[] = {rig_make(FORGE_F32, 4, q->t.dim), rig_make(FORGE_F32, 3, lse)};
  const check c = CHECK(FORGE_OP_ATTENTION, attr, in, out);
  check_op(&c, 3e-6);
  free_all(out, 2);
}

static void dense_attention_is_right(void **state) {
  (void)state;
  static const uint8_t types[] = {FORGE_F32, FORGE_F16, FORGE_BF16};
  for (size_t i = 0; i < LENGTH(shapes); i++) {
    const shape *s = &shapes[i];
    rig_tensor *q = make_q(s, 1), *starts = rig_make(FORGE_I32, 1, &s->b);
    rig_random(starts, i, 0, (double)s->s);
    for (size_t type = 0; type < 3; type++) {
      if (i > 2 && type != i % 3) continue; /* each type once among the large ones */
      rig_tensor *k = make_k(s, types[type], 2), *v = make_k(s, types[type], 3);
      attend(q, k, v, NULL, NULL, 0, 0);
      attend(q, k, v, NULL, NULL, FORGE_ATTENTION_CAUSAL, 0);
      attend(q, k, v, starts, NULL, FORGE_ATTENTION_CAUSAL, 0);
      attend(q, k, v, starts, NULL, FORGE_ATTENTION_CAUSAL, 7);
      attend(q, k, v, starts, NULL, 0, 70);
      rig_free(k);
      rig_free(v);
    }
    rig_free(q);
    rig_free(starts);
  }
}

static void any_strides_will_do(void **state) {
  (void)state;
  const shape s = {2, 9, 70, 4, 2, 12};
  rig_tensor *q = make_q(&s, 1), *k = make_k(&s, FORGE_F32, 2), *v = make_k(&s, FORGE_BF16, 3);
  rig_tensor *qs[] = {make_spread(q), make_turned(q)}, *ks[] = {make_turned(k), make_spread(k)};
  rig_tensor *vs[] = {make_spread(v), make_turned(v)};
  for (int i = 0; i < 2; i++) {
    const forge_attr_attention attr = {0.3, FORGE_ATTENTION_CAUSAL, 0};
    rig_tensor *in[] = {qs[i], ks[i], vs[i], NULL, NULL}, *out[] = {make_turned(q), NULL};
    const check c = CHECK(FORGE_OP_ATTENTION, attr, in, out);
    check_op(&c, 3e-6);
    free_all(out, 1);
  }
  free_all((rig_tensor *[]){q, k, v, qs[0], qs[1], ks[0], ks[1], vs[0], vs[1]}, 9);
}

static void paged_attention_is_right_and_stays_inside(void **state) {
  (void)state;
  static const int64_t page_sizes[] = {1, 7, 16, 0};
  const shape s = {3, 6, 0, 4, 2, 16};
  for (size_t i = 0; i < LENGTH(page_sizes); i++) {
    const int64_t page = page_sizes[i], dim[] = {40, page, 2, 16}, table_dim[] = {3, 12};
    rig_tensor *q = make_q(&s, 1), *k = make_random(FORGE_F16, 4, dim, 2, -1, 1);
    rig_tensor *v = make_random(FORGE_F32, 4, dim, 3, -1, 1);
    rig_tensor *table = make_random(FORGE_I32, 2, table_dim, 4, 0, 40);
    rig_tensor *starts = rig_make(FORGE_I32, 1, table_dim);
    rig_set(table, 13, -1); /* the second sequence ends after one page */
    rig_set(table, 24 + 2, 40);
    static const double start[][3] = {
        {0, 9, 30}, {100, 3, 0}, {-5, -1, 2}, {INT32_MAX, INT32_MIN, 7}};
    for (int k_start = 0; k_start < 4; k_start++) {
      for (int b = 0; b < 3; b++) rig_set(starts, b, start[k_start][b]);
      attend(q, k, v, starts, table, FORGE_ATTENTION_CAUSAL, 0);
      attend(q, k, v, starts, table, 0, 5);
    }
    free_all((rig_tensor *[]){q, k, v, table, starts}, 5);
  }
}

/* y of queries [first, first+n) of sequence |b|, bit for bit. */
static void same_rows(const rig_tensor *all, int64_t b, int64_t first, const rig_tensor *some,
                      int64_t b_some) {
  const int64_t n = some->t.dim[1], row = all->t.dim[2] * all->t.dim[3];
  const uint8_t *want = all->data + (b * all->t.dim[1] + first) * row * 4;
  assert_memory_equal(some->data + b_some * n * row * 4, want, (size_t)(n * row * 4));
}

/* Rows [first, first+n) of dim 1 of sequence |b| as a tensor of their own. */
static rig_tensor *slice(const rig_tensor *x, int64_t b, int64_t first, int64_t n) {
  const int64_t dim[] = {1, n, x->t.dim[2], x->t.dim[3]}, row = dim[2] * dim[3];
  rig_tensor *y = rig_make(x->t.dtype, 4, dim);
  for (int64_t i = 0; i < n * row; i++)
    rig_set(y, i, rig_get(x, (b * x->t.dim[1] + first) * row + i));
  return y;
}

static void prefill_decode_and_pages_give_the_same_bits(void **state) {
  (void)state;
  const shape s = {2, 150, 150, 6, 2, 24};
  const forge_attr_attention attr = {0.2, FORGE_ATTENTION_CAUSAL, 0};
  rig_tensor *q = make_q(&s, 1), *k = make_k(&s, FORGE_BF16, 2), *v = make_k(&s, FORGE_BF16, 3);
  rig_tensor *y = rig_make(FORGE_F32, 4, q->t.dim);
  rig_tensor *in[] = {q, k, v, NULL, NULL};
  rig_same_bits(FORGE_OP_ATTENTION, &attr, sizeof attr, in, 5, &y, 1);
  const int64_t pages[] = {30, 16, 2, 24}, one[] = {1}, table_dim[] = {1, 10};
  static const int64_t pieces[][2] = {{0, 1}, {63, 1}, {64, 1}, {149, 1}, {60, 90}, {17, 70}};
  rig *r = rig_open("portable", 2);
  for (size_t i = 0; i < LENGTH(pieces); i++) {
    const int64_t b = (int64_t)i % 2, first = pieces[i][0], n = pieces[i][1];
    rig_tensor *some = slice(q, b, first, n), *got = rig_make(FORGE_F32, 4, some->t.dim);
    rig_tensor *starts = rig_make(FORGE_I32, 1, one), *table = rig_make(FORGE_I32, 2, table_dim);
    rig_tensor *k_pages = rig_make(FORGE_BF16, 4, pages), *v_pages = rig_make(FORGE_BF16, 4, pages);
    rig_tensor *k_one = slice(k, b, 0, 150), *v_one = slice(v, b, 0, 150);
    rig_set(starts, 0, (double)first);
    for (int64_t p = 0; p < 10; p++) rig_set(table, p, (double)(29 - 2 * p));
    for (int64_t e = 0; e < 150 * 48; e++) {
      const int64_t at = (29 - 2 * (e / 48 / 16)) * 16 * 48 + e % (16 * 48);
      rig_set(k_pages, at, rig_get(k_one, e));
      rig_set(v_pages, at, rig_get(v_one, e));
    }
    rig_tensor *dense[] = {some, k_one, v_one, starts, NULL};
    rig_must(r, FORGE_OP_ATTENTION, &attr, sizeof attr, dense, 5, &got, 1);
    same_rows(y, b, first, got, 0);
    rig_tensor *paged[] = {some, k_pages, v_pages, starts, table};
    rig_must(r, FORGE_OP_ATTENTION, &attr, sizeof attr, paged, 5, &got, 1);
    same_rows(y, b, first, got, 0);
    free_all((rig_tensor *[]){some, got, starts, table, k_pages, v_pages, k_one, v_one}, 8);
  }
  rig_close(r);
  free_all((rig_tensor *[]){q, k, v, y}, 4);
}

static void unseen_keys_may_hold_anything(void **state) {
  (void)state;
  const shape s = {1, 3, 80, 2, 1, 8};
  const forge_attr_attention attr = {0.5, FORGE_ATTENTION_CAUSAL, 0};
  rig_tensor *q = make_q(&s, 1), *k = make_k(&s, FORGE_F32, 2), *v = make_k(&s, FORGE_F32, 3);
  rig_tensor *in[] = {q, k, v, NULL, NULL}, *out[] = {rig_make(FORGE_F32, 4, q->t.dim), NULL};
  for (int64_t i = 3 * 8; i < 80 * 8; i++) {
    rig_set(k, i, (double)NAN);
    rig_set(v, i, (double)INFINITY);
  }
  rig_same_bits(FORGE_OP_ATTENTION, &attr, sizeof attr, in, 5, out, 2);
  for (int64_t i = 0; i < 3 * 2 * 8; i++) assert_true(isfinite(rig_get(out[0], i)));
  rig_set(k, 0, (double)NAN);
  rig_same_bits(FORGE_OP_ATTENTION, &attr, sizeof attr, in, 5, out, 2);
  assert_true(isnan(rig_get(out[0], 0)));
  free_all((rig_tensor *[]){q, k, v, out[0]}, 4);
}

/* The six inputs of the gradient: y and lse from the kernel itself. */
static void make_backward(const shape *s, const forge_attr_attention *attr, rig_tensor **in) {
  const int64_t lse[] = {s->b, s->h, s->t};
  rig *r = rig_open("portable", 1);
  in[0] = make_q(s, 1);
  in[1] = make_k(s, FORGE_F32, 2);
  in[2] = make_k(s, FORGE_F32, 3);
  in[3] = make_q(s, 0);
  in[4] = rig_make(FORGE_F32, 3, lse);
  in[5] = make_q(s, 5);
  rig_tensor *from[] = {in[0], in[1], in[2], NULL, NULL};
  rig_must(r, FORGE_OP_ATTENTION, attr, sizeof *attr, from, 5, in + 3, 2);
  rig_close(r);
}

static void the_gradient_is_right(void **state) {
  (void)state;
  for (size_t i = 0; i < LENGTH(shapes) * 2; i++) {
    const shape *s = &shapes[i / 2];
    const forge_attr_attention attr = {0.4, i % 2 ? FORGE_ATTENTION_CAUSAL : 0, 0};
    rig_tensor *in[6], *out[3];
    make_backward(s, &attr, in);
    for (int k = 0; k < 3; k++)
      out[k] = i % 3 ? make_spread(in[k]) : rig_make(FORGE_F32, 4, in[k]->t.dim);
    const check c = CHECK(FORGE_OP_ATTENTION_BWD, attr, in, out);
    check_op(&c, 1e-5);
    if (i % 3 == 1) {
      rig_tensor *q = in[0], *dy = in[5];
      in[0] = make_turned(q);
      in[5] = make_spread(dy);
      check_op(&c, 1e-5);
      rig_free(q);
      rig_free(dy);
    }
    free_all(in, 6);
    free_all(out, 3);
  }
}

static void the_gradient_agrees_with_differences(void **state) {
  (void)state;
  const shape s = {1, 4, 4, 4, 2, 3};
  const forge_attr_attention attr = {0.6, FORGE_ATTENTION_CAUSAL, 0};
  rig_tensor *t[6];
  make_backward(&s, &attr, t);
  ref *in[6], *grad[3];
  for (int i = 0; i < 6; i++) in[i] = ref_of(t[i]);
  for (int i = 0; i < 3; i++) grad[i] = ref_make(4, in[i]->dim);
  ref64_run(FORGE_OP_ATTENTION_BWD, &attr, (const ref *const *)in, 6, grad, 3, NULL);
  ref *from[] = {in[0], in[1], in[2], NULL, NULL};
  for (uint32_t i = 0; i < 3; i++)
    check_slope(FORGE_OP_ATTENTION, &attr, from, 5, in[0], in[5], i, grad[i], 1e-8);
  for (int i = 0; i < 6; i++) ref_free(in[i]);
  for (int i = 0; i < 3; i++) ref_free(grad[i]);
  free_all(t, 6);
}

static void heads_that_cannot_be_shared_are_refused(void **state) {
  (void)state;
  const shape s = {1, 2, 3, 5, 2, 4};
  const forge_attr_attention attr = {1, 0, 0};
  rig *r = rig_open("portable", 1);
  rig_tensor *in[] = {make_q(&s, 1), make_k(&s, FORGE_F32, 1), make_k(&s, FORGE_F32, 2), NULL,
                      NULL};
  rig_tensor *out[] = {rig_make(FORGE_F32, 4, in[0]->t.dim)};
  assert_int_equal(rig_run(r, FORGE_OP_ATTENTION, &attr, sizeof attr, in, 5, out, 1),
                   FORGE_E_INVALID);
  assert_non_null(strstr(rig_error(), "5 heads"));
  free_all(in, 3);
  free_all(out, 1);
  rig_close(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(dense_attention_is_right),
      cmocka_unit_test(any_strides_will_do),
      cmocka_unit_test(paged_attention_is_right_and_stays_inside),
      cmocka_unit_test(prefill_decode_and_pages_give_the_same_bits),
      cmocka_unit_test(unseen_keys_may_hold_anything),
      cmocka_unit_test(the_gradient_is_right),
      cmocka_unit_test(the_gradient_agrees_with_differences),
      cmocka_unit_test(heads_that_cannot_be_shared_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
