/* timelines.c -- counts that rise, waiting for them and hearing of them. Order between pieces of
 * work is in queues.c. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "host.h"
#include "work.h"

/* A copy() of nothing that signals. */
static void signal_points(rig *r, const forge_point *point, uint32_t n) {
  const forge_submit order = work_order(NULL, 0, point, n);
  rig_expect(rig_table()->copy(rig_queue(r), NULL, 0, &order), "copy of nothing");
}
static void signal_value(rig *r, forge_tl *tl, uint64_t value) {
  const forge_point point = {tl, value};
  signal_points(r, &point, 1);
}

static void begins(const void *arg) {
  (void)arg;
  static const uint64_t initial[] = {0, 1, 41, UINT64_C(1) << 32, UINT64_MAX / 2};
  rig *r = rig_open();
  for (size_t i = 0; i < sizeof initial / sizeof *initial; i++) {
    forge_tl *tl = work_timeline(r, initial[i], i);
    CHECK(work_value(tl) == initial[i], "a timeline created at %llu stands at %llu",
          (unsigned long long)initial[i], (unsigned long long)work_value(tl));
    rig_table()->tl_destroy(tl);
  }
  rig_close(r);
}

static void never_falls(const void *arg) {
  (void)arg;
  static const uint64_t values[] = {5, 9, 7, 9, 1, 12, 11};
  rig *r = rig_open();
  forge_tl *tl = work_timeline(r, 3, 1);
  uint64_t most = 3;
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    signal_value(r, tl, values[i]);
    rig_expect(rig_copy(r, NULL, 0), "copy of nothing");
    rig_finish(r);
    if (values[i] > most) most = values[i];
    CHECK(work_value(tl) == most, "after a signal of %llu the timeline stands at %llu, not %llu",
          (unsigned long long)values[i], (unsigned long long)work_value(tl),
          (unsigned long long)most);
  }
  rig_table()->tl_destroy(tl);
  rig_close(r);
}

static void is_64_bits(const void *arg) {
  (void)arg;
  static const uint64_t values[] = {UINT64_C(0xFFFFFFFF), UINT64_C(0x100000000),
                                    UINT64_C(0x100000005), UINT64_C(0x7FFFFFFFFFFFFFFE)};
  rig *r = rig_open();
  forge_tl *tl = work_timeline(r, 0, 1);
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    signal_value(r, tl, values[i]);
    work_await(tl, values[i], "a signal of a large value");
    CHECK(work_value(tl) == values[i], "a timeline at 0x%llx says 0x%llx",
          (unsigned long long)values[i], (unsigned long long)work_value(tl));
    CHECK(rig_table()->tl_wait(tl, values[i] + 1, 0) == FORGE_E_TIMEOUT,
          "a wait for 0x%llx is over at 0x%llx", (unsigned long long)values[i] + 1,
          (unsigned long long)values[i]);
  }
  rig_table()->tl_destroy(tl);
  rig_close(r);
}

static void reached_is_ok(const void *arg) {
  (void)arg;
  static const uint64_t timeouts[] = {0, 1, 1000000, FORGE_WAIT_FOREVER};
  rig *r = rig_open();
  forge_tl *tl = work_timeline(r, 5, 1);
  for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++)
    for (uint64_t value = 0; value <= 5; value++) {
      const forge_status status = rig_table()->tl_wait(tl, value, timeouts[i]);
      CHECK(!status, "a wait for %llu of a timeline at 5 answers %s (%d)",
            (unsigned long long)value, rig_status_name(status), status);
    }
  rig_table()->tl_destroy(tl);
  rig_close(r);
}

static void times_out(const void *arg) {
  (void)arg;
  static const uint64_t ms[] = {0, 1, 20, 200};
  rig *r = rig_open();
  forge_tl *tl = work_timeline(r, 5, 1);
  for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) {
    test_at("a wait of %llu ms for what nobody signals", (unsigned long long)ms[i]);
    const double start = test_now();
    const forge_status status = rig_table()->tl_wait(tl, 6, ms[i] * 1000000);
    const double took = test_now() - start, want = (double)ms[i] * 1e-3;
    CHECK(status == FORGE_E_TIMEOUT, "a wait for a value nobody signals answers %s (%d)",
          rig_status_name(status), status);
    CHECK(took > want * 0.95, "a wait of %llu ms was over after %.3f ms", (unsigned long long)ms[i],
          took * 1e3);
    CHECK(took < want + 1.0 * test_set.slow, "a wait of %llu ms took %.0f ms",
          (unsigned long long)ms[i], took * 1e3);
  }
  rig_table()->tl_destroy(tl);
  rig_close(r);
}

/* ---- waking ---- */

typedef struct sleeper {
  forge_tl *tl;
  uint64_t timeout;
  forge_status status;
  double woke;
} sleeper;

static void *sleep_on(void *arg) {
  sleeper *s = arg;
  s->status = rig_table()->tl_wait(s->tl, 1, s->timeout);
  s->woke = test_now();
  return NULL;
}

/* The value is signalled while a thread sleeps: work must go on meanwhile, and the thread wake. */
static void wakes(const void *arg) {
  static const uint64_t timeouts[] = {FORGE_WAIT_FOREVER, UINT64_C(60000000000)};
  (void)arg;
  rig *r = rig_open();
  for (int i = 0; i < 2; i++) {
    pthread_t id;
    sleeper s = {.tl = work_timeline(r, 0, 1), .timeout = timeouts[i]};
    CHECK(!pthread_create(&id, NULL, sleep_on, &s), "the suite has no thread");
    usleep(50000);
    test_at("work given while a thread waits for it");
    signal_value(r, s.tl, 1);
    const double signalled = test_now();
    pthread_join(id, NULL);
    CHECK(!s.status, "the thread that slept in tl_wait was answered %s (%d)",
          rig_status_name(s.status), s.status);
    CHECK(s.woke - signalled < 2 * test_set.slow, "a thread slept %.1f s longer than it should",
          s.woke - signalled);
    rig_table()->tl_destroy(s.tl);
  }
  rig_close(r);
}

/* ---- notices ---- */

enum { LINES = 8, STEPS = 20 };

static uint32_t notices_of(const host_notice *all, uint32_t n, uint64_t cookie) {
  uint32_t k = 0;
  for (uint32_t i = 0; i < n; i++) k += all[i].cookie == cookie;
  return k;
}

/* Notices may come a little after the value is seen. */
static uint32_t await_notices(host_notice *out, uint32_t most, uint32_t want) {
  const double end = test_now() + 5 * test_set.slow;
  while (host_notices(out, most) < want && test_now() < end) usleep(1000);
  usleep(20000);
  return host_notices(out, most);
}

static uint64_t cookie_of(uint64_t i) { return UINT64_C(0xC00C1E0000000001) * (i + 1); }

static void notices(const void *arg) {
  static host_notice seen[4096];
  (void)arg;
  rig *r = rig_open();
  forge_tl *tl[LINES];
  for (uint64_t i = 0; i < LINES; i++) tl[i] = work_timeline(r, 100, cookie_of(i));
  usleep(10000);
  host_forget_notices();
  for (uint64_t step = 1; step <= STEPS; step++)
    for (uint64_t i = 0; i < LINES; i++) {
      signal_value(r, tl[i], 100 + step * (i + 1));
      work_await(tl[i], 100 + step * (i + 1), "a signal");
    }
  const uint32_t n = await_notices(seen, 4096, LINES * STEPS);
  for (uint64_t i = 0; i < LINES; i++) {
    uint64_t last = 100;
    const uint32_t own = notices_of(seen, n, cookie_of(i));
    CHECK(own == STEPS, "a timeline that rose %d times gave %u notices with its cookie", STEPS,
          own);
    for (uint32_t k = 0; k < n; k++) {
      if (seen[k].cookie != cookie_of(i)) continue;
      CHECK(!seen[k].status, "a notice of a timeline that lives has status %d", seen[k].status);
      CHECK(seen[k].value == last + i + 1, "a notice says value %llu, the timeline rose to %llu",
            (unsigned long long)seen[k].value, (unsigned long long)(last + i + 1));
      last = seen[k].value;
    }
  }
  CHECK(n == LINES * STEPS, "there were %u notices for %d rises: some have no timeline's cookie", n,
        LINES * STEPS);
  for (int i = 0; i < LINES; i++) rig_table()->tl_destroy(tl[i]);
  rig_close(r);
}

/* A signal of a value that is passed is no rise; a destroyed timeline is not heard of. */
static void no_false_notices(const void *arg) {
  static host_notice seen[64];
  (void)arg;
  rig *r = rig_open();
  forge_tl *tl = work_timeline(r, 10, 77);
  signal_value(r, tl, 20);
  work_await(tl, 20, "a signal");
  await_notices(seen, 64, 1);
  host_forget_notices();
  signal_value(r, tl, 15);
  signal_value(r, tl, 20);
  rig_expect(rig_copy(r, NULL, 0), "copy of nothing");
  rig_finish(r);
  const uint32_t n = await_notices(seen, 64, 1);
  CHECK(notices_of(seen, n < 64 ? n : 64, 77) == 0,
        "signals of values that were passed already were notified");
  rig_table()->tl_destroy(tl);
  rig_close(r);
}

/* ---- lists ---- */

static void all_signals(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  forge_point point[LINES];
  work *w = work_small(r);
  forge_mem *in = rig_alloc(r, w->bytes), *out = rig_alloc(r, w->bytes);
  for (uint64_t i = 0; i < LINES; i++) point[i] = (forge_point){work_timeline(r, 0, i), 10 + i};
  signal_points(r, point, LINES);
  for (uint64_t i = 0; i < LINES; i++)
    work_await(point[i].tl, point[i].value, "one of eight signals of a copy");
  for (uint64_t i = 0; i < LINES; i++) point[i].value += 100;
  work_put(r, in, w->bytes, 1);
  const forge_submit order = work_order(NULL, 0, point, LINES);
  rig_expect(work_submit(w, rig_queue(r), in, out, &order), "submit");
  for (uint64_t i = 0; i < LINES; i++) {
    work_await(point[i].tl, point[i].value, "one of eight signals of a submit");
    CHECK(work_value(point[i].tl) == point[i].value, "one of eight signals is %llu, not %llu",
          (unsigned long long)work_value(point[i].tl), (unsigned long long)point[i].value);
    rig_table()->tl_destroy(point[i].tl);
  }
  rig_free_mem(r, in);
  rig_free_mem(r, out);
  work_free(w);
  rig_close(r);
}

static void unknown_wishes(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  static const uint32_t kinds[] = {0, 3, 99, UINT32_MAX};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    forge_queue *queue = NULL;
    const forge_status status = rig_table()->queue_create(rig_device(r), kinds[i], 0, &queue);
    CHECK(status == FORGE_E_INVALID || status == FORGE_E_UNSUPPORTED,
          "queue_create of kind %u answers %s (%d)", kinds[i], rig_status_name(status), status);
  }
  for (uint32_t kind = FORGE_QUEUE_COMPUTE; kind <= FORGE_QUEUE_COPY; kind++)
    for (int32_t priority = -1; priority <= 1; priority++) {
      forge_queue *queue = NULL;
      rig_expect(rig_table()->queue_create(rig_device(r), kind, priority, &queue), "queue_create");
      rig_table()->queue_destroy(queue);
    }
  rig_close(r);
}

static void unknown_flags(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  work *w = work_small(r);
  forge_mem *in = rig_alloc(r, w->bytes), *out = rig_alloc(r, w->bytes);
  work_put(r, in, w->bytes, 1);
  for (int bit = 0; bit < 32; bit++) {
    forge_submit order = work_order(NULL, 0, NULL, 0);
    order.flags = 1u << bit;
    forge_status status = work_submit(w, rig_queue(r), in, out, &order);
    CHECK(status == FORGE_E_UNSUPPORTED, "submit with flag 0x%x answers %s (%d), not E_UNSUPPORTED",
          order.flags, rig_status_name(status), status);
    status = rig_table()->copy(rig_queue(r), NULL, 0, &order);
    CHECK(status == FORGE_E_UNSUPPORTED, "copy with flag 0x%x answers %s (%d), not E_UNSUPPORTED",
          order.flags, rig_status_name(status), status);
  }
  rig_free_mem(r, in);
  rig_free_mem(r, out);
  work_free(w);
  rig_close(r);
}

/* ---- locks ---- */

enum { ASKED_WITHIN = 10 }; /* seconds */
static struct {
  rig *r;
  forge_tl *tl;
  pthread_t thread;
  atomic_bool begun, done;
} asking;

static void *ask(void *arg) {
  forge_mem_out info = {.size = sizeof info};
  const forge_mem_desc desc = {
      .size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = 4096, .align = RIG_ALIGN};
  forge_mem *mem = NULL;
  work_value(asking.tl);
  rig_expect(rig_table()->tl_wait(asking.tl, 0, 0), "tl_wait");
  rig_expect(rig_table()->mem_alloc(rig_device(asking.r), &desc, &mem, &info), "mem_alloc");
  rig_table()->mem_free(rig_device(asking.r), mem);
  asking.done = true;
  return arg;
}

static void await_answer(void) {
  const double until = test_now() + ASKED_WITHIN * test_set.slow;
  while (!asking.done && test_now() < until) usleep(1000);
}

static void ask_meanwhile(const host_notice *notice) {
  if (notice->cookie != RIG_COOKIE + 1 || atomic_exchange(&asking.begun, true)) return;
  CHECK(!pthread_create(&asking.thread, NULL, ask, NULL), "the suite has no thread");
  await_answer();
  CHECK(asking.done,
        "while host->tl_notify() is under way, tl_query(), tl_wait(), mem_alloc() or mem_free() of "
        "another thread gets no answer: a lock is held that it takes");
}

static void unlocked(const void *arg) {
  (void)arg;
  asking.r = rig_open();
  asking.tl = work_timeline(asking.r, 0, RIG_COOKIE + 1);
  host_on_notice(ask_meanwhile);
  signal_value(asking.r, asking.tl, 1);
  work_await(asking.tl, 1, "a signal whose notice takes a while");
  await_answer();
  CHECK(asking.begun, "a timeline that rose gave no notice within %d s", ASKED_WITHIN);
  CHECK(asking.done, "tl_query() and others do not answer while host->tl_notify() is under way");
  pthread_join(asking.thread, NULL);
  rig_table()->tl_destroy(asking.tl); /* after which its notice has ended */
  host_on_notice(NULL);
  rig_close(asking.r);
}

void chapter_timelines(test_list *list) {
  TEST(list, "timelines.initial", begins, FB_T1);
  TEST(list, "timelines.never_falls", never_falls, FB_T1);
  TEST(list, "timelines.wide", is_64_bits, FB_T12);
  TEST(list, "timelines.reached", reached_is_ok, FB_T2);
  TEST_WITH(list, "timelines.timeout", times_out, NULL, 0, 15, FB_T3);
  TEST_WITH(list, "timelines.wakes", wakes, NULL, 0, 15, FB_T2);
  TEST(list, "timelines.notices", notices, FB_T4);
  TEST(list, "timelines.no_false_notices", no_false_notices, FB_T4);
  TEST(list, "timelines.unlocked", unlocked, FB_T13);
  TEST(list, "timelines.all_signals", all_signals, FB_T8);
  TEST(list, "timelines.queue_kinds", unknown_wishes, FB_T10);
  TEST(list, "timelines.unknown_flags", unknown_flags, FB_T10);
}
