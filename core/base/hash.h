/* hash.h -- SHA-256 (identity, from nettle) and XXH3-128 (faults, from xxHash). */
#ifndef FORGE_HASH_H
#define FORGE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include <nettle/sha2.h>

typedef struct hash_sha256 {
  struct sha256_ctx state;
} hash_sha256;
void hash_sha256_start(hash_sha256 *h);
void hash_sha256_add(hash_sha256 *h, const void *bytes, size_t n);
void hash_sha256_end(hash_sha256 *h, uint8_t out[32]);

/* XXH3-128 of |n| bytes with |seed|, canonical (big-endian) byte order. */
void hash_xxh128(const void *bytes, size_t n, uint64_t seed, uint8_t out[16]);

/* |n| bytes as 2n lower-case hex digits and a zero. */
void hash_hex(const uint8_t *bytes, size_t n, char *out);

#endif
