/* reduce.cl -- REDUCE SOFTMAX TOPK. Work-groups of WG items; each item takes every WG-th element,
 * a tree joins the items, so the order of a sum is fixed by the extents alone. -DX, -DY: types;
 * -DOP_..: which kernels. */

#define MAX_OF(a, b) ((a) > (b) || (a) != (a) ? (a) : (b)) /* a NaN stays one */

/* Joins what the items of the group hold; all read the result. Uses the variables s and t. */
#define TREE(JOIN)                                                                                 \
  barrier(CLK_LOCAL_MEM_FENCE);                                                                    \
  for (int apart = WG / 2; apart > 0; apart /= 2) {                                                \
    if (t < apart) s[t] = JOIN(s[t], s[t + apart]);                                                \
    barrier(CLK_LOCAL_MEM_FENCE);                                                                  \
  }
#define SUM_OF(a, b) ((a) + (b))
#define EITHER(a, b) (kind == MAX ? MAX_OF(a, b) : SUM_OF(a, b))

/* ---- REDUCE: walk |kept| gives y (0) and the start in x (1), |gone| the elements joined ---- */

#ifdef OP_REDUCE
enum { SUM = 1, MAX = 2, ARGMAX = 3, MEAN = 4 };

/* A group per output. */
__kernel void reduce_group(const nd kept, const nd gone, const int kind, TENSOR(y), TENSOR(x)) {
  __local float s[WG];
  const int t = (int)get_local_id(0);
  const long r = (long)get_group_id(0);
  const long from = r < kept.n ? ND_AT(kept, 1, r) : 0, n = r < kept.n ? gone.n : 0;
  float v = kind == MAX ? -INFINITY : 0.0f;
  for (long i = t; i < n; i += WG) {
    const float x = LOAD(X, BASE(x), from + ND_AT(gone, 0, i));
    v = kind == MAX ? MAX_OF(v, x) : v + x;
  }
  s[t] = v;
  TREE(EITHER);
  if (t == 0 && r < kept.n)
    STORE(Y, BASE(y), ND_AT(kept, 0, r), kind == MEAN && n ? s[0] / (float)n : s[0]);
}

/* An item per output, in order: where neighbouring outputs are neighbours in x. */
__kernel void reduce_item(const nd kept, const nd gone, const int kind, TENSOR(y), TENSOR(x)) {
  const long r = (long)get_global_id(0);
  if (r >= kept.n) return;
  const long from = ND_AT(kept, 1, r);
  float v = kind == MAX ? -INFINITY : 0.0f;
  for (long i = 0; i < gone.n; i++) {
    const float x = LOAD(X, BASE(x), from + ND_AT(gone, 0, i));
    v = kind == MAX ? MAX_OF(v, x) : v + x;
  }
  STORE(Y, BASE(y), ND_AT(kept, 0, r), kind == MEAN && gone.n ? v / (float)gone.n : v);
}
#endif

/* Keys order elements: larger values first, a NaN before all, -0 as 0, the lower of equal elements'
 * columns first. The larger key comes first; 0 is behind them all. */
inline ulong rank_key(float value, uint column) {
  const float v = value + 0.0f;
  uint bits = as_uint(v);
  bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  if (v != v) bits = 0xffffffffu;
  return (ulong)bits << 32 | (uint)~column;
}

/* -0 + 0 is 0, unless a compiler thinks otherwise. */
inline ulong key_at(__global const char *x, long at, uint column) {
  const float v = LOAD(X, x, at);
  return rank_key(v == 0.0f ? 0.0f : v, column);
}

#ifdef OP_ARGMAX
__kernel void argmax(const nd rows, const long columns, const long step, TENSOR(y), TENSOR(x)) {
  __local ulong s[WG];
  const int t = (int)get_local_id(0);
  const long r = (long)get_group_id(0);
  const long from = r < rows.n ? ND_AT(rows, 1, r) : 0, n = r < rows.n ? columns : 0;
  ulong best = 0;
  for (long i = t; i < n; i += WG) best = max(best, key_at(BASE(x), from + i * step, (uint)i));
  s[t] = best;
  TREE(max);
  if (t == 0 && r < rows.n)
    ((__global int *)BASE(y))[ND_AT(rows, 0, r)] = (int)~(uint)s[0];
}
#endif

/* ---- SOFTMAX: rows walks y (0) and x (1) ---- */

#ifdef OP_SOFTMAX
__kernel void softmax(const nd rows, const long columns, const float scale, const long y_step,
                      const long x_step, TENSOR(y), TENSOR(x)) {
  __local float s[WG];
  const int t = (int)get_local_id(0);
  const long r = (long)get_group_id(0), n = r < rows.n ? columns : 0;
  const long from = n ? ND_AT(rows, 1, r) : 0, to = n ? ND_AT(rows, 0, r) : 0;
  __global const float *x = (__global const float *)BASE(x) + from;
  __global float *y = (__global float *)BASE(y) + to;
  float largest = -INFINITY;
  for (long i = t; i < n; i += WG) {
    const float v = scale * x[i * x_step];
    largest = MAX_OF(largest, v);
  }
  s[t] = largest;
  TREE(MAX_OF);
  largest = s[0];
  barrier(CLK_LOCAL_MEM_FENCE);
  float sum = 0.0f;
  for (long i = t; i < n; i += WG) {
    const float e = exp(scale * x[i * x_step] - largest);
    y[i * y_step] = e;
    sum += e;
  }
  s[t] = sum;
  TREE(SUM_OF);
  const bool nothing = largest == -INFINITY;
  for (long i = t; i < n; i += WG) y[i * y_step] = nothing ? 0.0f : y[i * y_step] / s[0];
}
#endif

/* ---- TOPK: rows walks values (0), columns (1) and x (2) ---- */

#ifdef OP_TOPK
__kernel void topk(const nd rows, const long columns, const int k, const long v_step,
                   const long c_step, const long x_step, TENSOR(values), TENSOR(ids), TENSOR(x)) {
  __local ulong s[WG];
  const int t = (int)get_local_id(0);
  const long r = (long)get_group_id(0), n = r < rows.n ? columns : 0;
  const long from = n ? ND_AT(rows, 2, r) : 0;
  ulong below = ULONG_MAX;
  for (int j = 0; j < k; j++) {
    ulong best = 0;
    for (long i = t; i < n; i += WG) {
      const ulong key = key_at(BASE(x), from + i * x_step, (uint)i);
      if (key < below) best = max(best, key);
    }
    s[t] = best;
    TREE(max);
    below = s[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    if (t == 0 && n) {
      const uint column = ~(uint)below;
      COPY_1(BASE(values), ND_AT(rows, 0, r) + j * v_step, BASE(x), from + column * x_step);
      ((__global int *)BASE(ids))[ND_AT(rows, 1, r) + j * c_step] = (int)column;
    }
  }
}
#endif
