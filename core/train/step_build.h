/* step_build.h -- the programs of step.h as lists of ops. */
#ifndef FORGE_TRAIN_STEP_BUILD_H
#define FORGE_TRAIN_STEP_BUILD_H

#include "step.h"

/* Names of the bindings: ids, targets, positions, loss, norm; p/, m/, v/ and NAME; with
 * accumulation sum/NAME (in) and next/NAME (out), and sum/NAME for the update. Scalars: lr, step.
 */
enum { STEP_SCALAR_LR, STEP_SCALAR_STEP, STEP_SCALARS };

/* Forward, backward, norm and update in one. */
forge_status step_build_whole(build *b, const train_settings *s, const train_params *p);
/* Forward and backward; next = sum + gradient / accumulation. */
forge_status step_build_forward(build *b, const train_settings *s, const train_params *p);
/* Norm and update from sum. */
forge_status step_build_update(build *b, const train_settings *s, const train_params *p);
/* Forward only. */
forge_status step_build_validate(build *b, const train_settings *s, const train_params *p);

#endif
