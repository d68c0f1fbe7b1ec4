/* record.c -- op records read with care, and what this backend answers about them. */
#include <inttypes.h>
#include <string.h>

#include "glue.h"

/* Bytes of attributes each op has. */
static uint32_t attr_bytes(uint16_t op) {
  switch (op) {
  case FORGE_OP_FILL: return sizeof(forge_attr_fill);
  case FORGE_OP_BINARY:
  case FORGE_OP_UNARY:
  case FORGE_OP_UNARY_BWD: return sizeof(forge_attr_kind);
  case FORGE_OP_AXPBY: return sizeof(forge_attr_axpby);
  case FORGE_OP_REDUCE: return sizeof(forge_attr_reduce);
  case FORGE_OP_MATMUL:
  case FORGE_OP_GROUPED_MATMUL:
  case FORGE_OP_GROUPED_MATMUL_DW: return sizeof(forge_attr_matmul);
  case FORGE_OP_SCATTER_ROWS: return sizeof(forge_attr_scatter);
  case FORGE_OP_SOFTMAX: return sizeof(forge_attr_softmax);
  case FORGE_OP_TOPK: return sizeof(forge_attr_topk);
  case FORGE_OP_RNG_PHILOX: return sizeof(forge_attr_rng);
  case FORGE_OP_MASK: return sizeof(forge_attr_mask);
  case FORGE_OP_RMSNORM:
  case FORGE_OP_RMSNORM_BWD:
  case FORGE_OP_LAYERNORM:
  case FORGE_OP_LAYERNORM_BWD: return sizeof(forge_attr_norm);
  case FORGE_OP_ROPE: return sizeof(forge_attr_rope);
  case FORGE_OP_ATTENTION:
  case FORGE_OP_ATTENTION_BWD: return sizeof(forge_attr_attention);
  case FORGE_OP_ADAMW: return sizeof(forge_attr_adamw);
  case FORGE_OP_GLOBAL_NORM: return sizeof(forge_attr_global_norm);
  case FORGE_OP_MOE_ROUTE:
  case FORGE_OP_MOE_ROUTE_BWD: return sizeof(forge_attr_moe);
  default: return 0;
  }
}

static forge_status check_ids(const forge_prog_desc *desc, uint32_t index, const cpu_record *r) {
  const uint32_t n = (uint32_t)r->head.n_in + r->head.n_out;
  for (uint32_t i = 0; i < n; i++)
    if (r->ids[i] != FORGE_SLOT_NONE && r->ids[i] >= desc->n_slots)
      return cpu_fail(FORGE_E_INVALID,
                      "cpu: op %" PRIu32 " names slot %" PRIu32 " of a program with %" PRIu32,
                      index, r->ids[i], desc->n_slots);
  return FORGE_OK;
}

forge_status cpu_read_record(const forge_prog_desc *desc, uint32_t index, uint64_t *at,
                             cpu_record *out) {
  const uint8_t *p = (const uint8_t *)desc->ops + *at;
  const uint64_t left = desc->ops_bytes - *at;
  if (left < sizeof out->head)
    return cpu_fail(FORGE_E_INVALID, "cpu: the record of op %" PRIu32 " is cut off", index);
  memcpy(&out->head, p, sizeof out->head);
  const uint64_t ids = 4 * ((uint64_t)out->head.n_in + out->head.n_out);
  const uint64_t attr = (sizeof out->head + ids + 7) / 8 * 8;
  if (out->head.bytes > left || out->head.bytes % 8 ||
      out->head.bytes < attr + attr_bytes(out->head.op))
    return cpu_fail(FORGE_E_INVALID,
                    "cpu: the record of op %" PRIu32 " (number %u) says %" PRIu32
                    " bytes; it needs %" PRIu64 " of the %" PRIu64 " left",
                    index, out->head.op, out->head.bytes, attr + attr_bytes(out->head.op), left);
  if (out->head.flags || out->head.op_ver != 1)
    return cpu_fail(FORGE_E_UNSUPPORTED,
                    "cpu: op %" PRIu32 " has version %u and flags %#" PRIx32 "; known: 1 and 0",
                    index, out->head.op_ver, out->head.flags);
  out->ids = (const uint32_t *)(const void *)(p + sizeof out->head);
  out->attr = p + attr;
  *at += out->head.bytes;
  return check_ids(desc, index, out);
}

void cpu_record_tensors(const forge_prog_desc *desc, const cpu_record *r,
                        const forge_tensor **out) {
  const uint32_t n = (uint32_t)r->head.n_in + r->head.n_out;
  for (uint32_t i = 0; i < n; i++)
    out[i] = r->ids[i] == FORGE_SLOT_NONE ? NULL : &desc->slots[r->ids[i]].tensor;
}

forge_status cpu_scan_records(const forge_prog_desc *desc, uint32_t *out_most,
                              uint64_t *out_total) {
  uint64_t at = 0;
  *out_most = 1;
  *out_total = 1;
  for (uint32_t i = 0; i < desc->n_ops; i++) {
    cpu_record r;
    const forge_status status = cpu_read_record(desc, i, &at, &r);
    if (status) return status;
    const uint32_t n = (uint32_t)r.head.n_in + r.head.n_out;
    if (n > *out_most) *out_most = n;
    *out_total += n;
  }
  return FORGE_OK;
}

uint8_t cpu_record_reason(const forge_dev *dev, const cpu_record *r,
                          const forge_tensor *const *tensors) {
  const cpu_op *row = cpu_find_op(r->head.op);
  if (!row || (dev->only_primitives && r->head.op >= FORGE_OP_FIRST_COMPOSITE))
    return FORGE_REASON_OP;
  const uint32_t n = (uint32_t)r->head.n_in + r->head.n_out;
  for (uint32_t i = 0; i < n; i++)
    if (tensors[i] && tensors[i]->layout != FORGE_LAYOUT_ROW_MAJOR) return FORGE_REASON_STRIDES;
  return row->supports(tensors, r->head.n_in, tensors + r->head.n_in, r->head.n_out, r->attr);
}

forge_status cpu_op_support(forge_dev *dev, const forge_prog_desc *desc, forge_support *out) {
  uint32_t most;
  uint64_t total, at = 0;
  forge_status status = cpu_scan_records(desc, &most, &total);
  if (status) return status;
  const forge_tensor **tensors = cpu_alloc(most * sizeof *tensors, 0);
  if (!tensors) return FORGE_E_OOM;
  for (uint32_t i = 0; i < desc->n_ops; i++) {
    cpu_record r;
    cpu_read_record(desc, i, &at, &r);
    cpu_record_tensors(desc, &r, tensors);
    const uint8_t why = cpu_record_reason(dev, &r, tensors);
    out[i] = (forge_support){.answer = why ? FORGE_SUPPORT_NO : FORGE_SUPPORT_NATIVE,
                             .reason = why,
                             .rel_cost = why ? 0 : 100};
  }
  cpu_free(tensors);
  return FORGE_OK;
}
