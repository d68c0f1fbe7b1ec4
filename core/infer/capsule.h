/* capsule.h -- the sealed form of a prompt's keys and values, byte for byte.
 *
 *   header, then for each layer, for k and v, for each chunk of tokens: record, payload (zeros up
 * to a multiple of 8), then tail.
 *
 * Payloads are [token][kv_head][dim], little-endian, whatever the pages of the sender look like.
 * How many tokens a chunk has follows from the header, so everything has exactly one place, and a
 * capsule exactly one length. The digest of a payload is XXH3-128 seeded with a hash of who it is
 * for and where it belongs: a stretch of another request, epoch, layer or place does not fit. The
 * tail's root is SHA-256 over everything but the payloads, which the digests stand for.
 *
 * Version 1. A change of layout is a new version; a reader refuses versions it does not know. */
#ifndef FORGE_CAPSULE_H
#define FORGE_CAPSULE_H

#include <string.h>

#include <forge/infer.h>

#include "base.h"

enum { CAPSULE_VERSION = 1, CAPSULE_CHUNK_TARGET = 1 << 20 };
enum { CAPSULE_ATTENTION_FULL = 1 };

typedef struct capsule_header {
  char magic[8]; /* "FORGEKV" and a zero */
  uint32_t version, header_bytes;
  uint64_t total_bytes, epoch;
  uint8_t request_id[16];
  uint8_t model_hash[32], tokenizer_hash[32], adapter_hash[32]; /* zeros: none */
  double adapter_scale;
  uint8_t prefix_hash[16];
  uint64_t n_tokens;
  uint32_t n_layers, kv_heads, head_dim, dtype; /* FORGE_F32, F16, BF16 */
  uint32_t attention, rope_style;               /* rope_style 0: none */
  double rope_base, rope_scale;
  uint64_t rope_start; /* position of the first token: 0 */
} capsule_header;
_Static_assert(sizeof(capsule_header) == 224, "capsule version 1, see tests/infer/capsule_v1.bin");

typedef struct capsule_chunk {
  char magic[4];              /* "CHNK" */
  uint32_t layer, which, rsv; /* which: 0 keys, 1 values */
  uint64_t start, n_tokens, bytes;
  uint8_t digest[16];
} capsule_chunk;
_Static_assert(sizeof(capsule_chunk) == 56, "capsule version 1");

typedef struct capsule_tail {
  char magic[4];    /* "TAIL" */
  uint32_t sampler; /* 1: forge_sampling */
  double temperature, top_p, min_p;
  uint64_t seed, counter;
  uint32_t top_k;
  int32_t first_token;
  uint8_t logits_digest[16]; /* of the logits first_token was chosen from; zeros: not said */
  uint8_t root[32];
} capsule_tail;
_Static_assert(sizeof(capsule_tail) == 104, "capsule version 1");

static inline bool same_bytes(const void *a, const void *b, size_t n) {
  return memcmp(a, b, n) == 0;
}

struct forge_capsule {
  uint8_t *bytes; /* passed capsule_check(), or was sealed here */
  uint64_t n;
};

/* What follows from a header: sizes, checked for overflow and against limits. */
typedef struct capsule_plan {
  uint64_t token_bytes;  /* of one layer's keys */
  uint64_t chunk_tokens; /* in every chunk but perhaps the last */
  uint64_t chunks;       /* per layer and k or v */
  uint64_t stream_bytes; /* records and payloads of one layer's keys */
  uint64_t total_bytes;
} capsule_plan;
forge_status capsule_plan_of(const capsule_header *h, capsule_plan *out);
/* Place of chunk |i| of a layer's keys (0) or values (1), and its record as it must be but for the
 * digest. */
uint64_t capsule_chunk_at(const capsule_plan *plan, const capsule_header *h, uint32_t layer,
                          uint32_t which, uint64_t i, capsule_chunk *out);

/* Layout, order and every digest of |n| bytes that may be anything. Fails: E_CORRUPT,
 * E_UNSUPPORTED. */
forge_status capsule_check(const uint8_t *bytes, uint64_t n);
void capsule_read_tail(const forge_capsule *c, capsule_tail *out);
void capsule_read_header(const forge_capsule *c, capsule_header *out);

/* Gives tokens |start| .. of a layer's keys or values. */
typedef forge_status (*capsule_read_fn)(void *ctx, uint32_t layer, uint32_t which, uint64_t start,
                                        uint64_t n, uint8_t *out);
/* Seals. |header| needs everything but magic, version and sizes; |tail| everything but magic and
 * root. */
forge_status capsule_seal(const capsule_header *header, const capsule_tail *tail,
                          capsule_read_fn read, void *ctx, forge_capsule **out);
void capsule_digest(const capsule_header *h, const capsule_chunk *chunk, const uint8_t *payload,
                    uint8_t out[16]);
void capsule_root(const uint8_t *bytes, const capsule_plan *plan, uint8_t out[32]);
/* Chained over the ids: equal exactly for equal sequences. */
void capsule_prefix_hash(const int32_t *ids, uint64_t n, uint8_t out[16]);
/* Header of what |model| makes of these ids: identities and shape. */
forge_status capsule_expect(forge_model *model, uint32_t kv_dtype, const int32_t *ids, uint64_t n,
                            const forge_request *request, capsule_header *out);
/* E_MISMATCH naming the first difference that matters. |request| NULL: any request. */
forge_status capsule_compare(const capsule_header *is, const capsule_header *want,
                             const forge_request *request);

#endif
