/* model_write.c -- what the writers share: rows streamed in chunks, progress, files that belong to
 * a model file. */
#include "model_write.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

enum { CHUNK_BYTES = 1 << 20, MAX_COMPANION = 256 << 20 };

int64_t model_chunk_rows(const model_tensor *t) {
  const int64_t elems = model_row_elems(t), rows = model_row_count(t);
  int64_t n = elems > 0 ? CHUNK_BYTES / 4 / elems : rows;
  if (n < 1) n = 1;
  return n < rows ? n : rows;
}

uint64_t model_tensor_bytes(const model_tensor *t) {
  return model_row_bytes(t) * (uint64_t)model_row_count(t);
}

const model_tensor *model_source_find(const model_source *s, const char *name) {
  for (uint32_t i = 0; i < s->n; i++)
    if (!strcmp(s->tensors[i].name, name)) return &s->tensors[i];
  return NULL;
}

forge_status model_source_rope(const model_source *s, float **out) {
  const model_tensor *t = model_source_find(s, "rope_freqs.weight");
  *out = NULL;
  if (!t) return FORGE_OK;
  if (t->dtype != FORGE_F32 || model_row_elems(t) != s->config->head_dim / 2)
    return FAIL(FORGE_E_INVALID, "rope_freqs.weight is no vector of head_dim/2 F32 factors");
  *out = mem_alloc(model_tensor_bytes(t) + 1);
  if (!*out) return FAIL(FORGE_E_OOM, "rope_freqs.weight");
  const forge_status st =
      s->rows(s->ctx, (uint32_t)(t - s->tensors), s->config->rope_style, 0, 1, *out);
  if (st) {
    mem_free(*out);
    *out = NULL;
  }
  return st;
}

forge_status model_put_bytes(const void *bytes, size_t n, FILE *stream) {
  if (!n || fwrite(bytes, 1, n, stream) == n) return FORGE_OK;
  return base_fail_errno(FORGE_E_IO, "writing %zu bytes", n);
}

static void report(model_source *s, const model_tensor *t, uint64_t bytes) {
  s->done += bytes;
  if (s->progress) s->progress(s->progress_ctx, t->name, s->done, s->total);
}

forge_status model_put(model_source *s, uint32_t index, uint32_t rope_style, FILE *stream) {
  const model_tensor *t = &s->tensors[index];
  const int64_t rows = model_row_count(t), step = model_chunk_rows(t);
  const uint64_t row = model_row_bytes(t);
  void *chunk = mem_alloc(row * (uint64_t)step + 1);
  forge_status st =
      chunk ? FORGE_OK : FAIL(FORGE_E_OOM, "tensor %s: no memory for a chunk", t->name);
  for (int64_t r = 0; !st && r < rows; r += step) {
    const int64_t n = rows - r < step ? rows - r : step;
    st = s->rows(s->ctx, index, rope_style, r, n, chunk);
    if (!st) st = model_put_bytes(chunk, (size_t)((uint64_t)n * row), stream);
    if (!st) report(s, t, (uint64_t)n * row);
  }
  mem_free(chunk);
  return st;
}

static forge_status whole(model_source *s, uint32_t index, void *out) {
  const model_tensor *t = &s->tensors[index];
  const int64_t rows = model_row_count(t), step = model_chunk_rows(t);
  for (int64_t r = 0; r < rows; r += step)
    TRY(s->rows(s->ctx, index, s->config->rope_style, r, rows - r < step ? rows - r : step,
                (uint8_t *)out + (uint64_t)r * model_row_bytes(t)));
  return FORGE_OK;
}

forge_status model_put_transposed(model_source *s, uint32_t index, FILE *stream) {
  model_tensor turned = s->tensors[index]; /* rows of its other reading are what is wanted */
  const uint64_t bytes = model_tensor_bytes(&turned);
  const forge_model_config none = {.rope_style = s->config->rope_style};
  uint8_t *in = mem_alloc(bytes + 1), *out = mem_alloc(bytes + 1);
  forge_status st = in && out ? FORGE_OK : FAIL(FORGE_E_OOM, "tensor %s: no memory", turned.name);
  if (!st) st = whole(s, index, in);
  if (!st) {
    turned.transposed = 1;
    turned.data = in;
    model_rows(&turned, &none, none.rope_style, 0, turned.dim[1], out);
    st = model_put_bytes(out, bytes, stream);
  }
  if (!st) report(s, &turned, bytes);
  mem_free(in);
  mem_free(out);
  return st;
}

forge_status model_companion_check(const char *path, const char *main_path, const void *bytes,
                                   uint64_t n) {
  char *there;
  uint64_t have;
  if (!bytes || !file_exists(path) || file_exists(main_path)) return FORGE_OK;
  TRY(file_read(path, MAX_COMPANION, &there, &have));
  const bool same = have == n && !memcmp(there, bytes, n);
  mem_free(there);
  if (same) return FORGE_OK;
  return FAIL(FORGE_E_EXISTS,
              "%s belongs to another model and %s would replace it: write into a folder of its own",
              path, main_path);
}

forge_status model_companion_write(const char *path, const void *bytes, uint64_t n) {
  file_writer w;
  if (!bytes) return FORGE_OK;
  TRY(file_writer_open(path, &w));
  const forge_status st = model_put_bytes(bytes, n, w.stream);
  if (!st) return file_writer_commit(&w);
  file_writer_abandon(&w);
  return st;
}

forge_status model_format_of(const char *path, uint32_t *out) {
  static const char *const foreign[] = {".pt", ".pth", ".ckpt", ".onnx", ".ggml", ".json", ".npz"};
  for (size_t i = 0; i < COUNT_OF(foreign); i++)
    if (text_ends_with(path, foreign[i]))
      return FAIL(FORGE_E_UNSUPPORTED,
                  "%s: Forge writes .gguf, .safetensors, .bin (llama2.c) and folders, not %s", path,
                  foreign[i]);
  *out = text_ends_with(path, ".gguf")          ? MODEL_FORMAT_GGUF
         : text_ends_with(path, ".safetensors") ? MODEL_FORMAT_SAFETENSORS
         : text_ends_with(path, ".bin")         ? MODEL_FORMAT_LLAMA2C
                                                : MODEL_FORMAT_FOLDER;
  return FORGE_OK;
}

forge_status model_write_source(const char *path, model_source *s) {
  uint32_t format;
  TRY(model_format_of(path, &format));
  s->done = s->total = 0;
  for (uint32_t i = 0; i < s->n; i++) s->total += model_tensor_bytes(&s->tensors[i]);
  switch (format) {
  case MODEL_FORMAT_GGUF: return gguf_write(path, s);
  case MODEL_FORMAT_SAFETENSORS: return hf_write_file(path, s);
  case MODEL_FORMAT_LLAMA2C: return llama2c_write(path, s);
  default: return hf_write_folder(path, s);
  }
}

/* ---- tensors that are already what is to be written ---- */

typedef struct given {
  const forge_model_config *config;
  const model_tensor *tensors;
} given;

static forge_status given_rows(void *ctx, uint32_t index, uint32_t rope_style, int64_t first,
                               int64_t n, void *out) {
  const given *g = ctx;
  model_rows(&g->tensors[index], g->config, rope_style, first, n, out);
  return FORGE_OK;
}

static forge_status check_given(const model_tensor *t) {
  uint64_t bytes;
  if (t->rank < 1 || t->rank > 2 || (t->transposed && dtype_block_elems(t->dtype) != 1) ||
      !dtype_bytes(t->dtype, (uint64_t)model_row_elems(t), &bytes) ||
      model_tensor_bytes(t) != t->bytes)
    return FAIL(FORGE_E_INVALID, "model_write: tensor %s: its dims, type and bytes disagree",
                t->name);
  return FORGE_OK;
}

forge_status model_write(const char *path, const forge_model_config *config,
                         const model_tensor *tensors, uint32_t n, const forge_tokenizer *tokenizer,
                         forge_progress_fn progress, void *progress_ctx) {
  given g = {config, tensors};
  model_tensor *stored = mem_zalloc_array((size_t)n + 1, sizeof *stored);
  if (!stored) return FAIL(FORGE_E_OOM, "%s: no memory to write it", path);
  forge_status st = FORGE_OK;
  for (uint32_t i = 0; !st && i < n; i++) {
    st = check_given(&tensors[i]);
    stored[i] = tensors[i];
    if (tensors[i].rank == 2) {
      stored[i].dim[0] = model_row_count(&tensors[i]);
      stored[i].dim[1] = model_row_elems(&tensors[i]);
    }
    stored[i].transposed = 0;
  }
  model_source s = {.config = config,
                    .tensors = stored,
                    .n = n,
                    .rows = given_rows,
                    .ctx = &g,
                    .tokenizer = tokenizer,
                    .progress = progress,
                    .progress_ctx = progress_ctx};
  if (!st) st = model_write_source(path, &s);
  mem_free(stored);
  return st;
}
