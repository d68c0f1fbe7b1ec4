/* bench_cases.h -- the things `forge bench` times, each made once and run many times. */
#ifndef FORGE_BENCH_CASES_H
#define FORGE_BENCH_CASES_H

#include <stdbool.h>

#include <forge/program.h>

/* A program with its buffers bound. */
typedef struct bench_program {
  forge_program *program;
  forge_buffer *buffers[24];
  uint32_t n_buffers;
} bench_program;

/* y = a + b over 64 elements, |n_bindings| - 3 further inputs added: what one submit costs. */
forge_status bench_add(forge_device *device, uint32_t n_bindings, bench_program *out);
/* y [m, n] = x [m, k] w [n, k]^T with w of |dtype| and random contents. |*out_weight_bytes|: what
 * one run reads of w. */
forge_status bench_matmul(forge_device *device, uint8_t dtype, int64_t m, int64_t n, int64_t k,
                          bench_program *out, uint64_t *out_weight_bytes);
void bench_program_finish(bench_program *p);

/* Seconds per run over about |seconds|; negative after a failure. |submit_only|: the device is
 * waited for once, at the end. */
double bench_seconds_per_run(bench_program *p, double seconds, bool submit_only);

double bench_now(void);

#endif
