/* ledger.c -- see ledger.h. */
#include "ledger.h"

#include <fnmatch.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the nearest id ---- */

#define LONGEST_ID 96

static unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

/* How many letters must change (Levenshtein). */
static unsigned distance(const char *a, const char *b) {
  unsigned row[LONGEST_ID + 1];
  const unsigned n = (unsigned)strnlen(a, LONGEST_ID), m = (unsigned)strnlen(b, LONGEST_ID);
  for (unsigned j = 0; j <= m; j++) row[j] = j;
  for (unsigned i = 1; i <= n; i++) {
    unsigned corner = row[0];
    row[0] = i;
    for (unsigned j = 1; j <= m; j++) {
      const unsigned up = row[j];
      row[j] = least(least(up, row[j - 1]) + 1, corner + (a[i - 1] != b[j - 1]));
      corner = up;
    }
  }
  return row[m];
}

static const char *nearest(const test_list *tests, const char *id) {
  const char *best = NULL;
  unsigned least_far = ~0u;
  for (size_t i = 0; i < tests->n; i++) {
    const unsigned far = distance(id, tests->test[i].id);
    if (far >= least_far) continue;
    least_far = far;
    best = tests->test[i].id;
  }
  return best ? best : "(there are no tests)";
}

/* ---- reading ---- */

typedef struct reading {
  const char *path;
  const test_list *tests;
  ledger *out;
  bool bad;
} reading;

static bool names_a_test(const test_list *tests, const char *id) {
  for (size_t i = 0; i < tests->n; i++)
    if (!fnmatch(id, tests->test[i].id, 0)) return true;
  return false;
}

static int complain(reading *in, const char *id, const char *text, const char *more) {
  fprintf(stderr, "forge-conformance: %s: \"%s\" %s%s\n", in->path, id, text, more);
  in->bad = true;
  return 1;
}

static int on_entry(void *ctx, const char *section, const char *key, const char *value) {
  reading *in = ctx;
  ledger *l = in->out;
  const int kind = !strcmp(section, "unsupported")        ? LEDGER_UNSUPPORTED
                   : !strcmp(section, "expected failure") ? LEDGER_EXPECTED
                                                          : 0;
  if (!kind)
    return complain(in, section, "is no section of a ledger; there are [unsupported] and ",
                    "[expected failure]");
  if (!names_a_test(in->tests, key))
    return complain(in, key, "names no test; the nearest is ", nearest(in->tests, key));
  if (!value || !value[0]) return complain(in, key, "has no reason; write one after the =", "");
  ledger_entry *more = realloc(l->entry, (l->n + 1) * sizeof *more);
  if (!more) return complain(in, key, "does not fit into memory", "");
  l->entry = more;
  more[l->n++] = (ledger_entry){.id = strdup(key), .reason = strdup(value), .kind = kind};
  return 1;
}

bool ledger_read(const char *path, const test_list *tests, ledger *out) {
  reading in = {.path = path, .tests = tests, .out = out};
  *out = (ledger){.n = 0};
  const int line = ini_parse(path, on_entry, &in);
  if (line < 0) fprintf(stderr, "forge-conformance: the ledger %s cannot be read\n", path);
  if (line > 0)
    fprintf(stderr, "forge-conformance: %s: line %d is neither [section] nor id = reason\n", path,
            line);
  return !line && !in.bad;
}

void ledger_free(ledger *l) {
  for (size_t i = 0; i < l->n; i++) {
    free(l->entry[i].id);
    free(l->entry[i].reason);
  }
  free(l->entry);
}

/* ---- judging by it ---- */

static const ledger_entry *find(const ledger *l, const char *id, int kind) {
  for (size_t i = 0; i < l->n; i++)
    if (l->entry[i].kind == kind && !fnmatch(l->entry[i].id, id, 0)) return &l->entry[i];
  return NULL;
}

static void set_reason(result *r, const char *words, const char *reason, const char *rest) {
  char *now = NULL;
  if (asprintf(&now, "%s%s%s%s", words, reason, rest[0] ? ": " : "", rest) < 0) return;
  free(r->reason);
  r->reason = now;
}

void ledger_before(const ledger *l, results *all) {
  for (size_t i = 0; i < all->n; i++) {
    result *r = &all->result[i];
    const ledger_entry *e = find(l, r->test->id, LEDGER_UNSUPPORTED);
    if (!e) continue;
    r->done = true;
    r->verdict = VERDICT_UNSUPPORTED;
    set_reason(r, "the ledger: ", e->reason, "");
  }
}

void ledger_after(const ledger *l, result *r) {
  const ledger_entry *e = find(l, r->test->id, LEDGER_EXPECTED);
  if (!e) return;
  if (r->verdict == VERDICT_PASS) {
    r->verdict = VERDICT_XPASS;
    set_reason(r, "it passes, but the ledger expects a failure: ", e->reason, "");
  } else if (verdict_is_bad(r->verdict)) {
    r->verdict = VERDICT_XFAIL;
    set_reason(r, "expected: ", e->reason, r->reason);
  }
}
