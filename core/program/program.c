/* program.c -- the compiled program: created from a builder, bound to memory, run. */
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "compile.h"

static atomic_uint_fast64_t next_prog_id = 1;

/* ---- create ---- */

static double count_flops(const forge_builder *g) {
  double total = 0;
  for (size_t i = 0; i < g->n_nodes; i++) {
    const graph_node *n = &g->nodes[i];
    const op_row *row = op_find(n->op);
    const forge_tensor *in[8] = {0}, *out[3] = {0};
    if (!row->flops) continue;
    for (uint32_t k = 0; k < n->n_in; k++) {
      const forge_tid tid = graph_inputs(g, n)[k];
      in[k] = tid == FORGE_TID_NONE ? NULL : &g->values[tid].t;
    }
    for (uint32_t k = 0; k < n->n_out; k++) {
      const forge_tid tid = graph_outputs(g, n)[k];
      out[k] = tid == FORGE_TID_NONE ? NULL : &g->values[tid].t;
    }
    total += row->flops(in, out, graph_attr(g, n));
  }
  return total;
}

static forge_status fill_constants(forge_program *p, program_device *d) {
  TRY(forge_buffer_create(d->device, p->constants_bytes, "constants", &d->constants));
  for (size_t s = 0; s < p->graph->n_storages; s++) {
    const graph_storage *c = &p->graph->storages[s];
    uint64_t bytes = 0;
    if (p->constant_offset[s] == UINT64_MAX || !dtype_bytes(c->dtype, c->elements, &bytes))
      continue;
    if (bytes) TRY(forge_buffer_write(d->constants, p->constant_offset[s], c->data, bytes));
  }
  return FORGE_OK;
}

/* Memory of device |number|; named tensors live there too when it is not the program's own. */
static forge_status make_memory(forge_program *p, uint32_t number) {
  program_device *d = &p->devices[number];
  bool used = false;
  for (uint32_t i = 0; i < p->n_segments; i++) used |= p->segments[i].device == number;
  if (!used && number) return FORGE_OK;
  if (d->workspace_bytes)
    TRY(forge_buffer_create(d->device, d->workspace_bytes, "workspace", &d->workspace));
  if (used && p->constants_bytes) TRY(fill_constants(p, d));
  if (!number) return FORGE_OK;
  d->mirror = mem_zalloc_array(p->n_names, sizeof *d->mirror);
  return d->mirror ? FORGE_OK : FAIL(FORGE_E_OOM, "no memory for a program");
}

static forge_status fill_segment_binds(forge_program *p, program_segment *s) {
  program_device *d = &p->devices[s->device];
  s->bind = mem_zalloc_array(s->n_bind, sizeof *s->bind);
  if (!s->bind) return FAIL(FORGE_E_OOM, "no memory for a program");
  for (uint32_t i = 0; i < s->n_bind; i++) {
    const uint32_t what = s->bind_what[i];
    forge_buffer *buffer = what == BIND_WORKSPACE   ? d->workspace
                           : what == BIND_CONSTANTS ? d->constants
                                                    : NULL;
    if (what < p->n_names && s->device) {
      if (!d->mirror[what] && p->names[what].bytes)
        TRY(forge_buffer_create(d->device, p->names[what].bytes, "mirror", &d->mirror[what]));
      buffer = d->mirror[what];
    }
    if (buffer) s->bind[i] = device_buffer_bind(buffer);
  }
  return FORGE_OK;
}

static forge_status build_segment(forge_program *p, program_segment *s, const uint32_t *name_of) {
  const program_device *d = &p->devices[s->device];
  const lower_layout layout = {d->offset, p->constant_offset, name_of};
  lowered low;
  TRY(lower_ops(p->graph, s->first, s->end, &layout, p->prog_flags, p->prog_id, &low));
  forge_prog_out info = {.size = sizeof info};
  forge_dev *dev = device_handle(d->device);
  forge_status st = device_table(d->device)->prog_create(dev, &low.desc, &s->prog, &info);
  if (st) s->prog = NULL;
  st = device_made(d->device, st, s->prog, "prog_create");
  if (!st) {
    s->prog_workspace = info.workspace_bytes;
    device_note_memory(d->device, "program", (int64_t)info.workspace_bytes);
  }
  s->n_bind = low.desc.n_bind;
  s->bind_what = low.bind_what;
  low.bind_what = NULL;
  lower_finish(&low);
  return st ? st : fill_segment_binds(p, s);
}

static forge_status build_segments(forge_program *p) {
  uint32_t *name_of = mem_zalloc_array(p->graph->n_storages, sizeof *name_of);
  if (!name_of) return FAIL(FORGE_E_OOM, "no memory for a program");
  for (size_t s = 0; s < p->graph->n_storages; s++) name_of[s] = GRAPH_NONE;
  for (uint32_t i = 0; i < p->n_names; i++) name_of[p->names[i].storage] = i;
  forge_status st = FORGE_OK;
  for (uint32_t d = 0; !st && d < p->n_devices; d++) st = make_memory(p, d);
  for (uint32_t i = 0; !st && i < p->n_segments; i++)
    st = build_segment(p, &p->segments[i], name_of);
  mem_free(name_of);
  return st;
}

static forge_status compile(forge_program *p, const forge_builder *builder,
                            const forge_program_options *options) {
  TRY(graph_clone(builder, &p->graph));
  p->graph->compiling = true;
  TRY(reduce_dead(p->graph));
  p->flops = count_flops(p->graph);
  TRY(place_ops(p, options));
  TRY(plan_names(p));
  TRY(plan_copies(p));
  TRY(plan_memory(p));
  return build_segments(p);
}

forge_status program_create(forge_device *device, const forge_builder *builder,
                            const forge_program_options *options, uint32_t extra_flags,
                            forge_program **out_program) {
  static const forge_program_options defaults = {.size = sizeof defaults};
  const forge_program_options *o = options ? options : &defaults;
  const uint32_t known = FORGE_COMPILE_DETERMINISTIC | FORGE_COMPILE_PRIMITIVES;
  if (!device || !builder) return FAIL(FORGE_E_INVALID, "a program needs a device and a builder");
  if (o->size < sizeof *o || (o->flags & ~known))
    return FAIL(FORGE_E_INVALID, "program options: size %u or flags 0x%x are not known", o->size,
                o->flags);
  TRY(device_check_alive(device));
  forge_program *p = mem_zalloc(sizeof *p);
  if (!p) return FAIL(FORGE_E_OOM, "no memory for a program");
  p->flags = o->flags | extra_flags;
  p->prog_flags = FORGE_PROGRAM_REPLAYABLE |
                  (o->flags & FORGE_COMPILE_DETERMINISTIC ? FORGE_PROGRAM_DETERMINISTIC : 0u);
  p->prog_id = atomic_fetch_add(&next_prog_id, 1);
  device_retain(device);
  p->devices[0].device = device;
  p->n_devices = 1;
  const forge_status st = compile(p, builder, o);
  if (st) {
    forge_program_destroy(p);
    return st;
  }
  *out_program = p;
  return FORGE_OK;
}

forge_status forge_program_create(forge_device *device, const forge_builder *builder,
                                  const forge_program_options *options,
                                  forge_program **out_program) {
  return program_create(device, builder, options, 0, out_program);
}

/* ---- destroy ---- */

static void finish_device(program_device *d, uint32_t n_names) {
  for (uint32_t i = 0; d->mirror && i < n_names; i++) forge_buffer_destroy(d->mirror[i]);
  forge_buffer_destroy(d->workspace);
  forge_buffer_destroy(d->constants);
  mem_free(d->mirror);
  mem_free(d->offset);
}

void forge_program_destroy(forge_program *p) {
  if (!p) return;
  for (uint32_t i = 0; i < p->n_segments; i++) {
    program_segment *s = &p->segments[i];
    forge_device *device = p->devices[s->device].device;
    if (s->prog && !device_check_process(device)) { /* a child of fork() leaves it to the parent */
      (void)forge_device_wait(device); /* a failure of the work was told to who waits for it */
      device_table(device)->prog_destroy(s->prog);
      device_note_memory(device, "program", -(int64_t)s->prog_workspace);
    }
    mem_free(s->bind);
    mem_free(s->bind_what);
  }
  for (uint32_t d = 0; d < p->n_devices; d++) {
    finish_device(&p->devices[d], p->n_names);
    forge_device_close(p->devices[d].device);
  }
  mem_free(p->segments);
  mem_free(p->copies);
  mem_free(p->names);
  mem_free(p->constant_offset);
  mem_free(p->limits);
  mem_free(p->ops);
  mem_free(p->was_expanded);
  forge_builder_destroy(p->graph);
  mem_free(p);
}

/* ---- what it needs ---- */

uint64_t forge_program_workspace_bytes(const forge_program *p) {
  uint64_t bytes = 0;
  for (uint32_t d = 0; d < p->n_devices; d++) bytes += p->devices[d].workspace_bytes;
  for (uint32_t i = 0; i < p->n_segments; i++) bytes += p->segments[i].prog_workspace;
  return bytes;
}

uint64_t forge_program_flops(const forge_program *p) { return (uint64_t)p->flops; }
