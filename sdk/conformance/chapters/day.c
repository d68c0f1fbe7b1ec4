/* day.c -- see day.h. */
#include "day.h"

#include <string.h>

#include "rig_parts.h"

static void (*looker)(const char *step);

static void look(const char *step) {
  if (looker) looker(step);
}

static void fill_and_fetch(rig *r) {
  uint8_t bytes[300];
  forge_mem *mem = rig_alloc(r, 4096);
  look("mem_alloc");
  memset(bytes, 7, sizeof bytes);
  rig_put(r, mem, 3, bytes, sizeof bytes);
  rig_fetch(r, mem, 3, bytes, sizeof bytes);
  look("copy");
  rig_free_mem(r, mem);
  look("mem_free");
}

/* The first of these that is NATIVE; a device without any has only its copies. */
static void run_program(rig *r) {
  static const forge_attr_fill value = {1.5};
  static const forge_attr_kind exponential = {FORGE_UNARY_EXP, 0};
  rig_tensor *x = rig_make(FORGE_F32, 2, (int64_t[]){3, 7});
  rig_tensor *y = rig_make(FORGE_F32, 2, (int64_t[]){3, 7});
  rig_random(x, 1, -1, 1);
  rig_tensor *in[] = {x}, *out[] = {y};
  const rig_op ops[] = {RIG_OP(FORGE_OP_UNARY, &exponential, sizeof exponential, in, 1, out, 1),
                        RIG_OP(FORGE_OP_FILL, &value, sizeof value, NULL, 0, out, 1)};
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
    forge_support answer;
    rig_support(r, &ops[i], 1, &answer);
    if (answer.answer != FORGE_SUPPORT_NATIVE) continue;
    rig_must(r, &ops[i], 1);
    break;
  }
  look("submit");
  rig_free(x);
  rig_free(y);
}

static void wait_in_vain(rig *r) {
  const forge_status status = rig_table()->tl_wait(rig_timeline(r), UINT64_MAX - 1, 1000000);
  CHECK(status == FORGE_E_TIMEOUT, "tl_wait() of a value nobody signals answers %s",
        rig_status_name(status));
  look("tl_wait");
}

void day_of_work(void (*watcher)(const char *step)) {
  looker = watcher;
  rig_table();
  look("the entry");
  rig *r = rig_open();
  look("dev_open");
  fill_and_fetch(r);
  run_program(r);
  wait_in_vain(r);
  rig_close(r);
  look("dev_close");
}
