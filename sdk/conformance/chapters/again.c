/* again.c -- what a backend keeps from one program, submit or device for the next: a cache that
 * looks at too little gives the answer to an earlier question. */
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "rig_parts.h"

/* ---- a program that stays, and what it was built from ---- */

#define MOST_PROGRAMS 16

typedef struct standing {
  op_call call;
  rig_program *p;
  forge_prog *prog;
  forge_mem *mem[CASE_MOST_IN + CASE_MOST_OUT];
} standing;

static void fill_memory(rig *r, standing *s) {
  for (uint32_t i = 0; i < s->p->n; i++) {
    rig_tensor *t = s->p->tensor[i];
    if (s->p->written[i]) memset(t->data, 0xFF, t->bytes);
    rig_put(r, s->mem[i], 0, t->data, t->bytes);
  }
}

/* False, and counted, if the device does not offer it. */
static bool stand(case_run *run, standing *s, uint32_t slot_flags) {
  const rig_op op = call_op(&s->call);
  const rig_how how = {.flags = FORGE_PROGRAM_REPLAYABLE, .n_scalar = s->call.n_scalar};
  forge_prog_out info = {.size = sizeof info};
  if (!case_offered(run, &s->call)) return false;
  s->p = rig_zalloc(sizeof *s->p);
  rig_describe(s->p, &op, 1, &how);
  for (uint32_t i = 0; i < s->p->n; i++) {
    if (!s->p->written[i]) s->p->slot[i].flags = slot_flags;
    s->mem[i] = rig_alloc(run->r, s->p->tensor[i]->bytes);
  }
  rig_expect(rig_table()->prog_create(run->r->dev, &s->p->desc, &s->prog, &info), "prog_create");
  return true;
}

/* Runs |s| over |mem| and holds it against the oracle. */
static void run_standing(case_run *run, standing *s) {
  forge_bind bind[CASE_MOST_IN + CASE_MOST_OUT];
  expected e = call_expected(&s->call);
  test_at("%s, %s, %s", rig_op_name(s->call.op), run->what, call_words(&s->call));
  fill_memory(run->r, s);
  for (uint32_t i = 0; i < s->p->n; i++)
    bind[i] = (forge_bind){s->mem[i], 0, s->p->tensor[i]->bytes};
  const forge_point done = {run->r->tl, run->r->value + 1};
  const forge_submit order = {.size = sizeof order,
                              .n_bind = s->p->n,
                              .bind = bind,
                              .n_scalar = s->call.n_scalar,
                              .scalar = s->call.scalar,
                              .n_signal = 1,
                              .signal = &done};
  rig_expect(rig_table()->submit(run->r->queue, s->prog, &order), "submit");
  run->r->value++;
  for (uint32_t i = 0; i < s->p->n; i++)
    if (s->p->written[i])
      rig_fetch(run->r, s->mem[i], 0, s->p->tensor[i]->data, s->p->tensor[i]->bytes);
  case_compare(run, &s->call, &e);
  expected_free(&e);
  run->done++;
}

static void fall(case_run *run, standing *s) {
  if (s->p) {
    rig_table()->prog_destroy(s->prog);
    for (uint32_t i = 0; i < s->p->n; i++) rig_free_mem(run->r, s->mem[i]);
    free(s->p);
  }
  call_free(&s->call);
}

/* ---- programs that differ in their attributes alone ---- */

static op_call square(uint16_t op, const void *attr, uint32_t bytes, uint32_t n_in) {
  const int64_t dim[] = {9, 9};
  op_call c = {.op = op, .n_in = n_in, .n_out = 1};
  call_attr(&c, attr, bytes);
  for (uint32_t k = 0; k < n_in; k++) c.in[k] = call_random(&c, FORGE_F32, 2, dim, 1 + k, 0.5, 2.0);
  c.out[0] = rig_make(FORGE_F32, 2, dim);
  return c;
}

static op_call different(uint32_t i) {
  const forge_attr_kind unary = {i, 0}, binary = {i - 7, 0};
  const forge_attr_matmul product = {i - 10, 0};
  const forge_attr_axpby sum = {.alpha = {.value = (double)i}, .beta = {.value = -1.0}};
  if (i < 8) return square(FORGE_OP_UNARY, &unary, sizeof unary, 1);
  if (i < 10) return square(FORGE_OP_BINARY, &binary, sizeof binary, 2);
  if (i >= 14) return square(FORGE_OP_AXPBY, &sum, sizeof sum, 2);
  op_call c = square(FORGE_OP_MATMUL, &product, sizeof product, 2);
  c.n_in = 3; /* no bias */
  return c;
}

static void attributes(const void *arg) {
  static standing all[MOST_PROGRAMS];
  case_run run = case_begin("programs that differ in attributes alone");
  (void)arg;
  for (uint32_t i = 0; i < MOST_PROGRAMS; i++) {
    all[i].call = different(i + 1);
    stand(&run, &all[i], 0);
  }
  for (uint32_t i = MOST_PROGRAMS; i-- > 0;)
    if (all[i].p) run_standing(&run, &all[i]);
  for (uint32_t i = 0; i < MOST_PROGRAMS; i++) fall(&run, &all[i]);
  case_end(&run);
}

/* ---- one program, again and again ---- */

/* A learning rate: the same program, another number with each submit. */
static void numbers(const void *arg) {
  static const double alpha[] = {2.0, -0.5, 2.0, 0.0, 1e3};
  const forge_attr_axpby attr = {.alpha = {.scalar = 2}, .beta = {.scalar = 1}};
  case_run run = case_begin("numbers that are scalars of the submit");
  standing s = {.call = square(FORGE_OP_AXPBY, &attr, sizeof attr, 2)};
  (void)arg;
  s.call.n_scalar = 2;
  if (stand(&run, &s, 0))
    for (uint32_t i = 0; i < COUNT_OF(alpha); i++) {
      const double beta = 1.0 + i;
      memcpy(&s.call.scalar[1], &alpha[i], sizeof alpha[i]);
      memcpy(&s.call.scalar[0], &beta, sizeof beta);
      run_standing(&run, &s);
    }
  fall(&run, &s);
  case_end(&run);
}

/* Weights of one layer, then of the next: constant while the binding is the same, and no longer. */
static void constants(const void *arg) {
  static const uint64_t layer[] = {1, 1, 2, 2, 1, 3};
  const forge_attr_matmul attr = {FORGE_MATMUL_TRANS_B, 0};
  case_run run = case_begin("constants bound elsewhere");
  standing s = {.call = square(FORGE_OP_MATMUL, &attr, sizeof attr, 2)};
  forge_mem *weights[4] = {NULL};
  (void)arg;
  s.call.n_in = 3;
  if (stand(&run, &s, FORGE_SLOT_CONSTANT)) {
    forge_mem *first = s.mem[1];
    for (uint32_t k = 1; k < COUNT_OF(weights); k++)
      weights[k] = rig_alloc(run.r, s.call.in[1]->bytes);
    for (uint32_t i = 0; i < COUNT_OF(layer); i++) {
      rig_random(s.call.in[1], 40 + layer[i], -1.0, 1.0);
      s.mem[1] = weights[layer[i]];
      run_standing(&run, &s);
    }
    s.mem[1] = first;
  }
  for (uint32_t k = 1; k < COUNT_OF(weights); k++) rig_free_mem(run.r, weights[k]);
  fall(&run, &s);
  case_end(&run);
}

/* ---- two devices at once ---- */

/* The same device a second time, where that is not refused: one closes, the other goes on. */
static void opened_twice(const void *arg) {
  enum { BYTES = 5000 };
  uint8_t out[2][BYTES], in[BYTES];
  forge_dev *dev = NULL;
  (void)arg;
  rig *a = rig_open();
  const forge_status status = rig_open_device(NULL, &dev);
  if (status)
    test_unsupported("a device that is open is not opened again: %s (%d), %s",
                     rig_status_name(status), status, rig_words());
  rig_table()->dev_close(dev);
  test_at("two open devices");
  rig *b = rig_open();
  rig *both[] = {a, b};
  forge_mem *mem[2];
  for (int i = 0; i < 2; i++) {
    mem[i] = rig_alloc(both[i], BYTES);
    memset(out[i], 0x11 + i, BYTES);
    rig_put(both[i], mem[i], 0, out[i], BYTES);
  }
  for (int i = 0; i < 2; i++) {
    rig_fetch(both[i], mem[i], 0, in, BYTES);
    CHECK(!memcmp(in, out[i], BYTES),
          "memory of device opened %s holds what was put into the other", i ? "second" : "first");
  }
  test_at("after the second of two open devices was closed");
  rig_free_mem(b, mem[1]);
  rig_close(b);
  rig_fetch(a, mem[0], 0, in, BYTES);
  CHECK(!memcmp(in, out[0], BYTES), "memory of a device changes when another one is closed");
  rig_put(a, mem[0], 0, out[1], BYTES);
  rig_fetch(a, mem[0], 0, in, BYTES);
  CHECK(!memcmp(in, out[1], BYTES), "a device computes no longer when another one is closed");
  rig_free_mem(a, mem[0]);
  rig_close(a);
}

void chapter_again(test_list *list) {
  TEST(list, "programs.attributes", attributes, FB_A9);
  TEST(list, "programs.numbers", numbers, FB_A4);
  TEST(list, "programs.constants", constants, FB_A4);
  TEST(list, "device.opened_twice", opened_twice, FB_D6);
}
