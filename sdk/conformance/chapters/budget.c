/* budget.c -- how long a call may take, and what waiting costs. The limits are wide: they find
 * calls that compile, sleep or talk to a server where the core expects an answer. */
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "day.h"
#include "plugin.h"
#include "process.h"

/* Seconds; docs/backend-guide.md prints them. Building and opening may be slow, and are not on the
 * way of a step. */
typedef struct limit {
  const char *function;
  double seconds;
} limit;
static const limit limits[] = {
#define LIMIT(function, seconds) {#function, seconds},
#include "limits.def"
#undef LIMIT
};

static double limit_of(const char *function) {
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
    if (!strcmp(limits[i].function, function)) return limits[i].seconds * test_set.slow;
  return 60 * test_set.slow;
}

/* Time in which the machine had no processor for us is not the plugin's. */
static void calls(const void *arg) {
  (void)arg;
  plugin_time times[32];
  const double before = process_starved(getpid());
  day_of_work(NULL);
  rig_table()->shutdown();
  const double starved = process_starved(getpid()) - before;
  const unsigned n = plugin_times(times, sizeof times / sizeof *times);
  for (unsigned i = 0; i < n; i++) {
    const double most = limit_of(times[i].function);
    CHECK(times[i].seconds - fmax(starved, 0.0) <= most,
          "%s() took %.3g s; at most %.3g s is allowed", times[i].function, times[i].seconds, most);
    test_note("%s: %.3g s at most in %u calls", times[i].function, times[i].seconds,
              times[i].calls);
  }
}

static double processor_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#define WAIT_NS      500000000
#define MOST_SECONDS 0.05 /* of processor time while nothing happens for half a second */

static void check_rest(const process_work *work, double used, const char *what) {
  double wanted = 0;
  const bool polls = process_polls(work, &wanted);
  CHECK(used < MOST_SECONDS, "%s used %.3g s of processor time: it has to sleep", what, used);
  CHECK(
      !polls,
      "%s, a thread wanted a processor for %.3g s and never slept for long (this machine is busy: "
      "it got %.3g s): it has to sleep",
      what, wanted, used);
}

static void waiting(const void *arg) {
  static process_work work;
  (void)arg;
  rig *r = rig_open();
  process_work_look(&work);
  const double before = processor_seconds();
  const forge_status status = rig_table()->tl_wait(rig_timeline(r), UINT64_MAX - 1, WAIT_NS);
  const double used = processor_seconds() - before;
  CHECK(status == FORGE_E_TIMEOUT, "tl_wait() of a value nobody signals answers %s",
        rig_status_name(status));
  check_rest(&work, used, "waiting 0.5 s in tl_wait()");
  rig_close(r);
}

/* So may an open device on which nothing happens. */
static void idling(const void *arg) {
  static process_work work;
  (void)arg;
  rig *r = rig_open();
  process_work_look(&work);
  const double before = processor_seconds();
  nanosleep(&(struct timespec){.tv_nsec = WAIT_NS}, NULL);
  check_rest(&work, processor_seconds() - before, "half a second of an idle open device");
  rig_close(r);
}

void chapter_budget(test_list *list) {
  TEST_WITH(list, "budget.calls", calls, NULL, TEST_ALONE, 0, FB_B1);
  TEST_WITH(list, "budget.waiting", waiting, NULL, TEST_ALONE, 0, FB_B2);
  TEST_WITH(list, "budget.idling", idling, NULL, TEST_ALONE, 0, FB_B2);
}
