/* rig_parts.h -- the rig's own parts, and steps of it that chapters on queues use one by one. */
#ifndef FORGE_CONFORMANCE_RIG_PARTS_H
#define FORGE_CONFORMANCE_RIG_PARTS_H

#include <stdlib.h>

#include "rig.h"

enum { RIG_ALIGN = 256, RIG_GAP = 256, RIG_COOKIE = 0x5EED };
#define RIG_LARGE    (UINT64_C(256) << 20) /* refusing more than this is no fault */
#define RIG_PATIENCE 60.0                  /* seconds the rig waits for its own small work */

struct rig {
  forge_dev *dev;
  forge_queue *queue;
  forge_tl *tl;
  uint64_t value; /* the last value that will be signalled on tl */
  forge_mem *arena;
  uint64_t arena_bytes;
  uint64_t runs; /* salt of the canaries */
};

/* Fails the test with the plugin's words unless |status| is OK. */
void rig_expect(forge_status status, const char *what);
forge_status rig_open_device(const char *const *more, forge_dev **out);
/* Copies that signal the rig's timeline; not waited for. */
forge_status rig_copy(rig *r, const forge_copy *copies, uint32_t n);
void rig_wait_for(rig *r, uint64_t value, const char *what);

#endif
