/* survey.c -- what the plugin says of itself, asked by a child so that the runner never loads it.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plugin.h"
#include "rig.h"
#include "runner.h"

#define LIMIT 60.0 /* seconds */

static void keep(char *out, size_t bytes, const char *text) {
  snprintf(out, bytes, "%s", text ? text : "");
}

static void ask(facts *f) {
  const char *trouble = plugin_trouble();
  forge_reply reply = {.size = sizeof reply};
  if (trouble) {
    keep(f->trouble, sizeof f->trouble, trouble);
    return;
  }
  const forge_status status = plugin_negotiate(&reply);
  if (status || !reply.table) {
    snprintf(f->trouble, sizeof f->trouble, "its entry answers %s (%d): %s",
             rig_status_name(status), status, rig_words());
    return;
  }
  keep(f->name, sizeof f->name, reply.name);
  keep(f->vendor, sizeof f->vendor, reply.vendor);
  keep(f->version, sizeof f->version, reply.version);
  f->minor_min = reply.minor_min;
  f->minor_max = reply.minor_max;
  f->sanitizer = reply.sanitizer;
  f->loaded = true;
  forge_probe probe = {.size = sizeof probe};
  if (!plugin_table()->probe || plugin_table()->probe(&probe)) return;
  f->probed = true;
  f->n_devices = probe.n_devices;
  keep(f->driver, sizeof f->driver, probe.driver);
  keep(f->why_not, sizeof f->why_not, probe.why_not);
  forge_dev_info info = {.size = sizeof info};
  if (test_set.device >= probe.n_devices || plugin_table()->dev_info(test_set.device, &info))
    return;
  f->type = info.type;
  f->mem_total = info.mem_total;
  info.name[sizeof info.name - 1] = 0;
  keep(f->device, sizeof f->device, info.name);
}

static void wait_for(pid_t child, facts *f) {
  int status = 0;
  const double began = test_now();
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (test_now() - began > LIMIT * test_set.slow) {
      kill(child, SIGKILL); /* not waited for: a hanging driver does not let it go */
      snprintf(f->trouble, sizeof f->trouble, "loading and probing it does not end within %.0f s",
               LIMIT * test_set.slow);
      return;
    }
    usleep(1000);
  }
  if (!f->trouble[0] && (WIFSIGNALED(status) || WEXITSTATUS(status)))
    snprintf(f->trouble, sizeof f->trouble, "loading or probing it ended the process (%s %d)",
             WIFSIGNALED(status) ? "signal" : "status",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

void runner_survey(facts *out) {
  facts *shared = runner_share(sizeof *shared);
  memset(out, 0, sizeof *out);
  signal(SIGCHLD, SIG_DFL); /* who ignores it is not told how a child ended */
  fflush(NULL);
  const pid_t child = shared ? fork() : -1;
  if (child == 0) {
    const int out_fd = dup2(2, 1); /* what it prints is not ours to print */
    ask(shared);
    _exit(out_fd < 0);
  }
  if (child < 0) {
    snprintf(out->trouble, sizeof out->trouble, "no process to look at it with");
    return;
  }
  wait_for(child, shared);
  *out = *shared;
  munmap(shared, sizeof *shared);
}
