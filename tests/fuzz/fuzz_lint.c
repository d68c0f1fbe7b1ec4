/* fuzz_lint.c -- any bytes as a plugin's file: read, judged or refused with words. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../tools/lint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *nothing_allowed(void *ctx, uint32_t i) {
  (void)ctx;
  (void)i;
  return NULL;
}

static void judge(const elf_facts *facts) {
  const lint_options options = {.glibc_major = 2, .glibc_minor = 36, .allowed = nothing_allowed};
  lint_report report;
  lint_judge(facts, &options, &report);
  for (size_t i = 0; i < report.n; i++)
    if (!report.list[i].rule || !*report.list[i].text) abort();
  if (!report.n) abort();
  lint_finish(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  char why[ELF_WHY_BYTES] = "";
  elf_facts facts;
  void *copy = malloc(n ? n : 1); /* libelf may turn numbers round */
  if (!copy) return 0;
  if (n) memcpy(copy, data, n);
  const int read = elf_facts_read(copy, n, &facts, why);
  if (read && lint_is_library(&facts, why))
    judge(&facts);
  else if (!*why)
    abort();
  if (read) elf_facts_close(&facts);
  free(copy);
  return 0;
}
