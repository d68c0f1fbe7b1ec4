/* hf.h -- Hugging Face's config.json (and Meta's params.json) for reader and writer. */
#ifndef FORGE_HF_H
#define FORGE_HF_H

#include <jansson.h>

#include "model_parts.h"

/* What config.json says beyond forge_model_config: Llama 3's rope scaling. factor 0: none. */
typedef struct hf_rope_llama3 {
  double factor, low_freq_factor, high_freq_factor, original_context;
} hf_rope_llama3;

/* |path| is for messages. tied_head is as the file says (Hugging Face's default where it says
 * nothing). Fails: E_UNSUPPORTED (another family, a part Forge does not compute), E_CORRUPT. */
forge_status hf_read_config(const char *path, const json_t *json, forge_model_config *config,
                            hf_rope_llama3 *rope);
/* Meta's names for the same things: {"dim", "n_layers", "n_heads", ..}; numbers may be strings, as
 * safetensors metadata has them. n_ff and n_vocab are left 0: the tensors tell. */
forge_status hf_read_params(const char *path, const json_t *json, forge_model_config *config);

/* Frequency factors for ops.h ROPE; |factors| has head_dim/2 entries. */
void hf_rope_factors(const hf_rope_llama3 *rope, const forge_model_config *config, float *factors);
/* The published parameters that give these factors; false when none do. */
bool hf_rope_from_factors(const float *factors, const forge_model_config *config,
                          hf_rope_llama3 *rope);

/* config.json for |config|; |dtype| is the matrices' type, |rope| may be NULL, bos and eos -1:
 * none. The caller frees the text. */
forge_status hf_config_text(const forge_model_config *config, uint8_t dtype,
                            const hf_rope_llama3 *rope, int32_t bos, int32_t eos, char **out);

#endif
