/* fault.c -- see fault.h. */
#include "fault.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

const char *fault_name(fault_kind kind) {
  static const char *const names[] = {"none",   "kill",  "kill half-way", "EIO",
                                      "ENOSPC", "EINTR", "short write"};
  return names[kind];
}

/* The fault this call suffers, FAULT_NONE for most. */
static fault_kind next(fault_disk *disk, char letter) {
  const uint32_t call = disk->calls++;
  if (call < sizeof disk->log - 1) disk->log[call] = letter;
  if (disk->kind == FAULT_ENOSPC && letter == 'W' && call >= disk->at) return FAULT_ENOSPC;
  if (call != disk->at) return FAULT_NONE;
  if (disk->kind == FAULT_KILL) raise(SIGKILL);
  return disk->kind;
}

static int fails(fault_kind kind) {
  errno = kind == FAULT_ENOSPC ? ENOSPC : EIO;
  return kind == FAULT_EIO || kind == FAULT_ENOSPC ? -1 : 0;
}

static int end(fault_kind kind, int result) {
  if (kind == FAULT_KILL_HALF) raise(SIGKILL);
  return result;
}

static int fault_create(void *ctx, const char *path) {
  const fault_kind kind = next(ctx, 'C');
  return fails(kind) ? -1 : end(kind, state_io_posix.create(NULL, path));
}

static ssize_t fault_write(void *ctx, int fd, const void *bytes, size_t n) {
  const fault_kind kind = next(ctx, 'W');
  if (fails(kind)) return -1;
  if (kind == FAULT_EINTR) {
    errno = EINTR;
    return -1;
  }
  if (kind == FAULT_SHORT) n = 1;
  if (kind == FAULT_KILL_HALF) n /= 2;
  const ssize_t wrote = state_io_posix.write(NULL, fd, bytes, n);
  end(kind, 0);
  return wrote;
}

static int fault_flush(void *ctx, int fd) {
  const fault_kind kind = next(ctx, 'F');
  return fails(kind) ? -1 : end(kind, state_io_posix.flush(NULL, fd));
}

static int fault_close(void *ctx, int fd) {
  const fault_kind kind = next(ctx, 'L');
  const int rc = state_io_posix.close(NULL, fd);
  return fails(kind) ? -1 : end(kind, rc);
}

static int fault_rename(void *ctx, const char *from, const char *to) {
  const fault_kind kind = next(ctx, 'R');
  return fails(kind) ? -1 : end(kind, state_io_posix.rename(NULL, from, to));
}

static int fault_unlink(void *ctx, const char *path) {
  const fault_kind kind = next(ctx, 'U');
  return fails(kind) ? -1 : end(kind, state_io_posix.unlink(NULL, path));
}

static int fault_flush_folder(void *ctx, const char *path) {
  const fault_kind kind = next(ctx, 'D');
  return fails(kind) ? -1 : end(kind, state_io_posix.flush_folder(NULL, path));
}

void fault_disk_init(fault_disk *disk, fault_kind kind, uint32_t at) {
  *disk = (fault_disk){.kind = kind, .at = at};
  disk->io = (state_io){.ctx = disk,
                        .create = fault_create,
                        .write = fault_write,
                        .flush = fault_flush,
                        .close = fault_close,
                        .rename = fault_rename,
                        .unlink = fault_unlink,
                        .flush_folder = fault_flush_folder};
}
