/* test_train_data.c -- data and metrics: windows are what the text says and depend on seed and
 * number alone; a resumed run's metrics go on where the checkpoint is. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data.h"
#include "file.h"
#include "metrics.h"
#include "rig.h"

enum { CONTEXT = 16 };

static void open_data(const rig *r, const char *const *pairs, train_settings *s, train_data *d) {
  char text_pair[600];
  snprintf(text_pair, sizeof text_pair, "text=%s", rig_path(r, "text.txt"));
  assert_int_equal(train_settings_init(s), FORGE_OK);
  assert_int_equal(train_settings_text(s, "context=16", "test"), FORGE_OK);
  assert_int_equal(train_settings_text(s, text_pair, "test"), FORGE_OK);
  for (; *pairs; pairs++) assert_int_equal(train_settings_text(s, *pairs, "test"), FORGE_OK);
  if (train_data_open(s, NULL, d)) fail_msg("%s", forge_error_last()->msg);
}

static void a_window_is_a_stretch_of_its_part_and_targets_are_the_next_tokens(void **state) {
  (void)state;
  rig r;
  train_settings s;
  train_data d;
  int32_t ids[CONTEXT], targets[CONTEXT];
  rig_folder(&r, 5000);
  open_data(&r, (const char *const[]){"validation=0.2", NULL}, &s, &d);
  const uint64_t validation = train_data_part(&d, DATA_VALIDATION);
  assert_int_equal(train_data_part(&d, DATA_TRAIN) + validation, d.n);
  assert_int_equal(validation, d.n / 5);
  for (uint32_t part = 0; part < 2; part++)
    for (uint64_t k = 0; k < 500; k++) {
      const int32_t *from = d.ids + (part ? d.n_train : 0), *end = from + train_data_part(&d, part);
      train_data_window(&d, part, 1, k, CONTEXT, ids, targets);
      assert_memory_equal(ids + 1, targets, (CONTEXT - 1) * sizeof *ids);
      while (from + CONTEXT < end && memcmp(from, ids, sizeof ids)) from++;
      assert_true(from + CONTEXT < end);
    }
  train_data_close(&d);
  train_settings_finish(&s);
  rig_remove(&r);
}

static void windows_depend_on_seed_and_number_alone(void **state) {
  (void)state;
  rig r;
  train_settings s;
  train_data d;
  int32_t a[CONTEXT], b[CONTEXT], t[CONTEXT];
  int other_seed = 0, other_number = 0;
  rig_folder(&r, 20000);
  open_data(&r, (const char *const[]){NULL}, &s, &d);
  for (uint64_t k = 0; k < 50; k++) {
    train_data_window(&d, DATA_TRAIN, 9, k, CONTEXT, a, t);
    train_data_window(&d, DATA_TRAIN, 9, k, CONTEXT, b, t);
    assert_memory_equal(a, b, sizeof a);
    train_data_window(&d, DATA_TRAIN, 10, k, CONTEXT, b, t);
    other_seed += memcmp(a, b, sizeof a) != 0;
    train_data_window(&d, DATA_TRAIN, 9, k + 1, CONTEXT, b, t);
    other_number += memcmp(a, b, sizeof a) != 0;
  }
  assert_in_range(other_seed, 45, 50);
  assert_in_range(other_number, 45, 50);
  train_data_close(&d);
  train_settings_finish(&s);
  rig_remove(&r);
}

/* Every place must be reachable, and none much likelier than another. */
static void windows_spread_over_the_whole_part(void **state) {
  (void)state;
  enum { PLACES = 40, DRAWS = 40000 };
  rig r;
  train_settings s;
  train_data d;
  int count[PLACES] = {0};
  rig_folder(&r, 100);
  open_data(&r, (const char *const[]){"validation=0", NULL}, &s, &d);
  d.n = d.n_train = PLACES + CONTEXT;
  for (int32_t i = 0; i < PLACES + CONTEXT; i++) d.ids[i] = i;
  for (uint64_t k = 0; k < DRAWS; k++) {
    int32_t ids[CONTEXT], targets[CONTEXT];
    train_data_window(&d, DATA_TRAIN, 4, k, CONTEXT, ids, targets);
    assert_in_range(ids[0], 0, PLACES - 1);
    count[ids[0]]++;
  }
  for (int i = 0; i < PLACES; i++)
    assert_in_range(count[i], DRAWS / PLACES * 8 / 10, DRAWS / PLACES * 12 / 10);
  train_data_close(&d);
  train_settings_finish(&s);
  rig_remove(&r);
}

static void token_files_give_their_numbers(void **state) {
  (void)state;
  rig r;
  train_settings s;
  train_data d;
  uint16_t numbers[64];
  char pair[600];
  rig_folder(&r, 10);
  for (uint16_t i = 0; i < 64; i++) numbers[i] = (uint16_t)(i * 500);
  FILE *f = fopen(rig_path(&r, "ids.bin"), "wb");
  assert_int_equal(fwrite(numbers, sizeof numbers, 1, f), 1);
  fclose(f);
  snprintf(pair, sizeof pair, "tokens=%s", rig_path(&r, "ids.bin"));
  open_data(&r, (const char *const[]){"text=", "validation=0", pair, NULL}, &s, &d);
  assert_int_equal(d.n, 64);
  assert_int_equal(d.ids[63], 63 * 500);
  assert_int_equal(d.n_vocab, 63 * 500 + 1);
  train_data_close(&d);
  train_settings_finish(&s);
  rig_remove(&r);
}

static void too_little_text_is_refused_with_the_remedy(void **state) {
  (void)state;
  rig r;
  train_settings s;
  train_data d;
  char pair[600];
  rig_folder(&r, 60);
  snprintf(pair, sizeof pair, "text=%s", rig_path(&r, "text.txt"));
  assert_int_equal(train_settings_init(&s), FORGE_OK);
  assert_int_equal(train_settings_text(&s, pair, "test"), FORGE_OK);
  assert_int_equal(train_data_open(&s, NULL, &d), FORGE_E_INVALID);
  assert_non_null(strstr(forge_error_last()->msg, "context"));
  assert_int_equal(train_settings_text(&s, "text=/nonexistent", "test"), FORGE_OK);
  assert_int_equal(train_data_open(&s, NULL, &d), FORGE_E_NOT_FOUND);
  assert_int_equal(train_settings_text(&s, "text=", "test"), FORGE_OK);
  assert_int_equal(train_data_open(&s, NULL, &d), FORGE_E_CONFIG);
  train_settings_finish(&s);
  rig_remove(&r);
}

static void log_steps(const rig *r, uint64_t after, uint64_t until) {
  metrics m;
  assert_int_equal(metrics_open(r->folder, after, &m), FORGE_OK);
  for (uint64_t step = after + 1; step <= until; step++) {
    const forge_train_report report = {.size = sizeof report, .step = step, .loss = (double)step};
    assert_int_equal(metrics_write(&m, &report), FORGE_OK);
  }
  metrics_close(&m);
}

static void resumed_metrics_go_on_after_the_checkpoint(void **state) {
  (void)state;
  rig r;
  char *s;
  uint64_t n, step = 0;
  rig_folder(&r, 10);
  log_steps(&r, 0, 9);
  FILE *f = fopen(rig_path(&r, "metrics.jsonl"), "a");
  fputs("{\"step\": 10, \"lo", f); /* killed while writing */
  fclose(f);
  log_steps(&r, 5, 7);
  assert_int_equal(file_read(rig_path(&r, "metrics.jsonl"), 1 << 20, &s, &n), FORGE_OK);
  for (char *at = s; (at = strstr(at, "{\"step\": ")); at++) {
    step++;
    assert_int_equal(strtoull(at + 9, NULL, 10), step);
  }
  assert_int_equal(step, 7);
  forge_text_free(s);
  rig_remove(&r);
}

static uint32_t read_u32(const char *at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

/* As a reader of TFRecord files would: lengths, both checksums, the version first. */
static void event_files_are_sound_records(void **state) {
  (void)state;
  rig r;
  char *s = NULL;
  uint64_t n = 0;
  int records = 0;
  assert_int_equal(events_crc32c("123456789", 9), 0xE3069283u);
  rig_folder(&r, 10);
  log_steps(&r, 0, 3);
  DIR *dir = opendir(r.folder);
  for (const struct dirent *entry; (entry = readdir(dir));)
    if (strstr(entry->d_name, "tfevents"))
      assert_int_equal(file_read(rig_path(&r, entry->d_name), 1 << 20, &s, &n), FORGE_OK);
  closedir(dir);
  assert_non_null(s);
  for (uint64_t at = 0; at < n; records++) {
    uint64_t length;
    memcpy(&length, s + at, 8);
    assert_true(at + length + 16 <= n);
    const uint32_t head = events_crc32c(s + at, 8), tail = events_crc32c(s + at + 12, length);
    assert_int_equal(read_u32(s + at + 8), (head >> 15 | head << 17) + 0xA282EAD8u);
    assert_int_equal(read_u32(s + at + 12 + length), (tail >> 15 | tail << 17) + 0xA282EAD8u);
    if (!records) assert_memory_equal(s + at + 12 + length - 13, "brain.Event:2", 13);
    at += length + 16;
  }
  assert_int_equal(records, 2 + 3 * 5);
  forge_text_free(s);
  rig_remove(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_window_is_a_stretch_of_its_part_and_targets_are_the_next_tokens),
      cmocka_unit_test(windows_depend_on_seed_and_number_alone),
      cmocka_unit_test(windows_spread_over_the_whole_part),
      cmocka_unit_test(token_files_give_their_numbers),
      cmocka_unit_test(too_little_text_is_refused_with_the_remedy),
      cmocka_unit_test(resumed_metrics_go_on_after_the_checkpoint),
      cmocka_unit_test(event_files_are_sound_records),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
