/* gguf_model.c -- a GGUF file as a model: its keys as configuration, its tensors under the names
 * they have. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gguf.h"
#include "model_parts.h"

/* The keys "llama.context_length" and their like. */
typedef struct keys {
  const gguf *g;
  const char *arch;
} keys;

static const char *key_name(const keys *k, const char *name, char out[96]) {
  snprintf(out, 96, "%s.%s", k->arch, name);
  return out;
}

/* |otherwise| < 0: the key must be there. */
static forge_status get_count(const keys *k, const char *name, int64_t otherwise, uint32_t *out) {
  char key[96];
  int64_t value;
  TRY(gguf_get_int(k->g, key_name(k, name, key), otherwise, &value));
  if (value < 0 && !gguf_find(k->g, key))
    return FAIL(FORGE_E_CORRUPT, "%s: the key %s is missing; convert the model again", k->g->path,
                key);
  if (value < 0 || value > UINT32_MAX)
    return FAIL(FORGE_E_CORRUPT, "%s: %s is %" PRId64, k->g->path, key, value);
  *out = (uint32_t)value;
  return FORGE_OK;
}

static forge_status get_number(const keys *k, const char *name, double otherwise, double *out) {
  char key[96];
  TRY(gguf_get_float(k->g, key_name(k, name, key), otherwise, out));
  if (!isfinite(*out)) return FAIL(FORGE_E_CORRUPT, "%s: %s is not finite", k->g->path, key);
  return FORGE_OK;
}

static forge_status refuse_nonzero(const keys *k, const char *name, const char *why) {
  uint32_t value;
  TRY(get_count(k, name, 0, &value));
  if (!value) return FORGE_OK;
  return FAIL(FORGE_E_UNSUPPORTED, "%s: %s.%s is %" PRIu32 ": %s", k->g->path, k->arch, name, value,
              why);
}

static forge_status read_common(const keys *k, forge_model_config *c) {
  TRY(get_count(k, "context_length", -1, &c->n_ctx));
  TRY(get_count(k, "embedding_length", -1, &c->n_embd));
  TRY(get_count(k, "block_count", -1, &c->n_layer));
  TRY(get_count(k, "feed_forward_length", -1, &c->n_ff));
  TRY(get_count(k, "attention.head_count", -1, &c->n_head));
  TRY(get_count(k, "attention.head_count_kv", c->n_head, &c->n_kv_head));
  if (!c->n_head) return FAIL(FORGE_E_CORRUPT, "%s: it has no attention heads", k->g->path);
  TRY(get_count(k, "attention.key_length", c->n_embd / c->n_head, &c->head_dim));
  TRY(refuse_nonzero(k, "expert_count", "mixtures of experts are not supported"));
  return refuse_nonzero(k, "attention.sliding_window", "sliding windows are not supported");
}

/* Both spellings of linear scaling; the others change the angles in ways a factor cannot say. */
static forge_status read_rope_scaling(const keys *k, forge_model_config *c) {
  char key[96];
  gguf_string type;
  double factor;
  TRY(gguf_get_string(k->g, key_name(k, "rope.scaling.type", key), &type));
  TRY(get_number(k, "rope.scale_linear", 0, &factor));
  TRY(get_number(k, "rope.scaling.factor", factor, &factor));
  c->rope_scale = 1;
  if (type.s && gguf_string_is(type, "none")) return FORGE_OK;
  if (type.s && !gguf_string_is(type, "linear"))
    return FAIL(FORGE_E_UNSUPPORTED, "%s: rope scaling \"%.*s\"; Forge knows linear and llama3",
                k->g->path, (int)(type.n < 32 ? type.n : 32), type.s);
  if (factor < 0)
    return FAIL(FORGE_E_CORRUPT, "%s: the rope scaling factor is negative", k->g->path);
  if (factor > 0) c->rope_scale = 1 / factor;
  return FORGE_OK;
}

static forge_status read_llama(const keys *k, forge_model_config *c) {
  uint32_t value_length = 0, rotated = 0;
  c->family = FORGE_FAMILY_LLAMA;
  c->rope_style = FORGE_ROPE_STYLE_INTERLEAVED;
  TRY(get_number(k, "attention.layer_norm_rms_epsilon", 1e-5, &c->norm_eps));
  TRY(get_number(k, "rope.freq_base", 10000, &c->rope_base));
  TRY(get_count(k, "attention.value_length", c->head_dim, &value_length));
  TRY(get_count(k, "rope.dimension_count", c->head_dim, &rotated));
  if (value_length != c->head_dim || rotated != c->head_dim)
    return FAIL(FORGE_E_UNSUPPORTED,
                "%s: heads of %" PRIu32 " with values of %" PRIu32 " and %" PRIu32
                " rotated; Forge needs the three equal",
                k->g->path, c->head_dim, value_length, rotated);
  return read_rope_scaling(k, c);
}

static forge_status read_config(const gguf *g, forge_model_config *c) {
  gguf_string arch;
  TRY(gguf_get_string(g, "general.architecture", &arch));
  keys k = {.g = g, .arch = "llama"};
  *c = (forge_model_config){.size = sizeof *c};
  if (!arch.s || gguf_string_is(arch, "clip"))
    return FAIL(FORGE_E_UNSUPPORTED, "%s: no language model (general.architecture)", g->path);
  if (gguf_string_is(arch, "llama")) {
    TRY(read_common(&k, c));
    return read_llama(&k, c);
  }
  if (!gguf_string_is(arch, "gpt2"))
    return FAIL(FORGE_E_UNSUPPORTED, "%s: architecture \"%.*s\"; Forge knows llama and gpt2",
                g->path, (int)(arch.n < 64 ? arch.n : 64), arch.s);
  k.arch = "gpt2";
  c->family = FORGE_FAMILY_GPT2;
  TRY(read_common(&k, c));
  return get_number(&k, "attention.layer_norm_epsilon", 1e-5, &c->norm_eps);
}

static forge_status add_tensor(forge_model *m, const gguf_tensor *t) {
  char name[MODEL_NAME_BYTES];
  if (t->name.n >= sizeof name || memchr(t->name.s, 0, t->name.n))
    return FAIL(FORGE_E_UNSUPPORTED, "%s: tensor %.*s has no place in the model", m->path,
                (int)(t->name.n < 128 ? t->name.n : 128), t->name.s);
  memcpy(name, t->name.s, t->name.n);
  name[t->name.n] = 0;
  if (!t->dtype) {
    const char *type = gguf_tensor_type_name(t->type);
    return FAIL(FORGE_E_UNSUPPORTED,
                "%s: tensor %s is of type %s (number %" PRIu32
                "); convert the model to f32, f16, bf16, q8_0, q4_0, q4_k or q6_k",
                m->path, name, type ? type : "unknown", t->type);
  }
  model_tensor tensor = {.dtype = t->dtype, .rank = t->rank, .data = t->data, .bytes = t->bytes};
  memcpy(tensor.dim, t->dim, sizeof tensor.dim);
  return model_add(m, name, NULL, &tensor);
}

static forge_status fill(forge_model *m, const gguf *g) {
  if (!g->n_tensors)
    return FAIL(FORGE_E_UNSUPPORTED,
                "%s: holds a vocabulary and no tensors: a tokenizer, but no model", m->path);
  TRY(read_config(g, &m->config));
  for (uint32_t i = 0; i < g->n_tensors; i++) TRY(add_tensor(m, &g->tensors[i]));
  if (m->tokenizer_path || !gguf_find(g, "tokenizer.ggml.tokens")) return FORGE_OK;
  m->tokenizer_path = mem_strdup(m->path);
  return m->tokenizer_path ? FORGE_OK : FAIL(FORGE_E_OOM, "%s: no memory to open it", m->path);
}

forge_status model_read_gguf(forge_model *m) {
  gguf g;
  TRY(gguf_open(m->path, &g));
  forge_status st = fill(m, &g);
  if (!st) st = model_own_map(m, &g.map);
  gguf_close(&g);
  return st ? st : model_assemble(m);
}
