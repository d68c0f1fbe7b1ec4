/* gguf_write.c -- a model as a GGUF of version 3: keys, tensor records, then the data at multiples
 * of 32. */
#include <inttypes.h>
#include <string.h>

#include "gguf.h"
#include "model_write.h"

enum { ALIGNMENT = 32 };

/* The part before the data, built in memory; |keys| is patched in at the end. */
typedef struct head {
  text bytes;
  uint64_t keys;
  const char *arch; /* before the keys that are named after it */
} head;

static void put_u32(head *h, uint32_t x) { text_add_bytes(&h->bytes, &x, sizeof x); }
static void put_u64(head *h, uint64_t x) { text_add_bytes(&h->bytes, &x, sizeof x); }

static void put_string(head *h, const char *s, uint64_t n) {
  put_u64(h, n);
  text_add_bytes(&h->bytes, s, n);
}

static void put_name(head *h, const char *name, uint32_t type) {
  char full[96];
  if (*name == '.')
    snprintf(full, sizeof full, "%s%s", h->arch, name);
  else
    snprintf(full, sizeof full, "%s", name);
  put_string(h, full, strlen(full));
  put_u32(h, type);
  h->keys++;
}

static void key_u32(head *h, const char *name, uint32_t value) {
  put_name(h, name, GGUF_U32);
  put_u32(h, value);
}

static void key_f32(head *h, const char *name, double value) {
  const float f = (float)value;
  put_name(h, name, GGUF_F32);
  text_add_bytes(&h->bytes, &f, sizeof f);
}

static void key_bool(head *h, const char *name, bool value) {
  const uint8_t byte = value;
  put_name(h, name, GGUF_BOOL);
  text_add_bytes(&h->bytes, &byte, 1);
}

static void key_string(head *h, const char *name, const char *value) {
  put_name(h, name, GGUF_STRING);
  put_string(h, value, strlen(value));
}

static void key_array(head *h, const char *name, uint32_t type, uint64_t n) {
  put_name(h, name, GGUF_ARRAY);
  put_u32(h, type);
  put_u64(h, n);
}

static void key_pieces(head *h, const char *name, const tokenizer_piece *pieces, uint32_t n) {
  key_array(h, name, GGUF_STRING, n);
  for (uint32_t i = 0; i < n; i++) put_string(h, pieces[i].s, pieces[i].n);
}

static void key_id(head *h, const char *name, int32_t id) {
  if (id >= 0) key_u32(h, name, (uint32_t)id);
}

/* llama.cpp's number for "mostly of this type". */
static uint32_t file_type(const model_source *s) {
  const model_tensor *t = model_source_find(s, "blk.0.ffn_up.weight");
  switch (t ? t->dtype : FORGE_F32) {
  case FORGE_F16: return 1;
  case FORGE_Q4_0: return 2;
  case FORGE_Q8_0: return 7;
  case FORGE_Q4_K: return 14;
  case FORGE_Q6_K: return 18;
  case FORGE_BF16: return 32;
  default: return 0;
  }
}

static void put_config(head *h, const model_source *s) {
  const forge_model_config *c = s->config;
  const bool llama = c->family == FORGE_FAMILY_LLAMA;
  h->arch = llama ? "llama" : "gpt2";
  key_string(h, "general.architecture", h->arch);
  key_u32(h, "general.file_type", file_type(s));
  key_u32(h, "general.quantization_version", 2);
  key_u32(h, ".vocab_size", c->n_vocab);
  key_u32(h, ".context_length", c->n_ctx);
  key_u32(h, ".embedding_length", c->n_embd);
  key_u32(h, ".block_count", c->n_layer);
  key_u32(h, ".feed_forward_length", c->n_ff);
  key_u32(h, ".attention.head_count", c->n_head);
  key_u32(h, ".attention.head_count_kv", c->n_kv_head);
  key_f32(h, llama ? ".attention.layer_norm_rms_epsilon" : ".attention.layer_norm_epsilon",
          c->norm_eps);
  if (!llama) return;
  key_u32(h, ".attention.key_length", c->head_dim);
  key_u32(h, ".attention.value_length", c->head_dim);
  key_u32(h, ".rope.dimension_count", c->head_dim);
  key_f32(h, ".rope.freq_base", c->rope_base);
  if (c->rope_scale == 1) return;
  key_string(h, ".rope.scaling.type", "linear");
  key_f32(h, ".rope.scaling.factor", 1 / c->rope_scale);
}

static void put_vocabulary(head *h, const tokenizer_gguf *v) {
  key_string(h, "tokenizer.ggml.model", v->model);
  key_string(h, "tokenizer.ggml.pre", v->pre);
  key_pieces(h, "tokenizer.ggml.tokens", v->pieces, v->n);
  if (v->scores) {
    key_array(h, "tokenizer.ggml.scores", GGUF_F32, v->n);
    text_add_bytes(&h->bytes, v->scores, v->n * sizeof *v->scores);
  }
  key_array(h, "tokenizer.ggml.token_type", GGUF_I32, v->n);
  text_add_bytes(&h->bytes, v->types, v->n * sizeof *v->types);
  if (!v->scores) key_pieces(h, "tokenizer.ggml.merges", v->merges, v->n_merges);
  key_id(h, "tokenizer.ggml.bos_token_id", v->bos);
  key_id(h, "tokenizer.ggml.eos_token_id", v->eos);
  key_id(h, "tokenizer.ggml.unknown_token_id", v->unk);
  key_id(h, "tokenizer.ggml.padding_token_id", v->pad);
  key_bool(h, "tokenizer.ggml.add_bos_token", v->add_bos);
  key_bool(h, "tokenizer.ggml.add_eos_token", v->add_eos);
  key_bool(h, "tokenizer.ggml.add_space_prefix", v->add_space_prefix);
  key_bool(h, "tokenizer.ggml.remove_extra_whitespaces", v->remove_extra_spaces);
}

static forge_status put_tokenizer(head *h, const forge_tokenizer *tokenizer) {
  tokenizer_gguf view;
  if (!tokenizer) return FORGE_OK;
  TRY(tokenizer_gguf_view(tokenizer, &view));
  put_vocabulary(h, &view);
  tokenizer_gguf_free(&view);
  return FORGE_OK;
}

static uint64_t padded(uint64_t n) { return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

static forge_status put_records(head *h, const model_source *s) {
  uint64_t offset = 0;
  for (uint32_t i = 0; i < s->n; i++) {
    const model_tensor *t = &s->tensors[i];
    const int32_t type = gguf_type_of_dtype(t->dtype);
    if (type < 0)
      return FAIL(FORGE_E_UNSUPPORTED, "tensor %s: GGUF has no type %s", t->name,
                  dtype_name(t->dtype));
    put_string(h, t->name, strlen(t->name));
    put_u32(h, t->rank);
    for (uint32_t k = t->rank; k-- > 0;) put_u64(h, (uint64_t)t->dim[k]);
    put_u32(h, (uint32_t)type);
    put_u64(h, offset);
    offset += padded(model_tensor_bytes(t));
  }
  return FORGE_OK;
}

static forge_status put_padding(uint64_t written, FILE *stream) {
  static const uint8_t zeros[ALIGNMENT];
  return model_put_bytes(zeros, padded(written) - written, stream);
}

static forge_status put_all(head *h, model_source *s, FILE *stream) {
  text_add_bytes(&h->bytes, "GGUF", 4);
  put_u32(h, 3);
  put_u64(h, s->n);
  const size_t count_at = h->bytes.n;
  put_u64(h, 0);
  put_config(h, s);
  TRY(put_tokenizer(h, s->tokenizer));
  TRY(put_records(h, s));
  if (h->bytes.failed) return FAIL(FORGE_E_OOM, "no memory for the header");
  memcpy(h->bytes.s + count_at, &h->keys, sizeof h->keys);
  TRY(model_put_bytes(h->bytes.s, h->bytes.n, stream));
  TRY(put_padding(h->bytes.n, stream));
  for (uint32_t i = 0; i < s->n; i++) {
    TRY(model_put(s, i, FORGE_ROPE_STYLE_INTERLEAVED, stream));
    TRY(put_padding(model_tensor_bytes(&s->tensors[i]), stream));
  }
  return FORGE_OK;
}

forge_status gguf_write(const char *path, model_source *s) {
  file_writer w;
  head h = {0};
  TRY(file_writer_open(path, &w));
  forge_status st = put_all(&h, s, w.stream);
  if (st) st = base_fail_in(st, "%s", path);
  text_finish(&h.bytes);
  if (!st) return file_writer_commit(&w);
  file_writer_abandon(&w);
  return st;
}
