/* store.c -- the folder: lock, list, leftovers, retention. */
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

static bool step_of(const char *leaf, uint64_t *out_step) {
  if (strncmp(leaf, "step-", 5) != 0 || strspn(leaf + 5, "0123456789") != 20 ||
      strcmp(leaf + 25, ".fck") != 0)
    return false;
  char *end;
  errno = 0;
  *out_step = strtoull(leaf + 5, &end, 10);
  return !errno && *out_step != FORGE_STEP_NEWEST;
}

char *store_file(const forge_store *store, uint64_t step) {
  return mem_printf("%s/step-%020llu.fck", store->path, (unsigned long long)step);
}

static int newest_first(const void *a, const void *b) {
  const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x < y) - (x > y);
}

forge_status store_list(const forge_store *store, uint64_t **out_steps, size_t *out_n) {
  DIR *dir = opendir(store->path);
  if (!dir) return base_fail_errno(FORGE_E_IO, "%s: cannot be listed", store->path);
  uint64_t *steps = NULL, step;
  size_t n = 0, cap = 0;
  forge_status st = FORGE_OK;
  for (const struct dirent *entry; !st && (entry = readdir(dir));) {
    if (!step_of(entry->d_name, &step)) continue;
    if (ARRAY_GROW(steps, n, cap))
      steps[n++] = step;
    else
      st = FAIL(FORGE_E_OOM, "%s: no memory to list it", store->path);
  }
  closedir(dir);
  if (st) {
    mem_free(steps);
    return st;
  }
  if (n) qsort(steps, n, sizeof *steps, newest_first);
  *out_steps = steps;
  *out_n = n;
  return FORGE_OK;
}

forge_status forge_store_steps(forge_store *store, uint64_t *steps, uint64_t capacity,
                               uint64_t *out_n) {
  uint64_t *all = NULL;
  size_t n = 0;
  TRY(store_list(store, &all, &n));
  for (size_t i = 0; i < n && i < capacity; i++) steps[i] = all[i];
  mem_free(all);
  *out_n = n;
  return FORGE_OK;
}

/* The lock goes with the process, however it ends. */
static forge_status take_lock(forge_store *store) {
  char *path = file_join(store->path, "lock");
  if (!path) return FAIL(FORGE_E_OOM, "%s: no memory", store->path);
  forge_status st = FORGE_OK;
  struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  store->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (store->lock < 0)
    st = base_fail_errno(FORGE_E_IO, "%s", path);
  else if (fcntl(store->lock, F_OFD_SETLK, &whole) && (errno == EAGAIN || errno == EACCES))
    st = FAIL(FORGE_E_EXISTS,
              "%s: another process writes checkpoints here; wait for it or use "
              "another folder",
              store->path);
  mem_free(path);
  return st;
}

/* Whoever made them is gone: this process holds the lock. */
static void reap_leftovers(const forge_store *store) {
  DIR *dir = opendir(store->path);
  if (!dir) return;
  for (const struct dirent *entry; (entry = readdir(dir));) {
    if (strncmp(entry->d_name, "step-", 5) != 0 || !text_ends_with(entry->d_name, ".part"))
      continue;
    char *path = file_join(store->path, entry->d_name);
    if (path && store->io->unlink(store->io->ctx, path))
      log_line(FORGE_LOG_WARN, "%s: left by an interrupted save and cannot be removed: %s", path,
               strerror(errno));
    mem_free(path);
  }
  closedir(dir);
}

static forge_status prepare(forge_store *store) {
  if (store->read_only) {
    if (file_is_directory(store->path)) return FORGE_OK;
    return FAIL(FORGE_E_NOT_FOUND, "%s: there is no checkpoint folder", store->path);
  }
  TRY(file_make_directories(store->path));
  TRY(file_sync_parent(store->path));
  TRY(take_lock(store));
  reap_leftovers(store);
  return FORGE_OK;
}

forge_status store_open_with(const char *path, const forge_store_options *options,
                             const state_io *io, forge_store **out) {
  const uint32_t flags = options ? options->flags : 0;
  if (flags & ~(uint32_t)FORGE_STORE_READ_ONLY)
    return FAIL(FORGE_E_UNSUPPORTED, "checkpoint store: unknown flags 0x%x", flags);
  forge_store *store = mem_zalloc(sizeof *store);
  if (!store) return FAIL(FORGE_E_OOM, "%s: no memory", path);
  store->lock = -1;
  store->io = io;
  store->keep = options && options->keep ? options->keep : 2;
  store->read_only = flags & FORGE_STORE_READ_ONLY;
  store->path = mem_strdup(path);
  const forge_status st = store->path ? prepare(store) : FAIL(FORGE_E_OOM, "%s: no memory", path);
  if (st) {
    forge_store_close(store);
    return st;
  }
  *out = store;
  return FORGE_OK;
}

forge_status forge_store_open(const char *path, const forge_store_options *options,
                              forge_store **out_store) {
  return store_open_with(path, options, &state_io_posix, out_store);
}

void forge_store_close(forge_store *store) {
  if (!store) return;
  forge_checkpoint_abort(store->writing);
  if (store->lock >= 0) close(store->lock);
  mem_free(store->path);
  mem_free(store);
}

static bool is_sound(const char *path) {
  state_file f;
  if (state_file_open(path, &f)) return false;
  state_file_close(&f);
  return true;
}

static void remove_step(const forge_store *store, const char *path) {
  if (store->io->unlink(store->io->ctx, path))
    log_line(FORGE_LOG_WARN, "%s: an old checkpoint cannot be removed: %s", path, strerror(errno));
}

/* A checkpoint newer than |step| is no part of this run's past; it neither counts nor goes. */
void store_retain(const forge_store *store, uint64_t step) {
  uint64_t *steps = NULL;
  size_t n = 0, sound = 0;
  if (store_list(store, &steps, &n)) return;
  for (size_t i = 0; i < n; i++) {
    if (steps[i] > step) continue;
    char *path = store_file(store, steps[i]);
    if (!path) break;
    if (sound >= store->keep)
      remove_step(store, path);
    else
      sound += steps[i] == step || is_sound(path);
    mem_free(path);
  }
  mem_free(steps);
}
