/* sample_files.c -- the samples as files of each format. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "samples.h"

/* ---- GGUF ---- */

static void key(gguf_file *g, const char *name, uint32_t type) {
  put_str(&g->keys, name);
  put_u32(&g->keys, type);
  g->n_keys++;
}

void gguf_key_u32(gguf_file *g, const char *name, uint32_t value) {
  key(g, name, 4);
  put_u32(&g->keys, value);
}

void gguf_key_f32(gguf_file *g, const char *name, float value) {
  key(g, name, 6);
  put_f32(&g->keys, value);
}

void gguf_key_str(gguf_file *g, const char *name, const char *value) {
  key(g, name, 8);
  put_str(&g->keys, value);
}

static void align(bytes *b, size_t to) {
  while (b->n % to) put(b, "", 1);
}

void gguf_add(gguf_file *g, const char *name, uint32_t type, uint32_t rank, const int64_t *dim,
              const void *data, size_t n, int64_t offset) {
  align(&g->data, 32);
  put_str(&g->records, name);
  put_u32(&g->records, rank);
  for (uint32_t k = rank; k-- > 0;) put_u64(&g->records, (uint64_t)dim[k]);
  put_u32(&g->records, type);
  put_u64(&g->records, offset < 0 ? g->data.n : (uint64_t)offset);
  put(&g->data, data, n);
  g->n_tensors++;
}

void gguf_save(gguf_file *g, const char *path) {
  bytes b = {0};
  put(&b, "GGUF", 4);
  put_u32(&b, 3);
  put_u64(&b, g->n_tensors);
  put_u64(&b, g->n_keys);
  put(&b, g->keys.p, g->keys.n);
  put(&b, g->records.p, g->records.n);
  align(&b, 32);
  put(&b, g->data.p, g->data.n);
  free(g->keys.p);
  free(g->records.p);
  free(g->data.p);
  *g = (gguf_file){0};
  save(&b, path);
}

static uint32_t gguf_number(uint8_t dtype) {
  switch (dtype) {
  case FORGE_F16: return 1;
  case FORGE_Q4_0: return 2;
  case FORGE_Q8_0: return 8;
  case FORGE_Q4_K: return 12;
  case FORGE_Q6_K: return 14;
  case FORGE_BF16: return 30;
  default: return 0;
  }
}

static void fill_keys(gguf_file *g, const forge_model_config *c, const char *arch) {
  char name[96];
#define KEY(suffix) (snprintf(name, sizeof name, "%s.%s", arch, suffix), name)
  gguf_key_str(g, "general.architecture", arch);
  gguf_key_u32(g, KEY("context_length"), c->n_ctx);
  gguf_key_u32(g, KEY("embedding_length"), c->n_embd);
  gguf_key_u32(g, KEY("block_count"), c->n_layer);
  gguf_key_u32(g, KEY("feed_forward_length"), c->n_ff);
  gguf_key_u32(g, KEY("attention.head_count"), c->n_head);
  gguf_key_u32(g, KEY("attention.head_count_kv"), c->n_kv_head);
  gguf_key_f32(g,
               KEY(c->family == FORGE_FAMILY_GPT2 ? "attention.layer_norm_epsilon"
                                                  : "attention.layer_norm_rms_epsilon"),
               (float)c->norm_eps);
#undef KEY
}

void gguf_fill(gguf_file *g, const sample *s) {
  fill_keys(g, &s->config, s->config.family == FORGE_FAMILY_GPT2 ? "gpt2" : "llama");
  for (uint32_t i = 0; i < s->n; i++) {
    const model_tensor *t = &s->tensors[i];
    gguf_add(g, t->name, gguf_number(t->dtype), t->rank, t->dim, t->data, t->bytes, -1);
  }
}

void sample_gguf(const sample *s, const char *path) {
  gguf_file g = {0};
  gguf_fill(&g, s);
  gguf_save(&g, path);
}

/* ---- safetensors ---- */

void safetensors_add(safetensors_file *f, const char *name, const char *type, uint32_t rank,
                     const int64_t *dim, const void *data, size_t n) {
  char entry[512];
  int k = snprintf(entry, sizeof entry, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[",
                   f->header.n ? "," : "{", name, type);
  for (uint32_t i = 0; i < rank; i++)
    k += snprintf(entry + k, sizeof entry - (size_t)k, "%s%lld", i ? "," : "", (long long)dim[i]);
  k += snprintf(entry + k, sizeof entry - (size_t)k, "],\"data_offsets\":[%zu,%zu]}", f->data.n,
                f->data.n + n);
  put(&f->header, entry, (size_t)k);
  put(&f->data, data, n);
}

void safetensors_save(safetensors_file *f, const char *path) {
  bytes b = {0};
  put(&f->header, "}", 1);
  put_u64(&b, f->header.n);
  put(&b, f->header.p, f->header.n);
  put(&b, f->data.p, f->data.n);
  free(f->header.p);
  free(f->data.p);
  *f = (safetensors_file){0};
  save(&b, path);
}

/* ours, Hugging Face's llama, Meta's, gpt2's. Longer names of ours first. */
static const char *const names[][4] = {
    {"token_embd", "model.embed_tokens", "tok_embeddings", "wte"},
    {"position_embd", "", "", "wpe"},
    {"output_norm", "model.norm", "norm", "ln_f"},
    {"attn_norm", "input_layernorm", "attention_norm", "ln_1"},
    {"attn_qkv", "", "", "attn.c_attn"},
    {"attn_q", "self_attn.q_proj", "attention.wq", ""},
    {"attn_k", "self_attn.k_proj", "attention.wk", ""},
    {"attn_v", "self_attn.v_proj", "attention.wv", ""},
    {"attn_output", "self_attn.o_proj", "attention.wo", "attn.c_proj"},
    {"ffn_norm", "post_attention_layernorm", "ffn_norm", "ln_2"},
    {"ffn_gate", "mlp.gate_proj", "feed_forward.w1", ""},
    {"ffn_up", "mlp.up_proj", "feed_forward.w3", "mlp.c_fc"},
    {"ffn_down", "mlp.down_proj", "feed_forward.w2", "mlp.c_proj"},
    {"output", "lm_head", "output", "lm_head"}};

static void their_name(const char *ours, int convention, char out[128]) {
  static const char *const layer[] = {"", "model.layers.", "layers.", "h.", "transformer.h."};
  const int column = convention < NAMES_GPT2 ? convention : NAMES_GPT2;
  char stem[64];
  unsigned n = 0;
  const bool in_layer = sscanf(ours, "blk.%u.%63s", &n, stem) == 2;
  if (!in_layer) snprintf(stem, sizeof stem, "%s", ours);
  char *dot = strrchr(stem, '.');
  *dot = 0;
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    if (strcmp(names[i][0], stem)) continue;
    const bool head = !strcmp(stem, "output");
    if (in_layer)
      snprintf(out, 128, "%s%u.%s.%s", layer[convention], n, names[i][column], dot + 1);
    else
      snprintf(out, 128, "%s%s.%s", convention == NAMES_GPT2_ROOTED && !head ? "transformer." : "",
               names[i][column], dot + 1);
  }
}

static bool is_conv1d(const char *name) {
  return strstr(name, "c_attn.weight") || strstr(name, "c_proj.weight") ||
         strstr(name, "c_fc.weight");
}

/* Row 2i+s of a head becomes row i + s*half. */
static void halve(const model_tensor *t, int64_t head_dim, uint8_t *out) {
  const size_t row = t->bytes / (size_t)t->dim[0];
  for (int64_t r = 0; r < t->dim[0]; r++) {
    const int64_t i = r % head_dim, to = r - i + i / 2 + i % 2 * (head_dim / 2);
    memcpy(out + (size_t)to * row, (const uint8_t *)t->data + (size_t)r * row, row);
  }
}

static void turn(const model_tensor *t, uint8_t *out) {
  const size_t rows = (size_t)t->dim[0], cols = (size_t)t->dim[1], each = t->bytes / rows / cols;
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < cols; c++)
      memcpy(out + (c * rows + r) * each, (const uint8_t *)t->data + (r * cols + c) * each, each);
}

void sample_safetensors(const sample *s, int convention, uint32_t first, uint32_t n,
                        const char *path) {
  safetensors_file f = {0};
  for (uint32_t i = first; i < s->n && i - first < n; i++) {
    const model_tensor *t = &s->tensors[i];
    const char *type = t->dtype == FORGE_F16 ? "F16" : t->dtype == FORGE_BF16 ? "BF16" : "F32";
    char name[128] = "";
    their_name(t->name, convention, name);
    int64_t dim[2] = {t->dim[0], t->dim[1]};
    uint8_t *data = malloc(t->bytes);
    memcpy(data, t->data, t->bytes);
    if (convention == NAMES_HF && (strstr(name, "q_proj") || strstr(name, "k_proj")))
      halve(t, s->config.head_dim, data);
    if (convention >= NAMES_GPT2 && is_conv1d(name)) {
      turn(t, data);
      dim[0] = t->dim[1];
      dim[1] = t->dim[0];
    }
    safetensors_add(&f, name, type, t->rank, dim, data, t->bytes);
    free(data);
  }
  safetensors_save(&f, path);
}

void sample_config_json(const sample *s, const char *path, const char *more) {
  const forge_model_config *c = &s->config;
  char out[2048];
  if (c->family == FORGE_FAMILY_GPT2)
    snprintf(out, sizeof out,
             "{\"model_type\":\"gpt2\",\"vocab_size\":%u,\"n_positions\":%u,\"n_embd\":%u,"
             "\"n_layer\":%u,\"n_head\":%u,\"layer_norm_epsilon\":%g%s}",
             c->n_vocab, c->n_ctx, c->n_embd, c->n_layer, c->n_head, c->norm_eps, more);
  else
    snprintf(out, sizeof out,
             "{\"model_type\":\"llama\",\"vocab_size\":%u,\"max_position_embeddings\":%u,"
             "\"hidden_size\":%u,\"num_hidden_layers\":%u,\"num_attention_heads\":%u,"
             "\"num_key_value_heads\":%u,\"intermediate_size\":%u,\"rms_norm_eps\":%g%s}",
             c->n_vocab, c->n_ctx, c->n_embd, c->n_layer, c->n_head, c->n_kv_head, c->n_ff,
             c->norm_eps, more);
  save_text(path, out);
}

/* ---- llama2.c ---- */

static void put_kind(bytes *b, const sample *s, const char *kind) {
  char name[64];
  for (uint32_t i = 0; i < s->config.n_layer; i++) {
    snprintf(name, sizeof name, "blk.%u.%s.weight", i, kind);
    const model_tensor *t = sample_find(s, name);
    put(b, t->data, t->bytes);
  }
}

static void put_one(bytes *b, const sample *s, const char *name) {
  const model_tensor *t = sample_find(s, name);
  put(b, t->data, t->bytes);
}

void sample_bin(const sample *s, const char *path) {
  static const char *const kinds[] = {"attn_norm", "attn_q",   "attn_k",   "attn_v", "attn_output",
                                      "ffn_norm",  "ffn_gate", "ffn_down", "ffn_up"};
  const forge_model_config *c = &s->config;
  bytes b = {0};
  put_u32(&b, c->n_embd);
  put_u32(&b, c->n_ff);
  put_u32(&b, c->n_layer);
  put_u32(&b, c->n_head);
  put_u32(&b, c->n_kv_head);
  put_u32(&b, c->tied_head ? c->n_vocab : 0u - c->n_vocab);
  put_u32(&b, c->n_ctx);
  put_one(&b, s, "token_embd.weight");
  for (size_t i = 0; i < COUNT_OF(kinds); i++) put_kind(&b, s, kinds[i]);
  put_one(&b, s, "output_norm.weight");
  for (uint32_t i = 0; i < c->n_ctx * c->head_dim; i++) put_f32(&b, 0);
  if (!c->tied_head) put_one(&b, s, "output.weight");
  save(&b, path);
}
