/* expand_case.c -- see expand_case.h. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "expand_case.h"

static bench_device native, restricted;
static bool have_native, have_restricted;

expand_case case_begin(void) {
  expand_case c = {0};
  assert_int_equal(forge_builder_create(&c.b.builder), 0);
  return c;
}

forge_tid case_input(expand_case *c, const char *name, uint8_t dtype, uint32_t role, double low,
                     double high, size_t rank, const int64_t *dim) {
  c->name[c->n] = name;
  c->low[c->n] = low;
  c->high[c->n++] = high;
  return build_tensor(&c->b, role, name, dtype, (uint8_t)rank, dim, NULL);
}

forge_tid case_f32(expand_case *c, const char *name, size_t rank, const int64_t *dim) {
  return case_input(c, name, FORGE_F32, FORGE_ROLE_INPUT, -1, 1, rank, dim);
}

forge_tid case_i32(expand_case *c, const char *name, double low, double high, size_t rank,
                   const int64_t *dim) {
  return case_input(c, name, FORGE_I32, FORGE_ROLE_INPUT, low, high, rank, dim);
}

void case_op(expand_case *c, uint16_t number, const void *attr, uint32_t bytes, const forge_tid *in,
             uint32_t n_in, uint32_t n_out) {
  static const char *const names[] = {"y0", "y1", "y2"};
  forge_tid out[3] = {0, 0, 0};
  build_op(&c->b, number, attr, bytes, in, n_in, out, n_out);
  for (uint32_t k = 0; k < n_out && !c->b.status; k++)
    c->b.status = forge_builder_output(c->b.builder, out[k], c->out[c->n_out++] = names[k]);
}
oracle *case_fill(expand_case *c) {
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

void case_check_scalars(expand_case *c, const uint64_t *scalars, const char *what) {
  if (!c->o) case_fill(c);
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

void case_check(expand_case *c, const char *what) { case_check_scalars(c, NULL, what); }

void case_open_devices(void) {
  static const char *const only[] = {"backend.cpu.only_primitives=true", NULL};
  have_native = bench_open("cpu", NULL, &native);
  have_restricted = bench_open("cpu", only, &restricted);
  if (!have_native) print_message("no CPU backend in this build: only the formulas are tested\n");
}

void case_close_devices(void) {
  if (have_restricted) bench_close(&restricted);
  if (have_native) bench_close(&native);
}
