/* kernels.h -- the seam of this backend: kernels.c computes, everything else does the rest. */
#ifndef KERNELS_H
#define KERNELS_H

#include <stdbool.h>

#include <forge/backend.h>

enum { MAX_IN = 6, MAX_OUT = 3 }; /* enough for every op but GLOBAL_NORM, which takes any number */

/* A tensor. In supports() its extents are the largest and |data| is NULL; in run() they are those
 * of this submit and |data| is its first element. An absent optional tensor has no dtype. */
typedef struct view {
  forge_tensor t;
  uint8_t *data;
} view;

/* One op of a program. */
typedef struct call {
  view in[MAX_IN], out[MAX_OUT];
  const void *attr;       /* the op's forge_attr_* */
  const uint64_t *scalar; /* the submit's; for attributes that name one */
} call;

/* One row of the table: an op, whether it can be run, how it is run. op_support() and prog_create()
 * read the same row, so that they cannot disagree. */
typedef struct kernel {
  uint16_t op;         /* FORGE_OP_* */
  uint16_t attr_bytes; /* size of its attributes */
  /* FORGE_REASON_NONE, or why not. The core checked counts and shapes: types, strides and
   * attributes are left. NULL: always. */
  uint8_t (*supports)(const call *c);
  void (*run)(const call *c);
} kernel;

extern const kernel kernels[]; /* ended by op 0 */

/* How elements are packed: |elems| neighbours in |bytes| bytes (forge/types.h). An unknown type has
 * bytes 0. */
typedef struct packing {
  int32_t elems, bytes;
} packing;

static inline packing packing_of(uint8_t dtype) {
#define CASE_(name, number, elems, bytes, text)                                                    \
  case number: return (packing){elems, bytes};
  switch (dtype) {
    FORGE_DTYPE_MAP(CASE_)
  default: return (packing){1, 0};
  }
#undef CASE_
}

/* ---- rows: the leading dimensions taken together; columns: the last one ---- */

static inline int64_t columns_of(const forge_tensor *t) {
  return t->rank ? t->dim[t->rank - 1] : 1;
}

static inline int64_t column_stride(const forge_tensor *t) {
  return t->rank ? t->stride[t->rank - 1] : 1;
}

static inline int64_t rows_of(const forge_tensor *t) {
  int64_t n = 1;
  for (int k = 0; k + 1 < t->rank; k++) n *= t->dim[k];
  return n;
}

/* Where number |i| of the first |dims| dimensions begins, the last of them moving fastest; in
 * elements. */
static inline int64_t start_of(const forge_tensor *t, int dims, int64_t i) {
  int64_t at = 0;
  for (int k = dims - 1; k >= 0; k--) {
    at += i % t->dim[k] * t->stride[k];
    i /= t->dim[k];
  }
  return at;
}

static inline int64_t row_start(const forge_tensor *t, int64_t row) {
  return start_of(t, t->rank - 1, row);
}

static inline uint8_t *row_of(const view *v, int64_t row) {
  const packing p = packing_of(v->t.dtype);
  return v->data + row_start(&v->t, row) / p.elems * p.bytes;
}

#endif
