/* test_fallback.c -- ops that the program's device lacks: refused, or run on another device, as the
 * policy says. The device is picky.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench_device.h"

#define DIM(...)                                                                                   \
  (uint8_t)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (int64_t[]) { __VA_ARGS__ }

static bench_device cpu;

static build begin(void) {
  build b = {0};
  assert_int_equal(forge_builder_create(&b.builder), 0);
  return b;
}

static forge_tid input(build *b, const char *name, uint8_t rank, const int64_t *dim) {
  return build_tensor(b, FORGE_ROLE_INPUT, name, FORGE_F32, rank, dim, NULL);
}

static void output(build *b, forge_tid x, const char *name) {
  if (!b->status) b->status = forge_builder_output(b->builder, x, name);
  if (b->status) fail_msg("%s: %s", name, forge_error_last()->msg);
}

static void assert_equal_bits(bench_run *a, bench_run *b, const char *name) {
  uint64_t n, m;
  void *x = bench_bytes(a, name, &n), *y = bench_bytes(b, name, &m);
  assert_int_equal(n, m);
  if (memcmp(x, y, n)) fail_msg("\"%s\" differs", name);
  free(x);
  free(y);
}

static char warned[512];
static void take_line(void *ctx, int32_t level, const char *line) {
  (void)ctx;
  if (level == FORGE_LOG_WARN) snprintf(warned, sizeof warned, "%s", line);
}

/* picky has no UNARY; a state is written on both devices. */
static build mixed_graph(void) {
  build b = begin();
  const forge_attr_adamw attr = {0.9, 0.99, 1e-8, 0.1, {0.1, 0, 0}, {1, 0, 0}};
  const forge_tid x = input(&b, "x", DIM(3, 4));
  forge_tid state[3], out[3] = {0, 0, 0};
  static const char *const names[] = {"p", "m", "v"};
  for (int i = 0; i < 3; i++)
    state[i] = build_tensor(&b, FORGE_ROLE_STATE, names[i], FORGE_F32, DIM(3, 4), NULL);
  const forge_tid y = build_unary(&b, build_mul(&b, x, state[0]), FORGE_UNARY_TANH);
  const forge_tid z = build_unary(&b, build_add(&b, y, x), FORGE_UNARY_SQUARE);
  build_op(&b, FORGE_OP_ADAMW, &attr, sizeof attr,
           (forge_tid[]){state[0], state[1], state[2], z, FORGE_TID_NONE}, 5, out, 3);
  output(&b, build_unary(&b, out[0], FORGE_UNARY_SIGMOID), "y");
  output(&b, z, "z");
  return b;
}

static void the_policy_decides_whether_ops_move(void **state) {
  (void)state;
  bench_device picky;
  if (!bench_open("picky", NULL, &picky)) {
    print_message("the picky test backend is not there\n");
    skip();
  }
  forge_device *other;
  if (forge_device_open(picky.runtime, "cpu/portable", &other))
    fail_msg("%s", forge_error_last()->msg);
  build b = mixed_graph();
  forge_program *none;
  forge_program_options o = {
      .size = sizeof o, .fallback = FORGE_FALLBACK_ERROR, .n_fallback = 1, .fallbacks = &other};
  assert_int_equal(forge_program_create(picky.device, b.builder, &o, &none), FORGE_E_POLICY);
  assert_non_null(strstr(forge_error_last()->msg, "UNARY"));
  assert_non_null(strstr(forge_error_last()->msg, "the hardware"));
  o.fallback = FORGE_FALLBACK_ALLOW;
  o.n_fallback = 0;
  assert_int_equal(forge_program_create(picky.device, b.builder, &o, &none), FORGE_E_POLICY);
  o.n_fallback = 1;
  forge_log_to(take_line, NULL, FORGE_LOG_WARN);
  for (o.fallback = FORGE_FALLBACK_WARN; o.fallback <= FORGE_FALLBACK_ALLOW; o.fallback++) {
    warned[0] = 0;
    bench_run mixed = bench_compile(&picky, b.builder, 0, &o),
              plain = bench_compile(&cpu, b.builder, 0, NULL);
    assert_int_equal(strstr(warned, "UNARY") != NULL, o.fallback == FORGE_FALLBACK_WARN);
    assert_int_equal(mixed.program->n_segments, 6);
    assert_true(mixed.program->copy_bytes > 0);
    oracle *start = oracle_make(b.builder);
    static const char *const names[] = {"x", "p", "m", "v"};
    for (int i = 0; i < 4; i++) oracle_random(start, names[i], 5u + (unsigned)i, 0.1, 1);
    bench_upload(&mixed, start);
    bench_upload(&plain, start);
    for (int i = 0; i < 3; i++) {
      bench_must_run(&mixed, NULL, 0);
      bench_must_run(&plain, NULL, 0);
    }
    static const char *const results[] = {"y", "z", "p", "m", "v"};
    for (int i = 0; i < 5; i++) assert_equal_bits(&mixed, &plain, results[i]);
    oracle_free(start);
    bench_end(&mixed);
    bench_end(&plain);
  }
  forge_log_to(NULL, NULL, FORGE_LOG_WARN);
  forge_builder_destroy(b.builder);
  forge_device_close(other);
  bench_close(&picky);
}

int main(void) {
  char path[2048];
  const char *given = getenv("FORGE_BACKEND_PATH");
  snprintf(path, sizeof path, "%s:%s", given ? given : "", FORGE_TEST_FAKES);
  setenv("FORGE_BACKEND_PATH", path, 1);
  if (!bench_open("cpu/portable", NULL, &cpu)) {
    printf("skipped: this build has no CPU backend\n");
    return 77;
  }
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_policy_decides_whether_ops_move)};
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  bench_close(&cpu);
  return failed;
}
