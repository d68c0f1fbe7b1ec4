/* slopes.c -- see slopes.h */
#include "slopes.h"

static double weighed(uint16_t fwd, const void *attr, ref *const *in, uint32_t n_in,
                      ref *const *y_like, uint32_t n_out, uint32_t y_number, const ref *dy) {
  ref *y[4] = {0};
  double sum = 0.0;
  for (uint32_t k = 0; k < n_out; k++) y[k] = ref_make(y_like[k]->rank, y_like[k]->dim);
  ref64_run(fwd, attr, (const ref *const *)in, n_in, y, n_out, NULL);
  for (int64_t i = 0; i < ref_count(dy); i++) sum += y[y_number]->v[i] * dy->v[i];
  for (uint32_t k = 0; k < n_out; k++) ref_free(y[k]);
  return sum;
}

ref *slope_differences(uint16_t fwd, const void *attr, ref *const *in, uint32_t n_in,
                       ref *const *y_like, uint32_t n_out, uint32_t y_number, const ref *dy,
                       uint32_t which) {
  const double h = 1e-5;
  ref *grad = ref_make(in[which]->rank, in[which]->dim);
  for (int64_t i = 0; i < ref_count(grad); i++) {
    double *x = &in[which]->v[i];
    const double was = *x;
    *x = was + h;
    const double above = weighed(fwd, attr, in, n_in, y_like, n_out, y_number, dy);
    *x = was - h;
    const double below = weighed(fwd, attr, in, n_in, y_like, n_out, y_number, dy);
    *x = was;
    grad->v[i] = (above - below) / (2.0 * h);
  }
  return grad;
}
