/* together.c -- programs of several ops as the core makes them: intermediates that share memory,
 * views into one binding, results written over inputs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "rig_parts.h"

/* ---- a program whose slots lie where a plan puts them ---- */

#define MOST_SLOTS 24

typedef struct planned {
  rig *r;
  rig_program *p;
  rig_tensor *tensor[MOST_SLOTS]; /* by slot */
  uint64_t offset[MOST_SLOTS];
  uint32_t bind[MOST_SLOTS];
  uint32_t n;
} planned;

/* Tensors at fixed places: |bind| 0 is the workspace, 1 the inputs, 2 the outputs. */
static rig_tensor *place(planned *s, rig_tensor *t, uint32_t bind, uint64_t offset) {
  CHECK(s->n < MOST_SLOTS, "the suite's plan is too small");
  s->tensor[s->n] = t;
  s->bind[s->n] = bind;
  s->offset[s->n++] = offset;
  return t;
}

static uint32_t number_of(const planned *s, const rig_tensor *t) {
  for (uint32_t i = 0; i < s->n; i++)
    if (s->tensor[i] == t) return i;
  test_fail("the suite's plan has no place for a tensor");
}

#define BINDING_BYTES UINT64_C(65536)

static void upload(planned *s, forge_mem *mem, uint64_t base) {
  for (uint32_t i = 0; i < s->n; i++)
    if (s->bind[i] == 1)
      rig_put(s->r, mem, base + BINDING_BYTES + s->offset[i], s->tensor[i]->data,
              s->tensor[i]->bytes);
}

/* Builds, runs |times| times, brings everything of bindings 1 and 2 back. */
static void run_planned(planned *s, const rig_op *ops, uint32_t n, uint32_t times) {
  const rig_how how = {.flags = times > 1 ? FORGE_PROGRAM_REPLAYABLE : FORGE_PROGRAM_ONE_SHOT};
  forge_prog *prog = NULL;
  forge_prog_out info = {.size = sizeof info};
  s->p = rig_zalloc(sizeof *s->p);
  rig_require(s->r, ops, n);
  rig_describe(s->p, ops, n, &how);
  for (uint32_t i = 0; i < s->p->n; i++) {
    const uint32_t at = number_of(s, s->p->tensor[i]);
    s->p->slot[i].bind = s->bind[at];
    s->p->slot[i].offset = s->offset[at];
  }
  s->p->desc.n_bind = 3;
  const uint64_t base = 1024; /* bindings begin inside their block */
  forge_mem *mem = rig_alloc(s->r, base + 3 * BINDING_BYTES);
  rig_expect(rig_table()->prog_create(s->r->dev, &s->p->desc, &prog, &info), "prog_create");
  upload(s, mem, base);
  for (uint32_t k = 0; k < times; k++) {
    const forge_bind bind[] = {{mem, base, BINDING_BYTES},
                               {mem, base + BINDING_BYTES, BINDING_BYTES},
                               {mem, base + 2 * BINDING_BYTES, BINDING_BYTES}};
    const forge_point done = {rig_timeline(s->r), rig_next_value(s->r)};
    const forge_submit order = {
        .size = sizeof order, .n_bind = 3, .bind = bind, .n_signal = 1, .signal = &done};
    rig_expect(rig_table()->submit(s->r->queue, prog, &order), "submit");
  }
  rig_finish(s->r);
  for (uint32_t i = 0; i < s->n; i++)
    if (s->bind[i])
      rig_fetch(s->r, mem, base + s->bind[i] * BINDING_BYTES + s->offset[i], s->tensor[i]->data,
                s->tensor[i]->bytes);
  rig_table()->prog_destroy(prog);
  rig_free_mem(s->r, mem);
  free(s->p);
}

static void end_planned(planned *s) {
  for (uint32_t i = 0; i < s->n; i++) rig_free(s->tensor[i]);
  rig_close(s->r);
}

static rig_tensor *matrix(int64_t rows, int64_t columns, uint64_t seed) {
  rig_tensor *t = rig_make(FORGE_F32, 2, (int64_t[]){rows, columns});
  if (seed) rig_random(t, seed, -1.0, 1.0);
  return t;
}

static void near(const char *what, const rig_tensor *got, const double *want, double tolerance) {
  for (int64_t i = 0; i < rig_elements(got); i++)
    CHECK(fabs(rig_get(got, i) - want[i]) <= tolerance * (1.0 + fabs(want[i])),
          "%s: element %lld is %.9g and should be %.9g", what, (long long)i, rig_get(got, i),
          want[i]);
}

/* ---- a block of a model: intermediates take each other's places ---- */

static void chain_by_hand(const rig_tensor *x, const rig_tensor *w, const rig_tensor *v,
                          double *want) {
  for (int64_t i = 0; i < 7; i++) {
    double hidden[33];
    for (int64_t j = 0; j < 33; j++) {
      double sum = 0.0;
      for (int64_t k = 0; k < 19; k++) sum += rig_get(x, i * 19 + k) * rig_get(w, k * 33 + j);
      hidden[j] = sum > 0.0 ? 2.0 * sum : 0.0;
    }
    for (int64_t j = 0; j < 19; j++) {
      double sum = rig_get(x, i * 19 + j);
      for (int64_t k = 0; k < 33; k++) sum += hidden[k] * rig_get(v, k * 19 + j);
      want[i * 19 + j] = sum;
    }
  }
}

/* y = x + (2 relu(x w)) v; a and c are dead when the next is born and share their bytes. */
static void chain(const void *arg) {
  const uint32_t times = arg ? 3 : 1;
  const forge_attr_matmul mm = {0, 0};
  const forge_attr_kind relu = {FORGE_UNARY_RELU, 0}, add = {FORGE_BINARY_ADD, 0};
  const forge_attr_axpby twice = {.alpha = {.value = 2.0}};
  planned s = {.r = rig_open()};
  rig_tensor *x = place(&s, matrix(7, 19, 1), 1, 64), *w = place(&s, matrix(19, 33, 2), 1, 4096),
             *v = place(&s, matrix(33, 19, 3), 1, 16384);
  rig_tensor *a = place(&s, matrix(7, 33, 0), 0, 0), *b = place(&s, matrix(7, 33, 0), 0, 1024),
             *c = place(&s, matrix(7, 33, 0), 0, 0);
  rig_tensor *d = place(&s, matrix(7, 19, 0), 0, 1024), *y = place(&s, matrix(7, 19, 0), 2, 4);
  const rig_op ops[] = {
      RIG_OP(FORGE_OP_MATMUL, &mm, sizeof mm, ((rig_tensor *[]){x, w, NULL}), 3, &a, 1),
      RIG_OP(FORGE_OP_UNARY, &relu, sizeof relu, &a, 1, &b, 1),
      RIG_OP(FORGE_OP_AXPBY, &twice, sizeof twice, ((rig_tensor *[]){b, b}), 2, &c, 1),
      RIG_OP(FORGE_OP_MATMUL, &mm, sizeof mm, ((rig_tensor *[]){c, v, NULL}), 3, &d, 1),
      RIG_OP(FORGE_OP_BINARY, &add, sizeof add, ((rig_tensor *[]){x, d}), 2, &y, 1)};
  double want[7 * 19];
  run_planned(&s, ops, COUNT_OF(ops), times);
  chain_by_hand(x, w, v, want);
  near("x + 2 relu(x w) v", y, want, 2e-6);
  end_planned(&s);
}

/* Rows of one tensor written one after another through views, then read as a whole. */
static void views(const void *arg) {
  const forge_attr_reduce sum = {FORGE_REDUCE_SUM, 1};
  planned s = {.r = rig_open()};
  (void)arg;
  rig_op ops[10];
  rig_tensor *from[9], *row[9];
  for (uint32_t i = 0; i < 9; i++) {
    from[i] = place(&s, matrix(1, 21, 1 + i), 1, 4096 * i);
    row[i] = place(&s, matrix(1, 21, 0), 0, 128 + 4 * 21 * i);
    ops[i] = RIG_OP(FORGE_OP_COPY_STRIDED, NULL, 0, &from[i], 1, &row[i], 1);
  }
  rig_tensor *all = place(&s, matrix(9, 21, 0), 0, 128), *y = place(&s, matrix(1, 21, 0), 2, 8);
  ops[9] = RIG_OP(FORGE_OP_REDUCE, &sum, sizeof sum, &all, 1, &y, 1);
  double want[21] = {0};
  run_planned(&s, ops, 10, 1);
  for (int64_t e = 0; e < 9 * 21; e++) want[e % 21] += rig_get(from[e / 21], e % 21);
  near("the sum of nine rows written through views", y, want, 2e-6);
  end_planned(&s);
}

/* x is overwritten again and again by what came of it: 40 times x = x/2 + b. */
static void over_and_over(const void *arg) {
  const forge_attr_axpby attr = {.alpha = {.value = 0.5}, .beta = {.value = 1.0}};
  planned s = {.r = rig_open()};
  (void)arg;
  rig_op ops[40];
  rig_tensor *x = place(&s, matrix(5, 67, 1), 1, 0), *b = place(&s, matrix(5, 67, 2), 1, 8192);
  double want[5 * 67];
  for (int64_t i = 0; i < 5 * 67; i++) {
    want[i] = rig_get(x, i);
    for (int k = 0; k < 80; k++) want[i] = 0.5 * want[i] + rig_get(b, i);
  }
  rig_tensor *in[] = {x, b};
  for (uint32_t k = 0; k < 40; k++)
    ops[k] = RIG_OP(FORGE_OP_AXPBY, &attr, sizeof attr, in, 2, &x, 1);
  run_planned(&s, ops, 40, 2);
  near("x = x/2 + b, eighty times over x", x, want, 2e-6);
  end_planned(&s);
}

/* Two steps of an optimizer in one program, and a third submit of it: state lives on. */
static void optimizer(const void *arg) {
  forge_attr_adamw attr = {.beta1 = 0.9,
                           .beta2 = 0.999,
                           .eps = 1e-8,
                           .weight_decay = 0.1,
                           .lr = {.value = 1e-2},
                           .step = {.value = 5.0}};
  planned s = {.r = rig_open()};
  (void)arg;
  rig_tensor *t[4];
  for (uint32_t i = 0; i < 4; i++) t[i] = place(&s, matrix(3, 43, 1 + i), 1, 4096 * i);
  rig_random(t[2], 9, 0.0, 1.0);
  ref *x[] = {ref_of(t[0]), ref_of(t[1]), ref_of(t[2]), ref_of(t[3]), NULL};
  for (int k = 0; k < 4; k++) {
    ref *y[] = {ref_copy(x[0]), ref_copy(x[1]), ref_copy(x[2])};
    ref64_run(FORGE_OP_ADAMW, &attr, (const ref *const *)x, 5, y, 3, NULL);
    for (int i = 0; i < 3; i++) {
      ref_free(x[i]);
      x[i] = y[i];
    }
  }
  rig_tensor *in[] = {t[0], t[1], t[2], t[3], NULL};
  const rig_op step = RIG_OP(FORGE_OP_ADAMW, &attr, sizeof attr, in, 5, t, 3), ops[] = {step, step};
  run_planned(&s, ops, 2, 2);
  for (int i = 0; i < 3; i++) near("p, m or v after four steps", t[i], x[i]->v, 4e-6);
  for (int i = 0; i < 4; i++) ref_free(x[i]);
  end_planned(&s);
}

/* A decode step: keys written into their pages, then attended to, in one program. */
static void cache(const void *arg) {
  const forge_attr_attention attr = {.scale = 0.4, .flags = FORGE_ATTENTION_CAUSAL};
  const int64_t pages[] = {4, 4, 1, 8}, rows[] = {3, 1, 8}, q_dim[] = {1, 3, 2, 8}, n[] = {3},
                one[] = {1}, table[] = {1, 2};
  planned s = {.r = rig_open()};
  (void)arg;
  rig_tensor *k = place(&s, rig_make(FORGE_F32, 4, pages), 1, 0),
             *v = place(&s, rig_make(FORGE_F32, 4, pages), 1, 4096);
  rig_tensor *new_k = place(&s, rig_make(FORGE_F32, 3, rows), 1, 8192),
             *new_v = place(&s, rig_make(FORGE_F32, 3, rows), 1, 9216);
  rig_tensor *slots = place(&s, rig_make(FORGE_I32, 1, n), 1, 10240),
             *q = place(&s, rig_make(FORGE_F32, 4, q_dim), 1, 11264);
  rig_tensor *starts = place(&s, rig_make(FORGE_I32, 1, one), 1, 12288),
             *ids = place(&s, rig_make(FORGE_I32, 2, table), 1, 12352);
  rig_tensor *y = place(&s, rig_make(FORGE_F32, 4, q_dim), 2, 0);
  rig_tensor *floats[] = {k, v, new_k, new_v, q};
  for (uint32_t i = 0; i < 5; i++) rig_random(floats[i], 1 + i, -1.0, 1.0);
  for (int64_t i = 0; i < 3; i++)
    rig_set(slots, i, (double)(i < 1 ? 3 * 4 + 3 : 4 + i - 1)); /* keys 3, 4, 5 */
  rig_set(starts, 0, 3.0);
  rig_set(ids, 0, 3.0);
  rig_set(ids, 1, 1.0);
  ref *x[] = {ref_of(q), ref_of(k), ref_of(v), ref_of(starts), ref_of(ids)}, *slot = ref_of(slots);
  for (int i = 1; i < 3; i++) {
    ref *fresh = ref_of(i == 1 ? new_k : new_v), *after = ref_copy(x[i]);
    ref64_run(FORGE_OP_KV_WRITE, NULL, (const ref *const[]){x[i], slot, fresh}, 3, &after, 1, NULL);
    ref_free(x[i]);
    ref_free(fresh);
    x[i] = after;
  }
  ref *want[] = {ref_make(4, q_dim), NULL};
  ref64_run(FORGE_OP_ATTENTION, &attr, (const ref *const *)x, 5, want, 2, NULL);
  const rig_op ops[] = {
      RIG_OP(FORGE_OP_KV_WRITE, NULL, 0, ((rig_tensor *[]){k, slots, new_k}), 3, &k, 1),
      RIG_OP(FORGE_OP_KV_WRITE, NULL, 0, ((rig_tensor *[]){v, slots, new_v}), 3, &v, 1),
      RIG_OP(FORGE_OP_ATTENTION, &attr, sizeof attr, ((rig_tensor *[]){q, k, v, starts, ids}), 5,
             ((rig_tensor *[]){y, NULL}), 2)};
  run_planned(&s, ops, 3, 1);
  near("attention over keys written in the same program", y, want[0]->v, 5e-6);
  for (int i = 0; i < 5; i++) ref_free(x[i]);
  ref_free(slot);
  ref_free(want[0]);
  end_planned(&s);
}

void chapter_together(test_list *list) {
  static const int again;
  TEST(list, "together.chain", chain, FB_A6);
  TEST_OF(list, "together.chain_again", chain, &again, FB_A6, FB_A4);
  TEST(list, "together.views", views, FB_A6, FB_S3);
  TEST(list, "together.over_and_over", over_and_over, FB_S13, FB_A6);
  TEST(list, "together.optimizer", optimizer, FB_S13, FB_A6);
  TEST(list, "together.cache", cache, FB_S13, FB_A6);
}
