/* samples.h -- small models written by the tests themselves, byte by byte, so that readers are
 * tested against the formats and not against our own writers. */
#ifndef FORGE_TEST_SAMPLES_H
#define FORGE_TEST_SAMPLES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model_parts.h"

/* ---- bytes ---- */
typedef struct bytes {
  uint8_t *p;
  size_t n, cap;
} bytes;
void put(bytes *b, const void *data, size_t n);
void put_u32(bytes *b, uint32_t x);
void put_u64(bytes *b, uint64_t x);
void put_f32(bytes *b, float x);
void put_str(bytes *b, const char *s); /* u64 length, then the text */
/* Writes and frees. */
void save(bytes *b, const char *path);
bytes load(const char *path);

/* A fresh folder; sample_remove() deletes it with what is in it. */
char *sample_folder(void);
void sample_remove(char *folder);
/* "folder/name" in one of 32 places used in turn. */
const char *in(const char *folder, const char *name);
/* The data folder's file, NULL where it is absent. */
const char *data_file(const char *name);

/* ---- a model in memory ---- */
typedef struct sample {
  forge_model_config config; /* llama: interleaved */
  model_tensor *tensors;     /* canonical, [out, in], named by |params| */
  arch_param *params;
  uint32_t n;
} sample;
extern const forge_model_config sample_llama, sample_gpt2;
/* Every value is k/64 with |k| < 64, the same in F32, F16 and BF16; matrices in |dtype| (block
 * types: arbitrary blocks with scale 1). */
sample sample_make(const forge_model_config *config, uint8_t dtype);
void sample_free(sample *s);
const model_tensor *sample_find(const sample *s, const char *name);

/* ---- files ---- */
typedef struct gguf_file {
  bytes keys, records, data;
  uint64_t n_keys, n_tensors;
} gguf_file;
void gguf_key_u32(gguf_file *g, const char *key, uint32_t value);
void gguf_key_f32(gguf_file *g, const char *key, float value);
void gguf_key_str(gguf_file *g, const char *key, const char *value);
/* |offset| -1: behind the last, aligned to 32. */
void gguf_add(gguf_file *g, const char *name, uint32_t type, uint32_t rank, const int64_t *dim,
              const void *data, size_t n, int64_t offset);
void gguf_save(gguf_file *g, const char *path);
/* The whole sample; the keys of its configuration. */
void gguf_fill(gguf_file *g, const sample *s);
void sample_gguf(const sample *s, const char *path);

typedef struct safetensors_file {
  bytes header, data;
} safetensors_file;
void safetensors_add(safetensors_file *f, const char *name, const char *type, uint32_t rank,
                     const int64_t *dim, const void *data, size_t n);
void safetensors_save(safetensors_file *f, const char *path);

enum { NAMES_HF = 1, NAMES_META = 2, NAMES_GPT2 = 3, NAMES_GPT2_ROOTED = 4 };
/* |first| .. |first|+|n| tensors; HF: q and k halved; GPT2: matrices [in, out]. */
void sample_safetensors(const sample *s, int names, uint32_t first, uint32_t n, const char *path);
void save_text(const char *path, const char *text);
/* config.json of the sample with |more| (", ..." or "") before the closing brace. */
void sample_config_json(const sample *s, const char *path, const char *more);
void sample_bin(const sample *s, const char *path);

/* ---- checks ---- */
forge_model *open_ok(const char *path);
/* Opening fails with |status| and a message with |word| in it. */
void open_fails(const char *path, forge_status status, const char *word);
/* Configuration and every element are those of the sample. */
void assert_is_sample(const forge_model *m, const sample *s);

#endif
