/* device.h -- an open device as the rooms to the right of this one see it. Public half:
 * forge/forge.h. */
#ifndef FORGE_DEVICE_H
#define FORGE_DEVICE_H

#include <forge/backend.h>

#include "base.h"

/* The backend's table, adapted by the loader to full size: no slot is NULL. */
const forge_backend_v1 *device_table(const forge_device *device);
forge_dev *device_handle(const forge_device *device);
const char *device_name(const forge_device *device); /* "cpu/avx2:0" */
/* The operator's fallback policy for programs on this device: FORGE_FALLBACK_ERROR .. ALLOW
 * (program.h). */
uint32_t device_fallback_policy(const forge_device *device);

/* Turns a status of a table call into this thread's failure, using what the backend reported during
 * the call. E_DEVICE_LOST fails the device's moments for good. */
forge_status device_failed(forge_device *device, forge_status status, const char *what);

/* The same for a call that makes an object: a success without one is the backend's fault too. */
forge_status device_made(forge_device *device, forge_status status, const void *object,
                         const char *what);

/* Keeps the device open until a further forge_device_close(). */
void device_retain(forge_device *device);

/* Counts memory that a program holds inside the backend (its workspace) in the device's accounts:
 * |bytes| more, or less when negative. |tag| as for forge_buffer_create(). */
void device_note_memory(forge_device *device, const char *tag, int64_t bytes);

/* Fails: E_FORKED when the device was opened before the last fork(). */
forge_status device_check_process(const forge_device *device);
/* The same, and E_DEVICE_LOST once a call of the table answered that: from then on the backend need
 * only take its objects back. Asked before every other call. */
forge_status device_check_alive(const forge_device *device);

/* True for the host's own pages, which are read-only. */
bool device_buffer_is_imported(const forge_buffer *buffer);

/* Where a buffer lies for the backend. Valid until the buffer is destroyed. */
forge_bind device_buffer_bind(const forge_buffer *buffer);

/* Submits |prog| on the device's compute queue, in order after everything before; the moment is
 * reached when it is done. Copies of other devices that the work must wait for were waited for by
 * the core. No lock is taken while one thread uses the device; no allocation. */
forge_status device_submit(forge_device *device, forge_prog *prog, const forge_bind *bind,
                           uint32_t n_bind, const uint64_t *scalar, uint32_t n_scalar,
                           forge_moment *out_done);

#endif
