/* hf.c -- config.json as transformers writes it, both ways. Keys that are absent have the defaults
 * of transformers' own LlamaConfig and GPT2Config. */
#include "hf.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct source {
  const char *path;
  const json_t *json;
} source;

static const json_t *get(const source *s, const char *key) {
  const json_t *value = json_object_get(s->json, key);
  return json_is_null(value) ? NULL : value;
}

/* |otherwise| < 0: it must be there. Texts that are numbers count: safetensors metadata has no
 * other. */
static forge_status get_count(const source *s, const char *key, int64_t otherwise, uint32_t *out) {
  const json_t *value = get(s, key);
  int64_t n = otherwise;
  char *end = "";
  if (json_is_string(value))
    n = strtoll(json_string_value(value), &end, 10);
  else if (value)
    n = json_is_integer(value) ? json_integer_value(value) : -1;
  else if (otherwise < 0)
    return FAIL(FORGE_E_CORRUPT, "%s: \"%s\" is missing", s->path, key);
  if (n < 0 || n > UINT32_MAX || *end)
    return FAIL(FORGE_E_CORRUPT, "%s: \"%s\" is no number from 0 to 2^32-1", s->path, key);
  *out = (uint32_t)n;
  return FORGE_OK;
}

static forge_status get_number(const source *s, const char *key, double otherwise, double *out) {
  const json_t *value = get(s, key);
  char *end = "";
  *out = otherwise;
  if (json_is_string(value))
    *out = strtod(json_string_value(value), &end);
  else if (value)
    *out = json_is_number(value) ? json_number_value(value) : NAN;
  if (!isfinite(*out) || *end)
    return FAIL(FORGE_E_CORRUPT, "%s: \"%s\" is no number", s->path, key);
  return FORGE_OK;
}

static forge_status expect_text(const source *s, const char *key, const char *const *allowed) {
  const json_t *value = get(s, key);
  if (!value) return FORGE_OK;
  const char *name = json_string_value(value);
  for (size_t i = 0; name && allowed[i]; i++)
    if (!strcmp(name, allowed[i])) return FORGE_OK;
  return FAIL(FORGE_E_UNSUPPORTED, "%s: \"%s\" is \"%.64s\"; Forge computes \"%s\" only", s->path,
              key, name ? name : "?", allowed[0]);
}

static forge_status expect_false(const source *s, const char *key) {
  if (!json_is_true(get(s, key))) return FORGE_OK;
  return FAIL(FORGE_E_UNSUPPORTED, "%s: \"%s\" is true; Forge does not compute that", s->path, key);
}

static forge_status read_llama3(const source *s, const forge_model_config *c,
                                hf_rope_llama3 *rope) {
  TRY(get_number(s, "factor", 8, &rope->factor));
  TRY(get_number(s, "low_freq_factor", 1, &rope->low_freq_factor));
  TRY(get_number(s, "high_freq_factor", 4, &rope->high_freq_factor));
  TRY(get_number(s, "original_max_position_embeddings", c->n_ctx, &rope->original_context));
  if (rope->factor > 0 && rope->low_freq_factor > 0 &&
      rope->high_freq_factor > rope->low_freq_factor && rope->original_context > 0)
    return FORGE_OK;
  return FAIL(FORGE_E_CORRUPT, "%s: the numbers of its llama3 rope scaling are impossible",
              s->path);
}

static forge_status read_rope(const source *outer, forge_model_config *c, hf_rope_llama3 *rope) {
  const json_t *scaling = get(outer, "rope_scaling");
  const json_t *parameters = get(outer, "rope_parameters"); /* the newer spelling of both */
  const source s = {outer->path, parameters ? parameters : scaling};
  double factor;
  c->rope_scale = 1;
  TRY(get_number(outer, "rope_theta", 10000, &c->rope_base));
  if (!s.json) return FORGE_OK;
  TRY(get_number(&s, "rope_theta", c->rope_base, &c->rope_base));
  const json_t *type = get(&s, "rope_type") ? get(&s, "rope_type") : get(&s, "type");
  const char *name = json_is_string(type) ? json_string_value(type) : "default";
  if (!strcmp(name, "default")) return FORGE_OK;
  if (!strcmp(name, "llama3")) return read_llama3(&s, c, rope);
  if (strcmp(name, "linear") != 0)
    return FAIL(FORGE_E_UNSUPPORTED, "%s: rope scaling \"%.32s\"; Forge knows linear and llama3",
                s.path, name);
  TRY(get_number(&s, "factor", 1, &factor));
  if (!(factor > 0))
    return FAIL(FORGE_E_CORRUPT, "%s: the rope scaling factor is not above 0", s.path);
  c->rope_scale = 1 / factor;
  return FORGE_OK;
}

static forge_status read_llama(const source *s, forge_model_config *c, hf_rope_llama3 *rope) {
  c->family = FORGE_FAMILY_LLAMA;
  c->rope_style = FORGE_ROPE_STYLE_HALF;
  TRY(get_count(s, "vocab_size", -1, &c->n_vocab));
  TRY(get_count(s, "max_position_embeddings", 2048, &c->n_ctx));
  TRY(get_count(s, "hidden_size", -1, &c->n_embd));
  TRY(get_count(s, "intermediate_size", -1, &c->n_ff));
  TRY(get_count(s, "num_hidden_layers", -1, &c->n_layer));
  TRY(get_count(s, "num_attention_heads", -1, &c->n_head));
  if (!c->n_head) return FAIL(FORGE_E_CORRUPT, "%s: \"num_attention_heads\" is 0", s->path);
  TRY(get_count(s, "num_key_value_heads", c->n_head, &c->n_kv_head));
  TRY(get_count(s, "head_dim", c->n_embd / c->n_head, &c->head_dim));
  TRY(get_number(s, "rms_norm_eps", 1e-6, &c->norm_eps));
  TRY(expect_text(s, "hidden_act", (const char *const[]){"silu", "swish", NULL}));
  TRY(expect_false(s, "attention_bias"));
  TRY(expect_false(s, "mlp_bias"));
  if (get(s, "sliding_window"))
    return FAIL(FORGE_E_UNSUPPORTED, "%s: sliding windows are not supported", s->path);
  c->tied_head = json_is_true(get(s, "tie_word_embeddings"));
  return read_rope(s, c, rope);
}

static forge_status read_gpt2(const source *s, forge_model_config *c) {
  c->family = FORGE_FAMILY_GPT2;
  TRY(get_count(s, "vocab_size", -1, &c->n_vocab));
  TRY(get_count(s, "n_positions", 1024, &c->n_ctx));
  TRY(get_count(s, "n_embd", -1, &c->n_embd));
  TRY(get_count(s, "n_layer", -1, &c->n_layer));
  TRY(get_count(s, "n_head", -1, &c->n_head));
  TRY(get_count(s, "n_inner", 4 * (int64_t)c->n_embd, &c->n_ff));
  if (!c->n_head || c->n_embd % c->n_head)
    return FAIL(FORGE_E_CORRUPT, "%s: n_head (%u) does not divide n_embd (%u)", s->path, c->n_head,
                c->n_embd);
  c->n_kv_head = c->n_head;
  c->head_dim = c->n_embd / c->n_head;
  TRY(get_number(s, "layer_norm_epsilon", 1e-5, &c->norm_eps));
  TRY(expect_text(s, "activation_function",
                  (const char *const[]){"gelu_new", "gelu_pytorch_tanh", "gelu_fast", NULL}));
  TRY(expect_false(s, "scale_attn_by_inverse_layer_idx"));
  if (json_is_false(get(s, "scale_attn_weights")))
    return FAIL(FORGE_E_UNSUPPORTED, "%s: unscaled attention is not supported", s->path);
  c->tied_head = !json_is_false(get(s, "tie_word_embeddings"));
  return FORGE_OK;
}

forge_status hf_read_config(const char *path, const json_t *json, forge_model_config *config,
                            hf_rope_llama3 *rope) {
  const source s = {path, json};
  *config = (forge_model_config){.size = sizeof *config};
  *rope = (hf_rope_llama3){0};
  const char *type = json_string_value(json_object_get(json, "model_type"));
  if (!type) return FAIL(FORGE_E_CORRUPT, "%s: \"model_type\" is missing", path);
  if (!strcmp(type, "llama") || !strcmp(type, "mistral")) return read_llama(&s, config, rope);
  if (!strcmp(type, "gpt2")) return read_gpt2(&s, config);
  return FAIL(FORGE_E_UNSUPPORTED, "%s: model_type \"%.64s\"; Forge knows llama and gpt2", path,
              type);
}

forge_status hf_read_params(const char *path, const json_t *json, forge_model_config *c) {
  const source s = {path, json};
  *c = (forge_model_config){.size = sizeof *c,
                            .family = FORGE_FAMILY_LLAMA,
                            .rope_style = FORGE_ROPE_STYLE_INTERLEAVED,
                            .rope_scale = 1};
  TRY(get_count(&s, "dim", -1, &c->n_embd));
  TRY(get_count(&s, "n_layers", -1, &c->n_layer));
  TRY(get_count(&s, "n_heads", -1, &c->n_head));
  if (!c->n_head || c->n_embd % c->n_head)
    return FAIL(FORGE_E_CORRUPT, "%s: n_heads (%u) does not divide dim (%u)", path, c->n_head,
                c->n_embd);
  TRY(get_count(&s, "n_kv_heads", c->n_head, &c->n_kv_head));
  TRY(get_count(&s, "max_seq_len", 2048, &c->n_ctx));
  TRY(get_number(&s, "norm_eps", 1e-5, &c->norm_eps));
  TRY(get_number(&s, "rope_theta", 10000, &c->rope_base));
  c->head_dim = c->n_embd / c->n_head;
  return expect_false(&s, "use_scaled_rope");
}

void hf_rope_factors(const hf_rope_llama3 *rope, const forge_model_config *config, float *factors) {
  const double pi = 3.14159265358979323846;
  for (uint32_t i = 0; i < config->head_dim / 2; i++) {
    const double wave = 2 * pi * pow(config->rope_base, 2.0 * i / config->head_dim);
    const double turns = rope->original_context / wave; /* within the original context */
    if (turns < rope->low_freq_factor) {
      factors[i] = (float)rope->factor;
    } else if (turns > rope->high_freq_factor) {
      factors[i] = 1;
    } else {
      const double smooth =
          (turns - rope->low_freq_factor) / (rope->high_freq_factor - rope->low_freq_factor);
      factors[i] = (float)(1 / ((1 - smooth) / rope->factor + smooth));
    }
  }
}

bool hf_rope_from_factors(const float *factors, const forge_model_config *config,
                          hf_rope_llama3 *rope) {
  const uint32_t n = config->head_dim / 2;
  float *expected = mem_zalloc_array(n ? n : 1, sizeof *expected);
  *rope = (hf_rope_llama3){n ? (double)factors[n - 1] : 1, 1, 4, 8192};
  bool same = expected && n;
  if (same) hf_rope_factors(rope, config, expected);
  for (uint32_t i = 0; same && i < n; i++)
    same = fabsf(expected[i] - factors[i]) <= 1e-5f * fabsf(expected[i]);
  mem_free(expected);
  return same;
}
