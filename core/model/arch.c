/* arch.c -- which parameters a family has. One table per family; the forward pass (arch_forward.c)
 * finds its parameters by the same rows. */
#include <math.h>
#include <stdio.h>

#include "arch_family.h"

/* Room enough for every model published, small enough that products of two stay far inside int64.
 */
enum { MAX_SIZE = 1 << 24, MAX_LAYERS = 1 << 14 };
static const double init_std = 0.02;

static const arch_row llama_rows[] = {
    [LLAMA_ATTN_NORM] = {"attn_norm", ARCH_EMBD, ARCH_NONE},
    [LLAMA_ATTN_Q] = {"attn_q", ARCH_Q, ARCH_EMBD},
    [LLAMA_ATTN_K] = {"attn_k", ARCH_KV, ARCH_EMBD},
    [LLAMA_ATTN_V] = {"attn_v", ARCH_KV, ARCH_EMBD},
    [LLAMA_ATTN_OUTPUT] = {"attn_output", ARCH_EMBD, ARCH_Q, true},
    [LLAMA_FFN_NORM] = {"ffn_norm", ARCH_EMBD, ARCH_NONE},
    [LLAMA_FFN_GATE] = {"ffn_gate", ARCH_FF, ARCH_EMBD},
    [LLAMA_FFN_UP] = {"ffn_up", ARCH_FF, ARCH_EMBD},
    [LLAMA_FFN_DOWN] = {"ffn_down", ARCH_EMBD, ARCH_FF, true},
};
static const arch_row gpt2_rows[] = {
    [GPT2_ATTN_NORM] = {"attn_norm", ARCH_EMBD, ARCH_NONE},
    [GPT2_ATTN_QKV] = {"attn_qkv", ARCH_QKV, ARCH_EMBD},
    [GPT2_ATTN_OUTPUT] = {"attn_output", ARCH_EMBD, ARCH_Q, true},
    [GPT2_FFN_NORM] = {"ffn_norm", ARCH_EMBD, ARCH_NONE},
    [GPT2_FFN_UP] = {"ffn_up", ARCH_FF, ARCH_EMBD},
    [GPT2_FFN_DOWN] = {"ffn_down", ARCH_EMBD, ARCH_FF, true},
};

bool arch_has_bias(const forge_model_config *config) {
  return config->family == FORGE_FAMILY_GPT2 && config->has_bias;
}

static bool has_positions(const forge_model_config *config) {
  return config->family == FORGE_FAMILY_GPT2;
}

uint32_t arch_row_count(const forge_model_config *config) {
  return config->family == FORGE_FAMILY_GPT2 ? COUNT_OF(gpt2_rows) : COUNT_OF(llama_rows);
}

/* Parameters one row stands for: a weight, and its bias where the family has them. */
static uint32_t row_width(const forge_model_config *config) {
  return arch_has_bias(config) ? 2 : 1;
}

uint32_t arch_row_index(const forge_model_config *config, uint32_t layer, uint32_t row) {
  const uint32_t before = has_positions(config) ? 2 : 1;
  return before + (layer * arch_row_count(config) + row) * row_width(config);
}

uint32_t arch_norm_index(const forge_model_config *config) {
  return arch_row_index(config, config->n_layer, 0);
}

uint32_t arch_head_index(const forge_model_config *config) {
  return config->tied_head ? 0 : arch_norm_index(config) + row_width(config);
}

static uint32_t param_count(const forge_model_config *config) {
  return arch_norm_index(config) + row_width(config) + (config->tied_head ? 0 : 1);
}

static int64_t extent(const forge_model_config *c, uint8_t which) {
  switch (which) {
  case ARCH_EMBD: return c->n_embd;
  case ARCH_Q: return (int64_t)c->n_head * c->head_dim;
  case ARCH_KV: return (int64_t)c->n_kv_head * c->head_dim;
  case ARCH_QKV: return ((int64_t)c->n_head + 2 * (int64_t)c->n_kv_head) * c->head_dim;
  case ARCH_FF: return c->n_ff;
  default: return 0;
  }
}

static forge_status check_range(const char *field, uint64_t value, uint64_t max) {
  if (value >= 1 && value <= max) return FORGE_OK;
  return FAIL(FORGE_E_INVALID, "model shape: %s is %llu; it must be 1 to %llu", field,
              (unsigned long long)value, (unsigned long long)max);
}

static forge_status check_sizes(const forge_model_config *c) {
  TRY(check_range("n_vocab", c->n_vocab, MAX_SIZE));
  TRY(check_range("n_ctx", c->n_ctx, MAX_SIZE));
  TRY(check_range("n_embd", c->n_embd, MAX_SIZE));
  TRY(check_range("n_layer", c->n_layer, MAX_LAYERS));
  TRY(check_range("n_head", c->n_head, MAX_SIZE));
  TRY(check_range("n_kv_head", c->n_kv_head, c->n_head));
  TRY(check_range("head_dim", c->head_dim, MAX_SIZE));
  TRY(check_range("n_head * head_dim", (uint64_t)c->n_head * c->head_dim, MAX_SIZE));
  return check_range("n_ff", c->n_ff, MAX_SIZE);
}

static forge_status check_shape(const forge_model_config *c) {
  if (c->family != FORGE_FAMILY_LLAMA && c->family != FORGE_FAMILY_GPT2)
    return FAIL(FORGE_E_INVALID, "model shape: family is %u; it must be llama (%d) or gpt2 (%d)",
                c->family, FORGE_FAMILY_LLAMA, FORGE_FAMILY_GPT2);
  TRY(check_sizes(c));
  if (c->n_head % c->n_kv_head)
    return FAIL(FORGE_E_INVALID,
                "model shape: n_kv_head (%u) must divide n_head (%u), so that heads share keys",
                c->n_kv_head, c->n_head);
  if (!(c->norm_eps >= 0 && c->norm_eps < 1))
    return FAIL(FORGE_E_INVALID, "model shape: norm_eps is %g; it must be 0 to 1", c->norm_eps);
  if (c->family == FORGE_FAMILY_LLAMA && c->head_dim % 2)
    return FAIL(FORGE_E_INVALID,
                "model shape: head_dim is %u; rotary positions turn pairs, so it "
                "must be even",
                c->head_dim);
  if (c->family == FORGE_FAMILY_LLAMA && !(c->rope_base > 0))
    return FAIL(FORGE_E_INVALID, "model shape: rope_base is %g; it must be above 0", c->rope_base);
  return FORGE_OK;
}

static void put(arch_param **next, int64_t rows, int64_t cols, double std, const char *name) {
  arch_param *p = (*next)++;
  p->rank = cols ? 2 : 1;
  p->decay = cols != 0;
  p->ones = std < 0;
  p->dim[0] = rows;
  p->dim[1] = cols;
  p->init_std = std < 0 ? 0 : std;
  snprintf(p->name, sizeof p->name, "%s", name);
}

/* A row's weight and, where the family has them, its bias. A norm's weight starts at one. */
static void put_row(arch_param **next, const forge_model_config *c, const arch_row *row,
                    const char *prefix) {
  const double std = row->in == ARCH_NONE ? -1
                     : row->residual      ? init_std / sqrt(2.0 * c->n_layer)
                                          : init_std;
  char name[64];
  snprintf(name, sizeof name, "%s%s.weight", prefix, row->name);
  put(next, extent(c, row->out), extent(c, row->in), std, name);
  if (!arch_has_bias(c)) return;
  snprintf(name, sizeof name, "%s%s.bias", prefix, row->name);
  put(next, extent(c, row->out), 0, 0, name);
}

forge_status arch_params(const forge_model_config *config, arch_param **out, uint32_t *out_n) {
  TRY(check_shape(config));
  const arch_row *rows = config->family == FORGE_FAMILY_GPT2 ? gpt2_rows : llama_rows;
  const arch_row norm = {"output_norm", ARCH_EMBD, ARCH_NONE, false};
  const uint32_t n = param_count(config);
  arch_param *params = mem_zalloc_array(n, sizeof *params), *next = params;
  if (!params) return FAIL(FORGE_E_OOM, "list of %u parameters", n);
  put(&next, config->n_vocab, config->n_embd, init_std, "token_embd.weight");
  if (has_positions(config))
    put(&next, config->n_ctx, config->n_embd, init_std, "position_embd.weight");
  for (uint32_t layer = 0; layer < config->n_layer; layer++) {
    char prefix[32];
    snprintf(prefix, sizeof prefix, "blk.%u.", layer);
    for (uint32_t r = 0; r < arch_row_count(config); r++) put_row(&next, config, &rows[r], prefix);
  }
  put_row(&next, config, &norm, "");
  if (!config->tied_head) put(&next, config->n_vocab, config->n_embd, init_std, "output.weight");
  *out = params;
  *out_n = n;
  return FORGE_OK;
}
