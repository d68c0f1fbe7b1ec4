/* ref64.c -- see ref64.h: tensors and the way to the op. */
#include "ref64.h"

#include <stdlib.h>
#include <string.h>

ref *ref_make(int rank, const int64_t *dim) {
  ref *x = rig_zalloc(sizeof *x);
  x->rank = rank;
  for (int k = 0; k < rank; k++) x->dim[k] = dim[k];
  x->v = rig_zalloc(((uint64_t)ref_count(x) + 1) * sizeof *x->v);
  return x;
}

ref *ref_of(const rig_tensor *t) {
  if (!t) return NULL;
  ref *x = ref_make(t->t.rank, t->t.dim);
  rig_read(t, x->v);
  return x;
}

ref *ref_copy(const ref *x) {
  if (!x) return NULL;
  ref *y = ref_make(x->rank, x->dim);
  memcpy(y->v, x->v, (size_t)ref_count(x) * sizeof *x->v);
  return y;
}

void ref_free(ref *x) {
  if (x) free(x->v);
  free(x);
}

int64_t ref_count(const ref *x) {
  int64_t n = 1;
  for (int k = 0; k < x->rank; k++) n *= x->dim[k];
  return n;
}

int64_t ref_columns(const ref *x) { return x->rank ? x->dim[x->rank - 1] : 1; }
int64_t ref_rows(const ref *x) {
  const int64_t n = ref_count(x);
  return n ? n / ref_columns(x) : 0;
}

double ref64_number(const ref_call *c, const forge_attr_number *n) {
  double value;
  if (!n->scalar) return n->value;
  memcpy(&value, &c->scalar[n->scalar - 1], sizeof value);
  return value;
}

bool ref64_run(uint16_t op, const void *attr, const ref *const *in, uint32_t n_in, ref *const *out,
               uint32_t n_out, const uint64_t *scalar) {
  const ref_call c = {op, attr, in, out, n_in, n_out, scalar};
  return ref64_elementwise(&c) || ref64_rows(&c) || ref64_move(&c) || ref64_attention(&c);
}
