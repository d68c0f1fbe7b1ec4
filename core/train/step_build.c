/* step_build.c -- see step_build.h. */
#include "step_build.h"

#include <stdio.h>
#include <string.h>

/* Tensor ids of all parameters, in canonical order. */
typedef struct tids {
  forge_tid *param, *m, *v, *gradient;
} tids;

static forge_status tids_make(uint32_t n, tids *t) {
  t->param = mem_zalloc_array(4 * (size_t)n, sizeof *t->param);
  if (!t->param) return FAIL(FORGE_E_OOM, "training program: no memory");
  t->m = t->param + n;
  t->v = t->m + n;
  t->gradient = t->v + n;
  return FORGE_OK;
}

static void declare(build *b, const train_params *p, uint32_t kind, uint32_t role, forge_tid *out) {
  char name[PARAMS_NAME];
  for (uint32_t i = 0; i < p->n; i++)
    out[i] = build_tensor(b, role, train_params_name(p, kind, i, name), FORGE_F32, p->param[i].rank,
                          p->param[i].dim, NULL);
}

static forge_tid declare_like(build *b, const arch_param *param, const char *prefix) {
  char name[PARAMS_NAME + 8];
  snprintf(name, sizeof name, "%s/%s", prefix, param->name);
  return build_tensor(b, FORGE_ROLE_INPUT, name, FORGE_F32, param->rank, param->dim, NULL);
}

static void output(build *b, forge_tid tensor, const char *name) {
  if (!b->status) b->status = forge_builder_output(b->builder, tensor, name);
}

static forge_tid forward(build *b, const train_settings *s, const train_params *p,
                         const forge_tid *params) {
  const int64_t rows[] = {(int64_t)(s->batch * s->context)};
  const uint32_t dtype = !strcmp(s->dtype, "bf16") ? FORGE_BF16 : FORGE_F32;
  const arch_inputs in = {
      .ids = build_tensor(b, FORGE_ROLE_INPUT, "ids", FORGE_I32, 1, rows, NULL),
      .positions = build_tensor(b, FORGE_ROLE_INPUT, "positions", FORGE_I32, 1, rows, NULL),
      .batch = (int64_t)s->batch,
      .tokens = (int64_t)s->context,
      .compute_dtype = dtype,
      .page_table = FORGE_TID_NONE,
      .starts = FORGE_TID_NONE,
      .slots = FORGE_TID_NONE,
      .rope_freqs = FORGE_TID_NONE,
  };
  const forge_tid targets = build_tensor(b, FORGE_ROLE_INPUT, "targets", FORGE_I32, 1, rows, NULL);
  const forge_tid hidden = arch_hidden(b, &p->config, NULL, params, &in);
  const forge_tid logits = arch_logits(b, &p->config, NULL, params, hidden, dtype);
  const forge_tid loss = build_cross_entropy(b, logits, targets);
  output(b, loss, "loss");
  return loss;
}

static void backward(build *b, forge_tid loss, const train_params *p, const tids *t) {
  if (!b->status) b->status = forge_builder_gradient(b->builder, loss, t->param, p->n, t->gradient);
}

static forge_tid clip_factor(build *b, const train_settings *s, const train_params *p,
                             const tids *t) {
  const forge_attr_global_norm attr = {.max_norm = s->clip};
  forge_tid out[2] = {0, 0};
  build_op(b, FORGE_OP_GLOBAL_NORM, &attr, sizeof attr, t->gradient, p->n, out, 2);
  output(b, out[0], "norm");
  return out[1];
}

static void scalars(build *b, uint32_t out[STEP_SCALARS]) {
  static const char *const names[STEP_SCALARS] = {"lr", "step"};
  for (uint32_t k = 0; k < STEP_SCALARS && !b->status; k++)
    b->status = forge_builder_scalar(b->builder, names[k], UINT64_MAX, &out[k]);
}

static void adamw(build *b, const train_settings *s, const train_params *p, const tids *t) {
  uint32_t scalar[STEP_SCALARS] = {0};
  scalars(b, scalar);
  const forge_tid factor = clip_factor(b, s, p, t);
  for (uint32_t i = 0; i < p->n; i++) {
    const forge_attr_adamw attr = {.beta1 = s->beta1,
                                   .beta2 = s->beta2,
                                   .eps = s->eps,
                                   .weight_decay = p->param[i].decay ? s->weight_decay : 0,
                                   .lr = {.scalar = scalar[STEP_SCALAR_LR] + 1},
                                   .step = {.scalar = scalar[STEP_SCALAR_STEP] + 1}};
    const forge_tid in[] = {t->param[i], t->m[i], t->v[i], t->gradient[i], factor};
    forge_tid out[3];
    build_op(b, FORGE_OP_ADAMW, &attr, sizeof attr, in, 5, out, 3);
  }
}

forge_status step_build_whole(build *b, const train_settings *s, const train_params *p) {
  tids t = {0};
  TRY(tids_make(p->n, &t));
  declare(b, p, PARAMS_P, FORGE_ROLE_STATE, t.param);
  declare(b, p, PARAMS_M, FORGE_ROLE_STATE, t.m);
  declare(b, p, PARAMS_V, FORGE_ROLE_STATE, t.v);
  backward(b, forward(b, s, p, t.param), p, &t);
  adamw(b, s, p, &t);
  mem_free(t.param);
  return b->status;
}

forge_status step_build_forward(build *b, const train_settings *s, const train_params *p) {
  tids t = {0};
  char name[PARAMS_NAME + 8];
  TRY(tids_make(p->n, &t));
  declare(b, p, PARAMS_P, FORGE_ROLE_PARAM, t.param);
  backward(b, forward(b, s, p, t.param), p, &t);
  for (uint32_t i = 0; i < p->n && !b->status; i++) {
    const forge_tid sum = declare_like(b, &p->param[i], "sum");
    snprintf(name, sizeof name, "next/%s", p->param[i].name);
    output(b, build_axpby(b, 1.0 / (double)s->accumulation, t.gradient[i], 1, sum), name);
  }
  mem_free(t.param);
  return b->status;
}

forge_status step_build_update(build *b, const train_settings *s, const train_params *p) {
  tids t = {0};
  TRY(tids_make(p->n, &t));
  declare(b, p, PARAMS_P, FORGE_ROLE_STATE, t.param);
  declare(b, p, PARAMS_M, FORGE_ROLE_STATE, t.m);
  declare(b, p, PARAMS_V, FORGE_ROLE_STATE, t.v);
  for (uint32_t i = 0; i < p->n; i++) t.gradient[i] = declare_like(b, &p->param[i], "sum");
  adamw(b, s, p, &t);
  mem_free(t.param);
  return b->status;
}

forge_status step_build_validate(build *b, const train_settings *s, const train_params *p) {
  tids t = {0};
  TRY(tids_make(p->n, &t));
  declare(b, p, PARAMS_P, FORGE_ROLE_PARAM, t.param);
  forward(b, s, p, t.param);
  mem_free(t.param);
  return b->status;
}
