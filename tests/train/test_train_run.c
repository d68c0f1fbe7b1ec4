/* test_train_run.c -- whole runs: they learn, they go on where they were, and the same settings
 * give the same bits. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <forge/state.h>

#include "file.h"
#include "rig.h"

static void same_bits(const double *a, const double *b, uint64_t from, uint64_t until,
                      const char *what) {
  for (uint64_t step = from; step <= until; step++)
    if (a[step] != b[step])
      fail_msg("%s: step %d: loss %.9g and %.9g", what, (int)step, a[step], b[step]);
}

static void close_to(const double *a, const double *b, uint64_t until, double tolerance,
                     const char *what) {
  double worst = 0;
  for (uint64_t step = 1; step <= until; step++) worst = fmax(worst, fabs(a[step] - b[step]));
  print_message("%s: losses differ by at most %.3g\n", what, worst);
  if (!(worst <= tolerance)) fail_msg("%s: %g is over %g", what, worst, tolerance);
}

/* One window is all the data there is; a model that learns at all knows it by heart. */
static void overfit(const char *family) {
  rig r;
  char family_pair[64];
  snprintf(family_pair, sizeof family_pair, "family=%s", family);
  rig_folder(&r, 10);
  FILE *f = fopen(rig_path(&r, "text.txt"), "w");
  fputs("Sphinx of black quartz, judge my vow!", f); /* 37 characters */
  fclose(f);
  rig_device(&r, "cpu", 0);
  const rig_run run = {"run",
                       0,
                       {family_pair, "context=36", "batch=1", "validation=0", "steps=120",
                        "lr=1e-2", "min_lr=1e-3", "weight_decay=0"}};
  double losses[RIG_STEPS];
  const forge_train_report last = rig_losses(&r, &run, losses);
  print_message("%s: loss %.3f -> %.4f\n", family, losses[1], last.loss);
  assert_true(losses[1] > 2.5);
  assert_true(last.loss < 0.05);
  rig_remove(&r);
}

static void a_tiny_llama_learns_one_line_by_heart(void **state) {
  (void)state;
  overfit("llama");
}

static void a_tiny_gpt2_learns_one_line_by_heart(void **state) {
  (void)state;
  overfit("gpt2");
}

static void a_run_learns_and_reports_what_it_did(void **state) {
  (void)state;
  rig r;
  rig_folder(&r, 8000);
  rig_device(&r, "cpu", 0);
  forge_trainer *t = rig_start(&r, &(rig_run){"run", 0, {"steps=60", NULL}});
  forge_trainer_info info = {.size = sizeof info};
  assert_int_equal(forge_trainer_describe(t, &info), FORGE_OK);
  assert_int_equal(info.tokens_per_step, 64);
  assert_int_equal(info.peak_origin, FORGE_PEAK_CONFIGURED);
  assert_true(info.flops_per_step > 6.0 * 64 * 2 * 32 * (4 * 32 + 3 * 64));
  const forge_train_report last = rig_steps(t, 60, NULL);
  assert_int_equal(last.flags, FORGE_TRAIN_LOGGED | FORGE_TRAIN_EVALUATED | FORGE_TRAIN_SAVED |
                                   FORGE_TRAIN_DONE);
  assert_int_equal(last.tokens, 60 * 64);
  assert_true(last.validation_loss < 2.5 && last.validation_loss > 0);
  assert_true(last.tokens_per_second > 0 && last.mfu > 0);
  forge_train_report over = {.size = sizeof over};
  assert_int_equal(forge_trainer_step(t, &over), FORGE_E_CANCELLED);
  forge_trainer_destroy(t);
  rig_remove(&r);
}

static void four_accumulated_passes_equal_one_four_times_as_large(void **state) {
  (void)state;
  rig r;
  double one[RIG_STEPS], four[RIG_STEPS];
  rig_folder(&r, 8000);
  rig_device(&r, "cpu", 0);
  rig_losses(&r, &(rig_run){"one", 0, {"batch=8", NULL}}, one);
  rig_losses(&r, &(rig_run){"four", 0, {"batch=2", "accumulation=4", NULL}}, four);
  close_to(one, four, 20, 1e-5, "accumulation 4 against 1");
  rig_losses(&r, &(rig_run){"three", 0, {"batch=8", "accumulation=3", NULL}}, four);
  assert_true(fabs(one[20] - four[20]) > 1e-5); /* other data: the comparison can fail */
  rig_remove(&r);
}

/* Trains without end; says on |fd| when |step| steps are done. Never comes back. */
static void train_until_killed(rig *r, const rig_run *run, uint64_t step, int fd) {
  forge_trainer *t = NULL;
  forge_train_report report = {.size = sizeof report};
  if (!rig_device(r, "cpu", 0) || rig_trainer(r, run, &t)) _exit(1);
  while (!forge_trainer_step(t, &report))
    if (report.step == step && write(fd, "x", 1) != 1) _exit(1);
  _exit(1);
}

/* Trains in a process of its own that is killed from outside once step |step| is done. */
static void train_and_kill(rig *r, const rig_run *run, uint64_t step) {
  int ends[2], status;
  char byte;
  assert_int_equal(pipe(ends), 0);
  const pid_t child = fork();
  if (!child) train_until_killed(r, run, step, ends[1]);
  close(ends[1]);
  assert_int_equal(read(ends[0], &byte, 1), 1);
  kill(child, SIGKILL);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  close(ends[0]);
}

static void a_killed_and_resumed_run_is_the_run_that_was_not(void **state) {
  (void)state;
  rig r;
  double whole[RIG_STEPS], resumed[RIG_STEPS];
  const rig_run plain = {
      "whole", 0, {"steps=3000", "checkpoint_interval=7", "schedule=linear", NULL}};
  rig_folder(&r, 8000);
  rig_run run = plain;
  run.name = "killed";
  train_and_kill(&r, &run, 26);
  rig_device(&r, "cpu", 0);
  run.flags = FORGE_TRAIN_RESUME;
  forge_trainer *t = rig_start(&r, &run);
  forge_trainer_info info = {.size = sizeof info};
  assert_int_equal(forge_trainer_describe(t, &info), FORGE_OK);
  assert_int_equal(info.resumed, 1);
  assert_true(info.step >= 21 && info.step % 7 == 0 && info.step < 2900);
  rig_steps(t, info.step + 40, resumed);
  forge_trainer_destroy(t);
  t = rig_start(&r, &plain);
  rig_steps(t, info.step + 40, whole);
  forge_trainer_destroy(t);
  same_bits(whole, resumed, info.step + 1, info.step + 40, "resumed");
  print_message("killed, resumed after step %d\n", (int)info.step);
  rig_remove(&r);
}

static char *checkpoint_of(const rig *r, const char *run, uint64_t step) {
  static char path[600];
  snprintf(path, sizeof path, "%s/%s/checkpoints/step-%020llu.fck", r->folder, run,
           (unsigned long long)step);
  return path;
}

static void the_state_after_a_resume_is_the_same_to_the_byte(void **state) {
  (void)state;
  rig r;
  char *a, *b;
  uint64_t n, m;
  rig_folder(&r, 8000);
  rig_device(&r, "cpu", 0);
  forge_trainer *t = rig_start(&r, &(rig_run){"run", 0, {"accumulation=2", NULL}});
  rig_steps(t, 20, NULL);
  forge_trainer_destroy(t);
  assert_int_equal(file_read(checkpoint_of(&r, "run", 20), 1 << 30, &a, &n), FORGE_OK);
  assert_int_equal(unlink(checkpoint_of(&r, "run", 20)), 0);
  t = rig_start(&r, &(rig_run){"run", FORGE_TRAIN_RESUME, {"accumulation=2", NULL}});
  rig_steps(t, 20, NULL);
  forge_trainer_destroy(t);
  assert_int_equal(file_read(checkpoint_of(&r, "run", 20), 1 << 30, &b, &m), FORGE_OK);
  assert_int_equal(n, m);
  assert_memory_equal(a, b, n);
  forge_text_free(a);
  forge_text_free(b);
  rig_remove(&r);
}

static void one_two_and_four_threads_give_the_same_bits(void **state) {
  (void)state;
  static double losses[3][RIG_STEPS];
  static const char *const names[] = {"one", "two", "four"};
  rig r;
  rig_folder(&r, 8000);
  for (int i = 0; i < 3; i++) {
    rig_device(&r, "cpu", 1u << i);
    rig_losses(&r, &(rig_run){names[i], 0, {"batch=9", "n_embd=48", "n_ff=96", NULL}}, losses[i]);
    rig_close_device(&r);
    if (i) same_bits(losses[0], losses[i], 1, 20, names[i]);
  }
  rig_remove(&r);
}

static void every_variant_of_the_cpu_gives_the_same_bits(void **state) {
  (void)state;
  static const char *const variants[] = {"cpu/portable:0", "cpu/avx2:0", "cpu/avx512:0"};
  static double losses[3][RIG_STEPS];
  rig r;
  int ran = 0, first = -1;
  rig_folder(&r, 8000);
  for (int i = 0; i < 3; i++) {
    char name[] = "run0";
    name[3] = (char)('0' + i);
    if (!rig_device(&r, variants[i], 0)) continue;
    rig_losses(&r, &(rig_run){name, 0, {NULL}}, losses[i]);
    rig_close_device(&r);
    ran++;
    if (first < 0) first = i;
    same_bits(losses[first], losses[i], 1, 20, variants[i]);
  }
  print_message("%d variants\n", ran);
  assert_true(ran > 0);
  rig_remove(&r);
}

static void primitives_alone_train_the_same_to_rounding(void **state) {
  (void)state;
  static const char *const families[] = {"family=llama", "family=gpt2"};
  rig r;
  double a[RIG_STEPS], b[RIG_STEPS];
  rig_folder(&r, 8000);
  rig_device(&r, "cpu", 0);
  for (int i = 0; i < 2; i++) {
    char whole[16], primitive[16];
    snprintf(whole, sizeof whole, "w%d", i);
    snprintf(primitive, sizeof primitive, "p%d", i);
    rig_losses(&r, &(rig_run){whole, 0, {families[i], NULL}}, a);
    rig_losses(&r, &(rig_run){primitive, FORGE_TRAIN_PRIMITIVES, {families[i], NULL}}, b);
    close_to(a, b, 20, 2e-4, families[i]);
  }
  rig_remove(&r);
}

static void bf16_products_follow_f32(void **state) {
  (void)state;
  rig r;
  double a[RIG_STEPS], b[RIG_STEPS];
  rig_folder(&r, 8000);
  rig_device(&r, "cpu", 0);
  rig_losses(&r, &(rig_run){"f32", 0, {"steps=40", NULL}}, a);
  rig_losses(&r, &(rig_run){"bf16", 0, {"steps=40", "dtype=bf16", NULL}}, b);
  close_to(a, b, 40, 0.05, "bf16");
  assert_true(a[1] != b[1]);
  rig_remove(&r);
}

static void a_seed_decides_weights_and_data(void **state) {
  (void)state;
  rig r;
  double a[RIG_STEPS], b[RIG_STEPS];
  rig_folder(&r, 8000);
  rig_device(&r, "cpu", 0);
  rig_losses(&r, &(rig_run){"a", 0, {NULL}}, a);
  rig_losses(&r, &(rig_run){"b", 0, {NULL}}, b);
  same_bits(a, b, 1, 20, "again");
  rig_losses(&r, &(rig_run){"c", 0, {"seed=4", NULL}}, b);
  assert_true(a[1] != b[1]);
  rig_remove(&r);
}

static void refused(rig *r, const rig_run *run, forge_status status, const char *says) {
  forge_trainer *t = NULL;
  const forge_status st = rig_trainer(r, run, &t);
  if (st != status || !strstr(forge_error_last()->msg, says))
    fail_msg("'%s' should be said with %d, not %d: %s", says, status, st, forge_error_last()->msg);
}

static void a_run_is_neither_overwritten_nor_resumed_as_another(void **state) {
  (void)state;
  rig r;
  rig_folder(&r, 8000);
  rig_device(&r, "cpu", 0);
  refused(&r, &(rig_run){"run", FORGE_TRAIN_RESUME, {NULL}}, FORGE_E_NOT_FOUND, "no run to resume");
  rig_losses(&r, &(rig_run){"run", 0, {NULL}}, NULL);
  refused(&r, &(rig_run){"run", 0, {NULL}}, FORGE_E_EXISTS, "resume it");
  refused(&r, &(rig_run){"run", FORGE_TRAIN_RESUME, {"n_layer=3", NULL}}, FORGE_E_MISMATCH,
          "n_layer");
  FILE *f = fopen(rig_path(&r, "text.txt"), "a");
  fputs("the king saw a song.\n", f);
  fclose(f);
  refused(&r, &(rig_run){"run", FORGE_TRAIN_RESUME, {NULL}}, FORGE_E_MISMATCH, "other data");
  rig_remove(&r);
}

/* The model at |path| and one written now are the same. */
static void exported_is_the_state(forge_trainer *t, const char *path) {
  char again[600];
  uint8_t is[32], want[32];
  forge_model *a = NULL, *b = NULL;
  snprintf(again, sizeof again, "%s.gguf", path);
  assert_int_equal(forge_trainer_export(t, again), FORGE_OK);
  assert_int_equal(forge_model_open(path, NULL, &a), FORGE_OK);
  assert_int_equal(forge_model_open(again, NULL, &b), FORGE_OK);
  assert_int_equal(forge_model_hash(a, is), FORGE_OK);
  assert_int_equal(forge_model_hash(b, want), FORGE_OK);
  assert_memory_equal(is, want, sizeof is);
  forge_model_close(a);
  forge_model_close(b);
}

static void a_loss_that_is_no_number_is_never_saved(void **state) {
  (void)state;
  rig r;
  rig_folder(&r, 8000);
  rig_device(&r, "cpu", 0);
  forge_trainer *t =
      rig_start(&r, &(rig_run){"run",
                               0,
                               {"lr=10", "weight_decay=10", "schedule=constant", "clip=0",
                                "steps=100", "checkpoint_interval=0", NULL}});
  forge_train_report report = {.size = sizeof report};
  forge_status st = FORGE_OK;
  for (int i = 0; i < 100 && !st; i++) st = forge_trainer_step(t, &report);
  assert_int_equal(st, FORGE_E_FAULT);
  assert_int_equal(forge_trainer_step(t, &report), FORGE_E_FAULT);
  assert_int_equal(forge_trainer_save(t), FORGE_E_FAULT);
  assert_int_equal(forge_trainer_finish(t), FORGE_E_FAULT);
  assert_int_equal(forge_trainer_export(t, rig_path(&r, "m.gguf")), FORGE_E_FAULT);
  forge_trainer_destroy(t);
  assert_int_not_equal(access(rig_path(&r, "m.gguf"), F_OK), 0);
  rig_remove(&r);
}

static void a_run_can_be_made_longer(void **state) {
  (void)state;
  rig r;
  rig_folder(&r, 8000);
  rig_device(&r, "cpu", 0);
  forge_trainer *t = rig_start(&r, &(rig_run){"run", 0, {NULL}});
  rig_steps(t, 20, NULL);
  assert_int_equal(forge_trainer_finish(t), FORGE_OK);
  forge_trainer_destroy(t);
  t = rig_start(&r, &(rig_run){"run", FORGE_TRAIN_RESUME, {"steps=25", NULL}});
  const forge_train_report last = rig_steps(t, 25, NULL);
  assert_true(fabs(last.lr - 5e-4) < 1e-12); /* where the schedule ended */
  if (forge_trainer_finish(t)) fail_msg("finish again: %s", forge_error_last()->msg);
  exported_is_the_state(t, rig_path(&r, "run/model"));
  forge_trainer_destroy(t);
  rig_remove(&r);
}

static void a_damaged_checkpoint_is_told_and_the_one_before_taken(void **state) {
  (void)state;
  rig r;
  double whole[RIG_STEPS], resumed[RIG_STEPS];
  rig_folder(&r, 8000);
  rig_device(&r, "cpu", 0);
  rig_losses(&r, &(rig_run){"run", 0, {NULL}}, whole);
  FILE *f = fopen(checkpoint_of(&r, "run", 20), "r+");
  fseek(f, 5000, SEEK_SET);
  fputs("damage", f);
  fclose(f);
  forge_trainer *t = rig_start(&r, &(rig_run){"run", FORGE_TRAIN_RESUME, {NULL}});
  assert_non_null(strstr(forge_trainer_note(t), "token_embd.weight"));
  rig_steps(t, 20, resumed);
  same_bits(whole, resumed, 11, 20, "after the damage");
  forge_trainer_destroy(t);
  assert_int_equal(forge_checkpoint_verify(checkpoint_of(&r, "run", 20)), FORGE_OK);
  rig_remove(&r);
}

/* What leaves the trainer is the model it validated: read back from the file, it has its loss. */
static void exported_has_the_loss(rig *r, const char *family, const char *path) {
  char name[64], weights[600], out[64];
  double loss, again;
  snprintf(name, sizeof name, "family=%s", family);
  forge_trainer *t = rig_start(r, &(rig_run){family, 0, {name, "export=none", NULL}});
  rig_steps(t, 20, NULL);
  assert_int_equal(forge_trainer_evaluate(t, &loss), FORGE_OK);
  if (forge_trainer_export(t, rig_path(r, path))) fail_msg("%s: %s", path, forge_error_last()->msg);
  forge_trainer_destroy(t);
  snprintf(weights, sizeof weights, "weights=%s", rig_path(r, path));
  snprintf(out, sizeof out, "again-%s", path);
  t = rig_start(r, &(rig_run){out, 0, {weights, NULL}});
  assert_int_equal(forge_trainer_evaluate(t, &again), FORGE_OK);
  print_message("%s as %s: loss %.6f, read back %.6f\n", family, path, loss, again);
  if (!(fabs(loss - again) < 1e-5)) fail_msg("%s: %.9g became %.9g", path, loss, again);
  forge_trainer_destroy(t);
}

static void an_exported_model_has_the_loss_the_trainer_saw(void **state) {
  (void)state;
  rig r;
  rig_folder(&r, 8000);
  rig_device(&r, "cpu", 0);
  exported_has_the_loss(&r, "llama", "llama-folder");
  exported_has_the_loss(&r, "gpt2", "gpt2-folder");
  rig_remove(&r);
}

static void the_same_through_gguf(void **state) {
  (void)state;
  rig r;
  rig_folder(&r, 8000);
  rig_device(&r, "cpu", 0);
  exported_has_the_loss(&r, "llama", "llama.gguf");
  exported_has_the_loss(&r, "gpt2", "gpt2.gguf");
  rig_remove(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_tiny_llama_learns_one_line_by_heart),
      cmocka_unit_test(a_tiny_gpt2_learns_one_line_by_heart),
      cmocka_unit_test(a_run_learns_and_reports_what_it_did),
      cmocka_unit_test(four_accumulated_passes_equal_one_four_times_as_large),
      cmocka_unit_test(a_killed_and_resumed_run_is_the_run_that_was_not),
      cmocka_unit_test(the_state_after_a_resume_is_the_same_to_the_byte),
      cmocka_unit_test(one_two_and_four_threads_give_the_same_bits),
      cmocka_unit_test(every_variant_of_the_cpu_gives_the_same_bits),
      cmocka_unit_test(primitives_alone_train_the_same_to_rounding),
      cmocka_unit_test(bf16_products_follow_f32),
      cmocka_unit_test(a_seed_decides_weights_and_data),
      cmocka_unit_test(a_run_is_neither_overwritten_nor_resumed_as_another),
      cmocka_unit_test(a_run_can_be_made_longer),
      cmocka_unit_test(a_loss_that_is_no_number_is_never_saved),
      cmocka_unit_test(a_damaged_checkpoint_is_told_and_the_one_before_taken),
      cmocka_unit_test(an_exported_model_has_the_loss_the_trainer_saw),
      cmocka_unit_test(the_same_through_gguf),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
