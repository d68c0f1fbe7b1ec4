/* bpe.h -- joining neighbours, best first, in n log n. */
#ifndef FORGE_BPE_H
#define FORGE_BPE_H

#include "tokenizer_parts.h"

typedef struct bpe_symbol {
  uint32_t at, n; /* bytes of the text; n 0: joined to its left neighbour */
  int32_t prev, next;
  int32_t id; /* -1: no piece */
} bpe_symbol;

typedef struct bpe_join {
  uint64_t key; /* rank << 32 | symbol: the lowest is joined first, of equal ranks the leftmost */
  uint32_t n;   /* bytes of the result; the join is stale when they no longer fit */
  int32_t id;
} bpe_join;

/* Scratch that keeps its memory from word to word. */
typedef struct bpe_work {
  const char *s;
  bpe_symbol *symbols;
  size_t n, cap;
  bpe_join *heap;
  size_t n_heap, cap_heap;
} bpe_work;
void bpe_work_finish(bpe_work *work);

/* Adds one symbol behind the last. */
forge_status bpe_push(bpe_work *work, uint32_t at, uint32_t n, int32_t id);
/* Joins until nothing joins. What is left has n > 0. */
forge_status bpe_run(bpe_work *work, const forge_tokenizer *t);

/* ---- encoding ---- */

typedef struct encoder {
  const forge_tokenizer *t;
  int32_t *ids; /* [capacity]; |n| may exceed it */
  uint64_t capacity, n;
  bool after_unk;   /* the last id is |unk| and a further one would fuse with it */
  uint64_t missing; /* characters left out */
  bpe_work work;
  buffer normal, spare;
  words words, spare_words;
} encoder;
void encoder_put(encoder *e, int32_t id);
/* What is emitted for |n| bytes without a piece: bytes, unknown, or nothing. */
void encoder_put_missing(encoder *e, const char *s, uint32_t n);
/* |n| bytes between added tokens; |first|: they begin the text. */
forge_status bpe_encode(encoder *e, const char *s, uint64_t n, bool first);
forge_status spm_encode(encoder *e, const char *s, uint64_t n);

#endif
