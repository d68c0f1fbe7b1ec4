/* tokenizer_encode.c -- text to ids: added tokens first, then what lies between them. */
#include <string.h>

#include <utf8proc.h>

#include "bpe.h"

void encoder_put(encoder *e, int32_t id) {
  if (e->n < e->capacity) e->ids[e->n] = id;
  e->n++;
  e->after_unk = false;
}

static bool has_bytes(const forge_tokenizer *t, const char *s, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (t->byte_ids[(uint8_t)s[i]] < 0) return false;
  return true;
}

void encoder_put_missing(encoder *e, const char *s, uint32_t n) {
  const tokenizer_vocab *v = &e->t->vocab;
  if (v->byte_fallback && has_bytes(e->t, s, n)) {
    for (uint32_t i = 0; i < n; i++) encoder_put(e, e->t->byte_ids[(uint8_t)s[i]]);
  } else if (v->unk < 0) {
    e->missing++;
  } else if (!e->after_unk) {
    encoder_put(e, v->unk);
    e->after_unk = v->kind == TOKENIZER_SPM || v->fuse_unk;
  }
}

static bool is_space(int32_t c) {
  if ((c >= 9 && c <= 13) || c == 0x85) return true;
  const utf8proc_category_t category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_ZS && category <= UTF8PROC_CATEGORY_ZP;
}

static uint64_t spaces_before(const char *s, uint64_t start, uint64_t at) {
  while (at > start) {
    uint64_t c = at - 1;
    while (c > start && ((uint8_t)s[c] & 0xC0) == 0x80) c--;
    utf8proc_int32_t code_point;
    if (utf8proc_iterate((const uint8_t *)s + c, (utf8proc_ssize_t)(at - c), &code_point) !=
            (utf8proc_ssize_t)(at - c) ||
        !is_space(code_point))
      break;
    at = c;
  }
  return at;
}

static uint64_t spaces_behind(const char *s, uint64_t at, uint64_t n) {
  while (at < n) {
    utf8proc_int32_t code_point;
    const utf8proc_ssize_t bytes =
        utf8proc_iterate((const uint8_t *)s + at, (utf8proc_ssize_t)(n - at), &code_point);
    if (bytes <= 0 || !is_space(code_point)) break;
    at += (uint64_t)bytes;
  }
  return at;
}

static forge_status encode_between(encoder *e, const char *s, uint64_t at, uint64_t end) {
  if (at == end) return FORGE_OK;
  e->after_unk = false;
  return e->t->vocab.kind == TOKENIZER_SPM ? spm_encode(e, s + at, end - at)
                                           : bpe_encode(e, s + at, end - at, at == 0);
}

static forge_status encode_text(encoder *e, const char *s, uint64_t n, bool special) {
  const forge_tokenizer *t = e->t;
  /* SentencePiece finds user-defined pieces in the normalized text: spm_encode() does */
  uint32_t types = t->vocab.kind == TOKENIZER_SPM ? 0 : 1u << TOKENIZER_USER;
  if (special) types |= 1u << TOKENIZER_CONTROL | 1u << TOKENIZER_UNKNOWN;
  uint64_t done = 0;
  for (uint64_t at = 0; types && at < n;) {
    uint32_t length;
    const int32_t id = trie_match(&t->added, t->vocab.types, types, s + at, n - at, &length);
    if (id < 0) {
      at++;
      continue;
    }
    const uint8_t strip = t->vocab.strips ? t->vocab.strips[id] : 0;
    TRY(encode_between(e, s, done, strip & TOKENIZER_LSTRIP ? spaces_before(s, done, at) : at));
    encoder_put(e, id);
    at += length;
    if (strip & TOKENIZER_RSTRIP) at = spaces_behind(s, at, n);
    done = at;
  }
  return encode_between(e, s, done, n);
}

static forge_status check_arguments(const forge_tokenizer *t, const char *s, uint64_t bytes,
                                    uint32_t flags, const int32_t *ids, uint64_t capacity) {
  const uint32_t known =
      FORGE_ENCODE_SPECIAL | FORGE_ENCODE_BOS | FORGE_ENCODE_EOS | FORGE_ENCODE_AUTO;
  if (!t || (!s && bytes) || (!ids && capacity))
    return FAIL(FORGE_E_INVALID, "encode: tokenizer, text or ids is NULL");
  if (flags & ~known)
    return FAIL(FORGE_E_INVALID, "encode: flags 0x%x; 0x%x are known", flags, known);
  if (bytes > TOKENIZER_MAX_TEXT)
    return FAIL(FORGE_E_INVALID, "encode: %llu bytes; at most %d at once, so cut the text",
                (unsigned long long)bytes, TOKENIZER_MAX_TEXT);
  if ((flags & FORGE_ENCODE_BOS) && t->vocab.bos < 0)
    return FAIL(FORGE_E_INVALID, "encode: this tokenizer has no BOS");
  if ((flags & FORGE_ENCODE_EOS) && t->vocab.eos < 0)
    return FAIL(FORGE_E_INVALID, "encode: this tokenizer has no EOS");
  return FORGE_OK;
}

static void encoder_finish(encoder *e) {
  bpe_work_finish(&e->work);
  mem_free(e->normal.s);
  mem_free(e->spare.s);
  mem_free(e->words.items);
  mem_free(e->spare_words.items);
}

forge_status forge_tokenizer_encode(const forge_tokenizer *tokenizer, const char *s, uint64_t bytes,
                                    uint32_t flags, int32_t *ids, uint64_t capacity,
                                    uint64_t *out_n) {
  TRY(check_arguments(tokenizer, s, bytes, flags, ids, capacity));
  if (!out_n) return FAIL(FORGE_E_INVALID, "encode: out_n is NULL");
  const tokenizer_vocab *v = &tokenizer->vocab;
  const bool automatic = flags & FORGE_ENCODE_AUTO;
  encoder e = {.t = tokenizer, .ids = ids, .capacity = capacity};
  if ((flags & FORGE_ENCODE_BOS) || (automatic && v->add_bos)) encoder_put(&e, v->bos);
  const forge_status st = encode_text(&e, s, bytes, flags & FORGE_ENCODE_SPECIAL);
  encoder_finish(&e);
  TRY(st);
  if ((flags & FORGE_ENCODE_EOS) || (automatic && v->add_eos)) encoder_put(&e, v->eos);
  if (e.missing)
    log_line(FORGE_LOG_WARN, "tokenizer: %llu characters of the text have no token; left out",
             (unsigned long long)e.missing);
  *out_n = e.n;
  if (ids && e.n > capacity)
    return FAIL(FORGE_E_INVALID, "encode: room for %llu ids, %llu needed",
                (unsigned long long)capacity, (unsigned long long)e.n);
  return FORGE_OK;
}
