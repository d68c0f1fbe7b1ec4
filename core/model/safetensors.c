/* safetensors.c -- layout (github.com/huggingface/safetensors): u64 length, that many bytes of JSON
 * {"name": {dtype, shape, data_offsets}, "__metadata__": {..}}, then the data the offsets count
 * from. The data is covered without holes and without overlaps. */
#include "safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HEADER = 100 << 20, MAX_TENSORS = 1 << 20 };

static const struct {
  const char *name;
  uint8_t dtype, bytes;
} types[] = {{"F32", FORGE_F32, 4}, {"F16", FORGE_F16, 2}, {"BF16", FORGE_BF16, 2},
             {"I32", FORGE_I32, 4}, {"I8", FORGE_I8, 1},   {"F64", 0, 8},
             {"I64", 0, 8},         {"U64", 0, 8},         {"U32", 0, 4},
             {"I16", 0, 2},         {"U16", 0, 2},         {"U8", 0, 1},
             {"BOOL", 0, 1},        {"F8_E4M3", 0, 1},     {"F8_E5M2", 0, 1}};

const char *safetensors_type_name(uint8_t dtype) {
  for (size_t i = 0; i < COUNT_OF(types); i++)
    if (dtype && types[i].dtype == dtype) return types[i].name;
  return NULL;
}

static forge_status bad(const safetensors *s, const char *name, const char *why) {
  return FAIL(FORGE_E_CORRUPT, "%s: tensor %.128s: %s; the file is damaged, get it again", s->path,
              name, why);
}

static bool type_of(safetensors_tensor *t, uint8_t *elem_bytes) {
  for (size_t i = 0; i < COUNT_OF(types); i++)
    if (!strcmp(types[i].name, t->type)) {
      t->dtype = types[i].dtype;
      *elem_bytes = types[i].bytes;
      return true;
    }
  return false;
}

static forge_status read_shape(const safetensors *s, const json_t *shape, safetensors_tensor *t,
                               uint64_t *elems) {
  const size_t rank = json_array_size(shape);
  if (!json_is_array(shape) || rank > SAFETENSORS_MAX_RANK)
    return bad(s, t->name, "its shape is no list of at most 8 numbers");
  t->rank = (uint8_t)rank;
  *elems = 1;
  for (size_t k = 0; k < rank; k++) {
    const json_t *dim = json_array_get(shape, k);
    t->dim[k] = json_integer_value(dim);
    if (!json_is_integer(dim) || t->dim[k] < 0 || MUL_OVERFLOWS(*elems, (uint64_t)t->dim[k], elems))
      return bad(s, t->name, "its shape is impossible");
  }
  return FORGE_OK;
}

static forge_status read_offsets(const safetensors *s, const json_t *offsets, uint64_t data_bytes,
                                 safetensors_tensor *t) {
  const json_t *first = json_array_get(offsets, 0), *second = json_array_get(offsets, 1);
  if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(second))
    return bad(s, t->name, "data_offsets is not a pair of numbers");
  const int64_t begin = json_integer_value(first), end = json_integer_value(second);
  if (begin < 0 || end < begin) return bad(s, t->name, "data_offsets are impossible");
  if ((uint64_t)end > data_bytes)
    return FAIL(FORGE_E_CORRUPT,
                "%s: tensor %.128s ends at byte %" PRId64 " of the data, which has %" PRIu64
                ": the file is truncated or damaged; get it again",
                s->path, t->name, end, data_bytes);
  t->offset = (uint64_t)begin;
  t->bytes = (uint64_t)(end - begin);
  return FORGE_OK;
}

static forge_status read_tensor(const safetensors *s, const json_t *entry, uint64_t data_bytes,
                                safetensors_tensor *t) {
  uint8_t elem_bytes;
  uint64_t elems = 1, bytes;
  t->type = json_string_value(json_object_get(entry, "dtype"));
  if (!t->type) return bad(s, t->name, "it has no dtype");
  if (!type_of(t, &elem_bytes))
    return FAIL(FORGE_E_UNSUPPORTED, "%s: tensor %.128s has the unknown type \"%.32s\"", s->path,
                t->name, t->type);
  TRY(read_shape(s, json_object_get(entry, "shape"), t, &elems));
  TRY(read_offsets(s, json_object_get(entry, "data_offsets"), data_bytes, t));
  if (MUL_OVERFLOWS(elems, (uint64_t)elem_bytes, &bytes) || bytes != t->bytes)
    return bad(s, t->name, "its shape and its data_offsets disagree");
  return FORGE_OK;
}

static int by_offset(const void *a, const void *b) {
  const safetensors_tensor *x = a, *y = b;
  if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
  return strcmp(x->name, y->name);
}

static forge_status check_cover(safetensors *s, uint64_t data_bytes) {
  uint64_t at = 0;
  qsort(s->tensors, s->n_tensors, sizeof *s->tensors, by_offset);
  for (uint32_t i = 0; i < s->n_tensors; i++) {
    const safetensors_tensor *t = &s->tensors[i];
    if (t->offset != at)
      return bad(s, t->name,
                 t->offset < at ? "it overlaps another tensor" : "there is a hole before it");
    at += t->bytes;
  }
  if (at != data_bytes)
    return FAIL(FORGE_E_CORRUPT,
                "%s: its tensors have %" PRIu64 " bytes and the file holds %" PRIu64
                ": it is damaged; get it again",
                s->path, at, data_bytes);
  return FORGE_OK;
}

static forge_status read_tensors(safetensors *s, uint64_t data_bytes) {
  const char *name;
  json_t *entry;
  const size_t n = json_object_size(s->header);
  if (n > MAX_TENSORS) return FAIL(FORGE_E_CORRUPT, "%s: %zu tensors", s->path, n);
  s->tensors = mem_zalloc_array(n ? n : 1, sizeof *s->tensors);
  if (!s->tensors) return FAIL(FORGE_E_OOM, "%s: no memory for its index", s->path);
  json_object_foreach(s->header, name, entry) {
    if (!strcmp(name, "__metadata__")) {
      s->metadata = json_is_object(entry) ? entry : NULL;
      continue;
    }
    safetensors_tensor *t = &s->tensors[s->n_tensors++];
    t->name = name;
    TRY(read_tensor(s, entry, data_bytes, t));
  }
  return check_cover(s, data_bytes);
}

static forge_status parse(safetensors *s, const uint8_t *data, uint64_t bytes) {
  uint64_t header;
  json_error_t error;
  if (bytes < sizeof header)
    return FAIL(FORGE_E_CORRUPT, "%s: %" PRIu64 " bytes are too few for a safetensors file",
                s->path, bytes);
  memcpy(&header, data, sizeof header);
  if (header > MAX_HEADER || header > bytes - sizeof header)
    return FAIL(FORGE_E_CORRUPT,
                "%s: the header claims %" PRIu64 " bytes and the file has %" PRIu64
                ": it is truncated or damaged; get it again",
                s->path, header, bytes);
  s->header =
      json_loadb((const char *)data + sizeof header, header, JSON_REJECT_DUPLICATES, &error);
  if (!json_is_object(s->header))
    return FAIL(FORGE_E_CORRUPT,
                "%s: the header is no JSON object: byte %d: %s; get the file again", s->path,
                s->header ? 0 : error.position + (int)sizeof header,
                s->header ? "something else" : error.text);
  const uint64_t start = sizeof header + header;
  TRY(read_tensors(s, bytes - start));
  for (uint32_t i = 0; i < s->n_tensors; i++) {
    s->tensors[i].offset += start;
    s->tensors[i].data = data + s->tensors[i].offset;
  }
  return FORGE_OK;
}

forge_status safetensors_parse(const char *path, const uint8_t *data, uint64_t bytes,
                               safetensors *out) {
  *out = (safetensors){.path = mem_strdup(path)};
  if (!out->path) return FAIL(FORGE_E_OOM, "%s: no memory to open it", path);
  const forge_status st = parse(out, data, bytes);
  if (st) safetensors_close(out);
  return st;
}

forge_status safetensors_open(const char *path, safetensors *out) {
  file_map map;
  *out = (safetensors){0};
  TRY(file_map_open(path, &map));
  const forge_status st = safetensors_parse(path, map.data, map.bytes, out);
  if (st)
    file_map_close(&map);
  else
    out->map = map;
  return st;
}

void safetensors_close(safetensors *s) {
  mem_free(s->path);
  mem_free(s->tensors);
  json_decref(s->header);
  file_map_close(&s->map);
  *s = (safetensors){0};
}

bool safetensors_is(const uint8_t *data, uint64_t bytes) {
  uint64_t header;
  if (bytes < sizeof header + 2) return false;
  memcpy(&header, data, sizeof header);
  return header <= MAX_HEADER && data[sizeof header] == '{';
}
