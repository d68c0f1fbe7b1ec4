/* fuzz_config.c -- any bytes as the operator's file: a table or a refusal with words. */
#include <stdlib.h>

#include "settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* libconfig 1.5 loses the texts it had read when a file has a syntax error. That is one file in a
 * process's life; the fuzzer would report nothing else. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libconfig\n"; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  settings *s = NULL;
  if (settings_parse("fuzz.conf", (const char *)data, n, NULL, &s)) {
    if (!forge_error_last()->msg[0]) abort();
    return 0;
  }
  if (settings_declare(s, "cpu", "threads", "0") || settings_declare_backend(s, "cpu")) {
    settings_free(s);
    return 0;
  }
  for (size_t i = 0; i < settings_count(s); i++)
    if (!settings_at(s, i)->text || !settings_at(s, i)->origin) abort();
  settings_free(s);
  return 0;
}
