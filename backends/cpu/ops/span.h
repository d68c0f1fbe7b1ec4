/* span.h -- the elements of a tensor as chunks of f32, whatever its type and strides. A kernel
 * reads chunks of at most SPAN_MAX elements: the tensor's own memory where that is f32 without
 * gaps, a copy in the kernel's buffer where it is not. The chunks begin at multiples of SPAN_MAX,
 * itself a multiple of LANES, so a sum in lanes does not depend on which of the two was read. */
#ifndef FORGE_CPU_SPAN_H
#define FORGE_CPU_SPAN_H

#include "../cpu.h"
#include "../lanes.h"

#define SPAN_MAX 1024

/* A run of elements |stride| apart. F32 and I32 travel as the same four bytes. */
typedef struct cpu_span {
  uint8_t *data;
  int64_t stride;
  uint32_t bytes;
  uint8_t dtype;
  bool direct; /* four-byte elements, side by side */
} cpu_span;

cpu_span cpu_span_of(uint8_t *data, uint8_t dtype, int64_t stride);
/* Row number |row| over the leading dims of |v|. */
cpu_span cpu_span_row(const cpu_view *v, int64_t row);

/* Elements [first, first+n) as f32 (n <= SPAN_MAX, |buffer| has room for them). */
void cpu_span_gather(const cpu_span *s, int64_t first, int64_t n, float *buffer);
void cpu_span_scatter(const cpu_span *s, int64_t first, int64_t n, const float *buffer);

static inline const float *cpu_span_read(const cpu_span *s, int64_t first, int64_t n,
                                         float *buffer) {
  if (s->direct) return (const float *)s->data + first;
  cpu_span_gather(s, first, n, buffer);
  return buffer;
}

/* Where the kernel is to put elements from |first| on, before it calls cpu_span_done(). */
static inline float *cpu_span_place(const cpu_span *s, int64_t first, float *buffer) {
  return s->direct ? (float *)s->data + first : buffer;
}

static inline void cpu_span_done(const cpu_span *s, int64_t first, int64_t n, const float *buffer) {
  if (!s->direct) cpu_span_scatter(s, first, n, buffer);
}

/* The same over the row-major numbering of all elements of |v|. n <= SPAN_MAX. */
const float *cpu_flat_read(const cpu_view *v, int64_t first, int64_t n, float *buffer);
void cpu_flat_write(const cpu_view *v, int64_t first, int64_t n, const float *from);

static inline int64_t cpu_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t cpu_max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t cpu_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Pieces of work of |each| elements that are worth a thread's while. */
static inline int64_t cpu_grain(int64_t each) { return cpu_max(1, 16384 / cpu_max(1, each)); }

/* The next lanes of a run with |left| elements left, zeros behind its end. */
static inline lanes cpu_take(const float *p, int64_t left) {
  return left >= LANES ? lanes_load(p) : lanes_load_n(p, left);
}
static inline void cpu_put(float *p, lanes v, int64_t left) {
  if (left >= LANES)
    lanes_store(p, v);
  else
    lanes_store_n(p, v, left);
}

/* Tensor |i| of a call or of supports(), absent where the op was given fewer. */
extern const cpu_view cpu_absent;
static inline const cpu_view *cpu_in(const cpu_call *c, uint32_t i) {
  return i < c->n_in ? &c->in[i] : &cpu_absent;
}
static inline const cpu_view *cpu_out(const cpu_call *c, uint32_t i) {
  return i < c->n_out ? &c->out[i] : &cpu_absent;
}
static inline const forge_tensor *cpu_at(const forge_tensor *const *t, uint32_t n, uint32_t i) {
  return i < n ? t[i] : NULL;
}

static inline float cpu_number_f32(const cpu_call *c, const forge_attr_number *n) {
  return (float)cpu_number(c, n);
}

static inline bool cpu_is_float(const forge_tensor *t) {
  return t->dtype == FORGE_F32 || t->dtype == FORGE_F16 || t->dtype == FORGE_BF16;
}

/* For supports(): every tensor that is there has type |dtype|. */
static inline bool cpu_all_are(const forge_tensor *const *t, uint32_t n, uint8_t dtype) {
  for (uint32_t i = 0; i < n; i++) {
    if (t[i] && t[i]->dtype != dtype) return false;
  }
  return true;
}

/* The supports() of ops that want nothing but F32. */
uint8_t cpu_supports_f32(const forge_tensor *const *in, uint32_t n_in,
                         const forge_tensor *const *out, uint32_t n_out, const void *attr);

#endif
