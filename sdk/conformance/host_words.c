/* host_words.c -- what a plugin says through the host table: failures, log lines, notices. */
#include "host_words.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "plugin.h"
#include "test.h"

#define MOST_NOTICES 65536

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static host_notice notices[MOST_NOTICES];
static host_hearer *hearer;
static uint32_t n_notices, foreign, reports, log_lines;
static const char *report_fault, *log_fault;

/* Bytes of the character at |s|, 0 if there is none that is well-formed. */
static size_t character(const uint8_t *s, size_t n) {
  const size_t want = s[0] < 0x80       ? 1
                      : s[0] >> 5 == 6  ? 2
                      : s[0] >> 4 == 14 ? 3
                      : s[0] >> 3 == 30 ? 4
                                        : 0;
  if (!want || want > n) return 0;
  uint32_t c = want == 1 ? s[0] : s[0] & (0xFFu >> (want + 1));
  for (size_t i = 1; i < want; i++) {
    if (s[i] >> 6 != 2) return 0;
    c = c << 6 | (s[i] & 63);
  }
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (c < least[want] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) return 0;
  return want;
}

bool host_is_text(const char *s, size_t n) {
  for (size_t i = 0, step; i < n; i += step) {
    step = character((const uint8_t *)s + i, n - i);
    if (!step || (uint8_t)s[i] < 0x20 || s[i] == 0x7F) return false;
  }
  return true;
}

static const char *fault_of(const forge_error *e) {
  if (e->size != sizeof *e) return "size is not sizeof(forge_error)";
  if (!e->msg || !e->msg[0]) return "msg is empty";
  if (!host_is_text(e->msg, strlen(e->msg))) return "msg is not one line of UTF-8";
  if (e->scope > FORGE_SCOPE_PROCESS) return "scope is none of FORGE_SCOPE_*";
  if (e->code >= 0) return "code is not a failure";
  if (e->retryable > 1) return "retryable is neither 0 nor 1";
  if (e->native_domain && !host_is_text(e->native_domain, strlen(e->native_domain)))
    return "native_domain is not UTF-8";
  return NULL;
}

void host_hear_report(void *ctx, const forge_error *error) {
  host_must_live(ctx, "report");
  if (!error) test_fail("host->report() is given NULL");
  const bool ours = plugin_heard(error);
  pthread_mutex_lock(&lock);
  reports++;
  if (!ours) foreign++;
  if (!report_fault) report_fault = fault_of(error);
  pthread_mutex_unlock(&lock);
}

void host_hear_log(void *ctx, int32_t level, const char *msg, size_t n) {
  host_must_live(ctx, "log");
  pthread_mutex_lock(&lock);
  log_lines++;
  if (!log_fault && (level < FORGE_LOG_ERROR || level > FORGE_LOG_TRACE))
    log_fault = "level is none of FORGE_LOG_*";
  if (!log_fault && (!msg || !host_is_text(msg, n))) log_fault = "it is not one line of UTF-8";
  if (msg) fprintf(stderr, "log %d: %.*s\n", level, (int)n, msg);
  pthread_mutex_unlock(&lock);
}

void host_hear_notice(void *ctx, uint64_t cookie, uint64_t value, forge_status status) {
  host_must_live(ctx, "tl_notify");
  pthread_mutex_lock(&lock);
  if (n_notices < MOST_NOTICES) notices[n_notices] = (host_notice){cookie, value, status};
  n_notices++;
  host_hearer *const hears = hearer;
  pthread_mutex_unlock(&lock);
  if (hears) hears(&(host_notice){cookie, value, status});
}

void host_on_notice(host_hearer *hears) {
  pthread_mutex_lock(&lock);
  hearer = hears;
  pthread_mutex_unlock(&lock);
}

uint32_t host_notices(host_notice *out, uint32_t most) {
  pthread_mutex_lock(&lock);
  const uint32_t n = n_notices;
  for (uint32_t i = 0; i < n && i < most && i < MOST_NOTICES; i++) out[i] = notices[i];
  pthread_mutex_unlock(&lock);
  return n;
}

void host_forget_notices(void) {
  pthread_mutex_lock(&lock);
  n_notices = 0;
  pthread_mutex_unlock(&lock);
}

uint32_t host_foreign_reports(void) { return foreign; }
uint32_t host_all_reports(void) { return reports; }
const char *host_report_fault(void) { return report_fault; }
const char *host_log_fault(void) { return log_fault; }
uint32_t host_log_lines(void) { return log_lines; }
