/* test_storm.c -- 32 threads wait on libforge-timeline.a while two streams hand each other on. */
#include "world.h"

#define STEPS   500
#define WAITERS 32

typedef struct line { /* events to be finished, in order */
  pthread_mutex_t lock;
  pthread_cond_t given;
  event *e[2 * STEPS];
  uint32_t n, done;
} line;
static line device = {.lock = PTHREAD_MUTEX_INITIALIZER, .given = PTHREAD_COND_INITIALIZER};

static void *run_device(void *arg) {
  (void)arg;
  for (uint32_t i = 0; i < 2 * STEPS; i++) {
    pthread_mutex_lock(&device.lock);
    while (device.n <= i) pthread_cond_wait(&device.given, &device.lock);
    event *e = device.e[i];
    pthread_mutex_unlock(&device.lock);
    finish_event(e, FORGE_OK);
  }
  return NULL;
}

static void enqueue(event *e) {
  pthread_mutex_lock(&device.lock);
  device.e[device.n++] = e;
  pthread_cond_signal(&device.given);
  pthread_mutex_unlock(&device.lock);
}

typedef struct waiter {
  forge_tl *tl[2];
  uint32_t seed;
  bool fine;
} waiter;

static void *run_waiter(void *arg) {
  waiter *w = arg;
  w->fine = true;
  for (uint64_t value = 1; value <= STEPS; value += 1 + w->seed % 7) {
    forge_tl *tl = w->tl[(value + w->seed) % 2];
    const bool forever = (value + w->seed) % 3 != 0;
    uint64_t seen = 0;
    const uint64_t limit = forever ? FORGE_WAIT_FOREVER : UINT64_C(60000000000);
    if (forge_timeline_wait(tl, value, limit) || forge_timeline_query(tl, &seen) || seen < value)
      w->fine = false;
  }
  return NULL;
}

static void thirty_two_threads_see_every_value(void **state) {
  (void)state;
  forge_watch *w[2] = {watch(), watch()};
  forge_tl *tl[2] = {timeline(100), timeline(101)};
  pthread_t thread[WAITERS], hardware;
  waiter waiters[WAITERS];
  for (uint32_t i = 0; i < WAITERS; i++) {
    waiters[i] = (waiter){.tl = {tl[0], tl[1]}, .seed = i};
    assert_int_equal(pthread_create(&thread[i], NULL, run_waiter, &waiters[i]), 0);
  }
  assert_int_equal(pthread_create(&hardware, NULL, run_device, NULL), 0);
  for (uint64_t i = 1; i <= STEPS; i++) {
    for (int k = 0; k < 2; k++) {
      event *e = new_event();
      give(w[k], e,
           k       ? (forge_point){tl[0], i}
           : i > 1 ? (forge_point){tl[1], i - 1}
                   : no_point,
           (forge_point){tl[k], i});
      enqueue(e);
    }
  }
  for (uint32_t i = 0; i < WAITERS; i++) {
    pthread_join(thread[i], NULL);
    assert_true(waiters[i].fine);
  }
  pthread_join(hardware, NULL);
  for (int k = 0; k < 2; k++) forge_watch_destroy(w[k]);
  for (int k = 0; k < 2; k++) assert_int_equal(value_of(tl[k]), STEPS);
  assert_in_range(notes_of(100), 1, STEPS); /* a value passed over is no news */
  uint64_t last = 0;
  for (uint32_t i = 0; i < world.n_notes; i++) {
    assert_int_equal(world.notes[i].status, FORGE_OK);
    if (world.notes[i].cookie == 100 && world.notes[i].value > last) last = world.notes[i].value;
  }
  assert_int_equal(last, STEPS);
  for (int k = 0; k < 2; k++) forge_timeline_destroy(tl[k]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(thirty_two_threads_see_every_value),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
