/* manifest.c -- the manifest of a checkpoint as JSON, written and read back with every value
 * checked. */
#include <jansson.h>
#include <string.h>

#include "format.h"
#include "hash.h"

static const char *type_name(uint8_t dtype) {
  switch (dtype) {
#define NAME(name, number, block_elems, block_bytes, text)                                         \
  case number: return #name;
    FORGE_DTYPE_MAP(NAME)
#undef NAME
  default: return "?";
  }
}

static uint8_t type_number(const char *name) {
#define NUMBER(entry, number, block_elems, block_bytes, text)                                      \
  if (!strcmp(name, #entry)) return number;
  FORGE_DTYPE_MAP(NUMBER)
#undef NUMBER
  return FORGE_DTYPE_NONE;
}

static json_t *whole_or_none(json_t *value, int bad) {
  if (!bad) return value;
  json_decref(value);
  return NULL;
}

static json_t *shape_json(const format_item *item) {
  json_t *shape = json_array();
  int bad = 0;
  for (uint8_t k = 0; k < item->rank; k++)
    bad |= json_array_append_new(shape, json_integer(item->dim[k]));
  return whole_or_none(shape, bad);
}

static json_t *chunks_json(const format_item *item) {
  json_t *chunks = json_array();
  int bad = 0;
  for (size_t i = 0; i < item->n_chunk; i++) {
    char hex[33];
    hash_hex(item->chunk[i].bytes, 16, hex);
    bad |= json_array_append_new(chunks, json_string(hex));
  }
  return whole_or_none(chunks, bad);
}

static json_t *item_json(const format_item *item, bool hashes) {
  json_t *o = json_pack("{ss, sI, sI}", "name", item->name, "offset", (json_int_t)item->offset,
                        "bytes", (json_int_t)item->bytes);
  int bad = !o;
  if (!item->blob) {
    bad |= json_object_set_new(o, "type", json_string(type_name(item->dtype)));
    bad |= json_object_set_new(o, "shape", shape_json(item));
  }
  if (hashes) bad |= json_object_set_new(o, "xxh3_128", chunks_json(item));
  return whole_or_none(o, bad);
}

char *format_manifest_text(const format_manifest *m, bool hashes) {
  json_t *items = json_array();
  for (size_t i = 0; i < m->n_item; i++)
    if (json_array_append_new(items, item_json(&m->item[i], hashes))) goto fail;
  json_t *root = json_pack("{ss, si, sI, so}", "kind", "forge checkpoint", "version",
                           FORMAT_VERSION, "step", (json_int_t)m->step, "items", items);
  char *dumped = root ? json_dumps(root, JSON_COMPACT) : NULL;
  json_decref(root);
  char *out = dumped ? mem_strdup(dumped) : NULL;
  free(dumped);
  return out;
fail:
  json_decref(items);
  return NULL;
}

/* ---- reading ---- */

static bool get_size(const json_t *o, const char *key, uint64_t *out) {
  const json_t *value = json_object_get(o, key);
  if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
  *out = (uint64_t)json_integer_value(value);
  return true;
}

static bool get_hash(const json_t *value, format_hash *out) {
  const char *hex = json_string_value(value);
  if (!hex || strlen(hex) != 32) return false;
  for (int i = 0; i < 32; i++) {
    const char *digits = "0123456789abcdef", *at = strchr(digits, hex[i]);
    if (!at) return false;
    const uint8_t nibble = (uint8_t)(at - digits);
    out->bytes[i / 2] = (uint8_t)(i % 2 ? out->bytes[i / 2] | nibble : nibble << 4);
  }
  return true;
}

static bool get_chunks(const json_t *o, format_item *item) {
  const json_t *chunks = json_object_get(o, "xxh3_128");
  const uint64_t extent = format_extent(item->bytes);
  item->n_chunk = (size_t)((extent + FORMAT_CHUNK - 1) / FORMAT_CHUNK);
  if (!json_is_array(chunks) || json_array_size(chunks) != item->n_chunk) return false;
  item->chunk = mem_zalloc_array(item->n_chunk ? item->n_chunk : 1, sizeof *item->chunk);
  bool good = item->chunk != NULL;
  for (size_t i = 0; good && i < item->n_chunk; i++)
    good = get_hash(json_array_get(chunks, i), &item->chunk[i]);
  return good;
}

static bool get_shape(const json_t *o, format_item *item) {
  const char *type = json_string_value(json_object_get(o, "type"));
  const json_t *shape = json_object_get(o, "shape");
  item->blob = !type;
  if (item->blob) return !shape;
  item->dtype = type_number(type);
  if (!json_is_array(shape) || json_array_size(shape) > FORGE_MAX_RANK) return false;
  item->rank = (uint8_t)json_array_size(shape);
  for (uint8_t k = 0; k < item->rank; k++) {
    const json_t *dim = json_array_get(shape, k);
    if (!json_is_integer(dim)) return false;
    item->dim[k] = json_integer_value(dim);
  }
  uint64_t bytes;
  return !format_tensor_bytes(item->name, item->dtype, item->rank, item->dim, &bytes) &&
         bytes == item->bytes;
}

static bool get_item(const json_t *o, const char *name, uint64_t at, uint64_t end,
                     format_item *item) {
  item->name = mem_strdup(name);
  if (!item->name || strlen(name) > FORMAT_NAME_MAX) return false;
  if (!get_size(o, "offset", &item->offset) || !get_size(o, "bytes", &item->bytes)) return false;
  if (item->offset != at || item->bytes > end - at || format_extent(item->bytes) > end - at)
    return false;
  return get_shape(o, item) && get_chunks(o, item);
}

static forge_status get_items(const json_t *items, uint64_t end, const char *path,
                              format_manifest *m) {
  const size_t n = json_array_size(items);
  if (!json_is_array(items) || n > FORMAT_ITEMS_MAX)
    return FAIL(FORGE_E_CORRUPT, "%s: the manifest lists no items", path);
  uint64_t at = FORMAT_HEADER;
  for (size_t i = 0; i < n; i++) {
    const json_t *o = json_array_get(items, i);
    const char *name = json_string_value(json_object_get(o, "name"));
    if (!ARRAY_GROW(m->item, m->n_item, m->cap_item))
      return FAIL(FORGE_E_OOM, "%s: no memory for the manifest", path);
    format_item *item = &m->item[m->n_item++];
    *item = (format_item){0};
    if (!name || !get_item(o, name, at, end, item))
      return FAIL(FORGE_E_CORRUPT, "%s: the manifest's entry %zu (%s) is impossible", path, i,
                  name ? name : "unnamed");
    at += format_extent(item->bytes);
  }
  if (at != end)
    return FAIL(FORGE_E_CORRUPT, "%s: bytes %llu to %llu belong to no item", path,
                (unsigned long long)at, (unsigned long long)end);
  return FORGE_OK;
}

forge_status format_get_manifest(const char *s, uint64_t bytes, uint64_t end, const char *path,
                                 format_manifest *out) {
  json_error_t error;
  *out = (format_manifest){0};
  json_t *root = json_loadb(s, bytes, JSON_REJECT_DUPLICATES, &error);
  if (!root) return FAIL(FORGE_E_CORRUPT, "%s: the manifest is no JSON: %s", path, error.text);
  forge_status st = FORGE_OK;
  if (!get_size(root, "step", &out->step))
    st = FAIL(FORGE_E_CORRUPT, "%s: the manifest names no step", path);
  else
    st = get_items(json_object_get(root, "items"), end, path, out);
  json_decref(root);
  if (st) format_manifest_finish(out);
  return st;
}
