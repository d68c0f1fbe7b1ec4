/* test_crash.c -- a save is interrupted at every call that changes the disk, in every way the disk
 * knows, and afterwards a whole checkpoint is always there. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault.h"
#include "sample.h"

enum { OLD = 1000, NEW = 1010 };

/* Opens the store anew, as the next process would, and says which step is there, whole. */
static uint64_t recovered_step(const char *folder, const char *where) {
  forge_store *store;
  forge_restore *restore;
  assert_int_equal(forge_store_open(folder, NULL, &store), FORGE_OK);
  const forge_status st = forge_restore_open(store, FORGE_STEP_NEWEST, &restore);
  if (st) fail_msg("%s: nothing is left: %s", where, forge_error_last()->msg);
  if (sample_differs(restore)) fail_msg("%s: what is left is not what was saved", where);
  if (*forge_restore_note(restore)) fail_msg("%s: %s", where, forge_restore_note(restore));
  const uint64_t step = forge_restore_step(restore);
  forge_restore_close(restore);
  if (sample_count(folder, ".part")) fail_msg("%s: leftovers were not removed", where);
  forge_store_close(store);
  return step;
}

static void save_old(const char *folder) {
  forge_store *store;
  assert_int_equal(forge_store_open(folder, NULL, &store), FORGE_OK);
  assert_int_equal(sample_save(store, OLD - 10), FORGE_OK);
  assert_int_equal(sample_save(store, OLD), FORGE_OK);
  forge_store_close(store);
}

/* Saves NEW on |disk| with keep 1 and returns what the save said. */
static forge_status save_new(const char *folder, fault_disk *disk) {
  forge_store *store;
  const forge_store_options options = {.size = sizeof options, .keep = 1};
  assert_int_equal(store_open_with(folder, &options, &disk->io, &store), FORGE_OK);
  const forge_status st = sample_save(store, NEW);
  forge_store_close(store);
  return st;
}

static uint32_t calls_of_a_save(char log[256]) {
  char *folder = sample_folder();
  fault_disk disk;
  fault_disk_init(&disk, FAULT_NONE, 0);
  save_old(folder);
  assert_int_equal(save_new(folder, &disk), FORGE_OK);
  memcpy(log, disk.log, sizeof disk.log);
  sample_remove(folder);
  return disk.calls;
}

static void the_old_one_goes_only_after_the_new_one_is_flushed(void **state) {
  (void)state;
  char log[256];
  calls_of_a_save(log);
  const size_t writes = strspn(log + 1, "W");
  assert_int_equal(log[0], 'C');
  assert_string_equal(log + 1 + writes, "FLRDUU");
}

static void a_killed_save_leaves_the_old_or_the_new_checkpoint_whole(void **state) {
  (void)state;
  char log[256], where[96];
  const uint32_t calls = calls_of_a_save(log);
  for (fault_kind kind = FAULT_KILL; kind <= FAULT_KILL_HALF; kind++)
    for (uint32_t at = 0; at < calls; at++) {
      char *folder = sample_folder();
      save_old(folder);
      const pid_t child = fork();
      if (!child) {
        fault_disk disk;
        fault_disk_init(&disk, kind, at);
        save_new(folder, &disk);
        _exit(0); /* not reached: every call is made */
      }
      int status;
      assert_int_equal(waitpid(child, &status, 0), child);
      snprintf(where, sizeof where, "%s at call %u (%c)", fault_name(kind), at, log[at]);
      if (!WIFSIGNALED(status)) fail_msg("%s: the child was not killed", where);
      const uint64_t step = recovered_step(folder, where);
      const bool renamed = at > (uint32_t)(strchr(log, 'R') - log) - (kind == FAULT_KILL_HALF);
      if (step != (renamed ? NEW : OLD)) fail_msg("%s: step %d", where, (int)step);
      sample_remove(folder);
    }
  print_message("%u calls, each killed before and during\n", calls);
}

static void a_failing_disk_leaves_the_previous_checkpoint_and_says_so(void **state) {
  (void)state;
  char log[256], where[96];
  const uint32_t calls = calls_of_a_save(log), flushed = (uint32_t)(strchr(log, 'D') - log);
  for (fault_kind kind = FAULT_EIO; kind < FAULT_KINDS; kind++)
    for (uint32_t at = 0; at < calls; at++) {
      char *folder = sample_folder();
      fault_disk disk;
      fault_disk_init(&disk, kind, at);
      save_old(folder);
      const forge_status st = save_new(folder, &disk);
      const bool harmless = kind == FAULT_EINTR || kind == FAULT_SHORT || at > flushed ||
                            (kind == FAULT_ENOSPC && !strchr(log + at, 'W') && log[at] == 'U');
      snprintf(where, sizeof where, "%s at call %u (%c)", fault_name(kind), at, log[at]);
      if (harmless != !st) fail_msg("%s: the save said %d", where, st);
      if (st && !strstr(forge_error_last()->msg, "step-"))
        fail_msg("%s: the message names no file: %s", where, forge_error_last()->msg);
      if (kind == FAULT_ENOSPC && log[at] == 'W' && !strstr(forge_error_last()->msg, "make room"))
        fail_msg("%s: no remedy: %s", where, forge_error_last()->msg);
      const uint64_t step = recovered_step(folder, where);
      if (step != (!st || at == flushed ? NEW : OLD)) fail_msg("%s: step %d", where, (int)step);
      sample_remove(folder);
    }
}

static void a_failed_flush_is_never_repeated(void **state) {
  (void)state;
  char log[256];
  calls_of_a_save(log);
  char *folder = sample_folder();
  fault_disk disk;
  fault_disk_init(&disk, FAULT_EIO, (uint32_t)(strchr(log, 'F') - log));
  save_old(folder);
  assert_int_equal(save_new(folder, &disk), FORGE_E_IO);
  assert_ptr_equal(strchr(disk.log, 'F'), strrchr(disk.log, 'F'));
  assert_null(strchr(disk.log, 'R'));
  sample_remove(folder);
}

static void an_abandoned_checkpoint_leaves_no_trace(void **state) {
  (void)state;
  char *folder = sample_folder();
  forge_store *store;
  forge_checkpoint *c;
  assert_int_equal(forge_store_open(folder, NULL, &store), FORGE_OK);
  assert_int_equal(forge_checkpoint_begin(store, 3, &c), FORGE_OK);
  assert_int_equal(forge_checkpoint_blob(c, "a", "b", 1), FORGE_OK);
  forge_checkpoint_abort(c);
  assert_int_equal(sample_count(folder, ".part") + sample_count(folder, ".fck"), 0);
  forge_store_close(store);
  sample_remove(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_old_one_goes_only_after_the_new_one_is_flushed),
      cmocka_unit_test(a_killed_save_leaves_the_old_or_the_new_checkpoint_whole),
      cmocka_unit_test(a_failing_disk_leaves_the_previous_checkpoint_and_says_so),
      cmocka_unit_test(a_failed_flush_is_never_repeated),
      cmocka_unit_test(an_abandoned_checkpoint_leaves_no_trace),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
