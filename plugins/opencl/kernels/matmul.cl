/* matmul.cl -- y = a b + bias. Options: B, Y element types; MR rows of a tile.
 *
 * a is f32. Two families, by where b lies close together; in neither does the order of a sum depend
 * on how many rows, columns or products there are:
 *   dot    b [N, K]: sixteen sums per element, sum l has the terms k = l mod 16 in order of k; then
 *          pairs (l, l+8), (l, l+4), (l, l+2), (0, 1). A row of a stands along K as well.
 *   outer  b [K, N]: one sum per element in order of k; sixteen columns at a time.
 * A work-item has MR rows and |block| columns. */

/* Extents, strides in elements, and the dims the product is repeated over. */
typedef struct product {
  long m, n, k, block;
  long a_m, a_k, b_n, b_k, y_m, y_n, bias_n; /* bias_n < 0: none */
  long count, dim[4], a[4], b[4], y[4];
} product;

/* Adds to the three offsets where product number |i| lies. */
inline void find_product(const product *t, long i, long *a, long *b, long *y) {
  for (int d = 3; d >= 0; d--) {
    const long q = i / t->dim[d], at = i - q * t->dim[d];
    *a += at * t->a[d];
    *b += at * t->b[d];
    *y += at * t->y[d];
    i = q;
  }
}

inline void put(const product *t, __global const char *bias, __global char *y, long i, long j,
                float v) {
  if (t->bias_n >= 0) v += ((__global const float *)bias)[j * t->bias_n];
  STORE(Y, y, i * t->y_m + j * t->y_n, v);
}

#define OPERANDS TENSOR(a), TENSOR(b), TENSOR(bias), TENSOR(y), const product t
#define FIND                                                                                       \
  const long row = (long)get_global_id(0) * MR, first = (long)get_global_id(1) * t.block;          \
  const long end = min(t.n, first + t.block);                                                      \
  if (row >= t.m || first >= t.n || (long)get_global_id(2) >= t.count) return;                     \
  long a_off = 0, b_off = 0, y_off = 0, ar[MR];                                                    \
  find_product(&t, get_global_id(2), &a_off, &b_off, &y_off);                                      \
  __global const float *a = (__global const float *)BASE(a) + a_off;                               \
  __global const char *b = BASE(b) + b_off * SIZE(B);                                              \
  __global char *y = BASE(y) + y_off * SIZE(Y);                                                    \
  for (int r = 0; r < MR; r++) ar[r] = min(row + r, t.m - 1) * t.a_m

/* Beyond the last row and column the last ones are worked out again, and not stored. */
__kernel void dot(OPERANDS) {
  FIND;
  for (long j = first; j < end; j += 4) {
    float16 s[MR][4], x[MR], w;
    long br[4], k = 0;
    for (int c = 0; c < 4; c++) {
      br[c] = min(j + c, t.n - 1) * t.b_n;
      for (int r = 0; r < MR; r++) s[r][c] = 0.0f;
    }
    for (; k + 16 <= t.k; k += 16) {
#pragma unroll
      for (int r = 0; r < MR; r++) x[r] = vload16(0, a + ar[r] + k);
#pragma unroll
      for (int c = 0; c < 4; c++) {
        w = LANES(B, b, br[c] + k);
#pragma unroll
        for (int r = 0; r < MR; r++) s[r][c] = fma(x[r], w, s[r][c]);
      }
    }
    if (k < t.k) {
      for (int r = 0; r < MR; r++) SOME(1, a, ar[r] + k, 1, t.k - k, 0.0f, x[r]);
      for (int c = 0; c < 4; c++) {
        SOME(B, b, br[c] + k, 1, t.k - k, 0.0f, w);
        for (int r = 0; r < MR; r++) s[r][c] = fma(x[r], w, s[r][c]);
      }
    }
    for (int r = 0; r < MR && row + r < t.m; r++)
      for (int c = 0; c < 4 && j + c < end; c++)
        put(&t, BASE(bias), y, row + r, j + c, sum16(s[r][c]));
  }
}

/* NV times sixteen columns in registers. */
#define NV (MR == 1 ? 4 : 2)

__kernel void outer(OPERANDS) {
  FIND;
  for (long j = first; j < end; j += 16 * NV) {
    float16 s[MR][NV], w[NV];
    for (int r = 0; r < MR; r++)
      for (int c = 0; c < NV; c++) s[r][c] = 0.0f;
    const bool whole = j + 16 * NV <= t.n;
    for (long k = 0; k < t.k; k++) {
      if (whole) {
#pragma unroll
        for (int c = 0; c < NV; c++) w[c] = LANES(B, b, k * t.b_k + j + 16 * c);
      } else {
        for (int c = 0; c < NV; c++)
          SOME(B, b, k * t.b_k + j + 16 * c, 1, t.n - j - 16 * c, 0.0f, w[c]);
      }
#pragma unroll
      for (int r = 0; r < MR; r++) {
        const float16 x = a[ar[r] + k * t.a_k];
#pragma unroll
        for (int c = 0; c < NV; c++) s[r][c] = fma(x, w[c], s[r][c]);
      }
    }
    for (int r = 0; r < MR && row + r < t.m; r++)
      for (int c = 0; c < NV; c++) {
        float v[16];
        vstore16(s[r][c], 0, v);
        for (int l = 0; l < 16 && j + 16 * c + l < end; l++)
          put(&t, BASE(bias), y, row + r, j + 16 * c + l, v[l]);
      }
  }
}
