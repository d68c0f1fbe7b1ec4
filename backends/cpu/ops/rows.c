/* rows.c -- see rows.h */
#include "rows.h"

int64_t cpu_column_chunk(const cpu_call *c, int64_t columns) {
  const int64_t share = cpu_ceil_div(columns, cpu_threads_count(c->threads));
  return cpu_max(4 * LANES, cpu_min(SPAN_MAX, cpu_ceil_div(share, LANES) * LANES));
}

float cpu_row_max(const cpu_span *x, int64_t n, float scale) {
  _Alignas(64) float buffer[SPAN_MAX];
  lanes max = lanes_set1(-INFINITY);
  const lanes factor = lanes_set1(scale), bottom = max;
  for (int64_t at = 0; at < n; at += SPAN_MAX) {
    const int64_t take = cpu_min(SPAN_MAX, n - at);
    const float *p = cpu_span_read(x, at, take, buffer);
    int64_t i = 0;
    for (; i + LANES <= take; i += LANES)
      max = lanes_max(lanes_mul(factor, lanes_load(p + i)), max);
    if (i == take) continue;
    float rest[LANES];
    lanes_store(rest, bottom);
    lanes_store_n(rest, lanes_mul(factor, lanes_load_n(p + i, take - i)), take - i);
    max = lanes_max(lanes_load(rest), max);
  }
  return lanes_hmax(max);
}

static lanes exp_chunk(const float *p, int64_t n, float scale, float max, float *to) {
  const lanes factor = lanes_set1(scale), top = lanes_set1(max);
  lanes sum = lanes_zero();
  for (int64_t i = 0; i < n; i += LANES) {
    lanes e = lanes_exp(lanes_sub(lanes_mul(factor, cpu_take(p + i, n - i)), top));
    cpu_put(to + i, e, n - i);
    if (n - i < LANES) e = lanes_load_n(to + i, n - i);
    sum = lanes_add(sum, e);
  }
  return sum;
}

float cpu_row_exp(const cpu_span *x, int64_t n, float scale, float max, const cpu_span *y) {
  _Alignas(64) float in[SPAN_MAX], out[SPAN_MAX];
  double sum = 0.0;
  for (int64_t at = 0; at < n; at += SPAN_MAX) {
    const int64_t take = cpu_min(SPAN_MAX, n - at);
    const float *p = cpu_span_read(x, at, take, in);
    float *to = y ? cpu_span_place(y, at, out) : out;
    if (max == -INFINITY)
      memset(to, 0, (size_t)take * sizeof *to);
    else
      sum += (double)lanes_sum(exp_chunk(p, take, scale, max, to));
    if (y) cpu_span_done(y, at, take, to);
  }
  return (float)sum;
}

void cpu_row_scale(const cpu_span *x, int64_t n, float factor) {
  _Alignas(64) float buffer[2][SPAN_MAX];
  const lanes f = lanes_set1(factor);
  for (int64_t at = 0; at < n; at += SPAN_MAX) {
    const int64_t take = cpu_min(SPAN_MAX, n - at);
    const float *p = cpu_span_read(x, at, take, buffer[0]);
    float *to = cpu_span_place(x, at, buffer[1]);
    for (int64_t i = 0; i < take; i += LANES)
      cpu_put(to + i, lanes_mul(f, cpu_take(p + i, take - i)), take - i);
    cpu_span_done(x, at, take, to);
  }
}

int64_t cpu_row_argmax(const cpu_span *x, int64_t n) {
  if (n == 0) return -1;
  uint64_t best = 0;
  cpu_row_best(x, n, 1, &best);
  return cpu_rank_column(best);
}

/* ---- the k first of a row ---- */

void cpu_sink_smallest(uint64_t *heap, int64_t n, int64_t i) {
  const uint64_t key = heap[i];
  for (int64_t child; (child = 2 * i + 1) < n; i = child) {
    if (child + 1 < n && heap[child + 1] < heap[child]) child++;
    if (heap[child] >= key) break;
    heap[i] = heap[child];
  }
  heap[i] = key;
}

void cpu_sink_largest(uint64_t *heap, int64_t n, int64_t i) {
  const uint64_t key = heap[i];
  for (int64_t child; (child = 2 * i + 1) < n; i = child) {
    if (child + 1 < n && heap[child + 1] > heap[child]) child++;
    if (heap[child] <= key) break;
    heap[i] = heap[child];
  }
  heap[i] = key;
}

static float value_of(uint64_t key) {
  uint32_t bits = (uint32_t)(key >> 32);
  bits = bits & 0x80000000u ? bits & 0x7FFFFFFFu : ~bits;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* Whether one of 16 values is |floor| or larger, or a NaN. */
static bool any_reaches(const float *p, float floor) {
  const lanes yes = lanes_set1(1.0f);
  return lanes_hmax(lanes_gt_select(lanes_set1(floor), lanes_load(p), lanes_zero(), yes)) > 0.0f;
}

void cpu_row_best(const cpu_span *x, int64_t n, int64_t k, uint64_t *best) {
  _Alignas(64) float buffer[SPAN_MAX];
  int64_t have = 0;
  float floor = 0.0f;
  for (int64_t at = 0; at < n; at += SPAN_MAX) {
    const int64_t take = cpu_min(SPAN_MAX, n - at);
    const float *p = cpu_span_read(x, at, take, buffer);
    for (int64_t i = 0; i < take; i++) {
      if (have == k && i % LANES == 0 && take - i >= LANES && !any_reaches(p + i, floor)) {
        i += LANES - 1;
        continue;
      }
      const uint64_t key = cpu_rank_key(p[i], (uint32_t)(at + i));
      if (have < k) {
        best[have++] = key;
        if (have < k) continue;
        for (int64_t j = k / 2; j-- > 0;) cpu_sink_smallest(best, k, j);
      } else if (key > best[0]) {
        best[0] = key;
        cpu_sink_smallest(best, k, 0);
      }
      floor = value_of(best[0]);
    }
  }
  for (int64_t m = k - 1; m > 0; m--) { /* the smallest goes behind the rest */
    const uint64_t last = best[0];
    best[0] = best[m];
    best[m] = last;
    cpu_sink_smallest(best, m, 0);
  }
}
