/* programs.c -- building and running programs, whatever their ops compute. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "work.h"

enum { ELEMENTS = 500, BYTES = 4 * ELEMENTS };

static forge_status create(rig *r, const forge_prog_desc *desc, forge_prog **out) {
  forge_prog_out info = {.size = sizeof info};
  *out = NULL;
  return rig_table()->prog_create(rig_device(r), desc, out, &info);
}

static void free_described(rig_program *p, rig_tensor *t[2]) {
  rig_free(t[0]);
  rig_free(t[1]);
  free(p);
}

static void unknown_flags(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  rig_tensor *t[2];
  rig_program *p = work_describe(r, ELEMENTS, t);
  for (int bit = 3; bit < 32; bit++) {
    forge_prog *prog;
    p->desc.flags = 1u << bit;
    const forge_status status = create(r, &p->desc, &prog);
    CHECK(status == FORGE_E_UNSUPPORTED,
          "prog_create with flag 0x%x answers %s (%d), not E_UNSUPPORTED", p->desc.flags,
          rig_status_name(status), status);
  }
  free_described(p, t);
  rig_close(r);
}

static void known_flags(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  rig_tensor *t[2];
  rig_program *p = work_describe(r, ELEMENTS, t);
  for (uint32_t flags = 0; flags < 8; flags++) {
    forge_prog *prog;
    p->desc.flags = flags;
    const forge_status status = create(r, &p->desc, &prog);
    CHECK(!status || (status == FORGE_E_UNSUPPORTED && flags & FORGE_PROGRAM_DETERMINISTIC),
          "prog_create with flags 0x%x answers %s (%d): %s", flags, rig_status_name(status), status,
          rig_words());
    rig_table()->prog_destroy(prog);
  }
  free_described(p, t);
  rig_close(r);
}

/* A wrong submit is refused at once, or it is accepted and its timeline fails. Reached it is never.
 */
static void must_fail(rig *r, forge_prog *prog, const forge_submit *like, const char *what) {
  forge_tl *tl = work_timeline(r, 0, 5);
  const forge_point done = {tl, 1};
  forge_submit s = *like;
  s.n_signal = 1;
  s.signal = &done;
  forge_status status = rig_table()->submit(rig_queue(r), prog, &s);
  if (!status) status = rig_table()->tl_wait(tl, 1, (uint64_t)(5e9 * test_set.slow));
  CHECK(status == FORGE_E_INVALID, "%s answers %s (%d), not E_INVALID", what,
        rig_status_name(status), status);
  uint64_t value = 0;
  CHECK(rig_table()->tl_query(tl, &value) || !value, "%s signalled its timeline", what);
  rig_table()->tl_destroy(tl);
}

/* ---- counts ---- */

static void refuse_submit(rig *r, forge_prog *prog, forge_mem *mem, uint32_t n_bind,
                          uint32_t n_scalar) {
  const uint64_t scalar[4] = {1, 1, 1, 1};
  const forge_bind bind[4] = {
      {mem, 0, BYTES}, {mem, BYTES, BYTES}, {mem, 0, BYTES}, {mem, 0, BYTES}};
  char what[128];
  forge_submit s = work_order(NULL, 0, NULL, 0);
  s.n_bind = n_bind;
  s.bind = bind;
  s.n_scalar = n_scalar;
  s.scalar = scalar;
  snprintf(what, sizeof what, "a submit with %u bindings and %u scalars of a program with 2 and 0",
           n_bind, n_scalar);
  must_fail(r, prog, &s, what);
}

static void wrong_counts(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  work *w = work_small(r);
  forge_mem *mem = rig_alloc(r, 2 * w->bytes);
  work_put(r, mem, 2 * w->bytes, 1);
  refuse_submit(r, w->prog, mem, 0, 0);
  refuse_submit(r, w->prog, mem, 1, 0);
  refuse_submit(r, w->prog, mem, 3, 0);
  refuse_submit(r, w->prog, mem, 2, 1);
  refuse_submit(r, w->prog, mem, 2, 4);
  work_expect(r, mem, 2 * w->bytes, 1, "memory named by refused submits");
  rig_free_mem(r, mem);
  work_free(w);
  rig_close(r);
}

static void short_bindings(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  work *w = work_small(r);
  forge_mem *mem = rig_alloc(r, w->bytes - 4), *in = rig_alloc(r, w->bytes);
  const forge_bind bind[2] = {{in, 0, w->bytes}, {mem, 0, w->bytes}};
  forge_submit s = work_order(NULL, 0, NULL, 0);
  work_put(r, in, w->bytes, 1);
  s.n_bind = 2;
  s.bind = bind;
  must_fail(r, w->prog, &s, "a submit whose binding is longer than its block");
  rig_free_mem(r, mem);
  rig_free_mem(r, in);
  work_free(w);
  rig_close(r);
}

/* ---- empty, many, again ---- */

static void no_ops(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  const forge_prog_desc desc = {.size = sizeof desc, .prog_id = 1};
  forge_prog *prog;
  rig_expect(create(r, &desc, &prog), "prog_create of no ops");
  for (int i = 0; i < 3; i++) {
    const forge_point done = {rig_timeline(r), rig_next_value(r)};
    const forge_submit s = work_order(NULL, 0, &done, 1);
    rig_expect(rig_table()->submit(rig_queue(r), prog, &s), "submit of a program of no ops");
    rig_finish(r);
  }
  rig_table()->prog_destroy(prog);
  rig_close(r);
}

/* Each time other memory, while the submits before may still run. */
static void rebinds(const void *arg) {
  enum { TIMES = 12 };
  (void)arg;
  rig *r = rig_open();
  work *w = work_small(r);
  forge_mem *in[TIMES], *out[TIMES];
  for (uint64_t i = 0; i < TIMES; i++) {
    in[i] = rig_alloc(r, w->bytes);
    out[i] = rig_alloc(r, w->bytes);
    work_put(r, in[i], w->bytes, i);
    work_put(r, out[i], w->bytes, 1000 + i);
  }
  for (int i = 0; i < TIMES; i++) work_run(w, in[i], out[i]);
  rig_finish(r);
  for (uint64_t i = 0; i < TIMES; i++)
    work_expect(r, out[i], w->bytes, i, "the output of a program run again with other bindings");
  for (int i = 0; i < TIMES; i++) {
    rig_free_mem(r, in[i]);
    rig_free_mem(r, out[i]);
  }
  work_free(w);
  rig_close(r);
}

static void many(const void *arg) {
  enum { MANY = 100 };
  (void)arg;
  rig *r = rig_open();
  work *w[MANY];
  for (int i = 0; i < MANY; i++) w[i] = work_small(r);
  forge_mem *in = rig_alloc(r, w[0]->bytes), *out = rig_alloc(r, w[0]->bytes);
  for (int i = 0; i < MANY; i += 7) {
    work_put(r, in, w[i]->bytes, (uint64_t)i);
    work_run(w[i], in, out);
    rig_finish(r);
    work_expect(r, out, w[i]->bytes, (uint64_t)i, "one of a hundred programs made");
    work_free(w[i]);
    w[i] = NULL;
  }
  work_put(r, in, 4000, 7);
  work_run(w[MANY - 1], in, out);
  rig_finish(r);
  work_expect(r, out, 4000, 7, "a program left after others were destroyed made");
  for (int i = 0; i < MANY; i++) work_free(w[i]);
  rig_free_mem(r, in);
  rig_free_mem(r, out);
  rig_close(r);
}

enum { THREADS = 8, ROUNDS = 20 };
static rig *shared;

static void *build_and_destroy(void *number) {
  (void)number;
  for (int i = 0; i < ROUNDS; i++) work_free(work_small(shared));
  return NULL;
}

static void built_at_once(const void *arg) {
  pthread_t id[THREADS];
  (void)arg;
  shared = rig_open();
  work *w = work_small(shared);
  forge_mem *in = rig_alloc(shared, w->bytes), *out = rig_alloc(shared, w->bytes);
  for (int i = 0; i < THREADS; i++)
    CHECK(!pthread_create(&id[i], NULL, build_and_destroy, NULL), "the suite has no thread");
  for (uint64_t i = 0; i < ROUNDS; i++) {
    work_put(shared, in, w->bytes, i);
    work_run(w, in, out);
    rig_finish(shared);
    work_expect(shared, out, w->bytes, i, "a program that runs while others are built made");
  }
  for (int i = 0; i < THREADS; i++) pthread_join(id[i], NULL);
  rig_free_mem(shared, in);
  rig_free_mem(shared, out);
  work_free(w);
  rig_close(shared);
}

/* ---- extents by scalars ---- */

static void run_extent(rig *r, forge_prog *prog, forge_mem *in, forge_mem *out, uint64_t extent) {
  const uint64_t scalar[2] = {77, extent};
  const forge_bind bind[2] = {{in, 0, BYTES}, {out, 0, BYTES}};
  const forge_point done = {rig_timeline(r), r->value + 1};
  forge_submit s = work_order(NULL, 0, &done, 1);
  s.n_bind = 2;
  s.bind = bind;
  s.n_scalar = 2;
  s.scalar = scalar;
  if (extent > ELEMENTS) {
    must_fail(r, prog, &s, "a submit whose extent is more than the maximum");
    return;
  }
  rig_expect(rig_table()->submit(rig_queue(r), prog, &s), "submit with an extent");
  rig_next_value(r);
  rig_finish(r);
}

static void extents(const void *arg) {
  static const uint64_t tried[] = {1, ELEMENTS, 0, 17, ELEMENTS - 1, 255};
  (void)arg;
  rig *r = rig_open();
  rig_tensor *t[2];
  rig_program *p = work_describe(r, ELEMENTS, t);
  forge_prog *prog;
  for (int i = 0; i < 2; i++) p->slot[i].tensor.dim_scalar[0] = 2; /* scalar number 1 */
  p->desc.n_scalars = 2;
  rig_expect(create(r, &p->desc, &prog), "prog_create with an extent by scalar");
  forge_mem *in = rig_alloc(r, BYTES), *out = rig_alloc(r, BYTES);
  uint8_t have[BYTES], want[BYTES], old[BYTES];
  work_put(r, in, BYTES, 1);
  work_pattern(want, BYTES, 1);
  work_pattern(old, BYTES, 2);
  for (size_t i = 0; i < sizeof tried / sizeof *tried; i++) {
    const uint64_t n = 4 * tried[i];
    work_put(r, out, BYTES, 2);
    run_extent(r, prog, in, out, tried[i]);
    rig_fetch(r, out, 0, have, BYTES);
    CHECK(!memcmp(have, want, n), "extent %llu of %d: an element inside it is wrong",
          (unsigned long long)tried[i], ELEMENTS);
    CHECK(!memcmp(have + n, old + n, BYTES - n), "extent %llu of %d: an element beyond was written",
          (unsigned long long)tried[i], ELEMENTS);
  }
  run_extent(r, prog, in, out, ELEMENTS + 1);
  run_extent(r, prog, in, out, UINT64_MAX);
  rig_table()->prog_destroy(prog);
  rig_free_mem(r, in);
  rig_free_mem(r, out);
  free_described(p, t);
  rig_close(r);
}

/* ---- what it does not know ---- */

static forge_op *record_of(rig_program *p) { return (forge_op *)(void *)p->record; }

static void refuse_op(rig *r, rig_program *p, const char *what) {
  forge_support s = {.answer = 99};
  forge_prog *prog;
  rig_expect(rig_table()->op_support(rig_device(r), &p->desc, &s), "op_support");
  CHECK(s.answer == FORGE_SUPPORT_NO, "op_support answers %u for %s, not NO", s.answer, what);
  CHECK(s.reason > FORGE_REASON_NONE && s.reason <= FORGE_REASON_HARDWARE,
        "op_support answers NO for %s and gives reason %u", what, s.reason);
  const forge_status status = create(r, &p->desc, &prog);
  CHECK(status == FORGE_E_UNSUPPORTED || status == FORGE_E_INVALID,
        "prog_create with %s answers %s (%d)", what, rig_status_name(status), status);
}

static void unknown_ops(const void *arg) {
  static const uint16_t numbers[] = {0, 15, 63, 85, 999, 65535};
  (void)arg;
  rig *r = rig_open();
  rig_tensor *t[2];
  rig_program *p = work_describe(r, ELEMENTS, t);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    char what[64];
    snprintf(what, sizeof what, "op number %u, which is none", numbers[i]);
    record_of(p)->op = numbers[i];
    refuse_op(r, p, what);
  }
  free_described(p, t);
  p = work_describe(r, ELEMENTS, t);
  record_of(p)->op_ver = 99;
  forge_prog *prog;
  const forge_status status = create(r, &p->desc, &prog);
  CHECK(status == FORGE_E_UNSUPPORTED || status == FORGE_E_INVALID,
        "prog_create with version 99 of an op answers %s (%d)", rig_status_name(status), status);
  free_described(p, t);
  rig_close(r);
}

void chapter_programs(test_list *list) {
  TEST(list, "programs.unknown_flags", unknown_flags, FB_A1);
  TEST(list, "programs.known_flags", known_flags, FB_A1);
  TEST(list, "programs.wrong_counts", wrong_counts, FB_A2, FB_E4);
  TEST(list, "programs.short_bindings", short_bindings, FB_A2);
  TEST(list, "programs.no_ops", no_ops, FB_A3);
  TEST(list, "programs.rebinds", rebinds, FB_A4);
  TEST(list, "programs.many", many, FB_A4);
  TEST(list, "programs.built_at_once", built_at_once, FB_A4);
  TEST(list, "programs.extents", extents, FB_A5);
  TEST(list, "programs.unknown_ops", unknown_ops, FB_A8);
}
