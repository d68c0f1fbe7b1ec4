/* gguf.h -- a GGUF file (v2, v3) taken apart: keys, values and tensor places, checked, nothing
 * copied.
 *
 * Everything points into the mapped file, so names and strings are not zero-terminated and nothing
 * outlives gguf_close(). Every length, count, type, offset and overlap was checked by gguf_open():
 * what the calls below hand out may be read without further tests. A parsed file is read-only and
 * may be used by several threads. */
#ifndef FORGE_GGUF_H
#define FORGE_GGUF_H

#include "file.h"

/* Value types as the file numbers them. */
enum {
  GGUF_U8 = 0,
  GGUF_I8 = 1,
  GGUF_U16 = 2,
  GGUF_I16 = 3,
  GGUF_U32 = 4,
  GGUF_I32 = 5,
  GGUF_F32 = 6,
  GGUF_BOOL = 7,
  GGUF_STRING = 8,
  GGUF_ARRAY = 9,
  GGUF_U64 = 10,
  GGUF_I64 = 11,
  GGUF_F64 = 12
};

typedef struct gguf_string {
  const char *s;
  uint64_t n; /* bytes */
} gguf_string;

/* A scalar or string: item_type == type, count 1. An array: type GGUF_ARRAY, |count| items of
 * |item_type|, the first at |data|. */
typedef struct gguf_value {
  uint32_t type, item_type;
  uint64_t count;
  const uint8_t *data;
  uint64_t bytes;
} gguf_value;

typedef struct gguf_key {
  gguf_string name;
  gguf_value value;
} gguf_key;

typedef struct gguf_tensor {
  gguf_string name;
  uint32_t type; /* the file's number */
  uint8_t dtype; /* FORGE_*, FORGE_DTYPE_NONE for types Forge does not have */
  uint8_t rank, rsv[2];
  int64_t dim[4];  /* row-major, outermost first (the file has them the other way round) */
  uint64_t offset; /* from the start of the file */
  uint64_t bytes;  /* 0 when the type's size is not known */
  const uint8_t *data;
} gguf_tensor;

typedef struct gguf {
  char *path;
  file_map map; /* empty when parsed from memory */
  const uint8_t *data;
  uint64_t bytes;
  uint32_t version, n_keys, n_tensors;
  uint64_t alignment, data_start;
  gguf_key *keys;
  gguf_tensor *tensors;
} gguf;

/* Maps and checks |path|. Fails: E_IO, E_NOT_FOUND, E_CORRUPT (what, at which byte),
 * E_UNSUPPORTED (version, byte order). */
forge_status gguf_open(const char *path, gguf *out);
/* The same over |bytes| at |data|, which outlive |out|; |path| is only for messages. */
forge_status gguf_parse(const char *path, const uint8_t *data, uint64_t bytes, gguf *out);
/* Fine on a zeroed one. */
void gguf_close(gguf *g);
/* True when the bytes begin like a GGUF file. */
bool gguf_is(const uint8_t *data, uint64_t bytes);

/* NULL when there is none of that name. */
const gguf_value *gguf_find(const gguf *g, const char *key);
const gguf_tensor *gguf_find_tensor(const gguf *g, const char *name);

/* Typed getters. The key is absent: |*out| is |otherwise| (strings: {NULL, 0}; arrays: no items)
 * and FORGE_OK. It has another type or does not fit: E_CORRUPT naming file, key and type. Any
 * integer type is taken for integers, F32 and F64 for floats. */
forge_status gguf_get_int(const gguf *g, const char *key, int64_t otherwise, int64_t *out);
forge_status gguf_get_float(const gguf *g, const char *key, double otherwise, double *out);
forge_status gguf_get_bool(const gguf *g, const char *key, bool otherwise, bool *out);
forge_status gguf_get_string(const gguf *g, const char *key, gguf_string *out);

/* A walk over an array: gguf_get_items(), then one of the _next calls until it is false. |left| is
 * the number of items still to come. */
typedef struct gguf_items {
  const uint8_t *at;
  uint64_t left;
  uint32_t type;
} gguf_items;
/* |type|: the item type wanted; GGUF_I64 stands for any integer, GGUF_F64 for any float. */
forge_status gguf_get_items(const gguf *g, const char *key, uint32_t type, gguf_items *out);
bool gguf_next_string(gguf_items *items, gguf_string *out);
bool gguf_next_int(gguf_items *items, int64_t *out);
bool gguf_next_float(gguf_items *items, double *out);

bool gguf_string_is(gguf_string s, const char *word);

/* "u32", "q5_k"; a number as text ("type 99") is the caller's business: NULL for an unknown one. */
const char *gguf_value_type_name(uint32_t type);
const char *gguf_tensor_type_name(uint32_t type);
/* The file's number for a Forge element type, -1 for none. */
int32_t gguf_type_of_dtype(uint8_t dtype);

#endif
