/* ops_move.c -- rows found by number: GATHER_ROWS SCATTER_ROWS KV_WRITE. */
#include "cases.h"

/* R rows, C columns (blocks for block types), n ids. */
static const sizes tables[] = {{3, {512, 64, 33}}, {3, {7, 288, 3}}};
static const sizes odd_tables[] = {
    {3, {5, 7, 3}}, {3, {1, 1, 9}}, {3, {31, 63, 17}}, {3, {3, 257, 2}}, {3, {127, 33, 65}}};
static const sizes large_tables[] = {{3, {65541, 3, 65}}, {3, {3, 65537, 2}}, {3, {7, 3, 65539}}};
static const op_shapes table_shapes = {SHAPES(usual, tables),
                                       SHAPES(odd, odd_tables),
                                       SHAPES(large, large_tables),
                                       .zero = 7,
                                       .sweep = 6,
                                       .free = 6};
static const sizes block_tables[] = {{3, {64, 3, 33}}};
static const sizes odd_block_tables[] = {{3, {5, 1, 3}}, {3, {31, 3, 17}}, {3, {3, 9, 2}}};
static const sizes large_block_tables[] = {
    {3, {65541, 1, 65}}, {3, {3, 300, 2}}, {3, {7, 1, 65539}}};
static const sizes large_wide_tables[] = {{3, {4099, 1, 65}}, {3, {3, 257, 2}}, {3, {7, 1, 4099}}};
#define BLOCK_SHAPES(list)                                                                         \
  {                                                                                                \
    SHAPES(usual, block_tables), SHAPES(odd, odd_block_tables), SHAPES(large, list),               \
        .zero = 5, .sweep = 4, .free = 4                                                           \
  }
static const op_shapes block_shapes = BLOCK_SHAPES(large_block_tables);
static const op_shapes wide_shapes = BLOCK_SHAPES(large_wide_tables); /* of 256 elements */

/* Variants: honest ids, hostile ids; ids of rank 1, of rank 2, of rank 0. */
static void gather(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  const int64_t columns = s->v[1] * rig_type_block(m->type[0]), table[] = {s->v[0], columns};
  const int64_t one[] = {s->v[2], columns}, two[] = {2, s->v[2], columns};
  const int rank = variant == 2 ? 2 : variant == 3 ? 0 : 1;
  c->op = FORGE_OP_GATHER_ROWS;
  c->in[c->n_in++] = call_random(c, m->type[0], 2, table, 1, -90.0, 90.0);
  c->in[c->n_in++] = call_ids(rank, rank == 2 ? two : one, 2, s->v[0], variant & 1);
  c->out[c->n_out++] = rig_make(m->type[1], rank + 1, rank == 2 ? two : rank == 1 ? one : &columns);
}

/* Variants: with a base and without; beside it and in place; ids outside now and then. */
static void scatter(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  const bool base = m->type[0] != FORGE_F32 || variant != 1;
  const forge_attr_scatter attr = {m->param, base ? 0 : (uint32_t)s->v[0]};
  const int64_t src[] = {s->v[2], s->v[1]};
  CALL_ATTR(c, attr);
  c->op = FORGE_OP_SCATTER_ROWS;
  c->in[c->n_in++] = base ? call_random(c, m->type[0], 2, s->v, 1, -9.0, 9.0) : NULL;
  c->in[c->n_in++] = call_ids(1, &s->v[2], 2, s->v[0], variant > 0);
  c->in[c->n_in++] = call_random(c, FORGE_F32, 2, src, 3, -9.0, 9.0);
  c->out[c->n_out++] = base && variant >= 2 ? c->in[0] : rig_make(m->type[0], 2, s->v);
}

/* P pages of |page| rows of KVH x D, T rows written. */
static const sizes caches[] = {{5, {8, 16, 2, 24, 9}}};
static const sizes odd_caches[] = {
    {5, {3, 4, 2, 7, 5}}, {5, {1, 7, 3, 1, 9}}, {5, {31, 1, 1, 33, 17}}};
static const sizes large_caches[] = {
    {5, {65539, 1, 1, 3, 5}}, {5, {9, 16, 1, 2, 65537}}, {5, {2, 65541, 1, 2, 3}}};
static const op_shapes cache_shapes = {SHAPES(usual, caches),
                                       SHAPES(odd, odd_caches),
                                       SHAPES(large, large_caches),
                                       .zero = 31,
                                       .sweep = 24,
                                       .free = 16};

static void kv_write(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  const int64_t src[] = {s->v[4], s->v[2], s->v[3]};
  c->op = FORGE_OP_KV_WRITE;
  c->in[c->n_in++] = call_random(c, m->type[0], 4, s->v, 1, 2.0, 3.0);
  c->in[c->n_in++] = call_ids(1, &s->v[4], 2, s->v[0] * s->v[1], variant & 1);
  c->in[c->n_in++] = call_random(c, FORGE_F32, 3, src, 3, -1.0, 1.0);
  c->out[c->n_out++] = c->in[0];
}

#define GATHER_OF(name, from, to)                                                                  \
  { "GATHER_ROWS." name, gather, &table_shapes, {from, to}, 4, 0 }
#define GATHER_BLOCKS(name, type, shapes)                                                          \
  { "GATHER_ROWS." name, gather, &shapes, {type, FORGE_F32}, 4, 0 }
#define KV_WRITE_OF(name, type)                                                                    \
  { "KV_WRITE." name, kv_write, &cache_shapes, {type}, 2, 0 }

static const op_maker makers[] = {
    GATHER_OF("f32", FORGE_F32, FORGE_F32),
    GATHER_OF("f16", FORGE_F16, FORGE_F32),
    GATHER_OF("bf16", FORGE_BF16, FORGE_F32),
    GATHER_OF("f16_to_f16", FORGE_F16, FORGE_F16),
    GATHER_OF("bf16_to_bf16", FORGE_BF16, FORGE_BF16),
    GATHER_OF("i32", FORGE_I32, FORGE_I32),
    GATHER_BLOCKS("q8_0", FORGE_Q8_0, block_shapes),
    GATHER_BLOCKS("q4_0", FORGE_Q4_0, block_shapes),
    GATHER_BLOCKS("q4_k", FORGE_Q4_K, wide_shapes),
    GATHER_BLOCKS("q6_k", FORGE_Q6_K, wide_shapes),
    {"SCATTER_ROWS.set.f32", scatter, &table_shapes, {FORGE_F32}, 4, FORGE_SCATTER_SET},
    {"SCATTER_ROWS.set.f16", scatter, &table_shapes, {FORGE_F16}, 4, FORGE_SCATTER_SET},
    {"SCATTER_ROWS.set.bf16", scatter, &table_shapes, {FORGE_BF16}, 4, FORGE_SCATTER_SET},
    {"SCATTER_ROWS.add.f32", scatter, &table_shapes, {FORGE_F32}, 4, FORGE_SCATTER_ADD},
    KV_WRITE_OF("f32", FORGE_F32),
    KV_WRITE_OF("f16", FORGE_F16),
    KV_WRITE_OF("bf16", FORGE_BF16),
};

void chapter_ops_move(test_list *list) { cases_add(list, makers, COUNT_OF(makers)); }
