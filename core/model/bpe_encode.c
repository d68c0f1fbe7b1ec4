/* bpe_encode.c -- byte-level and character-level BPE: normalize, cut into words, join by merges. */
#include <string.h>

#include "bpe.h"

static forge_status push_bytes(encoder *e, uint32_t at, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    TRY(bpe_push(&e->work, at + i, 1, e->t->byte_ids[(uint8_t)e->work.s[at + i]]));
  return FORGE_OK;
}

static bool all_bytes_known(const forge_tokenizer *t, const char *s, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (t->byte_ids[(uint8_t)s[i]] < 0) return false;
  return true;
}

/* One character: its piece, or its bytes, or nothing yet. */
static forge_status push_character(encoder *e, uint32_t at, uint32_t n) {
  const forge_tokenizer *t = e->t;
  const char *s = e->work.s + at;
  int32_t id = piece_table_find(&t->pieces, s, n);
  if (id >= 0 && !tokenizer_is_text(t->vocab.types[id])) id = -1;
  if (id < 0 && t->vocab.byte_fallback && all_bytes_known(t, s, n)) return push_bytes(e, at, n);
  return bpe_push(&e->work, at, n, id);
}

static forge_status join(encoder *e) {
  const bpe_work *work = &e->work;
  if (e->t->vocab.n_merges) TRY(bpe_run(&e->work, e->t));
  for (size_t i = 0; i < work->n; i++) {
    const bpe_symbol *symbol = &work->symbols[i];
    if (!symbol->n) continue;
    if (symbol->id >= 0)
      encoder_put(e, symbol->id);
    else
      encoder_put_missing(e, work->s + symbol->at, symbol->n);
  }
  e->work.n = 0;
  return FORGE_OK;
}

/* Symbols so far may be joined without those to come: no merge reaches over this place. */
static bool is_seam(const encoder *e, bool after_mark, bool mark) {
  if (!e->t->vocab.n_merges) return e->work.n >= 4096;
  return mark && !after_mark && e->t->word_safe;
}

static forge_status encode_characters(encoder *e, uint32_t at, uint32_t end) {
  const char *s = e->work.s;
  bool after_mark = true;
  while (at < end) {
    const uint32_t length = utf8_length(s + at, end - at);
    const bool mark = length == SPACE_MARK_BYTES && !memcmp(s + at, SPACE_MARK, SPACE_MARK_BYTES);
    if (is_seam(e, after_mark, mark)) TRY(join(e));
    after_mark = mark;
    TRY(push_character(e, at, length ? length : 1));
    at += length ? length : 1;
  }
  return join(e);
}

static int32_t whole_word(const forge_tokenizer *t, const char *s, uint32_t n) {
  if (!t->vocab.ignore_merges) return -1;
  if (t->vocab.byte_level) return piece_table_find(&t->words, s, n);
  const int32_t id = piece_table_find(&t->pieces, s, n);
  return id >= 0 && tokenizer_is_text(t->vocab.types[id]) ? id : -1;
}

static forge_status encode_bytes(encoder *e, uint32_t at, uint32_t n) {
  const uint32_t chunk = e->t->vocab.n_merges ? n : 4096;
  for (uint32_t end = at + n; at < end; at += chunk) {
    TRY(push_bytes(e, at, end - at < chunk ? end - at : chunk));
    TRY(join(e));
    if (end - at <= chunk) break;
  }
  return FORGE_OK;
}

static forge_status encode_word(encoder *e, uint32_t at, uint32_t n) {
  e->after_unk = false;
  const int32_t id = whole_word(e->t, e->work.s + at, n);
  if (id >= 0) {
    encoder_put(e, id);
    return FORGE_OK;
  }
  return e->t->vocab.byte_level ? encode_bytes(e, at, n) : encode_characters(e, at, at + n);
}

forge_status bpe_encode(encoder *e, const char *s, uint64_t n, bool first) {
  const tokenizer_rules *rules = &e->t->rules;
  TRY(normalize_run(rules, s, n, first, &e->normal, &e->spare));
  e->work.s = e->normal.s;
  e->work.n = 0;
  TRY(pretokenize_run(&rules->split, e->normal.s, (uint32_t)e->normal.n, &e->words,
                      &e->spare_words));
  for (size_t i = 0; i < e->words.n; i++)
    TRY(encode_word(e, e->words.items[i].at, e->words.items[i].n));
  return FORGE_OK;
}
