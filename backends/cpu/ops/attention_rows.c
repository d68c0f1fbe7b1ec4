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

void attention_scores(const float *q, const float *const *k, int64_t lo, int64_t hi, int64_t width,
                      float scale, float *s) {
  int64_t j = lo;
  for (; j + 4 <= hi; j += 4) { /* four keys at a time: one load of q serves them all */
    lanes sum0 = lanes_zero(), sum1 = sum0, sum2 = sum0, sum3 = sum0;
    for (int64_t i = 0; i < width; i += LANES) {
      const lanes x = lanes_load(q + i);
      sum0 = lanes_fma(x, lanes_load(k[j] + i), sum0);
      sum1 = lanes_fma(x, lanes_load(k[j + 1] + i), sum1);
      sum2 = lanes_fma(x, lanes_load(k[j + 2] + i), sum2);
      sum3 = lanes_fma(x, lanes_load(k[j + 3] + i), sum3);
    }
    s[j] = scale * lanes_sum(sum0);
    s[j + 1] = scale * lanes_sum(sum1);
    s[j + 2] = scale * lanes_sum(sum2);
    s[j + 3] = scale * lanes_sum(sum3);
  }
  for (; j < hi; j++) s[j] = scale * cpu_dot(q, k[j], width);
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
