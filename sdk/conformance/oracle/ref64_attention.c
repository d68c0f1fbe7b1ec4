/* ref64_attention.c -- ROPE, ATTENTION and its gradient, a whole row of probabilities at a time. */
#include <math.h>
#include <stdlib.h>

#include "ref64.h"

static void rope(const ref_call *c) {
  const forge_attr_rope *a = c->attr;
  const ref *x = c->in[0], *positions = c->in[1], *factors = c->n_in > 2 ? c->in[2] : NULL;
  const int64_t d = ref_columns(x), heads = x->dim[x->rank - 2], n = a->n_rot / 2;
  const double sign = a->flags & FORGE_ROPE_INVERSE ? -1.0 : 1.0;
  const bool near = a->flags & FORGE_ROPE_INTERLEAVED;
  for (int64_t row = 0; row < ref_rows(x); row++) {
    const double *from = x->v + row * d;
    double *to = c->out[0]->v + row * d;
    const double p = positions->v[row / heads % ref_count(positions)];
    for (int64_t i = 0; i < d; i++) to[i] = from[i];
    for (int64_t i = 0; i < n; i++) {
      const double divisor =
          pow(a->base, 2.0 * (double)i / a->n_rot) * (factors ? factors->v[i] : 1);
      const double angle = sign * p * a->scale / divisor;
      const int64_t one = near ? 2 * i : i, other = near ? 2 * i + 1 : i + n;
      to[one] = from[one] * cos(angle) - from[other] * sin(angle);
      to[other] = from[other] * cos(angle) + from[one] * sin(angle);
    }
  }
}

/* The geometry of a call, and one query of it. */
typedef struct query {
  const ref_call *c;
  const forge_attr_attention *a;
  const ref *q, *k, *v, *starts, *table;
  int64_t heads, key_heads, d, b, t, h;
} query;

static query first_query(const ref_call *c) {
  const ref *q = c->in[0];
  const bool forward = c->op == FORGE_OP_ATTENTION;
  return (query){.c = c,
                 .a = c->attr,
                 .q = q,
                 .k = c->in[1],
                 .v = c->in[2],
                 .starts = forward ? c->in[3] : NULL,
                 .table = forward ? c->in[4] : NULL,
                 .heads = q->dim[2],
                 .key_heads = c->in[1]->dim[2],
                 .d = q->dim[3]};
}

static int64_t query_at(const query *s) {
  return ((s->b * s->q->dim[1] + s->t) * s->heads + s->h) * s->d;
}

/* Row of key |j|, or -1 where there is none any more. */
static int64_t key_at(const query *s, int64_t j) {
  const int64_t *dim = s->k->dim, head = s->h / (s->heads / s->key_heads);
  int64_t row = s->b * dim[1] + j;
  if (s->table) {
    const int64_t page = j / dim[1], most = s->table->dim[1];
    const double id = page < most ? s->table->v[s->b * most + page] : -1.0;
    if (id < 0.0 || id >= (double)dim[0]) return -1;
    row = (int64_t)id * dim[1] + j % dim[1];
  } else if (j >= dim[1]) {
    return -1;
  }
  return (row * s->key_heads + head) * s->d;
}

static int64_t most_keys(const query *s) {
  return s->table ? s->table->dim[1] * s->k->dim[1] : s->k->dim[1];
}

static bool sees(const query *s, int64_t j) {
  const int64_t start = s->starts ? (int64_t)s->starts->v[s->b] : 0;
  if (s->table && j >= start + s->q->dim[1]) return false;
  if ((s->a->flags & FORGE_ATTENTION_CAUSAL) && j > start + s->t) return false;
  return !s->a->window || j > start + s->t - (int64_t)s->a->window;
}

static double dot(const double *a, const double *b, int64_t n) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

/* p[j] of every key, 0 where unseen; returns log sum exp. */
static double probabilities(const query *s, double *p) {
  const int64_t n = most_keys(s);
  double m = -(double)INFINITY, sum = 0.0;
  int64_t end = 0;
  while (end < n && key_at(s, end) >= 0) end++;
  for (int64_t j = 0; j < n; j++) {
    p[j] = -(double)INFINITY;
    if (j < end && sees(s, j))
      p[j] = s->a->scale * dot(s->q->v + query_at(s), s->k->v + key_at(s, j), s->d);
    m = fmax(m, p[j]);
  }
  for (int64_t j = 0; j < n; j++) sum += p[j] = m == -(double)INFINITY ? 0.0 : exp(p[j] - m);
  for (int64_t j = 0; j < n && sum > 0.0; j++) p[j] /= sum;
  return m + log(sum);
}

static void attend(const query *s, double *p) {
  const double lse = probabilities(s, p);
  double *y = s->c->out[0]->v + query_at(s);
  for (int64_t j = 0; j < most_keys(s); j++)
    for (int64_t i = 0; p[j] != 0.0 && i < s->d; i++) y[i] += p[j] * s->v->v[key_at(s, j) + i];
  if (s->c->n_out > 1 && s->c->out[1])
    s->c->out[1]->v[(s->b * s->heads + s->h) * s->q->dim[1] + s->t] = lse;
}

/* The softmax's own row is worked out again: what y and lse say is not needed. */
static void attend_bwd(const query *s, double *p) {
  const int64_t at = query_at(s);
  const double *dy = s->c->in[5]->v + at, *q = s->q->v + at;
  double mean = 0.0;
  probabilities(s, p);
  for (int64_t j = 0; j < most_keys(s); j++) mean += p[j] * dot(dy, s->v->v + key_at(s, j), s->d);
  for (int64_t j = 0; j < most_keys(s); j++) {
    const int64_t key = key_at(s, j);
    const double ds = p[j] * (dot(dy, s->v->v + key, s->d) - mean) * s->a->scale;
    for (int64_t i = 0; i < s->d; i++) {
      s->c->out[0]->v[at + i] += ds * s->k->v[key + i];
      s->c->out[1]->v[key + i] += ds * q[i];
      s->c->out[2]->v[key + i] += p[j] * dy[i];
    }
  }
}

static void each_query(const ref_call *c, void (*f)(const query *, double *)) {
  query s = first_query(c);
  double *p = rig_zalloc(((size_t)most_keys(&s) + 1) * sizeof *p);
  for (s.b = 0; s.b < s.q->dim[0]; s.b++)
    for (s.t = 0; s.t < s.q->dim[1]; s.t++)
      for (s.h = 0; s.h < s.heads; s.h++) f(&s, p);
  free(p);
}

bool ref64_attention(const ref_call *c) {
  switch (c->op) {
  case FORGE_OP_ROPE: rope(c); return true;
  case FORGE_OP_ATTENTION: each_query(c, attend); return true;
  case FORGE_OP_ATTENTION_BWD: each_query(c, attend_bwd); return true;
  default: return false;
  }
}
