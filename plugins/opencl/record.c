/* record.c -- op records read with care, and what this backend answers about them. */
#include <inttypes.h>
#include <string.h>

#include "host.h"

/* Bytes of attributes each op has. */
static uint32_t attr_bytes(uint16_t op) {
  static const uint8_t bytes[] = {
      [FORGE_OP_FILL] = sizeof(forge_attr_fill),
      [FORGE_OP_BINARY] = sizeof(forge_attr_kind),
      [FORGE_OP_UNARY] = sizeof(forge_attr_kind),
      [FORGE_OP_UNARY_BWD] = sizeof(forge_attr_kind),
      [FORGE_OP_AXPBY] = sizeof(forge_attr_axpby),
      [FORGE_OP_REDUCE] = sizeof(forge_attr_reduce),
      [FORGE_OP_MATMUL] = sizeof(forge_attr_matmul),
      [FORGE_OP_GROUPED_MATMUL] = sizeof(forge_attr_matmul),
      [FORGE_OP_GROUPED_MATMUL_DW] = sizeof(forge_attr_matmul),
      [FORGE_OP_SCATTER_ROWS] = sizeof(forge_attr_scatter),
      [FORGE_OP_SOFTMAX] = sizeof(forge_attr_softmax),
      [FORGE_OP_TOPK] = sizeof(forge_attr_topk),
      [FORGE_OP_RNG_PHILOX] = sizeof(forge_attr_rng),
      [FORGE_OP_MASK] = sizeof(forge_attr_mask),
      [FORGE_OP_RMSNORM] = sizeof(forge_attr_norm),
      [FORGE_OP_RMSNORM_BWD] = sizeof(forge_attr_norm),
      [FORGE_OP_LAYERNORM] = sizeof(forge_attr_norm),
      [FORGE_OP_LAYERNORM_BWD] = sizeof(forge_attr_norm),
      [FORGE_OP_ROPE] = sizeof(forge_attr_rope),
      [FORGE_OP_ATTENTION] = sizeof(forge_attr_attention),
      [FORGE_OP_ATTENTION_BWD] = sizeof(forge_attr_attention),
      [FORGE_OP_ADAMW] = sizeof(forge_attr_adamw),
      [FORGE_OP_GLOBAL_NORM] = sizeof(forge_attr_global_norm),
      [FORGE_OP_MOE_ROUTE] = sizeof(forge_attr_moe),
      [FORGE_OP_MOE_ROUTE_BWD] = sizeof(forge_attr_moe),
  };
  return op < sizeof bytes ? bytes[op] : 0;
}

static forge_status check_ids(const forge_prog_desc *desc, uint32_t index, const ocl_record *r) {
  const uint32_t n = (uint32_t)r->head.n_in + r->head.n_out;
  for (uint32_t i = 0; i < n; i++)
    if (r->ids[i] != FORGE_SLOT_NONE && r->ids[i] >= desc->n_slots)
      return ocl_fail(FORGE_E_INVALID,
                      "opencl: op %" PRIu32 " names slot %" PRIu32 " of a program with %" PRIu32,
                      index, r->ids[i], desc->n_slots);
  return FORGE_OK;
}

forge_status ocl_read_record(const forge_prog_desc *desc, uint32_t index, uint64_t *at,
                             ocl_record *out) {
  const uint8_t *p = (const uint8_t *)desc->ops + *at;
  const uint64_t left = desc->ops_bytes - *at;
  if (left < sizeof out->head)
    return ocl_fail(FORGE_E_INVALID, "opencl: the record of op %" PRIu32 " is cut off", index);
  memcpy(&out->head, p, sizeof out->head);
  const uint64_t ids = 4 * ((uint64_t)out->head.n_in + out->head.n_out);
  const uint64_t attr = (sizeof out->head + ids + 7) / 8 * 8;
  if (out->head.bytes > left || out->head.bytes % 8 ||
      out->head.bytes < attr + attr_bytes(out->head.op))
    return ocl_fail(FORGE_E_INVALID,
                    "opencl: the record of op %" PRIu32 " (number %u) says %" PRIu32
                    " bytes; it needs %" PRIu64 " of the %" PRIu64 " left",
                    index, out->head.op, out->head.bytes, attr + attr_bytes(out->head.op), left);
  if (out->head.flags || out->head.op_ver != 1)
    return ocl_fail(FORGE_E_UNSUPPORTED,
                    "opencl: op %" PRIu32 " has version %u and flags %#" PRIx32 "; known: 1 and 0",
                    index, out->head.op_ver, out->head.flags);
  out->ids = (const uint32_t *)(const void *)(p + sizeof out->head);
  out->attr = p + attr;
  *at += out->head.bytes;
  return check_ids(desc, index, out);
}

forge_status ocl_scan_records(const forge_prog_desc *desc, uint32_t *most, uint64_t *total) {
  uint64_t at = 0;
  *most = 1;
  *total = 1;
  for (uint32_t i = 0; i < desc->n_ops; i++) {
    ocl_record r;
    const forge_status status = ocl_read_record(desc, i, &at, &r);
    if (status) return status;
    const uint32_t n = (uint32_t)r.head.n_in + r.head.n_out;
    if (n > *most) *most = n;
    *total += n;
  }
  return FORGE_OK;
}

void ocl_record_views(const forge_prog_desc *desc, const ocl_record *r, ocl_view *out) {
  const uint32_t n = (uint32_t)r->head.n_in + r->head.n_out;
  for (uint32_t i = 0; i < n; i++) {
    out[i] = (ocl_view){.there = r->ids[i] != FORGE_SLOT_NONE};
    if (out[i].there) out[i].t = desc->slots[r->ids[i]].tensor;
  }
}

const ocl_op *ocl_find_row(const forge_dev *dev, const ocl_call *call, uint8_t *reason) {
  *reason = FORGE_REASON_OP;
  if (dev->only_primitives && call->op >= FORGE_OP_FIRST_COMPOSITE) return NULL;
  for (uint32_t i = 0; i < call->n_in + call->n_out; i++)
    if (call->in[i].there && call->in[i].t.layout != FORGE_LAYOUT_ROW_MAJOR) {
      *reason = FORGE_REASON_STRIDES;
      return NULL;
    }
  for (const ocl_op *const *table = ocl_op_tables; *table; table++)
    for (const ocl_op *row = *table; row->op; row++) {
      if (row->op != call->op) continue;
      if (!(*reason = row->support(call))) return row;
    }
  return NULL;
}

static bool is_known_composite(uint16_t op) {
#define CASE(name, number, cls, inputs, outputs, text)                                             \
  case number: return cls == FORGE_CLASS_COMPOSITE;
  switch (op) {
    FORGE_OP_MAP(CASE)
  default: return false;
  }
#undef CASE
}

/* A composite that is not here is asked for in primitives; what nobody has named cannot be. */
static forge_support answer(const ocl_record *r, const ocl_op *row, uint8_t reason) {
  if (row) return (forge_support){.answer = FORGE_SUPPORT_NATIVE, .rel_cost = 100};
  return (forge_support){.answer = is_known_composite(r->head.op) ? FORGE_SUPPORT_DECOMPOSED
                                                                  : FORGE_SUPPORT_NO,
                         .reason = reason};
}

forge_status ocl_op_support(forge_dev *dev, const forge_prog_desc *desc, forge_support *out) {
  uint32_t most;
  uint64_t total, at = 0;
  forge_status status = ocl_scan_records(desc, &most, &total);
  if (status) return status;
  ocl_view *views = ocl_alloc(most * sizeof *views);
  if (!views) return FORGE_E_OOM;
  for (uint32_t i = 0; i < desc->n_ops; i++) {
    ocl_record r;
    uint8_t reason;
    ocl_read_record(desc, i, &at, &r);
    ocl_record_views(desc, &r, views);
    const ocl_call call = {.op = r.head.op,
                           .n_in = r.head.n_in,
                           .n_out = r.head.n_out,
                           .in = views,
                           .out = views + r.head.n_in,
                           .attr = r.attr,
                           .caps = &dev->caps};
    const ocl_op *row = ocl_find_row(dev, &call, &reason);
    out[i] = answer(&r, row, reason);
  }
  ocl_free(views);
  return FORGE_OK;
}
