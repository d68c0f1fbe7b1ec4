/* backend.c -- device, memory, queues, timelines and the table. The device is the host itself: its
 * memory is host memory, and work is done when submit() returns. Comments say what a backend for
 * real hardware does at the same place. Read forge/backend.h beside this file. */
#define _POSIX_C_SOURCE 200809L /* clocks, whatever -std says */
#include "backend.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* The core's services: set by the entry, alive until shutdown() returned. */
static const forge_host *host;

struct forge_queue {
  forge_dev *dev;
};

struct forge_tl {
  forge_dev *dev;
  uint64_t value, cookie; /* cookie: what tl_notify() wants to hear */
  forge_status failed;    /* for good */
};

forge_status fail(forge_status status, const char *format, ...) {
  char text[256];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  const forge_error error = {.size = sizeof error,
                             .scope = status == FORGE_E_DEVICE_LOST ? FORGE_SCOPE_DEVICE
                                                                    : FORGE_SCOPE_CALL,
                             .code = status,
                             .msg = text,
                             .op_index = FORGE_OP_INDEX_UNKNOWN};
  host->report(host->ctx, &error); /* with hardware: native_domain and native_code as well */
  return status;
}

void *zalloc(size_t bytes) {
  void *p = host->alloc(host->ctx, bytes ? bytes : 1, 0);
  if (p) return memset(p, 0, bytes);
  fail(FORGE_E_OOM, "template: no host memory for %zu bytes", bytes);
  return NULL;
}

void release(void *p) { host->free(host->ctx, p); }

/* ---- backend ---- */

/* How many devices, without a context and without a thread. A driver that is not installed is not
 * an error: answer 0 devices and say in why_not what is missing and what to do. */
static forge_status probe(forge_probe *out) {
  out->n_devices = 1;
  out->driver = "host loops 1.0";
  return FORGE_OK;
}

static void shutdown(void) {} /* joins the threads that belong to no device: none */

/* ---- device ---- */

/* Identity matters: two backends that drive one chip are told apart from two chips by uuid or PCI
 * address. This device is no hardware of its own, so it has neither. */
static forge_status dev_info(uint32_t ordinal, forge_dev_info *out) {
  if (ordinal) return fail(FORGE_E_INVALID, "template: there is no device %" PRIu32, ordinal);
  out->type = FORGE_DEVICE_ACCELERATOR;
  out->pci_bdf = 0xFFFFFFFF;
  out->numa = -1;
  snprintf(out->name, sizeof out->name, "template on host memory");
  return FORGE_OK;
}

/* Options come as key, value, .. NULL, checked against the manifest's [option ..] sections. Here
 * hardware makes its context, and threads if it needs any; dev_close() ends both. */
static forge_status dev_open(uint32_t ordinal, const char *const *options, forge_dev **out) {
  if (ordinal) return fail(FORGE_E_INVALID, "template: there is no device %" PRIu32, ordinal);
  if (options && *options)
    return fail(FORGE_E_INVALID, "template: there is no option '%s'", *options);
  forge_dev *dev = zalloc(sizeof *dev);
  if (!dev) return FORGE_E_OOM;
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&dev->changed, &attr);
  pthread_condattr_destroy(&attr);
  pthread_mutex_init(&dev->lock, NULL);
  *out = dev;
  return FORGE_OK;
}

static void dev_close(forge_dev *dev) {
  if (!dev) return;
  pthread_cond_destroy(&dev->changed);
  pthread_mutex_destroy(&dev->lock);
  release(dev);
}

static forge_status dev_query(forge_dev *dev, uint32_t key, uint64_t arg, forge_value *out) {
  (void)dev;
  (void)arg;
  if (key != FORGE_QUERY_HOST_VISIBLE)
    return fail(FORGE_E_UNSUPPORTED, "template: no answer to query %" PRIu32, key);
  *out = (forge_value){.kind = FORGE_VALUE_U64, .status = FORGE_KNOWN, .v.u = 1};
  return FORGE_OK;
}

static bool is_lost(forge_dev *dev) {
  pthread_mutex_lock(&dev->lock);
  const bool lost = dev->lost;
  pthread_mutex_unlock(&dev->lock);
  return lost;
}

forge_status check_alive(forge_dev *dev) {
  return is_lost(dev) ? fail(FORGE_E_DEVICE_LOST, "template: the device is gone; close it")
                      : FORGE_OK;
}

/* Block TESTING: what the driver's "device removed" would do. Hardware also ends the work that is
 * under way; here a submit in another thread sees it when its program is done. */
static forge_status lose(forge_dev *dev) {
  pthread_mutex_lock(&dev->lock);
  dev->lost = true;
  pthread_cond_broadcast(&dev->changed);
  pthread_mutex_unlock(&dev->lock);
  return FORGE_OK;
}

static forge_status get_block(uint32_t id, uint32_t minor, const void **out_table) {
  static const forge_block_testing_v0 testing = {.n_slots = 1, .lose = lose};
  if (id != FORGE_BLOCK_TESTING || minor)
    return fail(FORGE_E_UNSUPPORTED, "template: no block %" PRIu32 " minor %" PRIu32, id, minor);
  *out_table = &testing;
  return FORGE_OK;
}

/* ---- memory: big blocks only; the core cuts them up, caches them and keeps the limit ---- */

static forge_status mem_check(const forge_mem_desc *desc) {
  if (desc->flags || desc->export_caps)
    return fail(FORGE_E_UNSUPPORTED, "template: unknown flags of a memory block");
  if (desc->kind < FORGE_MEM_DEVICE || desc->kind > FORGE_MEM_HOST_SHARED)
    return fail(FORGE_E_INVALID, "template: no memory of kind %" PRIu32, desc->kind);
  if (!desc->bytes || desc->align & (desc->align - 1))
    return fail(FORGE_E_INVALID, "template: a block of %" PRIu64 " bytes aligned to %" PRIu64,
                desc->bytes, desc->align);
  return FORGE_OK;
}

static forge_status mem_alloc(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                              forge_mem_out *info) {
  forge_status status = check_alive(dev);
  if (!status) status = mem_check(desc);
  if (status) return status;
  forge_mem *mem = zalloc(sizeof *mem);
  if (!mem) return FORGE_E_OOM;
  const uint64_t align = desc->align > 64 ? desc->align : 64;
  mem->bytes = desc->bytes;
  if (desc->bytes < SIZE_MAX / 2) mem->data = host->alloc(host->ctx, desc->bytes, align);
  if (!mem->data) {
    release(mem);
    return fail(FORGE_E_OOM, "template: no memory for %" PRIu64 " bytes", desc->bytes);
  }
  info->host_ptr = mem->data; /* hardware the host cannot see into answers NULL */
  info->dev_addr = (uintptr_t)mem->data;
  info->granularity = 4096;
  *out = mem;
  return FORGE_OK;
}

static void mem_free(forge_dev *dev, forge_mem *mem) {
  (void)dev;
  if (!mem) return;
  release(mem->data);
  release(mem);
}

forge_status check_range(const forge_bind *b) {
  if (b->mem && b->off <= b->mem->bytes && b->len <= b->mem->bytes - b->off) return FORGE_OK;
  return fail(FORGE_E_INVALID, "template: bytes %" PRIu64 " + %" PRIu64 " are not in the block",
              b->off, b->len);
}

/* ---- timelines. Hardware with streams and events gets all of this from forge/timeline.h ---- */

static forge_status tl_create(forge_dev *dev, uint64_t initial, uint64_t cookie, forge_tl **out) {
  const forge_status status = check_alive(dev);
  if (status) return status;
  if (!(*out = zalloc(sizeof **out))) return FORGE_E_OOM;
  **out = (forge_tl){.dev = dev, .value = initial, .cookie = cookie};
  return FORGE_OK;
}

/* No tl_notify() may be under way afterwards. Here it is called within submit() and copy() alone,
 * and the core destroys nothing that a call in progress names; with a thread of your own that
 * signals, wait for it here. */
static void tl_destroy(forge_tl *tl) { release(tl); }

static forge_status tl_query(forge_tl *tl, uint64_t *out_value) {
  pthread_mutex_lock(&tl->dev->lock);
  const forge_status failed = tl->failed;
  *out_value = tl->value;
  pthread_mutex_unlock(&tl->dev->lock);
  return failed ? fail(failed, "template: the timeline failed") : FORGE_OK;
}

static struct timespec deadline_after(uint64_t ns) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  const uint64_t nsec = (uint64_t)t.tv_nsec + ns % 1000000000;
  t.tv_sec += (time_t)(ns / 1000000000 + nsec / 1000000000);
  t.tv_nsec = (long)(nsec % 1000000000);
  return t;
}

/* Sleeps; hardware sleeps in its driver, or until its interrupt thread signals. A value reached
 * before the failure counts as reached. */
static forge_status tl_wait(forge_tl *tl, uint64_t value, uint64_t timeout_ns) {
  forge_dev *dev = tl->dev;
  const bool forever = timeout_ns > UINT64_MAX / 4; /* or the clock's seconds overflow */
  const struct timespec until = deadline_after(forever ? 0 : timeout_ns);
  bool late = timeout_ns == 0;
  pthread_mutex_lock(&dev->lock);
  while (tl->value < value && !tl->failed && !dev->lost && !late) {
    if (forever)
      pthread_cond_wait(&dev->changed, &dev->lock);
    else
      late = pthread_cond_timedwait(&dev->changed, &dev->lock, &until) == ETIMEDOUT;
  }
  const bool reached = tl->value >= value;
  const forge_status failed = tl->failed ? tl->failed : dev->lost ? FORGE_E_DEVICE_LOST : FORGE_OK;
  pthread_mutex_unlock(&dev->lock);
  if (reached) return FORGE_OK;
  return failed ? fail(failed, "template: the timeline failed before %" PRIu64, value)
                : FORGE_E_TIMEOUT;
}

/* Raises the timeline, or fails it for good, and tells the core, which may not be called under a
 * lock that the table's functions take. */
static void settle(const forge_point *p, forge_status status) {
  forge_tl *tl = p->tl;
  forge_dev *dev = tl->dev;
  pthread_mutex_lock(&dev->lock);
  const uint64_t cookie = tl->cookie;
  const bool news = !tl->failed && (status || tl->value < p->value);
  if (news && status) tl->failed = status;
  if (news && !status) tl->value = p->value;
  if (news) pthread_cond_broadcast(&dev->changed);
  pthread_mutex_unlock(&dev->lock);
  if (news) host->tl_notify(host->ctx, cookie, p->value, status);
}

/* ---- queues. Calls on one queue come one after another; different queues run side by side ---- */

static forge_status queue_create(forge_dev *dev, uint32_t kind, int32_t priority,
                                 forge_queue **out) {
  (void)priority;
  const forge_status status = check_alive(dev);
  if (status) return status;
  if (kind != FORGE_QUEUE_COMPUTE && kind != FORGE_QUEUE_COPY)
    return fail(FORGE_E_INVALID, "template: no queue of kind %" PRIu32, kind);
  if (!(*out = zalloc(sizeof **out))) return FORGE_E_OOM;
  (*out)->dev = dev;
  return FORGE_OK;
}

static void queue_destroy(forge_queue *queue) { release(queue); }

/* Before the work: another queue's may have to be done. Hardware gives this wait to its stream, and
 * submit() returns. */
static forge_status begin(forge_queue *queue, const forge_submit *order) {
  forge_status status = FORGE_OK;
  for (uint32_t i = 0; order && i < order->n_wait && !status; i++)
    status = tl_wait(order->wait[i].tl, order->wait[i].value, FORGE_WAIT_FOREVER);
  return status ? status : check_alive(queue->dev);
}

/* After it: all signals are reached, or fail together. */
static forge_status finish(forge_queue *queue, const forge_submit *order, forge_status status) {
  if (!status) status = check_alive(queue->dev);
  for (uint32_t i = 0; order && i < order->n_signal; i++) settle(&order->signal[i], status);
  return status;
}

/* Hardware launches the program's kernels here and returns while they run. */
static forge_status submit(forge_queue *queue, forge_prog *prog, const forge_submit *order) {
  forge_status status = prog_check(prog, order);
  if (status) return status;
  status = begin(queue, order);
  if (!status) prog_run(prog, order);
  return finish(queue, order, status);
}

static forge_status copy_check(const forge_copy *c) {
  const bool reads = c->kind == FORGE_COPY_TO_HOST || c->kind == FORGE_COPY_ON_DEVICE;
  const bool writes = c->kind != FORGE_COPY_TO_HOST;
  const bool hosted = c->kind == FORGE_COPY_TO_DEVICE || c->kind == FORGE_COPY_TO_HOST;
  forge_status status = FORGE_OK;
  if (c->kind < FORGE_COPY_TO_DEVICE || c->kind > FORGE_COPY_FILL)
    return fail(FORGE_E_INVALID, "template: no copy of kind %" PRIu32, c->kind);
  if (hosted && !c->host && (writes ? c->dst.len : c->src.len))
    return fail(FORGE_E_INVALID, "template: a copy from or to no host memory");
  if (reads && writes && c->src.len != c->dst.len)
    return fail(FORGE_E_INVALID, "template: %" PRIu64 " bytes are copied to %" PRIu64, c->src.len,
                c->dst.len);
  if (reads) status = check_range(&c->src);
  if (writes && !status) status = check_range(&c->dst);
  return status;
}

static void copy_one(const forge_copy *c) {
  const bool reads = c->kind == FORGE_COPY_TO_HOST || c->kind == FORGE_COPY_ON_DEVICE;
  const bool writes = c->kind != FORGE_COPY_TO_HOST;
  uint8_t *to = writes ? c->dst.mem->data + c->dst.off : c->host;
  const uint8_t *from = reads ? c->src.mem->data + c->src.off : c->host;
  const uint64_t bytes = writes ? c->dst.len : c->src.len;
  if (!bytes) return;
  if (c->kind == FORGE_COPY_FILL)
    memset(to, (int)(c->pattern & 0xFF), bytes);
  else
    memcpy(to, from, bytes);
}

static forge_status copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                         const forge_submit *order) {
  forge_status status = FORGE_OK;
  if (order && order->flags) return fail(FORGE_E_UNSUPPORTED, "template: unknown flags of a copy");
  for (uint32_t i = 0; i < n; i++)
    if ((status = copy_check(&copies[i]))) return status; /* before anything is written */
  status = begin(queue, order);
  for (uint32_t i = 0; i < n && !status; i++) copy_one(&copies[i]);
  return finish(queue, order, status);
}

/* ---- the table and the one exported symbol ---- */

static const forge_backend_v1 table = {
    .n_slots = FORGE_BACKEND_SLOTS,
    .probe = probe,
    .get_block = get_block,
    .shutdown = shutdown,
    .dev_info = dev_info,
    .dev_open = dev_open,
    .dev_close = dev_close,
    .dev_query = dev_query,
    .mem_alloc = mem_alloc,
    .mem_free = mem_free,
    .queue_create = queue_create,
    .queue_destroy = queue_destroy,
    .tl_create = tl_create,
    .tl_destroy = tl_destroy,
    .tl_query = tl_query,
    .tl_wait = tl_wait,
    .op_support = op_support,
    .prog_create = prog_create,
    .prog_destroy = prog_destroy,
    .submit = submit,
    .copy = copy,
};

FORGE_BACKEND_ENTRY forge_status forge_backend_entry_v1(const forge_hello *hello,
                                                        forge_reply *reply) {
  host = hello->host;
  reply->minor_min = 0;
  reply->minor_max = FORGE_ABI_MINOR;
  reply->sanitizer = FORGE_SANITIZER_BUILT;
  reply->layout_id = FORGE_LAYOUT_ID;
  reply->name = "template"; /* as in template.ini */
  reply->vendor = "your name";
  reply->version = "0.1";
  reply->table = &table;
  return FORGE_OK;
}
