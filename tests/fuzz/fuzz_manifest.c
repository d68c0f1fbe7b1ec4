/* fuzz_manifest.c -- any bytes as a plugin's manifest: a sound one or a refusal with words. */
#include <stdlib.h>

#include "manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  manifest m;
  const forge_status st = manifest_parse("fuzz.ini", (const char *)data, n, &m);
  if (st && !forge_error_last()->msg[0]) abort();
  if (!st && (!m.name || !m.n_variants || !m.variants[0].library)) abort();
  for (size_t i = 0; !st && i < m.n_options; i++)
    manifest_check_option(&m.options[i], "fuzz", "12", "fuzz");
  manifest_finish(&m);
  return 0;
}
