/* ops.c -- one row per op: how many tensors, how shapes follow, its gradient, its expansion, its
 * cost. The facts come from the registry (FORGE_OP_MAP), the functions from the files below. */
#include "rows.h"

enum {
#define FACTS(op, number, cls, inputs, outputs, text)                                              \
  CLASS_##op = cls, IN_##op = inputs, OUT_##op = outputs,
  FORGE_OP_MAP(FACTS)
#undef FACTS
};

#define ROW(op)    .name = #op, .class = CLASS_##op, .n_in = IN_##op, .n_out = OUT_##op
#define ATTR(type) .attr_bytes = sizeof(forge_attr_##type)

static const op_row rows[] = {
    [FORGE_OP_COPY_STRIDED] = {ROW(COPY_STRIDED), .inputs = "x", .infer = infer_copy,
                               .gradient = grad_copy},
    [FORGE_OP_CAST] = {ROW(CAST), .inputs = "x", .infer = infer_cast, .gradient = grad_copy},
    [FORGE_OP_FILL] = {ROW(FILL), ATTR(fill), .inputs = "", .infer = infer_fill},
    [FORGE_OP_BINARY] = {ROW(BINARY), ATTR(kind), .inputs = "a b", .infer = infer_binary,
                         .gradient = grad_binary},
    [FORGE_OP_UNARY] = {ROW(UNARY), ATTR(kind), .inputs = "x", .infer = infer_unary,
                        .gradient = grad_unary},
    [FORGE_OP_AXPBY] = {ROW(AXPBY), ATTR(axpby), .inputs = "a b", .infer = infer_axpby,
                        .gradient = grad_axpby},
    [FORGE_OP_REDUCE] = {ROW(REDUCE), ATTR(reduce), .inputs = "x", .infer = infer_reduce,
                         .gradient = grad_reduce},
    [FORGE_OP_MATMUL] = {ROW(MATMUL), ATTR(matmul), .inputs = "a b bias", .optional_in = 4,
                         .infer = infer_matmul, .gradient = grad_matmul, .flops = flops_matmul},
    [FORGE_OP_GATHER_ROWS] = {ROW(GATHER_ROWS), .inputs = "table ids", .infer = infer_gather,
                              .gradient = grad_gather},
    [FORGE_OP_SCATTER_ROWS] = {ROW(SCATTER_ROWS), ATTR(scatter), .inputs = "base ids src",
                               .optional_in = 1, .infer = infer_scatter, .gradient = grad_scatter},
    [FORGE_OP_SOFTMAX] = {ROW(SOFTMAX), ATTR(softmax), .inputs = "x", .infer = infer_softmax,
                          .gradient = grad_softmax},
    [FORGE_OP_TOPK] = {ROW(TOPK), ATTR(topk), .inputs = "x", .infer = infer_topk},
    [FORGE_OP_RNG_PHILOX] = {ROW(RNG_PHILOX), ATTR(rng), .inputs = "keys", .optional_in = 1,
                             .infer = infer_rng},
    [FORGE_OP_MASK] = {ROW(MASK), ATTR(mask), .inputs = "x keep", .optional_in = 2,
                       .infer = infer_mask, .gradient = grad_mask},
    [FORGE_OP_RMSNORM] = {ROW(RMSNORM), ATTR(norm), .inputs = "x w", .infer = infer_norm,
                          .gradient = grad_rmsnorm, .expand = expand_rmsnorm},
    [FORGE_OP_RMSNORM_BWD] = {ROW(RMSNORM_BWD), ATTR(norm), .inputs = "x w dy",
                              .infer = infer_norm_bwd, .expand = expand_rmsnorm_bwd},
    [FORGE_OP_LAYERNORM] = {ROW(LAYERNORM), ATTR(norm), .inputs = "x w b", .optional_in = 4,
                            .infer = infer_norm, .gradient = grad_layernorm,
                            .expand = expand_layernorm},
    [FORGE_OP_LAYERNORM_BWD] = {ROW(LAYERNORM_BWD), ATTR(norm), .inputs = "x w dy",
                                .infer = infer_norm_bwd, .expand = expand_layernorm_bwd},
    [FORGE_OP_ROPE] = {ROW(ROPE), ATTR(rope), .inputs = "x positions freq_factors",
                       .optional_in = 4, .infer = infer_rope, .gradient = grad_rope,
                       .expand = expand_rope},
    [FORGE_OP_SWIGLU] = {ROW(SWIGLU), .inputs = "gate up", .infer = infer_same_f32,
                         .gradient = grad_swiglu, .expand = expand_swiglu},
    [FORGE_OP_SWIGLU_BWD] = {ROW(SWIGLU_BWD), .inputs = "gate up dy", .infer = infer_same_f32,
                             .expand = expand_swiglu_bwd},
    [FORGE_OP_UNARY_BWD] = {ROW(UNARY_BWD), ATTR(kind), .inputs = "x dy", .infer = infer_unary,
                            .expand = expand_unary_bwd},
    [FORGE_OP_ATTENTION] = {ROW(ATTENTION), ATTR(attention), .inputs = "q k v starts page_table",
                            .optional_in = 8 | 16, .optional_out = 2, .infer = infer_attention,
                            .gradient = grad_attention, .expand = expand_attention,
                            .flops = flops_attention},
    [FORGE_OP_ATTENTION_BWD] = {ROW(ATTENTION_BWD), ATTR(attention), .inputs = "q k v y lse dy",
                                .infer = infer_attention_bwd, .expand = expand_attention_bwd,
                                .flops = flops_attention_bwd},
    [FORGE_OP_KV_WRITE] = {ROW(KV_WRITE), .inputs = "pages slots src", .inplace = 1,
                           .infer = infer_kv_write, .expand = expand_kv_write},
    [FORGE_OP_CROSS_ENTROPY] = {ROW(CROSS_ENTROPY), .inputs = "logits targets",
                                .infer = infer_cross_entropy, .gradient = grad_cross_entropy,
                                .expand = expand_cross_entropy},
    [FORGE_OP_CROSS_ENTROPY_BWD] = {ROW(CROSS_ENTROPY_BWD), .inputs = "logits targets dloss",
                                    .infer = infer_cross_entropy,
                                    .expand = expand_cross_entropy_bwd},
    [FORGE_OP_ADAMW] = {ROW(ADAMW), ATTR(adamw), .inputs = "p m v g clip", .optional_in = 16,
                        .inplace = 7, .infer = infer_adamw, .expand = expand_adamw},
    [FORGE_OP_GLOBAL_NORM] = {ROW(GLOBAL_NORM), ATTR(global_norm), .inputs = "g",
                              .infer = infer_global_norm, .expand = expand_global_norm},
    [FORGE_OP_SAMPLE] = {ROW(SAMPLE), .inputs = "logits params iparams", .infer = infer_sample,
                         .expand = expand_sample},
    [FORGE_OP_QMATMUL] = {ROW(QMATMUL), .inputs = "x w bias", .optional_in = 4,
                          .infer = infer_qmatmul, .gradient = grad_qmatmul,
                          .expand = expand_qmatmul, .flops = flops_qmatmul},
    [FORGE_OP_MOE_ROUTE] = {ROW(MOE_ROUTE), ATTR(moe), .inputs = "logits", .infer = infer_moe_route,
                            .gradient = grad_moe_route, .expand = expand_moe_route},
    [FORGE_OP_MOE_ROUTE_BWD] = {ROW(MOE_ROUTE_BWD), ATTR(moe), .inputs = "logits ids dweights",
                                .infer = infer_moe_route_bwd, .expand = expand_moe_route_bwd},
    [FORGE_OP_GROUPED_MATMUL] = {ROW(GROUPED_MATMUL), ATTR(matmul), .inputs = "x w ids",
                                 .infer = infer_grouped, .gradient = grad_grouped,
                                 .expand = expand_grouped, .flops = flops_grouped},
    [FORGE_OP_GROUPED_MATMUL_DW] = {ROW(GROUPED_MATMUL_DW), ATTR(matmul), .inputs = "x dy ids",
                                    .infer = infer_grouped_dw, .expand = expand_grouped_dw,
                                    .flops = flops_grouped_dw},
};

const op_row *op_find(uint16_t op) {
  return op < COUNT_OF(rows) && rows[op].name ? &rows[op] : NULL;
}
