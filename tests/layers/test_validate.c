/* test_validate.c -- each kind of mistake is refused, and the words name call, object and remedy.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

typedef struct rig {
  harness h, other;
  forge_mem *x, *y;
  forge_queue *q;
  forge_tl *tl;
  forge_prog *p;
  uint64_t next;
} rig;

static const char *const layers[] = {"validate", NULL};
static const char *const options[] = {"action", "refuse", "races", "yes", NULL};
static rig r;

static int start_on(const char *plugin) {
  r = (rig){.next = 1};
  harness_open(&r.h, plugin, layers, options);
  r.x = make_memory(&r.h, 256);
  r.y = make_memory(&r.h, 256);
  r.q = make_queue(&r.h);
  r.tl = make_timeline(&r.h);
  r.p = make_copy_program(&r.h, 64);
  harness_forget();
  return 0;
}

static int start(void **state) {
  (void)state;
  return start_on("cpu-portable");
}

static void end_parts(void) {
  r.h.t->prog_destroy(r.p);
  r.h.t->mem_free(r.h.dev, r.x);
  r.h.t->mem_free(r.h.dev, r.y);
  r.h.t->queue_destroy(r.q);
  r.h.t->tl_destroy(r.tl);
}

/* What a test leaves is well: nothing is said at the end. */
static int finish(void **state) {
  (void)state;
  uint64_t value;
  r.h.t->tl_wait(r.tl, r.next - 1, FORGE_WAIT_FOREVER);
  r.h.t->tl_query(r.tl, &value);
  harness_forget();
  end_parts();
  assert_silent();
  harness_close(&r.h);
  return 0;
}

static forge_status run(order *o) {
  const forge_status st = r.h.t->submit(r.q, r.p, &o->s);
  if (!st && o->s.n_signal) r.next = o->signal[0].value + 1;
  return st;
}

static void good_order(order *o) { fill_order(o, r.x, r.y, 256, r.tl, r.next); }

static void refused(forge_status st, const char *words) {
  if (st != FORGE_E_INVALID) fail_msg("status %d, wanted E_INVALID with '%s'", st, words);
  assert_said(words);
  assert_said("validate: ");
  harness_forget();
}

/* ---- what is right ---- */

static void right_use_is_silent(void **state) {
  (void)state;
  order o;
  float in[64], out[64] = {0};
  for (int i = 0; i < 64; i++) in[i] = (float)i;
  forge_copy c = {.kind = FORGE_COPY_TO_DEVICE, .dst = {r.x, 0, 256}, .host = in};
  assert_int_equal(r.h.t->copy(r.q, &c, 1, NULL), FORGE_OK);
  good_order(&o);
  assert_int_equal(run(&o), FORGE_OK);
  c = (forge_copy){.kind = FORGE_COPY_TO_HOST, .src = {r.y, 0, 256}, .host = out};
  fill_order(&o, NULL, NULL, 0, r.tl, r.next++);
  o.s.n_bind = 0;
  assert_int_equal(r.h.t->copy(r.q, &c, 1, &o.s), FORGE_OK);
  assert_int_equal(r.h.t->tl_wait(r.tl, r.next - 1, FORGE_WAIT_FOREVER), FORGE_OK);
  assert_memory_equal(in, out, sizeof in);
  assert_true(harness_notified > 0);
  assert_silent();
}

/* ---- handles ---- */

static void a_destroyed_handle_is_named_with_the_call_that_ended_it(void **state) {
  (void)state;
  order o;
  forge_mem *gone = make_memory(&r.h, 256);
  r.h.t->mem_free(r.h.dev, gone);
  good_order(&o);
  o.bind[1].mem = gone;
  refused(run(&o), "binding 1 is memory 3, which was destroyed by call");
  r.h.t->mem_free(r.h.dev, gone);
  assert_said("mem_free");
  assert_said("was destroyed by call");
}

static void a_handle_of_another_device_or_kind_or_of_none_is_refused(void **state) {
  (void)state;
  order o;
  uint64_t value;
  harness_open(&r.other, "null", layers, options);
  forge_mem *foreign = make_memory(&r.other, 256);
  harness_forget();
  good_order(&o);
  o.bind[0].mem = foreign;
  refused(run(&o), "objects of one device mean nothing to another");
  good_order(&o);
  o.bind[0].mem = (forge_mem *)(void *)r.q;
  refused(run(&o), "is queue 1 of dev:0, where a memory belongs");
  good_order(&o);
  o.bind[0].mem = (forge_mem *)(void *)&value;
  refused(run(&o), "no handle of any open device");
  refused(r.h.t->submit(NULL, r.p, &o.s), "queue is NULL");
  refused(r.h.t->tl_query((forge_tl *)(void *)r.x, &value), "is memory 1 of");
  r.other.t->mem_free(r.other.dev, foreign);
  harness_close(&r.other);
}

static void a_device_closed_before_its_objects_lists_them(void **state) {
  (void)state;
  harness_open(&r.other, "null", layers, options);
  make_memory(&r.other, 64);
  make_memory(&r.other, 64);
  make_queue(&r.other);
  make_copy_program(&r.other, 4);
  harness_forget();
  harness_close(&r.other);
  assert_said("dev_close");
  assert_said("4 objects are still alive");
  assert_said("program 1");
  assert_said("memory 2");
  assert_said("queue 1");
}

/* ---- arguments ---- */

static void wrong_arguments_are_refused(void **state) {
  (void)state;
  forge_mem *mem = NULL;
  forge_mem_out info = {.size = sizeof info};
  forge_queue *queue = NULL;
  forge_tl *tl;
  forge_mem_desc desc = {.size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = 0};
  refused(r.h.t->mem_alloc(r.h.dev, &desc, &mem, &info), "0 bytes");
  desc.bytes = 64;
  desc.align = 3;
  refused(r.h.t->mem_alloc(r.h.dev, &desc, &mem, &info), "no power of two");
  desc.align = 0;
  desc.flags = 4;
  refused(r.h.t->mem_alloc(r.h.dev, &desc, &mem, &info), "flags 4");
  desc.flags = 0;
  desc.kind = 9;
  refused(r.h.t->mem_alloc(r.h.dev, &desc, &mem, &info), "kind 9");
  refused(r.h.t->mem_alloc(r.h.dev, NULL, &mem, &info), "must not be NULL");
  refused(r.h.t->mem_alloc((forge_dev *)(void *)r.q, &desc, &mem, &info), "another kind");
  refused(r.h.t->queue_create(r.h.dev, 7, 0, &queue), "kind 7");
  refused(r.h.t->queue_create(r.h.dev, FORGE_QUEUE_COPY, 0, NULL), "|out| is NULL");
  refused(r.h.t->tl_create(r.h.dev, 0, 0, NULL), "|out| is NULL");
  refused(r.h.t->tl_query(r.tl, NULL), "NULL");
  (void)tl;
}

static void bindings_and_scalars_are_held_against_the_program(void **state) {
  (void)state;
  order o;
  good_order(&o);
  o.s.n_bind = 1;
  refused(run(&o), "1 bindings and 0 scalars given, program 1 has 2 and 0");
  good_order(&o);
  o.bind[1].len = 252;
  refused(run(&o), "binding 1 has 252 bytes, the program uses 256");
  good_order(&o);
  o.bind[1].off = 16;
  refused(run(&o), "bytes 16 to 272 leave memory 2, which has 256");
  good_order(&o);
  o.bind[0].off = UINT64_MAX - 8;
  refused(run(&o), "leave memory 1");
  good_order(&o);
  o.s.bind = NULL;
  refused(run(&o), "array is NULL");
  good_order(&o);
  o.s.flags = 1;
  refused(run(&o), "unknown flags 1");
  good_order(&o);
  o.s.size = 4;
  refused(run(&o), "order->size is 4");
  refused(r.h.t->submit(r.q, r.p, NULL), "order is NULL");
}

static void an_offset_must_suit_the_type(void **state) {
  (void)state;
  order o;
  r.h.t->prog_destroy(r.p);
  r.p = make_copy_program(&r.h, 16);
  fill_order(&o, r.x, r.y, 64, r.tl, r.next);
  o.bind[0].off = 2;
  refused(run(&o), "binding 0 begins at byte 2, its tensors want multiples of 4");
}

static void an_extent_may_not_exceed_its_maximum(void **state) {
  (void)state;
  order o;
  forge_prog_out info = {.size = sizeof info};
  uint64_t scalar = 65;
  forge_prog_desc *d = copy_description(64);
  d->n_scalars = 1;
  copy_slots[0].tensor.dim_scalar[0] = copy_slots[1].tensor.dim_scalar[0] = 1;
  r.h.t->prog_destroy(r.p);
  assert_int_equal(r.h.t->prog_create(r.h.dev, d, &r.p, &info), FORGE_OK);
  good_order(&o);
  o.s.n_scalar = 1;
  o.s.scalar = &scalar;
  refused(run(&o), "scalar 0 is 65; as an extent it is at most 64");
  scalar = 64;
  assert_int_equal(run(&o), FORGE_OK);
}

static void copies_are_checked(void **state) {
  (void)state;
  uint8_t bytes[512];
  forge_copy c = {.kind = FORGE_COPY_TO_DEVICE, .dst = {r.x, 0, 512}, .host = bytes};
  refused(r.h.t->copy(r.q, &c, 1, NULL), "destination of copy 0: bytes 0 to 512 leave memory 1");
  c = (forge_copy){.kind = FORGE_COPY_TO_HOST, .src = {r.x, 0, 64}};
  refused(r.h.t->copy(r.q, &c, 1, NULL), "host's address is NULL");
  c = (forge_copy){.kind = FORGE_COPY_ON_DEVICE, .dst = {r.x, 0, 64}, .src = {r.x, 32, 64}};
  refused(r.h.t->copy(r.q, &c, 1, NULL), "source and destination overlap in memory 1");
  c.src = (forge_bind){r.y, 0, 32};
  refused(r.h.t->copy(r.q, &c, 1, NULL), "lengths must be equal");
  c.kind = 11;
  refused(r.h.t->copy(r.q, &c, 1, NULL), "kind 11");
  refused(r.h.t->copy(r.q, NULL, 3, NULL), "array is NULL");
}

static void imported_pages_are_not_written(void **state) {
  (void)state;
  const forge_block_hostreg_v0 *b = harness_block(&r.h, FORGE_BLOCK_HOSTREG);
  forge_mem *mem = NULL;
  forge_mem_out info = {.size = sizeof info};
  order o;
  void *page = aligned_alloc(4096, 4096);
  assert_non_null(b);
  assert_int_equal(b->import(r.h.dev, page, 4096, 0, &mem, &info), FORGE_OK);
  good_order(&o);
  o.bind[1].mem = mem;
  refused(run(&o), "imported for reading, and the program writes it");
  r.h.t->mem_free(r.h.dev, mem);
  assert_said("end it with release");
  good_order(&o);
  o.bind[0].mem = mem;
  assert_int_equal(run(&o), FORGE_OK);
  assert_int_equal(r.h.t->tl_wait(r.tl, r.next - 1, FORGE_WAIT_FOREVER), FORGE_OK);
  b->release(r.h.dev, mem);
  free(page);
}

/* ---- time ---- */

static void a_wait_nobody_will_end_is_refused(void **state) {
  (void)state;
  order o;
  good_order(&o);
  o.s.n_wait = 1;
  o.wait[0] = (forge_point){r.tl, 7};
  refused(run(&o), "nobody is to signal 7 on timeline 1");
  refused(r.h.t->tl_wait(r.tl, 9, FORGE_WAIT_FOREVER), "this wait would not end");
  assert_int_equal(r.h.t->tl_wait(r.tl, 9, 1000), FORGE_E_TIMEOUT);
}

static void signals_must_rise(void **state) {
  (void)state;
  order o;
  good_order(&o);
  o.signal[0].value = 5;
  assert_int_equal(run(&o), FORGE_OK);
  good_order(&o);
  o.signal[0].value = 5;
  refused(run(&o), "5 on timeline 1 does not rise above 5");
  good_order(&o);
  o.s.n_signal = 2;
  o.signal[0] = (forge_point){r.tl, 8};
  o.signal[1] = (forge_point){r.tl, 7};
  refused(run(&o), "signal 1: 7 on timeline 1 does not rise above 8");
}

/* ---- fork ---- */

static _Atomic bool stop;

static void *ask_without_end(void *arg) {
  uint64_t value;
  while (!stop) r.h.t->tl_query(r.tl, &value);
  return arg;
}

/* A thread of the parent may be in the middle of a call when another one forks. */
static void a_forked_child_opens_devices_of_its_own(void **state) {
  (void)state;
  pthread_t thread;
  int status = 0;
  stop = false;
  pthread_create(&thread, NULL, ask_without_end, NULL);
  for (int i = 0; i < 200 && !status; i++) {
    fflush(NULL);
    const pid_t child = fork();
    if (!child) {
      harness mine;
      alarm(20);
      harness_open(&mine, "null", layers, options);
      mine.t->mem_free(mine.dev, make_memory(&mine, 64));
      harness_close(&mine);
      _exit(0);
    }
    waitpid(child, &status, 0);
  }
  stop = true;
  pthread_join(thread, NULL);
  assert_int_equal(status, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(right_use_is_silent, start, finish),
      cmocka_unit_test_setup_teardown(a_destroyed_handle_is_named_with_the_call_that_ended_it,
                                      start, finish),
      cmocka_unit_test_setup_teardown(a_handle_of_another_device_or_kind_or_of_none_is_refused,
                                      start, finish),
      cmocka_unit_test_setup_teardown(a_device_closed_before_its_objects_lists_them, start, finish),
      cmocka_unit_test_setup_teardown(wrong_arguments_are_refused, start, finish),
      cmocka_unit_test_setup_teardown(bindings_and_scalars_are_held_against_the_program, start,
                                      finish),
      cmocka_unit_test_setup_teardown(an_offset_must_suit_the_type, start, finish),
      cmocka_unit_test_setup_teardown(an_extent_may_not_exceed_its_maximum, start, finish),
      cmocka_unit_test_setup_teardown(copies_are_checked, start, finish),
      cmocka_unit_test_setup_teardown(imported_pages_are_not_written, start, finish),
      cmocka_unit_test_setup_teardown(a_wait_nobody_will_end_is_refused, start, finish),
      cmocka_unit_test_setup_teardown(signals_must_rise, start, finish),
      cmocka_unit_test_setup_teardown(a_forked_child_opens_devices_of_its_own, start, finish),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
