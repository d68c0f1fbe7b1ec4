/* test_rope.c -- ROPE on the CPU variants. */
#include "check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void rope_with(rig_tensor *x, rig_tensor *positions, rig_tensor *factors, uint32_t n_rot,
                      uint32_t flags) {
  const forge_attr_rope attr = {10000.0, 0.5, n_rot, flags};
  rig_tensor *in[] = {x, positions, factors}, *out[] = {rig_make(FORGE_F32, x->t.rank, x->t.dim)};
  const check c = CHECK(FORGE_OP_ROPE, attr, in, out);
  check_op(&c, 3e-6);
  free_all(out, 1);
}

static void every_form_is_right(void **state) {
  (void)state;
  const int64_t shapes[][4] = {
      {2, 5, 3, 8}, {1, 1, 1, 2}, {2, 3, 2, 96}, {2, 0, 3, 8}, {3, 30, 4, 64}};
  for (size_t s = 0; s < LENGTH(shapes); s++) {
    const int64_t *dim = shapes[s], half[] = {dim[3] / 2};
    rig_tensor *x = make_random(FORGE_F32, 4, dim, 1, -1, 1);
    rig_tensor *forms[] = {x, make_spread(x), make_turned(x)};
    rig_tensor *shared = make_random(FORGE_I32, 1, dim + 1, 2, 0, 60000);
    rig_tensor *each = make_random(FORGE_I32, 2, dim, 3, -50, 3000);
    rig_tensor *factors = make_random(FORGE_F32, 1, half, 4, 1, 8);
    for (uint32_t i = 0; i < 12; i++) {
      const bool part = i % 2 && dim[3] > 4;
      rope_with(forms[i / 4], i % 3 ? shared : each, part ? NULL : factors,
                (uint32_t)(part ? dim[3] - 4 : dim[3]), i % 4);
    }
    free_all(forms, 3);
    free_all((rig_tensor *[]){shared, each, factors}, 3);
  }
}

static void turning_back_restores(void **state) {
  (void)state;
  const int64_t dim[] = {4, 2, 16};
  rig *r = rig_open("portable", 1);
  rig_tensor *x = make_random(FORGE_F32, 3, dim, 1, -1, 1), *y = rig_make(FORGE_F32, 3, dim);
  rig_tensor *z = rig_make(FORGE_F32, 3, dim), *p = make_random(FORGE_I32, 1, dim, 5, 0, 900);
  for (uint32_t flags = 0; flags < 2; flags++) {
    const forge_attr_rope to = {1e4, 1.0, 16, flags};
    const forge_attr_rope back = {1e4, 1.0, 16, flags | FORGE_ROPE_INVERSE};
    rig_must(r, FORGE_OP_ROPE, &to, sizeof to, (rig_tensor *[]){x, p, NULL}, 3, &y, 1);
    rig_must(r, FORGE_OP_ROPE, &back, sizeof back, (rig_tensor *[]){y, p, NULL}, 3, &z, 1);
    for (int64_t i = 0; i < rig_elements(x); i++)
      assert_true(fabs(rig_get(x, i) - rig_get(z, i)) < 1e-6);
  }
  free_all((rig_tensor *[]){x, y, z, p}, 4);
  rig_close(r);
}

static void the_inverse_is_the_gradient(void **state) {
  (void)state;
  const int64_t dim[] = {3, 2, 6};
  rig_tensor *t = make_random(FORGE_F32, 3, dim, 1, -1, 1),
             *u = make_random(FORGE_F32, 3, dim, 2, -1, 1);
  rig_tensor *p = make_random(FORGE_I32, 1, dim, 5, 0, 9);
  for (uint32_t flags = 0; flags < 2; flags++) {
    const forge_attr_rope to = {100.0, 1.0, 4, flags};
    const forge_attr_rope back = {100.0, 1.0, 4, flags | FORGE_ROPE_INVERSE};
    ref *in[] = {ref_of(t), ref_of(p), NULL}, *dy = ref_of(u), *dx = ref_make(3, dim);
    ref64_run(FORGE_OP_ROPE, &back, (const ref *const[]){dy, in[1], NULL}, 3, &dx, 1, NULL);
    check_slope(FORGE_OP_ROPE, &to, in, 3, in[0], dy, 0, dx, 1e-8);
    ref_free(in[0]);
    ref_free(in[1]);
    ref_free(dy);
    ref_free(dx);
  }
  free_all((rig_tensor *[]){t, u, p}, 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_form_is_right),
      cmocka_unit_test(turning_back_restores),
      cmocka_unit_test(the_inverse_is_the_gradient),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
