/* sample.h -- small vocabularies for the tokenizer tests, and the questions asked of them. */
#ifndef FORGE_TEST_TOKENIZER_SAMPLE_H
#define FORGE_TEST_TOKENIZER_SAMPLE_H

#include "support.h"
#include "tokenizer.h"

/* Bytes that grow. */
typedef struct sample_bytes {
  char *s;
  size_t n, cap;
} sample_bytes;
void sample_add(sample_bytes *b, const void *s, size_t n);
void sample_print(sample_bytes *b, const char *format, ...) BASE_PRINTF(2, 3);

/* A llama-like vocabulary: 0 <unk>, 1 <s>, 2 </s>, 3 to 258 the bytes, then |words| with falling
 * scores, all NORMAL; ends with NULL. */
typedef struct sample_vocab {
  tokenizer_vocab v;
  tokenizer_piece pieces[320];
  float scores[320];
  uint8_t types[320];
  char bytes[256][8];
} sample_vocab;
void sample_spm(sample_vocab *out, const char *const *words);

/* The vocabulary as a SentencePiece .model, and as llama2.c's tokenizer.bin. |normalizer|: the
 * normalizer message's bytes, NULL for identity with a prefix. */
sample_bytes sample_spm_file(const sample_vocab *vocab, int model_type, const char *normalizer,
                             size_t normalizer_n);
sample_bytes sample_llama2c_file(const sample_vocab *vocab);
/* What tokenizer_gguf_view() says as the bytes of a GGUF without tensors. */
sample_bytes sample_gguf_file(const forge_tokenizer *t);

/* A tokenizer.json: |vocab| and |merges| are the insides of the object and the list, |rules| the
 * members before "model". */
char *sample_json(const char *rules, const char *flags, const char *vocab, const char *merges);

forge_tokenizer *sample_open_json(const char *json);
forge_tokenizer *sample_open_vocab(const tokenizer_vocab *v);

/* |s| gives exactly these ids. */
void sample_expect(const forge_tokenizer *t, const char *s, size_t n, uint32_t flags,
                   const int32_t *ids, size_t n_ids);
#define assert_ids(t, s, flags, ...)                                                               \
  sample_expect(t, s, sizeof(s) - 1, flags, (const int32_t[]){__VA_ARGS__},                        \
                sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))
#define assert_no_ids(t, s, flags) sample_expect(t, s, sizeof(s) - 1, flags, NULL, 0)

/* Ids of |s|; the caller frees them. */
int32_t *sample_encode(const forge_tokenizer *t, const char *s, size_t n, uint32_t flags,
                       uint64_t *out_n);
/* Text of |ids|, zero-terminated; the caller frees it. */
char *sample_decode(const forge_tokenizer *t, int32_t previous, const int32_t *ids, uint64_t n,
                    uint32_t flags, uint64_t *out_n);
/* decode(encode(s)) == s. */
bool sample_round_trips(const forge_tokenizer *t, const char *s, size_t n);
bool sample_same_ids(const forge_tokenizer *a, const forge_tokenizer *b, const char *s, size_t n);
bool sample_same_hash(forge_tokenizer *a, forge_tokenizer *b);
/* The tokenizer that its own tokenizer.json gives. */
forge_tokenizer *sample_through_json(const forge_tokenizer *t);

uint64_t sample_random(uint64_t *state);

#endif
