/* lower.c -- a stretch of the list as the ABI describes a program: slots, bindings, op records. */
#include <string.h>

#include "compile.h"

typedef struct lowering {
  const forge_builder *g;
  const lower_layout *layout;
  uint32_t *slot_of, *bind_of_name; /* per value, per storage's name; GRAPH_NONE: not yet */
  uint32_t workspace_bind, constants_bind;
  lowered *out;
  size_t cap_slots, cap_ops, cap_binds, n_ops_bytes, n_binds, n_slots;
} lowering;

static forge_status no_memory(void) { return FAIL(FORGE_E_OOM, "no memory to lower a program"); }

static forge_status bind_number(lowering *l, uint32_t *slot, uint32_t what, uint32_t *out) {
  if (*slot == GRAPH_NONE) {
    if (!ARRAY_GROW(l->out->bind_what, l->n_binds, l->cap_binds)) return no_memory();
    l->out->bind_what[l->n_binds] = what;
    *slot = (uint32_t)l->n_binds++;
  }
  *out = *slot;
  return FORGE_OK;
}

/* Binding and byte offset of a value. */
static forge_status locate(lowering *l, const graph_value *v, forge_slot *slot) {
  const graph_storage *s = &l->g->storages[v->storage];
  const uint32_t name = l->layout->name_of[v->storage];
  uint64_t within = 0;
  dtype_bytes(s->dtype, (uint64_t)v->offset, &within);
  slot->offset = within;
  if (s->role == FORGE_ROLE_PARAM || s->role == GRAPH_CONSTANT) slot->flags = FORGE_SLOT_CONSTANT;
  if (name != GRAPH_NONE) return bind_number(l, &l->bind_of_name[v->storage], name, &slot->bind);
  if (s->role == GRAPH_CONSTANT) {
    slot->offset += l->layout->constant_offset[v->storage];
    return bind_number(l, &l->constants_bind, BIND_CONSTANTS, &slot->bind);
  }
  slot->offset += l->layout->offset[v->storage];
  return bind_number(l, &l->workspace_bind, BIND_WORKSPACE, &slot->bind);
}

static forge_status slot_number(lowering *l, forge_tid tid, uint32_t *out) {
  if (tid == FORGE_TID_NONE) {
    *out = FORGE_SLOT_NONE;
    return FORGE_OK;
  }
  if (l->slot_of[tid] == GRAPH_NONE) {
    forge_slot slot = {.tensor = l->g->values[tid].t};
    TRY(locate(l, &l->g->values[tid], &slot));
    if (!ARRAY_GROW(l->out->slots, l->n_slots, l->cap_slots)) return no_memory();
    l->out->slots[l->n_slots] = slot;
    l->slot_of[tid] = (uint32_t)l->n_slots++;
  }
  *out = l->slot_of[tid];
  return FORGE_OK;
}

/* Header, slot ids, padding, attributes. */
static forge_status lower_op(lowering *l, const graph_node *n) {
  const size_t n_ids = (size_t)n->n_in + n->n_out;
  const size_t ids_bytes = (n_ids * sizeof(uint32_t) + 7) & ~(size_t)7;
  const size_t bytes = sizeof(forge_op) + ids_bytes + ((n->attr_bytes + 7u) & ~7u);
  const forge_op head = {.op = n->op,
                         .op_ver = 1,
                         .n_in = n->n_in,
                         .n_out = n->n_out,
                         .bytes = (uint32_t)bytes,
                         .src_tag = n->tag};
  if (l->n_ops_bytes + bytes > l->cap_ops &&
      !mem_grow((void **)&l->out->ops, &l->cap_ops, 1, l->n_ops_bytes + bytes))
    return no_memory();
  uint8_t *at = l->out->ops + l->n_ops_bytes;
  memset(at, 0, bytes);
  memcpy(at, &head, sizeof head);
  for (size_t k = 0; k < n_ids; k++) {
    uint32_t slot = FORGE_SLOT_NONE;
    TRY(slot_number(l, l->g->ids[n->ids + k], &slot));
    memcpy(at + sizeof head + k * sizeof slot, &slot, sizeof slot);
  }
  if (n->attr_bytes) memcpy(at + sizeof head + ids_bytes, graph_attr(l->g, n), n->attr_bytes);
  l->n_ops_bytes += bytes;
  return FORGE_OK;
}

forge_status lower_ops(const forge_builder *g, uint32_t first, uint32_t end,
                       const lower_layout *layout, uint32_t flags, uint64_t prog_id, lowered *out) {
  lowering l = {.g = g,
                .layout = layout,
                .workspace_bind = GRAPH_NONE,
                .constants_bind = GRAPH_NONE,
                .out = out,
                .slot_of = mem_zalloc_array(g->n_values, sizeof(uint32_t)),
                .bind_of_name = mem_zalloc_array(g->n_storages, sizeof(uint32_t))};
  *out = (lowered){0};
  forge_status st = l.slot_of && l.bind_of_name ? FORGE_OK : no_memory();
  for (size_t i = 0; !st && i < g->n_values; i++) l.slot_of[i] = GRAPH_NONE;
  for (size_t i = 0; !st && i < g->n_storages; i++) l.bind_of_name[i] = GRAPH_NONE;
  for (uint32_t i = first; !st && i < end; i++) st = lower_op(&l, &g->nodes[i]);
  out->desc = (forge_prog_desc){.size = sizeof out->desc,
                                .flags = flags,
                                .n_slots = (uint32_t)l.n_slots,
                                .n_ops = end - first,
                                .slots = out->slots,
                                .ops = out->ops,
                                .ops_bytes = l.n_ops_bytes,
                                .n_bind = (uint32_t)l.n_binds,
                                .n_scalars = (uint32_t)g->n_scalars,
                                .prog_id = prog_id};
  mem_free(l.slot_of);
  mem_free(l.bind_of_name);
  if (st) lower_finish(out);
  return st;
}

void lower_finish(lowered *l) {
  mem_free(l->slots);
  mem_free(l->ops);
  mem_free(l->bind_what);
  *l = (lowered){0};
}
