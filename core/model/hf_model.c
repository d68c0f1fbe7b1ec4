/* hf_model.c -- a Hugging Face folder, or one .safetensors file with its configuration beside or
 * inside it, as a model. */
#include <inttypes.h>
#include <string.h>

#include "hf.h"
#include "hf_names.h"
#include "safetensors.h"

enum { MAX_JSON = 64 << 20 };

/* The shards of one model and what was learnt from their names. */
typedef struct reader {
  forge_model *model;
  char *dir;
  safetensors *shards;
  size_t n_shards, cap_shards;
  int convention;
  bool drop_head; /* the configuration ties the head: a stored copy is not used */
  hf_rope_llama3 rope;
} reader;

static forge_status load_json(const char *path, json_t **out) {
  char *text_bytes;
  uint64_t bytes;
  json_error_t error;
  TRY(file_read(path, MAX_JSON, &text_bytes, &bytes));
  *out = json_loadb(text_bytes, bytes, JSON_REJECT_DUPLICATES, &error);
  mem_free(text_bytes);
  if (json_is_object(*out)) return FORGE_OK;
  json_decref(*out);
  *out = NULL;
  return FAIL(FORGE_E_CORRUPT, "%s: no JSON object: line %d: %s", path, error.line, error.text);
}

/* |*out| NULL when there is no such file. */
static forge_status load_beside(const reader *r, const char *name, json_t **out, char **out_path) {
  *out = NULL;
  *out_path = file_join(r->dir, name);
  if (!*out_path) return FAIL(FORGE_E_OOM, "%s: no memory to open it", r->model->path);
  return file_exists(*out_path) ? load_json(*out_path, out) : FORGE_OK;
}

static forge_status open_shard(reader *r, const char *path) {
  if (!ARRAY_GROW(r->shards, r->n_shards, r->cap_shards))
    return FAIL(FORGE_E_OOM, "%s: no memory to open it", path);
  TRY(safetensors_open(path, &r->shards[r->n_shards]));
  r->n_shards++;
  return FORGE_OK;
}

static bool has_shard(const reader *r, const char *path) {
  for (size_t i = 0; i < r->n_shards; i++)
    if (!strcmp(r->shards[i].path, path)) return true;
  return false;
}

/* An index comes with the model: a name in it must not lead out of the folder. */
static forge_status open_named_shard(reader *r, const char *index, const char *name) {
  if (!name || !*name || strchr(name, '/') || *name == '.')
    return FAIL(FORGE_E_CORRUPT, "%s: \"%.128s\" is no name of a file beside it", index,
                name ? name : "?");
  char *path = file_join(r->dir, name);
  if (!path) return FAIL(FORGE_E_OOM, "%s: no memory to open it", name);
  const forge_status st = has_shard(r, path) ? FORGE_OK : open_shard(r, path);
  mem_free(path);
  return st == FORGE_E_NOT_FOUND ? base_fail_in(st, "%s: a shard it names is missing", index) : st;
}

static forge_status open_indexed(reader *r, const char *index_path, const json_t *index) {
  const json_t *map = json_object_get(index, "weight_map");
  const char *tensor;
  json_t *file;
  if (!json_object_size(map))
    return FAIL(FORGE_E_CORRUPT, "%s: \"weight_map\" is missing or empty", index_path);
  json_object_foreach((json_t *)(uintptr_t)map, tensor, file)
      TRY(open_named_shard(r, index_path, json_string_value(file)));
  return FORGE_OK;
}

static forge_status open_folder(reader *r) {
  json_t *index;
  char *path;
  forge_status st = load_beside(r, "model.safetensors.index.json", &index, &path);
  if (!st && index) {
    st = open_indexed(r, path, index);
  } else if (!st) {
    mem_free(path);
    path = file_join(r->dir, "model.safetensors");
    if (!path)
      st = FAIL(FORGE_E_OOM, "%s: no memory to open it", r->dir);
    else if (!file_exists(path))
      st = FAIL(FORGE_E_UNSUPPORTED,
                "%s: a folder without model.safetensors and without model.safetensors.index.json "
                "is no model",
                r->dir);
    else
      st = open_shard(r, path);
  }
  json_decref(index);
  mem_free(path);
  return st;
}

static forge_status find_convention(reader *r) {
  for (size_t s = 0; s < r->n_shards; s++)
    for (uint32_t i = 0; i < r->shards[s].n_tensors && !r->convention; i++)
      r->convention = hf_convention_of(r->shards[s].tensors[i].name);
  if (r->convention) return FORGE_OK;
  return FAIL(FORGE_E_UNSUPPORTED,
              "%s: none of its tensors is an embedding Forge knows (model.embed_tokens.weight, "
              "tok_embeddings.weight, wte.weight): no llama or gpt2 model",
              r->model->path);
}

static forge_status use_config(reader *r, const char *path, const json_t *json) {
  forge_model_config *c = &r->model->config;
  TRY(hf_read_config(path, json, c, &r->rope));
  if ((c->family == FORGE_FAMILY_GPT2) != (r->convention == HF_NAMES_GPT2))
    return FAIL(FORGE_E_MISMATCH, "%s is of another family than the tensors of %s", path,
                r->model->path);
  if (r->convention == HF_NAMES_META) c->rope_style = FORGE_ROPE_STYLE_INTERLEAVED;
  r->drop_head = c->tied_head;
  return FORGE_OK;
}

/* config.json, else Meta's params.json, else the file's own metadata with Meta's names. */
static forge_status read_config(reader *r) {
  char *config_path = NULL, *params_path = NULL;
  json_t *config = NULL, *params = NULL;
  const json_t *own = r->shards[0].metadata;
  forge_status st = load_beside(r, "config.json", &config, &config_path);
  if (!st && !config) st = load_beside(r, "params.json", &params, &params_path);
  if (st)
    ;
  else if (config)
    st = use_config(r, config_path, config);
  else if (r->convention == HF_NAMES_META && params)
    st = hf_read_params(params_path, params, &r->model->config);
  else if (r->convention == HF_NAMES_META && json_object_get(own, "n_heads"))
    st = hf_read_params(r->model->path, own, &r->model->config);
  else
    st = FAIL(FORGE_E_NOT_FOUND,
              "%s: shapes do not tell the number of heads: put its config.json (or Meta's "
              "params.json) beside it",
              r->model->path);
  json_decref(config);
  json_decref(params);
  mem_free(config_path);
  mem_free(params_path);
  return st;
}

static forge_status add_tensor(reader *r, const safetensors_tensor *t) {
  char name[MODEL_NAME_BYTES];
  const int known = hf_to_canonical(r->convention, t->name, name);
  if (known == HF_NAME_IGNORED) return FORGE_OK;
  if (known == HF_NAME_UNKNOWN)
    return FAIL(FORGE_E_UNSUPPORTED,
                "%s: tensor %.128s has no place in the model: Forge would compute something else",
                r->model->path, t->name);
  if (r->drop_head && !strcmp(name, "output.weight")) return FORGE_OK;
  if (t->rank > COUNT_OF(((model_tensor *)0)->dim))
    return FAIL(FORGE_E_CORRUPT, "%s: tensor %.128s has %d dimensions", r->model->path, t->name,
                t->rank);
  model_tensor tensor = {.dtype = t->dtype,
                         .rank = t->rank,
                         .transposed = t->rank == 2 && hf_is_transposed(r->convention, name),
                         .data = t->data,
                         .bytes = t->bytes};
  memcpy(tensor.dim, t->dim, sizeof tensor.dim);
  return model_add(r->model, name, t->name, &tensor);
}

/* Meta's files say neither; the tensors do. */
static void complete_from_shapes(forge_model *m) {
  const model_part *gate = model_part_find(m, "blk.0.ffn_gate.weight");
  if (!m->config.n_ff && gate && gate->tensor.rank == 2 && gate->tensor.dim[0] > 0 &&
      gate->tensor.dim[0] <= UINT32_MAX)
    m->config.n_ff = (uint32_t)gate->tensor.dim[0];
}

static forge_status make_rope_factors(reader *r) {
  forge_model *m = r->model;
  if (!(r->rope.factor > 0)) return FORGE_OK;
  if (m->config.head_dim > 1 << 16)
    return FAIL(FORGE_E_CORRUPT, "%s: heads of %" PRIu32, m->path, m->config.head_dim);
  m->n_rope_freqs = m->config.head_dim / 2;
  m->rope_freqs = mem_zalloc_array((size_t)m->n_rope_freqs + 1, sizeof *m->rope_freqs);
  if (!m->rope_freqs) return FAIL(FORGE_E_OOM, "%s: no memory for rope factors", m->path);
  hf_rope_factors(&r->rope, &m->config, m->rope_freqs);
  return FORGE_OK;
}

static forge_status fill(reader *r) {
  TRY(find_convention(r));
  TRY(read_config(r));
  TRY(make_rope_factors(r));
  for (size_t s = 0; s < r->n_shards; s++)
    for (uint32_t i = 0; i < r->shards[s].n_tensors; i++)
      TRY(add_tensor(r, &r->shards[s].tensors[i]));
  complete_from_shapes(r->model);
  for (size_t s = 0; s < r->n_shards; s++) TRY(model_own_map(r->model, &r->shards[s].map));
  return model_assemble(r->model);
}

forge_status model_read_hf(forge_model *m, bool folder) {
  reader r = {.model = m, .dir = folder ? mem_strdup(m->path) : file_parent(m->path)};
  forge_status st = r.dir ? FORGE_OK : FAIL(FORGE_E_OOM, "%s: no memory to open it", m->path);
  if (!st) st = folder ? open_folder(&r) : open_shard(&r, m->path);
  if (!st) st = fill(&r);
  for (size_t i = 0; i < r.n_shards; i++) safetensors_close(&r.shards[i]);
  mem_free(r.shards);
  mem_free(r.dir);
  return st;
}
