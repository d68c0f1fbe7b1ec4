/* memory.c -- host memory with checked sizes, growing arrays and text, near names, time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base.h"

void *mem_alloc(size_t bytes) { return malloc(bytes ? bytes : 1); }

void *mem_zalloc(size_t bytes) { return calloc(1, bytes ? bytes : 1); }

void *mem_zalloc_array(size_t count, size_t bytes) {
  size_t all;
  return MUL_OVERFLOWS(count, bytes, &all) ? NULL : mem_zalloc(all);
}

void *mem_aligned(size_t bytes, size_t align) {
  void *p = NULL;
  if (align < sizeof(void *)) align = sizeof(void *);
  return posix_memalign(&p, align, bytes ? bytes : 1) ? NULL : p;
}

void mem_free(void *p) { free(p); }

char *mem_strndup(const char *s, size_t n) {
  char *copy = mem_alloc(n + 1);
  if (!copy) return NULL;
  if (n) memcpy(copy, s, n);
  copy[n] = 0;
  return copy;
}

char *mem_strdup(const char *s) { return mem_strndup(s, strlen(s)); }

char *mem_printf(const char *format, ...) {
  va_list args;
  va_start(args, format);
  const int n = vsnprintf(NULL, 0, format, args);
  va_end(args);
  char *s = n < 0 ? NULL : mem_alloc((size_t)n + 1);
  if (!s) return NULL;
  va_start(args, format);
  vsnprintf(s, (size_t)n + 1, format, args);
  va_end(args);
  return s;
}

bool mem_grow(void **items, size_t *cap, size_t item_bytes, size_t need) {
  size_t want = *cap ? *cap : 8, bytes;
  while (want < need)
    if (MUL_OVERFLOWS(want, (size_t)2, &want)) return false;
  if (MUL_OVERFLOWS(want, item_bytes, &bytes)) return false;
  void *grown = realloc(*items, bytes);
  if (!grown) return false;
  *items = grown;
  *cap = want;
  return true;
}

void text_add_bytes(text *t, const void *bytes, size_t n) {
  if (t->failed) return;
  if (t->cap - t->n <= n && !mem_grow((void **)&t->s, &t->cap, 1, t->n + n + 1)) {
    t->failed = true;
    return;
  }
  if (n) memcpy(t->s + t->n, bytes, n);
  t->n += n;
  t->s[t->n] = 0;
}

void text_add(text *t, const char *format, ...) {
  char small[256];
  va_list args;
  va_start(args, format);
  const int n = vsnprintf(small, sizeof small, format, args);
  va_end(args);
  if (n < 0) {
    t->failed = true;
  } else if ((size_t)n < sizeof small) {
    text_add_bytes(t, small, (size_t)n);
  } else {
    char *big = mem_alloc((size_t)n + 1);
    if (!big) {
      t->failed = true;
      return;
    }
    va_start(args, format);
    vsnprintf(big, (size_t)n + 1, format, args);
    va_end(args);
    text_add_bytes(t, big, (size_t)n);
    mem_free(big);
  }
}

char *text_take(text *t) {
  text_add_bytes(t, "", 0); /* an empty text is still a string */
  if (t->failed) {
    text_finish(t);
    FAIL(FORGE_E_OOM, "no memory for a text");
    return NULL;
  }
  char *s = t->s;
  *t = (text){0};
  return s;
}

void text_finish(text *t) {
  mem_free(t->s);
  *t = (text){0};
}

void forge_text_free(char *s) { mem_free(s); }

/* Levenshtein distance, rows of at most 64 columns: names are short. */
static size_t distance(const char *a, const char *b) {
  size_t row[65], n = strlen(b);
  if (n > 64) return SIZE_MAX;
  for (size_t j = 0; j <= n; j++) row[j] = j;
  for (size_t i = 1; *a; a++, i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= n; j++) {
      size_t best = diagonal + (*a != b[j - 1]);
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      diagonal = row[j];
      row[j] = best;
    }
  }
  return row[n];
}

const char *name_nearest(const char *name, const char *const *names, size_t n) {
  const char *best = NULL;
  size_t best_distance = strlen(name) / 2 + 2; /* farther than that is a guess */
  for (size_t i = 0; i < n; i++) {
    const size_t d = distance(name, names[i]);
    if (d < best_distance) {
      best_distance = d;
      best = names[i];
    }
  }
  return best;
}

uint64_t time_now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
