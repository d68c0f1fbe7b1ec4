/* kernels.c -- the ops of this backend, as loops over host memory. Add a function and a row for
 * each further op: forge/ops.h says what each computes. What has no row is answered honestly: NO
 * for a primitive; DECOMPOSED for a composite, which the core then expands into primitives.
 * Hardware launches a kernel of its own where these loop. */
#include "kernels.h"

#include <string.h>

#include "elements.h"

/* ---- FILL: y = value ---- */

static uint8_t fill_supports(const call *c) {
  return is_plain(c->out[0].t.dtype) ? FORGE_REASON_NONE : FORGE_REASON_DTYPE;
}

static void fill(const call *c) {
  const view *y = &c->out[0];
  const forge_attr_fill *attr = c->attr;
  for (int64_t r = 0; r < rows_of(&y->t); r++) {
    const line to = line_of(y, r);
    for (int64_t i = 0; i < columns_of(&y->t); i++) put(to, i, attr->value);
  }
}

/* ---- COPY_STRIDED: y = x ---- */

/* Blocks of a block type lie side by side along the last dimension. */
static uint8_t copy_supports(const call *c) {
  const forge_tensor *x = &c->in[0].t, *y = &c->out[0].t;
  const packing p = packing_of(x->dtype);
  if (x->dtype != y->dtype || !p.bytes) return FORGE_REASON_DTYPE;
  if (p.elems > 1 && (column_stride(x) != 1 || column_stride(y) != 1)) return FORGE_REASON_STRIDES;
  return FORGE_REASON_NONE;
}

static void copy_strided(const call *c) {
  const view *x = &c->in[0], *y = &c->out[0];
  const packing p = packing_of(x->t.dtype);
  const int64_t units = columns_of(&y->t) / p.elems;
  const int64_t from_step = p.bytes * (p.elems > 1 ? 1 : column_stride(&x->t));
  const int64_t to_step = p.bytes * (p.elems > 1 ? 1 : column_stride(&y->t));
  for (int64_t r = 0; r < rows_of(&y->t); r++) {
    const uint8_t *from = row_of(x, r);
    uint8_t *to = row_of(y, r);
    if (from == to && from_step == to_step) continue;
    for (int64_t i = 0; i < units; i++)
      memcpy(to + i * to_step, from + i * from_step, (size_t)p.bytes);
  }
}

const kernel kernels[] = {
    {FORGE_OP_FILL, sizeof(forge_attr_fill), fill_supports, fill},
    {FORGE_OP_COPY_STRIDED, 0, copy_supports, copy_strided},
    {0, 0, NULL, NULL},
};
