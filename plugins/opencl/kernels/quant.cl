/* quant.cl -- rows of a block type: decoded, gathered, multiplied with. Options: Q block type;
 * Y type of what `rows` writes; MR rows of a tile of `qdot`. */

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
