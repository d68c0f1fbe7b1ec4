/* watch.c -- the table a chapter calls: each function notes where it is, lends its arguments for
 * the call only, and then calls the plugin's. */
#include "borrow.h"
#include "plugin.h"
#include "rig.h"

#define T (*plugin_table())
/* A slot that is not required and not there. */
#define LACKS(slot)                                                                                \
  if (!T.slot) return FORGE_E_UNSUPPORTED

static forge_status probe(forge_probe *out) {
  plugin_enter("probe");
  return plugin_leave(T.probe(out));
}

static forge_status get_block(uint32_t id, uint32_t minor, const void **out_table) {
  LACKS(get_block);
  plugin_enter("get_block");
  return plugin_leave(T.get_block(id, minor, out_table));
}

static void shutdown(void) { plugin_shutdown(); }

static forge_status dev_info(uint32_t ordinal, forge_dev_info *out) {
  plugin_enter("dev_info");
  return plugin_leave(T.dev_info(ordinal, out));
}

/* The array and each string on pages of its own. */
static const char *const *lend_options(const char *const *options) {
  const char *copy[RIG_MOST_OPTIONS + 1] = {NULL};
  unsigned n = 0;
  if (!options) return NULL;
  for (; n < RIG_MOST_OPTIONS && options[n]; n++) {
    size_t bytes = 1;
    while (options[n][bytes - 1]) bytes++;
    copy[n] = borrow(options[n], bytes);
  }
  return borrow(copy, (n + 1) * sizeof *copy);
}

static forge_status dev_open(uint32_t ordinal, const char *const *options, forge_dev **out) {
  plugin_enter("dev_open");
  return plugin_leave(T.dev_open(ordinal, lend_options(options), out));
}

static void dev_close(forge_dev *dev) {
  plugin_enter("dev_close");
  T.dev_close(dev);
  plugin_leave(FORGE_OK);
}

static forge_status dev_query(forge_dev *dev, uint32_t key, uint64_t arg, forge_value *out) {
  LACKS(dev_query);
  plugin_enter("dev_query");
  return plugin_leave(T.dev_query(dev, key, arg, out));
}

static forge_status mem_alloc(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                              forge_mem_out *info) {
  plugin_enter("mem_alloc");
  return plugin_leave(T.mem_alloc(dev, borrow(desc, sizeof *desc), out, info));
}

static void mem_free(forge_dev *dev, forge_mem *mem) {
  plugin_enter("mem_free");
  T.mem_free(dev, mem);
  plugin_leave(FORGE_OK);
}

static forge_status queue_create(forge_dev *dev, uint32_t kind, int32_t priority,
                                 forge_queue **out) {
  plugin_enter("queue_create");
  return plugin_leave(T.queue_create(dev, kind, priority, out));
}

static void queue_destroy(forge_queue *queue) {
  plugin_enter("queue_destroy");
  T.queue_destroy(queue);
  plugin_leave(FORGE_OK);
}

static forge_status tl_create(forge_dev *dev, uint64_t initial, uint64_t cookie, forge_tl **out) {
  plugin_enter("tl_create");
  return plugin_leave(T.tl_create(dev, initial, cookie, out));
}

static void tl_destroy(forge_tl *tl) {
  plugin_enter("tl_destroy");
  T.tl_destroy(tl);
  plugin_leave(FORGE_OK);
}

static forge_status tl_query(forge_tl *tl, uint64_t *out_value) {
  plugin_enter("tl_query");
  return plugin_leave(T.tl_query(tl, out_value));
}

static forge_status tl_wait(forge_tl *tl, uint64_t value, uint64_t timeout_ns) {
  plugin_enter("tl_wait");
  return plugin_leave(T.tl_wait(tl, value, timeout_ns));
}

static const forge_prog_desc *lend_program(const forge_prog_desc *desc) {
  forge_prog_desc copy = *desc;
  if (desc->n_slots) copy.slots = borrow(desc->slots, desc->n_slots * sizeof *desc->slots);
  if (desc->ops_bytes) copy.ops = borrow(desc->ops, desc->ops_bytes);
  return borrow(&copy, sizeof copy);
}

static forge_status op_support(forge_dev *dev, const forge_prog_desc *desc,
                               forge_support *out_per_op) {
  plugin_enter("op_support");
  return plugin_leave(T.op_support(dev, lend_program(desc), out_per_op));
}

static forge_status prog_create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                                forge_prog_out *info) {
  plugin_enter("prog_create");
  return plugin_leave(T.prog_create(dev, lend_program(desc), out, info));
}

static void prog_destroy(forge_prog *prog) {
  plugin_enter("prog_destroy");
  T.prog_destroy(prog);
  plugin_leave(FORGE_OK);
}

static const forge_submit *lend_order(const forge_submit *order) {
  if (!order) return NULL;
  forge_submit copy = *order;
  if (order->n_bind && order->bind)
    copy.bind = borrow(order->bind, order->n_bind * sizeof *order->bind);
  if (order->n_scalar && order->scalar)
    copy.scalar = borrow(order->scalar, order->n_scalar * sizeof *order->scalar);
  if (order->n_wait) copy.wait = borrow(order->wait, order->n_wait * sizeof *order->wait);
  if (order->n_signal) copy.signal = borrow(order->signal, order->n_signal * sizeof *order->signal);
  return borrow(&copy, sizeof copy);
}

static forge_status submit(forge_queue *queue, forge_prog *prog, const forge_submit *order) {
  plugin_enter("submit");
  return plugin_leave(T.submit(queue, prog, lend_order(order)));
}

static forge_status copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                         const forge_submit *order) {
  plugin_enter("copy");
  const forge_copy *lent = n ? borrow(copies, n * sizeof *copies) : NULL;
  return plugin_leave(T.copy(queue, lent, n, lend_order(order)));
}

static const forge_backend_v1 watched = {
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

const forge_backend_v1 *plugin_watched(void) { return &watched; }

const forge_backend_v1 *rig_table(void) {
  plugin_load();
  return &watched;
}
