/* backend.c -- the entry, the table, failures and host memory. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host.h"

const forge_host *ocl_host;
static const ocl_place nowhere = {.op_index = FORGE_OP_INDEX_UNKNOWN};
static pthread_key_t place_key; /* const ocl_place *; no static TLS in a plugin */

void ocl_set_place(const ocl_place *place) { pthread_setspecific(place_key, place); }

static forge_status report(forge_status status, cl_int native, const char *text) {
  const ocl_place *place = pthread_getspecific(place_key);
  if (!place) place = &nowhere;
  const forge_error error = {.size = sizeof error,
                             .scope = status == FORGE_E_DEVICE_LOST ? FORGE_SCOPE_DEVICE
                                                                    : FORGE_SCOPE_CALL,
                             .code = status,
                             .native_code = native,
                             .native_domain = native ? "opencl" : NULL,
                             .msg = text,
                             .op_index = place->op_index,
                             .retryable = status == FORGE_E_OOM,
                             .prog_id = place->prog_id,
                             .tl_value = place->tl_value};
  ocl_host->report(ocl_host->ctx, &error);
  return status;
}

forge_status ocl_fail(forge_status status, const char *format, ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return report(status, 0, text);
}

forge_status ocl_status_of(cl_int code) {
  switch (code) {
  case CL_SUCCESS: return FORGE_OK;
  case CL_DEVICE_NOT_AVAILABLE: return FORGE_E_DEVICE_LOST;
  case CL_MEM_OBJECT_ALLOCATION_FAILURE:
  case CL_OUT_OF_RESOURCES:
  case CL_OUT_OF_HOST_MEMORY:
  case CL_INVALID_BUFFER_SIZE: return FORGE_E_OOM;
  case CL_COMPILER_NOT_AVAILABLE: return FORGE_E_UNSUPPORTED;
  default: return FORGE_E_FAULT;
  }
}

forge_status ocl_fail_cl(cl_int code, const char *format, ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (n < 0 || n >= (int)sizeof text) n = (int)sizeof text - 1;
  snprintf(text + n, sizeof text - (size_t)n, ": %s (%d)", ocl_code_name(code), code);
  return report(ocl_status_of(code), code, text);
}

void ocl_log(int32_t level, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  ocl_host->log(ocl_host->ctx, level, text, strlen(text));
}

void *ocl_alloc(size_t bytes) {
  void *p = ocl_host->alloc(ocl_host->ctx, bytes ? bytes : 1, 0);
  if (p) return memset(p, 0, bytes);
  ocl_fail(FORGE_E_OOM, "opencl: no %zu bytes of host memory; use less of it", bytes);
  return NULL;
}

void ocl_free(void *p) { ocl_host->free(ocl_host->ctx, p); }

static forge_status get_block(uint32_t id, uint32_t minor, const void **out_table) {
  if (id != FORGE_BLOCK_TESTING || minor != 0)
    return ocl_fail(FORGE_E_UNSUPPORTED,
                    "opencl: no block %" PRIu32 " minor %" PRIu32 "; there is TESTING (%d) minor 0",
                    id, minor, FORGE_BLOCK_TESTING);
  *out_table = &ocl_testing;
  return FORGE_OK;
}

static bool has_key;

/* Threads belong to queues and are gone with them. */
static void shutdown(void) {
  if (has_key) pthread_key_delete(place_key);
  has_key = false;
}

static const forge_backend_v1 table = {
    .n_slots = FORGE_BACKEND_SLOTS,
    .probe = ocl_probe,
    .get_block = get_block,
    .shutdown = shutdown,
    .dev_info = ocl_dev_info,
    .dev_open = ocl_dev_open,
    .dev_close = ocl_dev_close,
    .dev_query = ocl_dev_query,
    .mem_alloc = ocl_mem_alloc,
    .mem_free = ocl_mem_free,
    .queue_create = ocl_queue_create,
    .queue_destroy = ocl_queue_destroy,
    .tl_create = ocl_tl_create,
    .tl_destroy = forge_timeline_destroy,
    .tl_query = forge_timeline_query,
    .tl_wait = forge_timeline_wait,
    .op_support = ocl_op_support,
    .prog_create = ocl_prog_create,
    .prog_destroy = ocl_prog_destroy,
    .submit = ocl_submit,
    .copy = ocl_copy,
};

FORGE_BACKEND_ENTRY forge_status forge_backend_entry_v1(const forge_hello *hello,
                                                        forge_reply *reply) {
  ocl_host = hello->host;
  reply->minor_min = 0;
  reply->minor_max = FORGE_ABI_MINOR;
  reply->sanitizer = FORGE_SANITIZER_BUILT;
  reply->layout_id = FORGE_LAYOUT_ID;
  reply->name = "opencl";
  reply->vendor = "forge";
  reply->version = OCL_VERSION;
  reply->table = &table;
  if (!has_key) has_key = !pthread_key_create(&place_key, NULL);
  return has_key ? FORGE_OK : FORGE_E_OOM;
}
