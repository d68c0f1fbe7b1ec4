/* cmd_train.c -- `forge train`: a model from a text; stopped, killed and resumed at will. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <forge/train.h>

#include "cli.h"

enum { MAX_EXTRA = 64, PAIR = 4096 };

static const cli_option options[] = {
    {"config", "FILE", "settings of the run (the keys are below)", false},
    {"text", "FILE", "text to learn from; any bytes", false},
    {"steps", "N", "updates", false},
    {"seed", "S", "decides initial weights and the order of the data", false},
    {"out", "DIR", "folder of the run (default: run)", false},
    {"resume", NULL, "go on from the newest checkpoint in the folder", false},
    {"option", "KEY=VALUE", "set one key of the settings; may be repeated", true},
    {"device", "D", "device to train on (default: the configured one)", false},
    {"threads", "N", "threads of the CPU backend", false},
    {"runtime-config", "FILE",
     "the operator's file (default: $FORGE_CONFIG, then the usual places)", false},
    {NULL, NULL, NULL, false}};

static void print_keys(void) {
  char *keys;
  if (forge_train_keys(&keys)) return;
  printf("\nSettings (--config FILE with lines \"key = value;\", or --option key=value):\n%s",
         keys);
  forge_text_free(keys);
}

/* "key=value" texts for the trainer, made from the options that have a name of their own. */
typedef struct pairs {
  char text[4][PAIR];
  const char *list[MAX_EXTRA + 5];
  uint32_t n;
} pairs;

static bool collect(const cli *c, pairs *p) {
  static const char *const named[] = {"text", "steps", "seed", "out"};
  for (uint32_t i = 0; cli_text_at(c, "option", i); i++) {
    if (i == MAX_EXTRA) {
      cli_usage(c, "--option is given more than %d times", MAX_EXTRA);
      return false;
    }
    p->list[p->n++] = cli_text_at(c, "option", i);
  }
  for (uint32_t i = 0; i < 4; i++) {
    const char *value = cli_text(c, named[i], NULL);
    if (!value) continue;
    if (snprintf(p->text[i], PAIR, "%s=%s", named[i], value) >= PAIR) {
      cli_usage(c, "--%s is too long", named[i]);
      return false;
    }
    p->list[p->n++] = p->text[i];
  }
  return true;
}

static const char *si(double value, char out[32]) {
  static const char *const prefix[] = {"", "k", "M", "G", "T", "P"};
  int i = 0;
  for (; value >= 1000 && i < 5; i++) value /= 1000;
  snprintf(out, 32, "%.3g %s", value, prefix[i]);
  return out;
}

/* The same for what is counted and has its name behind a space. */
static const char *count(uint64_t n, char out[32]) {
  si((double)n, out);
  const size_t length = strlen(out);
  if (length && out[length - 1] == ' ') out[length - 1] = 0;
  return out;
}

static void introduce(const cli *c, const forge_trainer *t, forge_device *device) {
  forge_trainer_info info = {.size = sizeof info};
  forge_device_info on = {.size = sizeof on};
  char a[32], b[32], d[32];
  if (forge_trainer_describe(t, &info) || forge_device_describe(device, &on)) return;
  cli_note(c, "%s parameters, vocabulary %u, %s + %s tokens to train and to validate on",
           count(info.parameters, a), info.n_vocab, count(info.tokens_train, b),
           count(info.tokens_validation, d));
  cli_note(c, "on %s (%s); peak %sflop/s %s; a checkpoint is %s", on.name, on.model,
           si(info.peak_flops, a),
           info.peak_origin == FORGE_PEAK_MEASURED ? "measured now" : "as configured",
           cli_bytes(info.checkpoint_bytes, b));
  if (info.resumed)
    cli_note(c, "resumed after step %llu of %llu in %s", (unsigned long long)info.step,
             (unsigned long long)info.steps, forge_trainer_folder(t));
  else
    cli_note(c, "%llu steps of %llu tokens, to %s", (unsigned long long)info.steps,
             (unsigned long long)info.tokens_per_step, forge_trainer_folder(t));
  if (*forge_trainer_note(t))
    cli_note(c, "%snote:%s %s", cli_colour(stderr, CLI_YELLOW), cli_colour(stderr, CLI_PLAIN),
             forge_trainer_note(t));
}

static void print_json(const forge_train_report *r) {
  printf("{\"step\": %llu, \"loss\": %.9g", (unsigned long long)r->step, r->loss);
  if (r->flags & FORGE_TRAIN_EVALUATED) printf(", \"validation_loss\": %.9g", r->validation_loss);
  printf(", \"lr\": %.6g, \"tokens_per_second\": %.6g, \"mfu\": %.4g, \"saved\": %s}\n", r->lr,
         r->tokens_per_second, r->mfu, r->flags & FORGE_TRAIN_SAVED ? "true" : "false");
  fflush(stdout);
}

static const char *summary(const forge_train_report *r, char out[160]) {
  char rate[32], validation[32] = "";
  if (isfinite(r->validation_loss))
    snprintf(validation, sizeof validation, " (validation %.3f)", r->validation_loss);
  snprintf(out, 160, "loss %.3f%s  %stok/s  MFU %.0f%%", r->loss, validation,
           si(r->tokens_per_second, rate), 100 * r->mfu);
  return out;
}

/* Saves where the run is and says how to go on. */
static int stopped(const cli *c, forge_trainer *t, uint64_t step) {
  if (forge_trainer_save(t)) return cli_failed(c, "saving on request to stop");
  cli_note(c, "stopped after step %llu, saved; go on with: forge train --resume --out %s",
           (unsigned long long)step, forge_trainer_folder(t));
  return CLI_STOPPED;
}

static int finish(const cli *c, forge_trainer *t, const forge_train_report *r) {
  char took[32];
  if (forge_trainer_finish(t)) return cli_failed(c, "finishing");
  cli_note(c, "done in %s; results are in %s", cli_seconds(r->seconds, took),
           forge_trainer_folder(t));
  if (!cli_json(c) && isfinite(r->validation_loss))
    printf("validation loss %.4f after %llu steps\n", r->validation_loss,
           (unsigned long long)r->step);
  return CLI_OK;
}

static int loop(const cli *c, forge_trainer *t, forge_trainer_info *info) {
  cli_progress progress;
  char note[160] = "";
  forge_train_report r = {.size = sizeof r, .step = info->step, .validation_loss = NAN};
  cli_progress_start(&progress, "training", "steps", info->step, info->steps);
  while (r.step < info->steps && !cli_stop_wanted()) {
    if (forge_trainer_step(t, &r)) {
      cli_progress_end(&progress, note);
      return cli_failed(c, "training");
    }
    cli_progress_step(&progress, r.step, summary(&r, note));
    if (cli_json(c) && r.flags & FORGE_TRAIN_LOGGED) print_json(&r);
  }
  cli_progress_end(&progress, note);
  return r.step < info->steps ? stopped(c, t, r.step) : finish(c, t, &r);
}

static int train(const cli *c, forge_device *device) {
  static pairs p;
  const forge_trainer_options how = {.size = sizeof how,
                                     .flags = cli_flag(c, "resume") ? FORGE_TRAIN_RESUME : 0u,
                                     .config_path = cli_text(c, "config", NULL),
                                     .overrides = p.list};
  forge_trainer_info info = {.size = sizeof info};
  forge_trainer *t;
  if (!collect(c, &p)) return CLI_USAGE;
  cli_catch_stop();
  if (forge_trainer_create(device, &how, &t)) return cli_failed(c, "starting");
  introduce(c, t, device);
  const int rc = forge_trainer_describe(t, &info) ? cli_failed(c, "starting") : loop(c, t, &info);
  forge_trainer_destroy(t);
  return rc;
}

static int run(cli *c) {
  cli_threads threads;
  if (!cli_take_threads(c, &threads)) return CLI_USAGE;
  forge_runtime *runtime = cli_runtime(c, threads.extra);
  if (!runtime) return CLI_FAILED;
  forge_device *device = cli_device(runtime, cli_text(c, "device", NULL));
  const int rc = device ? train(c, device) : CLI_FAILED;
  forge_device_close(device);
  forge_runtime_destroy(runtime);
  return rc;
}

const cli_command cmd_train = {
    .name = "train",
    .summary = "train a model on a text, resumable to the bit",
    .usage = "--config FILE [--text FILE] [--out DIR] [--resume] [options]",
    .examples =
        "  forge train --text book.txt --out runs/book               # defaults: a small llama\n"
        "  forge train --config examples/configs/shakespeare-char.conf --text tiny.txt\n"
        "  forge train --resume --out runs/book                      # after Ctrl-C, kill, power "
        "cut\n"
        "  forge train --text more.txt --option weights=runs/book/model --out runs/more\n",
    .options = options,
    .run = run,
    .more_help = print_keys,
};
