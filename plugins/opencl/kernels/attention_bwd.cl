/* attention_bwd.cl -- gradient of dense ATTENTION, from the log-sum-exp of the forward pass:
 *   p_ij = e^(scale q_i.k_j - lse_i)      c_i = dy_i . y_i
 *   dv_j = sum_i p_ij dy_i                ds_ij = scale p_ij (dy_i . v_j - c_i)
 *   dq_i = sum_j ds_ij k_j                dk_j = sum_i ds_ij q_i
 * Option: R rows of a work-group. The kernel `inner` works out c; `queries` has rows of queries and
 * goes over blocks of keys, `keys` has rows of keys and goes over the heads of the group and blocks
 * of queries: both in rising order, so a sum has one order whatever the ranges. */

#define BLOCK 64

typedef struct backward {
  long batch, queries, heads, key_heads, keys, d, width, causal;
  long q[3], k[3], v[3], y[3], lse[3], dy[3], dq[3], dk[3], dv[3]; /* strides in elements */
  float scale;
} backward;

#define AT(v, b, row, head) ((b) * a.v[0] + (row) * a.v[1] + (head) * a.v[2])
#define TAKE(p, at, c, to)                                                                         \
  do {                                                                                             \
    if ((c) + 16 <= a.d) to = LANES(1, p, (at) + (c));                                             \
    else SOME(1, p, (at) + (c), 1, a.d - (c), 0.0f, to);                                           \
  } while (0)

/* c [batch][heads][queries] */
__kernel GROUP(64, 1) void inner(TENSOR(y), TENSOR(dy), TENSOR(c), const backward a) {
  const long i = get_global_id(0);
  if (i >= a.batch * a.heads * a.queries) return;
  const long t = i % a.queries, h = i / a.queries % a.heads, b = i / a.queries / a.heads;
  float16 s = 0.0f, x, z;
  for (long c = 0; c < a.width; c += 16) {
    TAKE(BASE(y), AT(y, b, t, h), c, x);
    TAKE(BASE(dy), AT(dy, b, t, h), c, z);
    s = fma(x, z, s);
  }
  ((__global float *)BASE(c))[i] = sum16(s);
}

/* Rows |at| of two tensors into local memory, with zeros behind. */
#define FETCH(p, from, to)                                                                         \
  for (long c = 16 * me; c < a.width; c += 16 * team) {                                            \
    float16 x;                                                                                     \
    TAKE(BASE(p), from, c, x);                                                                     \
    vstore16(x, 0, (to) + c);                                                                      \
  }
#define CLEAR(to)                                                                                  \
  for (long c = 16 * me; c < a.width; c += 16 * team) vstore16((float16)0.0f, 0, (to) + c)
#define KEEP(p, from, at)                                                                          \
  for (long c = me; c < a.d; c += team) ((__global float *)BASE(p))[(at) + c] = (from)[c]

/* Products of one row of two tensors with the R rows in local memory. */
#define PRODUCTS(p1, at1, rows1, p2, at2, rows2)                                                   \
  for (int r = 0; r < R; r++) s[r] = ds[r] = 0.0f;                                                 \
  for (long c = 0; c < a.width; c += 16) {                                                         \
    float16 x, z;                                                                                  \
    TAKE(BASE(p1), at1, c, x);                                                                     \
    TAKE(BASE(p2), at2, c, z);                                                                     \
    _Pragma("unroll") for (int r = 0; r < R; r++) {                                                \
      s[r] = fma(vload16(0, (rows1) + r * a.width + c), x, s[r]);                                  \
      ds[r] = fma(vload16(0, (rows2) + r * a.width + c), z, ds[r]);                                \
    }                                                                                              \
  }

/* |memory|: rows of q, of dy and of dq [3][R][width], then ds [R][BLOCK]. */
__kernel GROUP(TEAM, 1) void queries(TENSOR(q), TENSOR(k), TENSOR(v), TENSOR(lse), TENSOR(dy),
                                     TENSOR(c), TENSOR(dq), const backward a,
                                     __local float *memory) {
  const long first = (long)get_group_id(0) * R, head = get_group_id(1), b = get_group_id(2);
  if (first >= a.queries || head >= a.heads || b >= a.batch) return;
  const int me = (int)get_local_id(0), team = TEAM;
  const long key_head = head / (a.heads / a.key_heads);
  __local float *query = memory, *flow = query + R * a.width, *sum = flow + R * a.width;
  __local float *slope = sum + R * a.width;
  float lse[R], inner[R];
  for (int r = 0; r < R; r++) {
    const long t = min(first + r, a.queries - 1);
    FETCH(q, AT(q, b, t, head), query + r * a.width);
    FETCH(dy, AT(dy, b, t, head), flow + r * a.width);
    CLEAR(sum + r * a.width);
    lse[r] = ((__global const float *)BASE(lse))[b * a.lse[0] + head * a.lse[1] + t * a.lse[2]];
    inner[r] = ((__global const float *)BASE(c))[(b * a.heads + head) * a.queries + t];
  }
  ALL_HERE;
  const long last = a.causal ? min(a.keys, first + R) : a.keys;
  for (long block = 0; block < last; block += BLOCK) {
    const int n = (int)min((long)BLOCK, last - block);
    for (int j = me; j < n; j += team) {
      const long key = block + j;
      float16 s[R], ds[R];
      PRODUCTS(k, AT(k, b, key, key_head), query, v, AT(v, b, key, key_head), flow);
      for (int r = 0; r < R; r++) {
        const bool seen = (!a.causal || key <= first + r) && lse[r] != -INFINITY;
        const float p = seen ? exp(sum16(s[r]) * a.scale - lse[r]) : 0.0f;
        slope[r * BLOCK + j] = seen ? a.scale * (p * (sum16(ds[r]) - inner[r])) : 0.0f;
      }
    }
    ALL_HERE;
    for (long c = 16 * me; c < a.width; c += 16 * team) {
      float16 s[R], x;
      for (int r = 0; r < R; r++) s[r] = vload16(0, sum + r * a.width + c);
      for (int j = 0; j < n; j++) {
        TAKE(BASE(k), AT(k, b, block + j, key_head), c, x);
#pragma unroll
        for (int r = 0; r < R; r++) s[r] = fma(slope[r * BLOCK + j], x, s[r]);
      }
      for (int r = 0; r < R; r++) vstore16(s[r], 0, sum + r * a.width + c);
    }
    ALL_HERE;
  }
  for (int r = 0; r < R && first + r < a.queries; r++)
    KEEP(dq, sum + r * a.width, AT(dq, b, first + r, head));
}

/* Adds columns c.. of |n| rows of q and dy to the sums of R keys. */
inline void add_queries(const backward a, int n, long c, __global const char *q, long q_at,
                        __global const char *dy, long dy_at, __local const float *weight,
                        __local const float *slope, __local float *sum_k, __local float *sum_v) {
  float16 sk[R], sv[R], x, z;
  for (int r = 0; r < R; r++) {
    sk[r] = vload16(0, sum_k + r * a.width + c);
    sv[r] = vload16(0, sum_v + r * a.width + c);
  }
  for (int i = 0; i < n; i++) {
    TAKE(q, q_at + i * a.q[1], c, x);
    TAKE(dy, dy_at + i * a.dy[1], c, z);
#pragma unroll
    for (int r = 0; r < R; r++) {
      sk[r] = fma(slope[r * BLOCK + i], x, sk[r]);
      sv[r] = fma(weight[r * BLOCK + i], z, sv[r]);
    }
  }
  for (int r = 0; r < R; r++) {
    vstore16(sk[r], 0, sum_k + r * a.width + c);
    vstore16(sv[r], 0, sum_v + r * a.width + c);
  }
}

/* |memory|: rows of k, v, dk and dv [4][R][width], then p and ds [2][R][BLOCK]. */
__kernel GROUP(TEAM, 1) void keys(TENSOR(q), TENSOR(k), TENSOR(v), TENSOR(lse), TENSOR(dy),
                                  TENSOR(c), TENSOR(dk), TENSOR(dv), const backward a,
                                  __local float *memory) {
  const long first = (long)get_group_id(0) * R, key_head = get_group_id(1), b = get_group_id(2);
  if (first >= a.keys || key_head >= a.key_heads || b >= a.batch) return;
  const int me = (int)get_local_id(0), team = TEAM;
  const long group = a.heads / a.key_heads;
  __local float *key = memory, *value = key + R * a.width, *sum_k = value + R * a.width;
  __local float *sum_v = sum_k + R * a.width, *weight = sum_v + R * a.width;
  __local float *slope = weight + R * BLOCK;
  for (int r = 0; r < R; r++) {
    const long j = min(first + r, a.keys - 1);
    FETCH(k, AT(k, b, j, key_head), key + r * a.width);
    FETCH(v, AT(v, b, j, key_head), value + r * a.width);
    CLEAR(sum_k + r * a.width);
    CLEAR(sum_v + r * a.width);
  }
  ALL_HERE;
  const long begin = a.causal ? first / BLOCK * BLOCK : 0;
  const long blocks = begin < a.queries ? (a.queries - begin + BLOCK - 1) / BLOCK : 0;
  for (long turn = 0; turn < group * blocks; turn++) {
    const long head = key_head * group + turn / blocks, block = begin + turn % blocks * BLOCK;
    const int n = (int)min((long)BLOCK, a.queries - block);
    for (int i = me; i < n; i += team) {
      const long t = block + i;
      const float lse =
          ((__global const float *)BASE(lse))[b * a.lse[0] + head * a.lse[1] + t * a.lse[2]];
      const float inner = ((__global const float *)BASE(c))[(b * a.heads + head) * a.queries + t];
      float16 s[R], ds[R];
      PRODUCTS(q, AT(q, b, t, head), key, dy, AT(dy, b, t, head), value);
      for (int r = 0; r < R; r++) {
        const bool seen = (!a.causal || first + r <= t) && lse != -INFINITY;
        const float p = seen ? exp(sum16(s[r]) * a.scale - lse) : 0.0f;
        weight[r * BLOCK + i] = p;
        slope[r * BLOCK + i] = seen ? a.scale * (p * (sum16(ds[r]) - inner)) : 0.0f;
      }
    }
    ALL_HERE;
    for (long c = 16 * me; c < a.width; c += 16 * team)
      add_queries(a, n, c, BASE(q), AT(q, b, block, head), BASE(dy), AT(dy, b, block, head), weight,
                  slope, sum_k, sum_v);
    ALL_HERE;
  }
  for (int r = 0; r < R && first + r < a.keys; r++) {
    KEEP(dk, sum_k + r * a.width, AT(dk, b, first + r, key_head));
    KEEP(dv, sum_v + r * a.width, AT(dv, b, first + r, key_head));
  }
}
