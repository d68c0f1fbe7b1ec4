/* limits.c -- register-only multiply-add loops and a streaming read, on every thread at once. */
#include "limits.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { MAX_THREADS = 256, CHAINS = 12, FMA_ROUNDS = 20000 };
static const uint64_t buffer_bytes = UINT64_C(512) << 20;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- one batch of multiply-adds: returns how many float operations it did; |sink| keeps it alive
 * ---- */

#if defined(__x86_64__)
/* Twelve independent chains hide the latency of four cycles at two (or one) results per cycle. */
#define FMA_BATCH(name, isa, vector, set1, fmadd, lanes)                                           \
  __attribute__((target(isa))) static double name(float *sink) {                                   \
    vector acc[CHAINS], x = set1(0.999f), y = set1(0.001f);                                        \
    for (int i = 0; i < CHAINS; i++) acc[i] = set1((float)i);                                      \
    for (int r = 0; r < FMA_ROUNDS; r++)                                                           \
      for (int i = 0; i < CHAINS; i++) acc[i] = fmadd(acc[i], x, y);                               \
    for (int i = 1; i < CHAINS; i++) acc[0] = fmadd(acc[i], x, acc[0]);                            \
    memcpy(sink, &acc[0], sizeof *sink);                                                           \
    return 2.0 * (lanes)*CHAINS * FMA_ROUNDS;                                                      \
  }
FMA_BATCH(batch_avx512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps, 16)
FMA_BATCH(batch_avx2, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps, 8)
#endif

static double batch_plain(float *sink) {
  float acc[CHAINS];
  for (int i = 0; i < CHAINS; i++) acc[i] = (float)i;
  for (int r = 0; r < FMA_ROUNDS; r++)
    for (int i = 0; i < CHAINS; i++) acc[i] = acc[i] * 0.999f + 0.001f;
  for (int i = 1; i < CHAINS; i++) acc[0] += acc[i];
  *sink = acc[0];
  return 2.0 * CHAINS * FMA_ROUNDS;
}

typedef double (*batch_fn)(float *sink);

static batch_fn best_batch(const char **isa) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return *isa = "avx512f", batch_avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return *isa = "avx2+fma", batch_avx2;
#endif
  return *isa = "plain C", batch_plain;
}

const char *limits_isa(void) {
  const char *isa;
  best_batch(&isa);
  return isa;
}

/* ---- threads that start together and stop at a time ---- */

typedef struct worker {
  pthread_t thread;
  const atomic_bool *start;
  double seconds;
  const uint64_t *data; /* NULL: multiply-adds */
  uint64_t words;
  double done; /* operations or bytes */
  double elapsed;
} worker;

static atomic_uint_fast64_t kept_alive;

static double read_batch(const uint64_t *data, uint64_t words) {
  uint64_t sum[8] = {0};
  for (uint64_t i = 0; i + 8 <= words; i += 8)
    for (int k = 0; k < 8; k++) sum[k] += data[i + (uint64_t)k];
  for (int k = 1; k < 8; k++) sum[0] += sum[k];
  atomic_fetch_add_explicit(&kept_alive, sum[0], memory_order_relaxed);
  return (double)words * sizeof *data;
}

static void *work(void *p) {
  worker *w = p;
  const char *isa;
  const batch_fn batch = best_batch(&isa);
  float sink = 0;
  while (!atomic_load(w->start)) sched_yield();
  const double begin = now();
  do {
    w->done += w->data ? read_batch(w->data, w->words) : batch(&sink);
    w->elapsed = now() - begin;
  } while (w->elapsed < w->seconds);
  atomic_fetch_add_explicit(&kept_alive, sink != 0, memory_order_relaxed);
  return NULL;
}

static double rate_of(const worker *w, uint32_t n) {
  double rate = 0;
  for (uint32_t i = 0; i < n; i++)
    if (w[i].elapsed > 0) rate += w[i].done / w[i].elapsed;
  return rate;
}

static double run(uint32_t threads, double seconds, const uint64_t *data) {
  static worker workers[MAX_THREADS]; /* the bench measures one thing at a time */
  if (threads == 0 || threads > MAX_THREADS) return 0;
  atomic_bool start = false;
  const uint64_t words = buffer_bytes / sizeof *data / threads;
  for (uint32_t i = 0; i < threads; i++)
    workers[i] = (worker){.start = &start,
                          .seconds = seconds,
                          .data = data ? data + i * words : NULL,
                          .words = words};
  uint32_t started = 1; /* the caller is worker 0 */
  while (started < threads &&
         !pthread_create(&workers[started].thread, NULL, work, &workers[started]))
    started++;
  atomic_store(&start, true);
  work(&workers[0]);
  for (uint32_t i = 1; i < started; i++) pthread_join(workers[i].thread, NULL);
  return started == threads ? rate_of(workers, threads) : 0;
}

double limits_fma_flops(uint32_t threads, double seconds) { return run(threads, seconds, NULL); }

double limits_read_bandwidth(uint32_t threads, double seconds) {
  uint64_t *data = NULL;
  if (posix_memalign((void **)&data, 64, buffer_bytes)) return 0;
  uint64_t x = UINT64_C(0x9E3779B97F4A7C15); /* random contents: zero pages could be shared */
  for (uint64_t i = 0; i < buffer_bytes / sizeof *data; i++)
    data[i] = x = x * UINT64_C(6364136223846793005) + 1;
  const double rate = run(threads, seconds, data);
  free(data);
  return rate;
}

uint32_t limits_threads(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set)) return 1;
  const int n = CPU_COUNT(&set);
  return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : (uint32_t)n;
}
