/* test_timeline.c -- libforge-timeline.a: what a timeline, its waits and its failures do. */
#include "world.h"

#include <time.h>

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
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
