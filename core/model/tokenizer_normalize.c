/* tokenizer_normalize.c -- the changes a text goes through before it is cut: NFC, prefixes,
 * replacements. Bytes that are not UTF-8 pass unchanged. */
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "tokenizer_parts.h"

static bool is_ascii(const char *s, size_t n) {
  for (size_t i = 0; i < n; i++)
    if ((uint8_t)s[i] >= 0x80) return false;
  return true;
}

static forge_status add_nfc(const char *s, size_t n, buffer *out) {
  if (is_ascii(s, n)) {
    buffer_add(out, s, n);
    return FORGE_OK;
  }
  utf8proc_uint8_t *composed = NULL;
  const utf8proc_ssize_t bytes =
      utf8proc_map((const uint8_t *)s, (utf8proc_ssize_t)n, &composed,
                   (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (bytes < 0)
    return FAIL(FORGE_E_OOM, "tokenizer: NFC of %zu bytes: %s", n, utf8proc_errmsg(bytes));
  buffer_add(out, (const char *)composed, (size_t)bytes);
  free(composed);
  return FORGE_OK;
}

static void add_replaced(const normalize_step *step, const char *s, size_t n, buffer *out) {
  const size_t from_n = strlen(step->from), to_n = strlen(step->to);
  const char *at = s, *end = s + n;
  while (at < end) {
    const char *hit = memmem(at, (size_t)(end - at), step->from, from_n);
    buffer_add(out, at, (size_t)((hit ? hit : end) - at));
    if (!hit) break;
    buffer_add(out, step->to, to_n);
    at = hit + from_n;
  }
}

static forge_status add_substituted(const normalize_step *step, const char *s, uint32_t n,
                                    buffer *out) {
  pretokenize_search search;
  TRY(pretokenize_search_begin(&search, step->regex));
  pretokenize_search_text(&search, s, n);
  uint32_t done = 0, at, length;
  forge_status st;
  for (bool found; !(st = pretokenize_search_next(&search, &found, &at, &length)) && found;) {
    buffer_add(out, s + done, at - done);
    buffer_add(out, step->to, strlen(step->to));
    done = at + length;
  }
  buffer_add(out, s + done, n - done);
  pretokenize_search_end(&search);
  return st;
}

/* The step over each run of UTF-8. */
static forge_status over_runs(const normalize_step *step, const char *s, uint32_t n, buffer *out) {
  for (uint32_t at = 0; at < n;) {
    uint32_t end = at;
    for (uint32_t length; end < n && (length = utf8_length(s + end, n - end)); end += length) {
    }
    if (end > at)
      TRY(step->kind == NORMALIZE_NFC ? add_nfc(s + at, end - at, out)
                                      : add_substituted(step, s + at, end - at, out));
    for (at = end; at < n && !utf8_length(s + at, n - at); at++) buffer_add(out, s + at, 1);
  }
  return FORGE_OK;
}

static void add_prefixed(const normalize_step *step, const char *s, size_t n, bool first,
                         buffer *out) {
  const size_t prefix = strlen(step->to);
  const bool present = step->unless_present && n >= prefix && !memcmp(s, step->to, prefix);
  if (n && !present && (first || !step->first_only)) buffer_add(out, step->to, prefix);
  buffer_add(out, s, n);
}

static forge_status run_step(const normalize_step *step, const char *s, uint32_t n, bool first,
                             buffer *out) {
  switch (step->kind) {
  case NORMALIZE_PREPEND: add_prefixed(step, s, n, first, out); return FORGE_OK;
  case NORMALIZE_REPLACE: add_replaced(step, s, n, out); return FORGE_OK;
  default: return over_runs(step, s, n, out);
  }
}

forge_status normalize_run(const tokenizer_rules *rules, const char *s, uint64_t n, bool first,
                           buffer *out, buffer *spare) {
  out->n = 0;
  out->failed = spare->failed = false;
  if (!rules->n_steps) buffer_add(out, s, n);
  for (uint32_t i = 0; i < rules->n_steps; i++) {
    spare->n = 0;
    TRY(i ? run_step(&rules->steps[i], out->s, (uint32_t)out->n, first, spare)
          : run_step(&rules->steps[i], s, (uint32_t)n, first, spare));
    const buffer swap = *out;
    *out = *spare;
    *spare = swap;
    if (out->failed) break;
  }
  if (out->failed)
    return FAIL(FORGE_E_OOM, "tokenizer: a text of %llu bytes does not fit (limit %d)",
                (unsigned long long)n, TOKENIZER_MAX_TEXT);
  return FORGE_OK;
}
