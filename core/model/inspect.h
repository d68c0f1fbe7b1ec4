/* inspect.h -- files as JSON. Private to this room. */
#ifndef FORGE_INSPECT_H
#define FORGE_INSPECT_H

#include <jansson.h>

#include "gguf.h"
#include "safetensors.h"

/* Text that need not be UTF-8, cut when it is long. */
json_t *inspect_text(const char *s, uint64_t n);
void inspect_set(json_t *object, const char *key, json_t *value);
void inspect_set_u64(json_t *object, const char *key, uint64_t value);

/* {"name", "type", "shape", "offset", "bytes"}. */
json_t *inspect_tensor(const char *name, uint64_t name_bytes, const char *type, uint32_t rank,
                       const int64_t *dim, uint64_t offset, uint64_t bytes);
/* Adds "version", "alignment", "metadata", "tensors". */
void inspect_gguf(const gguf *g, json_t *object);
/* Adds "metadata" and appends to the array |tensors|; |file| NULL: there is only one. */
void inspect_safetensors(const safetensors *s, const char *file, json_t *object, json_t *tensors);

#endif
