/* pointwise.c -- BINARY AXPBY MASK SWIGLU SWIGLU_BWD; UNARY and UNARY_BWD are in unary.c. All but
 * two kinds of MASK are kernels of map.h, so each element is worked out alone. */
#include "map.h"
#include "unary.h"

static uint32_t kind_of(const void *attr) { return ((const forge_attr_kind *)attr)->kind; }

/* ---- BINARY ---- */

#define BINARY_LANES(name, call)                                                                   \
  static void name(const void *ctx, const float *const *in, float *const *out, int64_t n) {        \
    (void)ctx;                                                                                     \
    for (int64_t i = 0; i < n; i += LANES) {                                                       \
      const lanes a = cpu_take(in[0] + i, n - i), b = cpu_take(in[1] + i, n - i);                  \
      cpu_put(out[0] + i, call(a, b), n - i);                                                      \
    }                                                                                              \
  }
BINARY_LANES(add_f32, lanes_add)
BINARY_LANES(sub_f32, lanes_sub)
BINARY_LANES(mul_f32, lanes_mul)
BINARY_LANES(div_f32, lanes_div)

/* In plain C, because lanes_max forgets a NaN on its left. */
#define BINARY_PLAIN(name, type, expression)                                                       \
  static void name(const void *ctx, const float *const *in, float *const *out, int64_t n) {        \
    (void)ctx;                                                                                     \
    const type *a = (const type *)(const void *)in[0], *b = (const type *)(const void *)in[1];     \
    type *y = (type *)(void *)out[0];                                                              \
    for (int64_t i = 0; i < n; i++) y[i] = expression;                                             \
  }
BINARY_PLAIN(max_f32, float, a[i] > b[i] || a[i] != a[i] ? a[i] : b[i])
BINARY_PLAIN(min_f32, float, a[i] < b[i] || a[i] != a[i] ? a[i] : b[i])

/* Integers wrap around; a division by zero gives 0. */
static int32_t divide_i32(int32_t a, int32_t b) {
  if (b == 0) return 0;
  return b == -1 ? (int32_t)(0u - (uint32_t)a) : a / b;
}
BINARY_PLAIN(add_i32, int32_t, (int32_t)((uint32_t)a[i] + (uint32_t)b[i]))
BINARY_PLAIN(sub_i32, int32_t, (int32_t)((uint32_t)a[i] - (uint32_t)b[i]))
BINARY_PLAIN(mul_i32, int32_t, (int32_t)((uint32_t)a[i] * (uint32_t)b[i]))
BINARY_PLAIN(div_i32, int32_t, divide_i32(a[i], b[i]))
BINARY_PLAIN(max_i32, int32_t, a[i] > b[i] ? a[i] : b[i])
BINARY_PLAIN(min_i32, int32_t, a[i] < b[i] ? a[i] : b[i])

static const cpu_map_kernel binary_f32[] = {
    [FORGE_BINARY_ADD] = add_f32, [FORGE_BINARY_SUB] = sub_f32, [FORGE_BINARY_MUL] = mul_f32,
    [FORGE_BINARY_DIV] = div_f32, [FORGE_BINARY_MAX] = max_f32, [FORGE_BINARY_MIN] = min_f32,
};
static const cpu_map_kernel binary_i32[] = {
    [FORGE_BINARY_ADD] = add_i32, [FORGE_BINARY_SUB] = sub_i32, [FORGE_BINARY_MUL] = mul_i32,
    [FORGE_BINARY_DIV] = div_i32, [FORGE_BINARY_MAX] = max_i32, [FORGE_BINARY_MIN] = min_i32,
};

static uint8_t supports_binary(const forge_tensor *const *in, uint32_t n_in,
                               const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  if (kind_of(attr) < FORGE_BINARY_ADD || kind_of(attr) > FORGE_BINARY_MIN)
    return FORGE_REASON_ATTRIBUTES;
  const uint8_t dtype = out[0]->dtype;
  if (dtype != FORGE_I32 && !cpu_is_float(out[0])) return FORGE_REASON_DTYPE;
  const bool same = cpu_all_are(in, n_in, dtype) && cpu_all_are(out, n_out, dtype);
  return same ? FORGE_REASON_NONE : FORGE_REASON_DTYPE;
}

static forge_status run_binary(const cpu_call *c) {
  const cpu_map_kernel *kernel = c->out[0].t.dtype == FORGE_I32 ? binary_i32 : binary_f32;
  return cpu_map(c, 2, kernel[kind_of(c->attr)], NULL);
}

/* ---- AXPBY ---- */

typedef struct axpby {
  float alpha, beta;
} axpby;

static void axpby_f32(const void *ctx, const float *const *in, float *const *out, int64_t n) {
  const axpby *k = ctx;
  const lanes alpha = lanes_set1(k->alpha), beta = lanes_set1(k->beta);
  for (int64_t i = 0; i < n; i += LANES) {
    const lanes b = lanes_mul(beta, cpu_take(in[1] + i, n - i));
    cpu_put(out[0] + i, lanes_fma(alpha, cpu_take(in[0] + i, n - i), b), n - i);
  }
}

static uint8_t supports_float(const forge_tensor *const *in, uint32_t n_in,
                              const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  (void)attr;
  for (uint32_t i = 0; i < n_in; i++) {
    if (!cpu_is_float(in[i])) return FORGE_REASON_DTYPE;
  }
  for (uint32_t i = 0; i < n_out; i++) {
    if (!cpu_is_float(out[i])) return FORGE_REASON_DTYPE;
  }
  return FORGE_REASON_NONE;
}

static forge_status run_axpby(const cpu_call *c) {
  const forge_attr_axpby *attr = c->attr;
  const axpby k = {cpu_number_f32(c, &attr->alpha), cpu_number_f32(c, &attr->beta)};
  return cpu_map(c, 2, axpby_f32, &k);
}

/* ---- SWIGLU: y = g s u with s = sigmoid(g); dg = dy u s (1 + g (1 - s)), du = dy g s ---- */

static void swiglu_f32(const void *ctx, const float *const *in, float *const *out, int64_t n) {
  (void)ctx;
  for (int64_t i = 0; i < n; i += LANES) {
    const lanes g = cpu_take(in[0] + i, n - i), u = cpu_take(in[1] + i, n - i);
    cpu_put(out[0] + i, lanes_mul(lanes_mul(g, lanes_sigmoid(g)), u), n - i);
  }
}

static void swiglu_bwd_f32(const void *ctx, const float *const *in, float *const *out, int64_t n) {
  (void)ctx;
  const lanes one = lanes_set1(1.0f);
  for (int64_t i = 0; i < n; i += LANES) {
    const lanes g = cpu_take(in[0] + i, n - i), u = cpu_take(in[1] + i, n - i);
    const lanes dy = cpu_take(in[2] + i, n - i), s = lanes_sigmoid(g);
    const lanes slope = lanes_mul(s, lanes_fma(g, lanes_sub(one, s), one));
    cpu_put(out[0] + i, lanes_mul(lanes_mul(dy, u), slope), n - i);
    cpu_put(out[1] + i, lanes_mul(dy, lanes_mul(g, s)), n - i);
  }
}

static forge_status run_swiglu(const cpu_call *c) { return cpu_map(c, 2, swiglu_f32, NULL); }
static forge_status run_swiglu_bwd(const cpu_call *c) {
  return cpu_map(c, 3, swiglu_bwd_f32, NULL);
}

/* ---- MASK ---- */

typedef union word { /* of an F32 or I32 tensor */
  float f;
  int32_t i;
} word;

typedef struct mask {
  const cpu_call *call;
  word fill;
  int64_t rows_each; /* rows of x that share one entry of input 1 */
  bool causal;
} mask;

static word fill_word(double fill, uint8_t dtype) {
  if (dtype != FORGE_I32) return (word){.f = (float)fill};
  const double bounded = fill < -2147483648.0 ? -2147483648.0 : fill;
  return (word){.i = bounded >= 2147483647.0 ? INT32_MAX
                     : bounded == bounded    ? (int32_t)bounded
                                             : 0};
}

static void mask_words(const void *ctx, const float *const *in, float *const *out, int64_t n) {
  const float fill = ((const word *)ctx)->f;
  const int32_t *keep = (const int32_t *)(const void *)in[1];
  for (int64_t i = 0; i < n; i++) out[0][i] = keep[i] ? in[0][i] : fill;
}

static int32_t i32_at(const cpu_view *v, int64_t flat) {
  const int64_t columns = cpu_columns(&v->t);
  const cpu_span s = cpu_span_row(v, flat / columns);
  int32_t value;
  memcpy(&value, s.data + flat % columns * s.stride * 4, 4);
  return value;
}

/* The first column of row |row| that is filled. */
static int64_t kept_columns(const mask *m, int64_t row) {
  const cpu_view *limit = cpu_in(m->call, 1);
  const int64_t value = limit->data ? i32_at(limit, row / m->rows_each) : 0;
  const int64_t end = m->causal ? value + row % m->rows_each + 1 : value;
  return cpu_max(0, cpu_min(end, cpu_columns(&m->call->in[0].t)));
}

static void mask_rows(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  (void)thread;
  const mask *m = ctx;
  const int64_t columns = cpu_columns(&m->call->in[0].t);
  float buffer[2][SPAN_MAX];
  for (int64_t row = begin; row < end; row++) {
    const cpu_span x = cpu_span_row(&m->call->in[0], row), y = cpu_span_row(&m->call->out[0], row);
    const int64_t kept = kept_columns(m, row);
    for (int64_t at = 0; at < columns; at += SPAN_MAX) {
      const int64_t n = cpu_min(SPAN_MAX, columns - at);
      const int64_t copied = cpu_max(0, cpu_min(n, kept - at));
      const float *from = cpu_span_read(&x, at, n, buffer[0]);
      float *to = cpu_span_place(&y, at, buffer[1]);
      memmove(to, from, (size_t)copied * sizeof *to);
      for (int64_t i = copied; i < n; i++) to[i] = m->fill.f;
      cpu_span_done(&y, at, n, to);
    }
  }
}

static uint8_t supports_mask(const forge_tensor *const *in, uint32_t n_in,
                             const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  (void)n_out;
  const forge_tensor *limit = cpu_at(in, n_in, 1);
  const uint32_t kind = ((const forge_attr_mask *)attr)->kind;
  if (kind < FORGE_MASK_TENSOR || kind > FORGE_MASK_LENGTH) return FORGE_REASON_ATTRIBUTES;
  if (in[0]->dtype != out[0]->dtype || (limit && limit->dtype != FORGE_I32))
    return FORGE_REASON_DTYPE;
  if (in[0]->dtype != FORGE_F32 && in[0]->dtype != FORGE_I32) return FORGE_REASON_DTYPE;
  if (kind != FORGE_MASK_CAUSAL && !limit) return FORGE_REASON_SHAPE;
  return in[0]->rank < (kind == FORGE_MASK_CAUSAL ? 2 : 0) ? FORGE_REASON_SHAPE : FORGE_REASON_NONE;
}

static forge_status run_mask(const cpu_call *c) {
  const forge_attr_mask *attr = c->attr;
  const forge_tensor *x = &c->in[0].t;
  mask m = {.call = c, .fill = fill_word(attr->fill, x->dtype), .rows_each = 1};
  if (cpu_elements(x) == 0) return FORGE_OK;
  if (attr->kind == FORGE_MASK_TENSOR) return cpu_map(c, 2, mask_words, &m.fill);
  m.causal = attr->kind == FORGE_MASK_CAUSAL;
  if (m.causal) m.rows_each = x->dim[x->rank - 2];
  cpu_parallel(c->threads, cpu_rows(x), cpu_grain(cpu_columns(x)), mask_rows, &m);
  return FORGE_OK;
}

const cpu_op cpu_ops_pointwise[] = {
    {.op = FORGE_OP_BINARY, .supports = supports_binary, .run = run_binary},
    {.op = FORGE_OP_UNARY, .supports = cpu_supports_unary, .run = cpu_run_unary},
    {.op = FORGE_OP_UNARY_BWD, .supports = cpu_supports_unary, .run = cpu_run_unary_bwd},
    {.op = FORGE_OP_AXPBY, .supports = supports_float, .run = run_axpby},
    {.op = FORGE_OP_MASK, .supports = supports_mask, .run = run_mask},
    {.op = FORGE_OP_SWIGLU, .supports = cpu_supports_f32, .run = run_swiglu},
    {.op = FORGE_OP_SWIGLU_BWD, .supports = cpu_supports_f32, .run = run_swiglu_bwd},
    {.op = 0},
};
