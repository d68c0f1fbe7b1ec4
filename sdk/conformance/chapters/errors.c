/* errors.c -- how failures are told: each wrong call here is made once, and what was said is
 * judged. */
#include <string.h>

#include "host.h"
#include "work.h"

/* A device with something of everything to make wrong calls with. */
typedef struct victim {
  rig *r;
  work *w;
  forge_mem *mem;
} victim;

static victim open_victim(void) {
  victim v = {.r = rig_open()};
  v.w = work_small(v.r);
  v.mem = rig_alloc(v.r, v.w->bytes);
  work_put(v.r, v.mem, v.w->bytes, 1);
  return v;
}

static void close_victim(victim *v) {
  rig_free_mem(v->r, v->mem);
  work_free(v->w);
  rig_close(v->r);
}

static forge_status far_device(victim *v) {
  forge_dev *dev = NULL;
  (void)v;
  return rig_table()->dev_open(UINT32_MAX, NULL, &dev);
}
static forge_status far_info(victim *v) {
  forge_dev_info info = {.size = sizeof info};
  (void)v;
  return rig_table()->dev_info(UINT32_MAX, &info);
}
static forge_status huge_block(victim *v) {
  const forge_mem_desc desc = {
      .size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = UINT64_MAX - 5};
  forge_mem_out info = {.size = sizeof info};
  forge_mem *mem = NULL;
  return rig_table()->mem_alloc(rig_device(v->r), &desc, &mem, &info);
}
static forge_status flagged_block(victim *v) {
  const forge_mem_desc desc = {
      .size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = 64, .flags = 1u << 30};
  forge_mem_out info = {.size = sizeof info};
  forge_mem *mem = NULL;
  return rig_table()->mem_alloc(rig_device(v->r), &desc, &mem, &info);
}
static forge_status odd_queue(victim *v) {
  forge_queue *queue = NULL;
  return rig_table()->queue_create(rig_device(v->r), 99, 0, &queue);
}
static forge_status bad_program(victim *v, uint32_t flags, uint16_t op) {
  rig_tensor *t[2];
  rig_program *p = work_describe(v->r, 16, t);
  forge_prog *prog = NULL;
  forge_prog_out info = {.size = sizeof info};
  p->desc.flags = flags;
  if (op) ((forge_op *)(void *)p->record)->op = op;
  const forge_status status = rig_table()->prog_create(rig_device(v->r), &p->desc, &prog, &info);
  rig_free(t[0]);
  rig_free(t[1]);
  free(p);
  return status;
}
static forge_status flagged_program(victim *v) { return bad_program(v, 1u << 30, 0); }
static forge_status unknown_op(victim *v) { return bad_program(v, 0, 63); }
static forge_status unbound_submit(victim *v) {
  const forge_submit s = work_order(NULL, 0, NULL, 0);
  return rig_table()->submit(rig_queue(v->r), v->w->prog, &s);
}
static forge_status flagged_submit(victim *v) {
  forge_submit s = work_order(NULL, 0, NULL, 0);
  s.flags = 1u << 30;
  return work_submit(v->w, rig_queue(v->r), v->mem, v->mem, &s);
}
static forge_status outside_copy(victim *v) {
  const forge_copy c = {.kind = FORGE_COPY_FILL, .dst = {v->mem, v->w->bytes - 1, 2}};
  return rig_table()->copy(rig_queue(v->r), &c, 1, NULL);
}
static forge_status odd_copy(victim *v) {
  const forge_copy c = {.kind = 99, .dst = {v->mem, 0, 1}, .src = {v->mem, 2, 1}};
  return rig_table()->copy(rig_queue(v->r), &c, 1, NULL);
}

static const struct {
  const char *name;
  forge_status (*make)(victim *v);
} wrongs[] = {{"dev_open of device 2^32-1", far_device},
              {"dev_info of device 2^32-1", far_info},
              {"mem_alloc of nearly 2^64 bytes", huge_block},
              {"mem_alloc with an unknown flag", flagged_block},
              {"queue_create of kind 99", odd_queue},
              {"prog_create with an unknown flag", flagged_program},
              {"prog_create with an unknown op", unknown_op},
              {"submit without the bindings", unbound_submit},
              {"submit with an unknown flag", flagged_submit},
              {"copy that leaves its block", outside_copy},
              {"copy of kind 99", odd_copy}};
enum { WRONGS = sizeof wrongs / sizeof *wrongs };

static void reported(const void *arg) {
  (void)arg;
  victim v = open_victim();
  for (int i = 0; i < WRONGS; i++) {
    test_at("%s", wrongs[i].name);
    const forge_status status = wrongs[i].make(&v);
    const rig_last_call *last = rig_last();
    CHECK(status < 0, "%s answers %d, no failure", wrongs[i].name, status);
    CHECK(last->reports > 0, "%s answers %s and reports nothing", wrongs[i].name,
          rig_status_name(status));
    CHECK(last->reports == 1, "%s reports %u times: once is right", wrongs[i].name, last->reports);
    CHECK(last->code == status || !last->msg[0], "%s answers %s and reports %s", wrongs[i].name,
          rig_status_name(status), rig_status_name(last->code));
  }
  close_victim(&v);
}

static void words(const void *arg) {
  (void)arg;
  victim v = open_victim();
  for (int i = 0; i < WRONGS; i++) {
    test_at("%s", wrongs[i].name);
    wrongs[i].make(&v);
    CHECK(!host_report_fault(), "%s: the record given to report() is wrong: %s", wrongs[i].name,
          host_report_fault());
  }
  close_victim(&v);
}

/* A status the registry knows, and never a positive number. */
static void numbers(const void *arg) {
  (void)arg;
  victim v = open_victim();
  for (int i = 0; i < WRONGS; i++) {
    const forge_status status = wrongs[i].make(&v);
    CHECK(!strncmp(rig_status_name(status), "E_", 2), "%s answers %d: %s", wrongs[i].name, status,
          rig_status_name(status));
  }
  close_victim(&v);
}

static void success_is_silent(const void *arg) {
  (void)arg;
  victim v = open_victim();
  forge_mem *out = rig_alloc(v.r, v.w->bytes);
  work_run(v.w, v.mem, out);
  rig_finish(v.r);
  work_expect(v.r, out, v.w->bytes, 1, "work");
  CHECK(rig_table()->tl_wait(rig_timeline(v.r), UINT64_MAX / 2, 0) == FORGE_E_TIMEOUT,
        "a wait of no time for what is not reached is not E_TIMEOUT");
  CHECK(host_all_reports() == 0, "calls that succeed made %u reports, the last: %s",
        host_all_reports(), rig_words());
  rig_free_mem(v.r, out);
  close_victim(&v);
}

/* After all wrong calls, twice, everything still works. */
static void nothing_is_broken(const void *arg) {
  (void)arg;
  victim v = open_victim();
  forge_mem *out = rig_alloc(v.r, v.w->bytes);
  for (int i = 0; i < 2 * WRONGS; i++) {
    test_at("after %s", wrongs[i % WRONGS].name);
    wrongs[i % WRONGS].make(&v);
    work_put(v.r, out, v.w->bytes, 999);
    work_run(v.w, v.mem, out);
    rig_finish(v.r);
    work_expect(v.r, out, v.w->bytes, 1, "work after a refused call");
  }
  rig_free_mem(v.r, out);
  close_victim(&v);
}

void chapter_errors(test_list *list) {
  TEST(list, "errors.reported_once", reported, FB_E1);
  TEST(list, "errors.words", words, FB_E2);
  TEST(list, "errors.numbers", numbers, FB_E1, FB_E5);
  TEST(list, "errors.success_is_silent", success_is_silent, FB_E3);
  TEST(list, "errors.nothing_is_broken", nothing_is_broken, FB_E6);
}
