/* maths.c -- primitives that compute. Arithmetic is in double, rounded when it is stored. */
#include "primitives.h"

static double number(const call *c, const forge_attr_number *n) {
  double value = n->value;
  if (n->scalar) memcpy(&value, &c->scalar[n->scalar - 1], sizeof value);
  return value;
}

/* ---- BINARY, UNARY, AXPBY: elementwise ---- */

static double of_floats(uint32_t kind, double a, double b) {
  switch (kind) {
  case FORGE_BINARY_ADD: return a + b;
  case FORGE_BINARY_SUB: return a - b;
  case FORGE_BINARY_MUL: return a * b;
  case FORGE_BINARY_DIV: return a / b;
  case FORGE_BINARY_MAX: return a > b || a != a ? a : b;
  default: return a < b || a != a ? a : b;
  }
}

/* Whole numbers wrap around; a division by zero gives zero. */
static double of_wholes(uint32_t kind, int64_t a, int64_t b) {
  int64_t y = 0;
  switch (kind) {
  case FORGE_BINARY_ADD: y = a + b; break;
  case FORGE_BINARY_SUB: y = a - b; break;
  case FORGE_BINARY_MUL: y = a * b; break;
  case FORGE_BINARY_DIV: y = b ? a / b : 0; break;
  case FORGE_BINARY_MAX: y = a > b ? a : b; break;
  default: y = a < b ? a : b; break;
  }
  return (int32_t)(uint32_t)(uint64_t)y;
}

void binary(const call *c) {
  const view *y = &c->out[0];
  const uint32_t kind = ((const forge_attr_kind *)c->attr)->kind;
  for (int64_t r = 0; r < rows_of(&y->t); r++) {
    const line a = line_of(&c->in[0], r), b = line_of(&c->in[1], r), to = line_of(y, r);
    for (int64_t i = 0; i < columns_of(&y->t); i++)
      put(to, i,
          y->t.dtype == FORGE_I32 ? of_wholes(kind, (int64_t)get(a, i), (int64_t)get(b, i))
                                  : of_floats(kind, get(a, i), get(b, i)));
  }
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static double of_one(uint32_t kind, double x) {
  switch (kind) {
  case FORGE_UNARY_NEG: return -x;
  case FORGE_UNARY_EXP: return exp(x);
  case FORGE_UNARY_LOG: return log(x);
  case FORGE_UNARY_SQRT: return sqrt(x);
  case FORGE_UNARY_RSQRT: return 1 / sqrt(x);
  case FORGE_UNARY_RECIP: return 1 / x;
  case FORGE_UNARY_SQUARE: return x * x;
  case FORGE_UNARY_SIGMOID: return sigmoid(x);
  case FORGE_UNARY_SILU: return x * sigmoid(x);
  case FORGE_UNARY_GELU:
    return 0.5 * x * (1 + tanh(0.79788456080286536 * (x + 0.044715 * x * x * x)));
  case FORGE_UNARY_TANH: return tanh(x);
  case FORGE_UNARY_RELU: return x > 0 || x != x ? x : 0;
  case FORGE_UNARY_SIN: return sin(x);
  case FORGE_UNARY_COS: return cos(x);
  case FORGE_UNARY_ABS: return fabs(x);
  default: return x > 0; /* STEP */
  }
}

void unary(const call *c) {
  const view *y = &c->out[0];
  const uint32_t kind = ((const forge_attr_kind *)c->attr)->kind;
  for (int64_t r = 0; r < rows_of(&y->t); r++) {
    const line x = line_of(&c->in[0], r), to = line_of(y, r);
    for (int64_t i = 0; i < columns_of(&y->t); i++) put(to, i, of_one(kind, get(x, i)));
  }
}

void axpby(const call *c) {
  const view *y = &c->out[0];
  const forge_attr_axpby *attr = c->attr;
  const double alpha = number(c, &attr->alpha), beta = number(c, &attr->beta);
  for (int64_t r = 0; r < rows_of(&y->t); r++) {
    const line a = line_of(&c->in[0], r), b = line_of(&c->in[1], r), to = line_of(y, r);
    for (int64_t i = 0; i < columns_of(&y->t); i++)
      put(to, i, alpha * get(a, i) + beta * get(b, i));
  }
}

/* ---- REDUCE: over chosen dimensions, each keeps extent 1 ---- */

/* Moves on to the next element of the dimensions whose bit of |dims| is |chosen|, and |*at| with
 * it; false behind the last. */
static bool step_over(const forge_tensor *t, uint32_t dims, uint32_t chosen, int64_t *index,
                      int64_t *at) {
  for (int k = t->rank - 1; k >= 0; k--) {
    if ((dims >> k & 1) != chosen) continue;
    *at += t->stride[k];
    if (++index[k] < t->dim[k]) return true;
    *at -= index[k] * t->stride[k];
    index[k] = 0;
  }
  return false;
}

static bool is_larger(double a, double b) { return a > b || (a != a && b == b); }

static double reduce_one(const view *x, const forge_attr_reduce *attr, int64_t at) {
  const line elements = {x->data, packing_of(x->t.dtype).bytes, x->t.dtype};
  const bool adds = attr->kind == FORGE_REDUCE_SUM || attr->kind == FORGE_REDUCE_MEAN;
  int64_t index[FORGE_MAX_RANK] = {0}, n = 1, place = 0;
  double total = adds ? 0 : -INFINITY;
  for (int k = 0; k < x->t.rank; k++)
    if (attr->dims >> k & 1) n *= x->t.dim[k];
  for (int64_t i = 0; i < n; i++) {
    const double value = get(elements, at);
    if (!adds && is_larger(value, total)) place = i;
    if (adds || is_larger(value, total)) total = adds ? total + value : value;
    step_over(&x->t, attr->dims, 1, index, &at);
  }
  if (attr->kind == FORGE_REDUCE_ARGMAX) return (double)(n ? place : -1);
  return attr->kind == FORGE_REDUCE_MEAN && n ? total / (double)n : total;
}

void reduce(const call *c) {
  const view *y = &c->out[0];
  const forge_attr_reduce *attr = c->attr;
  int64_t index[FORGE_MAX_RANK] = {0}, at = 0;
  for (int64_t r = 0; r < rows_of(&y->t); r++) {
    const line to = line_of(y, r);
    for (int64_t i = 0; i < columns_of(&y->t); i++) {
      put(to, i, reduce_one(&c->in[0], attr, at));
      step_over(&c->in[0].t, attr->dims, 0, index, &at);
    }
  }
}

/* ---- MATMUL: y = op(a) op(b) + bias ---- */

/* Row number |i| of a matrix of |v|, or column with |by_column|. */
static line vector(const view *v, int64_t matrix, int64_t i, bool by_column) {
  const forge_tensor *t = &v->t;
  const int64_t bytes = packing_of(t->dtype).bytes, row = t->stride[t->rank - 2] * bytes;
  const int64_t column = t->stride[t->rank - 1] * bytes;
  uint8_t *data = v->data + start_of(t, t->rank - 2, matrix) * bytes;
  return by_column ? (line){data + i * column, row, t->dtype}
                   : (line){data + i * row, column, t->dtype};
}

void matmul(const call *c) {
  const view *a = &c->in[0], *b = &c->in[1], *bias = &c->in[2], *y = &c->out[0];
  const uint32_t flags = ((const forge_attr_matmul *)c->attr)->flags;
  const bool trans_a = flags & FORGE_MATMUL_TRANS_A, trans_b = flags & FORGE_MATMUL_TRANS_B;
  const int64_t terms = a->t.dim[a->t.rank - (trans_a ? 2 : 1)];
  const int64_t rows = y->t.dim[y->t.rank - 2];
  for (int64_t r = 0; r < rows_of(&y->t); r++) {
    const line to = line_of(y, r), left = vector(a, r / rows, r % rows, trans_a);
    for (int64_t i = 0; i < columns_of(&y->t); i++) {
      const line right = vector(b, r / rows, i, !trans_b);
      double sum = bias->data ? get(line_of(bias, 0), i) : 0;
      for (int64_t k = 0; k < terms; k++) sum += get(left, k) * get(right, k);
      put(to, i, sum);
    }
  }
}

/* ---- SOFTMAX: over the last dimension; TOPK: the k largest of each row ---- */

void softmax(const call *c) {
  const view *x = &c->in[0], *y = &c->out[0];
  const double scale = ((const forge_attr_softmax *)c->attr)->scale;
  const int64_t columns = columns_of(&y->t);
  for (int64_t r = 0; r < rows_of(&y->t); r++) {
    const line from = line_of(x, r), to = line_of(y, r);
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < columns; i++) max = fmax(max, scale * get(from, i));
    for (int64_t i = 0; i < columns; i++) sum += exp(scale * get(from, i) - max);
    for (int64_t i = 0; i < columns; i++)
      put(to, i, max == -INFINITY ? 0 : exp(scale * get(from, i) - max) / sum);
  }
}

/* Again and again the first of those that come after the one before. */
void topk(const call *c) {
  const view *x = &c->in[0];
  for (int64_t r = 0; r < rows_of(&x->t); r++) {
    const line from = line_of(x, r), values = line_of(&c->out[0], r), ids = line_of(&c->out[1], r);
    int64_t last = -1;
    for (int64_t n = 0; n < columns_of(&c->out[0].t); n++) {
      int64_t best = -1;
      for (int64_t i = 0; i < columns_of(&x->t); i++) {
        const bool taken = last >= 0 && (is_larger(get(from, i), get(from, last)) ||
                                         (i <= last && !is_larger(get(from, last), get(from, i))));
        if (!taken && (best < 0 || is_larger(get(from, i), get(from, best)))) best = i;
      }
      if (best < 0) break; /* fewer columns than k in this submit */
      put(values, n, get(from, best));
      put(ids, n, (double)best);
      last = best;
    }
  }
}

/* ---- RNG_PHILOX: counter-based random numbers ---- */

static void philox(uint32_t c[4], uint64_t key) {
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
    const uint64_t p = UINT64_C(0xD2511F53) * c[0], q = UINT64_C(0xCD9E8D57) * c[2];
    c[0] = (uint32_t)(q >> 32) ^ c[1] ^ k0;
    c[1] = (uint32_t)q;
    c[2] = (uint32_t)(p >> 32) ^ c[3] ^ k1;
    c[3] = (uint32_t)p;
  }
}

/* Element |e| of the sequence with |key| and |offset|. */
static double draw(const forge_attr_rng *attr, uint64_t key, uint32_t offset, uint64_t e) {
  uint32_t w[4] = {(uint32_t)(e / 4), (uint32_t)(e / 4 >> 32), attr->stream, offset};
  philox(w, key);
  if (attr->kind == FORGE_RNG_UNIFORM)
    return attr->a + (attr->b - attr->a) * (w[e % 4] >> 8) * 0x1p-24;
  const uint32_t *pair = w + e % 4 / 2 * 2;
  const double r = sqrt(-2 * log(((pair[0] >> 8) + 1) * 0x1p-24));
  const double t = 6.283185307179586 * (pair[1] >> 8) * 0x1p-24;
  return attr->a + attr->b * r * (e % 2 ? sin(t) : cos(t));
}

void rng(const call *c) {
  const view *keys = &c->in[0], *y = &c->out[0];
  const forge_attr_rng *attr = c->attr;
  const int64_t columns = columns_of(&y->t);
  uint64_t key = attr->seed_scalar ? c->scalar[attr->seed_scalar - 1] : attr->seed;
  uint64_t offset = attr->offset_scalar ? c->scalar[attr->offset_scalar - 1] : attr->offset;
  for (int64_t r = 0; r < rows_of(&y->t); r++) {
    const line to = line_of(y, r);
    const int64_t first = keys->data ? 0 : r * columns;
    if (keys->data) {
      key = (uint32_t)whole_at(keys, 3 * r) | (uint64_t)(uint32_t)whole_at(keys, 3 * r + 1) << 32;
      offset = (uint64_t)whole_at(keys, 3 * r + 2);
    }
    for (int64_t i = 0; i < columns; i++)
      put(to, i, draw(attr, key, (uint32_t)offset, (uint64_t)(first + i)));
  }
}
