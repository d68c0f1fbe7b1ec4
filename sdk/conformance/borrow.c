/* borrow.c -- see borrow.h. */
#include "borrow.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"

#define MOST_AT_ONCE 80
#define MOST_KEPT    512 /* regions that stay out of reach before their addresses are used again */

typedef struct region {
  uint8_t *base;
  size_t bytes; /* with the page behind */
  const char *function;
} region;

static _Thread_local region now[MOST_AT_ONCE];
static _Thread_local unsigned n_now;
static region kept[MOST_KEPT];
static unsigned next_kept;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static size_t up(size_t n, size_t to) { return (n + to - 1) / to * to; }

void *borrow(const void *data, size_t bytes) {
  if (!data) return NULL;
  const size_t page = (size_t)sysconf(_SC_PAGESIZE), body = up(bytes ? bytes : 1, page);
  uint8_t *base =
      mmap(NULL, body + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED || n_now == MOST_AT_ONCE) test_fail("the suite has no memory to lend");
  mprotect(base + body, page, PROT_NONE);
  uint8_t *at = base + body - up(bytes, 8);
  memcpy(at, data, bytes);
  now[n_now++] = (region){.base = base, .bytes = body + page};
  return at;
}

void borrow_end(const char *function) {
  while (n_now) {
    region r = now[--n_now];
    r.function = function;
    mprotect(r.base, r.bytes, PROT_NONE);
    pthread_mutex_lock(&lock);
    const region old = kept[next_kept % MOST_KEPT];
    kept[next_kept++ % MOST_KEPT] = r;
    pthread_mutex_unlock(&lock);
    if (old.base) munmap(old.base, old.bytes);
  }
}

void borrow_forget(void) {
  pthread_mutex_lock(&lock);
  for (unsigned i = 0; i < MOST_KEPT; i++) {
    if (kept[i].base) munmap(kept[i].base, kept[i].bytes);
    kept[i].base = NULL;
  }
  pthread_mutex_unlock(&lock);
}

const char *borrow_was(const void *address) {
  const uint8_t *p = address;
  for (unsigned i = 0; i < n_now; i++)
    if (p >= now[i].base && p < now[i].base + now[i].bytes) return "a call in progress";
  for (unsigned i = 0; i < MOST_KEPT; i++)
    if (kept[i].base && p >= kept[i].base && p < kept[i].base + kept[i].bytes)
      return kept[i].function;
  return NULL;
}
