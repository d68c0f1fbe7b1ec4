/* norm.c -- RMSNORM: y = x r w, r = 1/sqrt(mean(x^2) + eps). LAYERNORM: y = (x - m) r w + b,
 * r = 1/sqrt(mean((x - m)^2) + eps).
 *
 * Gradients, with h = x r (or (x - m) r) and g = dy w:
 *   dx = r (g - h mean(g h))   and, for LAYERNORM, r (g - mean(g) - h mean(g h))
 *   dw = sum over rows of dy h,  db = sum over rows of dy
 * Sums along a row run in 16 lanes, sums over rows in order of the row. */
#include "rows.h"

typedef struct norm {
  const cpu_call *call;
  int64_t rows, columns, column_chunk;
  float eps;
  bool centred;  /* LAYERNORM */
  float *moment; /* gradients: mean and r of each row */
} norm;

static norm norm_of(const cpu_call *c, bool centred) {
  const forge_tensor *x = &c->in[0].t;
  return (norm){.call = c,
                .rows = cpu_elements(x) ? cpu_rows(x) : 0,
                .columns = cpu_columns(x),
                .eps = (float)((const forge_attr_norm *)c->attr)->eps,
                .centred = centred,
                .moment = c->scratch};
}

static cpu_span vector_of(const cpu_view *v) { return cpu_span_row(v, 0); }

/* ---- the moments of a row ---- */

static float sum_of(const cpu_span *x, int64_t n) {
  _Alignas(64) float buffer[SPAN_MAX];
  lanes sum = lanes_zero();
  for (int64_t at = 0; at < n; at += SPAN_MAX) {
    const int64_t take = cpu_min(SPAN_MAX, n - at);
    const float *p = cpu_span_read(x, at, take, buffer);
    for (int64_t i = 0; i < take; i += LANES) sum = lanes_add(sum, cpu_take(p + i, take - i));
  }
  return lanes_sum(sum);
}

static float squares_around(const cpu_span *x, int64_t n, float mean) {
  _Alignas(64) float buffer[SPAN_MAX];
  lanes sum = lanes_zero();
  const lanes m = lanes_set1(mean);
  for (int64_t at = 0; at < n; at += SPAN_MAX) {
    const int64_t take = cpu_min(SPAN_MAX, n - at);
    const float *p = cpu_span_read(x, at, take, buffer);
    int64_t i = 0;
    for (; i + LANES <= take; i += LANES) {
      const lanes d = lanes_sub(lanes_load(p + i), m);
      sum = lanes_fma(d, d, sum);
    }
    if (i == take) continue;
    float rest[LANES] = {0}; /* what lies behind the end counts as the mean */
    for (int64_t j = 0; i + j < take; j++) rest[j] = p[i + j] - mean;
    sum = lanes_fma(lanes_load(rest), lanes_load(rest), sum);
  }
  return lanes_sum(sum);
}

static void moments_of(const norm *k, const cpu_span *x, float *mean, float *r) {
  const float n = (float)k->columns;
  *mean = k->centred ? sum_of(x, k->columns) / n : 0.0f;
  *r = 1.0f / sqrtf(squares_around(x, k->columns, *mean) / n + k->eps);
}

/* ---- forward ---- */

static void apply_row(const norm *k, const cpu_span *x, const cpu_span *y, float mean, float r) {
  _Alignas(64) float buffer[4][SPAN_MAX];
  const cpu_span w = vector_of(&k->call->in[1]);
  const bool has_bias = k->centred && cpu_in(k->call, 2)->data;
  const cpu_span b = has_bias ? vector_of(&k->call->in[2]) : w;
  const lanes m = lanes_set1(mean), factor = lanes_set1(r);
  for (int64_t at = 0; at < k->columns; at += SPAN_MAX) {
    const int64_t n = cpu_min(SPAN_MAX, k->columns - at);
    const float *px = cpu_span_read(x, at, n, buffer[0]);
    const float *pw = cpu_span_read(&w, at, n, buffer[1]);
    const float *pb = has_bias ? cpu_span_read(&b, at, n, buffer[2]) : NULL;
    float *to = cpu_span_place(y, at, buffer[3]);
    for (int64_t i = 0; i < n; i += LANES) {
      const lanes h = lanes_mul(lanes_sub(cpu_take(px + i, n - i), m), factor);
      const lanes wi = cpu_take(pw + i, n - i);
      const lanes v = pb ? lanes_fma(h, wi, cpu_take(pb + i, n - i)) : lanes_mul(h, wi);
      cpu_put(to + i, v, n - i);
    }
    cpu_span_done(y, at, n, to);
  }
}

static void forward_rows(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  (void)thread;
  const norm *k = ctx;
  for (int64_t row = begin; row < end; row++) {
    const cpu_span x = cpu_span_row(&k->call->in[0], row), y = cpu_span_row(&k->call->out[0], row);
    float mean, r;
    moments_of(k, &x, &mean, &r);
    apply_row(k, &x, &y, mean, r);
  }
}

static forge_status run_forward(const cpu_call *c, bool centred) {
  norm k = norm_of(c, centred);
  if (k.rows) cpu_parallel(c->threads, k.rows, cpu_grain(2 * k.columns), forward_rows, &k);
  return FORGE_OK;
}

static forge_status run_rmsnorm(const cpu_call *c) { return run_forward(c, false); }
static forge_status run_layernorm(const cpu_call *c) { return run_forward(c, true); }

/* ---- dx, and the moments that dw needs ---- */

typedef struct row_sums {
  lanes g, gh;
} row_sums;

/* One chunk of a row at a time: sums of g and g h. */
static void add_slopes(const float *x, const float *w, const float *dy, int64_t n, float mean,
                       float r, row_sums *s) {
  const lanes m = lanes_set1(mean), factor = lanes_set1(r);
  for (int64_t i = 0; i < n; i += LANES) {
    const lanes g = lanes_mul(cpu_take(dy + i, n - i), cpu_take(w + i, n - i));
    const lanes h = lanes_mul(lanes_sub(cpu_take(x + i, n - i), m), factor);
    s->g = lanes_add(s->g, g);
    s->gh = lanes_fma(g, h, s->gh);
  }
}

static void put_slopes(const float *x, const float *w, const float *dy, int64_t n,
                       const float *moment, float mean_g, float mean_gh, float *dx) {
  const lanes m = lanes_set1(moment[0]), factor = lanes_set1(moment[1]);
  for (int64_t i = 0; i < n; i += LANES) {
    const lanes g = lanes_mul(cpu_take(dy + i, n - i), cpu_take(w + i, n - i));
    const lanes h = lanes_mul(lanes_sub(cpu_take(x + i, n - i), m), factor);
    const lanes d = lanes_fma(lanes_set1(-mean_gh), h, lanes_sub(g, lanes_set1(mean_g)));
    cpu_put(dx + i, lanes_mul(factor, d), n - i);
  }
}

static void backward_row(const norm *k, int64_t row, const float *moment) {
  _Alignas(64) float buffer[4][SPAN_MAX];
  const cpu_call *c = k->call;
  const cpu_span x = cpu_span_row(&c->in[0], row), w = vector_of(&c->in[1]);
  const cpu_span dy = cpu_span_row(&c->in[2], row), dx = cpu_span_row(&c->out[0], row);
  row_sums s = {lanes_zero(), lanes_zero()};
  for (int64_t at = 0; at < k->columns; at += SPAN_MAX) {
    const int64_t n = cpu_min(SPAN_MAX, k->columns - at);
    add_slopes(cpu_span_read(&x, at, n, buffer[0]), cpu_span_read(&w, at, n, buffer[1]),
               cpu_span_read(&dy, at, n, buffer[2]), n, moment[0], moment[1], &s);
  }
  const float mean_g = k->centred ? lanes_sum(s.g) / (float)k->columns : 0.0f;
  const float mean_gh = lanes_sum(s.gh) / (float)k->columns;
  for (int64_t at = 0; at < k->columns; at += SPAN_MAX) {
    const int64_t n = cpu_min(SPAN_MAX, k->columns - at);
    float *to = cpu_span_place(&dx, at, buffer[3]);
    put_slopes(cpu_span_read(&x, at, n, buffer[0]), cpu_span_read(&w, at, n, buffer[1]),
               cpu_span_read(&dy, at, n, buffer[2]), n, moment, mean_g, mean_gh, to);
    cpu_span_done(&dx, at, n, to);
  }
}

static void backward_rows(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  (void)thread;
  const norm *k = ctx;
  for (int64_t row = begin; row < end; row++) {
    const cpu_span x = cpu_span_row(&k->call->in[0], row);
    float *moment = k->moment + 2 * row;
    moments_of(k, &x, &moment[0], &moment[1]);
    if (cpu_out(k->call, 0)->data) backward_row(k, row, moment);
  }
}

/* ---- dw and db ---- */

static void add_weight_slopes(const float *x, const float *dy, int64_t n, const float *moment,
                              float *dw, float *db) {
  const lanes m = lanes_set1(moment[0]), factor = lanes_set1(moment[1]);
  for (int64_t i = 0; i < n; i += LANES) {
    const lanes h = lanes_mul(lanes_sub(cpu_take(x + i, n - i), m), factor);
    const lanes d = cpu_take(dy + i, n - i);
    cpu_put(dw + i, lanes_fma(d, h, cpu_take(dw + i, n - i)), n - i);
    cpu_put(db + i, lanes_add(d, cpu_take(db + i, n - i)), n - i);
  }
}

static void store_vector(const cpu_view *v, int64_t at, int64_t n, const float *from) {
  if (!v->data) return;
  const cpu_span s = vector_of(v);
  cpu_span_scatter(&s, at, n, from);
}

static void weight_columns(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  (void)thread;
  const norm *k = ctx;
  const cpu_call *c = k->call;
  _Alignas(64) float dw[SPAN_MAX], db[SPAN_MAX], buffer[2][SPAN_MAX];
  for (int64_t chunk = begin; chunk < end; chunk++) {
    const int64_t at = chunk * k->column_chunk, n = cpu_min(k->column_chunk, k->columns - at);
    memset(dw, 0, sizeof dw);
    memset(db, 0, sizeof db);
    for (int64_t row = 0; row < k->rows; row++) {
      const cpu_span x = cpu_span_row(&c->in[0], row), dy = cpu_span_row(&c->in[2], row);
      add_weight_slopes(cpu_span_read(&x, at, n, buffer[0]), cpu_span_read(&dy, at, n, buffer[1]),
                        n, k->moment + 2 * row, dw, db);
    }
    store_vector(cpu_out(c, 1), at, n, dw);
    if (k->centred) store_vector(cpu_out(c, 2), at, n, db);
  }
}

static forge_status run_backward(const cpu_call *c, bool centred) {
  norm k = norm_of(c, centred);
  if (k.rows) cpu_parallel(c->threads, k.rows, cpu_grain(4 * k.columns), backward_rows, &k);
  k.column_chunk = cpu_column_chunk(c, k.columns);
  const int64_t chunks = cpu_ceil_div(k.columns, k.column_chunk);
  cpu_parallel(c->threads, chunks, cpu_grain(k.rows * k.column_chunk), weight_columns, &k);
  return FORGE_OK;
}

static forge_status run_rmsnorm_bwd(const cpu_call *c) { return run_backward(c, false); }
static forge_status run_layernorm_bwd(const cpu_call *c) { return run_backward(c, true); }

static uint64_t scratch_backward(const forge_tensor *const *in, uint32_t n_in,
                                 const forge_tensor *const *out, uint32_t n_out, const void *attr,
                                 uint32_t n_threads) {
  (void)n_in, (void)out, (void)n_out, (void)attr, (void)n_threads;
  return cpu_elements(in[0]) ? (uint64_t)cpu_rows(in[0]) * 2 * sizeof(float) : 0;
}

const cpu_op cpu_ops_norm[] = {
    {.op = FORGE_OP_RMSNORM, .supports = cpu_supports_f32, .run = run_rmsnorm},
    {.op = FORGE_OP_RMSNORM_BWD,
     .supports = cpu_supports_f32,
     .scratch = scratch_backward,
     .run = run_rmsnorm_bwd},
    {.op = FORGE_OP_LAYERNORM, .supports = cpu_supports_f32, .run = run_layernorm},
    {.op = FORGE_OP_LAYERNORM_BWD,
     .supports = cpu_supports_f32,
     .scratch = scratch_backward,
     .run = run_layernorm_bwd},
    {.op = 0},
};
