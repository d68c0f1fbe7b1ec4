/* forge/forge.h -- what a program on top of Forge includes first: runtime, devices, memory, time.
 *
 *   forge_runtime  the operator's configuration and the backends it admits     forge_runtime_create
 *   forge_device   one accelerator, opened by name: "cpu:0", "cpu/avx2:0"      forge_device_open
 *   forge_buffer   memory on a device                                          forge_buffer_create
 * Programs: program.h. Models: model.h. Training: train.h. Inference: infer.h. Checkpoints:
 * state.h.
 *
 * Owners: what a _create or _open gave, the caller ends with _destroy or _close, children before
 * parents; both take NULL. Every other pointer is borrowed from the object it came from. Threads: a
 * runtime and a device may be used from any thread at once; any other object by one at a time.
 * Errors: every call that can fail returns a forge_status; forge_error_last() tells why. Nothing
 * aborts. After fork(), a device opened before it answers E_FORKED in the child. */
#ifndef FORGE_FORGE_H
#define FORGE_FORGE_H

#include "ops.h"
#include "status.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the library ---- */

/* "1.0.0"; lives for ever. */
FORGE_API const char *forge_version(void);

/* The reason for the last failure on this thread; borrowed until this thread's next Forge call.
 * Never NULL: after a success its code may be stale, so ask only when a call failed. */
FORGE_API const forge_error *forge_error_last(void);

/* "FORGE_E_OOM" and "out of host or device memory"; "unknown status" for a number that is none. */
FORGE_API const char *forge_status_name(forge_status status);
FORGE_API const char *forge_status_text(forge_status status);

/* Frees a text that a call gave as char **. NULL is fine. */
FORGE_API void forge_text_free(char *text);

/* Where the library's own log lines go; |level| is FORGE_LOG_*. NULL: standard error, warnings and
 * worse. Set it before the first runtime; called from any thread. */
typedef void (*forge_log_fn)(void *ctx, int32_t level, const char *line);
FORGE_API void forge_log_to(forge_log_fn fn, void *ctx, int32_t max_level);

/* ---- runtime ---- */

typedef struct forge_runtime forge_runtime;

/* Zero-initialise, then set |size|. */
typedef struct forge_runtime_options {
  uint32_t size, rsv;
  const char *config_path; /* NULL: $FORGE_CONFIG, else the usual places (docs/configuration.md),
                              else none */
  const char *const
      *overrides; /* "key=value" strings that win over everything; NULL-terminated; may be NULL */
} forge_runtime_options;

/* Reads the configuration and the manifests. Loads no backend. Fails: E_CONFIG (file, line, nearest
 * key), E_IO. */
FORGE_API forge_status forge_runtime_create(const forge_runtime_options *options,
                                            forge_runtime **out_runtime);
FORGE_API void forge_runtime_destroy(forge_runtime *runtime);

/* A JSON text of what the runtime knows; the caller frees it with forge_text_free().
 * DEVICES: every device of every backend (loads and probes them). DOCTOR: every manifest with
 * verdict and reason, and what would be chosen. CONFIG: every setting with value and origin. */
enum { FORGE_REPORT_DEVICES = 1, FORGE_REPORT_DOCTOR = 2, FORGE_REPORT_CONFIG = 3 };
FORGE_API forge_status forge_runtime_report(forge_runtime *runtime, uint32_t what, char **out_json);

/* ---- devices ---- */

typedef struct forge_device forge_device;

/* Opens "backend:ordinal", "backend/variant:ordinal", "backend" (ordinal 0), or the first one the
 * configuration admits (NULL or ""). Opening one twice gives the same device counted twice. Fails:
 * E_NOT_FOUND (lists what there is), E_POLICY (hidden by the operator), whatever the backend says.
 */
FORGE_API forge_status forge_device_open(forge_runtime *runtime, const char *name,
                                         forge_device **out_device);
FORGE_API void forge_device_close(forge_device *device);

typedef struct forge_device_info {
  uint32_t size, type;   /* FORGE_DEVICE_* of backend.h */
  uint64_t memory_total; /* bytes, 0: unknown */
  uint64_t memory_limit; /* the operator's, 0: none */
  uint64_t memory_used;  /* by live buffers and programs, as the core counts it */
  uint64_t memory_peak;  /* the highest memory_used so far */
  uint64_t memory_held;  /* taken from the backend, used or cached */
  uint32_t threads, rsv; /* computing threads, 0: not said */
  char name[64];         /* "cpu/avx2:0", complete */
  char model[128];       /* what the hardware calls itself */
} forge_device_info;

/* |info->size| set by the caller. */
FORGE_API forge_status forge_device_describe(forge_device *device, forge_device_info *info);

/* Waits until all work submitted to the device is done; returns its failure if it failed. */
FORGE_API forge_status forge_device_wait(forge_device *device);

/* ---- memory ---- */

typedef struct forge_buffer forge_buffer;

/* Reserves |bytes| (> 0), aligned to 256; contents undefined. |tag| names the purpose in accounts
 * ("weights"), may be NULL. Fails: E_OOM with need, limit and what holds the rest; nothing was
 * reserved. */
FORGE_API forge_status forge_buffer_create(forge_device *device, uint64_t bytes, const char *tag,
                                           forge_buffer **out_buffer);

/* Uses |bytes| of the host's own pages at |host| (which outlive the buffer and do not change) as
 * read-only device memory where the backend can; otherwise copies them. Any alignment. */
FORGE_API forge_status forge_buffer_import(forge_device *device, const void *host, uint64_t bytes,
                                           const char *tag, forge_buffer **out_buffer);

/* Waits for work that uses the buffer, then frees it. NULL is fine. */
FORGE_API void forge_buffer_destroy(forge_buffer *buffer);

FORGE_API uint64_t forge_buffer_bytes(const forge_buffer *buffer);
FORGE_API forge_device *forge_buffer_device(const forge_buffer *buffer);
/* 1 if forge_buffer_import() had to copy. */
FORGE_API int32_t forge_buffer_is_copy(const forge_buffer *buffer);

/* Where the host sees the buffer, NULL where it does not. Valid while no submitted work writes it.
 */
FORGE_API void *forge_buffer_host(forge_buffer *buffer);

/* Host to buffer, buffer to host, buffer to buffer (any two devices; through the host if there is
 * no direct way), and a fill with one byte. Ordered after all work submitted to the devices before;
 * done when the call returns. Fails: E_INVALID when a range leaves a buffer. */
FORGE_API forge_status forge_buffer_write(forge_buffer *dst, uint64_t offset, const void *src,
                                          uint64_t bytes);
FORGE_API forge_status forge_buffer_read(forge_buffer *src, uint64_t offset, void *dst,
                                         uint64_t bytes);
FORGE_API forge_status forge_buffer_copy(forge_buffer *dst, uint64_t dst_offset, forge_buffer *src,
                                         uint64_t src_offset, uint64_t bytes);
FORGE_API forge_status forge_buffer_fill(forge_buffer *dst, uint64_t offset, uint8_t byte,
                                         uint64_t bytes);

/* ---- time ---- */

/* A moment in a device's work: reached when everything submitted before it is done. Plain data,
 * freely copied. */
typedef struct forge_moment {
  forge_device *device;
  uint64_t value;
} forge_moment;

/* Waits for a moment: OK, E_TIMEOUT, or the failure of the work before it. FORGE_WAIT_FOREVER: no
 * limit. */
FORGE_API forge_status forge_moment_wait(forge_moment moment, uint64_t timeout_ns);

#ifdef __cplusplus
}
#endif
#endif
