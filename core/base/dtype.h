/* dtype.h -- sizes and names of element types, from the registry's table. */
#ifndef FORGE_DTYPE_H
#define FORGE_DTYPE_H

#include <stdbool.h>
#include <stdint.h>

/* Elements and bytes of one block: 1 and the element's size for plain types, 0 for no type. */
uint32_t dtype_block_elems(uint8_t dtype);
uint32_t dtype_block_bytes(uint8_t dtype);
/* Bytes of |elems| elements; false when that is no whole number of blocks or does not fit. */
bool dtype_bytes(uint8_t dtype, uint64_t elems, uint64_t *out_bytes);
const char *dtype_name(uint8_t dtype); /* "q8_0"; "?" for no type */
/* Upper or lower case. */
bool dtype_from_name(const char *name, uint8_t *out_dtype);

#endif
