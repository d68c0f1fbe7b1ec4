/* ops_rows.c -- ops along rows: REDUCE SOFTMAX TOPK RMSNORM LAYERNORM and their gradients,
 * GLOBAL_NORM, CROSS_ENTROPY and its gradient. */
#include <math.h>

#include "cases.h"

static const sizes some[] = {{2, {32, 288}}, {3, {2, 16, 65}}, {2, {3, 4096}}};
static const sizes odds[] = {
    {2, {3, 7}}, {3, {5, 31, 2}}, {2, {17, 33}}, {1, {257}}, {2, {127, 63}}};
static const sizes larges[] = {{2, {65539, 3}}, {2, {3, 65537}}, {2, {2, 70001}}};
static const sizes every_rank[] = {
    {1, {5}},          {2, {3, 5}},          {3, {3, 2, 5}},
    {4, {2, 3, 2, 5}}, {5, {2, 1, 3, 2, 5}}, {6, {2, 3, 1, 2, 2, 5}}};
#define ROWS(zeros, frees)                                                                         \
  {                                                                                                \
    SHAPES(usual, some), SHAPES(odd, odds), SHAPES(large, larges), SHAPES(ranks, every_rank),      \
        .zero = (zeros), .sweep = 2, .free = (frees)                                               \
  }
static const op_shapes rows = ROWS(3, 3), full_rows = ROWS(1, 1), some_rows = ROWS(0, 1);

/* Matrices alone: a loss is of rank 2. */
static const sizes matrices[] = {
    {2, {3, 7}}, {2, {31, 2}}, {2, {17, 33}}, {2, {1, 257}}, {2, {127, 63}}};
static const sizes some_matrices[] = {{2, {32, 288}}, {2, {3, 4096}}};
static const op_shapes losses = {SHAPES(usual, some_matrices),
                                 SHAPES(odd, matrices),
                                 SHAPES(large, larges),
                                 .zero = 1,
                                 .sweep = 2,
                                 .free = 1};

static int64_t columns(const sizes *s) { return s->v[s->n - 1]; }

/* Of every set of dims the ones that |variant| names; always at least one. */
static void reduce(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  const uint32_t kind = m->param, all = (1u << s->n) - 1;
  uint32_t dims = kind == FORGE_REDUCE_ARGMAX ? 1u << (s->n - 1)
                  : variant == 0              ? 1u << (s->n - 1)
                  : variant == 1              ? all
                  : variant == 2              ? 1u
                                              : (variant * 0x9u + 2u) & all;
  if (!dims) dims = 1;
  const forge_attr_reduce attr = {kind, dims};
  int64_t dim[FORGE_MAX_RANK];
  for (int k = 0; k < s->n; k++) dim[k] = dims >> k & 1 ? 1 : s->v[k];
  CALL_ATTR(c, attr);
  c->op = FORGE_OP_REDUCE;
  c->in[c->n_in++] = call_random(c, m->type[0], s->n, s->v, 5, -3.0, 4.0);
  c->out[c->n_out++] = rig_make(kind == FORGE_REDUCE_ARGMAX ? FORGE_I32 : m->type[0], s->n, dim);
}

/* The largest of a large row stand where a device would forget them: first, last, and 65536. */
static void raise_ends(op_call *c, rig_tensor *x, double value) {
  const int64_t n = x->t.dim[x->t.rank - 1], all = rig_elements(x);
  if (!c->whole || n < 60000) return;
  for (int64_t row = 0; row < all; row += n) {
    rig_set(x, row, value);
    rig_set(x, row + 65535, value);
    if (n > 65536) rig_set(x, row + 65536, value);
    rig_set(x, row + n - 1, value);
  }
}

static void softmax(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  static const double scales[] = {1.0, 0.125, -1.5};
  const forge_attr_softmax attr = {scales[variant]};
  (void)m;
  CALL_ATTR(c, attr);
  c->op = FORGE_OP_SOFTMAX;
  c->in[c->n_in++] = call_random(c, FORGE_F32, s->n, s->v, 7, -6.0, 6.0);
  raise_ends(c, c->in[0], attr.scale < 0.0 ? -20.0 : 20.0);
  c->out[c->n_out++] = rig_make(FORGE_F32, s->n, s->v);
}

static void topk(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  const int64_t n = columns(s), k = variant == 0 ? 1 : variant == 1 ? (n + 1) / 2 : n;
  const forge_attr_topk attr = {(uint32_t)(k > 40 && n > 500 ? 40 : k), 0};
  int64_t dim[FORGE_MAX_RANK];
  (void)m;
  for (int i = 0; i < s->n; i++) dim[i] = s->v[i];
  dim[s->n - 1] = attr.k;
  CALL_ATTR(c, attr);
  c->op = FORGE_OP_TOPK;
  c->in[c->n_in++] = call_random(c, FORGE_F32, s->n, s->v, 7, -9.0, 9.0);
  for (int64_t i = 0; i < rig_elements(c->in[0]); i += 3)
    rig_set(c->in[0], i, floor(rig_get(c->in[0], i))); /* ties */
  raise_ends(c, c->in[0], 20.0);
  c->out[c->n_out++] = rig_make(FORGE_F32, s->n, dim);
  c->out[c->n_out++] = rig_make(FORGE_I32, s->n, dim);
}

static void norm(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  const forge_attr_norm attr = {variant & 1 ? 1e-2 : 1e-5};
  const bool layer = m->param == FORGE_OP_LAYERNORM;
  CALL_ATTR(c, attr);
  c->op = (uint16_t)m->param;
  c->in[c->n_in++] = call_random(c, FORGE_F32, s->n, s->v, 1, -2.0, 3.0);
  raise_ends(c, c->in[0], 300.0);
  c->in[c->n_in++] = call_random(c, FORGE_F32, 1, &s->v[s->n - 1], 2, c->whole ? 1.0 : 0.5, 2.0);
  if (layer)
    c->in[c->n_in++] =
        variant & 2 ? NULL : call_random(c, FORGE_F32, 1, &s->v[s->n - 1], 3, -1.0, 1.0);
  c->out[c->n_out++] = rig_make(FORGE_F32, s->n, s->v);
}

static void norm_bwd(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  const forge_attr_norm attr = {variant & 1 ? 1e-1 : 1e-2};
  CALL_ATTR(c, attr);
  c->op = (uint16_t)m->param;
  c->in[c->n_in++] = call_random(c, FORGE_F32, s->n, s->v, 1, -2.0, 3.0);
  c->in[c->n_in++] = call_random(c, FORGE_F32, 1, &s->v[s->n - 1], 2, c->whole ? 1.0 : 0.5, 2.0);
  c->in[c->n_in++] = call_random(c, FORGE_F32, s->n, s->v, 3, -1.0, 1.5);
  c->out[c->n_out++] = rig_make(FORGE_F32, s->n, s->v);
  for (int k = 0; k < (m->param == FORGE_OP_RMSNORM_BWD ? 1 : 2); k++)
    c->out[c->n_out++] = rig_make(FORGE_F32, 1, &s->v[s->n - 1]);
}

/* One, two or three tensors of which the sizes are the first. */
static void global_norm(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  static const double limits[] = {0.0, 1.0, 1e9};
  const forge_attr_global_norm attr = {limits[variant]};
  (void)m;
  CALL_ATTR(c, attr);
  c->op = FORGE_OP_GLOBAL_NORM;
  c->in[c->n_in++] = call_random(c, FORGE_F32, s->n, s->v, 1, -1.0, 1.5);
  if (variant) c->in[c->n_in++] = call_random(c, FORGE_F32, 1, (const int64_t[]){33}, 2, -1.0, 1.0);
  if (variant == 2) c->in[c->n_in++] = call_random(c, FORGE_F32, 0, NULL, 3, 0.5, 1.0);
  for (int k = 0; k < 2; k++) c->out[c->n_out++] = rig_make(FORGE_F32, 0, NULL);
}

static void cross_entropy(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  c->op = (uint16_t)m->param;
  c->in[c->n_in++] = call_random(c, FORGE_F32, 2, s->v, 1, -8.0, 8.0);
  raise_ends(c, c->in[0], 30.0);
  c->in[c->n_in++] = call_ids(1, s->v, 2, s->v[1], variant & 1);
  if (c->op == FORGE_OP_CROSS_ENTROPY_BWD) {
    c->in[c->n_in++] = rig_make(FORGE_F32, 0, NULL);
    rig_set(c->in[2], 0, 1.75);
  }
  c->out[c->n_out++] =
      c->op == FORGE_OP_CROSS_ENTROPY ? rig_make(FORGE_F32, 0, NULL) : rig_make(FORGE_F32, 2, s->v);
}

#define REDUCES(name, kind, choices)                                                               \
  {"REDUCE." name ".f32", reduce, &rows, {FORGE_F32}, choices, kind},                              \
      {"REDUCE." name ".f16", reduce, &rows, {FORGE_F16}, choices, kind}, {                        \
    "REDUCE." name ".bf16", reduce, &rows, {FORGE_BF16}, choices, kind                             \
  }

static const op_maker makers[] = {
    REDUCES("sum", FORGE_REDUCE_SUM, 6),
    {"REDUCE.mean.f32", reduce, &some_rows, {FORGE_F32}, 4, FORGE_REDUCE_MEAN},
    {"REDUCE.mean.f16", reduce, &full_rows, {FORGE_F16}, 1, FORGE_REDUCE_MEAN},
    {"REDUCE.max.f32", reduce, &some_rows, {FORGE_F32}, 6, FORGE_REDUCE_MAX},
    {"REDUCE.max.bf16", reduce, &full_rows, {FORGE_BF16}, 1, FORGE_REDUCE_MAX},
    {"REDUCE.argmax.f32", reduce, &full_rows, {FORGE_F32}, 1, FORGE_REDUCE_ARGMAX},
    {"REDUCE.argmax.f16", reduce, &full_rows, {FORGE_F16}, 1, FORGE_REDUCE_ARGMAX},
    {"SOFTMAX.f32", softmax, &rows, {FORGE_F32}, 3, 0},
    {"TOPK.f32", topk, &full_rows, {FORGE_F32}, 3, 0},
    {"RMSNORM.f32", norm, &rows, {FORGE_F32}, 2, FORGE_OP_RMSNORM},
    {"LAYERNORM.f32", norm, &rows, {FORGE_F32}, 4, FORGE_OP_LAYERNORM},
    {"RMSNORM_BWD.f32", norm_bwd, &full_rows, {FORGE_F32}, 2, FORGE_OP_RMSNORM_BWD},
    {"LAYERNORM_BWD.f32", norm_bwd, &full_rows, {FORGE_F32}, 2, FORGE_OP_LAYERNORM_BWD},
    {"GLOBAL_NORM.f32", global_norm, &rows, {FORGE_F32}, 3, 0},
    {"CROSS_ENTROPY.f32", cross_entropy, &losses, {FORGE_F32}, 2, FORGE_OP_CROSS_ENTROPY},
    {"CROSS_ENTROPY_BWD.f32", cross_entropy, &losses, {FORGE_F32}, 2, FORGE_OP_CROSS_ENTROPY_BWD},
};

void chapter_ops_rows(test_list *list) { cases_add(list, makers, COUNT_OF(makers)); }
