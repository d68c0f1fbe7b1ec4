/* test.c -- the list of tests, and the voice of a test in its child process. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "borrow.h"
#include "host.h"
#include "plugin.h"
#include "stage.h"
#include "test_list.h"

#define LONGEST_TEXT 4096

test_settings test_set = {.slow = 1, .timeout = 60};
static stage alone; /* until the runner shares one */
stage *test_stage = &alone;
static int ear = -1;
static pid_t own_process;
static _Atomic int spoken;

/* ---- the list ---- */

void test_list_fill(test_list *list) {
#define CHAPTER(name) chapter_##name(list);
#include "chapters.def"
#undef CHAPTER
}

void test_list_free(test_list *list) {
  for (size_t i = 0; i < list->n; i++) free((char *)(uintptr_t)list->test[i].id);
  free(list->test);
}

void test_add(test_list *list, const test_case *test) {
  if (list->n == list->room) {
    list->room = list->room ? 2 * list->room : 256;
    list->test = realloc(list->test, list->room * sizeof *list->test);
  }
  char *id = strdup(test->id);
  if (!list->test || !id) {
    fprintf(stderr, "forge-conformance: no memory for the list of tests\n");
    exit(2);
  }
  list->test[list->n] = *test;
  list->test[list->n++].id = id;
}

/* ---- speaking ---- */

static const char *word_of(uint32_t kind) {
  switch (kind) {
  case SAY_PASS: return "pass";
  case SAY_FAIL: return "fail:";
  case SAY_SKIP: return "skip:";
  case SAY_UNSUPPORTED: return "unsupported:";
  case SAY_FIGURE: return "figure:";
  default: return "note:";
  }
}

/* One write of less than PIPE_BUF: threads do not mix. Without a runner a person reads. */
static void say(uint32_t kind, const char *text, size_t bytes) {
  if (ear < 0) {
    fprintf(stderr, "%s %.*s\n", word_of(kind), (int)bytes, text);
    return;
  }
  uint8_t message[sizeof(saying) + LONGEST_TEXT];
  if (bytes > LONGEST_TEXT - sizeof(saying)) bytes = LONGEST_TEXT - sizeof(saying);
  const saying head = {kind, (uint32_t)bytes};
  memcpy(message, &head, sizeof head);
  memcpy(message + sizeof head, text, bytes);
  while (write(ear, message, sizeof head + bytes) < 0 && errno == EINTR) {
  }
}

/* A test may fork: only its own process speaks for it. The first word counts. */
static void end_with(uint32_t kind, const char *format, va_list args) {
  char text[LONGEST_TEXT];
  vsnprintf(text, sizeof text, format, args);
  if (getpid() != own_process) {
    fprintf(stderr, "%s\n", text);
    _exit(99);
  }
  if (!spoken++)
    say(kind, text, strlen(text));
  else
    pause(); /* another thread is ending the process */
  _exit(0);
}

#define ENDS(function, kind)                                                                       \
  void function(const char *format, ...) {                                                         \
    va_list args;                                                                                  \
    va_start(args, format);                                                                        \
    end_with(kind, format, args);                                                                  \
    va_end(args);                                                                                  \
    abort(); /* not reached */                                                                     \
  }
ENDS(test_fail, SAY_FAIL)
ENDS(test_skip, SAY_SKIP)
ENDS(test_unsupported, SAY_UNSUPPORTED)

void test_note(const char *format, ...) {
  char text[LONGEST_TEXT];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  say(SAY_NOTE, text, strlen(text));
}

void test_figure(const char *name, double value, const char *unit) {
  char text[LONGEST_TEXT];
  const int n = snprintf(text, sizeof text, "%s\t%.9g\t%s", name, value, unit);
  say(SAY_FIGURE, text, (size_t)n);
}

void test_at(const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(test_stage->at, sizeof test_stage->at, format, args);
  va_end(args);
}

double test_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* splitmix64 */
uint64_t test_random(uint64_t *state) {
  uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
  return z ^ z >> 31;
}

/* ---- the child ---- */

static void on_exit_called(void) {
  if (!spoken && getpid() == own_process) test_stage->exited = 1;
}

/* Tells a read of borrowed memory from other accidents; those are left to end the process. */
static void on_fault(int number, siginfo_t *info, void *context) {
  (void)context;
  const char *function = borrow_was(info->si_addr);
  if (function && getpid() == own_process && !spoken++) {
    char text[256];
    snprintf(
        text, sizeof text,
        "the plugin touched memory that was lent to it for %s() only, after that call returned "
        "or past the end of what was lent",
        function);
    say(SAY_FAIL, text, strlen(text));
    _exit(0);
  }
  signal(number, SIG_DFL);
  raise(number);
}

static void watch_faults(void) {
  static uint8_t stack[65536];
  const stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
  struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaltstack(&alternative, NULL);
  sigaction(SIGSEGV, &act, NULL);
  sigaction(SIGBUS, &act, NULL);
}

void test_run_child(const test_case *test, int fd) {
  ear = fd;
  own_process = getpid();
  atexit(on_exit_called);
  if (FORGE_SANITIZER_BUILT == FORGE_SANITIZER_NONE) watch_faults(); /* a sanitizer says more */
  test->body(test->arg);
  test_at("after the test, in shutdown()");
  plugin_shutdown();
  host_check();
  if (spoken++)
    pause(); /* another thread has found a fault, and ends the process */
  else
    say(SAY_PASS, "", 0);
  test_at("after the test, while the process ended");
  exit(0);
}
