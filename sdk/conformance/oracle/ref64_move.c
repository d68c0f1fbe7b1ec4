/* ref64_move.c -- moves of rows and matrix products. */
#include <math.h>
#include <string.h>

#include "ref64.h"

static void copy_all(const ref *from, ref *to) {
  memcpy(to->v, from->v, (size_t)ref_count(to) * sizeof *to->v);
}

static bool inside(double id, int64_t n) { return id >= 0.0 && id < (double)n; }

static void gather(const ref_call *c) {
  const ref *table = c->in[0], *ids = c->in[1];
  const int64_t n = ref_columns(table);
  for (int64_t i = 0; i < ref_count(ids); i++)
    for (int64_t k = 0; k < n; k++)
      c->out[0]->v[i * n + k] =
          inside(ids->v[i], table->dim[0]) ? table->v[(int64_t)ids->v[i] * n + k] : (double)NAN;
}

static void scatter(const ref_call *c) {
  const bool add = ((const forge_attr_scatter *)c->attr)->mode == FORGE_SCATTER_ADD;
  ref *y = c->out[0];
  const int64_t n = ref_columns(y);
  if (c->in[0])
    copy_all(c->in[0], y);
  else
    memset(y->v, 0, (size_t)ref_count(y) * sizeof *y->v);
  for (int64_t i = 0; i < ref_count(c->in[1]); i++) {
    if (!inside(c->in[1]->v[i], y->dim[0])) continue;
    double *to = y->v + (int64_t)c->in[1]->v[i] * n;
    for (int64_t k = 0; k < n; k++) to[k] = (add ? to[k] : 0.0) + c->in[2]->v[i * n + k];
  }
}

static void kv_write(const ref_call *c) {
  ref *y = c->out[0];
  const int64_t n = y->dim[2] * y->dim[3];
  copy_all(c->in[0], y);
  for (int64_t t = 0; t < ref_count(c->in[1]); t++)
    if (inside(c->in[1]->v[t], y->dim[0] * y->dim[1]))
      memcpy(y->v + (int64_t)c->in[1]->v[t] * n, c->in[2]->v + t * n, (size_t)n * sizeof *y->v);
}

/* Any product: y[m, n] = sum over k of a[m * a_m + k * a_k] b[k * b_k + n * b_n]. */
typedef struct product {
  int64_t m, n, k, a_m, a_k, b_k, b_n;
} product;

static void multiply(const product *p, const double *a, const double *b, const double *bias,
                     double *y) {
  for (int64_t m = 0; m < p->m; m++)
    for (int64_t n = 0; n < p->n; n++) {
      double sum = bias ? bias[n] : 0.0;
      for (int64_t k = 0; k < p->k; k++)
        sum += a[m * p->a_m + k * p->a_k] * b[k * p->b_k + n * p->b_n];
      y[m * p->n + n] = sum;
    }
}

static void matmul(const ref_call *c) {
  const ref *a = c->in[0], *b = c->in[1], *y = c->out[0];
  const uint32_t flags = ((const forge_attr_matmul *)c->attr)->flags;
  const bool at = flags & FORGE_MATMUL_TRANS_A, bt = flags & FORGE_MATMUL_TRANS_B;
  const int r = y->rank;
  product p = {.m = y->dim[r - 2], .n = y->dim[r - 1], .k = a->dim[at ? r - 2 : r - 1]};
  p.a_m = at ? 1 : p.k;
  p.a_k = at ? p.m : 1;
  p.b_k = bt ? 1 : p.n;
  p.b_n = bt ? p.k : 1;
  const double *bias = c->n_in > 2 && c->in[2] ? c->in[2]->v : NULL;
  const int64_t batch = ref_count(y) ? ref_count(y) / (p.m * p.n) : 0;
  for (int64_t i = 0; i < batch; i++)
    multiply(&p, a->v + i * p.m * p.k, b->v + i * p.k * p.n, bias, y->v + i * p.m * p.n);
}

static void qmatmul(const ref_call *c) {
  const ref *w = c->in[1];
  const product p = {.m = ref_rows(c->out[0]),
                     .n = w->dim[0],
                     .k = w->dim[1],
                     .a_m = w->dim[1],
                     .a_k = 1,
                     .b_k = 1,
                     .b_n = w->dim[1]};
  const double *bias = c->n_in > 2 && c->in[2] ? c->in[2]->v : NULL;
  multiply(&p, c->in[0]->v, w->v, bias, c->out[0]->v);
}

static void grouped(const ref_call *c) {
  const ref *w = c->in[1], *ids = c->in[2];
  const bool back = ((const forge_attr_matmul *)c->attr)->flags & FORGE_MATMUL_TRANS_A;
  const int64_t n = w->dim[1], k = w->dim[2];
  const product forth = {1, n, k, 0, 1, 1, k}, other = {1, k, n, 0, 1, k, 1};
  const int64_t from = back ? n : k, to = back ? k : n;
  for (int64_t t = 0; t < ref_count(ids); t++) {
    if (!inside(ids->v[t], w->dim[0])) continue;
    multiply(back ? &other : &forth, c->in[0]->v + t * from, w->v + (int64_t)ids->v[t] * n * k,
             NULL, c->out[0]->v + t * to);
  }
}

static void grouped_dw(const ref_call *c) {
  const ref *x = c->in[0], *dy = c->in[1], *ids = c->in[2];
  ref *dw = c->out[0];
  const int64_t n = dw->dim[1], k = dw->dim[2];
  for (int64_t t = 0; t < ref_count(ids); t++) {
    if (!inside(ids->v[t], dw->dim[0])) continue;
    double *to = dw->v + (int64_t)ids->v[t] * n * k;
    for (int64_t i = 0; i < n * k; i++) to[i] += dy->v[t * n + i / k] * x->v[t * k + i % k];
  }
}

bool ref64_move(const ref_call *c) {
  switch (c->op) {
  case FORGE_OP_COPY_STRIDED:
  case FORGE_OP_CAST: copy_all(c->in[0], c->out[0]); return true;
  case FORGE_OP_FILL:
    for (int64_t i = 0; i < ref_count(c->out[0]); i++)
      c->out[0]->v[i] = ((const forge_attr_fill *)c->attr)->value;
    return true;
  case FORGE_OP_GATHER_ROWS: gather(c); return true;
  case FORGE_OP_SCATTER_ROWS: scatter(c); return true;
  case FORGE_OP_KV_WRITE: kv_write(c); return true;
  case FORGE_OP_MATMUL: matmul(c); return true;
  case FORGE_OP_QMATMUL: qmatmul(c); return true;
  case FORGE_OP_GROUPED_MATMUL: grouped(c); return true;
  case FORGE_OP_GROUPED_MATMUL_DW: grouped_dw(c); return true;
  default: return false;
  }
}
