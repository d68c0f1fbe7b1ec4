/* test_program.c -- compiled programs: the plan changes no bit, extents given at run time change no
 * bit, what moves between devices, what is said when something is missing, and what a submit costs.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "bench_device.h"

#define DIM(...)                                                                                   \
  (uint8_t)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (int64_t[]) { __VA_ARGS__ }

/* ---- counting allocations: the linker sends the core's calls here ---- */

static uint64_t allocations;
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
int __real_posix_memalign(void **p, size_t align, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
int __wrap_posix_memalign(void **p, size_t align, size_t n);
void *__wrap_malloc(size_t n) { return allocations++, __real_malloc(n); }
void *__wrap_calloc(size_t n, size_t size) { return allocations++, __real_calloc(n, size); }
void *__wrap_realloc(void *p, size_t n) { return allocations++, __real_realloc(p, n); }
int __wrap_posix_memalign(void **p, size_t align, size_t n) {
  return allocations++, __real_posix_memalign(p, align, n);
}

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

/* ---- random graphs ---- */

enum { POOL = 12 };

static forge_tid random_op(build *b, const forge_tid *pool, uint32_t n, uint64_t *seed) {
  const forge_tid x = pool[test_random(seed) % n], y = pool[test_random(seed) % n];
  const int64_t start = (int64_t)(test_random(seed) % 3);
  forge_tid out = 0;
  const forge_attr_softmax s = {1.5};
  switch (test_random(seed) % 9) {
  case 0: return build_unary(b, x, FORGE_UNARY_TANH);
  case 1: return build_add(b, x, y);
  case 2: return build_axpby(b, 0.5, x, -0.75, y);
  case 3: return build_axpby(b, 2, x, 1, x);
  case 4: return build_matmul(b, x, y, FORGE_TID_NONE, (uint32_t)(test_random(seed) % 4));
  case 5: return build_dense(b, build_permute(b, x, (uint8_t[]){1, 0}));
  case 6: return build_mul(b, x, build_slice(b, y, 0, start, 1));
  case 7: return build_op(b, FORGE_OP_SOFTMAX, &s, sizeof s, &x, 1, &out, 1);
  default: return build_binary(b, y, build_reduce(b, x, FORGE_REDUCE_MEAN, 2), FORGE_BINARY_SUB);
  }
}

/* A square world, so that everything fits everything; its loss and gradients are outputs too. */
static build random_graph(uint64_t seed) {
  build b = begin();
  forge_tid pool[POOL], wrt[2], grads[2];
  uint32_t n = 0;
  wrt[0] = pool[n++] = input(&b, "a", DIM(6, 6));
  wrt[1] = pool[n++] = input(&b, "b", DIM(6, 6));
  for (int i = 0; i < 24; i++) {
    const forge_tid x = build_unary(&b, random_op(&b, pool, n, &seed), FORGE_UNARY_TANH);
    if (n < POOL)
      pool[n++] = x;
    else
      pool[test_random(&seed) % n] = x;
  }
  forge_tid sum = pool[0];
  for (uint32_t i = 1; i < n; i++) sum = build_add(&b, sum, pool[i]);
  const forge_tid loss = build_reshape(&b, build_reduce(&b, sum, FORGE_REDUCE_MEAN, 3), 0, NULL);
  output(&b, pool[n - 1], "last");
  if (forge_builder_gradient(b.builder, loss, wrt, 2, grads))
    fail_msg("%s", forge_error_last()->msg);
  output(&b, loss, "loss");
  output(&b, grads[0], "ga");
  output(&b, grads[1], "gb");
  return b;
}

static void assert_equal_bits(bench_run *a, bench_run *b, const char *name, uint64_t seed) {
  uint64_t n, m;
  void *x = bench_bytes(a, name, &n), *y = bench_bytes(b, name, &m);
  assert_int_equal(n, m);
  if (memcmp(x, y, n)) fail_msg("seed %d: \"%s\" differs", (int)seed, name);
  free(x);
  free(y);
}

static void sharing_memory_changes_no_bit(void **state) {
  (void)state;
  uint64_t saved = 0;
  for (uint64_t seed = 1; seed <= 40; seed++) {
    build b = random_graph(seed);
    oracle *o = oracle_make(b.builder);
    oracle_random(o, "a", seed, -1, 1);
    oracle_random(o, "b", seed + 1, -1, 1);
    bench_run tight = bench_compile(&cpu, b.builder, 0, NULL);
    bench_run loose = bench_compile(&cpu, b.builder, COMPILE_NO_REUSE, NULL);
    bench_upload(&tight, o);
    bench_upload(&loose, o);
    bench_must_run(&tight, NULL, 0);
    bench_must_run(&tight, NULL, 0); /* and nothing is left over from the run before */
    bench_must_run(&loose, NULL, 0);
    static const char *const names[] = {"last", "loss", "ga", "gb"};
    for (int i = 0; i < 4; i++) assert_equal_bits(&tight, &loose, names[i], seed);
    assert_true(tight.program->devices[0].workspace_bytes <
                loose.program->devices[0].workspace_bytes);
    saved += loose.program->devices[0].workspace_bytes / tight.program->devices[0].workspace_bytes;
    bench_end(&tight);
    bench_end(&loose);
    oracle_free(o);
    forge_builder_destroy(b.builder);
  }
  print_message("workspaces are about %d times smaller with sharing\n", (int)(saved / 40));
}

/* ---- extents given at run time ---- */

/* A small attention block over T tokens; T fixed (scalar 0) or a scalar. */
static build token_graph(int64_t tokens, bool scalar) {
  build b = begin();
  uint32_t t = 0;
  if (scalar) assert_int_equal(forge_builder_scalar(b.builder, "T", (uint64_t)tokens, &t), 0);
  const uint8_t of[2] = {(uint8_t)(scalar ? t + 1 : 0), 0};
  const forge_attr_attention attr = {0.5, FORGE_ATTENTION_CAUSAL, 0};
  const forge_tid x =
      build_tensor(&b, FORGE_ROLE_INPUT, "x", FORGE_F32, 2, (int64_t[]){tokens, 8}, of);
  const forge_tid w = build_tensor(&b, FORGE_ROLE_PARAM, "w", FORGE_F32, DIM(24, 8), NULL);
  const forge_tid qkv = build_linear(&b, x, w, FORGE_TID_NONE, false);
  forge_tid part[3];
  for (int i = 0; i < 3; i++)
    part[i] = build_reshape(&b, build_slice(&b, qkv, 1, 8 * i, 8), 4, (int64_t[]){1, tokens, 2, 4});
  const forge_tid y =
      build_attention(&b, part[0], part[1], part[2], FORGE_TID_NONE, FORGE_TID_NONE, &attr);
  const forge_tid flat = build_reshape(&b, y, 2, (int64_t[]){tokens, 8});
  const forge_tid ones = build_fill(&b, FORGE_F32, DIM(8), NULL, 1);
  output(&b, build_rmsnorm(&b, build_add(&b, flat, x), ones, 1e-5), "y");
  return b;
}

static void one_program_serves_every_extent(void **state) {
  (void)state;
  enum { MAX = 9 };
  for (uint32_t flags = 0; flags <= FORGE_COMPILE_PRIMITIVES; flags += FORGE_COMPILE_PRIMITIVES) {
    const forge_program_options options = {.size = sizeof options, .flags = flags};
    build any = token_graph(MAX, true);
    bench_run all = bench_compile(&cpu, any.builder, 0, &options);
    oracle *o = oracle_make(any.builder);
    oracle_random(o, "x", 1, -1, 1);
    oracle_random(o, "w", 2, -1, 1);
    bench_upload(&all, o);
    for (uint64_t t = 1; t <= MAX; t++) {
      build fixed = token_graph((int64_t)t, false);
      bench_run one = bench_compile(&cpu, fixed.builder, 0, &options);
      oracle *p = oracle_make(fixed.builder);
      memcpy(oracle_named(p, "x", NULL), oracle_named(o, "x", NULL), t * 8 * sizeof(double));
      memcpy(oracle_named(p, "w", NULL), oracle_named(o, "w", NULL), 24 * 8 * sizeof(double));
      bench_upload(&one, p);
      bench_must_run(&one, NULL, 0);
      bench_must_run(&all, &t, 1);
      uint64_t n, m;
      uint8_t *x = bench_bytes(&one, "y", &n), *y = bench_bytes(&all, "y", &m);
      assert_memory_equal(x, y, n);
      free(x);
      free(y);
      bench_end(&one);
      oracle_free(p);
      forge_builder_destroy(fixed.builder);
    }
    const uint64_t over = MAX + 1;
    assert_int_equal(forge_program_run(all.program, &over, 1), FORGE_E_INVALID);
    assert_non_null(strstr(forge_error_last()->msg, "\"T\" is 10"));
    assert_int_equal(forge_program_run(all.program, NULL, 0), FORGE_E_INVALID);
    bench_end(&all);
    oracle_free(o);
    forge_builder_destroy(any.builder);
  }
}

/* ---- what is dropped, what is said ---- */

static void what_nobody_reads_is_not_run(void **state) {
  (void)state;
  build b = begin();
  const forge_tid x = input(&b, "x", DIM(1, 4, 2, 4));
  const forge_attr_attention attr = {1, 0, 0};
  input(&b, "unused", DIM(3));
  build_unary(&b, x, FORGE_UNARY_EXP);
  output(&b, build_attention(&b, x, x, x, FORGE_TID_NONE, FORGE_TID_NONE, &attr), "y");
  bench_run r = bench_compile(&cpu, b.builder, 0, NULL);
  assert_int_equal(r.program->graph->n_nodes, 1);
  assert_int_equal(graph_outputs(r.program->graph, r.program->graph->nodes)[1], FORGE_TID_NONE);
  assert_int_equal(forge_program_workspace_bytes(r.program), r.program->segments[0].prog_workspace);
  assert_int_equal(forge_program_flops(r.program), 4 * 4 * 2 * 4 * 4);
  bench_must_run(&r, NULL, 0);
  char *report;
  assert_int_equal(forge_program_report(r.program, &report), 0);
  json_t *json = json_loads(report, 0, NULL);
  assert_int_equal(json_integer_value(json_object_get(json, "ops")), 1);
  assert_string_equal(json_string_value(json_object_get(
                          json_array_get(json_object_get(json, "list"), 0), "answer")),
                      "native");
  assert_int_equal(json_array_size(json_object_get(json, "bindings")), 3);
  json_decref(json);
  forge_text_free(report);
  bench_end(&r);
  forge_builder_destroy(b.builder);
}

static void missing_and_wrong_bindings_are_named(void **state) {
  (void)state;
  build b = begin();
  output(&b, build_unary(&b, input(&b, "tokens", DIM(64)), FORGE_UNARY_EXP), "y");
  forge_program *p;
  forge_buffer *small, *large;
  assert_int_equal(forge_program_create(cpu.device, b.builder, NULL, &p), 0);
  assert_int_equal(forge_buffer_create(cpu.device, 128, "test", &small), 0);
  assert_int_equal(forge_buffer_create(cpu.device, 1024, "test", &large), 0);
  assert_int_equal(forge_program_run(p, NULL, 0), FORGE_E_INVALID);
  assert_non_null(strstr(forge_error_last()->msg, "\"tokens\" is not bound"));
  assert_int_equal(forge_program_bind(p, "token", small, 0), FORGE_E_NOT_FOUND);
  assert_non_null(strstr(forge_error_last()->msg, "did you mean \"tokens\""));
  assert_int_equal(forge_program_bind(p, "tokens", small, 0), FORGE_E_INVALID);
  assert_non_null(strstr(forge_error_last()->msg, "256 bytes"));
  assert_int_equal(forge_program_bind(p, "tokens", large, 32), FORGE_E_INVALID);
  assert_int_equal(forge_program_bind(p, "tokens", large, 0), 0);
  assert_int_equal(forge_program_run(p, NULL, 0), FORGE_E_INVALID);
  assert_int_equal(forge_program_bind(p, "y", large, 256), 0);
  assert_int_equal(forge_program_run(p, NULL, 0), 0);
  forge_program_destroy(p);
  forge_buffer_destroy(small);
  forge_buffer_destroy(large);
  forge_builder_destroy(b.builder);
}

static void imported_memory_is_read_and_never_written(void **state) {
  (void)state;
  build b = begin();
  static _Alignas(64) float pages[16];
  output(&b, build_unary(&b, input(&b, "x", DIM(16)), FORGE_UNARY_EXP), "y");
  forge_program *p;
  forge_buffer *imported;
  assert_int_equal(forge_program_create(cpu.device, b.builder, NULL, &p), 0);
  assert_int_equal(forge_buffer_import(cpu.device, pages, sizeof pages, "test", &imported), 0);
  assert_false(forge_buffer_is_copy(imported));
  assert_int_equal(forge_program_bind(p, "x", imported, 0), 0);
  assert_int_equal(forge_program_bind(p, "y", imported, 0), FORGE_E_INVALID);
  assert_non_null(strstr(forge_error_last()->msg, "\"y\""));
  assert_non_null(strstr(forge_error_last()->msg, "read-only"));
  forge_program_destroy(p);
  forge_buffer_destroy(imported);
  forge_builder_destroy(b.builder);
}

/* In primitives a state is written as rows; where it has none, a copy would swallow the writes. */
static void pages_without_rows_are_refused_not_lost(void **state) {
  (void)state;
  build b = begin();
  const forge_program_options primitives = {.size = sizeof primitives,
                                            .flags = FORGE_COMPILE_PRIMITIVES};
  forge_program *p = NULL;
  const forge_tid heads_first =
      build_tensor(&b, FORGE_ROLE_STATE, "kv", FORGE_F32, DIM(2, 3, 4, 8), NULL);
  const forge_tid pages = build_permute(&b, heads_first, (uint8_t[]){0, 2, 1, 3});
  const forge_tid slots = build_tensor(&b, FORGE_ROLE_INPUT, "slots", FORGE_I32, DIM(5), NULL);
  const forge_tid after = build_kv_write(&b, pages, slots, input(&b, "src", DIM(5, 3, 8)));
  output(&b, after, "y");
  assert_int_equal(forge_program_create(cpu.device, b.builder, &primitives, &p),
                   FORGE_E_UNSUPPORTED);
  assert_non_null(strstr(forge_error_last()->msg, "KV_WRITE"));
  forge_builder_destroy(b.builder);
}

/* A child of fork() may end what it inherited, and make nothing with it. */
static void a_program_made_before_fork_belongs_to_the_parent(void **state) {
  (void)state;
  build b = begin();
  int status = 0;
  output(&b, build_unary(&b, input(&b, "x", DIM(16)), FORGE_UNARY_EXP), "y");
  forge_program *p, *fresh;
  assert_int_equal(forge_program_create(cpu.device, b.builder, NULL, &p), 0);
  const pid_t pid = fork();
  if (!pid) {
    const bool refused =
        forge_program_create(cpu.device, b.builder, NULL, &fresh) == FORGE_E_FORKED;
    forge_program_destroy(p);
    _exit(refused ? 0 : 1);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  forge_program_destroy(p);
  forge_builder_destroy(b.builder);
}

static void an_output_may_be_a_view_a_state_or_an_input(void **state) {
  (void)state;
  build b = begin();
  const forge_tid x = input(&b, "x", DIM(3, 4));
  const forge_tid s = build_tensor(&b, FORGE_ROLE_STATE, "s", FORGE_F32, DIM(1, 4, 1, 4), NULL);
  const forge_tid ids = build_tensor(&b, FORGE_ROLE_INPUT, "ids", FORGE_I32, DIM(3), NULL);
  output(&b, x, "same");
  output(&b, build_permute(&b, x, (uint8_t[]){1, 0}), "turned");
  output(&b, s, "before");
  output(&b, build_kv_write(&b, s, ids, build_reshape(&b, x, DIM(3, 1, 4))), "after");
  bench_run r = bench_compile(&cpu, b.builder, 0, NULL);
  oracle *o = oracle_make(b.builder);
  oracle_random(o, "x", 1, -1, 1);
  oracle_random(o, "s", 2, -1, 1);
  oracle_named(o, "ids", NULL)[1] = 2;
  bench_upload(&r, o);
  oracle_run(o, NULL);
  bench_must_run(&r, NULL, 0);
  static const char *const names[] = {"same", "turned", "before", "after", "s"};
  for (int i = 0; i < 5; i++) {
    uint64_t n;
    double *have = bench_read(&r, names[i], &n), *want = oracle_named(o, names[i], NULL);
    for (uint64_t k = 0; k < n; k++) assert_true(have[k] == (double)(float)want[k]);
    free(have);
  }
  bench_end(&r);
  oracle_free(o);
  forge_builder_destroy(b.builder);
}

/* ---- cost ---- */

static void a_submit_allocates_nothing_and_costs_little(void **state) {
  (void)state;
  enum { ROUNDS = 200000 };
  bench_device null;
  if (!bench_open("null", NULL, &null)) {
    print_message("no null backend in this build\n");
    skip();
  }
  build b = begin();
  output(&b, build_unary(&b, input(&b, "x", DIM(64)), FORGE_UNARY_EXP), "y");
  bench_run r = bench_compile(&null, b.builder, 0, NULL);
  forge_moment done;
  assert_int_equal(forge_program_submit(r.program, NULL, 0, &done), 0);
  const uint64_t before = allocations, start = time_now_ns();
  for (int i = 0; i < ROUNDS; i++)
    assert_int_equal(forge_program_submit(r.program, NULL, 0, &done), 0);
  const uint64_t ns = time_now_ns() - start;
  assert_int_equal(allocations, before);
  print_message("submit of a one-op program: %.1f ns, no allocation\n", (double)ns / ROUNDS);
  assert_int_equal(forge_moment_wait(done, UINT64_MAX), 0);
  bench_end(&r);
  forge_builder_destroy(b.builder);
  bench_close(&null);
}

static void a_cpu_submit_allocates_nothing_in_the_core(void **state) {
  (void)state;
  build b = begin();
  output(&b, build_unary(&b, input(&b, "x", DIM(64)), FORGE_UNARY_EXP), "y");
  bench_run r = bench_compile(&cpu, b.builder, 0, NULL);
  bench_must_run(&r, NULL, 0);
  const uint64_t before = allocations;
  for (int i = 0; i < 100; i++) assert_int_equal(forge_program_run(r.program, NULL, 0), 0);
  assert_int_equal(allocations, before);
  bench_end(&r);
  forge_builder_destroy(b.builder);
}

int main(void) {
  if (!bench_open("cpu", NULL, &cpu)) {
    printf("skipped: this build has no CPU backend\n");
    return 77;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sharing_memory_changes_no_bit),
      cmocka_unit_test(one_program_serves_every_extent),
      cmocka_unit_test(what_nobody_reads_is_not_run),
      cmocka_unit_test(missing_and_wrong_bindings_are_named),
      cmocka_unit_test(imported_memory_is_read_and_never_written),
      cmocka_unit_test(pages_without_rows_are_refused_not_lost),
      cmocka_unit_test(a_program_made_before_fork_belongs_to_the_parent),
      cmocka_unit_test(an_output_may_be_a_view_a_state_or_an_input),
      cmocka_unit_test(a_submit_allocates_nothing_and_costs_little),
      cmocka_unit_test(a_cpu_submit_allocates_nothing_in_the_core),
  };
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  bench_close(&cpu);
  return failed;
}
