/* rows.h -- what several kernels do with a row of f32, and the rows of the op table that reduce.c
 * lists for other files. */
#ifndef FORGE_CPU_ROWS_H
#define FORGE_CPU_ROWS_H

#include "span.h"

/* Columns that one thread sums over all rows at a time, at most SPAN_MAX: wide pieces read memory
 * in order, narrow ones give every thread something to do. No sum depends on it. */
int64_t cpu_column_chunk(const cpu_call *c, int64_t columns);

/* Largest scale*x[i], -inf where n is 0 or all are -inf or NaN. */
float cpu_row_max(const cpu_span *x, int64_t n, float scale);
/* y = exp(scale*x - max) (not written where |y| is NULL; y may be x) and the sum of it: in 16 lanes
 * within a chunk, in double over the chunks. 0 where max is -inf, with y zeros. */
float cpu_row_exp(const cpu_span *x, int64_t n, float scale, float max, const cpu_span *y);
/* x *= factor */
void cpu_row_scale(const cpu_span *x, int64_t n, float factor);
/* The first of the largest, where a NaN is larger than all; -1 where n is 0. */
int64_t cpu_row_argmax(const cpu_span *x, int64_t n);

/* Numbers that order elements: larger values first, a NaN before all, the lower of two equal
 * elements' columns first. The larger number comes first. */
static inline uint64_t cpu_rank_key(float value, uint32_t column) {
  uint32_t bits;
  value += 0.0f; /* -0 equals 0 */
  memcpy(&bits, &value, sizeof bits);
  bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  if (value != value) bits = UINT32_MAX;
  return (uint64_t)bits << 32 | (uint32_t)~column;
}
static inline uint32_t cpu_rank_column(uint64_t key) { return ~(uint32_t)key; }

/* Puts the keys of the |k| first elements of the row (1 <= k <= n) into |best|, first one first. */
void cpu_row_best(const cpu_span *x, int64_t n, int64_t k, uint64_t *best);
/* Heap of keys, the smallest (or, |largest|, the largest) on top: restores it below number |i|. */
void cpu_sink_smallest(uint64_t *heap, int64_t n, int64_t i);
void cpu_sink_largest(uint64_t *heap, int64_t n, int64_t i);

uint8_t cpu_supports_topk(const forge_tensor *const *in, uint32_t n_in,
                          const forge_tensor *const *out, uint32_t n_out, const void *attr);
uint64_t cpu_scratch_topk(const forge_tensor *const *in, uint32_t n_in,
                          const forge_tensor *const *out, uint32_t n_out, const void *attr,
                          uint32_t n_threads);
forge_status cpu_run_topk(const cpu_call *c);

uint64_t cpu_scratch_global_norm(const forge_tensor *const *in, uint32_t n_in,
                                 const forge_tensor *const *out, uint32_t n_out, const void *attr,
                                 uint32_t n_threads);
forge_status cpu_run_global_norm(const cpu_call *c);

#endif
