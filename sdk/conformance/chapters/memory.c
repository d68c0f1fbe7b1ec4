/* memory.c -- blocks: what mem_alloc() gives, what it refuses, and that blocks keep what is in
 * them. Memory that runs out is in shortage.c. */
#include <pthread.h>
#include <string.h>

#include "work.h"

static forge_status try_alloc(rig *r, const forge_mem_desc *desc, forge_mem **out,
                              forge_mem_out *info) {
  *out = NULL;
  *info = (forge_mem_out){.size = sizeof *info};
  return rig_table()->mem_alloc(rig_device(r), desc, out, info);
}

static forge_mem_desc wish(uint64_t bytes, uint64_t align) {
  return (forge_mem_desc){
      .size = sizeof(forge_mem_desc), .kind = FORGE_MEM_DEVICE, .bytes = bytes, .align = align};
}

static void destroys_nothing(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  rig_table()->mem_free(rig_device(r), NULL);
  rig_table()->queue_destroy(NULL);
  rig_table()->tl_destroy(NULL);
  rig_table()->prog_destroy(NULL);
  rig_close(r);
}

static void is_aligned(const void *arg) {
  (void)arg;
  static const uint64_t sizes[] = {1, 3, 255, 4096, 4097, 1 << 20};
  rig *r = rig_open();
  for (uint64_t align = 1; align <= 65536; align *= 2)
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      const forge_mem_desc desc = wish(sizes[i], align);
      forge_mem_out info;
      forge_mem *mem;
      const forge_status status = try_alloc(r, &desc, &mem, &info);
      if (status && align > 4096) continue;
      rig_expect(status, "mem_alloc");
      CHECK(info.dev_addr % align == 0, "dev_addr 0x%llx is not on %llu bytes",
            (unsigned long long)info.dev_addr, (unsigned long long)align);
      CHECK((uintptr_t)info.host_ptr % align == 0, "host_ptr %p is not on %llu bytes",
            info.host_ptr, (unsigned long long)align);
      rig_free_mem(r, mem);
    }
  rig_close(r);
}

enum { BLOCKS = 24 };

static void is_its_own(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  forge_mem *mem[BLOCKS];
  forge_mem_out info[BLOCKS];
  for (int i = 0; i < BLOCKS; i++) {
    const forge_mem_desc desc = wish(1000 + 4096 * (uint64_t)i, 0);
    rig_expect(try_alloc(r, &desc, &mem[i], &info[i]), "mem_alloc");
    work_put(r, mem[i], desc.bytes / 4 * 4, (uint64_t)i);
    for (int k = 0; k < i; k++) {
      CHECK(mem[i] != mem[k], "mem_alloc gave one block twice");
      const uint64_t a = info[i].dev_addr, b = info[k].dev_addr;
      CHECK(!a || a >= b + 1000 + 4096 * (uint64_t)k || b >= a + desc.bytes,
            "the addresses of two blocks overlap: 0x%llx and 0x%llx", (unsigned long long)a,
            (unsigned long long)b);
    }
  }
  for (int i = 0; i < BLOCKS; i++)
    work_expect(r, mem[i], (1000 + 4096 * (uint64_t)i) / 4 * 4, (uint64_t)i,
                "a block after others were written");
  for (int i = 0; i < BLOCKS; i++) rig_free_mem(r, mem[i]);
  rig_close(r);
}

static void answers_truly(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  for (uint32_t kind = FORGE_MEM_DEVICE; kind <= FORGE_MEM_HOST_SHARED; kind++) {
    forge_mem_desc desc = wish(10000, 256);
    forge_mem_out info;
    forge_mem *mem;
    desc.kind = kind;
    const forge_status status = try_alloc(r, &desc, &mem, &info);
    CHECK(!status || (kind != FORGE_MEM_DEVICE && status == FORGE_E_UNSUPPORTED),
          "mem_alloc of kind %u answers %s (%d): %s", kind, rig_status_name(status), status,
          rig_words());
    if (status) continue;
    const uint64_t g = info.granularity;
    CHECK((g & (g - 1)) == 0, "granularity is %llu, no power of two", (unsigned long long)g);
    CHECK(kind == FORGE_MEM_DEVICE || info.host_ptr, "memory of kind %u has no host_ptr", kind);
    if (info.host_ptr) {
      uint8_t back[10000];
      memset(info.host_ptr, 0x5A, sizeof back);
      rig_fetch(r, mem, 0, back, sizeof back);
      for (size_t i = 0; i < sizeof back; i++)
        CHECK(back[i] == 0x5A, "byte %zu written through host_ptr is not what a copy reads", i);
    }
    rig_free_mem(r, mem);
  }
  rig_close(r);
}

static void impossible_sizes(const void *arg) {
  (void)arg;
  static const uint64_t sizes[] = {UINT64_MAX,         UINT64_MAX - 1,     UINT64_MAX - 4095,
                                   UINT64_MAX - 65535, UINT64_MAX / 2 + 1, UINT64_MAX / 2,
                                   UINT64_C(1) << 62,  UINT64_C(1) << 56};
  static const uint64_t aligns[] = {0, 4096};
  rig *r = rig_open();
  forge_mem *kept = rig_alloc(r, 4096);
  work_put(r, kept, 4096, 1);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (int k = 0; k < 2; k++) {
      const forge_mem_desc desc = wish(sizes[i], aligns[k]);
      forge_mem_out info;
      forge_mem *mem;
      const forge_status status = try_alloc(r, &desc, &mem, &info);
      CHECK(status == FORGE_E_OOM || status == FORGE_E_INVALID,
            "mem_alloc of %llu bytes answers %s (%d), not E_OOM", (unsigned long long)sizes[i],
            rig_status_name(status), status);
    }
  work_expect(r, kept, 4096, 1, "another block after impossible wishes");
  rig_free_mem(r, kept);
  rig_close(r);
}

static void refused(rig *r, const forge_mem_desc *desc, const char *what) {
  forge_mem_out info;
  forge_mem *mem;
  const forge_status status = try_alloc(r, desc, &mem, &info);
  CHECK(status == FORGE_E_UNSUPPORTED || status == FORGE_E_INVALID,
        "mem_alloc with %s answers %s (%d), not E_UNSUPPORTED or E_INVALID", what,
        rig_status_name(status), status);
}

static void unknown_wishes(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  static const uint32_t kinds[] = {0, 4, 77, UINT32_MAX};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    forge_mem_desc desc = wish(4096, 0);
    desc.kind = kinds[i];
    refused(r, &desc, "an unknown kind");
  }
  for (int bit = 0; bit < 32; bit++) {
    forge_mem_desc desc = wish(4096, 0);
    desc.flags = 1u << bit;
    refused(r, &desc, "an unknown flag");
  }
  forge_mem_desc desc = wish(4096, 0);
  desc.export_caps = 0x80000000;
  refused(r, &desc, "an unknown bit of export_caps");
  rig_close(r);
}

/* ---- many threads ---- */

enum { THREADS = 8, ROUNDS = 40 };
static rig *shared;
static pthread_mutex_t on_queue = PTHREAD_MUTEX_INITIALIZER;

/* Calls on one queue are serialised, as the core does it. */
static void *come_and_go(void *number) {
  const uint64_t seed = (uint64_t)(uintptr_t)number;
  for (uint64_t i = 0; i < ROUNDS; i++) {
    const uint64_t bytes = 4 * (1 + (seed * 37 + i * 101) % 5000);
    forge_mem *mem = rig_alloc(shared, bytes);
    pthread_mutex_lock(&on_queue);
    work_put(shared, mem, bytes, seed * 1000 + i);
    pthread_mutex_unlock(&on_queue);
    forge_mem *other = rig_alloc(shared, 777);
    rig_free_mem(shared, other);
    pthread_mutex_lock(&on_queue);
    work_expect(shared, mem, bytes, seed * 1000 + i, "a block while threads come and go");
    pthread_mutex_unlock(&on_queue);
    rig_free_mem(shared, mem);
  }
  return NULL;
}

static void many_threads(const void *arg) {
  pthread_t id[THREADS];
  (void)arg;
  shared = rig_open();
  for (uintptr_t i = 0; i < THREADS; i++)
    CHECK(!pthread_create(&id[i], NULL, come_and_go, (void *)(i + 1)), "the suite has no thread");
  for (int i = 0; i < THREADS; i++) pthread_join(id[i], NULL);
  rig_close(shared);
}

static void keeps_bytes(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  forge_mem *kept = rig_alloc(r, 1 << 20), *other[16];
  work_put(r, kept, 1 << 20, 7);
  for (int round = 0; round < 4; round++) {
    for (int i = 0; i < 16; i++) {
      other[i] = rig_alloc(r, 1u << (8 + i % 12));
      work_put(r, other[i], 1u << (8 + i % 12), (uint64_t)i);
    }
    for (int i = 15; i >= 0; i--) rig_free_mem(r, other[i]);
  }
  work_expect(r, kept, 1 << 20, 7, "a block while others came and went");
  rig_free_mem(r, kept);
  rig_close(r);
}

void chapter_memory(test_list *list) {
  TEST(list, "memory.free_null", destroys_nothing, FB_M3);
  TEST(list, "memory.alignment", is_aligned, FB_M1);
  TEST(list, "memory.distinct", is_its_own, FB_M1);
  TEST(list, "memory.answers", answers_truly, FB_M2);
  TEST(list, "memory.impossible_sizes", impossible_sizes, FB_M4, FB_E5);
  TEST(list, "memory.unknown_wishes", unknown_wishes, FB_M5);
  TEST(list, "memory.keeps_bytes", keeps_bytes, FB_M8);
  TEST(list, "memory.threads", many_threads, FB_M8);
}
