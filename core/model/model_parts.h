/* model_parts.h -- an open model, and how the readers of each format put one together. Private to
 * this room. */
#ifndef FORGE_MODEL_PARTS_H
#define FORGE_MODEL_PARTS_H

#include "arch.h"
#include "file.h"
#include "weights.h"

enum { MODEL_NAME_BYTES = 64 };

/* A tensor as a reader found it; |source| is its name in the file, alive until model_assemble(). */
typedef struct model_part {
  char name[MODEL_NAME_BYTES]; /* canonical */
  const char *source;
  model_tensor tensor; /* its name is not set yet */
} model_part;

struct forge_model {
  char *path;
  forge_model_config config;
  file_map *maps; /* what the tensors point into */
  size_t n_maps, cap_maps;
  float *rope_freqs; /* owned factors when the file only gives their formula */
  uint32_t n_rope_freqs;

  model_part *parts; /* until assembled */
  size_t n_parts, cap_parts;

  model_tensor *tensors; /* arch_params() order */
  uint32_t n_tensors;
  arch_param *params; /* owns their names */
  const model_tensor **by_name;

  char *tokenizer_path; /* NULL: none was found */
  forge_tokenizer *tokenizer;
  uint8_t hash[32];
  bool hashed;
};

/* Takes over |map| (empties it), also on failure. */
forge_status model_own_map(forge_model *model, file_map *map);
/* Notes a tensor under its canonical |name|; |source| NULL: the same name. */
forge_status model_add(forge_model *model, const char *name, const char *source,
                       const model_tensor *tensor);
/* The tensor noted under |name| so far, NULL if none. */
const model_part *model_part_find(const forge_model *model, const char *name);
/* Once configuration and tensors are there: checks each against the other and sets the final
 * order. Fills config.n_vocab (if 0), tied_head (1 also when there is no head) and has_bias. */
forge_status model_assemble(forge_model *model);

/* Readers: fill configuration and parts from |model->path|. */
forge_status model_read_gguf(forge_model *model);
forge_status model_read_hf(forge_model *model, bool folder);
forge_status model_read_llama2c(forge_model *model);
/* True when the bytes begin like a llama2.c file of version 0 whose size fits its header. */
bool llama2c_is(const uint8_t *data, uint64_t bytes);

/* Rows [first, first+n) of a tensor as [out, in], q and k in rope style |to|, copied byte for byte
 * to |out|. A vector is one row. */
void model_rows(const model_tensor *tensor, const forge_model_config *config, uint32_t to,
                int64_t first, int64_t n, void *out);
/* Rows and bytes of one row of the [out, in] form. */
int64_t model_row_count(const model_tensor *tensor);
int64_t model_row_elems(const model_tensor *tensor);
uint64_t model_row_bytes(const model_tensor *tensor);

#endif
