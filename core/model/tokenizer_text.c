/* tokenizer_text.c -- the characters of pieces: UTF-8, GPT-2's byte alphabet, and what each id
 * prints. */
#include <string.h>

#include <utf8proc.h>

#include "tokenizer_parts.h"

uint32_t utf8_length(const char *s, uint64_t n) {
  if (!n) return 0;
  if ((uint8_t)*s < 0x80) return 1;
  utf8proc_int32_t code_point;
  const utf8proc_ssize_t bytes =
      utf8proc_iterate((const uint8_t *)s, n < 4 ? (utf8proc_ssize_t)n : 4, &code_point);
  return bytes > 0 ? (uint32_t)bytes : 0;
}

void buffer_add(buffer *b, const char *s, size_t n) {
  if (b->failed || n > TOKENIZER_MAX_TEXT - b->n ||
      !(b->n + n <= b->cap || mem_grow((void **)&b->s, &b->cap, 1, b->n + n))) {
    b->failed = true;
    return;
  }
  if (n) memcpy(b->s + b->n, s, n);
  b->n += n;
}

/* Bytes that are visible Latin-1 stand for themselves, the others take 256, 257, .. in order. */
static bool is_visible(uint32_t byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

uint32_t alphabet_of_byte(uint8_t byte) {
  if (is_visible(byte)) return byte;
  uint32_t code_point = 256;
  for (uint32_t other = 0; other < byte; other++) code_point += !is_visible(other);
  return code_point;
}

int32_t alphabet_byte(uint32_t code_point) {
  if (code_point < 256) return is_visible(code_point) ? (int32_t)code_point : -1;
  for (uint32_t byte = 0, next = 256; byte < 256; byte++)
    if (!is_visible(byte) && next++ == code_point) return (int32_t)byte;
  return -1;
}

bool alphabet_decode(const tokenizer_piece *piece, char *out, uint32_t *out_n) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < piece->n;) {
    utf8proc_int32_t code_point;
    const utf8proc_ssize_t bytes = utf8proc_iterate((const uint8_t *)piece->s + i,
                                                    (utf8proc_ssize_t)(piece->n - i), &code_point);
    const int32_t byte = bytes > 0 ? alphabet_byte((uint32_t)code_point) : -1;
    if (byte < 0) return false;
    out[n++] = (char)byte;
    i += (uint32_t)bytes;
  }
  *out_n = n;
  return true;
}

static int32_t hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int32_t tokenizer_byte_of_piece(const tokenizer_piece *piece) {
  if (piece->n != 6 || memcmp(piece->s, "<0x", 3) != 0 || piece->s[5] != '>') return -1;
  const int32_t high = hex_digit(piece->s[3]), low = hex_digit(piece->s[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* |piece| with every |from| as |to|. */
static void print_replaced(const tokenizer_piece *piece, const char *from, const char *to,
                           buffer *out) {
  const size_t from_n = strlen(from), to_n = strlen(to);
  const char *at = piece->s, *end = piece->s + piece->n;
  while (at < end) {
    const char *hit = memmem(at, (size_t)(end - at), from, from_n);
    buffer_add(out, at, (size_t)((hit ? hit : end) - at));
    if (!hit) break;
    buffer_add(out, to, to_n);
    at = hit + from_n;
  }
}

static void print_piece(const forge_tokenizer *t, uint32_t id, char *scratch, buffer *out) {
  const tokenizer_piece *piece = &t->vocab.pieces[id];
  const tokenizer_rules *rules = &t->rules;
  const uint8_t type = t->vocab.types[id];
  uint32_t n;
  if (type == TOKENIZER_BYTE && rules->print_bytes) {
    const char byte = (char)tokenizer_byte_of_piece(piece);
    buffer_add(out, &byte, 1);
  } else if (type == TOKENIZER_NORMAL && rules->byte_level && alphabet_decode(piece, scratch, &n)) {
    buffer_add(out, scratch, n);
  } else if (rules->print_from && !tokenizer_is_special(type)) {
    print_replaced(piece, rules->print_from, rules->print_to, out);
  } else {
    buffer_add(out, piece->s, piece->n);
  }
}

/* Two passes over the same pieces: the buffer moves while it grows. */
forge_status tokenizer_make_prints(forge_tokenizer *t) {
  const uint32_t n = t->vocab.n;
  buffer bytes = {0};
  char *scratch = mem_alloc(t->max_piece);
  t->prints = mem_zalloc_array(n, sizeof *t->prints);
  if (!scratch || !t->prints) bytes.failed = true;
  for (uint32_t i = 0; i < n && !bytes.failed; i++) {
    const size_t before = bytes.n;
    print_piece(t, i, scratch, &bytes);
    t->prints[i].n = (uint32_t)(bytes.n - before);
  }
  mem_free(scratch);
  t->print_bytes = bytes.s;
  if (bytes.failed) return FAIL(FORGE_E_OOM, "tokenizer: texts of %u pieces", n);
  size_t at = 0;
  for (uint32_t i = 0; i < n; i++) {
    t->prints[i].s = bytes.s ? bytes.s + at : "";
    at += t->prints[i].n;
  }
  return FORGE_OK;
}
