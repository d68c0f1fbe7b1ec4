/* write.c -- one checkpoint on its way to the disk. The order in publish() is the promise. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "hash.h"
#include "store.h"

struct forge_checkpoint {
  forge_store *store;
  char *part, *path;
  int fd; /* -1: closed */
  bool made, broken;
  uint64_t at;
  uint8_t header[FORMAT_HEADER];
  uint8_t *chunk; /* FORMAT_CHUNK bytes */
  format_manifest manifest;
};

static forge_status put(forge_checkpoint *c, const void *bytes, size_t n) {
  const forge_status st = state_io_write(c->store->io, c->fd, bytes, n, c->path);
  if (st)
    c->broken = true;
  else
    c->at += n;
  return st;
}

static forge_status start(forge_checkpoint *c, uint64_t step) {
  const state_io *io = c->store->io;
  c->path = store_file(c->store, step);
  c->part = mem_printf("%s/step-%020llu.%ld.part", c->store->path, (unsigned long long)step,
                       (long)getpid());
  c->chunk = mem_alloc(FORMAT_CHUNK);
  if (!c->path || !c->part || !c->chunk) return FAIL(FORGE_E_OOM, "checkpoint: no memory");
  if ((c->fd = io->create(io->ctx, c->part)) < 0)
    return base_fail_errno(FORGE_E_IO, "%s: cannot be created", c->part);
  c->made = true;
  c->manifest.step = step;
  format_put_header(c->header, step);
  return put(c, c->header, sizeof c->header);
}

forge_status forge_checkpoint_begin(forge_store *store, uint64_t step,
                                    forge_checkpoint **out_checkpoint) {
  if (store->read_only) return FAIL(FORGE_E_POLICY, "%s: was opened for reading only", store->path);
  if (store->writing)
    return FAIL(FORGE_E_INVALID, "%s: another checkpoint is being written", store->path);
  if (step > INT64_MAX) return FAIL(FORGE_E_INVALID, "checkpoint: step is too large");
  forge_checkpoint *c = mem_zalloc(sizeof *c);
  if (!c) return FAIL(FORGE_E_OOM, "checkpoint: no memory");
  c->store = store;
  c->fd = -1;
  store->writing = c;
  const forge_status st = start(c, step);
  if (st) {
    forge_checkpoint_abort(c);
    return st;
  }
  *out_checkpoint = c;
  return FORGE_OK;
}

/* Where the bytes of an item come from: a buffer, or the host. */
typedef struct source {
  forge_buffer *buffer;
  uint64_t offset;
  const uint8_t *host;
} source;

static forge_status fetch(const source *from, uint64_t at, uint8_t *to, size_t n) {
  if (from->buffer) return forge_buffer_read(from->buffer, from->offset + at, to, n);
  if (n) memcpy(to, from->host + at, n);
  return FORGE_OK;
}

static forge_status put_chunk(forge_checkpoint *c, format_item *item, const source *from,
                              uint64_t at, uint64_t extent) {
  const size_t filled = extent - at < FORMAT_CHUNK ? (size_t)(extent - at) : FORMAT_CHUNK;
  const size_t n = item->bytes - at < filled ? (size_t)(item->bytes - at) : filled;
  TRY(fetch(from, at, c->chunk, n));
  memset(c->chunk + n, 0, filled - n);
  if (!ARRAY_GROW(item->chunk, item->n_chunk, item->cap_chunk))
    return FAIL(FORGE_E_OOM, "checkpoint: no memory for checksums");
  hash_xxh128(c->chunk, filled, 0, item->chunk[item->n_chunk++].bytes);
  return put(c, c->chunk, filled);
}

static forge_status new_item(forge_checkpoint *c, const char *name, format_item **out) {
  if (c->broken) return FAIL(FORGE_E_INVALID, "%s: failed before; abort it", c->path);
  if (strlen(name) > FORMAT_NAME_MAX || format_find(&c->manifest, name))
    return FAIL(FORGE_E_INVALID, "checkpoint: name '%s' is too long or used twice", name);
  if (!ARRAY_GROW(c->manifest.item, c->manifest.n_item, c->manifest.cap_item))
    return FAIL(FORGE_E_OOM, "checkpoint: no memory");
  char *copy = mem_strdup(name);
  if (!copy) return FAIL(FORGE_E_OOM, "checkpoint: no memory");
  *out = &c->manifest.item[c->manifest.n_item++];
  **out = (format_item){.name = copy, .offset = c->at};
  return FORGE_OK;
}

/* After a failure only abort remains: a checkpoint that lacks an item must not become one. */
static forge_status keep_failure(forge_checkpoint *c, forge_status st) {
  if (st) c->broken = true;
  return st;
}

static forge_status put_item(forge_checkpoint *c, format_item *item, const source *from) {
  const uint64_t extent = format_extent(item->bytes);
  for (uint64_t at = 0; at < extent; at += FORMAT_CHUNK) {
    const forge_status st = put_chunk(c, item, from, at, extent);
    if (st) return base_fail_in(st, "checkpoint item %s", item->name);
  }
  return FORGE_OK;
}

static forge_status put_tensor(forge_checkpoint *c, const char *name, uint8_t dtype, uint8_t rank,
                               const int64_t *dim, const source *from) {
  uint64_t bytes = 0;
  format_item *item = NULL;
  TRY(format_tensor_bytes(name, dtype, rank, dim, &bytes));
  TRY(new_item(c, name, &item));
  item->dtype = dtype;
  item->rank = rank;
  item->bytes = bytes;
  for (uint8_t k = 0; k < rank; k++) item->dim[k] = dim[k];
  return put_item(c, item, from);
}

forge_status forge_checkpoint_tensor(forge_checkpoint *checkpoint, const char *name, uint8_t dtype,
                                     uint8_t rank, const int64_t *dim, forge_buffer *buffer,
                                     uint64_t offset) {
  const source from = {.buffer = buffer, .offset = offset};
  return keep_failure(checkpoint, put_tensor(checkpoint, name, dtype, rank, dim, &from));
}

forge_status forge_checkpoint_host_tensor(forge_checkpoint *checkpoint, const char *name,
                                          uint8_t dtype, uint8_t rank, const int64_t *dim,
                                          const void *data) {
  const source from = {.host = data};
  return keep_failure(checkpoint, put_tensor(checkpoint, name, dtype, rank, dim, &from));
}

static forge_status put_blob(forge_checkpoint *c, const char *name, const void *data,
                             uint64_t bytes) {
  format_item *item = NULL;
  if (bytes > INT64_MAX / 2) return FAIL(FORGE_E_INVALID, "blob %s: too large", name);
  TRY(new_item(c, name, &item));
  item->blob = true;
  item->bytes = bytes;
  return put_item(c, item, &(source){.host = data});
}

forge_status forge_checkpoint_blob(forge_checkpoint *checkpoint, const char *name, const void *data,
                                   uint64_t bytes) {
  return keep_failure(checkpoint, put_blob(checkpoint, name, data, bytes));
}

static forge_status put_end(forge_checkpoint *c) {
  uint8_t footer[FORMAT_FOOTER];
  char *manifest = format_manifest_text(&c->manifest, true);
  if (!manifest)
    return FAIL(FORGE_E_OOM, "%s: no memory for the manifest, or a name is not UTF-8", c->path);
  const uint64_t offset = c->at, bytes = strlen(manifest);
  forge_status st = bytes > FORMAT_MANIFEST_MAX
                        ? FAIL(FORGE_E_INVALID, "%s: too many tensors for one checkpoint", c->path)
                        : put(c, manifest, bytes);
  if (!st) {
    format_put_footer(footer, c->header, offset, manifest, bytes);
    st = put(c, footer, sizeof footer);
  }
  mem_free(manifest);
  return st;
}

/* A flush that failed once may have dropped the data and would succeed when repeated: the file is
 * given up, never flushed again. */
static forge_status seal(forge_checkpoint *c) {
  const state_io *io = c->store->io;
  forge_status st = FORGE_OK;
  if (io->flush(io->ctx, c->fd))
    st = base_fail_errno(FORGE_E_IO, "%s: flushing failed; nothing was replaced", c->path);
  if (io->close(io->ctx, c->fd) && !st)
    st = base_fail_errno(FORGE_E_IO, "%s: closing failed; nothing was replaced", c->path);
  c->fd = -1;
  return st;
}

static forge_status publish(forge_checkpoint *c) {
  const state_io *io = c->store->io;
  TRY(seal(c));
  if (io->rename(io->ctx, c->part, c->path))
    return base_fail_errno(FORGE_E_IO, "%s: renaming failed; nothing was replaced", c->path);
  c->made = false;
  if (io->flush_folder(io->ctx, c->store->path)) /* success is the commit point */
    return base_fail_errno(FORGE_E_IO,
                           "%s: is written, but flushing its folder failed; a loss of "
                           "power may take it",
                           c->path);
  return FORGE_OK;
}

forge_status forge_checkpoint_commit(forge_checkpoint *checkpoint) {
  forge_checkpoint *c = checkpoint;
  forge_status st =
      c->broken ? FAIL(FORGE_E_INVALID, "%s: failed before; abort it", c->path) : put_end(c);
  if (!st) st = publish(c);
  if (!st) store_retain(c->store, c->manifest.step);
  forge_checkpoint_abort(c);
  return st;
}

void forge_checkpoint_abort(forge_checkpoint *checkpoint) {
  forge_checkpoint *c = checkpoint;
  if (!c) return;
  const state_io *io = c->store->io;
  if (c->fd >= 0) io->close(io->ctx, c->fd);
  if (c->made) io->unlink(io->ctx, c->part);
  c->store->writing = NULL;
  format_manifest_finish(&c->manifest);
  mem_free(c->chunk);
  mem_free(c->part);
  mem_free(c->path);
  mem_free(c);
}
