/* bpe_train.h -- byte pairs learnt from a text. */
#ifndef FORGE_BPE_TRAIN_H
#define FORGE_BPE_TRAIN_H

#include "tokenizer_parts.h"

typedef struct bpe_trained {
  tokenizer_piece *pieces; /* [n] raw bytes; 0 to 255 are the bytes; each has its own memory */
  tokenizer_merge *merges; /* [n_merges] */
  uint32_t n, n_merges;
  size_t cap_merges;
} bpe_trained;
/* At most |vocab_size| pieces (256 or more). */
forge_status bpe_train(const char *s, uint32_t n, uint32_t vocab_size, bpe_trained *out);
void bpe_trained_finish(bpe_trained *trained);

#endif
