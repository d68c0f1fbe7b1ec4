/* picky.c -- a plugin for tests of the fallback policy: the portable CPU backend, except that it
 * has no UNARY. */
#include <dlfcn.h>
#include <string.h>

#include <forge/backend.h>

typedef forge_status (*entry_fn)(const forge_hello *, forge_reply *);
static const forge_backend_v1 *inner;
static forge_backend_v1 table;

static forge_status op_support(forge_dev *dev, const forge_prog_desc *desc, forge_support *out) {
  const forge_status st = inner->op_support(dev, desc, out);
  const uint8_t *at = desc->ops;
  for (uint32_t i = 0; !st && i < desc->n_ops; i++) {
    forge_op op;
    memcpy(&op, at, sizeof op);
    at += op.bytes;
    if (op.op == FORGE_OP_UNARY)
      out[i] = (forge_support){.answer = FORGE_SUPPORT_NO, .reason = FORGE_REASON_HARDWARE};
  }
  return st;
}

static forge_status dev_info(uint32_t ordinal, forge_dev_info *out) {
  const forge_status st = inner->dev_info(ordinal, out);
  memset(out->uuid, 0, sizeof out->uuid); /* not the CPU device under another name */
  return st;
}

FORGE_BACKEND_ENTRY forge_status forge_backend_entry_v1(const forge_hello *hello,
                                                        forge_reply *reply) {
  void *library = dlopen(PICKY_INNER, RTLD_NOW | RTLD_LOCAL);
  entry_fn entry = NULL;
  if (!library) return FORGE_E_NOT_FOUND;
  *(void **)&entry = dlsym(library, "forge_backend_entry_v1");
  const forge_status st = entry ? entry(hello, reply) : FORGE_E_ABI;
  if (st) return st;
  inner = reply->table;
  table = *inner;
  table.op_support = op_support;
  table.dev_info = dev_info;
  reply->table = &table;
  reply->name = "picky";
  return FORGE_OK;
}
