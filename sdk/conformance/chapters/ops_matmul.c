/* ops_matmul.c -- MATMUL QMATMUL GROUPED_MATMUL GROUPED_MATMUL_DW. */
#include <string.h>

#include "cases.h"

/* ---- MATMUL: leading dims, then M, N, K ---- */

/* The last ones leave a part of a tile in every direction at once. */
static const sizes products[] = {{3, {64, 96, 288}},
                                 {3, {1, 257, 512}},
                                 {4, {3, 16, 33, 64}},
                                 {3, {67, 193, 301}},
                                 {3, {18, 257, 130}}};
static const sizes odd_products[] = {{3, {3, 5, 7}},    {3, {17, 31, 33}},   {3, {1, 127, 63}},
                                     {3, {65, 1, 257}}, {4, {3, 7, 17, 31}}, {3, {2, 3, 1025}}};
static const sizes large_products[] = {{3, {65539, 3, 2}}, {3, {2, 65541, 3}},
                                       {3, {3, 2, 65537}}, {4, {65537, 1, 2, 3}},
                                       {3, {65537, 2, 5}}, {3, {3, 65539, 2}}};
static const sizes ranked_products[] = {
    {3, {3, 5, 7}}, {4, {2, 3, 5, 7}}, {5, {2, 3, 3, 5, 7}}, {6, {2, 1, 3, 2, 5, 7}}};
static const op_shapes product_shapes = {SHAPES(usual, products),
                                         SHAPES(odd, odd_products),
                                         SHAPES(large, large_products),
                                         SHAPES(ranks, ranked_products),
                                         .zero = 7,
                                         .sweep = 7,
                                         .free = 7};

/* dims of an operand: the leading ones of |s|, then rows and columns, turned if asked for. */
static int operand_dims(const sizes *s, int64_t rows, int64_t columns, bool turned, int64_t *dim) {
  const int lead = s->n - 3, extra = s->n == 6; /* six sizes: a rank of 6 with one dim of 1 */
  if (extra) dim[0] = 1;
  memcpy(dim + extra, s->v, (size_t)lead * sizeof *dim);
  dim[extra + lead] = turned ? columns : rows;
  dim[extra + lead + 1] = turned ? rows : columns;
  return extra + lead + 2;
}

/* Variants: both flags, then the bias. */
static void matmul(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  const forge_attr_matmul attr = {variant & 3, 0};
  const int64_t *size = s->v + s->n - 3, rows = size[0], columns = size[1], depth = size[2];
  int64_t dim[FORGE_MAX_RANK];
  CALL_ATTR(c, attr);
  c->op = FORGE_OP_MATMUL;
  int rank = operand_dims(s, rows, depth, attr.flags & FORGE_MATMUL_TRANS_A, dim);
  c->in[c->n_in++] = call_random(c, m->type[0], rank, dim, 1, -1.5, 2.0);
  operand_dims(s, depth, columns, attr.flags & FORGE_MATMUL_TRANS_B, dim);
  c->in[c->n_in++] = call_random(c, m->type[1], rank, dim, 2, -1.5, 2.0);
  c->in[c->n_in++] = variant & 4 ? call_random(c, FORGE_F32, 1, &columns, 3, -4.0, 4.0) : NULL;
  rank = operand_dims(s, rows, columns, false, dim);
  c->out[c->n_out++] = rig_make(m->type[2], rank, dim);
}

#define MATMUL_OF(name, a, b, y)                                                                   \
  { "MATMUL." name, matmul, &product_shapes, {a, b, y}, 8, 0 }

/* ---- QMATMUL: leading dims of x, then M, N and K in blocks ---- */

static const sizes blocks[] = {{3, {16, 64, 3}}, {3, {1, 257, 2}}, {3, {67, 129, 5}}};
static const sizes odd_blocks[] = {
    {3, {3, 5, 1}}, {3, {1, 127, 2}}, {3, {17, 31, 3}}, {4, {3, 2, 5, 1}}};
static const sizes large_blocks[] = {{3, {65539, 2, 1}}, {3, {1, 65541, 1}}, {3, {1, 2, 257}}};
static const sizes ranked_blocks[] = {
    {3, {3, 5, 1}}, {4, {2, 3, 5, 1}}, {5, {2, 3, 3, 5, 1}}, {6, {2, 1, 3, 2, 5, 1}}};
static const sizes large_wide[] = {{3, {4099, 2, 1}}, {3, {1, 4101, 1}}, {3, {1, 2, 257}}};
#define BLOCK_SHAPES(list)                                                                         \
  {                                                                                                \
    SHAPES(usual, blocks), SHAPES(odd, odd_blocks), SHAPES(large, list),                           \
        SHAPES(ranks, ranked_blocks), .zero = 3, .sweep = 3, .free = 3                             \
  }
static const op_shapes block_shapes = BLOCK_SHAPES(large_blocks);
static const op_shapes wide_shapes = BLOCK_SHAPES(large_wide); /* of 256 elements */

static void qmatmul(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  const int64_t *size = s->v + s->n - 3, columns = size[1];
  const int64_t depth = size[2] * rig_type_block(m->type[0]), w[] = {columns, depth};
  int64_t dim[FORGE_MAX_RANK];
  c->op = FORGE_OP_QMATMUL;
  const int rank = operand_dims(s, size[0], depth, false, dim);
  c->in[c->n_in++] = call_random(c, FORGE_F32, rank, dim, 1, -2.0, 2.0);
  c->in[c->n_in++] = call_random(c, m->type[0], 2, w, 2 + variant, 0.0, 0.0);
  c->in[c->n_in++] = variant & 1 ? call_random(c, FORGE_F32, 1, &columns, 3, -4.0, 4.0) : NULL;
  operand_dims(s, size[0], columns, false, dim);
  c->out[c->n_out++] = rig_make(FORGE_F32, rank, dim);
}

#define QMATMUL_OF(name, type, shapes)                                                             \
  { "QMATMUL." name, qmatmul, &shapes, {type}, 2, 0 }

/* ---- experts: T, E, N, K ---- */

static const sizes experts[] = {{4, {33, 8, 64, 96}}, {4, {70, 3, 129, 133}}};
static const sizes odd_experts[] = {
    {4, {5, 3, 7, 9}}, {4, {1, 2, 31, 33}}, {4, {40, 5, 17, 63}}, {4, {3, 1, 1, 257}}};
static const sizes large_experts[] = {
    {4, {65539, 3, 2, 2}}, {4, {2, 3, 65537, 2}}, {4, {2, 2, 3, 65541}}};
static const op_shapes expert_shapes = {SHAPES(usual, experts),
                                        SHAPES(odd, odd_experts),
                                        SHAPES(large, large_experts),
                                        .zero = 15,
                                        .sweep = 13,
                                        .free = 13};

static void grouped(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  const forge_attr_matmul attr = {variant & 1 ? FORGE_MATMUL_TRANS_A : 0, 0};
  const int64_t t = s->v[0], e = s->v[1], n = s->v[2], k = s->v[3];
  const bool back = variant & 1;
  CALL_ATTR(c, attr);
  c->op = FORGE_OP_GROUPED_MATMUL;
  c->in[c->n_in++] = call_random(c, FORGE_F32, 2, (int64_t[]){t, back ? n : k}, 1, -2.0, 2.0);
  c->in[c->n_in++] = call_random(c, m->type[0], 3, (int64_t[]){e, n, k}, 2, -2.0, 2.0);
  c->in[c->n_in++] = call_ids(1, &t, 3, e, variant & 2);
  c->out[c->n_out++] = rig_make(FORGE_F32, 2, (int64_t[]){t, back ? k : n});
}

static void grouped_dw(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  const forge_attr_matmul attr = {0, 0};
  const int64_t t = s->v[0], e = s->v[1], n = s->v[2], k = s->v[3];
  (void)m;
  CALL_ATTR(c, attr);
  c->op = FORGE_OP_GROUPED_MATMUL_DW;
  c->in[c->n_in++] = call_random(c, FORGE_F32, 2, (int64_t[]){t, k}, 1, -2.0, 2.0);
  c->in[c->n_in++] = call_random(c, FORGE_F32, 2, (int64_t[]){t, n}, 2, -2.0, 2.0);
  c->in[c->n_in++] = call_ids(1, &t, 3, e, variant & 1);
  c->out[c->n_out++] = rig_make(FORGE_F32, 3, (int64_t[]){e, n, k});
}

static const op_maker makers[] = {
    MATMUL_OF("f32", FORGE_F32, FORGE_F32, FORGE_F32),
    MATMUL_OF("f16", FORGE_F16, FORGE_F16, FORGE_F32),
    MATMUL_OF("bf16", FORGE_BF16, FORGE_BF16, FORGE_F32),
    MATMUL_OF("f32_f16", FORGE_F32, FORGE_F16, FORGE_F32),
    MATMUL_OF("bf16_f32", FORGE_BF16, FORGE_F32, FORGE_F32),
    MATMUL_OF("f16_to_f16", FORGE_F16, FORGE_F16, FORGE_F16),
    MATMUL_OF("bf16_to_bf16", FORGE_BF16, FORGE_BF16, FORGE_BF16),
    QMATMUL_OF("q8_0", FORGE_Q8_0, block_shapes),
    QMATMUL_OF("q4_0", FORGE_Q4_0, block_shapes),
    QMATMUL_OF("q4_k", FORGE_Q4_K, wide_shapes),
    QMATMUL_OF("q6_k", FORGE_Q6_K, wide_shapes),
    {"GROUPED_MATMUL.f32", grouped, &expert_shapes, {FORGE_F32}, 4, 0},
    {"GROUPED_MATMUL.bf16", grouped, &expert_shapes, {FORGE_BF16}, 4, 0},
    {"GROUPED_MATMUL.f16", grouped, &expert_shapes, {FORGE_F16}, 4, 0},
    {"GROUPED_MATMUL_DW.f32", grouped_dw, &expert_shapes, {FORGE_F32}, 2, 0},
};

void chapter_ops_matmul(test_list *list) { cases_add(list, makers, COUNT_OF(makers)); }
