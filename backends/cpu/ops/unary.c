/* unary.c -- y = f(x) and dx = f'(x) dy, a kernel of map.h per kind. LOG, SIN and COS go through
 * the scalar functions of libm, which are the same code for every variant. */
#include "unary.h"

#include "map.h"

#define GELU_SCALE 0.7978845608028654f /* sqrt(2/pi) */
#define GELU_CUBIC 0.044715f

#define ONE       lanes_set1(1.0f)
#define HALF      lanes_set1(0.5f)
#define MUL(a, b) lanes_mul(a, b)

/* ---- f(x) ---- */

#define FORWARD(name, ...)                                                                         \
  static void name(const void *ctx, const float *const *in, float *const *out, int64_t n) {        \
    (void)ctx;                                                                                     \
    for (int64_t i = 0; i < n; i += LANES) {                                                       \
      const lanes x = cpu_take(in[0] + i, n - i);                                                  \
      cpu_put(out[0] + i, __VA_ARGS__, n - i);                                                     \
    }                                                                                              \
  }
#define FORWARD_SCALAR(name, f)                                                                    \
  static void name(const void *ctx, const float *const *in, float *const *out, int64_t n) {        \
    (void)ctx;                                                                                     \
    for (int64_t i = 0; i < n; i++) out[0][i] = f(in[0][i]);                                       \
  }

/* tanh(sqrt(2/pi) (x + 0.044715 x^3)) */
static inline lanes gelu_tanh(lanes x) {
  const lanes cubic = MUL(MUL(lanes_set1(GELU_CUBIC), MUL(x, x)), x);
  return lanes_tanh(MUL(lanes_set1(GELU_SCALE), lanes_add(x, cubic)));
}

FORWARD(neg, lanes_neg(x))
FORWARD(exponential, lanes_exp(x))
FORWARD_SCALAR(logarithm, logf)
FORWARD(square_root, lanes_sqrt(x))
FORWARD(reciprocal_root, lanes_div(ONE, lanes_sqrt(x)))
FORWARD(reciprocal, lanes_div(ONE, x))
FORWARD(square, MUL(x, x))
FORWARD(sigmoid, lanes_sigmoid(x))
FORWARD(silu, MUL(x, lanes_sigmoid(x)))
FORWARD(gelu, MUL(MUL(HALF, x), lanes_add(ONE, gelu_tanh(x))))
FORWARD(hyperbolic_tangent, lanes_tanh(x))
FORWARD(relu, lanes_max(lanes_zero(), x)) /* in this order a NaN stays one */
FORWARD_SCALAR(sine, sinf)
FORWARD_SCALAR(cosine, cosf)
FORWARD(absolute, lanes_abs(x))
FORWARD(step, lanes_gt_select(x, lanes_zero(), ONE, lanes_zero()))

static const cpu_map_kernel forward[] = {
    [FORGE_UNARY_NEG] = neg,
    [FORGE_UNARY_EXP] = exponential,
    [FORGE_UNARY_LOG] = logarithm,
    [FORGE_UNARY_SQRT] = square_root,
    [FORGE_UNARY_RSQRT] = reciprocal_root,
    [FORGE_UNARY_RECIP] = reciprocal,
    [FORGE_UNARY_SQUARE] = square,
    [FORGE_UNARY_SIGMOID] = sigmoid,
    [FORGE_UNARY_SILU] = silu,
    [FORGE_UNARY_GELU] = gelu,
    [FORGE_UNARY_TANH] = hyperbolic_tangent,
    [FORGE_UNARY_RELU] = relu,
    [FORGE_UNARY_SIN] = sine,
    [FORGE_UNARY_COS] = cosine,
    [FORGE_UNARY_ABS] = absolute,
    [FORGE_UNARY_STEP] = step,
};

/* ---- f'(x) dy ---- */

#define BACKWARD(name, ...)                                                                        \
  static void name(const void *ctx, const float *const *in, float *const *out, int64_t n) {        \
    (void)ctx;                                                                                     \
    for (int64_t i = 0; i < n; i += LANES) {                                                       \
      const lanes x = cpu_take(in[0] + i, n - i), dy = cpu_take(in[1] + i, n - i);                 \
      (void)x, (void)dy;                                                                           \
      cpu_put(out[0] + i, __VA_ARGS__, n - i);                                                     \
    }                                                                                              \
  }
#define BACKWARD_SCALAR(name, slope)                                                               \
  static void name(const void *ctx, const float *const *in, float *const *out, int64_t n) {        \
    (void)ctx;                                                                                     \
    for (int64_t i = 0; i < n; i++) out[0][i] = slope(in[0][i]) * in[1][i];                        \
  }

static inline float minus_sine(float x) { return -sinf(x); }

static inline lanes slope_of_sigmoid(lanes x) {
  const lanes s = lanes_sigmoid(x);
  return MUL(s, lanes_sub(ONE, s));
}

/* s (1 + x (1 - s)) */
static inline lanes slope_of_silu(lanes x) {
  const lanes s = lanes_sigmoid(x);
  return MUL(s, lanes_fma(x, lanes_sub(ONE, s), ONE));
}

/* 0.5 (1 + t) + 0.5 x (1 - t^2) sqrt(2/pi) (1 + 3 * 0.044715 x^2) */
static inline lanes slope_of_gelu(lanes x) {
  const lanes t = gelu_tanh(x);
  const lanes inner = lanes_fma(lanes_set1(3.0f * GELU_CUBIC), MUL(x, x), ONE);
  const lanes bend = MUL(lanes_sub(ONE, MUL(t, t)), MUL(lanes_set1(GELU_SCALE), inner));
  return lanes_fma(MUL(HALF, x), bend, MUL(HALF, lanes_add(ONE, t)));
}

static inline lanes slope_of_tanh(lanes x) {
  const lanes t = lanes_tanh(x);
  return lanes_sub(ONE, MUL(t, t));
}

static inline lanes if_positive(lanes x, lanes yes, lanes no) {
  return lanes_gt_select(x, lanes_zero(), yes, no);
}

BACKWARD(d_neg, lanes_neg(dy))
BACKWARD(d_exponential, MUL(lanes_exp(x), dy))
BACKWARD(d_logarithm, lanes_div(dy, x))
BACKWARD(d_square_root, lanes_div(MUL(HALF, dy), lanes_sqrt(x)))
BACKWARD(d_reciprocal_root, lanes_div(MUL(lanes_set1(-0.5f), dy), MUL(x, lanes_sqrt(x))))
BACKWARD(d_reciprocal, lanes_neg(lanes_div(dy, MUL(x, x))))
BACKWARD(d_square, MUL(lanes_add(x, x), dy))
BACKWARD(d_sigmoid, MUL(slope_of_sigmoid(x), dy))
BACKWARD(d_silu, MUL(slope_of_silu(x), dy))
BACKWARD(d_gelu, MUL(slope_of_gelu(x), dy))
BACKWARD(d_tanh, MUL(slope_of_tanh(x), dy))
BACKWARD(d_relu, if_positive(x, dy, lanes_zero()))
BACKWARD_SCALAR(d_sine, cosf)
BACKWARD_SCALAR(d_cosine, minus_sine)
BACKWARD(d_absolute, if_positive(x, dy, if_positive(lanes_neg(x), lanes_neg(dy), lanes_zero())))
BACKWARD(d_step, lanes_zero())

static const cpu_map_kernel backward[] = {
    [FORGE_UNARY_NEG] = d_neg,
    [FORGE_UNARY_EXP] = d_exponential,
    [FORGE_UNARY_LOG] = d_logarithm,
    [FORGE_UNARY_SQRT] = d_square_root,
    [FORGE_UNARY_RSQRT] = d_reciprocal_root,
    [FORGE_UNARY_RECIP] = d_reciprocal,
    [FORGE_UNARY_SQUARE] = d_square,
    [FORGE_UNARY_SIGMOID] = d_sigmoid,
    [FORGE_UNARY_SILU] = d_silu,
    [FORGE_UNARY_GELU] = d_gelu,
    [FORGE_UNARY_TANH] = d_tanh,
    [FORGE_UNARY_RELU] = d_relu,
    [FORGE_UNARY_SIN] = d_sine,
    [FORGE_UNARY_COS] = d_cosine,
    [FORGE_UNARY_ABS] = d_absolute,
    [FORGE_UNARY_STEP] = d_step,
};

/* ---- rows of the op table ---- */

static uint32_t kind_of(const void *attr) { return ((const forge_attr_kind *)attr)->kind; }

uint8_t cpu_supports_unary(const forge_tensor *const *in, uint32_t n_in,
                           const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  if (kind_of(attr) < FORGE_UNARY_NEG || kind_of(attr) > FORGE_UNARY_STEP)
    return FORGE_REASON_ATTRIBUTES;
  const uint8_t dtype = out[0]->dtype;
  if (!cpu_is_float(out[0]) || !cpu_all_are(in, n_in, dtype) || !cpu_all_are(out, n_out, dtype))
    return FORGE_REASON_DTYPE;
  return FORGE_REASON_NONE;
}

forge_status cpu_run_unary(const cpu_call *c) {
  return cpu_map(c, 1, forward[kind_of(c->attr)], NULL);
}

forge_status cpu_run_unary_bwd(const cpu_call *c) {
  return cpu_map(c, 2, backward[kind_of(c->attr)], NULL);
}
