/* fork.c -- processes that fork: before a device is open both sides may use it, afterwards the
 * parent. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "day.h"

enum { PATIENCE = 10 }; /* seconds a child may take */

/* Where the child is, for the parent to tell. */
static char (*place)[128];

static void share_place(void) {
  place = mmap(NULL, sizeof *place, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (place == MAP_FAILED) test_skip("no memory to share with a child");
}

static void note_place(const char *step) { snprintf(*place, sizeof *place, "%s", step); }

/* The child's status as waitpid() has it. A child that has not ended in time hangs. */
static int wait_for_child(pid_t child, double seconds, const char *what) {
  const double until = test_now() + seconds * test_set.slow;
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (test_now() > until) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      test_fail("%s hangs (after %s); a thread or a lock of the parent's is missing there", what,
                *place);
    }
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
  }
  return status;
}

static void expect_well(int status, const char *what) {
  CHECK(!WIFSIGNALED(status), "%s died of signal %d (%s), after %s", what, WTERMSIG(status),
        strsignal(WTERMSIG(status)), *place);
  CHECK(WEXITSTATUS(status) == 0, "%s failed, after %s", what, *place);
}

static void look_for_devices(void) {
  forge_probe probe = {.size = sizeof probe};
  forge_dev_info info = {.size = sizeof info};
  const forge_status status = rig_table()->probe(&probe);
  CHECK(!status, "probe() answers %s: %s", rig_status_name(status), rig_words());
  if (!probe.n_devices) test_skip("there is no device");
  rig_table()->dev_info(0, &info);
}

static void after_probe(const void *arg) {
  (void)arg;
  share_place();
  look_for_devices();
  note_place("fork(), in probe()");
  const pid_t child = fork();
  if (!child) {
    look_for_devices();
    note_place("probe(), in dev_open()");
    day_of_work(note_place);
    _exit(0);
  }
  expect_well(wait_for_child(child, PATIENCE, "a child forked after probe() that opens the device"),
              "a child forked after probe() that opens the device");
  day_of_work(NULL);
}

/* Not shutdown(): the threads are the parent's. */
static void with_open_device(const void *arg) {
  (void)arg;
  share_place();
  rig *r = rig_open();
  forge_mem *mem = rig_alloc(r, 4096);
  uint8_t out[64], in[64];
  memset(out, 5, sizeof out);
  rig_put(r, mem, 0, out, sizeof out);
  note_place("fork(), in exit()");
  const pid_t child = fork();
  if (!child) exit(0);
  expect_well(
      wait_for_child(child, PATIENCE, "a child of a process with an open device that calls exit()"),
      "a child of a process with an open device that calls exit()");
  rig_fetch(r, mem, 0, in, sizeof in);
  CHECK(!memcmp(in, out, sizeof in), "after a child has ended the device's memory is another");
  rig_free_mem(r, mem);
  rig_close(r);
}

void chapter_fork(test_list *list) {
  TEST(list, "fork.after_probe", after_probe, FB_F1, FB_P2);
  TEST(list, "fork.with_open_device", with_open_device, FB_F2);
}
