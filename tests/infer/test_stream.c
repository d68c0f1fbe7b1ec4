/* test_stream.c -- text on its way out: whole characters, no stop string, nothing lost. */
#include "stream.h"

#include "rig.h"

/* What comes out of |pieces| (ended by NULL), and how often. */
static rig_text feed(const char *const *pieces, const char *const *stops, uint64_t n_stops,
                     bool *out_stopped) {
  rig_text t = {.n = 0};
  stream s = {.stops = stops, .n_stops = n_stops, .on_text = rig_catch, .ctx = &t};
  for (; *pieces; pieces++) OK(stream_add(&s, *pieces, strlen(*pieces)));
  stream_end(&s);
  if (out_stopped) *out_stopped = s.stopped;
  stream_finish(&s);
  return t;
}

static void text_without_stops_comes_as_it_is(void **state) {
  (void)state;
  const rig_text t = feed((const char *const[]){"Once", " upon", NULL}, NULL, 0, NULL);
  assert_string_equal(t.s, "Once upon");
  assert_int_equal(t.calls, 2);
}

static void a_character_in_three_tokens_comes_whole(void **state) {
  (void)state;
  rig_text t = {.n = 0};
  stream s = {.on_text = rig_catch, .ctx = &t};
  OK(stream_add(&s, "a\xE2", 2));
  assert_string_equal(t.s, "a");
  OK(stream_add(&s, "\x82", 1));
  assert_string_equal(t.s, "a");
  OK(stream_add(&s, "\xAC", 1));
  assert_string_equal(t.s, "a\xE2\x82\xAC");
  OK(stream_add(&s, "\xF0\x9F\x98", 3));
  stream_end(&s);
  assert_string_equal(t.s, "a\xE2\x82\xAC\xF0\x9F\x98"); /* what never became whole is not lost */
  stream_finish(&s);
}

static void a_stop_string_across_tokens_ends_the_text_before_it(void **state) {
  (void)state;
  const char *const stops[] = {"</end>", "STOP"};
  bool stopped = false;
  const rig_text t =
      feed((const char *const[]){"one <", "/e", "nd> two", "three", NULL}, stops, 2, &stopped);
  assert_true(stopped);
  assert_string_equal(t.s, "one ");
}

static void the_first_of_several_stop_strings_counts(void **state) {
  (void)state;
  const char *const stops[] = {"ccc", "bb"};
  const rig_text t = feed((const char *const[]){"aabbccc", NULL}, stops, 2, NULL);
  assert_string_equal(t.s, "aa");
}

static void the_beginning_of_a_stop_string_that_never_comes_is_not_lost(void **state) {
  (void)state;
  const char *const stops[] = {"abcd", ""};
  bool stopped = true;
  const rig_text t = feed((const char *const[]){"xab", "cab", "c", NULL}, stops, 2, &stopped);
  assert_false(stopped);
  assert_string_equal(t.s, "xabcabc");
}

static void a_reader_who_wants_no_more_gets_no_more(void **state) {
  (void)state;
  rig_text t = {.stop_after = 1};
  stream s = {.on_text = rig_catch, .ctx = &t};
  OK(stream_add(&s, "one", 3));
  OK(stream_add(&s, "two", 3));
  stream_end(&s);
  assert_true(s.refused);
  assert_string_equal(t.s, "one");
  stream_finish(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(text_without_stops_comes_as_it_is),
      cmocka_unit_test(a_character_in_three_tokens_comes_whole),
      cmocka_unit_test(a_stop_string_across_tokens_ends_the_text_before_it),
      cmocka_unit_test(the_first_of_several_stop_strings_counts),
      cmocka_unit_test(the_beginning_of_a_stop_string_that_never_comes_is_not_lost),
      cmocka_unit_test(a_reader_who_wants_no_more_gets_no_more),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
