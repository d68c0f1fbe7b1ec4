/* gradient.c -- backward ops of the device against central differences of the oracle's forward. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cases.h"
#include "slopes.h"

/* Which inputs of the backward call are the forward's, and what its outputs are slopes of. */
typedef struct slope_row {
  const char *maker; /* whose base call is taken */
  uint16_t forward;
  int8_t from[5];        /* forward input k is input from[k] of the call; -1: absent */
  uint8_t n_from, dy;    /* dy: the input that weighs the forward's output */
  int8_t slope_of[3];    /* output k is the slope of forward input slope_of[k] */
  uint8_t n_y, y_number; /* outputs of the forward op, and which one is weighed */
} slope_row;

static const slope_row rows[] = {
    {"UNARY_BWD.f32", FORGE_OP_UNARY, {0}, 1, 1, {0}, 1, 0},
    {"SWIGLU_BWD.f32", FORGE_OP_SWIGLU, {0, 1}, 2, 2, {0, 1}, 1, 0},
    {"RMSNORM_BWD.f32", FORGE_OP_RMSNORM, {0, 1}, 2, 2, {0, 1}, 1, 0},
    {"LAYERNORM_BWD.f32", FORGE_OP_LAYERNORM, {0, 1, -1}, 3, 2, {0, 1, 2}, 1, 0},
    {"ATTENTION_BWD.f32", FORGE_OP_ATTENTION, {0, 1, 2, -1, -1}, 5, 5, {0, 1, 2}, 1, 0},
    {"CROSS_ENTROPY_BWD.f32", FORGE_OP_CROSS_ENTROPY, {0, 1}, 2, 2, {0}, 1, 0},
    {"MOE_ROUTE_BWD.f32", FORGE_OP_MOE_ROUTE, {0}, 1, 2, {0}, 2, 1},
};

static const op_maker *maker_of(const char *name) {
  for (uint32_t i = 0; cases_maker(i); i++)
    if (!strcmp(cases_maker(i)->name, name)) return cases_maker(i);
  test_fail("the suite has no maker %s", name);
}

/* LAYERNORM's bias does not change its slopes, but has one: it is made up of zeros. */
static void forward_inputs(const slope_row *s, const op_call *c, ref **in) {
  for (uint32_t k = 0; k < s->n_from; k++)
    in[k] = s->from[k] < 0 ? NULL : ref_of(c->in[s->from[k]]);
  if (s->forward == FORGE_OP_LAYERNORM) in[2] = ref_make(1, c->in[1]->t.dim);
}

/* A route's ids are the oracle's own: those given would be another function. */
static void set_ids(const slope_row *s, op_call *c) {
  if (s->forward != FORGE_OP_MOE_ROUTE) return;
  ref *in = ref_of(c->in[0]);
  ref *out[] = {ref_of(c->in[1]), ref_of(c->in[2])};
  ref64_run(s->forward, &c->attr, (const ref *const[]){in}, 1, out, 2, NULL);
  rig_write(c->in[1], out[0]->v);
  ref_free(in);
  ref_free(out[0]);
  ref_free(out[1]);
}

static void expect_slopes(const slope_row *s, const op_call *c, expected *e) {
  ref *in[5], *dy = ref_of(c->in[s->dy]), *like[2];
  forward_inputs(s, c, in);
  for (uint32_t k = 0; k < s->n_y; k++) like[k] = ref_make(dy->rank, dy->dim);
  for (uint32_t k = 0; k < c->n_out; k++) {
    ref_free(e->want[k]);
    e->want[k] = slope_differences(s->forward, &c->attr, in, s->n_from, like, s->n_y, s->y_number,
                                   dy, (uint32_t)s->slope_of[k]);
    for (int64_t i = 0; i < ref_count(e->limit[k]); i++)
      e->limit[k]->v[i] += 1e-6 * (1.0 + fabs(e->want[k]->v[i]));
  }
  for (uint32_t k = 0; k < s->n_from; k++) ref_free(in[k]);
  for (uint32_t k = 0; k < s->n_y; k++) ref_free(like[k]);
  ref_free(dy);
}

static void check_call(case_run *run, const slope_row *s, op_call *c) {
  if (!case_offered(run, c)) return;
  set_ids(s, c);
  const rig_op op = call_op(c);
  expected e = call_expected(c);
  expect_slopes(s, c, &e);
  rig_must(run->r, &op, 1);
  case_compare(run, c, &e);
  expected_free(&e);
  run->done++;
}

static void gradient(const void *arg) {
  const slope_row *s = arg;
  const op_maker *m = maker_of(s->maker);
  case_run run = case_begin("slopes");
  for (uint32_t v = 0; v < m->variants; v++) {
    op_call c = cases_base(m, v);
    if (s->forward != FORGE_OP_UNARY || c.attr.kind.kind != FORGE_UNARY_STEP)
      check_call(&run, s, &c);
    call_free(&c);
  }
  case_end(&run);
}

/* ---- ops whose gradient is themselves turned round ---- */

/* INVERSE of dy is the slope of ROPE. */
static void rope(const void *arg) {
  case_run run = case_begin("slopes");
  const op_maker *m = maker_of("ROPE.f32");
  (void)arg;
  for (uint32_t v = 0; v < m->variants; v++) {
    op_call c = cases_base(m, v);
    if (!(c.attr.rope.flags & FORGE_ROPE_INVERSE) || !case_offered(&run, &c)) {
      call_free(&c);
      continue;
    }
    forge_attr_rope forward = c.attr.rope;
    forward.flags &= ~(uint32_t)FORGE_ROPE_INVERSE;
    const rig_op op = call_op(&c);
    expected e = call_expected(&c);
    ref *in[] = {ref_make(c.in[0]->t.rank, c.in[0]->t.dim), ref_of(c.in[1]), ref_of(c.in[2])},
        *dy = ref_of(c.in[0]);
    ref *like = ref_copy(dy);
    ref_free(e.want[0]);
    e.want[0] = slope_differences(FORGE_OP_ROPE, &forward, in, 3, &like, 1, 0, dy, 0);
    for (int64_t i = 0; i < ref_count(like); i++) e.limit[0]->v[i] += 1e-6;
    rig_must(run.r, &op, 1);
    case_compare(&run, &c, &e);
    for (int k = 0; k < 3; k++) ref_free(in[k]);
    ref_free(dy);
    ref_free(like);
    expected_free(&e);
    call_free(&c);
    run.done++;
  }
  case_end(&run);
}

/* y_t = w[ids_t] x_t: the slope in x is the op with TRANS_A, in w it is GROUPED_MATMUL_DW. */
static void grouped(const void *arg) {
  const bool weights = arg != NULL;
  case_run run = case_begin("slopes");
  const int64_t t = 5, e_dim[] = {3, 4, 6}, x_dim[] = {5, 6}, y_dim[] = {5, 4};
  const forge_attr_matmul none = {0, 0}, turned = {FORGE_MATMUL_TRANS_A, 0};
  op_call c = {
      .op = weights ? FORGE_OP_GROUPED_MATMUL_DW : FORGE_OP_GROUPED_MATMUL, .n_in = 3, .n_out = 1};
  rig_tensor *x = call_random(&c, FORGE_F32, 2, x_dim, 1, -1.0, 1.0),
             *w = call_random(&c, FORGE_F32, 3, e_dim, 2, -1.0, 1.0);
  rig_tensor *dy = call_random(&c, FORGE_F32, 2, y_dim, 3, -1.0, 1.0),
             *ids = call_ids(1, &t, 4, 3, true);
  ref *in[] = {ref_of(x), ref_of(w), ref_of(ids)}, *weigh = ref_of(dy), *like = ref_copy(weigh);
  if (weights)
    CALL_ATTR(&c, none);
  else
    CALL_ATTR(&c, turned);
  c.in[0] = weights ? x : dy;
  c.in[1] = weights ? dy : w;
  c.in[2] = ids;
  c.out[0] = weights ? rig_make(FORGE_F32, 3, e_dim) : rig_make(FORGE_F32, 2, x_dim);
  if (case_offered(&run, &c)) {
    const rig_op op = call_op(&c);
    expected e = call_expected(&c);
    ref_free(e.want[0]);
    e.want[0] = slope_differences(FORGE_OP_GROUPED_MATMUL, &none, in, 3, &like, 1, 0, weigh,
                                  weights ? 1 : 0);
    for (int64_t i = 0; i < ref_count(e.want[0]); i++) e.limit[0]->v[i] += 1e-6;
    rig_must(run.r, &op, 1);
    case_compare(&run, &c, &e);
    expected_free(&e);
    run.done++;
  }
  rig_free(weights ? w : x);
  for (int k = 0; k < 3; k++) ref_free(in[k]);
  ref_free(weigh);
  ref_free(like);
  call_free(&c);
  case_end(&run);
}

void chapter_gradient(test_list *list) {
  static const int weights;
  char id[64];
  for (uint32_t k = 0; k < COUNT_OF(rows); k++) {
    snprintf(id, sizeof id, "gradient.%.*s", (int)strcspn(rows[k].maker, "."), rows[k].maker);
    TEST_OF(list, id, gradient, &rows[k], FB_S8);
  }
  TEST(list, "gradient.ROPE", rope, FB_S8);
  TEST(list, "gradient.GROUPED_MATMUL", grouped, FB_S8);
  TEST_OF(list, "gradient.GROUPED_MATMUL_DW", grouped, &weights, FB_S8);
}
