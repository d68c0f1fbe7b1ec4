/* format.c -- header, footer and lookups of a checkpoint file; the manifest is in manifest.c. */
#include "format.h"

#include <string.h>

#include "hash.h"

static const uint8_t header_magic[8] = {'F', 'O', 'R', 'G', 'E', 'C', 'K', 'P'};
static const uint8_t footer_magic[8] = {'F', 'O', 'R', 'G', 'E', 'C', 'K', 'E'};
enum { HEADER_HASHED = FORMAT_HEADER - 16, FOOTER_HASHED = 32 };

static void put_u64(uint8_t *to, uint64_t value) {
  for (int i = 0; i < 8; i++) to[i] = (uint8_t)(value >> 8 * i);
}

static void put_u32(uint8_t *to, uint32_t value) {
  for (int i = 0; i < 4; i++) to[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get_u64(const uint8_t *from) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; i--) value = value << 8 | from[i];
  return value;
}

static uint32_t get_u32(const uint8_t *from) {
  return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
         (uint32_t)from[3] << 24;
}

void format_manifest_finish(format_manifest *m) {
  for (size_t i = 0; i < m->n_item; i++) {
    mem_free(m->item[i].name);
    mem_free(m->item[i].chunk);
  }
  mem_free(m->item);
  *m = (format_manifest){0};
}

const format_item *format_find(const format_manifest *m, const char *name) {
  for (size_t i = 0; i < m->n_item; i++)
    if (!strcmp(m->item[i].name, name)) return &m->item[i];
  return NULL;
}

uint64_t format_extent(uint64_t bytes) {
  return (bytes + FORMAT_ALIGN - 1) / FORMAT_ALIGN * FORMAT_ALIGN;
}

static bool dtype_blocks(uint8_t dtype, uint64_t *elems, uint64_t *bytes) {
  switch (dtype) {
#define BLOCK(name, number, block_elems, block_bytes, text)                                        \
  case number:                                                                                     \
    *elems = block_elems;                                                                          \
    *bytes = block_bytes;                                                                          \
    return true;
    FORGE_DTYPE_MAP(BLOCK)
#undef BLOCK
  default: return false;
  }
}

forge_status format_tensor_bytes(const char *name, uint8_t dtype, uint8_t rank, const int64_t *dim,
                                 uint64_t *out_bytes) {
  uint64_t elems, block, n = 1;
  if (!dtype_blocks(dtype, &elems, &block))
    return FAIL(FORGE_E_INVALID, "tensor %s: there is no element type %u", name, dtype);
  if (rank > FORGE_MAX_RANK)
    return FAIL(FORGE_E_INVALID, "tensor %s: rank %u, at most %d", name, rank, FORGE_MAX_RANK);
  for (uint8_t k = 0; k < rank; k++)
    if (dim[k] < 0 || MUL_OVERFLOWS(n, (uint64_t)dim[k], &n))
      return FAIL(FORGE_E_INVALID, "tensor %s: its shape is negative or too large", name);
  const uint64_t row = rank ? (uint64_t)dim[rank - 1] : 1;
  if (row % elems || MUL_OVERFLOWS(n / elems, block, out_bytes) || *out_bytes > INT64_MAX / 2)
    return FAIL(FORGE_E_INVALID, "tensor %s: its shape is no whole number of blocks or too large",
                name);
  return FORGE_OK;
}

void format_put_header(uint8_t out[FORMAT_HEADER], uint64_t step) {
  memset(out, 0, FORMAT_HEADER);
  memcpy(out, header_magic, 8);
  put_u32(out + 8, FORMAT_VERSION);
  put_u32(out + 12, FORMAT_CHUNK);
  put_u64(out + 16, step);
  hash_xxh128(out, HEADER_HASHED, 0, out + HEADER_HASHED);
}

static void footer_hash(const uint8_t *footer, const uint8_t *header, uint8_t out[16]) {
  uint8_t both[FORMAT_HEADER + FOOTER_HASHED + 16];
  memcpy(both, header, FORMAT_HEADER);
  memcpy(both + FORMAT_HEADER, footer, FOOTER_HASHED);
  memcpy(both + FORMAT_HEADER + FOOTER_HASHED, footer + 48, 16);
  hash_xxh128(both, sizeof both, 0, out);
}

void format_put_footer(uint8_t out[FORMAT_FOOTER], const uint8_t header[FORMAT_HEADER],
                       uint64_t offset, const char *manifest, uint64_t bytes) {
  put_u64(out, offset);
  put_u64(out + 8, bytes);
  hash_xxh128(manifest, bytes, 0, out + 16);
  memcpy(out + 48, footer_magic, 8);
  put_u64(out + 56, offset + bytes + FORMAT_FOOTER);
  footer_hash(out, header, out + 32);
}

forge_status format_get_header(const uint8_t bytes[FORMAT_HEADER], const char *path,
                               uint64_t *out_step) {
  uint8_t hash[16];
  if (memcmp(bytes, header_magic, 8) != 0)
    return FAIL(FORGE_E_CORRUPT, "%s: the header does not begin like a checkpoint's", path);
  hash_xxh128(bytes, HEADER_HASHED, 0, hash);
  if (memcmp(hash, bytes + HEADER_HASHED, 16) != 0)
    return FAIL(FORGE_E_CORRUPT, "%s: the header fails its checksum", path);
  const uint32_t version = get_u32(bytes + 8), chunk = get_u32(bytes + 12);
  if (version != FORMAT_VERSION || chunk != FORMAT_CHUNK)
    return FAIL(FORGE_E_UNSUPPORTED,
                "%s: format version %u (chunks of %u bytes); this Forge reads version %d", path,
                version, chunk, FORMAT_VERSION);
  *out_step = get_u64(bytes + 16);
  return FORGE_OK;
}

forge_status format_get_footer(const uint8_t bytes[FORMAT_FOOTER],
                               const uint8_t header[FORMAT_HEADER], uint64_t file_bytes,
                               const char *path, format_footer *out) {
  uint8_t hash[16];
  if (memcmp(bytes + 48, footer_magic, 8) != 0)
    return FAIL(FORGE_E_CORRUPT, "%s: the footer is missing; the file is cut or overwritten", path);
  footer_hash(bytes, header, hash);
  if (memcmp(hash, bytes + 32, 16) != 0)
    return FAIL(FORGE_E_CORRUPT, "%s: the footer fails its checksum", path);
  *out = (format_footer){
      .offset = get_u64(bytes), .bytes = get_u64(bytes + 8), .file_bytes = get_u64(bytes + 56)};
  memcpy(out->manifest.bytes, bytes + 16, 16);
  uint64_t end;
  if (out->offset < FORMAT_HEADER || out->bytes > FORMAT_MANIFEST_MAX ||
      ADD_OVERFLOWS(out->offset, out->bytes + FORMAT_FOOTER, &end) || end != file_bytes ||
      out->file_bytes != file_bytes)
    return FAIL(FORGE_E_CORRUPT, "%s: has %llu bytes but was written with %llu", path,
                (unsigned long long)file_bytes, (unsigned long long)out->file_bytes);
  return FORGE_OK;
}
