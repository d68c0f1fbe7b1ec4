/* trainer.h -- what the files of a run share. Public half: forge/train.h. */
#ifndef FORGE_TRAIN_TRAINER_H
#define FORGE_TRAIN_TRAINER_H

#include <forge/state.h>
#include <forge/train.h>

#include "metrics.h"
#include "schedule.h"
#include "step.h"

struct forge_trainer {
  forge_device *device;
  train_settings s;
  forge_model *weights; /* NULL: from nothing */
  train_data data;
  train_params params;
  train_step programs;
  forge_store *store;
  metrics metrics;
  char *note;
  uint64_t step, saved_step; /* done; of the newest checkpoint, UINT64_MAX: none */
  double validation_loss;    /* NaN: none yet */
  double peak_flops;
  uint64_t peak_step; /* when it was measured */
  uint32_t peak_origin;
  bool resumed, spoiled;         /* spoiled: an update failed half-way, or its loss is no number */
  uint64_t start_step, start_ns; /* of this process */
  double step_seconds;           /* smoothed, 0: none yet */
};

/* ---- the run's folder (run.c) ---- */

/* Settings from the options; with RESUME those of the run, changed where that is allowed. */
forge_status run_settings(const forge_trainer_options *options, train_settings *out);
/* Opens store and metrics, goes on from a checkpoint if asked to, writes the settings down. */
forge_status run_open(forge_trainer *t, bool resume);
/* Commits a checkpoint of the state as it is. */
forge_status run_save(forge_trainer *t);

#endif
