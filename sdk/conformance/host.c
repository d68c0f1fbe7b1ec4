/* host.c -- see host.h: host memory. Notices, reports and log lines are in host_words.c. */
#include "host.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "host_words.h"
#include "test.h"

#define CANARY           48
#define MOST_TABLES      16
#define BUCKETS          4096
#define MOST_FREED       256
#define MOST_FREED_BYTES (UINT64_C(1) << 16)
#define MOST_BYTES       (UINT64_C(1) << 40) /* beyond this the C library is not even asked */
#define FILL_LIMIT       (UINT64_C(1) << 20)

typedef struct block {
  struct block *next;
  void *raw;
  uint8_t *user;
  uint64_t bytes;
} block;

static forge_host tables[MOST_TABLES];
static bool retired[MOST_TABLES];
static unsigned n_tables;
static block *bucket[BUCKETS];
static block *freed[MOST_FREED];
static unsigned next_freed;
static host_count count;
static uint64_t refuse_in, limit;
static bool refused;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static uint8_t canary(const uint8_t *p) { return (uint8_t)(0xC3 ^ (uintptr_t)p * 7); }
static block **place_of(const void *p) { return &bucket[((uintptr_t)p >> 4) % BUCKETS]; }

void host_must_live(void *ctx, const char *service) {
  const unsigned i = (unsigned)((uintptr_t)ctx - 1);
  if (i >= n_tables)
    test_fail("host->%s() is called with a ctx that is not the host table's", service);
  if (retired[i])
    test_fail("host->%s() is called through a host table whose shutdown() has returned", service);
}

static void set_canaries(const block *b) {
  for (int i = 1; i <= CANARY; i++) b->user[-i] = canary(b->user - i);
  for (int i = 0; i < CANARY; i++) b->user[b->bytes + (uint64_t)i] = canary(b->user + b->bytes + i);
}

static void check_canaries(const block *b, const char *when) {
  for (int i = 1; i <= CANARY; i++)
    if (b->user[-i] != canary(b->user - i))
      test_fail("the plugin wrote %d byte(s) before the start of host memory of %llu bytes (%s)", i,
                (unsigned long long)b->bytes, when);
  for (int i = 0; i < CANARY; i++)
    if (b->user[b->bytes + (uint64_t)i] != canary(b->user + b->bytes + i))
      test_fail("the plugin wrote %d byte(s) past the end of host memory of %llu bytes (%s)", i + 1,
                (unsigned long long)b->bytes, when);
}

/* Under the lock. */
static bool may_have(uint64_t bytes) {
  count.allocs++;
  if (refuse_in && --refuse_in == 0) {
    refused = true;
    return false;
  }
  return !limit || (bytes <= limit && count.bytes <= limit - bytes);
}

static block *make(size_t bytes, size_t align) {
  if (align < 16) align = 16;
  if (bytes > MOST_BYTES || align > MOST_BYTES) return NULL;
  block *b = malloc(sizeof *b);
  uint8_t *raw = malloc(bytes + align + 2 * CANARY);
  if (!b || !raw) {
    free(b);
    free(raw);
    return NULL;
  }
  uint8_t *user = (uint8_t *)(((uintptr_t)raw + CANARY + align - 1) & ~(uintptr_t)(align - 1));
  *b = (block){.raw = raw, .user = user, .bytes = bytes};
  if (bytes <= FILL_LIMIT) memset(user, 0xA5, bytes); /* nobody promised zeros */
  set_canaries(b);
  return b;
}

static void *host_alloc(void *ctx, size_t bytes, size_t align) {
  host_must_live(ctx, "alloc");
  if (align & (align - 1)) test_fail("host->alloc() is asked for alignment %zu", align);
  pthread_mutex_lock(&lock);
  block *b = may_have(bytes) ? make(bytes, align) : NULL;
  if (b) {
    block **at = place_of(b->user);
    b->next = *at;
    *at = b;
    count.blocks++;
    count.bytes += bytes;
  }
  pthread_mutex_unlock(&lock);
  return b ? b->user : NULL;
}

static void really_free(block *b) {
  if (!b) return;
  for (uint64_t i = 0; i < b->bytes; i++)
    if (b->user[i] != 0xDD)
      test_fail("the plugin wrote to host memory of %llu bytes after giving it back, at byte %llu",
                (unsigned long long)b->bytes, (unsigned long long)i);
  check_canaries(b, "seen after it was given back");
  free(b->raw);
  free(b);
}

/* Small blocks are kept a while, so that a late write shows. Under the lock. */
static void retire_block(block *b) {
  check_canaries(b, "seen when it was given back");
  if (b->bytes > MOST_FREED_BYTES) {
    free(b->raw);
    free(b);
    return;
  }
  memset(b->user, 0xDD, b->bytes);
  block **at = &freed[next_freed++ % MOST_FREED];
  really_free(*at);
  *at = b;
}

static bool was_freed(const void *p) {
  for (unsigned i = 0; i < MOST_FREED; i++)
    if (freed[i] && freed[i]->user == p) return true;
  return false;
}

static void host_free(void *ctx, void *p) {
  host_must_live(ctx, "free");
  if (!p) return;
  pthread_mutex_lock(&lock);
  block **at = place_of(p);
  while (*at && (*at)->user != p) at = &(*at)->next;
  block *b = *at;
  if (!b)
    test_fail(was_freed(p) ? "host->free() is given the same memory twice"
                           : "host->free() is given memory that host->alloc() did not give, or a "
                             "second time");
  *at = b->next;
  count.blocks--;
  count.bytes -= b->bytes;
  retire_block(b);
  pthread_mutex_unlock(&lock);
}

const forge_host *host_new(void) {
  if (n_tables == MOST_TABLES) test_fail("the suite has no further host table");
  forge_host *h = &tables[n_tables++];
  *h = (forge_host){.size = sizeof *h,
                    .minor = FORGE_ABI_MINOR,
                    .ctx = (void *)(uintptr_t)n_tables,
                    .report = host_hear_report,
                    .log = host_hear_log,
                    .alloc = host_alloc,
                    .free = host_free,
                    .tl_notify = host_hear_notice};
  return h;
}

void host_retire(const forge_host *host) { retired[host - tables] = true; }

host_count host_counts(void) {
  pthread_mutex_lock(&lock);
  const host_count c = count;
  pthread_mutex_unlock(&lock);
  return c;
}

void host_check(void) {
  pthread_mutex_lock(&lock);
  for (unsigned i = 0; i < BUCKETS; i++)
    for (const block *b = bucket[i]; b; b = b->next) check_canaries(b, "seen while in use");
  for (unsigned i = 0; i < MOST_FREED; i++) {
    really_free(freed[i]);
    freed[i] = NULL;
  }
  pthread_mutex_unlock(&lock);
}

void host_refuse(uint64_t nth) {
  pthread_mutex_lock(&lock);
  refuse_in = nth;
  if (nth) refused = false; /* after the shortage it is still asked whether it bit */
  pthread_mutex_unlock(&lock);
}

bool host_has_refused(void) { return refused; }
void host_limit(uint64_t bytes) { limit = bytes; }
