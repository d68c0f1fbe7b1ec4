/* ops_elementwise.c -- COPY_STRIDED CAST FILL BINARY UNARY AXPBY MASK: an element per work-item. */
#include <math.h>
#include <string.h>

#include "opencl.h"
#include "parts.h"

#define FILE_NAME "elementwise"

static uint32_t group_size(const ocl_call *c) {
  return c->caps->max_group < 256 ? c->caps->max_group : 256;
}

static void run_each(ocl_launch *l, const ocl_call *c, int64_t n) {
  ocl_run1(l, ocl_groups(n, group_size(c)), group_size(c));
}

/* Wants |name|_dense and |name|_nd, numbers 0 and 1. */
static forge_status want_both(ocl_plan *plan, const char *dense, const char *strided,
                              const char *options) {
  const forge_status status = ocl_want(plan, FILE_NAME, dense, "%s", options);
  return status ? status : ocl_want(plan, FILE_NAME, strided, "%s", options);
}

static const char *types(const char *op, const ocl_view *x, const ocl_view *y, char out[48]) {
  return snprintf(out, 48, "-DOP_%s -DX=%u -DY=%u", op, x->t.dtype, y->t.dtype), out;
}

/* Begins the launch that walks |views| together; false: there is nothing to do. */
static bool begin_walk(ocl_launch *l, const ocl_view *const *views, uint32_t n, ocl_nd *shape) {
  bool dense = true; /* whichever it is, it is so in every submit: the other is not compiled */
  ocl_nd_make(shape, views, n);
  for (uint32_t i = 0; i < n; i++) dense &= !ocl_is_moving(&views[i]->t);
  ocl_begin(l, shape->dense && dense ? 0 : 1);
  ocl_arg_struct(l, shape, sizeof *shape);
  return shape->n > 0;
}

/* ---- COPY_STRIDED ---- */

uint8_t ocl_raw_type(uint32_t bytes) {
  return bytes == 4 ? FORGE_F32 : bytes == 2 ? FORGE_F16 : FORGE_I8;
}

/* A tensor of blocks as the bytes it is made of. */
static void as_bytes(ocl_view *v) {
#define BLOCK(name, number, elems, bytes, text) [number] = {elems, bytes},
  static const struct { uint16_t elems, bytes; } block[] = {FORGE_DTYPE_MAP(BLOCK)};
#undef BLOCK
  forge_tensor *t = &v->t;
  const int last = t->rank - 1;
  const int64_t elems = block[t->dtype].elems, bytes = block[t->dtype].bytes;
  if (ocl_type_bytes(t->dtype)) return;
  for (int k = 0; k < last; k++) t->stride[k] = t->stride[k] / elems * bytes;
  if (last >= 0) t->dim[last] = t->dim[last] / elems * bytes;
  t->dtype = FORGE_I8;
}

static bool is_block(const forge_tensor *t) {
  return t->dtype >= FORGE_Q8_0 && t->dtype <= FORGE_Q6_K;
}

static uint8_t copy_support(const ocl_call *c) {
  const forge_tensor *x = &c->in[0].t, *y = &c->out[0].t;
  if (x->dtype != y->dtype) return FORGE_REASON_DTYPE;
  if (ocl_type_bytes(x->dtype)) return FORGE_REASON_NONE;
  if (!is_block(x)) return FORGE_REASON_DTYPE;
  return ocl_rows_dense(x) && ocl_rows_dense(y) ? FORGE_REASON_NONE : FORGE_REASON_STRIDES;
}

static forge_status copy_plan(ocl_plan *plan, const ocl_call *c) {
  char options[48];
  const uint32_t bytes = ocl_type_bytes(c->in[0].t.dtype);
  snprintf(options, sizeof options, "-DOP_COPY -DX=%u -DY=%u", ocl_raw_type(bytes),
           ocl_raw_type(bytes));
  return want_both(plan, "copy_dense", "copy_nd", options);
}

static forge_status copy_launch(ocl_launch *l, const ocl_call *c) {
  ocl_view x = c->in[0], y = c->out[0];
  ocl_nd shape;
  as_bytes(&x);
  as_bytes(&y);
  if (!begin_walk(l, (const ocl_view *const[]){&y, &x}, 2, &shape)) return ocl_done(l);
  ocl_arg_view(l, &y);
  ocl_arg_view(l, &x);
  run_each(l, c, shape.n);
  return ocl_done(l);
}

/* ---- CAST ---- */

static uint8_t cast_support(const ocl_call *c) {
  return ocl_type_bytes(c->in[0].t.dtype) && ocl_type_bytes(c->out[0].t.dtype) ? FORGE_REASON_NONE
                                                                               : FORGE_REASON_DTYPE;
}

static forge_status cast_plan(ocl_plan *plan, const ocl_call *c) {
  char options[48];
  if (c->in[0].t.dtype == c->out[0].t.dtype) return copy_plan(plan, c);
  return want_both(plan, "cast_dense", "cast_nd", types("CAST", &c->in[0], &c->out[0], options));
}

/* ---- FILL ---- */

int32_t ocl_i32_of(double value) {
  if (isnan(value)) return 0;
  return value >= 2147483647.0 ? INT32_MAX : value <= -2147483648.0 ? INT32_MIN : (int32_t)value;
}

static uint32_t f32_bits(double value) {
  const float f = (float)value;
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  return bits;
}

/* Rounded from f32 to |mantissa| bits of fraction; the sign apart. Nearest, ties to even. */
static uint32_t f16_bits(double value) {
  const uint32_t bits = f32_bits(value), a = bits & 0x7fffffffu, sign = bits >> 16 & 0x8000u;
  if (a > 0x7f800000u) return sign | 0x7e00u;
  if (a >= 0x477ff000u) return sign | 0x7c00u;
  const float scaled = a < 0x38800000u ? (float)fabs((double)(float)value) * 0x1p24f : 0.0f;
  if (a < 0x38800000u) return sign | (uint32_t)rintf(scaled);
  const uint32_t r = a - 0x38000000u;
  return sign | (r + 0xfffu + (r >> 13 & 1u)) >> 13;
}

static uint32_t bf16_bits(double value) {
  const uint32_t bits = f32_bits(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return bits >> 16 | 0x40u;
  return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

uint32_t ocl_element_bits(double value, uint8_t dtype) {
  const double low = -128.0, high = 127.0;
  switch (dtype) {
  case FORGE_F16: return f16_bits(value);
  case FORGE_BF16: return bf16_bits(value);
  case FORGE_I32: return (uint32_t)ocl_i32_of(value);
  case FORGE_I8: return (uint32_t)ocl_i32_of(value < low ? low : value > high ? high : value);
  default: return f32_bits(value);
  }
}

static uint8_t fill_support(const ocl_call *c) {
  return ocl_type_bytes(c->out[0].t.dtype) ? FORGE_REASON_NONE : FORGE_REASON_DTYPE;
}

static forge_status fill_plan(ocl_plan *plan, const ocl_call *c) {
  char options[48];
  const uint8_t raw = ocl_raw_type(ocl_type_bytes(c->out[0].t.dtype));
  snprintf(options, sizeof options, "-DOP_FILL -DX=%u -DY=%u", raw, raw);
  return want_both(plan, "fill_dense", "fill_nd", options);
}

static forge_status fill_launch(ocl_launch *l, const ocl_call *c) {
  const ocl_view *y = &c->out[0];
  const double value = ((const forge_attr_fill *)c->attr)->value;
  ocl_nd shape;
  if (!begin_walk(l, &y, 1, &shape)) return ocl_done(l);
  ocl_arg_int(l, (int32_t)ocl_element_bits(value, y->t.dtype));
  ocl_arg_view(l, y);
  run_each(l, c, shape.n);
  return ocl_done(l);
}

/* ---- BINARY, UNARY, AXPBY ---- */

static uint32_t kind_of(const ocl_call *c) { return ((const forge_attr_kind *)c->attr)->kind; }

static uint8_t binary_support(const ocl_call *c) {
  const uint8_t dtype = c->out[0].t.dtype;
  if (kind_of(c) < FORGE_BINARY_ADD || kind_of(c) > FORGE_BINARY_MIN)
    return FORGE_REASON_ATTRIBUTES;
  if (c->in[0].t.dtype != dtype || c->in[1].t.dtype != dtype) return FORGE_REASON_DTYPE;
  return dtype == FORGE_I32 || ocl_is_float(dtype) ? FORGE_REASON_NONE : FORGE_REASON_DTYPE;
}

static forge_status binary_plan(ocl_plan *plan, const ocl_call *c) {
  char options[48];
  return want_both(plan, "binary_dense", "binary_nd",
                   types("BINARY", &c->in[0], &c->out[0], options));
}

static forge_status binary_launch(ocl_launch *l, const ocl_call *c) {
  ocl_nd shape;
  if (!begin_walk(l, (const ocl_view *const[]){&c->out[0], &c->in[0], &c->in[1]}, 3, &shape))
    return ocl_done(l);
  ocl_arg_int(l, kind_of(c));
  ocl_arg_view(l, &c->out[0]);
  ocl_arg_view(l, &c->in[0]);
  ocl_arg_view(l, &c->in[1]);
  run_each(l, c, shape.n);
  return ocl_done(l);
}

static uint8_t unary_support(const ocl_call *c) {
  if (kind_of(c) < FORGE_UNARY_NEG || kind_of(c) > FORGE_UNARY_STEP) return FORGE_REASON_ATTRIBUTES;
  return ocl_is_float(c->in[0].t.dtype) && ocl_is_float(c->out[0].t.dtype) ? FORGE_REASON_NONE
                                                                           : FORGE_REASON_DTYPE;
}

static forge_status unary_plan(ocl_plan *plan, const ocl_call *c) {
  char options[48];
  return want_both(plan, "unary_dense", "unary_nd", types("UNARY", &c->in[0], &c->out[0], options));
}

/* CAST too, which has no kind. */
static forge_status unary_launch(ocl_launch *l, const ocl_call *c) {
  ocl_nd shape;
  if (!begin_walk(l, (const ocl_view *const[]){&c->out[0], &c->in[0]}, 2, &shape))
    return ocl_done(l);
  if (c->op == FORGE_OP_UNARY) ocl_arg_int(l, kind_of(c));
  ocl_arg_view(l, &c->out[0]);
  ocl_arg_view(l, &c->in[0]);
  run_each(l, c, shape.n);
  return ocl_done(l);
}

static uint8_t axpby_support(const ocl_call *c) {
  return ocl_is_float(c->in[0].t.dtype) && ocl_is_float(c->in[1].t.dtype) &&
                 ocl_is_float(c->out[0].t.dtype)
             ? FORGE_REASON_NONE
             : FORGE_REASON_DTYPE;
}

static forge_status axpby_plan(ocl_plan *plan, const ocl_call *c) {
  char options[48];
  snprintf(options, sizeof options, "-DOP_AXPBY -DX=%u -DY=%u -DZ=%u", c->in[0].t.dtype,
           c->out[0].t.dtype, c->in[1].t.dtype);
  return want_both(plan, "axpby_dense", "axpby_nd", options);
}

static forge_status axpby_launch(ocl_launch *l, const ocl_call *c) {
  const forge_attr_axpby *attr = c->attr;
  ocl_nd shape;
  if (!begin_walk(l, (const ocl_view *const[]){&c->out[0], &c->in[0], &c->in[1]}, 3, &shape))
    return ocl_done(l);
  ocl_arg_float(l, ocl_number(c, &attr->alpha));
  ocl_arg_float(l, ocl_number(c, &attr->beta));
  ocl_arg_view(l, &c->out[0]);
  ocl_arg_view(l, &c->in[0]);
  ocl_arg_view(l, &c->in[1]);
  run_each(l, c, shape.n);
  return ocl_done(l);
}

/* ---- MASK ---- */

static uint8_t mask_support(const ocl_call *c) {
  const uint32_t kind = ((const forge_attr_mask *)c->attr)->kind;
  const ocl_view *x = &c->in[0], *limit = &c->in[1];
  if (kind < FORGE_MASK_TENSOR || kind > FORGE_MASK_LENGTH) return FORGE_REASON_ATTRIBUTES;
  if (x->t.dtype != c->out[0].t.dtype || (limit->there && limit->t.dtype != FORGE_I32))
    return FORGE_REASON_DTYPE;
  if (x->t.dtype != FORGE_F32 && x->t.dtype != FORGE_I32) return FORGE_REASON_DTYPE;
  if (kind != FORGE_MASK_CAUSAL && !limit->there) return FORGE_REASON_SHAPE;
  return kind == FORGE_MASK_CAUSAL && x->t.rank < 2 ? FORGE_REASON_SHAPE : FORGE_REASON_NONE;
}

static forge_status mask_plan(ocl_plan *plan, const ocl_call *c) {
  if (((const forge_attr_mask *)c->attr)->kind == FORGE_MASK_TENSOR)
    return ocl_want(plan, FILE_NAME, "mask_tensor", "-DOP_MASK_TENSOR");
  return ocl_want(plan, FILE_NAME, "mask_limit", "-DOP_MASK_LIMIT");
}

static void mask_limit(ocl_launch *l, const ocl_call *c, uint32_t kind) {
  const forge_tensor *x = &c->in[0].t;
  const ocl_view *limit = &c->in[1];
  ocl_nd m = {.n = 1, .dense = 1};
  if (limit->there) ocl_nd_make(&m, &limit, 1);
  ocl_arg_struct(l, &m, sizeof m);
  ocl_arg_long(l, ocl_columns(x));
  ocl_arg_long(l, kind == FORGE_MASK_CAUSAL ? x->dim[x->rank - 2] : 1);
  ocl_arg_int(l, kind == FORGE_MASK_CAUSAL);
}

static forge_status mask_launch(ocl_launch *l, const ocl_call *c) {
  const forge_attr_mask *attr = c->attr;
  const bool tensor = attr->kind == FORGE_MASK_TENSOR;
  ocl_nd s;
  ocl_nd_make(&s, (const ocl_view *const[]){&c->out[0], &c->in[0], &c->in[1]}, tensor ? 3 : 2);
  if (s.n == 0) return ocl_done(l);
  ocl_begin(l, 0);
  ocl_arg_struct(l, &s, sizeof s);
  if (!tensor) mask_limit(l, c, attr->kind);
  ocl_arg_int(l, (int32_t)ocl_element_bits(attr->fill, c->out[0].t.dtype));
  ocl_arg_view(l, &c->out[0]);
  ocl_arg_view(l, &c->in[0]);
  ocl_arg_view(l, &c->in[1]);
  run_each(l, c, s.n);
  return ocl_done(l);
}

static forge_status cast_launch(ocl_launch *l, const ocl_call *c) {
  return c->in[0].t.dtype == c->out[0].t.dtype ? copy_launch(l, c) : unary_launch(l, c);
}

const ocl_op ocl_ops_elementwise[] = {
    {FORGE_OP_COPY_STRIDED, copy_support, copy_plan, copy_launch},
    {FORGE_OP_CAST, cast_support, cast_plan, cast_launch},
    {FORGE_OP_FILL, fill_support, fill_plan, fill_launch},
    {FORGE_OP_BINARY, binary_support, binary_plan, binary_launch},
    {FORGE_OP_UNARY, unary_support, unary_plan, unary_launch},
    {FORGE_OP_AXPBY, axpby_support, axpby_plan, axpby_launch},
    {FORGE_OP_MASK, mask_support, mask_plan, mask_launch},
    {0},
};
