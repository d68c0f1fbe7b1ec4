/* test_trace_ends.c -- what a trace does when something ends before it was seen to: a timeline, a
 * program half submitted, the process that a fork leaves behind. */
#include <jansson.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

static char path[256];
static harness h;

static void name_file(const char *leaf) {
  const char *tmp = getenv("TMPDIR");
  snprintf(path, sizeof path, "%s/forge-trace-ends-%ld-%s", tmp ? tmp : "/tmp", (long)getpid(),
           leaf);
}

static size_t count(const char *file, const char *name) {
  size_t i, n = 0;
  json_t *e, *root = json_load_file(file, 0, NULL);
  if (!root) fail_msg("%s is no JSON", file);
  json_array_foreach(root, i, e) {
    const char *other = json_string_value(json_object_get(e, "name"));
    n += !strcmp(json_string_value(json_object_get(e, "ph")), "X") && !strcmp(other, name);
  }
  json_decref(root);
  unlink(file);
  return n;
}

/* One work signals two timelines; the first is waited for and destroyed before anybody saw the
 * second rise. */
static void a_timeline_may_end_before_the_others_of_its_work_are_seen(void **state) {
  (void)state;
  static const char *const layers[] = {"trace", NULL};
  const char *const options[] = {"file", path, NULL};
  forge_value v;
  order o;
  name_file("timelines.json");
  harness_open(&h, LAYERS_BAD_PLUGIN, layers, options);
  assert_int_equal(h.t->dev_query(h.dev, 1008, 0, &v), FORGE_OK);
  forge_mem *x = make_memory(&h, 256), *y = make_memory(&h, 256);
  forge_queue *q = make_queue(&h);
  forge_tl *a = make_timeline(&h), *b = make_timeline(&h);
  forge_prog *p = make_copy_program(&h, 64);
  fill_order(&o, x, y, 256, a, 1);
  o.signal[1] = (forge_point){b, 1};
  o.s.n_signal = 2;
  assert_int_equal(h.t->submit(q, p, &o.s), FORGE_OK);
  assert_int_equal(h.t->tl_wait(a, 1, FORGE_WAIT_FOREVER), FORGE_OK);
  h.t->tl_destroy(a);
  assert_int_equal(h.t->tl_wait(b, 1, FORGE_WAIT_FOREVER), FORGE_OK);
  h.t->tl_destroy(b);
  h.t->prog_destroy(p);
  h.t->queue_destroy(q);
  h.t->mem_free(h.dev, x);
  h.t->mem_free(h.dev, y);
  assert_int_equal(h.t->dev_query(h.dev, 1000, 0, &v), FORGE_OK);
  harness_close(&h);
  assert_int_equal(count(path, "COPY_STRIDED"), 1);
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* per_op: the first op is late and the second refused, so the submit fails; what it was given may
 * be freed then, and the first op must not be at it any more. */
static void a_program_that_is_refused_half_way_is_at_rest(void **state) {
  (void)state;
  static const char *const layers[] = {"fault", "trace", NULL};
  const char *const options[] = {
      "file", path, "per_op", "yes", "rules", "submit:1:delay=150ms;submit:2:FAULT", NULL};
  name_file("refused.json");
  harness_open(&h, "null", layers, options);
  forge_mem *x = make_memory(&h, 256), *y = make_memory(&h, 256);
  forge_queue *q = make_queue(&h);
  forge_tl *tl = make_timeline(&h);
  forge_prog_desc d = *copy_description(64);
  const copy_record twice[2] = {copy_op, copy_op};
  forge_prog_out info = {.size = sizeof info};
  forge_prog *p = NULL;
  order o;
  d.n_ops = 2;
  d.ops = twice;
  d.ops_bytes = sizeof twice;
  assert_int_equal(h.t->prog_create(h.dev, &d, &p, &info), FORGE_OK);
  fill_order(&o, x, y, 256, tl, 1);
  const double began = seconds();
  assert_int_equal(h.t->submit(q, p, &o.s), FORGE_E_FAULT);
  assert_true(seconds() - began >= 0.149);
  h.t->prog_destroy(p);
  h.t->queue_destroy(q);
  h.t->tl_destroy(tl);
  h.t->mem_free(h.dev, x);
  h.t->mem_free(h.dev, y);
  harness_close(&h);
  unlink(path);
}

static void trace_one_submit(void) {
  static const char *const layers[] = {"trace", NULL};
  const char *const options[] = {"file", path, NULL};
  order o;
  harness_open(&h, "null", layers, options);
  forge_mem *x = make_memory(&h, 256), *y = make_memory(&h, 256);
  forge_queue *q = make_queue(&h);
  forge_tl *tl = make_timeline(&h);
  forge_prog *p = make_copy_program(&h, 64);
  fill_order(&o, x, y, 256, tl, 1);
  assert_int_equal(h.t->submit(q, p, &o.s), FORGE_OK);
  h.t->prog_destroy(p);
  h.t->queue_destroy(q);
  h.t->tl_destroy(tl);
  h.t->mem_free(h.dev, x);
  h.t->mem_free(h.dev, y);
  harness_close(&h);
}

static void a_forked_child_writes_a_file_of_its_own(void **state) {
  (void)state;
  char of_child[300];
  int status;
  name_file("fork.json");
  trace_one_submit();
  fflush(NULL);
  const pid_t child = fork();
  if (!child) {
    trace_one_submit();
    _exit(0);
  }
  waitpid(child, &status, 0);
  assert_int_equal(status, 0);
  trace_one_submit();
  snprintf(of_child, sizeof of_child, "%s.%ld", path, (long)child);
  assert_int_equal(count(path, "COPY_STRIDED"), 2);
  assert_int_equal(count(of_child, "COPY_STRIDED"), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_timeline_may_end_before_the_others_of_its_work_are_seen),
      cmocka_unit_test(a_program_that_is_refused_half_way_is_at_rest),
      cmocka_unit_test(a_forked_child_writes_a_file_of_its_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
