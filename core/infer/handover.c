/* handover.c -- see handover.h. */
#include "handover.h"

#include "hash.h"

static forge_status read_pages(void *ctx, uint32_t layer, uint32_t which, uint64_t start,
                               uint64_t n, uint8_t *out) {
  return phase_kv_read(ctx, layer, which, start, n, out);
}

/* Zeros when the context was imported and no step was taken since. */
static forge_status digest_logits(phase *p, uint8_t out[16]) {
  const uint64_t bytes = (uint64_t)p->config.n_vocab * sizeof(float);
  if (!p->has_logits) return FORGE_OK;
  float *logits = mem_alloc(bytes);
  if (!logits) return FAIL(FORGE_E_OOM, "logits of %u tokens", p->config.n_vocab);
  const forge_status st = phase_read_logits(p, logits);
  if (!st) hash_xxh128(logits, bytes, 0, out);
  mem_free(logits);
  return st;
}

forge_status handover_seal(phase *p, const int32_t *ids, const forge_request *request,
                           uint64_t counter, int32_t first_token, forge_capsule **out) {
  capsule_header header;
  forge_sampling s;
  TRY(sized_in(&s, sizeof s, request ? request->sampling : NULL, "sampling"));
  if (!p->position) return FAIL(FORGE_E_INVALID, "the context is empty; there is nothing to seal");
  capsule_tail tail = {.temperature = s.temperature,
                       .top_p = s.top_p,
                       .min_p = s.min_p,
                       .seed = s.seed,
                       .counter = counter,
                       .top_k = s.top_k,
                       .first_token = first_token};
  TRY(digest_logits(p, tail.logits_digest));
  TRY(capsule_expect(p->model, p->options.kv_dtype, ids, p->position, request, &header));
  return capsule_seal(&header, &tail, read_pages, p, out);
}

static forge_status write_pages(phase *p, const forge_capsule *c, const capsule_header *h) {
  capsule_plan plan;
  capsule_chunk chunk;
  TRY(capsule_plan_of(h, &plan));
  for (uint32_t stream = 0; stream < 2 * h->n_layers; stream++)
    for (uint64_t i = 0; i < plan.chunks; i++) {
      const uint64_t at = capsule_chunk_at(&plan, h, stream / 2, stream % 2, i, &chunk);
      TRY(phase_kv_write(p, chunk.layer, chunk.which, chunk.start, chunk.n_tokens,
                         c->bytes + at + sizeof chunk));
    }
  return FORGE_OK;
}

/* The capsule's own memory is the staging area: nobody else can write it, it is verified there as a
 * whole, and only then does a byte of it reach the pages. */
forge_status handover_adopt(phase *p, const forge_capsule *c, const int32_t *ids, uint64_t n,
                            const forge_request *request) {
  capsule_header is, want;
  capsule_tail tail;
  TRY(capsule_check(c->bytes, c->n));
  capsule_read_header(c, &is);
  capsule_read_tail(c, &tail);
  TRY(capsule_expect(p->model, p->options.kv_dtype, ids, n, request, &want));
  TRY(capsule_compare(&is, &want, request));
  if (tail.first_token < 0 || (uint32_t)tail.first_token >= p->config.n_vocab)
    return FAIL(FORGE_E_MISMATCH, "capsule: its first token %d is none of the vocabulary",
                tail.first_token);
  if (is.n_tokens > p->options.n_ctx)
    return FAIL(FORGE_E_INVALID, "capsule: it has %llu tokens and the context room for %u",
                (unsigned long long)is.n_tokens, p->options.n_ctx);
  p->position = 0;
  p->has_logits = false;
  TRY(write_pages(p, c, &is));
  p->position = is.n_tokens;
  return FORGE_OK;
}
