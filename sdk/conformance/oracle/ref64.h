/* ref64.h -- what every op means, in double precision and in the plainest loops there are. Written
 * from forge/ops.h alone and used as the oracle of kernels and decompositions; its gradients are
 * held against finite differences of its own forward ops (slopes.h). Slow. */
#ifndef FORGE_ORACLE_REF64_H
#define FORGE_ORACLE_REF64_H

#include <forge/ops.h>

#include "tensor.h"

/* Dense, row-major; whole numbers for I32. */
typedef struct ref {
  int rank;
  int64_t dim[FORGE_MAX_RANK];
  double *v;
} ref;

ref *ref_make(int rank, const int64_t *dim);
ref *ref_of(const rig_tensor *t); /* NULL for NULL */
ref *ref_copy(const ref *x);      /* NULL for NULL */
void ref_free(ref *x);            /* NULL is fine */
int64_t ref_count(const ref *x);
int64_t ref_columns(const ref *x); /* the last dim, 1 for rank 0 */
int64_t ref_rows(const ref *x); /* elements of the dims before it; 0 where there are no elements */

/* |out| have their dims; an absent tensor is NULL. Block types are given decoded, so QMATMUL is
 * MATMUL here, and CAST copies. False for an op it does not know. */
bool ref64_run(uint16_t op, const void *attr, const ref *const *in, uint32_t n_in, ref *const *out,
               uint32_t n_out, const uint64_t *scalar);

/* The four words of Philox4x32-10. */
void ref64_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* ---- one function per file of the oracle: true when the op is theirs ---- */

typedef struct ref_call {
  uint16_t op;
  const void *attr;
  const ref *const *in;
  ref *const *out;
  uint32_t n_in, n_out;
  const uint64_t *scalar;
} ref_call;
bool ref64_elementwise(const ref_call *c); /* ref64_elementwise.c */
bool ref64_rows(const ref_call *c);        /* ref64_rows.c: rows to rows, losses, drawing */
bool ref64_move(const ref_call *c);        /* ref64_move.c: moves and matrix products */
bool ref64_attention(const ref_call *c);   /* ref64_attention.c */
double ref64_number(const ref_call *c, const forge_attr_number *n);

#endif
