/* rig.h -- a folder, a text, a device and small runs on it. */
#ifndef FORGE_TEST_TRAIN_RIG_H
#define FORGE_TEST_TRAIN_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <forge/train.h>

enum { RIG_PAIRS = 48, RIG_STEPS = 4096 };

typedef struct rig {
  char folder[256]; /* of its own; holds text.txt and runs */
  forge_runtime *runtime;
  forge_device *device;
} rig;

/* A folder with a text of |bytes| bytes: short sentences from a fixed generator. No device yet. */
void rig_folder(rig *r, size_t bytes);
/* Opens a device; |threads| 0: the backend's choice. False where the machine lacks it. */
int rig_device(rig *r, const char *device, uint32_t threads);
void rig_close_device(rig *r);
void rig_remove(rig *r);

/* Settings "key=value"; those of a tiny llama come first, later ones win. The list ends with NULL.
 */
typedef struct rig_run {
  const char *name; /* folder of the run inside the rig's */
  uint32_t flags;   /* FORGE_TRAIN_* */
  const char *settings[RIG_PAIRS];
} rig_run;

forge_status rig_trainer(rig *r, const rig_run *run, forge_trainer **out);
/* The same, which must succeed. */
forge_trainer *rig_start(rig *r, const rig_run *run);
/* Steps to |until| and keeps each loss at losses[step]; returns the last report. */
forge_train_report rig_steps(forge_trainer *t, uint64_t until, double losses[RIG_STEPS]);
/* A whole run without finish; returns the last report. */
forge_train_report rig_losses(rig *r, const rig_run *run, double losses[RIG_STEPS]);

/* "FOLDER/name" in a static place of its own per call, up to 64 at a time. */
const char *rig_path(const rig *r, const char *name);

#endif
