/* buffer.c -- memory that frontends hold: from the device's pool, or the host's own pages. */
#include <unistd.h>

#include "device_parts.h"

enum { IMPORT_ALIGN = 4 }; /* elements of plain types lie aligned in what is imported */

struct forge_buffer {
  forge_device *device;
  uint64_t bytes;
  forge_bind bind;
  void *host;
  pool_piece *piece;   /* NULL: imported */
  forge_mem *imported; /* NULL: from the pool */
  int32_t is_copy;
};

static forge_status make(forge_device *d, uint64_t bytes, forge_buffer **out) {
  if (!d || !bytes) return FAIL(FORGE_E_INVALID, "a buffer needs a device and at least one byte");
  TRY(device_check_alive(d));
  *out = mem_zalloc(sizeof **out);
  if (!*out) return FAIL(FORGE_E_OOM, "%s: no host memory for a buffer", d->name);
  **out = (forge_buffer){.device = d, .bytes = bytes};
  return FORGE_OK;
}

forge_status forge_buffer_create(forge_device *d, uint64_t bytes, const char *tag,
                                 forge_buffer **out_buffer) {
  forge_buffer *b;
  TRY(make(d, bytes, &b));
  pthread_mutex_lock(&d->memory_lock);
  const forge_status st = pool_take(d->pool, bytes, tag, &b->piece);
  if (!st) {
    b->bind = pool_piece_bind(b->piece);
    b->host = pool_piece_host(b->piece);
  }
  pthread_mutex_unlock(&d->memory_lock);
  if (st) {
    mem_free(b);
    return base_fail_in(st, "%s", d->name);
  }
  device_retain(d);
  *out_buffer = b;
  return FORGE_OK;
}

/* The enclosing pages become device memory: backends take page-aligned starts only. */
static forge_status import_pages(forge_buffer *b, const void *host, uint64_t bytes) {
  forge_device *d = b->device;
  const uintptr_t address = (uintptr_t)host, page = (uintptr_t)sysconf(_SC_PAGESIZE);
  const uint64_t before = address & (page - 1);
  forge_mem_out info = {.size = sizeof info};
  if (!d->hostreg || address % IMPORT_ALIGN) return FORGE_E_UNSUPPORTED;
  TRY(d->hostreg->import(d->dev, (void *)(address - before), before + bytes, 0, &b->imported,
                         &info));
  b->bind = (forge_bind){b->imported, before, bytes};
  b->host = (void *)address;
  return FORGE_OK;
}

forge_status forge_buffer_import(forge_device *d, const void *host, uint64_t bytes, const char *tag,
                                 forge_buffer **out_buffer) {
  forge_buffer *b;
  if (!host) return FAIL(FORGE_E_INVALID, "forge_buffer_import needs a host address");
  TRY(make(d, bytes, &b));
  const forge_status st = import_pages(b, host, bytes);
  if (!st) {
    device_retain(d);
    *out_buffer = b;
    return FORGE_OK;
  }
  mem_free(b);
  if (st != FORGE_E_UNSUPPORTED) return device_failed(d, st, "importing host memory");
  TRY(forge_buffer_create(d, bytes, tag, &b));
  const forge_status copied = forge_buffer_write(b, 0, host, bytes);
  b->is_copy = 1;
  if (copied)
    forge_buffer_destroy(b);
  else
    *out_buffer = b;
  return copied;
}

void forge_buffer_destroy(forge_buffer *b) {
  if (!b) return;
  forge_device *d = b->device;
  const bool ours = !device_check_process(d);
  if (ours) {
    forge_device_wait(d); /* failed work does not use it any more either */
    pthread_mutex_lock(&d->memory_lock);
    pool_give(d->pool, b->piece);
    pthread_mutex_unlock(&d->memory_lock);
    if (b->imported) d->hostreg->release(d->dev, b->imported);
  }
  mem_free(b);
  forge_device_close(d);
}

uint64_t forge_buffer_bytes(const forge_buffer *b) { return b->bytes; }
forge_device *forge_buffer_device(const forge_buffer *b) { return b->device; }
int32_t forge_buffer_is_copy(const forge_buffer *b) { return b->is_copy; }
void *forge_buffer_host(forge_buffer *b) { return b->host; }
forge_bind device_buffer_bind(const forge_buffer *b) { return b->bind; }
bool device_buffer_is_imported(const forge_buffer *b) { return b->imported != NULL; }
