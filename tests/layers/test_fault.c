/* test_fault.c -- what the operator asked to go wrong goes wrong, at the call named, each time the
 * same, and is told. */
#include <time.h>

#include "harness.h"

static const char *const layers[] = {"fault", NULL};
static const char *const guarded[] = {"fault", "validate",
                                      NULL}; /* validate hears what fault does */
static harness h;

typedef struct parts {
  forge_mem *x, *y;
  forge_queue *q;
  forge_tl *tl;
  forge_prog *p;
} parts;

static void open_faulty(parts *t, const char *plugin, const char *rules, const char *seed) {
  const char *const options[] = {"rules", rules, "seed", seed, "action", "refuse", NULL};
  harness_open(&h, plugin, guarded, options);
  *t = (parts){make_memory(&h, 256), make_memory(&h, 256), make_queue(&h), make_timeline(&h),
               make_copy_program(&h, 64)};
  harness_forget();
}

static void close_faulty(parts *t) {
  h.t->prog_destroy(t->p);
  h.t->mem_free(h.dev, t->x);
  h.t->mem_free(h.dev, t->y);
  h.t->queue_destroy(t->q);
  h.t->tl_destroy(t->tl);
  harness_close(&h);
}

static forge_status submit(parts *t, uint64_t value) {
  order o;
  fill_order(&o, t->x, t->y, 256, t->tl, value);
  return h.t->submit(t->q, t->p, &o.s);
}

static void the_nth_call_fails_as_told(void **state) {
  (void)state;
  const forge_mem_desc desc = {.size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = 64};
  forge_mem_out info = {.size = sizeof info};
  parts t;
  forge_mem *mem = NULL;
  open_faulty(&t, "null", "mem_alloc:3:OOM; submit:2:FAULT; queue_create:2:E_RETRY", "1");
  assert_int_equal(h.t->mem_alloc(h.dev, &desc, &mem, &info), FORGE_E_OOM);
  assert_said("mem_alloc 3 on dev:0 (mem_alloc:3:OOM, seed 1)");
  assert_said("injected by the layer fault");
  assert_int_equal(h.t->mem_alloc(h.dev, &desc, &mem, &info), FORGE_OK);
  h.t->mem_free(h.dev, mem);
  forge_queue *q = NULL;
  assert_int_equal(h.t->queue_create(h.dev, FORGE_QUEUE_COPY, 0, &q), FORGE_E_RETRY);
  assert_int_equal(submit(&t, 1), FORGE_OK);
  assert_int_equal(submit(&t, 2), FORGE_E_FAULT);
  assert_int_equal(submit(&t, 2), FORGE_OK);
  close_faulty(&t);
}

static void every_and_from_count(void **state) {
  (void)state;
  parts t;
  char got[11] = "";
  open_faulty(&t, "null", "submit:every3:RETRY;submit:8+:FAULT", "1");
  for (uint64_t i = 1, value = 1; i <= 10; i++) {
    const forge_status st = submit(&t, value);
    got[i - 1] = st == FORGE_E_RETRY ? 'r' : st == FORGE_E_FAULT ? 'f' : '.';
    value += !st;
  }
  assert_string_equal(got, "..r..r.frf");
  close_faulty(&t);
}

static void run_chances(const char *seed, char out[65]) {
  parts t;
  open_faulty(&t, "null", "submit:p0.3:RETRY", seed);
  for (uint64_t i = 0, value = 1; i < 64; i++) {
    const forge_status st = submit(&t, value);
    out[i] = st ? 'x' : '.';
    value += !st;
  }
  out[64] = 0;
  close_faulty(&t);
}

static void chance_is_decided_by_the_seed(void **state) {
  (void)state;
  char a[65], b[65], c[65];
  run_chances("7", a);
  run_chances("7", b);
  run_chances("8", c);
  assert_string_equal(a, b);
  assert_string_not_equal(a, c);
  int hits = 0;
  for (int i = 0; i < 64; i++) hits += a[i] == 'x';
  assert_in_range(hits, 8, 32);
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void work_can_be_done_late(void **state) {
  (void)state;
  parts t;
  uint64_t value;
  open_faulty(&t, "null", "submit:2:delay=400ms", "1");
  const double began = seconds();
  for (uint64_t i = 1; i <= 3; i++) assert_int_equal(submit(&t, i), FORGE_OK);
  assert_true(seconds() - began < 0.3); /* the call itself does not wait */
  assert_int_equal(h.t->tl_query(t.tl, &value), FORGE_OK);
  assert_int_equal(value, 1);
  assert_int_equal(h.t->tl_wait(t.tl, 2, 1000000), FORGE_E_TIMEOUT);
  assert_int_equal(h.t->tl_wait(t.tl, 3, FORGE_WAIT_FOREVER), FORGE_OK);
  assert_true(seconds() - began >= 0.4);
  close_faulty(&t);
}

static void a_late_timeline_tells_the_host_by_itself(void **state) {
  (void)state;
  parts t;
  open_faulty(&t, "null", "submit:1:delay=20ms", "1");
  assert_int_equal(submit(&t, 1), FORGE_OK);
  assert_int_equal(harness_notified, 0);
  const double began = seconds();
  while (!harness_notified && seconds() - began < 5) {
  }
  assert_int_equal(harness_notified, 1);
  assert_int_equal(h.t->tl_wait(t.tl, 1, FORGE_WAIT_FOREVER), FORGE_OK);
  close_faulty(&t);
}

static void work_can_fail_after_it_was_taken(void **state) {
  (void)state;
  parts t;
  uint64_t value;
  open_faulty(&t, "null", "submit:2:fail=FAULT", "1");
  assert_int_equal(submit(&t, 1), FORGE_OK);
  assert_int_equal(h.t->tl_wait(t.tl, 1, FORGE_WAIT_FOREVER), FORGE_OK);
  assert_int_equal(submit(&t, 2), FORGE_OK);
  assert_int_equal(h.t->tl_wait(t.tl, 2, FORGE_WAIT_FOREVER), FORGE_E_FAULT);
  assert_int_equal(h.t->tl_query(t.tl, &value), FORGE_E_FAULT);
  assert_said("the work failed, as the layer fault was told");
  close_faulty(&t);
}

static void a_lost_device_takes_its_objects_back_and_nothing_else(void **state) {
  (void)state;
  const forge_mem_desc desc = {.size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = 64};
  forge_mem_out info = {.size = sizeof info};
  forge_mem *mem = NULL;
  parts t;
  uint64_t value;
  open_faulty(&t, "null", "submit:3:lost", "1");
  assert_int_equal(submit(&t, 1), FORGE_OK);
  assert_int_equal(submit(&t, 2), FORGE_OK);
  assert_int_equal(submit(&t, 3), FORGE_E_DEVICE_LOST);
  assert_int_equal(submit(&t, 3), FORGE_E_DEVICE_LOST);
  assert_int_equal(h.t->mem_alloc(h.dev, &desc, &mem, &info), FORGE_E_DEVICE_LOST);
  assert_int_equal(h.t->tl_query(t.tl, &value), FORGE_E_DEVICE_LOST);
  assert_int_equal(h.t->tl_wait(t.tl, 2, FORGE_WAIT_FOREVER), FORGE_E_DEVICE_LOST);
  harness_forget();
  close_faulty(&t);
  if (strstr(harness_said, "alive")) fail_msg("%s", harness_said);
}

static uint32_t flipped_bits(const char *seed, const char *rules) {
  parts t;
  order o;
  float in[64] = {0};
  uint32_t out[64], bits = 0;
  open_faulty(&t, "cpu-portable", rules, seed);
  forge_copy c = {.kind = FORGE_COPY_TO_DEVICE, .dst = {t.x, 0, 256}, .host = in};
  assert_int_equal(h.t->copy(t.q, &c, 1, NULL), FORGE_OK);
  assert_int_equal(submit(&t, 1), FORGE_OK);
  assert_int_equal(h.t->tl_wait(t.tl, 1, FORGE_WAIT_FOREVER), FORGE_OK);
  c = (forge_copy){.kind = FORGE_COPY_TO_HOST, .src = {t.y, 0, 256}, .host = out};
  fill_order(&o, NULL, NULL, 0, t.tl, 2);
  o.s.n_bind = 0;
  assert_int_equal(h.t->copy(t.q, &c, 1, &o.s), FORGE_OK);
  assert_int_equal(h.t->tl_wait(t.tl, 2, FORGE_WAIT_FOREVER), FORGE_OK);
  uint32_t where = 0;
  for (uint32_t i = 0; i < 64; i++) {
    bits += (uint32_t)__builtin_popcount(out[i]);
    if (out[i]) where = i;
  }
  close_faulty(&t);
  return bits << 16 | where;
}

static void a_result_is_wrong_in_the_bits_that_were_told(void **state) {
  (void)state;
  const uint32_t a = flipped_bits("5", "submit:1:flip");
  assert_said("op 0 COPY_STRIDED, output 0, element ");
  assert_int_equal(a >> 16, 1);
  assert_int_equal(a, flipped_bits("5", "submit:1:flip"));
  assert_int_equal(flipped_bits("5", "submit:2:flip"), 0);
  assert_int_equal(flipped_bits("6", "submit:1:flip=3@0") >> 16, 3);
  assert_int_equal(flipped_bits("6", "submit:1:flip=32") >> 16, 32);
  assert_int_equal(flipped_bits("5", "submit:1:flip@4"), 0);
  assert_said("the program has no such result");
}

static void a_rule_that_means_nothing_fails_the_opening(void **state) {
  static const struct {
    const char *rules, *says;
  } cases[] = {{"mem_aloc:3:OOM", "there is no call 'mem_aloc'"},
               {"submit:0:OOM", "must be N, N+"},
               {"submit:p1.5:OOM", "must be N, N+"},
               {"submit:3", "must read CALL:WHEN:WHAT"},
               {"submit:3:OOPS", "must be a status"},
               {"submit:3:delay=5parsec", "delay=2ms..5ms"},
               {"mem_alloc:3:flip", "of submit also flip"},
               {"mem_alloc:1:fail=OOM", "of submit, copy and work also fail"}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *const options[] = {"rules", cases[i].rules, NULL};
    assert_int_equal(harness_try(&h, "null", layers, options), FORGE_E_CONFIG);
    assert_said(cases[i].says);
    h.inner->dev_close(h.inner_dev);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_nth_call_fails_as_told),
      cmocka_unit_test(every_and_from_count),
      cmocka_unit_test(chance_is_decided_by_the_seed),
      cmocka_unit_test(work_can_be_done_late),
      cmocka_unit_test(a_late_timeline_tells_the_host_by_itself),
      cmocka_unit_test(work_can_fail_after_it_was_taken),
      cmocka_unit_test(a_lost_device_takes_its_objects_back_and_nothing_else),
      cmocka_unit_test(a_result_is_wrong_in_the_bits_that_were_told),
      cmocka_unit_test(a_rule_that_means_nothing_fails_the_opening),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
