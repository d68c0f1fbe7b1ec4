/* main.c -- forge-conformance: every rule of the backend ABI, tried on one plugin. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"
#include "library.h"
#include "report.h"
#include "rules.h"
#include "runner.h"

/* ---- the plugin ---- */

static int refuse(const char *path, const char *why) {
  fprintf(stderr, "forge-conformance: %s is no plugin that can be tried: %s\n", path, why);
  return EXIT_NO_PLUGIN;
}

static int nothing(const libraries *l, const facts *f) {
  if (f->n_devices)
    fprintf(stderr, "forge-conformance: nothing to test: %s has no device %u, only %u of them\n",
            f->name, test_set.device, f->n_devices);
  else
    fprintf(stderr, "forge-conformance: nothing to test: %s finds no device here: %s\n",
            l->name[0] ? l->name : f->name, f->why_not[0] ? f->why_not : "(it gives no reason)");
  return EXIT_NOTHING;
}

/* The first library of a manifest that has a device is the one the core would take. A plugin that
 * fails its probe is tried all the same: the tests name what is wrong. */
static int choose(const char *plugin, libraries *l, facts *f) {
  char why[4608];
  if (!library_find(plugin, l, why, sizeof why)) {
    fprintf(stderr, "forge-conformance: %s\n", why);
    return EXIT_NO_PLUGIN;
  }
  test_set.name = l->name[0] ? l->name : NULL;
  for (unsigned i = 0; i < l->n; i++) {
    test_set.library = l->path[i];
    runner_survey(f);
    if (f->n_devices > test_set.device) return -1;
  }
  if (!f->loaded) return refuse(test_set.library, f->trouble);
  return f->probed ? nothing(l, f) : -1;
}

/* ---- the run ---- */

static bool wanted(const options *o, const test_case *t) {
  return options_choose(o, t->id) && (o->perf || !(t->flags & TEST_PERF));
}

static bool collect(const options *o, const test_list *tests, results *all) {
  all->result = calloc(tests->n ? tests->n : 1, sizeof *all->result);
  all->whole = !o->n_filters;
  for (size_t i = 0; all->result && i < tests->n; i++)
    if (wanted(o, &tests->test[i])) all->result[all->n++] = (result){.test = &tests->test[i]};
  if (all->n) return true;
  fprintf(stderr, "forge-conformance: no test matches; forge-conformance --list shows their ids\n");
  return false;
}

static bool write_reports(const options *o, const results *all) {
  bool well = true;
  if (o->junit) well &= report_junit(all, o->junit);
  if (o->json) well &= report_json(all, o->json);
  if (o->report) well &= report_page(all, o->report);
  return well;
}

static int run(const options *o, const ledger *l, results *all) {
  console c;
  ledger_before(l, all);
  console_start(&c, o, l, all);
  const bool ran = runner_run(all, o->jobs, console_heard, &c);
  console_finish(&c, all);
  const bool written = write_reports(o, all);
  return ran && written && !results_bad(all) ? EXIT_WELL : EXIT_FAILED;
}

/* One test here and now: no limit of time, no other process. */
static int debug(const test_list *tests, const char *id) {
  for (size_t i = 0; i < tests->n; i++)
    if (!strcmp(tests->test[i].id, id)) test_run_child(&tests->test[i], -1);
  fprintf(stderr, "forge-conformance: no test is named \"%s\"\n", id);
  return EXIT_USAGE;
}

static int go(const options *o, const test_list *tests) {
  static libraries l; /* large */
  results all = {0};
  ledger book = {0};
  if (o->rules) return rules_print(tests, !strcmp(o->rules, "markdown")) ? EXIT_WELL : EXIT_FAILED;
  if (o->list) {
    console_list(tests, o);
    return EXIT_WELL;
  }
  int end = o->ledger && !ledger_read(o->ledger, tests, &book) ? EXIT_USAGE : -1;
  if (end < 0 && !collect(o, tests, &all)) end = EXIT_USAGE;
  if (end < 0) end = choose(o->plugin, &l, &all.facts);
  test_set.plugin = all.facts.name;
  if (end < 0) end = o->debug ? debug(tests, o->debug) : run(o, &book, &all);
  results_free(&all);
  ledger_free(&book);
  return end;
}

int main(int argc, char **argv) {
  options o;
  test_list tests = {0};
  test_set.program = argv[0];
  int end = options_read(argc, argv, &o);
  if (end >= 0) return end;
  test_list_fill(&tests);
  end = go(&o, &tests);
  test_list_free(&tests);
  return end;
}
