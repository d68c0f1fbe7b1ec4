/* harness.c -- see harness.h. */
#include "harness.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>

char harness_said[1 << 16];
_Atomic int harness_notified;
static pthread_mutex_t said_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local uint64_t reports;

/* ---- the host ---- */

static void say(const char *msg, size_t n) {
  pthread_mutex_lock(&said_lock);
  const size_t have = strlen(harness_said);
  if (have + n + 2 < sizeof harness_said) {
    memcpy(harness_said + have, msg, n);
    memcpy(harness_said + have + n, "\n", 2);
  }
  pthread_mutex_unlock(&said_lock);
}

int harness_has(const char *words) {
  pthread_mutex_lock(&said_lock);
  const int found = strstr(harness_said, words) != NULL;
  pthread_mutex_unlock(&said_lock);
  return found;
}

void harness_forget(void) {
  harness_said[0] = 0;
  harness_notified = 0;
}

static void report(void *ctx, const forge_error *error) {
  (void)ctx;
  reports++;
  say(error->msg, strlen(error->msg));
}

static void log_text(void *ctx, int32_t level, const char *msg, size_t n) {
  (void)ctx;
  if (level <= FORGE_LOG_WARN) say(msg, n);
}

static void *allocate(void *ctx, size_t bytes, size_t align) {
  void *p = NULL;
  (void)ctx;
  return posix_memalign(&p, align < 16 ? 16 : align, bytes ? bytes : 1) ? NULL : p;
}

static void release(void *ctx, void *p) {
  (void)ctx;
  free(p);
}

static void notify(void *ctx, uint64_t cookie, uint64_t value, forge_status status) {
  forge_listener *l = (forge_listener *)(uintptr_t)cookie;
  (void)ctx;
  l->reached(l, value, status);
}

static void heard(forge_listener *self, uint64_t value, forge_status status) {
  (void)self;
  (void)value;
  (void)status;
  harness_notified++;
}
static forge_listener listener = {heard};

static uint64_t report_count(void *ctx) {
  (void)ctx;
  return reports;
}

static const forge_host host = {.size = sizeof host,
                                .minor = FORGE_ABI_MINOR,
                                .report = report,
                                .log = log_text,
                                .alloc = allocate,
                                .free = release,
                                .tl_notify = notify};

/* ---- libraries ---- */

static void *entry_of(const char *name, const char *symbol) {
  char path[512];
  if (name[0] == '/')
    snprintf(path, sizeof path, "%s", name);
  else
    snprintf(path, sizeof path, "%s/lib/forge/forge-%s.so", FORGE_TEST_BUILD_DIR, name);
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!handle) fail_msg("%s", dlerror());
  void *entry = dlsym(handle, symbol);
  dlclose(handle);
  if (!entry) fail_msg("%s: no %s", path, symbol);
  return entry;
}

static void open_plugin(harness *h, const char *plugin) {
  forge_status (*entry)(const forge_hello *, forge_reply *);
  const forge_hello hello = {.size = sizeof hello, .minor_max = FORGE_ABI_MINOR, .host = &host};
  forge_reply reply = {.size = sizeof reply};
  void *symbol = entry_of(plugin, "forge_backend_entry_v1");
  memcpy(&entry, &symbol, sizeof entry);
  assert_int_equal(entry(&hello, &reply), FORGE_OK);
  h->inner = h->t = reply.table;
  assert_int_equal(h->t->dev_open(0, NULL, &h->dev), FORGE_OK);
  h->inner_dev = h->dev;
}

static forge_status add_layer(harness *h, const char *name, const char *const *options) {
  forge_status (*entry)(const forge_layer_hello *, forge_layer_reply *);
  char library[64];
  const forge_layer_hello hello = {
      .size = sizeof hello, .minor_max = FORGE_ABI_MINOR, .host = &host};
  forge_layer_reply reply = {.size = sizeof reply};
  snprintf(library, sizeof library, "layer-%s", name);
  void *symbol = entry_of(library, "forge_layer_entry_v1");
  memcpy(&entry, &symbol, sizeof entry);
  assert_int_equal(entry(&hello, &reply), FORGE_OK);
  assert_string_equal(reply.name, name);
  const forge_layer_open in = {.size = sizeof in,
                               .device = "dev:0",
                               .options = options,
                               .inner = h->t,
                               .inner_dev = h->dev,
                               .host = &host,
                               .report_count = report_count};
  forge_layer_device out = {.size = sizeof out};
  const forge_status st = reply.table->open(&in, &out);
  if (st) return st;
  h->layers[h->n_layers] = reply.table;
  h->outer[h->n_layers++] = out.dev;
  h->t = out.table;
  h->dev = out.dev;
  return FORGE_OK;
}

forge_status harness_try(harness *h, const char *plugin, const char *const *layers,
                         const char *const *options) {
  *h = (harness){0};
  harness_forget();
  open_plugin(h, plugin);
  for (; layers && *layers; layers++) {
    const forge_status st = add_layer(h, *layers, options);
    if (st) return st;
  }
  return FORGE_OK;
}

void harness_open(harness *h, const char *plugin, const char *const *layers,
                  const char *const *options) {
  const forge_status st = harness_try(h, plugin, layers, options);
  if (st) fail_msg("opening: %d: %s", st, harness_said);
}

void harness_close(harness *h) {
  h->t->dev_close(h->dev);
  if (h->inner->shutdown) h->inner->shutdown();
}

const void *harness_block(const harness *h, uint32_t id) {
  const void *block = NULL;
  if (h->inner->get_block(id, 0, &block)) return NULL;
  for (int i = 0; i < h->n_layers; i++) {
    const void *outer = NULL;
    if (h->layers[i]->block(h->outer[i], id, 0, block, &outer)) return NULL;
    block = outer;
  }
  return block;
}

/* ---- short ways ---- */

forge_mem *make_memory(harness *h, uint64_t bytes) {
  const forge_mem_desc desc = {
      .size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = bytes, .align = 64};
  forge_mem_out info = {.size = sizeof info};
  forge_mem *mem = NULL;
  assert_int_equal(h->t->mem_alloc(h->dev, &desc, &mem, &info), FORGE_OK);
  return mem;
}

forge_queue *make_queue(harness *h) {
  forge_queue *queue = NULL;
  assert_int_equal(h->t->queue_create(h->dev, FORGE_QUEUE_COMPUTE, 0, &queue), FORGE_OK);
  return queue;
}

forge_tl *make_timeline(harness *h) {
  forge_tl *tl = NULL;
  assert_int_equal(h->t->tl_create(h->dev, 0, (uint64_t)(uintptr_t)&listener, &tl), FORGE_OK);
  return tl;
}

forge_slot copy_slots[2];
copy_record copy_op;

forge_prog_desc *copy_description(int64_t n) {
  static forge_prog_desc desc;
  for (uint32_t i = 0; i < 2; i++)
    copy_slots[i] = (forge_slot){
        .tensor = {.dtype = FORGE_F32, .rank = 1, .dim = {n}, .stride = {1}}, .bind = i};
  copy_op = (copy_record){
      {.op = FORGE_OP_COPY_STRIDED, .op_ver = 1, .n_in = 1, .n_out = 1, .bytes = sizeof copy_op},
      {0, 1}};
  desc = (forge_prog_desc){.size = sizeof desc,
                           .n_slots = 2,
                           .n_ops = 1,
                           .slots = copy_slots,
                           .ops = &copy_op,
                           .ops_bytes = sizeof copy_op,
                           .n_bind = 2,
                           .prog_id = 1};
  return &desc;
}

forge_prog *make_copy_program(harness *h, int64_t n) {
  forge_prog_out info = {.size = sizeof info};
  forge_prog *prog = NULL;
  const forge_status st = h->t->prog_create(h->dev, copy_description(n), &prog, &info);
  if (st) fail_msg("prog_create: %d: %s", st, harness_said);
  return prog;
}

void fill_order(order *o, forge_mem *x, forge_mem *y, uint64_t bytes, forge_tl *tl,
                uint64_t value) {
  *o = (order){.bind = {{x, 0, bytes}, {y, 0, bytes}}, .signal = {{tl, value}}};
  o->s = (forge_submit){.size = sizeof o->s,
                        .n_bind = 2,
                        .n_signal = tl ? 1 : 0,
                        .bind = o->bind,
                        .wait = o->wait,
                        .signal = o->signal};
}
