/* build.h -- ops as calls with a sticky failure, so that a model reads as a formula.
 * Each call returns the op's first output, or FORGE_TID_NONE once anything failed; look at |status|
 * at the end. */
#ifndef FORGE_BUILD_H
#define FORGE_BUILD_H

#include <forge/program.h>

#include "base.h"

typedef struct build {
  forge_builder *builder;
  forge_status status;
} build;

forge_tid build_op(build *b, uint16_t op, const void *attrs, uint32_t attr_bytes,
                   const forge_tid *in, uint32_t n_in, forge_tid *out, uint32_t n_out);

/* Dense tensors; the dims end the argument list of their count. */
forge_tid build_tensor(build *b, uint32_t role, const char *name, uint8_t dtype, uint8_t rank,
                       const int64_t *dim, const uint8_t *dim_scalar);
/* The same elements, dense, under other dims (a -1 is worked out). A dim that is a scalar keeps
 * being one when it is kept as a whole, at the same place or moved by splitting or joining dims to
 * its right. */
forge_tid build_reshape(build *b, forge_tid x, uint8_t rank, const int64_t *dim);
/* |length| of dimension |dim| from |start| on. */
forge_tid build_slice(build *b, forge_tid x, uint32_t dim, int64_t start, int64_t length);
/* order[k] = which dimension of x becomes dimension k. */
forge_tid build_permute(build *b, forge_tid x, const uint8_t *order);
/* x repeated along dimensions of extent 1, or missing in front, to the dims of |like|. A view. */
forge_tid build_broadcast(build *b, forge_tid x, forge_tid like);
/* A dense copy where x is not dense already. */
forge_tid build_dense(build *b, forge_tid x);

forge_tid build_cast(build *b, forge_tid x, uint8_t dtype);
forge_tid build_fill(build *b, uint8_t dtype, uint8_t rank, const int64_t *dim,
                     const uint8_t *dim_scalar, double value);
forge_tid build_unary(build *b, forge_tid x, uint32_t kind);
/* b is broadcast to a. */
forge_tid build_binary(build *b, forge_tid x, forge_tid y, uint32_t kind);
forge_tid build_add(build *b, forge_tid x, forge_tid y);
forge_tid build_mul(build *b, forge_tid x, forge_tid y);
forge_tid build_axpby(build *b, double alpha, forge_tid x, double beta, forge_tid y);
forge_tid build_reduce(build *b, forge_tid x, uint32_t kind, uint32_t dims);
forge_tid build_matmul(build *b, forge_tid x, forge_tid y, forge_tid bias, uint32_t flags);
/* x w^T + bias for w [N, K] of any type (block types: QMATMUL), or x w + bias for w [K, N] when
 * |transposed|. */
forge_tid build_linear(build *b, forge_tid x, forge_tid w, forge_tid bias, bool transposed);
forge_tid build_gather(build *b, forge_tid table, forge_tid ids);
forge_tid build_softmax(build *b, forge_tid x, double scale);
forge_tid build_rmsnorm(build *b, forge_tid x, forge_tid w, double eps);
forge_tid build_layernorm(build *b, forge_tid x, forge_tid w, forge_tid bias, double eps);
forge_tid build_rope(build *b, forge_tid x, forge_tid positions, forge_tid freq_factors,
                     const forge_attr_rope *attr);
forge_tid build_swiglu(build *b, forge_tid gate, forge_tid up);
/* |page_table| and |starts| FORGE_TID_NONE: dense from position 0. */
forge_tid build_attention(build *b, forge_tid q, forge_tid k, forge_tid v, forge_tid starts,
                          forge_tid page_table, const forge_attr_attention *attr);
/* The pages after the write. */
forge_tid build_kv_write(build *b, forge_tid pages, forge_tid slots, forge_tid src);
forge_tid build_cross_entropy(build *b, forge_tid logits, forge_tid targets);
forge_tid build_sample(build *b, forge_tid logits, forge_tid params, forge_tid iparams);

#endif
