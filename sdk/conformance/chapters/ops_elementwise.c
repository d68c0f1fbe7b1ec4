/* ops_elementwise.c -- ops whose elements do not meet: BINARY UNARY UNARY_BWD AXPBY MASK SWIGLU
 * SWIGLU_BWD ADAMW FILL COPY_STRIDED CAST. */
#include <math.h>
#include <string.h>

#include "cases.h"

static const sizes some[] = {{2, {64, 288}}, {3, {2, 16, 65}}};
static const sizes odds[] = {
    {2, {3, 7}}, {3, {5, 31, 2}}, {2, {17, 33}}, {1, {257}}, {2, {127, 63}}};
static const sizes larges[] = {{2, {65539, 3}}, {2, {3, 65537}}, {1, {200003}}};
static const sizes every_rank[] = {{0, {0}},
                                   {1, {5}},
                                   {2, {3, 5}},
                                   {3, {3, 2, 5}},
                                   {4, {2, 3, 2, 5}},
                                   {5, {2, 1, 3, 2, 5}},
                                   {6, {2, 3, 1, 2, 2, 5}}};
static const op_shapes shapes = {SHAPES(usual, some),
                                 SHAPES(odd, odds),
                                 SHAPES(large, larges),
                                 SHAPES(ranks, every_rank),
                                 .zero = 3,
                                 .sweep = 2,
                                 .free = 3};

/* ---- makers ---- */

static void binary(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  const bool integer = m->type[0] == FORGE_I32;
  static const uint32_t integers[] = {FORGE_BINARY_ADD, FORGE_BINARY_SUB, FORGE_BINARY_MUL,
                                      FORGE_BINARY_MAX, FORGE_BINARY_MIN};
  const forge_attr_kind attr = {integer ? integers[variant] : variant + 1, 0};
  const bool divides = attr.kind == FORGE_BINARY_DIV;
  CALL_ATTR(c, attr);
  c->op = FORGE_OP_BINARY;
  c->in[c->n_in++] =
      call_random(c, m->type[0], s->n, s->v, 1, integer ? -900.0 : -3.0, integer ? 900.0 : 3.0);
  c->in[c->n_in++] = call_random(c, m->type[0], s->n, s->v, 2, divides ? 1.0 : -4.0, 5.0);
  c->out[c->n_out++] = rig_make(m->type[0], s->n, s->v);
}

static bool wants_positive(uint32_t kind) {
  return kind == FORGE_UNARY_LOG || kind == FORGE_UNARY_SQRT || kind == FORGE_UNARY_RSQRT ||
         kind == FORGE_UNARY_RECIP;
}

static void unary(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  const forge_attr_kind attr = {variant + 1, 0};
  const double low = wants_positive(attr.kind) ? c->whole ? 1.0 : 0.2 : -4.0;
  CALL_ATTR(c, attr);
  c->op = (uint16_t)m->param;
  c->in[c->n_in++] = call_random(c, m->type[0], s->n, s->v, 1 + variant, low, 4.5);
  if (c->op == FORGE_OP_UNARY_BWD)
    c->in[c->n_in++] = call_random(c, m->type[0], s->n, s->v, 90, -2.0, 2.0);
  c->out[c->n_out++] = rig_make(m->type[0], s->n, s->v);
}

/* Fixed and given numbers; beside each other, and over an input. */
static void axpby(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  forge_attr_axpby attr = {.alpha = {.value = 2.5}, .beta = {.value = -0.75}};
  const double given = 1.25;
  if (variant & 1) {
    attr.beta = (forge_attr_number){.value = 99.0, .scalar = 1};
    memcpy(&c->scalar[0], &given, sizeof given);
    c->n_scalar = 1;
  }
  CALL_ATTR(c, attr);
  c->op = FORGE_OP_AXPBY;
  c->in[c->n_in++] = call_random(c, m->type[0], s->n, s->v, 1, -3.0, 3.0);
  c->in[c->n_in++] = call_random(c, m->type[0], s->n, s->v, 2, -3.0, 3.0);
  c->out[c->n_out++] = variant < 2 ? rig_make(m->type[0], s->n, s->v) : c->in[variant & 1];
}

static void mask(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  const bool integer = m->type[0] == FORGE_I32;
  forge_attr_mask attr = {.kind = m->param, .fill = integer ? -7.0 : -(double)INFINITY};
  const int below = m->param == FORGE_MASK_TENSOR ? 0 : m->param == FORGE_MASK_CAUSAL ? 2 : 1;
  const double width = s->n ? (double)s->v[s->n - 1] : 1.0;
  if (variant & 1) attr.fill = integer ? 12345.0 : 0.5;
  CALL_ATTR(c, attr);
  c->op = FORGE_OP_MASK;
  c->in[c->n_in++] = call_random(c, m->type[0], s->n, s->v, 1, -50.0, 50.0);
  if (below > s->n || (variant & 2 && m->param == FORGE_MASK_CAUSAL))
    c->in[c->n_in++] = NULL;
  else if (m->param == FORGE_MASK_TENSOR)
    c->in[c->n_in++] = call_random(c, FORGE_I32, s->n, s->v, 2, -2.0, 3.0);
  else
    c->in[c->n_in++] = call_random(c, FORGE_I32, s->n - below, s->v, 3, -3.0, width + 3.0);
  c->out[c->n_out++] = rig_make(m->type[0], s->n, s->v);
}

static void swiglu(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  (void)variant;
  c->op = (uint16_t)m->param;
  for (uint32_t k = 0; k < (c->op == FORGE_OP_SWIGLU ? 2u : 3u); k++)
    c->in[c->n_in++] = call_random(c, FORGE_F32, s->n, s->v, 1 + k, -4.0, 4.0);
  for (uint32_t k = 0; k < (c->op == FORGE_OP_SWIGLU ? 1u : 2u); k++)
    c->out[c->n_out++] = rig_make(FORGE_F32, s->n, s->v);
}

static void adamw(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  (void)m;
  forge_attr_adamw attr = {.beta1 = 0.9,
                           .beta2 = 0.999,
                           .eps = 1e-8,
                           .weight_decay = variant & 2 ? 0.0 : 0.1,
                           .lr = {.value = 3e-3},
                           .step = {.value = variant == 1 ? 1.0 : 1000.0}};
  const double given[] = {2e-3, 7.0};
  if (variant == 3) {
    memcpy(c->scalar, given, sizeof given);
    c->n_scalar = 2;
    attr.lr = (forge_attr_number){.value = 9.0, .scalar = 1};
    attr.step = (forge_attr_number){.value = 9.0, .scalar = 2};
  }
  CALL_ATTR(c, attr);
  c->op = FORGE_OP_ADAMW;
  for (uint32_t k = 0; k < 4; k++)
    c->in[c->n_in++] = call_random(c, FORGE_F32, s->n, s->v, 1 + k, k == 2 ? 0.0 : -1.0, 1.0);
  c->in[c->n_in++] = variant & 1 ? rig_make(FORGE_F32, 0, NULL) : NULL;
  if (c->in[4]) rig_set(c->in[4], 0, 0.375);
  for (uint32_t k = 0; k < 3; k++) c->out[c->n_out++] = c->in[k];
}

static void fill(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  static const double values[] = {0.0, 1.0, -7.9, 0.1, 100.5, -0.3333};
  const forge_attr_fill attr = {values[variant]};
  CALL_ATTR(c, attr);
  c->op = FORGE_OP_FILL;
  c->out[c->n_out++] = rig_make(m->type[0], s->n, s->v);
}

static void move(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  (void)variant;
  c->op = (uint16_t)m->param;
  c->in[c->n_in++] = call_random(c, m->type[0], s->n, s->v, 1, -150.0, 150.0);
  c->out[c->n_out++] = rig_make(m->type[1], s->n, s->v);
}

/* ---- the tests ---- */

#define EACH_FLOAT(name, maker, choices, number)                                                   \
  {name ".f32", maker, &shapes, {FORGE_F32}, choices, number},                                     \
      {name ".f16", maker, &shapes, {FORGE_F16}, choices, number}, {                               \
    name ".bf16", maker, &shapes, {FORGE_BF16}, choices, number                                    \
  }
#define CASTS_FROM(name, type)                                                                     \
  {"CAST." name "_f32", move, &shapes, {type, FORGE_F32}, 1, FORGE_OP_CAST},                       \
      {"CAST." name "_f16", move, &shapes, {type, FORGE_F16}, 1, FORGE_OP_CAST},                   \
      {"CAST." name "_bf16", move, &shapes, {type, FORGE_BF16}, 1, FORGE_OP_CAST},                 \
      {"CAST." name "_i32", move, &shapes, {type, FORGE_I32}, 1, FORGE_OP_CAST}, {                 \
    "CAST." name "_i8", move, &shapes, {type, FORGE_I8}, 1, FORGE_OP_CAST                          \
  }

static const op_maker makers[] = {
    {"COPY_STRIDED.f32", move, &shapes, {FORGE_F32, FORGE_F32}, 1, FORGE_OP_COPY_STRIDED},
    {"COPY_STRIDED.f16", move, &shapes, {FORGE_F16, FORGE_F16}, 1, FORGE_OP_COPY_STRIDED},
    {"COPY_STRIDED.bf16", move, &shapes, {FORGE_BF16, FORGE_BF16}, 1, FORGE_OP_COPY_STRIDED},
    {"COPY_STRIDED.i32", move, &shapes, {FORGE_I32, FORGE_I32}, 1, FORGE_OP_COPY_STRIDED},
    {"COPY_STRIDED.i8", move, &shapes, {FORGE_I8, FORGE_I8}, 1, FORGE_OP_COPY_STRIDED},
    CASTS_FROM("f32", FORGE_F32),
    CASTS_FROM("f16", FORGE_F16),
    CASTS_FROM("bf16", FORGE_BF16),
    CASTS_FROM("i32", FORGE_I32),
    CASTS_FROM("i8", FORGE_I8),
    {"FILL.f32", fill, &shapes, {FORGE_F32}, 6, 0},
    {"FILL.f16", fill, &shapes, {FORGE_F16}, 6, 0},
    {"FILL.bf16", fill, &shapes, {FORGE_BF16}, 6, 0},
    {"FILL.i32", fill, &shapes, {FORGE_I32}, 6, 0},
    {"FILL.i8", fill, &shapes, {FORGE_I8}, 6, 0},
    EACH_FLOAT("BINARY", binary, 6, 0),
    {"BINARY.i32", binary, &shapes, {FORGE_I32}, 5, 0},
    EACH_FLOAT("UNARY", unary, FORGE_UNARY_STEP, FORGE_OP_UNARY),
    EACH_FLOAT("UNARY_BWD", unary, FORGE_UNARY_STEP, FORGE_OP_UNARY_BWD),
    EACH_FLOAT("AXPBY", axpby, 4, 0),
    {"MASK.tensor.f32", mask, &shapes, {FORGE_F32}, 2, FORGE_MASK_TENSOR},
    {"MASK.tensor.i32", mask, &shapes, {FORGE_I32}, 2, FORGE_MASK_TENSOR},
    {"SWIGLU.f32", swiglu, &shapes, {FORGE_F32}, 1, FORGE_OP_SWIGLU},
    {"SWIGLU_BWD.f32", swiglu, &shapes, {FORGE_F32}, 1, FORGE_OP_SWIGLU_BWD},
    {"ADAMW.f32", adamw, &shapes, {FORGE_F32}, 4, 0},
};

/* Masks by row need a last dimension and rows of it. */
static const sizes masked_ranks[] = {
    {2, {3, 5}}, {3, {3, 2, 5}}, {4, {2, 3, 2, 5}}, {6, {2, 3, 1, 2, 2, 5}}};
static const sizes masked_odds[] = {
    {2, {3, 7}}, {3, {5, 31, 2}}, {2, {17, 33}}, {4, {2, 3, 5, 9}}, {2, {127, 63}}};
static const sizes masked_larges[] = {{2, {65539, 3}}, {2, {3, 65537}}, {3, {65541, 2, 2}}};
static const op_shapes masked = {SHAPES(usual, some),
                                 SHAPES(odd, masked_odds),
                                 SHAPES(large, masked_larges),
                                 SHAPES(ranks, masked_ranks),
                                 .zero = 3,
                                 .sweep = 2,
                                 .free = 3};
static const op_maker masks[] = {
    {"MASK.causal.f32", mask, &masked, {FORGE_F32}, 4, FORGE_MASK_CAUSAL},
    {"MASK.causal.i32", mask, &masked, {FORGE_I32}, 4, FORGE_MASK_CAUSAL},
    {"MASK.length.f32", mask, &masked, {FORGE_F32}, 2, FORGE_MASK_LENGTH},
    {"MASK.length.i32", mask, &masked, {FORGE_I32}, 2, FORGE_MASK_LENGTH},
};

void chapter_ops_elementwise(test_list *list) {
  cases_add(list, makers, COUNT_OF(makers));
  cases_add(list, masks, COUNT_OF(masks));
}
