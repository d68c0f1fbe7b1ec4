/* attention.c -- ATTENTION with an online softmax (Milakov and Gimelshein 2018; Dao et al. 2022).
 *
 * A query keeps the largest score so far m, the sum l of e^(s-m) and the sum of e^(s-m) v. Its keys
 * come in blocks [0,64), [64,128), .. of its sequence; of a block it uses the keys it sees, which
 * are one range. Nothing else enters its arithmetic, so its result is the same in prefill and
 * decode, dense and paged, and for any split of the work.
 *
 * One piece of work is some queries times some heads of one key head ("pairs"): they share the
 * fetching, and where need be the conversion, of each block of keys and values. */
#include "attention.h"

#define PAIRS 32 /* at most, per piece of work */

typedef struct attention {
  const cpu_call *call;
  const cpu_view *q, *k, *v, *starts, *table, *y, *lse;
  int64_t batch, queries, heads, d, width, key_heads, group;
  int64_t heads_each, queries_each; /* per piece */
  int64_t head_pieces, query_pieces;
  int64_t window; /* 0: all */
  bool causal;
  float scale;
  uint8_t *scratch;
  uint64_t scratch_each;
} attention;

/* What a thread holds for its piece. */
typedef struct piece {
  int64_t b, key_head, n_pairs;
  int64_t query[PAIRS], head[PAIRS], lo[PAIRS], hi[PAIRS]; /* [lo, hi): the keys seen */
  float m[PAIRS], l[PAIRS];
  float *q_copy, *sum, *k_copy, *v_copy; /* rows of |width| */
  const float *q[PAIRS], *k[KEYS], *v[KEYS];
} piece;

static int32_t i32_at(const cpu_view *v, int64_t offset) {
  int32_t value;
  memcpy(&value, v->data + offset * 4, 4);
  return value;
}

static bool paged(const attention *a) { return a->table->data != NULL; }

static int64_t page_of(const attention *a, int64_t b, int64_t i) {
  return i32_at(a->table, b * a->table->t.stride[0] + i * a->table->t.stride[1]);
}

/* Keys of sequence |b| that exist: [0, count). */
static int64_t key_count(const attention *a, int64_t b, int64_t start) {
  if (!paged(a)) return a->k->t.dim[1];
  const int64_t page = a->k->t.dim[1], pages = a->table->t.dim[1];
  const int64_t end = cpu_min(start + a->queries, pages * page);
  for (int64_t i = 0; i * page < end; i++) {
    const int64_t id = page_of(a, b, i);
    if (id < 0 || id >= a->k->t.dim[0]) return i * page;
  }
  return cpu_max(0, end);
}

static int64_t row_offset(const attention *a, const cpu_view *v, const piece *w, int64_t key) {
  const int64_t *stride = v->t.stride;
  if (!paged(a)) return w->b * stride[0] + key * stride[1] + w->key_head * stride[2];
  const int64_t page = v->t.dim[1];
  return page_of(a, w->b, key / page) * stride[0] + key % page * stride[1] +
         w->key_head * stride[2];
}

static int64_t pair_offset(const cpu_view *v, const piece *w, int64_t i) {
  const int64_t *stride = v->t.stride;
  return w->b * stride[0] + w->query[i] * stride[1] + w->head[i] * stride[2];
}

static void take_memory(const attention *a, uint32_t thread, piece *w) {
  float *p = (float *)(a->scratch + thread * a->scratch_each);
  w->q_copy = p;
  w->sum = w->q_copy + PAIRS * a->width;
  w->k_copy = w->sum + PAIRS * a->width;
  w->v_copy = w->k_copy + KEYS * a->width;
}

/* Fills |w| with the pairs of piece number |i|. */
static void begin_piece(const attention *a, int64_t i, piece *w) {
  const int64_t at = i % a->query_pieces * a->queries_each;
  i /= a->query_pieces;
  const int64_t first_head = i % a->head_pieces * a->heads_each;
  i /= a->head_pieces;
  w->key_head = i % a->key_heads;
  w->b = i / a->key_heads;
  const int64_t start = a->starts->data ? i32_at(a->starts, w->b * a->starts->t.stride[0]) : 0;
  const int64_t count = key_count(a, w->b, start);
  w->n_pairs = 0;
  for (int64_t t = at; t < cpu_min(a->queries, at + a->queries_each); t++) {
    const int64_t seen = a->causal ? cpu_min(count, start + t + 1) : count;
    const int64_t lo = a->window > 0 ? cpu_max(0, start + t - a->window + 1) : 0;
    for (int64_t h = first_head; h < cpu_min(a->group, first_head + a->heads_each); h++) {
      const int64_t n = w->n_pairs++;
      w->query[n] = t;
      w->head[n] = w->key_head * a->group + h;
      w->lo[n] = lo;
      w->hi[n] = cpu_max(lo, seen);
      w->m[n] = -INFINITY;
      w->l[n] = 0.0f;
      w->q[n] = attention_row(a->q, pair_offset(a->q, w, n), a->d, w->q_copy + n * a->width);
    }
  }
  memset(w->sum, 0, (size_t)(w->n_pairs * a->width) * sizeof *w->sum);
}

/* The largest score, or +inf where one is a NaN or +inf: either makes the result a NaN. */
static float largest_of(const float *s) {
  const lanes top = lanes_set1(INFINITY);
  lanes max = lanes_set1(-INFINITY);
  for (int64_t j = 0; j < KEYS; j += LANES) {
    const lanes x = lanes_load(s + j);
    max = lanes_max(max, lanes_gt_select(top, x, x, top));
  }
  return lanes_hmax(max);
}

/* s = e^(s-m); returns the sum. */
static float exponentials(float *s, float m) {
  lanes sum = lanes_zero();
  for (int64_t j = 0; j < KEYS; j += LANES) {
    const lanes e = lanes_exp(lanes_sub(lanes_load(s + j), lanes_set1(m)));
    lanes_store(s + j, e);
    sum = lanes_add(sum, e);
  }
  return lanes_sum(sum);
}

static void shrink(float *sum, int64_t width, float factor) {
  const lanes f = lanes_set1(factor);
  for (int64_t i = 0; i < width; i += LANES)
    lanes_store(sum + i, lanes_mul(f, lanes_load(sum + i)));
}

/* Pair |i| takes in keys [lo, hi) of the block. */
static void take_block(const attention *a, piece *w, int64_t i, int64_t lo, int64_t hi) {
  _Alignas(64) float s[KEYS];
  float *sum = w->sum + i * a->width;
  for (int64_t j = 0; j < lo; j++) s[j] = -INFINITY;
  for (int64_t j = hi; j < KEYS; j++) s[j] = -INFINITY;
  attention_scores(w->q[i], w->k, lo, hi, a->width, a->scale, s);
  const float m = fmaxf(w->m[i], largest_of(s));
  if (m == -INFINITY) return;
  if (m != w->m[i]) {
    const float factor = lanes_hmax(lanes_exp(lanes_set1(w->m[i] - m)));
    shrink(sum, a->width, factor);
    w->l[i] *= factor;
    w->m[i] = m;
  }
  w->l[i] += exponentials(s, m);
  attention_add(s, 1, w->v, lo, hi, a->width, sum);
}

static void take_keys(const attention *a, piece *w) {
  int64_t first = INT64_MAX, last = 0;
  for (int64_t i = 0; i < w->n_pairs; i++) {
    if (w->hi[i] == w->lo[i]) continue;
    first = cpu_min(first, w->lo[i]);
    last = cpu_max(last, w->hi[i]);
  }
  for (int64_t block = first / KEYS * KEYS; block < last; block += KEYS) {
    const int64_t begin = cpu_max(0, first - block), end = cpu_min(KEYS, last - block);
    for (int64_t j = begin; j < end; j++) {
      const int64_t at = j * a->width, key = block + j;
      w->k[j] = attention_row(a->k, row_offset(a, a->k, w, key), a->d, w->k_copy + at);
      w->v[j] = attention_row(a->v, row_offset(a, a->v, w, key), a->d, w->v_copy + at);
    }
    for (int64_t i = 0; i < w->n_pairs; i++) {
      const int64_t lo = cpu_max(0, w->lo[i] - block), hi = cpu_min(KEYS, w->hi[i] - block);
      if (lo < hi) take_block(a, w, i, lo, hi);
    }
  }
}

static void end_piece(const attention *a, const piece *w) {
  for (int64_t i = 0; i < w->n_pairs; i++) {
    float *sum = w->sum + i * a->width;
    const bool none = w->m[i] == -INFINITY;
    if (!none) shrink(sum, a->width, 1.0f / w->l[i]);
    attention_put(a->y, pair_offset(a->y, w, i), a->d, sum);
    if (!a->lse->data) continue;
    const float lse = none ? -INFINITY : w->m[i] + logf(w->l[i]);
    const int64_t *stride = a->lse->t.stride;
    const int64_t at = w->b * stride[0] + w->head[i] * stride[1] + w->query[i] * stride[2];
    memcpy(a->lse->data + at * 4, &lse, sizeof lse);
  }
}

static void run_pieces(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  const attention *a = ctx;
  piece w;
  take_memory(a, thread, &w);
  for (int64_t i = begin; i < end; i++) {
    begin_piece(a, i, &w);
    take_keys(a, &w);
    end_piece(a, &w);
  }
}

/* Heads of a group stay together unless that leaves threads without work. */
static void plan(attention *a) {
  const int64_t threads = cpu_threads_count(a->call->threads);
  a->heads_each = cpu_min(a->group, PAIRS);
  for (;;) {
    a->queries_each = cpu_max(1, PAIRS / a->heads_each);
    a->head_pieces = cpu_ceil_div(a->group, a->heads_each);
    a->query_pieces = cpu_ceil_div(a->queries, a->queries_each);
    const int64_t pieces = a->batch * a->key_heads * a->head_pieces * a->query_pieces;
    if (threads == 1 || pieces >= threads || a->heads_each == 1) return;
    a->heads_each = cpu_ceil_div(a->heads_each, 2);
  }
}

static uint64_t thread_bytes(int64_t width) {
  return (uint64_t)(2 * (PAIRS + KEYS) * width) * sizeof(float);
}

static uint64_t scratch_attention(const forge_tensor *const *in, uint32_t n_in,
                                  const forge_tensor *const *out, uint32_t n_out, const void *attr,
                                  uint32_t n_threads) {
  (void)n_in, (void)out, (void)n_out, (void)attr;
  return n_threads * thread_bytes(attention_width(in[0]->dim[3]));
}

static uint8_t supports_attention(const forge_tensor *const *in, uint32_t n_in,
                                  const forge_tensor *const *out, uint32_t n_out,
                                  const void *attr) {
  const forge_tensor *starts = cpu_at(in, n_in, 3), *table = cpu_at(in, n_in, 4);
  if (((const forge_attr_attention *)attr)->flags > FORGE_ATTENTION_CAUSAL)
    return FORGE_REASON_ATTRIBUTES;
  if (in[0]->rank != 4 || in[1]->rank != 4 || in[2]->rank != 4) return FORGE_REASON_SHAPE;
  if (in[0]->dtype != FORGE_F32 || !cpu_is_float(in[1]) || !cpu_is_float(in[2]))
    return FORGE_REASON_DTYPE;
  if ((starts && starts->dtype != FORGE_I32) || (table && table->dtype != FORGE_I32))
    return FORGE_REASON_DTYPE;
  return cpu_all_are(out, n_out, FORGE_F32) ? FORGE_REASON_NONE : FORGE_REASON_DTYPE;
}

static forge_status run_attention(const cpu_call *c) {
  const forge_attr_attention *attr = c->attr;
  const forge_tensor *q = &c->in[0].t;
  if (cpu_elements(q) == 0) return FORGE_OK;
  attention a = {.call = c,
                 .q = &c->in[0],
                 .k = &c->in[1],
                 .v = &c->in[2],
                 .starts = cpu_in(c, 3),
                 .table = cpu_in(c, 4),
                 .y = &c->out[0],
                 .lse = cpu_out(c, 1),
                 .batch = q->dim[0],
                 .queries = q->dim[1],
                 .heads = q->dim[2],
                 .d = q->dim[3],
                 .width = attention_width(q->dim[3]),
                 .key_heads = c->in[1].t.dim[2],
                 .window = attr->window,
                 .causal = attr->flags & FORGE_ATTENTION_CAUSAL,
                 .scale = (float)attr->scale,
                 .scratch = c->scratch,
                 .scratch_each = thread_bytes(attention_width(q->dim[3]))};
  if (a.key_heads == 0 || a.heads % a.key_heads)
    return cpu_fail(FORGE_E_INVALID, "attention: %lld heads cannot share %lld key heads",
                    (long long)a.heads, (long long)a.key_heads);
  a.group = a.heads / a.key_heads;
  plan(&a);
  const int64_t pieces = a.batch * a.key_heads * a.head_pieces * a.query_pieces;
  cpu_parallel(c->threads, pieces, 1, run_pieces, &a);
  return FORGE_OK;
}

const cpu_op cpu_ops_attention[] = {
    {.op = FORGE_OP_ATTENTION,
     .supports = supports_attention,
     .scratch = scratch_attention,
     .run = run_attention},
    {.op = FORGE_OP_ATTENTION_BWD,
     .supports = cpu_supports_attention_bwd,
     .scratch = cpu_scratch_attention_bwd,
     .run = cpu_run_attention_bwd},
    {.op = 0},
};
