/* compile.h -- from a builder to device programs, step by step:
 *   reduce.c  copy, drop what nobody reads, expand composites
 *   place.c   ask the devices, choose where each op runs under the fallback policy, cut segments
 *   plan.c    who copies what between devices, how long each storage lives, where it lies
 *   lower.c   slots, bindings and packed op records of a segment
 *   program.c the public object: create, bind, submit; report.c: what it did, as JSON */
#ifndef FORGE_COMPILE_H
#define FORGE_COMPILE_H

#include <forge/backend.h>

#include "device.h"
#include "graph.h"

enum {
  COMPILE_MAX_DEVICES = 8,
  COMPILE_ALIGN = 64,
  /* Beside FORGE_COMPILE_*, for this room and its tests: every storage has a place of its own. */
  COMPILE_NO_REUSE = 1 << 16
};

/* A tensor bound by name. */
typedef struct program_name {
  const char *name; /* in the graph */
  uint32_t storage;
  uint8_t role; /* FORGE_ROLE_*, 0: output */
  bool used;    /* an op reads or writes it: it must be bound */
  bool written; /* an op writes it: not into imported pages */
  bool bound;
  uint64_t bytes;
  forge_buffer *buffer;
  uint64_t offset;
} program_name;

/* What binding number i of a segment is. */
#define BIND_WORKSPACE 0xFFFFFFFFu /* else the number of a name */
#define BIND_CONSTANTS 0xFFFFFFFEu

/* Before a segment runs (or after the last one) storage moves between two devices. */
typedef struct program_copy {
  uint32_t segment; /* n_segments: after the last */
  uint32_t storage, from, to;
  uint64_t bytes;
} program_copy;

/* Neighbouring ops of one device. */
typedef struct program_segment {
  uint32_t device; /* index into program.devices */
  uint32_t first, end;
  uint32_t n_bind;
  uint32_t *bind_what;
  forge_bind *bind;
  forge_prog *prog;
  uint64_t prog_workspace;
} program_segment;

typedef struct program_device {
  forge_device *device;
  uint64_t workspace_bytes;
  uint64_t *offset; /* per storage: its place in the workspace */
  forge_buffer *workspace, *constants;
  forge_buffer **mirror; /* per name, on devices other than the first; NULL: not used there */
} program_device;

/* Where an op was put and why not on the first device. */
typedef struct program_op {
  uint8_t device, answer, reason, expanded; /* answer and reason of the first device */
} program_op;

struct forge_program {
  forge_builder *graph;               /* what runs: our own copy */
  uint32_t flags, prog_flags, policy; /* FORGE_COMPILE_*, FORGE_PROGRAM_*, FORGE_FALLBACK_* */
  uint64_t prog_id;
  double flops;
  program_device devices[COMPILE_MAX_DEVICES];
  uint32_t n_devices;
  program_op *ops;       /* per node */
  uint8_t *was_expanded; /* per builder op (tag): it was expanded */
  uint32_t n_tags;
  program_segment *segments;
  uint32_t n_segments;
  program_copy *copies;
  size_t n_copies, cap_copies;
  uint64_t copy_bytes;
  program_name *names;
  uint32_t n_names;
  uint32_t n_unbound; /* used names without a buffer */
  uint64_t *constant_offset, constants_bytes;
  uint64_t temp_bytes; /* sum of all intermediates, had they no common places */
  struct {
    uint32_t scalar;
    uint64_t max;
  } * limits; /* extents given at submit */
  uint32_t n_limits;
};

/* ---- reduce.c ---- */
/* Drops ops whose results nobody reads, and optional outputs nobody reads. */
forge_status reduce_dead(forge_builder *g);
/* Replaces each op whose bit is set by its expansion. */
forge_status reduce_expand(forge_builder *g, const uint8_t *expand);

/* ---- place.c ---- */
forge_status place_ops(forge_program *p, const forge_program_options *options);

/* ---- plan.c ---- */
/* Names, constants and extent limits of the graph. */
forge_status plan_names(forge_program *p);
forge_status plan_copies(forge_program *p);
forge_status plan_memory(forge_program *p);
uint64_t plan_storage_bytes(const graph_storage *s); /* rounded up to COMPILE_ALIGN */
/* A simple layout for asking: device 0, no reuse. */
forge_status plan_for_query(const forge_builder *g, uint64_t **out_offset);

/* ---- lower.c ---- */
typedef struct lowered {
  forge_prog_desc desc;
  forge_slot *slots;
  uint8_t *ops;
  uint32_t *bind_what;
} lowered;
/* Ops first .. end of the graph. |offset|: workspace place per storage; |constant_offset| may be
 * NULL. */
typedef struct lower_layout {
  const uint64_t *offset, *constant_offset;
  const uint32_t *name_of; /* storage -> name number, GRAPH_NONE */
} lower_layout;
forge_status lower_ops(const forge_builder *g, uint32_t first, uint32_t end,
                       const lower_layout *layout, uint32_t flags, uint64_t prog_id, lowered *out);
void lower_finish(lowered *l);

/* program.c: forge_program_create() with the room's own flags allowed. */
forge_status program_create(forge_device *device, const forge_builder *builder,
                            const forge_program_options *options, uint32_t extra_flags,
                            forge_program **out_program);

#endif
