/* ops_attention.c -- ROPE, ATTENTION dense and paged, and its gradient. */
#include "cases.h"

/* ---- ROPE: leading dims, T, H, half of D ---- */

static const sizes turns[] = {{4, {2, 16, 4, 32}}, {3, {33, 2, 24}}};
static const sizes odd_turns[] = {
    {4, {2, 5, 3, 4}}, {3, {1, 1, 33}}, {3, {17, 31, 3}}, {3, {7, 1, 127}}};
static const sizes large_turns[] = {
    {3, {65539, 1, 2}}, {3, {2, 65541, 2}}, {3, {3, 1, 65537}}, {4, {65537, 1, 1, 2}}};
static const sizes ranked_turns[] = {
    {3, {3, 2, 4}}, {4, {2, 3, 2, 4}}, {5, {2, 2, 3, 2, 4}}, {6, {2, 1, 2, 3, 2, 4}}};
static const op_shapes turn_shapes = {SHAPES(usual, turns),
                                      SHAPES(odd, odd_turns),
                                      SHAPES(large, large_turns),
                                      SHAPES(ranks, ranked_turns),
                                      .zero = 7,
                                      .sweep = 8,
                                      .free = 7};

/* Variants: both flags; positions per token or per sequence; all columns with factors, or some. */
static void rope(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  int64_t dim[FORGE_MAX_RANK];
  for (int k = 0; k < s->n; k++) dim[k] = s->v[k];
  dim[s->n - 1] = 2 * s->v[s->n - 1];
  const bool part = variant & 4 && s->v[s->n - 1] > 1;
  const forge_attr_rope attr = {10000.0, 0.5, (uint32_t)(dim[s->n - 1] - (part ? 2 : 0)),
                                variant & 3};
  const int64_t half = attr.n_rot / 2;
  (void)m;
  CALL_ATTR(c, attr);
  c->op = FORGE_OP_ROPE;
  c->in[c->n_in++] = call_random(c, FORGE_F32, s->n, dim, 1, -1.0, 2.0);
  if (variant & 1)
    c->in[c->n_in++] = call_random(c, FORGE_I32, s->n - 2, dim, 2, -50.0, 700.0);
  else
    c->in[c->n_in++] = call_random(c, FORGE_I32, 1, &dim[s->n - 3], 2, 0.0, 4096.0);
  c->in[c->n_in++] = part ? NULL : call_random(c, FORGE_F32, 1, &half, 4, 1.0, 8.0);
  c->out[c->n_out++] = rig_make(FORGE_F32, s->n, dim);
}

/* ---- ATTENTION: B, T, S, heads per key head, KVH, D ---- */

static const sizes heads[] = {
    {6, {2, 33, 65, 2, 2, 32}}, {6, {1, 1, 300, 4, 2, 64}}, {6, {1, 64, 64, 1, 4, 48}}};
static const sizes odd_heads[] = {{6, {2, 3, 5, 2, 2, 7}},    {6, {1, 1, 1, 1, 1, 1}},
                                  {6, {1, 5, 130, 6, 1, 20}}, {6, {1, 17, 31, 3, 1, 33}},
                                  {6, {3, 1, 63, 1, 3, 127}}, {6, {1, 7, 3, 2, 2, 65}}};
static const sizes large_heads[] = {
    {6, {1, 1, 65537, 1, 1, 3}}, {6, {65539, 1, 2, 1, 1, 2}}, {6, {1, 1100, 3, 60, 1, 1}}};
static const op_shapes head_shapes = {SHAPES(usual, heads),
                                      SHAPES(odd, odd_heads),
                                      SHAPES(large, large_heads),
                                      .zero = 7,
                                      .sweep = 38,
                                      .free = 7};

/* Variants: 0 all keys; 1 causal; 2 causal from starts; 3 with a window; 4 a window alone, no lse.
 */
static void attention_flags(op_call *c, uint32_t variant, const int64_t *b, double reach) {
  const forge_attr_attention attr = {.scale = variant == 1 ? 0.7 : 0.3,
                                     .flags =
                                         variant >= 1 && variant <= 3 ? FORGE_ATTENTION_CAUSAL : 0,
                                     .window = variant >= 3 ? 3 : 0};
  CALL_ATTR(c, attr);
  c->op = FORGE_OP_ATTENTION;
  c->in[c->n_in++] = variant >= 2 ? call_random(c, FORGE_I32, 1, b, 4, -1.0, reach) : NULL;
}

static void attention_outputs(op_call *c, uint32_t variant) {
  const int64_t *q = c->in[0]->t.dim, lse[] = {q[0], q[2], q[1]};
  c->out[c->n_out++] = rig_make(FORGE_F32, 4, q);
  c->out[c->n_out++] = variant == 4 ? NULL : rig_make(FORGE_F32, 3, lse);
}

static void attention(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  const int64_t q[] = {s->v[0], s->v[1], s->v[3] * s->v[4], s->v[5]},
                k[] = {s->v[0], s->v[2], s->v[4], s->v[5]};
  c->in[c->n_in++] = call_random(c, FORGE_F32, 4, q, 1, -1.0, 2.0);
  c->in[c->n_in++] = call_random(c, m->type[0], 4, k, 2, -1.0, 2.0);
  c->in[c->n_in++] = call_random(c, m->type[1], 4, k, 3, -1.0, 2.0);
  attention_flags(c, variant, s->v, (double)s->v[2]);
  c->in[c->n_in++] = NULL;
  attention_outputs(c, variant);
}

/* ---- paged: B, T, pages of a sequence, rows of a page, KVH, D; two heads share one ---- */

static const sizes pages[] = {{6, {3, 9, 5, 16, 2, 24}}, {6, {2, 1, 12, 7, 1, 32}}};
static const sizes odd_pages[] = {{6, {2, 3, 4, 3, 1, 7}},
                                  {6, {1, 1, 1, 1, 1, 1}},
                                  {6, {3, 6, 12, 1, 2, 16}},
                                  {6, {1, 17, 3, 31, 1, 33}}};
static const sizes large_pages[] = {{6, {1, 1, 65537, 1, 1, 2}}, {6, {65539, 1, 2, 1, 1, 2}}};
static const op_shapes page_shapes = {SHAPES(usual, pages),
                                      SHAPES(odd, odd_pages),
                                      SHAPES(large, large_pages),
                                      .zero = 7,
                                      .sweep = 44,
                                      .free = 3};

/* Pages in no order, each sequence with some of its own; variants 1 and 4: one that ends early. */
static rig_tensor *page_table(const sizes *s, int64_t all, uint32_t variant) {
  rig_tensor *t = rig_make(FORGE_I32, 2, (int64_t[]){s->v[0], s->v[2]});
  for (int64_t i = 0; i < rig_elements(t); i++) rig_set(t, i, (double)((i * 7 + 3) % all));
  if (rig_elements(t) > 2 && variant == 1) rig_set(t, rig_elements(t) - 1, -1.0);
  if (rig_elements(t) > 2 && variant == 4) rig_set(t, rig_elements(t) - 2, (double)all);
  return t;
}

static void paged(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  const int64_t all = s->v[2] + 37, k[] = {all, s->v[3], s->v[4], s->v[5]};
  const int64_t q[] = {s->v[0], s->v[1], 2 * s->v[4], s->v[5]};
  c->in[c->n_in++] = call_random(c, FORGE_F32, 4, q, 1, -1.0, 2.0);
  c->in[c->n_in++] = call_random(c, m->type[0], 4, k, 2, -1.0, 2.0);
  c->in[c->n_in++] = call_random(c, m->type[1], 4, k, 3, -1.0, 2.0);
  attention_flags(c, variant, s->v, (double)(s->v[2] * s->v[3]));
  c->in[c->n_in++] = page_table(s, all, variant);
  attention_outputs(c, variant);
}

/* ---- the gradient: y and lse as the oracle has them ---- */

static void backward(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  const int64_t q[] = {s->v[0], s->v[1], s->v[3] * s->v[4], s->v[5]},
                k[] = {s->v[0], s->v[2], s->v[4], s->v[5]};
  const int64_t lse[] = {q[0], q[2], q[1]};
  const forge_attr_attention attr = {.scale = 0.4,
                                     .flags = variant & 1 ? FORGE_ATTENTION_CAUSAL : 0};
  (void)m;
  CALL_ATTR(c, attr);
  c->op = FORGE_OP_ATTENTION_BWD;
  c->in[0] = call_random(c, FORGE_F32, 4, q, 1, -1.0, 2.0);
  c->in[1] = call_random(c, FORGE_F32, 4, k, 2, -1.0, 2.0);
  c->in[2] = call_random(c, FORGE_F32, 4, k, 3, -1.0, 2.0);
  c->in[3] = rig_make(FORGE_F32, 4, q);
  c->in[4] = rig_make(FORGE_F32, 3, lse);
  c->in[5] = call_random(c, FORGE_F32, 4, q, 5, -1.0, 1.0);
  c->n_in = 6;
  for (int i = 0; i < 3; i++) c->out[c->n_out++] = rig_make(FORGE_F32, 4, i ? k : q);
  ref *in[] = {ref_of(c->in[0]), ref_of(c->in[1]), ref_of(c->in[2]), NULL, NULL};
  ref *out[] = {ref_make(4, q), ref_make(3, lse)};
  ref64_run(FORGE_OP_ATTENTION, &attr, (const ref *const *)in, 5, out, 2, NULL);
  for (int i = 0; i < 2; i++)
    for (int64_t e = 0; e < ref_count(out[i]); e++) rig_set(c->in[3 + i], e, out[i]->v[e]);
  for (int i = 0; i < 3; i++) ref_free(in[i]);
  for (int i = 0; i < 2; i++) ref_free(out[i]);
}

/* Extents that are scalars would change y and lse as well. */
static const op_shapes backward_shapes = {SHAPES(usual, heads), SHAPES(odd, odd_heads),
                                          SHAPES(large, large_heads), .zero = 7, .sweep = 38};

static const op_maker makers[] = {
    {"ROPE.f32", rope, &turn_shapes, {FORGE_F32}, 8, 0},
    {"ATTENTION.f32", attention, &head_shapes, {FORGE_F32, FORGE_F32}, 5, 0},
    {"ATTENTION.f16", attention, &head_shapes, {FORGE_F16, FORGE_F16}, 5, 0},
    {"ATTENTION.bf16", attention, &head_shapes, {FORGE_BF16, FORGE_BF16}, 5, 0},
    {"ATTENTION.f16_f32", attention, &head_shapes, {FORGE_F16, FORGE_F32}, 5, 0},
    {"ATTENTION.paged.f32", paged, &page_shapes, {FORGE_F32, FORGE_F32}, 5, 0},
    {"ATTENTION.paged.f16", paged, &page_shapes, {FORGE_F16, FORGE_F16}, 5, 0},
    {"ATTENTION.paged.bf16", paged, &page_shapes, {FORGE_BF16, FORGE_BF16}, 5, 0},
    {"ATTENTION_BWD.f32", backward, &backward_shapes, {FORGE_F32}, 2, 0, 31},
};

void chapter_ops_attention(test_list *list) { cases_add(list, makers, COUNT_OF(makers)); }
