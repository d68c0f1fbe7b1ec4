/* base.h -- what every room of the core stands on: failures, log lines, host memory, growing text,
 * time. Knows nothing of devices. See also file.h (files whole or absent, mappings) and hash.h. */
#ifndef FORGE_BASE_H
#define FORGE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <forge/forge.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#if defined(__GNUC__)
#define BASE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define BASE_PRINTF(fmt, args)
#endif

/* ---- failures: return FAIL(FORGE_E_INVALID, "dims of %s differ: %d and %d", ...) ---- */

/* Records the reason for this thread and returns |status|. The message is cut at 1 KiB. */
#define FAIL(...) base_failure(base_fail(__VA_ARGS__))
forge_status base_fail(forge_status status, const char *format, ...) BASE_PRINTF(2, 3);
/* Tells the compiler what the reader knows: a failure is never FORGE_OK. */
static inline forge_status base_failure(forge_status status) {
  if (status == FORGE_OK) __builtin_unreachable();
  return status;
}
/* The same with ": <strerror(errno)>" behind the message and native domain "errno". E_OOM for
 * ENOMEM and ENOSPC keep |status|. */
forge_status base_fail_errno(forge_status status, const char *format, ...) BASE_PRINTF(2, 3);
/* Puts "|prefix|: " before the recorded reason: the caller's place around the callee's thing.
 * Returns |status|. */
forge_status base_fail_in(forge_status status, const char *format, ...) BASE_PRINTF(2, 3);
/* Takes over a whole record, copying its strings. */
void base_fail_record(const forge_error *error);

/* Goes on only after success: TRY(step(...)). */
#define TRY(call)                                                                                  \
  do {                                                                                             \
    const forge_status try_status = (call);                                                        \
    if (try_status) return try_status;                                                             \
  } while (0)

/* ---- log ---- */

void log_line(int32_t level, const char *format, ...) BASE_PRINTF(2, 3);
/* The most that is logged from now on, FORGE_LOG_*; where it goes stays as it is. */
void log_set_level(int32_t max_level);

/* Around fork(): between the two nobody else is within the log, so that the child may log. */
void log_hold(void);
void log_release(void);

/* ---- host memory: NULL when there is none, never an abort; sizes are checked for overflow ---- */

void *mem_alloc(size_t bytes);
void *mem_zalloc(size_t bytes);
void *mem_zalloc_array(size_t count, size_t bytes);
void *mem_aligned(size_t bytes, size_t align); /* freed with mem_free */
void mem_free(void *p);
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n);
char *mem_printf(const char *format, ...) BASE_PRINTF(1, 2);

/* Room for one more in an array that doubles: ARRAY_GROW(items, n, cap) is false when memory is
 * out. */
#define ARRAY_GROW(items, n, cap)                                                                  \
  ((n) < (cap) || mem_grow((void **)&(items), &(cap), sizeof *(items), (size_t)(n) + 1))
bool mem_grow(void **items, size_t *cap, size_t item_bytes, size_t need);

/* True when a*b or a+b does not fit. */
#define MUL_OVERFLOWS(a, b, out) __builtin_mul_overflow(a, b, out)
#define ADD_OVERFLOWS(a, b, out) __builtin_add_overflow(a, b, out)

/* ---- growing text; failures stick and show at text_take() ---- */

typedef struct text {
  char *s; /* zero-terminated once anything was added */
  size_t n, cap;
  bool failed;
} text;
void text_add(text *t, const char *format, ...) BASE_PRINTF(2, 3);
void text_add_bytes(text *t, const void *bytes, size_t n);
/* The text, owned by the caller (forge_text_free), or NULL with E_OOM recorded. |t| is empty
 * afterwards. */
char *text_take(text *t);
void text_finish(text *t);

/* ---- names ---- */

/* The entry of |names| (n of them) nearest to |name| by edit distance, NULL when none is near
 * enough to be meant. */
const char *name_nearest(const char *name, const char *const *names, size_t n);

/* ---- time ---- */

uint64_t time_now_ns(void); /* monotonic */

#endif
