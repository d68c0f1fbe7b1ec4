/* tokenizer_train.c -- vocabularies made from a text: bytes, characters, byte pairs. */
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "bpe_train.h"

enum { BYTES = 256, CODE_POINTS = 0x110000 };

static forge_status make_byte_level(const tokenizer_piece *pieces, uint32_t n,
                                    const tokenizer_merge *merges, uint32_t n_merges,
                                    const char *pre, forge_tokenizer **out) {
  uint8_t *types = mem_alloc(n);
  if (!types) return FAIL(FORGE_E_OOM, "tokenizer: %u pieces", n);
  memset(types, TOKENIZER_NORMAL, n);
  const tokenizer_vocab v = {.kind = TOKENIZER_BPE,
                             .n = n,
                             .pieces = pieces,
                             .types = types,
                             .merges = merges,
                             .n_merges = n_merges,
                             .bos = -1,
                             .eos = -1,
                             .unk = -1,
                             .pad = -1,
                             .byte_level = true,
                             .pretokenizer = pre};
  const forge_status st = tokenizer_from_vocab(&v, out);
  mem_free(types);
  return st;
}

static uint32_t put_alphabet(uint8_t byte, char *s) {
  return (uint32_t)utf8proc_encode_char((utf8proc_int32_t)alphabet_of_byte(byte), (uint8_t *)s);
}

forge_status tokenizer_train_bytes(forge_tokenizer **out_tokenizer) {
  tokenizer_piece pieces[BYTES];
  char bytes[BYTES][4];
  for (uint32_t i = 0; i < BYTES; i++)
    pieces[i] = (tokenizer_piece){.s = bytes[i], .n = put_alphabet((uint8_t)i, bytes[i])};
  return make_byte_level(pieces, BYTES, NULL, 0, "", out_tokenizer);
}

/* ---- characters ---- */

static forge_status mark_characters(const char *s, uint64_t bytes, uint8_t *seen, uint32_t *out_n) {
  for (uint64_t at = 0; at < bytes;) {
    utf8proc_int32_t c;
    const utf8proc_ssize_t n = utf8proc_iterate(
        (const uint8_t *)s + at, bytes - at < 4 ? (utf8proc_ssize_t)(bytes - at) : 4, &c);
    if (n <= 0)
      return FAIL(FORGE_E_INVALID,
                  "character vocabulary: the text is not UTF-8 at byte %llu; use a byte vocabulary",
                  (unsigned long long)at);
    *out_n += !seen[c];
    seen[c] = 1;
    at += (uint64_t)n;
  }
  if (!*out_n) return FAIL(FORGE_E_INVALID, "character vocabulary: the text is empty");
  return FORGE_OK;
}

static forge_status make_characters(const uint8_t *seen, uint32_t n, forge_tokenizer **out) {
  tokenizer_piece *pieces = mem_zalloc_array(n, sizeof *pieces);
  char *bytes = mem_zalloc_array(n, 4);
  uint8_t *types = mem_alloc(n);
  forge_status st = pieces && bytes && types ? FORGE_OK : FAIL(FORGE_E_OOM, "%u characters", n);
  for (uint32_t c = 0, i = 0; c < CODE_POINTS && i < n && !st; c++) {
    if (!seen[c]) continue;
    char *to = bytes + 4 * (size_t)i;
    const uint32_t length = (uint32_t)utf8proc_encode_char((utf8proc_int32_t)c, (uint8_t *)to);
    types[i] = TOKENIZER_NORMAL;
    pieces[i++] = (tokenizer_piece){.s = to, .n = length};
  }
  const tokenizer_vocab v = {.kind = TOKENIZER_BPE,
                             .n = n,
                             .pieces = pieces,
                             .types = types,
                             .bos = -1,
                             .eos = -1,
                             .unk = -1,
                             .pad = -1};
  if (!st) st = tokenizer_from_vocab(&v, out);
  mem_free(pieces);
  mem_free(bytes);
  mem_free(types);
  return st;
}

forge_status tokenizer_train_chars(const char *s, uint64_t bytes, forge_tokenizer **out_tokenizer) {
  uint8_t *seen = mem_zalloc(CODE_POINTS);
  if (!seen) return FAIL(FORGE_E_OOM, "character vocabulary");
  uint32_t n = 0;
  forge_status st = mark_characters(s, bytes, seen, &n);
  if (!st) st = make_characters(seen, n, out_tokenizer);
  mem_free(seen);
  return st;
}

/* ---- byte pairs ---- */

/* Raw pieces in GPT-2's alphabet, which takes at most two bytes for one. */
static forge_status make_pairs(const bpe_trained *trained, forge_tokenizer **out) {
  buffer bytes = {0};
  tokenizer_piece *pieces = mem_zalloc_array(trained->n, sizeof *pieces);
  if (!pieces) return FAIL(FORGE_E_OOM, "tokenizer: %u pieces", trained->n);
  for (uint32_t i = 0; i < trained->n; i++)
    for (uint32_t k = 0; k < trained->pieces[i].n; k++) {
      char to[4];
      const uint32_t n = put_alphabet((uint8_t)trained->pieces[i].s[k], to);
      buffer_add(&bytes, to, n);
      pieces[i].n += n;
    }
  forge_status st = bytes.failed ? FAIL(FORGE_E_OOM, "tokenizer: pieces") : FORGE_OK;
  size_t at = 0;
  for (uint32_t i = 0; i < trained->n && !st; i++) {
    pieces[i].s = bytes.s + at;
    at += pieces[i].n;
  }
  if (!st)
    st = make_byte_level(pieces, trained->n, trained->merges, trained->n_merges, "gpt-2", out);
  mem_free(pieces);
  mem_free(bytes.s);
  return st;
}

forge_status tokenizer_train_bpe(const char *s, uint64_t bytes, uint32_t vocab_size,
                                 forge_tokenizer **out_tokenizer) {
  if (vocab_size < BYTES || vocab_size > 1000000)
    return FAIL(FORGE_E_INVALID, "byte-pair vocabulary of %u; 256 to 1000000 can be made",
                vocab_size);
  if (bytes > TOKENIZER_MAX_TEXT)
    return FAIL(FORGE_E_INVALID, "byte-pair vocabulary: %llu bytes of text; at most %d are taken",
                (unsigned long long)bytes, TOKENIZER_MAX_TEXT);
  bpe_trained trained = {0};
  forge_status st = bpe_train(s, (uint32_t)bytes, vocab_size, &trained);
  if (!st) st = make_pairs(&trained, out_tokenizer);
  bpe_trained_finish(&trained);
  return st;
}
