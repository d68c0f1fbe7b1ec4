/* fake_device.c -- backends that tests of the device room need beside the null one, built with
 * -DFAKE_x:
 * SLOW     work is done by a thread of its own after submit() returned, in order; no host pointers,
 *          so that copies between devices need staging; the same uuid on each device number.
 * FAILING  the first submit is taken and fails later.
 * LOST     is gone from the first submit on.
 * HOSTREG  has the block HOSTREG. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define forge_backend_entry_v1 null_entry
#include "null.c"
#undef forge_backend_entry_v1

static forge_backend_v1 changed;

#if defined(FAKE_SLOW) || defined(FAKE_FAILING)
/* One worker for all queues: jobs in a ring, done in order. */
typedef struct job {
  forge_copy copy;
  bool copies;
  forge_point done;
} job;
enum { RING = 64 };
static job ring[RING];
static uint64_t put, got;
static bool running, stop;
static pid_t home; /* the process that has the worker */
static pthread_t worker;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static forge_status failed; /* of every timeline, for good */

static void finish_job(const job *j) {
  if (j->copies) copy_one(&j->copy);
  usleep(50);
  pthread_mutex_lock(&lock);
  atomic_store(&j->done.tl->value, j->done.value);
  got++;
  pthread_cond_broadcast(&moved);
  pthread_mutex_unlock(&lock);
}

static void *work(void *unused) {
  (void)unused;
  pthread_mutex_lock(&lock);
  while (!stop) {
    if (put == got) {
      pthread_cond_wait(&moved, &lock);
      continue;
    }
    const job j = ring[got % RING];
    pthread_mutex_unlock(&lock);
    finish_job(&j); /* and, being slow, tells nobody: the core has to ask */
    pthread_mutex_lock(&lock);
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}

static void put_job(const job *j) {
  pthread_mutex_lock(&lock);
  if (!running) running = !pthread_create(&worker, NULL, work, NULL);
  home = getpid();
  while (put - got == RING) pthread_cond_wait(&moved, &lock);
  ring[put++ % RING] = *j;
  pthread_cond_broadcast(&moved);
  pthread_mutex_unlock(&lock);
}

static forge_status slow_wait(forge_tl *tl, uint64_t value, uint64_t timeout_ns) {
  forge_status status = FORGE_OK;
  pthread_mutex_lock(&lock);
  while (atomic_load(&tl->value) < value && !failed && timeout_ns == FORGE_WAIT_FOREVER)
    pthread_cond_wait(&moved, &lock);
  if (atomic_load(&tl->value) < value) status = failed ? failed : FORGE_E_TIMEOUT;
  pthread_mutex_unlock(&lock);
  return status;
}

static forge_status slow_submit(forge_queue *queue, forge_prog *prog, const forge_submit *order) {
  (void)queue;
  (void)prog;
#if defined(FAKE_FAILING)
  (void)order;
  failed = FORGE_E_FAULT;
  fail(FORGE_E_FAULT, "unit 3 overheated");
#else
  put_job(&(job){.done = order->signal[0]});
#endif
  return FORGE_OK;
}

static forge_status slow_copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                              const forge_submit *order) {
  (void)queue;
  for (uint32_t i = 0; i + 1 < n; i++) copy_one(&copies[i]);
  put_job(&(job){.copy = copies[n - 1], .copies = true, .done = order->signal[0]});
  return FORGE_OK;
}

static void slow_shutdown(void) {
  if (running && getpid() != home) abort(); /* a child has no worker to join */
  pthread_mutex_lock(&lock);
  stop = true;
  pthread_cond_broadcast(&moved);
  pthread_mutex_unlock(&lock);
  if (running) pthread_join(worker, NULL);
  running = stop = false;
  failed = FORGE_OK;
}

static forge_status blind_alloc(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                                forge_mem_out *info) {
  const forge_status status = mem_alloc(dev, desc, out, info);
  info->host_ptr = NULL;
  return status;
}

static forge_status same_info(uint32_t ordinal, forge_dev_info *out) {
  const forge_status status = dev_info(ordinal, out);
  out->uuid[0] = (uint8_t)(0x5A + ordinal);
  out->mem_total = 1000 << 20;
  return status;
}

static void apply(forge_reply *reply) {
  (void)reply;
  changed.submit = slow_submit;
  changed.copy = slow_copy;
  changed.tl_wait = slow_wait;
  changed.shutdown = slow_shutdown;
  changed.mem_alloc = blind_alloc;
  changed.dev_info = same_info;
}
#elif defined(FAKE_LOST)
/* Gone with the first submit; what may not be called from then on says so loudly. */
static bool gone;
static void must_live(void) {
  if (gone) abort();
}
static forge_status lost_submit(forge_queue *queue, forge_prog *prog, const forge_submit *order) {
  (void)queue, (void)prog, (void)order;
  must_live();
  gone = true;
  return fail(FORGE_E_DEVICE_LOST, "the card fell off the bus");
}
static forge_status lost_wait(forge_tl *tl, uint64_t value, uint64_t timeout_ns) {
  must_live();
  return tl_wait(tl, value, timeout_ns);
}
static forge_status lost_copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                              const forge_submit *order) {
  must_live();
  return copy(queue, copies, n, order);
}
static forge_status lost_alloc(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                               forge_mem_out *info) {
  must_live();
  return mem_alloc(dev, desc, out, info);
}

static void apply(forge_reply *reply) {
  (void)reply;
  changed.submit = lost_submit;
  changed.tl_wait = lost_wait;
  changed.copy = lost_copy;
  changed.mem_alloc = lost_alloc;
}
#else
/* The pages themselves, as a block. */
static forge_status import(forge_dev *dev, void *pages, uint64_t bytes, uint32_t writable,
                           forge_mem **out, forge_mem_out *info) {
  (void)dev;
  if ((uintptr_t)pages % 4096 || writable)
    return fail(FORGE_E_INVALID, "hostreg: not the start of a page, or not read-only");
  if (!(*out = zalloc(sizeof **out))) return FORGE_E_OOM;
  (*out)->data = pages;
  (*out)->bytes = bytes;
  info->host_ptr = pages;
  return FORGE_OK;
}

static void release_pages(forge_dev *dev, forge_mem *mem) {
  (void)dev;
  release(mem);
}

static const forge_block_hostreg_v0 hostreg = {
    .n_slots = 2, .import = import, .release = release_pages};

static forge_status has_hostreg(uint32_t id, uint32_t minor, const void **out_table) {
  if (id != FORGE_BLOCK_HOSTREG || minor) return FORGE_E_UNSUPPORTED;
  *out_table = &hostreg;
  return FORGE_OK;
}

static void apply(forge_reply *reply) {
  (void)reply;
  changed.get_block = has_hostreg;
}
#endif

FORGE_BACKEND_ENTRY forge_status forge_backend_entry_v1(const forge_hello *hello,
                                                        forge_reply *reply);
FORGE_BACKEND_ENTRY forge_status forge_backend_entry_v1(const forge_hello *hello,
                                                        forge_reply *reply) {
  null_entry(hello, reply);
  changed = table;
  apply(reply);
  reply->name = FAKE_NAME;
  reply->table = &changed;
  return FORGE_OK;
}
