/* fault.h -- a disk that fails on purpose at the k-th call that changes it. */
#ifndef FORGE_TEST_FAULT_H
#define FORGE_TEST_FAULT_H

#include <stdint.h>

#include "io.h"

typedef enum fault_kind {
  FAULT_NONE,
  FAULT_KILL,      /* the process dies before the call */
  FAULT_KILL_HALF, /* a write dies after half of its bytes; other calls: after being done */
  FAULT_EIO,
  FAULT_ENOSPC, /* this call and every write after it */
  FAULT_EINTR,
  FAULT_SHORT, /* a write takes one byte only */
  FAULT_KINDS
} fault_kind;

typedef struct fault_disk {
  state_io io;
  fault_kind kind;
  uint32_t at, calls; /* which call, counted from 0; calls made so far */
  char log[256];      /* one letter per call: Create Write Flush cLose Rename Unlink Directory */
} fault_disk;

void fault_disk_init(fault_disk *disk, fault_kind kind, uint32_t at);
const char *fault_name(fault_kind kind);

#endif
