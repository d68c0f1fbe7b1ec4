/* hf_write_config.c -- config.json such as transformers reads. */
#include <stdlib.h>
#include <string.h>

#include "hf.h"

/* The shortest decimal that is the same number as an F32: files that keep F32 give 1e-05 back. */
static double short_decimal(double x) {
  char digits[40];
  for (int n = 1; n < 17; n++) {
    snprintf(digits, sizeof digits, "%.*g", n, x);
    if ((float)strtod(digits, NULL) == (float)x) break;
  }
  return strtod(digits, NULL);
}

static void set(json_t *json, const char *key, uint32_t value) {
  json_object_set_new(json, key, json_integer(value));
}

static void set_real(json_t *json, const char *key, double value) {
  json_object_set_new(json, key, json_real(short_decimal(value)));
}

static void set_text(json_t *json, const char *key, const char *value) {
  json_object_set_new(json, key, json_string(value));
}

static void describe_gpt2(json_t *json, const forge_model_config *c) {
  json_object_set_new(json, "architectures", json_pack("[s]", "GPT2LMHeadModel"));
  set_text(json, "model_type", "gpt2");
  set_text(json, "activation_function", "gelu_new");
  set(json, "n_positions", c->n_ctx);
  set(json, "n_embd", c->n_embd);
  set(json, "n_layer", c->n_layer);
  set(json, "n_head", c->n_head);
  set(json, "n_inner", c->n_ff);
  set_real(json, "layer_norm_epsilon", c->norm_eps);
}

static void describe_rope(json_t *json, const forge_model_config *c, const hf_rope_llama3 *rope) {
  json_t *scaling = json_null();
  if (rope) {
    scaling = json_object();
    set_text(scaling, "rope_type", "llama3");
    set_real(scaling, "factor", rope->factor);
    set_real(scaling, "low_freq_factor", rope->low_freq_factor);
    set_real(scaling, "high_freq_factor", rope->high_freq_factor);
    set(scaling, "original_max_position_embeddings", (uint32_t)rope->original_context);
  } else if (c->rope_scale != 1) {
    scaling = json_object();
    set_text(scaling, "rope_type", "linear");
    set_real(scaling, "factor", 1 / c->rope_scale);
  }
  set_real(json, "rope_theta", c->rope_base);
  json_object_set_new(json, "rope_scaling", scaling);
}

static void describe_llama(json_t *json, const forge_model_config *c, const hf_rope_llama3 *rope) {
  json_object_set_new(json, "architectures", json_pack("[s]", "LlamaForCausalLM"));
  set_text(json, "model_type", "llama");
  set_text(json, "hidden_act", "silu");
  set(json, "max_position_embeddings", c->n_ctx);
  set(json, "hidden_size", c->n_embd);
  set(json, "intermediate_size", c->n_ff);
  set(json, "num_hidden_layers", c->n_layer);
  set(json, "num_attention_heads", c->n_head);
  set(json, "num_key_value_heads", c->n_kv_head);
  set(json, "head_dim", c->head_dim);
  set_real(json, "rms_norm_eps", c->norm_eps);
  describe_rope(json, c, rope);
  json_object_set_new(json, "attention_bias", json_false());
  json_object_set_new(json, "mlp_bias", json_false());
}

static const char *torch_type(uint8_t dtype) {
  return dtype == FORGE_F16 ? "float16" : dtype == FORGE_BF16 ? "bfloat16" : "float32";
}

forge_status hf_config_text(const forge_model_config *c, uint8_t dtype, const hf_rope_llama3 *rope,
                            int32_t bos, int32_t eos, char **out) {
  json_t *json = json_object();
  if (c->family == FORGE_FAMILY_GPT2)
    describe_gpt2(json, c);
  else
    describe_llama(json, c, rope);
  set(json, "vocab_size", c->n_vocab);
  json_object_set_new(json, "tie_word_embeddings", json_boolean(c->tied_head));
  json_object_set_new(json, "torch_dtype", json_string(torch_type(dtype)));
  if (bos >= 0) set(json, "bos_token_id", (uint32_t)bos);
  if (eos >= 0) set(json, "eos_token_id", (uint32_t)eos);
  char *encoded = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
  json_decref(json);
  *out = encoded ? mem_printf("%s\n", encoded) : NULL;
  free(encoded);
  return *out ? FORGE_OK : FAIL(FORGE_E_OOM, "config.json");
}
