/* replay.c -- main() for a fuzz target where libFuzzer is not: runs LLVMFuzzerTestOneInput over
 * each file of the folders (or files) named, then over FORGE_FUZZ_RUNS (default 2000) mutations of
 * each. The mutations come from a generator with a fixed seed, so that a failure repeats. When the
 * target dies, the input is in ./crash-replay. */
#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MAX_SEED_BYTES = 1 << 20, GROWTH = 4096 };

static uint64_t random_state = 0x9E3779B97F4A7C15u;
static unsigned long inputs_run;
static struct {
  const uint8_t *data;
  size_t n;
} current;

static uint64_t random_next(void) { /* splitmix64 */
  uint64_t z = random_state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

static size_t random_below(size_t n) { return n ? (size_t)(random_next() % n) : 0; }

static void save_and_die(int number) {
  FILE *f = fopen("crash-replay", "wb");
  if (f) {
    fwrite(current.data, 1, current.n, f);
    fclose(f);
  }
  signal(number, SIG_DFL);
  raise(number);
}

/* The input in a block of exactly its size, so that a sanitizer sees a read beyond it. */
static void run(const uint8_t *data, size_t n) {
  uint8_t *exact = malloc(n ? n : 1);
  if (!exact) exit(1);
  if (n) memcpy(exact, data, n);
  current.data = exact;
  current.n = n;
  LLVMFuzzerTestOneInput(exact, n);
  inputs_run++;
  free(exact);
}

static void flip_bits(uint8_t *data, size_t n) {
  for (size_t k = 1 + random_below(8); k && n; k--)
    data[random_below(n)] ^= (uint8_t)(1u << random_below(8));
}

/* A stretch of the input again, somewhere else; returns the new length. */
static size_t duplicate(uint8_t *data, size_t n, size_t cap) {
  const size_t from = random_below(n), at = random_below(n + 1);
  size_t count = 1 + random_below(n - from < GROWTH ? n - from : GROWTH);
  if (count > cap - n) count = cap - n;
  uint8_t *copy = malloc(count ? count : 1);
  if (!copy) exit(1);
  if (from + count > n) count = n - from;
  memcpy(copy, data + from, count);
  memmove(data + at + count, data + at, n - at);
  memcpy(data + at, copy, count);
  free(copy);
  return n + count;
}

/* Bytes that formats like to trip over. */
static size_t insert(uint8_t *data, size_t n, size_t cap) {
  static const uint8_t odd[] = {0x00, 0xFF, 0x7F, 0x80, '"', '\\', '[', '{', '}', '\n', '=', '%'};
  const size_t at = random_below(n + 1);
  size_t count = 1 + random_below(16);
  if (count > cap - n) count = cap - n;
  memmove(data + at + count, data + at, n - at);
  const uint8_t byte = odd[random_below(sizeof odd)];
  const int same = (int)(random_next() & 1);
  for (size_t i = 0; i < count; i++) data[at + i] = same ? byte : (uint8_t)random_next();
  return n + count;
}

/* Little-endian counts are where parsers believe too much. */
static void overwrite_number(uint8_t *data, size_t n) {
  static const uint64_t numbers[] = {
      0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000u, 0xFFFFFFFFu, INT64_MAX, UINT64_MAX, 64};
  const size_t bytes = (size_t)1 << random_below(4);
  if (n < bytes) return;
  const uint64_t value = numbers[random_below(sizeof numbers / sizeof numbers[0])];
  memcpy(data + random_below(n - bytes + 1), &value, bytes);
}

static void mutate_once(const uint8_t *seed, size_t n, uint8_t *work) {
  const size_t cap = n + GROWTH;
  if (n) memcpy(work, seed, n);
  for (size_t steps = 1 + random_below(3); steps; steps--) {
    switch (random_below(5)) {
    case 0: flip_bits(work, n); break;
    case 1: n = random_below(n + 1); break;
    case 2: n = n ? duplicate(work, n, cap) : n; break;
    case 3: n = insert(work, n, cap); break;
    default: overwrite_number(work, n); break;
    }
  }
  run(work, n);
}

static void replay_file(const char *path, unsigned long mutations) {
  FILE *f = fopen(path, "rb");
  uint8_t *seed = malloc(MAX_SEED_BYTES), *work = malloc(MAX_SEED_BYTES + GROWTH);
  if (!f || !seed || !work) {
    fprintf(stderr, "replay: %s: cannot be read\n", path);
    exit(1);
  }
  const size_t n = fread(seed, 1, MAX_SEED_BYTES, f);
  fclose(f);
  run(seed, n);
  for (unsigned long i = 0; i < mutations; i++) mutate_once(seed, n, work);
  free(seed);
  free(work);
}

static int by_name(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

static void replay_path(const char *path, unsigned long mutations) {
  struct dirent **names;
  const int n = scandir(path, &names, NULL, by_name);
  if (n < 0) {
    replay_file(path, mutations);
    return;
  }
  for (int i = 0; i < n; i++) {
    char file[4096];
    struct stat info;
    snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
    if (!stat(file, &info) && S_ISREG(info.st_mode)) replay_file(file, mutations);
    free(names[i]);
  }
  free(names);
}

int main(int argc, char **argv) {
  const char *runs = getenv("FORGE_FUZZ_RUNS");
  const unsigned long mutations = runs ? strtoul(runs, NULL, 10) : 2000;
  signal(SIGABRT, save_and_die);
  signal(SIGSEGV, save_and_die);
  run((const uint8_t *)"", 0);
  for (int i = 1; i < argc; i++) replay_path(argv[i], mutations);
  printf("%s: %lu inputs run, %lu mutations of each seed\n", argv[0], inputs_run, mutations);
  return inputs_run > 1 ? 0 : 77;
}
