/* capsule_seal.c -- making a capsule, and what it is compared with before it is used. */
#include <inttypes.h>

#include "capsule.h"
#include "hash.h"

void capsule_prefix_hash(const int32_t *ids, uint64_t n, uint8_t out[16]) {
  uint8_t link[20] = {0};
  for (uint64_t i = 0; i < n; i++) {
    memcpy(link + 16, &ids[i], sizeof ids[i]);
    hash_xxh128(link, sizeof link, 0, out);
    memcpy(link, out, 16);
  }
  if (!n) memset(out, 0, 16);
}

static forge_status hash_tokenizer(forge_model *model, uint8_t out[32]) {
  forge_tokenizer *tokenizer = NULL;
  const forge_status st = forge_model_tokenizer(model, &tokenizer);
  if (st == FORGE_E_NOT_FOUND) return FORGE_OK; /* zeros: it has none */
  TRY(st);
  return forge_tokenizer_hash(tokenizer, out);
}

forge_status capsule_expect(forge_model *model, uint32_t kv_dtype, const int32_t *ids, uint64_t n,
                            const forge_request *request, capsule_header *out) {
  forge_model_config config = {.size = sizeof config};
  TRY(forge_model_describe(model, &config));
  const bool rope = config.family == FORGE_FAMILY_LLAMA;
  *out = (capsule_header){
      .n_tokens = n,
      .n_layers = config.n_layer,
      .kv_heads = config.n_kv_head,
      .head_dim = config.head_dim,
      .dtype = kv_dtype,
      .attention = CAPSULE_ATTENTION_FULL,
      .rope_style = rope ? config.rope_style : 0,
      .rope_base = rope ? config.rope_base : 0,
      .rope_scale = rope ? config.rope_scale : 0,
  };
  if (request) {
    out->epoch = request->epoch;
    memcpy(out->request_id, request->id, sizeof out->request_id);
  }
  capsule_prefix_hash(ids, n, out->prefix_hash);
  TRY(forge_model_hash(model, out->model_hash));
  return hash_tokenizer(model, out->tokenizer_hash);
}

static forge_status differ(const char *what, const char *meaning) {
  return FAIL(FORGE_E_MISMATCH, "capsule: %s differs: %s", what, meaning);
}

static forge_status compare_request(const capsule_header *is, const forge_request *request) {
  if (!same_bytes(is->request_id, request->id, sizeof is->request_id))
    return differ("the request", "it was made for another one");
  if (is->epoch != request->epoch)
    return FAIL(FORGE_E_MISMATCH, "capsule: it is of epoch %" PRIu64 ", expected is %" PRIu64,
                is->epoch, request->epoch);
  return FORGE_OK;
}

static bool same_shape(const capsule_header *a, const capsule_header *b) {
  return a->n_layers == b->n_layers && a->kv_heads == b->kv_heads && a->head_dim == b->head_dim &&
         a->rope_style == b->rope_style && a->rope_base == b->rope_base &&
         a->rope_scale == b->rope_scale;
}

forge_status capsule_compare(const capsule_header *is, const capsule_header *want,
                             const forge_request *request) {
  if (request) TRY(compare_request(is, request));
  if (!same_bytes(is->model_hash, want->model_hash, 32) || !same_shape(is, want))
    return differ("the model", "its keys and values were made with other weights");
  if (!same_bytes(is->tokenizer_hash, want->tokenizer_hash, 32))
    return differ("the tokenizer", "its token ids mean other text");
  if (!same_bytes(is->adapter_hash, want->adapter_hash, 32) ||
      is->adapter_scale != want->adapter_scale)
    return differ("the adapter", "its keys and values were made with another one");
  if (is->n_tokens != want->n_tokens || !same_bytes(is->prefix_hash, want->prefix_hash, 16))
    return differ("the prompt", "its keys and values are those of other tokens");
  if (is->dtype != want->dtype)
    return differ("the type of keys and values", "give both phases the same kv_dtype");
  return FORGE_OK;
}

static forge_status fill(forge_capsule *c, const capsule_plan *plan, capsule_read_fn read,
                         void *ctx) {
  capsule_header h;
  capsule_read_header(c, &h);
  for (uint32_t stream = 0; stream < 2 * h.n_layers; stream++)
    for (uint64_t i = 0; i < plan->chunks; i++) {
      capsule_chunk chunk;
      uint8_t *at = c->bytes + capsule_chunk_at(plan, &h, stream / 2, stream % 2, i, &chunk);
      uint8_t *payload = at + sizeof chunk;
      TRY(read(ctx, chunk.layer, chunk.which, chunk.start, chunk.n_tokens, payload));
      capsule_digest(&h, &chunk, payload, chunk.digest);
      memcpy(at, &chunk, sizeof chunk);
    }
  return FORGE_OK;
}

static void put_tail(forge_capsule *c, const capsule_plan *plan, capsule_tail tail) {
  uint8_t *at = c->bytes + c->n - sizeof tail;
  memcpy(tail.magic, "TAIL", 4);
  tail.sampler = 1;
  memcpy(at, &tail, sizeof tail);
  capsule_root(c->bytes, plan, at + offsetof(capsule_tail, root));
}

forge_status capsule_seal(const capsule_header *header, const capsule_tail *tail,
                          capsule_read_fn read, void *ctx, forge_capsule **out) {
  capsule_header h = *header;
  capsule_plan plan;
  TRY(capsule_plan_of(&h, &plan));
  memcpy(h.magic, "FORGEKV", 8);
  h.version = CAPSULE_VERSION;
  h.header_bytes = sizeof h;
  h.total_bytes = plan.total_bytes;
  forge_capsule *c = mem_zalloc(sizeof *c);
  if (!c || !(c->bytes = mem_zalloc(plan.total_bytes))) {
    mem_free(c);
    return FAIL(FORGE_E_OOM, "a capsule of %" PRIu64 " bytes", plan.total_bytes);
  }
  c->n = plan.total_bytes;
  memcpy(c->bytes, &h, sizeof h);
  const forge_status st = fill(c, &plan, read, ctx);
  if (st) {
    forge_capsule_destroy(c);
    return st;
  }
  put_tail(c, &plan, *tail);
  *out = c;
  return FORGE_OK;
}
