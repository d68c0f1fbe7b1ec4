/* fault.c -- a layer that makes things go wrong on purpose: refused calls, memory that is out, work
 * that comes late or fails, wrong results, a device that is gone. The same seed does the same
 * again, and everything done is logged. rules.c: when; time.c: timelines; work.c: submit and copy;
 * here: the rest of the slots. */
#include "fault.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

forge_status fault_check_lost(fdev *d) {
  if (!atomic_load(&d->lost)) return FORGE_OK;
  return kit_fail(d->w.host, FORGE_E_DEVICE_LOST,
                  "the device is gone, as the layer fault was told");
}

void fault_lose(fdev *d) {
  if (!atomic_exchange(&d->lost, 1)) time_lose(d);
}

static void sleep_ns(uint64_t ns) {
  const struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u),
                             .tv_nsec = (long)(ns % 1000000000u)};
  nanosleep(&t, NULL);
}

forge_status fault_call(fdev *d, uint32_t call) {
  uint64_t count = 0, random = 0;
  const char *name = rules_call_name(call);
  const rule *r = rules_strike(&d->rules, call, &count, &random);
  const forge_status lost = fault_check_lost(d);
  if (lost || !r) return lost;
  kit_log(kit_host, FORGE_LOG_WARN, "%s %llu on %s (%s, seed %llu)", name,
          (unsigned long long)count, d->w.name, r->text, (unsigned long long)d->rules.seed);
  if (r->what == DO_DELAY)
    sleep_ns(r->least_ns +
             (r->most_ns > r->least_ns ? random % (r->most_ns - r->least_ns + 1) : 0));
  if (r->what == DO_LOSE) fault_lose(d);
  if (r->what == DO_LOSE) return fault_check_lost(d);
  if (r->what != DO_STATUS) return FORGE_OK;
  return kit_fail(d->w.host, r->status, "injected by the layer fault (rule %s)", r->text);
}

/* ---- slots ---- */

static forge_status f_dev_query(forge_dev *dev, uint32_t key, uint64_t arg, forge_value *out) {
  fdev *d = fdev_of(wrap_of_dev(dev));
  const forge_status st = fault_call(d, CALL_DEV_QUERY);
  return st ? st : d->w.inner->dev_query(d->w.dev, key, arg, out);
}

static forge_status f_mem_alloc(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                                forge_mem_out *info) {
  fdev *d = fdev_of(wrap_of_dev(dev));
  const forge_status st = fault_call(d, CALL_MEM_ALLOC);
  return st ? st : d->w.inner->mem_alloc(d->w.dev, desc, out, info);
}

static forge_status f_queue_create(forge_dev *dev, uint32_t kind, int32_t priority,
                                   forge_queue **out) {
  const forge_status st = fault_call(fdev_of(wrap_of_dev(dev)), CALL_QUEUE_CREATE);
  return st ? st : wrap_queue_create(dev, kind, priority, out);
}

static forge_status f_op_support(forge_dev *dev, const forge_prog_desc *desc, forge_support *out) {
  fdev *d = fdev_of(wrap_of_dev(dev));
  const forge_status st = fault_call(d, CALL_OP_SUPPORT);
  return st ? st : d->w.inner->op_support(d->w.dev, desc, out);
}

static forge_status f_import(forge_dev *dev, void *host, uint64_t bytes, uint32_t writable,
                             forge_mem **out, forge_mem_out *info) {
  fdev *d = fdev_of(wrap_of_dev(dev));
  const forge_status st = fault_call(d, CALL_IMPORT);
  return st ? st : d->w.hostreg->import(d->w.dev, host, bytes, writable, out, info);
}

static void f_release(forge_dev *dev, forge_mem *mem) {
  const fdev *d = fdev_of(wrap_of_dev(dev));
  d->w.hostreg->release(d->w.dev, mem);
}

static const forge_block_hostreg_v0 hostreg = {
    .n_slots = 2, .import = f_import, .release = f_release};

static void f_dev_close(forge_dev *dev) {
  fdev *d = fdev_of(wrap_of_dev(dev));
  if (!d) return;
  time_finish(d);
  if (d->own_tl) d->w.inner->tl_destroy(d->own_tl);
  pthread_cond_destroy(&d->moved);
  pthread_mutex_destroy(&d->lock);
  pthread_mutex_destroy(&d->own_lock);
  wrap_dev_close(dev);
}

/* ---- opening ---- */

static void nobody(forge_listener *self, uint64_t value, forge_status status) {
  (void)self;
  (void)value;
  (void)status;
}
static forge_listener deaf = {nobody};

static void set_slots(forge_backend_v1 *t) {
  t->dev_close = f_dev_close;
  t->dev_query = f_dev_query;
  t->mem_alloc = f_mem_alloc;
  t->queue_create = f_queue_create;
  t->op_support = f_op_support;
  t->tl_create = f_tl_create;
  t->tl_destroy = f_tl_destroy;
  t->tl_query = f_tl_query;
  t->tl_wait = f_tl_wait;
  t->prog_create = f_prog_create;
  t->prog_destroy = f_prog_destroy;
  t->submit = f_submit;
  t->copy = f_copy;
}

static void make_clock(fdev *d) {
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_mutex_init(&d->lock, NULL);
  pthread_mutex_init(&d->own_lock, NULL);
  pthread_cond_init(&d->moved, &attr);
  pthread_condattr_destroy(&attr);
}

static forge_status f_open(const forge_layer_open *in, forge_layer_device *out) {
  fdev *d = (fdev *)(void *)wrap_open(in, sizeof *d);
  if (!d) return kit_fail(in->host, FORGE_E_OOM, "fault: no host memory");
  forge_status st = rules_parse(kit_option(in->options, "rules", ""),
                                kit_option_u64(in->options, "seed", 1), &d->rules, in->host);
  if (!st) st = d->w.inner->tl_create(d->w.dev, 0, (uint64_t)(uintptr_t)&deaf, &d->own_tl);
  if (st) {
    kit_free(d);
    return st;
  }
  d->w.tl_bytes = sizeof(ftl);
  d->w.prog_bytes = sizeof(fprog);
  make_clock(d);
  set_slots(&d->w.table);
  wrap_answer(&d->w, out);
  return FORGE_OK;
}

static const forge_layer_v1 table = {
    .n_slots = FORGE_LAYER_SLOTS, .open = f_open, .block = wrap_block};

FORGE_BACKEND_ENTRY forge_status forge_layer_entry_v1(const forge_layer_hello *hello,
                                                      forge_layer_reply *reply) {
  wrap_hostreg = &hostreg;
  return kit_greet(hello, reply, "fault", &table) ? FORGE_OK : FORGE_E_ABI;
}
