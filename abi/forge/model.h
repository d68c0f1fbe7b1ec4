/* forge/model.h -- models as users have them: weights and tokenizers in files, opened, described,
 * converted.
 *
 * Formats: GGUF (v2, v3); a Hugging Face folder (config.json, *.safetensors with or without index,
 * tokenizer.json or tokenizer.model); one .safetensors beside its config.json; a llama2.c .bin
 * (version 0, tokenizer beside it or given). Families: llama (RMSNorm, RoPE, grouped heads, SwiGLU,
 * tied or untied head) and gpt2. Files are mapped, not read: opening is instant and a weight costs
 * memory when it is used. Every size in a file is checked first. */
#ifndef FORGE_MODEL_H
#define FORGE_MODEL_H

#include "forge.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct forge_model forge_model;
typedef struct forge_tokenizer forge_tokenizer;

enum { FORGE_FAMILY_LLAMA = 1, FORGE_FAMILY_GPT2 = 2 };
enum {
  FORGE_ROPE_STYLE_INTERLEAVED = 1,
  FORGE_ROPE_STYLE_HALF = 2
}; /* how q and k rows are laid out */

/* The shape of a model. Append-only; |size| first. */
typedef struct forge_model_config {
  uint32_t size, family;
  uint32_t n_vocab, n_ctx, n_embd, n_layer; /* n_ctx: the longest context it was made for */
  uint32_t n_head, n_kv_head, head_dim, n_ff;
  uint32_t tied_head, rope_style; /* tied_head 1: logits = h . embedding^T */
  double norm_eps, rope_base, rope_scale;
  uint32_t has_bias, rsv; /* gpt2: biases on projections and norms */
} forge_model_config;

/* Opens a model; |tokenizer_path| NULL: the one beside or inside it. A model without a tokenizer
 * opens; asking for the tokenizer then fails. Fails: E_IO, E_CORRUPT (what, where in the file),
 * E_UNSUPPORTED (family, type). */
FORGE_API forge_status forge_model_open(const char *path, const char *tokenizer_path,
                                        forge_model **out_model);
FORGE_API void forge_model_close(forge_model *model);

/* |config->size| set by the caller. */
FORGE_API forge_status forge_model_describe(const forge_model *model, forge_model_config *config);

/* SHA-256 over configuration and tensors (names, types, shapes, bytes) in canonical order and
 * layout: the model's identity. The same numbers in the same types hash equal whatever file format
 * they are in. Computed once, then remembered. */
FORGE_API forge_status forge_model_hash(forge_model *model, uint8_t out_sha256[32]);

/* Number of parameters. */
FORGE_API uint64_t forge_model_parameters(const forge_model *model);

/* JSON of any file or folder that forge_model_open() or forge_tokenizer_open() takes: kind ("gguf",
 * "safetensors", "huggingface", "llama2c", "tokenizer"), metadata, tensors with type, shape, offset
 * and bytes, totals; "model" with its configuration, or "problem" with the reason why Forge cannot
 * run it. The caller frees it. Checkpoints: forge_checkpoint_inspect (state.h); capsules:
 * forge_capsule_inspect (infer.h). Fails: E_UNSUPPORTED (no such kind), E_CORRUPT. */
FORGE_API forge_status forge_inspect(const char *path, char **out_json);

/* ---- tokenizer ---- */

/* From a GGUF, a tokenizer.json, a SentencePiece .model, a llama2.c .bin, or a folder with one of
 * them. */
FORGE_API forge_status forge_tokenizer_open(const char *path, forge_tokenizer **out_tokenizer);
FORGE_API void forge_tokenizer_close(forge_tokenizer *tokenizer);
/* The model's own; borrowed. Fails: E_NOT_FOUND. */
FORGE_API forge_status forge_model_tokenizer(forge_model *model, forge_tokenizer **out_tokenizer);

typedef struct forge_tokenizer_info {
  uint32_t size, n_vocab;
  int32_t bos, eos, unk, pad; /* -1: none */
  uint32_t add_bos, add_eos;  /* what the model expects around a prompt */
} forge_tokenizer_info;
FORGE_API forge_status forge_tokenizer_describe(const forge_tokenizer *tokenizer,
                                                forge_tokenizer_info *info);
/* SHA-256 over everything that decides encode and decode. */
FORGE_API forge_status forge_tokenizer_hash(forge_tokenizer *tokenizer, uint8_t out_sha256[32]);

/* SPECIAL: text such as "<s>" that names a special token becomes that token (prompts from trusted
 * places only). BOS, EOS: add them. BOS_AUTO: add what the model expects. */
enum {
  FORGE_ENCODE_SPECIAL = 1,
  FORGE_ENCODE_BOS = 2,
  FORGE_ENCODE_EOS = 4,
  FORGE_ENCODE_AUTO = 8
};

/* |text| is any bytes (UTF-8 or not). Writes up to |capacity| ids and always the number needed to
 * |out_n|; E_INVALID with nothing lost when capacity is too small (call again). ids may be NULL
 * with capacity 0: that asks for the number and succeeds. Characters that the vocabulary cannot
 * say at all are left out, with a warning. Threads: concurrent calls on one tokenizer are fine. */
FORGE_API forge_status forge_tokenizer_encode(const forge_tokenizer *tokenizer, const char *text,
                                              uint64_t bytes, uint32_t flags, int32_t *ids,
                                              uint64_t capacity, uint64_t *out_n);
/* Bytes of |n| ids together, the same way: the text as the family's own tools print it
 * (SentencePiece: the space the encoder put before the first word is dropped when |previous| is BOS
 * or -1). SPECIAL tokens are left out unless FORGE_DECODE_SPECIAL. Not zero-terminated; a piece may
 * end inside a UTF-8 character. */
enum { FORGE_DECODE_SPECIAL = 1 };
FORGE_API forge_status forge_tokenizer_decode(const forge_tokenizer *tokenizer, int32_t previous,
                                              const int32_t *ids, uint64_t n, uint32_t flags,
                                              char *bytes, uint64_t capacity, uint64_t *out_n);

/* ---- conversion ---- */

typedef void (*forge_progress_fn)(void *ctx, const char *what, uint64_t done, uint64_t total);

typedef struct forge_convert_options {
  uint32_t size;
  uint32_t dtype; /* FORGE_F32 .. FORGE_Q6_K for matrices, 0: as they are; vectors stay F32 */
  const char *tokenizer_path; /* NULL: the source's own */
  forge_progress_fn progress; /* may be NULL */
  void *progress_ctx;
} forge_convert_options;

/* Writes |in| (anything forge_model_open() takes) as |out|: a path ending in .gguf, in .safetensors
 * (config.json and tokenizer.json beside it), in .bin (llama2.c), or a folder (Hugging Face).
 * |device| does the rounding. The output is whole or absent. A file or a folder with a model alone
 * is replaced; E_EXISTS where a folder holds anything else, E_INVALID where it would replace |in|.
 */
FORGE_API forge_status forge_convert(forge_device *device, const char *in, const char *out,
                                     const forge_convert_options *options);

#ifdef __cplusplus
}
#endif
#endif
