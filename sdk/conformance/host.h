/* host.h -- the services of the core as the suite gives them: counted, refused at will, with
 * canaries around every block and freed blocks watched for a while. Thread-safe. What the plugin
 * does wrong here (an overrun, a double free, a call after shutdown()) fails the test at once. */
#ifndef FORGE_CONFORMANCE_HOST_H
#define FORGE_CONFORMANCE_HOST_H

#include <stdbool.h>

#include <forge/backend.h>

/* A table not used before: a plugin must take the one of its last hello. At most 16 in a process.
 */
const forge_host *host_new(void);
/* From now on a call through |host| fails the test: shutdown() returned. */
void host_retire(const forge_host *host);

typedef struct host_count {
  uint64_t blocks, bytes; /* not given back */
  uint64_t allocs;        /* ever asked for */
} host_count;
host_count host_counts(void);
/* All canaries of blocks in use and of those freed lately; fails the test. */
void host_check(void);

/* The n-th allocation from now is refused, n from 1; 0: none. */
void host_refuse(uint64_t nth);
bool host_has_refused(void);
/* No more than this many bytes in use; 0: no limit. */
void host_limit(uint64_t bytes);

typedef struct host_notice {
  uint64_t cookie, value;
  forge_status status;
} host_notice;
/* Notices since the last host_forget_notices(), in order of arrival: copies the first |most| and
 * returns how many there were. */
uint32_t host_notices(host_notice *out, uint32_t most);
void host_forget_notices(void);
/* |hears| is called for each notice, within it; NULL: nobody is. */
typedef void host_hearer(const host_notice *notice);
void host_on_notice(host_hearer *hears);

/* Reports made by threads that are in no call of the suite's, and by all. */
uint32_t host_foreign_reports(void);
uint32_t host_all_reports(void);
/* What is wrong with a record or a log line of the plugin's, NULL if nothing was; the first. */
const char *host_report_fault(void);
const char *host_log_fault(void);
uint32_t host_log_lines(void);
/* True for well-formed UTF-8 without control characters. */
bool host_is_text(const char *s, size_t n);

#endif
