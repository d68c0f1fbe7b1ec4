/* test_base.c -- failures, names, text, memory and hashes, as the other rooms rely on them. */
#include <errno.h>
#include <pthread.h>

#include "base.h"
#include "hash.h"
#include "support.h"

static forge_status inner(void) { return FAIL(FORGE_E_CORRUPT, "block %d is torn", 7); }

static forge_status outer(bool *went_on) {
  TRY(inner());
  *went_on = true;
  return FORGE_OK;
}

static void a_failure_carries_its_words_through_the_callers(void **state) {
  (void)state;
  bool went_on = false;
  assert_int_equal(outer(&went_on), FORGE_E_CORRUPT);
  assert_false(went_on);
  assert_int_equal(base_fail_in(FORGE_E_IO, "%s", "model.gguf"), FORGE_E_IO);
  assert_string_equal(forge_error_last()->msg, "model.gguf: block 7 is torn");
  assert_int_equal(forge_error_last()->code, FORGE_E_IO);
  assert_int_equal(forge_error_last()->op_index, FORGE_OP_INDEX_UNKNOWN);
}

static void a_message_may_quote_the_last_one(void **state) {
  (void)state;
  FAIL(FORGE_E_IO, "first");
  FAIL(FORGE_E_IO, "again: %s", forge_error_last()->msg);
  assert_string_equal(forge_error_last()->msg, "again: first");
}

static void errno_is_told_in_words_and_number(void **state) {
  (void)state;
  errno = ENOENT;
  base_fail_errno(FORGE_E_IO, "/x");
  assert_string_equal(forge_error_last()->msg, "/x: No such file or directory");
  assert_int_equal(forge_error_last()->native_code, ENOENT);
  assert_string_equal(forge_error_last()->native_domain, "errno");
}

static void a_long_message_is_cut_not_spilled(void **state) {
  (void)state;
  char big[5000];
  memset(big, 'x', sizeof big);
  big[sizeof big - 1] = 0;
  FAIL(FORGE_E_IO, "%s", big);
  assert_int_equal(strlen(forge_error_last()->msg), 1023);
  base_fail_in(FORGE_E_IO, "%s", big);
  assert_int_equal(strlen(forge_error_last()->msg), 1023);
  errno = EIO;
  base_fail_errno(FORGE_E_IO, "%s", big);
  assert_non_null(strstr(forge_error_last()->msg, ": Input/output error"));
}

static void a_record_is_copied_not_borrowed(void **state) {
  (void)state;
  char msg[] = "unit 3 overheated", domain[] = "chip";
  const forge_error theirs = {.size = sizeof theirs,
                              .code = FORGE_E_FAULT,
                              .native_code = 42,
                              .native_domain = domain,
                              .msg = msg,
                              .op_index = 5};
  base_fail_record(&theirs);
  memset(msg, '?', sizeof msg - 1);
  memset(domain, '?', sizeof domain - 1);
  assert_string_equal(forge_error_last()->msg, "unit 3 overheated");
  assert_string_equal(forge_error_last()->native_domain, "chip");
  assert_int_equal(forge_error_last()->op_index, 5);
}

static void *fail_elsewhere(void *unused) {
  (void)unused;
  if (!forge_error_last()->msg) return (void *)1;
  FAIL(FORGE_E_OOM, "other thread");
  return NULL;
}

static void each_thread_has_its_own_failure(void **state) {
  (void)state;
  pthread_t thread;
  void *problem;
  FAIL(FORGE_E_IO, "mine");
  assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
  pthread_join(thread, &problem);
  assert_null(problem);
  assert_string_equal(forge_error_last()->msg, "mine");
}

static void every_status_has_a_name_and_words(void **state) {
  (void)state;
  assert_string_equal(forge_status_name(FORGE_E_OOM), "FORGE_E_OOM");
  assert_string_equal(forge_status_text(FORGE_OK), "success");
  assert_string_equal(forge_status_name(12345), "unknown status");
  for (forge_status s = FORGE_E_INTERNAL; s <= 0; s++)
    assert_string_not_equal(forge_status_name(s), "unknown status");
}

typedef struct sink {
  int n;
  char line[256];
} sink;

static void keep_line(void *ctx, int32_t level, const char *line) {
  (void)level;
  sink *s = ctx;
  s->n++;
  snprintf(s->line, sizeof s->line, "%s", line);
}

static void the_log_goes_where_it_is_told_and_no_deeper(void **state) {
  (void)state;
  sink s = {0};
  forge_log_to(keep_line, &s, FORGE_LOG_INFO);
  log_line(FORGE_LOG_INFO, "%d devices", 2);
  log_line(FORGE_LOG_DEBUG, "not this");
  assert_int_equal(s.n, 1);
  assert_string_equal(s.line, "2 devices");
  log_set_level(FORGE_LOG_DEBUG);
  log_line(FORGE_LOG_DEBUG, "this");
  assert_int_equal(s.n, 2);
  forge_log_to(NULL, NULL, FORGE_LOG_WARN);
}

static void text_grows_and_formats_what_is_long(void **state) {
  (void)state;
  text t = {0};
  char big[1000];
  memset(big, 'y', sizeof big);
  big[sizeof big - 1] = 0;
  for (int i = 0; i < 100; i++) text_add(&t, "%d %s\n", i, big);
  assert_int_equal(t.n, 10 * 1002 + 90 * 1003);
  char *s = text_take(&t);
  assert_non_null(s);
  assert_memory_equal(s, "0 yyy", 5);
  assert_null(t.s);
  forge_text_free(s);
  s = text_take(&t); /* nothing added: still a string */
  assert_string_equal(s, "");
  forge_text_free(s);
}

static void sizes_that_overflow_are_no_memory(void **state) {
  (void)state;
  uint64_t *items = NULL;
  size_t cap = 0;
  assert_null(mem_zalloc_array(SIZE_MAX / 2, 16));
  assert_false(mem_grow((void **)&items, &cap, sizeof *items, SIZE_MAX / 2));
  assert_null(items);
  for (size_t n = 0; n < 1000; n++) {
    assert_true(ARRAY_GROW(items, n, cap));
    items[n] = n;
  }
  assert_int_equal(items[999], 999);
  mem_free(items);
  void *aligned = mem_aligned(100, 4096);
  assert_int_equal((uintptr_t)aligned % 4096, 0);
  mem_free(aligned);
}

static void the_nearest_name_is_one_a_person_may_have_meant(void **state) {
  (void)state;
  static const char *const names[] = {"threads", "memory_limit", "enabled"};
  assert_string_equal(name_nearest("treads", names, 3), "threads");
  assert_string_equal(name_nearest("memorylimit", names, 3), "memory_limit");
  assert_null(name_nearest("zzzzzzzz", names, 3));
  assert_null(name_nearest("", names, 3));
  assert_null(name_nearest("x", names, 0));
  char big[300];
  memset(big, 'a', sizeof big);
  big[sizeof big - 1] = 0;
  const char *const long_names[] = {big};
  assert_null(name_nearest("abc", long_names, 1));
}

static void hashes_give_the_published_values(void **state) {
  (void)state;
  hash_sha256 h;
  uint8_t out[32];
  char hex[65];
  hash_sha256_start(&h);
  hash_sha256_add(&h, "a", 1);
  hash_sha256_add(&h, "bc", 2);
  hash_sha256_end(&h, out);
  hash_hex(out, sizeof out, hex);
  assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  hash_xxh128("", 0, 0, out);
  hash_hex(out, 16, hex);
  assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_failure_carries_its_words_through_the_callers),
      cmocka_unit_test(a_message_may_quote_the_last_one),
      cmocka_unit_test(errno_is_told_in_words_and_number),
      cmocka_unit_test(a_long_message_is_cut_not_spilled),
      cmocka_unit_test(a_record_is_copied_not_borrowed),
      cmocka_unit_test(each_thread_has_its_own_failure),
      cmocka_unit_test(every_status_has_a_name_and_words),
      cmocka_unit_test(the_log_goes_where_it_is_told_and_no_deeper),
      cmocka_unit_test(text_grows_and_formats_what_is_long),
      cmocka_unit_test(sizes_that_overflow_are_no_memory),
      cmocka_unit_test(the_nearest_name_is_one_a_person_may_have_meant),
      cmocka_unit_test(hashes_give_the_published_values),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
