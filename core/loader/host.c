/* host.c -- the services a plugin gets, what it reported, and the process they happen in. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "loader_parts.h"

/* ---- the process ---- */

static pthread_mutex_t rare = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local bool holding; /* this very thread forks while it holds the lock: the trial */
_Atomic uint32_t process_generation;

/* Lines are logged under the process lock, so it comes first. */
static void before_fork(void) {
  if (!holding) pthread_mutex_lock(&rare);
  log_hold();
}

static void after_fork(void) {
  log_release();
  if (!holding) pthread_mutex_unlock(&rare);
}

static void in_child(void) {
  atomic_fetch_add(&process_generation, 1);
  library_after_fork();
  after_fork();
}

static void watch_forks(void) { pthread_atfork(before_fork, after_fork, in_child); }

void process_lock(void) {
  pthread_once(&once, watch_forks);
  pthread_mutex_lock(&rare);
  holding = true;
}

void process_unlock(void) {
  holding = false;
  pthread_mutex_unlock(&rare);
}

/* ---- services ---- */

static _Thread_local host_report said;
/* Of each library; more than so many share a count. It only rises, whoever reports in between. */
static _Thread_local uint64_t reports[64];

static uint64_t *count_of(const library *lib) { return &reports[lib->number % COUNT_OF(reports)]; }

uint64_t loader_report_count(void *ctx) { return *count_of(ctx); }

static void keep_report(host_report *to, const library *lib, const forge_error *error) {
  const uint32_t known = error->size < sizeof to->error ? error->size : sizeof to->error;
  to->lib = lib;
  to->error = (forge_error){.op_index = FORGE_OP_INDEX_UNKNOWN};
  memcpy(&to->error, error, known);
  snprintf(to->msg, sizeof to->msg, "%s", to->error.msg ? to->error.msg : "");
  snprintf(to->domain, sizeof to->domain, "%s",
           to->error.native_domain ? to->error.native_domain : "");
}

static void report(void *ctx, const forge_error *error) {
  library *lib = ctx;
  if (!error) return;
  ++*count_of(lib);
  keep_report(&said, lib, error);
  pthread_mutex_lock(&lib->late_lock);
  keep_report(&lib->late, lib, error);
  pthread_mutex_unlock(&lib->late_lock);
}

static void log_text(void *ctx, int32_t level, const char *msg, size_t n) {
  const library *lib = ctx;
  log_line(level, "%s: %.*s", lib->name, (int)(n < 4096 ? n : 4096), msg);
}

static void *allocate(void *ctx, size_t bytes, size_t align) {
  (void)ctx;
  return mem_aligned(bytes, align ? align : 16);
}

static void release(void *ctx, void *p) {
  (void)ctx;
  mem_free(p);
}

static void notify(void *ctx, uint64_t cookie, uint64_t value, forge_status status) {
  (void)ctx;
  forge_listener *listener = (forge_listener *)(uintptr_t)cookie;
  listener->reached(listener, value, status);
}

const forge_host *library_host(const library *lib) { return &lib->host; }

void host_init(library *lib) {
  pthread_mutex_init(&lib->late_lock, NULL);
  lib->host = (forge_host){.size = sizeof lib->host,
                           .minor = FORGE_ABI_MINOR,
                           .ctx = lib,
                           .report = report,
                           .log = log_text,
                           .alloc = allocate,
                           .free = release,
                           .tl_notify = notify};
}

void host_forget_report(void) { said.lib = NULL; }

void loader_forget_refusals(library *lib) {
  if (said.error.code == FORGE_E_UNSUPPORTED) said.lib = NULL;
  pthread_mutex_lock(&lib->late_lock);
  if (lib->late.error.code == FORGE_E_UNSUPPORTED) lib->late.lib = NULL;
  pthread_mutex_unlock(&lib->late_lock);
}

/* The call's own report if this thread has one that fits, else the last one of any thread: a
 * failure of the work itself is reported where it happens. */
static bool find_report(const library *lib, forge_status status, host_report *out) {
  *out = said;
  said.lib = NULL;
  if (out->lib && out->lib == lib && out->error.code == status) return true;
  if (!lib) return false;
  pthread_mutex_lock((pthread_mutex_t *)(uintptr_t)&lib->late_lock);
  *out = lib->late;
  pthread_mutex_unlock((pthread_mutex_t *)(uintptr_t)&lib->late_lock);
  return out->lib && out->error.code == status;
}

forge_status loader_failed(const library *lib, forge_status status, const char *what) {
  host_report r;
  if (status >= 0) /* a plugin may answer anything; the core's callers test against 0 */
    return FAIL(FORGE_E_INTERNAL, "%s: the backend answered %d, which is no failure", what, status);
  if (!find_report(lib, status, &r))
    return FAIL(status, "%s: %s (the backend gave no reason)", what, forge_status_text(status));
  r.error.msg = r.msg;
  r.error.native_domain = r.domain[0] ? r.domain : NULL;
  base_fail_record(&r.error);
  return base_fail_in(status, "%s", what);
}
