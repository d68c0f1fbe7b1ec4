/* ops_blocks.c -- block types: CAST both ways, and scales at the ends of what a half can hold. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cases.h"

static const struct block_kind {
  uint8_t type;
  const char *name;
  double error; /* root mean square of the error by that of evenly distributed elements */
} kinds[] = {{FORGE_Q8_0, "q8_0", 0.0045},
             {FORGE_Q4_0, "q4_0", 0.085},
             {FORGE_Q4_K, "q4_k", 0.075},
             {FORGE_Q6_K, "q6_k", 0.020}};

/* Leading dims and the number of blocks in a row. */
static const sizes shapes[] = {{1, {1}},       {1, {3}},     {2, {5, 1}}, {2, {17, 3}},
                               {3, {2, 3, 2}}, {2, {3, 33}}, {2, {0, 2}}, {2, {4099, 1}}};

static void dims_of(const sizes *s, uint8_t type, int64_t *dim) {
  memcpy(dim, s->v, sizeof s->v);
  dim[s->n - 1] *= rig_type_block(type);
}

/* Every pattern of bytes decodes exactly, into each float type. */
static void decode(const void *arg) {
  static const uint8_t to[] = {FORGE_F32, FORGE_F16, FORGE_BF16};
  const struct block_kind *b = arg;
  case_run run = case_begin("decode");
  for (uint32_t k = 0; k < COUNT_OF(shapes) * 6; k++) {
    const sizes *s = &shapes[k / 6];
    int64_t dim[FORGE_MAX_RANK];
    op_call c = {.op = FORGE_OP_CAST, .n_in = 1, .n_out = 1};
    dims_of(s, b->type, dim);
    c.in[0] = rig_make(b->type, s->n, dim);
    block_random(c.in[0], k, k % 6 < 3 ? BLOCK_ORDINARY : BLOCK_EXTREME);
    c.out[0] = rig_make(to[k % 3], s->n, dim);
    case_check(&run, &c);
    call_free(&c);
  }
  case_end(&run);
}

/* Rows of blocks with gaps between them, a transposed result, and a start inside the binding. */
static void decode_strided(const void *arg) {
  const struct block_kind *b = arg;
  case_run run = case_begin("strided");
  for (uint32_t k = 0; k < FORM_COUNT * 3; k++) {
    int64_t dim[FORGE_MAX_RANK];
    op_call c = {.op = FORGE_OP_CAST, .n_in = 1, .n_out = 1};
    dims_of(&shapes[4], b->type, dim);
    rig_tensor *w = rig_make(b->type, 3, dim), *y = rig_make(FORGE_F32, 3, dim);
    block_random(w, k, BLOCK_ORDINARY);
    c.in[0] = call_formed(w, (int)(k % FORM_COUNT));
    c.out[0] = call_formed(y, (int)((k / 3) % FORM_COUNT));
    const rig_how how = {.skew = k % 4};
    case_check_how(&run, &c, &how);
    rig_free(w);
    rig_free(y);
    call_free(&c);
  }
  case_end(&run);
}

static double relative_error(const rig_tensor *a, const rig_tensor *b) {
  double error = 0.0, size = 0.0;
  for (int64_t i = 0; i < rig_elements(a); i++) {
    const double d = rig_get(a, i) - rig_get(b, i);
    error += d * d;
    size += rig_get(a, i) * rig_get(a, i);
  }
  return size > 0.0 ? sqrt(error / size) : sqrt(error);
}

/* Writes |x| in blocks on the device; the oracle reads them. Negative: not offered. */
static double encoded_error(case_run *run, rig_tensor *x, uint8_t type) {
  op_call c = {.op = FORGE_OP_CAST, .n_in = 1, .n_out = 1};
  c.in[0] = x;
  c.out[0] = rig_make(type, x->t.rank, x->t.dim);
  double error = -1.0;
  if (case_offered(run, &c)) {
    const rig_op op = call_op(&c);
    rig_must(run->r, &op, 1);
    error = relative_error(x, c.out[0]);
    run->done++;
  }
  rig_free(c.out[0]);
  return error;
}

/* How to choose scales is the device's; how much is lost by it is not. */
static void encode(const void *arg) {
  static const double constants[] = {0.0, 1.0, -3.0, 1e-3};
  const struct block_kind *b = arg;
  case_run run = case_begin("encode");
  for (uint32_t k = 1; k < COUNT_OF(shapes) - 2; k++) {
    int64_t dim[FORGE_MAX_RANK];
    dims_of(&shapes[k], b->type, dim);
    rig_tensor *x = rig_make(FORGE_F32, shapes[k].n, dim);
    rig_random(x, k, -1.0, 1.0);
    const double even = encoded_error(&run, x, b->type);
    CHECK(even < b->error * 1.25,
          "CAST to %s: error %.4f of evenly distributed elements, at most %.4f is lost by the type",
          b->name, even, b->error * 1.25);
    for (uint32_t v = 0; v < COUNT_OF(constants); v++) {
      for (int64_t i = 0; i < rig_elements(x); i++) rig_set(x, i, constants[v]);
      const double error = encoded_error(&run, x, b->type);
      CHECK(error <= (v == 3 ? 0.05
                      : v    ? 0.01
                             : 0.0),
            "CAST to %s: error %.4f where every element is %g", b->name, error, constants[v]);
    }
    rig_free(x);
  }
  case_end(&run);
}

/* Products of extreme blocks: no overflow on the way to a finite result. */
static void extreme_products(const void *arg) {
  const struct block_kind *b = arg;
  case_run run = case_begin("extreme");
  for (uint32_t k = 0; k < 6; k++) {
    const int64_t w[] = {9, 2 * rig_type_block(b->type)}, y[] = {3, 9}, x[] = {3, w[1]};
    op_call c = {.op = FORGE_OP_QMATMUL, .n_in = 3, .n_out = 1, .slack = 4.0};
    c.in[0] = call_random(&c, FORGE_F32, 2, x, k, -1.0, 1.0);
    c.in[1] = rig_make(b->type, 2, w);
    block_random(c.in[1], 50 + k, BLOCK_EXTREME);
    c.out[0] = rig_make(FORGE_F32, 2, y);
    case_check(&run, &c);
    call_free(&c);
  }
  case_end(&run);
}

static void extreme_rows(const void *arg) {
  const struct block_kind *b = arg;
  case_run run = case_begin("extreme");
  for (uint32_t k = 0; k < 6; k++) {
    const int64_t w[] = {9, 2 * rig_type_block(b->type)}, five[] = {5}, rows[] = {5, w[1]};
    op_call c = {.op = FORGE_OP_GATHER_ROWS, .n_in = 2, .n_out = 1};
    c.in[0] = rig_make(b->type, 2, w);
    block_random(c.in[0], 50 + k, BLOCK_EXTREME);
    c.in[1] = call_ids(1, five, k, 9, false);
    c.out[0] = rig_make(FORGE_F32, 2, rows);
    case_check(&run, &c);
    call_free(&c);
  }
  case_end(&run);
}

void chapter_ops_blocks(test_list *list) {
  static char id[64];
  for (uint32_t k = 0; k < COUNT_OF(kinds); k++) {
    snprintf(id, sizeof id, "op.CAST.%s_f32.decode", kinds[k].name);
    TEST_OF(list, id, decode, &kinds[k], FB_S1, FB_S7);
    snprintf(id, sizeof id, "op.CAST.%s_f32.strided", kinds[k].name);
    TEST_OF(list, id, decode_strided, &kinds[k], FB_S3);
    snprintf(id, sizeof id, "op.CAST.f32_%s.encode", kinds[k].name);
    TEST_OF(list, id, encode, &kinds[k], FB_S1);
    snprintf(id, sizeof id, "op.QMATMUL.%s.extreme", kinds[k].name);
    TEST_OF(list, id, extreme_products, &kinds[k], FB_S1, FB_S5);
    snprintf(id, sizeof id, "op.GATHER_ROWS.%s.extreme", kinds[k].name);
    TEST_OF(list, id, extreme_rows, &kinds[k], FB_S1, FB_S5);
  }
}
