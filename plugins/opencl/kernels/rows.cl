/* rows.cl -- rows taken from a table and put into one. -DX: type of what is read, -DY: of what is
 * written, -DOP_..: which kernels. */

#if X == Y
#define MOVE(q, j, p, i) COPY(Y, q, j, p, i)
#else
#define MOVE(q, j, p, i) STORE(Y, q, j, LOAD(X, p, i))
#endif

#ifdef OP_GATHER
/* Row r of y is row ids[r] of the table, or |nothing|. s walks rows of y (0) and ids (1); _step:
 * elements from column to column, _row: from row to row. */
__kernel void gather(const nd s, const long columns, const long rows, const long x_row,
                     const long x_step, const long y_step, const int nothing, TENSOR(y), TENSOR(x),
                     TENSOR(ids)) {
  const long c = (long)get_global_id(0), r = (long)get_global_id(1);
  if (c >= columns || r >= s.n) return;
  const long id = ((__global const int *)BASE(ids))[ND_AT(s, 1, r)];
  const long to = ND_AT(s, 0, r) + c * y_step;
  if (id >= 0 && id < rows)
    MOVE(BASE(y), to, BASE(x), id * x_row + c * x_step);
  else
    PUT(Y, BASE(y), to, (uint)nothing);
}
#endif

#ifdef OP_SCATTER
/* What is to be done for each of the n ids: first[i] is 1 where row ids[i] is met for the first
 * time, next[i] the next i with the same id, -1: none. */
__kernel void scatter_chain(const int n, const long rows, const long ids_step, TENSOR(first),
                            TENSOR(ids)) {
  const int i = (int)get_global_id(0);
  if (i >= n) return;
  __global const int *id = (__global const int *)BASE(ids);
  __global int *start = (__global int *)BASE(first), *next = start + n;
  const int mine = id[i * ids_step];
  int is_first = mine >= 0 && mine < rows, following = -1;
  for (int j = 0; is_first && j < i; j++)
    if (id[j * ids_step] == mine) is_first = 0;
  for (int j = i + 1; j < n; j++)
    if (id[j * ids_step] == mine) {
      following = j;
      break;
    }
  start[i] = is_first;
  next[i] = following;
}

/* Every row met, by the work-items of the first i that names it, in order of i. The base is in y
 * already. */
__kernel void scatter(const int n, const long columns, const long ids_step, const long x_row,
                      const long x_step, const long y_row, const long y_step, const int add,
                      TENSOR(y), TENSOR(x), TENSOR(ids), TENSOR(first)) {
  const long c = (long)get_global_id(0);
  int i = (int)get_global_id(1);
  if (c >= columns || i >= n) return;
  __global const int *start = (__global const int *)BASE(first), *next = start + n;
  if (!start[i]) return;
  const long id = ((__global const int *)BASE(ids))[i * ids_step];
  const long to = id * y_row + c * y_step;
  float sum = add ? LOAD(Y, BASE(y), to) : 0.0f;
  for (; i >= 0; i = next[i]) {
    const float v = LOAD(X, BASE(x), i * x_row + c * x_step);
    sum = add ? sum + v : v;
  }
  STORE(Y, BASE(y), to, sum);
}
#endif
