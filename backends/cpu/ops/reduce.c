/* reduce.c -- REDUCE and SOFTMAX; TOPK is in topk.c, GLOBAL_NORM in global_norm.c.
 *
 * Order of summation in REDUCE, after dims of extent 1 are dropped: where the last dim is reduced,
 * the reduced dims that end the shape form one row; element e of it goes to lane e mod 16, rows
 * follow each other in order, lanes_sum comes last. Where the last dim is kept, each column adds
 * its elements in ascending order. Strides do not matter. */
#include "rows.h"

typedef struct reduction {
  const cpu_view *x, *y;
  uint32_t kind;
  uint32_t n_kept, n_outer;
  int64_t kept_dim[FORGE_MAX_RANK], kept_x[FORGE_MAX_RANK], kept_y[FORGE_MAX_RANK];
  int64_t outer_dim[FORGE_MAX_RANK], outer_x[FORGE_MAX_RANK];
  cpu_view row; /* the reduced dims that end the shape, over x's first element */
  int64_t kept, outer, row_length, columns, column_chunk, column_chunks;
} reduction;

/* Offset of number |i| over |n| dims, the last moving fastest. */
static int64_t offset_of(int64_t i, uint32_t n, const int64_t *dim, const int64_t *stride) {
  int64_t offset = 0;
  for (uint32_t d = n; d-- > 0;) {
    offset += i % dim[d] * stride[d];
    i /= dim[d];
  }
  return offset;
}

static int64_t product(uint32_t n, const int64_t *dim) {
  int64_t p = 1;
  for (uint32_t d = 0; d < n; d++) p *= dim[d];
  return p;
}

static void prepare(reduction *r, uint32_t reduced) {
  const forge_tensor *x = &r->x->t, *y = &r->y->t;
  forge_tensor *row = &r->row.t;
  row->dtype = x->dtype;
  uint32_t tail = x->rank; /* first of the dims that end the shape and are all reduced */
  while (tail > 0 && (x->dim[tail - 1] == 1 || reduced >> (tail - 1) & 1)) tail--;
  for (uint32_t d = 0; d < x->rank; d++) {
    if (x->dim[d] == 1) continue;
    if (!(reduced >> d & 1)) {
      r->kept_dim[r->n_kept] = x->dim[d];
      r->kept_x[r->n_kept] = x->stride[d];
      r->kept_y[r->n_kept++] = y->stride[d];
    } else if (d >= tail) {
      row->dim[row->rank] = x->dim[d];
      row->stride[row->rank++] = x->stride[d];
    } else {
      r->outer_dim[r->n_outer] = x->dim[d];
      r->outer_x[r->n_outer++] = x->stride[d];
    }
  }
  r->kept = product(r->n_kept, r->kept_dim);
  r->outer = product(r->n_outer, r->outer_dim);
  r->row_length = product(row->rank, row->dim);
}

/* ---- the last dim is reduced ---- */

/* A NaN on either side stays one. */
static inline lanes larger(lanes a, lanes b) {
  const lanes bottom = lanes_set1(-INFINITY);
  const lanes odd = lanes_gt_select(b, a, b, lanes_add(a, b)); /* a is a NaN or -inf */
  return lanes_gt_select(a, bottom, lanes_max(a, b), odd);
}

static inline lanes take_or(const float *p, int64_t left, float rest) {
  if (left >= LANES) return lanes_load(p);
  float padded[LANES];
  for (int64_t i = 0; i < LANES; i++) padded[i] = i < left ? p[i] : rest;
  return lanes_load(padded);
}

static lanes accumulate(const reduction *r, const cpu_view *row, lanes total) {
  _Alignas(64) float buffer[SPAN_MAX];
  for (int64_t at = 0; at < r->row_length; at += SPAN_MAX) {
    const int64_t n = cpu_min(SPAN_MAX, r->row_length - at);
    const float *x = cpu_flat_read(row, at, n, buffer);
    if (r->kind == FORGE_REDUCE_MAX) {
      for (int64_t i = 0; i < n; i += LANES)
        total = larger(total, take_or(x + i, n - i, -INFINITY));
    } else {
      for (int64_t i = 0; i < n; i += LANES) total = lanes_add(total, cpu_take(x + i, n - i));
    }
  }
  return total;
}

static float largest_lane(lanes total) {
  float v[LANES];
  lanes_store(v, total);
  float best = v[0];
  for (int i = 1; i < LANES; i++) best = v[i] > best || v[i] != v[i] ? v[i] : best;
  return best;
}

static float mean_of(const reduction *r, float sum) {
  const int64_t n = r->outer * r->row_length;
  return r->kind == FORGE_REDUCE_MEAN && n > 0 ? sum / (float)n : sum;
}

static void reduce_rows(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  (void)thread;
  const reduction *r = ctx;
  const uint32_t bytes = cpu_type_bytes(r->x->t.dtype);
  const bool max = r->kind == FORGE_REDUCE_MAX;
  for (int64_t i = begin; i < end; i++) {
    const int64_t base = offset_of(i, r->n_kept, r->kept_dim, r->kept_x);
    lanes total = lanes_set1(max ? -INFINITY : 0.0f);
    for (int64_t o = 0; o < r->outer; o++) {
      cpu_view row = r->row;
      const int64_t offset = base + offset_of(o, r->n_outer, r->outer_dim, r->outer_x);
      row.data = r->x->data + offset * bytes;
      total = accumulate(r, &row, total);
    }
    const float value = max ? largest_lane(total) : mean_of(r, lanes_sum(total));
    const int64_t at = offset_of(i, r->n_kept, r->kept_dim, r->kept_y);
    cpu_encode(r->y->t.dtype, &value, 1, r->y->data + at * cpu_type_bytes(r->y->t.dtype));
  }
}

/* ---- the last dim is kept ---- */

static void add_row(const reduction *r, const float *x, int64_t n, float *total) {
  for (int64_t i = 0; i < n; i += LANES) {
    const lanes a = cpu_take(total + i, n - i), b = cpu_take(x + i, n - i);
    cpu_put(total + i, r->kind == FORGE_REDUCE_MAX ? larger(a, b) : lanes_add(a, b), n - i);
  }
}

static void reduce_columns(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  (void)thread;
  const reduction *r = ctx;
  const forge_tensor *x = &r->x->t, *y = &r->y->t;
  const uint32_t last = r->n_kept - 1;
  _Alignas(64) float total[SPAN_MAX], buffer[SPAN_MAX];
  for (int64_t i = begin; i < end; i++) {
    const int64_t lead = i / r->column_chunks, at = i % r->column_chunks * r->column_chunk;
    const int64_t n = cpu_min(r->column_chunk, r->columns - at);
    const int64_t base = offset_of(lead, last, r->kept_dim, r->kept_x);
    for (int64_t k = 0; k < n; k++) total[k] = r->kind == FORGE_REDUCE_MAX ? -INFINITY : 0.0f;
    for (int64_t o = 0; o < r->outer; o++) {
      const int64_t offset = base + offset_of(o, r->n_outer, r->outer_dim, r->outer_x);
      uint8_t *data = r->x->data + offset * cpu_type_bytes(x->dtype);
      const cpu_span s = cpu_span_of(data, x->dtype, r->kept_x[last]);
      add_row(r, cpu_span_read(&s, at, n, buffer), n, total);
    }
    for (int64_t k = 0; k < n; k++) total[k] = mean_of(r, total[k]);
    const int64_t to = offset_of(lead, last, r->kept_dim, r->kept_y);
    uint8_t *data = r->y->data + to * cpu_type_bytes(y->dtype);
    const cpu_span s = cpu_span_of(data, y->dtype, r->kept_y[last]);
    memcpy(cpu_span_place(&s, at, buffer), total, (size_t)n * sizeof *total);
    cpu_span_done(&s, at, n, buffer);
  }
}

/* ---- ARGMAX ---- */

static void argmax_rows(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  (void)thread;
  const cpu_call *c = ctx;
  for (int64_t row = begin; row < end; row++) {
    const cpu_span x = cpu_span_row(&c->in[0], row), y = cpu_span_row(&c->out[0], row);
    const int32_t best = (int32_t)cpu_row_argmax(&x, cpu_columns(&c->in[0].t));
    memcpy(y.data, &best, sizeof best);
  }
}

static uint8_t supports_reduce(const forge_tensor *const *in, uint32_t n_in,
                               const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  (void)n_in, (void)n_out;
  const forge_attr_reduce *a = attr;
  if (a->kind < FORGE_REDUCE_SUM || a->kind > FORGE_REDUCE_MEAN) return FORGE_REASON_ATTRIBUTES;
  if (!cpu_is_float(in[0])) return FORGE_REASON_DTYPE;
  if (a->kind != FORGE_REDUCE_ARGMAX)
    return cpu_is_float(out[0]) ? FORGE_REASON_NONE : FORGE_REASON_DTYPE;
  if (in[0]->rank && a->dims != 1u << (in[0]->rank - 1)) return FORGE_REASON_ATTRIBUTES;
  return out[0]->dtype == FORGE_I32 ? FORGE_REASON_NONE : FORGE_REASON_DTYPE;
}

static forge_status run_reduce(const cpu_call *c) {
  const forge_attr_reduce *attr = c->attr;
  reduction r = {.x = &c->in[0], .y = &c->out[0], .kind = attr->kind};
  if (cpu_elements(&c->out[0].t) == 0) return FORGE_OK;
  if (r.kind == FORGE_REDUCE_ARGMAX) {
    const int64_t each = cpu_columns(&r.x->t);
    cpu_parallel(c->threads, cpu_elements(&r.y->t), cpu_grain(each), argmax_rows, (void *)c);
    return FORGE_OK;
  }
  prepare(&r, attr->dims);
  if (r.n_kept == 0 || r.row.t.rank > 0) {
    const int64_t grain = cpu_grain(r.outer * r.row_length);
    cpu_parallel(c->threads, r.kept, grain, reduce_rows, &r);
    return FORGE_OK;
  }
  r.columns = r.kept_dim[r.n_kept - 1];
  r.column_chunk = cpu_column_chunk(c, r.columns);
  r.column_chunks = cpu_ceil_div(r.columns, r.column_chunk);
  const int64_t items = product(r.n_kept - 1, r.kept_dim) * r.column_chunks;
  cpu_parallel(c->threads, items, cpu_grain(r.outer * r.column_chunk), reduce_columns, &r);
  return FORGE_OK;
}

/* ---- SOFTMAX ---- */

static void softmax_rows(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  (void)thread;
  const cpu_call *c = ctx;
  const float scale = (float)((const forge_attr_softmax *)c->attr)->scale;
  const int64_t columns = cpu_columns(&c->in[0].t);
  for (int64_t row = begin; row < end; row++) {
    const cpu_span x = cpu_span_row(&c->in[0], row), y = cpu_span_row(&c->out[0], row);
    const float max = cpu_row_max(&x, columns, scale);
    const float sum = cpu_row_exp(&x, columns, scale, max, &y);
    cpu_row_scale(&y, columns, max == -INFINITY ? 0.0f : 1.0f / sum);
  }
}

static forge_status run_softmax(const cpu_call *c) {
  const forge_tensor *x = &c->in[0].t;
  if (cpu_elements(x) == 0) return FORGE_OK;
  cpu_parallel(c->threads, cpu_rows(x), cpu_grain(4 * cpu_columns(x)), softmax_rows, (void *)c);
  return FORGE_OK;
}

const cpu_op cpu_ops_reduce[] = {
    {.op = FORGE_OP_REDUCE, .supports = supports_reduce, .run = run_reduce},
    {.op = FORGE_OP_SOFTMAX, .supports = cpu_supports_f32, .run = run_softmax},
    {.op = FORGE_OP_TOPK,
     .supports = cpu_supports_topk,
     .scratch = cpu_scratch_topk,
     .run = cpu_run_topk},
    {.op = FORGE_OP_GLOBAL_NORM,
     .supports = cpu_supports_f32,
     .scratch = cpu_scratch_global_norm,
     .run = cpu_run_global_norm},
    {.op = 0},
};
