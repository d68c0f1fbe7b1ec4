/* guard.h -- one at a time, without a system call while nobody else wants in. Taken and left with
 * one atomic instruction each; a second thread sleeps, since a synchronous backend computes inside
 * submit(). 0: free, 1: taken, 2: taken and somebody sleeps. */
#ifndef FORGE_GUARD_H
#define FORGE_GUARD_H

#include <stdatomic.h>
#include <stdint.h>

typedef struct guard {
  _Atomic uint32_t state;
} guard;

void guard_wait(guard *g);
void guard_wake(guard *g);

static inline void guard_enter(guard *g) {
  uint32_t open = 0;
  if (!atomic_compare_exchange_strong_explicit(&g->state, &open, 1, memory_order_acquire,
                                               memory_order_relaxed))
    guard_wait(g);
}

static inline void guard_leave(guard *g) {
  if (atomic_exchange_explicit(&g->state, 0, memory_order_release) == 2) guard_wake(g);
}

#endif
