/* work.h -- something for a queue to do whose result can be read: y = x over floats, by whichever
 * op the plugin answers NATIVE, once or so many times that it takes a while. For chapters that are
 * not about ops. */
#ifndef FORGE_CONFORMANCE_WORK_H
#define FORGE_CONFORMANCE_WORK_H

#include "rig_parts.h"

typedef struct work {
  rig *r;
  forge_prog *prog;
  forge_mem *spare[2]; /* between the first op and the last */
  uint64_t bytes;      /* of x and of y */
  uint32_t n_bind;
  double seconds; /* how long it takes */
} work;

/* The test is skipped, with the reason, when no op is offered that will do. */
work *work_small(rig *r); /* 4000 bytes, one op */
work *work_long(rig *r);  /* 4 MiB, so many ops that it takes some 30 ms if that can be had */
void work_free(work *w);

/* out = in, blocks of w->bytes at least. |order| gives waits and signals. */
forge_status work_submit(const work *w, forge_queue *queue, forge_mem *in, forge_mem *out,
                         const forge_submit *order);
/* Signals the rig's timeline on the rig's queue; not waited for. */
void work_run(const work *w, forge_mem *in, forge_mem *out);

/* The description of a program y = x of |elements| floats, to be spoilt. Skips as above. */
rig_program *work_describe(rig *r, int64_t elements, rig_tensor *tensor[2]);

/* Fills memory with |seed|'s numbers, all of them floats above zero, and looks whether they are
 * there; |where| says in a failure what was read. */
void work_pattern(void *out, uint64_t bytes, uint64_t seed);
void work_put(rig *r, forge_mem *mem, uint64_t bytes, uint64_t seed);
void work_expect(rig *r, forge_mem *mem, uint64_t bytes, uint64_t seed, const char *where);
void work_compare(const void *have, uint64_t bytes, uint64_t seed, const char *where);

forge_tl *work_timeline(rig *r, uint64_t initial, uint64_t cookie);
forge_queue *work_queue(rig *r, uint32_t kind);
/* A submit that only waits and signals. */
forge_submit work_order(const forge_point *wait, uint32_t n_wait, const forge_point *signal,
                        uint32_t n_signal);
/* Waits, and fails the test if the value does not come. */
void work_await(forge_tl *tl, uint64_t value, const char *what);
uint64_t work_value(forge_tl *tl);

#endif
