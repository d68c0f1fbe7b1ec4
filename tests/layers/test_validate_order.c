/* test_validate_order.c -- use after and before its time, races, threads, malformed programs, and
 * what the backend itself does wrong. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "harness.h"

static const char *const layers[] = {"validate", NULL};
static const char *const strict[] = {"action", "refuse", "races", "yes", NULL};
static harness h;

static void refused(forge_status st, const char *words) {
  if (st != FORGE_E_INVALID) fail_msg("status %d, wanted E_INVALID with '%s'", st, words);
  assert_said(words);
  harness_forget();
}

/* ---- work that is under way ---- */

/* The layer fault below makes every submit end 150 ms late. */
static void what_unfinished_work_uses_is_not_destroyed(void **state) {
  (void)state;
  static const char *const both[] = {"fault", "validate", NULL};
  static const char *const late[] = {"rules", "submit:1+:delay=150ms", "action", "refuse", NULL};
  order o;
  harness_open(&h, "null", both, late);
  forge_mem *x = make_memory(&h, 256), *y = make_memory(&h, 256);
  forge_queue *q = make_queue(&h);
  forge_tl *tl = make_timeline(&h);
  forge_prog *p = make_copy_program(&h, 64);
  fill_order(&o, x, y, 256, tl, 1);
  assert_int_equal(h.t->submit(q, p, &o.s), FORGE_OK);
  harness_forget();
  h.t->mem_free(h.dev, x);
  assert_said("memory 1 is freed while the work of call");
  h.t->prog_destroy(p);
  assert_said("program 1 is destroyed while the work of call");
  h.t->queue_destroy(q);
  assert_said("queue 1 is destroyed while");
  h.t->tl_destroy(tl);
  assert_said("timeline 1 is destroyed while");
  assert_int_equal(h.t->tl_wait(tl, 1, FORGE_WAIT_FOREVER), FORGE_OK);
  harness_forget();
  h.t->prog_destroy(p);
  h.t->mem_free(h.dev, x);
  h.t->mem_free(h.dev, y);
  h.t->queue_destroy(q);
  h.t->tl_destroy(tl);
  assert_silent();
  harness_close(&h);
}

/* ---- races ---- */

typedef struct two_queues {
  forge_mem *x, *y, *z;
  forge_queue *a, *b;
  forge_tl *tl;
  forge_prog *p;
} two_queues;

static void open_two(two_queues *t, const char *const *options) {
  harness_open(&h, "null", layers, options);
  *t = (two_queues){make_memory(&h, 512),     make_memory(&h, 512), make_memory(&h, 512),
                    make_queue(&h),           make_queue(&h),       make_timeline(&h),
                    make_copy_program(&h, 64)};
  harness_forget();
}

static void close_two(two_queues *t) {
  h.t->tl_wait(t->tl, 1, 0);
  h.t->prog_destroy(t->p);
  h.t->mem_free(h.dev, t->x);
  h.t->mem_free(h.dev, t->y);
  h.t->mem_free(h.dev, t->z);
  h.t->queue_destroy(t->a);
  h.t->queue_destroy(t->b);
  h.t->tl_destroy(t->tl);
  harness_close(&h);
}

/* The null backend is done at once; by luck nothing happens, and still it is a race. */
static void work_on_two_queues_needs_an_order(void **state) {
  (void)state;
  two_queues t;
  order o;
  open_two(&t, strict);
  fill_order(&o, t.x, t.y, 256, t.tl, 1);
  assert_int_equal(h.t->submit(t.a, t.p, &o.s), FORGE_OK);
  fill_order(&o, t.y, t.z, 256, t.tl, 2);
  refused(h.t->submit(t.b, t.p, &o.s), "race: bytes 0 to 256 of memory 2 are read by this on queue "
                                       "2 and written by call");
  fill_order(&o, t.x, t.z, 256, t.tl, 2); /* both only read x */
  assert_int_equal(h.t->submit(t.b, t.p, &o.s), FORGE_OK);
  fill_order(&o, t.y, t.x, 256, t.tl, 3);
  o.bind[0].off = o.bind[1].off = 256; /* other bytes of the same memory */
  assert_int_equal(h.t->submit(t.b, t.p, &o.s), FORGE_OK);
  assert_silent();
  close_two(&t);
}

static void waits_and_the_host_make_an_order(void **state) {
  (void)state;
  two_queues t;
  order o;
  uint64_t value;
  open_two(&t, strict);
  fill_order(&o, t.x, t.y, 256, t.tl, 1);
  assert_int_equal(h.t->submit(t.a, t.p, &o.s), FORGE_OK);
  fill_order(&o, t.y, t.z, 256, t.tl, 2);
  o.s.n_wait = 1;
  o.wait[0] = (forge_point){t.tl, 1};
  assert_int_equal(h.t->submit(t.b, t.p, &o.s), FORGE_OK);
  assert_int_equal(h.t->tl_wait(t.tl, 2, FORGE_WAIT_FOREVER), FORGE_OK);
  fill_order(&o, t.z, t.y, 256, t.tl, 3); /* the host waited for all of it */
  assert_int_equal(h.t->submit(t.a, t.p, &o.s), FORGE_OK);
  assert_int_equal(h.t->tl_query(t.tl, &value), FORGE_OK);
  fill_order(&o, t.y, t.x, 256, t.tl, 4); /* or asked */
  assert_int_equal(h.t->submit(t.b, t.p, &o.s), FORGE_OK);
  assert_silent();
  close_two(&t);
}

static void the_host_memory_of_copies_is_watched_too(void **state) {
  (void)state;
  two_queues t;
  uint8_t bytes[64];
  open_two(&t, strict);
  forge_copy c = {.kind = FORGE_COPY_TO_HOST, .src = {t.x, 0, 64}, .host = bytes};
  assert_int_equal(h.t->copy(t.a, &c, 1, NULL), FORGE_OK);
  c = (forge_copy){.kind = FORGE_COPY_TO_DEVICE, .dst = {t.y, 0, 64}, .host = bytes};
  refused(h.t->copy(t.b, &c, 1, NULL), "of host memory are read by this");
  close_two(&t);
}

static void action_log_tells_and_passes_on(void **state) {
  (void)state;
  static const char *const soft[] = {"action", "log", "races", "yes", NULL};
  two_queues t;
  order o;
  open_two(&t, soft);
  fill_order(&o, t.x, t.y, 256, t.tl, 1);
  assert_int_equal(h.t->submit(t.a, t.p, &o.s), FORGE_OK);
  fill_order(&o, t.y, t.z, 256, t.tl, 2);
  assert_int_equal(h.t->submit(t.b, t.p, &o.s), FORGE_OK);
  assert_said("race: ");
  close_two(&t);
  static const char *const other[] = {"action", "ignore", NULL};
  assert_int_equal(harness_try(&h, "null", layers, other), FORGE_E_CONFIG);
  assert_said("must be refuse or log");
  h.inner->dev_close(h.inner_dev);
}

/* ---- threads ---- */

/* What makes no sense is passed on, and not looked into. */
static void action_log_survives_descriptions_without_sense(void **state) {
  (void)state;
  static const char *const lenient[] = {"action", "log", "races", "yes", NULL};
  forge_prog_out info = {.size = sizeof info};
  forge_prog *p = NULL;
  harness_open(&h, "null", layers, lenient);
  for (int i = 0; i < 3; i++) {
    forge_prog_desc *d = copy_description(4);
    if (i == 0) copy_slots[1].tensor.rank = 255;
    if (i == 1) copy_slots[1].tensor.dtype = 250;
    if (i == 2) copy_slots[1].bind = 1000;
    harness_forget();
    assert_int_equal(h.t->prog_create(h.dev, d, &p, &info), FORGE_OK);
    assert_said("slot 1");
    h.t->prog_destroy(p);
  }
  harness_close(&h);
}

static void *submit_again(void *arg) {
  forge_queue *q = arg;
  forge_copy c = {.kind = 0};
  for (int i = 0; i < 200000 && !harness_has("by another thread"); i++) h.t->copy(q, &c, 0, NULL);
  return NULL;
}

static void a_queue_belongs_to_one_thread_at_a_time(void **state) {
  (void)state;
  pthread_t other;
  harness_open(&h, "null", layers, strict);
  forge_queue *q = make_queue(&h);
  pthread_create(&other, NULL, submit_again, q);
  submit_again(q);
  pthread_join(other, NULL);
  assert_said("queue 1 is in use by another thread");
  h.t->queue_destroy(q);
  harness_close(&h);
}

/* ---- programs ---- */

static void try_program(forge_prog_desc *d, const char *words) {
  forge_prog_out info = {.size = sizeof info};
  forge_prog *p = NULL;
  forge_support support;
  refused(h.t->prog_create(h.dev, d, &p, &info), words);
  refused(h.t->op_support(h.dev, d, &support), words);
}

static void malformed_slots_are_refused(void **state) {
  (void)state;
  harness_open(&h, "null", layers, strict);
  forge_prog_desc *d = copy_description(4);
  copy_slots[1].tensor.dtype = 77;
  try_program(d, "slot 1: element type 77 is none");
  d = copy_description(4);
  copy_slots[0].tensor.rank = 9;
  try_program(d, "slot 0: rank 9 is above 6");
  d = copy_description(4);
  copy_slots[0].bind = 2;
  try_program(d, "slot 0 lies in binding 2, the program has 2");
  d = copy_description(4);
  copy_slots[0].tensor.dim[0] = -1;
  try_program(d, "neither is negative");
  d = copy_description(4);
  copy_slots[0].offset = 2;
  try_program(d, "begins at byte 2 of binding 0, which does not suit F32");
  d = copy_description(4);
  copy_slots[0].tensor.dim_scalar[0] = 3;
  try_program(d, "names scalar 2, the program has 0");
  d = copy_description(4);
  copy_slots[0].tensor.dtype = FORGE_Q8_0;
  try_program(d, "whole blocks of 32");
  d = copy_description(INT64_MAX);
  try_program(d, "does not fit 64 bits");
  d = copy_description(4);
  copy_slots[0].flags = 64;
  try_program(d, "unknown flags");
  harness_close(&h);
}

static void malformed_ops_are_refused(void **state) {
  (void)state;
  harness_open(&h, "null", layers, strict);
  forge_prog_desc *d = copy_description(4);
  copy_op.op.op = 63;
  try_program(d, "op 0: number 63 is no op");
  d = copy_description(4);
  copy_op.op.op_ver = 2;
  try_program(d, "COPY_STRIDED: version 2 is not known");
  d = copy_description(4);
  copy_op.ids[0] = 5;
  try_program(d, "input 0 is slot 5, the program has 2");
  d = copy_description(4);
  copy_op.ids[1] = FORGE_SLOT_NONE;
  try_program(d, "output 0 is absent and not optional");
  d = copy_description(4);
  copy_op.op.bytes = 12;
  try_program(d, "its record does not fit");
  d = copy_description(4);
  d->ops_bytes = 16;
  try_program(d, "its record does not fit");
  d = copy_description(4);
  copy_op.op.n_in = 0;
  try_program(d, "0 inputs, it has 1");
  d = copy_description(4);
  copy_op.op.op = FORGE_OP_SOFTMAX;
  try_program(d, "with 8 of attributes it has");
  d = copy_description(4);
  copy_slots[1].tensor.dim[0] = 5;
  try_program(d, "input 0 is [4] and the output [5]; they must be equal");
  d = copy_description(4);
  d->flags = 1u << 20;
  try_program(d, "unknown flags");
  harness_close(&h);
}

static void outputs_that_overlap_are_refused(void **state) {
  (void)state;
  harness_open(&h, "null", layers, strict);
  forge_prog_desc *d = copy_description(4);
  copy_slots[1].bind = 0;
  copy_slots[1].offset = 8;
  try_program(d, "output 0 and input 0 share byte 8 of binding 0");
  d = copy_description(4);
  copy_slots[1].tensor.stride[0] = 0;
  try_program(d, "output 0 repeats an element");
  d = copy_description(4); /* even and odd columns lie between each other and do not meet */
  copy_slots[0].tensor.stride[0] = copy_slots[1].tensor.stride[0] = 2;
  copy_slots[1].bind = 0;
  copy_slots[1].offset = 4;
  forge_prog_out info = {.size = sizeof info};
  forge_prog *p = NULL;
  assert_int_equal(h.t->prog_create(h.dev, d, &p, &info), FORGE_OK);
  h.t->prog_destroy(p);
  assert_silent();
  harness_close(&h);
}

/* ---- the backend's side ---- */

static void switch_fault(uint32_t n) {
  forge_value v;
  assert_int_equal(h.t->dev_query(h.dev, 1000 + n, 0, &v), FORGE_OK);
  harness_forget();
}

static void what_the_backend_does_wrong_is_told(void **state) {
  (void)state;
  forge_mem_out info = {.size = sizeof info};
  const forge_mem_desc desc = {.size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = 64};
  forge_mem *mem = NULL;
  forge_support support = {0};
  uint64_t value;
  order o;
  harness_open(&h, LAYERS_BAD_PLUGIN, layers, strict);
  forge_mem *x = make_memory(&h, 64), *y = make_memory(&h, 64);
  forge_queue *q = make_queue(&h);
  forge_tl *tl = make_timeline(&h);
  forge_prog *p = make_copy_program(&h, 16);
  switch_fault(1);
  assert_int_equal(h.t->mem_alloc(h.dev, &desc, &mem, &info), FORGE_E_INTERNAL);
  assert_said("answered success and gave no object");
  switch_fault(2);
  assert_int_equal(h.t->mem_alloc(h.dev, &desc, &mem, &info), FORGE_E_OOM);
  assert_said("did not say why; it must call host->report()");
  switch_fault(6);
  assert_int_not_equal(h.t->mem_alloc(h.dev, &desc, &mem, &info), FORGE_OK);
  assert_said("answered 3, which is no status");
  switch_fault(5);
  assert_int_equal(h.t->op_support(h.dev, copy_description(16), &support), FORGE_OK);
  assert_said("op 0: the backend declines and gives no reason");
  switch_fault(0);
  fill_order(&o, x, y, 64, tl, 4);
  assert_int_equal(h.t->submit(q, p, &o.s), FORGE_OK);
  assert_int_equal(h.t->tl_query(tl, &value), FORGE_OK);
  assert_silent();
  switch_fault(3);
  assert_int_equal(h.t->tl_query(tl, &value), FORGE_OK);
  assert_said("timeline 1 fell from 4 to 0");
  switch_fault(7);
  assert_int_equal(h.t->tl_wait(tl, 4, FORGE_WAIT_FOREVER), FORGE_OK);
  assert_said("ended the wait for 4 on timeline 1, which is at 0");
  switch_fault(4);
  assert_int_equal(h.t->tl_query(tl, &value), FORGE_OK);
  assert_said("timeline 1 is at 104, but no work was ever to signal more than 4");
  switch_fault(0);
  h.t->prog_destroy(p);
  h.t->mem_free(h.dev, x);
  h.t->mem_free(h.dev, y);
  h.t->queue_destroy(q);
  h.t->tl_destroy(tl);
  harness_close(&h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_unfinished_work_uses_is_not_destroyed),
      cmocka_unit_test(work_on_two_queues_needs_an_order),
      cmocka_unit_test(waits_and_the_host_make_an_order),
      cmocka_unit_test(the_host_memory_of_copies_is_watched_too),
      cmocka_unit_test(action_log_tells_and_passes_on),
      cmocka_unit_test(action_log_survives_descriptions_without_sense),
      cmocka_unit_test(a_queue_belongs_to_one_thread_at_a_time),
      cmocka_unit_test(malformed_slots_are_refused),
      cmocka_unit_test(malformed_ops_are_refused),
      cmocka_unit_test(outputs_that_overlap_are_refused),
      cmocka_unit_test(what_the_backend_does_wrong_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
