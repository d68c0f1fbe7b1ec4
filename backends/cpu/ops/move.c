/* move.c -- ops that carry elements from place to place: COPY_STRIDED CAST FILL GATHER_ROWS
 * SCATTER_ROWS KV_WRITE. A row is a run along the last dimension. */
#include <math.h>
#include <string.h>

#include "../cpu.h"
#include "../lanes.h"
#include "../quant.h"

enum { CHUNK = 256 };     /* elements converted at a time; whole blocks of every type */
enum { WORTH = 1 << 15 }; /* elements that are worth a thread's attention */

/* One line of elements, |stride| apart; block types have stride 1 and start at a block. */
typedef struct line {
  uint8_t *data;
  int64_t stride;
  uint8_t dtype;
} line;

static int64_t grain_of(int64_t columns) { return WORTH / (columns ? columns : 1) + 1; }

static line row_of(const cpu_view *v, int64_t row) {
  const forge_tensor *t = &v->t;
  return (line){.data = v->data + cpu_row_bytes(t->dtype, cpu_row_offset(t, row)),
                .stride = t->rank ? t->stride[t->rank - 1] : 1,
                .dtype = t->dtype};
}

#define COPY_APART(type)                                                                           \
  do {                                                                                             \
    for (int64_t i = 0; i < n; i++)                                                                \
      memcpy(to->data + i * to->stride * (int64_t)sizeof(type),                                    \
             from->data + i * from->stride * (int64_t)sizeof(type), sizeof(type));                 \
  } while (0)

/* Same type on both sides. */
static void copy_line(const line *from, const line *to, int64_t n) {
  if (from->stride == 1 && to->stride == 1) {
    if (n) memmove(to->data, from->data, (size_t)cpu_row_bytes(to->dtype, n));
    return;
  }
  switch (cpu_type_bytes(to->dtype)) {
  case 4: COPY_APART(uint32_t); break;
  case 2: COPY_APART(uint16_t); break;
  default: COPY_APART(uint8_t); break;
  }
}

/* |n| (at most CHUNK) elements from number |first| on, to and from f32. */
static void read_line(const line *from, int64_t first, int64_t n, float *out) {
  if (from->stride == 1) {
    cpu_decode(from->dtype, from->data, first, n, out);
    return;
  }
  const int64_t size = cpu_type_bytes(from->dtype);
  for (int64_t i = 0; i < n; i++)
    cpu_decode(from->dtype, from->data + (first + i) * from->stride * size, 0, 1, out + i);
}

static void write_line(const float *in, int64_t first, int64_t n, const line *to) {
  if (to->stride == 1) {
    cpu_encode(to->dtype, in, n, to->data + cpu_row_bytes(to->dtype, first));
    return;
  }
  const int64_t size = cpu_type_bytes(to->dtype);
  for (int64_t i = 0; i < n; i++)
    cpu_encode(to->dtype, in + i, 1, to->data + (first + i) * to->stride * size);
}

static void convert_line(const line *from, const line *to, int64_t n) {
  float part[CHUNK];
  if (from->dtype == to->dtype) {
    copy_line(from, to, n);
    return;
  }
  for (int64_t i = 0; i < n; i += CHUNK) {
    const int64_t m = n - i < CHUNK ? n - i : CHUNK;
    read_line(from, i, m, part);
    write_line(part, i, m, to);
  }
}

static void fill_line(const line *to, int64_t n, const uint8_t *element) {
  const size_t size = cpu_type_bytes(to->dtype);
  for (int64_t i = 0; i < n; i++) memcpy(to->data + i * to->stride * (int64_t)size, element, size);
}

/* ---- COPY_STRIDED, CAST ---- */

/* Neighbouring dimensions that go on evenly on both sides become one, so that rows are long. Block
 * types keep their last dimension, which is even by itself. */
static void join_dims(forge_tensor *x, forge_tensor *y) {
  int rank = 0;
  for (int k = 0; k < x->rank; k++) {
    if (x->dim[k] == 1 && k + 1 < x->rank) continue;
    const bool even = rank > 0 && x->stride[rank - 1] == x->dim[k] * x->stride[k] &&
                      y->stride[rank - 1] == y->dim[k] * y->stride[k];
    const int64_t dim = even ? x->dim[rank - 1] * x->dim[k] : x->dim[k];
    rank += !even;
    x->dim[rank - 1] = y->dim[rank - 1] = dim;
    x->stride[rank - 1] = x->stride[k];
    y->stride[rank - 1] = y->stride[k];
  }
  x->rank = y->rank = (uint8_t)rank;
}

typedef struct pair {
  cpu_view from, to;
} pair;

static void copy_rows(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  const pair *p = ctx;
  (void)thread;
  for (int64_t r = begin; r < end; r++) {
    const line from = row_of(&p->from, r), to = row_of(&p->to, r);
    convert_line(&from, &to, cpu_columns(&p->to.t));
  }
}

/* A long single row in pieces. */
static void copy_columns(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  const pair *p = ctx;
  (void)thread;
  line from = row_of(&p->from, 0), to = row_of(&p->to, 0);
  from.data += cpu_row_bytes(from.dtype, begin * from.stride);
  to.data += cpu_row_bytes(to.dtype, begin * to.stride);
  convert_line(&from, &to, end - begin);
}

static forge_status run_copy(const cpu_call *call) {
  pair p = {.from = call->in[0], .to = call->out[0]};
  if (cpu_elements(&p.to.t) == 0) return FORGE_OK;
  join_dims(&p.from.t, &p.to.t);
  if (cpu_rows(&p.to.t) == 1)
    cpu_parallel(call->threads, cpu_columns(&p.to.t), WORTH, copy_columns, &p);
  else
    cpu_parallel(call->threads, cpu_rows(&p.to.t), grain_of(cpu_columns(&p.to.t)), copy_rows, &p);
  return FORGE_OK;
}

static bool known(const forge_tensor *t) {
  return cpu_type_bytes(t->dtype) || cpu_is_block(t->dtype);
}

static uint8_t cast_supports(const forge_tensor *const *in, uint32_t n_in,
                             const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  (void)n_in;
  (void)n_out;
  (void)attr;
  if (!known(in[0]) || !known(out[0])) return FORGE_REASON_DTYPE;
  if ((cpu_is_block(in[0]->dtype) && !cpu_rows_dense(in[0])) ||
      (cpu_is_block(out[0]->dtype) && !cpu_rows_dense(out[0])))
    return FORGE_REASON_STRIDES;
  return FORGE_REASON_NONE;
}

static uint8_t copy_supports(const forge_tensor *const *in, uint32_t n_in,
                             const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  if (in[0]->dtype != out[0]->dtype) return FORGE_REASON_DTYPE;
  return cast_supports(in, n_in, out, n_out, attr);
}

/* ---- FILL ---- */

typedef struct filling {
  const cpu_view *to;
  uint8_t element[4];
} filling;

static void fill_rows(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  const filling *f = ctx;
  (void)thread;
  for (int64_t r = begin; r < end; r++) {
    const line to = row_of(f->to, r);
    fill_line(&to, cpu_columns(&f->to->t), f->element);
  }
}

static void element_of(double value, uint8_t dtype, uint8_t *out) {
  const float f = (float)value;
  if (dtype != FORGE_I32) {
    cpu_encode(dtype, &f, 1, out);
    return;
  }
  const double low = INT32_MIN, high = INT32_MAX;
  const double inside = value > high ? high : value < low ? low : value;
  const int32_t whole = isnan(value) ? 0 : (int32_t)inside;
  memcpy(out, &whole, sizeof whole);
}

static forge_status run_fill(const cpu_call *call) {
  const forge_attr_fill *fill = call->attr;
  filling f = {.to = &call->out[0]};
  const forge_tensor *t = &f.to->t;
  if (cpu_elements(t) == 0) return FORGE_OK;
  element_of(fill->value, t->dtype, f.element);
  cpu_parallel(call->threads, cpu_rows(t), grain_of(cpu_columns(t)), fill_rows, &f);
  return FORGE_OK;
}

static uint8_t fill_supports(const forge_tensor *const *in, uint32_t n_in,
                             const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  (void)in;
  (void)n_in;
  (void)n_out;
  (void)attr;
  return cpu_type_bytes(out[0]->dtype) ? FORGE_REASON_NONE : FORGE_REASON_DTYPE;
}

/* ---- GATHER_ROWS ---- */

/* Element |i| of ids of any rank, in row-major order. */
static int64_t id_at(const cpu_view *ids, int64_t i) {
  const forge_tensor *t = &ids->t;
  const int64_t columns = cpu_columns(t), stride = t->rank ? t->stride[t->rank - 1] : 0;
  int32_t id;
  memcpy(&id, ids->data + 4 * (cpu_row_offset(t, i / columns) + i % columns * stride), sizeof id);
  return id;
}

static void gather_rows(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  const cpu_call *call = ctx;
  const cpu_view *table = &call->in[0], *y = &call->out[0];
  uint8_t nothing[4];
  (void)thread;
  element_of(y->t.dtype == FORGE_I32 || y->t.dtype == FORGE_I8 ? -1.0 : (double)NAN, y->t.dtype,
             nothing);
  for (int64_t r = begin; r < end; r++) {
    const line to = row_of(y, r);
    const int64_t id = id_at(&call->in[1], r);
    if (id < 0 || id >= table->t.dim[0]) {
      fill_line(&to, cpu_columns(&y->t), nothing);
      continue;
    }
    const line from = row_of(table, id);
    convert_line(&from, &to, cpu_columns(&y->t));
  }
}

static forge_status run_gather(const cpu_call *call) {
  const forge_tensor *y = &call->out[0].t;
  if (cpu_elements(y) == 0) return FORGE_OK;
  cpu_parallel(call->threads, cpu_rows(y), grain_of(cpu_columns(y)), gather_rows, (void *)call);
  return FORGE_OK;
}

static uint8_t gather_supports(const forge_tensor *const *in, uint32_t n_in,
                               const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  (void)n_in;
  (void)n_out;
  (void)attr;
  if (!known(in[0]) || in[1]->dtype != FORGE_I32 ||
      !(out[0]->dtype == FORGE_F32 ||
        (out[0]->dtype == in[0]->dtype && !cpu_is_block(in[0]->dtype))))
    return FORGE_REASON_DTYPE;
  if (in[0]->rank != 2) return FORGE_REASON_SHAPE;
  return cpu_is_block(in[0]->dtype) && !cpu_rows_dense(in[0]) ? FORGE_REASON_STRIDES
                                                              : FORGE_REASON_NONE;
}

/* ---- SCATTER_ROWS ---- */

static void add_line(const line *from, const line *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    float a, b;
    memcpy(&a, to->data + 4 * i * to->stride, sizeof a);
    memcpy(&b, from->data + 4 * i * from->stride, sizeof b);
    a += b;
    memcpy(to->data + 4 * i * to->stride, &a, sizeof a);
  }
}

/* Rows begin..end-1 of y: the base, then every source row that goes there, in order. */
static void scatter_rows(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  const cpu_call *call = ctx;
  const forge_attr_scatter *scatter = call->attr;
  const cpu_view *base = &call->in[0], *ids = &call->in[1], *src = &call->in[2];
  const cpu_view *y = &call->out[0];
  const int64_t columns = cpu_columns(&y->t);
  (void)thread;
  for (int64_t r = begin; r < end; r++) {
    const line to = row_of(y, r);
    const line from = base->data ? row_of(base, r) : to;
    if (!base->data)
      fill_line(&to, columns, (const uint8_t[4]){0});
    else if (from.data != to.data)
      copy_line(&from, &to, columns);
  }
  for (int64_t i = 0; i < ids->t.dim[0]; i++) {
    const int64_t id = id_at(ids, i);
    if (id < begin || id >= end) continue;
    const line from = row_of(src, i), to = row_of(y, id);
    if (scatter->mode == FORGE_SCATTER_ADD)
      add_line(&from, &to, columns);
    else
      convert_line(&from, &to, columns);
  }
}

static forge_status run_scatter(const cpu_call *call) {
  const forge_tensor *y = &call->out[0].t;
  if (cpu_elements(y) == 0) return FORGE_OK;
  cpu_parallel(call->threads, cpu_rows(y), grain_of(cpu_columns(y)), scatter_rows, (void *)call);
  return FORGE_OK;
}

static uint8_t scatter_supports(const forge_tensor *const *in, uint32_t n_in,
                                const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  const forge_attr_scatter *scatter = attr;
  (void)n_in;
  (void)n_out;
  const uint8_t type = out[0]->dtype;
  const bool half = type == FORGE_F16 || type == FORGE_BF16;
  if ((in[0] && in[0]->dtype != type) || in[1]->dtype != FORGE_I32 || in[2]->dtype != FORGE_F32 ||
      (type != FORGE_F32 && !(half && scatter->mode == FORGE_SCATTER_SET)))
    return FORGE_REASON_DTYPE;
  if (scatter->mode != FORGE_SCATTER_SET && scatter->mode != FORGE_SCATTER_ADD)
    return FORGE_REASON_ATTRIBUTES;
  return out[0]->rank != 2 ? FORGE_REASON_SHAPE : FORGE_REASON_NONE;
}

/* ---- KV_WRITE ---- */

/* Heads begin..end-1 of every row written: each in order of t, so that the last of equals stays. */
static void write_heads(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  const cpu_call *call = ctx;
  const cpu_view *slots = &call->in[1], *src = &call->in[2], *pages = &call->out[0];
  const forge_tensor *t = &pages->t;
  (void)thread;
  for (int64_t i = 0; i < slots->t.dim[0]; i++) {
    const int64_t slot = id_at(slots, i);
    if (slot < 0 || slot >= t->dim[0] * t->dim[1]) continue;
    for (int64_t h = begin; h < end; h++) {
      const line from = row_of(src, i * t->dim[2] + h), to = row_of(pages, slot * t->dim[2] + h);
      convert_line(&from, &to, t->dim[3]);
    }
  }
}

static forge_status run_kv_write(const cpu_call *call) {
  const cpu_view *slots = &call->in[1], *pages = &call->out[0];
  const int64_t per_head = slots->t.dim[0] * pages->t.dim[3];
  if (pages->data != call->in[0].data) run_copy(call);
  if (cpu_elements(&pages->t) == 0) return FORGE_OK;
  cpu_parallel(call->threads, pages->t.dim[2], grain_of(per_head), write_heads, (void *)call);
  return FORGE_OK;
}

static uint8_t kv_write_supports(const forge_tensor *const *in, uint32_t n_in,
                                 const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  (void)n_in;
  (void)n_out;
  (void)attr;
  if (out[0]->dtype != in[0]->dtype || in[1]->dtype != FORGE_I32 || in[2]->dtype != FORGE_F32 ||
      cpu_type_bytes(out[0]->dtype) == 0)
    return FORGE_REASON_DTYPE;
  return out[0]->rank != 4 || in[1]->rank != 1 ? FORGE_REASON_SHAPE : FORGE_REASON_NONE;
}

const cpu_op cpu_ops_move[] = {
    {FORGE_OP_COPY_STRIDED, copy_supports, NULL, run_copy},
    {FORGE_OP_CAST, cast_supports, NULL, run_copy},
    {FORGE_OP_FILL, fill_supports, NULL, run_fill},
    {FORGE_OP_GATHER_ROWS, gather_supports, NULL, run_gather},
    {FORGE_OP_SCATTER_ROWS, scatter_supports, NULL, run_scatter},
    {FORGE_OP_KV_WRITE, kv_write_supports, NULL, run_kv_write},
    {0},
};
