/* far.c -- bytes and elements whose numbers do not fit into 32 bits. */
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "rig_parts.h"

enum { BYTES = 4096 };
#define FAR   (UINT64_C(1) << 32) /* bytes; what is near shows where it is taken modulo 2^32 */
#define ROOM  (FAR + (UINT64_C(1) << 20))
#define SPARE (2 * ROOM) /* a device that has less of memory is not asked */

/* Each byte of ours costs a sanitizer some. */
enum { SHADOWED = FORGE_SANITIZER_BUILT != FORGE_SANITIZER_NONE };

static forge_mem *far_block(rig *r) {
  forge_dev_info info = {.size = sizeof info};
  const forge_mem_desc desc = {
      .size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = ROOM, .align = RIG_ALIGN};
  forge_mem_out out = {.size = sizeof out};
  forge_mem *mem = NULL;
  rig_expect(rig_table()->dev_info(test_set.device, &info), "dev_info");
  if (SHADOWED || (info.mem_total && info.mem_total < SPARE))
    test_skip("no memory for a block of more than 4 GiB");
  const forge_status status = rig_table()->mem_alloc(r->dev, &desc, &mem, &out);
  if (status == FORGE_E_OOM || status == FORGE_E_INVALID)
    test_skip("the device gives no block of more than 4 GiB: %s", rig_words());
  rig_expect(status, "mem_alloc of more than 4 GiB");
  return mem;
}

static void expect(rig *r, forge_mem *mem, uint64_t off, uint8_t byte, const char *what) {
  uint8_t have[BYTES];
  rig_fetch(r, mem, off, have, BYTES);
  for (uint32_t i = 0; i < BYTES; i++)
    CHECK(have[i] == byte, "%s: byte %llu of the block is 0x%02x and should be 0x%02x", what,
          (unsigned long long)(off + i), have[i], byte);
}

static void put(rig *r, forge_mem *mem, uint64_t off, uint8_t byte) {
  uint8_t bytes[BYTES];
  memset(bytes, byte, BYTES);
  rig_put(r, mem, off, bytes, BYTES);
}

static void copies(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  forge_mem *mem = far_block(r);
  put(r, mem, 512, 0x11);
  put(r, mem, FAR + 512, 0x22);
  expect(r, mem, 512, 0x11, "after a copy past 4 GiB, what is near");
  expect(r, mem, FAR + 512, 0x22, "a copy to and from past 4 GiB");
  const forge_copy move = {.kind = FORGE_COPY_ON_DEVICE,
                           .src = {mem, FAR + 512, BYTES},
                           .dst = {mem, FAR + 65536, BYTES}};
  const forge_copy fill = {.kind = FORGE_COPY_FILL,
                           .dst = {mem, FAR + 131072, BYTES},
                           .pattern = UINT64_C(0x3333333333333333)};
  put(r, mem, 65536, 0x44);
  put(r, mem, 131072, 0x44);
  rig_expect(rig_copy(r, &move, 1), "copy on the device");
  rig_expect(rig_copy(r, &fill, 1), "fill");
  rig_finish(r);
  expect(r, mem, FAR + 65536, 0x22, "ON_DEVICE past 4 GiB");
  expect(r, mem, FAR + 131072, 0x33, "FILL past 4 GiB");
  expect(r, mem, 65536, 0x44, "after ON_DEVICE past 4 GiB, what is near");
  expect(r, mem, 131072, 0x44, "after FILL past 4 GiB, what is near");
  rig_free_mem(r, mem);
  rig_close(r);
}

/* Two rows of bytes, one at either end of the block: y is them side by side, or x is. */
static void run_rows(rig *r, forge_mem *far, forge_mem *near, bool reads) {
  const int64_t dim[] = {2, BYTES}, apart[] = {(int64_t)FAR, 1}, dense[] = {BYTES, 1};
  rig_tensor x = {.t = {.dtype = FORGE_I8, .rank = 2}}, y = x;
  memcpy(x.t.dim, dim, sizeof dim);
  memcpy(y.t.dim, dim, sizeof dim);
  memcpy(x.t.stride, reads ? apart : dense, sizeof dense);
  memcpy(y.t.stride, reads ? dense : apart, sizeof dense);
  const rig_op op =
      RIG_OP(FORGE_OP_COPY_STRIDED, NULL, 0, ((rig_tensor *[]){&x}), 1, ((rig_tensor *[]){&y}), 1);
  rig_program *p = rig_zalloc(sizeof *p);
  forge_prog *prog = NULL;
  forge_prog_out info = {.size = sizeof info};
  rig_require(r, &op, 1);
  rig_describe(p, &op, 1, NULL);
  rig_expect(rig_table()->prog_create(r->dev, &p->desc, &prog, &info), "prog_create");
  const forge_bind large = {far, 0, FAR + BYTES}, small = {near, 0, 2 * BYTES};
  const forge_bind bind[] = {reads ? large : small, reads ? small : large};
  const forge_point done = {r->tl, r->value + 1};
  const forge_submit order = {
      .size = sizeof order, .n_bind = 2, .bind = bind, .n_signal = 1, .signal = &done};
  rig_expect(rig_table()->submit(r->queue, prog, &order), "submit");
  r->value++;
  rig_finish(r);
  rig_table()->prog_destroy(prog);
  free(p);
}

static void strides(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  forge_mem *far = far_block(r), *near = rig_alloc(r, 2 * BYTES);
  put(r, far, 0, 0x11);
  put(r, far, FAR, 0x22);
  run_rows(r, far, near, true);
  expect(r, near, 0, 0x11, "COPY_STRIDED of rows 2^32 elements apart, the first row");
  expect(r, near, BYTES, 0x22, "COPY_STRIDED of rows 2^32 elements apart, the second row");
  put(r, near, 0, 0x55);
  put(r, near, BYTES, 0x66);
  run_rows(r, far, near, false);
  expect(r, far, 0, 0x55, "COPY_STRIDED to rows 2^32 elements apart, the first row");
  expect(r, far, FAR, 0x66, "COPY_STRIDED to rows 2^32 elements apart, the second row");
  rig_free_mem(r, near);
  rig_free_mem(r, far);
  rig_close(r);
}

/* A dense tensor that begins past 4 GiB, by its binding and by its slot. */
static void bindings(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  forge_mem *far = far_block(r);
  rig_tensor x = {.t = {.dtype = FORGE_I8, .rank = 1, .dim = {BYTES}, .stride = {1}}};
  const forge_attr_fill value = {7.0};
  const rig_op op = RIG_OP(FORGE_OP_FILL, &value, sizeof value, NULL, 0, ((rig_tensor *[]){&x}), 1);
  rig_require(r, &op, 1);
  for (uint32_t by_slot = 0; by_slot < 2; by_slot++) {
    rig_program *p = rig_zalloc(sizeof *p);
    forge_prog *prog = NULL;
    forge_prog_out info = {.size = sizeof info};
    rig_describe(p, &op, 1, NULL);
    if (by_slot) p->slot[0].offset = FAR + 512;
    rig_expect(rig_table()->prog_create(r->dev, &p->desc, &prog, &info), "prog_create");
    put(r, far, 512, 0x11);
    put(r, far, FAR + 512, 0x22);
    const forge_bind bind = {far, by_slot ? 0 : FAR + 512, by_slot ? FAR + 512 + BYTES : BYTES};
    const forge_point done = {r->tl, r->value + 1};
    const forge_submit order = {
        .size = sizeof order, .n_bind = 1, .bind = &bind, .n_signal = 1, .signal = &done};
    rig_expect(rig_table()->submit(r->queue, prog, &order), "submit");
    r->value++;
    rig_finish(r);
    expect(r, far, FAR + 512, 7,
           by_slot ? "FILL at a slot's offset past 4 GiB" : "FILL past 4 GiB");
    expect(r, far, 512, 0x11, "after FILL past 4 GiB, what is near");
    rig_table()->prog_destroy(prog);
    free(p);
  }
  rig_free_mem(r, far);
  rig_close(r);
}

void chapter_far(test_list *list) {
  TEST_WITH(list, "copies.far", copies, NULL, TEST_ALONE, 0, FB_C1);
  TEST_WITH(list, "programs.far", bindings, NULL, TEST_ALONE, 0, FB_S3);
  TEST_WITH(list, "op.COPY_STRIDED.i8.far", strides, NULL, TEST_ALONE, 0, FB_S3);
}
