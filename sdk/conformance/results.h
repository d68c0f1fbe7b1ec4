/* results.h -- what came of the tests, as the runner fills it in and the reports read it. */
#ifndef FORGE_CONFORMANCE_RESULTS_H
#define FORGE_CONFORMANCE_RESULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "test_list.h"

/* X(NAME, word, what it means, counts as a failure) */
#define VERDICT_MAP(X)                                                                             \
  X(PASS, "pass", "the rule holds", 0)                                                             \
  X(FAIL, "fail", "a rule is broken; the reason says how", 1)                                      \
  X(CRASH, "crash", "the plugin ended the test's process", 1)                                      \
  X(TIMEOUT, "timeout", "no verdict within the test's limit of time", 1)                           \
  X(SKIP, "skip", "the test does not apply here", 0)                                               \
  X(UNSUPPORTED, "unsupported", "the plugin or the ledger says that it is not offered", 0)         \
  X(XFAIL, "xfail", "a failure the ledger expects", 0)                                             \
  X(XPASS, "xpass", "a failure the ledger expects did not come: take the entry out", 1)
typedef enum verdict {
#define X(NAME, word, text, bad) VERDICT_##NAME,
  VERDICT_MAP(X)
#undef X
      VERDICT_COUNT
} verdict;
const char *verdict_word(verdict v);
bool verdict_is_bad(verdict v);

typedef struct figure {
  char *name, *unit;
  double value;
} figure;

typedef struct result {
  const test_case *test;
  bool done; /* false: not chosen, or not reached */
  verdict verdict;
  char *reason; /* "" for a pass */
  char *notes;  /* lines, "" if none */
  char *output; /* what the child wrote to its standard output and error, shortened */
  figure *figure;
  size_t n_figures;
  double seconds;
} result;

/* What the plugin says of itself, found out by a child of its own. */
typedef struct facts {
  bool loaded, probed; /* the entry answered OK; probe() did */
  char trouble[1024];  /* why not, if not */
  char name[64], vendor[64], version[64], driver[128], device[128], why_not[512];
  uint32_t minor_min, minor_max, sanitizer, n_devices, type;
  uint64_t mem_total;
} facts;

typedef struct results {
  result *result;
  size_t n;
  bool whole; /* no test was left out by a filter */
  facts facts;
  double seconds;
} results;

void results_free(results *all);
size_t results_count(const results *all, verdict v);
size_t results_done(const results *all);
bool results_bad(const results *all); /* anything failed */
/* "memory" of "memory.free_null", into |out|. */
void results_chapter(const char *id, char *out, size_t bytes);

/* ---- the level ---- */

typedef struct level {
  unsigned primitives, composites;         /* declared: some test of the op was not `unsupported` */
  unsigned all_primitives, all_composites; /* there are */
  bool asked;                              /* tests of ops were run */
  bool complete; /* all tests ran, none failed, and every primitive is declared */
} level;
level results_level(const results *all);
/* The sentence of the summary. */
void results_level_text(const level *l, char *out, size_t bytes);

/* The worst verdict of the tests of |op| that name |type| ("" for all); VERDICT_COUNT: none. */
verdict results_cell(const results *all, const char *op, const char *type);

#endif
