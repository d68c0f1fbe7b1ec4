/* test_lost.c -- block TESTING of the null plugin, straight through its table: a device that was
 * lost does nothing more, is taken down, and the other one lives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include "null.c" /* before cmocka.h, whose fail() is a macro */

#include <cmocka.h>

static int reports;

static void count_report(void *ctx, const forge_error *error) {
  (void)ctx;
  reports += error->code == FORGE_E_DEVICE_LOST && error->msg;
}

static void *allocate(void *ctx, size_t bytes, size_t align) {
  (void)ctx;
  (void)align;
  return malloc(bytes);
}

static void give_back(void *ctx, void *p) {
  (void)ctx;
  free(p);
}

static void hear(void *ctx, uint64_t cookie, uint64_t value, forge_status status) {
  (void)ctx;
  (void)cookie;
  (void)value;
  (void)status;
}

static const forge_host services = {.size = sizeof services,
                                    .report = count_report,
                                    .alloc = allocate,
                                    .free = give_back,
                                    .tl_notify = hear};

typedef struct parts {
  forge_dev *dev;
  forge_queue *queue;
  forge_tl *tl;
  forge_mem *mem;
  forge_prog *prog;
} parts;

static forge_status make(const forge_backend_v1 *t, parts *p) {
  const forge_mem_desc desc = {.size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = 64};
  const forge_prog_desc empty = {.size = sizeof empty};
  forge_mem_out mem_out = {.size = sizeof mem_out};
  forge_prog_out prog_out = {.size = sizeof prog_out};
  forge_status st = t->mem_alloc(p->dev, &desc, &p->mem, &mem_out);
  if (!st) st = t->queue_create(p->dev, FORGE_QUEUE_COMPUTE, 0, &p->queue);
  if (!st) st = t->tl_create(p->dev, 0, 0, &p->tl);
  return st ? st : t->prog_create(p->dev, &empty, &p->prog, &prog_out);
}

static void take_down(const forge_backend_v1 *t, parts *p) {
  t->prog_destroy(p->prog);
  t->tl_destroy(p->tl);
  t->queue_destroy(p->queue);
  t->mem_free(p->dev, p->mem);
  t->dev_close(p->dev);
}

static void a_lost_device_answers_so_and_the_other_one_lives(void **state) {
  const forge_hello hello = {.size = sizeof hello, .host = &services};
  forge_reply reply = {.size = sizeof reply};
  const forge_block_testing_v0 *block;
  parts lost = {0}, other = {0}, late = {0};
  uint64_t value;
  (void)state;
  assert_int_equal(forge_backend_entry_v1(&hello, &reply), FORGE_OK);
  const forge_backend_v1 *t = reply.table;
  assert_int_equal(t->get_block(FORGE_BLOCK_TESTING, 0, (const void **)&block), FORGE_OK);
  assert_int_equal(block->n_slots, 1);
  assert_int_equal(t->dev_open(0, NULL, &lost.dev), FORGE_OK);
  assert_int_equal(t->dev_open(1, NULL, &other.dev), FORGE_OK);
  assert_int_equal(make(t, &lost), FORGE_OK);
  assert_int_equal(make(t, &other), FORGE_OK);
  assert_int_equal(block->lose(lost.dev), FORGE_OK);
  reports = 0;
  const forge_copy fill = {.kind = FORGE_COPY_FILL, .dst = {lost.mem, 0, 64}};
  const forge_submit order = {.size = sizeof order};
  assert_int_equal(t->copy(lost.queue, &fill, 1, NULL), FORGE_E_DEVICE_LOST);
  assert_int_equal(t->submit(lost.queue, lost.prog, &order), FORGE_E_DEVICE_LOST);
  late.dev = lost.dev;
  assert_int_equal(make(t, &late), FORGE_E_DEVICE_LOST);
  assert_int_equal(reports, 3); /* each call said why */
  assert_int_equal(t->tl_query(lost.tl, &value), FORGE_E_DEVICE_LOST);
  assert_int_equal(t->tl_wait(lost.tl, 1, FORGE_WAIT_FOREVER), FORGE_E_DEVICE_LOST);
  assert_int_equal(t->submit(other.queue, other.prog, &order), FORGE_OK);
  take_down(t, &lost);
  take_down(t, &other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_lost_device_answers_so_and_the_other_one_lives)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
