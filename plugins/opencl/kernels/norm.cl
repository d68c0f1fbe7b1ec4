/* norm.cl -- RMSNORM: y = x r w, r = 1/sqrt(mean(x^2) + eps). LAYERNORM: y = (x - m) r w + b,
 * r = 1/sqrt(mean((x - m)^2) + eps).
 *
 * Gradients, with h = (x - m) r (m = 0 for RMSNORM) and g = dy w:
 *   dx = r (g - h mean(g h)), and for LAYERNORM r (g - mean(g) - h mean(g h))
 *   dw = sum over rows of dy h,  db = sum over rows of dy, in order of the rows
 * Option: CENTRED 1 for LAYERNORM, else 0.
 * A work-group has a row; its work-items take sixteen columns at a time. */

typedef struct norm {
  nd rows; /* tensors 0: x, 1: y or dx, 2: dy */
  long columns, x, y, dy, w, b, db; /* strides of columns; of db in the last */
  int has_b, has_dx, has_dw, has_db, rsv;
  float eps;
} norm;

#define AS_FLOAT(name) ((__global const float *)BASE(name))
/* Sixteen columns from |c| on, |rest| behind the end. */
#define TAKE(p, at, step, c, rest, to)                                                             \
  do {                                                                                             \
    if ((step) == 1 && (c) + 16 <= a.columns) to = vload16(0, (p) + (at) + (c));                   \
    else SOME(1, p, (at) + (c) * (step), step, a.columns - (c), rest, to);                         \
  } while (0)
#define KEEP(p, at, step, c, from)                                                                 \
  do {                                                                                             \
    if ((step) == 1 && (c) + 16 <= a.columns) {                                                    \
      vstore16(from, 0, (p) + (at) + (c));                                                         \
    } else {                                                                                       \
      float some_[16];                                                                             \
      vstore16(from, 0, some_);                                                                    \
      _Pragma("unroll 1") for (int l_ = 0; l_ < 16 && (c) + l_ < a.columns; l_++)                  \
        (p)[(at) + ((c) + l_) * (step)] = some_[l_];                                               \
    }                                                                                              \
  } while (0)
/* The sum of |v| over the group, the same for all its work-items. */
#define GROUP_SUM(v, to)                                                                           \
  do {                                                                                             \
    part[me] = v;                                                                                  \
    ALL_HERE;                                                                                      \
    to = 0.0f;                                                                                     \
    for (int i_ = 0; i_ < team; i_++) to += part[i_];                                              \
    ALL_HERE;                                                                                      \
  } while (0)
#define EACH for (long c = 16 * me; c < a.columns; c += 16 * team)

#if CENTRED
#define MEAN(from)                                                                                 \
  EACH {                                                                                           \
    TAKE(x, from, a.x, c, 0.0f, v);                                                                \
    sum += v;                                                                                      \
  }                                                                                                \
  GROUP_SUM(sum16(sum), mean);                                                                     \
  mean /= (float)a.columns;                                                                        \
  sum = 0.0f;
#else
#define MEAN(from)
#endif
/* Mean (0 for RMSNORM) and r of the row of x at |from|. */
#define MOMENTS(from)                                                                              \
  float mean = 0.0f, r;                                                                            \
  float16 sum = 0.0f, v;                                                                           \
  MEAN(from)                                                                                       \
  EACH {                                                                                           \
    TAKE(x, from, a.x, c, mean, v);                                                                \
    sum = fma(v - mean, v - mean, sum);                                                            \
  }                                                                                                \
  GROUP_SUM(sum16(sum), r);                                                                        \
  r = 1.0f / sqrt(r / (float)a.columns + a.eps)

__kernel GROUP(TEAM, 1) void norm_rows(TENSOR(x), TENSOR(w), TENSOR(b), TENSOR(y), const norm a,
                                       __local float *part) {
  const long row = get_group_id(0);
  if (row >= a.rows.n) return;
  const int me = (int)get_local_id(0), team = TEAM;
  const long from = ND_AT(a.rows, 0, row), to = ND_AT(a.rows, 1, row);
  __global const float *x = AS_FLOAT(x);
  __global float *y = (__global float *)BASE(y);
  MOMENTS(from);
  EACH {
    float16 factor, shift = 0.0f;
    TAKE(x, from, a.x, c, 0.0f, v);
    TAKE(AS_FLOAT(w), 0, a.w, c, 0.0f, factor);
    if (a.has_b) TAKE(AS_FLOAT(b), 0, a.b, c, 0.0f, shift);
    v = (v - mean) * r;
    v = a.has_b ? fma(v, factor, shift) : v * factor;
    KEEP(y, to, a.y, c, v);
  }
}

/* dx, and mean and r of every row for norm_dw. */
__kernel GROUP(TEAM, 1) void norm_dx(TENSOR(x), TENSOR(w), TENSOR(dy), TENSOR(dx), TENSOR(moments),
                                     const norm a, __local float *part) {
  const long row = get_group_id(0);
  if (row >= a.rows.n) return;
  const int me = (int)get_local_id(0), team = TEAM;
  const long from = ND_AT(a.rows, 0, row), to = ND_AT(a.rows, 1, row);
  const long flow = ND_AT(a.rows, 2, row);
  __global const float *x = AS_FLOAT(x);
  __global float *dx = (__global float *)BASE(dx);
  MOMENTS(from);
  if (me == 0) {
    ((__global float *)BASE(moments))[2 * row] = mean;
    ((__global float *)BASE(moments))[2 * row + 1] = r;
  }
  float16 g, factor, sum_g = 0.0f, sum_gh = 0.0f;
  float mean_g = 0.0f, mean_gh;
  EACH {
    TAKE(x, from, a.x, c, mean, v);
    TAKE(AS_FLOAT(dy), flow, a.dy, c, 0.0f, g);
    TAKE(AS_FLOAT(w), 0, a.w, c, 0.0f, factor);
    g *= factor;
    sum_g += g;
    sum_gh = fma(g, (v - mean) * r, sum_gh);
  }
#if CENTRED
  GROUP_SUM(sum16(sum_g), mean_g);
#endif
  GROUP_SUM(sum16(sum_gh), mean_gh);
  mean_g /= (float)a.columns;
  mean_gh /= (float)a.columns;
  EACH {
    TAKE(x, from, a.x, c, 0.0f, v);
    TAKE(AS_FLOAT(dy), flow, a.dy, c, 0.0f, g);
    TAKE(AS_FLOAT(w), 0, a.w, c, 0.0f, factor);
    v = (v - mean) * r;
    v = r * (g * factor - mean_g - v * mean_gh);
    if (a.has_dx) KEEP(dx, to, a.y, c, v);
  }
}

/* Sixteen columns of dw and db to a work-item. */
__kernel GROUP(1, 1) void norm_dw(TENSOR(x), TENSOR(dy), TENSOR(moments), TENSOR(dw), TENSOR(db),
                                  const norm a) {
  const long c = 16L * get_global_id(0);
  if (c >= a.columns) return;
  float16 sum = 0.0f, shift = 0.0f, v, g;
  for (long row = 0; row < a.rows.n; row++) {
    const float mean = AS_FLOAT(moments)[2 * row], r = AS_FLOAT(moments)[2 * row + 1];
    const long from = ND_AT(a.rows, 0, row), flow = ND_AT(a.rows, 2, row);
    TAKE(AS_FLOAT(x), from, a.x, c, mean, v);
    TAKE(AS_FLOAT(dy), flow, a.dy, c, 0.0f, g);
    sum = fma(g, (v - mean) * r, sum);
    shift += g;
  }
  if (a.has_dw) KEEP((__global float *)BASE(dw), 0, a.w, c, sum);
  if (a.has_db) KEEP((__global float *)BASE(db), 0, a.db, c, shift);
}
