/* backend.c -- the entry, the table, and what can be said without an open device. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "glue.h"

const forge_host *cpu_host;
static _Thread_local cpu_place place = {.op_index = FORGE_OP_INDEX_UNKNOWN};

const char cpu_variant[] = FORGE_CPU_VARIANT;

void cpu_set_place(const cpu_place *p) {
  place = p ? *p : (cpu_place){.op_index = FORGE_OP_INDEX_UNKNOWN};
}

forge_status cpu_fail(forge_status status, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  const forge_error error = {.size = sizeof error,
                             .scope = FORGE_SCOPE_CALL,
                             .code = status,
                             .msg = text,
                             .op_index = place.op_index,
                             .retryable = status == FORGE_E_OOM,
                             .prog_id = place.prog_id,
                             .tl_value = place.tl_value};
  cpu_host->report(cpu_host->ctx, &error);
  return status;
}

void *cpu_alloc(size_t bytes, size_t align) {
  void *p = cpu_host->alloc(cpu_host->ctx, bytes ? bytes : 1, align);
  if (p) return memset(p, 0, bytes);
  cpu_fail(FORGE_E_OOM, "cpu: no %zu bytes of host memory; close other programs or use less",
           bytes);
  return NULL;
}

void cpu_free(void *p) { cpu_host->free(cpu_host->ctx, p); }

/* ---- the instruction set ---- */

/* __builtin_cpu_supports() takes a literal, hence a macro. */
#define NEED(feature)                                                                              \
  do {                                                                                             \
    if (!__builtin_cpu_supports(feature))                                                          \
      return "this processor has no " feature "; take the portable variant, which always runs";    \
  } while (0)

const char *cpu_variant_missing(void) {
#if defined(FORGE_CPU_NEEDS_AVX512)
  NEED("avx512f");
  NEED("avx512dq");
  NEED("avx512bw");
  NEED("avx512vl");
#elif defined(FORGE_CPU_NEEDS_AVX2)
  NEED("avx2");
  NEED("fma");
#endif
  return NULL;
}

static int32_t variant_score(void) {
#if defined(FORGE_CPU_NEEDS_AVX512)
  return 30;
#elif defined(FORGE_CPU_NEEDS_AVX2) || defined(FORGE_CPU_NEEDS_NEON)
  return 20;
#else
  return 10;
#endif
}

static forge_status probe(forge_probe *out) {
  out->why_not = cpu_variant_missing();
  out->n_devices = out->why_not ? 0 : 1;
  out->score = variant_score();
  out->driver = cpu_variant;
  return FORGE_OK;
}

/* "model name : X" of the first processor, if the kernel says it. */
static void read_model_name(char *name, size_t room) {
  char line[256];
  FILE *file = fopen("/proc/cpuinfo", "re");
  snprintf(name, room, "processor");
  if (!file) return;
  while (fgets(line, sizeof line, file)) {
    const char *value = strncmp(line, "model name", 10) ? NULL : strchr(line, ':');
    if (!value) continue;
    value += 1 + strspn(value + 1, " ");
    snprintf(name, room, "%.*s", (int)strcspn(value, "\n"), value);
    break;
  }
  fclose(file);
}

static forge_status dev_info(uint32_t ordinal, forge_dev_info *out) {
  if (ordinal != 0)
    return cpu_fail(FORGE_E_INVALID, "cpu: there is no device %" PRIu32 "; the only one is 0",
                    ordinal);
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  out->type = FORGE_DEVICE_CPU;
  memset(out->uuid, 0, sizeof out->uuid);
  out->pci_domain = 0;
  out->pci_bdf = 0xFFFFFFFFu;
  out->partition = 0;
  out->numa = -1;
  out->mem_total = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
  read_model_name(out->name, sizeof out->name);
  return FORGE_OK;
}

static forge_status get_block(uint32_t id, uint32_t minor, const void **out_table) {
  const void *block = NULL;
  if (id == FORGE_BLOCK_HOSTREG) block = &cpu_hostreg;
  if (id == FORGE_BLOCK_TESTING) block = &cpu_testing;
  if (!block || minor != 0)
    return cpu_fail(FORGE_E_UNSUPPORTED,
                    "cpu: no block %" PRIu32 " minor %" PRIu32
                    "; there are HOSTREG (%d) and TESTING (%d), both minor 0",
                    id, minor, FORGE_BLOCK_HOSTREG, FORGE_BLOCK_TESTING);
  *out_table = block;
  return FORGE_OK;
}

/* Threads belong to devices and are gone with them. */
static void shutdown(void) {}

static const forge_backend_v1 table = {
    .n_slots = FORGE_BACKEND_SLOTS,
    .probe = probe,
    .get_block = get_block,
    .shutdown = shutdown,
    .dev_info = dev_info,
    .dev_open = cpu_dev_open,
    .dev_close = cpu_dev_close,
    .dev_query = cpu_dev_query,
    .mem_alloc = cpu_mem_alloc,
    .mem_free = cpu_mem_free,
    .queue_create = cpu_queue_create,
    .queue_destroy = cpu_queue_destroy,
    .tl_create = cpu_tl_create,
    .tl_destroy = cpu_tl_destroy,
    .tl_query = cpu_tl_query,
    .tl_wait = cpu_tl_wait,
    .op_support = cpu_op_support,
    .prog_create = cpu_prog_create,
    .prog_destroy = cpu_prog_destroy,
    .submit = cpu_submit,
    .copy = cpu_copy,
};

FORGE_BACKEND_ENTRY forge_status forge_backend_entry_v1(const forge_hello *hello,
                                                        forge_reply *reply) {
  cpu_host = hello->host;
  reply->minor_min = 0;
  reply->minor_max = FORGE_ABI_MINOR;
  reply->sanitizer = FORGE_SANITIZER_BUILT;
  reply->layout_id = FORGE_LAYOUT_ID;
  reply->name = "cpu";
  reply->vendor = "forge";
  reply->version = FORGE_VERSION " " FORGE_CPU_VARIANT;
  reply->table = &table;
  if (hello->minor_min > FORGE_ABI_MINOR)
    return cpu_fail(FORGE_E_ABI,
                    "cpu: the core speaks ABI minors %" PRIu32 "..%" PRIu32
                    ", this backend 0..%u; update the backend",
                    hello->minor_min, hello->minor_max, FORGE_ABI_MINOR);
  return FORGE_OK;
}
