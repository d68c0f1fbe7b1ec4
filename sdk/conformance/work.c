/* work.c -- see work.h. */
#include "work.h"

#include <string.h>

/* ---- an op that gives back what it is given ---- */

typedef struct same_op {
  uint16_t op;
  const void *attr;
  uint32_t attr_bytes;
  bool twice; /* x is both inputs */
} same_op;

static const forge_attr_kind maximum = {FORGE_BINARY_MAX, 0}, magnitude = {FORGE_UNARY_ABS, 0};
static const forge_attr_axpby half = {.alpha = {.value = 0.5}, .beta = {.value = 0.5}};
static const same_op candidates[] = {
    {FORGE_OP_COPY_STRIDED, NULL, 0, false},
    {FORGE_OP_CAST, NULL, 0, false},
    {FORGE_OP_BINARY, &maximum, sizeof maximum, true},
    {FORGE_OP_UNARY, &magnitude, sizeof magnitude, false},
    {FORGE_OP_AXPBY, &half, sizeof half, true},
};

static void set_op(const same_op *s, rig_op *op, rig_tensor **in, rig_tensor **out) {
  in[1] = in[0];
  *op = RIG_OP(s->op, s->attr, s->attr_bytes, in, s->twice ? 2 : 1, out, 1);
}

static const same_op *pick(rig *r, rig_tensor *x, rig_tensor *y) {
  for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++) {
    rig_tensor *in[2] = {x}, *out[] = {y};
    rig_op op;
    forge_support s;
    set_op(&candidates[i], &op, in, out);
    rig_support(r, &op, 1, &s);
    if (s.answer == FORGE_SUPPORT_NATIVE) return &candidates[i];
  }
  test_skip("no op is NATIVE that could serve as work (COPY_STRIDED, CAST, BINARY, UNARY, AXPBY)");
}

rig_program *work_describe(rig *r, int64_t elements, rig_tensor *tensor[2]) {
  rig_program *p = rig_zalloc(sizeof *p);
  rig_op op;
  for (int i = 0; i < 2; i++) tensor[i] = rig_make(FORGE_F32, 1, &elements);
  const same_op *s = pick(r, tensor[0], tensor[1]);
  rig_tensor *in[2] = {tensor[0]}, *out[] = {tensor[1]};
  set_op(s, &op, in, out);
  rig_describe(p, &op, 1, NULL);
  return p;
}

/* ---- work ---- */

enum { MOST_OPS = 101, LONG_ELEMENTS = 1 << 20, SMALL_ELEMENTS = 1000 };

/* x -> a -> b -> a .. -> y, |n| ops. */
static forge_prog *build(rig *r, int64_t elements, uint32_t n, uint32_t *n_bind) {
  rig_tensor *t[4], *in[MOST_OPS][2], *out[MOST_OPS][1];
  rig_op ops[MOST_OPS];
  rig_program *p = rig_zalloc(sizeof *p);
  forge_prog *prog = NULL;
  forge_prog_out info = {.size = sizeof info};
  for (int i = 0; i < 4; i++) t[i] = rig_make(FORGE_F32, 1, &elements);
  const same_op *s = pick(r, t[0], t[1]);
  rig_tensor *from = t[0];
  for (uint32_t i = 0; i < n; i++) {
    in[i][0] = from;
    from = out[i][0] = i + 1 == n ? t[3] : t[1 + i % 2];
    set_op(s, &ops[i], in[i], out[i]);
  }
  rig_describe(p, ops, n, NULL);
  *n_bind = p->n;
  rig_expect(rig_table()->prog_create(r->dev, &p->desc, &prog, &info), "prog_create");
  for (int i = 0; i < 4; i++) rig_free(t[i]);
  free(p);
  return prog;
}

forge_status work_submit(const work *w, forge_queue *queue, forge_mem *in, forge_mem *out,
                         const forge_submit *order) {
  forge_bind bind[4] = {{in, 0, w->bytes}};
  for (uint32_t i = 1; i + 1 < w->n_bind; i++) bind[i] = (forge_bind){w->spare[i - 1], 0, w->bytes};
  bind[w->n_bind - 1] = (forge_bind){out, 0, w->bytes};
  forge_submit s = *order;
  s.size = sizeof s;
  s.n_bind = w->n_bind;
  s.bind = bind;
  return rig_table()->submit(queue, w->prog, &s);
}

void work_run(const work *w, forge_mem *in, forge_mem *out) {
  const forge_point done = {w->r->tl, w->r->value + 1};
  const forge_submit order = work_order(NULL, 0, &done, 1);
  rig_expect(work_submit(w, w->r->queue, in, out, &order), "submit");
  w->r->value++;
}

static double measure(work *w) {
  forge_mem *in = rig_alloc(w->r, w->bytes), *out = rig_alloc(w->r, w->bytes);
  work_put(w->r, in, w->bytes, 1);
  work_run(w, in, out);
  rig_finish(w->r);
  const double start = test_now();
  work_run(w, in, out);
  rig_finish(w->r);
  const double seconds = test_now() - start;
  rig_free_mem(w->r, in);
  rig_free_mem(w->r, out);
  return seconds;
}

static work *make(rig *r, int64_t elements, uint32_t n) {
  work *w = rig_zalloc(sizeof *w);
  *w = (work){.r = r, .bytes = (uint64_t)elements * 4};
  for (int i = 0; n > 1 && i < 2; i++) w->spare[i] = rig_alloc(r, w->bytes);
  w->prog = build(r, elements, n, &w->n_bind);
  return w;
}

work *work_small(rig *r) { return make(r, SMALL_ELEMENTS, 1); }

work *work_long(rig *r) {
  work *w = make(r, LONG_ELEMENTS, 5);
  const double one = measure(w) / 5, want = one > 0 ? 0.03 / one : MOST_OPS;
  const uint32_t n = want > MOST_OPS ? MOST_OPS : want < 5 ? 5 : (uint32_t)want;
  work_free(w);
  w = make(r, LONG_ELEMENTS, n | 1); /* odd: both spares are used */
  w->seconds = one * n;
  return w;
}

void work_free(work *w) {
  if (!w) return;
  rig_table()->prog_destroy(w->prog);
  for (int i = 0; i < 2; i++) rig_free_mem(w->r, w->spare[i]);
  free(w);
}

/* ---- contents ---- */

void work_pattern(void *out, uint64_t bytes, uint64_t seed) {
  uint64_t state = seed;
  for (uint64_t i = 0; i + 4 <= bytes; i += 4) {
    const float f = 1.0f + (float)(test_random(&state) >> 41) * 0x1p-23f;
    memcpy((uint8_t *)out + i, &f, 4);
  }
}

void work_put(rig *r, forge_mem *mem, uint64_t bytes, uint64_t seed) {
  void *host = rig_zalloc(bytes);
  work_pattern(host, bytes, seed);
  rig_put(r, mem, 0, host, bytes);
  free(host);
}

void work_compare(const void *have, uint64_t bytes, uint64_t seed, const char *where) {
  uint8_t *want = rig_zalloc(bytes);
  work_pattern(want, bytes, seed);
  for (uint64_t i = 0; i < bytes; i++)
    if (((const uint8_t *)have)[i] != want[i])
      test_fail("%s: byte %llu of %llu is 0x%02x and should be 0x%02x", where,
                (unsigned long long)i, (unsigned long long)bytes, ((const uint8_t *)have)[i],
                want[i]);
  free(want);
}

void work_expect(rig *r, forge_mem *mem, uint64_t bytes, uint64_t seed, const char *where) {
  void *host = rig_zalloc(bytes);
  rig_fetch(r, mem, 0, host, bytes);
  work_compare(host, bytes, seed, where);
  free(host);
}

/* ---- time ---- */

forge_tl *work_timeline(rig *r, uint64_t initial, uint64_t cookie) {
  forge_tl *tl = NULL;
  rig_expect(rig_table()->tl_create(r->dev, initial, cookie, &tl), "tl_create");
  CHECK(tl, "tl_create answered OK and gave NULL");
  return tl;
}

forge_queue *work_queue(rig *r, uint32_t kind) {
  forge_queue *queue = NULL;
  rig_expect(rig_table()->queue_create(r->dev, kind, 0, &queue), "queue_create");
  CHECK(queue, "queue_create answered OK and gave NULL");
  return queue;
}

forge_submit work_order(const forge_point *wait, uint32_t n_wait, const forge_point *signal,
                        uint32_t n_signal) {
  return (forge_submit){.size = sizeof(forge_submit),
                        .n_wait = n_wait,
                        .n_signal = n_signal,
                        .wait = wait,
                        .signal = signal};
}

void work_await(forge_tl *tl, uint64_t value, const char *what) {
  const double seconds = 10 * test_set.slow;
  const forge_status status = rig_table()->tl_wait(tl, value, (uint64_t)(seconds * 1e9));
  CHECK(status != FORGE_E_TIMEOUT, "%s: value %llu is not reached within %.0f s", what,
        (unsigned long long)value, seconds);
  rig_expect(status, what);
}

uint64_t work_value(forge_tl *tl) {
  uint64_t value = 0;
  rig_expect(rig_table()->tl_query(tl, &value), "tl_query");
  return value;
}
