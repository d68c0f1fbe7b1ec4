/* test_train_command.c -- `forge train` and `forge plot` as a user runs them: what they print, how
 * they end, what they leave. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "file.h"
#include "rig.h"

#define FORGE FORGE_TEST_BUILD_DIR "/bin/forge"
#define SMALL                                                                                      \
  "--option", "n_layer=1", "--option", "n_embd=32", "--option", "n_head=2", "--option",            \
      "context=16", "--option", "batch=2", "--option", "peak_flops=1e9", "--option", "warmup=2",   \
      "--option", "log_interval=1"

/* Starts the command with output to FOLDER/stdout and FOLDER/stderr. */
static pid_t start(const rig *r, const char *const *argv) {
  const pid_t child = fork();
  if (child) return child;
  if (!freopen(rig_path(r, "stdout"), "w", stdout) || !freopen(rig_path(r, "stderr"), "w", stderr))
    _exit(126);
  execv(FORGE, (char *const *)(uintptr_t)argv);
  _exit(127);
}

static int wait_for(pid_t child) {
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static char *content(const rig *r, const char *name) {
  char *s;
  assert_int_equal(file_read(rig_path(r, name), 1 << 24, &s, NULL), FORGE_OK);
  return s;
}

/* Runs to the end; the exit code must be |code| and the output say |says|. */
static void run(const rig *r, int code, const char *says, const char *const *argv) {
  const int got = wait_for(start(r, argv));
  char *out = content(r, "stdout"), *err = content(r, "stderr");
  if (got != code || !(strstr(out, says) || strstr(err, says)))
    fail_msg("exit %d (wanted %d, '%s')\n%s%s", got, code, says, out, err);
  forge_text_free(out);
  forge_text_free(err);
}

static void pause_ms(long ms) {
  nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* Waits until the run in |folder| has logged a step. */
static void wait_for_steps(const rig *r, const char *metrics) {
  for (int i = 0; i < 3000; i++, pause_ms(10)) {
    struct stat info;
    if (!stat(rig_path(r, metrics), &info) && info.st_size > 0) return;
  }
  fail_msg("no step was logged in 30 s");
}

static void a_run_ends_with_a_model_and_a_picture(void **state) {
  (void)state;
  rig r;
  struct stat info;
  rig_folder(&r, 6000);
  run(&r, 0, "validation loss",
      (const char *const[]){FORGE, "train", "--text", rig_path(&r, "text.txt"), "--steps", "12",
                            "--out", rig_path(&r, "run"), SMALL, NULL});
  assert_int_equal(stat(rig_path(&r, "run/config"), &info), 0);
  assert_int_equal(stat(rig_path(&r, "run/model"), &info), 0);
  run(&r, 0, "",
      (const char *const[]){FORGE, "plot", rig_path(&r, "run"), "--out", rig_path(&r, "loss.png"),
                            NULL});
  char *png = content(&r, "loss.png");
  assert_memory_equal(png, "\x89PNG", 4);
  forge_text_free(png);
  run(&r, 0, "",
      (const char *const[]){FORGE, "plot", rig_path(&r, "run/metrics.jsonl"), "--smooth", "--log-y",
                            "--out", rig_path(&r, "loss.svg"), NULL});
  char *svg = content(&r, "loss.svg");
  assert_non_null(strstr(svg, "<svg"));
  forge_text_free(svg);
  rig_remove(&r);
}

static void stop_and_resume(int number) {
  rig r;
  rig_folder(&r, 6000);
  const pid_t child =
      start(&r, (const char *const[]){FORGE, "train", "--text", rig_path(&r, "text.txt"), "--steps",
                                      "1000000", "--out", rig_path(&r, "run"), SMALL, NULL});
  wait_for_steps(&r, "run/metrics.jsonl");
  kill(child, number);
  assert_int_equal(wait_for(child), 3);
  char *err = content(&r, "stderr");
  assert_non_null(strstr(err, "--resume"));
  forge_text_free(err);
  /* decay_steps was fixed by --steps; the run may be ended sooner */
  char *metrics = content(&r, "run/metrics.jsonl"), steps[32];
  int lines = 0;
  for (const char *s = metrics; (s = strchr(s, '\n')); s++) lines++;
  forge_text_free(metrics);
  snprintf(steps, sizeof steps, "%d", lines + 5);
  run(&r, 0, "resumed after step",
      (const char *const[]){FORGE, "train", "--resume", "--out", rig_path(&r, "run"), "--steps",
                            steps, NULL});
  rig_remove(&r);
}

static void sigterm_saves_and_ends_with_code_3(void **state) {
  (void)state;
  stop_and_resume(SIGTERM);
}

static void ctrl_c_saves_and_ends_with_code_3(void **state) {
  (void)state;
  stop_and_resume(SIGINT);
}

static void mistakes_are_told(void **state) {
  (void)state;
  rig r;
  rig_folder(&r, 6000);
  const char *file = rig_path(&r, "text.txt"), *out = rig_path(&r, "run");
  run(&r, 1, "did you mean 'n_layer'",
      (const char *const[]){FORGE, "train", "--text", file, "--out", out, "--option", "n_layers=2",
                            NULL});
  run(&r, 1, "no text to learn from", (const char *const[]){FORGE, "train", "--out", out, NULL});
  run(&r, 1, "nonexistent",
      (const char *const[]){FORGE, "train", "--config", "/nonexistent.conf", NULL});
  run(&r, 1, "no run to resume",
      (const char *const[]){FORGE, "train", "--text", file, "--out", out, "--resume", NULL});
  run(&r, 2, "--steps", (const char *const[]){FORGE, "train", "--steps", NULL});
  run(&r, 1, "no metrics", (const char *const[]){FORGE, "plot", out, NULL});
  run(&r, 0, "checkpoint_interval", (const char *const[]){FORGE, "train", "--help", NULL});
  rig_remove(&r);
}

int main(void) {
  if (access(FORGE, X_OK)) {
    printf("skipped: %s is not built\n", FORGE);
    return 77;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_run_ends_with_a_model_and_a_picture),
      cmocka_unit_test(sigterm_saves_and_ends_with_code_3),
      cmocka_unit_test(ctrl_c_saves_and_ends_with_code_3),
      cmocka_unit_test(mistakes_are_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
