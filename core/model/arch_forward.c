/* arch_forward.c -- the families as formulas. Training runs them dense on a batch, both phases of
 * inference paged on one sequence; everything but the attention call is the same text. */
#include <math.h>
#include <stdio.h>

#include "arch_family.h"

/* What every formula needs at hand. */
typedef struct model {
  build *b;
  const forge_model_config *config;
  const model_tensor *const *stored;
  const forge_tid *params;
  const arch_inputs *in; /* NULL while building the head */
  uint32_t compute_dtype;
} model;

static bool is_transposed(const model *m, uint32_t index) {
  return m->stored && m->stored[index] && m->stored[index]->transposed;
}

static uint8_t dtype_of(build *b, forge_tid x) {
  forge_tensor t;
  if (b->status) return FORGE_DTYPE_NONE;
  b->status = forge_builder_describe(b->builder, x, &t);
  return b->status ? FORGE_DTYPE_NONE : t.dtype;
}

/* Norm weights and biases of half-precision files are used in F32. */
static forge_tid as_f32(build *b, forge_tid x) {
  if (x == FORGE_TID_NONE || dtype_of(b, x) == FORGE_F32) return x;
  return build_cast(b, x, FORGE_F32);
}

/* The rounded form that enters a matrix product; block types stay as they are stored. */
static forge_tid rounded(const model *m, forge_tid x) {
  if (m->compute_dtype != FORGE_BF16) return x;
  const uint8_t dtype = dtype_of(m->b, x);
  return dtype == FORGE_F32 || dtype == FORGE_F16 ? build_cast(m->b, x, FORGE_BF16) : x;
}

static forge_tid bias_at(const model *m, uint32_t index) {
  return arch_has_bias(m->config) ? as_f32(m->b, m->params[index + 1]) : FORGE_TID_NONE;
}

static forge_tid linear(const model *m, forge_tid x, uint32_t layer, uint32_t row) {
  const uint32_t index = arch_row_index(m->config, layer, row);
  return build_linear(m->b, rounded(m, x), rounded(m, m->params[index]), bias_at(m, index),
                      is_transposed(m, index));
}

static forge_tid norm_at(const model *m, forge_tid x, uint32_t index) {
  const forge_tid w = as_f32(m->b, m->params[index]);
  if (m->config->family == FORGE_FAMILY_LLAMA)
    return build_rmsnorm(m->b, x, w, m->config->norm_eps);
  return build_layernorm(m->b, x, w, bias_at(m, index), m->config->norm_eps);
}

static forge_tid norm(const model *m, forge_tid x, uint32_t layer, uint32_t row) {
  return norm_at(m, x, arch_row_index(m->config, layer, row));
}

static forge_tid embedding(const model *m, uint32_t index, forge_tid ids) {
  return as_f32(m->b, build_gather(m->b, m->params[index], ids));
}

/* [B*T, heads*D] -> [B, T, heads, D]. */
static forge_tid split_heads(const model *m, forge_tid x, int64_t heads) {
  const int64_t dim[] = {m->in->batch, m->in->tokens, heads, m->config->head_dim};
  return build_reshape(m->b, x, 4, dim);
}

/* [T], or [B, T] for a batch. */
static forge_tid positions_of(const model *m) {
  const int64_t dim[] = {m->in->batch, m->in->tokens};
  return m->in->batch == 1 ? m->in->positions : build_reshape(m->b, m->in->positions, 2, dim);
}

static forge_tid rope(const model *m, forge_tid x) {
  const forge_attr_rope attr = {
      .base = m->config->rope_base,
      .scale = m->config->rope_scale > 0 ? m->config->rope_scale : 1,
      .n_rot = m->config->head_dim,
      .flags = m->config->rope_style == FORGE_ROPE_STYLE_INTERLEAVED ? FORGE_ROPE_INTERLEAVED : 0u};
  return build_rope(m->b, x, positions_of(m), m->in->rope_freqs, &attr);
}

/* Declares the pages of one layer's keys or values and writes this run's tokens into them. */
static forge_tid write_pages(const model *m, uint32_t layer, char which, forge_tid x) {
  const int64_t heads = m->config->n_kv_head, head_dim = m->config->head_dim;
  const int64_t pages_dim[] = {m->in->n_pages, m->in->page_tokens, heads, head_dim};
  const int64_t src_dim[] = {m->in->tokens, heads, head_dim};
  char name[32];
  snprintf(name, sizeof name, "kv.%u.%c", layer, which);
  const forge_tid pages =
      build_tensor(m->b, FORGE_ROLE_STATE, name, m->in->kv_dtype, 4, pages_dim, NULL);
  return build_kv_write(m->b, pages, m->in->slots, build_reshape(m->b, x, 3, src_dim));
}

/* q [B, T, H, D], k and v [B, T, KVH, D] -> [B*T, H*D]. */
static forge_tid attention(const model *m, uint32_t layer, forge_tid q, forge_tid k, forge_tid v) {
  const int64_t dim[] = {m->in->batch * m->in->tokens,
                         (int64_t)m->config->n_head * m->config->head_dim};
  const forge_attr_attention attr = {.scale = 1 / sqrt((double)m->config->head_dim),
                                     .flags = FORGE_ATTENTION_CAUSAL};
  forge_tid starts = FORGE_TID_NONE;
  if (m->in->page_table != FORGE_TID_NONE) {
    k = write_pages(m, layer, 'k', k);
    v = write_pages(m, layer, 'v', v);
    starts = m->in->starts;
  }
  return build_reshape(m->b, build_attention(m->b, q, k, v, starts, m->in->page_table, &attr), 2,
                       dim);
}

static forge_tid llama_layer(const model *m, uint32_t layer, forge_tid x) {
  build *b = m->b;
  forge_tid h = norm(m, x, layer, LLAMA_ATTN_NORM);
  const forge_tid q = rope(m, split_heads(m, linear(m, h, layer, LLAMA_ATTN_Q), m->config->n_head));
  const forge_tid k =
      rope(m, split_heads(m, linear(m, h, layer, LLAMA_ATTN_K), m->config->n_kv_head));
  const forge_tid v = split_heads(m, linear(m, h, layer, LLAMA_ATTN_V), m->config->n_kv_head);
  x = build_add(b, x, linear(m, attention(m, layer, q, k, v), layer, LLAMA_ATTN_OUTPUT));
  h = norm(m, x, layer, LLAMA_FFN_NORM);
  h = build_swiglu(b, linear(m, h, layer, LLAMA_FFN_GATE), linear(m, h, layer, LLAMA_FFN_UP));
  return build_add(b, x, linear(m, h, layer, LLAMA_FFN_DOWN));
}

static forge_tid gpt2_layer(const model *m, uint32_t layer, forge_tid x) {
  build *b = m->b;
  const int64_t heads = m->config->n_head, kv_heads = m->config->n_kv_head;
  forge_tid h = linear(m, norm(m, x, layer, GPT2_ATTN_NORM), layer, GPT2_ATTN_QKV);
  h = split_heads(m, h, heads + 2 * kv_heads);
  const forge_tid q = build_slice(b, h, 2, 0, heads);
  const forge_tid k = build_slice(b, h, 2, heads, kv_heads);
  const forge_tid v = build_slice(b, h, 2, heads + kv_heads, kv_heads);
  x = build_add(b, x, linear(m, attention(m, layer, q, k, v), layer, GPT2_ATTN_OUTPUT));
  h = linear(m, norm(m, x, layer, GPT2_FFN_NORM), layer, GPT2_FFN_UP);
  return build_add(b, x, linear(m, build_unary(b, h, FORGE_UNARY_GELU), layer, GPT2_FFN_DOWN));
}

forge_tid arch_hidden(build *b, const forge_model_config *config, const model_tensor *const *stored,
                      const forge_tid *params, const arch_inputs *inputs) {
  const model m = {b, config, stored, params, inputs, inputs->compute_dtype};
  forge_tid x = embedding(&m, ARCH_TOKENS, inputs->ids);
  if (config->family == FORGE_FAMILY_GPT2)
    x = build_add(b, x, embedding(&m, ARCH_POSITIONS, inputs->positions));
  for (uint32_t layer = 0; layer < config->n_layer && !b->status; layer++)
    x = config->family == FORGE_FAMILY_GPT2 ? gpt2_layer(&m, layer, x) : llama_layer(&m, layer, x);
  return norm_at(&m, x, arch_norm_index(config));
}

forge_tid arch_logits(build *b, const forge_model_config *config, const model_tensor *const *stored,
                      const forge_tid *params, forge_tid hidden, uint32_t compute_dtype) {
  const model m = {b, config, stored, params, NULL, compute_dtype};
  const uint32_t index = arch_head_index(config);
  return build_linear(b, rounded(&m, hidden), rounded(&m, params[index]), FORGE_TID_NONE,
                      is_transposed(&m, index));
}
