/* test_threads.c -- the pool: every piece once, on all threads, again and again, from several
 * queues at a time; and out of the way when there is nothing to do. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "rig.h"

static double clock_s(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Lines of /proc/self/status: "Threads:  n". */
static int threads_now(void) {
  char line[128];
  int n = 0;
  FILE *file = fopen("/proc/self/status", "r");
  while (file && fgets(line, sizeof line, file)) sscanf(line, "Threads: %d", &n);
  if (file) fclose(file);
  return n;
}

static void fill(rig *r, rig_tensor *y, double value) {
  const forge_attr_fill attr = {value};
  rig_must(r, FORGE_OP_FILL, &attr, sizeof attr, NULL, 0, &y, 1);
}

/* A joined thread may be on the kernel's list for a moment longer. */
static int threads_settled(int want) {
  for (int i = 0; i < 1000 && threads_now() != want; i++) usleep(1000);
  return threads_now();
}

static void probing_starts_no_thread_and_closing_ends_them_all(void **state) {
  forge_probe probe = {.size = sizeof probe};
  (void)state;
  rig_close(rig_open("portable", 5)); /* a sanitizer's own thread starts with the first */
  usleep(20000);
  const int before = threads_now();
  rig *one = rig_open("portable", 1);
  assert_non_null(one);
  assert_int_equal(rig_table(one)->probe(&probe), FORGE_OK);
  assert_int_equal(threads_settled(before), before);
  rig *five = rig_open("portable", 5);
  assert_int_equal(threads_settled(before + 4), before + 4);
  rig_close(five);
  assert_int_equal(threads_settled(before), before);
  rig_close(one);
}

static void thousands_of_small_loops_touch_every_element(void **state) {
  (void)state;
  rig *r = rig_open("portable", 4);
  rig_tensor *y = rig_make(FORGE_I32, 2, (int64_t[]){40, 8192});
  for (int round = 1; round <= 300; round++) {
    fill(r, y, round);
    for (int64_t i = 0; i < rig_elements(y); i += 997) assert_true(rig_get(y, i) == round);
    if (round % 50 == 0) usleep(2000); /* long enough to fall asleep */
  }
  rig_free(y);
  rig_close(r);
}

typedef struct user {
  rig *r;
  int number, wrong;
} user;

/* One queue and one program per thread, all on one device. */
static void *use(void *arg) {
  user *u = arg;
  const forge_backend_v1 *t = rig_table(u->r);
  forge_queue *queue;
  forge_mem *mem;
  forge_mem_out out = {.size = sizeof out};
  const forge_mem_desc desc = {.size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = 1 << 22};
  u->wrong = t->queue_create(rig_device(u->r), FORGE_QUEUE_COPY, 0, &queue) ||
             t->mem_alloc(rig_device(u->r), &desc, &mem, &out);
  if (u->wrong) return NULL;
  for (int round = 0; round < 40; round++) {
    const uint8_t byte = (uint8_t)(u->number * 40 + round);
    const forge_copy copy = {.kind = FORGE_COPY_FILL, .dst = {mem, 0, 1 << 22}, .pattern = byte};
    u->wrong += t->copy(queue, &copy, 1, NULL) != FORGE_OK;
    for (int i = 0; i < 1 << 22; i += 4093) u->wrong += ((uint8_t *)out.host_ptr)[i] != byte;
  }
  t->mem_free(rig_device(u->r), mem);
  t->queue_destroy(queue);
  return NULL;
}

static void several_queues_of_one_device_work_at_the_same_time(void **state) {
  pthread_t id[3];
  user users[3];
  (void)state;
  rig *r = rig_open("portable", 3);
  for (int i = 0; i < 3; i++) {
    users[i] = (user){.r = r, .number = i};
    assert_int_equal(pthread_create(&id[i], NULL, use, &users[i]), 0);
  }
  for (int i = 0; i < 3; i++) pthread_join(id[i], NULL);
  for (int i = 0; i < 3; i++) assert_int_equal(users[i].wrong, 0);
  rig_close(r);
}

static void idle_threads_use_no_processor(void **state) {
  (void)state;
  rig *r = rig_open("portable", 4);
  rig_tensor *y = rig_make(FORGE_I32, 2, (int64_t[]){64, 8192});
  fill(r, y, 1);
  usleep(50000);
  const double before = clock_s(CLOCK_PROCESS_CPUTIME_ID);
  usleep(200000);
  assert_true(clock_s(CLOCK_PROCESS_CPUTIME_ID) - before < 0.05);
  rig_free(y);
  rig_close(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(probing_starts_no_thread_and_closing_ends_them_all),
      cmocka_unit_test(thousands_of_small_loops_touch_every_element),
      cmocka_unit_test(several_queues_of_one_device_work_at_the_same_time),
      cmocka_unit_test(idle_threads_use_no_processor),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
