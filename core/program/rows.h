/* rows.h -- the functions the op table (ops.c) is made of, and the small calls they share.
 * infer_: infer_primitive.c, infer_composite.c. grad_: gradient_*.c. expand_: expand_*.c. flops_:
 * flops.c. */
#ifndef FORGE_ROWS_H
#define FORGE_ROWS_H

#include "graph.h"

forge_status infer_copy(shape_call *c);
forge_status infer_cast(shape_call *c);
forge_status infer_fill(shape_call *c);
forge_status infer_binary(shape_call *c);
forge_status infer_unary(shape_call *c);
forge_status infer_axpby(shape_call *c);
forge_status infer_reduce(shape_call *c);
forge_status infer_matmul(shape_call *c);
forge_status infer_gather(shape_call *c);
forge_status infer_scatter(shape_call *c);
forge_status infer_softmax(shape_call *c);
forge_status infer_topk(shape_call *c);
forge_status infer_rng(shape_call *c);
forge_status infer_mask(shape_call *c);
forge_status infer_norm(shape_call *c);
forge_status infer_norm_bwd(shape_call *c);
forge_status infer_rope(shape_call *c);
forge_status infer_same_f32(shape_call *c);
forge_status infer_attention(shape_call *c);
forge_status infer_attention_bwd(shape_call *c);
forge_status infer_kv_write(shape_call *c);
forge_status infer_cross_entropy(shape_call *c);
forge_status infer_adamw(shape_call *c);
forge_status infer_global_norm(shape_call *c);
forge_status infer_sample(shape_call *c);
forge_status infer_qmatmul(shape_call *c);
forge_status infer_moe_route(shape_call *c);
forge_status infer_moe_route_bwd(shape_call *c);
forge_status infer_grouped(shape_call *c);
forge_status infer_grouped_dw(shape_call *c);

forge_status grad_copy(grad_call *c);
forge_status grad_binary(grad_call *c);
forge_status grad_unary(grad_call *c);
forge_status grad_axpby(grad_call *c);
forge_status grad_reduce(grad_call *c);
forge_status grad_matmul(grad_call *c);
forge_status grad_gather(grad_call *c);
forge_status grad_scatter(grad_call *c);
forge_status grad_softmax(grad_call *c);
forge_status grad_mask(grad_call *c);
forge_status grad_rmsnorm(grad_call *c);
forge_status grad_layernorm(grad_call *c);
forge_status grad_rope(grad_call *c);
forge_status grad_swiglu(grad_call *c);
forge_status grad_attention(grad_call *c);
forge_status grad_cross_entropy(grad_call *c);
forge_status grad_qmatmul(grad_call *c);
forge_status grad_moe_route(grad_call *c);
forge_status grad_grouped(grad_call *c);

void expand_rmsnorm(expand_call *c);
void expand_rmsnorm_bwd(expand_call *c);
void expand_layernorm(expand_call *c);
void expand_layernorm_bwd(expand_call *c);
void expand_rope(expand_call *c);
void expand_swiglu(expand_call *c);
void expand_swiglu_bwd(expand_call *c);
void expand_unary_bwd(expand_call *c);
void expand_attention(expand_call *c);
void expand_attention_bwd(expand_call *c);
void expand_kv_write(expand_call *c);
void expand_cross_entropy(expand_call *c);
void expand_cross_entropy_bwd(expand_call *c);
void expand_adamw(expand_call *c);
void expand_global_norm(expand_call *c);
void expand_sample(expand_call *c);
void expand_qmatmul(expand_call *c);
void expand_moe_route(expand_call *c);
void expand_moe_route_bwd(expand_call *c);
void expand_grouped(expand_call *c);
void expand_grouped_dw(expand_call *c);

double flops_matmul(const forge_tensor *const *in, const forge_tensor *const *out,
                    const void *attr);
double flops_attention(const forge_tensor *const *in, const forge_tensor *const *out,
                       const void *attr);
double flops_attention_bwd(const forge_tensor *const *in, const forge_tensor *const *out,
                           const void *attr);
double flops_qmatmul(const forge_tensor *const *in, const forge_tensor *const *out,
                     const void *attr);
double flops_grouped(const forge_tensor *const *in, const forge_tensor *const *out,
                     const void *attr);
double flops_grouped_dw(const forge_tensor *const *in, const forge_tensor *const *out,
                        const void *attr);

/* ---- shape checks (infer.c): each names op, input, shapes and what to do ---- */

enum { SHAPE_F32 = 1, SHAPE_FLOAT = 2, SHAPE_I32 = 4, SHAPE_I8 = 8, SHAPE_BLOCK = 16 };
/* "MATMUL: input 1 (b) F32 [3, 4]: <format>" as E_INVALID. */
forge_status shape_fail(const shape_call *c, uint32_t i, const char *format, ...) BASE_PRINTF(3, 4);
forge_status shape_type(const shape_call *c, uint32_t i, uint32_t allowed);
forge_status shape_rank(const shape_call *c, uint32_t i, uint32_t lo, uint32_t hi);
/* Inputs i and j have equal dims. */
forge_status shape_same(const shape_call *c, uint32_t i, uint32_t j);
/* Dimension k of input i equals dimension l of input j. */
forge_status shape_dim(const shape_call *c, uint32_t i, uint32_t k, uint32_t j, uint32_t l);
forge_status shape_number(const shape_call *c, const forge_attr_number *n, const char *what);
forge_status shape_kind(const shape_call *c, uint32_t kind, uint32_t last, const char *what);
/* Output |k| is dense, of |dtype|, with the dims of |like|. */
void shape_out(shape_call *c, uint32_t k, uint8_t dtype, const forge_tensor *like);

#endif
