/* cases.c -- see cases.h: building a call. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"

void call_attr(op_call *c, const void *attr, uint32_t bytes) {
  CHECK(bytes <= sizeof c->attr, "the suite's attributes are too small");
  memcpy(&c->attr, attr, bytes);
  c->attr_bytes = bytes;
}

rig_tensor *call_random(const op_call *c, uint8_t dtype, int rank, const int64_t *dim,
                        uint64_t seed, double low, double high) {
  rig_tensor *t = rig_make(dtype, rank, dim);
  if (rig_type_block(dtype) > 1) {
    block_random(t, seed, c->whole ? BLOCK_WHOLE : BLOCK_ORDINARY);
    return t;
  }
  rig_random(t, seed, low, high);
  if (!c->whole) return t;
  ref *x = ref_of(t);
  for (int64_t i = 0; i < ref_count(x); i++) x->v[i] = floor(x->v[i]);
  rig_write(t, x->v);
  ref_free(x);
  return t;
}

rig_tensor *call_like(const rig_tensor *t, uint8_t dtype) {
  return rig_make(dtype, t->t.rank, t->t.dim);
}

rig_tensor *call_ids(int rank, const int64_t *dim, uint64_t seed, int64_t n, bool hostile) {
  rig_tensor *t = rig_make(FORGE_I32, rank, dim);
  const double outside[] = {-1.0, (double)n, 2147483647.0, -2147483648.0};
  rig_random(t, seed, 0.0, (double)n);
  for (int64_t i = 3; hostile && i < rig_elements(t); i += 5) rig_set(t, i, outside[i / 5 % 4]);
  return t;
}

static void free_once(op_call *c, rig_tensor *t) {
  if (!t) return;
  for (uint32_t k = 0; k < c->n_in; k++)
    if (c->in[k] == t) c->in[k] = NULL;
  for (uint32_t k = 0; k < c->n_out; k++)
    if (c->out[k] == t) c->out[k] = NULL;
  rig_free(t);
}

void call_free(op_call *c) {
  for (uint32_t k = 0; k < c->n_in; k++) free_once(c, c->in[k]);
  for (uint32_t k = 0; k < c->n_out; k++) free_once(c, c->out[k]);
  *c = (op_call){0};
}

/* ---- layouts ---- */

static void copy_elements(const rig_tensor *from, rig_tensor *to) {
  const int64_t block = rig_type_block(from->t.dtype), n = rig_elements(from);
  const uint64_t width = rig_type_bytes(from->t.dtype, 1);
  for (int64_t i = 0; i < n; i += block)
    memcpy(to->data + (uint64_t)(rig_offset(to, i) / block) * width,
           from->data + (uint64_t)(rig_offset(from, i) / block) * width, width);
}

/* Strides of |form|: the order of the dims in memory, and what is left between them. Rows of blocks
 * stay as they are. */
static void strides_of(const rig_tensor *t, int form, int64_t *stride) {
  const int64_t block = rig_type_block(t->t.dtype);
  int64_t n = form == FORM_SPREAD && block == 1 ? 2 : form == FORM_ODD_GAPS && block == 1 ? 3 : 1;
  for (int at = 0; at < t->t.rank; at++) {
    const bool turned = form == FORM_TURNED && block == 1;
    const int k = turned ? at : t->t.rank - 1 - at;
    stride[k] = n;
    n *= t->t.dim[k] ? t->t.dim[k] : 1;
    if (form == FORM_SPREAD && at == 0) n += block > 1 ? block : 2;
    if (form == FORM_ODD_GAPS) n += block > 1 ? 3 * block : at ? 5 : 1;
  }
}

rig_tensor *call_formed(const rig_tensor *t, int form) {
  int64_t stride[FORGE_MAX_RANK] = {0};
  strides_of(t, form, stride);
  rig_tensor *y = rig_make_strided(t->t.dtype, t->t.rank, t->t.dim, stride);
  memset(y->data, 0xFF, y->bytes); /* what lies between the elements is a NaN */
  copy_elements(t, y);
  return y;
}

/* ---- scalars ---- */

static rig_tensor *shrunk(const op_call *c, const rig_tensor *t) {
  if (!t) return NULL;
  rig_tensor *s = rig_zalloc(sizeof *s);
  *s = *t;
  for (int k = 0; k < t->t.rank; k++)
    if (t->t.dim_scalar[k]) {
      s->t.dim[k] = (int64_t)c->scalar[t->t.dim_scalar[k] - 1];
      s->t.dim_scalar[k] = 0;
    }
  return s;
}

op_call call_shrunk(const op_call *c) {
  op_call s = *c;
  for (uint32_t k = 0; k < c->n_in; k++) s.in[k] = shrunk(c, c->in[k]);
  for (uint32_t k = 0; k < c->n_out; k++) s.out[k] = shrunk(c, c->out[k]);
  return s;
}

void call_shrunk_free(op_call *c) {
  for (uint32_t k = 0; k < c->n_in; k++) free(c->in[k]);
  for (uint32_t k = 0; k < c->n_out; k++) free(c->out[k]);
}
