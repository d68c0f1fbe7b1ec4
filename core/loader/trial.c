/* trial.c -- a plugin's first breath, taken in a child process: what crashes, aborts or hangs there
 * becomes a verdict here. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loader_parts.h"

/* What the child sends: how far it came and why not farther. Small enough for one pipe write. */
typedef struct verdict {
  forge_status status;
  char reason[REPORT_BYTES];
} verdict;

static forge_status open_and_probe(const manifest *m, library *lib) {
  forge_probe probe = {.size = sizeof probe};
  TRY(library_open(m, lib));
  const forge_status st = lib->table.probe(&probe);
  /* A probe that fails politely is dealt with in the parent, where it fails again. */
  (void)st;
  return FORGE_OK;
}

/* Never returns: no handler, buffer or destructor of the parent may run here. */
static void child(const manifest *m, library *lib, int to_parent, int words) {
  verdict v = {.status = FORGE_OK};
  const struct rlimit no_core = {0, 0};
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setrlimit(RLIMIT_CORE, &no_core);
  for (int s = 1; s < 32; s++) signal(s, SIG_DFL);
  if (words >= 0) {
    dup2(words, STDERR_FILENO);
    dup2(words, STDOUT_FILENO);
  }
  v.status = open_and_probe(m, lib);
  if (v.status) snprintf(v.reason, sizeof v.reason, "%s", forge_error_last()->msg);
  const ssize_t n = write(to_parent, &v, sizeof v);
  _exit(n == (ssize_t)sizeof v ? 0 : 1);
}

/* True when the whole verdict came in time. */
static bool receive(int from_child, int64_t seconds, verdict *out, bool *out_late) {
  const uint64_t end = time_now_ns() + (uint64_t)seconds * 1000000000u;
  size_t got = 0;
  while (got < sizeof *out) {
    const uint64_t now = time_now_ns();
    struct pollfd ready = {.fd = from_child, .events = POLLIN};
    const int wait_ms = now < end ? (int)((end - now) / 1000000u) + 1 : 0;
    const int n = poll(&ready, 1, wait_ms);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      *out_late = true;
      return false;
    }
    const ssize_t bytes = read(from_child, (char *)out + got, sizeof *out - got);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) return false;
    got += (size_t)bytes;
  }
  out->reason[sizeof out->reason - 1] = 0;
  return true;
}

/* The first line the child wrote, as ": its words"; "" if it was silent. */
static void first_words(int words, char *out, size_t size) {
  char line[160];
  out[0] = 0;
  const ssize_t n = words < 0 ? 0 : pread(words, line, sizeof line - 1, 0);
  if (n <= 0) return;
  line[n] = 0;
  const char *from = line + strspn(line, "\n =");
  snprintf(out, size, ", saying: %.*s", (int)strcspn(from, "\n"), from);
}

static forge_status judge(const manifest *m, const char *path, int state, bool late, int words) {
  char said[200];
  first_words(words, said, sizeof said);
  if (late)
    return FAIL(FORGE_E_TIMEOUT,
                "%s: did not answer within %llds in a trial process%s; a driver may hang "
                "(probe_timeout in %s)",
                path, (long long)m->probe_timeout, said, m->path);
  if (WIFSIGNALED(state))
    return FAIL(FORGE_E_FAULT, "%s: crashed in a trial process with signal %d (%s)%s", path,
                WTERMSIG(state), strsignal(WTERMSIG(state)), said);
  return FAIL(FORGE_E_FAULT, "%s: ended its trial process with exit code %d%s", path,
              WEXITSTATUS(state), said);
}

static int reap(pid_t pid, bool kill_it) {
  int state = 0;
  if (kill_it) kill(pid, SIGKILL);
  while (waitpid(pid, &state, 0) < 0 && errno == EINTR) {
  }
  return state;
}

forge_status trial_run(const manifest *m, library *lib) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC)) return base_fail_errno(FORGE_E_IO, "%s: trial process", lib->path);
  const int words = memfd_create("forge-trial", MFD_CLOEXEC);
  const pid_t pid = fork();
  forge_status st = FORGE_OK;
  if (!pid) child(m, lib, ends[1], words);
  close(ends[1]);
  if (pid < 0) {
    st = base_fail_errno(FORGE_E_IO, "%s: trial process", lib->path);
  } else {
    verdict v;
    bool late = false;
    const bool answered = receive(ends[0], m->probe_timeout, &v, &late);
    const int state = reap(pid, !answered);
    if (!answered)
      st = judge(m, lib->path, state, late, words);
    else if (v.status)
      st = FAIL(v.status, "%s", v.reason);
  }
  close(ends[0]);
  if (words >= 0) close(words);
  return st;
}
