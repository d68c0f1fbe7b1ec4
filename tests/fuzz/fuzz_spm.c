/* fuzz_spm.c -- SentencePiece's .model and llama2.c's tokenizer.bin from anywhere. */
#include "fuzz_use_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  forge_tokenizer *t = NULL;
  if (!tokenizer_from_spm(data, n, &t)) fuzz_use_tokenizer(t);
  t = NULL;
  if (!tokenizer_from_llama2c(data, n, &t)) fuzz_use_tokenizer(t);
  return 0;
}
