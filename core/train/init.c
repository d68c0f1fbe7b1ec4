/* init.c -- how the weights of a run begin: from the generator, or from a model. Both happen on the
 * device. */
#include <string.h>

#include "params.h"

static forge_status zero_moments(train_params *p) {
  TRY(forge_buffer_fill(p->buffer[PARAMS_M], 0, 0, p->bytes));
  return forge_buffer_fill(p->buffer[PARAMS_V], 0, 0, p->bytes);
}

static forge_tid begin(build *b, const arch_param *param, uint32_t stream, uint64_t seed) {
  if (param->ones || param->init_std == 0)
    return build_fill(b, FORGE_F32, param->rank, param->dim, NULL, param->ones ? 1 : 0);
  const forge_attr_rng attr = {
      .kind = FORGE_RNG_NORMAL, .stream = stream, .b = param->init_std, .seed = seed};
  const forge_tensor shape = {
      .dtype = FORGE_F32, .rank = param->rank, .dim = {param->dim[0], param->dim[1]}};
  const forge_tid none = FORGE_TID_NONE;
  forge_tid out = FORGE_TID_NONE;
  if (!b->status)
    b->status = forge_builder_op_shaped(b->builder, FORGE_OP_RNG_PHILOX, &attr, sizeof attr, &none,
                                        1, &shape, &out);
  return out;
}

static forge_status build_init(build *b, const train_params *p, uint64_t seed) {
  char name[PARAMS_NAME];
  for (uint32_t i = 0; i < p->n; i++) {
    const forge_tid start = begin(b, &p->param[i], i, seed);
    if (!b->status)
      b->status = forge_builder_output(b->builder, start, train_params_name(p, PARAMS_P, i, name));
  }
  return b->status;
}

static forge_status bind_all(const train_params *p, forge_program *program) {
  char name[PARAMS_NAME];
  for (uint32_t i = 0; i < p->n; i++)
    TRY(forge_program_bind(program, train_params_name(p, PARAMS_P, i, name), p->buffer[PARAMS_P],
                           p->offset[i]));
  return FORGE_OK;
}

forge_status train_params_init(train_params *p, forge_device *device, uint64_t seed) {
  build b = {0};
  forge_program *program = NULL;
  TRY(forge_builder_create(&b.builder));
  forge_status st = build_init(&b, p, seed);
  if (!st) st = forge_program_create(device, b.builder, NULL, &program);
  forge_builder_destroy(b.builder);
  if (!st) st = forge_buffer_fill(p->buffer[PARAMS_P], 0, 0, p->bytes);
  if (!st) st = bind_all(p, program);
  if (!st) st = forge_program_run(program, NULL, 0);
  forge_program_destroy(program);
  return st ? st : zero_moments(p);
}

/* x as it is stored -> y [out, in] F32. */
static forge_status build_load(build *b, const model_tensor *t) {
  const uint8_t turn[] = {1, 0};
  forge_tid x = build_tensor(b, FORGE_ROLE_INPUT, "x", t->dtype, t->rank, t->dim, NULL);
  x = build_cast(b, x, FORGE_F32);
  if (t->transposed) x = build_dense(b, build_permute(b, x, turn));
  if (!b->status) b->status = forge_builder_output(b->builder, x, "y");
  return b->status;
}

static forge_status load_through_program(forge_device *device, const model_tensor *t,
                                         forge_buffer *to, uint64_t offset) {
  build b = {0};
  forge_program *program = NULL;
  forge_buffer *from = NULL;
  TRY(forge_builder_create(&b.builder));
  forge_status st = build_load(&b, t);
  if (!st) st = forge_program_create(device, b.builder, NULL, &program);
  forge_builder_destroy(b.builder);
  if (!st) st = forge_buffer_create(device, t->bytes, "loading", &from);
  if (!st) st = forge_buffer_write(from, 0, t->data, t->bytes);
  if (!st) st = forge_program_bind(program, "x", from, 0);
  if (!st) st = forge_program_bind(program, "y", to, offset);
  if (!st) st = forge_program_run(program, NULL, 0);
  forge_program_destroy(program);
  forge_buffer_destroy(from);
  return st;
}

static forge_status load_one(train_params *p, forge_device *device, const forge_model *weights,
                             uint32_t i) {
  const model_tensor *t = model_find(weights, p->param[i].name);
  if (!t) return FAIL(FORGE_E_NOT_FOUND, "the model has no tensor %s", p->param[i].name);
  if (t->dtype == FORGE_F32 && !t->transposed)
    return forge_buffer_write(p->buffer[PARAMS_P], p->offset[i], t->data, t->bytes);
  return load_through_program(device, t, p->buffer[PARAMS_P], p->offset[i]);
}

forge_status train_params_load(train_params *p, forge_device *device, const forge_model *weights) {
  if (model_find(weights, "rope_freqs.weight"))
    return FAIL(FORGE_E_UNSUPPORTED,
                "the model stretches its rotary frequencies (rope_freqs.weight); training such a "
                "model is not supported");
  TRY(forge_buffer_fill(p->buffer[PARAMS_P], 0, 0, p->bytes));
  for (uint32_t i = 0; i < p->n; i++) TRY(load_one(p, device, weights, i));
  return zero_moments(p);
}
