/* moves.c -- primitives that carry elements from place to place. */
#include "primitives.h"

/* ---- FILL: y = value ---- */

void fill(const call *c) {
  const view *y = &c->out[0];
  const forge_attr_fill *attr = c->attr;
  for (int64_t r = 0; r < rows_of(&y->t); r++) {
    const line to = line_of(y, r);
    for (int64_t i = 0; i < columns_of(&y->t); i++) put(to, i, attr->value);
  }
}

/* ---- CAST: y = x in another type; COPY_STRIDED: in the same ---- */

/* Element |i| of a row of any type; |row| is the line of a plain type, or where the blocks begin.
 */
static double get_any(line row, int64_t i) {
  const packing p = packing_of(row.dtype);
  if (p.elems == 1) return get(row, i);
  return block_read(row.dtype, row.data + i / p.elems * p.bytes, (int)(i % p.elems));
}

static line any_line(const view *v, int64_t row) {
  return is_block(v->t.dtype) ? (line){row_of(v, row), 0, v->t.dtype} : line_of(v, row);
}

static void cast_row(line from, line to, int64_t n) {
  const packing p = packing_of(to.dtype);
  float block[MAX_BLOCK];
  for (int64_t i = 0; i < n && p.elems == 1; i++) put(to, i, get_any(from, i));
  for (int64_t i = 0; i < n && p.elems > 1; i += p.elems) {
    for (int k = 0; k < p.elems; k++) block[k] = (float)get_any(from, i + k);
    block_write(to.dtype, to.data + i / p.elems * p.bytes, block);
  }
}

/* Bits as they are: what is no number, or was packed by somebody better, stays so. */
static void copy_row(line from, line to, int64_t n) {
  const packing p = packing_of(to.dtype);
  const int64_t from_step = p.elems > 1 ? p.bytes : from.step;
  const int64_t to_step = p.elems > 1 ? p.bytes : to.step;
  for (int64_t i = 0; i < n / p.elems; i++)
    memmove(to.data + i * to_step, from.data + i * from_step, (size_t)p.bytes);
}

void cast(const call *c) {
  const view *x = &c->in[0], *y = &c->out[0];
  for (int64_t r = 0; r < rows_of(&y->t); r++) {
    if (x->t.dtype == y->t.dtype)
      copy_row(any_line(x, r), any_line(y, r), columns_of(&y->t));
    else
      cast_row(any_line(x, r), any_line(y, r), columns_of(&y->t));
  }
}

/* ---- GATHER_ROWS: y[i] = table[ids[i]]; SCATTER_ROWS: y = base with rows ids[i] changed ---- */

void gather_rows(const call *c) {
  const view *table = &c->in[0], *y = &c->out[0];
  for (int64_t r = 0; r < rows_of(&y->t); r++) {
    const int64_t id = whole_at(&c->in[1], r);
    const line to = line_of(y, r);
    if (id >= 0 && id < table->t.dim[0])
      cast_row(any_line(table, id), to, columns_of(&y->t));
    else
      for (int64_t i = 0; i < columns_of(&y->t); i++)
        put(to, i, is_float(y->t.dtype) ? (double)NAN : -1);
  }
}

void scatter_rows(const call *c) {
  const view *base = &c->in[0], *ids = &c->in[1], *src = &c->in[2], *y = &c->out[0];
  const bool add = ((const forge_attr_scatter *)c->attr)->mode == FORGE_SCATTER_ADD;
  const int64_t columns = columns_of(&y->t);
  for (int64_t r = 0; r < y->t.dim[0] && base->data != y->data; r++) { /* else it works in place */
    const line from = base->data ? line_of(base, r) : (line){0}, to = line_of(y, r);
    for (int64_t i = 0; i < columns; i++) put(to, i, base->data ? get(from, i) : 0);
  }
  for (int64_t n = 0; n < ids->t.dim[0]; n++) {
    const int64_t id = whole_at(ids, n);
    if (id < 0 || id >= y->t.dim[0]) continue;
    const line from = line_of(src, n), to = line_of(y, id);
    for (int64_t i = 0; i < columns; i++)
      put(to, i, add ? get(to, i) + get(from, i) : get(from, i));
  }
}

/* ---- MASK: y = keep ? x : fill ---- */

/* The first column of row |r| that is not kept; for TENSOR each column has its own word. */
static int64_t kept_columns(const call *c, uint32_t kind, int64_t r) {
  const view *limit = &c->in[1];
  if (kind == FORGE_MASK_LENGTH) return whole_at(limit, r);
  const int64_t rows = c->in[0].t.dim[c->in[0].t.rank - 2];
  return (limit->data ? whole_at(limit, r / rows) : 0) + r % rows + 1;
}

void mask(const call *c) {
  const view *x = &c->in[0], *y = &c->out[0];
  const forge_attr_mask *attr = c->attr;
  const bool words = attr->kind == FORGE_MASK_TENSOR;
  for (int64_t r = 0; r < rows_of(&y->t); r++) {
    const line from = line_of(x, r), to = line_of(y, r);
    const line keep = words ? line_of(&c->in[1], r) : from;
    const int64_t end = words ? 0 : kept_columns(c, attr->kind, r);
    for (int64_t i = 0; i < columns_of(&y->t); i++)
      put(to, i, (words ? get(keep, i) != 0 : i < end) ? get(from, i) : attr->fill);
  }
}
