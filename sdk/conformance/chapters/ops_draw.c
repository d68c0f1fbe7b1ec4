/* ops_draw.c -- chance and choice: RNG_PHILOX SAMPLE MOE_ROUTE MOE_ROUTE_BWD. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"

/* ---- RNG_PHILOX ---- */

static const sizes some[] = {{2, {64, 257}}, {1, {4099}}};
static const sizes odds[] = {{2, {3, 7}}, {3, {5, 31, 2}}, {2, {17, 33}}, {1, {1}}, {2, {127, 63}}};
static const sizes larges[] = {{2, {65539, 3}}, {2, {3, 65537}}, {1, {300007}}};
static const sizes every_rank[] = {{0, {0}},       {1, {5}},          {2, {3, 5}},
                                   {3, {3, 2, 5}}, {4, {2, 3, 2, 5}}, {6, {2, 3, 1, 2, 2, 5}}};
#define DRAWN(zeros, frees, ranks_list)                                                            \
  {                                                                                                \
    SHAPES(usual, some), SHAPES(odd, odds), SHAPES(large, larges), SHAPES(ranks, ranks_list),      \
        .zero = (zeros), .sweep = 2, .free = (frees)                                               \
  }
static const op_shapes drawn = DRAWN(3, 3, every_rank);

/* Variants: the plain interval; another; seed and offset as scalars; high words and a stream. */
static void rng(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  forge_attr_rng attr = {.kind = m->param, .a = 0.0, .b = 1.0, .seed = 42, .offset = 7};
  if (variant & 1) {
    attr.a = -2.0;
    attr.b = 3.0;
  }
  if (variant == 2) {
    c->scalar[0] = UINT64_C(0xffffffff00000001);
    c->scalar[1] = 5;
    c->n_scalar = 2;
    attr.seed = attr.offset = 99;
    attr.seed_scalar = 1;
    attr.offset_scalar = 2;
  }
  if (variant == 3) {
    attr.stream = 0x80000001u;
    attr.seed = UINT64_C(0x123456789abcdef0);
    attr.offset = 0xfedcba98u;
  }
  CALL_ATTR(c, attr);
  c->op = FORGE_OP_RNG_PHILOX;
  c->in[c->n_in++] = NULL;
  c->out[c->n_out++] = rig_make(FORGE_F32, s->n, s->v);
}

/* A sequence per row. */
static void rng_keys(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  const forge_attr_rng attr = {
      .kind = m->param, .stream = variant, .a = 0.0, .b = 1.0, .seed = 42, .offset = 7};
  int64_t dim[FORGE_MAX_RANK];
  memcpy(dim, s->v, sizeof dim);
  dim[s->n - 1] = 3;
  CALL_ATTR(c, attr);
  c->op = FORGE_OP_RNG_PHILOX;
  c->in[c->n_in++] = call_random(c, FORGE_I32, s->n, dim, 3, -2147483648.0, 2147483647.0);
  c->out[c->n_out++] = rig_make(FORGE_F32, s->n, s->v);
}

/* ---- MOE: T tokens, E experts, k of them ---- */

static const sizes routes[] = {{3, {33, 8, 2}}, {3, {300, 60, 6}}};
static const sizes odd_routes[] = {
    {3, {5, 7, 2}}, {3, {1, 31, 31}}, {3, {17, 3, 1}}, {3, {3, 257, 17}}, {3, {127, 63, 3}}};
static const sizes large_routes[] = {{3, {65539, 3, 2}}, {3, {3, 65537, 2}}};
static const op_shapes route_shapes = {SHAPES(usual, routes),
                                       SHAPES(odd, odd_routes),
                                       SHAPES(large, large_routes),
                                       .zero = 1,
                                       .sweep = 1,
                                       .free = 1};

/* Logits that no rounding brings into another order: a permutation of steps. */
static rig_tensor *logits_of(const sizes *s) {
  rig_tensor *t = rig_make(FORGE_F32, 2, s->v);
  const int64_t n = s->v[1], stride = n > 7 && n % 7 ? 7 : n > 5 && n % 5 ? 5 : 1;
  for (int64_t i = 0; i < rig_elements(t); i++) {
    const int64_t row = i / n, column = i % n;
    rig_set(t, i, 6.0 * (double)((column * stride + row * 3) % n) / (double)n - 3.0);
  }
  return t;
}

static void route(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  const int64_t chosen[] = {s->v[0], s->v[2] < s->v[1] ? s->v[2] : s->v[1]};
  const forge_attr_moe attr = {(uint32_t)chosen[1], variant & 1 ? FORGE_MOE_NORMALISE : 0};
  (void)m;
  CALL_ATTR(c, attr);
  c->op = FORGE_OP_MOE_ROUTE;
  c->in[c->n_in++] = logits_of(s);
  c->out[c->n_out++] = rig_make(FORGE_I32, 2, chosen);
  c->out[c->n_out++] = rig_make(FORGE_F32, 2, chosen);
}

/* Ids as a route gives them: different in each row; in variants 2 and 3 some outside. */
static void route_bwd(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  const int64_t chosen[] = {s->v[0], s->v[2] < s->v[1] ? s->v[2] : s->v[1]};
  const forge_attr_moe attr = {(uint32_t)chosen[1], variant & 1 ? FORGE_MOE_NORMALISE : 0};
  (void)m;
  CALL_ATTR(c, attr);
  c->op = FORGE_OP_MOE_ROUTE_BWD;
  c->in[c->n_in++] = logits_of(s);
  c->in[c->n_in++] = rig_make(FORGE_I32, 2, chosen);
  for (int64_t i = 0; i < rig_elements(c->in[1]); i++)
    rig_set(c->in[1], i, (double)((i % chosen[1] + i / chosen[1]) % s->v[1]));
  for (int64_t i = 1; variant > 1 && chosen[1] > 1 && i < rig_elements(c->in[1]);
       i += 3 * chosen[1])
    rig_set(c->in[1], i, i & 1 ? -1.0 : (double)s->v[1]);
  c->in[c->n_in++] = call_random(c, FORGE_F32, 2, chosen, 5, -1.0, 1.0);
  c->out[c->n_out++] = rig_make(FORGE_F32, 2, s->v);
}

static const op_maker makers[] = {
    {"RNG_PHILOX.uniform", rng, &drawn, {FORGE_F32}, 4, FORGE_RNG_UNIFORM},
    {"RNG_PHILOX.normal", rng, &drawn, {FORGE_F32}, 4, FORGE_RNG_NORMAL},
    {"MOE_ROUTE.f32", route, &route_shapes, {FORGE_F32}, 2, 0},
    {"MOE_ROUTE_BWD.f32", route_bwd, &route_shapes, {FORGE_F32}, 4, 0},
};

static const sizes key_ranks[] = {{1, {5}}, {2, {3, 5}}, {3, {3, 2, 5}}, {6, {2, 3, 1, 2, 2, 5}}};
static const op_shapes keyed = DRAWN(3, 1, key_ranks);
static const op_maker key_makers[] = {
    {"RNG_PHILOX.keys_uniform", rng_keys, &keyed, {FORGE_F32}, 2, FORGE_RNG_UNIFORM},
    {"RNG_PHILOX.keys_normal", rng_keys, &keyed, {FORGE_F32}, 2, FORGE_RNG_NORMAL},
};

/* ---- SAMPLE ---- */

typedef struct settings {
  double temperature, top_p, min_p, top_k;
} settings;
static const settings all_settings[] = {{0, 1, 0, 0},     {1, 1, 0, 0},        {0.7, 1, 0, 3},
                                        {1.5, 0.8, 0, 0}, {1, 1, 0.2, 0},      {1.2, 0.9, 0.05, 40},
                                        {1, 0, 0, 0},     {2, 0.999, 0, 1000}, {1e-6, 0.5, 0.5, 0},
                                        {1, 1, 2, 0},     {30, 1, 0, 0},       {30, 0.97, 0, 0}};

static void sample_call(op_call *c, int64_t rows, int64_t columns, const settings *s, bool ties) {
  const int64_t four[] = {rows, 4}, dim[] = {rows, columns};
  c->op = FORGE_OP_SAMPLE;
  c->in[0] = call_random(c, FORGE_F32, 2, dim, 1 + (uint64_t)columns, -6.0, 6.0);
  for (int64_t i = 0; ties && i < rig_elements(c->in[0]); i++)
    rig_set(c->in[0], i, floor(rig_get(c->in[0], i) / 4.0));
  c->in[1] = rig_make(FORGE_F32, 2, four);
  c->in[2] = rig_make(FORGE_I32, 2, four);
  for (int64_t r = 0; r < rows; r++) {
    const double param[] = {s->temperature, s->top_p, s->min_p, 0.0};
    const double iparam[] = {s->top_k, -77.0, 12345.0, (double)r};
    for (int i = 0; i < 4; i++) {
      rig_set(c->in[1], 4 * r + i, param[i]);
      rig_set(c->in[2], 4 * r + i, iparam[i]);
    }
  }
  c->n_in = 3;
  c->out[c->n_out++] = rig_make(FORGE_I32, 1, &rows);
}

/* For chapters that only need a call: families would judge rows in which a rounding decides. */
static const sizes draws[] = {{2, {40, 37}}};
static const op_shapes draw_shapes = {.odd = draws};
static void sample_make(op_call *c, const op_maker *m, const sizes *s, uint32_t variant) {
  static const uint32_t chosen[] = {0, 3, 5};
  (void)m;
  sample_call(c, s->v[0], s->v[1], &all_settings[chosen[variant]], false);
}
static const op_maker sample_makers[] = {
    {"SAMPLE.f32", sample_make, &draw_shapes, {FORGE_F32}, 3, 0}};

/* What the oracle draws when all probabilities are a little otherwise. */
static ref *perturbed(const op_call *c, int how) {
  static const double temperature[] = {1.0, 1.00002, 0.99998, 1.0, 1.0, 1.0, 1.0};
  static const double top_p[] = {0.0, 0.0, 0.0, 2e-5, -2e-5, 0.0, 0.0};
  static const double min_p[] = {1.0, 1.0, 1.0, 1.0, 1.0, 1.0001, 0.9999};
  ref *in[] = {ref_of(c->in[0]), ref_of(c->in[1]), ref_of(c->in[2])};
  ref *out = ref_make(1, c->out[0]->t.dim);
  for (int64_t r = 0; r < out->dim[0]; r++) {
    double *p = in[1]->v + 4 * r;
    p[0] *= temperature[how];
    if (p[1] > 0.0 && p[1] < 1.0) p[1] += top_p[how];
    p[2] *= min_p[how];
  }
  ref64_run(FORGE_OP_SAMPLE, NULL, (const ref *const *)in, 3, &out, 1, NULL);
  for (int k = 0; k < 3; k++) ref_free(in[k]);
  return out;
}

/* Rows in which a rounding decides are not judged; there are few. */
static void check_sample(case_run *run, op_call *c) {
  if (!case_offered(run, c)) return;
  const rig_op op = call_op(c);
  ref *want[7];
  int64_t judged = 0;
  for (int k = 0; k < 7; k++) want[k] = perturbed(c, k);
  test_at("SAMPLE, %s, %s", run->what, call_words(c));
  rig_must(run->r, &op, 1);
  for (int64_t r = 0; r < ref_count(want[0]); r++) {
    bool sure = true;
    for (int k = 1; k < 7; k++) sure &= want[k]->v[r] == want[0]->v[r];
    judged += sure;
    if (sure && rig_get(c->out[0], r) != want[0]->v[r])
      test_fail(
          "SAMPLE, %s, %s, temperature %g top_p %g min_p %g top_k %g: row %lld drew %g, not %g",
          run->what, call_words(c), rig_get(c->in[1], 0), rig_get(c->in[1], 1),
          rig_get(c->in[1], 2), rig_get(c->in[2], 0), (long long)r, rig_get(c->out[0], r),
          want[0]->v[r]);
  }
  CHECK(judged * 10 >= ref_count(want[0]) * 5,
        "the suite's rows of SAMPLE decide by rounding: %lld of %lld", (long long)judged,
        (long long)ref_count(want[0]));
  for (int k = 0; k < 7; k++) ref_free(want[k]);
  run->done++;
}

typedef struct sampling {
  const char *name;
  int64_t shape[8][2];
  bool ties, strided;
} sampling;
static const sampling samplings[] = {
    {"usual", {{4, 512}, {2, 3000}}, false},
    {"odd", {{40, 5}, {33, 97}, {7, 31}, {3, 257}, {127, 63}}, false},
    {"one", {{1, 1}, {3, 1}}, false},
    {"empty", {{0, 8}}, false},
    {"ties", {{30, 20}, {5, 257}}, true, false},
    {"strided", {{5, 97}, {33, 31}}, false, true},
    {"large", {{2, 65539}, {65541, 3}}, false},
};

static void form_inputs(op_call *c, int turn) {
  for (int k = 0; k < 3; k++) {
    rig_tensor *old = c->in[k];
    c->in[k] = call_formed(old, (turn + k) % FORM_COUNT);
    rig_free(old);
  }
}

static void sample(const void *arg) {
  const sampling *s = arg;
  case_run run = case_begin(s->name);
  for (size_t k = 0; k < 8 && (s->shape[k][0] || s->shape[k][1]); k++)
    for (size_t i = 0; i < COUNT_OF(all_settings); i++) {
      op_call c = {0};
      if (s->shape[k][0] * s->shape[k][1] > 60000 && i != 5 && i != 3) continue;
      if (s->ties && all_settings[i].min_p > 1.0) continue; /* which of equals is left is open */
      sample_call(&c, s->shape[k][0], s->shape[k][1], &all_settings[i], s->ties);
      if (s->strided) form_inputs(&c, (int)i);
      check_sample(&run, &c);
      call_free(&c);
    }
  case_end(&run);
}

/* Whatever the numbers are, the id is one of the row: a server indexes by it. */
static void sample_hostile(const void *arg) {
  static const double bad[] = {NAN, INFINITY, -INFINITY};
  case_run run = case_begin("hostile");
  (void)arg;
  for (int k = 0; k < 6; k++) {
    op_call c = {0};
    sample_call(&c, 9, 37, &all_settings[k % 3 ? 5 : 0], false);
    for (int64_t i = 0; i < rig_elements(c.in[0]); i++)
      if (k < 3 || i % 5 == 0) rig_set(c.in[0], i, bad[k % 3]);
    if (case_offered(&run, &c)) {
      const rig_op op = call_op(&c);
      rig_must(run.r, &op, 1);
      for (int64_t r = 0; r < 9; r++)
        CHECK(rig_get(c.out[0], r) >= 0.0 && rig_get(c.out[0], r) < 37.0,
              "SAMPLE of a row with %g: id %g is outside 0..36", bad[k % 3], rig_get(c.out[0], r));
      run.done++;
    }
    call_free(&c);
  }
  case_end(&run);
}

void chapter_ops_draw(test_list *list) {
  static char id[COUNT_OF(samplings)][40];
  cases_add(list, makers, COUNT_OF(makers));
  cases_add(list, key_makers, COUNT_OF(key_makers));
  cases_add(list, sample_makers, COUNT_OF(sample_makers));
  for (uint32_t k = 0; k < COUNT_OF(samplings); k++) {
    strcat(strcpy(id[k], "op.SAMPLE.f32."), samplings[k].name);
    TEST_OF(list, id[k], sample, &samplings[k], FB_S1);
  }
  TEST(list, "op.SAMPLE.f32.hostile", sample_hostile, FB_S5);
}
