/* families.c -- see cases.h: the ways to choose sizes, layouts and scalars for a maker. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"

typedef struct family {
  const char *name;
  void (*body)(case_run *run, const op_maker *m);
  bool (*has)(const op_shapes *s);
  rule rules[TEST_MOST_RULES];
} family;

typedef struct pair {
  const op_maker *m;
  const family *f;
} pair;

static op_call made(const op_maker *m, const sizes *s, uint32_t variant, bool whole) {
  op_call c = {.whole = whole};
  m->make(&c, m, s, variant % m->variants);
  return c;
}

static void check_made(case_run *run, const op_maker *m, const sizes *s, uint32_t variant,
                       bool whole) {
  op_call c = made(m, s, variant, whole);
  case_check(run, &c);
  call_free(&c);
}

static void each_variant(case_run *run, const op_maker *m, const sizes *s) {
  for (uint32_t v = 0; v < m->variants; v++) check_made(run, m, s, v, false);
}

static void usual(case_run *run, const op_maker *m) {
  for (uint32_t i = 0; i < m->shapes->n_usual; i++) each_variant(run, m, &m->shapes->usual[i]);
}
static void odd(case_run *run, const op_maker *m) {
  for (uint32_t i = 0; i < m->shapes->n_odd; i++) each_variant(run, m, &m->shapes->odd[i]);
}
static void ranks(case_run *run, const op_maker *m) {
  for (uint32_t i = 0; i < m->shapes->n_ranks; i++)
    for (uint32_t k = 0; k < 2; k++) check_made(run, m, &m->shapes->ranks[i], i + k, false);
}
static void large(case_run *run, const op_maker *m) {
  for (uint32_t i = 0; i < m->shapes->n_large; i++)
    check_made(run, m, &m->shapes->large[i], i, true);
}

static void one(case_run *run, const op_maker *m) {
  sizes s = m->shapes->odd[0];
  for (int k = 0; k < s.n; k++) s.v[k] = 1;
  each_variant(run, m, &s);
}

static void empty(case_run *run, const op_maker *m) {
  for (int k = 0; k < m->shapes->odd[0].n; k++) {
    sizes s = m->shapes->odd[0];
    if (!(m->shapes->zero >> k & 1)) continue;
    s.v[k] = 0;
    for (uint32_t v = 0; v < m->variants && v < 8; v++) check_made(run, m, &s, v, false);
  }
}

/* Every size up to two vectors of the widest machines, and the neighbours of later powers of two.
 */
static void sweep(case_run *run, const op_maker *m) {
  static const int64_t later[] = {159, 191, 192, 193, 223, 254,  255,
                                  256, 257, 319, 511, 513, 1023, 1025};
  for (int k = 0; k < m->shapes->odd[0].n; k++)
    for (int64_t i = 1; i <= 130 + (int64_t)COUNT_OF(later); i++) {
      sizes s = m->shapes->odd[0];
      if (!(m->shapes->sweep >> k & 1)) break;
      s.v[k] = i <= 130 ? i : later[i - 131];
      check_made(run, m, &s, (uint32_t)i, false);
    }
}

/* ---- layouts ---- */

static void form(op_call *c, rig_tensor **t, int how) {
  if (!*t || !(*t)->t.rank) return;
  rig_tensor *old = *t, *y = call_formed(old, how);
  for (uint32_t k = 0; k < c->n_in; k++)
    if (c->in[k] == old) c->in[k] = y;
  for (uint32_t k = 0; k < c->n_out; k++)
    if (c->out[k] == old) c->out[k] = y;
  rig_free(old);
}

/* Each tensor in a layout of its own; which one depends on |turn|. */
static void form_all(op_call *c, uint32_t turn) {
  for (uint32_t k = 0; k < c->n_in; k++) form(c, &c->in[k], (int)((turn + k) % FORM_COUNT));
  for (uint32_t k = 0; k < c->n_out; k++)
    if (c->out[k] && !(k < c->n_in && c->in[k] == c->out[k]))
      form(c, &c->out[k], (int)((turn / FORM_COUNT + turn + k) % FORM_COUNT));
}

static void check_formed(case_run *run, const op_maker *m, const sizes *s, uint32_t turn) {
  op_call c = made(m, s, turn, false);
  form_all(&c, turn);
  const rig_how how = {.scalar = c.scalar, .n_scalar = c.n_scalar, .skew = turn % 4};
  case_check_how(run, &c, &how);
  call_free(&c);
}

/* One float input says the same at every index of one dimension. */
static void repeat(op_call *c, uint32_t which, int dim) {
  const rig_tensor *t = c->in[which];
  int64_t stride[FORGE_MAX_RANK], n = 1;
  for (int k = t->t.rank - 1; k >= 0; k--) {
    stride[k] = k == dim ? 0 : n;
    if (k != dim) n *= t->t.dim[k];
  }
  rig_tensor *y = rig_make_strided(t->t.dtype, t->t.rank, t->t.dim, stride);
  for (int64_t i = 0; i < rig_elements(t); i++) rig_set(y, i, rig_get(t, i));
  rig_free(c->in[which]);
  c->in[which] = y;
}

static bool may_repeat(const op_call *c, uint32_t which) {
  const rig_tensor *t = c->in[which];
  if (!t || !t->t.rank || rig_type_block(t->t.dtype) > 1) return false;
  for (uint32_t k = 0; k < c->n_out; k++)
    if (c->out[k] == t) return false;
  return true;
}

static void check_repeated(case_run *run, const op_maker *m, uint32_t which, int dim,
                           uint32_t variant) {
  op_call c = made(m, &m->shapes->odd[0], variant, false);
  if (which < c.n_in && !(m->linked >> which & 1) && may_repeat(&c, which) &&
      dim < c.in[which]->t.rank) {
    repeat(&c, which, dim);
    case_check(run, &c);
  }
  call_free(&c);
}

static void strided(case_run *run, const op_maker *m) {
  for (uint32_t turn = 0; turn < 3 * FORM_COUNT; turn++)
    for (uint32_t i = 0; i < m->shapes->n_odd && i < 2; i++)
      check_formed(run, m, &m->shapes->odd[i], turn);
  for (uint32_t which = 0; which < 3; which++)
    for (int dim = 0; dim < FORGE_MAX_RANK; dim++) check_repeated(run, m, which, dim, which);
}

/* ---- extents that are scalars ---- */

/* The dims that follow from size |k|, found by making it larger. */
static void name_dims(op_call *c, const op_maker *m, const sizes *s, int k, uint32_t variant) {
  sizes more = *s;
  more.v[k]++;
  op_call other = made(m, &more, variant, false);
  for (uint32_t i = 0; i < c->n_in + c->n_out; i++) {
    rig_tensor *t = i < c->n_in ? c->in[i] : c->out[i - c->n_in];
    const rig_tensor *u = i < c->n_in ? other.in[i] : other.out[i - c->n_in];
    for (int d = 0; t && d < t->t.rank; d++)
      if (t->t.dim[d] != u->t.dim[d]) t->t.dim_scalar[d] = (uint8_t)(c->n_scalar + 1);
  }
  call_free(&other);
}

/* What outputs hold before the run: what they are made of where they are inputs too, else a byte.
 */
typedef struct before {
  uint8_t *data[CASE_MOST_OUT];
} before;

static before keep_before(const op_call *c) {
  before b = {{NULL}};
  for (uint32_t k = 0; k < c->n_out; k++) {
    rig_tensor *t = c->out[k];
    if (!t) continue;
    if (!(k < c->n_in && c->in[k] == t)) memset(t->data, 0xFB, t->bytes);
    b.data[k] = rig_zalloc(t->bytes);
    memcpy(b.data[k], t->data, t->bytes);
  }
  return b;
}

/* Elements beyond the scalar's extent are as they were. */
static void check_beyond(const case_run *run, const op_call *c, const op_call *s, before *b) {
  for (uint32_t k = 0; k < c->n_out; k++) {
    const rig_tensor *t = c->out[k];
    if (!t) continue;
    uint8_t *used = rig_zalloc(t->bytes + 8);
    const uint64_t width = rig_type_bytes(t->t.dtype, 1);
    for (int64_t i = 0; i < rig_elements(s->out[k]); i++)
      memset(used + (uint64_t)rig_offset(s->out[k], i) * width, 1, width);
    for (uint64_t at = 0; at < t->bytes; at++)
      if (!used[at] && t->data[at] != b->data[k][at])
        test_fail(
            "%s, %s, %s: y%u is written at byte %llu, beyond the extent scalar %u set to %llu",
            rig_op_name(c->op), run->what, call_words(c), k, (unsigned long long)at,
            c->n_scalar - 1, (unsigned long long)c->scalar[c->n_scalar - 1]);
    free(used);
    free(b->data[k]);
    b->data[k] = NULL;
  }
}

static void run_extent(case_run *run, op_call *c, op_call *small) {
  const rig_how how = {.scalar = c->scalar, .n_scalar = c->n_scalar, .keep_outputs = true};
  const rig_op op = call_op(c);
  before b = keep_before(c);
  expected e = call_expected(small);
  test_at("%s, %s, %s, extent %llu", rig_op_name(c->op), run->what, call_words(c),
          (unsigned long long)c->scalar[c->n_scalar - 1]);
  rig_must_how(run->r, &op, 1, &how);
  case_compare(run, small, &e);
  check_beyond(run, c, small, &b);
  expected_free(&e);
  run->done++;
}

static void check_extent(case_run *run, const op_maker *m, int k, uint64_t extent,
                         uint32_t variant) {
  const sizes *s = &m->shapes->odd[0];
  op_call c = made(m, s, variant, false);
  name_dims(&c, m, s, k, variant);
  c.scalar[c.n_scalar++] = extent;
  op_call small = call_shrunk(&c);
  if (case_offered(run, &c)) run_extent(run, &c, &small);
  call_shrunk_free(&small);
  call_free(&c);
}

static void scalar(case_run *run, const op_maker *m) {
  const sizes *s = &m->shapes->odd[0];
  for (int k = 0; k < s->n; k++) {
    if (!(m->shapes->free >> k & 1)) continue;
    const uint64_t most = (uint64_t)s->v[k], extents[] = {most, 1, most / 2, 0, most - 1};
    for (uint32_t i = 0; i < COUNT_OF(extents); i++)
      if (extents[i] || m->shapes->zero >> k & 1)
        for (uint32_t v = 0; v < m->variants && v < 4; v++)
          check_extent(run, m, k, extents[i], v + i);
  }
}

/* ---- declaring ---- */

static bool has_usual(const op_shapes *s) { return s->n_usual; }
static bool has_odd(const op_shapes *s) { return s->n_odd; }
static bool has_large(const op_shapes *s) { return s->n_large; }
static bool has_ranks(const op_shapes *s) { return s->n_ranks; }
static bool has_zero(const op_shapes *s) { return s->zero; }
static bool has_sweep(const op_shapes *s) { return s->sweep; }
static bool has_free(const op_shapes *s) { return s->free; }

static const family families[] = {
    {"usual", usual, has_usual, {FB_S1, FB_S7}},
    {"odd", odd, has_odd, {FB_S1, FB_S2}},
    {"one", one, has_odd, {FB_S1}},
    {"empty", empty, has_zero, {FB_S4}},
    {"large", large, has_large, {FB_S1, FB_S7}},
    {"sweep", sweep, has_sweep, {FB_S1, FB_S2}},
    {"strided", strided, has_odd, {FB_S3, FB_S2}},
    {"ranks", ranks, has_ranks, {FB_S1}},
    {"scalar", scalar, has_free, {FB_A5}},
};

static void run_pair(const void *arg) {
  const pair *p = arg;
  case_run run = case_begin(p->f->name);
  p->f->body(&run, p->m);
  case_end(&run);
}

#define MOST_MAKERS 256
static const op_maker *known[MOST_MAKERS];
static pair pairs[MOST_MAKERS][COUNT_OF(families)]; /* what the tests are given: they outlive all */
static uint32_t n_known;

const op_maker *cases_maker(uint32_t i) { return i < n_known ? known[i] : NULL; }

op_call cases_base(const op_maker *m, uint32_t variant) {
  return made(m, &m->shapes->odd[0], variant, false);
}

/* Ops whose ids (call_ids) lie outside their table now and then. */
static bool takes_ids(const char *name) {
  static const char *const begin[] = {"GATHER_ROWS",   "SCATTER_ROWS",    "KV_WRITE",
                                      "CROSS_ENTROPY", "ATTENTION.paged", "GROUPED_MATMUL"};
  for (uint32_t i = 0; i < COUNT_OF(begin); i++)
    if (!strncmp(name, begin[i], strlen(begin[i]))) return true;
  return false;
}

void cases_add(test_list *list, const op_maker *makers, uint32_t n) {
  char id[128];
  for (uint32_t i = 0; i < n; i++, n_known++) {
    if (n_known == MOST_MAKERS) {
      fprintf(stderr, "forge-conformance: %s has no room among the makers\n", makers[i].name);
      exit(2);
    }
    known[n_known] = &makers[i];
    for (uint32_t k = 0; k < COUNT_OF(families); k++) {
      if (!families[k].has(makers[i].shapes)) continue;
      pair *p = &pairs[n_known][k];
      *p = (pair){&makers[i], &families[k]};
      snprintf(id, sizeof id, "op.%s.%s", makers[i].name, families[k].name);
      test_case t = {.id = id, .body = run_pair, .arg = p};
      memcpy(t.rules, families[k].rules, sizeof t.rules);
      if (families[k].body == odd && takes_ids(makers[i].name)) t.rules[2] = FB_S6;
      test_add(list, &t);
    }
  }
}
