/* placed.h -- a model's weights on a device, shared by all who use that model there. */
#ifndef FORGE_PLACED_H
#define FORGE_PLACED_H

#include "arch.h"

typedef struct placed {
  forge_model *model;
  forge_device *device;
  uint32_t n, users;
  arch_param *params;             /* in arch_params() order */
  const model_tensor **stored;    /* NULL: an absent bias */
  forge_buffer **buffers;         /* NULL likewise */
  const model_tensor *rope_freqs; /* NULL: none */
  forge_buffer *rope_freqs_buffer;
  struct placed *next;
} placed;

/* Finds, checks and imports every tensor once per (model, device). Fails: E_NOT_FOUND, E_MISMATCH
 * naming the tensor; E_OOM. Any thread. */
forge_status placed_acquire(forge_model *model, forge_device *device, placed **out);
/* NULL is fine. */
void placed_release(placed *w);

#endif
