/* arch_family.h -- what arch.c and arch_forward.c share: the rows of each family's table and where
 * a row's parameters stand in arch_params() order. */
#ifndef FORGE_ARCH_FAMILY_H
#define FORGE_ARCH_FAMILY_H

#include "arch.h"

/* One row of a layer: <name>.weight [out, in] (in ARCH_NONE: a norm's vector) and its bias. */
enum { ARCH_NONE, ARCH_EMBD, ARCH_Q, ARCH_KV, ARCH_QKV, ARCH_FF };
typedef struct arch_row {
  const char *name;
  uint8_t out, in;
  bool residual; /* its product is added to the residual stream */
} arch_row;

enum {
  LLAMA_ATTN_NORM,
  LLAMA_ATTN_Q,
  LLAMA_ATTN_K,
  LLAMA_ATTN_V,
  LLAMA_ATTN_OUTPUT,
  LLAMA_FFN_NORM,
  LLAMA_FFN_GATE,
  LLAMA_FFN_UP,
  LLAMA_FFN_DOWN
};
enum { GPT2_ATTN_NORM, GPT2_ATTN_QKV, GPT2_ATTN_OUTPUT, GPT2_FFN_NORM, GPT2_FFN_UP, GPT2_FFN_DOWN };

/* Parameter 0 is the token embedding; gpt2's parameter 1 the position embedding. */
enum { ARCH_TOKENS = 0, ARCH_POSITIONS = 1 };

bool arch_has_bias(const forge_model_config *config);
uint32_t arch_row_count(const forge_model_config *config);
/* Where a row's weight stands; its bias, if any, is the next. */
uint32_t arch_row_index(const forge_model_config *config, uint32_t layer, uint32_t row);
uint32_t arch_norm_index(const forge_model_config *config);
/* The head's matrix: the token embedding when tied. */
uint32_t arch_head_index(const forge_model_config *config);

#endif
