/* hash.c -- thin names over nettle and xxHash, so that one place decides which hash is used for
 * what. */
#include "hash.h"

#include <string.h>
#include <xxhash.h>

void hash_sha256_start(hash_sha256 *h) { sha256_init(&h->state); }

void hash_sha256_add(hash_sha256 *h, const void *bytes, size_t n) {
  sha256_update(&h->state, n, bytes);
}

void hash_sha256_end(hash_sha256 *h, uint8_t out[32]) {
  sha256_digest(&h->state, SHA256_DIGEST_SIZE, out);
}

void hash_xxh128(const void *bytes, size_t n, uint64_t seed, uint8_t out[16]) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSeed(bytes, n, seed));
  memcpy(out, canonical.digest, sizeof canonical.digest);
}

void hash_hex(const uint8_t *bytes, size_t n, char *out) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < n; i++) {
    out[2 * i] = digits[bytes[i] >> 4];
    out[2 * i + 1] = digits[bytes[i] & 15];
  }
  out[2 * n] = 0;
}
