/* arch.h -- the model families as programs. One description of each family serves training and both
 * phases. */
#ifndef FORGE_ARCH_H
#define FORGE_ARCH_H

#include "build.h"
#include "weights.h"

/* One parameter of a family: what it is called, its shape, how it starts. */
typedef struct arch_param {
  char name[64]; /* canonical (weights.h) */
  uint8_t rank;
  uint8_t decay; /* 1: weight decay applies (matrices) */
  uint8_t ones;  /* 1: starts at one (norm weights); else normal(0, init_std), 0 for init_std 0
                    (biases) */
  uint8_t rsv[5];
  int64_t dim[2];  /* [out, in] or [n] */
  double init_std; /* 0.02; residual projections 0.02 / sqrt(2 n_layer) (Radford et al. 2019) */
} arch_param;

/* Every parameter of a model of this shape in canonical order; the array is the caller's
 * (mem_free). Checks the shape (heads divide, sizes sane): E_INVALID naming the field. Biases are
 * listed only with has_bias, the head only when it is not tied; frequency factors never: they are
 * no parameter (arch_inputs.rope_freqs). */
forge_status arch_params(const forge_model_config *config, arch_param **out, uint32_t *out_n);

/* What a forward pass is told about its tokens, all as tensors of the builder. */
typedef struct arch_inputs {
  forge_tid ids;          /* I32 [B*T] */
  forge_tid positions;    /* I32 [B*T] absolute */
  int64_t batch, tokens;  /* B, T (maximum where T is a scalar) */
  uint32_t token_scalar;  /* 0: T is fixed; else scalar index + 1 of T (B is then 1) */
  uint32_t compute_dtype; /* FORGE_F32, or FORGE_BF16: inputs of matrix products are rounded to it
                             (training) */
  /* paged phases; FORGE_TID_NONE in |page_table| means dense attention inside the batch (training)
   */
  forge_tid page_table, starts, slots;
  int64_t n_pages, page_tokens;
  uint8_t kv_dtype;
  /* llama: F32 [head_dim/2], the model's rope_freqs.weight, else FORGE_TID_NONE */
  forge_tid rope_freqs;
} arch_inputs;

/* Builds the forward pass up to the last norm: hidden states [B*T, n_embd] F32. |params| in
 * arch_params() order (declared by the caller as PARAM or STATE of any stored type); an absent
 * bias is FORGE_TID_NONE. |stored| in the same order says which matrices lie transposed; NULL, or a
 * NULL entry: [out, in]. In paged mode declares STATE tensors "kv.N.k" and "kv.N.v"
 * [n_pages, page_tokens, n_kv_head, head_dim] and writes the tokens' keys and values at |slots|
 * before it reads. Failures stick in |b|. */
forge_tid arch_hidden(build *b, const forge_model_config *config, const model_tensor *const *stored,
                      const forge_tid *params, const arch_inputs *inputs);
/* Hidden states [R, n_embd] -> logits [R, n_vocab] F32. */
forge_tid arch_logits(build *b, const forge_model_config *config, const model_tensor *const *stored,
                      const forge_tid *params, forge_tid hidden, uint32_t compute_dtype);

#endif
