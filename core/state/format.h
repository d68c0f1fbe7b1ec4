/* format.h -- a checkpoint file as bytes. Little-endian.
 *
 *   header    4096 bytes: "FORGECKP", u32 version, u32 chunk bytes, u64 step, zeros, XXH3-128 of
 * all before it in the last 16 items     tensors and blobs one behind the other, each filled with
 * zeros to 4096 manifest  JSON: every item with name, type, shape, offset, bytes and one XXH3-128
 * per chunk of its filled extent footer    64 bytes: u64 manifest offset, u64 manifest bytes,
 * XXH3-128 of the manifest, XXH3-128 of header and the 32 bytes before, "FORGECKE", u64 file bytes
 *
 * So every byte lies under exactly one checksum; the footer's hash ties header and manifest
 * together. Checksums find faults, not forgers. */
#ifndef FORGE_STATE_FORMAT_H
#define FORGE_STATE_FORMAT_H

#include "base.h"

enum {
  FORMAT_VERSION = 1,
  FORMAT_ALIGN = 4096,
  FORMAT_HEADER = 4096,
  FORMAT_FOOTER = 64,
  FORMAT_CHUNK = 4 << 20,
  FORMAT_NAME_MAX = 255,
  FORMAT_ITEMS_MAX = 1 << 20,
  FORMAT_MANIFEST_MAX = 256 << 20
};

typedef struct format_hash {
  uint8_t bytes[16];
} format_hash;

typedef struct format_item {
  char *name;
  bool blob;
  uint8_t dtype, rank; /* tensors */
  int64_t dim[FORGE_MAX_RANK];
  uint64_t offset, bytes;
  format_hash *chunk;
  size_t n_chunk, cap_chunk;
} format_item;

typedef struct format_manifest {
  uint64_t step;
  format_item *item;
  size_t n_item, cap_item;
} format_manifest;

void format_manifest_finish(format_manifest *m);
const format_item *format_find(const format_manifest *m, const char *name);

/* Bytes of an item as they lie in the file. */
uint64_t format_extent(uint64_t bytes);
/* Bytes of a dense tensor; E_INVALID for a bad type, a negative or an overflowing shape. */
forge_status format_tensor_bytes(const char *name, uint8_t dtype, uint8_t rank, const int64_t *dim,
                                 uint64_t *out_bytes);

void format_put_header(uint8_t out[FORMAT_HEADER], uint64_t step);
void format_put_footer(uint8_t out[FORMAT_FOOTER], const uint8_t header[FORMAT_HEADER],
                       uint64_t offset, const char *manifest, uint64_t bytes);
/* Manifest text, owned by the caller (mem_free). |hashes|: with checksums. */
char *format_manifest_text(const format_manifest *m, bool hashes);

typedef struct format_footer {
  uint64_t offset, bytes, file_bytes;
  format_hash manifest;
} format_footer;
/* |path| is for messages. All E_CORRUPT unless said otherwise. */
forge_status format_get_header(const uint8_t bytes[FORMAT_HEADER], const char *path,
                               uint64_t *out_step);
forge_status format_get_footer(const uint8_t bytes[FORMAT_FOOTER],
                               const uint8_t header[FORMAT_HEADER], uint64_t file_bytes,
                               const char *path, format_footer *out);
/* Parses and checks a manifest of hashed text: items in order without holes up to |end|. */
forge_status format_get_manifest(const char *s, uint64_t bytes, uint64_t end, const char *path,
                                 format_manifest *out);

#endif
