/* case_words.c -- see cases.h: a call in words, so that whoever reads them can make it again. */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cases.h"

/* Appends to |text| as far as there is room. */
typedef struct words {
  char text[1200];
  size_t n;
} words;

static void add(words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(words *w, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const int n = vsnprintf(w->text + w->n, sizeof w->text - w->n, format, args);
  va_end(args);
  if (n > 0) w->n += (size_t)n;
  if (w->n >= sizeof w->text) w->n = sizeof w->text - 1;
}

/* ---- attributes ---- */

enum { WORD, WHOLE, SEED, REAL, NUMBER, KIND };
typedef struct field {
  const char *name;
  uint16_t at;
  uint8_t is;              /* WORD: bits in hex, WHOLE and SEED: 32 and 64 bits */
  const char *const *kind; /* KIND: names from 1, NULL at the end */
} field;

static const char *const binary[] = {"ADD", "SUB", "MUL", "DIV", "MAX", "MIN", NULL};
static const char *const unary[] = {"NEG",    "EXP",     "LOG",  "SQRT", "RSQRT", "RECIP",
                                    "SQUARE", "SIGMOID", "SILU", "GELU", "TANH",  "RELU",
                                    "SIN",    "COS",     "ABS",  "STEP", NULL};
static const char *const reduce[] = {"SUM", "MAX", "ARGMAX", "MEAN", NULL};
static const char *const matmul[] = {"TRANS_A", "TRANS_B", "TRANS_A TRANS_B", NULL};
static const char *const scatter[] = {"SET", "ADD", NULL};
static const char *const rng[] = {"UNIFORM", "NORMAL", NULL};
static const char *const mask[] = {"TENSOR", "CAUSAL", "LENGTH", NULL};
static const char *const rope[] = {"INTERLEAVED", "INVERSE", "INTERLEAVED INVERSE", NULL};

#define F(type, member, is_)                                                                       \
  { #member, offsetof(forge_attr_##type, member), is_, NULL }
#define K(type, member, kinds)                                                                     \
  { NULL, offsetof(forge_attr_##type, member), KIND, kinds }
#define ATTR(op, ...)                                                                              \
  {                                                                                                \
    FORGE_OP_##op, { __VA_ARGS__ }                                                                 \
  }
static const struct {
  uint16_t op;
  field field[8];
} attributes[] = {
    ATTR(FILL, F(fill, value, REAL)),
    ATTR(BINARY, K(kind, kind, binary)),
    ATTR(UNARY, K(kind, kind, unary)),
    ATTR(UNARY_BWD, K(kind, kind, unary)),
    ATTR(AXPBY, F(axpby, alpha, NUMBER), F(axpby, beta, NUMBER)),
    ATTR(REDUCE, K(reduce, kind, reduce), F(reduce, dims, WORD)),
    ATTR(MATMUL, K(matmul, flags, matmul)),
    ATTR(GROUPED_MATMUL, K(matmul, flags, matmul)),
    ATTR(GROUPED_MATMUL_DW, K(matmul, flags, matmul)),
    ATTR(SCATTER_ROWS, K(scatter, mode, scatter), F(scatter, rows, WHOLE)),
    ATTR(SOFTMAX, F(softmax, scale, REAL)),
    ATTR(TOPK, F(topk, k, WHOLE)),
    ATTR(RNG_PHILOX, K(rng, kind, rng), F(rng, stream, WHOLE), F(rng, a, REAL), F(rng, b, REAL),
         F(rng, seed, SEED), F(rng, offset, SEED), F(rng, seed_scalar, WHOLE),
         F(rng, offset_scalar, WHOLE)),
    ATTR(MASK, K(mask, kind, mask), F(mask, fill, REAL)),
    ATTR(RMSNORM, F(norm, eps, REAL)),
    ATTR(RMSNORM_BWD, F(norm, eps, REAL)),
    ATTR(LAYERNORM, F(norm, eps, REAL)),
    ATTR(LAYERNORM_BWD, F(norm, eps, REAL)),
    ATTR(ROPE, K(rope, flags, rope), F(rope, base, REAL), F(rope, scale, REAL),
         F(rope, n_rot, WHOLE)),
    ATTR(ATTENTION, F(attention, scale, REAL), F(attention, flags, WORD),
         F(attention, window, WHOLE)),
    ATTR(ATTENTION_BWD, F(attention, scale, REAL), F(attention, flags, WORD),
         F(attention, window, WHOLE)),
    ATTR(ADAMW, F(adamw, lr, NUMBER), F(adamw, beta1, REAL), F(adamw, beta2, REAL),
         F(adamw, eps, REAL), F(adamw, weight_decay, REAL), F(adamw, step, NUMBER)),
    ATTR(GLOBAL_NORM, F(global_norm, max_norm, REAL)),
    ATTR(MOE_ROUTE, F(moe, k, WHOLE), F(moe, flags, WORD)),
    ATTR(MOE_ROUTE_BWD, F(moe, k, WHOLE), F(moe, flags, WORD)),
};

/* A number of the attributes, or the scalar of the submit that stands for it. */
static void add_number(words *w, const op_call *c, const uint8_t *at) {
  forge_attr_number number;
  memcpy(&number, at, sizeof number);
  if (number.scalar && number.scalar <= c->n_scalar) {
    memcpy(&number.value, &c->scalar[number.scalar - 1], sizeof number.value);
    add(w, "(scalar %u) ", number.scalar - 1);
  }
  add(w, "%g", number.value);
}

static void add_field(words *w, const op_call *c, const field *f) {
  const uint8_t *at = (const uint8_t *)&c->attr + f->at;
  uint32_t word;
  uint64_t seed;
  double real;
  memcpy(&word, at, sizeof word);
  if (f->name) add(w, " %s ", f->name);
  switch (f->is) {
  case WORD: add(w, "0x%x", word); return;
  case WHOLE: add(w, "%u", word); return;
  case NUMBER: add_number(w, c, at); return;
  case SEED:
    memcpy(&seed, at, sizeof seed);
    add(w, "0x%llx", (unsigned long long)seed);
    return;
  case REAL:
    memcpy(&real, at, sizeof real);
    add(w, "%g", real);
    return;
  default:
    for (uint32_t k = 1; f->kind[k - 1]; k++)
      if (k == word) add(w, " %s", f->kind[k - 1]);
  }
}

static void add_attributes(words *w, const op_call *c) {
  for (uint32_t i = 0; i < COUNT_OF(attributes); i++) {
    if (attributes[i].op != c->op || !c->attr_bytes) continue;
    for (const field *f = attributes[i].field; f < attributes[i].field + 8; f++)
      if (f->name || f->kind) add_field(w, c, f);
  }
}

/* ---- tensors ---- */

static bool is_dense(const rig_tensor *t) {
  int64_t dense = 1;
  bool plain = true;
  for (int i = t->t.rank - 1; i >= 0; dense *= t->t.dim[i--]) plain &= t->t.stride[i] == dense;
  return plain;
}

static void add_tensor(words *w, const char *name, uint32_t k, const rig_tensor *t) {
  add(w, "%s%s%u ", w->n ? " " : "", name, k);
  if (!t) {
    add(w, "-");
    return;
  }
  add(w, "%s[", rig_type_name(t->t.dtype));
  for (int i = 0; i < t->t.rank; i++) add(w, i ? ",%lld" : "%lld", (long long)t->t.dim[i]);
  add(w, "]");
  for (int i = 0; !is_dense(t) && i < t->t.rank; i++)
    add(w, i ? ",%lld" : " by %lld", (long long)t->t.stride[i]);
}

const char *call_words(const op_call *c) {
  static words w;
  w.n = 0;
  for (uint32_t k = 0; k < c->n_in; k++) add_tensor(&w, "x", k, c->in[k]);
  for (uint32_t k = 0; k < c->n_out; k++) add_tensor(&w, "y", k, c->out[k]);
  add_attributes(&w, c);
  return w.text;
}

/* ---- what went in ---- */

static bool same_dims(const rig_tensor *a, const rig_tensor *b) {
  bool same = a->t.rank == b->t.rank;
  for (int i = 0; same && i < a->t.rank; i++) same = a->t.dim[i] == b->t.dim[i];
  return same;
}

static bool is_output(const op_call *c, const rig_tensor *t) {
  for (uint32_t k = 0; k < c->n_out; k++)
    if (c->out[k] == t) return true;
  return false;
}

/* Ops whose element |i| comes of element |i| of their inputs. */
static bool is_elementwise(uint16_t op) {
  static const uint16_t ops[] = {FORGE_OP_COPY_STRIDED, FORGE_OP_CAST,       FORGE_OP_BINARY,
                                 FORGE_OP_UNARY,        FORGE_OP_AXPBY,      FORGE_OP_MASK,
                                 FORGE_OP_SWIGLU,       FORGE_OP_SWIGLU_BWD, FORGE_OP_UNARY_BWD};
  for (uint32_t i = 0; i < COUNT_OF(ops); i++)
    if (ops[i] == op) return true;
  return false;
}

const char *call_inputs_at(const op_call *c, const rig_tensor *like, int64_t i) {
  static words w;
  w.n = 0;
  w.text[0] = 0;
  for (uint32_t k = 0; is_elementwise(c->op) && k < c->n_in; k++) {
    const rig_tensor *t = c->in[k];
    if (t && same_dims(t, like) && !is_output(c, t))
      add(&w, "%sx%u is %.9g", w.n ? ", " : " where ", k, rig_get(t, i));
  }
  return w.text;
}
