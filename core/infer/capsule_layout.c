/* capsule_layout.c -- where everything stands in a capsule, and whether it is what it should be.
 * The bytes may come from anyone: nothing is used before it was checked. */
#include <inttypes.h>

#include "capsule.h"
#include "hash.h"

enum { MAX_TOKENS = 1 << 28, MAX_LAYERS = 1 << 14, MAX_WIDTH = 1 << 24 };

static uint64_t padded(uint64_t bytes) { return (bytes + 7) / 8 * 8; }

static uint64_t dtype_size(uint32_t dtype) {
  return dtype == FORGE_F32 ? 4 : dtype == FORGE_F16 || dtype == FORGE_BF16 ? 2 : 0;
}

static forge_status check_extent(const char *what, uint64_t value, uint64_t max) {
  if (value >= 1 && value <= max) return FORGE_OK;
  return FAIL(FORGE_E_CORRUPT, "capsule header: %s is %" PRIu64 ", not 1 to %" PRIu64, what, value,
              max);
}

/* Bytes of a chunk of |tokens|: record and padded payload. */
static uint64_t chunk_bytes(const capsule_plan *plan, uint64_t tokens) {
  return sizeof(capsule_chunk) + padded(tokens * plan->token_bytes);
}

forge_status capsule_plan_of(const capsule_header *h, capsule_plan *out) {
  const uint64_t elem = dtype_size(h->dtype);
  if (!elem) return FAIL(FORGE_E_CORRUPT, "capsule header: %u is no type of keys", h->dtype);
  TRY(check_extent("n_tokens", h->n_tokens, MAX_TOKENS));
  TRY(check_extent("n_layers", h->n_layers, MAX_LAYERS));
  TRY(check_extent("kv_heads", h->kv_heads, MAX_WIDTH));
  TRY(check_extent("head_dim", h->head_dim, MAX_WIDTH));
  const uint64_t width = (uint64_t)h->kv_heads * h->head_dim;
  if (!width || width > MAX_WIDTH)
    return FAIL(FORGE_E_CORRUPT, "capsule header: rows of %" PRIu64 " elements", width);
  out->token_bytes = elem * width;
  out->chunk_tokens = CAPSULE_CHUNK_TARGET / out->token_bytes;
  if (!out->chunk_tokens) out->chunk_tokens = 1;
  if (out->chunk_tokens > h->n_tokens) out->chunk_tokens = h->n_tokens;
  out->chunks = (h->n_tokens + out->chunk_tokens - 1) / out->chunk_tokens;
  /* At most 2^28 tokens of 2^26 bytes and their records: no overflow up to the last product. */
  out->stream_bytes = (out->chunks - 1) * chunk_bytes(out, out->chunk_tokens) +
                      chunk_bytes(out, h->n_tokens - (out->chunks - 1) * out->chunk_tokens);
  const uint64_t ends = sizeof(capsule_header) + sizeof(capsule_tail);
  if (MUL_OVERFLOWS(out->stream_bytes, 2 * (uint64_t)h->n_layers, &out->total_bytes) ||
      ADD_OVERFLOWS(out->total_bytes, ends, &out->total_bytes))
    return FAIL(FORGE_E_CORRUPT, "capsule header: its sizes do not fit 64 bits");
  return FORGE_OK;
}

uint64_t capsule_chunk_at(const capsule_plan *plan, const capsule_header *h, uint32_t layer,
                          uint32_t which, uint64_t i, capsule_chunk *out) {
  const uint64_t start = i * plan->chunk_tokens, left = h->n_tokens - start;
  *out = (capsule_chunk){.magic = {'C', 'H', 'N', 'K'}, .layer = layer, .which = which};
  out->start = start;
  out->n_tokens = left < plan->chunk_tokens ? left : plan->chunk_tokens;
  out->bytes = out->n_tokens * plan->token_bytes;
  return sizeof *h + (2 * (uint64_t)layer + which) * plan->stream_bytes +
         i * chunk_bytes(plan, plan->chunk_tokens);
}

void capsule_digest(const capsule_header *h, const capsule_chunk *chunk, const uint8_t *payload,
                    uint8_t out[16]) {
  struct {
    uint8_t request_id[16];
    uint64_t epoch, start, n_tokens;
    uint32_t layer, which;
  } key = {.epoch = h->epoch,
           .start = chunk->start,
           .n_tokens = chunk->n_tokens,
           .layer = chunk->layer,
           .which = chunk->which};
  uint8_t hash[16];
  uint64_t seed;
  memcpy(key.request_id, h->request_id, sizeof key.request_id);
  hash_xxh128(&key, sizeof key, 0, hash);
  memcpy(&seed, hash, sizeof seed);
  hash_xxh128(payload, chunk->bytes, seed, out);
}

void capsule_root(const uint8_t *bytes, const capsule_plan *plan, uint8_t out[32]) {
  capsule_header h;
  capsule_chunk chunk;
  hash_sha256 sha;
  memcpy(&h, bytes, sizeof h);
  hash_sha256_start(&sha);
  hash_sha256_add(&sha, &h, sizeof h);
  for (uint32_t stream = 0; stream < 2 * h.n_layers; stream++)
    for (uint64_t i = 0; i < plan->chunks; i++)
      hash_sha256_add(&sha, bytes + capsule_chunk_at(plan, &h, stream / 2, stream % 2, i, &chunk),
                      sizeof chunk);
  hash_sha256_add(&sha, bytes + plan->total_bytes - sizeof(capsule_tail),
                  offsetof(capsule_tail, root));
  hash_sha256_end(&sha, out);
}

static forge_status check_header(const uint8_t *bytes, uint64_t n, capsule_plan *plan) {
  capsule_header h;
  if (n < sizeof h + sizeof(capsule_tail))
    return FAIL(FORGE_E_CORRUPT, "capsule: %" PRIu64 " bytes are fewer than header and tail", n);
  memcpy(&h, bytes, sizeof h);
  if (!same_bytes(h.magic, "FORGEKV", 8))
    return FAIL(FORGE_E_CORRUPT, "capsule: it does not begin with FORGEKV, so it is none");
  if (h.version != CAPSULE_VERSION)
    return FAIL(FORGE_E_UNSUPPORTED, "capsule: version %u; this library reads version %d",
                h.version, CAPSULE_VERSION);
  if (h.header_bytes != sizeof h || h.attention != CAPSULE_ATTENTION_FULL || h.rope_start)
    return FAIL(FORGE_E_CORRUPT, "capsule header: no header of version %d", CAPSULE_VERSION);
  TRY(capsule_plan_of(&h, plan));
  if (plan->total_bytes != h.total_bytes || h.total_bytes != n)
    return FAIL(FORGE_E_CORRUPT,
                "capsule: its shape needs %" PRIu64 " bytes, its header says %" PRIu64
                ", there are %" PRIu64,
                plan->total_bytes, h.total_bytes, n);
  return FORGE_OK;
}

static forge_status check_tail(const uint8_t *bytes, const capsule_plan *plan) {
  capsule_tail tail;
  uint8_t root[32];
  memcpy(&tail, bytes + plan->total_bytes - sizeof tail, sizeof tail);
  if (!same_bytes(tail.magic, "TAIL", 4) || tail.sampler != 1)
    return FAIL(FORGE_E_CORRUPT, "capsule: there is no tail where it must end");
  capsule_root(bytes, plan, root);
  if (!same_bytes(root, tail.root, sizeof root))
    return FAIL(FORGE_E_CORRUPT, "capsule: the root digest differs; header, a record or the tail "
                                 "was changed");
  return FORGE_OK;
}

static forge_status check_chunk(const uint8_t *bytes, const capsule_plan *plan,
                                const capsule_header *h, uint32_t stream, uint64_t i) {
  capsule_chunk want, is;
  const uint64_t at = capsule_chunk_at(plan, h, stream / 2, stream % 2, i, &want);
  const uint8_t *payload = bytes + at + sizeof want;
  static const char *const names[] = {"keys", "values"};
  memcpy(&is, bytes + at, sizeof is);
  capsule_digest(h, &want, payload, want.digest);
  if (!same_bytes(&is, &want, offsetof(capsule_chunk, digest)))
    return FAIL(FORGE_E_CORRUPT,
                "capsule: at byte %" PRIu64 " stands another record than that of "
                "layer %u %s from token %" PRIu64,
                at, want.layer, names[want.which], want.start);
  if (!same_bytes(is.digest, want.digest, sizeof is.digest))
    return FAIL(FORGE_E_CORRUPT,
                "capsule: layer %u %s, tokens %" PRIu64 " to %" PRIu64 ": the digest differs",
                want.layer, names[want.which], want.start, want.start + want.n_tokens - 1);
  for (uint64_t pad = want.bytes; pad < padded(want.bytes); pad++)
    if (payload[pad])
      return FAIL(FORGE_E_CORRUPT, "capsule: layer %u %s: padding is not zero", want.layer,
                  names[want.which]);
  return FORGE_OK;
}

forge_status capsule_check(const uint8_t *bytes, uint64_t n) {
  capsule_plan plan = {0};
  capsule_header h;
  TRY(check_header(bytes, n, &plan));
  memcpy(&h, bytes, sizeof h);
  for (uint32_t stream = 0; stream < 2 * h.n_layers; stream++)
    for (uint64_t i = 0; i < plan.chunks; i++) TRY(check_chunk(bytes, &plan, &h, stream, i));
  return check_tail(bytes, &plan);
}
