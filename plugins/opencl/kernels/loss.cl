/* loss.cl -- CROSS_ENTROPY and its gradient. A work-group has a row of logits; the rows' losses are
 * added in order. */

#ifdef OCL_FP64
typedef double wide;
#else
typedef float wide;
#endif

typedef struct loss {
  long rows, columns, x_row, x_column, target, dx_row, dx_column; /* strides in elements */
} loss;

#define TARGET(row) (((__global const int *)BASE(targets))[(row) * a.target])
#define TAKE(c, to)                                                                                \
  do {                                                                                             \
    if (a.x_column == 1 && (c) + 16 <= a.columns) to = vload16(0, x + (c));                        \
    else SOME(1, x, (c) * a.x_column, a.x_column, a.columns - (c), -INFINITY, to);                 \
  } while (0)
#define EACH for (long c = 16 * me; c < a.columns; c += 16 * team)

/* The largest logit of the row and the sum of e^(x - largest), to all of the group. A NaN counts as
 * inf: either makes the sum a NaN. */
#define SOFTMAX_SUMS                                                                               \
  const int me = (int)get_local_id(0), team = TEAM;                                                \
  __global const float *x = (__global const float *)BASE(x) + row * a.x_row;                       \
  float16 v, top16 = -INFINITY, sum16s = 0.0f;                                                     \
  float top, sum = 0.0f;                                                                           \
  EACH {                                                                                           \
    TAKE(c, v);                                                                                    \
    top16 = fmax(top16, select(v, (float16)INFINITY, isnan(v)));                                   \
  }                                                                                                \
  part[me] = max16(top16);                                                                         \
  ALL_HERE;                                                                                        \
  top = part[0];                                                                                   \
  for (int i = 1; i < team; i++) top = fmax(top, part[i]);                                         \
  ALL_HERE;                                                                                        \
  EACH {                                                                                           \
    TAKE(c, v);                                                                                    \
    sum16s += exp(v - top);                                                                        \
  }                                                                                                \
  part[me] = sum16(sum16s);                                                                        \
  ALL_HERE;                                                                                        \
  for (int i = 0; i < team; i++) sum += part[i]

/* losses[row] = log sum exp - logit of the target; 0 where the row does not count. */
__kernel GROUP(TEAM, 1) void loss_rows(TENSOR(x), TENSOR(targets), TENSOR(losses), const loss a,
                                       __local float *part) {
  const long row = get_group_id(0);
  if (row >= a.rows) return;
  __global float *losses = (__global float *)BASE(losses);
  const int target = TARGET(row);
  if (target < 0 || target >= a.columns) {
    if (get_local_id(0) == 0) losses[row] = 0.0f;
    return;
  }
  SOFTMAX_SUMS;
  if (me == 0) losses[row] = log(sum) + (top - x[target * a.x_column]);
}

/* *mean of the rows that count. */
__kernel GROUP(1, 1) void loss_mean(TENSOR(losses), TENSOR(targets), TENSOR(mean), const loss a,
                                    int store) {
  if (get_global_id(0) > 0 || !store) return;
  wide sum = 0;
  long count = 0;
  for (long row = 0; row < a.rows; row++) {
    const int target = TARGET(row);
    if (target < 0 || target >= a.columns) continue;
    count++;
    sum += ((__global const float *)BASE(losses))[row];
  }
  *(__global float *)BASE(mean) = count ? (float)(sum / (wide)count) : 0.0f;
}

/* *factor = upstream / number of rows that count. */
__kernel GROUP(1, 1) void loss_factor(TENSOR(targets), TENSOR(upstream), TENSOR(factor),
                                      const loss a) {
  if (get_global_id(0) > 0 || a.rows == 0) return;
  long count = 0;
  for (long row = 0; row < a.rows; row++) {
    const int target = TARGET(row);
    count += target >= 0 && target < a.columns;
  }
  *(__global float *)BASE(factor) =
      *(__global const float *)BASE(upstream) / (float)max(1L, count);
}

__kernel GROUP(TEAM, 1) void loss_bwd(TENSOR(x), TENSOR(targets), TENSOR(factor), TENSOR(dx),
                                      const loss a, __local float *part) {
  const long row = get_group_id(0);
  if (row >= a.rows) return;
  const int target = TARGET(row);
  const bool counts = target >= 0 && target < a.columns;
  const float factor = *(__global const float *)BASE(factor);
  __global float *dx = (__global float *)BASE(dx) + row * a.dx_row;
  SOFTMAX_SUMS;
  EACH {
    float d[16];
    TAKE(c, v);
    v = counts ? exp(v - top) * (factor / sum) : (float16)0.0f;
    if (counts && target >= c && target < c + 16) {
      vstore16(v, 0, d);
      d[target - c] -= factor;
      v = vload16(0, d);
    }
    if (a.dx_column == 1 && c + 16 <= a.columns) {
      vstore16(v, 0, dx + c);
    } else {
      vstore16(v, 0, d);
      for (int l = 0; l < 16 && c + l < a.columns; l++) dx[(c + l) * a.dx_column] = d[l];
    }
  }
}
