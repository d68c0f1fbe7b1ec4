/* model_write.h -- what every writer of a model file is given. Private to this room.
 *
 * A source describes the tensors as they are to be stored ([out, in], types final) and gives their
 * rows on request; nothing larger than a chunk is in memory at once. */
#ifndef FORGE_MODEL_WRITE_H
#define FORGE_MODEL_WRITE_H

#include <stdio.h>

#include "model_parts.h"
#include "tokenizer.h"

typedef struct model_source {
  const forge_model_config *config;
  const model_tensor *tensors; /* name, dtype, rank, dim; transposed is 0, data is not looked at */
  uint32_t n;
  /* Rows [first, first+n) of tensor |index|, q and k in |rope_style|, at most
   * model_chunk_rows() of them. */
  forge_status (*rows)(void *ctx, uint32_t index, uint32_t rope_style, int64_t first, int64_t n,
                       void *out);
  void *ctx;
  const forge_tokenizer *tokenizer; /* NULL: none */
  forge_progress_fn progress;
  void *progress_ctx;
  uint64_t done, total; /* bytes, for progress; kept by model_put() */
} model_source;

/* Rows of |tensor| that are handled together. */
int64_t model_chunk_rows(const model_tensor *tensor);
uint64_t model_tensor_bytes(const model_tensor *tensor);
const model_tensor *model_source_find(const model_source *source, const char *name);
/* The source's rope factors as numbers, NULL without; the caller frees them. */
forge_status model_source_rope(const model_source *source, float **out_factors);

/* All rows of tensor |index| to |stream|. */
forge_status model_put(model_source *source, uint32_t index, uint32_t rope_style, FILE *stream);
/* The same as [in, out]; plain types only. */
forge_status model_put_transposed(model_source *source, uint32_t index, FILE *stream);
forge_status model_put_bytes(const void *bytes, size_t n, FILE *stream);

/* One writer per format; each leaves its file whole or absent. */
forge_status gguf_write(const char *path, model_source *source);
forge_status llama2c_write(const char *path, model_source *source);
forge_status hf_write_file(const char *path, model_source *source);
forge_status hf_write_folder(const char *path, model_source *source);

/* Chooses the writer by the ending of |path|. */
forge_status model_write_source(const char *path, model_source *source);
/* FORGE_E_UNSUPPORTED unless a file of |path|'s format can hold matrices of |dtype|. */
enum { MODEL_FORMAT_GGUF = 1, MODEL_FORMAT_SAFETENSORS, MODEL_FORMAT_LLAMA2C, MODEL_FORMAT_FOLDER };
forge_status model_format_of(const char *path, uint32_t *out_format);

/* Refuses to replace |path| by other contents when |main_path|, the model it would belong to, is
 * not there yet: then it belongs to someone else. NULL |bytes|: nothing to write, fine. */
forge_status model_companion_check(const char *path, const char *main_path, const void *bytes,
                                   uint64_t n);
forge_status model_companion_write(const char *path, const void *bytes, uint64_t n);

#endif
