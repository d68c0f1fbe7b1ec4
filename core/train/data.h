/* data.h -- tokens to learn from: read once, cut in two, drawn in windows.
 *
 * Which window is the k-th of a run is a function of seed and k alone, so that the data of a step
 * does not depend on what was drawn before, and a resumed run needs no cursor but the step. */
#ifndef FORGE_TRAIN_DATA_H
#define FORGE_TRAIN_DATA_H

#include "tokenizer.h"
#include "train_settings.h"

typedef struct train_data {
  int32_t *ids;
  uint64_t n, n_train; /* tokens; the first n_train are for training, the rest for validation */
  uint32_t n_vocab;    /* the tokenizer's, without one the largest id + 1 */
  const forge_tokenizer *tokenizer; /* NULL: none */
  forge_tokenizer *owned;
  char identity[33]; /* hex XXH3-128 of the ids */
} train_data;

/* Reads what the settings name; |own| is the tokenizer of the weights, may be NULL. */
forge_status train_data_open(const train_settings *s, const forge_tokenizer *own, train_data *out);
void train_data_close(train_data *d);

enum { DATA_TRAIN = 0, DATA_VALIDATION = 1 };
/* Tokens of a part. */
uint64_t train_data_part(const train_data *d, uint32_t part);
/* Window |number| of |part|: |n| ids and the ids that follow each. The part has more than |n|
 * tokens. */
void train_data_window(const train_data *d, uint32_t part, uint64_t seed, uint64_t number,
                       uint64_t n, int32_t *ids, int32_t *targets);

#endif
