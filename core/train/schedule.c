/* schedule.c -- see schedule.h. */
#include "schedule.h"

#include <math.h>
#include <string.h>

double schedule_lr(const train_settings *s, uint64_t step) {
  const double pi = 3.14159265358979323846;
  if (step <= s->warmup) return s->lr * (double)step / (double)s->warmup;
  if (!strcmp(s->schedule, "constant")) return s->lr;
  if (step >= s->decay_steps) return s->min_lr;
  const double done = (double)(step - s->warmup) / (double)(s->decay_steps - s->warmup);
  const double left = !strcmp(s->schedule, "linear") ? 1 - done : 0.5 * (1 + cos(pi * done));
  return s->min_lr + (s->lr - s->min_lr) * left;
}
