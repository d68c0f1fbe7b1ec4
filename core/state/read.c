/* read.c -- checkpoint files read back. Nothing leaves here unchecked. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hash.h"
#include "store.h"

struct forge_restore {
  state_file file;
  char *note;
};

static forge_status read_at(const state_file *f, void *to, uint64_t n, uint64_t at) {
  for (uint64_t done = 0; done < n;) {
    const ssize_t got = pread(f->fd, (char *)to + done, n - done, (off_t)(at + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base_fail_errno(FORGE_E_IO, "%s", f->path);
    if (got == 0) return FAIL(FORGE_E_CORRUPT, "%s: ends early", f->path);
    done += (uint64_t)got;
  }
  return FORGE_OK;
}

static forge_status read_manifest(state_file *f, const format_footer *footer) {
  char *s = mem_alloc(footer->bytes + 1);
  if (!s) return FAIL(FORGE_E_OOM, "%s: no memory for the manifest", f->path);
  format_hash hash;
  forge_status st = read_at(f, s, footer->bytes, footer->offset);
  if (!st) hash_xxh128(s, footer->bytes, 0, hash.bytes);
  if (!st && memcmp(&hash, &footer->manifest, sizeof hash) != 0)
    st = FAIL(FORGE_E_CORRUPT, "%s: the manifest fails its checksum", f->path);
  if (!st) st = format_get_manifest(s, footer->bytes, footer->offset, f->path, &f->manifest);
  mem_free(s);
  return st;
}

static forge_status read_frame(state_file *f) {
  uint8_t header[FORMAT_HEADER], footer[FORMAT_FOOTER];
  format_footer end = {0};
  struct stat info;
  uint64_t step = 0;
  if (fstat(f->fd, &info)) return base_fail_errno(FORGE_E_IO, "%s", f->path);
  if (!S_ISREG(info.st_mode)) return FAIL(FORGE_E_IO, "%s: not a regular file", f->path);
  const uint64_t bytes = (uint64_t)info.st_size;
  if (bytes < FORMAT_HEADER + FORMAT_FOOTER)
    return FAIL(FORGE_E_CORRUPT, "%s: %llu bytes are too few for a checkpoint", f->path,
                (unsigned long long)bytes);
  TRY(read_at(f, header, sizeof header, 0));
  TRY(format_get_header(header, f->path, &step));
  TRY(read_at(f, footer, sizeof footer, bytes - FORMAT_FOOTER));
  TRY(format_get_footer(footer, header, bytes, f->path, &end));
  TRY(read_manifest(f, &end));
  if (f->manifest.step != step)
    return FAIL(FORGE_E_CORRUPT, "%s: header and manifest name different steps", f->path);
  return FORGE_OK;
}

forge_status state_file_open(const char *path, state_file *out) {
  *out = (state_file){.fd = open(path, O_RDONLY | O_CLOEXEC)};
  if (out->fd < 0)
    return base_fail_errno(errno == ENOENT ? FORGE_E_NOT_FOUND : FORGE_E_IO, "%s", path);
  out->path = mem_strdup(path);
  out->chunk = mem_alloc(FORMAT_CHUNK);
  const forge_status st =
      out->path && out->chunk ? read_frame(out) : FAIL(FORGE_E_OOM, "%s: no memory", path);
  if (st) state_file_close(out);
  return st;
}

void state_file_close(state_file *f) {
  if (f->fd >= 0) close(f->fd);
  mem_free(f->path);
  mem_free(f->chunk);
  format_manifest_finish(&f->manifest);
  *f = (state_file){.fd = -1};
}

forge_status state_file_chunk(state_file *f, const format_item *item, size_t i, uint64_t *out_n) {
  const uint64_t at = (uint64_t)i * FORMAT_CHUNK, extent = format_extent(item->bytes);
  const uint64_t filled = extent - at < FORMAT_CHUNK ? extent - at : FORMAT_CHUNK;
  format_hash hash;
  TRY(read_at(f, f->chunk, filled, item->offset + at));
  hash_xxh128(f->chunk, filled, 0, hash.bytes);
  if (memcmp(&hash, &item->chunk[i], sizeof hash) != 0)
    return FAIL(FORGE_E_CORRUPT, "%s: %s '%s' fails its checksum (bytes %llu to %llu of the file)",
                f->path, item->blob ? "blob" : "tensor", item->name,
                (unsigned long long)(item->offset + at),
                (unsigned long long)(item->offset + at + filled));
  *out_n = item->bytes - at < filled ? item->bytes - at : filled;
  return FORGE_OK;
}

forge_status state_file_verify(state_file *f) {
  for (size_t i = 0; i < f->manifest.n_item; i++) {
    const format_item *item = &f->manifest.item[i];
    uint64_t n = 0;
    for (size_t k = 0; k < item->n_chunk; k++) TRY(state_file_chunk(f, item, k, &n));
  }
  return FORGE_OK;
}

static forge_status open_checked(const char *path, state_file *out) {
  TRY(state_file_open(path, out));
  const forge_status st = state_file_verify(out);
  if (st) state_file_close(out);
  return st;
}

static forge_status open_step(forge_store *store, uint64_t step, state_file *out) {
  char *path = store_file(store, step);
  if (!path) return FAIL(FORGE_E_OOM, "%s: no memory", store->path);
  forge_status st = open_checked(path, out);
  if (!st && out->manifest.step != step) {
    st = FAIL(FORGE_E_CORRUPT, "%s: holds step %llu, not the one it is named after", path,
              (unsigned long long)out->manifest.step);
    state_file_close(out);
  }
  mem_free(path);
  return st;
}

/* Newest first; what is damaged is said and passed over. */
static forge_status open_newest(forge_store *store, forge_restore *r) {
  uint64_t *steps = NULL;
  size_t n = 0;
  text passed = {0};
  TRY(store_list(store, &steps, &n));
  forge_status st = FAIL(FORGE_E_NOT_FOUND, "%s: there is no checkpoint", store->path);
  for (size_t i = 0; i < n; i++) {
    st = open_step(store, steps[i], &r->file);
    if (st != FORGE_E_CORRUPT && st != FORGE_E_UNSUPPORTED && st != FORGE_E_IO) break;
    text_add(&passed, "%s%s", passed.n ? "; " : "passed over: ", forge_error_last()->msg);
  }
  mem_free(steps);
  text_add(&passed, "%s", "");
  r->note = text_take(&passed);
  if (!st && !r->note) return FAIL(FORGE_E_OOM, "%s: no memory", store->path);
  return st;
}

forge_status forge_restore_open(forge_store *store, uint64_t step, forge_restore **out_restore) {
  forge_restore *r = mem_zalloc(sizeof *r);
  if (!r) return FAIL(FORGE_E_OOM, "%s: no memory", store->path);
  r->file.fd = -1;
  const forge_status st =
      step == FORGE_STEP_NEWEST ? open_newest(store, r) : open_step(store, step, &r->file);
  if (st) {
    forge_restore_close(r);
    return st;
  }
  if (r->note && *r->note) log_line(FORGE_LOG_WARN, "checkpoint: %s", r->note);
  *out_restore = r;
  return FORGE_OK;
}

void forge_restore_close(forge_restore *restore) {
  if (!restore) return;
  state_file_close(&restore->file);
  mem_free(restore->note);
  mem_free(restore);
}

uint64_t forge_restore_step(const forge_restore *restore) { return restore->file.manifest.step; }

const char *forge_restore_note(const forge_restore *restore) {
  return restore->note ? restore->note : "";
}

static forge_status find_tensor(const forge_restore *r, const char *name, uint8_t dtype,
                                uint8_t rank, const int64_t *dim, const format_item **out) {
  const format_item *item = format_find(&r->file.manifest, name);
  if (!item || item->blob)
    return FAIL(FORGE_E_NOT_FOUND, "%s: has no tensor '%s'", r->file.path, name);
  bool same = item->dtype == dtype && item->rank == rank;
  for (uint8_t k = 0; same && k < rank; k++) same = item->dim[k] == dim[k];
  if (!same)
    return FAIL(FORGE_E_MISMATCH, "%s: tensor '%s' has another type or shape than is asked for",
                r->file.path, name);
  *out = item;
  return FORGE_OK;
}

forge_status forge_restore_tensor(forge_restore *restore, const char *name, uint8_t dtype,
                                  uint8_t rank, const int64_t *dim, forge_buffer *buffer,
                                  uint64_t offset) {
  const format_item *item = NULL;
  uint64_t n = 0;
  TRY(find_tensor(restore, name, dtype, rank, dim, &item));
  for (size_t i = 0; i < item->n_chunk; i++) {
    TRY(state_file_chunk(&restore->file, item, i, &n));
    TRY(forge_buffer_write(buffer, offset + (uint64_t)i * FORMAT_CHUNK, restore->file.chunk, n));
  }
  return FORGE_OK;
}

static forge_status copy_out(forge_restore *r, const format_item *item, void *to) {
  uint64_t n = 0;
  for (size_t i = 0; i < item->n_chunk; i++) {
    TRY(state_file_chunk(&r->file, item, i, &n));
    memcpy((char *)to + (size_t)i * FORMAT_CHUNK, r->file.chunk, n);
  }
  return FORGE_OK;
}

forge_status forge_restore_host_tensor(forge_restore *restore, const char *name, uint8_t dtype,
                                       uint8_t rank, const int64_t *dim, void *data) {
  const format_item *item = NULL;
  TRY(find_tensor(restore, name, dtype, rank, dim, &item));
  return copy_out(restore, item, data);
}

forge_status forge_restore_blob(forge_restore *restore, const char *name, char **out_data,
                                uint64_t *out_bytes) {
  const format_item *item = format_find(&restore->file.manifest, name);
  if (!item || !item->blob)
    return FAIL(FORGE_E_NOT_FOUND, "%s: has no blob '%s'", restore->file.path, name);
  char *data = mem_alloc(item->bytes + 1);
  if (!data) return FAIL(FORGE_E_OOM, "%s: no memory for blob '%s'", restore->file.path, name);
  const forge_status st = copy_out(restore, item, data);
  if (st) {
    mem_free(data);
    return st;
  }
  data[item->bytes] = 0;
  *out_data = data;
  *out_bytes = item->bytes;
  return FORGE_OK;
}

forge_status forge_checkpoint_verify(const char *path) {
  state_file f;
  TRY(open_checked(path, &f));
  state_file_close(&f);
  return FORGE_OK;
}

forge_status forge_checkpoint_inspect(const char *path, char **out_json) {
  state_file f;
  TRY(state_file_open(path, &f));
  char *json = format_manifest_text(&f.manifest, false);
  state_file_close(&f);
  if (!json) return FAIL(FORGE_E_OOM, "%s: no memory", path);
  *out_json = json;
  return FORGE_OK;
}
