/* elementwise.cl -- an element of the output per work-item. -DX: type of what is read, -DY: of
 * what is written, -DOP_..: which kernels, since some drivers compile all there are. Each kernel
 * is there twice: for tensors without gaps (_dense) and for any strides. */

#define AT_DENSE(k) i
#define AT_ND(k)    nd_at(&s, k, i)
#define ITEM                                                                                       \
  const long i = (long)get_global_id(0);                                                           \
  if (i >= s.n) return;

/* ---- moving ---- */

#ifdef OP_COPY
#define COPY_KERNEL(name, AT)                                                                      \
  __kernel void name(const nd s, TENSOR(y), TENSOR(x)) {                                           \
    ITEM;                                                                                          \
    COPY(Y, BASE(y), AT(0), BASE(x), AT(1));                                                       \
  }
COPY_KERNEL(copy_dense, AT_DENSE)
COPY_KERNEL(copy_nd, AT_ND)
#endif

#ifdef OP_FILL
#define FILL_KERNEL(name, AT)                                                                      \
  __kernel void name(const nd s, const int bits, TENSOR(y)) {                                      \
    ITEM;                                                                                          \
    PUT(Y, BASE(y), AT(0), (uint)bits);                                                            \
  }
FILL_KERNEL(fill_dense, AT_DENSE)
FILL_KERNEL(fill_nd, AT_ND)
#endif

#ifdef OP_CAST
#define CAST_KERNEL(name, AT)                                                                      \
  __kernel void name(const nd s, TENSOR(y), TENSOR(x)) {                                           \
    ITEM;                                                                                          \
    STORE(Y, BASE(y), AT(0), LOAD(X, BASE(x), AT(1)));                                             \
  }
CAST_KERNEL(cast_dense, AT_DENSE)
CAST_KERNEL(cast_nd, AT_ND)
#endif

/* ---- BINARY ---- */

#ifdef OP_BINARY
#if X == I32
#define NUMBER     int
#define GET(p, at) (((__global const int *)(p))[at])
#define SET(p, at, v) (((__global int *)(p))[at] = (v))
/* Wraps around; a division by zero gives 0. */
inline int binary(int kind, int a, int b) {
  switch (kind) {
  case 1: return (int)((uint)a + (uint)b);
  case 2: return (int)((uint)a - (uint)b);
  case 3: return (int)((uint)a * (uint)b);
  case 4: return b == 0 ? 0 : b == -1 ? (int)(0u - (uint)a) : a / b;
  case 5: return max(a, b);
  default: return min(a, b);
  }
}
#else
#define NUMBER     float
#define GET(p, at) LOAD(X, p, at)
#define SET(p, at, v) STORE(X, p, at, v)
/* A NaN on either side of max and min stays one. */
inline float binary(int kind, float a, float b) {
  switch (kind) {
  case 1: return a + b;
  case 2: return a - b;
  case 3: return a * b;
  case 4: return a / b;
  case 5: return a > b || a != a ? a : b;
  default: return a < b || a != a ? a : b;
  }
}
#endif

#define BINARY_KERNEL(name, AT)                                                                    \
  __kernel void name(const nd s, const int kind, TENSOR(y), TENSOR(a), TENSOR(b)) {                \
    ITEM;                                                                                          \
    SET(BASE(y), AT(0), binary(kind, GET(BASE(a), AT(1)), GET(BASE(b), AT(2))));                   \
  }
BINARY_KERNEL(binary_dense, AT_DENSE)
BINARY_KERNEL(binary_nd, AT_ND)
#endif

/* ---- UNARY, AXPBY ---- */

#ifdef OP_UNARY
inline float sigmoid(float x) { return 1.0f / (1.0f + exp(-x)); }

inline float unary(int kind, float x) {
  switch (kind) {
  case 1: return -x;
  case 2: return exp(x);
  case 3: return log(x);
  case 4: return sqrt(x);
  case 5: return 1.0f / sqrt(x);
  case 6: return 1.0f / x;
  case 7: return x * x;
  case 8: return sigmoid(x);
  case 9: return x * sigmoid(x);
  case 10: return 0.5f * x * (1.0f + tanh(0.7978845608f * fma(0.044715f * x * x, x, x)));
  case 11: return tanh(x);
  case 12: return x > 0.0f || x != x ? x : 0.0f;
  case 13: return sin(x);
  case 14: return cos(x);
  case 15: return fabs(x);
  default: return x > 0.0f ? 1.0f : 0.0f;
  }
}

#define UNARY_KERNEL(name, AT)                                                                     \
  __kernel void name(const nd s, const int kind, TENSOR(y), TENSOR(x)) {                           \
    ITEM;                                                                                          \
    STORE(Y, BASE(y), AT(0), unary(kind, LOAD(X, BASE(x), AT(1))));                                \
  }
UNARY_KERNEL(unary_dense, AT_DENSE)
UNARY_KERNEL(unary_nd, AT_ND)
#endif

#ifdef OP_AXPBY
#define AXPBY_KERNEL(name, AT)                                                                     \
  __kernel void name(const nd s, const float alpha, const float beta, TENSOR(y), TENSOR(a),        \
                     TENSOR(b)) {                                                                  \
    ITEM;                                                                                          \
    const float v = fma(alpha, LOAD(X, BASE(a), AT(1)), beta * LOAD(Z, BASE(b), AT(2)));           \
    STORE(Y, BASE(y), AT(0), v);                                                                   \
  }
AXPBY_KERNEL(axpby_dense, AT_DENSE)
AXPBY_KERNEL(axpby_nd, AT_ND)
#endif

/* ---- MASK ---- */

#ifdef OP_MASK_TENSOR
__kernel void mask_tensor(const nd s, const int fill, TENSOR(y), TENSOR(x), TENSOR(keep)) {
  ITEM;
  const long to = ND_AT(s, 0, i), from = ND_AT(s, 1, i);
  const int kept = ((__global const int *)BASE(keep))[ND_AT(s, 2, i)];
  PUT_1(BASE(y), to, kept ? ((__global const uint *)BASE(x))[from] : (uint)fill);
}
#endif

#ifdef OP_MASK_LIMIT
/* Row r, of |columns|, keeps the columns below a limit: entry r / |rows_each| of |limit| (0 where
 * there is none), and, if causal, one more for every row of the |rows_each|. */
__kernel void mask_limit(const nd s, const nd m, const long columns, const long rows_each,
                         const int causal, const int fill, TENSOR(y), TENSOR(x), TENSOR(limit)) {
  ITEM;
  const long row = i / columns, column = i - row * columns;
  long end = causal ? row % rows_each + 1 : 0;
  if (limit_base) end += ((__global const int *)BASE(limit))[ND_AT(m, 0, row / rows_each)];
  const uint x_bits = ((__global const uint *)BASE(x))[ND_AT(s, 1, i)];
  PUT_1(BASE(y), ND_AT(s, 0, i), column < end ? x_bits : (uint)fill);
}
#endif
