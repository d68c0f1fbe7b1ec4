/* fuzz_use_tokenizer.h -- what may be done with a tokenizer, done with one from a fuzzer. */
#ifndef FORGE_FUZZ_USE_TOKENIZER_H
#define FORGE_FUZZ_USE_TOKENIZER_H

#include <stdlib.h>
#include <string.h>

#include "tokenizer.h"

static inline void fuzz_quiet(void *ctx, int32_t level, const char *line) {
  (void)ctx;
  (void)level;
  (void)line;
}

/* Encodes a fixed text, decodes the result and the first and last ids, writes every form; closes
 * |t|. Ids out of range or a length that does not hold is an abort. */
static inline void fuzz_use_tokenizer(forge_tokenizer *t) {
  static const char text_of[] =
      "Hello  world's 123\n<s></s> <|endoftext|>\xC3\xA9\xF0\x9F\xA6\x99\xFF"
      "\xE2\x96\x81 aab abc ee\xCC\x81";
  enum { ROOM = 4096 };
  int32_t ids[ROOM];
  uint64_t n = 0, bytes = 0;
  forge_log_to(fuzz_quiet, NULL, FORGE_LOG_ERROR);
  forge_tokenizer_info info = {.size = sizeof info};
  if (forge_tokenizer_describe(t, &info)) abort();
  for (uint32_t flags = 0; flags < 2; flags++)
    if (!forge_tokenizer_encode(t, text_of, sizeof text_of - 1,
                                flags ? FORGE_ENCODE_SPECIAL | FORGE_ENCODE_AUTO : 0, ids, ROOM,
                                &n)) {
      for (uint64_t i = 0; i < n; i++)
        if (ids[i] < 0 || (uint32_t)ids[i] >= info.n_vocab) abort();
      if (forge_tokenizer_decode(t, -1, ids, n, flags, NULL, 0, &bytes)) abort();
      char *s = malloc(bytes + 1);
      if (!s || forge_tokenizer_decode(t, -1, ids, n, flags, s, bytes + 1, &bytes)) abort();
      free(s);
    }
  const int32_t ends[] = {0, (int32_t)info.n_vocab - 1, info.bos < 0 ? 0 : info.bos};
  if (forge_tokenizer_decode(t, -1, ends, 3, FORGE_DECODE_SPECIAL, NULL, 0, &bytes)) abort();
  const int32_t beyond = (int32_t)info.n_vocab;
  if (!forge_tokenizer_decode(t, -1, &beyond, 1, 0, NULL, 0, &bytes)) abort();
  char *json = NULL;
  if (!tokenizer_json_write(t, &json)) {
    forge_tokenizer *again = NULL;
    (void)tokenizer_from_json(json, strlen(json), &again);
    forge_tokenizer_close(again);
    forge_text_free(json);
  }
  tokenizer_gguf view;
  if (!tokenizer_gguf_view(t, &view)) tokenizer_gguf_free(&view);
  uint8_t *bin = NULL;
  if (!tokenizer_llama2c_write(t, &bin, &bytes)) mem_free(bin);
  forge_tokenizer_close(t);
}

#endif
