/* rig.c -- see rig.h: the open device, its memory, and waiting. Programs are in rig_run.c. */
#include "rig.h"

#include <stdio.h>
#include <string.h>

#include "host.h"
#include "plugin.h"
#include "rig_parts.h"

const char *rig_status_name(forge_status status) {
  switch (status) {
#define NAME(name, number, text)                                                                   \
  case number: return #name;
    FORGE_STATUS_MAP(NAME)
#undef NAME
  default: return status > 0 ? "a positive number" : "an unknown number";
  }
}

const char *rig_op_name(uint16_t op) {
  switch (op) {
#define NAME(name, number, cls, inputs, outputs, text)                                             \
  case number: return #name;
    FORGE_OP_MAP(NAME)
#undef NAME
  default: return "unknown op";
  }
}

const char *rig_reason_name(uint8_t reason) {
  static const char *const names[] = {"no reason", "OP",         "DTYPE",   "SHAPE",
                                      "STRIDES",   "ATTRIBUTES", "HARDWARE"};
  return reason < sizeof names / sizeof *names ? names[reason] : "an unknown reason";
}

void rig_expect(forge_status status, const char *what) {
  if (status)
    test_fail("%s answers %s (%d): %s", what, rig_status_name(status), status, rig_words());
}

static const char *const *join_options(const char *const *more, const char **out) {
  unsigned n = 0;
  for (const char *const *o = test_set.options; o && *o && n < RIG_MOST_OPTIONS; o++) out[n++] = *o;
  for (; more && *more && n < RIG_MOST_OPTIONS; more++) out[n++] = *more;
  out[n] = NULL;
  return n ? out : NULL;
}

forge_status rig_open_device(const char *const *more, forge_dev **out) {
  const char *options[RIG_MOST_OPTIONS + 1];
  return rig_table()->dev_open(test_set.device, join_options(more, options), out);
}

static void find_device(void) {
  forge_probe probe = {.size = sizeof probe};
  rig_expect(rig_table()->probe(&probe), "probe");
  if (!probe.n_devices)
    test_skip("there is no device: %s", probe.why_not ? probe.why_not : "(no reason given)");
  if (test_set.device >= probe.n_devices)
    test_skip("there is no device %u, only %u", test_set.device, probe.n_devices);
}

rig *rig_open_with(const char *const *more) {
  rig *r = rig_zalloc(sizeof *r);
  find_device();
  rig_expect(rig_open_device(more, &r->dev), "dev_open");
  rig_expect(rig_table()->queue_create(r->dev, FORGE_QUEUE_COMPUTE, 0, &r->queue), "queue_create");
  rig_expect(rig_table()->tl_create(r->dev, 0, RIG_COOKIE, &r->tl), "tl_create");
  CHECK(r->dev && r->queue && r->tl, "a create function answered OK and gave NULL");
  return r;
}

rig *rig_open(void) { return rig_open_with(NULL); }

void rig_close(rig *r) {
  if (!r) return;
  const forge_backend_v1 *t = rig_table();
  rig_finish(r);
  t->mem_free(r->dev, r->arena);
  t->queue_destroy(r->queue);
  t->tl_destroy(r->tl);
  t->dev_close(r->dev);
  free(r);
  host_check();
}

forge_dev *rig_device(const rig *r) { return r->dev; }
forge_queue *rig_queue(const rig *r) { return r->queue; }
forge_tl *rig_timeline(rig *r) { return r->tl; }
uint64_t rig_next_value(rig *r) { return ++r->value; }

/* ---- memory and copies ---- */

forge_mem *rig_alloc(rig *r, uint64_t bytes) {
  const forge_mem_desc desc = {
      .size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = bytes, .align = RIG_ALIGN};
  forge_mem_out info = {.size = sizeof info};
  forge_mem *mem = NULL;
  const forge_status status = rig_table()->mem_alloc(r->dev, &desc, &mem, &info);
  if (status == FORGE_E_OOM && bytes > RIG_LARGE)
    test_skip("the device has no %llu bytes", (unsigned long long)bytes);
  rig_expect(status, "mem_alloc");
  CHECK(mem, "mem_alloc answered OK and gave NULL");
  return mem;
}

void rig_free_mem(rig *r, forge_mem *mem) { rig_table()->mem_free(r->dev, mem); }

void rig_wait_for(rig *r, uint64_t value, const char *what) {
  const double seconds = RIG_PATIENCE * test_set.slow;
  const forge_status status = rig_table()->tl_wait(r->tl, value, (uint64_t)(seconds * 1e9));
  if (status == FORGE_E_TIMEOUT)
    test_fail("%s: its timeline did not reach %llu within %.0f s", what, (unsigned long long)value,
              seconds);
  if (status)
    test_fail("%s: its timeline failed with %s (%d): %s", what, rig_status_name(status), status,
              rig_words());
}

void rig_finish(rig *r) {
  if (r->value) rig_wait_for(r, r->value, "the work submitted");
}

forge_status rig_copy(rig *r, const forge_copy *copies, uint32_t n) {
  const forge_point done = {r->tl, r->value + 1};
  const forge_submit order = {.size = sizeof order, .n_signal = 1, .signal = &done};
  const forge_status status = rig_table()->copy(r->queue, copies, n, &order);
  if (!status) r->value++;
  return status;
}

void rig_put(rig *r, forge_mem *mem, uint64_t off, const void *host, uint64_t bytes) {
  const forge_copy c = {
      .kind = FORGE_COPY_TO_DEVICE, .dst = {mem, off, bytes}, .host = (void *)(uintptr_t)host};
  rig_expect(rig_copy(r, &c, 1), "copy to the device");
  rig_wait_for(r, r->value, "copy to the device");
}

void rig_fetch(rig *r, forge_mem *mem, uint64_t off, void *host, uint64_t bytes) {
  const forge_copy c = {.kind = FORGE_COPY_TO_HOST, .src = {mem, off, bytes}, .host = host};
  rig_expect(rig_copy(r, &c, 1), "copy to the host");
  rig_wait_for(r, r->value, "copy to the host");
}
