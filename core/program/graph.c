/* graph.c -- the arrays behind a builder: storages, values, ops; copying them for the compiler. */
#include <string.h>

#include "graph.h"

static forge_status out_of_memory(void) { return FAIL(FORGE_E_OOM, "no memory for a program"); }

forge_status forge_builder_create(forge_builder **out_builder) {
  *out_builder = mem_zalloc(sizeof **out_builder);
  return *out_builder ? FORGE_OK : out_of_memory();
}

void forge_builder_destroy(forge_builder *g) {
  if (!g) return;
  for (size_t i = 0; i < g->n_storages; i++) {
    mem_free(g->storages[i].name);
    mem_free(g->storages[i].data);
  }
  for (size_t i = 0; i < g->n_scalars; i++) mem_free(g->scalars[i].name);
  mem_free(g->storages);
  mem_free(g->values);
  mem_free(g->nodes);
  mem_free(g->ids);
  mem_free(g->attrs);
  mem_free(g->scalars);
  mem_free(g);
}

/* A copy of |n| items in an array with room for exactly them; NULL and cap 0 for none. */
static bool copy_array(void **to, size_t *cap, const void *from, size_t n, size_t bytes) {
  if (!n) return true;
  *to = mem_zalloc_array(n, bytes);
  if (!*to) return false;
  memcpy(*to, from, n * bytes);
  *cap = n;
  return true;
}
#define COPY_ARRAY(to, from, items)                                                                \
  (copy_array((void **)&(to)->items, &(to)->cap_##items, (from)->items, (from)->n_##items,         \
              sizeof *(from)->items) &&                                                            \
   ((to)->n_##items = (from)->n_##items, true))

/* The texts and constants of a copied storage, which still points at the original's. */
static bool own_storage(graph_storage *s) {
  const char *name = s->name;
  const void *data = s->data;
  uint64_t bytes = 0;
  s->name = NULL;
  s->data = NULL;
  if (name && !(s->name = mem_strdup(name))) return false;
  if (!data || !dtype_bytes(s->dtype, s->elements, &bytes)) return true;
  if (!(s->data = mem_alloc(bytes))) return false;
  memcpy(s->data, data, bytes);
  return true;
}

forge_status graph_clone(const forge_builder *g, forge_builder **out) {
  forge_builder *c;
  TRY(forge_builder_create(&c));
  bool ok = COPY_ARRAY(c, g, values) && COPY_ARRAY(c, g, nodes) && COPY_ARRAY(c, g, ids) &&
            COPY_ARRAY(c, g, attrs);
  if (ok && g->n_storages)
    ok = (c->storages = mem_zalloc_array(c->cap_storages = g->n_storages, sizeof *c->storages));
  for (size_t i = 0; ok && i < g->n_storages; i++) {
    c->storages[i] = g->storages[i];
    c->n_storages++;
    ok = own_storage(&c->storages[i]);
  }
  if (ok && g->n_scalars)
    ok = (c->scalars = mem_zalloc_array(c->cap_scalars = g->n_scalars, sizeof *c->scalars));
  for (size_t i = 0; ok && i < g->n_scalars; i++, c->n_scalars++) {
    c->scalars[i].max = g->scalars[i].max;
    ok = (c->scalars[i].name = mem_strdup(g->scalars[i].name));
  }
  if (ok) {
    *out = c;
    return FORGE_OK;
  }
  forge_builder_destroy(c);
  return out_of_memory();
}

forge_status graph_add_storage(forge_builder *g, uint8_t role, uint8_t dtype, uint64_t elements,
                               const char *name, uint32_t *out) {
  char *copy = NULL;
  if (!ARRAY_GROW(g->storages, g->n_storages, g->cap_storages)) return out_of_memory();
  if (name && !(copy = mem_strdup(name))) return out_of_memory();
  g->storages[g->n_storages] =
      (graph_storage){.elements = elements, .dtype = dtype, .role = role, .name = copy};
  *out = (uint32_t)g->n_storages++;
  return FORGE_OK;
}

forge_status graph_add_value(forge_builder *g, const forge_tensor *t, uint32_t storage,
                             int64_t offset, forge_tid root, forge_tid *out) {
  if (!ARRAY_GROW(g->values, g->n_values, g->cap_values)) return out_of_memory();
  const forge_tid tid = (forge_tid)g->n_values;
  const bool is_root = root == FORGE_TID_NONE;
  g->values[g->n_values++] =
      (graph_value){.t = *t,
                    .offset = offset,
                    .storage = storage,
                    .version = is_root ? g->storages[storage].version : g->values[root].version,
                    .root = is_root ? tid : root,
                    .producer = is_root ? GRAPH_NONE : g->values[root].producer};
  *out = tid;
  return FORGE_OK;
}

static forge_status append_attr(forge_builder *g, const void *attr, uint32_t bytes, uint32_t *out) {
  const size_t padded = ((size_t)bytes + 7) & ~(size_t)7;
  if (g->n_attrs + padded > g->cap_attrs &&
      !mem_grow((void **)&g->attrs, &g->cap_attrs, 1, g->n_attrs + padded))
    return out_of_memory();
  *out = (uint32_t)g->n_attrs;
  if (bytes) memcpy(g->attrs + g->n_attrs, attr, bytes);
  if (padded > bytes) memset(g->attrs + g->n_attrs + bytes, 0, padded - bytes);
  g->n_attrs += padded;
  return FORGE_OK;
}

forge_status graph_append(forge_builder *g, uint16_t op, const void *attr, uint32_t attr_bytes,
                          const forge_tid *in, uint32_t n_in, const forge_tid *out,
                          uint32_t n_out) {
  const size_t n = (size_t)n_in + n_out;
  graph_node node = {.op = op,
                     .n_in = (uint16_t)n_in,
                     .n_out = (uint16_t)n_out,
                     .ids = (uint32_t)g->n_ids,
                     .attr_bytes = attr_bytes,
                     .tag = g->compiling ? g->tag : (uint32_t)g->n_nodes};
  if (n_in > UINT16_MAX || g->n_values > UINT32_MAX / 2)
    return FAIL(FORGE_E_INVALID, "op %u: too many tensors", (unsigned)op);
  if (!ARRAY_GROW(g->nodes, g->n_nodes, g->cap_nodes)) return out_of_memory();
  if (g->n_ids + n > g->cap_ids &&
      !mem_grow((void **)&g->ids, &g->cap_ids, sizeof *g->ids, g->n_ids + n))
    return out_of_memory();
  TRY(append_attr(g, attr, attr_bytes, &node.attr));
  if (n_in) memcpy(g->ids + g->n_ids, in, n_in * sizeof *in);
  if (n_out) memcpy(g->ids + g->n_ids + n_in, out, n_out * sizeof *out);
  for (uint32_t k = 0; k < n_out; k++)
    if (out[k] != FORGE_TID_NONE) g->values[out[k]].producer = (uint32_t)g->n_nodes;
  g->n_ids += n;
  g->nodes[g->n_nodes++] = node;
  return FORGE_OK;
}

forge_status graph_constant(forge_builder *g, uint8_t dtype, uint8_t rank, const int64_t *dim,
                            const void *data, forge_tid *out) {
  forge_tensor t = {.dtype = dtype, .rank = rank};
  uint64_t elements, bytes;
  uint32_t storage;
  if (rank) memcpy(t.dim, dim, rank * sizeof *dim);
  TRY(tensor_set_dense(&t, &elements));
  if (!dtype_bytes(dtype, elements, &bytes)) return FAIL(FORGE_E_INVALID, "constant too large");
  for (storage = 0; storage < g->n_storages; storage++) {
    const graph_storage *s = &g->storages[storage];
    if (s->role == GRAPH_CONSTANT && s->dtype == dtype && s->elements == elements &&
        !memcmp(s->data, data, bytes))
      return graph_add_value(g, &t, storage, 0, FORGE_TID_NONE, out);
  }
  TRY(graph_add_storage(g, GRAPH_CONSTANT, dtype, elements, NULL, &storage));
  void *copy = mem_alloc(bytes);
  if (!copy) {
    g->n_storages--;
    return out_of_memory();
  }
  memcpy(copy, data, bytes);
  g->storages[storage].data = copy;
  return graph_add_value(g, &t, storage, 0, FORGE_TID_NONE, out);
}

forge_status graph_fresh(forge_builder *g, const forge_tensor *like, uint8_t dtype,
                         forge_tid *out) {
  forge_tensor t = *like;
  uint64_t elements;
  uint32_t storage;
  t.dtype = dtype;
  TRY(tensor_set_dense(&t, &elements));
  TRY(graph_add_storage(g, GRAPH_TEMP, dtype, elements, NULL, &storage));
  return graph_add_value(g, &t, storage, 0, FORGE_TID_NONE, out);
}

forge_status graph_renew(forge_builder *g, forge_tid *tid) {
  const graph_value v = g->values[*tid];
  TRY(graph_add_value(g, &v.t, v.storage, v.offset, FORGE_TID_NONE, tid));
  g->values[*tid].producer = v.producer;
  return FORGE_OK;
}

void graph_copy_attr(const forge_builder *g, const graph_node *n, uint64_t out[GRAPH_ATTR_WORDS]) {
  if (n->attr_bytes) memcpy(out, graph_attr(g, n), n->attr_bytes);
}
