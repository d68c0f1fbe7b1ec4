/* map.c -- see map.h. Operands are brought to the fewest dims they all agree on; the last of them
 * is cut into chunks, and (row, chunk) pairs are spread over the threads. */
#include "map.h"

typedef struct map {
  cpu_map_kernel kernel;
  const void *ctx;
  uint32_t n_in, n;
  uint8_t *data[MAP_MAX];
  uint8_t dtype[MAP_MAX];
  int32_t rank;
  int64_t dim[FORGE_MAX_RANK];
  int64_t stride[MAP_MAX][FORGE_MAX_RANK];
  int64_t chunks; /* per row */
} map;

/* Whether dim |d| of the tensors continues the last dim the map has so far. */
static bool joins(const map *m, const cpu_view *const *v, uint32_t d) {
  if (m->rank == 0) return false;
  for (uint32_t i = 0; i < m->n; i++) {
    const int64_t inner = v[i]->t.stride[d];
    if (m->stride[i][m->rank - 1] != inner * v[i]->t.dim[d]) return false;
  }
  return true;
}

static void collapse(map *m, const cpu_view *const *v) {
  const forge_tensor *like = &v[0]->t;
  for (uint32_t d = 0; d < like->rank; d++) {
    if (like->dim[d] == 1) continue;
    const bool joined = joins(m, v, d);
    const int32_t at = joined ? m->rank - 1 : m->rank++;
    m->dim[at] = joined ? m->dim[at] * like->dim[d] : like->dim[d];
    for (uint32_t i = 0; i < m->n; i++) m->stride[i][at] = v[i]->t.stride[d];
  }
  if (m->rank == 0) {
    m->rank = 1;
    m->dim[0] = 1;
    for (uint32_t i = 0; i < m->n; i++) m->stride[i][0] = 1;
  }
}

static void run_chunk(const map *m, const cpu_span *span, int64_t first, int64_t n) {
  _Alignas(64) float buffer[MAP_MAX][SPAN_MAX];
  const float *in[MAP_MAX];
  float *out[MAP_MAX];
  for (uint32_t i = 0; i < m->n_in; i++) in[i] = cpu_span_read(&span[i], first, n, buffer[i]);
  for (uint32_t i = m->n_in; i < m->n; i++)
    out[i - m->n_in] = cpu_span_place(&span[i], first, buffer[i]);
  m->kernel(m->ctx, in, out, n);
  for (uint32_t i = m->n_in; i < m->n; i++) cpu_span_done(&span[i], first, n, buffer[i]);
}

static void spans_of_row(const map *m, int64_t row, cpu_span *span) {
  int64_t offset[MAP_MAX] = {0};
  for (int32_t d = m->rank - 2; d >= 0; d--) {
    const int64_t i = row % m->dim[d];
    row /= m->dim[d];
    for (uint32_t k = 0; k < m->n; k++) offset[k] += i * m->stride[k][d];
  }
  for (uint32_t k = 0; k < m->n; k++) {
    uint8_t *data = m->data[k] + offset[k] * cpu_type_bytes(m->dtype[k]);
    span[k] = cpu_span_of(data, m->dtype[k], m->stride[k][m->rank - 1]);
  }
}

static void run_pieces(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  (void)thread;
  const map *m = ctx;
  const int64_t columns = m->dim[m->rank - 1];
  cpu_span span[MAP_MAX] = {0};
  int64_t row = -1;
  for (int64_t i = begin; i < end; i++) {
    if (i / m->chunks != row) spans_of_row(m, row = i / m->chunks, span);
    const int64_t first = i % m->chunks * SPAN_MAX;
    run_chunk(m, span, first, cpu_min(SPAN_MAX, columns - first));
  }
}

forge_status cpu_map(const cpu_call *c, uint32_t n_in, cpu_map_kernel kernel, const void *ctx) {
  const cpu_view *v[MAP_MAX] = {NULL};
  map m = {.kernel = kernel, .ctx = ctx, .n_in = n_in, .n = n_in + c->n_out};
  for (uint32_t i = 0; i < m.n; i++) {
    v[i] = i < n_in ? &c->in[i] : &c->out[i - n_in];
    m.data[i] = v[i]->data;
    m.dtype[i] = v[i]->t.dtype;
  }
  const int64_t elements = m.n ? cpu_elements(&v[0]->t) : 0;
  if (elements == 0) return FORGE_OK;
  collapse(&m, v);
  const int64_t columns = m.dim[m.rank - 1];
  m.chunks = cpu_ceil_div(columns, SPAN_MAX);
  const int64_t grain = cpu_grain(cpu_min(columns, SPAN_MAX));
  cpu_parallel(c->threads, elements / columns * m.chunks, grain, run_pieces, &m);
  return FORGE_OK;
}
