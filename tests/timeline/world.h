/* world.h -- what the tests of timelines stand in: a host that counts, and streams that are threads
 * with events that are flags. */
#ifndef FORGE_TESTS_WORLD_H
#define FORGE_TESTS_WORLD_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <forge/timeline.h>

#define MAX_NOTES 4096
typedef struct note {
  uint64_t cookie, value;
  forge_status status;
} note;

/* What the host heard and gave. */
typedef struct counts {
  pthread_mutex_t lock;
  note notes[MAX_NOTES];
  uint32_t n_notes, reports;
  forge_status reported;
  uint64_t reported_value;
  long live;       /* blocks of memory not given back */
  long fail_after; /* that many more succeed; negative: all */
} counts;
extern counts world;
extern _Atomic int waits_on_stream;
extern const forge_timeline_source source;

/* Done when finish_event() says so, which gives the test's share of it back. */
typedef struct event event;
event *new_event(void);
void finish_event(event *e, forge_status status);

/* Around each test: counts begin at nothing, and no memory is left. */
int enter(void **state);
int leave(void **state);
#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)

forge_tl *timeline(uint64_t cookie);
forge_watch *watch(void);
uint64_t value_of(forge_tl *tl);
/* Work that ends with |e|, waits for |before| (tl NULL: nothing) and signals |after|. */
void give(forge_watch *w, event *e, forge_point before, forge_point after);
extern const forge_point no_point;
uint32_t notes_of(uint64_t cookie);

#endif
