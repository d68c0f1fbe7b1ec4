/* handshake.c -- the entry, the reply and the table. */
#include <string.h>

#include "host.h"
#include "plugin.h"
#include "work.h"

static forge_reply negotiate(void) {
  forge_reply reply;
  const forge_status status = plugin_negotiate(&reply);
  CHECK(!status, "the entry answers %s (%d): %s", rig_status_name(status), status, rig_words());
  CHECK(reply.table, "the entry answers OK and gives no table");
  return reply;
}

static void entry(const void *arg) {
  (void)arg;
  const forge_reply reply = negotiate();
  CHECK(reply.size == sizeof reply, "the entry changed the reply's size to %u", reply.size);
  CHECK(reply.sanitizer <= FORGE_SANITIZER_THREAD, "sanitizer is %u, none of FORGE_SANITIZER_*",
        reply.sanitizer);
}

static void minors(const void *arg) {
  (void)arg;
  const forge_reply reply = negotiate();
  CHECK(reply.minor_min <= reply.minor_max, "minor_min %u is above minor_max %u", reply.minor_min,
        reply.minor_max);
  CHECK(reply.minor_min <= FORGE_ABI_MINOR,
        "it speaks minors from %u on; this suite knows up to %u", reply.minor_min, FORGE_ABI_MINOR);
}

static void layout(const void *arg) {
  (void)arg;
  const forge_reply reply = negotiate();
  CHECK(reply.layout_id == FORGE_LAYOUT_ID,
        "layout_id is %llu, FORGE_LAYOUT_ID is %llu: a packing flag, or an edited header",
        (unsigned long long)reply.layout_id, (unsigned long long)FORGE_LAYOUT_ID);
}

static void check_word(const char *what, const char *s, size_t most) {
  CHECK(s, "%s is NULL", what);
  const size_t n = strnlen(s, most + 1);
  CHECK(n > 0, "%s is empty", what);
  CHECK(n <= most, "%s is longer than %zu bytes", what, most);
  CHECK(host_is_text(s, n), "%s is not UTF-8 without control characters", what);
}

static void strings(const void *arg) {
  (void)arg;
  const forge_reply reply = negotiate();
  check_word("name", reply.name, 63);
  check_word("vendor", reply.vendor, 255);
  check_word("version", reply.version, 255);
  CHECK(!test_set.name || !strcmp(test_set.name, reply.name),
        "the entry says it is \"%s\", its manifest \"%s\"", reply.name, test_set.name);
  forge_probe probe = {.size = sizeof probe};
  plugin_table()->probe(&probe);
  check_word("name, after probe(),", reply.name, 63);
}

static void table(const void *arg) {
  (void)arg;
  const forge_reply reply = negotiate();
  const forge_backend_v1 *t = reply.table;
  CHECK(t->n_slots >= FORGE_BACKEND_SLOTS, "n_slots is %u; minor 0 has %u", t->n_slots,
        FORGE_BACKEND_SLOTS);
  CHECK(t->rsv == 0, "rsv of the table is %u, not 0", t->rsv);
#define HAS(slot) CHECK(t->slot, "the required slot %s is NULL", #slot)
  HAS(probe);
  HAS(dev_info);
  HAS(dev_open);
  HAS(dev_close);
  HAS(mem_alloc);
  HAS(mem_free);
  HAS(queue_create);
  HAS(queue_destroy);
  HAS(tl_create);
  HAS(tl_destroy);
  HAS(tl_query);
  HAS(tl_wait);
  HAS(op_support);
  HAS(prog_create);
  HAS(prog_destroy);
  HAS(submit);
  HAS(copy);
#undef HAS
}

/* One life of the plugin: open, write, read, close. */
static void live(uint64_t seed) {
  rig *r = rig_open();
  forge_mem *mem = rig_alloc(r, 4096);
  work_put(r, mem, 4096, seed);
  work_expect(r, mem, 4096, seed, "memory written in this life of the plugin");
  rig_free_mem(r, mem);
  rig_close(r);
}

static void again(const void *arg) {
  (void)arg;
  for (uint64_t life = 1; life <= 3; life++) {
    test_at("life %llu: entry, open, close, shutdown", (unsigned long long)life);
    live(life);
    plugin_shutdown();
  }
}

/* ---- blocks ---- */

static void unknown_blocks(const void *arg) {
  (void)arg;
  static const uint32_t ids[] = {0, 999, 0x7FFFFFFF, UINT32_MAX};
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
    const void *block = NULL;
    const forge_status status = rig_table()->get_block(ids[i], 0, &block);
    CHECK(status == FORGE_E_UNSUPPORTED, "get_block(%u) answers %s (%d), not E_UNSUPPORTED", ids[i],
          rig_status_name(status), status);
  }
  for (uint32_t id = FORGE_BLOCK_COLL; id <= FORGE_BLOCK_TESTING; id++) {
    const void *block = NULL;
    const forge_status status = rig_table()->get_block(id, 9999, &block);
    CHECK(status == FORGE_E_UNSUPPORTED, "get_block(%u) has a minor 9999: %s (%d)", id,
          rig_status_name(status), status);
  }
}

/* Every block begins with n_slots, rsv and then functions. */
typedef struct any_block {
  uint32_t n_slots, rsv;
  void (*slot[])(void);
} any_block;

static void offered_blocks(const void *arg) {
  (void)arg;
  for (uint32_t id = FORGE_BLOCK_COLL; id <= FORGE_BLOCK_TESTING; id++) {
    const void *block = NULL;
    const forge_status status = rig_table()->get_block(id, 0, &block);
    CHECK(!status || status == FORGE_E_UNSUPPORTED, "get_block(%u) answers %s (%d)", id,
          rig_status_name(status), status);
    if (status) continue;
    const any_block *b = block;
    CHECK(b, "get_block(%u) answers OK and gives no table", id);
    CHECK(b->n_slots > 0 && b->n_slots < 64 && b->rsv == 0, "block %u has n_slots %u and rsv %u",
          id, b->n_slots, b->rsv);
    for (uint32_t i = 0; i < b->n_slots; i++)
      CHECK(b->slot[i], "slot %u of block %u is NULL", i, id);
    test_note("block %u: %u slots", id, b->n_slots);
  }
}

void chapter_handshake(test_list *list) {
  TEST(list, "handshake.entry", entry, FB_H1);
  TEST(list, "handshake.minors", minors, FB_H2);
  TEST(list, "handshake.layout", layout, FB_H3);
  TEST(list, "handshake.strings", strings, FB_H4);
  TEST(list, "handshake.table", table, FB_H5);
  TEST(list, "handshake.again", again, FB_H6);
  TEST(list, "handshake.unknown_blocks", unknown_blocks, FB_H7);
  TEST(list, "handshake.offered_blocks", offered_blocks, FB_H7);
}
