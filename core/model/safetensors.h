/* safetensors.h -- a .safetensors file taken apart and checked. Tensors point into the map. */
#ifndef FORGE_SAFETENSORS_H
#define FORGE_SAFETENSORS_H

#include <jansson.h>

#include "file.h"

enum { SAFETENSORS_MAX_RANK = 8 };

typedef struct safetensors_tensor {
  const char *name; /* owned by |header| */
  const char *type; /* "F32", as the file says */
  uint8_t dtype;    /* FORGE_*, FORGE_DTYPE_NONE for types Forge does not have */
  uint8_t rank, rsv[6];
  int64_t dim[SAFETENSORS_MAX_RANK];
  uint64_t offset, bytes; /* from the start of the file */
  const uint8_t *data;
} safetensors_tensor;

typedef struct safetensors {
  char *path;
  file_map map; /* empty when parsed from memory */
  json_t *header;
  const json_t *metadata;      /* object of strings, NULL if none; borrowed from |header| */
  safetensors_tensor *tensors; /* by offset */
  uint32_t n_tensors;
} safetensors;

/* Maps and checks |path|. Fails: E_IO, E_NOT_FOUND, E_CORRUPT naming tensor and place. */
forge_status safetensors_open(const char *path, safetensors *out);
/* The same over |bytes| at |data|, which outlive |out|; |path| is only for messages. */
forge_status safetensors_parse(const char *path, const uint8_t *data, uint64_t bytes,
                               safetensors *out);
/* Fine on a zeroed one. */
void safetensors_close(safetensors *s);
/* True when the bytes begin like a safetensors file. */
bool safetensors_is(const uint8_t *data, uint64_t bytes);

/* "F32", or NULL when the format cannot hold |dtype|. */
const char *safetensors_type_name(uint8_t dtype);

#endif
