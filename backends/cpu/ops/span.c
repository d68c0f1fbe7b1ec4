/* span.c -- see span.h */
#include "span.h"

const cpu_view cpu_absent;

cpu_span cpu_span_of(uint8_t *data, uint8_t dtype, int64_t stride) {
  const uint32_t bytes = cpu_type_bytes(dtype);
  const bool direct = bytes == 4 && stride == 1;
  return (cpu_span){
      .data = data, .stride = stride, .bytes = bytes, .dtype = dtype, .direct = direct};
}

cpu_span cpu_span_row(const cpu_view *v, int64_t row) {
  const forge_tensor *t = &v->t;
  const int64_t stride = t->rank && t->dim[t->rank - 1] > 1 ? t->stride[t->rank - 1] : 1;
  uint8_t *data = v->data + cpu_row_offset(t, row) * cpu_type_bytes(t->dtype);
  return cpu_span_of(data, t->dtype, stride);
}

static float half_at(const uint8_t *p, uint8_t dtype) {
  uint16_t h;
  memcpy(&h, p, sizeof h);
  return dtype == FORGE_F16 ? cpu_f16_to_f32(h) : cpu_bf16_to_f32(h);
}

void cpu_span_gather(const cpu_span *s, int64_t first, int64_t n, float *buffer) {
  const int64_t step = s->stride * s->bytes;
  const uint8_t *p = s->data + first * step;
  if (s->bytes == 4) {
    for (int64_t i = 0; i < n; i++) memcpy(buffer + i, p + i * step, 4);
  } else if (s->stride == 1) {
    cpu_decode(s->dtype, s->data, first, n, buffer);
  } else {
    for (int64_t i = 0; i < n; i++) buffer[i] = half_at(p + i * step, s->dtype);
  }
}

void cpu_span_scatter(const cpu_span *s, int64_t first, int64_t n, const float *buffer) {
  const int64_t step = s->stride * s->bytes;
  uint8_t *p = s->data + first * step;
  if (s->bytes == 4) {
    for (int64_t i = 0; i < n; i++) memcpy(p + i * step, buffer + i, 4);
  } else if (s->stride == 1) {
    cpu_encode(s->dtype, buffer, n, p);
  } else {
    for (int64_t i = 0; i < n; i++) cpu_encode(s->dtype, buffer + i, 1, p + i * step);
  }
}

const float *cpu_flat_read(const cpu_view *v, int64_t first, int64_t n, float *buffer) {
  if (cpu_is_dense(&v->t) && cpu_type_bytes(v->t.dtype) == 4) return (const float *)v->data + first;
  const int64_t columns = cpu_columns(&v->t);
  for (int64_t done = 0; done < n;) {
    const int64_t row = (first + done) / columns, column = (first + done) % columns;
    const int64_t take = cpu_min(n - done, columns - column);
    const cpu_span s = cpu_span_row(v, row);
    cpu_span_gather(&s, column, take, buffer + done);
    done += take;
  }
  return buffer;
}

void cpu_flat_write(const cpu_view *v, int64_t first, int64_t n, const float *from) {
  const int64_t columns = cpu_columns(&v->t);
  for (int64_t done = 0; done < n;) {
    const int64_t row = (first + done) / columns, column = (first + done) % columns;
    const int64_t take = cpu_min(n - done, columns - column);
    const cpu_span s = cpu_span_row(v, row);
    cpu_span_scatter(&s, column, take, from + done);
    done += take;
  }
}

uint8_t cpu_supports_f32(const forge_tensor *const *in, uint32_t n_in,
                         const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  (void)attr;
  const bool fine = cpu_all_are(in, n_in, FORGE_F32) && cpu_all_are(out, n_out, FORGE_F32);
  return fine ? FORGE_REASON_NONE : FORGE_REASON_DTYPE;
}
