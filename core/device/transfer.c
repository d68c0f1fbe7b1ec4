/* transfer.c -- bytes between host, buffers and devices. A copy between devices goes through the
 * host's view of one of them where it has one, else through a staging block of bounded size. */
#include "device_parts.h"

enum { STAGING_BYTES = 4 << 20 };

static forge_status check_range(const forge_buffer *b, uint64_t offset, uint64_t bytes,
                                const char *what) {
  uint64_t end;
  if (!b) return FAIL(FORGE_E_INVALID, "%s: no buffer", what);
  const uint64_t size = forge_buffer_bytes(b);
  if (!ADD_OVERFLOWS(offset, bytes, &end) && end <= size) return FORGE_OK;
  return FAIL(FORGE_E_INVALID, "%s: bytes %llu to %llu leave the buffer of %llu bytes on %s", what,
              (unsigned long long)offset, (unsigned long long)(offset + bytes),
              (unsigned long long)size, device_name(forge_buffer_device(b)));
}

static forge_status check_writable(const forge_buffer *b, const char *what) {
  if (!device_buffer_is_imported(b)) return FORGE_OK;
  return FAIL(FORGE_E_INVALID, "%s: the buffer is imported host memory, which is read-only", what);
}

static forge_bind part_of(const forge_buffer *b, uint64_t offset, uint64_t bytes) {
  const forge_bind whole = device_buffer_bind(b);
  return (forge_bind){whole.mem, whole.off + offset, bytes};
}

forge_status forge_buffer_write(forge_buffer *dst, uint64_t offset, const void *src,
                                uint64_t bytes) {
  TRY(check_range(dst, offset, bytes, "forge_buffer_write"));
  TRY(check_writable(dst, "forge_buffer_write"));
  if (!bytes) return FORGE_OK;
  const forge_copy copy = {.kind = FORGE_COPY_TO_DEVICE,
                           .dst = part_of(dst, offset, bytes),
                           .host = (void *)(uintptr_t)src};
  return device_copy_now(forge_buffer_device(dst), &copy, 1);
}

forge_status forge_buffer_read(forge_buffer *src, uint64_t offset, void *dst, uint64_t bytes) {
  TRY(check_range(src, offset, bytes, "forge_buffer_read"));
  if (!bytes) return FORGE_OK;
  const forge_copy copy = {
      .kind = FORGE_COPY_TO_HOST, .src = part_of(src, offset, bytes), .host = dst};
  return device_copy_now(forge_buffer_device(src), &copy, 1);
}

forge_status forge_buffer_fill(forge_buffer *dst, uint64_t offset, uint8_t byte, uint64_t bytes) {
  TRY(check_range(dst, offset, bytes, "forge_buffer_fill"));
  TRY(check_writable(dst, "forge_buffer_fill"));
  if (!bytes) return FORGE_OK;
  const forge_copy copy = {
      .kind = FORGE_COPY_FILL, .dst = part_of(dst, offset, bytes), .pattern = byte};
  return device_copy_now(forge_buffer_device(dst), &copy, 1);
}

static forge_status through_staging(forge_buffer *dst, uint64_t dst_offset, forge_buffer *src,
                                    uint64_t src_offset, uint64_t bytes) {
  const uint64_t step = bytes < STAGING_BYTES ? bytes : STAGING_BYTES;
  void *staging = mem_alloc(step);
  if (!staging) return FAIL(FORGE_E_OOM, "no host memory to copy between devices");
  forge_status st = FORGE_OK;
  for (uint64_t done = 0; !st && done < bytes;) {
    const uint64_t n = bytes - done < step ? bytes - done : step;
    st = forge_buffer_read(src, src_offset + done, staging, n);
    if (!st) st = forge_buffer_write(dst, dst_offset + done, staging, n);
    done += n;
  }
  mem_free(staging);
  return st;
}

static forge_status between_devices(forge_buffer *dst, uint64_t dst_offset, forge_buffer *src,
                                    uint64_t src_offset, uint64_t bytes) {
  uint8_t *from = forge_buffer_host(src), *to = forge_buffer_host(dst);
  if (from) { /* what the source still computes must be there before the host reads it */
    TRY(forge_device_wait(forge_buffer_device(src)));
    return forge_buffer_write(dst, dst_offset, from + src_offset, bytes);
  }
  if (to) {
    TRY(forge_device_wait(forge_buffer_device(dst)));
    return forge_buffer_read(src, src_offset, to + dst_offset, bytes);
  }
  return through_staging(dst, dst_offset, src, src_offset, bytes);
}

forge_status forge_buffer_copy(forge_buffer *dst, uint64_t dst_offset, forge_buffer *src,
                               uint64_t src_offset, uint64_t bytes) {
  TRY(check_range(dst, dst_offset, bytes, "forge_buffer_copy: destination"));
  TRY(check_range(src, src_offset, bytes, "forge_buffer_copy: source"));
  TRY(check_writable(dst, "forge_buffer_copy"));
  if (!bytes) return FORGE_OK;
  forge_device *device = forge_buffer_device(dst);
  if (device != forge_buffer_device(src))
    return between_devices(dst, dst_offset, src, src_offset, bytes);
  if (dst == src && dst_offset < src_offset + bytes && src_offset < dst_offset + bytes)
    return FAIL(FORGE_E_INVALID, "forge_buffer_copy: source and destination overlap");
  const forge_copy copy = {.kind = FORGE_COPY_ON_DEVICE,
                           .dst = part_of(dst, dst_offset, bytes),
                           .src = part_of(src, src_offset, bytes)};
  return device_copy_now(device, &copy, 1);
}
