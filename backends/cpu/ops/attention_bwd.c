/* attention_bwd.c -- gradient of dense ATTENTION, from the log-sum-exp of the forward pass:
 *   p_ij = e^(scale q_i.k_j - lse_i)      c_i = dy_i . y_i
 *   dv_j = sum_i p_ij dy_i                ds_ij = p_ij (dy_i . v_j - c_i)
 *   dq_i = scale sum_j ds_ij k_j          dk_j = scale sum_i ds_ij q_i
 * One thread has a whole (sequence, key head). Blocks of keys in rising order; for each, the heads
 * of the group, then blocks of queries in rising order. dk and dv stay in the block's memory, dq is
 * added to where it belongs. */
#include "attention.h"

#define QUERIES 16

typedef struct backward {
  const cpu_call *call;
  const cpu_view *q, *k, *v, *y, *lse, *dy, *dq, *dk, *dv;
  int64_t queries, keys, key_heads, group, d, width;
  bool causal;
  float scale;
  uint8_t *scratch;
  uint64_t scratch_each;
} backward;

typedef struct block {
  int64_t b, key_head, head, key, n_keys, query, n_queries;
  const float *k[KEYS], *v[KEYS], *q[QUERIES], *dy[QUERIES];
  float *dk, *dv, *dq; /* rows of |width| */
  float *k_copy, *v_copy, *q_copy, *dy_copy, *y_copy;
  float p[QUERIES * KEYS], ds[QUERIES * KEYS];
} block;

static int64_t offset_in(const cpu_view *v, int64_t b, int64_t row, int64_t head) {
  const int64_t *stride = v->t.stride;
  return b * stride[0] + row * stride[1] + head * stride[2];
}

static void take_memory(const backward *a, uint32_t thread, block *w) {
  float *p = (float *)(a->scratch + thread * a->scratch_each);
  float **const rows[] = {&w->dk,     &w->dv,      &w->k_copy, &w->v_copy,
                          &w->q_copy, &w->dy_copy, &w->dq,     &w->y_copy};
  for (int i = 0; i < 8; i++) {
    *rows[i] = p;
    p += (i < 4 ? KEYS : i < 7 ? QUERIES : 1) * a->width;
  }
}

static uint64_t thread_bytes(int64_t width) {
  const int64_t floats = (4 * KEYS + 3 * QUERIES + 1) * width;
  return ((uint64_t)floats * sizeof(float) + 63) / 64 * 64;
}

static void fetch_keys(const backward *a, block *w) {
  for (int64_t j = 0; j < w->n_keys; j++) {
    const int64_t key = w->key + j, at = j * a->width;
    w->k[j] = attention_row(a->k, offset_in(a->k, w->b, key, w->key_head), a->d, w->k_copy + at);
    w->v[j] = attention_row(a->v, offset_in(a->v, w->b, key, w->key_head), a->d, w->v_copy + at);
  }
  memset(w->dk, 0, (size_t)(w->n_keys * a->width) * sizeof(float));
  memset(w->dv, 0, (size_t)(w->n_keys * a->width) * sizeof(float));
}

/* Queries, what flows into them, and their dq so far. */
static void fetch_queries(const backward *a, block *w) {
  for (int64_t i = 0; i < w->n_queries; i++) {
    const int64_t t = w->query + i, at = i * a->width;
    w->q[i] = attention_row(a->q, offset_in(a->q, w->b, t, w->head), a->d, w->q_copy + at);
    w->dy[i] = attention_row(a->dy, offset_in(a->dy, w->b, t, w->head), a->d, w->dy_copy + at);
    float *dq = w->dq + at;
    const float *so_far = dq;
    if (w->key == 0)
      memset(dq, 0, (size_t)a->width * sizeof *dq);
    else
      so_far = attention_row(a->dq, offset_in(a->dq, w->b, t, w->head), a->d, dq);
    if (so_far != dq) memcpy(dq, so_far, (size_t)a->width * sizeof *dq);
  }
}

static float lse_at(const backward *a, const block *w, int64_t i) {
  const int64_t *stride = a->lse->t.stride;
  const int64_t at = w->b * stride[0] + w->head * stride[1] + (w->query + i) * stride[2];
  float lse;
  memcpy(&lse, a->lse->data + at * 4, sizeof lse);
  return lse;
}

/* p and scale*ds of query |i| against the block's keys; zeros where it does not see them. */
static void fill_row(const backward *a, block *w, int64_t i) {
  const int64_t t = w->query + i;
  const float lse = lse_at(a, w, i);
  int64_t seen = a->causal ? cpu_max(0, cpu_min(w->n_keys, t + 1 - w->key)) : w->n_keys;
  float *p = w->p + i * KEYS, *ds = w->ds + i * KEYS;
  if (lse == -INFINITY) seen = 0;
  attention_scores(w->q[i], w->k, 0, seen, a->width, a->scale, p);
  attention_scores(w->dy[i], w->v, 0, seen, a->width, 1.0f, ds);
  const float *y = attention_row(a->y, offset_in(a->y, w->b, t, w->head), a->d, w->y_copy);
  const lanes c = lanes_set1(cpu_dot(w->dy[i], y, a->width)), scale = lanes_set1(a->scale);
  for (int64_t j = seen; j < KEYS; j++) p[j] = ds[j] = 0.0f;
  for (int64_t j = 0; j < seen; j += LANES) {
    const lanes e = lanes_exp(lanes_sub(lanes_load(p + j), lanes_set1(lse)));
    lanes_store(p + j, e);
    lanes_store(ds + j, lanes_mul(scale, lanes_mul(e, lanes_sub(lanes_load(ds + j), c))));
  }
  for (int64_t j = seen; j < KEYS; j++) p[j] = ds[j] = 0.0f;
}

static void run_block(const backward *a, block *w) {
  fetch_queries(a, w);
  for (int64_t i = 0; i < w->n_queries; i++) {
    fill_row(a, w, i);
    attention_add(w->ds + i * KEYS, 1, w->k, 0, w->n_keys, a->width, w->dq + i * a->width);
    const int64_t to = offset_in(a->dq, w->b, w->query + i, w->head);
    attention_put(a->dq, to, a->d, w->dq + i * a->width);
  }
  for (int64_t j = 0; j < w->n_keys; j++) {
    attention_add(w->p + j, KEYS, w->dy, 0, w->n_queries, a->width, w->dv + j * a->width);
    attention_add(w->ds + j, KEYS, w->q, 0, w->n_queries, a->width, w->dk + j * a->width);
  }
}

static void run_keys(const backward *a, block *w) {
  const int64_t first = a->causal && w->key > 0 ? w->key / QUERIES * QUERIES : 0;
  fetch_keys(a, w);
  for (int64_t h = 0; h < a->group; h++) {
    w->head = w->key_head * a->group + h;
    for (w->query = first; w->query < a->queries; w->query += QUERIES) {
      w->n_queries = cpu_min(QUERIES, a->queries - w->query);
      run_block(a, w);
    }
  }
  for (int64_t j = 0; j < w->n_keys; j++) {
    const int64_t at = j * a->width;
    attention_put(a->dk, offset_in(a->dk, w->b, w->key + j, w->key_head), a->d, w->dk + at);
    attention_put(a->dv, offset_in(a->dv, w->b, w->key + j, w->key_head), a->d, w->dv + at);
  }
}

static void run_heads(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  const backward *a = ctx;
  block w;
  take_memory(a, thread, &w);
  for (int64_t i = begin; i < end; i++) {
    w.b = i / a->key_heads;
    w.key_head = i % a->key_heads;
    for (w.key = 0; w.key < cpu_max(1, a->keys); w.key += KEYS) {
      w.n_keys = cpu_min(KEYS, a->keys - w.key); /* without keys: dq is still zeroed */
      run_keys(a, &w);
    }
  }
}

uint8_t cpu_supports_attention_bwd(const forge_tensor *const *in, uint32_t n_in,
                                   const forge_tensor *const *out, uint32_t n_out,
                                   const void *attr) {
  const forge_attr_attention *a = attr;
  if (a->flags > FORGE_ATTENTION_CAUSAL || a->window) return FORGE_REASON_ATTRIBUTES;
  if (in[0]->rank != 4 || in[1]->rank != 4) return FORGE_REASON_SHAPE;
  const bool fine = cpu_all_are(in, n_in, FORGE_F32) && cpu_all_are(out, n_out, FORGE_F32);
  return fine ? FORGE_REASON_NONE : FORGE_REASON_DTYPE;
}

uint64_t cpu_scratch_attention_bwd(const forge_tensor *const *in, uint32_t n_in,
                                   const forge_tensor *const *out, uint32_t n_out, const void *attr,
                                   uint32_t n_threads) {
  (void)n_in, (void)out, (void)n_out, (void)attr;
  return n_threads * thread_bytes(attention_width(in[0]->dim[3]));
}

forge_status cpu_run_attention_bwd(const cpu_call *c) {
  const forge_attr_attention *attr = c->attr;
  const forge_tensor *q = &c->in[0].t, *k = &c->in[1].t;
  backward a = {.call = c,
                .q = &c->in[0],
                .k = &c->in[1],
                .v = &c->in[2],
                .y = &c->in[3],
                .lse = &c->in[4],
                .dy = &c->in[5],
                .dq = &c->out[0],
                .dk = &c->out[1],
                .dv = &c->out[2],
                .queries = q->dim[1],
                .keys = k->dim[1],
                .key_heads = k->dim[2],
                .d = q->dim[3],
                .width = attention_width(q->dim[3]),
                .causal = attr->flags & FORGE_ATTENTION_CAUSAL,
                .scale = (float)attr->scale,
                .scratch = c->scratch,
                .scratch_each = thread_bytes(attention_width(q->dim[3]))};
  if (a.d == 0 || q->dim[0] == 0 || q->dim[2] == 0) return FORGE_OK;
  if (a.key_heads == 0 || q->dim[2] % a.key_heads)
    return cpu_fail(FORGE_E_INVALID, "attention gradient: %lld heads cannot share %lld key heads",
                    (long long)q->dim[2], (long long)a.key_heads);
  a.group = q->dim[2] / a.key_heads;
  cpu_parallel(c->threads, q->dim[0] * a.key_heads, 1, run_heads, &a);
  return FORGE_OK;
}
