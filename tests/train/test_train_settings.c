/* test_train_settings.c -- settings and the learning rate: what is said is what happens, and what
 * cannot be meant is refused with the place and the nearest key. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rig.h"
#include "schedule.h"

static train_settings defaults(void) {
  train_settings s;
  assert_int_equal(train_settings_init(&s), FORGE_OK);
  return s;
}

static void set(train_settings *s, const char *pair) {
  if (train_settings_text(s, pair, "test")) fail_msg("%s: %s", pair, forge_error_last()->msg);
}

static void refused(const char *pair, const char *says) {
  train_settings s = defaults();
  assert_int_equal(train_settings_text(&s, pair, "test"), FORGE_E_CONFIG);
  if (!strstr(forge_error_last()->msg, says))
    fail_msg("'%s' should be said: %s", says, forge_error_last()->msg);
  train_settings_finish(&s);
}

static void wrong_values_are_refused_with_the_range_or_the_choices(void **state) {
  (void)state;
  refused("batch=0", "from 1");
  refused("batch=2.5", "whole number");
  refused("lr=fast", "number from 0");
  refused("lr=nan", "number from 0");
  refused("schedule=cosin", "cosine|linear|constant");
  refused("schedule=cos", "cosine|linear|constant");
  refused("tied_head=yes", "true or false");
  refused("steps", "key=value");
}

static void an_unknown_key_is_refused_with_the_nearest(void **state) {
  (void)state;
  refused("n_layers=4", "n_layer");
  refused("learning=4", "there is no key 'learning'");
}

static void write_file(const rig *r, const char *content) {
  FILE *f = fopen(rig_path(r, "run.conf"), "w");
  assert_non_null(f);
  fputs(content, f);
  fclose(f);
}

static void file_refused(const rig *r, const char *content, const char *says) {
  train_settings s = defaults();
  write_file(r, content);
  assert_int_equal(train_settings_file(&s, rig_path(r, "run.conf")), FORGE_E_CONFIG);
  if (!strstr(forge_error_last()->msg, says))
    fail_msg("'%s' should be said: %s", says, forge_error_last()->msg);
  train_settings_finish(&s);
}

static void a_wrong_file_is_refused_with_the_line(void **state) {
  (void)state;
  rig r;
  rig_folder(&r, 10);
  file_refused(&r, "lr = 0.1;\n\nbach = 4;\n",
               "run.conf:3: there is no key 'bach'; did you mean 'batch'");
  file_refused(&r, "lr = 0.1;\nbatch = [4, 5];\n", "run.conf:2: batch takes one value");
  file_refused(&r, "lr = 0.1;\nbatch = = 4;\n", "run.conf:2");
  file_refused(&r, "batch = -4;\n", "run.conf:1: batch is '-4'");
  file_refused(&r, "model : { n_layer = 3; };\n", "run.conf:1: there is no key 'model'");
  rig_remove(&r);
}

static void settings_written_down_read_back_the_same(void **state) {
  (void)state;
  rig r;
  train_settings s = defaults(), again = defaults();
  rig_folder(&r, 10);
  set(&s, "lr=0.00012345678901234567");
  set(&s, "seed=8999999999999999");
  set(&s, "text=a \"b\" \\ c\td");
  set(&s, "tied_head=false");
  set(&s, "clip=0");
  char *written = train_settings_write(&s);
  write_file(&r, written);
  if (train_settings_file(&again, rig_path(&r, "run.conf")))
    fail_msg("%s", forge_error_last()->msg);
  char *twice = train_settings_write(&again);
  assert_string_equal(written, twice);
  assert_true(s.lr == again.lr && s.seed == again.seed && !again.tied_head);
  assert_string_equal(again.text, "a \"b\" \\ c\td");
  forge_text_free(written);
  forge_text_free(twice);
  train_settings_finish(&s);
  train_settings_finish(&again);
  rig_remove(&r);
}

static void every_key_is_listed_in_the_help(void **state) {
  (void)state;
  char *keys;
  assert_int_equal(forge_train_keys(&keys), FORGE_OK);
#define LISTED(type, name, ...) assert_non_null(strstr(keys, "  " #name " "));
  TRAIN_KEYS(LISTED)
#undef LISTED
  forge_text_free(keys);
}

static void a_resumed_run_may_change_what_computes_nothing(void **state) {
  (void)state;
  train_settings recorded = defaults(), s = defaults();
  set(&recorded, "lr=0.5");
  set(&s, "log_interval=77");
  set(&s, "steps=123");
  assert_int_equal(train_settings_merge(&recorded, &s), FORGE_OK);
  assert_int_equal(recorded.log_interval, 77);
  assert_int_equal(recorded.steps, 123);
  assert_true(recorded.lr == 0.5);
  set(&s, "lr=0.25");
  assert_int_equal(train_settings_merge(&recorded, &s), FORGE_E_MISMATCH);
  assert_non_null(strstr(forge_error_last()->msg, "lr is 0.25 now"));
  train_settings_finish(&recorded);
  train_settings_finish(&s);
}

static void near(double got, double want) {
  if (fabs(got - want) > 1e-12) fail_msg("%.15g should be %.15g", got, want);
}

static void the_learning_rate_follows_its_schedule(void **state) {
  (void)state;
  train_settings s = defaults();
  set(&s, "lr=1");
  set(&s, "min_lr=0.2");
  set(&s, "warmup=10");
  set(&s, "decay_steps=110");
  near(schedule_lr(&s, 1), 0.1);
  near(schedule_lr(&s, 10), 1);
  near(schedule_lr(&s, 60), 0.6); /* half-way */
  near(schedule_lr(&s, 35), 0.2 + 0.8 * 0.5 * (1 + cos(3.14159265358979323846 / 4)));
  near(schedule_lr(&s, 110), 0.2);
  near(schedule_lr(&s, 100000), 0.2);
  set(&s, "schedule=linear");
  near(schedule_lr(&s, 35), 0.8);
  near(schedule_lr(&s, 110), 0.2);
  set(&s, "schedule=constant");
  near(schedule_lr(&s, 5), 0.5);
  near(schedule_lr(&s, 100000), 1);
  set(&s, "warmup=0");
  near(schedule_lr(&s, 1), 1);
  train_settings_finish(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wrong_values_are_refused_with_the_range_or_the_choices),
      cmocka_unit_test(an_unknown_key_is_refused_with_the_nearest),
      cmocka_unit_test(a_wrong_file_is_refused_with_the_line),
      cmocka_unit_test(settings_written_down_read_back_the_same),
      cmocka_unit_test(every_key_is_listed_in_the_help),
      cmocka_unit_test(a_resumed_run_may_change_what_computes_nothing),
      cmocka_unit_test(the_learning_rate_follows_its_schedule),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
