/* failure.c -- the last failure of each thread, status names, and the log. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base.h"

enum { MESSAGE_BYTES = 1024, DOMAIN_BYTES = 32 };

static _Thread_local struct {
  forge_error error;
  char message[MESSAGE_BYTES];
  char domain[DOMAIN_BYTES];
} last;

static void record(forge_status status, int native, const char *domain) {
  last.error = (forge_error){.size = sizeof last.error,
                             .code = status,
                             .native_code = native,
                             .native_domain = domain,
                             .msg = last.message,
                             .op_index = FORGE_OP_INDEX_UNKNOWN,
                             .retryable = status == FORGE_E_RETRY};
}

forge_status base_fail(forge_status status, const char *format, ...) {
  char message[MESSAGE_BYTES]; /* the arguments may point into the old message */
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  memcpy(last.message, message, sizeof message);
  record(status, 0, NULL);
  return status;
}

forge_status base_fail_errno(forge_status status, const char *format, ...) {
  const int number = errno;
  char message[MESSAGE_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  char reason[128];
  snprintf(last.message, sizeof last.message, "%.*s: %s", MESSAGE_BYTES - (int)sizeof reason - 2,
           message, strerror_r(number, reason, sizeof reason));
  record(status, number, "errno");
  return status;
}

forge_status base_fail_in(forge_status status, const char *format, ...) {
  char message[MESSAGE_BYTES];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(message, sizeof message, format, args);
  va_end(args);
  if (n < 0) n = 0;
  if ((size_t)n < sizeof message)
    snprintf(message + n, sizeof message - (size_t)n, ": %s", last.error.msg ? last.error.msg : "");
  memcpy(last.message, message, sizeof message);
  last.error.size = sizeof last.error;
  last.error.msg = last.message;
  last.error.code = status;
  return status;
}

void base_fail_record(const forge_error *error) {
  last.error = *error;
  last.error.size = sizeof last.error;
  snprintf(last.message, sizeof last.message, "%s", error->msg ? error->msg : "");
  snprintf(last.domain, sizeof last.domain, "%s", error->native_domain ? error->native_domain : "");
  last.error.msg = last.message;
  last.error.native_domain = error->native_domain ? last.domain : NULL;
}

const forge_error *forge_error_last(void) {
  if (!last.error.msg) base_fail(FORGE_OK, "no failure so far");
  return &last.error;
}

const char *forge_status_name(forge_status status) {
#define NAME(name, number, text)                                                                   \
  if (status == (number)) return "FORGE_" #name;
  FORGE_STATUS_MAP(NAME)
#undef NAME
  return "unknown status";
}

const char *forge_status_text(forge_status status) {
#define TEXT(name, number, text)                                                                   \
  if (status == (number)) return text;
  FORGE_STATUS_MAP(TEXT)
#undef TEXT
  return "unknown status";
}

const char *forge_version(void) { return FORGE_VERSION; }

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
  forge_log_fn fn;
  void *ctx;
  int32_t max_level;
} sink = {NULL, NULL, FORGE_LOG_WARN};

void forge_log_to(forge_log_fn fn, void *ctx, int32_t max_level) {
  pthread_mutex_lock(&log_lock);
  sink.fn = fn;
  sink.ctx = ctx;
  sink.max_level = max_level;
  pthread_mutex_unlock(&log_lock);
}

void log_set_level(int32_t max_level) {
  pthread_mutex_lock(&log_lock);
  sink.max_level = max_level;
  pthread_mutex_unlock(&log_lock);
}

void log_hold(void) { pthread_mutex_lock(&log_lock); }
void log_release(void) { pthread_mutex_unlock(&log_lock); }

void log_line(int32_t level, const char *format, ...) {
  char line[MESSAGE_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  pthread_mutex_lock(&log_lock);
  const forge_log_fn fn = level <= sink.max_level ? sink.fn : NULL;
  void *ctx = sink.ctx;
  const bool to_stderr = level <= sink.max_level && !sink.fn;
  pthread_mutex_unlock(&log_lock);
  if (fn) fn(ctx, level, line);
  if (to_stderr) fprintf(stderr, "forge: %s\n", line);
}
