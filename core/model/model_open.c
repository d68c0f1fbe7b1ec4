/* model_open.c -- which format a path is, and the public face of an open model. */
#include "model_parts.h"

#include <stdio.h>
#include <string.h>

#include "gguf.h"
#include "llama2c.h"
#include "safetensors.h"

static forge_status unknown_kind(const char *path, const file_map *map) {
  char head[3 * 8 + 1] = "";
  for (uint64_t i = 0; i < map->bytes && i < 8; i++)
    snprintf(head + 3 * i, 4, " %02x", map->data[i]);
  if (map->bytes >= 4 && !memcmp(map->data, "24ka", 4))
    return FAIL(FORGE_E_UNSUPPORTED,
                "%s: a llama2.c file of version 1 or later; export it with version 0", path);
  return FAIL(FORGE_E_UNSUPPORTED,
              "%s: no model Forge knows (first bytes:%s): give a GGUF, a .safetensors file, a "
              "Hugging Face folder or a llama2.c .bin whose size fits its header",
              path, head);
}

static forge_status read_any(forge_model *m) {
  file_map map;
  if (file_is_directory(m->path)) return model_read_hf(m, true);
  TRY(file_map_open(m->path, &map));
  const bool is_gguf = gguf_is(map.data, map.bytes);
  const bool is_safetensors = safetensors_is(map.data, map.bytes);
  const bool is_llama2c = llama2c_is(map.data, map.bytes) || text_ends_with(m->path, ".bin");
  forge_status st = FORGE_OK;
  if (!is_gguf && !is_safetensors &&
      (!is_llama2c || (map.bytes >= 4 && !memcmp(map.data, "24ka", 4))))
    st = unknown_kind(m->path, &map);
  file_map_close(&map);
  TRY(st);
  if (is_gguf) return model_read_gguf(m);
  if (is_safetensors) return model_read_hf(m, false);
  return model_read_llama2c(m);
}

/* What forge_tokenizer_open() is to open in |dir|: the folder where it has one of the usual files,
 * llama2.c's "tok512.bin" otherwise; NULL for none. */
static char *tokenizer_in(const char *dir, uint32_t n_vocab) {
  char by_size[2][32];
  snprintf(by_size[0], sizeof by_size[0], "tok%u.model", n_vocab);
  snprintf(by_size[1], sizeof by_size[1], "tok%u.bin", n_vocab);
  const char *const names[] = {"tokenizer.json", "tokenizer.model", "encoder.json", "vocab.json",
                               "tokenizer.bin",  by_size[0],        by_size[1]};
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    char *path = file_join(dir, names[i]);
    const bool exists = path && file_exists(path);
    if (exists && i >= 5) return path;
    mem_free(path);
    if (exists) return mem_strdup(dir);
  }
  return NULL;
}

static void find_tokenizer(forge_model *m) {
  if (m->tokenizer_path) return; /* given by the caller, or inside the file */
  char *dir = file_is_directory(m->path) ? mem_strdup(m->path) : file_parent(m->path);
  if (dir) m->tokenizer_path = tokenizer_in(dir, m->config.n_vocab);
  mem_free(dir);
}

forge_status forge_model_open(const char *path, const char *tokenizer_path,
                              forge_model **out_model) {
  if (!path || !out_model) return FAIL(FORGE_E_INVALID, "forge_model_open: path or result is NULL");
  forge_model *m = mem_zalloc(sizeof *m);
  if (m) m->path = mem_strdup(path);
  if (m && tokenizer_path) m->tokenizer_path = mem_strdup(tokenizer_path);
  if (!m || !m->path || (tokenizer_path && !m->tokenizer_path)) {
    forge_model_close(m);
    return FAIL(FORGE_E_OOM, "%s: no memory to open it", path);
  }
  forge_status st = read_any(m);
  if (!st) find_tokenizer(m);
  if (!st && tokenizer_path) st = forge_model_tokenizer(m, &(forge_tokenizer *){NULL});
  if (st)
    forge_model_close(m);
  else
    *out_model = m;
  return st;
}

void forge_model_close(forge_model *m) {
  if (!m) return;
  for (size_t i = 0; i < m->n_maps; i++) file_map_close(&m->maps[i]);
  mem_free(m->maps);
  mem_free(m->rope_freqs);
  mem_free(m->parts);
  mem_free(m->tensors);
  mem_free(m->params);
  mem_free(m->by_name);
  forge_tokenizer_close(m->tokenizer);
  mem_free(m->tokenizer_path);
  mem_free(m->path);
  mem_free(m);
}

forge_status forge_model_describe(const forge_model *m, forge_model_config *config) {
  if (!m || !config || config->size < sizeof config->size)
    return FAIL(FORGE_E_INVALID, "forge_model_describe: set config->size first");
  const uint32_t size = config->size;
  memset(config, 0, size);
  memcpy(config, &m->config, size < sizeof *config ? size : sizeof *config);
  config->size = size;
  return FORGE_OK;
}

uint64_t forge_model_parameters(const forge_model *m) {
  uint64_t n = 0;
  for (uint32_t i = 0; m && i < m->n_tensors; i++)
    if (strcmp(m->tensors[i].name, "rope_freqs.weight") != 0)
      n += (uint64_t)model_row_count(&m->tensors[i]) * (uint64_t)model_row_elems(&m->tensors[i]);
  return n;
}

static forge_status open_tokenizer(forge_model *m) {
  if (!m->tokenizer_path)
    return FAIL(FORGE_E_NOT_FOUND,
                "%s: no tokenizer in it or beside it (tokenizer.json, tokenizer.model, "
                "tokenizer.bin, tok%u.bin); name one",
                m->path, m->config.n_vocab);
  forge_tokenizer *tokenizer;
  forge_tokenizer_info info = {.size = sizeof info};
  TRY(forge_tokenizer_open(m->tokenizer_path, &tokenizer));
  forge_status st = forge_tokenizer_describe(tokenizer, &info);
  if (!st && info.n_vocab > m->config.n_vocab)
    st =
        FAIL(FORGE_E_MISMATCH,
             "%s has %u tokens and %s only %u: it is another model's tokenizer; name the right one",
             m->tokenizer_path, info.n_vocab, m->path, m->config.n_vocab);
  if (st)
    forge_tokenizer_close(tokenizer);
  else
    m->tokenizer = tokenizer;
  return st;
}

forge_status forge_model_tokenizer(forge_model *m, forge_tokenizer **out_tokenizer) {
  if (!m || !out_tokenizer)
    return FAIL(FORGE_E_INVALID, "forge_model_tokenizer: model or result is NULL");
  if (!m->tokenizer) TRY(open_tokenizer(m));
  *out_tokenizer = m->tokenizer;
  return FORGE_OK;
}
