/* fuzz_tokenizer.c -- tokenizer.json from anywhere: parsed or refused, and what is parsed encodes,
 * decodes and is written. */
#include "fuzz_use_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  forge_tokenizer *t = NULL;
  if (!tokenizer_from_json((const char *)data, n, &t)) fuzz_use_tokenizer(t);
  return 0;
}
