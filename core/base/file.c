/* file.c -- see file.h. The order in file_writer_commit() is what makes a file whole or absent
 * after a crash. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static forge_status open_regular(const char *path, int *out_fd, uint64_t *out_bytes) {
  /* O_NONBLOCK: a pipe without a writer is to be refused, not waited for. */
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return base_fail_errno(errno == ENOENT ? FORGE_E_NOT_FOUND : FORGE_E_IO, "%s", path);
  struct stat info;
  forge_status st = FORGE_OK;
  if (fstat(fd, &info))
    st = base_fail_errno(FORGE_E_IO, "%s", path);
  else if (!S_ISREG(info.st_mode))
    st = FAIL(FORGE_E_IO, "%s: not a regular file", path);
  if (st) {
    close(fd);
    return st;
  }
  *out_fd = fd;
  *out_bytes = (uint64_t)info.st_size;
  return FORGE_OK;
}

forge_status file_map_open(const char *path, file_map *out) {
  int fd = -1;
  *out = (file_map){0};
  TRY(open_regular(path, &fd, &out->bytes));
  void *data = NULL;
  if (out->bytes) data = mmap(NULL, out->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  const int error = errno;
  close(fd);
  if (data == MAP_FAILED) {
    *out = (file_map){0};
    errno = error;
    return base_fail_errno(FORGE_E_IO, "%s: cannot be mapped", path);
  }
  out->data = data;
  return FORGE_OK;
}

void file_map_close(file_map *map) {
  if (map->data) munmap((void *)(uintptr_t)map->data, map->bytes);
  *map = (file_map){0};
}

static forge_status read_fully(int fd, const char *path, char *to, uint64_t bytes) {
  for (uint64_t done = 0; done < bytes;) {
    const ssize_t n = read(fd, to + done, bytes - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base_fail_errno(FORGE_E_IO, "%s", path);
    if (n == 0) return FAIL(FORGE_E_IO, "%s: became shorter while it was read", path);
    done += (uint64_t)n;
  }
  return FORGE_OK;
}

forge_status file_read(const char *path, uint64_t limit, char **out, uint64_t *out_bytes) {
  int fd = -1;
  uint64_t bytes = 0;
  TRY(open_regular(path, &fd, &bytes));
  forge_status st = FORGE_OK;
  char *data = NULL;
  if (bytes > limit)
    st = FAIL(FORGE_E_CORRUPT, "%s: %llu bytes; at most %llu are sensible here", path,
              (unsigned long long)bytes, (unsigned long long)limit);
  else if (!(data = mem_alloc(bytes + 1)))
    st = FAIL(FORGE_E_OOM, "%s: no memory for %llu bytes", path, (unsigned long long)bytes);
  else
    st = read_fully(fd, path, data, bytes);
  close(fd);
  if (st) {
    mem_free(data);
    return st;
  }
  data[bytes] = 0;
  *out = data;
  if (out_bytes) *out_bytes = bytes;
  return FORGE_OK;
}

/* O_EXCL: what others put there is neither followed nor written to; our own leftover goes first. */
static FILE *create(const char *path, mode_t mode) {
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  int fd = open(path, flags, mode);
  if (fd < 0 && errno == EEXIST && !unlink(path)) fd = open(path, flags, mode);
  FILE *stream = fd < 0 ? NULL : fdopen(fd, "wb");
  if (!stream && fd >= 0) close(fd);
  return stream;
}

static forge_status open_writer(const char *path, mode_t mode, file_writer *w) {
  *w = (file_writer){.path = mem_strdup(path),
                     .temporary = mem_printf("%s.tmp-%ld", path, (long)getpid())};
  if (!w->path || !w->temporary) {
    file_writer_abandon(w);
    return FAIL(FORGE_E_OOM, "%s: no memory", path);
  }
  w->stream = create(w->temporary, mode);
  if (w->stream) return FORGE_OK;
  const forge_status st = base_fail_errno(FORGE_E_IO, "%s: cannot be written", path);
  file_writer_abandon(w);
  return st;
}

forge_status file_writer_open(const char *path, file_writer *w) {
  return open_writer(path, 0666, w);
}

forge_status file_writer_open_private(const char *path, file_writer *w) {
  return open_writer(path, 0600, w);
}

static forge_status publish(const file_writer *w) {
  if (rename(w->temporary, w->path)) return base_fail_errno(FORGE_E_IO, "%s: rename", w->path);
  return file_sync_parent(w->path);
}

forge_status file_writer_commit(file_writer *w) {
  forge_status st = FORGE_OK;
  if (ferror(w->stream) || fflush(w->stream) || fsync(fileno(w->stream)))
    st = base_fail_errno(FORGE_E_IO, "%s: writing failed, nothing was replaced", w->path);
  if (fclose(w->stream) && !st)
    st = base_fail_errno(FORGE_E_IO, "%s: closing failed, nothing was replaced", w->path);
  w->stream = NULL;
  if (!st) st = publish(w);
  file_writer_abandon(w);
  return st;
}

void file_writer_abandon(file_writer *w) {
  if (w->stream) fclose(w->stream);
  if (w->temporary) unlink(w->temporary);
  mem_free(w->temporary);
  mem_free(w->path);
  *w = (file_writer){0};
}

forge_status file_sync_parent(const char *path) {
  char *dir = file_parent(path);
  if (!dir) return FAIL(FORGE_E_OOM, "%s: no memory", path);
  const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  forge_status st = FORGE_OK;
  if (fd < 0 || fsync(fd)) st = base_fail_errno(FORGE_E_IO, "%s: flushing the directory", dir);
  if (fd >= 0) close(fd);
  mem_free(dir);
  return st;
}

bool file_exists(const char *path) {
  struct stat info;
  return stat(path, &info) == 0;
}

bool file_is_directory(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool file_is_same(const char *a, const char *b) {
  struct stat x, y;
  return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

forge_status file_make_directories(const char *dir) {
  if (!*dir) return FAIL(FORGE_E_INVALID, "the name of the folder to make is empty");
  char *path = mem_strdup(dir);
  if (!path) return FAIL(FORGE_E_OOM, "%s: no memory", dir);
  forge_status st = FORGE_OK;
  for (char *p = path + 1; !st; p++) {
    if (*p && *p != '/') continue;
    const char end = *p;
    *p = 0;
    if (mkdir(path, 0777) && errno != EEXIST) st = base_fail_errno(FORGE_E_IO, "%s", path);
    *p = end;
    if (!end) break;
  }
  if (!st && !file_is_directory(path)) st = FAIL(FORGE_E_IO, "%s: exists and is no directory", dir);
  mem_free(path);
  return st;
}

char *file_join(const char *dir, const char *name) { return mem_printf("%s/%s", dir, name); }

char *file_parent(const char *path) {
  const char *slash = strrchr(path, '/');
  if (!slash) return mem_strdup(".");
  return slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
}

bool text_ends_with(const char *s, const char *end) {
  const size_t n = strlen(s), m = strlen(end);
  return n >= m && !memcmp(s + n - m, end, m);
}
