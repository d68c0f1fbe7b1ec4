/* spm_llama2c.c -- llama2.c's tokenizer.bin: u32 bytes of the longest piece, then per piece f32
 * score, i32 bytes, bytes, until the file ends. Ids are Llama 2's: 0 unk, 1 BOS, 2 EOS, 3 to 258
 * the bytes; pieces have spaces where SentencePiece has marks. */
#include <string.h>

#include "tokenizer_parts.h"

enum { HEADER = 4, ROW = 8, BYTES_AT = 3, BYTES_END = 259 };

typedef struct row {
  float score;
  int32_t n;
  const uint8_t *s;
} row;

/* The row at |at|; its end to |*out_next|. */
static forge_status read_row(const uint8_t *data, uint64_t bytes, uint64_t at, uint32_t id,
                             row *out, uint64_t *out_next) {
  if (bytes - at < ROW)
    return FAIL(FORGE_E_CORRUPT, "tokenizer.bin: cut short in piece %u at byte %llu", id,
                (unsigned long long)at);
  memcpy(&out->score, data + at, 4);
  memcpy(&out->n, data + at + 4, 4);
  out->s = data + at + ROW;
  if (out->n < 0 || out->n > TOKENIZER_MAX_PIECE_BYTES || (uint64_t)out->n > bytes - at - ROW)
    return FAIL(FORGE_E_CORRUPT, "tokenizer.bin: piece %u at byte %llu claims %d bytes", id,
                (unsigned long long)at, out->n);
  *out_next = at + ROW + (uint64_t)out->n;
  return FORGE_OK;
}

static forge_status count_rows(const uint8_t *data, uint64_t bytes, uint32_t *out_n) {
  uint32_t n = 0;
  if (bytes < HEADER) return FAIL(FORGE_E_CORRUPT, "tokenizer.bin: %u bytes", (unsigned)bytes);
  for (uint64_t at = HEADER; at < bytes; n++) {
    row r = {0};
    if (n >= TOKENIZER_MAX_PIECES)
      return FAIL(FORGE_E_CORRUPT, "tokenizer.bin: more than %d pieces", TOKENIZER_MAX_PIECES);
    TRY(read_row(data, bytes, at, n, &r, &at));
  }
  if (n < BYTES_END)
    return FAIL(FORGE_E_CORRUPT,
                "tokenizer.bin: %u pieces; unk, BOS, EOS and 256 bytes are the least", n);
  *out_n = n;
  return FORGE_OK;
}

static uint8_t type_of(uint32_t id) {
  if (id == 0) return TOKENIZER_UNKNOWN;
  if (id < BYTES_AT) return TOKENIZER_CONTROL;
  return id < BYTES_END ? TOKENIZER_BYTE : TOKENIZER_NORMAL;
}

/* The piece as SentencePiece has it, to the end of |out|. */
static void add_piece(uint32_t id, const row *r, buffer *out) {
  const char *s = (const char *)r->s;
  size_t n = (size_t)r->n;
  if (id < BYTES_AT) { /* "\n<s>\n" is how llama2.c stores BOS and EOS */
    while (n && *s == '\n') s++, n--;
    while (n && s[n - 1] == '\n') n--;
  }
  for (size_t i = 0; i < n; i++) {
    if (s[i] == ' ')
      buffer_add(out, SPACE_MARK, SPACE_MARK_BYTES);
    else
      buffer_add(out, s + i, 1);
  }
}

static forge_status take_rows(const uint8_t *data, uint64_t bytes, tokenizer_vocab *v,
                              tokenizer_piece *pieces, float *scores, uint8_t *types,
                              buffer *texts) {
  uint64_t at = HEADER;
  for (uint32_t i = 0; i < v->n; i++) {
    row r = {0};
    TRY(read_row(data, bytes, at, i, &r, &at));
    const size_t before = texts->n;
    add_piece(i, &r, texts);
    pieces[i].n = (uint32_t)(texts->n - before);
    scores[i] = r.score;
    types[i] = type_of(i);
  }
  if (texts->failed) return FAIL(FORGE_E_OOM, "tokenizer.bin: pieces");
  size_t start = 0;
  for (uint32_t i = 0; i < v->n; i++) {
    pieces[i].s = texts->s + start;
    start += pieces[i].n;
  }
  return FORGE_OK;
}

forge_status tokenizer_from_llama2c(const uint8_t *data, uint64_t bytes,
                                    forge_tokenizer **out_tokenizer) {
  tokenizer_vocab v = {.kind = TOKENIZER_SPM,
                       .unk = 0,
                       .bos = 1,
                       .eos = 2,
                       .pad = -1,
                       .add_bos = true,
                       .byte_fallback = true,
                       .add_space_prefix = true};
  TRY(count_rows(data, bytes, &v.n));
  tokenizer_piece *pieces = mem_zalloc_array(v.n, sizeof *pieces);
  float *scores = mem_zalloc_array(v.n, sizeof *scores);
  uint8_t *types = mem_zalloc(v.n);
  buffer texts = {0};
  v.pieces = pieces;
  v.scores = scores;
  v.types = types;
  forge_status st = pieces && scores && types ? FORGE_OK : FAIL(FORGE_E_OOM, "tokenizer.bin");
  if (!st) st = take_rows(data, bytes, &v, pieces, scores, types, &texts);
  if (!st) st = tokenizer_from_vocab(&v, out_tokenizer);
  mem_free(pieces);
  mem_free(scores);
  mem_free(types);
  mem_free(texts.s);
  return st;
}

/* ---- writing ---- */

static forge_status check_order(const tokenizer_vocab *v) {
  bool fits = v->kind == TOKENIZER_SPM && v->n >= BYTES_END && v->add_space_prefix && v->bos == 1 &&
              v->eos == 2;
  for (uint32_t i = 0; fits && i < BYTES_END; i++) {
    fits = v->types[i] == type_of(i);
    if (fits && i >= BYTES_AT)
      fits = tokenizer_byte_of_piece(&v->pieces[i]) == (int32_t)(i - BYTES_AT);
  }
  if (fits) return FORGE_OK;
  return FAIL(FORGE_E_UNSUPPORTED,
              "tokenizer.bin holds SentencePiece vocabularies in Llama 2's order only (unk, BOS, "
              "EOS, 256 bytes, pieces); write a .gguf or a Hugging Face folder instead");
}

static void add_row(const forge_tokenizer *t, uint32_t id, buffer *out) {
  const bool framed = id == 1 || id == 2;
  const bool plain = t->vocab.types[id] == TOKENIZER_BYTE;
  const tokenizer_piece text_of = plain ? t->vocab.pieces[id] : t->prints[id];
  const int32_t n = (int32_t)text_of.n + (framed ? 2 : 0);
  buffer_add(out, (const char *)&t->vocab.scores[id], 4);
  buffer_add(out, (const char *)&n, 4);
  if (framed) buffer_add(out, "\n", 1);
  buffer_add(out, text_of.s, text_of.n);
  if (framed) buffer_add(out, "\n", 1);
}

forge_status tokenizer_llama2c_write(const forge_tokenizer *tokenizer, uint8_t **out_data,
                                     uint64_t *out_bytes) {
  const tokenizer_vocab *v = &tokenizer->vocab;
  TRY(check_order(v));
  buffer out = {0};
  const int32_t longest = (int32_t)tokenizer->max_piece;
  buffer_add(&out, (const char *)&longest, HEADER);
  for (uint32_t i = 0; i < v->n; i++) add_row(tokenizer, i, &out);
  if (out.failed) {
    mem_free(out.s);
    return FAIL(FORGE_E_OOM, "tokenizer.bin: %u pieces", v->n);
  }
  *out_data = (uint8_t *)out.s;
  *out_bytes = out.n;
  return FORGE_OK;
}
