/* rules.c -- see rules.h. */
#include "rules.h"

#include <stdio.h>
#include <string.h>

static rule_text texts[] = {
    {.id = ""},
#define RULE(id_, chapter_, text_, consequence_)                                                   \
  {.id = #id_, .chapter = chapter_, .text = text_, .consequence = consequence_},
#include "rules.def"
#undef RULE
};

const rule_text *rules_text(rule r) {
  char *underline = strchr(texts[r].id, '_');
  if (underline) *underline = '-';
  return &texts[r];
}

const char *rules_of(const test_case *test, char *out, size_t bytes) {
  size_t n = 0;
  out[0] = 0;
  for (int i = 0; i < TEST_MOST_RULES && test->rules[i] && n < bytes; i++)
    n +=
        (size_t)snprintf(out + n, bytes - n, "%s%s", i ? ", " : "", rules_text(test->rules[i])->id);
  return out;
}

static bool holds(const test_case *test, rule r) {
  for (int i = 0; i < TEST_MOST_RULES; i++)
    if (test->rules[i] == r) return true;
  return false;
}

/* Families of generated tests are one entry: "op.MATMUL.*". */
static void family(const char *id, char *out, size_t bytes) {
  const char *dot = strchr(id, '.'), *second = dot ? strchr(dot + 1, '.') : NULL;
  if (second)
    snprintf(out, bytes, "%.*s.*", (int)(second - id), id);
  else
    snprintf(out, bytes, "%s", id);
}

enum { MOST_SHOWN = 6 };

static size_t print_tests(const test_list *tests, rule r) {
  char shown[MOST_SHOWN][96], now[96];
  size_t n = 0, all = 0;
  for (size_t i = 0; i < tests->n; i++) {
    if (!holds(&tests->test[i], r)) continue;
    all++;
    family(tests->test[i].id, now, sizeof now);
    bool known = false;
    for (size_t k = 0; k < n && !known; k++) known = !strcmp(shown[k], now);
    if (known || n == MOST_SHOWN) continue;
    printf("%s`%s`", n ? ", " : "", now);
    memcpy(shown[n++], now, sizeof now);
  }
  if (n == MOST_SHOWN) printf(", ..");
  if (!all && !strcmp(rules_text(r)->chapter, "lint")) printf("`forge lint`");
  return all;
}

bool rules_print(const test_list *tests, bool markdown) {
  bool well = true;
  if (markdown) puts("| rule | text | otherwise | tests |\n|---|---|---|---|");
  for (int r = 1; r < RULE_COUNT; r++) {
    const rule_text *t = rules_text((rule)r);
    printf(markdown ? "| %s | %s | %s | " : "%s: %s\n  otherwise: %s\n  tests: ", t->id, t->text,
           t->consequence);
    const size_t n = print_tests(tests, (rule)r);
    puts(markdown ? " |" : "");
    if (n || !strcmp(t->chapter, "lint")) continue;
    fprintf(stderr, "forge-conformance: rule %s has no test\n", t->id);
    well = false;
  }
  return well;
}
