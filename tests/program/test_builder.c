/* test_builder.c -- what a user meets while building: shapes, views, and messages that name op,
 * input, shapes and remedy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph.h"

#define DIM(...)                                                                                   \
  (uint8_t)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (int64_t[]) { __VA_ARGS__ }

static build begin(void) {
  build b = {0};
  assert_int_equal(forge_builder_create(&b.builder), 0);
  return b;
}

static forge_tid input(build *b, const char *name, uint8_t dtype, uint8_t rank,
                       const int64_t *dim) {
  return build_tensor(b, FORGE_ROLE_INPUT, name, dtype, rank, dim, NULL);
}

static void assert_shape(build *b, forge_tid x, uint8_t dtype, uint8_t rank, const int64_t *dim) {
  forge_tensor t;
  if (b->status) fail_msg("%s", forge_error_last()->msg);
  assert_int_equal(forge_builder_describe(b->builder, x, &t), 0);
  assert_int_equal(t.dtype, dtype);
  assert_int_equal(t.rank, rank);
  for (uint8_t k = 0; k < rank; k++) assert_int_equal(t.dim[k], dim[k]);
}

/* The last failure says all of these. */
static void assert_says(const char *const *words) {
  for (; *words; words++)
    if (!strstr(forge_error_last()->msg, *words))
      fail_msg("\"%s\" does not say \"%s\"", forge_error_last()->msg, *words);
}
#define SAYS(...) assert_says((const char *const[]){__VA_ARGS__, NULL})

static void every_op_of_the_registry_has_its_row(void **state) {
  (void)state;
#define ROW(op, number, cls, inputs, outputs, said)                                                \
  assert_non_null(op_find(number));                                                                \
  assert_string_equal(op_find(number)->name, #op);                                                 \
  assert_non_null(op_find(number)->infer);                                                         \
  assert_true(((cls) == FORGE_CLASS_COMPOSITE) == (op_find(number)->expand != NULL));
  FORGE_OP_MAP(ROW)
#undef ROW
  assert_null(op_find(0));
  assert_null(op_find(60));
  assert_null(op_find(9999));
}

static void ops_infer_their_shapes(void **state) {
  (void)state;
  build b = begin();
  const forge_tid x = input(&b, "x", FORGE_F32, DIM(2, 3, 8)),
                  w = input(&b, "w", FORGE_BF16, DIM(5, 8));
  const forge_tid q = input(&b, "q", FORGE_Q8_0, DIM(4, 64)),
                  ids = input(&b, "ids", FORGE_I32, DIM(2, 7));
  assert_shape(&b, build_linear(&b, x, w, FORGE_TID_NONE, false), FORGE_F32, DIM(2, 3, 5));
  assert_shape(&b, build_gather(&b, q, ids), FORGE_F32, DIM(2, 7, 64));
  assert_shape(&b, build_reduce(&b, x, FORGE_REDUCE_MEAN, 5), FORGE_F32, DIM(1, 3, 1));
  assert_shape(&b, build_reduce(&b, x, FORGE_REDUCE_ARGMAX, 4), FORGE_I32, DIM(2, 3, 1));
  assert_shape(&b, build_cast(&b, x, FORGE_F16), FORGE_F16, DIM(2, 3, 8));
  assert_shape(&b, build_reshape(&b, x, DIM(-1, 4)), FORGE_F32, DIM(12, 4));
  forge_builder_destroy(b.builder);
}

static void views_share_memory_wherever_they_can(void **state) {
  (void)state;
  build b = begin();
  const forge_tid x = input(&b, "x", FORGE_F32, DIM(4, 24));
  const forge_tid heads = build_reshape(&b, build_slice(&b, x, 1, 8, 8), DIM(4, 2, 4));
  const forge_tid turned = build_permute(&b, heads, (uint8_t[]){1, 0, 2});
  assert_int_equal(b.builder->n_nodes, 0);
  assert_int_equal(graph_at(b.builder, turned)->offset, 8);
  assert_int_equal(graph_at(b.builder, turned)->t.stride[1], 24);
  build_reshape(&b, turned, DIM(8, 4)); /* not possible in place: one copy */
  assert_int_equal(b.builder->n_nodes, 1);
  assert_shape(&b, build_broadcast(&b, input(&b, "w", FORGE_F32, DIM(4)), turned), FORGE_F32,
               DIM(2, 4, 4));
  assert_int_equal(b.builder->n_nodes, 1);
  forge_builder_destroy(b.builder);
}

static void an_extent_given_at_run_time_keeps_its_place(void **state) {
  (void)state;
  build b = begin();
  uint32_t t;
  forge_tensor s;
  assert_int_equal(forge_builder_scalar(b.builder, "T", 16, &t), 0);
  const uint8_t scalar[2] = {(uint8_t)(t + 1), 0};
  const forge_tid x = build_tensor(&b, FORGE_ROLE_INPUT, "x", FORGE_F32, DIM(16, 12), scalar);
  const forge_tid y = build_reshape(&b, x, DIM(1, 16, 3, 4));
  assert_int_equal(forge_builder_describe(b.builder, y, &s), 0);
  assert_int_equal(s.dim_scalar[0], 0);
  assert_int_equal(s.dim_scalar[1], t + 1);
  const forge_tid z = build_reshape(&b, y, DIM(16, -1));
  assert_int_equal(forge_builder_describe(b.builder, z, &s), 0);
  assert_int_equal(s.dim_scalar[0], t + 1);
  assert_int_equal(s.dim[1], 12);
  const forge_attr_topk top = {9, 0}; /* a run with T below 9 could not give nine */
  forge_tid best[2] = {0, 0};
  build_op(&b, FORGE_OP_TOPK, &top, sizeof top,
           (forge_tid[]){build_permute(&b, x, (uint8_t[]){1, 0})}, 1, best, 2);
  SAYS("TOPK", "scalar");
  b.status = 0;
  build_reshape(&b, z, DIM(32, 6));
  assert_int_equal(b.status, FORGE_E_INVALID);
  SAYS("reshape", "scalar", "<=16");
  forge_builder_destroy(b.builder);
}

static void wrong_shapes_are_told_with_op_input_and_remedy(void **state) {
  (void)state;
  build b = begin();
  const forge_tid x = input(&b, "x", FORGE_F32, DIM(2, 3)),
                  y = input(&b, "y", FORGE_F32, DIM(4, 5));
  const forge_tid i = input(&b, "i", FORGE_I32, DIM(2, 3));
  build_matmul(&b, x, y, FORGE_TID_NONE, 0);
  SAYS("MATMUL", "input 1 (b)", "f32 [4, 5]", "f32 [2, 3]");
  b.status = 0;
  forge_tid out = 0;
  const forge_attr_kind add = {FORGE_BINARY_ADD, 0}, none = {77, 0};
  build_op(&b, FORGE_OP_BINARY, &add, sizeof add, (forge_tid[]){x, y}, 2, &out, 1);
  SAYS("BINARY", "input 1 (b)", "stride 0");
  b.status = 0;
  build_op(&b, FORGE_OP_BINARY, &add, sizeof add, (forge_tid[]){x, i}, 2, &out, 1);
  SAYS("BINARY", "f32", "CAST");
  b.status = 0;
  build_op(&b, FORGE_OP_UNARY, &none, sizeof none, &x, 1, &out, 1);
  SAYS("UNARY", "kind 77", "ops.h");
  b.status = 0;
  build_op(&b, FORGE_OP_UNARY, &none, 4, &x, 1, &out, 1);
  SAYS("UNARY", "4 bytes", "8");
  b.status = 0;
  build_op(&b, 999, NULL, 0, &x, 1, &out, 1);
  SAYS("op 999");
  b.status = 0;
  build_op(&b, FORGE_OP_CAST, NULL, 0, &x, 1, &out, 1);
  SAYS("CAST", "forge_builder_op_shaped");
  b.status = 0;
  build_softmax(&b, 12345, 1);
  SAYS("SOFTMAX", "no tensor");
  b.status = 0;
  build_reshape(&b, x, DIM(4, 2));
  SAYS("reshape", "f32 [2, 3]");
  b.status = 0;
  build_slice(&b, x, 1, 2, 2);
  SAYS("slice");
  forge_builder_destroy(b.builder);
}

static void views_never_leave_their_memory(void **state) {
  (void)state;
  build b = begin();
  const forge_tid x = input(&b, "x", FORGE_F32, DIM(2, 3)),
                  q = input(&b, "q", FORGE_Q8_0, DIM(2, 64));
  forge_tid out;
  const forge_tensor fits = {.dtype = FORGE_F32, .rank = 1, .dim = {2}, .stride = {5}};
  assert_int_equal(forge_builder_view(b.builder, x, &fits, 0, &out), 0);
  assert_int_equal(forge_builder_view(b.builder, x, &fits, 1, &out), FORGE_E_INVALID);
  assert_int_equal(forge_builder_view(b.builder, x, &fits, -1, &out), FORGE_E_INVALID);
  assert_int_equal(forge_builder_view(b.builder, x, &fits, INT64_MAX, &out), FORGE_E_INVALID);
  const forge_tensor huge = {
      .dtype = FORGE_F32, .rank = 2, .dim = {INT64_MAX, INT64_MAX}, .stride = {4, 1}};
  assert_int_equal(forge_builder_view(b.builder, x, &huge, 0, &out), FORGE_E_INVALID);
  /* 2^64 repeats would count as none. */
  const forge_tensor repeats = {.dtype = FORGE_F32,
                                .rank = 3,
                                .dim = {INT64_C(1) << 32, INT64_C(1) << 32, 1000},
                                .stride = {0, 0, 1}};
  assert_int_equal(forge_builder_view(b.builder, x, &repeats, 0, &out), FORGE_E_INVALID);
  const forge_tensor none = {.dtype = FORGE_F32, .rank = 1, .dim = {0}, .stride = {1}};
  assert_int_equal(forge_builder_view(b.builder, x, &none, 6, &out), 0);
  assert_int_equal(forge_builder_view(b.builder, x, &none, 7, &out), FORGE_E_INVALID);
  const forge_tensor cut = {.dtype = FORGE_Q8_0, .rank = 1, .dim = {32}, .stride = {1}};
  assert_int_equal(forge_builder_view(b.builder, q, &cut, 32, &out), 0);
  assert_int_equal(forge_builder_view(b.builder, q, &cut, 16, &out), FORGE_E_INVALID);
  const int64_t too_many[] = {INT64_MAX / 2, 4};
  assert_int_equal(
      forge_builder_tensor(b.builder, FORGE_ROLE_INPUT, "huge", FORGE_F32, 2, too_many, NULL, &out),
      FORGE_E_INVALID);
  SAYS("\"huge\"", "too many");
  forge_builder_destroy(b.builder);
}

static void a_state_written_in_place_is_read_through_its_new_id(void **state) {
  (void)state;
  build b = begin();
  const forge_tid pages =
      build_tensor(&b, FORGE_ROLE_STATE, "kv", FORGE_F32, DIM(2, 4, 1, 8), NULL);
  const forge_tid fixed = input(&b, "fixed", FORGE_F32, DIM(2, 4, 1, 8));
  const forge_tid slots = input(&b, "slots", FORGE_I32, DIM(3)),
                  src = input(&b, "src", FORGE_F32, DIM(3, 1, 8));
  const forge_tid after = build_kv_write(&b, pages, slots, src);
  build_reshape(&b, after, DIM(8, 8));
  assert_int_equal(b.status, 0);
  assert_int_equal(graph_at(b.builder, after)->storage, graph_at(b.builder, pages)->storage);
  build_unary(&b, pages, FORGE_UNARY_EXP);
  SAYS("UNARY", "\"kv\"", "overwritten");
  b.status = 0;
  build_kv_write(&b, fixed, slots, src);
  SAYS("KV_WRITE", "FORGE_ROLE_STATE");
  forge_builder_destroy(b.builder);
}

static void a_refused_op_in_place_leaves_the_states_as_they_were(void **state) {
  (void)state;
  build b = begin();
  static const forge_attr_adamw attr = {0.9, 0.99, 1e-8, 0.1, {0.1, 0, 0}, {1, 0, 0}};
  const forge_tid p = build_tensor(&b, FORGE_ROLE_STATE, "p", FORGE_F32, DIM(3), NULL);
  const forge_tid m = build_tensor(&b, FORGE_ROLE_STATE, "m", FORGE_F32, DIM(3), NULL);
  const forge_tid v = input(&b, "v", FORGE_F32, DIM(3)), g = input(&b, "g", FORGE_F32, DIM(3));
  forge_tid out[3] = {0, 0, 0};
  build_op(&b, FORGE_OP_ADAMW, &attr, sizeof attr, (forge_tid[]){p, m, v, g}, 4, out, 3);
  SAYS("ADAMW", "input 2 (v)", "FORGE_ROLE_STATE");
  b.status = 0;
  build_op(&b, FORGE_OP_ADAMW, &attr, sizeof attr, (forge_tid[]){p, m, m, g}, 4, out, 3);
  SAYS("ADAMW", "input 2 (v)", "shares memory with input 1");
  b.status = 0;
  build_unary(&b, p, FORGE_UNARY_EXP); /* still what it was */
  assert_int_equal(b.status, 0);
  build_op(&b, FORGE_OP_ADAMW, NULL, sizeof attr, (forge_tid[]){p, m, v, g}, 4, out, 3);
  SAYS("ADAMW", "no attributes");
  forge_builder_destroy(b.builder);
}

static void names_are_unique_and_scalars_shared(void **state) {
  (void)state;
  build b = begin();
  uint32_t one, two;
  const forge_tid x = input(&b, "x", FORGE_F32, DIM(2));
  input(&b, "x", FORGE_F32, DIM(2));
  assert_int_equal(b.status, FORGE_E_EXISTS);
  assert_int_equal(forge_builder_output(b.builder, x, "x"), FORGE_E_EXISTS);
  assert_int_equal(forge_builder_scalar(b.builder, "n", 5, &one), 0);
  assert_int_equal(forge_builder_scalar(b.builder, "n", 5, &two), 0);
  assert_int_equal(one, two);
  assert_int_equal(forge_builder_scalar(b.builder, "n", 6, &two), FORGE_E_INVALID);
  forge_builder_destroy(b.builder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_op_of_the_registry_has_its_row),
      cmocka_unit_test(ops_infer_their_shapes),
      cmocka_unit_test(views_share_memory_wherever_they_can),
      cmocka_unit_test(an_extent_given_at_run_time_keeps_its_place),
      cmocka_unit_test(wrong_shapes_are_told_with_op_input_and_remedy),
      cmocka_unit_test(views_never_leave_their_memory),
      cmocka_unit_test(a_state_written_in_place_is_read_through_its_new_id),
      cmocka_unit_test(a_refused_op_in_place_leaves_the_states_as_they_were),
      cmocka_unit_test(names_are_unique_and_scalars_shared),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
