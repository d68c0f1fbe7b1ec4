/* trainer.c -- a run: made from its parts, stepped, ended. */
#include "trainer.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "file.h"

static forge_status open_inputs(forge_trainer *t) {
  forge_tokenizer *own = NULL;
  if (*t->s.weights) {
    TRY(forge_model_open(t->s.weights, NULL, &t->weights));
    if (forge_model_tokenizer(t->weights, &own)) own = NULL; /* a model without one is fine */
  }
  return train_data_open(&t->s, own, &t->data);
}

static forge_status make_params(forge_trainer *t) {
  forge_model_config config;
  TRY(train_params_shape(&t->s, t->weights, t->data.n_vocab, &config));
  TRY(train_params_create(t->device, &config, &t->params));
  if (t->weights) return train_params_load(&t->params, t->device, t->weights);
  return train_params_init(&t->params, t->device, t->s.seed);
}

/* The best measured so far: one taken while others used the machine is too low. */
static forge_status measure_peak(forge_trainer *t) {
  double flops = 0;
  t->peak_step = t->step;
  TRY(train_measure_peak(t->device, !strcmp(t->s.dtype, "bf16") ? FORGE_BF16 : FORGE_F32, &flops));
  t->peak_flops = fmax(t->peak_flops, flops);
  return FORGE_OK;
}

static forge_status find_peak(forge_trainer *t) {
  t->peak_origin = t->s.peak_flops > 0 ? FORGE_PEAK_CONFIGURED : FORGE_PEAK_MEASURED;
  t->peak_flops = t->s.peak_flops;
  return t->peak_flops > 0 ? FORGE_OK : measure_peak(t);
}

/* Steps that go faster than the peak show that it was measured badly; it is looked at again. */
static forge_status doubt_peak(forge_trainer *t) {
  enum { PATIENCE = 50 };
  const double flops = train_step_flops(&t->programs) / t->step_seconds;
  if (t->peak_origin != FORGE_PEAK_MEASURED || flops <= t->peak_flops ||
      t->step < t->peak_step + PATIENCE)
    return FORGE_OK;
  return measure_peak(t);
}

static forge_status make(forge_trainer *t, uint32_t flags) {
  TRY(open_inputs(t));
  TRY(make_params(t));
  TRY(train_step_create(t->device, &t->s, &t->params, flags & FORGE_TRAIN_PRIMITIVES,
                        &t->programs));
  TRY(find_peak(t));
  TRY(run_open(t, flags & FORGE_TRAIN_RESUME));
  t->start_step = t->step;
  t->start_ns = time_now_ns();
  return FORGE_OK;
}

forge_status forge_trainer_create(forge_device *device, const forge_trainer_options *options,
                                  forge_trainer **out_trainer) {
  const uint32_t known = FORGE_TRAIN_RESUME | FORGE_TRAIN_PRIMITIVES;
  if (!device || !options || options->flags & ~known)
    return FAIL(FORGE_E_INVALID, "trainer: no device, no options, or unknown flags");
  forge_trainer *t = mem_zalloc(sizeof *t);
  if (!t) return FAIL(FORGE_E_OOM, "trainer: no memory");
  t->device = device;
  t->saved_step = UINT64_MAX;
  t->validation_loss = NAN;
  forge_status st = run_settings(options, &t->s);
  if (!st) st = make(t, options->flags);
  if (st) {
    forge_trainer_destroy(t);
    return st;
  }
  *out_trainer = t;
  return FORGE_OK;
}

void forge_trainer_destroy(forge_trainer *trainer) {
  forge_trainer *t = trainer;
  if (!t) return;
  metrics_close(&t->metrics);
  forge_store_close(t->store);
  train_step_destroy(&t->programs);
  train_params_destroy(&t->params);
  train_data_close(&t->data);
  forge_model_close(t->weights);
  train_settings_finish(&t->s);
  mem_free(t->note);
  mem_free(t);
}

static uint64_t step_tokens(const forge_trainer *t) {
  return t->s.batch * t->s.context * t->s.accumulation;
}

forge_status forge_trainer_describe(const forge_trainer *trainer, forge_trainer_info *info) {
  const forge_trainer *t = trainer;
  if (info->size < sizeof *info)
    return FAIL(FORGE_E_INVALID, "trainer info: size is %u, not %zu", info->size, sizeof *info);
  *info = (forge_trainer_info){
      .size = info->size,
      .n_vocab = t->params.config.n_vocab,
      .step = t->step,
      .steps = t->s.steps,
      .parameters = t->params.elements,
      .tokens_per_step = step_tokens(t),
      .tokens_train = train_data_part(&t->data, DATA_TRAIN),
      .tokens_validation = train_data_part(&t->data, DATA_VALIDATION),
      .checkpoint_bytes = t->params.elements * sizeof(float) * PARAMS_KINDS,
      .flops_per_step = train_step_flops(&t->programs),
      .peak_flops = t->peak_flops,
      .peak_origin = t->peak_origin,
      .resumed = t->resumed,
  };
  return FORGE_OK;
}

const char *forge_trainer_note(const forge_trainer *trainer) {
  return trainer->note ? trainer->note : "";
}

const char *forge_trainer_folder(const forge_trainer *trainer) { return trainer->s.out; }

/* Smoothed over about ten steps. */
static void note_time(forge_trainer *t, double seconds) {
  t->step_seconds = t->step_seconds > 0 ? 0.9 * t->step_seconds + 0.1 * seconds : seconds;
}

/* Weights that a failed update may have changed belong to no step. */
static forge_status check_sound(const forge_trainer *t) {
  if (!t->spoiled) return FORGE_OK;
  return FAIL(FORGE_E_FAULT,
              "the step after %" PRIu64 " failed, so the weights are those of no "
              "step: go on from the last checkpoint",
              t->step);
}

static forge_status update(forge_trainer *t, forge_train_report *r) {
  float loss, norm;
  const uint64_t start = time_now_ns(), step = t->step + 1;
  TRY(check_sound(t));
  r->lr = schedule_lr(&t->s, step);
  t->spoiled = true;
  TRY(train_step_run(&t->programs, &t->data, step, r->lr, &loss, &norm));
  if (!isfinite(loss))
    return FAIL(FORGE_E_FAULT,
                "step %" PRIu64 ": the loss is no number; lower lr, or go on from the last "
                "checkpoint with other settings in another folder",
                step);
  t->spoiled = false;
  note_time(t, (double)(time_now_ns() - start) * 1e-9);
  t->step = step;
  r->loss = loss;
  r->grad_norm = norm;
  return FORGE_OK;
}

static bool is_due(const forge_trainer *t, uint64_t interval) {
  return t->step == t->s.steps || (interval && t->step % interval == 0);
}

static void fill_report(const forge_trainer *t, forge_train_report *r) {
  const double seconds = (double)(time_now_ns() - t->start_ns) * 1e-9;
  const uint64_t done = t->step - t->start_step;
  r->step = t->step;
  r->tokens = t->step * step_tokens(t);
  r->validation_loss = t->validation_loss;
  r->tokens_per_second = (double)step_tokens(t) / t->step_seconds;
  r->mfu = train_step_flops(&t->programs) / t->step_seconds / t->peak_flops;
  r->seconds = seconds;
  r->seconds_left = seconds / (double)done * (double)(t->s.steps - t->step);
}

static bool has_validation(const forge_trainer *t) {
  return train_data_part(&t->data, DATA_VALIDATION) > t->s.context;
}

forge_status forge_trainer_step(forge_trainer *trainer, forge_train_report *report) {
  forge_trainer *t = trainer;
  if (report->size < sizeof *report)
    return FAIL(FORGE_E_INVALID, "train report: size is %u, not %zu", report->size, sizeof *report);
  if (t->step >= t->s.steps)
    return FAIL(FORGE_E_CANCELLED, "all %" PRIu64 " steps are done", t->s.steps);
  *report = (forge_train_report){.size = report->size};
  TRY(update(t, report));
  TRY(doubt_peak(t));
  if (t->step == t->s.steps) report->flags |= FORGE_TRAIN_DONE;
  if (has_validation(t) && is_due(t, t->s.eval_interval)) {
    TRY(forge_trainer_evaluate(t, &t->validation_loss));
    report->flags |= FORGE_TRAIN_EVALUATED;
  }
  fill_report(t, report);
  if (report->flags || is_due(t, t->s.log_interval)) {
    report->flags |= FORGE_TRAIN_LOGGED;
    TRY(metrics_write(&t->metrics, report));
  }
  if (!is_due(t, t->s.checkpoint_interval)) return FORGE_OK;
  TRY(run_save(t));
  report->flags |= FORGE_TRAIN_SAVED;
  return FORGE_OK;
}

forge_status forge_trainer_save(forge_trainer *trainer) {
  TRY(check_sound(trainer));
  return trainer->saved_step == trainer->step ? FORGE_OK : run_save(trainer);
}

forge_status forge_trainer_evaluate(forge_trainer *trainer, double *out_loss) {
  forge_trainer *t = trainer;
  if (!has_validation(t))
    return FAIL(FORGE_E_NOT_FOUND, "no part of the data is kept for validation");
  return train_step_validate(&t->programs, &t->data, t->s.eval_batches, out_loss);
}

forge_status forge_trainer_export(forge_trainer *trainer, const char *path) {
  TRY(check_sound(trainer));
  return train_params_export(&trainer->params, trainer->data.tokenizer, path);
}

forge_status forge_trainer_finish(forge_trainer *trainer) {
  forge_trainer *t = trainer;
  TRY(forge_trainer_save(t));
  if (!strcmp(t->s.export, "none")) return FORGE_OK;
  char *path = file_join(t->s.out, !strcmp(t->s.export, "gguf") ? "model.gguf" : "model");
  if (!path) return FAIL(FORGE_E_OOM, "%s: no memory", t->s.out);
  const forge_status st = forge_trainer_export(t, path);
  mem_free(path);
  return st;
}
