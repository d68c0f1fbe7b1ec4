/* neighbours.c -- what a plugin does to the process it is a guest in. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "day.h"
#include "host.h"
#include "process.h"

static process_manners *before;

static void look_round(const char *step) {
  const char *changed = process_changed(before);
  CHECK(!changed, "%s has changed %s of the process; put it back before the call returns", step,
        changed);
}

static void manners(const void *arg) {
  (void)arg;
  before = process_remember();
  day_of_work(look_round);
}

static void standard_output(const void *arg) {
  (void)arg;
  char text[200] = "";
  const int file = memfd_create("standard output", MFD_CLOEXEC);
  if (file < 0 || dup2(file, STDOUT_FILENO) < 0) test_skip("no memory for a file");
  day_of_work(NULL);
  rig_table()->shutdown();
  fflush(stdout);
  const ssize_t n = pread(file, text, sizeof text - 1, 0);
  text[strcspn(text, "\n")] = 0;
  CHECK(n <= 0, "it writes to standard output: \"%s\"; use host->log()", text);
}

static void log_lines(const void *arg) {
  (void)arg;
  day_of_work(NULL);
  rig_table()->shutdown();
  CHECK(!host_log_fault(), "host->log(): %s", host_log_fault());
  if (!host_log_lines()) test_note("it logged nothing");
}

void chapter_neighbours(test_list *list) {
  TEST(list, "neighbours.manners", manners, FB_N1);
  TEST(list, "neighbours.stdout", standard_output, FB_N2);
  TEST(list, "neighbours.log", log_lines, FB_N3);
}
