/* console.c -- see console.h. */
#include "console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rules.h"

static const char *colour(const console *c, verdict v) {
  if (!c->terminal) return "";
  if (verdict_is_bad(v)) return "\033[31m";
  return v == VERDICT_PASS ? "\033[32m" : "\033[33m";
}

static const char *plain(const console *c) { return c->terminal ? "\033[0m" : ""; }
static void clear(const console *c) {
  if (c->terminal) fputs("\r\033[K", stdout);
}

void console_start(console *c, const options *o, const ledger *l, const results *all) {
  const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
  *c = (console){.o = o, .ledger = l, .began = test_now()};
  c->terminal = isatty(1) && !(no && *no) && !(term && !strcmp(term, "dumb"));
  for (size_t i = 0; i < all->n; i++) c->total += !all->result[i].done;
  const facts *f = &all->facts;
  printf("forge-conformance %s: %s %s by %s (minors %u to %u), device %u of %u: %s%s%s\n",
         FORGE_VERSION, f->name, f->version, f->vendor, f->minor_min, f->minor_max, test_set.device,
         f->n_devices, f->device, f->driver[0] ? ", driver " : "", f->driver);
  printf("%s\n%zu tests\n", test_set.library, c->total);
  fflush(stdout);
}

/* Every line of |text|, pushed in. */
static void indent(const char *text) {
  while (text && *text) {
    const size_t n = strcspn(text, "\n");
    printf("        | %.*s\n", (int)n, text);
    text += n + (text[n] == '\n');
  }
}

static void show_progress(const console *c) {
  const double seconds = test_now() - c->began, rate = seconds > 0 ? (double)c->done / seconds : 0;
  printf("\r\033[K%zu of %zu tests, %.1f/s, %.0f s left", c->done, c->total, rate,
         rate > 0 ? (double)(c->total - c->done) / rate : 0);
}

static void show_result(const console *c, const result *r) {
  char rules[128];
  printf("%s%-11s%s %s  (%.2f s)\n", colour(c, r->verdict), verdict_word(r->verdict), plain(c),
         r->test->id, r->seconds);
  if (r->reason[0] && r->verdict != VERDICT_PASS) printf("        %s\n", r->reason);
  if (verdict_is_bad(r->verdict)) {
    printf("        %s\n", rules_of(r->test, rules, sizeof rules));
    indent(r->output);
  }
  indent(r->notes);
  for (size_t i = 0; i < r->n_figures; i++)
    printf("        %s: %.4g %s\n", r->figure[i].name, r->figure[i].value, r->figure[i].unit);
}

void console_heard(void *ctx, const results *all, const result *one) {
  console *c = ctx;
  result *r = &all->result[one - all->result];
  ledger_after(c->ledger, r);
  c->done++;
  clear(c);
  const bool quiet = c->o->quiet || c->terminal;
  if (!quiet || verdict_is_bad(r->verdict) || r->n_figures ||
      (c->terminal && r->verdict != VERDICT_PASS && !c->o->quiet))
    show_result(c, r);
  if (c->terminal) show_progress(c);
  fflush(stdout);
}

void console_finish(console *c, const results *all) {
  char text[160];
  clear(c);
  for (size_t i = 0; i < all->n; i++) {
    const result *r = &all->result[i];
    if (r->done && verdict_is_bad(r->verdict))
      printf("%s%s%s %s: %s\n", colour(c, r->verdict), verdict_word(r->verdict), plain(c),
             r->test->id, r->reason);
  }
  for (int v = 0; v < VERDICT_COUNT; v++)
    if (results_count(all, (verdict)v) || v == VERDICT_PASS || v == VERDICT_FAIL)
      printf("%zu %s%s", results_count(all, (verdict)v), verdict_word((verdict)v), ", ");
  if (results_done(all) < all->n) printf("%zu not reached, ", all->n - results_done(all));
  printf("%.1f s\n", all->seconds);
  const level l = results_level(all);
  results_level_text(&l, text, sizeof text);
  printf("%s\n", text);
}

void console_list(const test_list *tests, const options *o) {
  char rules[128];
  for (size_t i = 0; i < tests->n; i++)
    if (options_choose(o, tests->test[i].id))
      printf("%-44s %s%s\n", tests->test[i].id, rules_of(&tests->test[i], rules, sizeof rules),
             tests->test[i].flags & TEST_PERF ? " (with --perf)" : "");
}
