/* ref64_elementwise.c -- ops whose elements do not meet. */
#include <math.h>
#include <string.h>

#include "ref64.h"

static double binary(uint32_t kind, double a, double b) {
  switch (kind) {
  case FORGE_BINARY_ADD: return a + b;
  case FORGE_BINARY_SUB: return a - b;
  case FORGE_BINARY_MUL: return a * b;
  case FORGE_BINARY_DIV: return a / b;
  case FORGE_BINARY_MAX: return isnan(a) || isnan(b) ? (double)NAN : fmax(a, b);
  default: return isnan(a) || isnan(b) ? (double)NAN : fmin(a, b);
  }
}

static double logistic(double x) { return 1.0 / (1.0 + exp(-x)); }
static double gelu(double x) {
  return 0.5 * x * (1.0 + tanh(sqrt(M_2_PI) * (x + 0.044715 * x * x * x)));
}

static double unary(uint32_t kind, double x) {
  switch (kind) {
  case FORGE_UNARY_NEG: return -x;
  case FORGE_UNARY_EXP: return exp(x);
  case FORGE_UNARY_LOG: return log(x);
  case FORGE_UNARY_SQRT: return sqrt(x);
  case FORGE_UNARY_RSQRT: return 1.0 / sqrt(x);
  case FORGE_UNARY_RECIP: return 1.0 / x;
  case FORGE_UNARY_SQUARE: return x * x;
  case FORGE_UNARY_SIGMOID: return logistic(x);
  case FORGE_UNARY_SILU: return x * logistic(x);
  case FORGE_UNARY_GELU: return gelu(x);
  case FORGE_UNARY_TANH: return tanh(x);
  case FORGE_UNARY_RELU: return isnan(x) ? x : fmax(x, 0.0);
  case FORGE_UNARY_SIN: return sin(x);
  case FORGE_UNARY_COS: return cos(x);
  case FORGE_UNARY_ABS: return fabs(x);
  default: return x > 0.0 ? 1.0 : 0.0;
  }
}

static double gelu_slope(double x) {
  const double t = tanh(sqrt(M_2_PI) * (x + 0.044715 * x * x * x));
  const double inner = sqrt(M_2_PI) * (1.0 + 3.0 * 0.044715 * x * x);
  return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner;
}

static double slope(uint32_t kind, double x) {
  const double s = logistic(x);
  switch (kind) {
  case FORGE_UNARY_NEG: return -1.0;
  case FORGE_UNARY_EXP: return exp(x);
  case FORGE_UNARY_LOG: return 1.0 / x;
  case FORGE_UNARY_SQRT: return 0.5 / sqrt(x);
  case FORGE_UNARY_RSQRT: return -0.5 / (x * sqrt(x));
  case FORGE_UNARY_RECIP: return -1.0 / (x * x);
  case FORGE_UNARY_SQUARE: return 2.0 * x;
  case FORGE_UNARY_SIGMOID: return s * (1.0 - s);
  case FORGE_UNARY_SILU: return s * (1.0 + x * (1.0 - s));
  case FORGE_UNARY_GELU: return gelu_slope(x);
  case FORGE_UNARY_TANH: return 1.0 - tanh(x) * tanh(x);
  case FORGE_UNARY_RELU: return x > 0.0 ? 1.0 : 0.0;
  case FORGE_UNARY_SIN: return cos(x);
  case FORGE_UNARY_COS: return -sin(x);
  case FORGE_UNARY_ABS: return x > 0.0 ? 1.0 : x < 0.0 ? -1.0 : 0.0;
  default: return 0.0;
  }
}

static void mask(const ref_call *c) {
  const forge_attr_mask *a = c->attr;
  const ref *x = c->in[0], *limit = c->in[1];
  const int64_t columns = ref_columns(x);
  const int64_t lines = x->rank > 1 ? x->dim[x->rank - 2] : 1;
  for (int64_t i = 0; i < ref_count(x); i++) {
    const int64_t row = i / columns, column = i % columns;
    bool keep;
    if (a->kind == FORGE_MASK_TENSOR)
      keep = limit->v[i] != 0.0;
    else if (a->kind == FORGE_MASK_LENGTH)
      keep = (double)column < limit->v[row];
    else
      keep = (double)column <= (limit ? limit->v[row / lines] : 0.0) + (double)(row % lines);
    c->out[0]->v[i] = keep ? x->v[i] : a->fill;
  }
}

static void adamw(const ref_call *c) {
  const forge_attr_adamw *a = c->attr;
  const double lr = ref64_number(c, &a->lr), t = ref64_number(c, &a->step);
  const double clip = c->n_in > 4 && c->in[4] ? c->in[4]->v[0] : 1.0;
  for (int64_t i = 0; i < ref_count(c->out[0]); i++) {
    const double p = c->in[0]->v[i], g = c->in[3]->v[i] * clip;
    const double m = a->beta1 * c->in[1]->v[i] + (1.0 - a->beta1) * g;
    const double v = a->beta2 * c->in[2]->v[i] + (1.0 - a->beta2) * g * g;
    const double m_hat = m / (1.0 - pow(a->beta1, t)), v_hat = v / (1.0 - pow(a->beta2, t));
    c->out[0]->v[i] = p - lr * (m_hat / (sqrt(v_hat) + a->eps) + a->weight_decay * p);
    c->out[1]->v[i] = m;
    c->out[2]->v[i] = v;
  }
}

static void swiglu_bwd(const ref_call *c, int64_t i) {
  const double g = c->in[0]->v[i], u = c->in[1]->v[i], dy = c->in[2]->v[i];
  c->out[0]->v[i] = dy * u * slope(FORGE_UNARY_SILU, g);
  c->out[1]->v[i] = dy * g * logistic(g);
}

static double one(const ref_call *c, int64_t i) {
  const uint32_t kind = c->op == FORGE_OP_SWIGLU ? 0 : ((const forge_attr_kind *)c->attr)->kind;
  const double a = c->in[0]->v[i], b = c->n_in > 1 ? c->in[1]->v[i] : 0.0;
  const forge_attr_axpby *f = c->attr;
  switch (c->op) {
  case FORGE_OP_BINARY: return binary(kind, a, b);
  case FORGE_OP_UNARY: return unary(kind, a);
  case FORGE_OP_UNARY_BWD: return slope(kind, a) * b;
  case FORGE_OP_SWIGLU: return a * logistic(a) * b;
  default: return ref64_number(c, &f->alpha) * a + ref64_number(c, &f->beta) * b;
  }
}

bool ref64_elementwise(const ref_call *c) {
  switch (c->op) {
  case FORGE_OP_MASK: mask(c); return true;
  case FORGE_OP_ADAMW: adamw(c); return true;
  case FORGE_OP_SWIGLU_BWD:
    for (int64_t i = 0; i < ref_count(c->out[0]); i++) swiglu_bwd(c, i);
    return true;
  case FORGE_OP_BINARY:
  case FORGE_OP_UNARY:
  case FORGE_OP_UNARY_BWD:
  case FORGE_OP_SWIGLU:
  case FORGE_OP_AXPBY:
    for (int64_t i = 0; i < ref_count(c->out[0]); i++) c->out[0]->v[i] = one(c, i);
    return true;
  default: return false;
  }
}
