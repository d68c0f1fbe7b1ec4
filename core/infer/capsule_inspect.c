/* capsule_inspect.c -- a capsule file as JSON: who it is for and whether it is whole. Never what is
 * in it: keys and values are the prompt in another form. */
#include <jansson.h>

#include "capsule.h"
#include "file.h"
#include "hash.h"
#include "weights.h"

static void put_hex(json_t *o, const char *key, const uint8_t *bytes, size_t n) {
  char hex[65];
  hash_hex(bytes, n, hex);
  json_object_set_new(o, key, json_string(hex));
}

static void put_u64(json_t *o, const char *key, uint64_t value) {
  json_object_set_new(o, key, json_integer((json_int_t)value));
}

static void put_real(json_t *o, const char *key, double value) {
  json_object_set_new(o, key, json_real(value));
}

static json_t *identity(const forge_capsule_info *i) {
  json_t *o = json_object();
  put_hex(o, "request", i->request_id, sizeof i->request_id);
  put_u64(o, "epoch", i->epoch);
  put_hex(o, "model", i->model_hash, sizeof i->model_hash);
  put_hex(o, "tokenizer", i->tokenizer_hash, sizeof i->tokenizer_hash);
  put_hex(o, "adapter", i->adapter_hash, sizeof i->adapter_hash);
  put_hex(o, "prefix", i->prefix_hash, sizeof i->prefix_hash);
  return o;
}

static json_t *shape(const forge_capsule_info *i) {
  json_t *o = json_object();
  put_u64(o, "tokens", i->n_tokens);
  put_u64(o, "layers", i->n_layers);
  put_u64(o, "kv_heads", i->kv_heads);
  put_u64(o, "head_dim", i->head_dim);
  json_object_set_new(o, "kv_dtype", json_string(dtype_name((uint8_t)i->kv_dtype)));
  put_u64(o, "chunks", i->n_chunks);
  put_u64(o, "rope_style", i->rope_style);
  put_real(o, "rope_base", i->rope_base);
  put_real(o, "rope_scale", i->rope_scale);
  return o;
}

static json_t *sampler(const forge_capsule_info *i) {
  json_t *o = json_object();
  put_real(o, "temperature", i->temperature);
  put_real(o, "top_p", i->top_p);
  put_real(o, "min_p", i->min_p);
  put_u64(o, "top_k", i->top_k);
  put_u64(o, "counter", i->counter);
  return o;
}

static forge_status dump(json_t *o, char **out_json) {
  char *dumped = json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
  char *copy = dumped ? mem_strdup(dumped) : NULL;
  free(dumped);
  json_decref(o);
  if (!copy) return FAIL(FORGE_E_OOM, "JSON of a capsule");
  *out_json = copy;
  return FORGE_OK;
}

forge_status forge_capsule_inspect(const char *path, char **out_json) {
  forge_capsule *c = NULL;
  forge_capsule_info info = {.size = sizeof info};
  forge_status st = forge_capsule_load(path, &c);
  if (!st) st = forge_capsule_describe(c, &info);
  forge_capsule_destroy(c);
  if (st && st != FORGE_E_CORRUPT && st != FORGE_E_UNSUPPORTED) return st;
  json_t *o = json_object();
  json_object_set_new(o, "kind", json_string("capsule"));
  json_t *verdict = json_string(st ? forge_error_last()->msg : "intact");
  json_object_set_new(o, "verdict", verdict ? verdict : json_string("damaged"));
  if (st) return dump(o, out_json);
  put_u64(o, "version", info.version);
  put_u64(o, "bytes", info.bytes);
  json_object_set_new(o, "identity", identity(&info));
  json_object_set_new(o, "shape", shape(&info));
  json_object_set_new(o, "sampler", sampler(&info));
  return dump(o, out_json);
}
