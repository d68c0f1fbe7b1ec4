/* cases.c -- the shapes the reference shows each formula on: small, odd, and all different, so that
 * an extent in a line tells where it comes from. PARAM inputs are those a gradient is asked for. */
#include "formulas.h"

#define NONE                                                                                       \
  {                                                                                                \
    NULL, 0, 0, 0, { 0 }                                                                           \
  }
#define TENSOR(name, type, role, ...)                                                              \
  {                                                                                                \
    name, FORGE_##type, FORGE_ROLE_##role, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), {   \
      __VA_ARGS__                                                                                  \
    }                                                                                              \
  }
#define P(name, ...) TENSOR(name, F32, PARAM, __VA_ARGS__)
#define I(name, ...) TENSOR(name, I32, INPUT, __VA_ARGS__)
#define S(name, ...) TENSOR(name, F32, STATE, __VA_ARGS__)
#define SCALAR(name)                                                                               \
  {                                                                                                \
    name, FORGE_F32, FORGE_ROLE_PARAM, 0, { 0 }                                                    \
  }
#define ATTR(type, ...) #type, &(const forge_attr_##type){__VA_ARGS__ }, sizeof(forge_attr_##type)
#define NO_ATTR         NULL, NULL, 0
#define BOTH            (FORMULA_EXPAND | FORMULA_GRADIENT)

#define BINARY_CASE(which)                                                                         \
  {                                                                                                \
    FORGE_OP_BINARY, FORMULA_GRADIENT, #which, ATTR(kind, FORGE_BINARY_##which, 0), 2,             \
        {P("a", 3, 7), P("b", 3, 7)}, {                                                            \
      0                                                                                            \
    }                                                                                              \
  }
#define UNARY_BWD_CASE(which)                                                                      \
  {                                                                                                \
    FORGE_OP_UNARY_BWD, FORMULA_EXPAND, #which, ATTR(kind, FORGE_UNARY_##which, 0), 2,             \
        {P("x", 3, 7), P("dy", 3, 7)}, {                                                           \
      0                                                                                            \
    }                                                                                              \
  }

#define HEADS_Q P("q", 2, 3, 6, 5)
#define HEADS_K P("k", 2, 7, 2, 5)
#define HEADS_V P("v", 2, 7, 2, 5)
#define PAGES_K P("k", 9, 4, 2, 5)
#define PAGES_V P("v", 9, 4, 2, 5)

/* clang-format off */
const formula_case formula_cases[] = {
  {FORGE_OP_COPY_STRIDED, FORMULA_GRADIENT, "", NO_ATTR, 1, {P("x", 3, 7)}, {0}},
  {FORGE_OP_CAST, FORMULA_GRADIENT, "to F16", NO_ATTR, 1, {P("x", 3, 7)}, {.dtype = FORGE_F16, .rank = 2, .dim = {3, 7}}},
  {FORGE_OP_FILL, 0, "", ATTR(fill, 0), 0, {NONE}, {.dtype = FORGE_F32, .rank = 1, .dim = {7}}},
  BINARY_CASE(ADD), BINARY_CASE(SUB), BINARY_CASE(MUL), BINARY_CASE(DIV), BINARY_CASE(MAX), BINARY_CASE(MIN),
  {FORGE_OP_UNARY, FORMULA_GRADIENT, "SILU; any kind alike", ATTR(kind, FORGE_UNARY_SILU, 0), 1, {P("x", 3, 7)}, {0}},
  {FORGE_OP_AXPBY, FORMULA_GRADIENT, "alpha 2, beta 3", ATTR(axpby, {2, 0, 0}, {3, 0, 0}), 2, {P("a", 3, 7), P("b", 3, 7)}, {0}},
  {FORGE_OP_REDUCE, FORMULA_GRADIENT, "SUM over dimension 1", ATTR(reduce, FORGE_REDUCE_SUM, 2), 1, {P("x", 3, 7)}, {0}},
  {FORGE_OP_REDUCE, FORMULA_GRADIENT, "MEAN over dimension 1", ATTR(reduce, FORGE_REDUCE_MEAN, 2), 1, {P("x", 3, 7)}, {0}},
  {FORGE_OP_REDUCE, FORMULA_GRADIENT, "MAX over dimension 1", ATTR(reduce, FORGE_REDUCE_MAX, 2), 1, {P("x", 3, 7)}, {0}},
  {FORGE_OP_MATMUL, FORMULA_GRADIENT, "with bias", ATTR(matmul, 0, 0), 3, {P("a", 3, 5), P("b", 5, 7), P("bias", 7)}, {0}},
  {FORGE_OP_MATMUL, FORMULA_GRADIENT, "TRANS_A", ATTR(matmul, 1, 0), 3, {P("a", 5, 3), P("b", 5, 7), NONE}, {0}},
  {FORGE_OP_MATMUL, FORMULA_GRADIENT, "TRANS_B", ATTR(matmul, 2, 0), 3, {P("a", 3, 5), P("b", 7, 5), NONE}, {0}},
  {FORGE_OP_MATMUL, FORMULA_GRADIENT, "TRANS_A and TRANS_B", ATTR(matmul, 3, 0), 3, {P("a", 5, 3), P("b", 7, 5), NONE}, {0}},
  {FORGE_OP_GATHER_ROWS, FORMULA_GRADIENT, "", NO_ATTR, 2, {P("table", 11, 5), I("ids", 3)}, {0}},
  {FORGE_OP_SCATTER_ROWS, FORMULA_GRADIENT, "SET", ATTR(scatter, FORGE_SCATTER_SET, 0), 3, {P("base", 11, 5), I("ids", 3), P("src", 3, 5)}, {0}},
  {FORGE_OP_SCATTER_ROWS, FORMULA_GRADIENT, "ADD", ATTR(scatter, FORGE_SCATTER_ADD, 0), 3, {P("base", 11, 5), I("ids", 3), P("src", 3, 5)}, {0}},
  {FORGE_OP_SOFTMAX, FORMULA_GRADIENT, "scale 2", ATTR(softmax, 2), 1, {P("x", 3, 7)}, {0}},
  {FORGE_OP_TOPK, 0, "", ATTR(topk, 2, 0), 1, {P("x", 3, 7)}, {0}},
  {FORGE_OP_RNG_PHILOX, 0, "", ATTR(rng, FORGE_RNG_UNIFORM, 0, 0, 1, 0, 0, 0, 0), 1, {NONE}, {.dtype = FORGE_F32, .rank = 1, .dim = {7}}},
  {FORGE_OP_MASK, FORMULA_GRADIENT, "TENSOR", ATTR(mask, FORGE_MASK_TENSOR, 0, 1), 2, {P("x", 3, 7), I("keep", 3, 7)}, {0}},
  {FORGE_OP_RMSNORM, BOTH, "", ATTR(norm, 1e-5), 2, {P("x", 3, 7), P("w", 7)}, {0}},
  {FORGE_OP_RMSNORM_BWD, FORMULA_EXPAND, "", ATTR(norm, 1e-5), 3, {P("x", 3, 7), P("w", 7), P("dy", 3, 7)}, {0}},
  {FORGE_OP_LAYERNORM, BOTH, "with b", ATTR(norm, 1e-5), 3, {P("x", 3, 7), P("w", 7), P("b", 7)}, {0}},
  {FORGE_OP_LAYERNORM_BWD, FORMULA_EXPAND, "", ATTR(norm, 1e-5), 3, {P("x", 3, 7), P("w", 7), P("dy", 3, 7)}, {0}},
  {FORGE_OP_ROPE, BOTH, "pairs (i, i + n_rot/2), part of the columns", ATTR(rope, 10000, 1, 6, 0), 3, {P("x", 2, 3, 5, 8), I("positions", 3), NONE}, {0}},
  {FORGE_OP_ROPE, FORMULA_EXPAND, "INTERLEAVED, INVERSE, all columns, freq_factors", ATTR(rope, 10000, 1, 8, 3), 3,
   {P("x", 2, 3, 5, 8), I("positions", 2, 3), P("freq_factors", 4)}, {0}},
  {FORGE_OP_SWIGLU, BOTH, "", NO_ATTR, 2, {P("gate", 3, 7), P("up", 3, 7)}, {0}},
  {FORGE_OP_SWIGLU_BWD, FORMULA_EXPAND, "", NO_ATTR, 3, {P("gate", 3, 7), P("up", 3, 7), P("dy", 3, 7)}, {0}},
  UNARY_BWD_CASE(NEG), UNARY_BWD_CASE(EXP), UNARY_BWD_CASE(LOG), UNARY_BWD_CASE(SQRT), UNARY_BWD_CASE(RSQRT),
  UNARY_BWD_CASE(RECIP), UNARY_BWD_CASE(SQUARE), UNARY_BWD_CASE(SIGMOID), UNARY_BWD_CASE(SILU), UNARY_BWD_CASE(GELU),
  UNARY_BWD_CASE(TANH), UNARY_BWD_CASE(RELU), UNARY_BWD_CASE(SIN), UNARY_BWD_CASE(COS), UNARY_BWD_CASE(ABS), UNARY_BWD_CASE(STEP),
  {FORGE_OP_ATTENTION, BOTH, "dense, CAUSAL", ATTR(attention, 0.5, 1, 0), 5, {HEADS_Q, HEADS_K, HEADS_V, NONE, NONE}, {0}},
  {FORGE_OP_ATTENTION, FORMULA_EXPAND, "paged, CAUSAL, starts, window 4", ATTR(attention, 0.5, 1, 4), 5,
   {HEADS_Q, PAGES_K, PAGES_V, I("starts", 2), I("page_table", 2, 3)}, {0}},
  {FORGE_OP_ATTENTION_BWD, FORMULA_EXPAND, "CAUSAL", ATTR(attention, 0.5, 1, 0), 6,
   {HEADS_Q, HEADS_K, HEADS_V, P("y", 2, 3, 6, 5), P("lse", 2, 6, 3), P("dy", 2, 3, 6, 5)}, {0}},
  {FORGE_OP_KV_WRITE, FORMULA_EXPAND, "", NO_ATTR, 3, {S("pages", 9, 4, 2, 5), I("slots", 3), P("src", 3, 2, 5)}, {0}},
  {FORGE_OP_CROSS_ENTROPY, BOTH, "", NO_ATTR, 2, {P("logits", 3, 7), I("targets", 3)}, {0}},
  {FORGE_OP_CROSS_ENTROPY_BWD, FORMULA_EXPAND, "", NO_ATTR, 3, {P("logits", 3, 7), I("targets", 3), SCALAR("dloss")}, {0}},
  {FORGE_OP_ADAMW, FORMULA_EXPAND, "lr and step are scalars of the submit, with clip", ATTR(adamw, 0.9, 0.999, 1e-8, 0.1, {0, 1, 0}, {0, 2, 0}), 5,
   {S("p", 3, 7), S("m", 3, 7), S("v", 3, 7), P("g", 3, 7), SCALAR("clip")}, {0}},
  {FORGE_OP_GLOBAL_NORM, FORMULA_EXPAND, "two inputs, max_norm 1", ATTR(global_norm, 1), 2, {P("g1", 3, 7), P("g2", 5)}, {0}},
  {FORGE_OP_SAMPLE, FORMULA_EXPAND, "", NO_ATTR, 3, {P("logits", 3, 7), P("params", 3, 4), I("iparams", 3, 4)}, {0}},
  {FORGE_OP_QMATMUL, BOTH, "with bias", NO_ATTR, 3, {P("x", 3, 64), TENSOR("w", Q8_0, INPUT, 7, 64), P("bias", 7)}, {0}},
  {FORGE_OP_MOE_ROUTE, BOTH, "k 2, NORMALISE", ATTR(moe, 2, 1), 1, {P("logits", 3, 7)}, {0}},
  {FORGE_OP_MOE_ROUTE_BWD, FORMULA_EXPAND, "k 2, NORMALISE", ATTR(moe, 2, 1), 3, {P("logits", 3, 7), I("ids", 3, 2), P("dweights", 3, 2)}, {0}},
  {FORGE_OP_GROUPED_MATMUL, BOTH, "two experts", ATTR(matmul, 0, 0), 3, {P("x", 3, 5), P("w", 2, 7, 5), I("ids", 3)}, {0}},
  {FORGE_OP_GROUPED_MATMUL_DW, FORMULA_EXPAND, "two experts", ATTR(matmul, 0, 0), 3, {P("x", 3, 5), P("dy", 3, 7), I("ids", 3)},
   {.dtype = FORGE_F32, .rank = 3, .dim = {2, 7, 5}}},
};
/* clang-format on */
const size_t formula_n_cases = sizeof formula_cases / sizeof *formula_cases;
