/* rope.c -- ROPE. The angle of (position, pair) is worked out once, reduced to one turn in double,
 * and its cosine and sine kept in the scratch memory; then every head of every token is turned. */
#include "span.h"

#define TURN 6.283185307179586476925286766559

typedef struct rope {
  const cpu_call *call;
  int64_t tokens, length, heads, columns, pairs; /* tokens = leading dims times length */
  bool per_token;                                /* positions [.., T]; else [T] */
  bool interleaved;
  double scale;      /* negative to turn back */
  double *frequency; /* [pairs] */
  float *turn;       /* [positions][2][pairs]: cosines then sines */
} rope;

static uint32_t pairs_of(const void *attr) { return ((const forge_attr_rope *)attr)->n_rot / 2; }

static void fill_frequencies(rope *r) {
  const forge_attr_rope *a = r->call->attr;
  const cpu_view *factors = cpu_in(r->call, 2);
  for (int64_t i = 0; i < r->pairs; i++) {
    float factor = 1.0f;
    if (factors->data) memcpy(&factor, factors->data + i * factors->t.stride[0] * 4, 4);
    r->frequency[i] = r->scale / (pow(a->base, 2.0 * (double)i / a->n_rot) * (double)factor);
  }
}

static void fill_turns(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  (void)thread;
  const rope *r = ctx;
  const cpu_view *positions = &r->call->in[1];
  for (int64_t t = begin; t < end; t++) {
    float word;
    int32_t position;
    memcpy(&position, cpu_flat_read(positions, t, 1, &word), 4);
    float *cosine = r->turn + t * 2 * r->pairs, *sine = cosine + r->pairs;
    for (int64_t i = 0; i < r->pairs; i++) {
      const double angle = position * r->frequency[i];
      const float rest = (float)(angle - TURN * nearbyint(angle / TURN));
      cosine[i] = cosf(rest);
      sine[i] = sinf(rest);
    }
  }
}

static void turn_halves(const float *x, const float *c, const float *s, int64_t n, float *y) {
  for (int64_t i = 0; i < n; i += LANES) {
    const lanes a = cpu_take(x + i, n - i), b = cpu_take(x + n + i, n - i);
    const lanes ci = cpu_take(c + i, n - i), si = cpu_take(s + i, n - i);
    cpu_put(y + i, lanes_sub(lanes_mul(a, ci), lanes_mul(b, si)), n - i);
    cpu_put(y + n + i, lanes_add(lanes_mul(b, ci), lanes_mul(a, si)), n - i);
  }
}

static void turn_neighbours(const float *x, const float *c, const float *s, int64_t n, float *y) {
  for (int64_t i = 0; i < n; i++) {
    const float a = x[2 * i], b = x[2 * i + 1];
    y[2 * i] = a * c[i] - b * s[i];
    y[2 * i + 1] = b * c[i] + a * s[i];
  }
}

/* Any strides: element by element. */
static void turn_strided(const rope *r, const cpu_span *x, const cpu_span *y, const float *c,
                         const float *s) {
  const int64_t second = r->interleaved ? 1 : r->pairs, step = r->interleaved ? 2 : 1;
  for (int64_t i = 0; i < r->pairs; i++) {
    float a, b;
    cpu_span_gather(x, i * step, 1, &a);
    cpu_span_gather(x, i * step + second, 1, &b);
    const float first = a * c[i] - b * s[i], other = b * c[i] + a * s[i];
    cpu_span_scatter(y, i * step, 1, &first);
    cpu_span_scatter(y, i * step + second, 1, &other);
  }
  for (int64_t i = 2 * r->pairs; i < r->columns; i++) {
    float a;
    cpu_span_gather(x, i, 1, &a);
    cpu_span_scatter(y, i, 1, &a);
  }
}

static void turn_head(const rope *r, int64_t row, const float *c, const float *s) {
  const cpu_span x = cpu_span_row(&r->call->in[0], row), y = cpu_span_row(&r->call->out[0], row);
  if (!x.direct || !y.direct) {
    turn_strided(r, &x, &y, c, s);
    return;
  }
  const float *from = (const float *)x.data;
  float *to = (float *)y.data;
  const int64_t turned = 2 * r->pairs;
  if (r->interleaved)
    turn_neighbours(from, c, s, r->pairs, to);
  else
    turn_halves(from, c, s, r->pairs, to);
  memmove(to + turned, from + turned, (size_t)(r->columns - turned) * sizeof *to);
}

static void turn_tokens(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  (void)thread;
  const rope *r = ctx;
  for (int64_t token = begin; token < end; token++) {
    const float *c = r->turn + (r->per_token ? token : token % r->length) * 2 * r->pairs;
    for (int64_t h = 0; h < r->heads; h++) turn_head(r, token * r->heads + h, c, c + r->pairs);
  }
}

static uint8_t supports_rope(const forge_tensor *const *in, uint32_t n_in,
                             const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  (void)n_out;
  const forge_attr_rope *a = attr;
  if (in[0]->rank < 3) return FORGE_REASON_SHAPE;
  const int64_t columns = in[0]->dim[in[0]->rank - 1];
  if (a->n_rot % 2 || a->n_rot > columns || a->flags > 3) return FORGE_REASON_ATTRIBUTES;
  if (in[0]->dtype != FORGE_F32 || out[0]->dtype != FORGE_F32 || in[1]->dtype != FORGE_I32)
    return FORGE_REASON_DTYPE;
  const forge_tensor *factors = cpu_at(in, n_in, 2);
  return factors && factors->dtype != FORGE_F32 ? FORGE_REASON_DTYPE : FORGE_REASON_NONE;
}

static uint64_t frequency_bytes(uint32_t pairs) { return ((uint64_t)pairs * 8 + 63) / 64 * 64; }

static uint64_t scratch_rope(const forge_tensor *const *in, uint32_t n_in,
                             const forge_tensor *const *out, uint32_t n_out, const void *attr,
                             uint32_t n_threads) {
  (void)n_in, (void)out, (void)n_out, (void)n_threads;
  const uint32_t pairs = pairs_of(attr);
  return frequency_bytes(pairs) + (uint64_t)cpu_elements(in[1]) * pairs * 2 * sizeof(float);
}

static forge_status run_rope(const cpu_call *c) {
  const forge_attr_rope *a = c->attr;
  const forge_tensor *x = &c->in[0].t;
  const int64_t elements = cpu_elements(x), positions = cpu_elements(&c->in[1].t);
  if (elements == 0) return FORGE_OK;
  rope r = {.call = c,
            .length = x->dim[x->rank - 3],
            .heads = x->dim[x->rank - 2],
            .columns = x->dim[x->rank - 1],
            .pairs = pairs_of(a),
            .per_token = c->in[1].t.rank > 1,
            .interleaved = a->flags & FORGE_ROPE_INTERLEAVED,
            .scale = a->flags & FORGE_ROPE_INVERSE ? -a->scale : a->scale,
            .frequency = c->scratch};
  r.turn = (float *)((uint8_t *)c->scratch + frequency_bytes(pairs_of(a)));
  r.tokens = elements / r.columns / r.heads;
  fill_frequencies(&r);
  cpu_parallel(c->threads, positions, cpu_grain(32 * r.pairs), fill_turns, &r);
  cpu_parallel(c->threads, r.tokens, cpu_grain(r.heads * r.columns), turn_tokens, &r);
  return FORGE_OK;
}

const cpu_op cpu_ops_rope[] = {
    {.op = FORGE_OP_ROPE, .supports = supports_rope, .scratch = scratch_rope, .run = run_rope},
    {.op = 0},
};
