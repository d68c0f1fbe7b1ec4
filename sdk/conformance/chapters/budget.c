/* budget.c -- how long a call may take, and what waiting costs. The limits are wide: they find
 * calls that compile, sleep or talk to a server where the core expects an answer. */
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "day.h"
#include "plugin.h"

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

static void calls(const void *arg) {
  (void)arg;
  plugin_time times[32];
  day_of_work(NULL);
  rig_table()->shutdown();
  const unsigned n = plugin_times(times, sizeof times / sizeof *times);
  for (unsigned i = 0; i < n; i++) {
    const double most = limit_of(times[i].function);
    CHECK(times[i].seconds <= most, "%s() took %.3g s; at most %.3g s is allowed",
          times[i].function, times[i].seconds, most);
    test_note("%s: %.3g s at most in %u calls", times[i].function, times[i].seconds,
              times[i].calls);
  }
}

static double processor_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* How often this thread gave the processor away by itself. */
static long sleeps(void) {
  struct rusage use;
  getrusage(RUSAGE_THREAD, &use);
  return use.ru_nvcsw;
}

/* Half a second of waiting in vain may cost a tenth of that. On a busy machine a thread that polls
 * may get less, but it does not sleep once. */
static void waiting(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  const double before = processor_seconds();
  const long slept = sleeps();
  const forge_status status = rig_table()->tl_wait(rig_timeline(r), UINT64_MAX - 1, 500000000);
  const double used = processor_seconds() - before;
  const bool sleepless = sleeps() == slept;
  CHECK(status == FORGE_E_TIMEOUT, "tl_wait() of a value nobody signals answers %s",
        rig_status_name(status));
  CHECK(used < 0.05 && !sleepless,
        "waiting 0.5 s in tl_wait() used %.3g s of processor time%s: it has to sleep", used,
        sleepless ? " and never slept" : "");
  rig_close(r);
}

/* So may an open device on which nothing happens. */
static void idling(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  const double before = processor_seconds();
  nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
  const double used = processor_seconds() - before;
  CHECK(used < 0.05, "half a second of an idle open device used %.3g s of processor time", used);
  rig_close(r);
}

void chapter_budget(test_list *list) {
  TEST_WITH(list, "budget.calls", calls, NULL, TEST_ALONE, 0, FB_B1);
  TEST_WITH(list, "budget.waiting", waiting, NULL, TEST_ALONE, 0, FB_B2);
  TEST_WITH(list, "budget.idling", idling, NULL, TEST_ALONE, 0, FB_B2);
}
