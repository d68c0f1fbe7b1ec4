/* ledger.h -- what a vendor has written down about his plugin: what it will never do, and which
 * failures are known. INI:
 *
 *   [unsupported]          these are not run; for good
 *   op.TOPK.* = the chip has no sorting unit
 *   [expected failure]     these are run; one that passes is a failure, so that the entry goes
 *   timelines.storm = driver fault 1234
 *
 * An id that names no test is a mistake, and so is an entry without a reason. */
#ifndef FORGE_CONFORMANCE_LEDGER_H
#define FORGE_CONFORMANCE_LEDGER_H

#include "results.h"

enum { LEDGER_UNSUPPORTED = 1, LEDGER_EXPECTED = 2 };

typedef struct ledger_entry {
  char *id, *reason; /* id may hold * and ? */
  int kind;
} ledger_entry;

typedef struct ledger {
  ledger_entry *entry;
  size_t n;
} ledger;

/* False after a message on standard error. |tests| are all there are. */
bool ledger_read(const char *path, const test_list *tests, ledger *out);
void ledger_free(ledger *l);

/* Marks as unsupported, without a run, what the ledger says. */
void ledger_before(const ledger *l, results *all);
/* Turns a verdict into xfail or xpass where the ledger expects a failure. */
void ledger_after(const ledger *l, result *r);

#endif
