/* quant.cl -- rows of a block type: decoded, gathered, multiplied with. Options: Q block type;
 * Y type of what `rows` writes; MR rows of a tile of `qdot`. */

/* ---- block types: sixteen neighbours decoded, number |t| of a block ----
 *
 * Every product is exact in float, so a decoded element has one value, however it is computed. */

#define Q_ELEMS (Q >= 18 ? 256 : 32)
#define Q_BYTES (Q == 16 ? 34 : Q == 17 ? 18 : Q == 18 ? 144 : 210)

inline float block_half(__global const char *p) { return vload_half(0, (__global const half *)p); }

/* Four bits of each of sixteen bytes. */
inline uchar16 block_nibbles(__global const char *p, int high) {
  const uchar16 q = vload16(0, (__global const uchar *)p);
  return high ? q >> (uchar)4 : q & (uchar)15;
}

#if Q == 16 /* Q8_0 */
inline float16 block_lanes(__global const char *p, int t) {
  return block_half(p) * convert_float16(vload16(0, p + 2 + 16 * t));
}
#elif Q == 17 /* Q4_0 */
inline float16 block_lanes(__global const char *p, int t) {
  return block_half(p) * (convert_float16(block_nibbles(p + 2, t)) - 8.0f);
}
#elif Q == 18 /* Q4_K: eight groups of 32 with a scale and a subtrahend of six bits each */
inline float16 block_lanes(__global const char *p, int t) {
  __global const uchar *s = (__global const uchar *)p + 4;
  const int b = t / 2;
  const int scale = b < 4 ? s[b] & 63 : (s[b + 4] & 15) | (s[b - 4] >> 6) << 4;
  const int less = b < 4 ? s[b + 4] & 63 : s[b + 4] >> 4 | (s[b] >> 6) << 4;
  const float16 q = convert_float16(block_nibbles(p + 16 + t / 4 * 32 + t % 2 * 16, b % 2));
  return block_half(p) * (float)scale * q - block_half(p + 2) * (float)less;
}
#else /* Q6_K: sixteen groups of 16 with a scale of eight bits each */
inline float16 block_lanes(__global const char *p, int t) {
  const int b = t / 2 % 4, i = t % 2 * 16;
  const uchar16 low = block_nibbles(p + t / 8 * 64 + b % 2 * 32 + i, b / 2);
  const uchar16 high = vload16(0, (__global const uchar *)p + 128 + t / 8 * 32 + i);
  const uchar16 q = low | (high >> (uchar)(2 * b) & (uchar)3) << (uchar)4;
  return block_half(p + 208) * (float)p[192 + t] * (convert_float16(q) - 32.0f);
}
#endif

/* ---- rows decoded: CAST, GATHER_ROWS, and panels for matmul.cl ---- */

typedef struct block_rows {
  nd shape; /* tensor 0: ids, or the rows of the table where there are none; 1: rows of y */
  long columns, table_rows, table_row, y_column, has_ids; /* strides in elements */
} block_rows;

__kernel GROUP(1, 1) void rows(TENSOR(table), TENSOR(ids), TENSOR(y), const block_rows a) {
  const long row = get_global_id(1), first = (long)get_global_id(0) * 256;
  if (row >= a.shape.n || first >= a.columns) return;
  long from = ND_AT(a.shape, 0, row);
  const long to = ND_AT(a.shape, 1, row), end = min(first + 256, a.columns);
  bool fine = true;
  if (a.has_ids) {
    const int id = ((__global const int *)BASE(ids))[from];
    fine = id >= 0 && id < a.table_rows;
    from = id * a.table_row;
  }
  __global char *y = BASE(y);
  for (long c = first; c < end; c += 16) {
    float v[16];
    float16 x = NAN;
    if (fine) {
      const long at = from + c;
      x = block_lanes(BASE(table) + at / Q_ELEMS * Q_BYTES, at % Q_ELEMS / 16);
    }
    vstore16(x, 0, v);
    for (int l = 0; l < 16; l++) STORE(Y, y, to + (c + l) * a.y_column, v[l]);
  }
}

/* ---- QMATMUL: the kernels `dot_*` of matmul.cl with b decoded in registers ---- */

typedef struct product {
  long m, n, k, block;
  long a_m, a_k, b_n, b_k, y_m, y_n, bias_n; /* bias_n < 0: none */
  long count, dim[4], a[4], b[4], y[4];
  long y_type;
} product;

__kernel GROUP(1, 1) void qdot(TENSOR(a), TENSOR(b), TENSOR(bias), TENSOR(y), const product t) {
  const long row = (long)get_global_id(0) * MR, first = (long)get_global_id(1) * t.block;
  const long end = min(t.n, first + t.block);
  if (row >= t.m || first >= t.n || (long)get_global_id(2) >= t.count) return;
  __global const float *a = (__global const float *)BASE(a);
  __global float *y = (__global float *)BASE(y);
  long ar[MR], i = get_global_id(2);
  for (int d = 3; d >= 0; d--) {
    const long q = i / t.dim[d], at = i - q * t.dim[d];
    a += at * t.a[d];
    y += at * t.y[d];
    i = q;
  }
  for (int r = 0; r < MR; r++) ar[r] = min(row + r, t.m - 1) * t.a_m;
  for (long j = first; j < end; j += 4) {
    float16 s[MR][4], x[MR];
    __global const char *block[4];
    for (int c = 0; c < 4; c++) {
      block[c] = BASE(b) + min(j + c, t.n - 1) * t.b_n / Q_ELEMS * Q_BYTES;
      for (int r = 0; r < MR; r++) s[r][c] = 0.0f;
    }
    for (long k = 0; k < t.k; k += Q_ELEMS) {
      for (int p = 0; p < Q_ELEMS / 16; p++) {
#pragma unroll
        for (int r = 0; r < MR; r++) x[r] = vload16(0, a + ar[r] + k + 16 * p);
#pragma unroll
        for (int c = 0; c < 4; c++) {
          const float16 w = block_lanes(block[c], p);
#pragma unroll
          for (int r = 0; r < MR; r++) s[r][c] = fma(x[r], w, s[r][c]);
        }
      }
      for (int c = 0; c < 4; c++) block[c] += Q_BYTES;
    }
    for (int r = 0; r < MR && row + r < t.m; r++)
      for (int c = 0; c < 4 && j + c < end; c++) {
        float v = sum16(s[r][c]);
        if (t.bias_n >= 0) v += ((__global const float *)BASE(bias))[(j + c) * t.bias_n];
        y[(row + r) * t.y_m + (j + c) * t.y_n] = v;
      }
  }
}
