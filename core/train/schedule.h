/* schedule.h -- the learning rate as a function of the step. */
#ifndef FORGE_TRAIN_SCHEDULE_H
#define FORGE_TRAIN_SCHEDULE_H

#include "train_settings.h"

/* Of step |step|, the first being 1. Rises in equal parts to lr at step |warmup|, then falls to
 * min_lr at |decay_steps| as a half cosine or a line, or stays. */
double schedule_lr(const train_settings *s, uint64_t step);

#endif
