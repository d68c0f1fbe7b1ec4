/* test.h -- how a chapter declares its tests and how a test speaks.
 *
 * One test is one child process. It ends by returning (pass) or by one of the functions that do not
 * return: test_fail, test_skip, test_unsupported. They may be called on any thread. A crash, a call
 * of exit() or a hang is the runner's to notice.
 *
 *   static void frees_nothing(const void *arg) { .. CHECK(x == 0, "%d blocks are left", x); }
 *   void chapter_memory(test_list *list) {
 *     TEST(list, "memory.free_null", frees_nothing, FB_M3);
 *     for (..) TEST_OF(list, "op.FILL.f32.odd", fill_odd, &shapes[i], FB_O1);
 *   }
 *
 * A test without a rule does not compile. Chapters stand in chapters.def; their functions run in
 * the parent and only declare: the plugin is loaded in the children alone. */
#ifndef FORGE_CONFORMANCE_TEST_H
#define FORGE_CONFORMANCE_TEST_H

#include <stdbool.h>
#include <stdint.h>

/* FB_M3, .. : one number per rule of rules.def, from 1. "FB-M3" where a person reads it. */
typedef enum rule {
  RULE_NONE = 0,
#define RULE(id, chapter, text, consequence) id,
#include "rules.def"
#undef RULE
  RULE_COUNT
} rule;

#define TEST_MOST_RULES 4

enum {
  TEST_PERF = 1, /* a measurement: runs only with --perf, alone, and speaks by test_figure() */
  TEST_ALONE = 2 /* no other test may run beside it: it measures time or memory */
};

typedef void test_body(const void *arg);

typedef struct test_case {
  const char *id; /* chapter.name; copied by test_add() */
  test_body *body;
  const void *arg;      /* lives as long as the program */
  double limit_seconds; /* 0: the default of the command line */
  uint32_t flags;
  rule rules[TEST_MOST_RULES];
} test_case;

typedef struct test_list test_list;
void test_add(test_list *list, const test_case *test);

#define CHAPTER(name) void chapter_##name(test_list *list);
#include "chapters.def"
#undef CHAPTER

#define TEST_RULES_(first, ...)                                                                    \
  { first, ##__VA_ARGS__ }
/* At least one rule. */
#define TEST(list, name, function, ...)                                                            \
  test_add(list, &(test_case){.id = (name), .body = (function), .rules = TEST_RULES_(__VA_ARGS__)})
#define TEST_OF(list, name, function, argument, ...)                                               \
  test_add(list, &(test_case){.id = (name),                                                        \
                              .body = (function),                                                  \
                              .arg = (argument),                                                   \
                              .rules = TEST_RULES_(__VA_ARGS__)})
#define TEST_WITH(list, name, function, argument, more_flags, seconds, ...)                        \
  test_add(list, &(test_case){.id = (name),                                                        \
                              .body = (function),                                                  \
                              .arg = (argument),                                                   \
                              .flags = (more_flags),                                               \
                              .limit_seconds = (seconds),                                          \
                              .rules = TEST_RULES_(__VA_ARGS__)})

/* ---- inside a test ---- */

#define TEST_PRINTF_(n) __attribute__((format(printf, n, n + 1)))

/* What is wrong, where, and what it should have been: the vendor reads this line alone. */
void test_fail(const char *format, ...) __attribute__((noreturn)) TEST_PRINTF_(1);
/* The test does not apply here; the reason says what it would take. */
void test_skip(const char *format, ...) __attribute__((noreturn)) TEST_PRINTF_(1);
/* The plugin says NO with a reason: it does not offer this. */
void test_unsupported(const char *format, ...) __attribute__((noreturn)) TEST_PRINTF_(1);

#define CHECK(condition, ...)                                                                      \
  do {                                                                                             \
    if (!(condition)) test_fail(__VA_ARGS__);                                                      \
  } while (0)

/* What is being done, named when the child dies or hangs here. The rig sets it at every call of the
 * plugin; a test adds what the rig cannot know (the shape). */
void test_at(const char *format, ...) TEST_PRINTF_(1);
/* A measurement for the report: "MATMUL f32 512x512x512", 41.5, "GFLOP/s". */
void test_figure(const char *name, double value, const char *unit);
/* A line shown with the test in the reports. */
void test_note(const char *format, ...) TEST_PRINTF_(1);

/* ---- what the command line says ---- */

typedef struct test_settings {
  const char *library;        /* the shared object */
  const char *name;           /* as the manifest says, NULL without one */
  const char *plugin;         /* as the plugin says */
  uint32_t device;            /* ordinal under test */
  const char *const *options; /* key, value, .. NULL */
  const char *program;        /* the path of this program */
  double slow;                /* factor on limits of time */
  double timeout;             /* seconds per test that names no limit */
} test_settings;
extern test_settings test_set;

double test_now(void);                 /* seconds of a clock that only rises */
uint64_t test_random(uint64_t *state); /* the same numbers for the same seed */

#endif
