/* test_moe.c -- MOE_ROUTE and its gradient on the CPU variants. */
#include "check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void routes_and_gradients_are_right(void **state) {
  (void)state;
  static const int64_t shapes[][3] = {{1, 1, 1}, {5, 8, 2}, {300, 60, 6}, {0, 8, 2}, {7, 1500, 3}};
  for (size_t s = 0; s < LENGTH(shapes) * 2; s++) {
    const int64_t *dim = shapes[s / 2], chosen[] = {dim[0], dim[2]};
    const forge_attr_moe attr = {(uint32_t)dim[2], s % 2 ? FORGE_MOE_NORMALISE : 0};
    rig_tensor *x = make_random(FORGE_F32, 2, dim, s, -3, 3);
    rig_tensor *in[] = {s % 3 ? make_turned(x) : make_spread(x)};
    rig_tensor *out[] = {rig_make(FORGE_I32, 2, chosen), rig_make(FORGE_F32, 2, chosen)};
    const check forward = CHECK(FORGE_OP_MOE_ROUTE, attr, in, out);
    check_op(&forward, 1e-6);
    rig_tensor *dw = make_random(FORGE_F32, 2, chosen, 5, -1, 1);
    rig_tensor *from[] = {in[0], out[0], dw}, *to[] = {rig_make(FORGE_F32, 2, dim)};
    const check backward = CHECK(FORGE_OP_MOE_ROUTE_BWD, attr, from, to);
    check_op(&backward, 1e-6);
    free_all((rig_tensor *[]){x, in[0], out[0], out[1], dw, to[0]}, 6);
  }
}

static void foreign_ids_are_left_out(void **state) {
  (void)state;
  const int64_t dim[] = {4, 9}, chosen[] = {4, 3};
  const forge_attr_moe attr = {3, FORGE_MOE_NORMALISE};
  rig_tensor *in[] = {make_random(FORGE_F32, 2, dim, 1, -1, 1),
                      make_random(FORGE_I32, 2, chosen, 2, 0, 9),
                      make_random(FORGE_F32, 2, chosen, 3, -1, 1)};
  rig_tensor *out[] = {rig_make(FORGE_F32, 2, dim)};
  rig_set(in[1], 0, -1);
  rig_set(in[1], 4, 9);
  rig_set(in[1], 8, INT32_MIN);
  rig_set(in[1], 7, INT32_MAX);
  const check c = CHECK(FORGE_OP_MOE_ROUTE_BWD, attr, in, out);
  check_op(&c, 1e-6);
  free_all(in, 3);
  free_all(out, 1);
}

/* The weights alone, for ids that stay: what the gradient is of. */
static double weighed(const ref *x, const ref *ids, const ref *dw, const forge_attr_moe *attr) {
  ref *y[] = {ref_copy(ids), ref_copy(dw)};
  double sum = 0.0;
  ref64_run(FORGE_OP_MOE_ROUTE, attr, (const ref *const[]){x}, 1, y, 2, NULL);
  for (int64_t i = 0; i < ref_count(dw); i++) sum += y[1]->v[i] * dw->v[i];
  ref_free(y[0]);
  ref_free(y[1]);
  return sum;
}

static void gradient_agrees_with_differences(void **state) {
  (void)state;
  const int64_t dim[] = {3, 7}, chosen[] = {3, 2};
  for (uint32_t flags = 0; flags < 2; flags++) {
    const forge_attr_moe attr = {2, flags};
    rig_tensor *t = make_random(FORGE_F32, 2, dim, 4, -2, 2),
               *u = make_random(FORGE_F32, 2, chosen, 5, -1, 1);
    ref *x = ref_of(t), *dw = ref_of(u), *y[] = {ref_make(2, chosen), ref_make(2, chosen)};
    ref *dx = ref_make(2, dim);
    ref64_run(FORGE_OP_MOE_ROUTE, &attr, (const ref *const[]){x}, 1, y, 2, NULL);
    ref64_run(FORGE_OP_MOE_ROUTE_BWD, &attr, (const ref *const[]){x, y[0], dw}, 3, &dx, 1, NULL);
    for (int64_t i = 0; i < ref_count(x); i++) {
      const double was = x->v[i], h = 1e-5;
      x->v[i] = was + h;
      const double above = weighed(x, y[0], dw, &attr);
      x->v[i] = was - h;
      const double below = weighed(x, y[0], dw, &attr);
      x->v[i] = was;
      const double error = dx->v[i] - (above - below) / (2 * h);
      assert_true(error < 1e-8 && error > -1e-8);
    }
    ref_free(x);
    ref_free(dw);
    ref_free(dx);
    ref_free(y[0]);
    ref_free(y[1]);
    rig_free(t);
    rig_free(u);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(routes_and_gradients_are_right),
      cmocka_unit_test(foreign_ids_are_left_out),
      cmocka_unit_test(gradient_agrees_with_differences),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
