/* llama2c_write.c -- a model as a llama2.c .bin of version 0, with its tokenizer.bin beside it. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "llama2c.h"
#include "model_write.h"

static forge_status cannot(const char *path, const char *what) {
  return FAIL(FORGE_E_UNSUPPORTED, "%s: a llama2.c file cannot say that %s: write a .gguf instead",
              path, what);
}

static bool same(double a, double b) { return (float)a == (float)b; }

static forge_status check(const char *path, const model_source *s) {
  const forge_model_config *c = s->config;
  if (c->family != FORGE_FAMILY_LLAMA) return cannot(path, "the model is a gpt2");
  if (c->n_head * c->head_dim != c->n_embd) return cannot(path, "heads are not n_embd/n_head wide");
  if (!same(c->norm_eps, LLAMA2C_NORM_EPS)) return cannot(path, "norm_eps is not 1e-5");
  if (!same(c->rope_base, LLAMA2C_ROPE_BASE) || c->rope_scale != 1 ||
      model_source_find(s, "rope_freqs.weight"))
    return cannot(path, "positions turn otherwise than with base 10000");
  for (uint32_t i = 0; i < s->n; i++)
    if (s->tensors[i].dtype != FORGE_F32)
      return FAIL(FORGE_E_UNSUPPORTED,
                  "%s: tensor %s is %s and a llama2.c file holds f32 only: give --type f32", path,
                  s->tensors[i].name, dtype_name(s->tensors[i].dtype));
  return FORGE_OK;
}

static forge_status put(model_source *s, const char *name, FILE *stream) {
  const model_tensor *t = model_source_find(s, name);
  if (!t) return FAIL(FORGE_E_INVALID, "tensor %s is missing", name);
  return model_put(s, (uint32_t)(t - s->tensors), FORGE_ROPE_STYLE_INTERLEAVED, stream);
}

static forge_status put_kinds(model_source *s, FILE *stream) {
  char name[MODEL_NAME_BYTES];
  for (uint32_t kind = 0; kind < llama2c_kinds(); kind++) {
    uint32_t layer = 0;
    bool more;
    do {
      more = llama2c_tensor_name(kind, layer, name, sizeof name);
      TRY(put(s, name, stream));
    } while (more && ++layer < s->config->n_layer);
  }
  return FORGE_OK;
}

/* cos and sin of every position: no reader looks at them, but the format has them. */
static forge_status put_tables(const llama2c_header *h, FILE *stream) {
  const int32_t half = h->dim / h->n_heads / 2;
  for (int part = 0; part < 2; part++)
    for (int32_t p = 0; p < h->seq_len; p++)
      for (int32_t i = 0; i < half; i++) {
        const double angle = p / pow(LLAMA2C_ROPE_BASE, (double)i / half);
        const float x = (float)(part ? sin(angle) : cos(angle));
        TRY(model_put_bytes(&x, sizeof x, stream));
      }
  return FORGE_OK;
}

static forge_status put_all(model_source *s, FILE *stream) {
  const forge_model_config *c = s->config;
  const llama2c_header h = {
      (int32_t)c->n_embd,    (int32_t)c->n_ff,
      (int32_t)c->n_layer,   (int32_t)c->n_head,
      (int32_t)c->n_kv_head, c->tied_head ? (int32_t)c->n_vocab : -(int32_t)c->n_vocab,
      (int32_t)c->n_ctx};
  TRY(model_put_bytes(&h, sizeof h, stream));
  TRY(put_kinds(s, stream));
  TRY(put_tables(&h, stream));
  return c->tied_head ? FORGE_OK : put(s, "output.weight", stream);
}

/* llama2.c's own place for it; a tokenizer the format cannot hold is left out, saying so. */
static forge_status tokenizer_bytes(const model_source *s, uint8_t **out, uint64_t *out_n) {
  *out = NULL;
  *out_n = 0;
  if (!s->tokenizer) return FORGE_OK;
  const forge_status st = tokenizer_llama2c_write(s->tokenizer, out, out_n);
  if (st != FORGE_E_UNSUPPORTED) return st;
  log_line(FORGE_LOG_WARN, "tokenizer.bin is not written: %s", forge_error_last()->msg);
  *out = NULL;
  return FORGE_OK;
}

static forge_status write_model(const char *path, model_source *s) {
  file_writer w;
  TRY(file_writer_open(path, &w));
  const forge_status st = put_all(s, w.stream);
  if (!st) return file_writer_commit(&w);
  file_writer_abandon(&w);
  return base_fail_in(st, "%s", path);
}

forge_status llama2c_write(const char *path, model_source *s) {
  uint8_t *bytes = NULL;
  uint64_t n = 0;
  TRY(check(path, s));
  char *dir = file_parent(path), *beside = dir ? file_join(dir, "tokenizer.bin") : NULL;
  forge_status st = beside ? FORGE_OK : FAIL(FORGE_E_OOM, "%s", path);
  if (!st) st = tokenizer_bytes(s, &bytes, &n);
  if (!st) st = model_companion_check(beside, path, bytes, n);
  if (!st) st = model_companion_write(beside, bytes, n);
  if (!st) st = write_model(path, s);
  mem_free(bytes);
  mem_free(beside);
  mem_free(dir);
  return st;
}
