/* test_device.c -- devices, buffers, copies and time over small backends: null and those of
 * fake_device.c. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "device.h"
#include "support.h"

static forge_runtime *make_runtime(const char *one, const char *two) {
  char path[512];
  forge_runtime *runtime = NULL;
  snprintf(path, sizeof path, "backend_path=%s", support_dir);
  const char *overrides[] = {path, one ? one : two, one ? two : NULL, NULL};
  const forge_runtime_options options = {.size = sizeof options, .overrides = overrides};
  assert_ok(forge_runtime_create(&options, &runtime));
  return runtime;
}

static forge_device *open_device(forge_runtime *runtime, const char *name) {
  forge_device *device;
  assert_ok(forge_device_open(runtime, name, &device));
  return device;
}

static forge_buffer *make_buffer(forge_device *device, uint64_t bytes) {
  forge_buffer *buffer;
  assert_ok(forge_buffer_create(device, bytes, "test", &buffer));
  return buffer;
}

static void fill_pattern(uint8_t *bytes, size_t n, uint32_t seed) {
  for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)((i * 2654435761u + seed) >> 13);
}

/* ---- opening ---- */

static void opening_twice_gives_the_same_device(void **state) {
  (void)state;
  forge_runtime *runtime = make_runtime(NULL, NULL);
  forge_device *a = open_device(runtime, "null:0"), *b = open_device(runtime, "null");
  forge_device *other = open_device(runtime, "null:1");
  assert_ptr_equal(a, b);
  assert_ptr_not_equal(a, other);
  forge_device_close(a);
  forge_buffer_destroy(make_buffer(b, 100)); /* still open */
  forge_device_close(b);
  forge_device_close(other);
  forge_runtime_destroy(runtime);
}

static void a_hundred_cycles_of_open_and_close_leave_nothing(void **state) {
  (void)state;
  for (int i = 0; i < 100; i++) {
    forge_runtime *runtime = i % 10 ? NULL : make_runtime(NULL, NULL);
    static forge_runtime *kept;
    if (runtime) {
      forge_runtime_destroy(kept);
      kept = runtime;
    }
    forge_device *device = open_device(kept, i % 2 ? "slow:0" : "null:0");
    forge_buffer *buffer = make_buffer(device, 1 << 20);
    assert_ok(forge_buffer_fill(buffer, 0, 1, 1 << 20));
    forge_buffer_destroy(buffer);
    forge_device_close(device);
    if (i == 99) forge_runtime_destroy(kept);
  }
}

static void the_order_of_ends_does_not_matter(void **state) {
  (void)state;
  forge_runtime *runtime = make_runtime(NULL, NULL);
  forge_device *device = open_device(runtime, "null:0");
  forge_buffer *buffer = make_buffer(device, 64);
  forge_runtime_destroy(runtime);
  forge_device_close(device);
  assert_ok(forge_buffer_fill(buffer, 0, 9, 64));
  forge_buffer_destroy(buffer);
}

static void names_that_are_none_are_explained(void **state) {
  (void)state;
  forge_runtime *runtime = make_runtime(NULL, NULL);
  forge_device *device;
  assert_int_equal(forge_device_open(runtime, "null:x", &device), FORGE_E_INVALID);
  assert_says("backend/variant:0");
  assert_int_equal(forge_device_open(runtime, "/:", &device), FORGE_E_INVALID);
  assert_int_equal(forge_device_open(runtime, "null:2", &device), FORGE_E_NOT_FOUND);
  assert_says("null has 2 devices, numbered from 0; there is no number 2");
  assert_int_equal(forge_device_open(runtime, "cuda:0", &device), FORGE_E_NOT_FOUND);
  assert_says("no backend 'cuda' is installed; there is ");
  assert_says("slow:0");
  forge_runtime_destroy(runtime);
}

static void the_default_device_is_the_best_backend_that_may_be_used(void **state) {
  (void)state;
  forge_runtime *runtime = make_runtime(NULL, NULL);
  forge_device *device = open_device(runtime, NULL);
  assert_string_equal(device_name(device), "slow:0");  /* null has a negative priority */
  assert_int_equal(device_fallback_policy(device), 2); /* not named: warn */
  forge_device *named = open_device(runtime, "slow:0");
  assert_int_equal(device_fallback_policy(named), 1); /* named: error */
  forge_device_close(device);
  forge_device_close(named);
  forge_runtime_destroy(runtime);
  runtime = make_runtime("backends=null,slow", "fallback=allow");
  device = open_device(runtime, "");
  assert_string_equal(device_name(device), "null:0");
  assert_int_equal(device_fallback_policy(device), 3);
  forge_device_close(device);
  forge_runtime_destroy(runtime);
}

static void what_the_operator_hides_stays_hidden(void **state) {
  (void)state;
  forge_device *device;
  forge_runtime *runtime = make_runtime("visible=null:1,slow", "hidden=slow:1");
  assert_int_equal(forge_device_open(runtime, "null:0", &device), FORGE_E_POLICY);
  assert_says("null:0 is not among the visible devices of override");
  assert_int_equal(forge_device_open(runtime, "slow:1", &device), FORGE_E_POLICY);
  assert_says("slow:1 is hidden by override (hidden = slow:1)");
  forge_device_close(open_device(runtime, "null:1"));
  forge_device_close(open_device(runtime, "slow:0"));
  forge_runtime_destroy(runtime);
  runtime = make_runtime("hidden=uuid:5A000000000000000000000000000000", "backends=slow");
  assert_int_equal(forge_device_open(runtime, "slow:0", &device), FORGE_E_POLICY);
  assert_int_equal(forge_device_open(runtime, "null:0", &device), FORGE_E_POLICY);
  assert_says("null is not among the backends admitted by override (backends = slow)");
  device = open_device(runtime, NULL);
  assert_string_equal(device_name(device), "slow:1");
  forge_device_close(device);
  forge_runtime_destroy(runtime);
  runtime = make_runtime("backend.null.enabled=no", NULL);
  assert_int_equal(forge_device_open(runtime, "null:0", &device), FORGE_E_POLICY);
  assert_says("null is switched off by override");
  forge_runtime_destroy(runtime);
}

/* A misspelt entry would hide nothing, and nobody would notice. */
static void a_hidden_device_that_is_no_name_is_an_error(void **state) {
  (void)state;
  static const char *const wrong[] = {"slow:O", "uuid:5a00", "pci:65:00", "/slow", "slow:0x"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    char path[512], hidden[64];
    forge_runtime *runtime;
    snprintf(path, sizeof path, "backend_path=%s", support_dir);
    snprintf(hidden, sizeof hidden, "hidden=null:0,%s", wrong[i]);
    const char *overrides[] = {path, hidden, NULL};
    const forge_runtime_options options = {.size = sizeof options, .overrides = overrides};
    assert_int_equal(forge_runtime_create(&options, &runtime), FORGE_E_CONFIG);
    assert_says("override: hidden: '");
    assert_says(wrong[i]);
  }
}

static void one_chip_seen_by_two_backends_is_told(void **state) {
  (void)state;
  char *json;
  forge_runtime *runtime = make_runtime(NULL, NULL);
  assert_ok(forge_runtime_report(runtime, FORGE_REPORT_DEVICES, &json));
  assert_non_null(strstr(json, "\"same_as\": \"slow:1\"")); /* failing:1 has its uuid */
  assert_non_null(strstr(json, "\"default\": \"slow:0\""));
  forge_text_free(json);
  assert_int_equal(forge_runtime_report(runtime, 77, &json), FORGE_E_UNSUPPORTED);
  forge_runtime_destroy(runtime);
}

/* ---- memory ---- */

static void limits_hold_and_are_told(void **state) {
  (void)state;
  forge_buffer *buffer;
  forge_device_info info = {.size = sizeof info};
  forge_runtime *runtime = make_runtime("memory_limit=10M", "backend.slow.memory_limit=1%");
  forge_device *device = open_device(runtime, "null:0"), *slow = open_device(runtime, "slow:0");
  assert_ok(forge_device_describe(slow, &info));
  assert_int_equal(info.memory_limit, 10 << 20); /* 1% of 1000 MiB */
  assert_int_equal(forge_buffer_create(slow, 11 << 20, "kv", &buffer), FORGE_E_OOM);
  assert_int_equal(forge_buffer_create(device, 11 << 20, "weights", &buffer), FORGE_E_OOM);
  assert_says("null:0: weights needs 11.00 MiB");
  buffer = make_buffer(device, 4 << 20);
  device_note_memory(device, "workspace", 1 << 20);
  assert_ok(forge_device_describe(device, &info));
  assert_int_equal(info.memory_used, 5 << 20);
  assert_true(info.memory_held >= info.memory_used && info.memory_held <= 10 << 20);
  device_note_memory(device, "workspace", -(1 << 20));
  forge_buffer_destroy(buffer);
  assert_ok(forge_device_describe(device, &info));
  assert_int_equal(info.memory_used, 0);
  assert_int_equal(info.memory_peak, 5 << 20);
  forge_device_close(slow);
  forge_device_close(device);
  forge_runtime_destroy(runtime);
}

static void a_percentage_of_an_unknown_size_is_refused(void **state) {
  (void)state;
  forge_device *device;
  forge_runtime *runtime = make_runtime("memory_limit=50%", NULL);
  assert_int_equal(forge_device_open(runtime, "null:0", &device), FORGE_E_CONFIG);
  assert_says("does not tell its size; name bytes");
  forge_runtime_destroy(runtime);
}

static void ranges_outside_a_buffer_are_refused(void **state) {
  (void)state;
  char bytes[8] = "";
  forge_runtime *runtime = make_runtime(NULL, NULL);
  forge_device *device = open_device(runtime, "null:0");
  forge_buffer *a = make_buffer(device, 100), *none;
  assert_int_equal(forge_buffer_create(device, 0, NULL, &none), FORGE_E_INVALID);
  assert_int_equal(forge_buffer_write(a, 93, bytes, 8), FORGE_E_INVALID);
  assert_says("bytes 93 to 101 leave the buffer of 100 bytes on null:0");
  assert_int_equal(forge_buffer_read(a, UINT64_MAX, bytes, 8), FORGE_E_INVALID);
  assert_int_equal(forge_buffer_fill(a, 0, 1, 101), FORGE_E_INVALID);
  assert_int_equal(forge_buffer_copy(a, 0, a, 10, 20), FORGE_E_INVALID);
  assert_says("overlap");
  assert_ok(forge_buffer_copy(a, 0, a, 50, 50));
  assert_ok(forge_buffer_write(a, 100, bytes, 0));
  forge_buffer_destroy(a);
  forge_device_close(device);
  forge_runtime_destroy(runtime);
}

static void bytes_survive_every_way_between_devices(void **state) {
  (void)state;
  enum { BYTES = (9 << 20) + 123 }; /* more than two staging blocks */
  static const char *const names[] = {"null:0", "null:1", "slow:0", "slow:1"};
  static uint8_t sent[BYTES], back[BYTES];
  forge_runtime *runtime = make_runtime(NULL, NULL);
  for (int i = 0; i < 16; i++) {
    forge_device *from = open_device(runtime, names[i / 4]),
                 *to = open_device(runtime, names[i % 4]);
    forge_buffer *a = make_buffer(from, BYTES), *b = make_buffer(to, BYTES);
    fill_pattern(sent, BYTES, (uint32_t)i);
    assert_ok(forge_buffer_write(a, 0, sent, BYTES));
    assert_ok(forge_buffer_fill(b, 0, 0xEE, 100));
    assert_ok(forge_buffer_copy(b, 77, a, 50, BYTES - 100));
    assert_ok(forge_buffer_read(b, 0, back, BYTES));
    assert_memory_equal(back + 77, sent + 50, BYTES - 100);
    assert_int_equal(back[76], 0xEE);
    forge_buffer_destroy(a);
    forge_buffer_destroy(b);
    forge_device_close(from);
    forge_device_close(to);
  }
  forge_runtime_destroy(runtime);
}

static void imported_pages_are_not_copied_where_the_backend_can(void **state) {
  (void)state;
  uint8_t *pages = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  uint8_t back[1000];
  forge_buffer *b;
  assert_ptr_not_equal(pages, MAP_FAILED);
  fill_pattern(pages, 1 << 16, 5);
  forge_runtime *runtime = make_runtime(NULL, NULL);
  static const struct {
    const char *device;
    size_t offset;
    int copied;
  } cases[] = {{"hostreg:0", 0, 0},
               {"hostreg:0", 5004, 0},
               {"hostreg:0", 5001, 1},
               {"null:0", 0, 1},
               {"slow:0", 4100, 1}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    forge_device *device = open_device(runtime, cases[i].device);
    assert_ok(forge_buffer_import(device, pages + cases[i].offset, sizeof back, "mapped", &b));
    assert_int_equal(forge_buffer_is_copy(b), cases[i].copied);
    if (!cases[i].copied) {
      assert_ptr_equal(forge_buffer_host(b), pages + cases[i].offset);
      assert_int_equal(forge_buffer_fill(b, 0, 0, 1), FORGE_E_INVALID);
      assert_says("read-only");
    }
    assert_ok(forge_buffer_read(b, 0, back, sizeof back));
    assert_memory_equal(back, pages + cases[i].offset, sizeof back);
    forge_buffer_destroy(b);
    forge_device_close(device);
  }
  forge_runtime_destroy(runtime);
  munmap(pages, 1 << 16);
}

/* ---- time ---- */

/* A program of the backend itself, with nothing in it. */
static forge_prog *make_program(forge_device *device) {
  const forge_prog_desc desc = {.size = sizeof desc};
  forge_prog_out out = {.size = sizeof out};
  forge_prog *prog;
  assert_ok(device_table(device)->prog_create(device_handle(device), &desc, &prog, &out));
  return prog;
}

static void moments_are_reached_in_order(void **state) {
  (void)state;
  forge_moment moment[20];
  forge_runtime *runtime = make_runtime(NULL, NULL);
  forge_device *device = open_device(runtime, "slow:0");
  forge_prog *prog = make_program(device);
  for (int i = 0; i < 20; i++) assert_ok(device_submit(device, prog, NULL, 0, NULL, 0, &moment[i]));
  assert_true(moment[19].value > moment[0].value);
  assert_int_equal(forge_moment_wait(moment[19], 0), FORGE_E_TIMEOUT);
  assert_ok(forge_moment_wait(moment[19], FORGE_WAIT_FOREVER));
  for (int i = 0; i < 20; i++) assert_ok(forge_moment_wait(moment[i], 0));
  assert_int_equal(forge_moment_wait((forge_moment){device, 1000}, 0), FORGE_E_INVALID);
  assert_says("was never submitted");
  assert_ok(forge_device_wait(device));
  device_table(device)->prog_destroy(prog);
  forge_device_close(device);
  forge_runtime_destroy(runtime);
}

static void failed_work_fails_its_moment_with_the_backends_words(void **state) {
  (void)state;
  forge_moment moment;
  forge_runtime *runtime = make_runtime(NULL, NULL);
  forge_device *device = open_device(runtime, "failing:0");
  forge_prog *prog = make_program(device);
  forge_buffer *buffer = make_buffer(device, 64);
  assert_ok(device_submit(device, prog, NULL, 0, NULL, 0, &moment));
  assert_int_equal(forge_moment_wait(moment, FORGE_WAIT_FOREVER), FORGE_E_FAULT);
  assert_says("failing:0: work on the device: unit 3 overheated");
  assert_int_equal(forge_device_wait(device), FORGE_E_FAULT); /* for good */
  forge_buffer_destroy(buffer);
  device_table(device)->prog_destroy(prog);
  forge_device_close(device);
  forge_runtime_destroy(runtime);
}

static void a_lost_device_is_only_taken_down(void **state) {
  (void)state;
  char byte = 0;
  forge_buffer *other;
  forge_runtime *runtime = make_runtime(NULL, NULL);
  forge_device *device = open_device(runtime, "lost:0");
  forge_prog *prog = make_program(device);
  forge_buffer *buffer = make_buffer(device, 64);
  assert_ok(forge_buffer_fill(buffer, 0, 1, 64));
  assert_int_equal(device_submit(device, prog, NULL, 0, NULL, 0, NULL), FORGE_E_DEVICE_LOST);
  assert_says("lost:0: submit: the card fell off the bus");
  assert_int_equal(device_submit(device, prog, NULL, 0, NULL, 0, NULL), FORGE_E_DEVICE_LOST);
  assert_says("close it and open it again");
  assert_int_equal(forge_buffer_read(buffer, 0, &byte, 1), FORGE_E_DEVICE_LOST);
  assert_int_equal(forge_buffer_create(device, 4 << 20, NULL, &other), FORGE_E_DEVICE_LOST);
  forge_buffer_destroy(buffer);
  device_table(device)->prog_destroy(prog);
  forge_device_close(device);
  forge_runtime_destroy(runtime);
}

typedef struct worker {
  forge_device *device;
  uint32_t seed;
  const char *problem;
} worker;

static void *use_device(void *argument) {
  worker *w = argument;
  enum { BYTES = 5000 };
  static _Thread_local uint8_t sent[BYTES], back[BYTES];
  forge_prog *prog = make_program(w->device);
  for (uint32_t round = 0; round < 40 && !w->problem; round++) {
    forge_buffer *a, *b;
    forge_moment moment;
    fill_pattern(sent, BYTES, w->seed + round);
    if (forge_buffer_create(w->device, BYTES, "a", &a) ||
        forge_buffer_create(w->device, BYTES, "b", &b) || forge_buffer_write(a, 0, sent, BYTES) ||
        device_submit(w->device, prog, NULL, 0, NULL, 0, &moment) ||
        forge_buffer_copy(b, 0, a, 0, BYTES) || forge_buffer_read(b, 0, back, BYTES) ||
        forge_moment_wait(moment, FORGE_WAIT_FOREVER)) {
      w->problem = "a call failed";
      break;
    }
    if (memcmp(sent, back, BYTES)) w->problem = "other bytes came back";
    forge_buffer_destroy(a);
    forge_buffer_destroy(b);
  }
  device_table(w->device)->prog_destroy(prog);
  return NULL;
}

static void several_threads_share_a_device(void **state) {
  (void)state;
  forge_runtime *runtime = make_runtime(NULL, NULL);
  static const char *const names[] = {"null:0", "slow:0"};
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    pthread_t threads[4];
    worker workers[4];
    forge_device *device = open_device(runtime, names[i]);
    for (uint32_t t = 0; t < 4; t++) {
      workers[t] = (worker){device, t * 1000, NULL};
      assert_int_equal(pthread_create(&threads[t], NULL, use_device, &workers[t]), 0);
    }
    for (uint32_t t = 0; t < 4; t++) {
      pthread_join(threads[t], NULL);
      if (workers[t].problem) fail_msg("%s: %s", names[i], workers[t].problem);
    }
    forge_device_close(device);
  }
  forge_runtime_destroy(runtime);
}

/* ---- fork ---- */

static int in_the_child(forge_runtime *runtime, forge_device *device, forge_buffer *buffer) {
  char byte = 0;
  forge_device *again;
  forge_buffer *fresh;
  if (forge_buffer_read(buffer, 0, &byte, 1) != FORGE_E_FORKED) return 1;
  if (!strstr(forge_error_last()->msg, "opened before fork()")) return 2;
  if (forge_buffer_create(device, 10, NULL, &fresh) != FORGE_E_FORKED) return 3;
  if (device_submit(device, NULL, NULL, 0, NULL, 0, NULL) != FORGE_E_FORKED) return 4;
  if (forge_device_open(runtime, "null:0", &again) || again == device) return 5;
  if (forge_buffer_create(again, 10, NULL, &fresh)) return 6;
  forge_buffer_destroy(buffer);
  forge_device_close(device);
  forge_buffer_destroy(fresh);
  forge_device_close(again);
  return 0;
}

static void a_device_opened_before_fork_says_so_in_the_child(void **state) {
  (void)state;
  int status;
  char byte;
  forge_runtime *runtime = make_runtime(NULL, NULL);
  forge_device *device = open_device(runtime, "null:0");
  forge_buffer *buffer = make_buffer(device, 100);
  assert_ok(forge_buffer_fill(buffer, 0, 42, 100));
  const pid_t pid = fork();
  if (!pid) _exit(in_the_child(runtime, device, buffer));
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  assert_ok(forge_buffer_read(buffer, 0, &byte, 1)); /* the parent goes on */
  assert_int_equal(byte, 42);
  forge_buffer_destroy(buffer);
  forge_device_close(device);
  forge_runtime_destroy(runtime);
}

/* slow has a thread of its own, which a child does not have and must not be told to join. */
static void a_child_ends_what_it_inherited_without_the_parents_threads(void **state) {
  (void)state;
  int status = 0;
  forge_runtime *runtime = make_runtime(NULL, NULL);
  forge_device *device = open_device(runtime, "slow:0");
  forge_buffer *buffer = make_buffer(device, 100);
  assert_ok(forge_buffer_fill(buffer, 0, 42, 100));
  const pid_t pid = fork();
  if (!pid) {
    alarm(20);
    forge_buffer_destroy(buffer);
    forge_device_close(device);
    forge_runtime_destroy(runtime);
    _exit(0);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  forge_buffer_destroy(buffer);
  forge_device_close(device);
  forge_runtime_destroy(runtime);
}

/* Threads that log all the time do not keep the child of a fork from logging. */
static _Atomic bool logging;
static void ignore_line(void *ctx, int32_t level, const char *line) {
  (void)ctx;
  (void)level;
  (void)line;
}
static void *log_on(void *unused) {
  while (atomic_load(&logging)) log_line(FORGE_LOG_WARN, "busy");
  return unused;
}
static void a_child_may_log_whatever_the_parent_was_doing(void **state) {
  (void)state;
  pthread_t thread;
  int status = 0;
  forge_runtime_destroy(make_runtime(NULL, NULL));
  forge_log_to(ignore_line, NULL, FORGE_LOG_WARN);
  atomic_store(&logging, true);
  assert_int_equal(pthread_create(&thread, NULL, log_on, NULL), 0);
  for (int i = 0; i < 50; i++) {
    const pid_t pid = fork();
    if (!pid) {
      alarm(20);
      log_line(FORGE_LOG_WARN, "here too");
      _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
  }
  atomic_store(&logging, false);
  pthread_join(thread, NULL);
  forge_log_to(NULL, NULL, FORGE_LOG_WARN);
}

static int write_manifests(void **state) {
  static const char *const fakes[] = {"slow", "failing", "hostreg", "lost"};
  if (support_enter(state)) return -1;
  support_write("null.ini", "[backend]\nname = null\nabi_major = 1\npriority = -100\n"
                            "probe = inprocess\nlibrary = " FORGE_TEST_NULL "\n");
  for (int i = 0; i < 4; i++) {
    char name[32];
    snprintf(name, sizeof name, "%s.ini", fakes[i]);
    support_write(name,
                  "[backend]\nname = %s\nabi_major = 1\npriority = %d\nprobe = inprocess\n"
                  "library = " FORGE_TEST_FAKES "/fake-%s.so\n",
                  fakes[i], 10 - i, fakes[i]);
  }
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(opening_twice_gives_the_same_device),
      cmocka_unit_test(a_hundred_cycles_of_open_and_close_leave_nothing),
      cmocka_unit_test(the_order_of_ends_does_not_matter),
      cmocka_unit_test(names_that_are_none_are_explained),
      cmocka_unit_test(the_default_device_is_the_best_backend_that_may_be_used),
      cmocka_unit_test(what_the_operator_hides_stays_hidden),
      cmocka_unit_test(a_hidden_device_that_is_no_name_is_an_error),
      cmocka_unit_test(one_chip_seen_by_two_backends_is_told),
      cmocka_unit_test(limits_hold_and_are_told),
      cmocka_unit_test(a_percentage_of_an_unknown_size_is_refused),
      cmocka_unit_test(ranges_outside_a_buffer_are_refused),
      cmocka_unit_test(bytes_survive_every_way_between_devices),
      cmocka_unit_test(imported_pages_are_not_copied_where_the_backend_can),
      cmocka_unit_test(moments_are_reached_in_order),
      cmocka_unit_test(failed_work_fails_its_moment_with_the_backends_words),
      cmocka_unit_test(a_lost_device_is_only_taken_down),
      cmocka_unit_test(several_threads_share_a_device),
      cmocka_unit_test(a_device_opened_before_fork_says_so_in_the_child),
      cmocka_unit_test(a_child_ends_what_it_inherited_without_the_parents_threads),
      cmocka_unit_test(a_child_may_log_whatever_the_parent_was_doing),
  };
  return cmocka_run_group_tests(tests, write_manifests, support_leave);
}
