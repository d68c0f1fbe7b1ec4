/* shortage.c -- memory that runs out: the host's, refused at the n-th request of every call for
 * every n, and the device's. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "host.h"
#include "work.h"

enum { MOST_REFUSALS = 500 };

/* What is tried under shortage; undone by the function beside it when it succeeds. */
typedef struct trial {
  rig *r;
  work *w;
  forge_mem *in, *out;
  forge_dev *dev;
  forge_queue *queue;
  forge_tl *tl;
  forge_mem *mem;
  forge_prog *prog;
  rig_program *p;
  rig_tensor *t[2];
} trial;

static forge_status open_device(trial *x) { return rig_open_device(NULL, &x->dev); }
static void close_device(trial *x) { rig_table()->dev_close(x->dev); }

static forge_status make_queue(trial *x) {
  return rig_table()->queue_create(x->r->dev, FORGE_QUEUE_COMPUTE, 0, &x->queue);
}
static void end_queue(trial *x) { rig_table()->queue_destroy(x->queue); }

static forge_status make_timeline(trial *x) {
  return rig_table()->tl_create(x->r->dev, 7, 1, &x->tl);
}
static void end_timeline(trial *x) { rig_table()->tl_destroy(x->tl); }

static forge_status make_block(trial *x) {
  const forge_mem_desc desc = {
      .size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = 12345, .align = 256};
  forge_mem_out info = {.size = sizeof info};
  return rig_table()->mem_alloc(x->r->dev, &desc, &x->mem, &info);
}
static void end_block(trial *x) { rig_free_mem(x->r, x->mem); }

static forge_status make_program(trial *x) {
  forge_prog_out info = {.size = sizeof info};
  return rig_table()->prog_create(x->r->dev, &x->p->desc, &x->prog, &info);
}
static void end_program(trial *x) { rig_table()->prog_destroy(x->prog); }

static forge_status ask_support(trial *x) {
  forge_support s = {0};
  return rig_table()->op_support(x->r->dev, &x->p->desc, &s);
}
static void undo_nothing(trial *x) { (void)x; }

/* Work may fail when called, or fail its timeline; reached means done. */
static forge_status finish(trial *x, forge_status status, forge_tl *tl) {
  if (!status) {
    status = rig_table()->tl_wait(tl, 1, (uint64_t)(20e9 * test_set.slow));
    CHECK(status != FORGE_E_TIMEOUT, "work during a shortage neither ends nor fails");
  } else {
    uint64_t value = 0;
    CHECK(rig_table()->tl_query(tl, &value) || !value, "a failed call signalled its timeline");
  }
  const bool refused = host_has_refused();
  host_refuse(0);
  rig_table()->tl_destroy(tl);
  if (!status)
    work_expect(x->r, x->out, x->w->bytes, 1, "work during a shortage, its signal reached,");
  work_put(x->r, x->out, x->w->bytes, 999);
  return refused && !status ? FORGE_OK : status;
}

/* The timeline is made before the shortage begins. */
static forge_tl *ready_timeline(trial *x, uint64_t *refusal) {
  host_refuse(0);
  forge_tl *tl = work_timeline(x->r, 0, 1);
  host_refuse(*refusal);
  return tl;
}
static uint64_t refusal_now;

static forge_status run_program(trial *x) {
  forge_tl *tl = ready_timeline(x, &refusal_now);
  const forge_point done = {tl, 1};
  const forge_submit order = work_order(NULL, 0, &done, 1);
  return finish(x, work_submit(x->w, x->r->queue, x->in, x->out, &order), tl);
}

static forge_status run_copy(trial *x) {
  forge_tl *tl = ready_timeline(x, &refusal_now);
  const forge_point done = {tl, 1};
  const forge_submit order = work_order(NULL, 0, &done, 1);
  const forge_copy c = {.kind = FORGE_COPY_ON_DEVICE,
                        .dst = {x->out, 0, x->w->bytes},
                        .src = {x->in, 0, x->w->bytes}};
  return finish(x, rig_table()->copy(x->r->queue, &c, 1, &order), tl);
}

typedef struct kind {
  const char *name;
  forge_status (*make)(trial *x);
  void (*undo)(trial *x);
} kind;

static trial *open_trial(void) {
  trial *x = rig_zalloc(sizeof *x);
  x->r = rig_open();
  x->w = work_small(x->r);
  x->p = work_describe(x->r, 100, x->t);
  x->in = rig_alloc(x->r, x->w->bytes);
  x->out = rig_alloc(x->r, x->w->bytes);
  work_put(x->r, x->in, x->w->bytes, 1);
  work_put(x->r, x->out, x->w->bytes, 999);
  return x;
}

static void close_trial(trial *x) {
  rig_free_mem(x->r, x->in);
  rig_free_mem(x->r, x->out);
  work_free(x->w);
  rig_close(x->r);
  rig_free(x->t[0]);
  rig_free(x->t[1]);
  free(x->p);
  free(x);
}

static void still_works(trial *x) {
  work_run(x->w, x->in, x->out);
  rig_finish(x->r);
  work_expect(x->r, x->out, x->w->bytes, 1, "work after a shortage");
  work_put(x->r, x->out, x->w->bytes, 999);
}

/* One refusal: true when the call asked for fewer than |n| allocations. */
static bool refuse_nth(trial *x, const kind *k, uint64_t n) {
  const host_count before = host_counts();
  test_at("%s with its allocation number %llu refused", k->name, (unsigned long long)n);
  refusal_now = n;
  host_refuse(n);
  const forge_status status = k->make(x);
  const bool refused = host_has_refused();
  host_refuse(0);
  if (!status) {
    k->undo(x);
  } else {
    CHECK(refused, "%s answers %s (%d) with nothing refused: %s", k->name, rig_status_name(status),
          status, rig_words());
    CHECK(status == FORGE_E_OOM,
          "%s answers %s (%d), not E_OOM, when host allocation number %llu is refused", k->name,
          rig_status_name(status), status, (unsigned long long)n);
    const host_count after = host_counts();
    CHECK(after.blocks <= before.blocks,
          "%s keeps %llu block(s) of host memory when allocation number %llu is refused", k->name,
          (unsigned long long)(after.blocks - before.blocks), (unsigned long long)n);
  }
  still_works(x);
  return !refused;
}

static void host_runs_out(const void *arg) {
  const kind *k = arg;
  trial *x = open_trial();
  still_works(x);
  still_works(x); /* what is kept for later is there now */
  uint64_t n = 1;
  while (n <= MOST_REFUSALS && !refuse_nth(x, k, n)) n++;
  test_note("%s makes %llu host allocations", k->name, (unsigned long long)n - 1);
  close_trial(x);
}

/* ---- the device's memory ---- */

enum { MOST_BLOCKS = 64 };

/* A device whose memory is the host's is given a limit, so that the machine is not filled. */
static uint64_t limit_host(rig *r) {
  forge_dev_info info = {.size = sizeof info};
  rig_expect(rig_table()->dev_info(test_set.device, &info), "dev_info");
  (void)r;
  if (info.type != FORGE_DEVICE_CPU && info.mem_total) return info.mem_total / 16;
  host_limit(host_counts().bytes + (UINT64_C(512) << 20));
  const struct rlimit room = {UINT64_C(4) << 30, UINT64_C(4) << 30};
  if (FORGE_SANITIZER_BUILT == FORGE_SANITIZER_NONE) /* sanitizers map terabytes */
    setrlimit(RLIMIT_AS, &room);
  return UINT64_C(64) << 20;
}

static void device_runs_out(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  const uint64_t one = limit_host(r);
  forge_mem *kept = rig_alloc(r, 4096), *mem[MOST_BLOCKS] = {NULL};
  forge_mem_out info = {.size = sizeof info};
  const forge_mem_desc desc = {
      .size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = one, .align = 256};
  forge_status status = FORGE_OK;
  int n = 0;
  work_put(r, kept, 4096, 1);
  for (; n < MOST_BLOCKS; n++)
    if ((status = rig_table()->mem_alloc(r->dev, &desc, &mem[n], &info))) break;
  if (n == MOST_BLOCKS)
    test_skip("%d blocks of %llu MiB did not exhaust the device", n, (unsigned long long)one >> 20);
  CHECK(status == FORGE_E_OOM, "mem_alloc of a full device answers %s (%d), not E_OOM",
        rig_status_name(status), status);
  work_expect(r, kept, 4096, 1, "a block after the device was full");
  for (int again = 0; again < 3 && n > 0; again++) {
    rig_free_mem(r, mem[n - 1]);
    rig_expect(rig_table()->mem_alloc(r->dev, &desc, &mem[n - 1], &info),
               "mem_alloc of what was freed just now");
  }
  for (int i = 0; i < n; i++) rig_free_mem(r, mem[i]);
  work_expect(r, kept, 4096, 1, "a block after the device was emptied again");
  rig_free_mem(r, kept);
  rig_close(r);
}

void chapter_shortage(test_list *list) {
  static const kind kinds[] = {
      {"dev_open", open_device, close_device},    {"queue_create", make_queue, end_queue},
      {"tl_create", make_timeline, end_timeline}, {"mem_alloc", make_block, end_block},
      {"op_support", ask_support, undo_nothing},  {"prog_create", make_program, end_program},
      {"submit", run_program, undo_nothing},      {"copy", run_copy, undo_nothing}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    char id[64];
    snprintf(id, sizeof id, "memory.shortage.%s", kinds[i].name);
    TEST_OF(list, id, host_runs_out, &kinds[i], FB_M6);
  }
  TEST_WITH(list, "memory.device_full", device_runs_out, NULL, TEST_ALONE, 60, FB_M7);
}
