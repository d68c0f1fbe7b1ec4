/* sample.c -- SAMPLE. Candidates are needed in order of falling probability, but only as far as the
 * last cut and the draw reach. So those whose weight (probability over that of the likeliest) is at
 * least 2^-8 go into a heap and are taken off it one by one; only if they do not suffice does it
 * start again from 2^-16, then from all. What is taken off, and every sum, is the same either way.
 * Sums are in double. A NaN has probability 0. */
#include "random.h"
#include "rows.h"

typedef struct draw {
  cpu_span logits;
  int64_t n;           /* of logits */
  float *weight;       /* [n] e^((x - max)/temperature) */
  uint64_t *key;       /* [n] heap in front, what was taken off behind */
  int64_t heap, total; /* keys in the heap, and in all */
  double top_p, min_p;
  int64_t top_k; /* 0: all */
} draw;

typedef struct cut {
  int64_t count; /* candidates that are left */
  double mass;   /* their weights' sum */
} cut;

static float weight_of(const draw *d, uint64_t key) { return d->weight[cpu_rank_column(key)]; }

/* The next likeliest: the heap's top goes behind it. */
static uint64_t take_next(draw *d) {
  const uint64_t key = d->key[0];
  d->heap--;
  d->key[0] = d->key[d->heap];
  d->key[d->heap] = key;
  cpu_sink_largest(d->key, d->heap, 0);
  return key;
}

static void fill_heap(draw *d, float floor) {
  d->total = 0;
  for (int64_t i = 0; i < d->n; i++) {
    if (d->weight[i] < floor || d->weight[i] == 0.0f) continue;
    float x;
    cpu_span_gather(&d->logits, i, 1, &x);
    d->key[d->total++] = cpu_rank_key(x, (uint32_t)i);
  }
  d->heap = d->total;
  for (int64_t i = d->heap / 2; i-- > 0;) cpu_sink_largest(d->key, d->heap, i);
}

static void fill_weights(draw *d, float max, float temperature) {
  const lanes top = lanes_set1(max), heat = lanes_set1(temperature), none = lanes_zero();
  const lanes bottom = lanes_set1(-INFINITY);
  _Alignas(64) float buffer[SPAN_MAX];
  for (int64_t at = 0; at < d->n; at += SPAN_MAX) {
    const int64_t n = cpu_min(SPAN_MAX, d->n - at);
    const float *p = cpu_span_read(&d->logits, at, n, buffer);
    for (int64_t i = 0; i < n; i += LANES) {
      const lanes x = cpu_take(p + i, n - i);
      const lanes e = lanes_exp(lanes_div(lanes_sub(x, top), heat));
      const lanes w = lanes_gt_select(top, x, e, lanes_set1(1.0f)); /* inf beside inf: 1 */
      cpu_put(d->weight + at + i, lanes_gt_select(x, bottom, w, none), n - i); /* a NaN: 0 */
    }
  }
}

/* What top_k and min_p leave. */
static cut first_cuts(draw *d) {
  cut c = {0, 0.0};
  if (d->top_k == 0 && !(d->min_p > 0.0)) {
    for (int64_t i = 0; i < d->n; i++) {
      c.count += d->weight[i] > 0.0f;
      c.mass += (double)d->weight[i];
    }
    return c;
  }
  if (d->top_k == 0) {
    for (int64_t i = 0; i < d->n; i++) {
      if (!((double)d->weight[i] >= d->min_p) || d->weight[i] == 0.0f) continue;
      c.count++;
      c.mass += (double)d->weight[i];
    }
    return c;
  }
  cpu_row_best(&d->logits, d->n, d->top_k, d->key);
  for (int64_t i = 0; i < d->top_k; i++) {
    const float w = weight_of(d, d->key[i]);
    if (w == 0.0f || !((double)w >= d->min_p)) continue;
    c.count++;
    c.mass += (double)w;
  }
  return c;
}

/* How many of the likeliest |c.count| it takes until their sum reaches |goal| (exceeds it where
 * |beyond|). False: the heap ended before. |*sum| is what they add up to, |*last| the last one. */
static bool reach(draw *d, cut c, double goal, bool beyond, int64_t *count, double *sum,
                  uint64_t *last) {
  *sum = 0.0;
  for (*count = 0; *count < c.count;) {
    if (*count == d->total) return false;
    const bool taken = *count < d->total - d->heap;
    *last = taken ? d->key[d->total - 1 - *count] : take_next(d);
    *sum += (double)weight_of(d, *last);
    ++*count;
    if (beyond ? *sum > goal : *sum >= goal) return true;
  }
  return true;
}

static int64_t draw_one(draw *d, double u) {
  static const float floors[] = {0x1p-8f, 0x1p-16f, 0.0f};
  const cut first = first_cuts(d);
  for (int i = 0; i < 3; i++) {
    cut c = first;
    uint64_t last = cpu_rank_key(0.0f, 0);
    int64_t taken;
    double sum;
    fill_heap(d, floors[i]);
    if (d->top_p < 1.0) {
      if (!reach(d, first, d->top_p * first.mass, false, &c.count, &c.mass, &last)) continue;
    }
    if (reach(d, c, u * c.mass, true, &taken, &sum, &last)) return cpu_rank_column(last);
  }
  return cpu_rank_column(d->key[0]);
}

static double uniform_of(const int32_t *iparam) {
  const uint32_t key[2] = {(uint32_t)iparam[1], (uint32_t)iparam[2]};
  const uint32_t counter[4] = {0, 0, 0, (uint32_t)iparam[3]};
  uint32_t word[4];
  cpu_philox(counter, key, word);
  return (double)(word[0] >> 8) * 0x1p-24;
}

static uint64_t thread_bytes(int64_t columns) {
  const uint64_t n = (uint64_t)(columns + LANES - 1) / LANES * LANES;
  return n * (sizeof(uint64_t) + sizeof(float));
}

static int32_t sample_row(const cpu_call *c, int64_t row, uint64_t *keys) {
  const cpu_span x = cpu_span_row(&c->in[0], row);
  const cpu_span params = cpu_span_row(&c->in[1], row), iparams = cpu_span_row(&c->in[2], row);
  const int64_t n = cpu_columns(&c->in[0].t);
  float param[4], words[4];
  int32_t iparam[4];
  cpu_span_gather(&params, 0, 4, param);
  cpu_span_gather(&iparams, 0, 4, words);
  memcpy(iparam, words, sizeof iparam);
  const float max = cpu_row_max(&x, n, 1.0f);
  if (!(param[0] > 0.0f) || max == -INFINITY) return (int32_t)cpu_row_argmax(&x, n);
  draw d = {.logits = x,
            .n = n,
            .key = keys,
            .top_p = (double)param[1],
            .min_p = param[2] > 0.0f ? fmin(1.0, (double)param[2]) : 0.0,
            .top_k = iparam[0] > 0 && iparam[0] < n ? iparam[0] : 0};
  d.weight = (float *)(void *)(d.key + n);
  fill_weights(&d, max, param[0]);
  return (int32_t)draw_one(&d, uniform_of(iparam));
}

static void sample_rows(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  const cpu_call *c = ctx;
  uint8_t *mine = (uint8_t *)c->scratch + thread * thread_bytes(cpu_columns(&c->in[0].t));
  for (int64_t row = begin; row < end; row++) {
    const int32_t id = sample_row(c, row, (uint64_t *)(void *)mine);
    memcpy(c->out[0].data + row * c->out[0].t.stride[0] * 4, &id, sizeof id);
  }
}

uint8_t cpu_supports_sample(const forge_tensor *const *in, uint32_t n_in,
                            const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  (void)n_in, (void)n_out, (void)attr;
  if (in[0]->rank != 2 || out[0]->rank != 1) return FORGE_REASON_SHAPE;
  const bool fine = in[0]->dtype == FORGE_F32 && in[1]->dtype == FORGE_F32 &&
                    in[2]->dtype == FORGE_I32 && out[0]->dtype == FORGE_I32;
  return fine ? FORGE_REASON_NONE : FORGE_REASON_DTYPE;
}

uint64_t cpu_scratch_sample(const forge_tensor *const *in, uint32_t n_in,
                            const forge_tensor *const *out, uint32_t n_out, const void *attr,
                            uint32_t n_threads) {
  (void)n_in, (void)out, (void)n_out, (void)attr;
  return n_threads * thread_bytes(cpu_columns(in[0]));
}

forge_status cpu_run_sample(const cpu_call *c) {
  const forge_tensor *x = &c->in[0].t;
  cpu_parallel(c->threads, x->dim[0], cpu_grain(8 * x->dim[1]), sample_rows, (void *)c);
  return FORGE_OK;
}
