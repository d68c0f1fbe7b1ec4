/* primitives.h -- what the files of these kernels share. kernels.c says what is supported, moves.c
 * and maths.c do it. */
#ifndef PRIMITIVES_H
#define PRIMITIVES_H

#include "blocks.h"

/* moves.c */
void fill(const call *c);
void cast(const call *c); /* and COPY_STRIDED */
void gather_rows(const call *c);
void scatter_rows(const call *c);
void mask(const call *c);
/* maths.c */
void binary(const call *c);
void unary(const call *c);
void axpby(const call *c);
void reduce(const call *c);
void matmul(const call *c);
void softmax(const call *c);
void topk(const call *c);
void rng(const call *c);

static inline bool is_block(uint8_t dtype) { return packing_of(dtype).elems > 1; }

/* Element |i| of an I32 tensor of any rank, in row-major order. */
static inline int64_t whole_at(const view *v, int64_t i) {
  const int64_t columns = columns_of(&v->t);
  return (int64_t)get(line_of(v, i / columns), i % columns);
}

#endif
