/* events.h -- TensorBoard's event files: records of a length, a masked CRC-32C of the length, an
 * Event message (protocol buffers), a masked CRC-32C of the message. */
#ifndef FORGE_TRAIN_EVENTS_H
#define FORGE_TRAIN_EVENTS_H

#include <stdio.h>

#include "base.h"

typedef struct events {
  FILE *stream;
} events;

/* Begins a new file in |folder|; what older files say of steps from |step| on is void. */
forge_status events_open(const char *folder, uint64_t step, events *out);
void events_close(events *e);
/* One number; nothing is lost when the process dies after the call. */
forge_status events_scalar(events *e, uint64_t step, double time, const char *tag, double value);

/* CRC-32C (Castagnoli), as used in iSCSI; known answer: "123456789" gives e3069283. */
uint32_t events_crc32c(const void *bytes, size_t n);

#endif
