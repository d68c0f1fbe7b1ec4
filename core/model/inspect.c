/* inspect.c -- forge_inspect: what is in a file that forge_model_open() or forge_tokenizer_open()
 * takes, and what is wrong with it if they do not. */
#include "inspect.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "model_parts.h"

static const char *family_name(uint32_t family) {
  return family == FORGE_FAMILY_GPT2 ? "gpt2" : "llama";
}

static json_t *config_json(const forge_model *m) {
  const forge_model_config *c = &m->config;
  json_t *o = json_object();
  inspect_set(o, "family", json_string(family_name(c->family)));
  inspect_set_u64(o, "n_vocab", c->n_vocab);
  inspect_set_u64(o, "n_ctx", c->n_ctx);
  inspect_set_u64(o, "n_embd", c->n_embd);
  inspect_set_u64(o, "n_layer", c->n_layer);
  inspect_set_u64(o, "n_head", c->n_head);
  inspect_set_u64(o, "n_kv_head", c->n_kv_head);
  inspect_set_u64(o, "head_dim", c->head_dim);
  inspect_set_u64(o, "n_ff", c->n_ff);
  inspect_set(o, "tied_head", json_boolean(c->tied_head));
  inspect_set(o, "norm_eps", json_real(c->norm_eps));
  if (c->family == FORGE_FAMILY_LLAMA) {
    inspect_set(o, "rope_base", json_real(c->rope_base));
    inspect_set(o, "rope_scale", json_real(c->rope_scale));
    inspect_set(o, "rope_style",
                json_string(c->rope_style == FORGE_ROPE_STYLE_HALF ? "half" : "interleaved"));
  }
  inspect_set_u64(o, "parameters", forge_model_parameters(m));
  return o;
}

static json_t *tokenizer_json(const forge_tokenizer *tokenizer) {
  forge_tokenizer_info info = {.size = sizeof info};
  json_t *o = json_object();
  if (forge_tokenizer_describe(tokenizer, &info)) return o;
  inspect_set_u64(o, "n_vocab", info.n_vocab);
  inspect_set(o, "bos", json_integer(info.bos));
  inspect_set(o, "eos", json_integer(info.eos));
  inspect_set(o, "unk", json_integer(info.unk));
  inspect_set(o, "pad", json_integer(info.pad));
  inspect_set(o, "add_bos", json_boolean(info.add_bos));
  inspect_set(o, "add_eos", json_boolean(info.add_eos));
  return o;
}

static json_t *last_problem(void) {
  const char *message = forge_error_last()->msg;
  return inspect_text(message, strlen(message));
}

static json_t *stored_tensors(const forge_model *m) {
  json_t *tensors = json_array();
  for (uint32_t i = 0; i < m->n_tensors; i++) {
    const model_tensor *t = &m->tensors[i];
    const uint64_t offset = (uint64_t)((const uint8_t *)t->data - m->maps[0].data);
    json_array_append_new(tensors, inspect_tensor(t->name, strlen(t->name), dtype_name(t->dtype),
                                                  t->rank, t->dim, offset, t->bytes));
  }
  return tensors;
}

/* Whether Forge could use it: "model" and "tokenizer" described, or "problem". */
static void add_model(const char *path, json_t *o) {
  forge_model *m;
  forge_tokenizer *tokenizer;
  if (forge_model_open(path, NULL, &m)) {
    inspect_set(o, "problem", last_problem());
    if (forge_tokenizer_open(path, &tokenizer)) return;
    inspect_set(o, "tokenizer", tokenizer_json(tokenizer));
    forge_tokenizer_close(tokenizer);
    return;
  }
  inspect_set(o, "model", config_json(m));
  if (!json_object_get(o, "tensors")) inspect_set(o, "tensors", stored_tensors(m));
  if (!forge_model_tokenizer(m, &tokenizer))
    inspect_set(o, "tokenizer", tokenizer_json(tokenizer));
  else
    inspect_set(o, "tokenizer_problem", last_problem());
  forge_model_close(m);
}

static forge_status inspect_gguf_file(const char *path, json_t *o) {
  gguf g;
  TRY(gguf_open(path, &g));
  inspect_set(o, "kind", json_string("gguf"));
  inspect_gguf(&g, o);
  gguf_close(&g);
  add_model(path, o);
  return FORGE_OK;
}

static forge_status add_shard(const char *path, const char *file, json_t *o, json_t *tensors) {
  safetensors s;
  TRY(safetensors_open(path, &s));
  inspect_safetensors(&s, file, o, tensors);
  safetensors_close(&s);
  return FORGE_OK;
}

static forge_status inspect_safetensors_file(const char *path, json_t *o) {
  json_t *tensors = json_array();
  const forge_status st = add_shard(path, NULL, o, tensors);
  inspect_set(o, "kind", json_string("safetensors"));
  inspect_set(o, "tensors", tensors);
  TRY(st);
  add_model(path, o);
  return FORGE_OK;
}

static int is_shard(const struct dirent *entry) {
  return text_ends_with(entry->d_name, ".safetensors");
}

static forge_status inspect_tokenizer(const char *path, json_t *o) {
  forge_tokenizer *tokenizer;
  if (forge_tokenizer_open(path, &tokenizer)) {
    const forge_status why = forge_error_last()->code;
    if (why != FORGE_E_NOT_FOUND && why != FORGE_E_UNSUPPORTED) return why;
    return FAIL(FORGE_E_UNSUPPORTED,
                "%s: nothing Forge knows: no model (GGUF, .safetensors, Hugging Face folder, "
                "llama2.c .bin) and no tokenizer",
                path);
  }
  inspect_set(o, "kind", json_string("tokenizer"));
  inspect_set(o, "tokenizer", tokenizer_json(tokenizer));
  forge_tokenizer_close(tokenizer);
  return FORGE_OK;
}

static forge_status inspect_folder(const char *path, json_t *o) {
  struct dirent **entries = NULL;
  const int n = scandir(path, &entries, is_shard, alphasort);
  if (n < 0) return base_fail_errno(FORGE_E_IO, "%s", path);
  json_t *tensors = json_array();
  forge_status st = FORGE_OK;
  for (int i = 0; i < n; i++) {
    char *file = st ? NULL : file_join(path, entries[i]->d_name);
    if (!st)
      st = file ? add_shard(file, entries[i]->d_name, o, tensors) : FAIL(FORGE_E_OOM, "%s", path);
    mem_free(file);
    free(entries[i]);
  }
  free(entries);
  inspect_set(o, "kind", json_string("huggingface"));
  inspect_set(o, "tensors", tensors);
  if (st) return st;
  if (!n) {
    json_object_clear(o);
    inspect_set(o, "path", json_string(path));
    return inspect_tokenizer(path, o);
  }
  add_model(path, o);
  return FORGE_OK;
}

static forge_status inspect_file(const char *path, json_t *o) {
  file_map map;
  TRY(file_map_open(path, &map));
  const bool is_gguf = gguf_is(map.data, map.bytes);
  const bool is_safetensors = safetensors_is(map.data, map.bytes);
  const bool is_llama2c = llama2c_is(map.data, map.bytes);
  inspect_set_u64(o, "file_bytes", map.bytes);
  file_map_close(&map);
  if (is_gguf) return inspect_gguf_file(path, o);
  if (is_safetensors) return inspect_safetensors_file(path, o);
  if (!is_llama2c) return inspect_tokenizer(path, o);
  inspect_set(o, "kind", json_string("llama2c"));
  add_model(path, o);
  return FORGE_OK;
}

static void add_totals(json_t *o) {
  const json_t *tensors = json_object_get(o, "tensors");
  if (!tensors) return;
  uint64_t bytes = 0;
  for (size_t i = 0; i < json_array_size(tensors); i++)
    bytes += (uint64_t)json_integer_value(json_object_get(json_array_get(tensors, i), "bytes"));
  inspect_set_u64(o, "tensor_count", json_array_size(tensors));
  inspect_set_u64(o, "tensor_bytes", bytes);
}

forge_status forge_inspect(const char *path, char **out_json) {
  if (!path || !out_json) return FAIL(FORGE_E_INVALID, "forge_inspect: path or result is NULL");
  json_t *o = json_object();
  if (!o) return FAIL(FORGE_E_OOM, "%s: no memory to describe it", path);
  inspect_set(o, "path", inspect_text(path, strlen(path)));
  const forge_status st = file_is_directory(path) ? inspect_folder(path, o) : inspect_file(path, o);
  if (!st) add_totals(o);
  char *encoded = st ? NULL : json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
  json_decref(o);
  TRY(st);
  *out_json = encoded ? mem_strdup(encoded) : NULL;
  free(encoded);
  return *out_json ? FORGE_OK : FAIL(FORGE_E_OOM, "%s: no memory to describe it", path);
}
