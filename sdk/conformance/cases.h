/* cases.h -- one op over many shapes: what the chapters op, gradient and deterministic are made of.
 *
 * A maker says how the tensors of one op (and one choice of element types) come from a few sizes; a
 * family is a way to choose sizes, layouts and scalars. Each pair is one test,
 * "op.NAME.types.family", and each of its cases runs on the device and is held against the oracle
 * within the bound of bounds.def. A case the device does not call NATIVE is left out and counted; a
 * test all of whose cases are left out is `unsupported`. */
#ifndef FORGE_CONFORMANCE_CASES_H
#define FORGE_CONFORMANCE_CASES_H

#include "blocks.h"
#include "ref64.h"
#include "rig.h"

#define CASE_MOST_IN    8
#define CASE_MOST_OUT   3
#define COUNT_OF(array) ((uint32_t)(sizeof(array) / sizeof *(array)))

/* Up to six numbers; what each means is the maker's to say. For ops of any rank they are the dims.
 */
typedef struct sizes {
  int n;
  int64_t v[FORGE_MAX_RANK];
} sizes;

typedef union op_attr {
  uint64_t word[16];
  forge_attr_kind kind;
  forge_attr_reduce reduce;
  forge_attr_axpby axpby;
  forge_attr_matmul matmul;
  forge_attr_scatter scatter;
  forge_attr_softmax softmax;
  forge_attr_rng rng;
  forge_attr_rope rope;
  forge_attr_adamw adamw;
} op_attr;

/* One call of an op. Owns its tensors; one that is input and output is the same pointer. */
typedef struct op_call {
  uint16_t op;
  uint32_t attr_bytes, n_in, n_out, n_scalar;
  op_attr attr;
  rig_tensor *in[CASE_MOST_IN], *out[CASE_MOST_OUT];
  uint64_t scalar[4];
  bool whole;   /* elements are small whole numbers: sums have no rounding in f32 */
  double slack; /* factor on the bound, 0: 1 */
} op_call;

typedef struct op_maker op_maker;
struct op_maker {
  const char *name; /* "MATMUL.f32": the middle of the test's id */
  void (*make)(op_call *c, const op_maker *m, const sizes *s, uint32_t variant);
  const struct op_shapes *shapes;
  uint8_t type[3];
  uint32_t variants; /* choices of attributes and optional tensors */
  uint32_t param;    /* the maker's own */
  uint32_t linked;   /* bit k: input k follows from others, so its elements may not be changed */
};

/* The sizes of each family. Bit masks: bit k is size k. */
typedef struct op_shapes {
  const sizes *usual, *odd, *large, *ranks; /* odd[0] is the base of what follows */
  uint32_t n_usual, n_odd, n_large, n_ranks;
  uint32_t zero;  /* sizes that may be 0 */
  uint32_t sweep; /* sizes that go through every small number */
  uint32_t free;  /* sizes that may be scalars */
} op_shapes;
/* One family's sizes: SHAPES(usual, some). */
#define SHAPES(family, list) .family = (list), .n_##family = COUNT_OF(list)

/* ---- building a call ---- */

/* Sets |c|'s attributes. */
void call_attr(op_call *c, const void *attr, uint32_t bytes);
#define CALL_ATTR(c, value) call_attr((c), &(value), sizeof(value))
/* A tensor of evenly distributed elements, or of the whole numbers among them. */
rig_tensor *call_random(const op_call *c, uint8_t dtype, int rank, const int64_t *dim,
                        uint64_t seed, double low, double high);
rig_tensor *call_like(const rig_tensor *t, uint8_t dtype); /* zeros of the same dims */
/* Whole numbers in [0, n), now and then one outside: -1, n, and the ends of the type. */
rig_tensor *call_ids(int rank, const int64_t *dim, uint64_t seed, int64_t n, bool hostile);
void call_free(op_call *c); /* ready for the next */

/* Layouts: the same elements otherwise in memory. */
enum { FORM_DENSE, FORM_SPREAD, FORM_TURNED, FORM_REPEATED, FORM_ODD_GAPS, FORM_COUNT };
rig_tensor *call_formed(const rig_tensor *t, int form);

/* ---- running it ---- */

/* Where cases are counted; one per test. */
typedef struct case_run {
  rig *r;
  const char *what; /* the family, for messages */
  uint32_t done, left_out;
  char reason[160]; /* of the first left out */
} case_run;

case_run case_begin(const char *what);
/* False if the device does not call it NATIVE; fails the test if the result is wrong. */
bool case_check(case_run *run, op_call *c);
bool case_check_how(case_run *run, op_call *c, const rig_how *how);
/* The parts of it: what op_support said, and the comparison with the oracle. */
bool case_offered(case_run *run, const op_call *c);
rig_op call_op(const op_call *c);
/* What the outputs should be and how far from it they may be; absent ones NULL. Taken before the
 * run. */
typedef struct expected {
  ref *want[CASE_MOST_OUT], *limit[CASE_MOST_OUT];
} expected;
expected call_expected(const op_call *c);
void expected_free(expected *e);
void case_compare(const case_run *run, const op_call *c, const expected *e);
/* The call with dims that are scalars at their values of |scalar|: shares the tensors' memory, and
 * is freed with call_shrunk_free(). */
op_call call_shrunk(const op_call *c);
void call_shrunk_free(op_call *c);
void case_end(case_run *run); /* unsupported if nothing was done */
/* "x0 F32[3,7] by 1,3 y0 F32[3,7] NEG", for messages: types, dims, strides that are not dense,
 * attributes; one static text. */
const char *call_words(const op_call *c);
/* " where x0 is 3, x1 is nan": element |i| of an elementwise op's inputs, "" for other ops; one
 * static text. |like|: the output. */
const char *call_inputs_at(const op_call *c, const rig_tensor *like, int64_t i);

/* ---- bounds (bounds.c) ---- */

/* How far each element may be from want's, before its rounding to the output's type; 0: not at all.
 * Asked before the call runs, for inputs may be written. The refs in |limit| are new. */
void call_limits(const op_call *c, ref *const *want, ref **limit);

/* Declares "op.<name>.<family>" for every family the maker's shapes have. */
void cases_add(test_list *list, const op_maker *makers, uint32_t n);
/* The makers declared so far; NULL past the last. */
const op_maker *cases_maker(uint32_t i);
/* A call of the maker's with its base sizes. */
op_call cases_base(const op_maker *m, uint32_t variant);

#endif
