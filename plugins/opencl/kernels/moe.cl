/* moe.cl -- MOE_ROUTE, MOE_ROUTE_BWD and the products with experts.
 *
 * Routing: with p = softmax(logits), w_j = p[id_j] / s, s = 1 or, normalised, the sum of the chosen
 * p. Backwards dp[id_j] += (dw_j - [normalised] sum_k dw_k w_k) / s, dlogits = p (dp - sum_e dp_e
 * p_e). A work-item has a token. */

typedef struct route {
  long tokens, experts, k, normalise;
  long x_row, x_column, id_row, id_column, w_row, w_column, dx_row, dx_column;
} route;

#define LOGIT(e)  (((__global const float *)BASE(x))[t * a.x_row + (e) * a.x_column])
#define ID(i)     (((__global int *)BASE(ids))[t * a.id_row + (i) * a.id_column])
#define WEIGHT(i) (((__global float *)BASE(w))[t * a.w_row + (i) * a.w_column])

/* The largest logit (inf where one is a NaN) and the sum of e^(x - largest). */
#define ROUTE_SUMS                                                                                 \
  float top = -INFINITY, all = 0.0f;                                                               \
  for (long e = 0; e < a.experts; e++) top = fmax(top, isnan(LOGIT(e)) ? INFINITY : LOGIT(e));     \
  for (long e = 0; e < a.experts; e++) all += top == -INFINITY ? 0.0f : exp(LOGIT(e) - top)

/* Whether x stands before y: larger, a NaN first of all, the lower number among equals. */
inline bool before(float x, long i, float y, long j) {
  if (isnan(x) != isnan(y)) return isnan(x);
  if (isnan(x) || x == y) return i < j;
  return x > y;
}

__kernel GROUP(8, 1) void route_tokens(TENSOR(x), TENSOR(ids), TENSOR(w), const route a) {
  const long t = get_global_id(0);
  if (t >= a.tokens) return;
  ROUTE_SUMS;
  float sum = 0.0f, x = INFINITY;
  long last = -1;
  for (long i = 0; i < a.k; i++) { /* the first behind the last one */
    long best = -1;
    for (long e = 0; e < a.experts; e++) {
      if (last >= 0 && !before(x, last, LOGIT(e), e)) continue;
      if (best < 0 || before(LOGIT(e), e, LOGIT(best), best)) best = e;
    }
    last = best;
    x = LOGIT(best);
    const float p = top == -INFINITY ? 0.0f : exp(x - top) / all;
    sum += p;
    ID(i) = (int)best;
    WEIGHT(i) = p;
  }
  if (a.normalise && sum > 0.0f)
    for (long i = 0; i < a.k; i++) WEIGHT(i) = WEIGHT(i) / sum;
}

__kernel GROUP(8, 1) void route_bwd(TENSOR(x), TENSOR(ids), TENSOR(w), TENSOR(dx), const route a) {
  const long t = get_global_id(0);
  if (t >= a.tokens) return;
  __global float *dx = (__global float *)BASE(dx) + t * a.dx_row;
  ROUTE_SUMS;
#define P(e) (top == -INFINITY ? 0.0f : exp(LOGIT(e) - top) / all)
  float sum = 0.0f, mixed = 0.0f, inner = 0.0f;
  for (long i = 0; i < a.k; i++) {
    if (ID(i) < 0 || ID(i) >= a.experts) continue;
    sum += P(ID(i));
    mixed += P(ID(i)) * WEIGHT(i);
  }
  const bool normalise = a.normalise && sum > 0.0f;
  const float s = normalise ? sum : 1.0f, mean = normalise ? mixed / sum : 0.0f;
  for (long i = 0; i < a.k; i++) {
    if (ID(i) < 0 || ID(i) >= a.experts) continue;
    inner += P(ID(i)) * ((WEIGHT(i) - mean) / s);
  }
  for (long e = 0; e < a.experts; e++) {
    float dp = 0.0f;
    for (long i = 0; i < a.k; i++)
      if (ID(i) == e) dp += (WEIGHT(i) - mean) / s;
    dx[e * a.dx_column] = P(e) * (dp - inner);
  }
}

typedef struct grouped {
  long tokens, k, n, experts; /* of the product done: y [tokens, n], sums over k */
  long x_row, x_column, y_row, y_column, id, w[3]; /* w: expert, n, k */
} grouped;

#define EXPERT(t) (((__global const int *)BASE(ids))[(t) * a.id])

/* y_t = w[ids_t] x_t, four columns of one token to a work-item. Option: W the type of w. Sums have
 * the order of `dot_*` in matmul.cl. */
__kernel GROUP(16, 1) void expert_rows(TENSOR(x), TENSOR(w), TENSOR(ids), TENSOR(y),
                                       const grouped a) {
  const long first = 4L * get_global_id(0), t = get_global_id(1);
  if (t >= a.tokens || first >= a.n) return;
  const int id = EXPERT(t);
  const bool fine = id >= 0 && id < a.experts;
  const long end = min(first + 4, a.n);
  __global float *y = (__global float *)BASE(y);
  for (long j = first; j < end; j++) {
    float16 s = 0.0f, u, v;
    const long row = id * a.w[0] + j * a.w[1];
    for (long k = 0; fine && k < a.k; k += 16) {
      if (k + 16 <= a.k && a.x_column == 1 && a.w[2] == 1) {
        u = vload16(0, (__global const float *)BASE(x) + t * a.x_row + k);
        v = LANES(W, BASE(w), row + k);
      } else {
        SOME(1, BASE(x), t * a.x_row + k * a.x_column, a.x_column, a.k - k, 0.0f, u);
        SOME(W, BASE(w), row + k * a.w[2], a.w[2], a.k - k, 0.0f, v);
      }
      s = fma(u, v, s);
    }
    y[t * a.y_row + j * a.y_column] = sum16(s);
  }
}

/* dw[e] = sum over t with ids_t = e of dy_t x_t^T, in order of t: sixteen columns of a row to a
 * work-item. Here w is dw: expert, n, k; x_* are those of x, y_* those of dy. */
__kernel GROUP(1, 16) void expert_dw(TENSOR(x), TENSOR(dy), TENSOR(ids), TENSOR(dw),
                                     const grouped a) {
  const long k = 16L * get_global_id(0), n = get_global_id(1), e = get_global_id(2);
  if (k >= a.k || n >= a.n || e >= a.experts) return;
  float16 s = 0.0f, u;
  float to[16];
  for (long t = 0; t < a.tokens; t++) {
    if (EXPERT(t) != e) continue;
    SOME(1, BASE(x), t * a.x_row + k * a.x_column, a.x_column, a.k - k, 0.0f, u);
    s = fma(((__global const float *)BASE(dy))[t * a.y_row + n * a.y_column], u, s);
  }
  vstore16(s, 0, to);
  for (int l = 0; l < 16 && k + l < a.k; l++)
    ((__global float *)BASE(dw))[e * a.w[0] + n * a.w[1] + (k + l) * a.w[2]] = to[l];
}
