/* dtype.c -- see dtype.h. */
#include "dtype.h"

#include <stddef.h>
#include <strings.h>

#include "base.h"

static const struct {
  uint8_t dtype;
  const char *name;
  uint32_t block_elems, block_bytes;
} types[] = {
#define ROW(name, number, elems, bytes, text) {number, #name, elems, bytes},
    FORGE_DTYPE_MAP(ROW)
#undef ROW
};
static const char *const lower[] = {"f32",  "f16",  "bf16", "i32", "i8",
                                    "q8_0", "q4_0", "q4_k", "q6_k"};
_Static_assert(COUNT_OF(lower) == COUNT_OF(types), "one lower-case name per type");

static size_t index_of(uint8_t dtype) {
  size_t i = 0;
  while (i < COUNT_OF(types) && types[i].dtype != dtype) i++;
  return i;
}

uint32_t dtype_block_elems(uint8_t dtype) {
  const size_t i = index_of(dtype);
  return i < COUNT_OF(types) ? types[i].block_elems : 0;
}

uint32_t dtype_block_bytes(uint8_t dtype) {
  const size_t i = index_of(dtype);
  return i < COUNT_OF(types) ? types[i].block_bytes : 0;
}

bool dtype_bytes(uint8_t dtype, uint64_t elems, uint64_t *out_bytes) {
  const size_t i = index_of(dtype);
  if (i == COUNT_OF(types) || elems % types[i].block_elems) return false;
  return !MUL_OVERFLOWS(elems / types[i].block_elems, (uint64_t)types[i].block_bytes, out_bytes);
}

const char *dtype_name(uint8_t dtype) {
  const size_t i = index_of(dtype);
  return i < COUNT_OF(types) ? lower[i] : "?";
}

bool dtype_from_name(const char *name, uint8_t *out_dtype) {
  for (size_t i = 0; i < COUNT_OF(types); i++)
    if (!strcasecmp(types[i].name, name)) {
      *out_dtype = types[i].dtype;
      return true;
    }
  return false;
}
