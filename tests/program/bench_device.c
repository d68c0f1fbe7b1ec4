/* bench_device.c -- see bench_device.h. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench_device.h"

#define MUST(call)                                                                                 \
  do {                                                                                             \
    if (call) fail_msg("%s: %s", #call, forge_error_last()->msg);                                  \
  } while (0)

bool bench_open(const char *name, const char *const *options, bench_device *out) {
  const forge_runtime_options o = {.size = sizeof o, .overrides = options};
  *out = (bench_device){0};
  if (forge_runtime_create(&o, &out->runtime)) return false;
  if (!forge_device_open(out->runtime, name, &out->device)) return true;
  print_message("%s: %s\n", name, forge_error_last()->msg);
  bench_close(out);
  return false;
}

void bench_close(bench_device *d) {
  forge_device_close(d->device);
  forge_runtime_destroy(d->runtime);
  *d = (bench_device){0};
}

bench_run bench_compile(const bench_device *d, const forge_builder *g, uint32_t flags,
                        const forge_program_options *options) {
  bench_run r = {0};
  MUST(program_create(d->device, g, options, flags, &r.program));
  r.buffer = calloc(r.program->n_names + 1u, sizeof *r.buffer);
  for (uint32_t i = 0; i < r.program->n_names; i++) {
    const uint64_t bytes = r.program->names[i].bytes;
    if (!bytes) continue;
    MUST(forge_buffer_create(d->device, bytes, "test", &r.buffer[i]));
    MUST(forge_buffer_fill(r.buffer[i], 0, 0, bytes));
    MUST(forge_program_bind_index(r.program, i, r.buffer[i], 0));
  }
  return r;
}

void bench_end(bench_run *r) {
  const uint32_t n = r->program->n_names;
  forge_program_destroy(r->program);
  for (uint32_t i = 0; i < n; i++) forge_buffer_destroy(r->buffer[i]);
  free(r->buffer);
}

/* ---- element types ---- */

static uint16_t to_half(double x) {
  _Float16 h = (_Float16)x;
  uint16_t bits;
  memcpy(&bits, &h, 2);
  return bits;
}

static double of_half(uint16_t bits) {
  _Float16 h;
  memcpy(&h, &bits, 2);
  return (double)h;
}

static uint16_t to_bf16(double x) {
  const float f = (float)x;
  uint32_t bits;
  memcpy(&bits, &f, 4);
  return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static double of_bf16(uint16_t half) {
  const uint32_t bits = (uint32_t)half << 16;
  float f;
  memcpy(&f, &bits, 4);
  return (double)f;
}

/* Q8_0 with scale 1/64: the oracle's elements are multiples of it. */
static void put_q8(const double *v, uint64_t n, uint8_t *to) {
  for (uint64_t i = 0; i < n; i += 32, to += 34) {
    const uint16_t d = to_half(1.0 / 64);
    memcpy(to, &d, 2);
    for (uint64_t k = 0; k < 32; k++) to[2 + k] = (uint8_t)(int8_t)lrint(v[i + k] * 64);
  }
}

static void put(uint8_t dtype, const double *v, uint64_t n, uint8_t *to) {
  if (dtype == FORGE_Q8_0) {
    put_q8(v, n, to);
    return;
  }
  for (uint64_t i = 0; i < n; i++) {
    const float f = (float)v[i];
    const int32_t w = dtype == FORGE_I32 ? (int32_t)v[i] : 0;
    const uint16_t h = dtype == FORGE_F16 ? to_half(v[i]) : to_bf16(v[i]);
    if (dtype == FORGE_F32)
      memcpy(to + 4 * i, &f, 4);
    else if (dtype == FORGE_I32)
      memcpy(to + 4 * i, &w, 4);
    else
      memcpy(to + 2 * i, &h, 2);
  }
}

static double get(uint8_t dtype, const uint8_t *from, uint64_t i) {
  float f;
  int32_t w;
  uint16_t h;
  switch (dtype) {
  case FORGE_F32: memcpy(&f, from + 4 * i, 4); return (double)f;
  case FORGE_I32: memcpy(&w, from + 4 * i, 4); return (double)w;
  default: memcpy(&h, from + 2 * i, 2); return dtype == FORGE_F16 ? of_half(h) : of_bf16(h);
  }
}

void bench_round(oracle *o) {
  for (size_t s = 0; s < o->g->n_storages; s++) {
    const graph_storage *t = &o->g->storages[s];
    if (!t->name || t->is_output) continue;
    for (uint64_t i = 0; i < t->elements; i++) {
      double *v = &o->storage[s][i];
      *v = t->dtype == FORGE_Q8_0   ? (double)lrint(*v * 64) / 64
           : t->dtype == FORGE_F16  ? of_half(to_half(*v))
           : t->dtype == FORGE_BF16 ? of_bf16(to_bf16(*v))
                                    : *v;
    }
  }
}

/* ---- contents ---- */

void bench_upload(bench_run *r, oracle *o) {
  const forge_program *p = r->program;
  for (uint32_t i = 0; i < p->n_names; i++) {
    const graph_storage *s = &p->graph->storages[p->names[i].storage];
    uint8_t *bytes = calloc(1, p->names[i].bytes + 1);
    put(s->dtype, oracle_named(o, s->name, NULL), s->elements, bytes);
    if (p->names[i].bytes) MUST(forge_buffer_write(r->buffer[i], 0, bytes, p->names[i].bytes));
    free(bytes);
  }
}

void bench_must_run(bench_run *r, const uint64_t *scalars, uint32_t n) {
  MUST(forge_program_run(r->program, scalars, n));
}

void *bench_bytes(bench_run *r, const char *name, uint64_t *out_n) {
  uint32_t i;
  MUST(forge_program_binding(r->program, name, &i));
  uint8_t *bytes = calloc(1, r->program->names[i].bytes + 1);
  if (r->buffer[i]) MUST(forge_buffer_read(r->buffer[i], 0, bytes, r->program->names[i].bytes));
  *out_n = r->program->names[i].bytes;
  return bytes;
}

double *bench_read(bench_run *r, const char *name, uint64_t *out_n) {
  uint32_t i;
  uint64_t bytes_n;
  MUST(forge_program_binding(r->program, name, &i));
  const graph_storage *s = &r->program->graph->storages[r->program->names[i].storage];
  uint8_t *bytes = bench_bytes(r, name, &bytes_n);
  double *v = calloc(s->elements + 1, sizeof *v);
  for (uint64_t k = 0; k < s->elements; k++) v[k] = get(s->dtype, bytes, k);
  *out_n = s->elements;
  free(bytes);
  return v;
}
