/* null.c -- a whole backend that does nothing. To begin one for hardware: `forge plugin new`.
 *
 * It accepts every program and does nothing when one is run; memory is the host's, copies are real,
 * timelines are reached at once. So it measures what the core itself costs, and shows in one file
 * what every slot must do. Read abi/forge/backend.h beside it; the comments here say what a backend
 * for real hardware does at the same place.
 *
 * It sees abi/forge alone and exports one symbol. Nothing of the core is linked. */
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <forge/backend.h>

/* The core's services: set by the entry, alive until shutdown() returned. */
static const forge_host *host;

/* ---- objects: what the core holds pointers to, and never looks into ---- */

struct forge_dev {
  uint32_t ordinal;
  _Atomic bool lost; /* block TESTING asked for it */
};
struct forge_mem {
  uint64_t bytes;
  uint8_t *data;
};
struct forge_queue {
  forge_dev *dev;
};
struct forge_prog {
  uint32_t n_bind, n_scalars;
};
struct forge_tl {
  forge_dev *dev;
  _Atomic uint64_t value;
  uint64_t cookie; /* what tl_notify() wants to hear */
};

/* The only error channel: says why, once, before the call returns the status. */
static forge_status fail(forge_status status, const char *msg) {
  const forge_error error = {.size = sizeof error,
                             .scope = FORGE_SCOPE_CALL,
                             .code = status,
                             .msg = msg,
                             .op_index = FORGE_OP_INDEX_UNKNOWN};
  host->report(host->ctx, &error);
  return status;
}

/* Host memory comes from the core, so that one place accounts for it. */
static void *zalloc(size_t bytes) {
  void *p = host->alloc(host->ctx, bytes, 0);
  if (p)
    memset(p, 0, bytes);
  else
    fail(FORGE_E_OOM, "null: no host memory");
  return p;
}

static void release(void *p) { host->free(host->ctx, p); }

/* ---- backend ---- */

/* How many devices, without a context and without a thread. A driver that is not installed is not
 * an error: answer 0 devices and say in why_not what is missing and what to do. */
static forge_status probe(forge_probe *out) {
  out->n_devices = 2; /* two, so that copies between devices can be tried */
  out->driver = "null 1.0";
  return FORGE_OK;
}

/* What a driver's "no such device any more" becomes at every call that needs the hardware. */
static forge_status check(const forge_dev *dev) {
  if (!atomic_load_explicit(&dev->lost, memory_order_relaxed)) return FORGE_OK;
  return fail(FORGE_E_DEVICE_LOST, "null: the device was lost; close it and open it again");
}

/* Nothing is under way when this is called: what was submitted is done. A real backend fails the
 * timelines of the work that has not finished. */
static forge_status lose(forge_dev *dev) {
  atomic_store(&dev->lost, true);
  return FORGE_OK;
}

static const forge_block_testing_v0 testing = {.n_slots = 1, .lose = lose};

static forge_status get_block(uint32_t id, uint32_t minor, const void **out_table) {
  if (id != FORGE_BLOCK_TESTING || minor != 0)
    return fail(FORGE_E_UNSUPPORTED, "null: of the optional blocks there is TESTING minor 0");
  *out_table = &testing;
  return FORGE_OK;
}

static void shutdown(void) {} /* joins the threads probe() was not allowed to make: none */

/* ---- device ---- */

/* Identity matters: two backends that drive one chip are told apart from two chips by uuid or PCI
 * address. This device is no hardware, so it has neither. */
static forge_status dev_info(uint32_t ordinal, forge_dev_info *out) {
  if (ordinal > 1) return fail(FORGE_E_INVALID, "null: there are devices 0 and 1");
  out->type = FORGE_DEVICE_ACCELERATOR;
  out->pci_bdf = 0xFFFFFFFFu;
  out->numa = -1;
  strcpy(out->name, "no hardware, does nothing");
  return FORGE_OK;
}

/* Options come as key, value, .. NULL, already checked against the manifest's [option ..]. */
static forge_status dev_open(uint32_t ordinal, const char *const *options, forge_dev **out) {
  (void)options;
  if (ordinal > 1) return fail(FORGE_E_INVALID, "null: there are devices 0 and 1");
  if (!(*out = zalloc(sizeof **out))) return FORGE_E_OOM;
  (*out)->ordinal = ordinal;
  return FORGE_OK;
}

static void dev_close(forge_dev *dev) { release(dev); }

static forge_status dev_query(forge_dev *dev, uint32_t key, uint64_t arg, forge_value *out) {
  (void)dev;
  (void)arg;
  if (key != FORGE_QUERY_HOST_VISIBLE) return FORGE_E_UNSUPPORTED;
  *out = (forge_value){.kind = FORGE_VALUE_U64, .status = FORGE_KNOWN, .v.u = 1};
  return FORGE_OK;
}

/* ---- memory: big blocks only; the core cuts them up, caches them and keeps the limit ---- */

static forge_status mem_alloc(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                              forge_mem_out *info) {
  const forge_status alive = check(dev);
  if (alive) return alive;
  if (desc->flags || desc->export_caps)
    return fail(FORGE_E_UNSUPPORTED, "null: unknown flags of a memory block");
  forge_mem *mem = zalloc(sizeof *mem);
  if (!mem) return FORGE_E_OOM;
  mem->bytes = desc->bytes;
  mem->data = host->alloc(host->ctx, desc->bytes, desc->align);
  if (!mem->data) {
    release(mem);
    return fail(FORGE_E_OOM, "null: the host has no memory for the block");
  }
  info->host_ptr = mem->data; /* hardware without a host view answers NULL */
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

/* ---- queues and time ---- */

static forge_status queue_create(forge_dev *dev, uint32_t kind, int32_t priority,
                                 forge_queue **out) {
  (void)kind;
  (void)priority;
  const forge_status alive = check(dev);
  if (alive) return alive;
  if (!(*out = zalloc(sizeof **out))) return FORGE_E_OOM;
  (*out)->dev = dev;
  return FORGE_OK;
}

static void queue_destroy(forge_queue *queue) { release(queue); }

static forge_status tl_create(forge_dev *dev, uint64_t initial, uint64_t cookie, forge_tl **out) {
  const forge_status alive = check(dev);
  if (alive) return alive;
  if (!(*out = zalloc(sizeof **out))) return FORGE_E_OOM;
  (*out)->dev = dev;
  (*out)->value = initial;
  (*out)->cookie = cookie;
  return FORGE_OK;
}

static void tl_destroy(forge_tl *tl) { release(tl); }

static forge_status tl_query(forge_tl *tl, uint64_t *out_value) {
  *out_value = atomic_load(&tl->value);
  return atomic_load(&tl->dev->lost) ? FORGE_E_DEVICE_LOST : FORGE_OK;
}

/* Everything submitted is already done, so a value not reached now was not submitted; a real
 * backend sleeps here until its hardware signals. */
static forge_status tl_wait(forge_tl *tl, uint64_t value, uint64_t timeout_ns) {
  (void)timeout_ns;
  if (atomic_load(&tl->value) >= value) return FORGE_OK;
  return atomic_load(&tl->dev->lost) ? FORGE_E_DEVICE_LOST : FORGE_E_TIMEOUT;
}

/* What a submit promised is kept: its timelines rise, and the core hears of it. */
static void signal_all(const forge_submit *order) {
  for (uint32_t i = 0; order && i < order->n_signal; i++) {
    const forge_point *p = &order->signal[i];
    atomic_store_explicit(&p->tl->value, p->value, memory_order_release);
    host->tl_notify(host->ctx, p->tl->cookie, p->value, FORGE_OK);
  }
}

/* ---- work ---- */

/* NATIVE must be true: submit() may not refuse what was promised here. Where a composite has no
 * kernel, answer DECOMPOSED with a reason, and the core sends its primitives instead. */
static forge_status op_support(forge_dev *dev, const forge_prog_desc *desc,
                               forge_support *out_per_op) {
  (void)dev;
  for (uint32_t i = 0; i < desc->n_ops; i++)
    out_per_op[i] = (forge_support){.answer = FORGE_SUPPORT_NATIVE, .rel_cost = 100};
  return FORGE_OK;
}

/* The place to compile, capture or plan: |desc| is borrowed for the call, so keep what submit()
 * needs. The records of desc->ops are walked by their |bytes|. */
static forge_status prog_create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                                forge_prog_out *info) {
  const forge_status alive = check(dev);
  if (alive) return alive;
  if (!(*out = zalloc(sizeof **out))) return FORGE_E_OOM;
  **out = (forge_prog){.n_bind = desc->n_bind, .n_scalars = desc->n_scalars};
  info->workspace_bytes = 0;
  return FORGE_OK;
}

static void prog_destroy(forge_prog *prog) { release(prog); }

/* A real backend waits for submit->wait, runs the program over submit->bind and returns without
 * waiting for the end. Here there is nothing to wait for: whoever signalled did so already. */
static forge_status submit(forge_queue *queue, forge_prog *prog, const forge_submit *order) {
  const forge_status alive = check(queue->dev);
  if (alive) return alive;
  if (order->flags) return fail(FORGE_E_UNSUPPORTED, "null: unknown flags of a submit");
  if (order->n_bind != prog->n_bind || order->n_scalar != prog->n_scalars)
    return fail(FORGE_E_INVALID, "null: not the bindings and scalars of the program");
  signal_all(order);
  return FORGE_OK;
}

static bool is_inside(const forge_bind *b) {
  return b->mem && b->off <= b->mem->bytes && b->len <= b->mem->bytes - b->off;
}

static forge_status copy_one(const forge_copy *c) {
  const bool reads = c->kind == FORGE_COPY_TO_HOST || c->kind == FORGE_COPY_ON_DEVICE;
  const bool writes = c->kind != FORGE_COPY_TO_HOST;
  if ((reads && !is_inside(&c->src)) || (writes && !is_inside(&c->dst)))
    return fail(FORGE_E_INVALID, "null: a copy leaves its block");
  uint8_t *to = writes ? c->dst.mem->data + c->dst.off : c->host;
  const uint8_t *from = reads ? c->src.mem->data + c->src.off : c->host;
  if (c->kind == FORGE_COPY_FILL)
    memset(to, (int)(c->pattern & 0xFF), c->dst.len);
  else
    memcpy(to, from, writes ? c->dst.len : c->src.len);
  return FORGE_OK;
}

static forge_status copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                         const forge_submit *order) {
  const forge_status alive = check(queue->dev);
  if (alive) return alive;
  for (uint32_t i = 0; i < n; i++) {
    const forge_status status = copy_one(&copies[i]);
    if (status) return status;
  }
  signal_all(order);
  return FORGE_OK;
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
  reply->name = "null"; /* as in null.ini */
  reply->vendor = "Forge";
  reply->version = "1.0";
  reply->table = &table;
  return FORGE_OK;
}
