/* bad_plugin.c -- the null backend with faults that a test switches on by dev_query(1000 + n): 1 a
 * success without an object, 2 a failure without a report, 3 a timeline that falls, 4 one that
 * rises beyond what was submitted, 5 an op declined without a reason, 6 a positive answer, 7 a
 * wait that ends too soon, 8 timelines that tell nobody. */
#define forge_backend_entry_v1 null_entry
#include "null.c"
#undef forge_backend_entry_v1

#include <forge/layer.h>

static forge_backend_v1 changed;
static uint32_t fault;

static forge_status bad_dev_query(forge_dev *dev, uint32_t key, uint64_t arg, forge_value *out) {
  if (key < 1000) return dev_query(dev, key, arg, out);
  fault = key - 1000;
  *out = (forge_value){.kind = FORGE_VALUE_U64};
  return FORGE_OK;
}

static forge_status bad_mem_alloc(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                                  forge_mem_out *info) {
  if (fault == 1) return FORGE_OK;
  if (fault == 2) return FORGE_E_OOM;
  if (fault == 6) return 3;
  return mem_alloc(dev, desc, out, info);
}

static void nobody(forge_listener *self, uint64_t value, forge_status status) {
  (void)self;
  (void)value;
  (void)status;
}
static forge_listener deaf = {nobody};

static forge_status bad_tl_create(forge_dev *dev, uint64_t initial, uint64_t cookie,
                                  forge_tl **out) {
  return tl_create(dev, initial, fault == 8 ? (uint64_t)(uintptr_t)&deaf : cookie, out);
}

static forge_status bad_tl_query(forge_tl *tl, uint64_t *out_value) {
  const forge_status st = tl_query(tl, out_value);
  if (fault == 3 || fault == 7) *out_value = 0;
  if (fault == 4) *out_value += 100;
  return st;
}

static forge_status bad_op_support(forge_dev *dev, const forge_prog_desc *desc,
                                   forge_support *out) {
  const forge_status st = op_support(dev, desc, out);
  for (uint32_t i = 0; fault == 5 && i < desc->n_ops; i++) out[i].answer = FORGE_SUPPORT_NO;
  return st;
}

FORGE_BACKEND_ENTRY forge_status forge_backend_entry_v1(const forge_hello *, forge_reply *);
FORGE_BACKEND_ENTRY forge_status forge_backend_entry_v1(const forge_hello *hello,
                                                        forge_reply *reply) {
  const forge_status st = null_entry(hello, reply);
  changed = *reply->table;
  changed.dev_query = bad_dev_query;
  changed.mem_alloc = bad_mem_alloc;
  changed.tl_create = bad_tl_create;
  changed.tl_query = bad_tl_query;
  changed.op_support = bad_op_support;
  reply->table = &changed;
  return st;
}
