/* ops_special_rows.c -- rows with NaN, infinities, ties and zeros in them; what is masked or
 * unseen. */
#include <math.h>

#include "cases.h"

/* ---- rows ---- */

/* Rows of 67: only -inf; one that is not; a NaN; ties; huge; zeros of both signs; the same number.
 */
static rig_tensor *strange_rows(bool nan) {
  const int64_t dim[] = {8, 67};
  rig_tensor *x = rig_make(FORGE_F32, 2, dim);
  rig_random(x, 3, -3.0, 3.0);
  for (int64_t i = 0; i < 67; i++) {
    rig_set(x, i, -(double)INFINITY);
    if (i != 65) rig_set(x, 67 + i, -(double)INFINITY);
    if (i % 2) rig_set(x, 3 * 67 + i, 2.0);
    rig_set(x, 5 * 67 + i, i % 3 ? 0.0 : -0.0);
    rig_set(x, 6 * 67 + i, 1.25);
  }
  if (nan) rig_set(x, 2 * 67 + 66, (double)NAN);
  if (nan) rig_set(x, 2 * 67 + 5, (double)NAN);
  rig_set(x, 4 * 67 + 64, 1e30);
  rig_set(x, 7 * 67, -1e30);
  return x;
}

static void reduce(const void *arg) {
  case_run run = case_begin("special values");
  (void)arg;
  for (uint32_t kind = FORGE_REDUCE_SUM; kind <= FORGE_REDUCE_MEAN; kind++) {
    const forge_attr_reduce attr = {kind, 2};
    op_call c = {.op = FORGE_OP_REDUCE, .n_in = 1, .n_out = 1};
    CALL_ATTR(&c, attr);
    c.in[0] = strange_rows(true);
    c.out[0] = rig_make(kind == FORGE_REDUCE_ARGMAX ? FORGE_I32 : FORGE_F32, 2, (int64_t[]){8, 1});
    case_check(&run, &c);
    call_free(&c);
  }
  case_end(&run);
}

static void softmax(const void *arg) {
  const forge_attr_softmax attr = {0.5};
  case_run run = case_begin("special values");
  (void)arg;
  op_call c = {.op = FORGE_OP_SOFTMAX, .n_in = 1, .n_out = 1};
  CALL_ATTR(&c, attr);
  c.in[0] = strange_rows(true);
  for (int64_t i = 4 * 67; i < 5 * 67; i++)
    rig_set(c.in[0], i, i == 5 * 67 - 3 ? 1e4 : rig_get(c.in[0], i));
  c.out[0] = call_like(c.in[0], FORGE_F32);
  case_check(&run, &c);
  call_free(&c);
  case_end(&run);
}

static void topk(const void *arg) {
  case_run run = case_begin("ties");
  (void)arg;
  for (uint32_t k = 1; k <= 67; k += 11) {
    const forge_attr_topk attr = {k, 0};
    const int64_t dim[] = {8, k};
    op_call c = {.op = FORGE_OP_TOPK, .n_in = 1, .n_out = 2};
    CALL_ATTR(&c, attr);
    c.in[0] = strange_rows(false);
    for (int64_t i = 5 * 67; i < 6 * 67; i++)
      rig_set(c.in[0], i, 0.0); /* -0 against 0 is left open */
    c.out[0] = rig_make(FORGE_F32, 2, dim);
    c.out[1] = rig_make(FORGE_I32, 2, dim);
    case_check(&run, &c);
    call_free(&c);
  }
  case_end(&run);
}

/* Rows of zeros, of one number, with a NaN: each row by itself. */
static void norm(const void *arg) {
  const bool layer = arg != NULL;
  case_run run = case_begin("special values");
  const forge_attr_norm attr = {1e-5};
  const int64_t dim[] = {5, 33};
  op_call c = {.n_in = layer ? 3 : 2, .n_out = 1, .slack = 8.0};
  CALL_ATTR(&c, attr);
  c.op = layer ? FORGE_OP_LAYERNORM : FORGE_OP_RMSNORM;
  c.in[0] = call_random(&c, FORGE_F32, 2, dim, 1, -1.0, 1.0);
  for (int64_t i = 0; i < 33; i++) {
    rig_set(c.in[0], i, 0.0);
    rig_set(c.in[0], 33 + i, 0.5);
  }
  rig_set(c.in[0], 2 * 33 + 32, (double)NAN);
  rig_set(c.in[0], 4 * 33 + 32, 1e4);
  c.in[1] = call_random(&c, FORGE_F32, 1, dim + 1, 2, 0.5, 1.5);
  if (layer) c.in[2] = call_random(&c, FORGE_F32, 1, dim + 1, 3, -1.0, 1.0);
  c.out[0] = call_like(c.in[0], FORGE_F32);
  case_check(&run, &c);
  call_free(&c);
  case_end(&run);
}

static void global_norm(const void *arg) {
  static const double values[] = {INFINITY, NAN, 1e15, 0.0, -INFINITY};
  case_run run = case_begin("special values");
  (void)arg;
  for (uint32_t k = 0; k < COUNT_OF(values); k++) {
    const forge_attr_global_norm attr = {k == 3 ? 0.5 : 1.0};
    const int64_t dim[] = {131};
    op_call c = {.op = FORGE_OP_GLOBAL_NORM, .n_in = 2, .n_out = 2};
    CALL_ATTR(&c, attr);
    for (int i = 0; i < 2; i++)
      c.in[i] =
          k == 3 ? rig_make(FORGE_F32, 1, dim) : call_random(&c, FORGE_F32, 1, dim, 1, -1.0, 1.0);
    rig_set(c.in[1], 130, values[k]);
    for (int i = 0; i < 2; i++) c.out[i] = rig_make(FORGE_F32, 0, NULL);
    case_check(&run, &c);
    call_free(&c);
  }
  case_end(&run);
}

static void masked(const void *arg) {
  static const double fills[] = {-INFINITY, NAN, 0.0};
  case_run run = case_begin("what is masked may be anything");
  (void)arg;
  for (uint32_t k = 0; k < 3; k++) {
    const forge_attr_mask attr = {FORGE_MASK_TENSOR, 0, fills[k]};
    const int64_t dim[] = {3, 67};
    op_call c = {.op = FORGE_OP_MASK, .n_in = 2, .n_out = 1};
    CALL_ATTR(&c, attr);
    c.in[0] = call_random(&c, FORGE_F32, 2, dim, 1, -1.0, 1.0);
    c.in[1] = rig_make(FORGE_I32, 2, dim);
    for (int64_t i = 0; i < 201; i++) {
      rig_set(c.in[1], i, i % 3 ? (i % 2 ? -1.0 : 2147483647.0) : 0.0);
      if (i % 6 == 0) rig_set(c.in[0], i, i % 12 ? (double)NAN : (double)INFINITY);
    }
    c.out[0] = call_like(c.in[0], FORGE_F32);
    case_check(&run, &c);
    call_free(&c);
  }
  case_end(&run);
}

/* ---- losses and attention ---- */

static void losses(const void *arg) {
  case_run run = case_begin("special values");
  (void)arg;
  for (int k = 0; k < 4; k++) {
    const int64_t dim[] = {5, 33};
    op_call c = {.op = k < 2 ? FORGE_OP_CROSS_ENTROPY : FORGE_OP_CROSS_ENTROPY_BWD};
    c.in[c.n_in++] = call_random(&c, FORGE_F32, 2, dim, 1, -1.0, 1.0);
    rig_set(c.in[0], 3, 3e4);
    rig_set(c.in[0], 33 + 4, -(double)INFINITY);
    rig_set(c.in[0], 66 + 4, -1e30);
    c.in[c.n_in++] = rig_make(FORGE_I32, 1, dim);
    for (int64_t i = 0; i < 5; i++)
      rig_set(c.in[1], i,
              k & 1    ? (i & 1 ? -2147483648.0 : 33.0)
              : i == 3 ? -100.0
                       : (double)(2 * i));
    if (k >= 2) c.in[c.n_in++] = rig_make(FORGE_F32, 0, NULL);
    if (k >= 2) rig_set(c.in[2], 0, 0.5);
    c.out[c.n_out++] = k < 2 ? rig_make(FORGE_F32, 0, NULL) : rig_make(FORGE_F32, 2, dim);
    case_check(&run, &c);
    call_free(&c);
  }
  case_end(&run);
}

/* Keys out of sight hold NaN and infinity; some queries see nothing at all. */
static void attention(const void *arg) {
  case_run run = case_begin("keys out of sight");
  (void)arg;
  for (int k = 0; k < 4; k++) {
    const forge_attr_attention attr = {0.5, FORGE_ATTENTION_CAUSAL, k == 2 ? 2u : 0u};
    const int64_t q[] = {2, 3, 4, 9}, kv[] = {2, 80, 2, 9}, lse[] = {2, 4, 3}, one[] = {2};
    op_call c = {.op = FORGE_OP_ATTENTION, .n_in = 5, .n_out = 2};
    CALL_ATTR(&c, attr);
    c.in[0] = call_random(&c, FORGE_F32, 4, q, 1, -1.0, 1.0);
    for (uint32_t i = 1; i < 3; i++)
      c.in[i] = call_random(&c, k == 3 ? FORGE_F16 : FORGE_F32, 4, kv, 1 + i, -1.0, 1.0);
    c.in[3] = rig_make(FORGE_I32, 1, one);
    rig_set(c.in[3], 0, 5.0);
    rig_set(c.in[3], 1, k ? -2.0 : -50.0); /* queries 0 and 1, or all of them, see nothing */
    for (int64_t b = 0; b < 2; b++)
      for (int64_t i = (b ? 1 : 8) * 18; i < 80 * 18; i++) {
        rig_set(c.in[1], b * 80 * 18 + i, i % 2 ? (double)NAN : (double)INFINITY);
        rig_set(c.in[2], b * 80 * 18 + i, i % 3 ? (double)NAN : -(double)INFINITY);
      }
    c.out[0] = rig_make(FORGE_F32, 4, q);
    c.out[1] = rig_make(FORGE_F32, 3, lse);
    case_check(&run, &c);
    call_free(&c);
  }
  case_end(&run);
}

/* A NaN that is seen is not hidden. */
static void attention_nan(const void *arg) {
  const forge_attr_attention attr = {0.5, 0, 0};
  const int64_t q[] = {1, 3, 2, 8}, kv[] = {1, 5, 1, 8};
  case_run run = case_begin("a NaN in sight");
  (void)arg;
  op_call c = {.op = FORGE_OP_ATTENTION, .n_in = 5, .n_out = 2};
  CALL_ATTR(&c, attr);
  c.in[0] = call_random(&c, FORGE_F32, 4, q, 1, -1.0, 1.0);
  for (uint32_t i = 1; i < 3; i++) c.in[i] = call_random(&c, FORGE_F32, 4, kv, 1 + i, -1.0, 1.0);
  rig_set(c.in[1], 17, (double)NAN);
  c.out[0] = rig_make(FORGE_F32, 4, q);
  if (case_offered(&run, &c)) {
    const rig_op op = call_op(&c);
    rig_must(run.r, &op, 1);
    for (int64_t i = 0; i < rig_elements(c.out[0]); i++)
      CHECK(isnan(rig_get(c.out[0], i)), "ATTENTION: a key is NaN, and element %lld of y is %g",
            (long long)i, rig_get(c.out[0], i));
    run.done++;
  }
  call_free(&c);
  case_end(&run);
}

void chapter_ops_special_rows(test_list *list) {
  static const int yes;
  TEST(list, "op.REDUCE.f32.special", reduce, FB_S5);
  TEST(list, "op.SOFTMAX.f32.special", softmax, FB_S5);
  TEST(list, "op.TOPK.f32.special", topk, FB_S5);
  TEST(list, "op.RMSNORM.f32.special", norm, FB_S5);
  TEST_OF(list, "op.LAYERNORM.f32.special", norm, &yes, FB_S5);
  TEST(list, "op.GLOBAL_NORM.f32.special", global_norm, FB_S5);
  TEST(list, "op.MASK.f32.special", masked, FB_S5);
  TEST(list, "op.CROSS_ENTROPY.f32.special", losses, FB_S5);
  TEST(list, "op.ATTENTION.f32.unseen", attention, FB_S5);
  TEST(list, "op.ATTENTION.f32.nan", attention_nan, FB_S5);
}
