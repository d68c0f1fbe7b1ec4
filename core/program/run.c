/* run.c -- binding memory to a compiled program and submitting it: no lock, no allocation. */
#include <inttypes.h>
#include <string.h>

#include "compile.h"

/* ---- bind ---- */

/* "x", "w" and 3 more */
static forge_status not_found(const forge_program *p, const char *name) {
  char list[400] = "";
  size_t n = 0;
  const char **names = mem_zalloc_array(p->n_names, sizeof *names);
  for (uint32_t i = 0; i < p->n_names; i++) {
    if (names) names[i] = p->names[i].name;
    const size_t bytes = strlen(p->names[i].name);
    if (n + bytes + 8 > sizeof list) continue;
    if (n) memcpy(list + n, ", ", 2), n += 2;
    memcpy(list + n, p->names[i].name, bytes + 1);
    n += bytes;
  }
  const char *near = names ? name_nearest(name, names, p->n_names) : NULL;
  mem_free(names);
  return FAIL(FORGE_E_NOT_FOUND, "the program has no tensor \"%s\"%s%s%s; it has: %s", name,
              near ? "; did you mean \"" : "", near ? near : "", near ? "\"" : "", list);
}

forge_status forge_program_binding(const forge_program *p, const char *name, uint32_t *out_index) {
  for (uint32_t i = 0; i < p->n_names; i++)
    if (!strcmp(p->names[i].name, name)) {
      *out_index = i;
      return FORGE_OK;
    }
  return not_found(p, name);
}

forge_status forge_program_bind(forge_program *p, const char *name, forge_buffer *buffer,
                                uint64_t offset) {
  uint32_t index;
  TRY(forge_program_binding(p, name, &index));
  return forge_program_bind_index(p, index, buffer, offset);
}

static forge_status check_binding(const forge_program *p, const program_name *n,
                                  const forge_buffer *buffer, uint64_t offset) {
  if (!buffer) return FAIL(FORGE_E_INVALID, "binding \"%s\": no buffer given", n->name);
  if (forge_buffer_device(buffer) != p->devices[0].device)
    return FAIL(FORGE_E_INVALID,
                "binding \"%s\": the buffer is on another device than the program (%s)", n->name,
                device_name(p->devices[0].device));
  const uint64_t have = forge_buffer_bytes(buffer);
  if (offset % COMPILE_ALIGN)
    return FAIL(FORGE_E_INVALID, "binding \"%s\": offset %" PRIu64 " is no multiple of %d", n->name,
                offset, COMPILE_ALIGN);
  if (offset > have || have - offset < n->bytes)
    return FAIL(FORGE_E_INVALID,
                "binding \"%s\": %" PRIu64 " bytes from %" PRIu64
                " on needed, the buffer has %" PRIu64,
                n->name, n->bytes, offset, have);
  if (n->written && device_buffer_is_imported(buffer))
    return FAIL(FORGE_E_INVALID,
                "binding \"%s\": the program writes it, and the buffer is imported host memory, "
                "which is read-only; copy it to a buffer of its own",
                n->name);
  return FORGE_OK;
}

forge_status forge_program_bind_index(forge_program *p, uint32_t index, forge_buffer *buffer,
                                      uint64_t offset) {
  if (index >= p->n_names)
    return FAIL(FORGE_E_NOT_FOUND, "binding %u: the program has %u", index, p->n_names);
  program_name *n = &p->names[index];
  TRY(check_binding(p, n, buffer, offset));
  if (n->used && n->bytes && !n->bound) p->n_unbound--;
  n->bound = true;
  n->buffer = buffer;
  n->offset = offset;
  forge_bind bind = device_buffer_bind(buffer);
  bind.off += offset;
  bind.len = n->bytes;
  for (uint32_t i = 0; i < p->n_segments; i++) {
    program_segment *s = &p->segments[i];
    for (uint32_t k = 0; s->device == 0 && k < s->n_bind; k++)
      if (s->bind_what[k] == index) s->bind[k] = bind;
  }
  return FORGE_OK;
}

/* ---- submit ---- */

static forge_status unbound(const forge_program *p) {
  for (uint32_t i = 0; i < p->n_names; i++)
    if (p->names[i].used && p->names[i].bytes && !p->names[i].bound)
      return FAIL(FORGE_E_INVALID, "\"%s\" is not bound; call forge_program_bind first",
                  p->names[i].name);
  return FORGE_OK;
}

static forge_status wrong_scalars(const forge_program *p, uint32_t n) {
  return FAIL(FORGE_E_INVALID, "%u scalars given, the program has %zu", n, p->graph->n_scalars);
}

static forge_status over_limit(const forge_program *p, uint32_t i, uint64_t value) {
  return FAIL(FORGE_E_INVALID, "scalar \"%s\" is %" PRIu64 ", its maximum is %" PRIu64,
              p->graph->scalars[p->limits[i].scalar].name, value, p->limits[i].max);
}

/* Where a storage is on a device, as a buffer. */
static forge_buffer *buffer_of(const forge_program *p, const program_copy *c, uint32_t device,
                               uint64_t *out_offset) {
  for (uint32_t i = 0; i < p->n_names; i++)
    if (p->names[i].storage == c->storage) {
      *out_offset = device ? 0 : p->names[i].offset;
      return device ? p->devices[device].mirror[i] : p->names[i].buffer;
    }
  *out_offset = p->devices[device].offset[c->storage];
  return p->devices[device].workspace;
}

static forge_status run_copies(const forge_program *p, size_t *next, uint32_t segment) {
  for (; *next < p->n_copies && p->copies[*next].segment == segment; ++*next) {
    const program_copy *c = &p->copies[*next];
    uint64_t from, to;
    forge_buffer *src = buffer_of(p, c, c->from, &from), *dst = buffer_of(p, c, c->to, &to);
    TRY(forge_buffer_copy(dst, to, src, from, c->bytes));
  }
  return FORGE_OK;
}

static forge_status submit_segment(forge_program *p, uint32_t i, const uint64_t *scalars,
                                   forge_moment *out_done) {
  const program_segment *s = &p->segments[i];
  return device_submit(p->devices[s->device].device, s->prog, s->bind, s->n_bind, scalars,
                       (uint32_t)p->graph->n_scalars, out_done);
}

/* Segments on several devices: copies between them wait for the work before. One moment is of one
 * device, so the work of the others is waited for here. */
static forge_status submit_all(forge_program *p, const uint64_t *scalars, forge_moment *out_done) {
  size_t next = 0;
  forge_moment last[COMPILE_MAX_DEVICES] = {0}, done = {p->devices[0].device, 0};
  for (uint32_t i = 0; i < p->n_segments; i++) {
    TRY(run_copies(p, &next, i));
    TRY(submit_segment(p, i, scalars, &done));
    last[p->segments[i].device] = done;
  }
  TRY(run_copies(p, &next, p->n_segments));
  for (uint32_t d = 0; d < p->n_devices; d++)
    if (last[d].device && last[d].device != done.device)
      TRY(forge_moment_wait(last[d], UINT64_MAX));
  if (out_done) *out_done = done;
  return FORGE_OK;
}

forge_status forge_program_submit(forge_program *p, const uint64_t *scalars, uint32_t n_scalars,
                                  forge_moment *out_done) {
  if (n_scalars != p->graph->n_scalars) return wrong_scalars(p, n_scalars);
  for (uint32_t i = 0; i < p->n_limits; i++)
    if (scalars[p->limits[i].scalar] > p->limits[i].max)
      return over_limit(p, i, scalars[p->limits[i].scalar]);
  if (p->n_unbound) return unbound(p);
  if (p->n_segments == 1 && !p->n_copies) return submit_segment(p, 0, scalars, out_done);
  return submit_all(p, scalars, out_done);
}

forge_status forge_program_run(forge_program *p, const uint64_t *scalars, uint32_t n_scalars) {
  forge_moment done = {p->devices[0].device, 0};
  TRY(forge_program_submit(p, scalars, n_scalars, &done));
  if (!p->n_segments) return FORGE_OK;
  return forge_moment_wait(done, UINT64_MAX);
}
