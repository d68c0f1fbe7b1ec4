/* world.c -- see world.h. */
#include "world.h"

#include <stdatomic.h>
#include <stdlib.h>

/* ---- a host that counts ---- */

counts world = {.lock = PTHREAD_MUTEX_INITIALIZER, .fail_after = -1};

static void report(void *ctx, const forge_error *error) {
  (void)ctx;
  pthread_mutex_lock(&world.lock);
  world.reports++;
  world.reported = error->code;
  pthread_mutex_unlock(&world.lock);
}

static void say(void *ctx, int32_t level, const char *msg, size_t n) {
  (void)ctx, (void)level, (void)msg, (void)n;
}

static void *allocate(void *ctx, size_t bytes, size_t align) {
  (void)ctx, (void)align;
  pthread_mutex_lock(&world.lock);
  const bool fails = world.fail_after == 0;
  if (world.fail_after > 0) world.fail_after--;
  world.live += !fails;
  pthread_mutex_unlock(&world.lock);
  return fails ? NULL : malloc(bytes);
}

static void release(void *ctx, void *p) {
  (void)ctx;
  pthread_mutex_lock(&world.lock);
  world.live -= p != NULL;
  pthread_mutex_unlock(&world.lock);
  free(p);
}

static void notify(void *ctx, uint64_t cookie, uint64_t value, forge_status status) {
  (void)ctx;
  pthread_mutex_lock(&world.lock);
  if (world.n_notes < MAX_NOTES) world.notes[world.n_notes++] = (note){cookie, value, status};
  pthread_mutex_unlock(&world.lock);
}

static const forge_host host = {.size = sizeof host,
                                .report = report,
                                .log = say,
                                .alloc = allocate,
                                .free = release,
                                .tl_notify = notify};

/* ---- events: done when somebody says so ---- */

struct event {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool done;
  forge_status status;
  _Atomic int refs; /* the test's and the library's */
};

_Atomic int waits_on_stream;

event *new_event(void) {
  event *e = calloc(1, sizeof *e);
  pthread_mutex_init(&e->lock, NULL);
  pthread_cond_init(&e->changed, NULL);
  e->refs = 2;
  return e;
}

static void drop_event(void *ctx, void *p) {
  event *e = p;
  (void)ctx;
  if (atomic_fetch_sub(&e->refs, 1) > 1) return;
  pthread_mutex_destroy(&e->lock);
  pthread_cond_destroy(&e->changed);
  free(e);
}

void finish_event(event *e, forge_status status) {
  pthread_mutex_lock(&e->lock);
  e->done = true;
  e->status = status;
  pthread_cond_broadcast(&e->changed);
  pthread_mutex_unlock(&e->lock);
  drop_event(NULL, e);
}

static forge_status wait_event(void *ctx, void *p) {
  event *e = p;
  (void)ctx;
  pthread_mutex_lock(&e->lock);
  while (!e->done) pthread_cond_wait(&e->changed, &e->lock);
  const forge_status status = e->status;
  pthread_mutex_unlock(&e->lock);
  return status;
}

static int is_done(void *ctx, void *p) {
  event *e = p;
  (void)ctx;
  pthread_mutex_lock(&e->lock);
  const bool done = e->done;
  pthread_mutex_unlock(&e->lock);
  return done;
}

static forge_status stream_wait(void *ctx, void *stream, void *p) {
  (void)ctx, (void)stream, (void)p;
  waits_on_stream++;
  return FORGE_OK;
}

static void failed(void *ctx, uint64_t tag, uint64_t value, forge_status status) {
  (void)ctx;
  const forge_error error = {.code = status, .prog_id = tag};
  report(NULL, &error);
  pthread_mutex_lock(&world.lock);
  world.reported_value = value;
  pthread_mutex_unlock(&world.lock);
}

static const forge_timeline_events events = {wait_event, is_done, stream_wait, drop_event, failed};
const forge_timeline_source source = {&host, &events, NULL};

/* ---- what the tests share ---- */

int enter(void **state) {
  (void)state;
  pthread_mutex_lock(&world.lock);
  world.n_notes = world.reports = 0;
  world.fail_after = -1;
  pthread_mutex_unlock(&world.lock);
  waits_on_stream = 0;
  return 0;
}

int leave(void **state) {
  (void)state;
  return world.live == 0 ? 0 : -1;
}

forge_tl *timeline(uint64_t cookie) {
  forge_tl *tl;
  assert_int_equal(forge_timeline_create(&source, 0, cookie, &tl), FORGE_OK);
  return tl;
}

forge_watch *watch(void) {
  forge_watch *w;
  assert_int_equal(forge_watch_create(&source, &w), FORGE_OK);
  return w;
}

uint64_t value_of(forge_tl *tl) {
  uint64_t value;
  forge_timeline_query(tl, &value);
  return value;
}

void give(forge_watch *w, event *e, forge_point before, forge_point after) {
  const forge_submit order = {
      .n_wait = before.tl != NULL, .n_signal = 1, .wait = &before, .signal = &after};
  forge_work *work;
  assert_int_equal(forge_timeline_begin(w, NULL, 7, &order, &work), FORGE_OK);
  assert_int_equal(forge_timeline_end(work, e, FORGE_OK), FORGE_OK);
}

const forge_point no_point = {NULL, 0};

uint32_t notes_of(uint64_t cookie) {
  uint32_t n = 0;
  pthread_mutex_lock(&world.lock);
  for (uint32_t i = 0; i < world.n_notes; i++) n += world.notes[i].cookie == cookie;
  pthread_mutex_unlock(&world.lock);
  return n;
}
