/* peak.c -- what a device reaches at best, as MFU's yardstick: y = a b of N x N matrices, the best
 * of several runs; of fewer where one alone takes long. */
#include "step.h"

enum { PEAK_N = 1024, PEAK_RUNS = 6, PEAK_ENOUGH_NS = 1000000000 };

static forge_status peak_program(forge_device *device, uint8_t dtype, forge_program **out) {
  const int64_t dim[] = {PEAK_N, PEAK_N};
  build b = {0};
  TRY(forge_builder_create(&b.builder));
  const forge_tid x = build_tensor(&b, FORGE_ROLE_INPUT, "a", dtype, 2, dim, NULL);
  const forge_tid w = build_tensor(&b, FORGE_ROLE_INPUT, "b", dtype, 2, dim, NULL);
  const forge_tid y = build_matmul(&b, x, w, FORGE_TID_NONE, FORGE_MATMUL_TRANS_B);
  forge_status st = b.status;
  if (!st) st = forge_builder_output(b.builder, y, "y");
  if (!st) st = forge_program_create(device, b.builder, NULL, out);
  forge_builder_destroy(b.builder);
  return st;
}

static forge_status time_best(forge_program *program, double *out_seconds) {
  uint64_t best = UINT64_MAX, spent = 0;
  for (int i = 0; i < PEAK_RUNS && spent < PEAK_ENOUGH_NS; i++) {
    const uint64_t start = time_now_ns();
    TRY(forge_program_run(program, NULL, 0));
    const uint64_t took = time_now_ns() - start;
    if (took < best) best = took;
    spent += took;
  }
  *out_seconds = (double)(best ? best : 1) * 1e-9;
  return FORGE_OK;
}

forge_status train_measure_peak(forge_device *device, uint8_t dtype, double *out_flops) {
  static const char *const names[] = {"a", "b", "y"};
  forge_buffer *buffer[3] = {NULL};
  forge_program *program = NULL;
  double seconds = 1;
  forge_status st = peak_program(device, dtype, &program);
  for (int i = 0; !st && i < 3; i++) {
    const uint64_t bytes = (uint64_t)PEAK_N * PEAK_N * sizeof(float);
    st = forge_buffer_create(device, bytes, "peak", &buffer[i]);
    if (!st) st = forge_buffer_fill(buffer[i], 0, 0, bytes);
    if (!st) st = forge_program_bind(program, names[i], buffer[i], 0);
  }
  if (!st) st = time_best(program, &seconds);
  forge_program_destroy(program);
  for (int i = 0; i < 3; i++) forge_buffer_destroy(buffer[i]);
  *out_flops = 2.0 * PEAK_N * PEAK_N * PEAK_N / seconds;
  return st;
}
