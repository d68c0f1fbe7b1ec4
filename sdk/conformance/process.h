/* process.h -- what this process holds, and what a library could have changed of it behind its
 * back. */
#ifndef FORGE_CONFORMANCE_PROCESS_H
#define FORGE_CONFORMANCE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct process_state {
  uint32_t threads, files, mappings;
  uint64_t heap_bytes;              /* of the C library's allocator, in use */
  uint64_t resident_bytes;          /* RSS */
  uint64_t host_bytes, host_blocks; /* of host->alloc() */
} process_state;
process_state process_look(void);
/* The same when nothing of the suite's own is held back: freed blocks and lent pages are let go. */
process_state process_settle(void);

/* Signal mask, handlers, locale, rounding and exceptions, working directory, umask, environment. */
typedef struct process_manners process_manners;
process_manners *process_remember(void);
/* NULL, or what is different now, in words. */
const char *process_changed(const process_manners *before);

/* ---- a machine that has too few processors ---- */

/* Seconds that the thread of |pid| with the worst luck could have run and stood in line for a
 * processor. 0 where the system does not tell. */
double process_starved(pid_t pid);

/* What this process's threads have asked of the processors so far. */
#define PROCESS_MOST_THREADS 256
typedef struct process_work {
  double at; /* test_now() */
  unsigned n;
  struct {
    long tid, sleeps; /* sleeps: how often it gave the processor away by itself */
    double wanted;    /* seconds it ran or stood in line */
  } thread[PROCESS_MOST_THREADS];
} process_work;
void process_work_look(process_work *out);
/* Whether a thread wanted a processor for more than half of the time since |before|, almost without
 * giving it away: it polls, however little of it a busy machine lets it. A thread that naps is late
 * there after each nap, but it naps. */
bool process_polls(const process_work *before, double *out_wanted);

#endif
