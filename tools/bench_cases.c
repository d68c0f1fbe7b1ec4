/* bench_cases.c -- see bench_cases.h. */
#include "bench_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STEP(call)                                                                                 \
  do {                                                                                             \
    if ((st = (call))) goto done;                                                                  \
  } while (0)

double bench_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Random values in [-1, 1): zeros would flatter caches and multipliers. */
static void fill_random(float *x, uint64_t n) {
  uint32_t state = 12345;
  for (uint64_t i = 0; i < n; i++) {
    state = state * 1664525u + 1013904223u;
    x[i] = (float)(int32_t)state * 0x1p-31f;
  }
}

/* Makes a buffer of |bytes|, fills it with random f32 and binds it. */
static forge_status bind_random(forge_device *device, bench_program *p, const char *name,
                                uint64_t bytes) {
  forge_buffer *buffer = NULL;
  forge_status st;
  float *values = malloc(bytes);
  if (!values) return FORGE_E_OOM;
  fill_random(values, bytes / sizeof *values);
  STEP(forge_buffer_create(device, bytes, "bench", &buffer));
  p->buffers[p->n_buffers++] = buffer;
  STEP(forge_buffer_write(buffer, 0, values, bytes));
  STEP(forge_program_bind(p->program, name, buffer, 0));
done:
  free(values);
  return st;
}

forge_status bench_add(forge_device *device, uint32_t n_bindings, bench_program *out) {
  enum { ELEMS = 64 };
  const int64_t dim = ELEMS;
  const forge_attr_kind add = {FORGE_BINARY_ADD, 0};
  forge_builder *b = NULL;
  forge_tid sum, next;
  forge_status st;
  char name[16] = "x0";
  *out = (bench_program){0};
  STEP(forge_builder_create(&b));
  STEP(forge_builder_tensor(b, FORGE_ROLE_INPUT, name, FORGE_F32, 1, &dim, NULL, &sum));
  for (uint32_t i = 1; i + 1 < n_bindings; i++) {
    snprintf(name, sizeof name, "x%u", i);
    STEP(forge_builder_tensor(b, FORGE_ROLE_INPUT, name, FORGE_F32, 1, &dim, NULL, &next));
    STEP(forge_builder_op(b, FORGE_OP_BINARY, &add, sizeof add, (forge_tid[]){sum, next}, 2, &sum,
                          1));
  }
  STEP(forge_builder_output(b, sum, "y"));
  STEP(forge_program_create(device, b, NULL, &out->program));
  for (uint32_t i = 0; i + 1 < n_bindings; i++) {
    snprintf(name, sizeof name, "x%u", i);
    STEP(bind_random(device, out, name, ELEMS * sizeof(float)));
  }
  STEP(bind_random(device, out, "y", ELEMS * sizeof(float)));
done:
  forge_builder_destroy(b);
  if (st) bench_program_finish(out);
  return st;
}

/* Fills |weights| [n, k] of |dtype| by rounding random f32 rows on the device, which makes valid
 * blocks; a few hundred different rows, repeated, are random enough. */
static forge_status make_weights(forge_device *device, uint8_t dtype, int64_t n, int64_t k,
                                 forge_buffer *weights) {
  enum { ROWS = 256 };
  const int64_t rows = n % ROWS ? n : ROWS, dim[2] = {rows, k};
  bench_program cast = {0};
  forge_builder *b = NULL;
  forge_tid x, y;
  forge_tensor rounded;
  forge_status st;
  STEP(forge_builder_create(&b));
  STEP(forge_builder_tensor(b, FORGE_ROLE_INPUT, "x", FORGE_F32, 2, dim, NULL, &x));
  STEP(forge_builder_describe(b, x, &rounded));
  rounded.dtype = dtype;
  STEP(forge_builder_op_shaped(b, dtype == FORGE_F32 ? FORGE_OP_COPY_STRIDED : FORGE_OP_CAST, NULL,
                               0, &x, 1, &rounded, &y));
  STEP(forge_builder_output(b, y, "y"));
  STEP(forge_program_create(device, b, NULL, &cast.program));
  STEP(bind_random(device, &cast, "x", (uint64_t)(rows * k) * sizeof(float)));
  const uint64_t piece = forge_buffer_bytes(weights) / (uint64_t)(n / rows);
  for (int64_t r = 0; r < n / rows; r++) {
    STEP(forge_program_bind(cast.program, "y", weights, (uint64_t)r * piece));
    STEP(forge_program_run(cast.program, NULL, 0));
  }
done:
  forge_builder_destroy(b);
  bench_program_finish(&cast);
  return st;
}

static forge_status build_matmul(forge_builder *b, uint8_t dtype, int64_t m, int64_t n, int64_t k) {
  const forge_attr_matmul by_rows = {FORGE_MATMUL_TRANS_B, 0};
  const bool plain = dtype == FORGE_F32;
  forge_tid x, w, y;
  forge_status st;
  STEP(forge_builder_tensor(b, FORGE_ROLE_INPUT, "x", FORGE_F32, 2, (int64_t[]){m, k}, NULL, &x));
  STEP(forge_builder_tensor(b, FORGE_ROLE_PARAM, "w", dtype, 2, (int64_t[]){n, k}, NULL, &w));
  STEP(forge_builder_op(b, plain ? FORGE_OP_MATMUL : FORGE_OP_QMATMUL, plain ? &by_rows : NULL,
                        plain ? sizeof by_rows : 0, (forge_tid[]){x, w, FORGE_TID_NONE}, 3, &y, 1));
  STEP(forge_builder_output(b, y, "y"));
done:
  return st;
}

static uint64_t type_bytes(uint8_t dtype, uint64_t elems) {
#define BYTES(name, number, block_elems, block_bytes, text)                                        \
  if (dtype == (number)) return elems / (block_elems) * (block_bytes);
  FORGE_DTYPE_MAP(BYTES)
#undef BYTES
  return 0;
}

forge_status bench_matmul(forge_device *device, uint8_t dtype, int64_t m, int64_t n, int64_t k,
                          bench_program *out, uint64_t *out_weight_bytes) {
  forge_builder *b = NULL;
  forge_status st;
  *out = (bench_program){0};
  *out_weight_bytes = type_bytes(dtype, (uint64_t)(n * k));
  STEP(forge_builder_create(&b));
  STEP(build_matmul(b, dtype, m, n, k));
  STEP(forge_program_create(device, b, NULL, &out->program));
  STEP(forge_buffer_create(device, *out_weight_bytes, "bench", &out->buffers[out->n_buffers]));
  forge_buffer *weights = out->buffers[out->n_buffers++];
  STEP(make_weights(device, dtype, n, k, weights));
  STEP(forge_program_bind(out->program, "w", weights, 0));
  STEP(bind_random(device, out, "x", (uint64_t)(m * k) * sizeof(float)));
  STEP(bind_random(device, out, "y", (uint64_t)(m * n) * sizeof(float)));
done:
  forge_builder_destroy(b);
  if (st) bench_program_finish(out);
  return st;
}

void bench_program_finish(bench_program *p) {
  forge_program_destroy(p->program);
  for (uint32_t i = 0; i < p->n_buffers; i++) forge_buffer_destroy(p->buffers[i]);
  *p = (bench_program){0};
}

/* |n| submits; waits after each one, or once at the end. */
static double time_runs(bench_program *p, uint64_t n, bool submit_only) {
  const double begin = bench_now();
  forge_moment done = {NULL, 0}; /* n is at least 1 */
  for (uint64_t i = 0; i < n; i++) {
    if (forge_program_submit(p->program, NULL, 0, &done)) return -1;
    if (!submit_only && forge_moment_wait(done, UINT64_MAX)) return -1;
  }
  const double seconds = bench_now() - begin;
  return forge_moment_wait(done, UINT64_MAX) ? -1 : seconds;
}

double bench_seconds_per_run(bench_program *p, double seconds, bool submit_only) {
  uint64_t n = 1;
  double took = time_runs(p, n, submit_only); /* warms up as well */
  while (took >= 0 && took < seconds / 4) {
    n *= 2;
    took = time_runs(p, n, submit_only);
  }
  if (took < 0) return -1;
  const double wanted = (double)n * seconds / (took > 0 ? took : seconds);
  n = wanted < 1 ? 1 : (uint64_t)wanted;
  took = time_runs(p, n, submit_only);
  return took < 0 ? -1 : took / (double)n;
}
