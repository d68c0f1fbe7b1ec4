/* check.c -- see check.h */
#include "check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "slopes.h"

static bool close_enough(double got, double want, double tolerance) {
  if (isnan(want) || isnan(got)) return isnan(want) && isnan(got);
  if (isinf(want) || isinf(got)) return got == want;
  return fabs(got - want) <= tolerance * (1.0 + fabs(want));
}

static void compare(const check *c, uint32_t which, const ref *want, double tolerance) {
  for (int64_t i = 0; i < ref_count(want); i++) {
    const double got = rig_get(c->out[which], i);
    if (!close_enough(got, want->v[i], tolerance))
      fail_msg("op %u, output %u, element %lld: %.9g, but ref64 has %.9g", c->op, which,
               (long long)i, got, want->v[i]);
  }
}

void check_op(const check *c, double tolerance) {
  ref *in[16] = {NULL}, *out[16] = {NULL};
  for (uint32_t i = 0; i < c->n_in; i++) in[i] = ref_of(c->in[i]);
  for (uint32_t i = 0; i < c->n_out; i++)
    if (c->out[i]) out[i] = ref_make(c->out[i]->t.rank, c->out[i]->t.dim);
  if (!ref64_run(c->op, c->attr, (const ref *const *)in, c->n_in, out, c->n_out, NULL))
    fail_msg("ref64 does not know op %u", c->op);
  rig_same_bits(c->op, c->attr, c->attr_bytes, c->in, c->n_in, c->out, c->n_out);
  for (uint32_t i = 0; i < c->n_out; i++)
    if (out[i]) compare(c, i, out[i], tolerance);
  for (uint32_t i = 0; i < 16; i++) {
    ref_free(in[i]);
    ref_free(out[i]);
  }
}

void check_slope(uint16_t fwd, const void *attr, ref *const *in, uint32_t n_in, const ref *y_like,
                 const ref *dy, uint32_t which, const ref *grad, double tolerance) {
  ref *like = ref_copy(y_like);
  ref *slope = slope_differences(fwd, attr, in, n_in, &like, 1, 0, dy, which);
  for (int64_t i = 0; i < ref_count(grad); i++)
    if (!close_enough(grad->v[i], slope->v[i], tolerance))
      fail_msg("gradient of op %u, input %u, element %lld: %.9g, differences say %.9g", fwd, which,
               (long long)i, grad->v[i], slope->v[i]);
  ref_free(like);
  ref_free(slope);
}

rig_tensor *make_random(uint8_t dtype, int rank, const int64_t *dim, uint64_t seed, double low,
                        double high) {
  rig_tensor *t = rig_make(dtype, rank, dim);
  rig_random(t, seed, low, high);
  return t;
}

static rig_tensor *with_strides(const rig_tensor *like, const int64_t *stride) {
  rig_tensor *t = rig_make_strided(like->t.dtype, like->t.rank, like->t.dim, stride);
  for (int64_t i = 0; i < rig_elements(like); i++) rig_set(t, i, rig_get(like, i));
  return t;
}

rig_tensor *make_spread(const rig_tensor *like) {
  int64_t stride[FORGE_MAX_RANK], n = 2;
  for (int k = like->t.rank - 1; k >= 0; k--) {
    stride[k] = n;
    n *= like->t.dim[k] + 1;
  }
  return with_strides(like, stride);
}

rig_tensor *make_turned(const rig_tensor *like) {
  int64_t stride[FORGE_MAX_RANK], n = 1;
  for (int k = 0; k < like->t.rank; k++) {
    stride[k] = n;
    n *= like->t.dim[k];
  }
  return with_strides(like, stride);
}

void free_all(rig_tensor **t, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) rig_free(t[i]);
}
