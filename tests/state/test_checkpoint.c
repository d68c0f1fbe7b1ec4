/* test_checkpoint.c -- what a user of the store sees: saved is restored, damage is found and named,
 * the newest sound one wins. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "file.h"
#include "sample.h"

static forge_store *open_store(const char *folder, uint32_t keep) {
  forge_store *store;
  const forge_store_options options = {.size = sizeof options, .keep = keep};
  assert_int_equal(forge_store_open(folder, &options, &store), FORGE_OK);
  return store;
}

static void what_was_saved_is_restored(void **state) {
  (void)state;
  char *folder = sample_folder();
  forge_store *store = open_store(folder, 0);
  forge_restore *restore;
  assert_int_equal(forge_restore_open(store, FORGE_STEP_NEWEST, &restore), FORGE_E_NOT_FOUND);
  assert_int_equal(sample_save(store, 7), FORGE_OK);
  assert_int_equal(forge_restore_open(store, 7, &restore), FORGE_OK);
  assert_int_equal(sample_differs(restore), 0);
  assert_string_equal(forge_restore_note(restore), "");
  forge_restore_close(restore);
  forge_store_close(store);
  sample_remove(folder);
}

static void only_the_newest_are_kept(void **state) {
  (void)state;
  char *folder = sample_folder();
  forge_store *store = open_store(folder, 3);
  uint64_t steps[8], n;
  for (uint64_t step = 1; step <= 6; step++) assert_int_equal(sample_save(store, step), FORGE_OK);
  assert_int_equal(forge_store_steps(store, steps, 8, &n), FORGE_OK);
  assert_int_equal(n, 3);
  assert_int_equal(steps[0], 6);
  assert_int_equal(steps[2], 4);
  forge_store_close(store);
  sample_remove(folder);
}

static void flip(const char *path, off_t at) {
  uint8_t byte;
  const int fd = open(path, O_RDWR);
  assert_int_equal(pread(fd, &byte, 1, at), 1);
  byte ^= (uint8_t)(1u << at % 8);
  assert_int_equal(pwrite(fd, &byte, 1, at), 1);
  close(fd);
}

static off_t length(const char *path) {
  struct stat info;
  assert_int_equal(stat(path, &info), 0);
  return info.st_size;
}

static void a_flipped_bit_anywhere_is_found(void **state) {
  (void)state;
  char *folder = sample_folder();
  forge_store *store = open_store(folder, 0);
  assert_int_equal(sample_save(store, 1), FORGE_OK);
  char *path = store_file(store, 1);
  const off_t end = length(path);
  int tried = 0;
  for (off_t at = 0; at < end; at += at < 64 || at > end - 1500 ? 7 : 50021, tried++) {
    flip(path, at);
    if (forge_checkpoint_verify(path) != FORGE_E_CORRUPT)
      fail_msg("a flipped bit in byte %lld goes unseen", (long long)at);
    flip(path, at);
  }
  assert_int_equal(forge_checkpoint_verify(path), FORGE_OK);
  print_message("%d places of %lld bytes\n", tried, (long long)end);
  mem_free(path);
  forge_store_close(store);
  sample_remove(folder);
}

static void the_damaged_tensor_is_named(void **state) {
  (void)state;
  char *folder = sample_folder();
  forge_store *store = open_store(folder, 0);
  assert_int_equal(sample_save(store, 1), FORGE_OK);
  char *path = store_file(store, 1);
  state_file f;
  assert_int_equal(state_file_open(path, &f), FORGE_OK);
  for (size_t i = 0; i < f.manifest.n_item; i++) {
    const format_item *item = &f.manifest.item[i];
    if (!item->bytes) continue;
    flip(path, (off_t)(item->offset + item->bytes - 1));
    assert_int_equal(forge_checkpoint_verify(path), FORGE_E_CORRUPT);
    if (!strstr(forge_error_last()->msg, item->name))
      fail_msg("%s is not named: %s", item->name, forge_error_last()->msg);
    flip(path, (off_t)(item->offset + item->bytes - 1));
  }
  state_file_close(&f);
  mem_free(path);
  forge_store_close(store);
  sample_remove(folder);
}

static void a_file_cut_or_grown_is_refused(void **state) {
  (void)state;
  char *folder = sample_folder();
  forge_store *store = open_store(folder, 0);
  assert_int_equal(sample_save(store, 1), FORGE_OK);
  char *path = store_file(store, 1);
  const off_t end = length(path);
  assert_int_equal(truncate(path, end + 1), 0);
  assert_int_equal(forge_checkpoint_verify(path), FORGE_E_CORRUPT);
  for (off_t cut = end - 1; cut >= 0; cut = cut > 4200 ? cut - end / 9 : cut - 997) {
    assert_int_equal(truncate(path, cut < 0 ? 0 : cut), 0);
    assert_int_equal(forge_checkpoint_verify(path), FORGE_E_CORRUPT);
  }
  mem_free(path);
  forge_store_close(store);
  sample_remove(folder);
}

static void a_damaged_newest_is_passed_over_and_told(void **state) {
  (void)state;
  char *folder = sample_folder();
  forge_store *store = open_store(folder, 3);
  forge_restore *restore;
  for (uint64_t step = 1; step <= 3; step++) assert_int_equal(sample_save(store, step), FORGE_OK);
  char *path = store_file(store, 3);
  flip(path, FORMAT_HEADER + 100);
  assert_int_equal(forge_restore_open(store, FORGE_STEP_NEWEST, &restore), FORGE_OK);
  assert_int_equal(forge_restore_step(restore), 2);
  assert_int_equal(sample_differs(restore), 0);
  assert_non_null(strstr(forge_restore_note(restore), "weights"));
  forge_restore_close(restore);
  assert_int_equal(forge_restore_open(store, 3, &restore), FORGE_E_CORRUPT);
  assert_int_equal(sample_save(store, 3), FORGE_OK); /* replaced */
  assert_int_equal(forge_checkpoint_verify(path), FORGE_OK);
  mem_free(path);
  forge_store_close(store);
  sample_remove(folder);
}

static void damage_found_while_reading_is_not_handed_out(void **state) {
  (void)state;
  char *folder = sample_folder();
  forge_store *store = open_store(folder, 0);
  forge_restore *restore;
  assert_int_equal(sample_save(store, 1), FORGE_OK);
  assert_int_equal(forge_restore_open(store, 1, &restore), FORGE_OK);
  char *path = store_file(store, 1);
  flip(path, FORMAT_HEADER + 4);
  assert_int_equal(sample_differs(restore), 1);
  assert_int_equal(forge_error_last()->code, FORGE_E_CORRUPT);
  forge_restore_close(restore);
  mem_free(path);
  forge_store_close(store);
  sample_remove(folder);
}

static void a_checkpoint_of_the_wrong_name_is_refused(void **state) {
  (void)state;
  char *folder = sample_folder();
  forge_store *store = open_store(folder, 0);
  forge_restore *restore;
  assert_int_equal(sample_save(store, 1), FORGE_OK);
  char *from = store_file(store, 1), *to = store_file(store, 9);
  assert_int_equal(rename(from, to), 0);
  assert_int_equal(forge_restore_open(store, 9, &restore), FORGE_E_CORRUPT);
  mem_free(from);
  mem_free(to);
  forge_store_close(store);
  sample_remove(folder);
}

static void a_second_writer_is_turned_away(void **state) {
  (void)state;
  char *folder = sample_folder();
  forge_store *store = open_store(folder, 0), *other;
  assert_int_equal(forge_store_open(folder, NULL, &other), FORGE_E_EXISTS);
  const forge_store_options reader = {.size = sizeof reader, .flags = FORGE_STORE_READ_ONLY};
  assert_int_equal(forge_store_open(folder, &reader, &other), FORGE_OK);
  forge_checkpoint *c;
  assert_int_equal(forge_checkpoint_begin(other, 1, &c), FORGE_E_POLICY);
  forge_store_close(other);
  forge_store_close(store);
  sample_remove(folder);
}

static void wrong_questions_get_clear_answers(void **state) {
  (void)state;
  char *folder = sample_folder();
  forge_store *store = open_store(folder, 0);
  forge_restore *restore;
  forge_checkpoint *c;
  float x[8];
  char *blob;
  uint64_t n;
  assert_int_equal(sample_save(store, 1), FORGE_OK);
  assert_int_equal(forge_restore_open(store, 1, &restore), FORGE_OK);
  assert_int_equal(forge_restore_host_tensor(restore, "ids", FORGE_F32, 1, (int64_t[]){129}, x),
                   FORGE_E_MISMATCH);
  assert_int_equal(forge_restore_host_tensor(restore, "ids", FORGE_I32, 1, (int64_t[]){8}, x),
                   FORGE_E_MISMATCH);
  assert_int_equal(forge_restore_host_tensor(restore, "bias", FORGE_F32, 1, (int64_t[]){8}, x),
                   FORGE_E_NOT_FOUND);
  assert_int_equal(forge_restore_blob(restore, "weights", &blob, &n), FORGE_E_NOT_FOUND);
  forge_restore_close(restore);
  assert_int_equal(forge_checkpoint_begin(store, 2, &c), FORGE_OK);
  assert_int_equal(forge_checkpoint_blob(c, "a", "b", 1), FORGE_OK);
  assert_int_equal(forge_checkpoint_blob(c, "a", "b", 1), FORGE_E_INVALID);
  assert_int_equal(forge_checkpoint_host_tensor(c, "q", FORGE_Q8_0, 2, (int64_t[]){2, 33}, x),
                   FORGE_E_INVALID);
  forge_checkpoint_abort(c);
  assert_int_equal(forge_checkpoint_begin(store, 2, &c), FORGE_OK);
  assert_int_equal(forge_checkpoint_host_tensor(c, "q", FORGE_Q8_0, 2, (int64_t[]){2, 33}, x),
                   FORGE_E_INVALID);
  assert_int_equal(forge_checkpoint_blob(c, "a", "b", 1), FORGE_E_INVALID);
  assert_int_equal(forge_checkpoint_commit(c), FORGE_E_INVALID); /* what lacks a tensor is none */
  assert_int_equal(forge_restore_open(store, 2, &restore), FORGE_E_NOT_FOUND);
  forge_store_close(store);
  sample_remove(folder);
}

static void inspect_lists_what_is_inside(void **state) {
  (void)state;
  char *folder = sample_folder(), *json;
  forge_store *store = open_store(folder, 0);
  assert_int_equal(sample_save(store, 5), FORGE_OK);
  char *path = store_file(store, 5);
  assert_int_equal(forge_checkpoint_inspect(path, &json), FORGE_OK);
  json_t *root = json_loads(json, 0, NULL);
  assert_non_null(root);
  assert_int_equal(json_integer_value(json_object_get(root, "step")), 5);
  const json_t *items = json_object_get(root, "items");
  assert_int_equal(json_array_size(items), 5);
  assert_string_equal(json_string_value(json_object_get(json_array_get(items, 0), "name")),
                      "weights");
  json_decref(root);
  forge_text_free(json);
  mem_free(path);
  forge_store_close(store);
  sample_remove(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_was_saved_is_restored),
      cmocka_unit_test(only_the_newest_are_kept),
      cmocka_unit_test(a_flipped_bit_anywhere_is_found),
      cmocka_unit_test(the_damaged_tensor_is_named),
      cmocka_unit_test(a_file_cut_or_grown_is_refused),
      cmocka_unit_test(a_damaged_newest_is_passed_over_and_told),
      cmocka_unit_test(damage_found_while_reading_is_not_handed_out),
      cmocka_unit_test(a_checkpoint_of_the_wrong_name_is_refused),
      cmocka_unit_test(a_second_writer_is_turned_away),
      cmocka_unit_test(wrong_questions_get_clear_answers),
      cmocka_unit_test(inspect_lists_what_is_inside),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
