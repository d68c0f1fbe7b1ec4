/* test_file.c -- files whole or absent, mappings, and what special files do. */
#include <sys/stat.h>

#include "file.h"
#include "support.h"

static const char *in_dir(const char *name) {
  static char path[512];
  snprintf(path, sizeof path, "%s/%s", support_dir, name);
  return path;
}

static void a_written_file_is_whole_or_absent(void **state) {
  (void)state;
  char *back;
  uint64_t n;
  file_writer w;
  assert_ok(file_writer_open(in_dir("whole"), &w));
  fputs("new contents", w.stream);
  assert_false(file_exists(in_dir("whole")));
  assert_ok(file_writer_commit(&w));
  assert_ok(file_read(in_dir("whole"), 100, &back, &n));
  assert_string_equal(back, "new contents");
  assert_int_equal(n, 12);
  mem_free(back);
  file_writer_abandon(&w); /* fine after a commit */
}

static void an_abandoned_file_leaves_the_old_one_and_nothing_else(void **state) {
  (void)state;
  char *back;
  file_writer w;
  support_write("old", "old");
  assert_ok(file_writer_open(in_dir("old"), &w));
  fputs("half", w.stream);
  char *temporary = mem_strdup(w.temporary);
  assert_true(file_exists(temporary));
  file_writer_abandon(&w);
  assert_false(file_exists(temporary));
  mem_free(temporary);
  assert_ok(file_read(in_dir("old"), 100, &back, NULL));
  assert_string_equal(back, "old");
  mem_free(back);
}

static void a_full_disk_keeps_the_old_file(void **state) {
  (void)state;
  file_writer w;
  if (!file_exists("/dev/full")) skip();
  support_write("kept", "old");
  assert_ok(file_writer_open(in_dir("kept"), &w));
  FILE *full = fopen("/dev/full", "w");
  assert_non_null(full);
  fclose(w.stream);
  w.stream = full;
  fputs("more than fits", w.stream);
  assert_int_equal(file_writer_commit(&w), FORGE_E_IO);
  assert_says("writing failed, nothing was replaced");
  char *back;
  assert_ok(file_read(in_dir("kept"), 100, &back, NULL));
  assert_string_equal(back, "old");
  mem_free(back);
}

static void a_place_that_cannot_be_written_is_named(void **state) {
  (void)state;
  file_writer w;
  assert_int_equal(file_writer_open(in_dir("no/such/folder/file"), &w), FORGE_E_IO);
  assert_says("no/such/folder/file: cannot be written: No such file or directory");
}

static void special_files_and_missing_ones_are_refused(void **state) {
  (void)state;
  file_map map;
  char *back;
  assert_int_equal(file_map_open(in_dir("nothing"), &map), FORGE_E_NOT_FOUND);
  assert_int_equal(file_map_open(support_dir, &map), FORGE_E_IO);
  assert_says("not a regular file");
  assert_int_equal(file_read("/dev/null", 100, &back, NULL), FORGE_E_IO);
  assert_int_equal(mkfifo(in_dir("pipe"), 0600), 0);
  assert_int_equal(file_read(in_dir("pipe"), 100, &back, NULL), FORGE_E_IO); /* and does not hang */
  assert_int_equal(file_read(support_write("big", "12345"), 4, &back, NULL), FORGE_E_CORRUPT);
  assert_says("5 bytes; at most 4");
}

static void mappings_show_the_file_and_empty_ones_work(void **state) {
  (void)state;
  file_map map;
  assert_ok(file_map_open(support_write("m", "mapped"), &map));
  assert_int_equal(map.bytes, 6);
  assert_memory_equal(map.data, "mapped", 6);
  file_map_close(&map);
  file_map_close(&map);
  assert_ok(file_map_open(support_write("empty", "%s", ""), &map));
  assert_null(map.data);
  file_map_close(&map);
}

static void folders_are_made_with_their_parents(void **state) {
  (void)state;
  assert_ok(file_make_directories(in_dir("a/b/c")));
  assert_ok(file_make_directories(in_dir("a/b/c")));
  assert_ok(file_make_directories(in_dir("a//b/d/")));
  assert_true(file_is_directory(in_dir("a/b/d")));
  support_write("plain", "x");
  assert_int_equal(file_make_directories(in_dir("plain")), FORGE_E_IO);
  assert_int_equal(file_make_directories(in_dir("plain/x")), FORGE_E_IO);
  assert_int_equal(file_make_directories(""), FORGE_E_INVALID);
}

static void paths_come_apart_and_together(void **state) {
  (void)state;
  static const char *const rows[][2] = {{"/a/b", "/a"}, {"/a", "/"}, {"a", "."}, {"a/b/c", "a/b"}};
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    char *parent = file_parent(rows[i][0]);
    assert_string_equal(parent, rows[i][1]);
    mem_free(parent);
  }
  assert_true(text_ends_with("model.gguf", ".gguf"));
  assert_false(text_ends_with("gguf", ".gguf"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_written_file_is_whole_or_absent),
      cmocka_unit_test(an_abandoned_file_leaves_the_old_one_and_nothing_else),
      cmocka_unit_test(a_full_disk_keeps_the_old_file),
      cmocka_unit_test(a_place_that_cannot_be_written_is_named),
      cmocka_unit_test(special_files_and_missing_ones_are_refused),
      cmocka_unit_test(mappings_show_the_file_and_empty_ones_work),
      cmocka_unit_test(folders_are_made_with_their_parents),
      cmocka_unit_test(paths_come_apart_and_together),
  };
  return cmocka_run_group_tests(tests, support_enter, support_leave);
}
