/* matmul.cl -- y = a b + bias. Option: B element type.
 *
 * a is f32. Two families, by where b lies close together; in neither does the order of a sum depend
 * on how many rows, columns or products there are:
 *   dot_*    b [N, K]: sixteen sums per element, sum l has the terms k = l mod 16 in order of k;
 *            then pairs (l, l+8), (l, l+4), (l, l+2), (0, 1). A row of a stands along K as well.
 *   outer_*  b [K, N]: one sum per element in order of k; sixteen columns at a time.
 * A work-item has some rows and |block| columns. */

/* Where a work-item's operands are. */
typedef struct place {
  __global const float *a;
  __global const char *b, *bias;
  __global char *y;
  long row, first, end;
} place;

#define OPERANDS TENSOR(a), TENSOR(b), TENSOR(bias), TENSOR(y), const product t
#define FIND(rows)                                                                                 \
  place p = {.row = (long)get_global_id(0) * rows, .first = (long)get_global_id(1) * t.block};     \
  if (p.row >= t.m || p.first >= t.n || (long)get_global_id(2) >= t.count) return;                 \
  long a_off = 0, b_off = 0, y_off = 0;                                                            \
  find_product(&t, get_global_id(2), &a_off, &b_off, &y_off);                                      \
  p.end = min(t.n, p.first + t.block);                                                             \
  p.a = (__global const float *)BASE(a) + a_off;                                                   \
  p.b = BASE(b) + b_off * SIZE(B);                                                                 \
  p.bias = BASE(bias);                                                                             \
  p.y = BASE(y) + y_off * (t.y_type == F32 ? 4 : 2)

/* Beyond the last row and column the last ones are worked out again, and not stored. */
#define DOT(name, rows)                                                                            \
  __kernel GROUP(1, 1) void name(OPERANDS) {                                                       \
    FIND(rows);                                                                                    \
    long ar[4];                                                                                    \
    for (int r = 0; r < rows; r++) ar[r] = min(p.row + r, t.m - 1) * t.a_m;                        \
    for (long j = p.first; j < p.end; j += 4) {                                                    \
      float16 s[4][4], x[4], w;                                                                    \
      long br[4], k = 0;                                                                           \
      for (int c = 0; c < 4; c++) {                                                                \
        br[c] = min(j + c, t.n - 1) * t.b_n;                                                       \
        for (int r = 0; r < rows; r++) s[r][c] = 0.0f;                                             \
      }                                                                                            \
      for (; k + 16 <= t.k; k += 16) {                                                             \
        _Pragma("unroll") for (int r = 0; r < rows; r++) x[r] = vload16(0, p.a + ar[r] + k);       \
        _Pragma("unroll") for (int c = 0; c < 4; c++) {                                            \
          w = LANES(B, p.b, br[c] + k);                                                            \
          _Pragma("unroll") for (int r = 0; r < rows; r++) s[r][c] = fma(x[r], w, s[r][c]);        \
        }                                                                                          \
      }                                                                                            \
      if (k < t.k) {                                                                               \
        for (int r = 0; r < rows; r++) SOME(1, p.a, ar[r] + k, 1, t.k - k, 0.0f, x[r]);            \
        for (int c = 0; c < 4; c++) {                                                              \
          SOME(B, p.b, br[c] + k, 1, t.k - k, 0.0f, w);                                            \
          for (int r = 0; r < rows; r++) s[r][c] = fma(x[r], w, s[r][c]);                          \
        }                                                                                          \
      }                                                                                            \
      for (int r = 0; r < rows; r++)                                                               \
        for (int c = 0; c < 4; c++)                                                                \
          if (p.row + r < t.m && j + c < p.end)                                                    \
            put_product(&t, p.bias, p.y, p.row + r, j + c, sum16(s[r][c]));                        \
    }                                                                                              \
  }

/* |vectors| times sixteen columns at a time. */
#define OUTER(name, rows, vectors)                                                                 \
  __kernel GROUP(1, 1) void name(OPERANDS) {                                                       \
    FIND(rows);                                                                                    \
    long ar[8];                                                                                    \
    for (int r = 0; r < rows; r++) ar[r] = min(p.row + r, t.m - 1) * t.a_m;                        \
    for (long j = p.first; j < p.end; j += 16 * vectors) {                                         \
      float16 s[8][4], w[4];                                                                       \
      for (int r = 0; r < rows; r++)                                                               \
        for (int c = 0; c < vectors; c++) s[r][c] = 0.0f;                                          \
      const bool whole = j + 16 * vectors <= t.n;                                                  \
      for (long k = 0; k < t.k; k++) {                                                             \
        const long at = k * t.b_k + j;                                                             \
        if (whole) {                                                                               \
          _Pragma("unroll") for (int c = 0; c < vectors; c++) w[c] = LANES(B, p.b, at + 16 * c);   \
        } else {                                                                                   \
          _Pragma("unroll") for (int c = 0; c < vectors; c++)                                      \
            SOME(B, p.b, at + 16 * c, 1, t.n - j - 16 * c, 0.0f, w[c]);                            \
        }                                                                                          \
        _Pragma("unroll") for (int r = 0; r < rows; r++) {                                         \
          const float16 x = p.a[ar[r] + k * t.a_k];                                                \
          _Pragma("unroll") for (int c = 0; c < vectors; c++) s[r][c] = fma(x, w[c], s[r][c]);     \
        }                                                                                          \
      }                                                                                            \
      for (int r = 0; r < rows; r++)                                                               \
        for (int c = 0; c < vectors; c++) {                                                        \
          float v[16];                                                                             \
          vstore16(s[r][c], 0, v);                                                                 \
          for (int l = 0; l < 16 && j + 16 * c + l < p.end && p.row + r < t.m; l++)                \
            put_product(&t, p.bias, p.y, p.row + r, j + 16 * c + l, v[l]);                         \
        }                                                                                          \
    }                                                                                              \
  }

DOT(dot_tiles, 4)
DOT(dot_row, 1)
OUTER(outer_tiles, 8, 2)
OUTER(outer_row, 1, 4)
