/* rig.c -- see rig.h: a host table, the variant's library, and programs of one op. */
#include "rig.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MOST_TENSORS 16

struct rig {
  const forge_backend_v1 *table;
  forge_dev *dev;
  forge_queue *queue;
};

const char *const rig_variants[] = {"avx512", "avx2", "neon", "portable", NULL};

/* ---- the host ---- */

static char said[512];
static int reports, notices;
static uint64_t noticed_cookie, noticed_value;
static forge_status noticed_status;

static void report(void *ctx, const forge_error *error) {
  (void)ctx;
  reports++;
  snprintf(said, sizeof said, "%s", error->msg);
}
static void say(void *ctx, int32_t level, const char *msg, size_t n) {
  (void)ctx;
  fprintf(stderr, "log %d: %.*s\n", level, (int)n, msg);
}
static void *take(void *ctx, size_t bytes, size_t align) {
  void *p = NULL;
  (void)ctx;
  return posix_memalign(&p, align < 16 ? 16 : align, bytes) ? NULL : p;
}
static void give(void *ctx, void *p) {
  (void)ctx;
  free(p);
}
static void notice(void *ctx, uint64_t cookie, uint64_t value, forge_status status) {
  (void)ctx;
  notices++;
  noticed_cookie = cookie;
  noticed_value = value;
  noticed_status = status;
}
static const forge_host host = {.size = sizeof host,
                                .report = report,
                                .log = say,
                                .alloc = take,
                                .free = give,
                                .tl_notify = notice};

const char *rig_error(void) { return said; }
int rig_reports(void) { return reports; }
int rig_notices(void) { return notices; }
void rig_last_notice(uint64_t *cookie, uint64_t *value, forge_status *status) {
  *cookie = noticed_cookie;
  *value = noticed_value;
  *status = noticed_status;
}

/* ---- a variant ---- */

static const forge_backend_v1 *load(const char *variant) {
  char path[4096];
  snprintf(path, sizeof path, "%s/lib/forge/forge-cpu-%s.so", FORGE_TEST_BUILD_DIR, variant);
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!library) {
    if (!access(path, F_OK)) fprintf(stderr, "%s\n", dlerror());
    return NULL;
  }
  forge_status (*entry)(const forge_hello *, forge_reply *);
  *(void **)&entry = dlsym(library, "forge_backend_entry_v1");
  const forge_hello hello = {.size = sizeof hello, .host = &host};
  forge_reply reply = {.size = sizeof reply};
  return entry && !entry(&hello, &reply) ? reply.table : NULL;
}

rig *rig_open_with(const char *variant, const char *const *options) {
  forge_probe probe = {.size = sizeof probe};
  rig *r = calloc(1, sizeof *r);
  r->table = load(variant);
  if (r->table && !r->table->probe(&probe) && probe.n_devices &&
      !r->table->dev_open(0, options, &r->dev) &&
      !r->table->queue_create(r->dev, FORGE_QUEUE_COMPUTE, 0, &r->queue))
    return r;
  rig_close(r);
  return NULL;
}

rig *rig_open(const char *variant, uint32_t threads) {
  char number[16];
  snprintf(number, sizeof number, "%u", threads);
  return rig_open_with(variant, (const char *[]){"threads", number, NULL});
}

void rig_close(rig *r) {
  if (!r) return;
  if (r->queue) r->table->queue_destroy(r->queue);
  if (r->dev) r->table->dev_close(r->dev);
  free(r);
}

const forge_backend_v1 *rig_table(const rig *r) { return r->table; }
forge_dev *rig_device(const rig *r) { return r->dev; }
forge_queue *rig_queue(const rig *r) { return r->queue; }

/* ---- programs of one op ---- */

typedef struct one_op {
  forge_slot slot[MOST_TENSORS];
  rig_tensor *tensor[MOST_TENSORS]; /* one per slot and per binding */
  uint32_t n;
  uint64_t record[64];
  forge_prog_desc desc;
} one_op;

static uint32_t slot_of(one_op *p, rig_tensor *t) {
  if (!t) return FORGE_SLOT_NONE;
  for (uint32_t i = 0; i < p->n; i++)
    if (p->tensor[i] == t) return i;
  assert_true(p->n < MOST_TENSORS);
  p->slot[p->n] = (forge_slot){.tensor = t->t, .bind = p->n};
  p->tensor[p->n] = t;
  return p->n++;
}

static void describe(one_op *p, uint16_t op, const void *attr, uint32_t attr_bytes,
                     rig_tensor *const *in, uint32_t n_in, rig_tensor *const *out, uint32_t n_out,
                     uint32_t n_scalars) {
  uint32_t ids[2 * MOST_TENSORS];
  for (uint32_t i = 0; i < n_in; i++) ids[i] = slot_of(p, in[i]);
  for (uint32_t i = 0; i < n_out; i++) ids[n_in + i] = slot_of(p, out[i]);
  const uint32_t at = (uint32_t)(sizeof(forge_op) + 4 * (n_in + n_out) + 7) / 8 * 8;
  const uint32_t bytes = (at + attr_bytes + 7) / 8 * 8;
  const forge_op head = {
      .op = op, .op_ver = 1, .n_in = (uint16_t)n_in, .n_out = (uint16_t)n_out, .bytes = bytes};
  assert_true(bytes <= sizeof p->record);
  memcpy(p->record, &head, sizeof head);
  memcpy((uint8_t *)p->record + sizeof head, ids, 4 * (n_in + n_out));
  if (attr_bytes) memcpy((uint8_t *)p->record + at, attr, attr_bytes);
  p->desc = (forge_prog_desc){.size = sizeof p->desc,
                              .n_slots = p->n,
                              .n_ops = 1,
                              .slots = p->slot,
                              .ops = p->record,
                              .ops_bytes = bytes,
                              .n_bind = p->n,
                              .n_scalars = n_scalars};
}

static forge_status submit(rig *r, const one_op *p, forge_prog *prog, const uint64_t *scalar) {
  const forge_block_hostreg_v0 *pages;
  forge_bind bind[MOST_TENSORS] = {{0}};
  forge_mem_out info;
  forge_status status = r->table->get_block(FORGE_BLOCK_HOSTREG, 0, (const void **)&pages);
  for (uint32_t i = 0; i < p->n && !status; i++) {
    rig_tensor *t = p->tensor[i];
    bind[i].len = t->bytes;
    status = pages->import(r->dev, t->data, t->bytes ? t->bytes : 1, 1, &bind[i].mem, &info);
  }
  const forge_submit s = {.size = sizeof s,
                          .n_bind = p->n,
                          .n_scalar = p->desc.n_scalars,
                          .bind = bind,
                          .scalar = scalar};
  if (!status) status = r->table->submit(r->queue, prog, &s);
  for (uint32_t i = 0; i < p->n; i++) pages->release(r->dev, bind[i].mem);
  return status;
}

forge_status rig_run_scalars(rig *r, uint16_t op, const void *attr, uint32_t attr_bytes,
                             rig_tensor *const *in, uint32_t n_in, rig_tensor *const *out,
                             uint32_t n_out, const uint64_t *scalar, uint32_t n_scalars) {
  one_op p = {.n = 0};
  forge_prog *prog = NULL;
  forge_prog_out info = {.size = sizeof info};
  describe(&p, op, attr, attr_bytes, in, n_in, out, n_out, n_scalars);
  forge_status status = r->table->prog_create(r->dev, &p.desc, &prog, &info);
  if (!status) status = submit(r, &p, prog, scalar);
  r->table->prog_destroy(prog);
  return status;
}

forge_status rig_run(rig *r, uint16_t op, const void *attr, uint32_t attr_bytes,
                     rig_tensor *const *in, uint32_t n_in, rig_tensor *const *out, uint32_t n_out) {
  return rig_run_scalars(r, op, attr, attr_bytes, in, n_in, out, n_out, NULL, 0);
}

void rig_must(rig *r, uint16_t op, const void *attr, uint32_t attr_bytes, rig_tensor *const *in,
              uint32_t n_in, rig_tensor *const *out, uint32_t n_out) {
  const forge_status status = rig_run(r, op, attr, attr_bytes, in, n_in, out, n_out);
  if (status) fail_msg("op %u: status %d, %s", op, status, said);
}

forge_support rig_support(rig *r, uint16_t op, const void *attr, uint32_t attr_bytes,
                          rig_tensor *const *in, uint32_t n_in, rig_tensor *const *out,
                          uint32_t n_out) {
  one_op p = {.n = 0};
  forge_support answer = {0};
  describe(&p, op, attr, attr_bytes, in, n_in, out, n_out, 0);
  assert_int_equal(r->table->op_support(r->dev, &p.desc, &answer), FORGE_OK);
  return answer;
}

/* ---- variants and threads against each other ---- */

typedef struct kept {
  uint8_t *before, *want;
} kept;

static uint8_t *copy_of(const rig_tensor *t) {
  uint8_t *p = malloc(t->bytes ? t->bytes : 1);
  memcpy(p, t->data, t->bytes);
  return p;
}

/* Whether the build has the variant and this processor fits it: then it has to open. */
static bool must_open(const char *variant) {
  char path[4096];
  forge_probe probe = {.size = sizeof probe};
  snprintf(path, sizeof path, "%s/lib/forge/forge-cpu-%s.so", FORGE_TEST_BUILD_DIR, variant);
  if (!strcmp(variant, "portable")) return true;
  if (access(path, F_OK)) return false;
  const forge_backend_v1 *table = load(variant);
  return !table || table->probe(&probe) || probe.n_devices;
}

static void run_again(const char *variant, uint32_t threads, uint16_t op, const void *attr,
                      uint32_t attr_bytes, rig_tensor *const *in, uint32_t n_in,
                      rig_tensor *const *out, uint32_t n_out, const kept *k) {
  rig *r = rig_open(variant, threads);
  if (!r && must_open(variant)) fail_msg("the variant %s does not open: %s", variant, said);
  if (!r) return;
  for (uint32_t i = 0; i < n_out; i++)
    if (out[i]) memcpy(out[i]->data, k[i].before, out[i]->bytes);
  rig_must(r, op, attr, attr_bytes, in, n_in, out, n_out);
  for (uint32_t i = 0; i < n_out; i++)
    for (uint64_t b = 0; out[i] && k[i].want && b < out[i]->bytes; b++)
      if (out[i]->data[b] != k[i].want[b])
        fail_msg("op %u, output %u: byte %llu of %s with %u threads differs from portable", op, i,
                 (unsigned long long)b, variant, threads);
  rig_close(r);
}

void rig_same_bits(uint16_t op, const void *attr, uint32_t attr_bytes, rig_tensor *const *in,
                   uint32_t n_in, rig_tensor *const *out, uint32_t n_out) {
  kept k[MOST_TENSORS] = {{0}};
  for (uint32_t i = 0; i < n_out; i++)
    if (out[i]) k[i].before = copy_of(out[i]);
  run_again("portable", 1, op, attr, attr_bytes, in, n_in, out, n_out, k);
  for (uint32_t i = 0; i < n_out; i++)
    if (out[i]) k[i].want = copy_of(out[i]);
  for (const char *const *v = rig_variants; *v; v++)
    for (uint32_t threads = 1; threads <= 4; threads++)
      run_again(*v, threads, op, attr, attr_bytes, in, n_in, out, n_out, k);
  for (uint32_t i = 0; i < n_out; i++) {
    free(k[i].before);
    free(k[i].want);
  }
}
