/* check.h -- what the tests of ops ask again and again. All fail the cmocka test. */
#ifndef FORGE_TESTS_CHECK_H
#define FORGE_TESTS_CHECK_H

#include "ref64.h"
#include "rig.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

/* One call. in and out as for rig_must(). */
typedef struct check {
  uint16_t op;
  const void *attr;
  uint32_t attr_bytes;
  rig_tensor **in;
  uint32_t n_in;
  rig_tensor **out;
  uint32_t n_out;
} check;
#define CHECK(number, attributes, inputs, outputs)                                                 \
  ((check){.op = (number),                                                                         \
           .attr = &(attributes),                                                                  \
           .attr_bytes = sizeof(attributes),                                                       \
           .in = (inputs),                                                                         \
           .n_in = LENGTH(inputs),                                                                 \
           .out = (outputs),                                                                       \
           .n_out = LENGTH(outputs)})

/* Runs the call on every variant with 1 to 4 threads, wants equal bits, and wants every element
 * within |tolerance| * (1 + |expected|) of ref64's; NaN and infinities as they are. */
void check_op(const check *c, double tolerance);

/* The gradient |bwd| of ref64 against central differences of its |fwd|. |grad| holds d(sum of
 * dy*y)/d(in[which]) as ref64 worked it out; y is output 0. */
void check_slope(uint16_t fwd, const void *attr, ref *const *in, uint32_t n_in, const ref *y_like,
                 const ref *dy, uint32_t which, const ref *grad, double tolerance);

/* A dense tensor of evenly distributed elements in [low, high). */
rig_tensor *make_random(uint8_t dtype, int rank, const int64_t *dim, uint64_t seed, double low,
                        double high);
/* The same elements with gaps: each row twice as long, each element two apart. */
rig_tensor *make_spread(const rig_tensor *like);
/* A tensor whose dims say the same as |like| but with the dims stored in reverse order. */
rig_tensor *make_turned(const rig_tensor *like);
void free_all(rig_tensor **t, uint32_t n); /* entries may be NULL */

#endif
