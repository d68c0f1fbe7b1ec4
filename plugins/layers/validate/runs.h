/* runs.h -- the stretches of bytes a view touches, and whether two views meet. */
#ifndef FORGE_VALIDATE_RUNS_H
#define FORGE_VALIDATE_RUNS_H

#include "kit.h"

enum { MAX_RUNS = 64 };

typedef struct runs {
  uint32_t n;
  bool exact; /* false: one run that holds the view and more */
  struct {
    uint64_t lo, hi;
  } at[MAX_RUNS];
} runs;

/* Of the view of a slot, in bytes of its binding. The slot was checked. */
void runs_of(const forge_slot *slot, runs *out);
/* True when both are exact, in one binding, and share a byte: |out| is the first. */
bool runs_meet(const forge_slot *a, const forge_slot *b, uint64_t *out);
bool same_view(const forge_slot *a, const forge_slot *b);

#endif
