/* step.h -- the programs of a run: one update, and one validation batch.
 *
 * Without accumulation an update is one submit: forward, backward, norm, AdamW. With it, each
 * forward and backward adds its share to a sum, and a second program turns the sum into the update.
 * The sum is read from one buffer and written to another, which change places. */
#ifndef FORGE_TRAIN_STEP_H
#define FORGE_TRAIN_STEP_H

#include <forge/program.h>

#include "data.h"
#include "params.h"

typedef struct train_step {
  forge_device *device;
  const train_settings *s;
  train_params *p;
  forge_program *forward; /* the whole update, or the accumulating part */
  forge_program *update;  /* NULL without accumulation */
  forge_program *validate;
  uint32_t *sum_in, *sum_out;                        /* bindings of the sums in |forward|, [p->n] */
  forge_buffer *sums[2];                             /* laid out like the parameters */
  forge_buffer *ids, *targets, *positions, *results; /* results: loss, then norm 64 bytes on */
  int32_t *rows;                                     /* ids then targets of one batch */
} train_step;

forge_status train_step_create(forge_device *device, const train_settings *s, train_params *p,
                               bool primitives, train_step *out);
void train_step_destroy(train_step *t);

/* Update number |step| (from 1) with the data of that step. */
forge_status train_step_run(train_step *t, const train_data *data, uint64_t step, double lr,
                            float *out_loss, float *out_norm);
/* Mean loss over |batches| batches of the validation part. */
forge_status train_step_validate(train_step *t, const train_data *data, uint64_t batches,
                                 double *out_loss);
/* Floating-point operations of one update. */
double train_step_flops(const train_step *t);

/* A device's peak: the best of some large matrix products, flop/s. */
forge_status train_measure_peak(forge_device *device, uint8_t dtype, double *out_flops);

#endif
