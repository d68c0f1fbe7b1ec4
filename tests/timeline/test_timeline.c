/* test_timeline.c -- libforge-timeline.a over streams that are threads and events that are flags.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <forge/timeline.h>

/* ---- a host that counts ---- */

#define MAX_NOTES 4096
typedef struct note {
  uint64_t cookie, value;
  forge_status status;
} note;

static struct {
  pthread_mutex_t lock;
  note notes[MAX_NOTES];
  uint32_t n_notes, reports;
  forge_status reported;
  uint64_t reported_value;
  long live;       /* blocks of memory not given back */
  long fail_after; /* that many more succeed; negative: all */
} world = {.lock = PTHREAD_MUTEX_INITIALIZER, .fail_after = -1};

static void report(void *ctx, const forge_error *error) {
  (void)ctx;
  pthread_mutex_lock(&world.lock);
  world.reports++;
  world.reported = error->code;
  pthread_mutex_unlock(&world.lock);
}

static void say(void *ctx, int32_t level, const char *msg, size_t n) {
  (void)ctx, (void)level, (void)msg, (void)n;
}

static void *allocate(void *ctx, size_t bytes, size_t align) {
  (void)ctx, (void)align;
  pthread_mutex_lock(&world.lock);
  const bool fails = world.fail_after == 0;
  if (world.fail_after > 0) world.fail_after--;
  world.live += !fails;
  pthread_mutex_unlock(&world.lock);
  return fails ? NULL : malloc(bytes);
}

static void release(void *ctx, void *p) {
  (void)ctx;
  pthread_mutex_lock(&world.lock);
  world.live -= p != NULL;
  pthread_mutex_unlock(&world.lock);
  free(p);
}

static void notify(void *ctx, uint64_t cookie, uint64_t value, forge_status status) {
  (void)ctx;
  pthread_mutex_lock(&world.lock);
  if (world.n_notes < MAX_NOTES) world.notes[world.n_notes++] = (note){cookie, value, status};
  pthread_mutex_unlock(&world.lock);
}

static const forge_host host = {.size = sizeof host,
                                .report = report,
                                .log = say,
                                .alloc = allocate,
                                .free = release,
                                .tl_notify = notify};

/* ---- events: done when somebody says so ---- */

typedef struct event {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool done;
  forge_status status;
  _Atomic int refs; /* the test's and the library's */
} event;

static _Atomic int waits_on_stream;

static event *new_event(void) {
  event *e = calloc(1, sizeof *e);
  pthread_mutex_init(&e->lock, NULL);
  pthread_cond_init(&e->changed, NULL);
  e->refs = 2;
  return e;
}

static void drop_event(void *ctx, void *p) {
  event *e = p;
  (void)ctx;
  if (atomic_fetch_sub(&e->refs, 1) > 1) return;
  pthread_mutex_destroy(&e->lock);
  pthread_cond_destroy(&e->changed);
  free(e);
}

static void finish_event(event *e, forge_status status) {
  pthread_mutex_lock(&e->lock);
  e->done = true;
  e->status = status;
  pthread_cond_broadcast(&e->changed);
  pthread_mutex_unlock(&e->lock);
  drop_event(NULL, e);
}

static forge_status wait_event(void *ctx, void *p) {
  event *e = p;
  (void)ctx;
  pthread_mutex_lock(&e->lock);
  while (!e->done) pthread_cond_wait(&e->changed, &e->lock);
  const forge_status status = e->status;
  pthread_mutex_unlock(&e->lock);
  return status;
}

static int is_done(void *ctx, void *p) {
  event *e = p;
  (void)ctx;
  pthread_mutex_lock(&e->lock);
  const bool done = e->done;
  pthread_mutex_unlock(&e->lock);
  return done;
}

static forge_status stream_wait(void *ctx, void *stream, void *p) {
  (void)ctx, (void)stream, (void)p;
  waits_on_stream++;
  return FORGE_OK;
}

static void failed(void *ctx, uint64_t tag, uint64_t value, forge_status status) {
  (void)ctx;
  const forge_error error = {.code = status, .prog_id = tag};
  report(NULL, &error);
  pthread_mutex_lock(&world.lock);
  world.reported_value = value;
  pthread_mutex_unlock(&world.lock);
}

static const forge_timeline_events events = {wait_event, is_done, stream_wait, drop_event, failed};
static const forge_timeline_source source = {&host, &events, NULL};

/* ---- what the tests share ---- */

static int enter(void **state) {
  (void)state;
  pthread_mutex_lock(&world.lock);
  world.n_notes = world.reports = 0;
  world.fail_after = -1;
  pthread_mutex_unlock(&world.lock);
  waits_on_stream = 0;
  return 0;
}

static int leave(void **state) {
  (void)state;
  return world.live == 0 ? 0 : -1;
}

static forge_tl *timeline(uint64_t cookie) {
  forge_tl *tl;
  assert_int_equal(forge_timeline_create(&source, 0, cookie, &tl), FORGE_OK);
  return tl;
}

static forge_watch *watch(void) {
  forge_watch *w;
  assert_int_equal(forge_watch_create(&source, &w), FORGE_OK);
  return w;
}

static uint64_t value_of(forge_tl *tl) {
  uint64_t value;
  forge_timeline_query(tl, &value);
  return value;
}

/* Work that ends with |e|, waits for |before| (tl NULL: nothing) and signals |after|. */
static void give(forge_watch *w, event *e, forge_point before, forge_point after) {
  const forge_submit order = {
      .n_wait = before.tl != NULL, .n_signal = 1, .wait = &before, .signal = &after};
  forge_work *work;
  assert_int_equal(forge_timeline_begin(w, NULL, 7, &order, &work), FORGE_OK);
  assert_int_equal(forge_timeline_end(work, e, FORGE_OK), FORGE_OK);
}

static const forge_point no_point = {NULL, 0};

static uint32_t notes_of(uint64_t cookie) {
  uint32_t n = 0;
  pthread_mutex_lock(&world.lock);
  for (uint32_t i = 0; i < world.n_notes; i++) n += world.notes[i].cookie == cookie;
  pthread_mutex_unlock(&world.lock);
  return n;
}

/* ---- tests ---- */

static void a_timeline_rises_with_its_events_and_says_so_once_per_rise(void **state) {
  (void)state;
  forge_watch *w = watch();
  forge_tl *tl = timeline(11);
  event *e[3];
  for (uint64_t i = 0; i < 3; i++) give(w, e[i] = new_event(), no_point, (forge_point){tl, i + 1});
  assert_int_equal(value_of(tl), 0);
  finish_event(e[0], FORGE_OK);
  assert_int_equal(forge_timeline_wait(tl, 1, FORGE_WAIT_FOREVER), FORGE_OK);
  assert_int_equal(forge_timeline_wait(tl, 2, 0), FORGE_E_TIMEOUT);
  finish_event(e[1], FORGE_OK);
  finish_event(e[2], FORGE_OK);
  assert_int_equal(forge_timeline_wait(tl, 3, FORGE_WAIT_FOREVER), FORGE_OK);
  assert_int_equal(value_of(tl), 3);
  forge_watch_destroy(w);
  assert_int_equal(notes_of(11), 3);
  forge_timeline_destroy(tl);
}

static void a_wait_ends_after_the_time_given(void **state) {
  (void)state;
  forge_watch *w = watch();
  forge_tl *tl = timeline(1);
  event *e = new_event();
  struct timespec a, b;
  give(w, e, no_point, (forge_point){tl, 1});
  clock_gettime(CLOCK_MONOTONIC, &a);
  assert_int_equal(forge_timeline_wait(tl, 1, 20000000), FORGE_E_TIMEOUT);
  clock_gettime(CLOCK_MONOTONIC, &b);
  const double seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) * 1e-9;
  assert_true(seconds >= 0.02 && seconds < 10);
  finish_event(e, FORGE_OK);
  assert_int_equal(forge_timeline_wait(tl, 1, UINT64_C(10000000000)), FORGE_OK);
  forge_watch_destroy(w);
  forge_timeline_destroy(tl);
}

static void asking_for_the_value_needs_no_help_of_the_watch(void **state) {
  (void)state;
  forge_watch *w = watch();
  forge_tl *tl = timeline(1);
  event *slow = new_event(), *e = new_event();
  forge_watch *other = watch();
  forge_tl *elsewhere = timeline(2);
  give(other, slow, no_point, (forge_point){elsewhere, 1});
  give(w, e, no_point, (forge_point){tl, 5});
  finish_event(e, FORGE_OK);
  assert_int_equal(value_of(tl), 5);
  finish_event(slow, FORGE_OK);
  forge_watch_destroy(w);
  forge_watch_destroy(other);
  forge_timeline_destroy(elsewhere);
  forge_timeline_destroy(tl);
}

static void a_failure_is_for_good_and_told_before_it_shows(void **state) {
  (void)state;
  forge_watch *w = watch();
  forge_tl *tl = timeline(3);
  event *a = new_event(), *b = new_event();
  uint64_t value;
  give(w, a, no_point, (forge_point){tl, 1});
  give(w, b, no_point, (forge_point){tl, 2});
  finish_event(a, FORGE_E_FAULT);
  finish_event(b, FORGE_OK);
  assert_int_equal(forge_timeline_wait(tl, 2, FORGE_WAIT_FOREVER), FORGE_E_FAULT);
  assert_int_equal(forge_timeline_query(tl, &value), FORGE_E_FAULT);
  assert_int_equal(value, 0);
  assert_int_equal(world.reported, FORGE_E_FAULT);
  assert_int_equal(world.reported_value, 1);
  forge_watch_destroy(w);
  assert_int_equal(notes_of(3), 1);
  forge_timeline_destroy(tl);
}

static void work_that_waits_for_a_failure_fails_too(void **state) {
  (void)state;
  forge_watch *w = watch(), *v = watch();
  forge_tl *first = timeline(1), *second = timeline(2);
  event *a = new_event(), *b = new_event();
  give(w, a, no_point, (forge_point){first, 1});
  give(v, b, (forge_point){first, 1}, (forge_point){second, 1});
  assert_int_equal(waits_on_stream, 1);
  finish_event(a, FORGE_E_DEVICE_LOST);
  finish_event(b, FORGE_OK);
  assert_int_equal(forge_timeline_wait(second, 1, FORGE_WAIT_FOREVER), FORGE_E_DEVICE_LOST);
  assert_int_equal(forge_timeline_wait(first, 1, FORGE_WAIT_FOREVER), FORGE_E_DEVICE_LOST);
  const forge_point before = {first, 1}, after = {second, 2};
  const forge_submit order = {.n_wait = 1, .n_signal = 1, .wait = &before, .signal = &after};
  forge_work *work;
  assert_int_equal(forge_timeline_begin(v, NULL, 0, &order, &work), FORGE_OK);
  assert_int_equal(forge_work_status(work), FORGE_E_DEVICE_LOST);
  assert_int_equal(forge_timeline_end(work, NULL, FORGE_OK), FORGE_OK);
  forge_watch_destroy(w);
  forge_watch_destroy(v);
  forge_timeline_destroy(first);
  forge_timeline_destroy(second);
}

static void work_that_failed_on_its_way_fails_its_signals_or_the_call(void **state) {
  (void)state;
  forge_watch *w = watch();
  forge_tl *tl = timeline(1);
  forge_work *work;
  const forge_point point = {tl, 1};
  const forge_submit order = {.n_signal = 1, .signal = &point};
  assert_int_equal(forge_timeline_begin(w, NULL, 0, &order, &work), FORGE_OK);
  assert_int_equal(forge_timeline_end(work, NULL, FORGE_E_OOM), FORGE_OK);
  assert_int_equal(forge_timeline_wait(tl, 1, FORGE_WAIT_FOREVER), FORGE_E_OOM);
  assert_int_equal(forge_timeline_begin(w, NULL, 0, NULL, &work), FORGE_OK);
  assert_int_equal(forge_timeline_end(work, NULL, FORGE_E_FAULT), FORGE_E_FAULT);
  forge_watch_destroy(w);
  forge_timeline_destroy(tl);
}

static void a_wait_nobody_will_end_is_refused(void **state) {
  (void)state;
  forge_watch *w = watch();
  forge_tl *tl = timeline(1);
  forge_work *work;
  const forge_point point = {tl, 4};
  const forge_submit order = {.n_wait = 1, .wait = &point};
  assert_int_equal(forge_timeline_begin(w, NULL, 0, &order, &work), FORGE_E_INVALID);
  assert_int_equal(world.reports, 1);
  forge_watch_destroy(w);
  forge_timeline_destroy(tl);
}

static void a_cancelled_bracket_changes_nothing(void **state) {
  (void)state;
  forge_watch *w = watch();
  forge_tl *tl = timeline(1);
  forge_work *work;
  const forge_point point = {tl, 1};
  const forge_submit order = {.n_signal = 1, .signal = &point};
  assert_int_equal(forge_timeline_begin(w, NULL, 0, &order, &work), FORGE_OK);
  forge_timeline_cancel(work);
  forge_watch_destroy(w);
  assert_int_equal(value_of(tl), 0);
  assert_int_equal(notes_of(1), 0);
  forge_timeline_destroy(tl);
}

static void a_watch_ends_after_its_work_and_a_timeline_may_go_before(void **state) {
  (void)state;
  forge_watch *w = watch();
  forge_tl *tl = timeline(1), *gone = timeline(2);
  event *e = new_event();
  const forge_point points[] = {{gone, 1}, {tl, 1}};
  const forge_submit order = {.n_signal = 2, .signal = points};
  forge_work *work;
  assert_int_equal(forge_timeline_begin(w, NULL, 0, &order, &work), FORGE_OK);
  assert_int_equal(forge_timeline_end(work, e, FORGE_OK), FORGE_OK);
  forge_timeline_destroy(gone);
  finish_event(e, FORGE_OK);
  forge_watch_destroy(w);
  assert_int_equal(value_of(tl), 1);
  assert_int_equal(notes_of(2), 0);
  forge_timeline_destroy(tl);
}

static void lack_of_memory_fails_the_call_and_nothing_else(void **state) {
  (void)state;
  forge_watch *w = watch(), *ignored;
  forge_tl *tl = timeline(1), *none;
  forge_work *work;
  const forge_point point = {tl, 1};
  const forge_submit order = {.n_signal = 1, .signal = &point};
  world.fail_after = 0;
  assert_int_equal(forge_timeline_create(&source, 0, 0, &none), FORGE_E_OOM);
  assert_int_equal(forge_watch_create(&source, &ignored), FORGE_E_OOM);
  assert_int_equal(forge_timeline_begin(w, NULL, 0, &order, &work), FORGE_E_OOM);
  assert_int_equal(world.reports, 3);
  world.fail_after = 1;
  assert_int_equal(forge_timeline_begin(w, NULL, 0, &order, &work), FORGE_OK);
  assert_int_equal(forge_timeline_end(work, NULL, FORGE_OK), FORGE_OK); /* allocates nothing */
  assert_int_equal(forge_timeline_wait(tl, 1, FORGE_WAIT_FOREVER), FORGE_OK);
  forge_watch_destroy(w);
  forge_timeline_destroy(tl);
}

static void a_timeline_can_be_failed_from_outside(void **state) {
  (void)state;
  forge_tl *tl = timeline(9);
  forge_timeline_fail(tl, FORGE_E_DEVICE_LOST);
  forge_timeline_fail(tl, FORGE_E_FAULT);
  assert_int_equal(forge_timeline_wait(tl, 1, FORGE_WAIT_FOREVER), FORGE_E_DEVICE_LOST);
  assert_int_equal(notes_of(9), 1);
  forge_timeline_destroy(tl);
}

/* ---- a storm: 32 threads wait while two streams hand each other on ---- */

#define STEPS   500
#define WAITERS 32

typedef struct line { /* events to be finished, in order */
  pthread_mutex_t lock;
  pthread_cond_t given;
  event *e[2 * STEPS];
  uint32_t n, done;
} line;
static line device = {.lock = PTHREAD_MUTEX_INITIALIZER, .given = PTHREAD_COND_INITIALIZER};

static void *run_device(void *arg) {
  (void)arg;
  for (uint32_t i = 0; i < 2 * STEPS; i++) {
    pthread_mutex_lock(&device.lock);
    while (device.n <= i) pthread_cond_wait(&device.given, &device.lock);
    event *e = device.e[i];
    pthread_mutex_unlock(&device.lock);
    finish_event(e, FORGE_OK);
  }
  return NULL;
}

static void enqueue(event *e) {
  pthread_mutex_lock(&device.lock);
  device.e[device.n++] = e;
  pthread_cond_signal(&device.given);
  pthread_mutex_unlock(&device.lock);
}

typedef struct waiter {
  forge_tl *tl[2];
  uint32_t seed;
  bool fine;
} waiter;

static void *run_waiter(void *arg) {
  waiter *w = arg;
  w->fine = true;
  for (uint64_t value = 1; value <= STEPS; value += 1 + w->seed % 7) {
    forge_tl *tl = w->tl[(value + w->seed) % 2];
    const bool forever = (value + w->seed) % 3 != 0;
    uint64_t seen = 0;
    const uint64_t limit = forever ? FORGE_WAIT_FOREVER : UINT64_C(60000000000);
    if (forge_timeline_wait(tl, value, limit) || forge_timeline_query(tl, &seen) || seen < value)
      w->fine = false;
  }
  return NULL;
}

static void thirty_two_threads_see_every_value(void **state) {
  (void)state;
  forge_watch *w[2] = {watch(), watch()};
  forge_tl *tl[2] = {timeline(100), timeline(101)};
  pthread_t thread[WAITERS], hardware;
  waiter waiters[WAITERS];
  for (uint32_t i = 0; i < WAITERS; i++) {
    waiters[i] = (waiter){.tl = {tl[0], tl[1]}, .seed = i};
    assert_int_equal(pthread_create(&thread[i], NULL, run_waiter, &waiters[i]), 0);
  }
  assert_int_equal(pthread_create(&hardware, NULL, run_device, NULL), 0);
  for (uint64_t i = 1; i <= STEPS; i++) {
    for (int k = 0; k < 2; k++) {
      event *e = new_event();
      give(w[k], e,
           k       ? (forge_point){tl[0], i}
           : i > 1 ? (forge_point){tl[1], i - 1}
                   : no_point,
           (forge_point){tl[k], i});
      enqueue(e);
    }
  }
  for (uint32_t i = 0; i < WAITERS; i++) {
    pthread_join(thread[i], NULL);
    assert_true(waiters[i].fine);
  }
  pthread_join(hardware, NULL);
  for (int k = 0; k < 2; k++) forge_watch_destroy(w[k]);
  for (int k = 0; k < 2; k++) assert_int_equal(value_of(tl[k]), STEPS);
  assert_in_range(notes_of(100), 1, STEPS); /* a value passed over is no news */
  uint64_t last = 0;
  for (uint32_t i = 0; i < world.n_notes; i++) {
    assert_int_equal(world.notes[i].status, FORGE_OK);
    if (world.notes[i].cookie == 100 && world.notes[i].value > last) last = world.notes[i].value;
  }
  assert_int_equal(last, STEPS);
  for (int k = 0; k < 2; k++) forge_timeline_destroy(tl[k]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_timeline_rises_with_its_events_and_says_so_once_per_rise),
      TEST(a_wait_ends_after_the_time_given),
      TEST(asking_for_the_value_needs_no_help_of_the_watch),
      TEST(a_failure_is_for_good_and_told_before_it_shows),
      TEST(work_that_waits_for_a_failure_fails_too),
      TEST(work_that_failed_on_its_way_fails_its_signals_or_the_call),
      TEST(a_wait_nobody_will_end_is_refused),
      TEST(a_cancelled_bracket_changes_nothing),
      TEST(a_watch_ends_after_its_work_and_a_timeline_may_go_before),
      TEST(lack_of_memory_fails_the_call_and_nothing_else),
      TEST(a_timeline_can_be_failed_from_outside),
      TEST(thirty_two_threads_see_every_value),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
