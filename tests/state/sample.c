/* sample.c -- see sample.h. */
#include "sample.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

enum { N_WEIGHT = (FORMAT_CHUNK + FORMAT_CHUNK / 10) / 4 / 7 * 7, N_ID = 129 };
static const int64_t weight_dim[2] = {N_WEIGHT / 7, 7}, id_dim[1] = {N_ID}, empty_dim[2] = {0, 5};

char *sample_folder(void) {
  const char *base = getenv("TMPDIR");
  char *path = mem_printf("%s/forge-state-XXXXXX", base ? base : "/tmp");
  assert_non_null(mkdtemp(path));
  return path;
}

void sample_remove(char *folder) {
  DIR *dir = opendir(folder);
  for (const struct dirent *entry; dir && (entry = readdir(dir));) {
    char *path = file_join(folder, entry->d_name);
    if (entry->d_name[0] != '.') unlink(path);
    mem_free(path);
  }
  if (dir) closedir(dir);
  rmdir(folder);
  mem_free(folder);
}

static uint32_t value(uint64_t step, uint64_t i) {
  const uint64_t x = (step * 0x9E3779B97F4A7C15u + i) * 0xBF58476D1CE4E5B9u;
  return (uint32_t)(x >> 32);
}

static uint32_t *words(uint64_t step, size_t n) {
  uint32_t *w = mem_alloc(n * sizeof *w);
  assert_non_null(w);
  for (size_t i = 0; i < n; i++) w[i] = value(step, i);
  return w;
}

forge_status sample_save(forge_store *store, uint64_t step) {
  forge_checkpoint *c;
  char note[32];
  uint32_t *w = words(step, N_WEIGHT);
  snprintf(note, sizeof note, "step %llu", (unsigned long long)step);
  forge_status st = forge_checkpoint_begin(store, step, &c);
  if (!st) {
    st = forge_checkpoint_host_tensor(c, "weights", FORGE_F32, 2, weight_dim, w);
    if (!st) st = forge_checkpoint_host_tensor(c, "ids", FORGE_I32, 1, id_dim, w + 3);
    if (!st) st = forge_checkpoint_host_tensor(c, "empty", FORGE_F32, 2, empty_dim, NULL);
    if (!st) st = forge_checkpoint_blob(c, "note", note, strlen(note));
    if (!st) st = forge_checkpoint_blob(c, "nothing", NULL, 0);
    if (st)
      forge_checkpoint_abort(c);
    else
      st = forge_checkpoint_commit(c);
  }
  mem_free(w);
  return st;
}

int sample_differs(forge_restore *restore) {
  const uint64_t step = forge_restore_step(restore);
  uint32_t *want = words(step, N_WEIGHT), *got = mem_zalloc_array(N_WEIGHT, 4), ids[N_ID], none[1];
  char note[32], *blob = NULL;
  uint64_t n;
  snprintf(note, sizeof note, "step %llu", (unsigned long long)step);
  int differs = forge_restore_host_tensor(restore, "weights", FORGE_F32, 2, weight_dim, got) ||
                memcmp(got, want, (size_t)N_WEIGHT * 4) ||
                forge_restore_host_tensor(restore, "ids", FORGE_I32, 1, id_dim, ids) ||
                memcmp(ids, want + 3, sizeof ids) ||
                forge_restore_host_tensor(restore, "empty", FORGE_F32, 2, empty_dim, none);
  differs = differs || forge_restore_blob(restore, "note", &blob, &n) || strcmp(blob, note);
  mem_free(blob);
  mem_free(want);
  mem_free(got);
  return differs;
}

int sample_count(const char *folder, const char *ending) {
  int n = 0;
  DIR *dir = opendir(folder);
  assert_non_null(dir);
  for (const struct dirent *entry; (entry = readdir(dir));)
    n += text_ends_with(entry->d_name, ending);
  closedir(dir);
  return n;
}
