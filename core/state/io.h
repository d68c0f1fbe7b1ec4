/* io.h -- the calls through which the state room changes a disk, as a table, so that a test can
 * make any of them fail, fall short or be the last thing the process does. */
#ifndef FORGE_STATE_IO_H
#define FORGE_STATE_IO_H

#include <sys/types.h>

#include "base.h"

/* Each answers like the system call of its name and sets errno. */
typedef struct state_io {
  void *ctx;
  int (*create)(void *ctx, const char *path); /* O_CREAT | O_EXCL | O_WRONLY */
  ssize_t (*write)(void *ctx, int fd, const void *bytes, size_t n);
  int (*flush)(void *ctx, int fd); /* fsync */
  int (*close)(void *ctx, int fd);
  int (*rename)(void *ctx, const char *from, const char *to);
  int (*unlink)(void *ctx, const char *path);
  int (*flush_folder)(void *ctx, const char *path);
} state_io;

extern const state_io state_io_posix;

/* All of |n| bytes, however many calls it takes. */
forge_status state_io_write(const state_io *io, int fd, const void *bytes, size_t n,
                            const char *path);

#endif
