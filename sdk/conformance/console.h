/* console.h -- what a person sees: progress, what is not a pass, the summary. */
#ifndef FORGE_CONFORMANCE_CONSOLE_H
#define FORGE_CONFORMANCE_CONSOLE_H

#include "ledger.h"
#include "options.h"
#include "results.h"

typedef struct console {
  const options *o;
  const ledger *ledger;
  size_t total, done;
  double began;
  bool terminal;
} console;

void console_start(console *c, const options *o, const ledger *l, const results *all);
/* A runner_heard: applies the ledger, then shows the result. |ctx| is the console. */
void console_heard(void *ctx, const results *all, const result *one);
void console_finish(console *c, const results *all);
void console_list(const test_list *tests, const options *o);

#endif
