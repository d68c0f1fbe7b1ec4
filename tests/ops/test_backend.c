/* test_backend.c -- the table of the CPU backend as the core meets it: what it says of itself,
 * memory, timelines, order, programs with scalars, and arguments that are wrong. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "rig.h"

static rig *r;
static const forge_backend_v1 *t;
static forge_dev *dev;

static int open_portable(void **state) {
  (void)state;
  r = rig_open("portable", 2);
  if (!r) return 1;
  t = rig_table(r);
  dev = rig_device(r);
  return 0;
}
static int close_portable(void **state) {
  (void)state;
  rig_close(r);
  return 0;
}

/* The call fails with |status| and says why exactly once, with |word| in it. */
#define REFUSED(call, status, word)                                                                \
  do {                                                                                             \
    const int reports_before = rig_reports();                                                      \
    assert_int_equal(call, status);                                                                \
    assert_int_equal(rig_reports(), reports_before + 1);                                           \
    if (!strstr(rig_error(), word)) fail_msg("\"%s\" does not say \"%s\"", rig_error(), word);     \
  } while (0)

static void it_says_what_it_is(void **state) {
  forge_dev_info info = {.size = sizeof info};
  forge_value value;
  (void)state;
  assert_int_equal(t->n_slots, FORGE_BACKEND_SLOTS);
  assert_int_equal(t->dev_info(0, &info), FORGE_OK);
  assert_int_equal(info.type, FORGE_DEVICE_CPU);
  assert_int_equal(info.pci_bdf, 0xFFFFFFFFu);
  assert_true(info.mem_total > 0 && info.name[0]);
  assert_int_equal(t->dev_query(dev, FORGE_QUERY_THREADS, 0, &value), FORGE_OK);
  assert_int_equal(value.v.u, 2);
  assert_int_equal(t->dev_query(dev, FORGE_QUERY_ISA, 0, &value), FORGE_OK);
  assert_string_equal(value.v.s, "portable");
  assert_int_equal(t->dev_query(dev, FORGE_QUERY_HOST_VISIBLE, 0, &value), FORGE_OK);
  assert_int_equal(value.v.u, 1);
  assert_int_equal(t->dev_query(dev, FORGE_QUERY_COMPUTE_UNITS, 0, &value), FORGE_OK);
  assert_true(value.v.u >= 1);
}

static void unknown_questions_devices_and_options_are_refused(void **state) {
  forge_dev_info info = {.size = sizeof info};
  forge_value value;
  forge_dev *other;
  const void *block;
  (void)state;
  REFUSED(t->dev_info(1, &info), FORGE_E_INVALID, "device 1");
  REFUSED(t->dev_open(3, NULL, &other), FORGE_E_INVALID, "device 3");
  REFUSED(t->dev_query(dev, 999, 0, &value), FORGE_E_UNSUPPORTED, "999");
  REFUSED(t->get_block(FORGE_BLOCK_IPC, 0, &block), FORGE_E_UNSUPPORTED, "HOSTREG");
  REFUSED(t->get_block(FORGE_BLOCK_HOSTREG, 1, &block), FORGE_E_UNSUPPORTED, "minor 1");
  static const char *const bad[][2] = {{"threads", "many"}, {"threads", "-1"},
                                       {"threads", "1025"}, {"threads", "2x"},
                                       {"thread", "2"},     {"only_primitives", "maybe"}};
  for (int i = 0; i < 6; i++) {
    const char *options[] = {bad[i][0], bad[i][1], NULL};
    REFUSED(t->dev_open(0, options, &other), FORGE_E_INVALID, bad[i][0]);
  }
  assert_int_equal(t->dev_open(0, NULL, &other), FORGE_OK);
  t->dev_close(other);
}

/* ---- memory and copies ---- */

static void memory_is_aligned_and_impossible_wishes_leave_all_as_it_was(void **state) {
  forge_mem_desc desc = {
      .size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = 100, .align = 4096};
  forge_mem_out out = {.size = sizeof out};
  forge_mem *mem = NULL;
  (void)state;
  assert_int_equal(t->mem_alloc(dev, &desc, &mem, &out), FORGE_OK);
  assert_int_equal((uintptr_t)out.host_ptr % 4096, 0);
  assert_true(out.dev_addr == (uintptr_t)out.host_ptr && out.granularity > 0);
  t->mem_free(dev, mem);
  t->mem_free(dev, NULL);
  desc.align = 24;
  REFUSED(t->mem_alloc(dev, &desc, &mem, &out), FORGE_E_INVALID, "alignment 24");
  desc = (forge_mem_desc){.size = sizeof desc, .kind = 9, .bytes = 1};
  REFUSED(t->mem_alloc(dev, &desc, &mem, &out), FORGE_E_INVALID, "kind 9");
  desc = (forge_mem_desc){.size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = UINT64_MAX - 5};
  REFUSED(t->mem_alloc(dev, &desc, &mem, &out), FORGE_E_OOM, "bytes");
  desc = (forge_mem_desc){.size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = 1, .flags = 8};
  REFUSED(t->mem_alloc(dev, &desc, &mem, &out), FORGE_E_UNSUPPORTED, "flags");
}

static void copies_go_all_ways_and_stay_inside(void **state) {
  const forge_mem_desc desc = {.size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = 64};
  forge_mem_out out = {.size = sizeof out};
  forge_mem *a, *b;
  char text[8] = "abcdefg", back[8] = "";
  (void)state;
  assert_int_equal(t->mem_alloc(dev, &desc, &a, &out), FORGE_OK);
  assert_int_equal(t->mem_alloc(dev, &desc, &b, &out), FORGE_OK);
  const forge_copy all[] = {
      {.kind = FORGE_COPY_TO_DEVICE, .dst = {a, 3, 8}, .host = text},
      {.kind = FORGE_COPY_FILL, .dst = {a, 4, 2}, .pattern = 0x1157},
      {.kind = FORGE_COPY_ON_DEVICE, .dst = {b, 50, 8}, .src = {a, 3, 8}},
      {.kind = FORGE_COPY_TO_HOST, .src = {b, 50, 8}, .host = back},
      {.kind = FORGE_COPY_TO_HOST, .src = {b, 64, 0}, .host = NULL},
  };
  assert_int_equal(t->copy(rig_queue(r), all, 5, NULL), FORGE_OK);
  assert_string_equal(back, "aWWdefg");
  forge_copy bad = {.kind = FORGE_COPY_FILL, .dst = {a, 60, 5}};
  REFUSED(t->copy(rig_queue(r), &bad, 1, NULL), FORGE_E_INVALID, "60 + 5");
  bad.dst = (forge_bind){a, UINT64_MAX, 2};
  REFUSED(t->copy(rig_queue(r), &bad, 1, NULL), FORGE_E_INVALID, "leave");
  bad = (forge_copy){.kind = FORGE_COPY_ON_DEVICE, .dst = {a, 0, 4}, .src = {b, 0, 5}};
  REFUSED(t->copy(rig_queue(r), &bad, 1, NULL), FORGE_E_INVALID, "5 bytes into 4");
  bad = (forge_copy){.kind = FORGE_COPY_TO_HOST, .src = {b, 0, 5}};
  REFUSED(t->copy(rig_queue(r), &bad, 1, NULL), FORGE_E_INVALID, "host address");
  bad.kind = 77;
  REFUSED(t->copy(rig_queue(r), &bad, 1, NULL), FORGE_E_INVALID, "77");
  t->mem_free(dev, a);
  t->mem_free(dev, b);
}

static void imported_pages_are_the_hosts_own_and_may_be_read_only(void **state) {
  const forge_block_hostreg_v0 *pages;
  forge_mem_out out = {.size = sizeof out};
  forge_mem *mem;
  char text[16] = "read-only";
  (void)state;
  assert_int_equal(t->get_block(FORGE_BLOCK_HOSTREG, 0, (const void **)&pages), FORGE_OK);
  assert_int_equal(pages->import(dev, text, sizeof text, 0, &mem, &out), FORGE_OK);
  assert_ptr_equal(out.host_ptr, text);
  const forge_copy fill = {.kind = FORGE_COPY_FILL, .dst = {mem, 0, 4}};
  REFUSED(t->copy(rig_queue(r), &fill, 1, NULL), FORGE_E_INVALID, "read-only");
  pages->release(dev, mem);
  assert_string_equal(text, "read-only");
  REFUSED(pages->import(dev, NULL, 16, 1, &mem, &out), FORGE_E_INVALID, "import");
}

/* ---- timelines ---- */

static double now(void) {
  struct timespec s;
  clock_gettime(CLOCK_MONOTONIC, &s);
  return (double)s.tv_sec + (double)s.tv_nsec * 1e-9;
}

static forge_status signal_value(forge_tl *tl, uint64_t value) {
  const forge_point point = {tl, value};
  const forge_submit order = {.size = sizeof order, .n_signal = 1, .signal = &point};
  return t->copy(rig_queue(r), NULL, 0, &order);
}

static void timelines_rise_notify_and_time_out(void **state) {
  forge_tl *tl;
  uint64_t value, cookie;
  forge_status status;
  (void)state;
  assert_int_equal(t->tl_create(dev, 5, 42, &tl), FORGE_OK);
  assert_int_equal(t->tl_query(tl, &value), FORGE_OK);
  assert_int_equal(value, 5);
  assert_int_equal(t->tl_wait(tl, 5, 0), FORGE_OK);
  assert_int_equal(t->tl_wait(tl, 6, 0), FORGE_E_TIMEOUT);
  const double start = now();
  assert_int_equal(t->tl_wait(tl, 6, 20000000), FORGE_E_TIMEOUT);
  assert_true(now() - start > 0.019);
  const int notices = rig_notices();
  assert_int_equal(signal_value(tl, 9), FORGE_OK);
  assert_int_equal(rig_notices(), notices + 1);
  rig_last_notice(&cookie, &value, &status);
  assert_true(cookie == 42 && value == 9 && status == FORGE_OK);
  assert_int_equal(t->tl_wait(tl, 9, FORGE_WAIT_FOREVER), FORGE_OK);
  assert_int_equal(signal_value(tl, 7), FORGE_OK); /* it never falls */
  assert_int_equal(t->tl_query(tl, &value), FORGE_OK);
  assert_int_equal(value, 9);
  t->tl_destroy(tl);
  t->tl_destroy(NULL);
}

static void *signal_late(void *tl) {
  usleep(20000);
  signal_value(tl, 1);
  return NULL;
}

static void work_starts_when_all_it_waits_for_is_reached(void **state) {
  forge_tl *before, *after;
  pthread_t id;
  char back[4] = "";
  const forge_mem_desc desc = {.size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = 4};
  forge_mem_out out = {.size = sizeof out};
  forge_mem *mem;
  forge_queue *queue;
  (void)state;
  assert_int_equal(t->tl_create(dev, 0, 1, &before), FORGE_OK);
  assert_int_equal(t->tl_create(dev, 0, 2, &after), FORGE_OK);
  assert_int_equal(t->mem_alloc(dev, &desc, &mem, &out), FORGE_OK);
  assert_int_equal(t->queue_create(dev, FORGE_QUEUE_COPY, 0, &queue), FORGE_OK);
  memcpy(out.host_ptr, "abc", 4);
  const forge_point wait = {before, 1}, done = {after, 3};
  const forge_submit order = {
      .size = sizeof order, .n_wait = 1, .wait = &wait, .n_signal = 1, .signal = &done};
  const forge_copy read = {.kind = FORGE_COPY_TO_HOST, .src = {mem, 0, 4}, .host = back};
  const double start = now();
  assert_int_equal(pthread_create(&id, NULL, signal_late, before), 0);
  assert_int_equal(t->copy(queue, &read, 1, &order), FORGE_OK);
  assert_int_equal(t->tl_wait(after, 3, FORGE_WAIT_FOREVER), FORGE_OK);
  assert_true(now() - start > 0.015);
  assert_string_equal(back, "abc");
  pthread_join(id, NULL);
  t->queue_destroy(queue);
  t->mem_free(dev, mem);
  t->tl_destroy(before);
  t->tl_destroy(after);
}

/* ---- programs ---- */

/* ---- a device that is lost ---- */

typedef struct sleeper {
  forge_tl *tl;
  forge_status status;
} sleeper;

static void *sleep_for_one(void *ctx) {
  sleeper *s = ctx;
  s->status = t->tl_wait(s->tl, 1, FORGE_WAIT_FOREVER);
  return NULL;
}

static void expect_nothing_new(forge_dev *lost) {
  const forge_mem_desc desc = {.size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = 64};
  const forge_prog_desc empty = {.size = sizeof empty};
  forge_mem_out mem_out = {.size = sizeof mem_out};
  forge_prog_out prog_out = {.size = sizeof prog_out};
  forge_mem *mem;
  forge_queue *queue;
  forge_tl *tl;
  forge_prog *prog;
  REFUSED(t->mem_alloc(lost, &desc, &mem, &mem_out), FORGE_E_DEVICE_LOST, "lost");
  REFUSED(t->queue_create(lost, FORGE_QUEUE_COPY, 0, &queue), FORGE_E_DEVICE_LOST, "lost");
  REFUSED(t->tl_create(lost, 0, 0, &tl), FORGE_E_DEVICE_LOST, "lost");
  REFUSED(t->prog_create(lost, &empty, &prog, &prog_out), FORGE_E_DEVICE_LOST, "lost");
}

static void a_lost_device_wakes_who_waits_and_does_nothing_more(void **state) {
  const forge_block_testing_v0 *testing;
  const forge_mem_desc desc = {.size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = 64};
  forge_mem_out out = {.size = sizeof out};
  forge_dev *lost;
  forge_queue *queue;
  forge_mem *mem;
  forge_tl *done;
  sleeper s = {.status = FORGE_OK};
  uint64_t value;
  pthread_t id;
  (void)state;
  assert_int_equal(t->get_block(FORGE_BLOCK_TESTING, 0, (const void **)&testing), FORGE_OK);
  assert_int_equal(t->dev_open(0, NULL, &lost), FORGE_OK);
  assert_int_equal(t->queue_create(lost, FORGE_QUEUE_COMPUTE, 0, &queue), FORGE_OK);
  assert_int_equal(t->mem_alloc(lost, &desc, &mem, &out), FORGE_OK);
  assert_int_equal(t->tl_create(lost, 5, 0, &done), FORGE_OK);
  assert_int_equal(t->tl_create(lost, 0, 0, &s.tl), FORGE_OK);
  assert_int_equal(pthread_create(&id, NULL, sleep_for_one, &s), 0);
  usleep(20000); /* most likely asleep by now; right either way */
  assert_int_equal(testing->lose(lost), FORGE_OK);
  assert_int_equal(testing->lose(lost), FORGE_OK);
  pthread_join(id, NULL);
  assert_int_equal(s.status, FORGE_E_DEVICE_LOST);
  assert_int_equal(t->tl_query(done, &value), FORGE_E_DEVICE_LOST);
  assert_int_equal(t->tl_wait(done, 5, 0), FORGE_OK); /* was reached before */
  const forge_copy fill = {.kind = FORGE_COPY_FILL, .dst = {mem, 0, 64}};
  REFUSED(t->copy(queue, &fill, 1, NULL), FORGE_E_DEVICE_LOST, "lost");
  expect_nothing_new(lost);
  t->tl_destroy(s.tl);
  t->tl_destroy(done);
  t->queue_destroy(queue);
  t->mem_free(lost, mem);
  t->dev_close(lost);
  assert_int_equal(t->copy(rig_queue(r), NULL, 0, NULL), FORGE_OK); /* the other one lives */
}

static void scalars_set_extents_up_to_their_maximum(void **state) {
  (void)state;
  rig_tensor *x = rig_make(FORGE_F32, 2, (int64_t[]){8, 3}),
             *y = rig_make(FORGE_F32, 2, (int64_t[]){8, 3});
  x->t.dim_scalar[0] = y->t.dim_scalar[0] = 2; /* scalar number 1 */
  rig_random(x, 1, 1.0, 2.0);
  uint64_t scalars[] = {77, 5};
  assert_int_equal(rig_run_scalars(r, FORGE_OP_COPY_STRIDED, NULL, 0, &x, 1, &y, 1, scalars, 2),
                   FORGE_OK);
  for (int i = 0; i < 24; i++) assert_true(rig_get(y, i) == (i < 15 ? rig_get(x, i) : 0.0));
  scalars[1] = 0;
  assert_int_equal(rig_run_scalars(r, FORGE_OP_COPY_STRIDED, NULL, 0, &x, 1, &y, 1, scalars, 2),
                   FORGE_OK);
  scalars[1] = 9;
  REFUSED(rig_run_scalars(r, FORGE_OP_COPY_STRIDED, NULL, 0, &x, 1, &y, 1, scalars, 2),
          FORGE_E_INVALID, "scalar 1 is 9");
  REFUSED(rig_run_scalars(r, FORGE_OP_COPY_STRIDED, NULL, 0, &x, 1, &y, 1, scalars, 1),
          FORGE_E_INVALID, "scalar 1");
  rig_free(x);
  rig_free(y);
}

static void numbers_beyond_the_op_set_are_answered_with_no(void **state) {
  (void)state;
  rig_tensor *y = rig_make(FORGE_F32, 1, (int64_t[]){4});
  forge_support s = rig_support(r, 63, NULL, 0, NULL, 0, &y, 1);
  assert_true(s.answer == FORGE_SUPPORT_NO && s.reason == FORGE_REASON_OP);
  const forge_attr_fill fill = {1.0};
  s = rig_support(r, FORGE_OP_FILL, &fill, sizeof fill, NULL, 0, &y, 1);
  assert_int_equal(s.answer, FORGE_SUPPORT_NATIVE);
  REFUSED(rig_run(r, 63, NULL, 0, NULL, 0, &y, 1), FORGE_E_UNSUPPORTED, "number 63");
  rig_tensor *q = rig_make(FORGE_Q8_0, 1, (int64_t[]){32});
  s = rig_support(r, FORGE_OP_FILL, &fill, sizeof fill, NULL, 0, &q, 1);
  assert_true(s.answer == FORGE_SUPPORT_NO && s.reason == FORGE_REASON_DTYPE);
  rig_free(y);
  rig_free(q);
}

static void the_test_switch_leaves_only_primitives(void **state) {
  (void)state;
  rig *bare =
      rig_open_with("portable", (const char *[]){"only_primitives", "yes", "threads", "1", NULL});
  assert_non_null(bare);
  rig_tensor *x = rig_make(FORGE_F32, 2, (int64_t[]){2, 32}),
             *w = rig_make(FORGE_Q8_0, 2, (int64_t[]){4, 32});
  rig_tensor *y = rig_make(FORGE_F32, 2, (int64_t[]){2, 4});
  rig_tensor *in[] = {x, w, NULL};
  const forge_support s = rig_support(bare, FORGE_OP_QMATMUL, NULL, 0, in, 3, &y, 1);
  assert_true(s.answer == FORGE_SUPPORT_NO && s.reason == FORGE_REASON_OP);
  assert_int_equal(rig_support(r, FORGE_OP_QMATMUL, NULL, 0, in, 3, &y, 1).answer,
                   FORGE_SUPPORT_NATIVE);
  rig_free(x);
  rig_free(w);
  rig_free(y);
  rig_close(bare);
}

/* One FILL of 4 floats as raw records, to be spoilt. */
typedef struct raw {
  forge_slot slot;
  struct {
    forge_op head;
    uint32_t id, pad;
    forge_attr_fill fill;
  } record;
  forge_prog_desc desc;
} raw;

static raw *raw_fill(void) {
  raw *p = calloc(1, sizeof *p);
  p->slot.tensor = (forge_tensor){.dtype = FORGE_F32, .rank = 1, .dim = {4}, .stride = {1}};
  p->record.head =
      (forge_op){.op = FORGE_OP_FILL, .op_ver = 1, .n_out = 1, .bytes = sizeof p->record};
  p->desc = (forge_prog_desc){.size = sizeof p->desc,
                              .n_slots = 1,
                              .n_ops = 1,
                              .slots = &p->slot,
                              .ops = &p->record,
                              .ops_bytes = sizeof p->record,
                              .n_bind = 1};
  return p;
}

static forge_status create(raw *p) {
  forge_prog *prog = NULL;
  forge_prog_out info = {.size = sizeof info};
  const forge_status status = t->prog_create(dev, &p->desc, &prog, &info);
  t->prog_destroy(prog);
  free(p);
  return status;
}

static void spoilt_records_are_refused(void **state) {
  raw *p = raw_fill();
  (void)state;
  assert_int_equal(create(p), FORGE_OK);
  p = raw_fill(), p->desc.ops_bytes = 20;
  REFUSED(create(p), FORGE_E_INVALID, "cut off");
  p = raw_fill(), p->record.head.bytes = 1000;
  REFUSED(create(p), FORGE_E_INVALID, "1000");
  p = raw_fill(), p->record.head.bytes = 32;
  REFUSED(create(p), FORGE_E_INVALID, "32 bytes");
  p = raw_fill(), p->record.head.bytes = 0;
  REFUSED(create(p), FORGE_E_INVALID, "0 bytes");
  p = raw_fill(), p->record.head.n_in = 60000;
  REFUSED(create(p), FORGE_E_INVALID, "needs");
  p = raw_fill(), p->record.id = 1;
  REFUSED(create(p), FORGE_E_INVALID, "slot 1");
  p = raw_fill(), p->record.head.op_ver = 2;
  REFUSED(create(p), FORGE_E_UNSUPPORTED, "version 2");
  p = raw_fill(), p->desc.flags = 64;
  REFUSED(create(p), FORGE_E_UNSUPPORTED, "flags");
  p = raw_fill(), p->slot.bind = 3;
  REFUSED(create(p), FORGE_E_INVALID, "slot 0");
  p = raw_fill(), p->slot.tensor.stride[0] = INT64_MAX;
  REFUSED(create(p), FORGE_E_INVALID, "slot 0");
}

static void bindings_that_are_too_small_are_refused_before_anything_is_written(void **state) {
  raw *p = raw_fill();
  forge_prog *prog;
  forge_prog_out info = {.size = sizeof info};
  const forge_mem_desc desc = {.size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = 16};
  forge_mem_out out = {.size = sizeof out};
  forge_mem *mem;
  forge_tl *tl;
  uint64_t value;
  (void)state;
  p->record.fill.value = 2.0;
  assert_int_equal(t->prog_create(dev, &p->desc, &prog, &info), FORGE_OK);
  free(p); /* the description is borrowed for the call */
  assert_int_equal(t->mem_alloc(dev, &desc, &mem, &out), FORGE_OK);
  assert_int_equal(t->tl_create(dev, 0, 0, &tl), FORGE_OK);
  forge_bind bind = {mem, 4, 12};
  const forge_point done = {tl, 1};
  forge_submit s = {.size = sizeof s, .n_bind = 1, .bind = &bind, .n_signal = 1, .signal = &done};
  REFUSED(t->submit(rig_queue(r), prog, &s), FORGE_E_INVALID, "needs 16");
  bind = (forge_bind){mem, 4, 16};
  REFUSED(t->submit(rig_queue(r), prog, &s), FORGE_E_INVALID, "leave");
  bind = (forge_bind){NULL, 0, 16};
  REFUSED(t->submit(rig_queue(r), prog, &s), FORGE_E_INVALID, "no memory");
  assert_int_equal(t->tl_query(tl, &value), FORGE_OK); /* a refused submit fails no timeline */
  assert_int_equal(value, 0);
  bind = (forge_bind){mem, 0, 16};
  s.n_bind = 2;
  REFUSED(t->submit(rig_queue(r), prog, &s), FORGE_E_INVALID, "2 bindings");
  s.n_bind = 1;
  assert_int_equal(t->submit(rig_queue(r), prog, &s), FORGE_OK);
  assert_int_equal(t->tl_wait(tl, 1, 0), FORGE_OK);
  for (int i = 0; i < 4; i++) assert_true(((float *)out.host_ptr)[i] == 2.0f);
  t->prog_destroy(prog);
  t->prog_destroy(NULL);
  t->mem_free(dev, mem);
  t->tl_destroy(tl);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_says_what_it_is),
      cmocka_unit_test(unknown_questions_devices_and_options_are_refused),
      cmocka_unit_test(memory_is_aligned_and_impossible_wishes_leave_all_as_it_was),
      cmocka_unit_test(copies_go_all_ways_and_stay_inside),
      cmocka_unit_test(imported_pages_are_the_hosts_own_and_may_be_read_only),
      cmocka_unit_test(timelines_rise_notify_and_time_out),
      cmocka_unit_test(work_starts_when_all_it_waits_for_is_reached),
      cmocka_unit_test(a_lost_device_wakes_who_waits_and_does_nothing_more),
      cmocka_unit_test(scalars_set_extents_up_to_their_maximum),
      cmocka_unit_test(numbers_beyond_the_op_set_are_answered_with_no),
      cmocka_unit_test(the_test_switch_leaves_only_primitives),
      cmocka_unit_test(spoilt_records_are_refused),
      cmocka_unit_test(bindings_that_are_too_small_are_refused_before_anything_is_written),
  };
  return cmocka_run_group_tests(tests, open_portable, close_portable);
}
