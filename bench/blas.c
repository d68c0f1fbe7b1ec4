/* blas.c -- OpenBLAS on the shapes of `forge bench`, in the same words, for a comparison in the
 * same minutes. Usage: bench_blas THREADS ROUNDS SECONDS */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* The CBLAS and OpenBLAS calls used, declared here: Debian puts the header of each BLAS elsewhere.
 */
void cblas_sgemm(int order, int trans_a, int trans_b, int m, int n, int k, float alpha,
                 const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);
void openblas_set_num_threads(int n);
char *openblas_get_config(void);

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112, MAX_ROUNDS = 99 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static float *random_matrix(size_t n) {
  float *x = malloc(n * sizeof *x);
  uint32_t state = 12345;
  for (size_t i = 0; x && i < n; i++) {
    state = state * 1664525u + 1013904223u;
    x[i] = (float)(int32_t)state * 0x1p-31f;
  }
  return x;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* GFLOP/s of y = x w^T, over |seconds|. */
static double measure(int m, int n, int k, const float *x, const float *w, float *y,
                      double seconds) {
  long runs = 0;
  cblas_sgemm(ROW_MAJOR, NO_TRANS, TRANS, m, n, k, 1, x, k, w, k, 0, y, n); /* warm-up */
  const double begin = now();
  double took;
  do {
    cblas_sgemm(ROW_MAJOR, NO_TRANS, TRANS, m, n, k, 1, x, k, w, k, 0, y, n);
    runs++;
    took = now() - begin;
  } while (took < seconds);
  return 2e-9 * m * n * k * (double)runs / took;
}

int main(int argc, char **argv) {
  const int threads = argc > 1 ? atoi(argv[1]) : 1, rounds = argc > 2 ? atoi(argv[2]) : 5;
  const double seconds = argc > 3 ? atof(argv[3]) : 0.4;
  static const int shapes[][3] = {{1024, 1024, 1024}, {256, 768, 768}};
  if (threads < 1 || rounds < 1 || rounds > MAX_ROUNDS || seconds <= 0) {
    fprintf(stderr, "usage: bench_blas THREADS ROUNDS SECONDS\n");
    return 2;
  }
  openblas_set_num_threads(threads);
  printf("%s, %d threads\n", openblas_get_config(), threads);
  for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
    const int m = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
    float *x = random_matrix((size_t)m * (size_t)k), *w = random_matrix((size_t)n * (size_t)k),
          *y = random_matrix((size_t)m * (size_t)n);
    double rate[MAX_ROUNDS];
    if (!x || !w || !y) return 1;
    for (int r = 0; r < rounds; r++) rate[r] = measure(m, n, k, x, w, y, seconds);
    qsort(rate, (size_t)rounds, sizeof *rate, ascending);
    printf("  f32 matmul %d x %d x %d: %.1f (%.1f - %.1f) GFLOP/s\n", m, n, k,
           (rate[(rounds - 1) / 2] + rate[rounds / 2]) / 2, rate[0], rate[rounds - 1]);
    free(x);
    free(w);
    free(y);
  }
  return 0;
}
