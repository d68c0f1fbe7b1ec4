/* test_gradient.c -- the reverse pass against central differences, both in double precision: what
 * is tested is the formula, not the rounding. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "oracle.h"

/* A function of up to four inputs "a" "b" "c" "d"; the loss is a weighted sum of its result. */
typedef struct slope_case {
  build b;
  forge_tid in[4];
  const char *name[4];
  uint32_t n;
  double low, high;
} slope_case;

static slope_case begin(double low, double high) {
  slope_case s = {.low = low, .high = high};
  assert_int_equal(forge_builder_create(&s.b.builder), 0);
  return s;
}

static forge_tid input(slope_case *s, uint8_t dtype, uint8_t rank, const int64_t *dim) {
  static const char *const names[] = {"a", "b", "c", "d"};
  s->name[s->n] = names[s->n];
  s->in[s->n] = build_tensor(&s->b, FORGE_ROLE_INPUT, names[s->n], dtype, rank, dim, NULL);
  return s->in[s->n++];
}
#define DIM(...)                                                                                   \
  (sizeof((int64_t[]){__VA_ARGS__}) / 8), (int64_t[]) { __VA_ARGS__ }

/* Ids and other integers that have no gradient. */
static forge_tid ids(slope_case *s, const char *name, uint8_t rank, const int64_t *dim) {
  return build_tensor(&s->b, FORGE_ROLE_INPUT, name, FORGE_I32, rank, dim, NULL);
}

/* sum(y * w) for fixed w of both signs. */
static forge_tid weighted(build *b, forge_tid y, const char *name) {
  forge_tensor t;
  if (b->status) return y;
  b->status = forge_builder_describe(b->builder, y, &t);
  y = build_cast(b, y, FORGE_F32);
  const forge_tid w = build_tensor(b, FORGE_ROLE_INPUT, name, FORGE_F32, t.rank, t.dim, NULL);
  const forge_tid p = build_mul(b, y, w);
  return t.rank
             ? build_reshape(b, build_reduce(b, p, FORGE_REDUCE_SUM, (1u << t.rank) - 1), 0, NULL)
             : p;
}

typedef void (*fill_fn)(oracle *o);

static double loss_with(const slope_case *s, fill_fn fill, uint32_t which, uint64_t element,
                        double change) {
  oracle *o = oracle_make(s->b.builder);
  for (uint32_t i = 0; i < s->n; i++) oracle_random(o, s->name[i], 7 + i, s->low, s->high);
  for (size_t i = 0; i < s->b.builder->n_storages; i++) {
    const char *name = s->b.builder->storages[i].name;
    if (name && name[0] == 'w') oracle_random(o, name, 99 + i, -1, 1);
  }
  if (fill) fill(o);
  oracle_named(o, s->name[which], NULL)[element] += change;
  oracle_run(o, NULL);
  const double loss = oracle_named(o, "loss", NULL)[0];
  oracle_free(o);
  return loss;
}

static void compare(const slope_case *s, fill_fn fill, const char *what, oracle *o,
                    uint32_t which) {
  const double h = 1e-5;
  uint64_t n;
  char name[8] = {'g', (char)('0' + which), 0};
  const double *g = oracle_named(o, name, &n);
  for (uint64_t e = 0; e < n; e++) {
    const double up = loss_with(s, fill, which, e, h), down = loss_with(s, fill, which, e, -h);
    const double want = (up - down) / (2 * h);
    if (fabs(want - g[e]) > 2e-6 * (1 + fabs(want)))
      fail_msg("%s: d/d%s[%d] is %.9g, differences say %.9g", what, s->name[which], (int)e, g[e],
               want);
  }
}

/* Ends a case: builds the gradient of the loss and compares all of it. */
static void check(slope_case *s, forge_tid y, fill_fn fill, const char *what) {
  build *b = &s->b;
  forge_tid grads[4];
  const forge_tid loss = weighted(b, y, "w0");
  if (!b->status) b->status = forge_builder_output(b->builder, loss, "loss");
  if (b->status) fail_msg("%s: %s", what, forge_error_last()->msg);
  if (forge_builder_gradient(b->builder, loss, s->in, s->n, grads))
    fail_msg("%s: %s", what, forge_error_last()->msg);
  for (uint32_t i = 0; i < s->n; i++) {
    const char name[8] = {'g', (char)('0' + i), 0};
    assert_int_equal(forge_builder_output(b->builder, grads[i], name), 0);
  }
  oracle *o = oracle_make(b->builder);
  for (uint32_t i = 0; i < s->n; i++) oracle_random(o, s->name[i], 7 + i, s->low, s->high);
  for (size_t i = 0; i < b->builder->n_storages; i++) {
    const char *name = b->builder->storages[i].name;
    if (name && name[0] == 'w') oracle_random(o, name, 99 + i, -1, 1);
  }
  if (fill) fill(o);
  oracle_run(o, NULL);
  for (uint32_t i = 0; i < s->n; i++) compare(s, fill, what, o, i);
  oracle_free(o);
  forge_builder_destroy(b->builder);
}

/* ---- primitives ---- */

static void elementwise_ops_have_their_slopes(void **state) {
  (void)state;
  for (uint32_t kind = 1; kind <= FORGE_UNARY_STEP; kind++) {
    slope_case s = begin(0.2, 1.7);
    check(&s, build_unary(&s.b, input(&s, FORGE_F32, DIM(3, 5)), kind), NULL, "unary");
  }
  for (uint32_t kind = FORGE_UNARY_SIGMOID; kind <= FORGE_UNARY_STEP; kind++) {
    slope_case s = begin(-2, 2);
    check(&s, build_unary(&s.b, input(&s, FORGE_F32, DIM(3, 5)), kind), NULL, "unary");
  }
  for (uint32_t kind = 1; kind <= FORGE_BINARY_MIN; kind++) {
    slope_case s = begin(0.5, 2);
    const forge_tid a = input(&s, FORGE_F32, DIM(2, 3, 4)), c = input(&s, FORGE_F32, DIM(3, 1));
    check(&s, build_binary(&s.b, a, c, kind), NULL, "binary, second operand broadcast");
  }
  slope_case s = begin(-1, 1);
  const forge_tid a = input(&s, FORGE_F32, DIM(4)), c = input(&s, FORGE_BF16, DIM(4));
  const forge_tid half = build_cast(&s.b, c, FORGE_F32);
  check(&s, build_axpby(&s.b, 2, a, -3, half), NULL, "axpby and cast");
}

static void reductions_have_their_slopes(void **state) {
  (void)state;
  const uint32_t kinds[] = {FORGE_REDUCE_SUM, FORGE_REDUCE_MAX, FORGE_REDUCE_MEAN};
  for (int i = 0; i < 3; i++)
    for (uint32_t dims = 1; dims < 8; dims++) {
      slope_case s = begin(-1, 1);
      check(&s, build_reduce(&s.b, input(&s, FORGE_F32, DIM(2, 3, 4)), kinds[i], dims), NULL,
            "reduce");
    }
}

static void products_have_their_slopes_with_all_transposes(void **state) {
  (void)state;
  for (uint32_t flags = 0; flags < 4; flags++) {
    slope_case s = begin(-1, 1);
    const forge_tid a =
        flags & 1 ? input(&s, FORGE_F32, DIM(2, 4, 3)) : input(&s, FORGE_F32, DIM(2, 3, 4));
    const forge_tid c =
        flags & 2 ? input(&s, FORGE_F32, DIM(2, 5, 4)) : input(&s, FORGE_F32, DIM(2, 4, 5));
    const forge_tid bias = input(&s, FORGE_F32, DIM(5));
    check(&s, build_matmul(&s.b, a, c, bias, flags), NULL, "matmul");
  }
  slope_case s =
      begin(-1, 1); /* weights repeated over a batch that cannot be joined, bf16 operands */
  const forge_tid x = input(&s, FORGE_F32, DIM(2, 3, 4)), w = input(&s, FORGE_F32, DIM(5, 4));
  const forge_tid turned =
      build_permute(&s.b, build_cast(&s.b, x, FORGE_BF16), (uint8_t[]){1, 0, 2});
  check(&s, build_linear(&s.b, turned, build_cast(&s.b, w, FORGE_BF16), FORGE_TID_NONE, false),
        NULL, "linear over a permuted batch");
}

static void some_ids(oracle *o) {
  static const double values[] = {2, 0, 2, 5, -1, 1, 3, 2};
  uint64_t n;
  double *v = oracle_named(o, "ids", &n);
  for (uint64_t i = 0; i < n; i++) v[i] = values[i % 8];
}

static void valid_ids(oracle *o) {
  uint64_t n;
  double *v = oracle_named(o, "ids", &n);
  for (uint64_t i = 0; i < n; i++) v[i] = (double)(i * 7 % 5 % 4);
}

static void rows_moved_by_id_have_their_slopes(void **state) {
  (void)state;
  slope_case s = begin(-1, 1);
  const forge_tid table = input(&s, FORGE_F32, DIM(4, 3));
  check(&s, build_gather(&s.b, table, ids(&s, "ids", DIM(2, 4))), valid_ids, "gather");
  for (uint32_t mode = 1; mode <= 2; mode++)
    for (int base = 0; base < 2; base++) {
      slope_case c = begin(-1, 1);
      const forge_attr_scatter a = {mode, base ? 0u : 4u};
      forge_tid y = 0;
      const forge_tid src = input(&c, FORGE_F32, DIM(8, 3));
      const forge_tid in[] = {base ? input(&c, FORGE_F32, DIM(4, 3)) : FORGE_TID_NONE,
                              ids(&c, "ids", DIM(8)), src};
      build_op(&c.b, FORGE_OP_SCATTER_ROWS, &a, sizeof a, in, 3, &y, 1);
      check(&c, y, some_ids, mode == FORGE_SCATTER_SET ? "scatter set" : "scatter add");
    }
}

static void softmax_and_mask_have_their_slopes(void **state) {
  (void)state;
  slope_case s = begin(-1, 1);
  forge_tid x = input(&s, FORGE_F32, DIM(2, 3, 4));
  const forge_attr_mask causal = {FORGE_MASK_CAUSAL, 0, -INFINITY};
  build_op(&s.b, FORGE_OP_MASK, &causal, sizeof causal, (forge_tid[]){x, FORGE_TID_NONE}, 2, &x, 1);
  check(&s, build_softmax(&s.b, x, 0.7), NULL, "softmax of a masked row");
}

static void views_pass_gradients_back_to_where_they_look(void **state) {
  (void)state;
  slope_case s = begin(-1, 1);
  build *b = &s.b;
  const forge_tid x = input(&s, FORGE_F32, DIM(3, 12));
  const forge_tid q = build_slice(b, x, 1, 0, 4), k = build_slice(b, x, 1, 4, 4);
  const forge_tid heads =
      build_permute(b, build_reshape(b, q, 3, (int64_t[]){3, 2, 2}), (uint8_t[]){1, 0, 2});
  const forge_tid flat = build_reshape(b, heads, 2, (int64_t[]){3, 4});
  const forge_tid whole = build_reshape(b, x, 2, (int64_t[]){9, 4});
  const forge_tid part = build_slice(b, whole, 0, 2, 3);
  const forge_tid y = build_add(b, build_mul(b, flat, k), build_mul(b, part, part));
  check(&s, build_add(b, y, build_slice(b, x, 1, 8, 4)), NULL,
        "slices, permutes and reshapes of one tensor");
}

/* ---- composites ---- */

static void norms_have_their_slopes(void **state) {
  (void)state;
  slope_case s = begin(-1, 1);
  forge_tid x = input(&s, FORGE_F32, DIM(2, 3, 5)), w = input(&s, FORGE_F32, DIM(5));
  check(&s, build_rmsnorm(&s.b, x, w, 1e-2), NULL, "rmsnorm");
  for (int bias = 0; bias < 2; bias++) {
    slope_case c = begin(-1, 1);
    x = input(&c, FORGE_F32, DIM(3, 5)), w = input(&c, FORGE_F32, DIM(5));
    check(&c,
          build_layernorm(&c.b, x, w, bias ? input(&c, FORGE_F32, DIM(5)) : FORGE_TID_NONE, 1e-2),
          NULL, "layernorm");
  }
}

static void positions(oracle *o) {
  uint64_t n;
  double *p = oracle_named(o, "positions", &n);
  for (uint64_t i = 0; i < n; i++) p[i] = (double)(i * 3);
}

static void rope_has_its_slope(void **state) {
  (void)state;
  for (uint32_t flags = 0; flags < 4; flags++) {
    slope_case s = begin(-1, 1);
    const forge_attr_rope a = {100, 0.5, 4, flags};
    const forge_tid x = input(&s, FORGE_F32, DIM(2, 3, 2, 6));
    const forge_tid p = ids(&s, "positions", DIM(3));
    check(&s, build_rope(&s.b, x, p, FORGE_TID_NONE, &a), positions, "rope");
  }
}

static void gates_have_their_slopes(void **state) {
  (void)state;
  slope_case s = begin(-2, 2);
  const forge_tid gate = input(&s, FORGE_F32, DIM(3, 4)), up = input(&s, FORGE_F32, DIM(3, 4));
  check(&s, build_swiglu(&s.b, gate, up), NULL, "swiglu");
}

static void attention_has_its_slope(void **state) {
  (void)state;
  for (uint32_t flags = 0; flags < 2; flags++) {
    slope_case s = begin(-1, 1);
    const forge_attr_attention a = {0.6, flags, 0};
    const forge_tid q = input(&s, FORGE_F32, DIM(2, 3, 4, 2));
    const forge_tid k = input(&s, FORGE_F32, DIM(2, 3, 2, 2)),
                    v = input(&s, FORGE_BF16, DIM(2, 3, 2, 2));
    check(&s, build_attention(&s.b, q, k, v, FORGE_TID_NONE, FORGE_TID_NONE, &a), NULL,
          "attention");
  }
}

static void targets(oracle *o) {
  double *t = oracle_named(o, "ids", NULL);
  t[0] = 3;
  t[1] = -1; /* skipped */
  t[2] = 0;
}

static void the_loss_has_its_slope(void **state) {
  (void)state;
  slope_case s = begin(-2, 2);
  const forge_tid x = input(&s, FORGE_F32, DIM(3, 5));
  check(&s, build_cross_entropy(&s.b, x, ids(&s, "ids", DIM(3))), targets, "cross entropy");
}

static void experts_have_their_slopes(void **state) {
  (void)state;
  for (uint32_t flags = 0; flags < 2; flags++) {
    slope_case s = begin(-2, 2);
    const forge_attr_moe a = {2, flags};
    const forge_tid x = input(&s, FORGE_F32, DIM(3, 5));
    forge_tid out[2] = {0, 0};
    build_op(&s.b, FORGE_OP_MOE_ROUTE, &a, sizeof a, &x, 1, out, 2);
    check(&s, out[1], NULL, "moe route");
    slope_case c = begin(-1, 1);
    const forge_attr_matmul m = {flags, 0};
    const forge_tid t = flags ? input(&c, FORGE_F32, DIM(6, 3)) : input(&c, FORGE_F32, DIM(6, 4));
    const forge_tid in[] = {t, input(&c, FORGE_F32, DIM(4, 3, 4)), ids(&c, "ids", DIM(6))};
    forge_tid y = 0;
    build_op(&c.b, FORGE_OP_GROUPED_MATMUL, &m, sizeof m, in, 3, &y, 1);
    check(&c, y, some_ids, "grouped matmul");
  }
}

/* ---- the pass as a whole ---- */

static void what_the_loss_does_not_reach_gets_zeros(void **state) {
  (void)state;
  slope_case s = begin(-1, 1);
  const forge_tid a = input(&s, FORGE_F32, DIM(2, 2));
  input(&s, FORGE_F32, DIM(3));
  check(&s, build_mul(&s.b, a, a), NULL, "an unused input");
}

static void an_op_without_gradient_is_named(void **state) {
  (void)state;
  slope_case s = begin(-1, 1);
  const forge_tid x = input(&s, FORGE_F32, DIM(2, 4));
  const forge_attr_topk k = {2, 0};
  forge_tid out[2] = {0, 0}, g;
  build_op(&s.b, FORGE_OP_TOPK, &k, sizeof k, &x, 1, out, 2);
  const forge_tid loss = weighted(&s.b, out[0], "w0");
  assert_int_equal(forge_builder_gradient(s.b.builder, loss, &x, 1, &g), FORGE_E_UNSUPPORTED);
  assert_non_null(strstr(forge_error_last()->msg, "TOPK"));
  assert_int_equal(forge_builder_gradient(s.b.builder, out[0], &x, 1, &g), FORGE_E_INVALID);
  assert_non_null(strstr(forge_error_last()->msg, "rank 0"));
  forge_builder_destroy(s.b.builder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(elementwise_ops_have_their_slopes),
      cmocka_unit_test(reductions_have_their_slopes),
      cmocka_unit_test(products_have_their_slopes_with_all_transposes),
      cmocka_unit_test(rows_moved_by_id_have_their_slopes),
      cmocka_unit_test(softmax_and_mask_have_their_slopes),
      cmocka_unit_test(views_pass_gradients_back_to_where_they_look),
      cmocka_unit_test(norms_have_their_slopes),
      cmocka_unit_test(rope_has_its_slope),
      cmocka_unit_test(gates_have_their_slopes),
      cmocka_unit_test(attention_has_its_slope),
      cmocka_unit_test(the_loss_has_its_slope),
      cmocka_unit_test(experts_have_their_slopes),
      cmocka_unit_test(what_the_loss_does_not_reach_gets_zeros),
      cmocka_unit_test(an_op_without_gradient_is_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
