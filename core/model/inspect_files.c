/* inspect_files.c -- GGUF and safetensors as JSON. */
#include <string.h>

#include "inspect.h"

enum { TEXT_SHOWN = 200, ITEMS_SHOWN = 4 };

json_t *inspect_text(const char *s, uint64_t n) {
  char shown[TEXT_SHOWN + 4];
  size_t k = n < TEXT_SHOWN ? (size_t)n : TEXT_SHOWN;
  if (k) memcpy(shown, s, k);
  while (n > k && k && ((unsigned char)shown[k - 1] & 0xC0) == 0x80) k--; /* cut between letters */
  if (n > k && k && (unsigned char)shown[k - 1] >= 0xC0) k--;
  if (n > k) {
    for (int dots = 0; dots < 3; dots++) shown[k++] = '.';
  }
  json_t *out = json_stringn(shown, k);
  if (out) return out;
  for (size_t i = 0; i < k; i++)
    if ((unsigned char)shown[i] >= 0x80) shown[i] = '?';
  return json_stringn(shown, k);
}

void inspect_set(json_t *object, const char *key, json_t *value) {
  json_object_set_new(object, key, value ? value : json_null());
}

void inspect_set_u64(json_t *object, const char *key, uint64_t value) {
  inspect_set(object, key, json_integer((json_int_t)value));
}

json_t *inspect_tensor(const char *name, uint64_t name_bytes, const char *type, uint32_t rank,
                       const int64_t *dim, uint64_t offset, uint64_t bytes) {
  json_t *t = json_object(), *shape = json_array();
  for (uint32_t k = 0; k < rank; k++) json_array_append_new(shape, json_integer(dim[k]));
  inspect_set(t, "name", inspect_text(name, name_bytes));
  inspect_set(t, "type", json_string(type));
  inspect_set(t, "shape", shape);
  inspect_set_u64(t, "offset", offset);
  inspect_set_u64(t, "bytes", bytes);
  return t;
}

static json_t *real(double x) {
  json_t *number = json_real(x); /* NULL for what JSON has no numbers for */
  return number ? number : json_string("not finite");
}

static json_t *next_item(gguf_items *items) {
  gguf_string s;
  int64_t i;
  double f;
  if (gguf_next_string(items, &s)) return inspect_text(s.s, s.n);
  if (gguf_next_int(items, &i)) return json_integer(i);
  if (gguf_next_float(items, &f)) return real(f);
  return NULL;
}

/* Long arrays by their length and first items. */
static json_t *array(const gguf_value *v) {
  const char *type = gguf_value_type_name(v->item_type);
  gguf_items items = {v->data, v->count, v->item_type};
  json_t *out = json_object(), *first = json_array(), *item;
  for (int i = 0; i < ITEMS_SHOWN && (item = next_item(&items)); i++)
    json_array_append_new(first, item);
  inspect_set(out, "array_of", json_string(type ? type : "?"));
  inspect_set_u64(out, "count", v->count);
  inspect_set(out, "first", first);
  return out;
}

static json_t *value(const gguf_value *v) {
  gguf_items one = {v->data, 1, v->type};
  if (v->type == GGUF_ARRAY) return array(v);
  if (v->type == GGUF_STRING) return inspect_text((const char *)v->data, v->bytes);
  if (v->type == GGUF_BOOL) return json_boolean(v->data[0] != 0);
  return next_item(&one);
}

static json_t *gguf_tensor_json(const gguf_tensor *t) {
  char number[24];
  const char *type = gguf_tensor_type_name(t->type);
  if (!type) {
    snprintf(number, sizeof number, "type %u", t->type);
    type = number;
  }
  return inspect_tensor(t->name.s, t->name.n, type, t->rank, t->dim, t->offset, t->bytes);
}

void inspect_gguf(const gguf *g, json_t *object) {
  json_t *metadata = json_object(), *tensors = json_array();
  for (uint32_t i = 0; i < g->n_keys; i++) {
    json_t *key = inspect_text(g->keys[i].name.s, g->keys[i].name.n);
    if (key) inspect_set(metadata, json_string_value(key), value(&g->keys[i].value));
    json_decref(key);
  }
  for (uint32_t i = 0; i < g->n_tensors; i++)
    json_array_append_new(tensors, gguf_tensor_json(&g->tensors[i]));
  inspect_set_u64(object, "version", g->version);
  inspect_set_u64(object, "alignment", g->alignment);
  inspect_set(object, "metadata", metadata);
  inspect_set(object, "tensors", tensors);
}

void inspect_safetensors(const safetensors *s, const char *file, json_t *object, json_t *tensors) {
  if (s->metadata) inspect_set(object, "metadata", json_deep_copy(s->metadata));
  for (uint32_t i = 0; i < s->n_tensors; i++) {
    const safetensors_tensor *t = &s->tensors[i];
    json_t *json =
        inspect_tensor(t->name, strlen(t->name), t->type, t->rank, t->dim, t->offset, t->bytes);
    if (file) inspect_set(json, "file", json_string(file));
    json_array_append_new(tensors, json);
  }
}
