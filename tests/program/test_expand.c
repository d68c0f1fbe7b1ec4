/* test_expand.c -- every composite against its expansion: in double precision op by op, and on the
 * CPU backend, native and as primitives. Shapes are odd on purpose. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench_device.h"

#define DIM(...)                                                                                   \
  (sizeof((int64_t[]){__VA_ARGS__}) / 8), (int64_t[]) { __VA_ARGS__ }

typedef struct expand_case {
  build b;
  oracle *o;
  const char *name[8];
  double low[8], high[8];
  uint32_t n;
  const char *out[3];
  uint32_t n_out;
  bool exact_ids; /* an output of ids: compared as they are */
} expand_case;

static bench_device native, restricted;
static bool have_native, have_restricted;

static expand_case begin(void) {
  expand_case c = {0};
  assert_int_equal(forge_builder_create(&c.b.builder), 0);
  return c;
}

static forge_tid given(expand_case *c, const char *name, uint8_t dtype, uint32_t role, double low,
                       double high, size_t rank, const int64_t *dim) {
  c->name[c->n] = name;
  c->low[c->n] = low;
  c->high[c->n++] = high;
  return build_tensor(&c->b, role, name, dtype, (uint8_t)rank, dim, NULL);
}

static forge_tid f32(expand_case *c, const char *name, size_t rank, const int64_t *dim) {
  return given(c, name, FORGE_F32, FORGE_ROLE_INPUT, -1, 1, rank, dim);
}

static forge_tid i32(expand_case *c, const char *name, double low, double high, size_t rank,
                     const int64_t *dim) {
  return given(c, name, FORGE_I32, FORGE_ROLE_INPUT, low, high, rank, dim);
}

static void op(expand_case *c, uint16_t number, const void *attr, uint32_t bytes,
               const forge_tid *in, uint32_t n_in, uint32_t n_out) {
  static const char *const names[] = {"y0", "y1", "y2"};
  forge_tid out[3] = {0, 0, 0};
  build_op(&c->b, number, attr, bytes, in, n_in, out, n_out);
  for (uint32_t k = 0; k < n_out && !c->b.status; k++)
    c->b.status = forge_builder_output(c->b.builder, out[k], c->out[c->n_out++] = names[k]);
}
#define OP(c, number, attr, n_out, ...)                                                            \
  op(c, FORGE_OP_##number, &(attr), sizeof(attr), (forge_tid[]){__VA_ARGS__},                      \
     sizeof((forge_tid[]){__VA_ARGS__}) / sizeof(forge_tid), n_out)
#define OP0(c, number, n_out, ...)                                                                 \
  op(c, FORGE_OP_##number, NULL, 0, (forge_tid[]){__VA_ARGS__},                                    \
     sizeof((forge_tid[]){__VA_ARGS__}) / sizeof(forge_tid), n_out)

/* Inputs are there: call before fixing some of them by hand. */
static oracle *fill(expand_case *c) {
  if (c->b.status) fail_msg("%s", forge_error_last()->msg);
  c->o = oracle_make(c->b.builder);
  for (uint32_t i = 0; i < c->n; i++)
    oracle_random(c->o, c->name[i], 31 + i, c->low[i], c->high[i]);
  return c->o;
}

static void compare(const char *what, const char *how, const char *name, const double *want,
                    const double *have, uint64_t n, double tolerance) {
  for (uint64_t i = 0; i < n; i++) {
    const bool same = want[i] == have[i] || (isnan(want[i]) && isnan(have[i]));
    if (!same && !(fabs(want[i] - have[i]) <= tolerance * (1 + fabs(want[i]))))
      fail_msg("%s, %s: %s[%d] is %.9g, not %.9g", what, how, name, (int)i, have[i], want[i]);
  }
}

static oracle *copy_inputs(const expand_case *c, const forge_builder *g) {
  oracle *o = oracle_make(g);
  for (uint32_t i = 0; i < c->n; i++) {
    uint64_t n;
    const double *from = oracle_named(c->o, c->name[i], &n);
    memcpy(oracle_named(o, c->name[i], NULL), from, n * sizeof *from);
  }
  return o;
}

/* The expansion in double precision. */
static void check_formula(const expand_case *c, oracle *whole, const uint64_t *scalars,
                          const char *what) {
  forge_builder *g;
  assert_int_equal(graph_clone(c->b.builder, &g), 0);
  g->compiling = true;
  assert_int_equal(reduce_dead(g), 0);
  uint8_t *all = calloc(g->n_nodes + 1, 1);
  for (size_t i = 0; i < g->n_nodes; i++) all[i] = op_find(g->nodes[i].op)->expand != NULL;
  if (reduce_expand(g, all)) fail_msg("%s: %s", what, forge_error_last()->msg);
  free(all);
  for (size_t i = 0; i < g->n_nodes; i++) assert_null(op_find(g->nodes[i].op)->expand);
  oracle *o = copy_inputs(c, g);
  oracle_run(o, scalars);
  for (uint32_t k = 0; k < c->n_out; k++) {
    uint64_t n;
    const double *want = oracle_named(whole, c->out[k], &n);
    compare(what, "expanded in double", c->out[k], want, oracle_named(o, c->out[k], NULL), n, 3e-6);
  }
  oracle_free(o);
  forge_builder_destroy(g);
}

static void check_device(const expand_case *c, oracle *whole, const uint64_t *scalars,
                         const bench_device *d, uint32_t flags, const char *how, double tolerance,
                         const char *what) {
  const forge_program_options options = {.size = sizeof options, .flags = flags};
  bench_run r = bench_compile(d, c->b.builder, 0, &options);
  oracle *start = copy_inputs(c, c->b.builder);
  bench_upload(&r, start);
  bench_must_run(&r, scalars, (uint32_t)c->b.builder->n_scalars);
  for (uint32_t k = 0; k < c->n_out; k++) {
    uint64_t n;
    double *have = bench_read(&r, c->out[k], &n);
    compare(what, how, c->out[k], oracle_named(whole, c->out[k], NULL), have, n, tolerance);
    free(have);
  }
  oracle_free(start);
  bench_end(&r);
}

static void check_scalars(expand_case *c, const uint64_t *scalars, const char *what) {
  if (!c->o) fill(c);
  bench_round(c->o);
  oracle *whole = copy_inputs(c, c->b.builder);
  oracle_run(whole, scalars);
  check_formula(c, whole, scalars, what);
  if (have_native) {
    check_device(c, whole, scalars, &native, 0, "native", 1e-4, what);
    check_device(c, whole, scalars, &native, FORGE_COMPILE_PRIMITIVES, "as primitives", 1e-4, what);
  }
  if (have_restricted)
    check_device(c, whole, scalars, &restricted, 0, "on a device of primitives", 1e-4, what);
  oracle_free(whole);
  oracle_free(c->o);
  forge_builder_destroy(c->b.builder);
}

static void check(expand_case *c, const char *what) { check_scalars(c, NULL, what); }

/* ---- the composites ---- */

static void norms_equal_their_expansions(void **state) {
  (void)state;
  const forge_attr_norm a = {1e-3};
  expand_case c = begin();
  OP(&c, RMSNORM, a, 1, f32(&c, "x", DIM(3, 2, 7)), f32(&c, "w", DIM(7)));
  check(&c, "rmsnorm");
  c = begin();
  OP(&c, RMSNORM_BWD, a, 2, f32(&c, "x", DIM(3, 2, 7)), f32(&c, "w", DIM(7)),
     f32(&c, "dy", DIM(3, 2, 7)));
  check(&c, "rmsnorm_bwd");
  c = begin();
  OP(&c, LAYERNORM, a, 1, f32(&c, "x", DIM(5, 7)), f32(&c, "w", DIM(7)), f32(&c, "b", DIM(7)));
  check(&c, "layernorm");
  c = begin();
  OP(&c, LAYERNORM, a, 1, f32(&c, "x", DIM(5, 1)), f32(&c, "w", DIM(1)), FORGE_TID_NONE);
  check(&c, "layernorm of one column");
  c = begin();
  OP(&c, LAYERNORM_BWD, a, 3, f32(&c, "x", DIM(5, 7)), f32(&c, "w", DIM(7)),
     f32(&c, "dy", DIM(5, 7)));
  check(&c, "layernorm_bwd");
}

static void pointwise_equal_their_expansions(void **state) {
  (void)state;
  expand_case c = begin();
  OP0(&c, SWIGLU, 1, f32(&c, "g", DIM(3, 5)), f32(&c, "u", DIM(3, 5)));
  check(&c, "swiglu");
  c = begin();
  OP0(&c, SWIGLU_BWD, 2, f32(&c, "g", DIM(3, 5)), f32(&c, "u", DIM(3, 5)),
      f32(&c, "dy", DIM(3, 5)));
  check(&c, "swiglu_bwd");
  for (uint32_t kind = 1; kind <= FORGE_UNARY_STEP; kind++) {
    const forge_attr_kind a = {kind, 0};
    const bool positive = kind >= FORGE_UNARY_LOG && kind <= FORGE_UNARY_RECIP;
    c = begin();
    const forge_tid x =
        given(&c, "x", FORGE_F32, FORGE_ROLE_INPUT, positive ? 0.3 : -2, 2, DIM(3, 11));
    OP(&c, UNARY_BWD, a, 1, x, f32(&c, "dy", DIM(3, 11)));
    check(&c, "unary_bwd");
  }
}

static void rope_equals_its_expansion(void **state) {
  (void)state;
  for (uint32_t flags = 0; flags < 4; flags++) {
    const forge_attr_rope a = {10000, 1, 6, flags}, whole = {500, 0.5, 8, flags};
    expand_case c = begin();
    OP(&c, ROPE, a, 1, f32(&c, "x", DIM(2, 3, 2, 8)), i32(&c, "p", 0, 40, DIM(3)), FORGE_TID_NONE);
    check(&c, "rope of some columns");
    c = begin();
    const forge_tid factors = given(&c, "f", FORGE_F32, FORGE_ROLE_INPUT, 1, 4, DIM(4));
    OP(&c, ROPE, whole, 1, f32(&c, "x", DIM(2, 3, 2, 8)), i32(&c, "p", 0, 40, DIM(2, 3)), factors);
    check(&c, "rope with factors and positions per batch");
  }
}

static void attention_equals_its_expansion(void **state) {
  (void)state;
  for (uint32_t window = 0; window < 4; window += 3)
    for (uint32_t flags = 0; flags < 2; flags++)
      for (int starts = 0; starts < 2; starts++) {
        const forge_attr_attention a = {0.4, flags, window};
        expand_case c = begin();
        const forge_tid s = starts ? i32(&c, "s", 0, 4, DIM(2)) : FORGE_TID_NONE;
        const forge_tid k = given(&c, "k", FORGE_F16, FORGE_ROLE_INPUT, -1, 1, DIM(2, 7, 2, 5));
        const forge_tid v = given(&c, "v", FORGE_F16, FORGE_ROLE_INPUT, -1, 1, DIM(2, 7, 2, 5));
        OP(&c, ATTENTION, a, 2, f32(&c, "q", DIM(2, 3, 6, 5)), k, v, s, FORGE_TID_NONE);
        check(&c, "dense attention");
      }
}

static void paged_attention_equals_its_expansion(void **state) {
  (void)state;
  static const double table[] = {4, 1, 0, 2, 9, 3}; /* page 9 is not there: the sequence ends */
  for (uint32_t window = 0; window < 4; window += 3)
    for (uint32_t flags = 0; flags < 2; flags++) {
      const forge_attr_attention a = {0.4, flags, window};
      expand_case c = begin();
      const forge_tid q = f32(&c, "q", DIM(2, 3, 4, 5)), k = f32(&c, "k", DIM(5, 4, 2, 5));
      const forge_tid v = f32(&c, "v", DIM(5, 4, 2, 5)), s = i32(&c, "s", 1, 7, DIM(2));
      OP(&c, ATTENTION, a, 2, q, k, v, s, i32(&c, "t", 0, 4, DIM(2, 3)));
      memcpy(oracle_named(fill(&c), "t", NULL), table, sizeof table);
      for (int i = 0; i < 20; i++) { /* keys behind the end hold rubbish: rows 2 and 3 of page 0 */
        oracle_named(c.o, "v", NULL)[20 + i] = NAN;
        oracle_named(c.o, "k", NULL)[20 + i] = NAN;
      }
      for (int i = 0; i < 40; i++)
        oracle_named(c.o, "v", NULL)[3 * 40 + i] = NAN; /* behind page 9 */
      check(&c, "paged attention");
    }
}

static void attention_gradient_equals_its_expansion(void **state) {
  (void)state;
  for (uint32_t flags = 0; flags < 2; flags++) {
    const forge_attr_attention a = {0.4, flags, 0};
    expand_case c = begin();
    const forge_tid q = f32(&c, "q", DIM(2, 3, 4, 5)), k = f32(&c, "k", DIM(2, 3, 2, 5));
    const forge_tid v = f32(&c, "v", DIM(2, 3, 2, 5));
    forge_tid y[2] = {0, 0};
    build_op(&c.b, FORGE_OP_ATTENTION, &a, sizeof a,
             (forge_tid[]){q, k, v, FORGE_TID_NONE, FORGE_TID_NONE}, 5, y, 2);
    OP(&c, ATTENTION_BWD, a, 3, q, k, v, y[0], y[1], f32(&c, "dy", DIM(2, 3, 4, 5)));
    check(&c, "attention_bwd");
  }
}

static void kv_write_equals_its_expansion(void **state) {
  (void)state;
  for (int half = 0; half < 2; half++) {
    expand_case c = begin();
    const forge_tid pages =
        given(&c, "pages", half ? FORGE_F16 : FORGE_F32, FORGE_ROLE_STATE, -1, 1, DIM(3, 2, 2, 5));
    const forge_tid slots = i32(&c, "slots", -1, 7, DIM(4));
    const forge_tid src = given(&c, "src", FORGE_F16, FORGE_ROLE_INPUT, -1, 1, DIM(4, 2, 5));
    OP0(&c, KV_WRITE, 1, pages, slots, build_cast(&c.b, src, FORGE_F32));
    c.out[c.n_out++] = "pages";
    check(&c, "kv_write");
  }
}

static void the_loss_equals_its_expansion(void **state) {
  (void)state;
  expand_case c = begin();
  OP0(&c, CROSS_ENTROPY, 1, f32(&c, "x", DIM(6, 5)), i32(&c, "t", -1, 6, DIM(6)));
  check(&c, "cross_entropy");
  c = begin();
  OP0(&c, CROSS_ENTROPY_BWD, 1, f32(&c, "x", DIM(6, 5)), i32(&c, "t", -1, 6, DIM(6)),
      f32(&c, "d", 0, NULL));
  check(&c, "cross_entropy_bwd");
}

static void the_optimizer_equals_its_expansion(void **state) {
  (void)state;
  for (int step = 1; step <= 1000; step += 333) {
    forge_attr_adamw a = {0.9, 0.999, 1e-8, 0.1, {0, 0, 0}, {0, 0, 0}};
    expand_case c = begin();
    uint32_t lr, t;
    assert_int_equal(forge_builder_scalar(c.b.builder, "lr", UINT64_MAX, &lr), 0);
    assert_int_equal(forge_builder_scalar(c.b.builder, "step", UINT64_MAX, &t), 0);
    a.lr.scalar = lr + 1;
    a.step.scalar = t + 1;
    const forge_tid p = given(&c, "p", FORGE_F32, FORGE_ROLE_STATE, -1, 1, DIM(3, 5));
    const forge_tid m = given(&c, "m", FORGE_F32, FORGE_ROLE_STATE, -1, 1, DIM(3, 5));
    const forge_tid v = given(&c, "v", FORGE_F32, FORGE_ROLE_STATE, 0.1, 1, DIM(3, 5));
    OP(&c, ADAMW, a, 3, p, m, v, f32(&c, "g", DIM(3, 5)),
       step & 1 ? f32(&c, "clip", 0, NULL) : FORGE_TID_NONE);
    double values[2] = {0.01, step};
    uint64_t bits[2];
    memcpy(bits, values, sizeof bits);
    c.n_out = 0; /* outputs are copies of the states: look at those */
    c.out[c.n_out++] = "p", c.out[c.n_out++] = "m", c.out[c.n_out++] = "v";
    check_scalars(&c, bits, "adamw");
  }
}

static void the_norm_of_all_equals_its_expansion(void **state) {
  (void)state;
  static const double limits[] = {0, 0.5, 100};
  for (int i = 0; i < 3; i++)
    for (int bad = 0; bad < 3; bad++) {
      const forge_attr_global_norm a = {limits[i]};
      expand_case c = begin();
      OP(&c, GLOBAL_NORM, a, 2, f32(&c, "a", DIM(3, 5)), f32(&c, "b", 0, NULL),
         f32(&c, "c", DIM(7)));
      if (bad) oracle_named(fill(&c), "c", NULL)[3] = bad == 1 ? INFINITY : NAN;
      check(&c, "global_norm");
    }
}

/* temperature, top_p, min_p, 0 and top_k, seed, seed, counter for each row */
static void sampling_equals_its_expansion(void **state) {
  (void)state;
  static const double params[][4] = {{0, 1, 0, 0},     {1, 1, 0, 0},     {0.7, 0.8, 0, 0},
                                     {1.5, 1, 0.2, 0}, {1, 0.5, 0.1, 0}, {2, 0.9, 0.05, 0},
                                     {1, 0, 0, 0}};
  enum { ROWS = 7, V = 37 };
  for (int round = 0; round < 6; round++) {
    expand_case c = begin();
    c.exact_ids = true;
    const forge_tid x = given(&c, "x", FORGE_F32, FORGE_ROLE_INPUT, -3, 3, DIM(ROWS, V));
    OP0(&c, SAMPLE, 1, x, f32(&c, "params", DIM(ROWS, 4)),
        i32(&c, "iparams", 0, 1e9, DIM(ROWS, 4)));
    fill(&c);
    memcpy(oracle_named(c.o, "params", NULL), params, sizeof params);
    for (int row = 0; row < ROWS; row++)
      oracle_named(c.o, "iparams", NULL)[4 * row] = row == 4 ? 5 : row == 6 ? 100 : 0;
    for (int row = 0; row < ROWS; row++) oracle_named(c.o, "iparams", NULL)[4 * row + 3] += round;
    check(&c, "sample");
  }
}

static void block_products_equal_their_expansion(void **state) {
  (void)state;
  for (int rank = 2; rank < 4; rank++) {
    expand_case c = begin();
    const forge_tid w = given(&c, "w", FORGE_Q8_0, FORGE_ROLE_PARAM, -1, 1, DIM(7, 64));
    const forge_tid x = rank == 2 ? f32(&c, "x", DIM(3, 64)) : f32(&c, "x", DIM(2, 3, 64));
    OP0(&c, QMATMUL, 1, x, w, rank == 2 ? f32(&c, "b", DIM(7)) : FORGE_TID_NONE);
    check(&c, "qmatmul");
  }
}

static void experts_equal_their_expansions(void **state) {
  (void)state;
  for (uint32_t flags = 0; flags < 2; flags++) {
    const forge_attr_moe moe = {2, flags};
    const forge_attr_matmul m = {flags, 0};
    expand_case c = begin();
    OP(&c, MOE_ROUTE, moe, 2, f32(&c, "x", DIM(5, 7)));
    check(&c, "moe_route");
    c = begin();
    const forge_tid x = f32(&c, "x", DIM(5, 7));
    forge_tid route[2] = {0, 0};
    build_op(&c.b, FORGE_OP_MOE_ROUTE, &moe, sizeof moe, &x, 1, route, 2);
    OP(&c, MOE_ROUTE_BWD, moe, 1, x, route[0], f32(&c, "dw", DIM(5, 2)));
    check(&c, "moe_route_bwd");
    c = begin();
    const forge_tid w = given(&c, "w", FORGE_BF16, FORGE_ROLE_PARAM, -1, 1, DIM(3, 4, 5));
    OP(&c, GROUPED_MATMUL, m, 1, flags ? f32(&c, "x", DIM(6, 4)) : f32(&c, "x", DIM(6, 5)), w,
       i32(&c, "ids", -1, 4, DIM(6)));
    check(&c, "grouped_matmul");
  }
  expand_case c = begin();
  static const forge_attr_matmul plain = {0, 0};
  const forge_tid in[] = {f32(&c, "x", DIM(6, 5)), f32(&c, "dy", DIM(6, 4)),
                          i32(&c, "ids", -1, 4, DIM(6))};
  const forge_tensor shape = {.dtype = FORGE_F32, .rank = 3, .dim = {3, 4, 5}};
  forge_tid dw;
  assert_int_equal(forge_builder_op_shaped(c.b.builder, FORGE_OP_GROUPED_MATMUL_DW, &plain,
                                           sizeof plain, in, 3, &shape, &dw),
                   0);
  assert_int_equal(forge_builder_output(c.b.builder, dw, c.out[c.n_out++] = "y0"), 0);
  check(&c, "grouped_matmul_dw");
}

int main(void) {
  static const char *const only[] = {"backend.cpu.only_primitives=true", NULL};
  have_native = bench_open("cpu", NULL, &native);
  have_restricted = bench_open("cpu", only, &restricted);
  if (!have_native) print_message("no CPU backend in this build: only the formulas are tested\n");
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(norms_equal_their_expansions),
      cmocka_unit_test(pointwise_equal_their_expansions),
      cmocka_unit_test(rope_equals_its_expansion),
      cmocka_unit_test(attention_equals_its_expansion),
      cmocka_unit_test(paged_attention_equals_its_expansion),
      cmocka_unit_test(attention_gradient_equals_its_expansion),
      cmocka_unit_test(kv_write_equals_its_expansion),
      cmocka_unit_test(the_loss_equals_its_expansion),
      cmocka_unit_test(the_optimizer_equals_its_expansion),
      cmocka_unit_test(the_norm_of_all_equals_its_expansion),
      cmocka_unit_test(sampling_equals_its_expansion),
      cmocka_unit_test(block_products_equal_their_expansion),
      cmocka_unit_test(experts_equal_their_expansions),
  };
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  if (have_restricted) bench_close(&restricted);
  if (have_native) bench_close(&native);
  return failed;
}
