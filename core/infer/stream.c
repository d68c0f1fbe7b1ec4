/* stream.c -- see stream.h. */
#include "stream.h"

#include <string.h>

static void let_out(stream *s, size_t n) {
  if (n && s->on_text && !s->refused && s->on_text(s->ctx, s->held.s, n)) s->refused = true;
  if (n) memmove(s->held.s, s->held.s + n, s->held.n - n);
  s->held.n -= n;
}

/* Where the first stop string begins, or the length when there is none. */
static size_t find_stop(const stream *s) {
  size_t first = s->held.n;
  for (uint64_t i = 0; i < s->n_stops; i++) {
    const size_t n = strlen(s->stops[i]);
    const char *at = n ? memmem(s->held.s, s->held.n, s->stops[i], n) : NULL;
    if (at && (size_t)(at - s->held.s) < first) first = (size_t)(at - s->held.s);
  }
  return first;
}

/* Bytes at the end that may be the beginning of a stop string. */
static size_t may_become_stop(const stream *s) {
  size_t longest = 0;
  for (uint64_t i = 0; i < s->n_stops; i++) {
    const size_t n = strlen(s->stops[i]);
    for (size_t k = n ? n - 1 : 0; k > longest; k--)
      if (k <= s->held.n && !memcmp(s->held.s + s->held.n - k, s->stops[i], k)) longest = k;
  }
  return longest;
}

/* Bytes at the end of |n| that begin a UTF-8 character which is not complete. */
static size_t incomplete_character(const char *bytes, size_t n) {
  for (size_t back = 1; back <= 3 && back <= n; back++) {
    const uint8_t byte = (uint8_t)bytes[n - back];
    if ((byte & 0xC0) == 0x80) continue;
    const size_t length = byte >= 0xF8   ? 1
                          : byte >= 0xF0 ? 4
                          : byte >= 0xE0 ? 3
                          : byte >= 0xC0 ? 2
                                         : 1;
    return length > back ? back : 0;
  }
  return 0;
}

forge_status stream_add(stream *s, const char *bytes, uint64_t n) {
  if (s->stopped || s->refused || !n) return FORGE_OK;
  text_add_bytes(&s->held, bytes, n);
  if (s->held.failed) return FAIL(FORGE_E_OOM, "text of %llu bytes", (unsigned long long)n);
  const size_t stop = find_stop(s);
  s->stopped = stop < s->held.n;
  if (s->stopped) {
    let_out(s, stop);
    s->held.n = 0;
    return FORGE_OK;
  }
  const size_t sure = s->held.n - may_become_stop(s);
  let_out(s, sure - incomplete_character(s->held.s, sure));
  return FORGE_OK;
}

void stream_end(stream *s) {
  if (!s->stopped) let_out(s, s->held.n);
}

void stream_finish(stream *s) { text_finish(&s->held); }
