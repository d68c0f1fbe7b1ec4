/* model_hash.c -- a model's identity: SHA-256 over its configuration and its tensors in one order
 * and one layout, so that a llama2.c file, a GGUF and a safetensors with the same numbers are the
 * same model.
 *
 * Hashed, little-endian: "forge-model-1"; family, n_vocab, n_ctx, n_embd, n_layer, n_head,
 * n_kv_head, head_dim, n_ff, tied_head, has_bias as u32; norm_eps, rope_base, rope_scale as F32
 * (what every format keeps); then per tensor, in arch_params() order, its name with the final zero,
 * element type and rank as u32, rows and columns as u64, and its bytes as rows of [out, in], q and
 * k rows interleaved. */
#include <string.h>

#include "hash.h"
#include "model_parts.h"

enum { CHUNK_BYTES = 1 << 20 };

static void add_u32(hash_sha256 *h, uint32_t x) { hash_sha256_add(h, &x, sizeof x); }
static void add_u64(hash_sha256 *h, uint64_t x) { hash_sha256_add(h, &x, sizeof x); }

static void add_f32(hash_sha256 *h, double x) {
  const float f = (float)x;
  hash_sha256_add(h, &f, sizeof f);
}

static void hash_config(hash_sha256 *h, const forge_model_config *c) {
  const bool rotates = c->family == FORGE_FAMILY_LLAMA;
  static const char magic[] = "forge-model-1";
  hash_sha256_add(h, magic, sizeof magic);
  add_u32(h, c->family);
  add_u32(h, c->n_vocab);
  add_u32(h, c->n_ctx);
  add_u32(h, c->n_embd);
  add_u32(h, c->n_layer);
  add_u32(h, c->n_head);
  add_u32(h, c->n_kv_head);
  add_u32(h, c->head_dim);
  add_u32(h, c->n_ff);
  add_u32(h, c->tied_head);
  add_u32(h, c->has_bias);
  add_f32(h, c->norm_eps);
  add_f32(h, rotates ? c->rope_base : 0);
  add_f32(h, rotates ? c->rope_scale : 0);
}

static forge_status hash_tensor(hash_sha256 *h, const forge_model_config *c,
                                const model_tensor *t) {
  const uint64_t row = model_row_bytes(t);
  const int64_t rows = model_row_count(t);
  int64_t step = row && row < CHUNK_BYTES ? (int64_t)(CHUNK_BYTES / row) : 1;
  if (step > rows) step = rows;
  void *chunk = mem_alloc((size_t)row * (size_t)(step ? step : 1) + 1);
  if (!chunk) return FAIL(FORGE_E_OOM, "tensor %s: no memory to hash it", t->name);
  hash_sha256_add(h, t->name, strlen(t->name) + 1);
  add_u32(h, t->dtype);
  add_u32(h, t->rank);
  add_u64(h, (uint64_t)rows);
  add_u64(h, (uint64_t)model_row_elems(t));
  for (int64_t r = 0; r < rows; r += step) {
    const int64_t n = rows - r < step ? rows - r : step;
    model_rows(t, c, FORGE_ROPE_STYLE_INTERLEAVED, r, n, chunk);
    hash_sha256_add(h, chunk, (size_t)n * row);
  }
  mem_free(chunk);
  return FORGE_OK;
}

forge_status forge_model_hash(forge_model *m, uint8_t out_sha256[32]) {
  hash_sha256 h;
  if (!m || !out_sha256) return FAIL(FORGE_E_INVALID, "forge_model_hash: model or result is NULL");
  if (!m->hashed) {
    hash_sha256_start(&h);
    hash_config(&h, &m->config);
    for (uint32_t i = 0; i < m->n_tensors; i++) TRY(hash_tensor(&h, &m->config, &m->tensors[i]));
    hash_sha256_end(&h, m->hash);
    m->hashed = true;
  }
  memcpy(out_sha256, m->hash, sizeof m->hash);
  return FORGE_OK;
}
