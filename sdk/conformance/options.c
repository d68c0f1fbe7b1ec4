/* options.c -- see options.h. */
#include "options.h"

#include <fnmatch.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rig.h"
#include "test.h"

static const char help[] =
    "usage: forge-conformance [options] PLUGIN\n"
    "\n"
    "Tries every rule of Forge's backend ABI on PLUGIN, a shared object or its manifest (.ini). "
    "Each\n"
    "test is a process of its own: a crash or a hang ends one test and is named.\n"
    "\n"
    "  -f, --filter GLOB     only tests whose id matches, e.g. 'memory.*'; may be given again\n"
    "  -l, --list            print the ids and rules of the tests, run nothing (no PLUGIN needed)\n"
    "  -j, --jobs N          so many tests at once (default: one per processor)\n"
    "  -d, --device N        the device to try (default 0)\n"
    "  -o, --option K=V      an option for the device; may be given again\n"
    "  -t, --timeout S       seconds a test may take (default 60; some tests name their own)\n"
    "      --slow X          stretch every limit of time by this factor (emulators, sanitizers)\n"
    "  -L, --ledger FILE     what is unsupported, and which failures are expected (INI)\n"
    "      --junit FILE      JUnit XML for a CI server\n"
    "      --json FILE       everything, for programs\n"
    "      --report FILE     a page to publish; .html or .md\n"
    "  -p, --perf            measurements too\n"
    "  -q, --quiet           only what is not a pass, and the summary\n"
    "      --debug ID        run one test in this very process, for a debugger\n"
    "      --rules FORMAT    print every rule with its tests: markdown or text\n"
    "  -h, --help            this text\n"
    "      --version\n"
    "\n"
    "Examples:\n"
    "  forge-conformance ./forge-mychip.so\n"
    "  forge-conformance -f 'op.MATMUL.*' -o threads=4 ./forge-mychip.so\n"
    "  forge-conformance -L ledger.ini --junit out.xml --report mychip.html mychip.ini\n"
    "  gdb --args forge-conformance --debug memory.alignment ./forge-mychip.so\n"
    "\n"
    "A ledger:\n"
    "  [unsupported]\n"
    "  op.TOPK.* = the chip has no sorting unit\n"
    "  [expected failure]\n"
    "  timelines.storm = driver fault 1234, fixed in 5.6\n"
    "\n"
    "Exit status: 0 nothing failed, 1 something failed (an unexpected pass too), 2 wrong usage or\n"
    "ledger, 3 PLUGIN is no plugin or cannot be loaded, 77 it offers no device here: nothing to "
    "test.\n";

enum { SLOW = 256, JUNIT, JSON, REPORT, DEBUG_ONE, RULES, VERSION };
static const struct option longs[] = {
    {"filter", required_argument, NULL, 'f'},    {"list", no_argument, NULL, 'l'},
    {"jobs", required_argument, NULL, 'j'},      {"device", required_argument, NULL, 'd'},
    {"option", required_argument, NULL, 'o'},    {"timeout", required_argument, NULL, 't'},
    {"slow", required_argument, NULL, SLOW},     {"ledger", required_argument, NULL, 'L'},
    {"junit", required_argument, NULL, JUNIT},   {"json", required_argument, NULL, JSON},
    {"report", required_argument, NULL, REPORT}, {"perf", no_argument, NULL, 'p'},
    {"quiet", no_argument, NULL, 'q'},           {"debug", required_argument, NULL, DEBUG_ONE},
    {"rules", required_argument, NULL, RULES},   {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, VERSION},     {NULL, 0, NULL, 0}};

static int wrong(const char *what, const char *text) {
  fprintf(stderr, "forge-conformance: %s \"%s\"; forge-conformance --help lists the options\n",
          what, text);
  return EXIT_USAGE;
}

static bool read_number(const char *text, double least, double most, double *out) {
  char *end;
  *out = strtod(text, &end);
  return end != text && !*end && *out >= least && *out <= most;
}

/* K=V into test_set.options. The words are the command line's own, split in place. */
static int add_option(char *text) {
  static const char *words[RIG_MOST_OPTIONS + 1];
  static unsigned n;
  char *equals = strchr(text, '=');
  if (!equals || equals == text) return wrong("an option is KEY=VALUE, not", text);
  if (n + 2 > RIG_MOST_OPTIONS) return wrong("too many options, at", text);
  *equals = 0;
  words[n++] = text;
  words[n++] = equals + 1;
  test_set.options = words;
  return -1;
}

static int read_limits(int letter, const char *text) {
  double x = 0;
  if (letter == 't' && !read_number(text, 0.1, 1e5, &test_set.timeout))
    return wrong("not a number of seconds:", text);
  if (letter == SLOW && !read_number(text, 1, 1e4, &test_set.slow))
    return wrong("not a factor of 1 or more:", text);
  if (letter == 'd') {
    if (!read_number(text, 0, 1e6, &x)) return wrong("not a device number:", text);
    test_set.device = (uint32_t)x;
  }
  return -1;
}

static int read_one(int letter, char *text, options *o) {
  double x = 0;
  switch (letter) {
  case 'f':
    if (o->n_filters == MOST_FILTERS) return wrong("too many filters, at", text);
    o->filter[o->n_filters++] = text;
    return -1;
  case 'j':
    if (!read_number(text, 1, 256, &x)) return wrong("not a number of jobs:", text);
    o->jobs = (unsigned)x;
    return -1;
  case 'o': return add_option(text);
  case 'd':
  case 't':
  case SLOW: return read_limits(letter, text);
  case 'l': o->list = true; return -1;
  case 'p': o->perf = true; return -1;
  case 'q': o->quiet = true; return -1;
  case 'L': o->ledger = text; return -1;
  case JUNIT: o->junit = text; return -1;
  case JSON: o->json = text; return -1;
  case REPORT: o->report = text; return -1;
  case DEBUG_ONE: o->debug = text; return -1;
  case RULES: o->rules = text; return -1;
  case VERSION:
    printf("forge-conformance %s, ABI %u.%u\n", FORGE_VERSION, FORGE_ABI_MAJOR, FORGE_ABI_MINOR);
    return EXIT_WELL;
  case 'h': fputs(help, stdout); return EXIT_WELL;
  default: return EXIT_USAGE;
  }
}

static bool ends_with(const char *text, const char *end) {
  const size_t n = strlen(text), m = strlen(end);
  return n >= m && !strcmp(text + n - m, end);
}

static int check(const options *o) {
  if (o->report && !ends_with(o->report, ".html") && !ends_with(o->report, ".md"))
    return wrong("a report's name ends in .html or .md, not", o->report);
  if (o->rules && strcmp(o->rules, "markdown") != 0 && strcmp(o->rules, "text") != 0)
    return wrong("rules are printed as markdown or text, not", o->rules);
  if (o->plugin || o->list || o->rules) return -1;
  fprintf(stderr, "forge-conformance: which plugin? Give its .so or its manifest; "
                  "forge-conformance --help shows examples\n");
  return EXIT_USAGE;
}

int options_read(int argc, char **argv, options *out) {
  const long processors = sysconf(_SC_NPROCESSORS_ONLN);
  *out = (options){.jobs = processors > 0 ? (unsigned)processors : 1};
  if (out->jobs > 256) out->jobs = 256;
  int letter;
  while ((letter = getopt_long(argc, argv, "f:lj:d:o:t:L:pqh", longs, NULL)) >= 0) {
    const int end = read_one(letter, optarg, out);
    if (end >= 0) return end;
  }
  if (optind < argc) out->plugin = argv[optind++];
  if (optind < argc) return wrong("one plugin at a time; what is", argv[optind]);
  return check(out);
}

bool options_choose(const options *o, const char *id) {
  for (unsigned i = 0; i < o->n_filters; i++)
    if (!fnmatch(o->filter[i], id, 0)) return true;
  return !o->n_filters;
}
