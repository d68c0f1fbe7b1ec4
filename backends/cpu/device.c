/* device.c -- the open device, its options, and memory. The host's memory is the device's. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>

#include "glue.h"

#define HUGE_PAGE (UINT64_C(2) << 20)

static forge_status read_threads(const char *text, uint32_t *out) {
  char *end;
  const long n = strtol(text, &end, 10);
  if (end == text || *end || n < 0 || n > 1024)
    return cpu_fail(FORGE_E_INVALID, "cpu: option threads is \"%s\"; give a number 0..1024", text);
  *out = (uint32_t)n;
  return FORGE_OK;
}

static forge_status read_switch(const char *key, const char *text, bool *out) {
  static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (strcasecmp(text, words[i])) continue;
    *out = i & 1;
    return FORGE_OK;
  }
  return cpu_fail(FORGE_E_INVALID, "cpu: option %s is \"%s\"; give yes or no", key, text);
}

static forge_status read_options(const char *const *options, forge_dev *dev, uint32_t *threads) {
  for (; options && options[0]; options += 2) {
    forge_status status;
    if (!strcmp(options[0], "threads"))
      status = read_threads(options[1], threads);
    else if (!strcmp(options[0], "only_primitives"))
      status = read_switch(options[0], options[1], &dev->only_primitives);
    else
      status =
          cpu_fail(FORGE_E_INVALID,
                   "cpu: unknown option \"%s\"; there are threads and only_primitives", options[0]);
    if (status) return status;
  }
  return FORGE_OK;
}

forge_status cpu_dev_open(uint32_t ordinal, const char *const *options, forge_dev **out) {
  const char *missing = cpu_variant_missing();
  uint32_t threads = 0;
  if (ordinal != 0)
    return cpu_fail(FORGE_E_INVALID, "cpu: there is no device %" PRIu32 "; the only one is 0",
                    ordinal);
  if (missing) return cpu_fail(FORGE_E_UNSUPPORTED, "cpu: variant %s: %s", cpu_variant, missing);
  forge_dev *dev = cpu_alloc(sizeof *dev, 0);
  if (!dev) return FORGE_E_OOM;
  pthread_mutex_init(&dev->timelines_lock, NULL);
  pthread_cond_init(&dev->told, NULL);
  forge_status status = read_options(options, dev, &threads);
  if (!status) status = cpu_threads_create(threads, &dev->threads);
  if (status)
    cpu_dev_close(dev);
  else
    *out = dev;
  return status;
}

void cpu_dev_close(forge_dev *dev) {
  if (!dev) return;
  cpu_threads_destroy(dev->threads);
  pthread_cond_destroy(&dev->told);
  pthread_mutex_destroy(&dev->timelines_lock);
  cpu_free(dev);
}

forge_status cpu_dev_query(forge_dev *dev, uint32_t key, uint64_t arg, forge_value *out) {
  (void)arg;
  *out = (forge_value){.kind = FORGE_VALUE_U64, .status = FORGE_KNOWN};
  switch (key) {
  case FORGE_QUERY_THREADS: out->v.u = cpu_threads_count(dev->threads); return FORGE_OK;
  case FORGE_QUERY_PEER: out->v.u = 0; return FORGE_OK;
  case FORGE_QUERY_COMPUTE_UNITS: out->v.u = cpu_processors(); return FORGE_OK;
  case FORGE_QUERY_HOST_VISIBLE: out->v.u = 1; return FORGE_OK;
  case FORGE_QUERY_ISA:
    out->kind = FORGE_VALUE_STRING;
    out->v.s = cpu_variant;
    return FORGE_OK;
  default: return cpu_fail(FORGE_E_UNSUPPORTED, "cpu: unknown query %" PRIu32, key);
  }
}

/* ---- a device that is to be taken for gone ---- */

forge_status cpu_dev_check(const forge_dev *dev) {
  if (!atomic_load_explicit(&dev->lost, memory_order_relaxed)) return FORGE_OK;
  return cpu_fail(FORGE_E_DEVICE_LOST, "cpu: the device was lost, as a test asked; close it and "
                                       "open it again");
}

static forge_status lose(forge_dev *dev) {
  atomic_store(&dev->lost, true);
  cpu_tl_fail_all(dev, FORGE_E_DEVICE_LOST);
  return FORGE_OK;
}

const forge_block_testing_v0 cpu_testing = {.n_slots = 1, .lose = lose};

/* ---- memory ---- */

static void describe_memory(const forge_mem *mem, forge_mem_out *info) {
  info->flags = 0;
  info->dev_addr = (uint64_t)(uintptr_t)mem->base;
  info->granularity = 4096;
  info->host_ptr = mem->base;
}

/* Large blocks in large pages: fewer misses of the address cache. Only a wish. */
static void wish_huge(uint8_t *base, uint64_t bytes) {
  if (bytes >= 2 * HUGE_PAGE) madvise(base, bytes & ~(HUGE_PAGE - 1), MADV_HUGEPAGE);
}

forge_status cpu_mem_alloc(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                           forge_mem_out *info) {
  const forge_status alive = cpu_dev_check(dev);
  if (alive) return alive;
  if (desc->flags || desc->export_caps)
    return cpu_fail(FORGE_E_UNSUPPORTED,
                    "cpu: memory flags %#" PRIx32 " or export %#" PRIx32 " are not known; give 0",
                    desc->flags, desc->export_caps);
  if (desc->kind < FORGE_MEM_DEVICE || desc->kind > FORGE_MEM_HOST_SHARED || desc->bytes == 0 ||
      (desc->align & (desc->align - 1)))
    return cpu_fail(FORGE_E_INVALID,
                    "cpu: memory of kind %" PRIu32 ", %" PRIu64 " bytes, alignment %" PRIu64
                    "; kinds are 1..3, sizes over 0, alignments powers of two",
                    desc->kind, desc->bytes, desc->align);
  forge_mem *mem = cpu_alloc(sizeof *mem, 0);
  if (!mem) return FORGE_E_OOM;
  uint64_t align = desc->bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : 64;
  if (align < desc->align) align = desc->align;
  *mem = (forge_mem){.bytes = desc->bytes, .writable = true};
  if (desc->bytes <= SIZE_MAX / 2) mem->base = cpu_host->alloc(cpu_host->ctx, desc->bytes, align);
  if (!mem->base) {
    cpu_free(mem);
    return cpu_fail(FORGE_E_OOM, "cpu: no %" PRIu64 " bytes of host memory; free some or use less",
                    desc->bytes);
  }
  wish_huge(mem->base, mem->bytes);
  describe_memory(mem, info);
  *out = mem;
  return FORGE_OK;
}

void cpu_mem_free(forge_dev *dev, forge_mem *mem) {
  (void)dev;
  if (!mem) return;
  if (!mem->imported) cpu_free(mem->base);
  cpu_free(mem);
}

static forge_status import(forge_dev *dev, void *host, uint64_t bytes, uint32_t writable,
                           forge_mem **out, forge_mem_out *info) {
  const forge_status alive = cpu_dev_check(dev);
  if (alive) return alive;
  if (!host || !bytes)
    return cpu_fail(FORGE_E_INVALID, "cpu: nothing to import; give an address and a size");
  forge_mem *mem = cpu_alloc(sizeof *mem, 0);
  if (!mem) return FORGE_E_OOM;
  *mem = (forge_mem){.base = host, .bytes = bytes, .writable = writable != 0, .imported = true};
  describe_memory(mem, info);
  *out = mem;
  return FORGE_OK;
}

const forge_block_hostreg_v0 cpu_hostreg = {
    .n_slots = 2, .import = import, .release = cpu_mem_free};

forge_status cpu_bind_address(const forge_bind *bind, bool write, uint8_t **out) {
  const forge_mem *mem = bind->mem;
  if (!mem) return cpu_fail(FORGE_E_INVALID, "cpu: a binding has no memory; bind it first");
  if (bind->off > mem->bytes || bind->len > mem->bytes - bind->off)
    return cpu_fail(FORGE_E_INVALID,
                    "cpu: bytes %" PRIu64 " + %" PRIu64 " leave a memory block of %" PRIu64,
                    bind->off, bind->len, mem->bytes);
  if (write && !mem->writable)
    return cpu_fail(FORGE_E_INVALID, "cpu: imported memory is read-only; copy it to write there");
  *out = mem->base + bind->off;
  return FORGE_OK;
}
