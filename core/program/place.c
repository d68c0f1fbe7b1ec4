/* place.c -- which op runs where. Each op is asked of the first device; a composite it does not
 * have is expanded and asked again; what remains goes to a fallback device if the policy lets it.
 */
#include <string.h>

#include "compile.h"

enum { MAX_PASSES = 8 }; /* an expansion may hold composites, which may be expanded in turn */

static const char *const reasons[] = {"not said", "the op",     "an element type", "a shape",
                                      "strides",  "attributes", "the hardware"};

static const char *reason_text(uint8_t reason) {
  return reason < COUNT_OF(reasons) ? reasons[reason] : "not said";
}

/* One device's answers for the whole list. */
static forge_status ask(forge_program *p, forge_device *device, forge_support **out) {
  const forge_builder *g = p->graph;
  uint64_t *offset = NULL;
  uint32_t *name_of = mem_zalloc_array(g->n_storages, sizeof *name_of);
  lowered low = {0};
  *out = mem_zalloc_array(g->n_nodes, sizeof **out);
  forge_status st =
      name_of && *out ? plan_for_query(g, &offset) : FAIL(FORGE_E_OOM, "no memory to ask a device");
  uint32_t n = 0;
  for (size_t s = 0; !st && s < g->n_storages; s++)
    name_of[s] = g->storages[s].name ? n++ : GRAPH_NONE;
  const lower_layout layout = {offset, offset, name_of};
  if (!st) st = lower_ops(g, 0, (uint32_t)g->n_nodes, &layout, p->prog_flags, p->prog_id, &low);
  if (!st && g->n_nodes) {
    st = device_table(device)->op_support(device_handle(device), &low.desc, *out);
    if (st) st = device_failed(device, st, "op_support");
  }
  lower_finish(&low);
  mem_free(offset);
  mem_free(name_of);
  if (st) {
    mem_free(*out);
    *out = NULL;
  }
  return st;
}

typedef struct placing {
  forge_program *p;
  forge_support *answer[COMPILE_MAX_DEVICES];
  uint8_t *expand;
  uint32_t n_expand;
} placing;

static void finish_placing(placing *c) {
  for (uint32_t d = 0; d < COMPILE_MAX_DEVICES; d++) mem_free(c->answer[d]);
  mem_free(c->expand);
  *c = (placing){.p = c->p};
}

/* First device that has op |i|, n_devices if none. */
static uint32_t first_native(const placing *c, size_t i) {
  uint32_t d = 0;
  while (d < c->p->n_devices && !(c->answer[d] && c->answer[d][i].answer == FORGE_SUPPORT_NATIVE))
    d++;
  return d;
}

/* Devices are asked only when the ones before lack something and the policy lets work move. */
static forge_status ask_all(placing *c) {
  forge_program *p = c->p;
  for (uint32_t d = 0; d < p->n_devices; d++) {
    bool missing = d == 0;
    for (size_t i = 0; d && i < p->graph->n_nodes; i++)
      missing |= c->answer[0][i].answer == FORGE_SUPPORT_NO ||
                 (c->answer[0][i].answer == FORGE_SUPPORT_DECOMPOSED &&
                  !op_find(p->graph->nodes[i].op)->expand);
    if (missing) TRY(ask(p, p->devices[d].device, &c->answer[d]));
  }
  return FORGE_OK;
}

/* Which composites to expand now: those the first device wants in primitives, and those it refuses
 * and no fallback has. */
static forge_status choose_expansions(placing *c) {
  const forge_builder *g = c->p->graph;
  if (!(c->expand = mem_zalloc(g->n_nodes))) return FAIL(FORGE_E_OOM, "no memory to place ops");
  c->n_expand = 0;
  for (size_t i = 0; i < g->n_nodes; i++) {
    const forge_support *s = c->answer[0] ? &c->answer[0][i] : NULL;
    const bool native =
        s && s->answer == FORGE_SUPPORT_NATIVE && !(c->p->flags & FORGE_COMPILE_PRIMITIVES);
    const bool elsewhere =
        s && s->answer == FORGE_SUPPORT_NO && first_native(c, i) < c->p->n_devices;
    if (!op_find(g->nodes[i].op)->expand || native || elsewhere) continue;
    c->expand[i] = 1;
    c->n_expand++;
    c->p->was_expanded[g->nodes[i].tag] = 1;
  }
  return FORGE_OK;
}

static forge_status refused(const forge_program *p, size_t i, const forge_support *s) {
  const graph_node *n = &p->graph->nodes[i];
  return FAIL(
      FORGE_E_POLICY,
      "%s cannot run %s (op %u of the builder): the reason is %s; choose another device, or "
      "allow a fallback device (fallback = \"warn\" in the configuration)",
      device_name(p->devices[0].device), op_find(n->op)->name, n->tag, reason_text(s->reason));
}

static forge_status assign(placing *c) {
  forge_program *p = c->p;
  p->ops = mem_zalloc_array(p->graph->n_nodes, sizeof *p->ops);
  if (!p->ops) return FAIL(FORGE_E_OOM, "no memory to place ops");
  for (size_t i = 0; i < p->graph->n_nodes; i++) {
    const forge_support *s = &c->answer[0][i];
    const uint32_t d = first_native(c, i);
    const graph_node *n = &p->graph->nodes[i];
    if (d == p->n_devices) return refused(p, i, s);
    if (d && p->policy == FORGE_FALLBACK_WARN)
      log_line(FORGE_LOG_WARN, "%s (op %u) runs on %s, not on %s: the reason is %s",
               op_find(n->op)->name, n->tag, device_name(p->devices[d].device),
               device_name(p->devices[0].device), reason_text(s->reason));
    p->ops[i] = (program_op){.device = (uint8_t)d,
                             .answer = s->answer,
                             .reason = s->reason,
                             .expanded = p->was_expanded[n->tag]};
  }
  return FORGE_OK;
}

/* Neighbours on one device become one segment. */
static forge_status cut_segments(forge_program *p) {
  size_t cap = 0, n = 0;
  for (uint32_t i = 0; i < p->graph->n_nodes; i++) {
    if (i && p->ops[i].device == p->ops[i - 1].device) {
      p->segments[n - 1].end = i + 1;
      continue;
    }
    if (!ARRAY_GROW(p->segments, n, cap)) return FAIL(FORGE_E_OOM, "no memory to place ops");
    p->segments[n++] = (program_segment){.device = p->ops[i].device, .first = i, .end = i + 1};
    p->n_segments = (uint32_t)n;
  }
  return FORGE_OK;
}

static forge_status take_devices(forge_program *p, const forge_program_options *o) {
  p->policy = o->fallback ? o->fallback : device_fallback_policy(p->devices[0].device);
  if (p->policy > FORGE_FALLBACK_ALLOW)
    return FAIL(FORGE_E_INVALID, "fallback policy %u is unknown", p->policy);
  if (p->policy == FORGE_FALLBACK_ERROR) return FORGE_OK;
  for (uint32_t i = 0; i < o->n_fallback; i++) {
    if (p->n_devices == COMPILE_MAX_DEVICES)
      return FAIL(FORGE_E_INVALID, "at most %d fallback devices", COMPILE_MAX_DEVICES - 1);
    if (o->fallbacks[i] == p->devices[0].device) continue;
    device_retain(o->fallbacks[i]);
    p->devices[p->n_devices++].device = o->fallbacks[i];
  }
  return FORGE_OK;
}

forge_status place_ops(forge_program *p, const forge_program_options *options) {
  placing c = {.p = p};
  TRY(take_devices(p, options));
  p->n_tags = (uint32_t)p->graph->n_nodes + 1;
  for (size_t i = 0; i < p->graph->n_nodes; i++)
    if (p->graph->nodes[i].tag >= p->n_tags) p->n_tags = p->graph->nodes[i].tag + 1;
  if (!(p->was_expanded = mem_zalloc(p->n_tags)))
    return FAIL(FORGE_E_OOM, "no memory to place ops");
  forge_status st = FORGE_OK;
  bool settled = false; /* the answers are about the list as it stands */
  for (uint32_t pass = 0; !st && !settled && pass < MAX_PASSES; pass++) {
    finish_placing(&c);
    if (!(p->flags & FORGE_COMPILE_PRIMITIVES) || pass) st = ask_all(&c);
    if (!st) st = choose_expansions(&c);
    settled = !st && !c.n_expand && c.answer[0];
    if (!st && !settled) st = reduce_expand(p->graph, c.expand);
  }
  if (!st && !settled) st = FAIL(FORGE_E_INTERNAL, "expansions do not end");
  if (!st) st = assign(&c);
  if (!st) st = cut_segments(p);
  finish_placing(&c);
  return st;
}
