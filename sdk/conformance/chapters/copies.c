/* copies.c -- moving bytes. */
#include <string.h>

#include "work.h"

enum { BLOCK = 9000, ROUNDS = 400 };

static forge_copy to_device(forge_mem *mem, uint64_t off, void *host, uint64_t n) {
  return (forge_copy){.kind = FORGE_COPY_TO_DEVICE, .dst = {mem, off, n}, .host = host};
}
static forge_copy to_host(forge_mem *mem, uint64_t off, void *host, uint64_t n) {
  return (forge_copy){.kind = FORGE_COPY_TO_HOST, .src = {mem, off, n}, .host = host};
}
static forge_copy between(forge_mem *dst, uint64_t at, forge_mem *src, uint64_t from, uint64_t n) {
  return (forge_copy){.kind = FORGE_COPY_ON_DEVICE, .dst = {dst, at, n}, .src = {src, from, n}};
}
static forge_copy fill(forge_mem *mem, uint64_t off, uint64_t n, uint64_t pattern) {
  return (forge_copy){.kind = FORGE_COPY_FILL, .dst = {mem, off, n}, .pattern = pattern};
}

static void must(rig *r, const forge_copy *c, uint32_t n) {
  rig_expect(rig_copy(r, c, n), "copy");
  rig_finish(r);
}

static void same(rig *r, forge_mem *mem, const uint8_t *want, const char *what) {
  uint8_t have[BLOCK];
  memset(have, 0x11, sizeof have);
  rig_fetch(r, mem, 0, have, BLOCK);
  for (int i = 0; i < BLOCK; i++)
    CHECK(have[i] == want[i], "after %s byte %d of the block is 0x%02x and should be 0x%02x", what,
          i, have[i], want[i]);
}

typedef struct blocks {
  rig *r;
  forge_mem *mem[2];
  uint8_t model[2][BLOCK];
} blocks;

static blocks *open_blocks(void) {
  blocks *b = rig_zalloc(sizeof *b);
  uint64_t state = 5;
  b->r = rig_open();
  for (int i = 0; i < 2; i++) {
    b->mem[i] = rig_alloc(b->r, BLOCK);
    for (int k = 0; k < BLOCK; k++) b->model[i][k] = (uint8_t)test_random(&state);
    const forge_copy c = to_device(b->mem[i], 0, b->model[i], BLOCK);
    must(b->r, &c, 1);
  }
  return b;
}

static void close_blocks(blocks *b) {
  same(b->r, b->mem[0], b->model[0], "all of it");
  same(b->r, b->mem[1], b->model[1], "all of it");
  rig_free_mem(b->r, b->mem[0]);
  rig_free_mem(b->r, b->mem[1]);
  rig_close(b->r);
  free(b);
}

static uint64_t below(uint64_t *state, uint64_t n) { return test_random(state) % n; }

static void writes(const void *arg) {
  (void)arg;
  blocks *b = open_blocks();
  uint8_t bytes[BLOCK];
  uint64_t state = 1;
  for (int i = 0; i < ROUNDS; i++) {
    const uint64_t n = below(&state, i % 3 ? 70 : BLOCK), off = below(&state, BLOCK - n + 1);
    for (uint64_t k = 0; k < n; k++) bytes[k] = (uint8_t)test_random(&state);
    test_at("TO_DEVICE of %llu bytes at %llu", (unsigned long long)n, (unsigned long long)off);
    const forge_copy c = to_device(b->mem[0], off, bytes, n);
    must(b->r, &c, 1);
    memcpy(b->model[0] + off, bytes, n);
    if (i % 8 == 0) same(b->r, b->mem[0], b->model[0], "TO_DEVICE");
  }
  close_blocks(b);
}

static void reads(const void *arg) {
  (void)arg;
  blocks *b = open_blocks();
  uint8_t bytes[BLOCK + 128];
  uint64_t state = 2;
  for (int i = 0; i < ROUNDS; i++) {
    const uint64_t n = below(&state, i % 3 ? 70 : BLOCK), off = below(&state, BLOCK - n + 1);
    memset(bytes, 0x77, sizeof bytes);
    test_at("TO_HOST of %llu bytes at %llu", (unsigned long long)n, (unsigned long long)off);
    const forge_copy c = to_host(b->mem[0], off, bytes + 64, n);
    must(b->r, &c, 1);
    CHECK(!memcmp(bytes + 64, b->model[0] + off, n), "TO_HOST of %llu bytes at %llu is wrong",
          (unsigned long long)n, (unsigned long long)off);
    for (uint64_t k = 0; k < 64; k++)
      CHECK(bytes[k] == 0x77 && bytes[64 + n + k] == 0x77,
            "TO_HOST of %llu bytes wrote beside the host's buffer", (unsigned long long)n);
  }
  close_blocks(b);
}

static void moves(const void *arg) {
  (void)arg;
  blocks *b = open_blocks();
  uint64_t state = 3;
  for (int i = 0; i < ROUNDS; i++) {
    const int to = i & 1, from = i >> 1 & 1;
    uint64_t n = below(&state, i % 3 ? 70 : BLOCK / 2), at = below(&state, BLOCK - n + 1);
    const uint64_t src = below(&state, BLOCK - n + 1);
    if (to == from && src < at + n && at < src + n) continue; /* overlapping is not allowed */
    test_at("ON_DEVICE of %llu bytes from %llu to %llu", (unsigned long long)n,
            (unsigned long long)src, (unsigned long long)at);
    const forge_copy c = between(b->mem[to], at, b->mem[from], src, n);
    must(b->r, &c, 1);
    memcpy(b->model[to] + at, b->model[from] + src, n);
    if (i % 8 == 0) same(b->r, b->mem[to], b->model[to], "ON_DEVICE");
  }
  close_blocks(b);
}

static void fills(const void *arg) {
  (void)arg;
  static const uint64_t patterns[] = {0, 0xFF, 0x1234567890ABCD42, 0xFFFFFFFFFFFFFF00, 0x0102};
  blocks *b = open_blocks();
  uint64_t state = 4;
  for (int i = 0; i < ROUNDS; i++) {
    const uint64_t n = below(&state, i % 3 ? 70 : BLOCK), off = below(&state, BLOCK - n + 1);
    const uint64_t pattern = patterns[i % 5];
    test_at("FILL of %llu bytes at %llu with 0x%llx", (unsigned long long)n,
            (unsigned long long)off, (unsigned long long)pattern);
    const forge_copy c = fill(b->mem[0], off, n, pattern);
    must(b->r, &c, 1);
    memset(b->model[0] + off, (int)(pattern & 0xFF), n);
    if (i % 8 == 0) same(b->r, b->mem[0], b->model[0], "FILL (the pattern is its low byte)");
  }
  close_blocks(b);
}

static void nothing(const void *arg) {
  (void)arg;
  blocks *b = open_blocks();
  const forge_copy none[] = {to_device(b->mem[0], 0, NULL, 0), to_host(b->mem[0], BLOCK, NULL, 0),
                             between(b->mem[0], BLOCK, b->mem[1], BLOCK, 0),
                             fill(b->mem[0], 17, 0, 9)};
  for (int i = 0; i < 4; i++) {
    test_at("a copy of no bytes, kind %u", none[i].kind);
    must(b->r, &none[i], 1);
  }
  test_at("four copies of no bytes in one call");
  must(b->r, none, 4);
  test_at("copy() of no copies that signals");
  must(b->r, NULL, 0);
  close_blocks(b);
}

/* Each of |c| alone is refused, and so is the whole call when it comes last. */
static void refuse(blocks *b, forge_copy bad, const char *what) {
  const forge_copy two[] = {fill(b->mem[1], 0, BLOCK, 0xEE), bad};
  forge_tl *tl = work_timeline(b->r, 0, 9);
  const forge_point done = {tl, 1};
  const forge_submit order = work_order(NULL, 0, &done, 1);
  for (uint32_t n = 1; n <= 2; n++) {
    const forge_status status = rig_table()->copy(rig_queue(b->r), two + 2 - n, n, &order);
    CHECK(status == FORGE_E_INVALID, "%s%s answers %s (%d), not E_INVALID", what,
          n == 2 ? ", second of two copies," : "", rig_status_name(status), status);
  }
  uint64_t value = 0;
  CHECK(rig_table()->tl_query(tl, &value) || value == 0, "%s: the refused copy was signalled",
        what);
  rig_table()->tl_destroy(tl);
}

static void out_of_bounds(const void *arg) {
  (void)arg;
  blocks *b = open_blocks();
  uint8_t host[BLOCK + 64] = {0};
  refuse(b, to_device(b->mem[0], BLOCK - 4, host, 5), "TO_DEVICE past the end of its block");
  refuse(b, to_device(b->mem[0], UINT64_MAX, host, 2), "TO_DEVICE at 2^64-1");
  refuse(b, to_host(b->mem[0], 0, host, BLOCK + 1), "TO_HOST past the end of its block");
  refuse(b, to_host(b->mem[0], UINT64_MAX - 3, host, 8), "TO_HOST at 2^64-4");
  refuse(b, fill(b->mem[0], 1, BLOCK, 1), "FILL past the end of its block");
  refuse(b, fill(b->mem[0], 1, UINT64_MAX, 1), "FILL of 2^64-1 bytes");
  refuse(b, between(b->mem[0], BLOCK - 1, b->mem[1], 0, 2), "ON_DEVICE past its destination");
  refuse(b, between(b->mem[0], 0, b->mem[1], BLOCK - 1, 2), "ON_DEVICE past its source");
  close_blocks(b);
}

static void senseless(const void *arg) {
  (void)arg;
  blocks *b = open_blocks();
  uint8_t host[16] = {0};
  forge_copy c = to_device(b->mem[0], 0, host, 4);
  c.kind = 0;
  refuse(b, c, "a copy of kind 0");
  c.kind = 5;
  refuse(b, c, "a copy of kind 5");
  c = between(b->mem[0], 0, b->mem[1], 0, 8);
  c.src.len = 7;
  refuse(b, c, "ON_DEVICE of 7 bytes into 8");
  refuse(b, to_device(b->mem[0], 0, NULL, 4), "TO_DEVICE from host address NULL");
  refuse(b, to_host(b->mem[0], 0, NULL, 4), "TO_HOST to host address NULL");
  close_blocks(b);
}

/* ---- when the host's memory is looked at ---- */

#define LARGE (UINT64_C(8) << 20)

/* The buffer belongs to the caller again as soon as the point is reached. */
static void host_bytes_are_read_in_time(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  forge_mem *mem = rig_alloc(r, LARGE);
  uint8_t *host = rig_zalloc(LARGE);
  for (uint64_t i = 0; i < 8; i++) {
    const uint64_t n = i & 1 ? LARGE : 4096;
    work_pattern(host, n, i);
    const forge_copy c = to_device(mem, 0, host, n);
    rig_expect(rig_copy(r, &c, 1), "copy");
    rig_finish(r);
    memset(host, 0xEE, n);
    work_expect(r, mem, n, i, "TO_DEVICE whose host buffer was reused after its signalled point");
  }
  free(host);
  rig_free_mem(r, mem);
  rig_close(r);
}

static void host_bytes_are_there_in_time(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  forge_mem *mem = rig_alloc(r, LARGE);
  uint8_t *host = rig_zalloc(LARGE);
  for (uint64_t i = 0; i < 8; i++) {
    const uint64_t n = i & 1 ? LARGE : 4096;
    work_put(r, mem, n, i);
    memset(host, 0xEE, n);
    const forge_copy c = to_host(mem, 0, host, n);
    rig_expect(rig_copy(r, &c, 1), "copy");
    rig_finish(r);
    work_compare(host, n, i, "the host's buffer when the point TO_HOST signals was reached");
  }
  free(host);
  rig_free_mem(r, mem);
  rig_close(r);
}

static void chains(const void *arg) {
  (void)arg;
  blocks *b = open_blocks();
  uint8_t host[8] = "abcdefg", back[8] = "";
  const forge_copy all[] = {
      to_device(b->mem[0], 3, host, 8),        fill(b->mem[0], 4, 2, 'W'),
      between(b->mem[1], 50, b->mem[0], 3, 8), fill(b->mem[0], 3, 8, 'x'),
      to_host(b->mem[1], 50, back, 8),
  };
  for (int i = 0; i < 20; i++) {
    memset(back, 0, sizeof back);
    must(b->r, all, 5);
    CHECK(!memcmp(back, "aWWdefg", 8),
          "copies of one call, each on the result of the one before, "
          "give \"%.7s\", not \"aWWdefg\"",
          back);
  }
  memset(b->model[0] + 3, 'x', 8);
  memcpy(b->model[1] + 50, "aWWdefg", 8);
  close_blocks(b);
}

void chapter_copies(test_list *list) {
  TEST(list, "copies.to_device", writes, FB_C1);
  TEST(list, "copies.to_host", reads, FB_C1);
  TEST(list, "copies.on_device", moves, FB_C1);
  TEST(list, "copies.fill", fills, FB_C1);
  TEST(list, "copies.nothing", nothing, FB_C2);
  TEST(list, "copies.out_of_bounds", out_of_bounds, FB_C3, FB_E4);
  TEST(list, "copies.senseless", senseless, FB_C3, FB_E4);
  TEST(list, "copies.host_read_in_time", host_bytes_are_read_in_time, FB_C4);
  TEST(list, "copies.host_written_in_time", host_bytes_are_there_in_time, FB_C4);
  TEST(list, "copies.chain", chains, FB_C5);
}
