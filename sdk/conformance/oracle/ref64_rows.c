/* ref64_rows.c -- ops along rows: reductions, norms, losses, choosing and drawing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref64.h"

/* a before b: a NaN first, then the larger. */
static bool before(double a, double b) { return isnan(a) ? !isnan(b) : a > b; }

/* Element number of y that element |i| of x is reduced to. */
static int64_t reduced(const ref *x, const ref *y, int64_t i) {
  int64_t at = 0, step = 1;
  for (int k = x->rank - 1; k >= 0; k--) {
    at += (y->dim[k] == 1 ? 0 : i % x->dim[k]) * step;
    i /= x->dim[k];
    step *= y->dim[k];
  }
  return at;
}

static void reduce(const ref_call *c) {
  const uint32_t kind = ((const forge_attr_reduce *)c->attr)->kind;
  const ref *x = c->in[0];
  ref *y = c->out[0];
  const int64_t n = ref_count(x), m = ref_count(y);
  double *best = rig_zalloc(((size_t)m + 1) * sizeof *best);
  for (int64_t i = 0; i < m; i++) {
    best[i] = -(double)INFINITY;
    y->v[i] = kind == FORGE_REDUCE_MAX ? best[i] : kind == FORGE_REDUCE_ARGMAX && n == 0 ? -1.0 : 0;
  }
  for (int64_t i = 0; i < n; i++) {
    const int64_t at = reduced(x, y, i);
    if (kind == FORGE_REDUCE_SUM) y->v[at] += x->v[i];
    if (kind == FORGE_REDUCE_MEAN) y->v[at] += x->v[i] * (double)m / (double)n;
    if (!before(x->v[i], best[at])) continue;
    best[at] = x->v[i];
    if (kind == FORGE_REDUCE_MAX) y->v[at] = x->v[i];
    if (kind == FORGE_REDUCE_ARGMAX) y->v[at] = (double)(i % ref_columns(x));
  }
  free(best);
}

static double largest(const double *x, int64_t n) {
  double m = -(double)INFINITY;
  for (int64_t i = 0; i < n; i++) m = fmax(m, x[i]);
  return m;
}

static void softmax(const double *x, int64_t n, double scale, double *y) {
  double sum = 0.0, m = -(double)INFINITY;
  for (int64_t i = 0; i < n; i++) m = fmax(m, scale * x[i]);
  for (int64_t i = 0; i < n; i++)
    sum += y[i] = m == -(double)INFINITY ? 0.0 : exp(scale * x[i] - m);
  for (int64_t i = 0; i < n && sum != 0.0; i++) y[i] /= sum;
}

/* Columns of the k first: by looking for each among those not taken, or, where k is most of the
 * row, out of all of them in order. */
static int by_rank(const void *a, const void *b, void *row) {
  const double *x = row;
  const int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
  return before(x[i], x[j]) ? -1 : before(x[j], x[i]) ? 1 : i < j ? -1 : i > j;
}

static void sorted_columns(const double *x, int64_t n, int64_t k, int64_t *column) {
  int64_t *all = rig_zalloc((uint64_t)n * sizeof *all);
  for (int64_t i = 0; i < n; i++) all[i] = i;
  qsort_r(all, (size_t)n, sizeof *all, by_rank, (void *)(uintptr_t)x);
  memcpy(column, all, (size_t)k * sizeof *all);
  free(all);
}

static void first_columns(const double *x, int64_t n, int64_t k, int64_t *column) {
  if (k > 16) {
    sorted_columns(x, n, k, column);
    return;
  }
  bool *taken = rig_zalloc(((size_t)n + 1) * sizeof *taken);
  for (int64_t j = 0; j < k; j++) {
    int64_t best = -1;
    for (int64_t i = 0; i < n; i++)
      if (!taken[i] && (best < 0 || before(x[i], x[best]))) best = i;
    taken[best] = true;
    column[j] = best;
  }
  free(taken);
}

static void topk(const ref_call *c, int64_t row) {
  const int64_t n = ref_columns(c->in[0]), k = ref_columns(c->out[0]);
  const double *x = c->in[0]->v + row * n;
  int64_t *column = rig_zalloc(((size_t)k + 1) * sizeof *column);
  first_columns(x, n, k, column);
  for (int64_t j = 0; j < k; j++) {
    c->out[0]->v[row * k + j] = x[column[j]];
    c->out[1]->v[row * k + j] = (double)column[j];
  }
  free(column);
}

static void global_norm(const ref_call *c) {
  const double limit = ((const forge_attr_global_norm *)c->attr)->max_norm;
  double sum = 0.0;
  for (uint32_t k = 0; k < c->n_in; k++)
    for (int64_t i = 0; i < ref_count(c->in[k]); i++) sum += c->in[k]->v[i] * c->in[k]->v[i];
  const double norm = sqrt(sum), factor = limit > 0.0 && norm > limit ? limit / norm : 1.0;
  c->out[0]->v[0] = norm;
  c->out[1]->v[0] = isfinite(norm) ? factor : 0.0;
}

/* ---- norms ---- */

static void moments(const ref_call *c, const double *x, int64_t n, double *mean, double *r) {
  const bool centred = c->op == FORGE_OP_LAYERNORM || c->op == FORGE_OP_LAYERNORM_BWD;
  double sum = 0.0, squares = 0.0;
  for (int64_t i = 0; i < n; i++) sum += x[i];
  *mean = centred ? sum / (double)n : 0.0;
  for (int64_t i = 0; i < n; i++) squares += (x[i] - *mean) * (x[i] - *mean);
  *r = 1.0 / sqrt(squares / (double)n + ((const forge_attr_norm *)c->attr)->eps);
}

static void norm(const ref_call *c, int64_t row) {
  const int64_t n = ref_columns(c->in[0]);
  const double *x = c->in[0]->v + row * n;
  double mean, r;
  moments(c, x, n, &mean, &r);
  for (int64_t i = 0; i < n; i++) {
    const double bias = c->n_in > 2 && c->in[2] ? c->in[2]->v[i] : 0.0;
    c->out[0]->v[row * n + i] = (x[i] - mean) * r * c->in[1]->v[i] + bias;
  }
}

static void norm_bwd(const ref_call *c, int64_t row) {
  const int64_t n = ref_columns(c->in[0]);
  const double *x = c->in[0]->v + row * n, *w = c->in[1]->v, *dy = c->in[2]->v + row * n;
  double mean, r, g_mean = 0.0, gh_mean = 0.0;
  moments(c, x, n, &mean, &r);
  for (int64_t i = 0; i < n; i++) {
    g_mean += dy[i] * w[i] / (double)n;
    gh_mean += dy[i] * w[i] * (x[i] - mean) * r / (double)n;
  }
  if (c->op == FORGE_OP_RMSNORM_BWD) g_mean = 0.0;
  for (int64_t i = 0; i < n; i++) {
    const double h = (x[i] - mean) * r;
    c->out[0]->v[row * n + i] = r * (dy[i] * w[i] - g_mean - h * gh_mean);
    c->out[1]->v[i] += dy[i] * h;
    if (c->n_out > 2 && c->out[2]) c->out[2]->v[i] += dy[i];
  }
}

/* ---- losses ---- */

static bool counts(const ref_call *c, int64_t row) {
  const double target = c->in[1]->v[row];
  return target >= 0.0 && target < (double)ref_columns(c->in[0]);
}

static void cross_entropy(const ref_call *c, bool gradient) {
  const int64_t n = ref_columns(c->in[0]), rows = ref_rows(c->in[0]);
  double total = 0.0, counted = 0.0;
  for (int64_t row = 0; row < rows; row++) counted += counts(c, row);
  for (int64_t row = 0; row < rows; row++) {
    if (!counts(c, row)) continue;
    const double *x = c->in[0]->v + row * n;
    const int64_t target = (int64_t)c->in[1]->v[row];
    double sum = 0.0;
    const double m = largest(x, n);
    for (int64_t i = 0; i < n; i++) sum += exp(x[i] - m);
    total += log(sum) + m - x[target];
    for (int64_t i = 0; gradient && i < n; i++)
      c->out[0]->v[row * n + i] =
          (exp(x[i] - m) / sum - (i == target ? 1.0 : 0.0)) * c->in[2]->v[0] / counted;
  }
  if (!gradient) c->out[0]->v[0] = counted > 0.0 ? total / counted : 0.0;
}

/* ---- experts ---- */

static void route(const ref_call *c, int64_t row) {
  const forge_attr_moe *a = c->attr;
  const int64_t n = ref_columns(c->in[0]), k = ref_columns(c->out[0]);
  double *p = rig_zalloc(((size_t)n + 1) * sizeof *p), sum = 0.0;
  int64_t *column = rig_zalloc(((size_t)k + 1) * sizeof *column);
  softmax(c->in[0]->v + row * n, n, 1.0, p);
  first_columns(c->in[0]->v + row * n, n, k, column);
  for (int64_t j = 0; j < k; j++) sum += p[column[j]];
  for (int64_t j = 0; j < k; j++) {
    c->out[0]->v[row * k + j] = (double)column[j];
    c->out[1]->v[row * k + j] = p[column[j]] / (a->flags & FORGE_MOE_NORMALISE ? sum : 1.0);
  }
  free(p);
  free(column);
}

static void route_bwd(const ref_call *c, int64_t row) {
  const bool normalise = ((const forge_attr_moe *)c->attr)->flags & FORGE_MOE_NORMALISE;
  const int64_t n = ref_columns(c->in[0]), k = ref_columns(c->in[1]);
  const double *id = c->in[1]->v + row * k, *dw = c->in[2]->v + row * k;
  double *p = rig_zalloc((2 * (size_t)n + 1) * sizeof *p), *dp = p + n, sum = 0.0, mixed = 0.0,
         mean = 0.0;
  softmax(c->in[0]->v + row * n, n, 1.0, p);
  for (int64_t j = 0; j < k; j++) {
    if (id[j] < 0 || id[j] >= (double)n) continue;
    sum += p[(int64_t)id[j]];
    mixed += p[(int64_t)id[j]] * dw[j];
  }
  for (int64_t j = 0; j < k; j++) {
    if (id[j] < 0 || id[j] >= (double)n) continue;
    dp[(int64_t)id[j]] += normalise ? (dw[j] - mixed / sum) / sum : dw[j];
  }
  for (int64_t e = 0; e < n; e++) mean += p[e] * dp[e];
  for (int64_t e = 0; e < n; e++) c->out[0]->v[row * n + e] = p[e] * (dp[e] - mean);
  free(p);
}

/* ---- random numbers ---- */

void ref64_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t k[2] = {key[0], key[1]};
  memcpy(out, counter, 4 * sizeof *out);
  for (int round = 0; round < 10; round++) {
    const uint64_t a = UINT64_C(0xD2511F53) * out[0], b = UINT64_C(0xCD9E8D57) * out[2];
    const uint32_t next[4] = {(uint32_t)(b >> 32) ^ out[1] ^ k[0], (uint32_t)b,
                              (uint32_t)(a >> 32) ^ out[3] ^ k[1], (uint32_t)a};
    memcpy(out, next, sizeof next);
    k[0] += 0x9E3779B9u;
    k[1] += 0xBB67AE85u;
  }
}

/* Element |e| of the sequence that key, stream and offset name. */
static double drawn(const forge_attr_rng *a, const uint32_t key[2], uint32_t offset, int64_t e) {
  const uint32_t counter[4] = {(uint32_t)(e / 4), (uint32_t)(e / 4 >> 32), a->stream, offset};
  uint32_t w[4];
  ref64_philox(counter, key, w);
  if (a->kind != FORGE_RNG_NORMAL) return a->a + (a->b - a->a) * ldexp(w[e % 4] >> 8, -24);
  const int pair = e % 4 / 2 * 2;
  const double u = ldexp((w[pair] >> 8) + 1.0, -24), t = 2.0 * M_PI * ldexp(w[pair + 1] >> 8, -24);
  return a->a + a->b * sqrt(-2.0 * log(u)) * (e % 2 ? sin(t) : cos(t));
}

static uint32_t word_of(double x) { return (uint32_t)(int32_t)x; }

static void rng(const ref_call *c) {
  const forge_attr_rng *a = c->attr;
  ref *y = c->out[0];
  const uint64_t seed = a->seed_scalar ? c->scalar[a->seed_scalar - 1] : a->seed;
  const uint64_t offset = a->offset_scalar ? c->scalar[a->offset_scalar - 1] : a->offset;
  const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
  const ref *keys = c->n_in ? c->in[0] : NULL;
  for (int64_t e = 0; e < ref_count(y); e++) {
    const double *k = keys ? keys->v + 3 * (e / ref_columns(y)) : NULL;
    const uint32_t own[2] = {k ? word_of(k[0]) : 0, k ? word_of(k[1]) : 0};
    y->v[e] =
        k ? drawn(a, own, word_of(k[2]), e % ref_columns(y)) : drawn(a, key, (uint32_t)offset, e);
  }
}

/* Sorts all, then cuts from the front. */
static void sample(const ref_call *c, int64_t row) {
  const int64_t n = ref_columns(c->in[0]);
  const double *x = c->in[0]->v + row * n, *param = c->in[1]->v + 4 * row;
  const double *iparam = c->in[2]->v + 4 * row;
  int64_t *column = rig_zalloc(((size_t)n + 1) * sizeof *column), left = n;
  double *p = rig_zalloc(((size_t)n + 1) * sizeof *p), mass = 0.0, sum = 0.0;
  const uint32_t key[2] = {(uint32_t)(int32_t)iparam[1], (uint32_t)(int32_t)iparam[2]};
  uint32_t word[4];
  ref64_philox((const uint32_t[4]){0, 0, 0, (uint32_t)(int32_t)iparam[3]}, key, word);
  first_columns(x, n, n, column);
  softmax(x, n, 1.0 / param[0], p);
  if (iparam[0] > 0 && iparam[0] < (double)n) left = (int64_t)iparam[0];
  while (left > 1 && p[column[left - 1]] < param[2] * p[column[0]]) left--;
  for (int64_t i = 0; i < left; i++) mass += p[column[i]];
  for (int64_t i = 0; i < left; i++) {
    sum += p[column[i]];
    if (param[1] < 1.0 && sum >= param[1] * mass) {
      left = i + 1;
      mass = sum;
    }
  }
  const double goal = ldexp(word[0] >> 8, -24) * mass;
  int64_t at = 0;
  for (sum = p[column[0]]; at < left - 1 && sum <= goal;) sum += p[column[++at]];
  c->out[0]->v[row] = (double)column[param[0] > 0.0 ? at : 0];
  free(column);
  free(p);
}

static bool by_row(const ref_call *c) {
  void (*f)(const ref_call *, int64_t) = NULL;
  switch (c->op) {
  case FORGE_OP_TOPK: f = topk; break;
  case FORGE_OP_RMSNORM:
  case FORGE_OP_LAYERNORM: f = norm; break;
  case FORGE_OP_RMSNORM_BWD:
  case FORGE_OP_LAYERNORM_BWD: f = norm_bwd; break;
  case FORGE_OP_MOE_ROUTE: f = route; break;
  case FORGE_OP_MOE_ROUTE_BWD: f = route_bwd; break;
  case FORGE_OP_SAMPLE: f = sample; break;
  default: return false;
  }
  for (int64_t row = 0; row < ref_rows(c->in[0]); row++) f(c, row);
  return true;
}

bool ref64_rows(const ref_call *c) {
  const int64_t columns = c->n_in && c->in[0] ? ref_columns(c->in[0]) : 0;
  switch (c->op) {
  case FORGE_OP_REDUCE: reduce(c); return true;
  case FORGE_OP_SOFTMAX:
    for (int64_t row = 0; row < ref_rows(c->in[0]); row++)
      softmax(c->in[0]->v + row * columns, columns, ((const forge_attr_softmax *)c->attr)->scale,
              c->out[0]->v + row * columns);
    return true;
  case FORGE_OP_GLOBAL_NORM: global_norm(c); return true;
  case FORGE_OP_CROSS_ENTROPY: cross_entropy(c, false); return true;
  case FORGE_OP_CROSS_ENTROPY_BWD: cross_entropy(c, true); return true;
  case FORGE_OP_RNG_PHILOX: rng(c); return true;
  default: return by_row(c);
  }
}
