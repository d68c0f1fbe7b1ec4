/* case_run.c -- see cases.h: running a call and judging what came out. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"

case_run case_begin(const char *what) { return (case_run){.r = rig_open(), .what = what}; }

rig_op call_op(const op_call *c) {
  return RIG_OP(c->op, &c->attr, c->attr_bytes, c->in, c->n_in, c->out, c->n_out);
}

static void note_place(const case_run *run, const op_call *c) {
  test_at("%s, %s, %s", rig_op_name(c->op), run->what, call_words(c));
}

/* Asked as it will be built: where a tensor begins may matter too. */
static bool offered(case_run *run, const op_call *c, const rig_how *how) {
  const rig_op op = call_op(c);
  forge_support answer = {0};
  note_place(run, c);
  rig_support_how(run->r, &op, 1, how, &answer);
  if (answer.answer == FORGE_SUPPORT_NATIVE) return true;
  if (!run->left_out++)
    snprintf(run->reason, sizeof run->reason, "%s is %s: %s", rig_op_name(c->op),
             answer.answer == FORGE_SUPPORT_NO ? "NO" : "DECOMPOSED",
             rig_reason_name(answer.reason));
  return false;
}

bool case_offered(case_run *run, const op_call *c) {
  const rig_how how = {.scalar = c->scalar, .n_scalar = c->n_scalar};
  return offered(run, c, &how);
}

/* ---- the oracle's part ---- */

static bool is_float(uint8_t dtype) {
  return dtype == FORGE_F32 || dtype == FORGE_F16 || dtype == FORGE_BF16;
}

/* What a whole number is where a float would be NaN: a row gathered from nowhere, a cast of a NaN.
 */
static void number_nans(ref *want, uint16_t op) {
  for (int64_t i = 0; i < ref_count(want); i++)
    if (isnan(want->v[i])) want->v[i] = op == FORGE_OP_GATHER_ROWS ? -1.0 : 0.0;
}

expected call_expected(const op_call *c) {
  expected e = {{NULL}, {NULL}};
  ref *in[CASE_MOST_IN] = {NULL};
  for (uint32_t k = 0; k < c->n_in; k++) in[k] = ref_of(c->in[k]);
  for (uint32_t k = 0; k < c->n_out; k++)
    if (c->out[k]) e.want[k] = ref_make(c->out[k]->t.rank, c->out[k]->t.dim);
  CHECK(ref64_run(c->op, &c->attr, (const ref *const *)in, c->n_in, e.want, c->n_out, c->scalar),
        "the suite has no oracle for op %u", c->op);
  for (uint32_t k = 0; k < c->n_out; k++)
    if (c->out[k] && !is_float(c->out[k]->t.dtype)) number_nans(e.want[k], c->op);
  call_limits(c, e.want, e.limit);
  for (uint32_t k = 0; k < c->n_in; k++) ref_free(in[k]);
  return e;
}

void expected_free(expected *e) {
  for (uint32_t k = 0; k < CASE_MOST_OUT; k++) {
    ref_free(e->want[k]);
    ref_free(e->limit[k]);
  }
}

/* ---- comparing ---- */

/* Half the distance between neighbours of the type at |x|. */
static double half_unit(uint8_t dtype, double x) {
  const double a = fabs(x);
  switch (dtype) {
  case FORGE_F32: return fmax(a * 0x1p-24, 0x1p-150);
  case FORGE_F16: return fmax(a * 0x1p-11, 0x1p-25);
  case FORGE_BF16: return fmax(a * 0x1p-8, 0x1p-134);
  default: return 0.0;
  }
}

static double largest_of(uint8_t dtype) {
  return dtype == FORGE_F16 ? 65504.0 : dtype == FORGE_BF16 ? 0x1.fep127 : (double)FLT_MAX;
}

/* |want| as the type holds it: rounded once. */
static double rounded(uint8_t dtype, double want) {
  if (dtype == FORGE_F32) return (double)(float)want;
  uint8_t bytes[8] = {0};
  rig_tensor t = {.data = bytes, .bytes = sizeof bytes};
  t.t.dtype = dtype;
  rig_set(&t, 0, want);
  return rig_get(&t, 0);
}

static bool agrees(uint8_t dtype, double got, double want, double limit) {
  if (isnan(want) || isnan(got)) return isnan(want) && isnan(got);
  const double near = rounded(dtype, want);
  if (got == near) return true;
  if (is_float(dtype) && fabs(got) <= FLT_MIN && fabs(want) <= FLT_MIN && dtype != FORGE_F16)
    return true; /* denormal results may be flushed */
  if (limit == 0.0) return false;
  if (isinf(near))
    return !isinf(want) && fabs(got) >= largest_of(dtype) * 0.999 && got * want > 0.0;
  if (isinf(got)) return fabs(want) >= largest_of(dtype) * 0.999 && got * want > 0.0;
  return fabs(got - want) <= limit + half_unit(dtype, want);
}

static const char *index_words(const rig_tensor *t, int64_t i) {
  static char text[120];
  int64_t index[FORGE_MAX_RANK] = {0}, n = 0;
  for (int k = t->t.rank - 1; k >= 0; k--) {
    index[k] = i % t->t.dim[k];
    i /= t->t.dim[k];
  }
  text[0] = 0;
  for (int k = 0; k < t->t.rank; k++)
    n += snprintf(text + n, sizeof text - (size_t)n, k ? ",%lld" : "%lld", (long long)index[k]);
  return text;
}

static int64_t count_wrong(uint8_t dtype, const ref *got, const ref *want, const ref *limit,
                           int64_t *first) {
  int64_t wrong = 0;
  for (int64_t i = 0; i < ref_count(want); i++)
    if (!agrees(dtype, got->v[i], want->v[i], limit->v[i]) && !wrong++) *first = i;
  return wrong;
}

static void fail_at(const case_run *run, const op_call *c, uint32_t k, int64_t i, double got,
                    double want, double limit, int64_t wrong) {
  const rig_tensor *y = c->out[k];
  char room[40] = "exactly";
  if (limit > 0.0)
    snprintf(room, sizeof room, "give or take %.3g", limit + half_unit(y->t.dtype, want));
  test_fail("%s, %s, %s: y%u[%s] is %.9g and should be %.9g, %s%s; %lld of %lld elements are wrong",
            rig_op_name(c->op), run->what, call_words(c), k, index_words(y, i), got,
            limit > 0.0 ? want : rounded(y->t.dtype, want), room, call_inputs_at(c, y, i),
            (long long)wrong, (long long)rig_elements(y));
}

static void compare_output(const case_run *run, const op_call *c, uint32_t k, const ref *want,
                           const ref *limit) {
  const rig_tensor *y = c->out[k];
  ref *got = ref_of(y);
  int64_t i = 0;
  const int64_t wrong = count_wrong(y->t.dtype, got, want, limit, &i);
  if (wrong) fail_at(run, c, k, i, got->v[i], want->v[i], limit->v[i], wrong);
  ref_free(got);
}

void case_compare(const case_run *run, const op_call *c, const expected *e) {
  for (uint32_t k = 0; k < c->n_out; k++)
    if (c->out[k]) compare_output(run, c, k, e->want[k], e->limit[k]);
}

/* ---- a case ---- */

bool case_check_how(case_run *run, op_call *c, const rig_how *how) {
  if (!offered(run, c, how)) return false;
  const rig_op op = call_op(c);
  expected e = call_expected(c);
  rig_must_how(run->r, &op, 1, how);
  case_compare(run, c, &e);
  expected_free(&e);
  run->done++;
  return true;
}

bool case_check(case_run *run, op_call *c) {
  const rig_how how = {.scalar = c->scalar, .n_scalar = c->n_scalar};
  return case_check_how(run, c, &how);
}

void case_end(case_run *run) {
  CHECK(run->done || run->left_out, "the suite has no case for this test");
  if (run->left_out && !run->done) test_unsupported("%s", run->reason);
  if (run->left_out)
    test_note("%u of %u cases are not offered; the first: %s", run->left_out,
              run->left_out + run->done, run->reason);
  rig_close(run->r);
}
