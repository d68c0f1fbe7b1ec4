/* lint.h -- what `forge lint` holds a plugin's file to. Each rule is FB-X and a number, listed with
 * reason and consequence in sdk/conformance/rules.def; a number stands for ever. */
#ifndef FORGE_LINT_H
#define FORGE_LINT_H

#include "lint_elf.h"

enum { LINT_OK = 0, LINT_NOTE = 1, LINT_WARN = 2, LINT_FAIL = 3 };

typedef struct lint_finding {
  const char *rule; /* "FB-X1" */
  int level;
  const char *remedy; /* NULL with LINT_OK */
  char text[480];
} lint_finding;

typedef struct lint_options {
  unsigned glibc_major, glibc_minor;             /* the oldest one the plugin is to run with */
  const char *(*allowed)(void *ctx, uint32_t i); /* libraries allowed beside the usual; NULL: end */
  void *ctx;
} lint_options;

typedef struct lint_report {
  const char *kind; /* "backend", "layer"; NULL: neither */
  lint_finding *list;
  size_t n;
  int worst;
  bool incomplete; /* out of memory */
} lint_report;

/* False with |why| for an ELF file that is no shared library at all. */
bool lint_is_library(const elf_facts *facts, char why[ELF_WHY_BYTES]);
/* Every rule, in order: one finding, or several. A library without an entry is told that alone. */
void lint_judge(const elf_facts *facts, const lint_options *options, lint_report *out);
void lint_finish(lint_report *report);

/* ---- between the files of the lint ---- */

void lint_say(lint_report *report, const char *rule, int level, const char *remedy,
              const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Behind a rule's findings: an ok when it had none. */
void lint_pass(lint_report *report, const char *rule, const char *what);
/* Whether a sanitizer was linked in: then its library and its hooks are to be expected. */
bool lint_sanitized(const elf_facts *facts);
/* lint_needs.c: what it asks of others: FB-X8 to FB-X10 and FB-X12 to FB-X14. */
void lint_judge_libraries(const elf_facts *facts, const lint_options *options, lint_report *out);
void lint_judge_imports(const elf_facts *facts, lint_report *out);

#endif
