/* gguf_type.h -- sizes of the value and element types of a GGUF file. Private to gguf*.c. */
#ifndef FORGE_GGUF_TYPE_H
#define FORGE_GGUF_TYPE_H

#include <stdint.h>

typedef struct gguf_type {
  uint32_t type; /* the file's number */
  uint8_t dtype; /* FORGE_*, FORGE_DTYPE_NONE for types Forge does not have */
  uint8_t rsv[3];
  uint32_t block_elems, block_bytes;
  const char *name;
} gguf_type;

/* NULL for a number nobody told us about. */
const gguf_type *gguf_type_of(uint32_t type);
/* 0 for strings, arrays and unknown types. */
uint64_t gguf_value_bytes(uint32_t type);

#endif
