/* forge/train.h -- training: a model from a text and a few settings, step by step, resumable to the
 * bit.
 *
 *   forge_trainer *t;
 *   forge_trainer_options o = {.size = sizeof o, .config_path = "shakespeare-char.conf"};
 *   forge_trainer_create(device, &o, &t);
 *   do forge_trainer_step(t, &report); while (!(report.flags & FORGE_TRAIN_DONE));
 *   forge_trainer_finish(t);
 *   forge_trainer_destroy(t);
 *
 * A run lives in a folder: config (its settings, complete), metrics.jsonl, events.out.tfevents.*
 * (TensorBoard), checkpoints/ (state.h), and the finished model. Initial weights and the data of
 * each step are functions of the seed and the step alone, so a run that was stopped or killed and
 * resumed is the run that was not, bit for bit, on the same device, with any number of threads.
 *
 * Threads: one trainer belongs to one thread at a time. */
#ifndef FORGE_TRAIN_H
#define FORGE_TRAIN_H

#include "forge.h"
#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct forge_trainer forge_trainer;

/* The settings there are, a line each: name, meaning, default. The caller frees it. */
FORGE_API forge_status forge_train_keys(char **out_text);

/* RESUME: go on from the newest sound checkpoint of the run in the folder |out|.
 * COMPILE_PRIMITIVES: train with primitive ops alone, even where the device has the composites. */
enum { FORGE_TRAIN_RESUME = 1, FORGE_TRAIN_PRIMITIVES = 2 };

/* Zero-initialise, then set |size|. */
typedef struct forge_trainer_options {
  uint32_t size, flags;         /* FORGE_TRAIN_RESUME .. */
  const char *config_path;      /* settings, libconfig syntax; NULL: defaults, or the run's own */
  const char *const *overrides; /* "key=value", win over the file; NULL-terminated; may be NULL */
} forge_trainer_options;

/* Reads settings and data, makes or loads the weights, builds the programs, opens the run's folder.
 * With RESUME, settings that are not given are the run's own. Fails: E_CONFIG (file, line, nearest
 * key), E_EXISTS (a run is in the folder and RESUME was not asked for), E_NOT_FOUND (nothing to
 * resume, no text), E_MISMATCH (resumed with another setting or other data: names it), and what
 * device, model and files answer. |device| outlives the trainer. */
FORGE_API forge_status forge_trainer_create(forge_device *device,
                                            const forge_trainer_options *options,
                                            forge_trainer **out_trainer);
/* Saves nothing. NULL is fine. */
FORGE_API void forge_trainer_destroy(forge_trainer *trainer);

enum { FORGE_PEAK_MEASURED = 1, FORGE_PEAK_CONFIGURED = 2 };

/* |size| set by the caller. */
typedef struct forge_trainer_info {
  uint32_t size, n_vocab;
  uint64_t step, steps; /* done, wanted */
  uint64_t parameters, tokens_per_step;
  uint64_t tokens_train, tokens_validation; /* in the data */
  uint64_t checkpoint_bytes;                /* of tensors in one checkpoint */
  double flops_per_step;         /* matrix products and attention, forward and backward */
  double peak_flops;             /* of the device, flop/s, what MFU is measured against */
  uint32_t peak_origin, resumed; /* FORGE_PEAK_*; 1: a checkpoint was loaded */
} forge_trainer_info;
FORGE_API forge_status forge_trainer_describe(const forge_trainer *trainer,
                                              forge_trainer_info *info);
/* What the user should be told about how the run began (a damaged checkpoint passed over); "" if
 * nothing; borrowed. */
FORGE_API const char *forge_trainer_note(const forge_trainer *trainer);
/* The run's folder; borrowed. */
FORGE_API const char *forge_trainer_folder(const forge_trainer *trainer);

/* What a step did beside the update. */
enum {
  FORGE_TRAIN_LOGGED = 1,    /* a line went to the metrics */
  FORGE_TRAIN_EVALUATED = 2, /* validation_loss is new */
  FORGE_TRAIN_SAVED = 4,     /* a checkpoint was committed */
  FORGE_TRAIN_DONE = 8       /* it was the last step */
};
typedef struct forge_train_report {
  uint32_t size, flags;          /* FORGE_TRAIN_LOGGED .. */
  uint64_t step;                 /* steps done, this one included */
  uint64_t tokens;               /* seen since the start of the run */
  double loss;                   /* mean over this step's tokens, before the update, nats */
  double validation_loss;        /* latest, NaN: none yet */
  double lr, grad_norm;          /* the norm before clipping */
  double tokens_per_second, mfu; /* over the last seconds; validation and saving not counted */
  double seconds, seconds_left;  /* of this process; estimated */
} forge_train_report;

/* One update; then, when due, validation, metrics and a checkpoint. |report->size| set by the
 * caller. Fails: E_CANCELLED when all steps are done, E_FAULT when the loss is no number, and what
 * the device and the disk answer. After a failed update the weights are those of no step: the last
 * checkpoint stays, and step, save, export and finish fail with E_FAULT. */
FORGE_API forge_status forge_trainer_step(forge_trainer *trainer, forge_train_report *report);

/* A checkpoint of the state as it is now, unless the newest one is of this step. */
FORGE_API forge_status forge_trainer_save(forge_trainer *trainer);
/* Mean loss over eval_batches fixed windows of the validation data. Fails: E_NOT_FOUND (none). */
FORGE_API forge_status forge_trainer_evaluate(forge_trainer *trainer, double *out_loss);
/* Writes the weights as they are now with the tokenizer as a model forge_model_open() takes; |path|
 * as in forge_convert(). */
FORGE_API forge_status forge_trainer_export(forge_trainer *trainer, const char *path);
/* Ends a run: a checkpoint unless there is one, and the model exported as the settings say. */
FORGE_API forge_status forge_trainer_finish(forge_trainer *trainer);

#ifdef __cplusplus
}
#endif
#endif
