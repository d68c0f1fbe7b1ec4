/* bench_cases.c -- see bench_cases.h. */
#include "bench_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STEP(call)                \
  do {                            \
    if ((st = (call))) goto done; \
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
static forge_status bind_random(forge_device *device, bench_program *p, const char *name, uint64_t bytes) {
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
    STEP(forge_builder_op(b, FORGE_OP_BINARY, &add, sizeof add, (forge_tid[]){sum, next}, 2, &sum, 1));
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

/* Rounds random f32 rows to |dtype| with a program of its own: the device's CAST makes valid blocks. */
static forge_status make_weights(forge_device *device, uint8_t dtype, int64_t n, int64_t k, forge_buffer *weights) {
  enum { ROWS = 256 };
  const int64_t rows = n < ROWS ? n : ROWS, dim[2] = {rows, k};
  bench_program cast = {0};
  forge_builder *b = NULL;
  forge_tid x, y, in_attr_free;
  forge_status st;
  (void)in_attr_free;
  STEP(forge_builder_create(&b));
  STEP(forge_builder_tensor(b, FORGE_ROLE_INPUT, "x", FORGE_F32, 2, dim, NULL, &x));
  forge_tensor want;
  STEP(forge_builder_describe(b, x, &want));
  const forge_attr_cast to = {dtype, 0};
  STEP(forge_builder_op(b, FORGE_OP_CAST, &to, sizeof to, &x, 1, &y, 1));
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
