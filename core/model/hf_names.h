/* hf_names.h -- tensor names of Hugging Face folders and of Meta's own checkpoints, and the
 * canonical names they stand for. */
#ifndef FORGE_HF_NAMES_H
#define FORGE_HF_NAMES_H

#include "model_parts.h"

/* Who named the tensors; it decides the rope style and which matrices are transposed. */
enum { HF_NAMES_UNKNOWN, HF_NAMES_LLAMA, HF_NAMES_META, HF_NAMES_GPT2 };

/* Judged by one name only that convention has; HF_NAMES_UNKNOWN for any other. */
int hf_convention_of(const char *name);

enum { HF_NAME_UNKNOWN, HF_NAME_KNOWN, HF_NAME_IGNORED };
/* The canonical name. IGNORED: a stored constant (causal mask, rotary table) nobody needs. */
int hf_to_canonical(int convention, const char *name, char out[MODEL_NAME_BYTES]);
/* The other way, for LLAMA and GPT2 (with "transformer."); false for a name that has none. */
bool hf_from_canonical(int convention, const char *name, char out[128]);
/* True when Hugging Face stores this tensor [in, out]. */
bool hf_is_transposed(int convention, const char *canonical);

#endif
