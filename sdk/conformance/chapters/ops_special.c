/* ops_special.c -- numbers at the ends: NaN, infinities, zeros, ties, what is masked, what is
 * rounded. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"

#define HUGE_FLOAT 3e38

/* ---- elementwise ---- */

static rig_tensor *tensor_of(uint8_t dtype, const double *values, int64_t n) {
  rig_tensor *t = rig_make(dtype, 1, &n);
  for (int64_t i = 0; i < n; i++) rig_set(t, i, values[i]);
  return t;
}

/* What the formula leaves open is not asked: x sigmoid(x) at infinity, sin of huge angles, the sign
 * of 1/sqrt(-0). */
static bool asked(uint32_t kind, double x) {
  if (kind == FORGE_UNARY_SILU || kind == FORGE_UNARY_GELU) return !isinf(x) && fabs(x) < 1e10;
  if (kind == FORGE_UNARY_SIN || kind == FORGE_UNARY_COS) return !isfinite(x) || fabs(x) < 1e3;
  if (kind == FORGE_UNARY_RSQRT || kind == FORGE_UNARY_RECIP) return !(x == 0.0 && signbit(x));
  return true;
}

static void unary(const void *arg) {
  static const double values[] = {NAN,   INFINITY, -INFINITY, 0.0,   -0.0,       1.0,   -1.0,
                                  200.0, -200.0,   40.0,      -40.0, 88.0,       -87.0, 1e30,
                                  -1e30, 1e-30,    -1e-30,    0.5,   HUGE_FLOAT, 3.0};
  case_run run = case_begin("special values");
  (void)arg;
  for (uint32_t kind = 1; kind <= FORGE_UNARY_STEP; kind++) {
    double x[COUNT_OF(values)];
    int64_t n = 0;
    for (uint32_t i = 0; i < COUNT_OF(values); i++)
      if (asked(kind, values[i])) x[n++] = values[i];
    const forge_attr_kind attr = {kind, 0};
    op_call c = {.op = FORGE_OP_UNARY, .n_in = 1, .n_out = 1, .slack = 4.0};
    CALL_ATTR(&c, attr);
    c.in[0] = tensor_of(FORGE_F32, x, n);
    c.out[0] = rig_make(FORGE_F32, 1, &n);
    case_check(&run, &c);
    call_free(&c);
  }
  case_end(&run);
}

static void binary(const void *arg) {
  static const double values[] = {NAN,  INFINITY,   -INFINITY,   0.0,  1.0,
                                  -2.5, HUGE_FLOAT, -HUGE_FLOAT, 1e-30};
  static const uint8_t types[] = {FORGE_F32, FORGE_F16, FORGE_BF16};
  const int64_t n = COUNT_OF(values) * COUNT_OF(values);
  case_run run = case_begin("special values");
  (void)arg;
  for (uint32_t k = 0; k < 3 * FORGE_BINARY_MIN; k++) {
    const forge_attr_kind attr = {k / 3 + 1, 0};
    op_call c = {.op = FORGE_OP_BINARY, .n_in = 2, .n_out = 1};
    CALL_ATTR(&c, attr);
    for (int i = 0; i < 2; i++) c.in[i] = rig_make(types[k % 3], 1, &n);
    c.out[0] = rig_make(types[k % 3], 1, &n);
    for (int64_t i = 0; i < n; i++) {
      rig_set(c.in[0], i, values[i / COUNT_OF(values)]);
      rig_set(c.in[1], i, values[i % COUNT_OF(values)]);
    }
    case_check(&run, &c);
    call_free(&c);
  }
  case_end(&run);
}

/* Moves keep every bit: payloads of NaN, denormals, the sign of zero. */
static void copy_bits(const void *arg) {
  static const uint8_t types[] = {FORGE_F32, FORGE_F16, FORGE_BF16, FORGE_I32, FORGE_I8};
  case_run run = case_begin("bits");
  (void)arg;
  for (uint32_t k = 0; k < COUNT_OF(types); k++) {
    const int64_t dim[] = {67, 65};
    uint64_t seed = k;
    op_call c = {.op = FORGE_OP_COPY_STRIDED, .n_in = 1, .n_out = 1};
    c.in[0] = rig_make(types[k], 2, dim);
    c.out[0] = rig_make(types[k], 2, dim);
    for (uint64_t i = 0; i < c.in[0]->bytes; i++)
      c.in[0]->data[i] = (uint8_t)(i % 9 < 3 ? 0 : test_random(&seed) >> 24);
    if (case_offered(&run, &c)) {
      const rig_op op = call_op(&c);
      rig_must(run.r, &op, 1);
      for (uint64_t i = 0; i < c.in[0]->bytes; i++)
        CHECK(c.in[0]->data[i] == c.out[0]->data[i],
              "COPY_STRIDED of %s changes byte %llu from %02x to %02x", rig_type_name(types[k]),
              (unsigned long long)i, c.in[0]->data[i], c.out[0]->data[i]);
      run.done++;
    }
    call_free(&c);
  }
  case_end(&run);
}

/* ---- CAST ---- */

static void check_cast(case_run *run, rig_tensor *x, uint8_t to) {
  op_call c = {.op = FORGE_OP_CAST, .n_in = 1, .n_out = 1};
  c.in[0] = x;
  c.out[0] = call_like(x, to);
  case_check(run, &c);
  rig_free(c.out[0]);
}

static void widen(const void *arg) {
  const int64_t n = 65536;
  case_run run = case_begin("every half");
  (void)arg;
  for (uint32_t type = FORGE_F16; type <= FORGE_BF16; type++) {
    rig_tensor *h = rig_make((uint8_t)type, 1, &n);
    for (int64_t i = 0; i < n; i++) memcpy(h->data + 2 * i, &(uint16_t){(uint16_t)i}, 2);
    check_cast(&run, h, FORGE_F32);
    check_cast(&run, h, FORGE_I32);
    rig_free(h);
  }
  case_end(&run);
}

/* Every half, the points between neighbours, and the floats next to those. */
static void narrow(const void *arg) {
  case_run run = case_begin("rounding");
  (void)arg;
  for (uint32_t type = FORGE_F16; type <= FORGE_BF16; type++) {
    const int64_t halves = type == FORGE_F16 ? 31744 : 32640, n = 4 * halves;
    rig_tensor *h = rig_make((uint8_t)type, 1, (int64_t[]){65536}), *f = rig_make(FORGE_F32, 1, &n);
    for (int64_t i = 0; i < 65536; i++) memcpy(h->data + 2 * i, &(uint16_t){(uint16_t)i}, 2);
    for (int64_t i = 0; i < halves; i++) {
      const double a = rig_get(h, i), b = i + 1 < halves ? rig_get(h, i + 1) : a * 1.0005;
      const float middle = (float)((a + b) / 2);
      const float near[] = {(float)a, middle, nextafterf(middle, 0.0f), -nextafterf(middle, 1e38f)};
      for (int k = 0; k < 4; k++)
        rig_set(f, 4 * i + k, type == FORGE_BF16 && a < 1e-37 ? 1.0 : (double)near[k]);
    }
    check_cast(&run, f, type);
    rig_free(h);
    rig_free(f);
  }
  case_end(&run);
}

static void whole_numbers(const void *arg) {
  static const double values[] = {1.9, -1.9,     300.0,     -300.0, 3e9,   -3e9,   NAN,
                                  0.5, INFINITY, -INFINITY, -0.99,  127.5, -128.5, 2147483520.0};
  static const uint8_t from[] = {FORGE_F32, FORGE_F16, FORGE_BF16};
  case_run run = case_begin("truncation");
  (void)arg;
  for (uint32_t k = 0; k < COUNT_OF(from); k++) {
    rig_tensor *x = tensor_of(from[k], values, COUNT_OF(values));
    check_cast(&run, x, FORGE_I8);
    check_cast(&run, x, FORGE_I32);
    rig_free(x);
  }
  static const double large[] = {16777217, 2147483647, -2147483648.0, 33554433, -16777219, 1e9 + 1};
  rig_tensor *i = tensor_of(FORGE_I32, large, COUNT_OF(large));
  check_cast(&run, i, FORGE_F32);
  check_cast(&run, i, FORGE_I8);
  rig_free(i);
  case_end(&run);
}

/* ---- MATMUL ---- */

/* A NaN spoils its row, zero times infinity is a NaN, and nothing else is touched. */
static void product(const void *arg) {
  const forge_attr_matmul attr = {0, 0};
  const int64_t a[] = {19, 37}, b[] = {37, 21}, y[] = {19, 21};
  case_run run = case_begin("special values");
  (void)arg;
  op_call c = {.op = FORGE_OP_MATMUL, .n_in = 3, .n_out = 1};
  CALL_ATTR(&c, attr);
  c.in[0] = call_random(&c, FORGE_F32, 2, a, 1, -1.0, 1.0);
  c.in[1] = call_random(&c, FORGE_F32, 2, b, 2, -1.0, 1.0);
  c.out[0] = rig_make(FORGE_F32, 2, y);
  rig_set(c.in[0], 18 * 37 + 36, NAN);
  for (int64_t k = 0; k < 37; k++) rig_set(c.in[0], 3 * 37 + k, 0.0);
  rig_set(c.in[1], 36 * 21 + 20, INFINITY);
  case_check(&run, &c);
  call_free(&c);
  case_end(&run);
}

/* Halves below 2^-14 are numbers too: times a large one they count. */
static void small_halves(const void *arg) {
  const forge_attr_matmul attr = {0, 0};
  const int64_t a[] = {5, 35}, b[] = {35, 18}, y[] = {5, 18};
  case_run run = case_begin("denormal halves");
  (void)arg;
  for (int side = 0; side < 2; side++) {
    op_call c = {.op = FORGE_OP_MATMUL, .n_in = 3, .n_out = 1};
    CALL_ATTR(&c, attr);
    const double tiny = 0x1p-15, large = 1000.0;
    c.in[0] = call_random(&c, FORGE_F16, 2, a, 1, 0.0, side ? large : tiny);
    c.in[1] = call_random(&c, FORGE_F16, 2, b, 2, 0.0, side ? tiny : large);
    c.out[0] = rig_make(FORGE_F32, 2, y);
    case_check(&run, &c);
    call_free(&c);
  }
  case_end(&run);
}

/* ---- more elements than 65535 groups of 256 have ---- */

static void huge(const void *arg) {
  const int64_t n = 65536 * 256 + 77;
  const bool fills = arg != NULL;
  const forge_attr_fill attr = {-5.0};
  case_run run = case_begin("huge");
  op_call c = {.op = fills ? FORGE_OP_FILL : FORGE_OP_COPY_STRIDED, .n_out = 1};
  if (fills) CALL_ATTR(&c, attr);
  if (!fills) c.in[c.n_in++] = rig_make(FORGE_I8, 1, &n);
  for (int64_t i = 0; !fills && i < n; i++) c.in[0]->data[i] = (uint8_t)(i * 31 >> 3);
  c.out[0] = rig_make(FORGE_I8, 1, &n);
  if (case_offered(&run, &c)) {
    const rig_op op = call_op(&c);
    rig_must(run.r, &op, 1);
    for (int64_t i = 0; i < n; i++)
      CHECK(c.out[0]->data[i] == (fills ? (uint8_t)-5 : c.in[0]->data[i]),
            "%s of %lld bytes: byte %lld is %d", rig_op_name(c.op), (long long)n, (long long)i,
            (int8_t)c.out[0]->data[i]);
    run.done++;
  }
  call_free(&c);
  case_end(&run);
}

void chapter_ops_special(test_list *list) {
  static const int yes;
  TEST(list, "op.UNARY.f32.special", unary, FB_S5);
  TEST(list, "op.BINARY.float.special", binary, FB_S5);
  TEST(list, "op.COPY_STRIDED.all.bits", copy_bits, FB_S1, FB_S5);
  TEST(list, "op.CAST.half_f32.special", widen, FB_S7);
  TEST(list, "op.CAST.f32_half.special", narrow, FB_S7);
  TEST(list, "op.CAST.float_integer.special", whole_numbers, FB_S5);
  TEST(list, "op.MATMUL.f32.special", product, FB_S5);
  TEST(list, "op.MATMUL.f16.denormal", small_halves, FB_S1);
  TEST(list, "op.COPY_STRIDED.i8.huge", huge, FB_S1);
  TEST_OF(list, "op.FILL.i8.huge", huge, &yes, FB_S1);
}
