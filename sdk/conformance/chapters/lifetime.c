/* lifetime.c -- what is taken is given back: by an open device, by each object, by each step. The
 * core's accounts, the C library's, /proc's threads, files and mappings are all looked at. */
#include <string.h>
#include <time.h>

#include "day.h"
#include "host.h"
#include "plugin.h"
#include "process.h"
#include "work.h"

enum { WARM = 5, TIMES = 100, ROUNDS = 5 };
enum { LEAST_LEAK = 24 }; /* bytes each time, to be called a leak */

static void expect_same(process_state a, const char *what, int times) {
  const process_state b = process_settle();
  CHECK(b.threads <= a.threads, "%d x %s leaves %u more threads", times, what,
        b.threads - a.threads);
  CHECK(b.files <= a.files, "%d x %s leaves %u more file descriptors", times, what,
        b.files - a.files);
  CHECK(b.host_blocks <= a.host_blocks, "%d x %s leaves %u blocks (%u bytes) of host->alloc()",
        times, what, (unsigned)(b.host_blocks - a.host_blocks),
        (unsigned)(b.host_bytes - a.host_bytes));
  CHECK(b.heap_bytes <= a.heap_bytes + (uint64_t)times * LEAST_LEAK,
        "%d x %s leaves %u bytes of malloc()", times, what,
        (unsigned)(b.heap_bytes - a.heap_bytes));
  CHECK(b.mappings <= a.mappings + (uint32_t)times / 10, "%d x %s leaves %u more mappings", times,
        what, b.mappings - a.mappings);
}

/* Warm first: what is made once for the process is no leak. The C library's heap and mappings may
 * still grow by what a busy moment makes of pools and tables, the plugin's or its driver's: a leak
 * grows in every round, so one round without counts. */
static void repeat(void (*step)(rig *r), rig *r, const char *what) {
  process_state before;
  for (int i = 0; i < WARM; i++) step(r);
  for (int round = 0; round < ROUNDS; round++) {
    before = process_settle();
    for (int i = 0; i < TIMES; i++) step(r);
    const process_state after = process_settle();
    if (after.heap_bytes <= before.heap_bytes + TIMES * LEAST_LEAK &&
        after.mappings <= before.mappings)
      break;
  }
  expect_same(before, what, TIMES);
}

static void open_and_close(rig *none) {
  (void)none;
  rig_close(rig_open());
}

static void opens(const void *arg) {
  (void)arg;
  repeat(open_and_close, NULL, "open and close");
}

static void one_day(rig *none) {
  (void)none;
  day_of_work(NULL);
}

static void days(const void *arg) {
  (void)arg;
  repeat(one_day, NULL, "a device opened, used and closed");
}

/* ---- objects ---- */

static void a_queue(rig *r) {
  forge_queue *queue;
  rig_expect(rig_table()->queue_create(rig_device(r), FORGE_QUEUE_COMPUTE, 0, &queue),
             "queue_create");
  rig_table()->queue_destroy(queue);
}

static void a_timeline(rig *r) {
  forge_tl *tl;
  rig_expect(rig_table()->tl_create(rig_device(r), 3, 4, &tl), "tl_create");
  rig_table()->tl_destroy(tl);
}

static void a_block(rig *r) { rig_free_mem(r, rig_alloc(r, 65536)); }

static void a_program(rig *r) { work_free(work_small(r)); }

static void objects(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  repeat(a_queue, r, "a queue made and destroyed");
  repeat(a_timeline, r, "a timeline made and destroyed");
  repeat(a_block, r, "memory taken and given back");
  rig_close(r);
}

static void programs(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  repeat(a_program, r, "a program built and destroyed");
  rig_close(r);
}

/* ---- steps ---- */

static work *step_work;
static forge_mem *step_mem[2];

static void a_step(rig *r) {
  uint8_t byte = 1;
  rig_put(r, step_mem[0], 0, &byte, 1);
  work_run(step_work, step_mem[0], step_mem[1]);
  rig_finish(r);
}

static void steps(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  step_work = work_small(r);
  for (int i = 0; i < 2; i++) step_mem[i] = rig_alloc(r, step_work->bytes);
  repeat(a_step, r, "a copy and a submit");
  for (int i = 0; i < 2; i++) rig_free_mem(r, step_mem[i]);
  work_free(step_work);
  rig_close(r);
}

/* ---- the end ---- */

static void joins(const void *arg) {
  (void)arg;
  const uint32_t before = process_look().threads;
  day_of_work(NULL);
  rig_table()->shutdown(); /* from here on a call of the host's services fails the test */
  nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
  const uint32_t after = process_look().threads;
  CHECK(after <= before, "%u threads are left after dev_close() and shutdown()", after - before);
}

/* Freed blocks are watched by the suite's host: a second free or a late write fails the test. */
static void frees(const void *arg) {
  (void)arg;
  for (int i = 0; i < 3; i++) day_of_work(NULL);
  rig_table()->shutdown();
  host_check();
}

void chapter_lifetime(test_list *list) {
  TEST_WITH(list, "lifetime.opens", opens, NULL, TEST_ALONE, 0, FB_Z1);
  TEST_WITH(list, "lifetime.days", days, NULL, TEST_ALONE, 0, FB_Z1, FB_Z2);
  TEST_WITH(list, "lifetime.objects", objects, NULL, TEST_ALONE, 0, FB_Z2);
  TEST_WITH(list, "lifetime.programs", programs, NULL, TEST_ALONE, 0, FB_Z2);
  TEST_WITH(list, "lifetime.steps", steps, NULL, TEST_ALONE, 0, FB_Z3);
  TEST(list, "lifetime.threads", joins, FB_Z4);
  TEST(list, "lifetime.frees", frees, FB_Z5);
}
