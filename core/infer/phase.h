/* phase.h -- a model at work on one device: its weights, the pages of one sequence's keys and
 * values, and the programs that read prompts, take steps, score texts and choose tokens. Prefill,
 * decode and perplexity are thin faces of it. One thread at a time. */
#ifndef FORGE_PHASE_H
#define FORGE_PHASE_H

#include <forge/infer.h>

#include "base.h"
#include "placed.h"

/* Programs, built when first needed. CHUNK: up to |chunk| tokens, logits of the last. STEP: one
 * token and its logits. SCORE: up to |chunk| tokens, mean loss against targets. SAMPLE: logits to a
 * token. */
enum { PHASE_CHUNK, PHASE_STEP, PHASE_SCORE, PHASE_SAMPLE, PHASE_PROGRAMS };

typedef struct phase {
  forge_model *model;
  forge_device *device;
  forge_model_config config;
  forge_phase_options options; /* defaults filled in */
  placed *weights;
  forge_program *programs[PHASE_PROGRAMS];
  forge_buffer *kv;        /* for layer, for k and v: pages, kv_stride bytes apart */
  forge_buffer *input;     /* this run's tokens; see phase_input */
  forge_buffer *table;     /* page_table I32 [n_pages] */
  forge_buffer *logits;    /* F32 [n_vocab] */
  forge_buffer *choice;    /* sampling parameters and the token chosen, and the score's loss */
  uint8_t *staging;        /* host copy of |input| */
  int32_t *pages;          /* host copy of |table| */
  uint64_t kv_stride;      /* bytes */
  uint64_t kv_token_bytes; /* keys (or values) of one token in one layer */
  uint32_t n_pages;
  uint64_t position; /* tokens whose keys and values are in the pages */
  bool has_logits;
} phase;

/* Where a run's small inputs stand in |input|, in bytes. */
typedef struct phase_input {
  uint64_t ids, positions, slots, targets, starts, last, bytes;
} phase_input;
phase_input phase_input_layout(const phase *p);
enum { PHASE_PARAMS_AT = 0, PHASE_IPARAMS_AT = 64, PHASE_ID_AT = 128, PHASE_LOSS_AT = 192 };
enum { PHASE_CHOICE_BYTES = 256 };

/* |first|: the programs to build now, a bit per PHASE_*. */
forge_status phase_create(forge_model *model, forge_device *device,
                          const forge_phase_options *options, uint32_t first, phase **out);
void phase_destroy(phase *p);
/* Builds program |kind| and binds all it uses, if that was not done yet. */
forge_status phase_need(phase *p, uint32_t kind);
/* The op list of |kind|, given to a new builder. */
forge_status phase_describe(const phase *p, uint32_t kind, forge_builder *builder);

/* Replaces the context by these tokens. |deadline|: time_now_ns() value, 0: none; E_TIMEOUT between
 * chunks. After a failure the context is empty. */
forge_status phase_prompt(phase *p, const int32_t *ids, uint64_t n, uint64_t deadline);
forge_status phase_step(phase *p, int32_t id);
/* Sum of -ln p over the targets that are not -1, from an empty context. */
forge_status phase_score(phase *p, const int32_t *ids, const int32_t *targets, uint64_t n,
                         double *out_nll);
forge_status phase_read_logits(phase *p, float *out);
forge_status phase_sample(phase *p, const forge_sampling *sampling, uint64_t counter,
                          int32_t *out_id);

/* Keys ('k', |which| 0) or values (1) of tokens |start| .. of one layer, as [token][kv_head][dim],
 * whatever the pages look like. */
forge_status phase_kv_read(phase *p, uint32_t layer, uint32_t which, uint64_t start, uint64_t n,
                           uint8_t *out);
forge_status phase_kv_write(phase *p, uint32_t layer, uint32_t which, uint64_t start, uint64_t n,
                            const uint8_t *bytes);

/* A caller's sized struct into ours: what it does not have is zero, what we do not know must be.
 * NULL: all zero. */
forge_status sized_in(void *ours, uint32_t bytes, const void *theirs, const char *what);
/* Ours into a caller's, as far as it reaches; its |size| stays. */
forge_status sized_out(void *theirs, const void *ours, uint32_t bytes, const char *what);

#endif
