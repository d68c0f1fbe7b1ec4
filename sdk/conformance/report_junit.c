/* report_junit.c -- JUnit XML: a suite per chapter, a case per test. */
#include <string.h>

#include "report.h"
#include "report_file.h"
#include "rules.h"

static void attribute(FILE *f, const char *name, const char *value) {
  fprintf(f, " %s=\"", name);
  report_escape(f, value);
  fputc('"', f);
}

static void element(FILE *f, const char *name, const char *text) {
  if (!text || !text[0]) return;
  fprintf(f, "      <%s>", name);
  report_escape(f, text);
  fprintf(f, "</%s>\n", name);
}

static void write_case(FILE *f, const result *r, const char *chapter) {
  char rules[128];
  fputs("    <testcase", f);
  attribute(f, "classname", chapter);
  attribute(f, "name", r->test->id);
  fprintf(f, " time=\"%.3f\">\n", r->seconds);
  if (r->verdict != VERDICT_PASS) {
    const bool bad = verdict_is_bad(r->verdict);
    fputs(bad ? "      <failure" : "      <skipped", f);
    if (bad) attribute(f, "type", verdict_word(r->verdict));
    attribute(f, "message", r->reason);
    fputs(">", f);
    report_escape(f, bad ? rules_of(r->test, rules, sizeof rules) : verdict_word(r->verdict));
    fputs(bad ? "</failure>\n" : "</skipped>\n", f);
  }
  element(f, "system-out", r->notes);
  element(f, "system-err", r->output);
  fputs("    </testcase>\n", f);
}

typedef struct counts {
  size_t tests, failures, skipped;
  double seconds;
} counts;

static counts count(const results *all, const char *chapter) {
  counts c = {0};
  for (size_t i = 0; i < all->n; i++) {
    const result *r = &all->result[i];
    char own[64];
    results_chapter(r->test->id, own, sizeof own);
    if (!r->done || (chapter && strcmp(own, chapter) != 0)) continue;
    c.tests++;
    c.failures += verdict_is_bad(r->verdict);
    c.skipped += r->verdict != VERDICT_PASS && !verdict_is_bad(r->verdict);
    c.seconds += r->seconds;
  }
  return c;
}

static void head(FILE *f, const char *kind, const char *name, const counts *c) {
  fprintf(f, "<%s", kind);
  attribute(f, "name", name);
  fprintf(f, " tests=\"%zu\" failures=\"%zu\" skipped=\"%zu\" errors=\"0\" time=\"%.3f\">\n",
          c->tests, c->failures, c->skipped, c->seconds);
}

static void write_chapter(FILE *f, const results *all, const char *chapter) {
  const counts c = count(all, chapter);
  fputs("  ", f);
  head(f, "testsuite", chapter, &c);
  for (size_t i = 0; i < all->n; i++) {
    char own[64];
    results_chapter(all->result[i].test->id, own, sizeof own);
    if (all->result[i].done && !strcmp(own, chapter)) write_case(f, &all->result[i], chapter);
  }
  fputs("  </testsuite>\n", f);
}

static bool is_first_of(const results *all, size_t i, const char *chapter) {
  char own[64];
  for (size_t k = 0; k < i; k++) {
    results_chapter(all->result[k].test->id, own, sizeof own);
    if (all->result[k].done && !strcmp(own, chapter)) return false;
  }
  return true;
}

bool report_junit(const results *all, const char *path) {
  report_file r = {0};
  if (!report_begin(&r, path)) return false;
  const counts c = count(all, NULL);
  fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", r.f);
  head(r.f, "testsuites", all->facts.name, &c);
  for (size_t i = 0; i < all->n; i++) {
    char chapter[64];
    results_chapter(all->result[i].test->id, chapter, sizeof chapter);
    if (all->result[i].done && is_first_of(all, i, chapter)) write_chapter(r.f, all, chapter);
  }
  fputs("</testsuites>\n", r.f);
  return report_end(&r);
}
