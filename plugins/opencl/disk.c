/* disk.c -- binaries of kernels kept between runs. A file holds its key in full and a checksum;
 * whatever does not fit is as if it were not there. Written beside and renamed, so readers see
 * whole files. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"

#define MAGIC     UINT64_C(0x31304c4347524f46) /* "FORGCL01" */
#define MAX_BYTES (UINT64_C(256) << 20)

typedef struct header {
  uint64_t magic, key_bytes, binary_bytes, checksum;
} header;

/* FNV-1a. */
uint64_t ocl_hash(uint64_t seed, const void *p, size_t n) {
  uint64_t h = seed ? seed : UINT64_C(14695981039346656037);
  for (size_t i = 0; i < n; i++) h = (h ^ ((const uint8_t *)p)[i]) * UINT64_C(1099511628211);
  return h;
}

void ocl_disk_folder(const char *dir, char *out, size_t room) {
  const char *cache = secure_getenv("XDG_CACHE_HOME"), *home = secure_getenv("HOME");
  int n = 0;
  if (dir[0])
    n = snprintf(out, room, "%s", dir);
  else if (cache && cache[0] == '/')
    n = snprintf(out, room, "%s/forge/opencl", cache);
  else if (home && home[0] == '/')
    n = snprintf(out, room, "%s/.cache/forge/opencl", home);
  if (n <= 0 || (size_t)n >= room) out[0] = 0;
}

static bool file_name(const forge_dev *dev, const char *key, char *out, size_t room) {
  const uint64_t hash = ocl_hash(0, key, strlen(key));
  const int n = snprintf(out, room, "%s/%016" PRIx64 ".bin", dev->cache, hash);
  return dev->cache[0] && n > 0 && (size_t)n < room;
}

/* What is run must be ours: nobody else may have written the file. */
static bool is_ours(FILE *f, uint64_t *bytes) {
  struct stat st;
  if (fstat(fileno(f), &st) || !S_ISREG(st.st_mode)) return false;
  *bytes = (uint64_t)st.st_size;
  return (st.st_uid == geteuid() || st.st_uid == 0) && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

static bool read_exactly(FILE *f, void *to, size_t n) { return fread(to, 1, n, f) == n; }

/* The header of a file with this key; false: it is another's, or damaged. */
static bool read_header(FILE *f, const char *key, header *h) {
  char stored[2048];
  uint64_t bytes;
  return is_ours(f, &bytes) && read_exactly(f, h, sizeof *h) && h->magic == MAGIC &&
         h->key_bytes == strlen(key) && h->key_bytes < sizeof stored && h->binary_bytes &&
         h->binary_bytes <= MAX_BYTES && bytes == sizeof *h + h->key_bytes + h->binary_bytes &&
         read_exactly(f, stored, h->key_bytes) && !memcmp(stored, key, h->key_bytes);
}

uint8_t *ocl_disk_load(const forge_dev *dev, const char *key, size_t *bytes) {
  char path[640];
  header h;
  if (!file_name(dev, key, path, sizeof path)) return NULL;
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hold us up */
  FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
  if (!f) {
    if (fd >= 0) close(fd);
    return NULL;
  }
  uint8_t *binary = read_header(f, key, &h) ? ocl_alloc(h.binary_bytes) : NULL;
  if (binary && (!read_exactly(f, binary, h.binary_bytes) ||
                 ocl_hash(0, binary, h.binary_bytes) != h.checksum)) {
    ocl_log(FORGE_LOG_WARN, "%s is damaged; the kernels are built again", path);
    ocl_free(binary);
    binary = NULL;
  }
  fclose(f);
  *bytes = binary ? h.binary_bytes : 0;
  return binary;
}

static bool make_folders(const char *path) {
  char part[640];
  for (const char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
    snprintf(part, sizeof part, "%.*s", (int)(at - path), path);
    if (mkdir(part, 0700) && errno != EEXIST) return false;
  }
  return true;
}

static bool write_file(int fd, const header *h, const char *key, const void *binary) {
  FILE *f = fdopen(fd, "w");
  if (!f) {
    close(fd);
    return false;
  }
  const bool written = fwrite(h, sizeof *h, 1, f) == 1 &&
                       fwrite(key, 1, h->key_bytes, f) == h->key_bytes &&
                       fwrite(binary, 1, h->binary_bytes, f) == h->binary_bytes;
  return (fclose(f) == 0) & written;
}

void ocl_disk_save(const forge_dev *dev, const char *key, const void *binary, size_t bytes) {
  char path[640], beside[700];
  const header h = {MAGIC, strlen(key), bytes, ocl_hash(0, binary, bytes)};
  if (bytes > MAX_BYTES || !file_name(dev, key, path, sizeof path) || !make_folders(path)) return;
  snprintf(beside, sizeof beside, "%s.XXXXXX", path);
  const int fd = mkostemp(beside, O_CLOEXEC);
  if (fd < 0) return;
  if (!write_file(fd, &h, key, binary) || rename(beside, path)) unlink(beside);
}
