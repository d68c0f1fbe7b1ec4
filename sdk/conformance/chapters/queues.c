/* queues.c -- what happens before what: within a queue, between queues, and for whoever waits. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "work.h"

/* Blocks and work that takes long enough to be overtaken by what does not wait. */
typedef struct scene {
  rig *r;
  work *slow;
  forge_mem *in, *out, *far;
  uint8_t *host;
} scene;

static scene *open_scene(void) {
  scene *s = rig_zalloc(sizeof *s);
  s->r = rig_open();
  s->slow = work_long(s->r);
  s->in = rig_alloc(s->r, s->slow->bytes);
  s->out = rig_alloc(s->r, s->slow->bytes);
  s->far = rig_alloc(s->r, s->slow->bytes);
  s->host = rig_zalloc(s->slow->bytes);
  test_note("the work used takes %.1f ms", s->slow->seconds * 1e3);
  return s;
}

static void close_scene(scene *s) {
  rig_free_mem(s->r, s->in);
  rig_free_mem(s->r, s->out);
  rig_free_mem(s->r, s->far);
  work_free(s->slow);
  rig_close(s->r);
  free(s->host);
  free(s);
}

/* in holds |seed|, out and far something else. */
static void set_scene(scene *s, uint64_t seed) {
  work_put(s->r, s->in, s->slow->bytes, seed);
  work_put(s->r, s->out, s->slow->bytes, seed + 1000);
  work_put(s->r, s->far, s->slow->bytes, seed + 2000);
  memset(s->host, 0xEE, s->slow->bytes);
}

/* Slow work, then a copy of its result by the same queue, which names no wait. */
static void in_order(const void *arg) {
  (void)arg;
  scene *s = open_scene();
  for (uint64_t seed = 1; seed <= 4; seed++) {
    set_scene(s, seed);
    work_run(s->slow, s->in, s->out);
    const forge_copy c = {
        .kind = FORGE_COPY_TO_HOST, .src = {s->out, 0, s->slow->bytes}, .host = s->host};
    rig_expect(rig_copy(s->r, &c, 1), "copy");
    rig_finish(s->r);
    work_compare(s->host, s->slow->bytes, seed, "a copy after work of the same queue read");
  }
  close_scene(s);
}

/* Work, a copy of its result and work on that copy. */
static void three_in_order(const void *arg) {
  (void)arg;
  scene *s = open_scene();
  for (uint64_t seed = 1; seed <= 4; seed++) {
    set_scene(s, seed);
    work_run(s->slow, s->in, s->out);
    const forge_copy c = {.kind = FORGE_COPY_ON_DEVICE,
                          .dst = {s->in, 0, s->slow->bytes},
                          .src = {s->far, 0, s->slow->bytes}};
    rig_expect(rig_copy(s->r, &c, 1), "copy"); /* over the input of the work before */
    work_run(s->slow, s->in, s->far);
    rig_finish(s->r);
    work_expect(s->r, s->out, s->slow->bytes, seed,
                "the result of work whose input the next copy of its queue overwrites");
    work_expect(s->r, s->far, s->slow->bytes, seed + 2000, "the result of the last work of three");
  }
  close_scene(s);
}

/* The same across two queues, by wait and signal. |arg|: the kind of the second queue. */
static void across(const void *arg) {
  scene *s = open_scene();
  forge_queue *other = work_queue(s->r, *(const uint32_t *)arg);
  forge_tl *tl = work_timeline(s->r, 0, 1);
  for (uint64_t seed = 1; seed <= 4; seed++) {
    set_scene(s, seed);
    const forge_point made = {tl, 2 * seed - 1}, taken = {tl, 2 * seed};
    forge_submit order = work_order(NULL, 0, &made, 1);
    rig_expect(work_submit(s->slow, rig_queue(s->r), s->in, s->out, &order), "submit");
    order = work_order(&made, 1, &taken, 1);
    const forge_copy c = {
        .kind = FORGE_COPY_TO_HOST, .src = {s->out, 0, s->slow->bytes}, .host = s->host};
    rig_expect(rig_table()->copy(other, &c, 1, &order), "copy");
    work_await(tl, 2 * seed, "work of another queue that waits");
    work_compare(s->host, s->slow->bytes, seed,
                 "a copy that waits for the work of another queue read");
  }
  rig_table()->queue_destroy(other);
  rig_table()->tl_destroy(tl);
  close_scene(s);
}

/* A program that waits for a program of another queue, and for several points at once. */
static void many_waits(const void *arg) {
  (void)arg;
  scene *s = open_scene();
  forge_queue *q[2] = {work_queue(s->r, FORGE_QUEUE_COMPUTE), work_queue(s->r, FORGE_QUEUE_COPY)};
  forge_tl *tl[3];
  for (uint64_t i = 0; i < 3; i++) tl[i] = work_timeline(s->r, 0, i);
  for (uint64_t seed = 1; seed <= 4; seed++) {
    set_scene(s, seed);
    const forge_point point[3] = {{tl[0], seed}, {tl[1], seed}, {tl[2], seed}};
    forge_submit order = work_order(NULL, 0, &point[0], 1);
    rig_expect(work_submit(s->slow, rig_queue(s->r), s->in, s->out, &order), "submit");
    order = work_order(NULL, 0, &point[1], 1);
    rig_expect(rig_table()->copy(q[1], NULL, 0, &order), "copy of nothing");
    const forge_point wait[2] = {point[1], point[0]}; /* the first is reached long before */
    order = work_order(wait, 2, &point[2], 1);
    rig_expect(work_submit(s->slow, q[0], s->out, s->far, &order), "submit");
    work_await(tl[2], seed, "work that waits for two points");
    work_expect(s->r, s->far, s->slow->bytes, seed, "work that waits for two points made");
  }
  for (int i = 0; i < 3; i++) rig_table()->tl_destroy(tl[i]);
  for (int i = 0; i < 2; i++) rig_table()->queue_destroy(q[i]);
  close_scene(s);
}

/* When the host has seen the value, any queue may read without naming a wait. */
static void done_when_signalled(const void *arg) {
  (void)arg;
  scene *s = open_scene();
  forge_queue *other = work_queue(s->r, FORGE_QUEUE_COPY);
  forge_tl *tl = work_timeline(s->r, 0, 1), *read = work_timeline(s->r, 0, 2);
  for (uint64_t seed = 1; seed <= 6; seed++) {
    set_scene(s, seed);
    const forge_point made = {tl, seed}, taken = {read, seed};
    forge_submit order = work_order(NULL, 0, &made, 1);
    rig_expect(work_submit(s->slow, rig_queue(s->r), s->in, s->out, &order), "submit");
    if (seed & 1)
      work_await(tl, seed, "work");
    else
      for (const double end = test_now() + 20 * test_set.slow; work_value(tl) < seed;)
        CHECK(test_now() < end, "tl_query never says that the work is done");
    order = work_order(NULL, 0, &taken, 1);
    const forge_copy c = {
        .kind = FORGE_COPY_TO_HOST, .src = {s->out, 0, s->slow->bytes}, .host = s->host};
    rig_expect(rig_table()->copy(other, &c, 1, &order), "copy");
    work_await(read, seed, "copy");
    work_compare(s->host, s->slow->bytes, seed,
                 "another queue, after the host saw the work's signal, read");
  }
  rig_table()->queue_destroy(other);
  rig_table()->tl_destroy(tl);
  rig_table()->tl_destroy(read);
  close_scene(s);
}

/* The rig lends every array for the call alone; here the work is long enough to be still running.
 */
static void borrowed(const void *arg) {
  (void)arg;
  scene *s = open_scene();
  set_scene(s, 1);
  for (int i = 0; i < 3; i++) {
    work_run(s->slow, s->in, s->out);
    const forge_copy c = {.kind = FORGE_COPY_ON_DEVICE,
                          .dst = {s->far, 0, s->slow->bytes},
                          .src = {s->out, 0, s->slow->bytes}};
    rig_expect(rig_copy(s->r, &c, 1), "copy");
  }
  rig_finish(s->r);
  work_expect(s->r, s->far, s->slow->bytes, 1, "the end of six pieces of work");
  close_scene(s);
}

/* ---- many threads ---- */

enum { THREADS = 32, QUEUES = 4, ROUNDS = 25, BYTES = 4000 };
static rig *shared;
static work *small;
static forge_queue *queue[QUEUES];
static pthread_mutex_t on_queue[QUEUES] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
                                           PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};
static forge_tl *common; /* everybody looks at it, nobody signals it */

typedef struct own {
  forge_mem *in, *out;
  forge_tl *tl;
  uint8_t host[BYTES];
} own;

static void one_round(own *o, uint64_t seed, uint64_t i) {
  const unsigned a = (unsigned)(seed + i) % QUEUES, b = (unsigned)(seed * 3 + i * 5 + 1) % QUEUES;
  uint8_t bytes[BYTES];
  const forge_point put = {o->tl, 3 * i + 1}, done = {o->tl, 3 * i + 2}, got = {o->tl, 3 * i + 3};
  work_pattern(bytes, BYTES, seed * 1000 + i);
  const forge_copy up = {.kind = FORGE_COPY_TO_DEVICE, .dst = {o->in, 0, BYTES}, .host = bytes};
  const forge_copy down = {.kind = FORGE_COPY_TO_HOST, .src = {o->out, 0, BYTES}, .host = o->host};
  pthread_mutex_lock(&on_queue[a]);
  forge_submit order = work_order(NULL, 0, &put, 1);
  rig_expect(rig_table()->copy(queue[a], &up, 1, &order), "copy");
  pthread_mutex_unlock(&on_queue[a]);
  pthread_mutex_lock(&on_queue[b]);
  order = work_order(&put, 1, &done, 1);
  rig_expect(work_submit(small, queue[b], o->in, o->out, &order), "submit");
  pthread_mutex_unlock(&on_queue[b]);
  CHECK(rig_table()->tl_wait(common, 1, i % 3 * 100000) == FORGE_E_TIMEOUT,
        "a timeline nobody signalled was reached");
  pthread_mutex_lock(&on_queue[a]);
  order = work_order(&done, 1, &got, 1);
  rig_expect(rig_table()->copy(queue[a], &down, 1, &order), "copy");
  pthread_mutex_unlock(&on_queue[a]);
  while (i % 2 && work_value(o->tl) < got.value) usleep(200);
  work_await(o->tl, got.value, "one of 32 threads");
  work_compare(o->host, BYTES, seed * 1000 + i, "one of 32 threads read");
}

static void *storm_thread(void *number) {
  const uint64_t seed = (uint64_t)(uintptr_t)number;
  own *o = rig_zalloc(sizeof *o);
  o->in = rig_alloc(shared, BYTES);
  o->out = rig_alloc(shared, BYTES);
  o->tl = work_timeline(shared, 0, seed);
  for (uint64_t i = 0; i < ROUNDS; i++) one_round(o, seed, i);
  rig_free_mem(shared, o->in);
  rig_free_mem(shared, o->out);
  rig_table()->tl_destroy(o->tl);
  free(o);
  return NULL;
}

static void storm(const void *arg) {
  pthread_t id[THREADS];
  (void)arg;
  shared = rig_open();
  small = work_small(shared);
  common = work_timeline(shared, 0, 99);
  for (int i = 0; i < QUEUES; i++) queue[i] = work_queue(shared, FORGE_QUEUE_COMPUTE);
  for (uintptr_t i = 0; i < THREADS; i++)
    CHECK(!pthread_create(&id[i], NULL, storm_thread, (void *)(i + 1)), "the suite has no thread");
  for (int i = 0; i < THREADS; i++) pthread_join(id[i], NULL);
  for (int i = 0; i < QUEUES; i++) rig_table()->queue_destroy(queue[i]);
  rig_table()->tl_destroy(common);
  work_free(small);
  rig_close(shared);
}

void chapter_queues(test_list *list) {
  static const uint32_t compute = FORGE_QUEUE_COMPUTE, copy = FORGE_QUEUE_COPY;
  TEST(list, "timelines.queue_order", in_order, FB_T5);
  TEST(list, "timelines.queue_order_of_three", three_in_order, FB_T5);
  TEST_OF(list, "timelines.across_queues", across, &compute, FB_T6, FB_T7);
  TEST_OF(list, "timelines.across_to_copy_queue", across, &copy, FB_T6, FB_T7);
  TEST(list, "timelines.many_waits", many_waits, FB_T6);
  TEST(list, "timelines.done_when_signalled", done_when_signalled, FB_T7);
  TEST(list, "timelines.borrowed", borrowed, FB_T11);
  TEST(list, "timelines.storm", storm, FB_T9);
}
