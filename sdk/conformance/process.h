/* process.h -- what this process holds, and what a library could have changed of it behind its
 * back. */
#ifndef FORGE_CONFORMANCE_PROCESS_H
#define FORGE_CONFORMANCE_PROCESS_H

#include <stdint.h>

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

#endif
