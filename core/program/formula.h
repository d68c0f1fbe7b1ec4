/* formula.h -- tensors as operands of a formula, for gradients and expansions. Everything here is
 * build.h again with less to say; failures stick in the build. Dims are never summed away: a
 * reduced one stays with extent 1, so that results broadcast back. */
#ifndef FORGE_FORMULA_H
#define FORGE_FORMULA_H

#include "rows.h"

/* Shape of a tensor; zeros after a failure. */
forge_tensor formula_shape(build *b, forge_tid x);

/* |value| repeated to the dims of |like|: a view of one element, no memory of that size. */
forge_tid formula_constant(build *b, double value, uint8_t dtype, forge_tid like);
forge_tid formula_zeros(build *b, forge_tid like); /* F32, the same way */

forge_tid formula_scale(build *b, forge_tid x, double factor);
forge_tid formula_plus(build *b, forge_tid x, double addend);
forge_tid formula_sub(build *b, forge_tid x, forge_tid y); /* y is broadcast to x */
forge_tid formula_div(build *b, forge_tid x, forge_tid y);
forge_tid formula_scale_number(build *b, forge_tid x, forge_attr_number factor);
forge_tid formula_f32(build *b, forge_tid x);

/* Over the last dimension, kept with extent 1. */
forge_tid formula_row(build *b, forge_tid x, uint32_t kind);
/* Sum over all rows: [.., C] -> [C]; over everything: -> []. */
forge_tid formula_sum_rows(build *b, forge_tid x);
forge_tid formula_sum_all(build *b, forge_tid x);

forge_tid formula_mask(build *b, forge_tid x, forge_tid keep, uint32_t kind, double fill);
/* I32: 1 where a == x else 0; x is broadcast to a. */
forge_tid formula_equal(build *b, forge_tid a, forge_tid x);
/* I32 constant 0 .. n-1 and F32 constants. */
forge_tid formula_iota(build *b, int64_t n);
forge_tid formula_values(build *b, uint8_t rank, const int64_t *dim, const float *values);
/* Row-wise one-hot: ids I32 [..] -> I32 [.., n]. */
forge_tid formula_onehot(build *b, forge_tid ids, int64_t n);

forge_tid formula_matmul(build *b, forge_tid x, forge_tid y, uint32_t flags);

/* A view with a new dimension of extent 1 before |dim|. */
forge_tid formula_unsqueeze(build *b, forge_tid x, uint32_t dim);
/* A view in which dimension |dim| (extent 1) repeats to the extent of |like|'s |like_dim|. */
forge_tid formula_repeat(build *b, forge_tid x, uint32_t dim, forge_tid like, uint32_t like_dim);

/* |op| written into the view |out|; |out| becomes its new id. */
void formula_into(build *b, uint16_t op, const void *attr, uint32_t attr_bytes, const forge_tid *in,
                  uint32_t n_in, forge_tid *out);
void formula_copy_into(build *b, forge_tid x, forge_tid out);
/* Dense memory of the dims of |like| that nothing has written yet; renew it once views of it were
 * written into. */
forge_tid formula_fresh(build *b, forge_tid like, uint8_t dtype);
forge_tid formula_renew(build *b, forge_tid x);

#endif
