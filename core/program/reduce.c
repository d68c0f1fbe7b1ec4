/* reduce.c -- shortening and expanding the list of a compiled copy. Tensor ids keep their meaning:
 * an expansion ends by giving its results the storage of the composite's outputs. */
#include <string.h>

#include "compile.h"
#include "expand.h"

static forge_status no_memory(void) { return FAIL(FORGE_E_OOM, "no memory to compile a program"); }

static bool is_root(const graph_storage *s) { return s->is_output || s->role == FORGE_ROLE_STATE; }

/* Marks the ops that something outside depends on; |needed| is per storage. */
static void mark_live(const forge_builder *g, uint8_t *needed, uint8_t *live) {
  for (size_t s = 0; s < g->n_storages; s++) needed[s] = is_root(&g->storages[s]);
  for (size_t i = g->n_nodes; i-- > 0;) {
    const graph_node *n = &g->nodes[i];
    const forge_tid *in = graph_inputs(g, n), *out = graph_outputs(g, n);
    for (uint32_t k = 0; k < n->n_out; k++)
      if (out[k] != FORGE_TID_NONE) live[i] |= needed[g->values[out[k]].storage];
    for (uint32_t k = 0; live[i] && k < n->n_in; k++)
      if (in[k] != FORGE_TID_NONE) needed[g->values[in[k]].storage] = 1;
  }
}

static void drop_optional(forge_builder *g, const graph_node *n, const uint8_t *needed) {
  const op_row *row = op_find(n->op);
  forge_tid *out = g->ids + n->ids + n->n_in;
  for (uint32_t k = 0; k < n->n_out; k++)
    if ((row->optional_out >> k & 1) && out[k] != FORGE_TID_NONE &&
        !needed[g->values[out[k]].storage])
      out[k] = FORGE_TID_NONE;
}

forge_status reduce_dead(forge_builder *g) {
  uint8_t *needed = mem_zalloc(g->n_storages), *live = mem_zalloc(g->n_nodes);
  forge_status st = needed && live ? FORGE_OK : no_memory();
  size_t kept = 0;
  if (!st) mark_live(g, needed, live);
  for (size_t i = 0; !st && i < g->n_nodes; i++) {
    if (!live[i]) continue;
    drop_optional(g, &g->nodes[i], needed);
    g->nodes[kept++] = g->nodes[i];
  }
  if (!st) g->n_nodes = kept;
  mem_free(needed);
  mem_free(live);
  return st;
}

static forge_status expand_one(forge_builder *g, const graph_node *n) {
  const op_row *row = op_find(n->op);
  build b = {.builder = g};
  uint64_t attr[GRAPH_ATTR_WORDS];
  forge_tid out[3], *in = mem_zalloc_array(n->n_in + 1u, sizeof *in);
  if (!in) return no_memory();
  graph_copy_attr(g, n, attr);
  if (n->n_in) memcpy(in, graph_inputs(g, n), n->n_in * sizeof *in);
  memcpy(out, graph_outputs(g, n), n->n_out * sizeof *out);
  expand_call c = {.b = &b,
                   .attr = attr,
                   .in = in,
                   .n_in = n->n_in,
                   .out = out,
                   .first_storage = (uint32_t)g->n_storages};
  g->tag = n->tag;
  row->expand(&c);
  mem_free(in);
  return b.status ? base_fail_in(b.status, "expanding %s", row->name) : FORGE_OK;
}

forge_status reduce_expand(forge_builder *g, const uint8_t *expand) {
  graph_node *old = g->nodes;
  const size_t n = g->n_nodes;
  forge_status st = FORGE_OK;
  g->nodes = NULL;
  g->n_nodes = g->cap_nodes = 0;
  for (size_t i = 0; !st && i < n; i++) {
    if (expand[i]) {
      st = expand_one(g, &old[i]);
    } else if (ARRAY_GROW(g->nodes, g->n_nodes, g->cap_nodes)) {
      g->nodes[g->n_nodes++] = old[i];
    } else {
      st = no_memory();
    }
  }
  mem_free(old);
  return st ? st : reduce_dead(g);
}

static bool is_whole(const forge_builder *g, const graph_value *v) {
  return v->offset == 0 && tensor_is_dense(&v->t) &&
         tensor_elements(&v->t) == g->storages[v->storage].elements;
}

void expand_result(expand_call *c, uint32_t k, forge_tid result) {
  forge_builder *g = c->b->builder;
  if (c->b->status || c->out[k] == FORGE_TID_NONE) return;
  const graph_value *to = &g->values[c->out[k]], *from = &g->values[result];
  const bool ours = from->storage >= c->first_storage &&
                    g->storages[from->storage].role == GRAPH_TEMP && is_whole(g, from);
  if (!ours || !is_whole(g, to) || from->t.dtype != to->t.dtype) {
    if (!tensor_same_dims(&from->t, &to->t))
      result = build_reshape(c->b, result, to->t.rank, to->t.dim);
    formula_copy_into(c->b, result, c->out[k]);
    return;
  }
  const uint32_t old = from->storage, new = to->storage;
  for (size_t i = g->n_values; i-- > 0;) /* every view of it follows */
    if (g->values[i].storage == old) g->values[i].storage = new;
}
