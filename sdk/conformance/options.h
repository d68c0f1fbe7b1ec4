/* options.h -- the command line. */
#ifndef FORGE_CONFORMANCE_OPTIONS_H
#define FORGE_CONFORMANCE_OPTIONS_H

#include <stdbool.h>

#define MOST_FILTERS 32

/* What the process answers to its caller. */
enum { EXIT_WELL = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NO_PLUGIN = 3, EXIT_NOTHING = 77 };

typedef struct options {
  const char *plugin;
  const char *filter[MOST_FILTERS]; /* any may match; none: all */
  unsigned n_filters, jobs;
  const char *ledger, *junit, *json, *report, *debug;
  const char *rules; /* a format: markdown or text */
  bool list, perf, quiet;
} options;

/* Fills |out| and test_set. Returns -1 to go on, else the exit status: help and mistakes are
 * printed. */
int options_read(int argc, char **argv, options *out);
bool options_choose(const options *o, const char *id);

#endif
