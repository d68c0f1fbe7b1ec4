/* fuzz_checkpoint.c -- a checkpoint file of any bytes is opened, verified and listed. Input that
 * begins with '{' is a manifest, given to its parser without the checksums that would stop it. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MANIFEST_END = 3 * FORMAT_ALIGN }; /* the seeds hold two items */

static void try_manifest(const uint8_t *data, size_t n) {
  format_manifest m;
  if (format_get_manifest((const char *)data, n, MANIFEST_END, "fuzz", &m)) return;
  forge_text_free(format_manifest_text(&m, true));
  format_manifest_finish(&m);
}

static void try_file(const char *path) {
  char *json;
  forge_checkpoint_verify(path);
  if (!forge_checkpoint_inspect(path, &json)) forge_text_free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  if (n && data[0] == '{') {
    try_manifest(data, n);
    return 0;
  }
  const int fd = memfd_create("checkpoint", MFD_CLOEXEC);
  if (fd < 0) return 0;
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  if (!n || write(fd, data, n) == (ssize_t)n) try_file(path);
  close(fd);
  return 0;
}
