/* plan.c -- where everything lies: names and constants, copies between devices, and for each device
 * one workspace in which intermediates with disjoint lives share places. */
#include <stdlib.h>
#include <string.h>

#include "compile.h"

static forge_status no_memory(void) { return FAIL(FORGE_E_OOM, "no memory to plan a program"); }

uint64_t plan_storage_bytes(const graph_storage *s) {
  uint64_t bytes = 0;
  dtype_bytes(s->dtype, s->elements, &bytes);
  return (bytes + COMPILE_ALIGN - 1) / COMPILE_ALIGN * COMPILE_ALIGN;
}

forge_status plan_for_query(const forge_builder *g, uint64_t **out_offset) {
  uint64_t at = 0, *offset = mem_zalloc_array(g->n_storages, sizeof *offset);
  if (!offset) return no_memory();
  for (size_t s = 0; s < g->n_storages; s++) {
    offset[s] = at;
    at += plan_storage_bytes(&g->storages[s]);
  }
  *out_offset = offset;
  return FORGE_OK;
}

/* Calls visit for every tensor of every op, in order; |write| tells outputs from inputs. */
typedef void (*visit_fn)(void *ctx, const forge_builder *g, uint32_t node, forge_tid tid,
                         bool write);
static void visit_all(const forge_builder *g, visit_fn visit, void *ctx) {
  for (uint32_t i = 0; i < g->n_nodes; i++) {
    const graph_node *n = &g->nodes[i];
    for (uint32_t k = 0; k < n->n_in + (uint32_t)n->n_out; k++)
      if (g->ids[n->ids + k] != FORGE_TID_NONE) visit(ctx, g, i, g->ids[n->ids + k], k >= n->n_in);
  }
}

/* ---- names, constants, extents ---- */

typedef struct marks {
  bool *used, *written; /* per storage */
  uint64_t *max;        /* per scalar: smallest maximum it meets as an extent */
  bool *extent;
} marks;

static void mark_use(void *ctx, const forge_builder *g, uint32_t node, forge_tid tid, bool write) {
  (void)node;
  marks *m = ctx;
  const graph_value *v = &g->values[tid];
  m->used[v->storage] = true;
  m->written[v->storage] |= write;
  for (uint32_t k = 0; k < v->t.rank; k++) {
    if (!v->t.dim_scalar[k]) continue;
    const uint32_t s = v->t.dim_scalar[k] - 1u;
    if (!m->extent[s] || (uint64_t)v->t.dim[k] < m->max[s]) m->max[s] = (uint64_t)v->t.dim[k];
    m->extent[s] = true;
  }
}

static forge_status take_limits(forge_program *p, const marks *m) {
  const forge_builder *g = p->graph;
  if (!(p->limits = mem_zalloc_array(g->n_scalars, sizeof *p->limits))) return no_memory();
  for (uint32_t s = 0; s < g->n_scalars; s++) {
    if (!m->extent[s]) continue;
    const uint64_t max = m->max[s] < g->scalars[s].max ? m->max[s] : g->scalars[s].max;
    p->limits[p->n_limits].scalar = s;
    p->limits[p->n_limits++].max = max;
  }
  return FORGE_OK;
}

static forge_status take_names(forge_program *p, const marks *m) {
  const forge_builder *g = p->graph;
  p->names = mem_zalloc_array(g->n_storages, sizeof *p->names);
  p->constant_offset = mem_zalloc_array(g->n_storages, sizeof *p->constant_offset);
  if (!p->names || !p->constant_offset) return no_memory();
  for (uint32_t s = 0; s < g->n_storages; s++) {
    const graph_storage *storage = &g->storages[s];
    p->constant_offset[s] = UINT64_MAX; /* no op reads it */
    if (storage->role == GRAPH_CONSTANT && m->used[s]) {
      p->constant_offset[s] = p->constants_bytes;
      p->constants_bytes += plan_storage_bytes(storage);
    }
    if (!storage->name) continue;
    program_name *n = &p->names[p->n_names++];
    *n = (program_name){.name = storage->name,
                        .storage = s,
                        .role = storage->role,
                        .used = m->used[s],
                        .written = m->written[s]};
    dtype_bytes(storage->dtype, storage->elements, &n->bytes);
    if (n->used && n->bytes) p->n_unbound++;
  }
  return FORGE_OK;
}

forge_status plan_names(forge_program *p) {
  const forge_builder *g = p->graph;
  marks m = {mem_zalloc(g->n_storages), mem_zalloc(g->n_storages),
             mem_zalloc_array(g->n_scalars, sizeof *m.max), mem_zalloc(g->n_scalars)};
  forge_status st = m.used && m.written && m.max && m.extent ? FORGE_OK : no_memory();
  if (!st) visit_all(g, mark_use, &m);
  if (!st) st = take_limits(p, &m);
  if (!st) st = take_names(p, &m);
  mem_free(m.used);
  mem_free(m.written);
  mem_free(m.max);
  mem_free(m.extent);
  return st;
}

/* ---- copies between devices ---- */

static forge_status add_copy(forge_program *p, uint32_t segment, uint32_t storage, uint32_t from,
                             uint32_t to) {
  const graph_storage *s = &p->graph->storages[storage];
  program_copy c = {.segment = segment, .storage = storage, .from = from, .to = to};
  dtype_bytes(s->dtype, s->elements, &c.bytes);
  if (!c.bytes) return FORGE_OK;
  if (!ARRAY_GROW(p->copies, p->n_copies, p->cap_copies)) return no_memory();
  p->copies[p->n_copies++] = c;
  p->copy_bytes += c.bytes;
  return FORGE_OK;
}

static uint32_t lowest_bit(uint32_t mask) { return (uint32_t)__builtin_ctz(mask); }

/* Brings what the segment touches to its device and notes what only it has afterwards. |valid|: per
 * storage, the devices that hold its present contents. */
static forge_status copies_of_segment(forge_program *p, uint32_t number, uint32_t *valid) {
  const program_segment *seg = &p->segments[number];
  const forge_builder *g = p->graph;
  const uint32_t bit = 1u << seg->device;
  for (uint32_t i = seg->first; i < seg->end; i++) {
    const graph_node *n = &g->nodes[i];
    const uint32_t n_ids = n->n_in + (uint32_t)n->n_out;
    for (uint32_t k = 0; k < n_ids; k++) { /* outputs too: a view may be written in part */
      const forge_tid tid = g->ids[n->ids + k];
      if (tid == FORGE_TID_NONE) continue;
      const uint32_t s = g->values[tid].storage;
      if (g->storages[s].role == GRAPH_CONSTANT) continue;
      if (valid[s] && !(valid[s] & bit)) {
        TRY(add_copy(p, number, s, lowest_bit(valid[s]), seg->device));
        valid[s] |= bit;
      }
    }
    for (uint32_t k = n->n_in; k < n_ids; k++)
      if (g->ids[n->ids + k] != FORGE_TID_NONE) valid[g->values[g->ids[n->ids + k]].storage] = bit;
  }
  return FORGE_OK;
}

forge_status plan_copies(forge_program *p) {
  const forge_builder *g = p->graph;
  if (p->n_segments < 2 && (!p->n_segments || p->segments[0].device == 0)) return FORGE_OK;
  uint32_t *valid = mem_zalloc_array(g->n_storages, sizeof *valid);
  forge_status st = valid ? FORGE_OK : no_memory();
  for (size_t s = 0; !st && s < g->n_storages; s++) valid[s] = g->storages[s].role != GRAPH_TEMP;
  for (uint32_t i = 0; !st && i < p->n_segments; i++) st = copies_of_segment(p, i, valid);
  for (uint32_t s = 0; !st && s < g->n_storages; s++) /* results end on the program's device */
    if (g->storages[s].name && valid[s] && !(valid[s] & 1))
      st = add_copy(p, p->n_segments, s, lowest_bit(valid[s]), 0);
  mem_free(valid);
  return st;
}

/* ---- lives and places ---- */

#define NEVER UINT32_MAX

typedef struct life {
  uint32_t storage, first, last;
  uint64_t bytes, offset;
} life;

typedef struct planning {
  const forge_program *p;
  life *lives;      /* per storage */
  uint32_t *joined; /* storage whose place this one takes, itself otherwise */
  uint32_t device;
} planning;

static uint32_t joined_root(const planning *c, uint32_t s) {
  while (c->joined[s] != s) s = c->joined[s];
  return s;
}

static void touch(planning *c, uint32_t storage, uint32_t time) {
  life *l = &c->lives[joined_root(c, storage)];
  if (l->first == NEVER || time < l->first) l->first = time;
  if (l->last == NEVER || time > l->last) l->last = time;
}

static bool is_planned(const graph_storage *s) { return s->role == GRAPH_TEMP && !s->name; }

static void touch_op(void *ctx, const forge_builder *g, uint32_t node, forge_tid tid, bool write) {
  (void)write;
  planning *c = ctx;
  const uint32_t s = g->values[tid].storage;
  if (is_planned(&g->storages[s]) && c->p->ops[node].device == c->device) touch(c, s, node);
}

static void touch_copies(planning *c) {
  const forge_program *p = c->p;
  for (size_t i = 0; i < p->n_copies; i++) {
    const program_copy *k = &p->copies[i];
    const bool end = k->segment == p->n_segments;
    const uint32_t time = end ? (uint32_t)p->graph->n_nodes : p->segments[k->segment].first;
    if (is_planned(&p->graph->storages[k->storage]) && (k->from == c->device || k->to == c->device))
      touch(c, k->storage, time);
  }
}

/* AXPBY may write over an operand (ops.h); it does so where that operand's last reader is the op.
 */
static void join_in_place(planning *c, uint32_t i) {
  const forge_builder *g = c->p->graph;
  const graph_node *n = &g->nodes[i];
  if (n->op != FORGE_OP_AXPBY) return;
  const graph_value *y = &g->values[graph_outputs(g, n)[0]];
  const uint32_t to = joined_root(c, y->storage);
  if (!is_planned(&g->storages[y->storage]) || c->lives[to].first != i) return;
  for (uint32_t k = 0; k < 2; k++) {
    const graph_value *x = &g->values[graph_inputs(g, n)[k]];
    const uint32_t from = joined_root(c, x->storage);
    if (!is_planned(&g->storages[x->storage]) || c->lives[from].last != i || from == to) continue;
    if (memcmp(&x->t, &y->t, sizeof x->t) || x->offset != y->offset) continue;
    if (c->lives[from].bytes != c->lives[to].bytes) continue;
    const graph_value *other = &g->values[graph_inputs(g, n)[1 - k]];
    if (joined_root(c, other->storage) == from) continue;
    c->joined[to] = from;
    c->lives[from].last = c->lives[to].last;
    c->lives[to].first = NEVER;
    return;
  }
}

static int by_size(const void *a, const void *b) {
  const life *x = *(life *const *)a, *y = *(life *const *)b;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
  return x->storage < y->storage ? -1 : x->storage > y->storage;
}

static bool lives_meet(const life *a, const life *b) {
  return a->first <= b->last && b->first <= a->last;
}

/* The tightest gap among the places of |n| placed lives (ordered by offset) that meet |l|. */
static uint64_t best_gap(life *const *placed, size_t n, const life *l) {
  uint64_t end = 0, best = UINT64_MAX, best_size = UINT64_MAX;
  for (size_t i = 0; i < n; i++) {
    if (!lives_meet(placed[i], l)) continue;
    const uint64_t at = placed[i]->offset;
    if (at > end && at - end >= l->bytes && at - end < best_size) {
      best = end;
      best_size = at - end;
    }
    if (at + placed[i]->bytes > end) end = at + placed[i]->bytes;
  }
  return best == UINT64_MAX ? end : best;
}

static uint64_t place_lives(life **order, size_t n) {
  uint64_t high = 0;
  qsort(order, n, sizeof *order, by_size);
  for (size_t i = 0; i < n; i++) { /* order[0..i) is kept sorted by offset */
    life *l = order[i];
    l->offset = best_gap(order, i, l);
    if (l->offset + l->bytes > high) high = l->offset + l->bytes;
    size_t at = i;
    for (; at && order[at - 1]->offset > l->offset; at--) order[at] = order[at - 1];
    order[at] = l;
  }
  return high;
}

static forge_status plan_device(planning *c, program_device *d) {
  const forge_program *p = c->p;
  const size_t n = p->graph->n_storages;
  const bool keep_all = p->flags & COMPILE_NO_REUSE;
  size_t n_order = 0;
  life **order = mem_zalloc_array(n, sizeof *order);
  d->offset = mem_zalloc_array(n, sizeof *d->offset);
  if (!order || !d->offset) {
    mem_free(order);
    return no_memory();
  }
  for (uint32_t s = 0; s < n; s++) {
    c->joined[s] = s;
    c->lives[s] = (life){s, NEVER, NEVER, plan_storage_bytes(&p->graph->storages[s]), 0};
  }
  visit_all(p->graph, touch_op, c);
  touch_copies(c);
  for (uint32_t i = 0; p->n_segments == 1 && !keep_all && i < p->graph->n_nodes; i++)
    join_in_place(c, i);
  for (uint32_t s = 0; s < n; s++) {
    life *l = &c->lives[s];
    if (l->first == NEVER || joined_root(c, s) != s) continue;
    if (keep_all) {
      l->first = 0;
      l->last = NEVER - 1;
    }
    order[n_order++] = l;
  }
  d->workspace_bytes = place_lives(order, n_order);
  for (uint32_t s = 0; s < n; s++) d->offset[s] = c->lives[joined_root(c, s)].offset;
  mem_free(order);
  return FORGE_OK;
}

forge_status plan_memory(forge_program *p) {
  const size_t n = p->graph->n_storages;
  planning c = {.p = p,
                .lives = mem_zalloc_array(n, sizeof *c.lives),
                .joined = mem_zalloc_array(n, sizeof *c.joined)};
  forge_status st = c.lives && c.joined ? FORGE_OK : no_memory();
  for (; !st && c.device < p->n_devices; c.device++) st = plan_device(&c, &p->devices[c.device]);
  for (size_t s = 0; !st && s < n; s++) /* after the loop the lives are those of the last device */
    if (is_planned(&p->graph->storages[s]))
      p->temp_bytes += plan_storage_bytes(&p->graph->storages[s]);
  mem_free(c.lives);
  mem_free(c.joined);
  return st;
}
