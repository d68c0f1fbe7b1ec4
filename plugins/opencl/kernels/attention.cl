/* attention.cl -- ATTENTION with an online softmax (Milakov and Gimelshein 2018; Dao et al. 2022).
 * Options: K, V element types; R rows (a query of a head) of a work-group.
 *
 * A row keeps the largest score so far m, the sum l of e^(s-m) and the sum of e^(s-m) v. Its keys
 * come in blocks [0,64), [64,128), .. of the sequence, of which it uses those it sees: nothing else
 * enters its arithmetic. The rows of a work-group share a key head and the fetching of its keys.
 * Any number of work-items to a group gives the same bits. */

#define KEYS 64

typedef struct attention {
  long batch, queries, heads, key_heads, d, width; /* width: d up to a multiple of 16 */
  long keys, page, pages, pages_each; /* dense: keys; paged: rows of a page, pages, table's width */
  long causal, window, has_starts, has_lse;
  long q[3], k[3], v[3], y[3], lse[3], start, table[2]; /* strides in elements */
  float scale;
} attention;

inline long page_id(const attention *a, __global const int *table, long b, long i) {
  return table[b * a->table[0] + i * a->table[1]];
}

/* Keys of sequence |b| that exist: [0, count). */
inline long key_count(const attention *a, __global const int *table, long b, long start) {
  if (!a->page) return a->keys;
  const long end = min(start + a->queries, a->pages_each * a->page);
  for (long i = 0; i * a->page < end; i++) {
    const long id = page_id(a, table, b, i);
    if (id < 0 || id >= a->pages) return i * a->page;
  }
  return max(0L, end);
}

#define TAKE(type, p, at, c, to)                                                                   \
  do {                                                                                             \
    if ((c) + 16 <= a.d) to = LANES(type, p, (at) + (c));                                          \
    else SOME(type, p, (at) + (c), 1, a.d - (c), 0.0f, to);                                        \
  } while (0)

/* [lo, hi): the keys each of R rows sees; [*first, *last): those any of them does. */
inline void find_keys(const attention a, long first_row, long start, long count, long *lo, long *hi,
                      long *first, long *last) {
  const long group = a.heads / a.key_heads, rows = group * a.queries;
  *first = LONG_MAX;
  *last = 0;
  for (int r = 0; r < R; r++) {
    const long t = min(first_row + r, rows - 1) / group;
    lo[r] = a.window > 0 ? max(0L, start + t - a.window + 1) : 0;
    hi[r] = max(lo[r], a.causal ? min(count, start + t + 1) : count);
    if (hi[r] > lo[r]) {
      *first = min(*first, lo[r]);
      *last = max(*last, hi[r]);
    }
  }
}

/* The scores of one key, whose row of k is at |at|, for R rows of |query|. */
inline void score_key(const attention a, __global const char *k, long at,
                      __local const float *query, float *out) {
  float16 s[R], x;
#pragma unroll
  for (int r = 0; r < R; r++) s[r] = 0.0f;
  for (long c = 0; c < a.width; c += 16) {
    TAKE(K, k, at, c, x);
#pragma unroll
    for (int r = 0; r < R; r++) s[r] = fma(vload16(0, query + r * a.width + c), x, s[r]);
  }
#pragma unroll
  for (int r = 0; r < R; r++) out[r] = sum16(s[r]) * a.scale;
}

/* The scores of a block; -inf where a row does not see a key. */
inline void score_block(const attention a, __global const char *k, __local const long *at,
                        int begin, int end, long block, const long *lo, const long *hi,
                        __local const float *query, int me, __local float *score) {
  for (int j = me; j < KEYS; j += TEAM) {
    float s[R];
    if (j >= begin && j < end) score_key(a, k, at[j], query, s);
    for (int r = 0; r < R; r++) {
      const bool seen = block + j >= lo[r] && block + j < hi[r];
      score[r * KEYS + j] = seen ? s[r] : -INFINITY;
    }
  }
}

/* The scores of a block of one row become weights; the row's m, l and factor go on. */
inline void weigh(__local float *s, __local float *most, __local float *total,
                  __local float *factor) {
  float16 top = -INFINITY, all = 0.0f;
  for (int j = 0; j < KEYS; j += 16) { /* a NaN counts as inf: either makes the result a NaN */
    const float16 x = vload16(0, s + j);
    top = fmax(top, select(x, (float16)INFINITY, isnan(x)));
  }
  const float m = fmax(*most, max16(top));
  const float base = m == -INFINITY ? 0.0f : m; /* nothing seen: weights of 0 */
  *factor = m == *most ? 1.0f : exp(*most - m);
  for (int j = 0; j < KEYS; j += 16) {
    const float16 e = exp(vload16(0, s + j) - base);
    vstore16(e, 0, s + j);
    all += e;
  }
  *total = *total * *factor + sum16(all);
  *most = m;
}

/* Adds columns c.. of the values of keys [begin, end) of a block to the sums of R rows. */
inline void add_values(const attention a, __global const char *v, __local const long *at, int begin,
                       int end, long c, long block, const long *lo, const long *hi,
                       __local const float *score, __local const float *factor,
                       __local float *sum) {
  float16 s[R], x;
#pragma unroll
  for (int r = 0; r < R; r++) s[r] = vload16(0, sum + r * a.width + c) * factor[r];
  for (int j = begin; j < end; j++) {
    TAKE(V, v, at[j], c, x);
#pragma unroll
    for (int r = 0; r < R; r++)
      if (block + j >= lo[r] && block + j < hi[r]) s[r] = fma(score[r * KEYS + j], x, s[r]);
  }
#pragma unroll
  for (int r = 0; r < R; r++) vstore16(s[r], 0, sum + r * a.width + c);
}

/* Where keys and values [begin, end) of a block lie. */
inline void find_block(const attention a, __global const int *table, long b, long key_head,
                       long block, int begin, int end, int me, __local long *at) {
  for (int j = begin + me; j < end; j += TEAM) {
    const long key = block + j;
    const long outer = a.page ? page_id(&a, table, b, key / a.page) : b;
    const long inner = a.page ? key % a.page : key;
    at[j] = outer * a.k[0] + inner * a.k[1] + key_head * a.k[2];
    at[KEYS + j] = outer * a.v[0] + inner * a.v[1] + key_head * a.v[2];
  }
}

/* |at| holds where the keys and values of a block lie [2][KEYS]; |memory| rows of q and of the sums
 * [2][R][width], the block's scores [R][KEYS], and m, l and the factor of each row [3][R]. */
__kernel GROUP(TEAM, 1) void attention_rows(TENSOR(q), TENSOR(k), TENSOR(v), TENSOR(starts),
                                            TENSOR(table), TENSOR(y), TENSOR(lse),
                                            const attention a, __local long *at,
                                            __local float *memory) {
  const long rows = a.key_heads ? a.heads / a.key_heads * a.queries : 0;
  const long first_row = (long)get_group_id(0) * R;
  const long b = (long)get_group_id(1) / max(1L, a.key_heads);
  if (first_row >= rows || b >= a.batch) return;
  const long key_head = (long)get_group_id(1) % a.key_heads, group = a.heads / a.key_heads;
  const int me = (int)get_local_id(0), team = TEAM;
  __global const int *table = (__global const int *)BASE(table);
  __local float *query = memory, *sum = query + R * a.width, *score = sum + R * a.width;
  __local float *most = score + R * KEYS, *total = most + R, *factor = total + R;
  const long start = a.has_starts ? ((__global const int *)BASE(starts))[b * a.start] : 0;
  const long count = key_count(&a, table, b, start);

  long lo[R], hi[R], first, last;
  find_keys(a, first_row, start, count, lo, hi, &first, &last);
  for (int r = 0; r < R; r++) {
    const long row = min(first_row + r, rows - 1), t = row / group;
    const long from = b * a.q[0] + t * a.q[1] + (key_head * group + row % group) * a.q[2];
    for (long c = 16 * me; c < a.width; c += 16 * team) {
      float16 x;
      TAKE(1, BASE(q), from, c, x);
      vstore16(x, 0, query + r * a.width + c);
      vstore16((float16)0.0f, 0, sum + r * a.width + c);
    }
    if (me == r % team) most[r] = -INFINITY, total[r] = 0.0f;
  }

  for (long block = last ? first / KEYS * KEYS : 0; block < last; block += KEYS) {
    const int begin = (int)max(0L, first - block), end = (int)min((long)KEYS, last - block);
    find_block(a, table, b, key_head, block, begin, end, me, at);
    ALL_HERE;

    score_block(a, BASE(k), at, begin, end, block, lo, hi, query, me, score);
    ALL_HERE;

    for (int r = me; r < R; r += team) weigh(score + r * KEYS, most + r, total + r, factor + r);
    ALL_HERE;

    for (long c = 16 * me; c < a.width; c += 16 * team)
      add_values(a, BASE(v), at + KEYS, begin, end, c, block, lo, hi, score, factor, sum);
    ALL_HERE;
  }

  for (int r = 0; r < R && first_row + r < rows; r++) {
    const long t = (first_row + r) / group, h = key_head * group + (first_row + r) % group;
    const long to = b * a.y[0] + t * a.y[1] + h * a.y[2];
    const bool none = last == 0 || most[r] == -INFINITY;
    __global float *y = (__global float *)BASE(y) + to;
    for (long c = me; c < a.d; c += team) y[c] = none ? 0.0f : sum[r * a.width + c] / total[r];
    if (a.has_lse && me == 0)
      ((__global float *)BASE(lse))[b * a.lse[0] + h * a.lse[1] + t * a.lse[2]] =
          none ? -INFINITY : most[r] + log(total[r]);
  }
}
