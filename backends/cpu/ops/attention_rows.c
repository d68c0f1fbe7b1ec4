/* attention_rows.c -- see attention.h */
#include "attention.h"

const float *attention_row(const cpu_view *v, int64_t offset, int64_t d, float *copy) {
  const uint32_t bytes = cpu_type_bytes(v->t.dtype);
  const int64_t stride = d > 1 ? v->t.stride[3] : 1;
  const cpu_span s = cpu_span_of(v->data + offset * bytes, v->t.dtype, stride);
  if (s.direct && d % LANES == 0) return (const float *)s.data;
  cpu_span_gather(&s, 0, d, copy);
  for (int64_t i = d; i < attention_width(d); i++) copy[i] = 0.0f;
  return copy;
}

void attention_put(const cpu_view *v, int64_t offset, int64_t d, const float *from) {
  const uint32_t bytes = cpu_type_bytes(v->t.dtype);
  const cpu_span s = cpu_span_of(v->data + offset * bytes, v->t.dtype, d > 1 ? v->t.stride[3] : 1);
  cpu_span_scatter(&s, 0, d, from);
}

/* Four keys at a time: one load of q serves them all. */
static inline void multiply_four(const float *q, const float *const *k, int64_t width, lanes *sum) {
  lanes s0 = lanes_zero(), s1 = s0, s2 = s0, s3 = s0;
  for (int64_t i = 0; i < width; i += LANES) {
    const lanes x = lanes_load(q + i);
    s0 = lanes_fma(x, lanes_load(k[0] + i), s0);
    s1 = lanes_fma(x, lanes_load(k[1] + i), s1);
    s2 = lanes_fma(x, lanes_load(k[2] + i), s2);
    s3 = lanes_fma(x, lanes_load(k[3] + i), s3);
  }
  sum[0] = s0;
  sum[1] = s1;
  sum[2] = s2;
  sum[3] = s3;
}

void attention_scores(const float *q, const float *const *k, int64_t lo, int64_t hi, int64_t width,
                      float scale, float *s) {
  int64_t j = lo;
  for (; j + 8 <= hi; j += 8) {
    lanes sum[8];
    multiply_four(q, k + j, width, sum);
    multiply_four(q, k + j + 4, width, sum + 4);
    lanes_sum8(sum, s + j);
  }
  for (; j < hi; j++) s[j] = cpu_dot(q, k[j], width);
  for (j = lo; j < hi; j++) s[j] *= scale;
}

static void add_four(const float *p, int64_t step, const float *const *v, int64_t lo, int64_t hi,
                     int64_t at, float *sum) {
  lanes s0 = lanes_load(sum + at), s1 = lanes_load(sum + at + LANES);
  lanes s2 = lanes_load(sum + at + 2 * LANES), s3 = lanes_load(sum + at + 3 * LANES);
  for (int64_t j = lo; j < hi; j++) {
    const lanes f = lanes_set1(p[j * step]);
    const float *row = v[j] + at;
    s0 = lanes_fma(f, lanes_load(row), s0);
    s1 = lanes_fma(f, lanes_load(row + LANES), s1);
    s2 = lanes_fma(f, lanes_load(row + 2 * LANES), s2);
    s3 = lanes_fma(f, lanes_load(row + 3 * LANES), s3);
  }
  lanes_store(sum + at, s0);
  lanes_store(sum + at + LANES, s1);
  lanes_store(sum + at + 2 * LANES, s2);
  lanes_store(sum + at + 3 * LANES, s3);
}

void attention_add(const float *p, int64_t step, const float *const *v, int64_t lo, int64_t hi,
                   int64_t width, float *sum) {
  int64_t at = 0;
  for (; at + 4 * LANES <= width; at += 4 * LANES) add_four(p, step, v, lo, hi, at, sum);
  for (; at < width; at += LANES) {
    lanes s = lanes_load(sum + at);
    for (int64_t j = lo; j < hi; j++)
      s = lanes_fma(lanes_set1(p[j * step]), lanes_load(v[j] + at), s);
    lanes_store(sum + at, s);
  }
}
