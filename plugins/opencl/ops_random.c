/* ops_random.c -- RNG_PHILOX. */
#include "opencl.h"

#define ACROSS 64

static bool has_keys(const ocl_call *c) { return c->n_in && c->in[0].there; }

static uint8_t rng_support(const ocl_call *c) {
  const uint32_t kind = ((const forge_attr_rng *)c->attr)->kind;
  const forge_tensor *keys = &c->in[0].t;
  if (kind != FORGE_RNG_UNIFORM && kind != FORGE_RNG_NORMAL) return FORGE_REASON_ATTRIBUTES;
  if (c->out[0].t.dtype != FORGE_F32) return FORGE_REASON_DTYPE;
  if (!has_keys(c)) return FORGE_REASON_NONE;
  if (keys->dtype != FORGE_I32) return FORGE_REASON_DTYPE;
  return keys->rank && keys->dim[keys->rank - 1] == 3 ? FORGE_REASON_NONE : FORGE_REASON_SHAPE;
}

static forge_status rng_plan(ocl_plan *plan, const ocl_call *c) {
  (void)c;
  return ocl_want(plan, "random", "random", "%s", "");
}

static forge_status rng_launch(ocl_launch *l, const ocl_call *c) {
  static const ocl_view none = {.there = false};
  const forge_attr_rng *a = c->attr;
  const ocl_view *y = &c->out[0], *keys = has_keys(c) ? &c->in[0] : &none;
  const uint64_t seed = a->seed_scalar ? c->scalar[a->seed_scalar - 1] : a->seed;
  const uint64_t offset = a->offset_scalar ? c->scalar[a->offset_scalar - 1] : a->offset;
  ocl_nd all, rows = {.n = 1, .dense = 1};
  ocl_nd_make(&all, &y, 1);
  if (keys->there) ocl_nd_rows(&rows, (const ocl_view *const[]){y, keys}, 2);
  const int64_t columns = keys->there ? ocl_columns(&y->t) : all.n;
  ocl_begin(l, 0);
  ocl_arg_struct(l, &rows, sizeof rows);
  ocl_arg_struct(l, &all, sizeof all);
  ocl_arg_long(l, columns);
  ocl_arg_int(l, a->kind);
  ocl_arg_int(l, (int32_t)a->stream);
  ocl_arg_float(l, a->a);
  ocl_arg_float(l, a->b);
  ocl_arg_int(l, (int32_t)seed);
  ocl_arg_int(l, (int32_t)(seed >> 32));
  ocl_arg_int(l, (int32_t)offset);
  ocl_arg_long(l, ocl_column_stride(&y->t));
  ocl_arg_long(l, keys->there ? ocl_column_stride(&keys->t) : 0);
  ocl_arg_view(l, y);
  ocl_arg_view(l, keys);
  ocl_run2(l, ocl_groups(columns, 4 * ACROSS), rows.n, ACROSS, 1);
  return ocl_done(l);
}

const ocl_op ocl_ops_random[] = {{FORGE_OP_RNG_PHILOX, rng_support, rng_plan, rng_launch}, {0}};
