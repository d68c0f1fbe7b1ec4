/* lost.c -- a device that goes away, by block TESTING. */
#include <string.h>

#include "plugin.h"
#include "work.h"

static const forge_block_testing_v0 *block(void) {
  const forge_block_testing_v0 *b = plugin_block(FORGE_BLOCK_TESTING, 0);
  if (!b || b->n_slots < 1 || !b->lose)
    test_skip("the plugin has no block TESTING, which loses a device on request");
  return b;
}

static void lose(const forge_block_testing_v0 *b, rig *r) {
  test_at("lose()");
  rig_expect(b->lose(rig_device(r)), "lose");
}

static void check_lost(forge_status status, const char *what) {
  CHECK(status == FORGE_E_DEVICE_LOST, "%s answers %s (%d) on a lost device, not E_DEVICE_LOST",
        what, rig_status_name(status), status);
}

/* Work: the call fails, or its timeline does, for good. */
static void check_work(forge_status status, forge_tl *tl, const char *what) {
  uint64_t value = 0;
  if (status) {
    check_lost(status, what);
    return;
  }
  check_lost(rig_table()->tl_wait(tl, 1, (uint64_t)(20e9 * test_set.slow)), what);
  check_lost(rig_table()->tl_wait(tl, 1, 0), "a second wait");
  check_lost(rig_table()->tl_query(tl, &value), "tl_query of a failed timeline");
}

static void destroys(const void *arg) {
  (void)arg;
  const forge_block_testing_v0 *b = block();
  rig *r = rig_open();
  work *w = work_small(r);
  forge_mem *mem = rig_alloc(r, w->bytes);
  forge_tl *tl = work_timeline(r, 0, 1);
  forge_queue *queue = work_queue(r, FORGE_QUEUE_COPY);
  lose(b, r);
  rig_table()->prog_destroy(w->prog);
  rig_table()->mem_free(r->dev, mem);
  rig_table()->queue_destroy(queue);
  rig_table()->queue_destroy(r->queue);
  rig_table()->tl_destroy(tl);
  rig_table()->tl_destroy(r->tl);
  rig_table()->dev_close(r->dev);
  free(w);
  free(r);
}

static void later_work(const void *arg) {
  (void)arg;
  const forge_block_testing_v0 *b = block();
  rig *r = rig_open();
  work *w = work_small(r);
  forge_mem *in = rig_alloc(r, w->bytes), *out = rig_alloc(r, w->bytes);
  forge_tl *tl[2] = {work_timeline(r, 0, 1), work_timeline(r, 0, 2)};
  uint8_t host[64];
  work_put(r, in, w->bytes, 1);
  lose(b, r);
  lose(b, r);
  const forge_point done[2] = {{tl[0], 1}, {tl[1], 1}};
  forge_submit order = work_order(NULL, 0, &done[0], 1);
  check_work(work_submit(w, r->queue, in, out, &order), tl[0], "submit");
  order = work_order(NULL, 0, &done[1], 1);
  const forge_copy c = {.kind = FORGE_COPY_TO_HOST, .src = {in, 0, sizeof host}, .host = host};
  check_work(rig_table()->copy(r->queue, &c, 1, &order), tl[1], "copy");
  rig_table()->dev_close(r->dev);
  free(w);
  free(r);
}

static void pending_work(const void *arg) {
  (void)arg;
  const forge_block_testing_v0 *b = block();
  rig *r = rig_open();
  work *w = work_long(r);
  forge_mem *in = rig_alloc(r, w->bytes), *out = rig_alloc(r, w->bytes);
  forge_tl *tl = work_timeline(r, 0, 1);
  work_put(r, in, w->bytes, 1);
  for (uint64_t i = 1; i <= 4; i++) {
    const forge_point done = {tl, i};
    const forge_submit order = work_order(NULL, 0, &done, 1);
    rig_expect(work_submit(w, r->queue, in, out, &order), "submit");
  }
  lose(b, r);
  const forge_status status = rig_table()->tl_wait(tl, 4, (uint64_t)(20e9 * test_set.slow));
  CHECK(!status || status == FORGE_E_DEVICE_LOST,
        "a wait for work given before the device was lost answers %s (%d)", rig_status_name(status),
        status);
  test_note("pending work %s", status ? "failed" : "was done already");
  rig_table()->prog_destroy(w->prog);
  rig_table()->mem_free(r->dev, in);
  rig_table()->mem_free(r->dev, out);
  rig_table()->dev_close(r->dev);
  free(w);
  free(r);
}

void chapter_lost(test_list *list) {
  TEST(list, "lost.destroys", destroys, FB_L2);
  TEST(list, "lost.later_work", later_work, FB_L1);
  TEST(list, "lost.pending_work", pending_work, FB_L1);
}
