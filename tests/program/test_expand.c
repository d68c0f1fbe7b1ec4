/* test_expand.c -- every composite against its expansion. Shapes are odd on purpose. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "expand_case.h"

/* ---- the composites ---- */

static void norms_equal_their_expansions(void **state) {
  (void)state;
  const forge_attr_norm a = {1e-3};
  expand_case c = case_begin();
  OP(&c, RMSNORM, a, 1, case_f32(&c, "x", DIM(3, 2, 7)), case_f32(&c, "w", DIM(7)));
  case_check(&c, "rmsnorm");
  c = case_begin();
  OP(&c, RMSNORM_BWD, a, 2, case_f32(&c, "x", DIM(3, 2, 7)), case_f32(&c, "w", DIM(7)),
     case_f32(&c, "dy", DIM(3, 2, 7)));
  case_check(&c, "rmsnorm_bwd");
  c = case_begin();
  OP(&c, LAYERNORM, a, 1, case_f32(&c, "x", DIM(5, 7)), case_f32(&c, "w", DIM(7)),
     case_f32(&c, "b", DIM(7)));
  case_check(&c, "layernorm");
  c = case_begin();
  OP(&c, LAYERNORM, a, 1, case_f32(&c, "x", DIM(5, 1)), case_f32(&c, "w", DIM(1)), FORGE_TID_NONE);
  case_check(&c, "layernorm of one column");
  c = case_begin();
  OP(&c, LAYERNORM_BWD, a, 3, case_f32(&c, "x", DIM(5, 7)), case_f32(&c, "w", DIM(7)),
     case_f32(&c, "dy", DIM(5, 7)));
  case_check(&c, "layernorm_bwd");
}

static void pointwise_equal_their_expansions(void **state) {
  (void)state;
  expand_case c = case_begin();
  OP0(&c, SWIGLU, 1, case_f32(&c, "g", DIM(3, 5)), case_f32(&c, "u", DIM(3, 5)));
  case_check(&c, "swiglu");
  c = case_begin();
  OP0(&c, SWIGLU_BWD, 2, case_f32(&c, "g", DIM(3, 5)), case_f32(&c, "u", DIM(3, 5)),
      case_f32(&c, "dy", DIM(3, 5)));
  case_check(&c, "swiglu_bwd");
  for (uint32_t kind = 1; kind <= FORGE_UNARY_STEP; kind++) {
    const forge_attr_kind a = {kind, 0};
    const bool positive = kind >= FORGE_UNARY_LOG && kind <= FORGE_UNARY_RECIP;
    c = case_begin();
    const forge_tid x =
        case_input(&c, "x", FORGE_F32, FORGE_ROLE_INPUT, positive ? 0.3 : -2, 2, DIM(3, 11));
    OP(&c, UNARY_BWD, a, 1, x, case_f32(&c, "dy", DIM(3, 11)));
    case_check(&c, "unary_bwd");
  }
}

static void rope_equals_its_expansion(void **state) {
  (void)state;
  for (uint32_t flags = 0; flags < 4; flags++) {
    const forge_attr_rope a = {10000, 1, 6, flags}, whole = {500, 0.5, 8, flags};
    expand_case c = case_begin();
    OP(&c, ROPE, a, 1, case_f32(&c, "x", DIM(2, 3, 2, 8)), case_i32(&c, "p", 0, 40, DIM(3)),
       FORGE_TID_NONE);
    case_check(&c, "rope of some columns");
    c = case_begin();
    const forge_tid factors = case_input(&c, "f", FORGE_F32, FORGE_ROLE_INPUT, 1, 4, DIM(4));
    OP(&c, ROPE, whole, 1, case_f32(&c, "x", DIM(2, 3, 2, 8)), case_i32(&c, "p", 0, 40, DIM(2, 3)),
       factors);
    case_check(&c, "rope with factors and positions per batch");
  }
}

static void attention_equals_its_expansion(void **state) {
  (void)state;
  for (uint32_t window = 0; window < 4; window += 3)
    for (uint32_t flags = 0; flags < 2; flags++)
      for (int starts = 0; starts < 2; starts++) {
        const forge_attr_attention a = {0.4, flags, window};
        expand_case c = case_begin();
        const forge_tid s = starts ? case_i32(&c, "s", 0, 4, DIM(2)) : FORGE_TID_NONE;
        const forge_tid k =
            case_input(&c, "k", FORGE_F16, FORGE_ROLE_INPUT, -1, 1, DIM(2, 7, 2, 5));
        const forge_tid v =
            case_input(&c, "v", FORGE_F16, FORGE_ROLE_INPUT, -1, 1, DIM(2, 7, 2, 5));
        OP(&c, ATTENTION, a, 2, case_f32(&c, "q", DIM(2, 3, 6, 5)), k, v, s, FORGE_TID_NONE);
        case_check(&c, "dense attention");
      }
}

static void paged_attention_equals_its_expansion(void **state) {
  (void)state;
  static const double table[] = {4, 1, 0, 2, 9, 3}; /* page 9 is not there: the sequence ends */
  for (uint32_t window = 0; window < 4; window += 3)
    for (uint32_t flags = 0; flags < 2; flags++) {
      const forge_attr_attention a = {0.4, flags, window};
      expand_case c = case_begin();
      const forge_tid q = case_f32(&c, "q", DIM(2, 3, 4, 5)),
                      k = case_f32(&c, "k", DIM(5, 4, 2, 5));
      const forge_tid v = case_f32(&c, "v", DIM(5, 4, 2, 5)), s = case_i32(&c, "s", 1, 7, DIM(2));
      OP(&c, ATTENTION, a, 2, q, k, v, s, case_i32(&c, "t", 0, 4, DIM(2, 3)));
      memcpy(oracle_named(case_fill(&c), "t", NULL), table, sizeof table);
      for (int i = 0; i < 20; i++) { /* keys behind the end hold rubbish: rows 2 and 3 of page 0 */
        oracle_named(c.o, "v", NULL)[20 + i] = NAN;
        oracle_named(c.o, "k", NULL)[20 + i] = NAN;
      }
      for (int i = 0; i < 40; i++)
        oracle_named(c.o, "v", NULL)[3 * 40 + i] = NAN; /* behind page 9 */
      case_check(&c, "paged attention");
    }
}

static void attention_gradient_equals_its_expansion(void **state) {
  (void)state;
  for (uint32_t flags = 0; flags < 2; flags++) {
    const forge_attr_attention a = {0.4, flags, 0};
    expand_case c = case_begin();
    const forge_tid q = case_f32(&c, "q", DIM(2, 3, 4, 5)), k = case_f32(&c, "k", DIM(2, 3, 2, 5));
    const forge_tid v = case_f32(&c, "v", DIM(2, 3, 2, 5));
    forge_tid y[2] = {0, 0};
    build_op(&c.b, FORGE_OP_ATTENTION, &a, sizeof a,
             (forge_tid[]){q, k, v, FORGE_TID_NONE, FORGE_TID_NONE}, 5, y, 2);
    OP(&c, ATTENTION_BWD, a, 3, q, k, v, y[0], y[1], case_f32(&c, "dy", DIM(2, 3, 4, 5)));
    case_check(&c, "attention_bwd");
  }
}

static void kv_write_equals_its_expansion(void **state) {
  (void)state;
  for (int half = 0; half < 2; half++) {
    expand_case c = case_begin();
    const forge_tid pages = case_input(&c, "pages", half ? FORGE_F16 : FORGE_F32, FORGE_ROLE_STATE,
                                       -1, 1, DIM(3, 2, 2, 5));
    const forge_tid slots = case_i32(&c, "slots", -1, 7, DIM(4));
    const forge_tid src = case_input(&c, "src", FORGE_F16, FORGE_ROLE_INPUT, -1, 1, DIM(4, 2, 5));
    OP0(&c, KV_WRITE, 1, pages, slots, build_cast(&c.b, src, FORGE_F32));
    c.out[c.n_out++] = "pages";
    case_check(&c, "kv_write");
  }
}

static void the_loss_equals_its_expansion(void **state) {
  (void)state;
  expand_case c = case_begin();
  OP0(&c, CROSS_ENTROPY, 1, case_f32(&c, "x", DIM(6, 5)), case_i32(&c, "t", -1, 6, DIM(6)));
  case_check(&c, "cross_entropy");
  c = case_begin();
  OP0(&c, CROSS_ENTROPY_BWD, 1, case_f32(&c, "x", DIM(6, 5)), case_i32(&c, "t", -1, 6, DIM(6)),
      case_f32(&c, "d", 0, NULL));
  case_check(&c, "cross_entropy_bwd");
}

static void the_optimizer_equals_its_expansion(void **state) {
  (void)state;
  for (int step = 1; step <= 1000; step += 333) {
    forge_attr_adamw a = {0.9, 0.999, 1e-8, 0.1, {0, 0, 0}, {0, 0, 0}};
    expand_case c = case_begin();
    uint32_t lr, t;
    assert_int_equal(forge_builder_scalar(c.b.builder, "lr", UINT64_MAX, &lr), 0);
    assert_int_equal(forge_builder_scalar(c.b.builder, "step", UINT64_MAX, &t), 0);
    a.lr.scalar = lr + 1;
    a.step.scalar = t + 1;
    const forge_tid p = case_input(&c, "p", FORGE_F32, FORGE_ROLE_STATE, -1, 1, DIM(3, 5));
    const forge_tid m = case_input(&c, "m", FORGE_F32, FORGE_ROLE_STATE, -1, 1, DIM(3, 5));
    const forge_tid v = case_input(&c, "v", FORGE_F32, FORGE_ROLE_STATE, 0.1, 1, DIM(3, 5));
    OP(&c, ADAMW, a, 3, p, m, v, case_f32(&c, "g", DIM(3, 5)),
       step & 1 ? case_f32(&c, "clip", 0, NULL) : FORGE_TID_NONE);
    double values[2] = {0.01, step};
    uint64_t bits[2];
    memcpy(bits, values, sizeof bits);
    c.n_out = 0; /* outputs are copies of the states: look at those */
    c.out[c.n_out++] = "p", c.out[c.n_out++] = "m", c.out[c.n_out++] = "v";
    case_check_scalars(&c, bits, "adamw");
  }
}

static void the_norm_of_all_equals_its_expansion(void **state) {
  (void)state;
  static const double limits[] = {0, 0.5, 100};
  for (int i = 0; i < 3; i++)
    for (int bad = 0; bad < 3; bad++) {
      const forge_attr_global_norm a = {limits[i]};
      expand_case c = case_begin();
      OP(&c, GLOBAL_NORM, a, 2, case_f32(&c, "a", DIM(3, 5)), case_f32(&c, "b", 0, NULL),
         case_f32(&c, "c", DIM(7)));
      if (bad) oracle_named(case_fill(&c), "c", NULL)[3] = bad == 1 ? INFINITY : NAN;
      case_check(&c, "global_norm");
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
    expand_case c = case_begin();
    const forge_tid x = case_input(&c, "x", FORGE_F32, FORGE_ROLE_INPUT, -3, 3, DIM(ROWS, V));
    OP0(&c, SAMPLE, 1, x, case_f32(&c, "params", DIM(ROWS, 4)),
        case_i32(&c, "iparams", 0, 1e9, DIM(ROWS, 4)));
    case_fill(&c);
    memcpy(oracle_named(c.o, "params", NULL), params, sizeof params);
    for (int row = 0; row < ROWS; row++)
      oracle_named(c.o, "iparams", NULL)[4 * row] = row == 4 ? 5 : row == 6 ? 100 : 0;
    for (int row = 0; row < ROWS; row++) oracle_named(c.o, "iparams", NULL)[4 * row + 3] += round;
    case_check(&c, "sample");
  }
}

static void block_products_equal_their_expansion(void **state) {
  (void)state;
  for (int rank = 2; rank < 4; rank++) {
    expand_case c = case_begin();
    const forge_tid w = case_input(&c, "w", FORGE_Q8_0, FORGE_ROLE_PARAM, -1, 1, DIM(7, 64));
    const forge_tid x =
        rank == 2 ? case_f32(&c, "x", DIM(3, 64)) : case_f32(&c, "x", DIM(2, 3, 64));
    OP0(&c, QMATMUL, 1, x, w, rank == 2 ? case_f32(&c, "b", DIM(7)) : FORGE_TID_NONE);
    case_check(&c, "qmatmul");
  }
}

static void experts_equal_their_expansions(void **state) {
  (void)state;
  for (uint32_t flags = 0; flags < 2; flags++) {
    const forge_attr_moe moe = {2, flags};
    const forge_attr_matmul m = {flags, 0};
    expand_case c = case_begin();
    OP(&c, MOE_ROUTE, moe, 2, case_f32(&c, "x", DIM(5, 7)));
    case_check(&c, "moe_route");
    c = case_begin();
    const forge_tid x = case_f32(&c, "x", DIM(5, 7));
    forge_tid route[2] = {0, 0};
    build_op(&c.b, FORGE_OP_MOE_ROUTE, &moe, sizeof moe, &x, 1, route, 2);
    OP(&c, MOE_ROUTE_BWD, moe, 1, x, route[0], case_f32(&c, "dw", DIM(5, 2)));
    case_check(&c, "moe_route_bwd");
    c = case_begin();
    const forge_tid w = case_input(&c, "w", FORGE_BF16, FORGE_ROLE_PARAM, -1, 1, DIM(3, 4, 5));
    OP(&c, GROUPED_MATMUL, m, 1,
       flags ? case_f32(&c, "x", DIM(6, 4)) : case_f32(&c, "x", DIM(6, 5)), w,
       case_i32(&c, "ids", -1, 4, DIM(6)));
    case_check(&c, "grouped_matmul");
  }
  expand_case c = case_begin();
  static const forge_attr_matmul plain = {0, 0};
  const forge_tid in[] = {case_f32(&c, "x", DIM(6, 5)), case_f32(&c, "dy", DIM(6, 4)),
                          case_i32(&c, "ids", -1, 4, DIM(6))};
  const forge_tensor shape = {.dtype = FORGE_F32, .rank = 3, .dim = {3, 4, 5}};
  forge_tid dw;
  assert_int_equal(forge_builder_op_shaped(c.b.builder, FORGE_OP_GROUPED_MATMUL_DW, &plain,
                                           sizeof plain, in, 3, &shape, &dw),
                   0);
  assert_int_equal(forge_builder_output(c.b.builder, dw, c.out[c.n_out++] = "y0"), 0);
  case_check(&c, "grouped_matmul_dw");
}

int main(void) {
  case_open_devices();
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
  case_close_devices();
  return failed;
}
