/* rig.c -- see rig.h. */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ftw.h>

const char *rig_path(const rig *r, const char *name) {
  static char paths[64][512];
  static unsigned next;
  char *path = paths[next++ % 64];
  snprintf(path, sizeof paths[0], "%s/%s", r->folder, name);
  return path;
}

static uint32_t draw(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(*state >> 33);
}

static void write_text(const char *path, size_t bytes) {
  static const char *const who[] = {"the king", "a miller", "the old cat", "her brother", "no one"};
  static const char *const does[] = {"saw", "sold", "remembers", "will find", "has lost"};
  static const char *const what[] = {"the river", "two coins", "a song", "the red house"};
  FILE *f = fopen(path, "w");
  uint64_t state = 7;
  assert_non_null(f);
  for (size_t n = 0; n < bytes;) {
    const uint32_t a = draw(&state), b = draw(&state), c = draw(&state);
    n += (size_t)fprintf(f, "%s %s %s.\n", who[a % 5], does[b % 5], what[c % 4]);
  }
  assert_int_equal(fclose(f), 0);
}

void rig_folder(rig *r, size_t bytes) {
  const char *base = getenv("TMPDIR");
  *r = (rig){.runtime = NULL};
  snprintf(r->folder, sizeof r->folder, "%s/forge-train-XXXXXX", base ? base : "/tmp");
  assert_non_null(mkdtemp(r->folder));
  write_text(rig_path(r, "text.txt"), bytes);
}

int rig_device(rig *r, const char *device, uint32_t threads) {
  char pair[64];
  snprintf(pair, sizeof pair, "backend.cpu.threads=%u", threads);
  const char *const overrides[] = {threads ? pair : NULL, NULL};
  const forge_runtime_options options = {.size = sizeof options, .overrides = overrides};
  if (forge_runtime_create(&options, &r->runtime)) fail_msg("runtime: %s", forge_error_last()->msg);
  if (!forge_device_open(r->runtime, device, &r->device)) return 1;
  print_message("%s: %s\n", device, forge_error_last()->msg);
  r->device = NULL;
  rig_close_device(r);
  return 0;
}

void rig_close_device(rig *r) {
  forge_device_close(r->device);
  forge_runtime_destroy(r->runtime);
  r->device = NULL;
  r->runtime = NULL;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *at) {
  (void)info;
  (void)kind;
  (void)at;
  return remove(path);
}

void rig_remove(rig *r) {
  rig_close_device(r);
  nftw(r->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

forge_status rig_trainer(rig *r, const rig_run *run, forge_trainer **out) {
  char text_pair[600], folder[600];
  const char *list[RIG_PAIRS + 32] = {text_pair,
                                      folder,
                                      "n_layer=2",
                                      "n_head=2",
                                      "n_embd=32",
                                      "n_ff=64",
                                      "context=16",
                                      "batch=4",
                                      "steps=20",
                                      "lr=5e-3",
                                      "min_lr=5e-4",
                                      "warmup=4",
                                      "seed=3",
                                      "log_interval=1",
                                      "eval_interval=10",
                                      "eval_batches=3",
                                      "checkpoint_interval=10",
                                      "peak_flops=1e9"};
  size_t n = 0;
  snprintf(text_pair, sizeof text_pair, "text=%s/text.txt", r->folder);
  snprintf(folder, sizeof folder, "out=%s/%s", r->folder, run->name);
  while (list[n]) n++;
  for (size_t i = 0; i < RIG_PAIRS && run->settings[i]; i++) list[n++] = run->settings[i];
  const forge_trainer_options options = {
      .size = sizeof options, .flags = run->flags, .overrides = list};
  return forge_trainer_create(r->device, &options, out);
}

forge_trainer *rig_start(rig *r, const rig_run *run) {
  forge_trainer *t = NULL;
  if (rig_trainer(r, run, &t)) fail_msg("%s: %s", run->name, forge_error_last()->msg);
  return t;
}

forge_train_report rig_steps(forge_trainer *t, uint64_t until, double losses[RIG_STEPS]) {
  forge_train_report report = {.size = sizeof report};
  forge_trainer_info info = {.size = sizeof info};
  assert_int_equal(forge_trainer_describe(t, &info), FORGE_OK);
  for (uint64_t step = info.step; step < until; step++) {
    if (forge_trainer_step(t, &report)) fail_msg("step: %s", forge_error_last()->msg);
    assert_int_equal(report.step, step + 1);
    if (losses && report.step < RIG_STEPS) losses[report.step] = report.loss;
  }
  return report;
}

forge_train_report rig_losses(rig *r, const rig_run *run, double losses[RIG_STEPS]) {
  forge_trainer *t = rig_start(r, run);
  forge_trainer_info info = {.size = sizeof info};
  assert_int_equal(forge_trainer_describe(t, &info), FORGE_OK);
  const forge_train_report report = rig_steps(t, info.steps, losses);
  forge_trainer_destroy(t);
  return report;
}
