/* sample.cl -- SAMPLE. A work-group has a row: all its work-items look for the largest logit; where
 * that is not the answer, one of them puts the candidates into a heap and takes them off in order
 * of falling probability as far as the cuts and the draw reach. */

#ifdef OCL_FP64
typedef double wide;
#else
typedef float wide;
#endif

typedef struct sample {
  long rows, columns, x_row, x_column, param_row, param_column, iparam_row, iparam_column, id;
} sample;

/* Larger numbers come first: by value (a NaN before all), then by rising column. */
inline ulong rank_key(float x, long column) {
  const uint bits = as_uint(x == 0.0f ? 0.0f : x);
  const uint up = isnan(x) ? 0xffffffffu : bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return (ulong)up << 32 | (0xffffffffu - (uint)column);
}
inline long rank_column(ulong key) { return (long)(0xffffffffu - (uint)key); }

inline void sink(__global ulong *heap, long n, long i) {
  const ulong key = heap[i];
  for (long child = 2 * i + 1; child < n; child = 2 * i + 1) {
    if (child + 1 < n && heap[child + 1] > heap[child]) child++;
    if (heap[child] <= key) break;
    heap[i] = heap[child];
    i = child;
  }
  heap[i] = key;
}

/* First word of Philox4x32-10 (Salmon et al. 2011) for counter (0, 0, 0, |counter|). */
inline uint philox_word(uint key0, uint key1, uint counter) {
  uint4 c = (uint4)(0, 0, 0, counter);
  for (int round = 0; round < 10; round++) {
    const uint high0 = mul_hi(0xD2511F53u, c.x), low0 = 0xD2511F53u * c.x;
    const uint high1 = mul_hi(0xCD9E8D57u, c.z), low1 = 0xCD9E8D57u * c.z;
    c = (uint4)(high1 ^ c.y ^ key0, low1, high0 ^ c.w ^ key1, low0);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return c.x;
}

/* Candidates: those in the heap in front, those taken off behind it, the last one taken first. */
typedef struct draw {
  __global ulong *key;
  long heap, total;
  float top, temperature;
  __global const float *x;
  long step;
} draw;

inline float weight_at(const draw *d, long column) {
  const float x = d->x[column * d->step];
  if (x == d->top) return 1.0f;                   /* inf beside inf as well */
  return x > -INFINITY ? exp((x - d->top) / d->temperature) : 0.0f; /* a NaN: 0 */
}

/* Weight of candidate number |i| in order; those before it were asked for. */
inline float take(draw *d, long i) {
  if (i == d->total - d->heap) {
    const ulong key = d->key[0];
    d->heap--;
    d->key[0] = d->key[d->heap];
    d->key[d->heap] = key;
    if (d->heap > 0) sink(d->key, d->heap, 0);
  }
  return weight_at(d, rank_column(d->key[d->total - 1 - i]));
}

inline long draw_one(draw *d, long columns, int top_k, float top_p, float min_p, float u) {
  wide mass = 0, sum = 0;
  d->total = 0;
  for (long i = 0; i < columns; i++) {
    const float w = weight_at(d, i);
    if (w == 0.0f || !(w >= min_p)) continue;
    d->key[d->total++] = rank_key(d->x[i * d->step], i);
    mass += w;
  }
  d->heap = d->total;
  for (long i = d->total / 2; i-- > 0;) sink(d->key, d->total, i);
  long count = d->total;
  if (top_k > 0 && top_k < count) {
    count = top_k;
    mass = 0;
    for (long i = 0; i < count; i++) mass += take(d, i);
  }
  if (top_p < 1.0f) {
    const wide goal = top_p * mass;
    for (long i = 0; i < count; i++) {
      sum += take(d, i);
      if (!(sum >= goal)) continue;
      count = i + 1;
      mass = sum;
    }
  }
  const wide goal = u * mass;
  sum = 0;
  long i = 0;
  for (; i < count; i++) {
    sum += take(d, i);
    if (sum > goal) break;
  }
  return rank_column(d->key[d->total - 1 - min(i, count - 1)]);
}

__kernel GROUP(TEAM, 1) void sample_rows(TENSOR(x), TENSOR(params), TENSOR(iparams), TENSOR(ids),
                                         TENSOR(keys), const sample a, __local ulong *best,
                                         __local float *top) {
  const long row = get_group_id(0);
  if (row >= a.rows) return;
  const int me = (int)get_local_id(0), team = TEAM;
  __global const float *x = (__global const float *)BASE(x) + row * a.x_row;
  ulong mine = 0;
  float most = -INFINITY;
  for (long i = me; i < a.columns; i += team) {
    mine = max(mine, rank_key(x[i * a.x_column], i));
    most = fmax(most, x[i * a.x_column]);
  }
  best[me] = mine;
  top[me] = most;
  ALL_HERE;
  if (me > 0) return;
  for (int i = 1; i < team; i++) {
    mine = max(mine, best[i]);
    most = fmax(most, top[i]);
  }
  __global const float *p = (__global const float *)BASE(params) + row * a.param_row;
  __global const int *k = (__global const int *)BASE(iparams) + row * a.iparam_row;
  const float temperature = p[0], top_p = p[a.param_column], least = p[2 * a.param_column];
  long id = rank_column(mine);
  if (temperature > 0.0f && most > -INFINITY) {
    draw d = {.key = (__global ulong *)BASE(keys) + row * a.columns,
              .top = most,
              .temperature = temperature,
              .x = x,
              .step = a.x_column};
    const uint word = philox_word((uint)k[a.iparam_column], (uint)k[2 * a.iparam_column],
                                  (uint)k[3 * a.iparam_column]);
    id = draw_one(&d, a.columns, k[0], top_p, least > 0.0f ? fmin(1.0f, least) : 0.0f,
                  (float)(word >> 8) * 0x1p-24f);
  }
  ((__global int *)BASE(ids))[row * a.id] = a.columns ? (int)id : -1;
}
