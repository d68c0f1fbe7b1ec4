/* test_trace.c -- the trace file, read back: every event whole, slices in order and inside each
 * other, arrows with both ends, what a killed process leaves. */
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static char path[256];
static harness h;

static int setup(void **state) {
  (void)state;
  const char *tmp = getenv("TMPDIR");
  snprintf(path, sizeof path, "%s/forge-trace-test-%ld.json", tmp ? tmp : "/tmp", (long)getpid());
  return 0;
}

static int teardown(void **state) {
  (void)state;
  unlink(path);
  return 0;
}

static json_t *read_trace(bool whole) {
  char *text = NULL;
  size_t n = 0;
  FILE *f = fopen(path, "r"), *to = open_memstream(&text, &n);
  assert_non_null(f);
  for (int c; (c = getc(f)) != EOF;) putc(c, to);
  if (!whole) fputs("]", to); /* what the format lets be missing */
  fclose(f);
  fclose(to);
  json_error_t error;
  json_t *root = json_loads(text, 0, &error);
  if (!root) fail_msg("%d: %s", error.line, error.text);
  free(text);
  assert_true(json_is_array(root));
  return root;
}

static const char *word(const json_t *e, const char *key) {
  const char *s = json_string_value(json_object_get(e, key));
  return s ? s : "";
}

static double number(const json_t *e, const char *key) {
  return json_number_value(json_object_get(e, key));
}

/* The |n|th event of a phase with this name (NULL: any) in a group of tracks (0: any). */
static json_t *find(const json_t *root, const char *phase, const char *name, int pid, size_t n) {
  size_t i;
  json_t *e;
  json_array_foreach(root, i, e) {
    if (strcmp(word(e, "ph"), phase) != 0 || (name && strcmp(word(e, "name"), name) != 0)) continue;
    if (pid && (int)number(e, "pid") != pid) continue;
    if (!n--) return e;
  }
  return NULL;
}

static size_t count(const json_t *root, const char *phase, const char *name, int pid) {
  size_t n = 0;
  while (find(root, phase, name, pid, n)) n++;
  return n;
}

/* Slices of one track neither overlap nor run backwards. */
static void check_slices(const json_t *root) {
  size_t i, k;
  json_t *a, *b;
  json_array_foreach(root, i, a) {
    if (strcmp(word(a, "ph"), "X") != 0) continue;
    assert_true(number(a, "dur") >= 0 && number(a, "ts") >= 0);
    for (k = i + 1; k < json_array_size(root); k++) {
      b = json_array_get(root, k);
      if (strcmp(word(b, "ph"), "X") != 0 || number(a, "pid") != number(b, "pid") ||
          number(a, "tid") != number(b, "tid"))
        continue;
      const double a_end = number(a, "ts") + number(a, "dur");
      const double b_end = number(b, "ts") + number(b, "dur");
      const bool apart = a_end <= number(b, "ts") + 0.002 || b_end <= number(a, "ts") + 0.002;
      const bool inside = (number(a, "ts") <= number(b, "ts") && a_end >= b_end) ||
                          (number(b, "ts") <= number(a, "ts") && b_end >= a_end);
      if (!apart && !inside) fail_msg("slices %zu and %zu cross", i, k);
    }
  }
}

/* Every arrow that ends has begun, earlier, within a slice. */
static void check_arrows(const json_t *root) {
  size_t i, k;
  json_t *end, *start, *slice;
  json_array_foreach(root, i, end) {
    if (strcmp(word(end, "ph"), "f") != 0) continue;
    bool begun = false, inside = false;
    json_array_foreach(root, k, start) {
      if (strcmp(word(start, "ph"), "s") != 0 || number(start, "id") != number(end, "id")) continue;
      begun = number(start, "ts") <= number(end, "ts") + 0.002;
      size_t m;
      json_array_foreach(root, m, slice) inside |=
          !strcmp(word(slice, "ph"), "X") && number(slice, "pid") == number(start, "pid") &&
          number(slice, "tid") == number(start, "tid") &&
          number(slice, "ts") <= number(start, "ts") &&
          number(start, "ts") <= number(slice, "ts") + number(slice, "dur");
    }
    if (!begun || !inside) fail_msg("arrow %g has no beginning", number(end, "id"));
  }
}

typedef struct parts {
  forge_mem *x, *y;
  forge_queue *a, *b;
  forge_tl *tl;
  forge_prog *p;
} parts;

static void open_traced(parts *t, const char *plugin, const char *per_op, const char *from,
                        const char *to) {
  static const char *const layers[] = {"trace", NULL};
  const char *const options[] = {"file", path, "per_op", per_op, "from", from, "to", to, NULL};
  harness_open(&h, plugin, layers, options);
  *t = (parts){make_memory(&h, 4096), make_memory(&h, 4096), make_queue(&h),
               make_queue(&h),        make_timeline(&h),     make_copy_program(&h, 64)};
}

static void close_traced(parts *t) {
  h.t->prog_destroy(t->p);
  h.t->mem_free(h.dev, t->x);
  h.t->mem_free(h.dev, t->y);
  h.t->queue_destroy(t->a);
  h.t->queue_destroy(t->b);
  h.t->tl_destroy(t->tl);
  harness_close(&h);
}

static void run_some(parts *t, uint64_t first, uint64_t n) {
  order o;
  for (uint64_t i = first; i < first + n; i++) {
    fill_order(&o, t->x, t->y, 256, t->tl, i);
    assert_int_equal(h.t->submit(t->a, t->p, &o.s), FORGE_OK);
  }
}

/* ---- tests ---- */

static void a_trace_has_tracks_slices_arrows_and_a_counter(void **state) {
  (void)state;
  parts t;
  order o;
  uint8_t bytes[1000] = {0};
  open_traced(&t, "cpu-portable", "no", "1", "0");
  run_some(&t, 1, 3);
  fill_order(&o, t.y, t.x, 256, t.tl, 4);
  o.s.n_wait = 1;
  o.wait[0] = (forge_point){t.tl, 3};
  assert_int_equal(h.t->submit(t.b, t.p, &o.s), FORGE_OK);
  forge_copy c = {.kind = FORGE_COPY_TO_DEVICE, .dst = {t.x, 0, 1000}, .host = bytes};
  fill_order(&o, NULL, NULL, 0, t.tl, 5);
  o.s.n_bind = 0;
  assert_int_equal(h.t->copy(t.b, &c, 1, &o.s), FORGE_OK);
  assert_int_equal(h.t->tl_wait(t.tl, 5, FORGE_WAIT_FOREVER), FORGE_OK);
  close_traced(&t);

  json_t *root = read_trace(true);
  const json_t *e = find(root, "M", "process_name", 0, 1);
  const int device = (int)number(e, "pid");
  assert_string_equal(word(json_object_get(e, "args"), "name"), "device dev:0");
  assert_int_equal(count(root, "M", "thread_name", device), 2);
  assert_int_equal(count(root, "X", "COPY_STRIDED", device), 4);
  assert_int_equal(count(root, "X", "submit", 1), 4);
  e = find(root, "X", "copy to device", device, 0);
  assert_int_equal(number(json_object_get(e, "args"), "bytes"), 1000);
  assert_int_equal(number(e, "tid"), 2);
  assert_int_equal(count(root, "C", NULL, device), 4);
  const char *memory = "memory of dev:0";
  assert_int_equal(number(json_object_get(find(root, "C", memory, device, 1), "args"), "bytes"),
                   8192);
  assert_int_equal(number(json_object_get(find(root, "C", memory, device, 3), "args"), "bytes"), 0);
  assert_int_equal(count(root, "f", NULL, device), 6); /* five given, one waited for */
  assert_int_equal(count(root, "s", NULL, device), 1);
  check_slices(root);
  check_arrows(root);
  json_decref(root);
}

static void from_and_to_choose_submits(void **state) {
  (void)state;
  parts t;
  open_traced(&t, "null", "no", "3", "5");
  run_some(&t, 1, 10);
  close_traced(&t);
  json_t *root = read_trace(true);
  assert_int_equal(count(root, "X", "COPY_STRIDED", 0), 3);
  assert_int_equal(number(json_object_get(find(root, "X", "COPY_STRIDED", 0, 0), "args"), "number"),
                   3);
  json_decref(root);
}

static void per_op_gives_each_op_its_slice_and_the_same_result(void **state) {
  (void)state;
  struct {
    copy_record one, two;
  } ops;
  forge_slot slots[3];
  parts t;
  order o;
  forge_prog_out info = {.size = sizeof info};
  float in[64], out[64];
  open_traced(&t, "cpu-portable", "yes", "1", "0");
  forge_prog_desc d = *copy_description(64);
  memcpy(slots, copy_slots, sizeof copy_slots);
  slots[2] = slots[1];
  slots[2].offset = 1024;
  ops.one = ops.two = copy_op;
  ops.two.op.op = FORGE_OP_CAST;
  ops.two.ids[0] = 1;
  ops.two.ids[1] = 2;
  d.n_slots = 3;
  d.n_ops = 2;
  d.slots = slots;
  d.ops = &ops;
  d.ops_bytes = sizeof ops;
  forge_prog *p = NULL;
  assert_int_equal(h.t->prog_create(h.dev, &d, &p, &info), FORGE_OK);
  for (int i = 0; i < 64; i++) in[i] = (float)i;
  forge_copy c = {.kind = FORGE_COPY_TO_DEVICE, .dst = {t.x, 0, 256}, .host = in};
  assert_int_equal(h.t->copy(t.a, &c, 1, NULL), FORGE_OK);
  fill_order(&o, t.x, t.y, 4096, t.tl, 1);
  assert_int_equal(h.t->submit(t.a, p, &o.s), FORGE_OK);
  assert_int_equal(h.t->tl_wait(t.tl, 1, FORGE_WAIT_FOREVER), FORGE_OK);
  c = (forge_copy){.kind = FORGE_COPY_TO_HOST, .src = {t.y, 1024, 256}, .host = out};
  fill_order(&o, NULL, NULL, 0, t.tl, 2);
  o.s.n_bind = 0;
  assert_int_equal(h.t->copy(t.a, &c, 1, &o.s), FORGE_OK);
  assert_int_equal(h.t->tl_wait(t.tl, 2, FORGE_WAIT_FOREVER), FORGE_OK);
  assert_memory_equal(in, out, sizeof in);
  h.t->prog_destroy(p);
  close_traced(&t);

  json_t *root = read_trace(true);
  const json_t *whole = find(root, "X", "program 2 (2 ops)", 0, 0);
  const json_t *first = find(root, "X", "COPY_STRIDED", 0, 0),
               *second = find(root, "X", "CAST", 0, 0);
  assert_non_null(whole);
  assert_non_null(first);
  assert_non_null(second);
  assert_int_not_equal(number(first, "tid"), number(whole, "tid"));
  assert_true(number(first, "ts") >= number(whole, "ts"));
  assert_true(number(second, "ts") >= number(first, "ts") + number(first, "dur") - 0.002);
  /* Its end is heard of on a timeline of its own, in no fixed order with the program's. */
  assert_true(number(second, "ts") <= number(whole, "ts") + number(whole, "dur"));
  const json_t *note = find(root, "i", NULL, 0, 0);
  assert_non_null(strstr(word(note, "name"), "submitted alone"));
  check_slices(root);
  json_decref(root);
}

static void a_killed_process_leaves_a_file_that_opens(void **state) {
  (void)state;
  fflush(NULL);
  const pid_t child = fork();
  if (!child) {
    parts t;
    open_traced(&t, "null", "no", "1", "0");
    for (uint64_t i = 1;; i += 100) {
      run_some(&t, i, 100);
      usleep(1000);
    }
  }
  struct stat s = {0};
  for (int i = 0; i < 500 && s.st_size < 20000; i++) {
    usleep(10000);
    stat(path, &s);
  }
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  json_t *root = read_trace(false);
  assert_true(count(root, "X", "COPY_STRIDED", 0) > 50);
  json_decref(root);
}

static void a_device_opened_again_goes_on_in_the_same_file(void **state) {
  (void)state;
  parts t;
  const int already = 2;
  for (int i = 0; i < already; i++) {
    open_traced(&t, "null", "no", "1", "0");
    run_some(&t, 1, 2);
    close_traced(&t);
  }
  json_t *root = read_trace(true);
  assert_true(count(root, "X", "COPY_STRIDED", 0) >= 4);
  json_decref(root);
}

static void a_file_that_cannot_be_written_fails_the_opening(void **state) {
  (void)state;
  static const char *const layers[] = {"trace", NULL};
  static const char *const options[] = {"file", "/nonexistent/folder/t.json", NULL};
  assert_int_equal(harness_try(&h, "null", layers, options), FORGE_E_IO);
  assert_said("set layer.trace.file to a file that can be written");
  h.inner->dev_close(h.inner_dev);
}

int main(void) {
  /* a file is shared by all devices of a process, so each test has a process' first device */
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_killed_process_leaves_a_file_that_opens, setup, teardown),
      cmocka_unit_test(a_file_that_cannot_be_written_fails_the_opening),
      cmocka_unit_test_setup_teardown(a_trace_has_tracks_slices_arrows_and_a_counter, setup, NULL),
  };
  const struct CMUnitTest more[] = {
      cmocka_unit_test(from_and_to_choose_submits),
      cmocka_unit_test(per_op_gives_each_op_its_slice_and_the_same_result),
      cmocka_unit_test(a_device_opened_again_goes_on_in_the_same_file),
  };
  int failed = cmocka_run_group_tests(tests, NULL, teardown);
  for (size_t i = 0; i < 3; i++) {
    char suffix[16];
    snprintf(path, sizeof path, "%s/forge-trace-test-%ld",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (long)getpid());
    snprintf(suffix, sizeof suffix, "-%zu.json", i);
    strcat(path, suffix);
    const struct CMUnitTest one[] = {more[i]};
    failed += cmocka_run_group_tests(one, NULL, teardown);
  }
  return failed;
}
