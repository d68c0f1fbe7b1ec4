/* metrics.h -- the run as numbers on disk: metrics.jsonl, a JSON object per line, and TensorBoard
 * events. */
#ifndef FORGE_TRAIN_METRICS_H
#define FORGE_TRAIN_METRICS_H

#include <forge/train.h>

#include "events.h"

typedef struct metrics {
  char *path;
  FILE *lines;
  events events;
} metrics;

/* Opens both in |folder|, taking out what metrics.jsonl says of steps after |step| and a line that
 * was cut, so that a resumed run's curve goes on. */
forge_status metrics_open(const char *folder, uint64_t step, metrics *out);
void metrics_close(metrics *m);
/* Appends a report; a loss that is new is in it (flags). */
forge_status metrics_write(metrics *m, const forge_train_report *r);

#endif
