/* forge/infer.h -- text from a model, with the prompt phase and the token phase as separate objects
 * that may live on different devices, processes and hosts.
 *
 *   forge_prefill    reads a prompt on one device             -> logits, a capsule
 *   forge_capsule    the prompt's keys and values, sealed      memory, file, wire
 *   forge_decode     goes on from it on another device        -> token after token
 *   forge_generator  both, and the way between them           text -> text
 *
 * What passes between the phases is verified before it is used. A capsule that is damaged, or made
 * with another model, tokenizer, shape or prompt, is refused with a reason and changes nothing; the
 * caller (or the generator) then reads the prompt again where it is. A key or value that was not
 * verified never meets a query.
 *
 * Bits: a kernel gives a token the same bits alone as in company, so on one kind of device split,
 * unsplit and recomputed runs give the same tokens. Between kinds of device the KV bytes arrive
 * unchanged, and tokens agree as far as the two devices' arithmetic does.
 *
 * Owners and threads as in forge.h: an object belongs to one thread at a time; the model and the
 * devices outlive it. Weights of one model on one device are shared by all objects there. Nothing
 * is allocated per token. */
#ifndef FORGE_INFER_H
#define FORGE_INFER_H

#include "model.h"
#include "program.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct forge_prefill forge_prefill;
typedef struct forge_decode forge_decode;
typedef struct forge_capsule forge_capsule;
typedef struct forge_generator forge_generator;

/* How a phase lives on its device. Zero-initialise, then set |size|; NULL: all defaults. */
typedef struct forge_phase_options {
  uint32_t size, flags; /* FORGE_COMPILE_* of program.h */
  uint32_t n_ctx;       /* tokens it has room for, 0: the model's n_ctx */
  uint32_t chunk;       /* prompt tokens per run of the program, 0: 64 */
  uint32_t page_tokens; /* tokens per page of keys and values, 0: 16; private to the device */
  uint32_t kv_dtype;    /* FORGE_F32, FORGE_F16 or FORGE_BF16, 0: FORGE_F32 */
  uint32_t fallback, n_fallback;  /* as in forge_program_options */
  forge_device *const *fallbacks; /* borrowed for the object's life */
} forge_phase_options;

/* How the next token is chosen: see SAMPLE in ops.h. All zero but |size|: greedy. */
typedef struct forge_sampling {
  uint32_t size, top_k;             /* 0: all */
  double temperature, top_p, min_p; /* top_p 0 means 1 */
  uint64_t seed;                    /* the random number of token i depends on (seed, i) alone */
} forge_sampling;

/* Who a capsule is for. A receiver that expects another request or another epoch refuses it. */
typedef struct forge_request {
  uint32_t size, rsv;
  uint8_t id[16];
  uint64_t epoch;
  const forge_sampling *sampling; /* how tokens are chosen; travels in the capsule; NULL: greedy */
} forge_request;

/* ---- prompt phase ---- */

/* Builds the prompt program and reserves room for n_ctx tokens. Fails: E_INVALID (options; n_ctx
 * over the model's), E_OOM, E_POLICY (an op the device cannot run), E_NOT_FOUND or E_MISMATCH (a
 * tensor of the model is missing or of another shape, by name). */
FORGE_API forge_status forge_prefill_create(forge_model *model, forge_device *device,
                                            const forge_phase_options *options,
                                            forge_prefill **out_prefill);
FORGE_API void forge_prefill_destroy(forge_prefill *prefill);

/* Reads |n| (1 .. n_ctx) tokens from an empty context. |logits| (n_vocab floats, may be NULL):
 * those after the last token. |out_capsule| (may be NULL): its keys and values, sealed for
 * |request|, with the first new token chosen on this device; the caller's. |request| NULL: all
 * zero, greedy. */
FORGE_API forge_status forge_prefill_run(forge_prefill *prefill, const int32_t *ids, uint64_t n,
                                         const forge_request *request, float *logits,
                                         forge_capsule **out_capsule);

/* ---- capsule: immutable once it exists ---- */

typedef struct forge_capsule_info {
  uint32_t size, version;
  uint64_t bytes, epoch, n_tokens;
  uint8_t request_id[16];
  uint8_t model_hash[32], tokenizer_hash[32], adapter_hash[32]; /* zeros: none */
  uint8_t prefix_hash[16];                                      /* chained over the token ids */
  uint32_t n_layers, kv_heads, head_dim, kv_dtype;
  uint32_t n_chunks, rope_style;
  double rope_base, rope_scale;
  /* the sampler's state: its parameters, and how many tokens it has drawn */
  double temperature, top_p, min_p;
  uint64_t seed, counter;
  uint32_t top_k;
  int32_t first_token; /* the one to go on with */
} forge_capsule_info;

/* A capsule from |n| bytes (copied) or a file (read, not mapped: nobody can change it afterwards).
 * Checks all that can be checked without a model: layout, sizes, order, every digest. Fails:
 * E_CORRUPT (what, where), E_UNSUPPORTED (a later version), E_IO, E_OOM. */
FORGE_API forge_status forge_capsule_open(const void *bytes, uint64_t n,
                                          forge_capsule **out_capsule);
FORGE_API forge_status forge_capsule_load(const char *path, forge_capsule **out_capsule);
/* The file is whole or absent, and readable by its owner alone: a capsule is the user's prompt in
 * another form. */
FORGE_API forge_status forge_capsule_save(const forge_capsule *capsule, const char *path);
/* Wipes and frees. */
FORGE_API void forge_capsule_destroy(forge_capsule *capsule);

/* The sealed bytes, borrowed. */
FORGE_API const void *forge_capsule_data(const forge_capsule *capsule);
FORGE_API uint64_t forge_capsule_bytes(const forge_capsule *capsule);
/* |info->size| set by the caller. */
FORGE_API forge_status forge_capsule_describe(const forge_capsule *capsule,
                                              forge_capsule_info *info);
/* Was it made by this model (and its tokenizer) from these tokens, for this request? |request|
 * NULL: for any. Fails: E_MISMATCH naming the first difference. */
FORGE_API forge_status forge_capsule_verify(const forge_capsule *capsule, forge_model *model,
                                            const int32_t *ids, uint64_t n,
                                            const forge_request *request);
/* JSON of a capsule file: header, tail, verdict ("intact", or what is wrong). Never the keys and
 * values. The caller frees it. */
FORGE_API forge_status forge_capsule_inspect(const char *path, char **out_json);

/* ---- token phase ---- */

FORGE_API forge_status forge_decode_create(forge_model *model, forge_device *device,
                                           const forge_phase_options *options,
                                           forge_decode **out_decode);
FORGE_API void forge_decode_destroy(forge_decode *decode);

/* Takes over a capsule made from |ids| for |request| (NULL: any): verifies every digest and every
 * identity, then writes the pages, then makes them the context. Fails: E_CORRUPT, E_MISMATCH (with
 * the reason; the context is what it was), E_INVALID (longer than n_ctx). */
FORGE_API forge_status forge_decode_import(forge_decode *decode, const forge_capsule *capsule,
                                           const int32_t *ids, uint64_t n,
                                           const forge_request *request);
/* The unsplit way, and the way back after a refusal: reads the prompt on this device, replacing the
 * context. */
FORGE_API forge_status forge_decode_prompt(forge_decode *decode, const int32_t *ids, uint64_t n,
                                           float *logits);
/* Adds one token to the context. |logits| (may be NULL): those after it. Fails: E_INVALID when the
 * context is empty or full, or the id is none of the vocabulary. */
FORGE_API forge_status forge_decode_step(forge_decode *decode, int32_t id, float *logits);
/* Chooses a token on the device from the logits of the last prompt or step. |counter|: number of
 * the token among the new ones. Fails: E_INVALID when there are no logits yet (after an import step
 * with its first token first). */
FORGE_API forge_status forge_decode_sample(forge_decode *decode, const forge_sampling *sampling,
                                           uint64_t counter, int32_t *out_id);
/* The context as a capsule (of all tokens so far), e.g. to move it on. |first_token|: the token to
 * go on with, |counter|: how many were drawn. */
FORGE_API forge_status forge_decode_export(forge_decode *decode, const forge_request *request,
                                           uint64_t counter, int32_t first_token,
                                           forge_capsule **out_capsule);
/* Tokens in the context. */
FORGE_API uint64_t forge_decode_position(const forge_decode *decode);

/* ---- both: text in, text out ---- */

/* Equal devices: one object with one set of pages serves both phases, no capsule is made. Different
 * ones: each prompt goes through a capsule. */
FORGE_API forge_status forge_generator_create(forge_model *model, forge_device *prefill_on,
                                              forge_device *decode_on,
                                              const forge_phase_options *options,
                                              forge_generator **out_generator);
FORGE_API void forge_generator_destroy(forge_generator *generator);

/* New text, whole UTF-8 characters as soon as they are certain (not part of a stop string).
 * Returns 0 to go on, anything else to stop. */
typedef int32_t (*forge_text_fn)(void *ctx, const char *bytes, uint64_t n);
/* Carries a capsule's bytes to the token phase and opens what arrived there; NULL in the options:
 * handed over in memory. A failure counts as a refused capsule. */
typedef forge_status (*forge_carry_fn)(void *ctx, const void *bytes, uint64_t n,
                                       forge_capsule **out_arrived);

enum {
  FORGE_GENERATE_SPECIAL = 1,   /* special tokens written in the prompt count (trusted prompts) */
  FORGE_GENERATE_IGNORE_END = 2 /* go on after the end-of-text token */
};
typedef struct forge_generate_options {
  uint32_t size, flags;           /* FORGE_GENERATE_* */
  uint64_t max_tokens;            /* new tokens at most; the context's end ends it too */
  const forge_sampling *sampling; /* NULL: greedy */
  const char *const *stops;       /* texts that end it and are not part of it; may be NULL */
  uint64_t n_stops;
  uint64_t deadline_ns;  /* from now, 0: none; looked at between runs of a program */
  forge_text_fn on_text; /* may be NULL */
  forge_carry_fn carry;  /* may be NULL */
  void *ctx;             /* for both */
} forge_generate_options;

enum {
  FORGE_STOP_LENGTH = 1,  /* max_tokens */
  FORGE_STOP_END = 2,     /* the model ended the text (EOS, or BOS of a new text) */
  FORGE_STOP_TEXT = 3,    /* a stop string */
  FORGE_STOP_CONTEXT = 4, /* no room for more */
  FORGE_STOP_CALLER = 5   /* on_text said so */
};
typedef struct forge_generate_result {
  uint32_t size, stop; /* FORGE_STOP_* */
  uint64_t prompt_tokens, new_tokens;
  uint64_t prefill_ns, handover_ns, decode_ns; /* handover: seal, carry, verify, write */
  uint64_t capsule_bytes;                      /* 0: none was made */
  uint32_t recomputed, rsv; /* 1: the capsule was refused, the prompt was read again */
  char refusal[256];        /* why; "" */
} forge_generate_result;

/* Reads |prompt| (any bytes; with what the model expects around it) and goes on. |result->size| set
 * by the caller; filled in success and failure. Fails: E_INVALID (prompt longer than the context),
 * E_TIMEOUT (deadline; the text so far was delivered). */
FORGE_API forge_status forge_generate(forge_generator *generator, const char *prompt,
                                      uint64_t bytes, const forge_generate_options *options,
                                      forge_generate_result *result);

/* ---- how well a model predicts a text ---- */

typedef struct forge_perplexity_options {
  uint32_t size, n_ctx;             /* window, 0: the model's n_ctx */
  uint32_t stride, rsv;             /* tokens from window to window, 1 .. n_ctx, 0: n_ctx */
  const forge_phase_options *phase; /* may be NULL; its n_ctx is not used */
  forge_progress_fn progress;       /* may be NULL */
  void *progress_ctx;
} forge_perplexity_options;
typedef struct forge_perplexity_result {
  uint32_t size, n_ctx, stride, rsv; /* as used */
  uint64_t scored;                   /* tokens predicted: n - 1 */
  double nll, perplexity;            /* sum of -ln p, exp(nll / scored) */
  uint64_t ns;
} forge_perplexity_result;

/* Windows of n_ctx tokens begin every |stride| tokens; within a window every token is predicted
 * from those before it, and each token of the text but the first counts once: in the first window
 * that reaches it. Fails: E_INVALID (fewer than 2 tokens), and as forge_prefill_create(). */
FORGE_API forge_status forge_perplexity(forge_model *model, forge_device *device,
                                        const int32_t *ids, uint64_t n,
                                        const forge_perplexity_options *options,
                                        forge_perplexity_result *result);

#ifdef __cplusplus
}
#endif
#endif
