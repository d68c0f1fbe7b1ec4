/* support.h -- what several test groups need: a folder of their own that goes away, files in it,
 * and an environment in which nothing of this machine's operator counts. */
#ifndef FORGE_TEST_SUPPORT_H
#define FORGE_TEST_SUPPORT_H

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char support_dir[256];

static inline int support_remove(const char *path, const struct stat *info, int type,
                                 struct FTW *at) {
  (void)info;
  (void)type;
  (void)at;
  return remove(path);
}

/* Group setup and teardown: an empty folder in support_dir, and no operator's file, folders or
 * FORGE_ settings. */
static inline int support_enter(void **state) {
  (void)state;
  const char *tmp = getenv("TMPDIR");
  snprintf(support_dir, sizeof support_dir, "%s/forge-test-XXXXXX", tmp ? tmp : "/tmp");
  if (!mkdtemp(support_dir)) return -1;
  setenv("HOME", support_dir, 1);
  setenv("XDG_CONFIG_HOME", support_dir, 1);
  setenv("XDG_DATA_HOME", support_dir, 1);
  unsetenv("FORGE_CONFIG");
  unsetenv("FORGE_BACKEND_PATH");
  return 0;
}

static inline int support_leave(void **state) {
  (void)state;
  return nftw(support_dir, support_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* A file in the folder; returns its path, valid until the next call. */
static inline const char *support_write(const char *name, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static inline const char *support_write(const char *name, const char *format, ...) {
  static char path[512];
  va_list args;
  snprintf(path, sizeof path, "%s/%s", support_dir, name);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  va_start(args, format);
  vfprintf(f, format, args);
  va_end(args);
  assert_int_equal(fclose(f), 0);
  return path;
}

/* The failure just recorded has this text somewhere. */
#define assert_says(words)                                                                         \
  do {                                                                                             \
    if (!strstr(forge_error_last()->msg, words))                                                   \
      fail_msg("expected '%s' in: %s", words, forge_error_last()->msg);                            \
  } while (0)

#define assert_ok(call)                                                                            \
  do {                                                                                             \
    const forge_status ok_status = (call);                                                         \
    if (ok_status)                                                                                 \
      fail_msg("%s: %s: %s", #call, forge_status_name(ok_status), forge_error_last()->msg);        \
  } while (0)

#endif
