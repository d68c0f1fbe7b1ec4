/* rope.cl -- ROPE, and KV_WRITE, which follows it in every layer. */

#define TURNS 64 /* pairs of a launch: they travel in the arguments */

/* Angles are counted in turns, in fixed point with 60 bits behind the point: position times turns
 * per position is exact but for whole turns, which do not matter. No double is needed. */
typedef struct rope {
  nd shape; /* tokens; tensors 0: x, 1: y, 2: positions */
  long heads, columns, x_head, y_head, x_column, y_column, factor; /* strides in elements */
  int pairs, first, n, interleaved, has_factors, inverse; /* pairs first .. first+n of |pairs| */
  ulong turns[TURNS];
} rope;

/* turns / f for f > 0. */
inline ulong turns_over(ulong turns, float f) {
  const uint bits = as_uint(f);
  const int shift = 150 - 23 - (int)(bits >> 23); /* f = m 2^(exponent-150), m of 24 bits */
  const ulong m = (bits & 0x7fffffu) | 0x800000u;
  const ulong q = (turns / m << 23) + (turns % m << 23) / m;
  return shift >= 0 ? (shift < 64 ? q << shift : 0) : (shift > -64 ? q >> -shift : 0);
}

__kernel GROUP(16, 1) void rope_turn(TENSOR(x), TENSOR(positions), TENSOR(factors), TENSOR(y),
                                     const rope a) {
  const long i = get_global_id(0), token = get_global_id(1);
  if (i >= a.n || token >= a.shape.n) return;
  const long pair = a.first + i;
  const long position = ((__global const int *)BASE(positions))[ND_AT(a.shape, 2, token)];
  ulong turns = a.turns[i];
  float angle = 0.0f;
  if (a.has_factors) {
    const float f = ((__global const float *)BASE(factors))[pair * a.factor];
    const bool usual = f >= 0x1p-60f && f <= 0x1p60f;
    turns = usual ? turns_over(turns, f) : 0;
    if (!usual && !(f > 0x1p60f)) angle = NAN;
  }
  const long rest = (long)((ulong)position * turns << 4); /* part of a turn, 64 bits behind */
  angle += (float)rest * (0x1p-64f * 6.28318530717958647692f);
  const float cosine = cos(angle), sine = a.inverse ? -sin(angle) : sin(angle);
  const long c0 = a.interleaved ? 2 * pair : pair, c1 = a.interleaved ? c0 + 1 : pair + a.pairs;
  __global const float *x = (__global const float *)BASE(x) + ND_AT(a.shape, 0, token);
  __global float *y = (__global float *)BASE(y) + ND_AT(a.shape, 1, token);
  for (long h = 0; h < a.heads; h++) {
    const float u = x[h * a.x_head + c0 * a.x_column], v = x[h * a.x_head + c1 * a.x_column];
    y[h * a.y_head + c0 * a.y_column] = u * cosine - v * sine;
    y[h * a.y_head + c1 * a.y_column] = v * cosine + u * sine;
    if (a.first) continue;
    for (long c = 2L * a.pairs + i; c < a.columns; c += a.n)
      y[h * a.y_head + c * a.y_column] = x[h * a.x_head + c * a.x_column];
  }
}

typedef struct kv_write {
  long n, rows, page, heads, d;
  long pages[4], slot, src[3]; /* strides in elements */
} kv_write;

/* pages of type P. Of several rows for one slot the last is written. */
__kernel GROUP(4, 1) void kv_write_rows(TENSOR(pages), TENSOR(slots), TENSOR(src),
                                        const kv_write a) {
  const long t = get_global_id(0);
  if (t >= a.n) return;
  __global const int *slots = (__global const int *)BASE(slots);
  const long slot = slots[t * a.slot];
  if (slot < 0 || slot >= a.rows) return;
  for (long later = t + 1; later < a.n; later++)
    if (slots[later * a.slot] == slot) return;
  const long to = slot / a.page * a.pages[0] + slot % a.page * a.pages[1];
  __global const float *src = (__global const float *)BASE(src) + t * a.src[0];
  __global char *pages = BASE(pages);
  for (long h = 0; h < a.heads; h++)
    for (long d = 0; d < a.d; d++)
      STORE(P, pages, to + h * a.pages[2] + d * a.pages[3], src[h * a.src[1] + d * a.src[2]]);
}
