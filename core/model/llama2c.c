/* llama2c.c -- the .bin of karpathy/llama2.c, version 0: seven i32 (dim, hidden_dim, n_layers,
 * n_heads, n_kv_heads, vocab_size, seq_len), then F32 tensors, each kind for all layers together:
 * embedding, attention norms, wq, wk, wv, wo, ffn norms, w1, w2, w3, last norm, two tables of
 * rotary frequencies nobody reads any more, and the head unless vocab_size > 0 (then it is the
 * embedding). */
#include "llama2c.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "model_parts.h"

/* |per_layer|: one for each layer, of |rows| x |cols| (cols 0: a vector). */
enum { DIM = 1, HIDDEN, Q, KV, VOCAB };
static const struct {
  const char *name; /* canonical; of a layer, behind "blk.N." */
  uint8_t per_layer, rows, cols;
} kinds[] = {
    {"token_embd.weight", 0, VOCAB, DIM}, {"attn_norm.weight", 1, DIM, 0},
    {"attn_q.weight", 1, Q, DIM},         {"attn_k.weight", 1, KV, DIM},
    {"attn_v.weight", 1, KV, DIM},        {"attn_output.weight", 1, DIM, Q},
    {"ffn_norm.weight", 1, DIM, 0},       {"ffn_gate.weight", 1, HIDDEN, DIM},
    {"ffn_down.weight", 1, DIM, HIDDEN},  {"ffn_up.weight", 1, HIDDEN, DIM},
    {"output_norm.weight", 0, DIM, 0},
};

uint32_t llama2c_kinds(void) { return COUNT_OF(kinds); }

bool llama2c_tensor_name(uint32_t kind, uint32_t layer, char *out, size_t n) {
  if (kinds[kind].per_layer)
    snprintf(out, n, "blk.%" PRIu32 ".%s", layer, kinds[kind].name);
  else
    snprintf(out, n, "%s", kinds[kind].name);
  return kinds[kind].per_layer;
}

static int64_t extent(const llama2c_header *h, uint8_t which) {
  switch (which) {
  case DIM: return h->dim;
  case HIDDEN: return h->hidden_dim;
  case Q: return h->dim;
  case KV: return (int64_t)h->n_kv_heads * (h->dim / h->n_heads);
  case VOCAB: return h->vocab_size < 0 ? -(int64_t)h->vocab_size : h->vocab_size;
  default: return 1;
  }
}

static bool in_range(int32_t value, int32_t max) { return value > 0 && value <= max; }

static bool header_is_sane(const llama2c_header *h) {
  const int32_t vocab = h->vocab_size < 0 ? -(h->vocab_size + 1) : h->vocab_size;
  return in_range(h->dim, 1 << 20) && in_range(h->hidden_dim, 1 << 24) &&
         in_range(h->n_layers, 1 << 14) && in_range(h->n_heads, h->dim) &&
         in_range(h->n_kv_heads, h->n_heads) && in_range(vocab, 1 << 24) &&
         in_range(h->seq_len, 1 << 24) && h->dim % h->n_heads == 0 &&
         h->n_heads % h->n_kv_heads == 0 && h->dim / h->n_heads % 2 == 0;
}

uint64_t llama2c_table_bytes(const llama2c_header *h) {
  return 4ull * (uint64_t)h->seq_len * (uint64_t)(h->dim / h->n_heads);
}

/* With the limits of header_is_sane() no product overflows. */
static uint64_t file_bytes(const llama2c_header *h) {
  uint64_t elems = 0;
  for (size_t k = 0; k < COUNT_OF(kinds); k++) {
    const uint64_t each = (uint64_t)extent(h, kinds[k].rows) * (uint64_t)extent(h, kinds[k].cols);
    elems += each * (kinds[k].per_layer ? (uint64_t)h->n_layers : 1);
  }
  if (h->vocab_size < 0) elems += (uint64_t)extent(h, VOCAB) * (uint64_t)h->dim;
  return sizeof *h + 4 * elems + llama2c_table_bytes(h);
}

static bool read_header(const uint8_t *data, uint64_t bytes, llama2c_header *h) {
  if (bytes < sizeof *h) return false;
  memcpy(h, data, sizeof *h);
  return header_is_sane(h);
}

bool llama2c_is(const uint8_t *data, uint64_t bytes) {
  llama2c_header h;
  return read_header(data, bytes, &h) && file_bytes(&h) == bytes;
}

static forge_status check_file(const char *path, const file_map *map, llama2c_header *h) {
  if (!read_header(map->data, map->bytes, h))
    return FAIL(FORGE_E_CORRUPT,
                "%s: the seven numbers at its start are no llama2.c header: another kind of file, "
                "or damaged",
                path);
  if (file_bytes(h) != map->bytes)
    return FAIL(FORGE_E_CORRUPT,
                "%s: its header needs %" PRIu64 " bytes and it has %" PRIu64
                ": it is truncated or damaged; get it again",
                path, file_bytes(h), map->bytes);
  return FORGE_OK;
}

static void configure(const llama2c_header *h, forge_model_config *c) {
  *c = (forge_model_config){.size = sizeof *c,
                            .family = FORGE_FAMILY_LLAMA,
                            .n_vocab = (uint32_t)extent(h, VOCAB),
                            .n_ctx = (uint32_t)h->seq_len,
                            .n_embd = (uint32_t)h->dim,
                            .n_layer = (uint32_t)h->n_layers,
                            .n_head = (uint32_t)h->n_heads,
                            .n_kv_head = (uint32_t)h->n_kv_heads,
                            .head_dim = (uint32_t)(h->dim / h->n_heads),
                            .n_ff = (uint32_t)h->hidden_dim,
                            .tied_head = h->vocab_size > 0,
                            .rope_style = FORGE_ROPE_STYLE_INTERLEAVED,
                            .norm_eps = LLAMA2C_NORM_EPS,
                            .rope_base = LLAMA2C_ROPE_BASE,
                            .rope_scale = 1};
}

static forge_status add(forge_model *m, const char *name, int64_t rows, int64_t cols,
                        const uint8_t **at) {
  const model_tensor t = {.dtype = FORGE_F32,
                          .rank = cols ? 2 : 1,
                          .dim = {rows, cols},
                          .data = *at,
                          .bytes = 4 * (uint64_t)rows * (uint64_t)(cols ? cols : 1)};
  *at += t.bytes;
  return model_add(m, name, NULL, &t);
}

static forge_status add_all(forge_model *m, const llama2c_header *h, const uint8_t *at) {
  char name[MODEL_NAME_BYTES];
  for (uint32_t k = 0; k < COUNT_OF(kinds); k++) {
    const int64_t rows = extent(h, kinds[k].rows),
                  cols = kinds[k].cols ? extent(h, kinds[k].cols) : 0;
    for (int32_t layer = 0; layer < (kinds[k].per_layer ? h->n_layers : 1); layer++) {
      llama2c_tensor_name(k, (uint32_t)layer, name, sizeof name);
      TRY(add(m, name, rows, cols, &at));
    }
  }
  at += llama2c_table_bytes(h);
  return h->vocab_size > 0 ? FORGE_OK : add(m, "output.weight", extent(h, VOCAB), h->dim, &at);
}

forge_status model_read_llama2c(forge_model *m) {
  file_map map;
  llama2c_header h;
  TRY(file_map_open(m->path, &map));
  const forge_status st = check_file(m->path, &map, &h);
  if (st) {
    file_map_close(&map);
    return st;
  }
  const uint8_t *data = map.data;
  TRY(model_own_map(m, &map));
  configure(&h, &m->config);
  TRY(add_all(m, &h, data + sizeof h));
  return model_assemble(m);
}
