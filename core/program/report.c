/* report.c -- what compiling a program came to, as JSON: counts, places and reasons, memory. */
#include <jansson.h>
#include <string.h>

#include "compile.h"

static const char *answer_name(uint8_t answer) {
  return answer == FORGE_SUPPORT_NATIVE       ? "native"
         : answer == FORGE_SUPPORT_DECOMPOSED ? "decomposed"
                                              : "no";
}

static const char *role_name(uint8_t role) {
  static const char *const names[] = {"output", "input", "param", "state"};
  return names[role & 3];
}

static void count_up(json_t *object, const char *key) {
  const json_int_t have = json_integer_value(json_object_get(object, key));
  json_object_set_new(object, key, json_integer(have + 1));
}

/* How many ops of each kind run on each device. */
static json_t *counts_json(const forge_program *p) {
  json_t *all = json_object();
  for (size_t i = 0; i < p->graph->n_nodes; i++) {
    const char *device = device_name(p->devices[p->ops[i].device].device);
    json_t *of = json_object_get(all, device);
    if (!of) json_object_set_new(all, device, of = json_object());
    count_up(of, op_find(p->graph->nodes[i].op)->name);
  }
  return all;
}

/* Each op in order: where it runs, what the first device said, what it came from. */
static json_t *ops_json(const forge_program *p) {
  json_t *list = json_array();
  for (size_t i = 0; i < p->graph->n_nodes; i++) {
    const program_op *o = &p->ops[i];
    const graph_node *n = &p->graph->nodes[i];
    json_array_append_new(list, json_pack("{s:s, s:i, s:s, s:s, s:i, s:b}", "op",
                                          op_find(n->op)->name, "source", (int)n->tag, "device",
                                          device_name(p->devices[o->device].device), "answer",
                                          answer_name(o->answer), "reason", (int)o->reason,
                                          "expanded", (int)o->expanded));
  }
  return list;
}

static json_t *bindings_json(const forge_program *p) {
  json_t *list = json_array();
  for (uint32_t i = 0; i < p->n_names; i++) {
    const program_name *n = &p->names[i];
    json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:b}", "name", n->name, "role",
                                          role_name(n->role), "bytes", (json_int_t)n->bytes, "used",
                                          (int)n->used));
  }
  return list;
}

static json_t *memory_json(const forge_program *p) {
  json_t *list = json_array();
  for (uint32_t d = 0; d < p->n_devices; d++)
    json_array_append_new(list, json_pack("{s:s, s:I}", "device", device_name(p->devices[d].device),
                                          "workspace", (json_int_t)p->devices[d].workspace_bytes));
  return json_pack("{s:o, s:I, s:I, s:I}", "devices", list, "intermediates",
                   (json_int_t)p->temp_bytes, "constants", (json_int_t)p->constants_bytes,
                   "copied_between_devices_per_run", (json_int_t)p->copy_bytes);
}

static json_t *scalars_json(const forge_program *p) {
  json_t *list = json_array();
  for (size_t i = 0; i < p->graph->n_scalars; i++)
    json_array_append_new(list, json_string(p->graph->scalars[i].name));
  return list;
}

forge_status forge_program_report(const forge_program *p, char **out_json) {
  static const char *const policies[] = {"configured", "error", "warn", "allow"};
  json_t *all =
      json_pack("{s:s, s:s, s:i, s:i, s:i, s:f, s:o, s:o, s:o, s:o, s:o}", "device",
                device_name(p->devices[0].device), "fallback", policies[p->policy & 3], "ops",
                (int)p->graph->n_nodes, "segments", (int)p->n_segments, "copies", (int)p->n_copies,
                "flops", p->flops, "counts", counts_json(p), "memory", memory_json(p), "bindings",
                bindings_json(p), "scalars", scalars_json(p), "list", ops_json(p));
  *out_json = all ? json_dumps(all, JSON_INDENT(1)) : NULL;
  json_decref(all);
  return *out_json ? FORGE_OK : FAIL(FORGE_E_OOM, "no memory for a report");
}
