/* pack.cl -- a matrix of any strides and type X becomes f32 without gaps, for the products of
 * matmul.cl. A work-item carries a tile of 16 rows and 64 columns. */

typedef struct panel {
  long rows, columns, row, column; /* the last two: strides of x */
  long count, dim[4], x[4];        /* repeated over */
} panel;

__kernel GROUP(1, 1) void pack(TENSOR(x), TENSOR(y), const panel t) {
  const long r0 = (long)get_global_id(1) * 16, c0 = (long)get_global_id(0) * 64;
  const long number = get_global_id(2);
  if (r0 >= t.rows || c0 >= t.columns || number >= t.count) return;
  long from = 0, i = number;
  for (int d = 3; d >= 0; d--) {
    const long q = i / t.dim[d];
    from += (i - q * t.dim[d]) * t.x[d];
    i = q;
  }
  const long r1 = min(r0 + 16, t.rows), c1 = min(c0 + 64, t.columns);
  __global float *y = (__global float *)BASE(y) + number * t.rows * t.columns;
  for (long r = r0; r < r1; r++)
    for (long c = c0; c < c1; c++)
      y[r * t.columns + c] = LOAD(X, BASE(x), from + r * t.row + c * t.column);
}
