/* tile.cl -- the products of matmul.cl and quant.cl on devices whose work-groups are many items. A
 * group of GX x GY items has GY * RM rows and GX * RN columns of y; strips of a and b, STRIP wide
 * along K, go through local memory. Each element is one sum in order of k, so it depends neither on
 * the tile nor on how many rows, columns or products there are. Options: GX, GY, RM, RN; A type of
 * a; B type of b, or Q where it is a block type. */

#define STRIP   16 /* what block_lanes decodes at a time */
#define ROWS    (GY * RM)
#define COLUMNS (GX * RN)

/* Of |width| rows (or columns) of an operand, |left| of them there, the strip of |deep| elements
 * from p + at on; 0 beyond. Neighbouring items read neighbours in memory. */
#define FETCH(to, type, p, at, width, left, across, along, deep)                                   \
  for (int i_ = me; i_ < STRIP * (width); i_ += GX * GY) {                                         \
    const int k_ = (along) == 1 ? i_ % STRIP : i_ / (width);                                       \
    const int r_ = (along) == 1 ? i_ / STRIP : i_ % (width);                                       \
    to[k_][r_] =                                                                                   \
        k_ < (deep) && r_ < (left) ? LOAD(type, p, (at) + r_ * (across) + k_ * (along)) : 0.0f;    \
  }

__kernel GROUP(GX, GY) void tile(TENSOR(a), TENSOR(b), TENSOR(bias), TENSOR(y), const product t) {
  __local float as[STRIP][ROWS + 1], bs[STRIP][COLUMNS + 1];
  const int mx = (int)get_local_id(0), my = (int)get_local_id(1), me = my * GX + mx;
  const long column = (long)get_group_id(0) * COLUMNS, row = (long)get_group_id(1) * ROWS;
  const long number = get_group_id(2);
  const bool there = column < t.n && row < t.m && number < t.count;
  const long deep = there ? t.k : 0;
  long a_off = 0, b_off = 0, y_off = 0;
  if (there) find_product(&t, number, &a_off, &b_off, &y_off);
  a_off += row * t.a_m;
  float s[RM][RN];
  for (int r = 0; r < RM; r++)
    for (int c = 0; c < RN; c++) s[r][c] = 0.0f;
  for (long k = 0; k < deep; k += STRIP) {
    FETCH(as, A, BASE(a), a_off + k * t.a_k, ROWS, t.m - row, t.a_m, t.a_k, t.k - k);
#ifdef Q
    for (int c = me; c < COLUMNS; c += GX * GY) {
      const long at = min(column + c, t.n - 1) * t.b_n + k;
      float v[STRIP];
      vstore16(block_lanes(BASE(b) + at / Q_ELEMS * Q_BYTES, (int)(at % Q_ELEMS / STRIP)), 0, v);
      for (int i = 0; i < STRIP; i++) bs[i][c] = v[i];
    }
#else
    FETCH(bs, B, BASE(b), b_off + column * t.b_n + k * t.b_k, COLUMNS, t.n - column, t.b_n, t.b_k,
          t.k - k);
#endif
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = 0; i < STRIP; i++) {
      float w[RN];
      for (int c = 0; c < RN; c++) w[c] = bs[i][mx + c * GX];
      for (int r = 0; r < RM; r++) {
        const float x = as[i][my + r * GY];
        for (int c = 0; c < RN; c++) s[r][c] = fma(x, w[c], s[r][c]);
      }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  if (!there) return;
  __global char *to = BASE(y) + y_off * (t.y_type == F32 ? 4 : 2);
  for (int r = 0; r < RM; r++)
    for (int c = 0; c < RN; c++) {
      const long i = row + my + r * GY, j = column + mx + c * GX;
      if (i < t.m && j < t.n) put_product(&t, BASE(bias), to, i, j, s[r][c]);
    }
}
