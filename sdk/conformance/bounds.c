/* bounds.c -- see bounds.def: the scale of each element, and the number of terms. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"

enum { SCALE_WANT, SCALE_ONE, SCALE_PEAK, SCALE_SUM, SCALE_OWN };

static const struct {
  double fixed, growth;
  int scale;
} bounds[] = {
#define BOUND(op, fixed, growth, scale, why) [FORGE_OP_##op] = {fixed, growth, SCALE_##scale},
#include "bounds.def"
#undef BOUND
};

/* What call_limits() found out about the call. */
static struct {
  ref *in[CASE_MOST_IN], *sum[CASE_MOST_OUT];
  double units, peak, reach; /* reach: the largest |x| of input 0 */
} now;

/* ---- terms ---- */

static int64_t columns(const rig_tensor *t) { return t->t.rank ? t->t.dim[t->t.rank - 1] : 1; }

static double product_terms(const op_call *c) {
  const rig_tensor *a = c->in[0];
  const forge_attr_matmul *m = &c->attr.matmul;
  const bool turned = c->op == FORGE_OP_MATMUL && m->flags & FORGE_MATMUL_TRANS_A;
  return (double)a->t.dim[a->t.rank - (turned ? 2 : 1)];
}

static double all_elements(const op_call *c) {
  double n = 0;
  for (uint32_t i = 0; i < c->n_in; i++) n += (double)rig_elements(c->in[i]);
  return n;
}

static double terms(const op_call *c) {
  const rig_tensor *x = c->in[0];
  switch (c->op) {
  case FORGE_OP_REDUCE: return (double)rig_elements(x) / fmax(1.0, (double)rig_elements(c->out[0]));
  case FORGE_OP_MATMUL:
  case FORGE_OP_QMATMUL:
  case FORGE_OP_GROUPED_MATMUL: return product_terms(c);
  case FORGE_OP_GROUPED_MATMUL_DW:
  case FORGE_OP_SCATTER_ROWS:
    return (double)rig_elements(c->in[c->op == FORGE_OP_SCATTER_ROWS ? 1 : 2]);
  case FORGE_OP_GLOBAL_NORM: return all_elements(c);
  case FORGE_OP_ATTENTION:
    return (double)(columns(x) +
                    (c->in[4] ? c->in[4]->t.dim[1] * c->in[1]->t.dim[1] : c->in[1]->t.dim[1]));
  case FORGE_OP_ATTENTION_BWD:
    return (double)(columns(x) + c->in[1]->t.dim[1] + x->t.dim[1] * x->t.dim[2]);
  case FORGE_OP_CROSS_ENTROPY:
  case FORGE_OP_RMSNORM_BWD:
  case FORGE_OP_LAYERNORM_BWD:
    return fmax((double)columns(x), (double)rig_elements(x) / fmax(1.0, (double)columns(x)));
  default: return x ? (double)columns(x) : 1.0;
  }
}

/* ---- scales ---- */

static double largest(const ref *x) {
  double m = 0.0;
  for (int64_t i = 0; x && i < ref_count(x); i++)
    if (isfinite(x->v[i])) m = fmax(m, fabs(x->v[i]));
  return m;
}

/* The op over absolute values; ids stay as they are, for they are not negative where they count. */
static void sum_of_sizes(const op_call *c, ref *const *want) {
  op_call a = *c;
  ref *in[CASE_MOST_IN];
  for (uint32_t k = 0; k < c->n_in; k++) {
    in[k] = ref_copy(now.in[k]);
    for (int64_t i = 0; in[k] && c->in[k]->t.dtype != FORGE_I32 && i < ref_count(in[k]); i++)
      in[k]->v[i] = fabs(in[k]->v[i]);
  }
  if (c->op == FORGE_OP_AXPBY) {
    forge_attr_axpby *f = &a.attr.axpby;
    double *const number[] = {&f->alpha.value, &f->beta.value};
    const uint32_t scalar[] = {f->alpha.scalar, f->beta.scalar};
    for (int k = 0; k < 2; k++) {
      if (scalar[k]) memcpy(number[k], &c->scalar[scalar[k] - 1], sizeof(double));
      *number[k] = fabs(*number[k]);
    }
    f->alpha.scalar = f->beta.scalar = 0;
  }
  for (uint32_t k = 0; k < c->n_out; k++)
    now.sum[k] = want[k] ? ref_make(want[k]->rank, want[k]->dim) : NULL;
  ref64_run(a.op, &a.attr, (const ref *const *)in, a.n_in, now.sum, a.n_out, a.scalar);
  for (uint32_t k = 0; k < c->n_in; k++) ref_free(in[k]);
}

static uint32_t kind_of(const op_call *c) { return c->attr.kind.kind; }

static bool unary_is_exact(uint32_t kind) {
  return kind == FORGE_UNARY_NEG || kind == FORGE_UNARY_RELU || kind == FORGE_UNARY_ABS ||
         kind == FORGE_UNARY_STEP || kind == FORGE_UNARY_SQUARE;
}

/* Functions that never cross zero steeply keep their relative error, the others an absolute one. */
static double unary_scale(const op_call *c, double want, int64_t i) {
  const uint32_t kind = kind_of(c);
  if (c->op == FORGE_OP_UNARY_BWD)
    return fabs(want) + (1.0 + fabs(now.in[0]->v[i])) * fabs(now.in[1]->v[i]);
  if (unary_is_exact(kind)) return 0.0;
  switch (kind) {
  case FORGE_UNARY_EXP: return fabs(want) * (1.0 + fabs(now.in[0]->v[i]) / 8.0);
  case FORGE_UNARY_SQRT:
  case FORGE_UNARY_RSQRT:
  case FORGE_UNARY_RECIP: return fabs(want);
  default: return 1.0 + fabs(want);
  }
}

static double rope_scale(const op_call *c, int64_t i) {
  const forge_attr_rope *a = &c->attr.rope;
  const ref *x = now.in[0];
  const int64_t d = ref_columns(x), row = i / d * d, column = i % d, half = a->n_rot / 2;
  if (column >= a->n_rot || !half) return 0.0;
  const bool near = a->flags & FORGE_ROPE_INTERLEAVED;
  const int64_t pair = near ? column / 2 : column % half,
                other = near ? column ^ 1 : (column + half) % a->n_rot;
  const int64_t heads = x->dim[x->rank - 2];
  const double p = now.in[1]->v[i / d / heads % ref_count(now.in[1])];
  const double f = now.in[2] ? now.in[2]->v[pair] : 1.0;
  const double angle = p * a->scale / (pow(a->base, 2.0 * (double)pair / a->n_rot) * f);
  return (fabs(x->v[i]) + fabs(x->v[row + other])) * (1.0 + fabs(angle) / 4.0);
}

static double adamw_scale(const op_call *c, uint32_t which, int64_t i) {
  const forge_attr_adamw *a = &c->attr.adamw;
  const double g = now.in[3]->v[i] * (now.in[4] ? now.in[4]->v[0] : 1.0);
  if (which == 1) return fabs(now.in[1]->v[i]) + 4.0 * (1.0 - a->beta1) * fabs(g);
  if (which == 2) return now.in[2]->v[i] + 16.0 * (1.0 - a->beta2) * g * g;
  return fabs(now.in[0]->v[i]) + 0.1;
}

static double own_scale(const op_call *c, double want, uint32_t which, int64_t i) {
  switch (c->op) {
  case FORGE_OP_ROPE: return rope_scale(c, i);
  case FORGE_OP_ADAMW: return adamw_scale(c, which, i);
  case FORGE_OP_SOFTMAX: return fabs(want) * (1.0 + now.reach * fabs(c->attr.softmax.scale) / 16.0);
  case FORGE_OP_MOE_ROUTE: return fabs(want) * (1.0 + now.reach / 16.0);
  case FORGE_OP_CROSS_ENTROPY_BWD: return fabs(want) * (1.0 + now.reach / 16.0) + now.peak;
  case FORGE_OP_RNG_PHILOX: {
    const forge_attr_rng *a = &c->attr.rng;
    if (a->kind == FORGE_RNG_UNIFORM)
      return a->a == 0.0 && a->b == 1.0 ? 0.0 : (fabs(a->a) + fabs(a->b)) / 32.0;
    return fabs(a->a) + fabs(a->b) + fabs(want);
  }
  default: return unary_scale(c, want, i);
  }
}

static double units_of(const op_call *c) {
  double fixed = bounds[c->op].fixed, growth = bounds[c->op].growth;
  if (c->op == FORGE_OP_BINARY && kind_of(c) == FORGE_BINARY_DIV) fixed = 4.0;
  if (c->op == FORGE_OP_REDUCE) {
    const uint32_t kind = c->attr.reduce.kind;
    if (kind == FORGE_REDUCE_MAX || kind == FORGE_REDUCE_ARGMAX) return 0.0;
    if (c->whole) return kind == FORGE_REDUCE_SUM ? 0.0 : fixed;
  }
  if (c->op == FORGE_OP_SCATTER_ROWS && c->attr.scatter.mode == FORGE_SCATTER_SET) return 0.0;
  const bool linear = bounds[c->op].scale == SCALE_SUM && c->op != FORGE_OP_AXPBY;
  if (c->whole && linear && c->op != FORGE_OP_REDUCE) return 0.0;
  return fixed + growth * sqrt(terms(c));
}

static double scale_of(const op_call *c, uint32_t which, double want, int64_t i) {
  switch (bounds[c->op].scale) {
  case SCALE_ONE: return 1.0 + fabs(want);
  case SCALE_PEAK: return 1.0 + now.peak;
  case SCALE_SUM: return fabs(now.sum[which]->v[i]);
  case SCALE_OWN: return own_scale(c, want, which, i);
  default: return fabs(want);
  }
}

static void limit_output(const op_call *c, const ref *want, uint32_t which, ref *limit) {
  const uint8_t dtype = c->out[which]->t.dtype;
  if (dtype == FORGE_I32 || dtype == FORGE_I8) return;
  now.peak = largest(want);
  for (int64_t i = 0; i < ref_count(want); i++)
    limit->v[i] = now.units * 0x1p-24 * scale_of(c, which, want->v[i], i);
}

void call_limits(const op_call *c, ref *const *want, ref **limit) {
  memset(&now, 0, sizeof now);
  now.units = units_of(c) * (c->slack > 0.0 ? c->slack : 1.0);
  for (uint32_t k = 0; k < c->n_out; k++)
    limit[k] = want[k] ? ref_make(want[k]->rank, want[k]->dim) : NULL;
  if (now.units == 0.0) return;
  for (uint32_t k = 0; k < c->n_in; k++) now.in[k] = ref_of(c->in[k]);
  now.reach = largest(now.in[0]);
  if (bounds[c->op].scale == SCALE_SUM) sum_of_sizes(c, want);
  for (uint32_t k = 0; k < c->n_out; k++)
    if (want[k]) limit_output(c, want[k], k, limit[k]);
  for (uint32_t k = 0; k < c->n_in; k++) ref_free(now.in[k]);
  for (uint32_t k = 0; k < c->n_out; k++) ref_free(now.sum[k]);
}
