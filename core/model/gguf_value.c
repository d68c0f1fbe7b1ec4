/* gguf_value.c -- typed access to the keys of a parsed GGUF file, and its numbering of types. */
#include <inttypes.h>
#include <string.h>

#include "gguf.h"
#include "gguf_type.h"

static const gguf_type types[] = {
    {0, FORGE_F32, {0}, 1, 4, "f32"},
    {1, FORGE_F16, {0}, 1, 2, "f16"},
    {2, FORGE_Q4_0, {0}, 32, 18, "q4_0"},
    {3, 0, {0}, 32, 20, "q4_1"},
    {6, 0, {0}, 32, 22, "q5_0"},
    {7, 0, {0}, 32, 24, "q5_1"},
    {8, FORGE_Q8_0, {0}, 32, 34, "q8_0"},
    {9, 0, {0}, 32, 36, "q8_1"},
    {10, 0, {0}, 256, 84, "q2_k"},
    {11, 0, {0}, 256, 110, "q3_k"},
    {12, FORGE_Q4_K, {0}, 256, 144, "q4_k"},
    {13, 0, {0}, 256, 176, "q5_k"},
    {14, FORGE_Q6_K, {0}, 256, 210, "q6_k"},
    {15, 0, {0}, 256, 292, "q8_k"},
    {24, FORGE_I8, {0}, 1, 1, "i8"},
    {25, 0, {0}, 1, 2, "i16"},
    {26, FORGE_I32, {0}, 1, 4, "i32"},
    {27, 0, {0}, 1, 8, "i64"},
    {28, 0, {0}, 1, 8, "f64"},
    {30, FORGE_BF16, {0}, 1, 2, "bf16"},
};

const gguf_type *gguf_type_of(uint32_t type) {
  for (size_t i = 0; i < COUNT_OF(types); i++)
    if (types[i].type == type) return &types[i];
  return NULL;
}

const char *gguf_tensor_type_name(uint32_t type) {
  const gguf_type *t = gguf_type_of(type);
  return t ? t->name : NULL;
}

int32_t gguf_type_of_dtype(uint8_t dtype) {
  for (size_t i = 0; i < COUNT_OF(types); i++)
    if (dtype && types[i].dtype == dtype) return (int32_t)types[i].type;
  return -1;
}

static const struct {
  const char *name;
  uint64_t bytes;
} values[] = {
    [GGUF_U8] = {"u8", 1},       [GGUF_I8] = {"i8", 1},     [GGUF_U16] = {"u16", 2},
    [GGUF_I16] = {"i16", 2},     [GGUF_U32] = {"u32", 4},   [GGUF_I32] = {"i32", 4},
    [GGUF_F32] = {"f32", 4},     [GGUF_BOOL] = {"bool", 1}, [GGUF_STRING] = {"string", 0},
    [GGUF_ARRAY] = {"array", 0}, [GGUF_U64] = {"u64", 8},   [GGUF_I64] = {"i64", 8},
    [GGUF_F64] = {"f64", 8},
};

uint64_t gguf_value_bytes(uint32_t type) {
  return type < COUNT_OF(values) ? values[type].bytes : 0;
}

const char *gguf_value_type_name(uint32_t type) {
  return type < COUNT_OF(values) ? values[type].name : NULL;
}

bool gguf_string_is(gguf_string s, const char *word) {
  const size_t n = strlen(word);
  return s.n == n && (!n || !memcmp(s.s, word, n));
}

const gguf_value *gguf_find(const gguf *g, const char *key) {
  for (uint32_t i = 0; i < g->n_keys; i++)
    if (gguf_string_is(g->keys[i].name, key)) return &g->keys[i].value;
  return NULL;
}

const gguf_tensor *gguf_find_tensor(const gguf *g, const char *name) {
  for (uint32_t i = 0; i < g->n_tensors; i++)
    if (gguf_string_is(g->tensors[i].name, name)) return &g->tensors[i];
  return NULL;
}

static bool is_int(uint32_t type) {
  return type <= GGUF_I32 || type == GGUF_U64 || type == GGUF_I64;
}

static bool is_float(uint32_t type) { return type == GGUF_F32 || type == GGUF_F64; }

#define LOAD(type_name)                                                                            \
  do {                                                                                             \
    type_name x;                                                                                   \
    memcpy(&x, p, sizeof x);                                                                       \
    *out = (int64_t)x;                                                                             \
  } while (0)

/* False when a u64 does not fit. */
static bool load_int(uint32_t type, const uint8_t *p, int64_t *out) {
  switch (type) {
  case GGUF_U8: LOAD(uint8_t); return true;
  case GGUF_I8: LOAD(int8_t); return true;
  case GGUF_U16: LOAD(uint16_t); return true;
  case GGUF_I16: LOAD(int16_t); return true;
  case GGUF_U32: LOAD(uint32_t); return true;
  case GGUF_I32: LOAD(int32_t); return true;
  default: LOAD(int64_t); return type != GGUF_U64 || *out >= 0;
  }
}

static double load_float(uint32_t type, const uint8_t *p) {
  if (type == GGUF_F64) {
    double d;
    memcpy(&d, p, sizeof d);
    return d;
  }
  float f;
  memcpy(&f, p, sizeof f);
  return (double)f;
}

static forge_status wrong_type(const gguf *g, const char *key, const gguf_value *v,
                               const char *wanted) {
  const char *name = gguf_value_type_name(v->type);
  return FAIL(FORGE_E_CORRUPT, "%s: key %s has type %s, not %s: the file was written wrongly",
              g->path, key, name ? name : "?", wanted);
}

forge_status gguf_get_int(const gguf *g, const char *key, int64_t otherwise, int64_t *out) {
  const gguf_value *v = gguf_find(g, key);
  *out = otherwise;
  if (!v) return FORGE_OK;
  if (!is_int(v->type) || !load_int(v->type, v->data, out))
    return wrong_type(g, key, v, "an integer below 2^63");
  return FORGE_OK;
}

forge_status gguf_get_float(const gguf *g, const char *key, double otherwise, double *out) {
  const gguf_value *v = gguf_find(g, key);
  *out = otherwise;
  if (!v) return FORGE_OK;
  if (!is_float(v->type)) return wrong_type(g, key, v, "a float");
  *out = load_float(v->type, v->data);
  return FORGE_OK;
}

forge_status gguf_get_bool(const gguf *g, const char *key, bool otherwise, bool *out) {
  const gguf_value *v = gguf_find(g, key);
  *out = otherwise;
  if (!v) return FORGE_OK;
  if (v->type != GGUF_BOOL) return wrong_type(g, key, v, "a bool");
  *out = v->data[0] != 0;
  return FORGE_OK;
}

forge_status gguf_get_string(const gguf *g, const char *key, gguf_string *out) {
  const gguf_value *v = gguf_find(g, key);
  *out = (gguf_string){NULL, 0};
  if (!v) return FORGE_OK;
  if (v->type != GGUF_STRING) return wrong_type(g, key, v, "a string");
  *out = (gguf_string){(const char *)v->data, v->bytes};
  return FORGE_OK;
}

forge_status gguf_get_items(const gguf *g, const char *key, uint32_t type, gguf_items *out) {
  const gguf_value *v = gguf_find(g, key);
  *out = (gguf_items){NULL, 0, type};
  if (!v) return FORGE_OK;
  const bool fits = v->item_type == type || (type == GGUF_I64 && is_int(v->item_type)) ||
                    (type == GGUF_F64 && is_float(v->item_type));
  if (v->type != GGUF_ARRAY || !fits) return wrong_type(g, key, v, "an array of the right type");
  *out = (gguf_items){v->data, v->count, v->item_type};
  return FORGE_OK;
}

bool gguf_next_string(gguf_items *items, gguf_string *out) {
  if (!items->left || items->type != GGUF_STRING) return false;
  memcpy(&out->n, items->at, sizeof out->n);
  out->s = (const char *)items->at + sizeof out->n;
  items->at += sizeof out->n + out->n;
  items->left--;
  return true;
}

bool gguf_next_int(gguf_items *items, int64_t *out) {
  if (!items->left || !is_int(items->type)) return false;
  (void)load_int(items->type, items->at, out);
  items->at += gguf_value_bytes(items->type);
  items->left--;
  return true;
}

bool gguf_next_float(gguf_items *items, double *out) {
  if (!items->left || !is_float(items->type)) return false;
  *out = load_float(items->type, items->at);
  items->at += gguf_value_bytes(items->type);
  items->left--;
  return true;
}
