/* sample.c -- see sample.h. */
#include "sample.h"

void sample_add(sample_bytes *b, const void *s, size_t n) {
  if (b->n + n + 1 > b->cap) {
    b->cap = 2 * (b->n + n + 1);
    b->s = realloc(b->s, b->cap);
    assert_non_null(b->s);
  }
  if (n) memcpy(b->s + b->n, s, n);
  b->n += n;
  b->s[b->n] = 0;
}

void sample_print(sample_bytes *b, const char *format, ...) {
  char *line;
  va_list args;
  va_start(args, format);
  const int n = vasprintf(&line, format, args);
  va_end(args);
  assert_true(n >= 0);
  sample_add(b, line, (size_t)n);
  free(line);
}

void sample_spm(sample_vocab *out, const char *const *words) {
  memset(out, 0, sizeof *out);
  static const char *const named[] = {"<unk>", "<s>", "</s>"};
  uint32_t n = 0;
  for (; n < 3; n++) {
    out->pieces[n] = (tokenizer_piece){.s = named[n], .n = (uint32_t)strlen(named[n])};
    out->types[n] = n ? TOKENIZER_CONTROL : TOKENIZER_UNKNOWN;
  }
  for (uint32_t byte = 0; byte < 256; byte++, n++) {
    snprintf(out->bytes[byte], sizeof out->bytes[byte], "<0x%02X>", byte);
    out->pieces[n] = (tokenizer_piece){.s = out->bytes[byte], .n = 6};
    out->types[n] = TOKENIZER_BYTE;
  }
  for (uint32_t i = 0; words[i]; i++, n++) {
    assert_true(n < 320);
    out->pieces[n] = (tokenizer_piece){.s = words[i], .n = (uint32_t)strlen(words[i])};
    out->types[n] = TOKENIZER_NORMAL;
    out->scores[n] = -(float)i - 1;
  }
  out->v = (tokenizer_vocab){.kind = TOKENIZER_SPM,
                             .n = n,
                             .pieces = out->pieces,
                             .scores = out->scores,
                             .types = out->types,
                             .bos = 1,
                             .eos = 2,
                             .unk = 0,
                             .pad = -1,
                             .add_bos = true,
                             .byte_fallback = true,
                             .add_space_prefix = true};
}

/* ---- files ---- */

static void add_varint(sample_bytes *b, uint64_t x) {
  for (; x >= 0x80; x >>= 7) sample_add(b, &(char){(char)(x | 0x80)}, 1);
  sample_add(b, &(char){(char)x}, 1);
}

static void add_message(sample_bytes *b, int field, const char *s, size_t n) {
  add_varint(b, (uint64_t)field << 3 | 2);
  add_varint(b, n);
  sample_add(b, s, n);
}

static void add_number(sample_bytes *b, int field, uint64_t x) {
  add_varint(b, (uint64_t)field << 3);
  add_varint(b, x);
}

sample_bytes sample_spm_file(const sample_vocab *vocab, int model_type, const char *normalizer,
                             size_t normalizer_n) {
  sample_bytes file = {0};
  for (uint32_t i = 0; i < vocab->v.n; i++) {
    sample_bytes piece = {0};
    add_message(&piece, 1, vocab->pieces[i].s, vocab->pieces[i].n);
    add_varint(&piece, 2 << 3 | 5);
    sample_add(&piece, &vocab->scores[i], 4);
    if (vocab->types[i] != TOKENIZER_NORMAL) add_number(&piece, 3, vocab->types[i]);
    add_message(&file, 1, piece.s, piece.n);
    free(piece.s);
  }
  sample_bytes trainer = {0};
  add_number(&trainer, 3, (uint64_t)model_type);
  add_number(&trainer, 35, 1);
  add_message(&file, 2, trainer.s, trainer.n);
  free(trainer.s);
  static const char identity[] = {3 << 3, 1, 4 << 3, 0}; /* a prefix; spaces stay */
  add_message(&file, 3, normalizer ? normalizer : identity,
              normalizer ? normalizer_n : sizeof identity);
  return file;
}

sample_bytes sample_llama2c_file(const sample_vocab *vocab) {
  sample_bytes file = {0};
  sample_add(&file, &(int32_t){16}, 4);
  for (uint32_t i = 0; i < vocab->v.n; i++) {
    sample_bytes piece = {0};
    const tokenizer_piece p = vocab->pieces[i];
    if (i == 1 || i == 2) sample_print(&piece, "\n%s\n", p.s);
    for (uint32_t k = 0; k < p.n && i != 1 && i != 2;) {
      const bool mark = p.n - k >= 3 && !memcmp(p.s + k, "\xE2\x96\x81", 3);
      sample_add(&piece, mark ? " " : p.s + k, 1);
      k += mark ? 3 : 1;
    }
    sample_add(&file, &vocab->scores[i], 4);
    const int32_t n = (int32_t)piece.n;
    sample_add(&file, &n, 4);
    sample_add(&file, piece.s, piece.n);
    free(piece.s);
  }
  return file;
}

static void add_u64(sample_bytes *b, uint64_t x) { sample_add(b, &x, 8); }
static void add_u32(sample_bytes *b, uint32_t x) { sample_add(b, &x, 4); }

static void add_key(sample_bytes *b, const char *name, uint32_t type) {
  char key[64];
  const int n = snprintf(key, sizeof key, "tokenizer.ggml.%s", name);
  add_u64(b, (uint64_t)n);
  sample_add(b, key, (size_t)n);
  add_u32(b, type);
}

static void add_text_key(sample_bytes *b, const char *name, const char *value) {
  add_key(b, name, GGUF_STRING);
  add_u64(b, strlen(value));
  sample_add(b, value, strlen(value));
}

static void add_list_key(sample_bytes *b, const char *name, uint32_t type, uint64_t n) {
  add_key(b, name, GGUF_ARRAY);
  add_u32(b, type);
  add_u64(b, n);
}

static void add_texts(sample_bytes *b, const char *name, const tokenizer_piece *texts, uint32_t n) {
  add_list_key(b, name, GGUF_STRING, n);
  for (uint32_t i = 0; i < n; i++) {
    add_u64(b, texts[i].n);
    sample_add(b, texts[i].s, texts[i].n);
  }
}

static void add_switch(sample_bytes *b, const char *name, bool on) {
  add_key(b, name, GGUF_BOOL);
  sample_add(b, &(char){(char)on}, 1);
}

static uint64_t add_id(sample_bytes *b, const char *name, int32_t id) {
  if (id < 0) return 0;
  add_key(b, name, GGUF_U32);
  add_u32(b, (uint32_t)id);
  return 1;
}

sample_bytes sample_gguf_file(const forge_tokenizer *t) {
  tokenizer_gguf view;
  assert_ok(tokenizer_gguf_view(t, &view));
  sample_bytes keys = {0}, file = {0};
  uint64_t n = 8;
  add_text_key(&keys, "model", view.model);
  add_text_key(&keys, "pre", view.pre);
  add_texts(&keys, "tokens", view.pieces, view.n);
  add_list_key(&keys, "token_type", GGUF_I32, view.n);
  sample_add(&keys, view.types, view.n * sizeof *view.types);
  if (view.scores) {
    add_list_key(&keys, "scores", GGUF_F32, view.n);
    sample_add(&keys, view.scores, view.n * sizeof *view.scores);
    n++;
  }
  if (view.merges) {
    add_texts(&keys, "merges", view.merges, view.n_merges);
    n++;
  }
  add_switch(&keys, "add_bos_token", view.add_bos);
  add_switch(&keys, "add_eos_token", view.add_eos);
  add_switch(&keys, "add_space_prefix", view.add_space_prefix);
  add_switch(&keys, "remove_extra_whitespaces", view.remove_extra_spaces);
  n += add_id(&keys, "bos_token_id", view.bos) + add_id(&keys, "eos_token_id", view.eos) +
       add_id(&keys, "unknown_token_id", view.unk) + add_id(&keys, "padding_token_id", view.pad);
  tokenizer_gguf_free(&view);
  sample_add(&file, "GGUF", 4);
  add_u32(&file, 3);
  add_u64(&file, 0);
  add_u64(&file, n);
  sample_add(&file, keys.s, keys.n);
  while (file.n % 32) sample_add(&file, "", 1);
  free(keys.s);
  return file;
}

char *sample_json(const char *rules, const char *flags, const char *vocab, const char *merges) {
  sample_bytes b = {0};
  sample_print(&b, "{%s%s\"model\": {\"type\": \"BPE\"%s%s, \"vocab\": {%s}, \"merges\": [%s]}}",
               rules, *rules ? "," : "", *flags ? "," : "", flags, vocab, merges);
  return b.s;
}

/* ---- questions ---- */

forge_tokenizer *sample_open_json(const char *json) {
  forge_tokenizer *t = NULL;
  assert_ok(tokenizer_from_json(json, strlen(json), &t));
  return t;
}

forge_tokenizer *sample_open_vocab(const tokenizer_vocab *v) {
  forge_tokenizer *t = NULL;
  assert_ok(tokenizer_from_vocab(v, &t));
  return t;
}

int32_t *sample_encode(const forge_tokenizer *t, const char *s, size_t n, uint32_t flags,
                       uint64_t *out_n) {
  int32_t *ids = calloc(n + 16, sizeof *ids); /* rarely more than an id a byte */
  assert_non_null(ids);
  if (!forge_tokenizer_encode(t, s, n, flags, ids, n + 16, out_n)) return ids;
  free(ids);
  ids = calloc(*out_n + 1, sizeof *ids);
  assert_non_null(ids);
  assert_ok(forge_tokenizer_encode(t, s, n, flags, ids, *out_n, out_n));
  return ids;
}

char *sample_decode(const forge_tokenizer *t, int32_t previous, const int32_t *ids, uint64_t n,
                    uint32_t flags, uint64_t *out_n) {
  assert_ok(forge_tokenizer_decode(t, previous, ids, n, flags, NULL, 0, out_n));
  char *s = calloc(*out_n + 1, 1);
  assert_non_null(s);
  assert_ok(forge_tokenizer_decode(t, previous, ids, n, flags, s, *out_n, out_n));
  return s;
}

void sample_expect(const forge_tokenizer *t, const char *s, size_t n, uint32_t flags,
                   const int32_t *ids, size_t n_ids) {
  uint64_t got_n;
  int32_t *got = sample_encode(t, s, n, flags, &got_n);
  if (got_n != n_ids || (n_ids && memcmp(got, ids, n_ids * sizeof *ids))) {
    sample_bytes line = {0};
    for (uint64_t i = 0; i < got_n; i++) sample_print(&line, " %d", got[i]);
    sample_print(&line, ", expected");
    for (size_t i = 0; i < n_ids; i++) sample_print(&line, " %d", ids[i]);
    fail_msg("\"%s\" gave%s", s, line.s);
  }
  free(got);
}

bool sample_round_trips(const forge_tokenizer *t, const char *s, size_t n) {
  uint64_t n_ids, back_n;
  int32_t *ids = sample_encode(t, s, n, 0, &n_ids);
  char *back = sample_decode(t, -1, ids, n_ids, FORGE_DECODE_SPECIAL, &back_n);
  const bool same = back_n == n && !memcmp(back, s, n);
  free(ids);
  free(back);
  return same;
}

bool sample_same_ids(const forge_tokenizer *a, const forge_tokenizer *b, const char *s, size_t n) {
  uint64_t n_a, n_b;
  int32_t *x = sample_encode(a, s, n, 0, &n_a), *y = sample_encode(b, s, n, 0, &n_b);
  const bool same = n_a == n_b && !memcmp(x, y, n_a * sizeof *x);
  free(x);
  free(y);
  return same;
}

bool sample_same_hash(forge_tokenizer *a, forge_tokenizer *b) {
  uint8_t x[32], y[32];
  assert_ok(forge_tokenizer_hash(a, x));
  assert_ok(forge_tokenizer_hash(b, y));
  return !memcmp(x, y, 32);
}

forge_tokenizer *sample_through_json(const forge_tokenizer *t) {
  char *json = NULL;
  assert_ok(tokenizer_json_write(t, &json));
  forge_tokenizer *copy = sample_open_json(json);
  forge_text_free(json);
  return copy;
}

uint64_t sample_random(uint64_t *state) { /* splitmix64 */
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}
