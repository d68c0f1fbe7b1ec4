/* honesty.c -- what op_support() says, and what prog_create() and submit() then do. */
#include <stdio.h>
#include <string.h>

#include "cases.h"

/* One call of every maker, or of every third; in the order of the chapters. */
#define MOST_CALLS 40
typedef struct many {
  op_call call[MOST_CALLS];
  rig_op op[MOST_CALLS];
  uint32_t n, tensors;
} many;

static uint32_t tensors_of(const op_call *c) { return c->n_in + c->n_out; }

/* Calls of makers from |first| on, while tensors and records fit one program; returns the next. */
static uint32_t gather_calls(many *m, uint32_t first, uint32_t variant) {
  memset(m, 0, sizeof *m);
  for (; cases_maker(first) && m->n < MOST_CALLS; first++) {
    op_call c = cases_base(cases_maker(first), variant);
    if (c.n_scalar || m->tensors + tensors_of(&c) > RIG_MOST_TENSORS) {
      const bool full = !c.n_scalar;
      call_free(&c);
      if (full) break;
      continue;
    }
    m->tensors += tensors_of(&c);
    m->call[m->n++] = c;
  }
  for (uint32_t i = 0; i < m->n; i++) m->op[i] = call_op(&m->call[i]);
  return first;
}

static void free_calls(many *m) {
  for (uint32_t i = 0; i < m->n; i++) call_free(&m->call[i]);
}

static bool same_answer(const forge_support *a, const forge_support *b) {
  return a->answer == b->answer && a->reason == b->reason;
}

/* Asked alone, asked again, asked among others: the same. */
static void stable(const void *arg) {
  static many m;
  static forge_support together[MOST_CALLS], again[MOST_CALLS], alone;
  rig *r = rig_open();
  (void)arg;
  for (uint32_t first = 0, variant = 0; cases_maker(first); variant++) {
    first = gather_calls(&m, first, variant % 3);
    rig_support(r, m.op, m.n, together);
    rig_support(r, m.op, m.n, again);
    for (uint32_t i = 0; i < m.n; i++) {
      rig_support(r, &m.op[i], 1, &alone);
      CHECK(same_answer(&together[i], &again[i]), "op_support answers %u, then %u for the same %s",
            together[i].answer, again[i].answer, rig_op_name(m.op[i].op));
      CHECK(same_answer(&together[i], &alone),
            "op_support answers %u for %s alone and %u among %u others", alone.answer,
            rig_op_name(m.op[i].op), together[i].answer, m.n - 1);
    }
    free_calls(&m);
  }
  rig_close(r);
}

/* prog_create() of one op alone: builds what is NATIVE, refuses with words what is not. */
static void check_built(rig *r, const rig_op *op, const rig_how *how, uint8_t answer,
                        const char *what) {
  static rig_program p;
  forge_prog *prog = NULL;
  forge_prog_out info = {.size = sizeof info};
  rig_describe(&p, op, 1, how);
  const forge_status status =
      rig_table()->prog_create(r ? rig_device(r) : NULL, &p.desc, &prog, &info);
  if (!status) rig_table()->prog_destroy(prog);
  if (answer == FORGE_SUPPORT_NATIVE)
    CHECK(!status, "%s is called NATIVE and prog_create refuses it (%s): %s", what,
          rig_status_name(status), rig_words());
  else
    CHECK(status == FORGE_E_UNSUPPORTED || status == FORGE_E_INVALID,
          "%s is called %s, and prog_create answers %s", what, answer ? "DECOMPOSED" : "NO",
          rig_status_name(status));
}

/* Every maker, every choice of attributes. */
static void agrees(const void *arg) {
  rig *r = rig_open();
  uint32_t native = 0, other = 0;
  (void)arg;
  for (uint32_t i = 0; cases_maker(i); i++)
    for (uint32_t v = 0; v < cases_maker(i)->variants; v++) {
      op_call c = cases_base(cases_maker(i), v);
      const rig_op op = call_op(&c);
      const rig_how how = {.scalar = c.scalar, .n_scalar = c.n_scalar};
      forge_support answer;
      rig_support_how(r, &op, 1, &how, &answer);
      check_built(r, &op, &how, answer.answer, cases_maker(i)->name);
      native += answer.answer == FORGE_SUPPORT_NATIVE;
      other += answer.answer != FORGE_SUPPORT_NATIVE;
      call_free(&c);
    }
  test_note("%u calls are NATIVE, %u are not", native, other);
  rig_close(r);
}

/* Programs of many ops: built whole when all are NATIVE, refused when one is not. */
static void mixed(const void *arg) {
  static many m;
  static forge_support answer[MOST_CALLS];
  rig *r = rig_open();
  (void)arg;
  for (uint32_t first = 0; cases_maker(first);) {
    uint32_t missing = 0;
    first = gather_calls(&m, first, 0);
    rig_support(r, m.op, m.n, answer);
    for (uint32_t i = 0; i < m.n; i++) missing += answer[i].answer != FORGE_SUPPORT_NATIVE;
    const forge_status status = rig_run(r, m.op, m.n);
    if (missing)
      CHECK(status, "%u of %u ops are not NATIVE, and the program of them runs", missing, m.n);
    else
      CHECK(!status,
            "all of %u ops (%s to %s) are NATIVE, and the program of them fails with %s: %s", m.n,
            rig_op_name(m.op[0].op), rig_op_name(m.op[m.n - 1].op), rig_status_name(status),
            rig_words());
    free_calls(&m);
  }
  rig_close(r);
}

/* An op from the future in the middle: its neighbours keep their answers, the program is refused.
 */
static void stranger(const void *arg) {
  const int64_t dim[] = {5};
  const forge_attr_fill attr = {1.0};
  rig *r = rig_open();
  (void)arg;
  rig_tensor *a = rig_make(FORGE_F32, 1, dim), *b = rig_make(FORGE_F32, 1, dim),
             *c = rig_make(FORGE_F32, 1, dim);
  const rig_op op[] = {RIG_OP(FORGE_OP_FILL, &attr, sizeof attr, NULL, 0, &a, 1),
                       RIG_OP(63, &attr, sizeof attr, &a, 1, &b, 1),
                       RIG_OP(FORGE_OP_FILL, &attr, sizeof attr, NULL, 0, &c, 1),
                       RIG_OP(60000, NULL, 0, &c, 1, &b, 1)};
  forge_support s[4], alone;
  rig_support(r, op, 4, s);
  rig_support(r, op, 1, &alone);
  CHECK(same_answer(&s[0], &alone) && same_answer(&s[2], &alone),
        "FILL is answered %u alone, and %u and %u beside an unknown op", alone.answer, s[0].answer,
        s[2].answer);
  CHECK(s[1].answer == FORGE_SUPPORT_NO && s[3].answer == FORGE_SUPPORT_NO,
        "op numbers 63 and 60000, which no one has given yet, are answered %u and %u, not NO",
        s[1].answer, s[3].answer);
  const forge_status status = rig_run(r, op, 4);
  CHECK(status == FORGE_E_UNSUPPORTED || status == FORGE_E_INVALID,
        "a program with op number 63 is answered %s", rig_status_name(status));
  rig_free(a);
  rig_free(b);
  rig_free(c);
  rig_close(r);
}

/* Attributes from the future: a kind or a flag nobody has given. */
static void unknown_attributes(const void *arg) {
  static const struct {
    const char *maker;
    uint32_t word, value;
  } rows[] = {
      {"UNARY.f32", 0, 99},         {"BINARY.f32", 0, 77},     {"REDUCE.sum.f32", 0, 55},
      {"MATMUL.f32", 0, 64},        {"MASK.length.f32", 0, 9}, {"SCATTER_ROWS.set.f32", 0, 8},
      {"RNG_PHILOX.uniform", 0, 5}, {"UNARY_BWD.f32", 0, 99},  {"GROUPED_MATMUL.f32", 0, 64}};
  rig *r = rig_open();
  (void)arg;
  for (uint32_t k = 0; k < COUNT_OF(rows); k++)
    for (uint32_t i = 0; cases_maker(i); i++) {
      if (strcmp(cases_maker(i)->name, rows[k].maker)) continue;
      op_call c = cases_base(cases_maker(i), 0);
      const uint32_t value = rows[k].value;
      memcpy((uint8_t *)&c.attr + 4 * rows[k].word, &value, sizeof value);
      const rig_op op = call_op(&c);
      forge_support answer;
      rig_support(r, &op, 1, &answer);
      CHECK(answer.answer != FORGE_SUPPORT_NATIVE,
            "%s with kind or flags %u, which mean nothing, is called NATIVE", rows[k].maker, value);
      check_built(r, &op, NULL, answer.answer, rows[k].maker);
      call_free(&c);
    }
  rig_close(r);
}

void chapter_honesty(test_list *list) {
  TEST(list, "honesty.stable", stable, FB_S12);
  TEST(list, "honesty.agrees", agrees, FB_A7, FB_S12);
  TEST(list, "honesty.mixed", mixed, FB_A7, FB_A6);
  TEST(list, "honesty.stranger", stranger, FB_A8, FB_S12);
  TEST(list, "honesty.attributes", unknown_attributes, FB_A8);
}
