/* test_list.h -- the declared tests and how one is run in a child. The runner's side of test.h. */
#ifndef FORGE_CONFORMANCE_TEST_LIST_H
#define FORGE_CONFORMANCE_TEST_LIST_H

#include <stddef.h>

#include "test.h"

struct test_list {
  test_case *test;
  size_t n, room;
};

/* All chapters of chapters.def. */
void test_list_fill(test_list *list);
void test_list_free(test_list *list);

/* What a child writes to its runner: this head and |bytes| of text. */
enum {
  SAY_PASS = 'P',
  SAY_FAIL = 'F',
  SAY_SKIP = 'S',
  SAY_UNSUPPORTED = 'U',
  SAY_FIGURE = 'G',
  SAY_NOTE = 'N'
};
typedef struct saying {
  uint32_t kind, bytes;
} saying;

/* In the child: |fd| is the runner's ear, -1: none, a person reads standard error. Runs the body,
 * then ends the process. */
_Noreturn void test_run_child(const test_case *test, int fd);

#endif
