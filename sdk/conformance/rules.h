/* rules.h -- the rules of rules.def as text. */
#ifndef FORGE_CONFORMANCE_RULES_H
#define FORGE_CONFORMANCE_RULES_H

#include "test_list.h"

typedef struct rule_text {
  char id[16]; /* "FB-M3" */
  const char *chapter, *text, *consequence;
} rule_text;
const rule_text *rules_text(rule r); /* RULE_NONE < r < RULE_COUNT */

/* "FB-M1, FB-M3", into |out|, which is returned. */
const char *rules_of(const test_case *test, char *out, size_t bytes);

/* The whole table with its tests. False (and a message) when a rule outside chapter "lint" has no
 * test. */
bool rules_print(const test_list *tests, bool markdown);

#endif
