/* spm_encode.c -- SentencePiece's way: spaces become U+2581, user-defined pieces stay whole, and
 * the best-scored neighbours are joined first. */
#include <string.h>

#include "bpe.h"

/* |s| with space marks for spaces, and a mark in front. */
static void normalize(const forge_tokenizer *t, const char *s, uint64_t n, buffer *out) {
  const bool trim = t->vocab.remove_extra_spaces;
  out->n = 0;
  out->failed = false;
  while (trim && n && s[n - 1] == ' ') n--;
  while (trim && n && *s == ' ') s++, n--;
  if (n && t->vocab.add_space_prefix) buffer_add(out, SPACE_MARK, SPACE_MARK_BYTES);
  while (n) {
    const char *space = memchr(s, ' ', n);
    const size_t plain = space ? (size_t)(space - s) : n;
    buffer_add(out, s, plain);
    s += plain;
    n -= plain;
    if (!n) break;
    buffer_add(out, SPACE_MARK, SPACE_MARK_BYTES);
    do s++, n--;
    while (trim && n && *s == ' ');
  }
}

static void put_symbols(encoder *e) {
  const bpe_work *work = &e->work;
  for (size_t i = 0; i < work->n; i++) {
    const bpe_symbol *symbol = &work->symbols[i];
    if (!symbol->n) continue;
    if (symbol->id >= 0)
      encoder_put(e, symbol->id);
    else
      encoder_put_missing(e, work->s + symbol->at, symbol->n);
  }
}

static forge_status join(encoder *e) {
  TRY(bpe_run(&e->work, e->t));
  put_symbols(e);
  e->work.n = 0;
  return FORGE_OK;
}

static forge_status push_next(encoder *e, const char *s, uint32_t at, uint32_t n, uint32_t *out_n) {
  const forge_tokenizer *t = e->t;
  int32_t id = trie_match(&t->added, t->vocab.types, 1u << TOKENIZER_USER, s + at, n - at, out_n);
  if (id < 0) {
    *out_n = utf8_length(s + at, n - at);
    if (!*out_n) *out_n = 1;
    id = piece_table_find(&t->pieces, s + at, *out_n);
    if (id >= 0 && !tokenizer_is_text(t->vocab.types[id])) id = -1;
  }
  return bpe_push(&e->work, at, *out_n, id);
}

static bool is_mark(const char *s, uint32_t at, uint32_t n) {
  return at + SPACE_MARK_BYTES <= n && !memcmp(s + at, SPACE_MARK, SPACE_MARK_BYTES);
}

forge_status spm_encode(encoder *e, const char *s, uint64_t n) {
  normalize(e->t, s, n, &e->normal);
  if (e->normal.failed)
    return FAIL(FORGE_E_OOM, "tokenizer: a text of %llu bytes", (unsigned long long)n);
  const char *marked = e->normal.s;
  const uint32_t bytes = (uint32_t)e->normal.n;
  bool after_mark = true;
  e->work.s = marked;
  e->work.n = 0;
  for (uint32_t at = 0, length; at < bytes; at += length) {
    const bool mark = is_mark(marked, at, bytes);
    if (mark && !after_mark && e->t->word_safe) TRY(join(e));
    after_mark = mark;
    TRY(push_next(e, marked, at, bytes, &length));
  }
  return join(e);
}
