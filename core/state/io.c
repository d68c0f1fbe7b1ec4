/* io.c -- see io.h. */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int posix_create(void *ctx, const char *path) {
  (void)ctx;
  return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
}

static ssize_t posix_write(void *ctx, int fd, const void *bytes, size_t n) {
  (void)ctx;
  return write(fd, bytes, n);
}

static int posix_flush(void *ctx, int fd) {
  (void)ctx;
  return fsync(fd);
}

static int posix_close(void *ctx, int fd) {
  (void)ctx;
  return close(fd);
}

static int posix_rename(void *ctx, const char *from, const char *to) {
  (void)ctx;
  return rename(from, to);
}

static int posix_unlink(void *ctx, const char *path) {
  (void)ctx;
  return unlink(path);
}

static int posix_flush_folder(void *ctx, const char *path) {
  (void)ctx;
  const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -1;
  const int rc = fsync(fd), error = errno;
  close(fd);
  errno = error;
  return rc;
}

const state_io state_io_posix = {
    .create = posix_create,
    .write = posix_write,
    .flush = posix_flush,
    .close = posix_close,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .flush_folder = posix_flush_folder,
};

forge_status state_io_write(const state_io *io, int fd, const void *bytes, size_t n,
                            const char *path) {
  const char *from = bytes;
  for (size_t done = 0; done < n;) {
    const ssize_t wrote = io->write(io->ctx, fd, from + done, n - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && errno == ENOSPC)
      return base_fail_errno(FORGE_E_IO,
                             "%s: the checkpoint does not fit; make room and save again", path);
    if (wrote < 0) return base_fail_errno(FORGE_E_IO, "%s: writing the checkpoint", path);
    if (wrote == 0) return FAIL(FORGE_E_IO, "%s: the disk takes no more bytes", path);
    done += (size_t)wrote;
  }
  return FORGE_OK;
}
