/* weights.h -- a model as the rooms to the right see it: configuration and tensors under canonical
 * names.
 *
 * Canonical names are GGUF's: token_embd.weight, position_embd.weight (gpt2), blk.N.{attn_norm,
 * attn_q, attn_k, attn_v, attn_qkv (gpt2: one tensor, q above k above v), attn_output, ffn_norm,
 * ffn_gate, ffn_up, ffn_down}.{weight, bias}, output_norm.{weight, bias}, output.weight (absent
 * when tied), rope_freqs.weight (optional: head_dim/2 frequency factors, F32). A model has exactly
 * the tensors that arch_params() lists for its configuration, in that order, with those shapes,
 * then rope_freqs.weight if it has one. Vectors are F32, F16 or BF16, as the file has them. */
#ifndef FORGE_WEIGHTS_H
#define FORGE_WEIGHTS_H

#include <forge/model.h>

#include "base.h"
#include "dtype.h"

typedef struct model_tensor {
  const char *name; /* canonical */
  uint8_t dtype, rank;
  uint8_t transposed; /* 1: a matrix stored [in, out] (Hugging Face gpt2) instead of [out, in] */
  uint8_t rsv[5];
  int64_t dim[4];   /* row-major, as stored: a matrix is [out, in], or [in, out] when transposed */
  const void *data; /* in the mapped file, at any alignment */
  uint64_t bytes;
} model_tensor;

/* NULL when the model has none of that name. */
const model_tensor *model_find(const forge_model *model, const char *name);
uint32_t model_tensor_count(const forge_model *model);
const model_tensor *model_tensor_at(const forge_model *model, uint32_t index);

/* Writing, used by conversion and by the trainer: tensors in the order given, data read at commit.
 * |tokenizer| may be NULL. |path| decides the format as for forge_convert(). The file is whole or
 * absent. */
forge_status model_write(const char *path, const forge_model_config *config,
                         const model_tensor *tensors, uint32_t n, const forge_tokenizer *tokenizer,
                         forge_progress_fn progress, void *progress_ctx);

#endif
