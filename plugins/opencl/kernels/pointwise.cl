/* pointwise.cl -- SWIGLU, SWIGLU_BWD, UNARY_BWD: sixteen elements to a work-item. Option: X element
 * type of all tensors. */

#define GET(name, k, to)                                                                           \
  do {                                                                                             \
    if (whole) {                                                                                   \
      to = LANES(X, BASE(name), i);                                                                \
    } else {                                                                                       \
      float some_[16];                                                                             \
      for (int l_ = 0; l_ < 16; l_++)                                                              \
        some_[l_] = l_ < n ? LOAD(X, BASE(name), ND_AT(shape, k, i + l_)) : 0.0f;                  \
      to = vload16(0, some_);                                                                      \
    }                                                                                              \
  } while (0)
#define SET(name, k, from)                                                                         \
  do {                                                                                             \
    float some_[16];                                                                               \
    __global char *to_ = BASE(name);                                                               \
    if (whole && X == F32) {                                                                       \
      vstore16(from, 0, (__global float *)to_ + i);                                                \
    } else {                                                                                       \
      vstore16(from, 0, some_);                                                                    \
      for (int l_ = 0; l_ < n; l_++) STORE(X, to_, ND_AT(shape, k, i + l_), some_[l_]);            \
    }                                                                                              \
  } while (0)
#define PLACE                                                                                      \
  const long i = 16L * get_global_id(0);                                                           \
  if (i >= shape.n) return;                                                                        \
  const bool whole = shape.dense && i + 16 <= shape.n;                                             \
  const int n = (int)min(16L, shape.n - i)

inline float16 sigmoid(float16 x) { return 1.0f / (1.0f + exp(-x)); }

/* tensors of the shape 0: gate, 1: up, 2: y */
__kernel GROUP(16, 1) void swiglu(TENSOR(gate), TENSOR(up), TENSOR(y), const nd shape) {
  PLACE;
  float16 g, u;
  GET(gate, 0, g);
  GET(up, 1, u);
  g = g * sigmoid(g) * u;
  SET(y, 2, g);
}

/* |side| 0: dgate, 1: dup; tensors of the shape 0: gate, 1: up, 2: dy, 3: the output */
__kernel GROUP(16, 1) void swiglu_bwd(TENSOR(gate), TENSOR(up), TENSOR(dy), TENSOR(dx),
                                      const nd shape, int side) {
  PLACE;
  float16 g, u, d;
  GET(gate, 0, g);
  GET(up, 1, u);
  GET(dy, 2, d);
  const float16 s = sigmoid(g);
  d = side ? d * (g * s) : d * u * (s * (1.0f + g * (1.0f - s)));
  SET(dx, 3, d);
}

/* f'(x) */
inline float16 slope(int kind, float16 x) {
  switch (kind) {
  case 1: return -1.0f;                            /* NEG */
  case 2: return exp(x);                           /* EXP */
  case 3: return 1.0f / x;                         /* LOG */
  case 4: return 0.5f / sqrt(x);                   /* SQRT */
  case 5: return -0.5f / (x * sqrt(x));            /* RSQRT */
  case 6: return -1.0f / (x * x);                  /* RECIP */
  case 7: return 2.0f * x;                         /* SQUARE */
  case 8: return sigmoid(x) * (1.0f - sigmoid(x)); /* SIGMOID */
  case 9: {                                        /* SILU */
    const float16 s = sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
  }
  case 10: { /* GELU */
    const float16 u = 0.79788456080286535588f * fma(0.044715f * x, x * x, x);
    const float16 t = tanh(u);
    const float16 du = 0.79788456080286535588f * fma((float16)0.134145f, x * x, (float16)1.0f);
    return fma(0.5f * x * (1.0f - t * t), du, 0.5f * (1.0f + t));
  }
  case 11: { /* TANH */
    const float16 t = tanh(x);
    return 1.0f - t * t;
  }
  case 12: return select((float16)0.0f, (float16)1.0f, x > 0.0f); /* RELU */
  case 13: return cos(x);                                         /* SIN */
  case 14: return -sin(x);                                        /* COS */
  case 15: return sign(x);                                        /* ABS */
  default: return 0.0f;                                           /* STEP */
  }
}

/* tensors of the shape 0: x, 1: dy, 2: dx */
__kernel GROUP(16, 1) void unary_bwd(TENSOR(x), TENSOR(dy), TENSOR(dx), const nd shape, int kind) {
  PLACE;
  float16 x, d;
  GET(x, 0, x);
  GET(dy, 1, d);
  d *= slope(kind, x);
  SET(dx, 2, d);
}
