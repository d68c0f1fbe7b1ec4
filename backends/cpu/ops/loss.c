/* loss.c -- CROSS_ENTROPY and its gradient, row by row over the logits where they lie. The rows'
 * losses are added in double, in order. */
#include "rows.h"

typedef struct loss {
  const cpu_call *call;
  int64_t rows, columns;
  double *row_loss;
  float factor; /* gradient: dloss / number of rows that count */
} loss;

/* The target of a row, or -1 where the row does not count. */
static int64_t target_of(const loss *l, int64_t row) {
  const cpu_view *targets = &l->call->in[1];
  float word;
  int32_t target;
  memcpy(&target, cpu_flat_read(targets, row, 1, &word), 4);
  return target >= 0 && target < l->columns ? target : -1;
}

static int64_t counted_rows(const loss *l) {
  int64_t n = 0;
  for (int64_t row = 0; row < l->rows; row++) n += target_of(l, row) >= 0;
  return n;
}

static void forward_rows(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  (void)thread;
  const loss *l = ctx;
  for (int64_t row = begin; row < end; row++) {
    const int64_t target = target_of(l, row);
    l->row_loss[row] = 0.0;
    if (target < 0) continue;
    const cpu_span x = cpu_span_row(&l->call->in[0], row);
    float at_target;
    cpu_span_gather(&x, target, 1, &at_target);
    const float max = cpu_row_max(&x, l->columns, 1.0f);
    const float sum = cpu_row_exp(&x, l->columns, 1.0f, max, NULL);
    l->row_loss[row] = log((double)sum) + ((double)max - (double)at_target);
  }
}

static void backward_rows(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  (void)thread;
  const loss *l = ctx;
  for (int64_t row = begin; row < end; row++) {
    const int64_t target = target_of(l, row);
    const cpu_span x = cpu_span_row(&l->call->in[0], row), dx = cpu_span_row(&l->call->out[0], row);
    if (target < 0) { /* a maximum of -inf asks for zeros */
      cpu_row_exp(&x, l->columns, 1.0f, -INFINITY, &dx);
      continue;
    }
    const float max = cpu_row_max(&x, l->columns, 1.0f);
    const float sum = cpu_row_exp(&x, l->columns, 1.0f, max, &dx);
    cpu_row_scale(&dx, l->columns, l->factor / sum);
    float at_target;
    cpu_span_gather(&dx, target, 1, &at_target);
    at_target -= l->factor;
    cpu_span_scatter(&dx, target, 1, &at_target);
  }
}

static loss loss_of(const cpu_call *c) {
  const forge_tensor *x = &c->in[0].t;
  return (loss){.call = c, .rows = x->dim[0], .columns = x->dim[1], .row_loss = c->scratch};
}

static forge_status run_cross_entropy(const cpu_call *c) {
  loss l = loss_of(c);
  cpu_parallel(c->threads, l.rows, cpu_grain(4 * l.columns), forward_rows, &l);
  const int64_t n = counted_rows(&l);
  double sum = 0.0;
  for (int64_t row = 0; row < l.rows; row++) sum += l.row_loss[row];
  const float mean = n ? (float)(sum / (double)n) : 0.0f;
  memcpy(c->out[0].data, &mean, sizeof mean);
  return FORGE_OK;
}

static forge_status run_cross_entropy_bwd(const cpu_call *c) {
  loss l = loss_of(c);
  float upstream;
  memcpy(&upstream, c->in[2].data, sizeof upstream);
  if (cpu_elements(&c->in[0].t) == 0) return FORGE_OK;
  l.factor = upstream / (float)cpu_max(1, counted_rows(&l));
  cpu_parallel(c->threads, l.rows, cpu_grain(4 * l.columns), backward_rows, &l);
  return FORGE_OK;
}

static uint64_t scratch_cross_entropy(const forge_tensor *const *in, uint32_t n_in,
                                      const forge_tensor *const *out, uint32_t n_out,
                                      const void *attr, uint32_t n_threads) {
  (void)n_in, (void)out, (void)n_out, (void)attr, (void)n_threads;
  return (uint64_t)in[0]->dim[0] * sizeof(double);
}

static uint8_t supports_loss(const forge_tensor *const *in, uint32_t n_in,
                             const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  (void)n_in, (void)attr;
  if (in[0]->rank != 2) return FORGE_REASON_SHAPE;
  if (in[0]->dtype != FORGE_F32 || in[1]->dtype != FORGE_I32) return FORGE_REASON_DTYPE;
  if (n_in > 2 && in[2]->dtype != FORGE_F32) return FORGE_REASON_DTYPE;
  return cpu_all_are(out, n_out, FORGE_F32) ? FORGE_REASON_NONE : FORGE_REASON_DTYPE;
}

const cpu_op cpu_ops_loss[] = {
    {.op = FORGE_OP_CROSS_ENTROPY,
     .supports = supports_loss,
     .scratch = scratch_cross_entropy,
     .run = run_cross_entropy},
    {.op = FORGE_OP_CROSS_ENTROPY_BWD, .supports = supports_loss, .run = run_cross_entropy_bwd},
    {.op = 0},
};
