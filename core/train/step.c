/* step.c -- see step.h. */
#include <stdio.h>
#include <string.h>

#include "step_build.h"

enum { NORM_OFFSET = 64, RESULT_BYTES = 128 };

typedef forge_status (*build_fn)(build *b, const train_settings *s, const train_params *p);

static forge_status compile(train_step *t, build_fn fn, bool primitives, forge_program **out) {
  const forge_program_options options = {.size = sizeof options,
                                         .flags = FORGE_COMPILE_DETERMINISTIC |
                                                  (primitives ? FORGE_COMPILE_PRIMITIVES : 0u)};
  build b = {0};
  TRY(forge_builder_create(&b.builder));
  forge_status st = fn(&b, t->s, t->p);
  if (!st) st = forge_program_create(t->device, b.builder, &options, out);
  forge_builder_destroy(b.builder);
  return st;
}

static forge_status bind_params(train_step *t, forge_program *program, uint32_t kinds) {
  char name[PARAMS_NAME];
  for (uint32_t k = 0; k < kinds; k++)
    for (uint32_t i = 0; i < t->p->n; i++)
      TRY(forge_program_bind(program, train_params_name(t->p, k, i, name), t->p->buffer[k],
                             t->p->offset[i]));
  return FORGE_OK;
}

static forge_status bind_rows(train_step *t, forge_program *program) {
  TRY(forge_program_bind(program, "ids", t->ids, 0));
  TRY(forge_program_bind(program, "targets", t->targets, 0));
  TRY(forge_program_bind(program, "positions", t->positions, 0));
  return forge_program_bind(program, "loss", t->results, 0);
}

static uint64_t rows(const train_step *t) { return t->s->batch * t->s->context; }

static forge_status make_positions(train_step *t) {
  for (uint64_t i = 0; i < rows(t); i++) t->rows[i] = (int32_t)(i % t->s->context);
  return forge_buffer_write(t->positions, 0, t->rows, rows(t) * sizeof *t->rows);
}

static forge_status make_buffers(train_step *t) {
  const uint64_t bytes = rows(t) * sizeof *t->rows;
  t->rows = mem_zalloc_array((size_t)rows(t), 2 * sizeof *t->rows);
  if (!t->rows) return FAIL(FORGE_E_OOM, "training: no memory for a batch");
  TRY(forge_buffer_create(t->device, bytes, "batch", &t->ids));
  TRY(forge_buffer_create(t->device, bytes, "batch", &t->targets));
  TRY(forge_buffer_create(t->device, bytes, "batch", &t->positions));
  TRY(forge_buffer_create(t->device, RESULT_BYTES, "results", &t->results));
  return make_positions(t);
}

static forge_status binding_of(const train_step *t, const char *prefix, uint32_t i, uint32_t *out) {
  char name[PARAMS_NAME + 8];
  snprintf(name, sizeof name, "%s/%s", prefix, t->p->param[i].name);
  return forge_program_binding(t->forward, name, out);
}

static forge_status make_sums(train_step *t) {
  for (int k = 0; k < 2; k++)
    TRY(forge_buffer_create(t->device, t->p->bytes, "gradients", &t->sums[k]));
  t->sum_in = mem_zalloc_array(2 * (size_t)t->p->n, sizeof *t->sum_in);
  if (!t->sum_in) return FAIL(FORGE_E_OOM, "training: no memory");
  t->sum_out = t->sum_in + t->p->n;
  for (uint32_t i = 0; i < t->p->n; i++) {
    TRY(binding_of(t, "sum", i, &t->sum_in[i]));
    TRY(binding_of(t, "next", i, &t->sum_out[i]));
  }
  return FORGE_OK;
}

/* The sum lands in sums[accumulation % 2], starting from sums[0]. */
static forge_status bind_update(train_step *t) {
  char name[PARAMS_NAME + 8];
  TRY(bind_params(t, t->update, PARAMS_KINDS));
  for (uint32_t i = 0; i < t->p->n; i++) {
    snprintf(name, sizeof name, "sum/%s", t->p->param[i].name);
    TRY(forge_program_bind(t->update, name, t->sums[t->s->accumulation % 2], t->p->offset[i]));
  }
  return forge_program_bind(t->update, "norm", t->results, NORM_OFFSET);
}

static forge_status make_accumulating(train_step *t, bool primitives) {
  TRY(compile(t, step_build_forward, primitives, &t->forward));
  TRY(compile(t, step_build_update, primitives, &t->update));
  TRY(bind_params(t, t->forward, 1));
  TRY(bind_rows(t, t->forward));
  TRY(make_sums(t));
  return bind_update(t);
}

static forge_status make_whole(train_step *t, bool primitives) {
  TRY(compile(t, step_build_whole, primitives, &t->forward));
  TRY(bind_params(t, t->forward, PARAMS_KINDS));
  TRY(bind_rows(t, t->forward));
  return forge_program_bind(t->forward, "norm", t->results, NORM_OFFSET);
}

static forge_status make(train_step *t, bool primitives) {
  TRY(make_buffers(t));
  TRY(t->s->accumulation > 1 ? make_accumulating(t, primitives) : make_whole(t, primitives));
  TRY(compile(t, step_build_validate, primitives, &t->validate));
  TRY(bind_params(t, t->validate, 1));
  return bind_rows(t, t->validate);
}

forge_status train_step_create(forge_device *device, const train_settings *s, train_params *p,
                               bool primitives, train_step *out) {
  *out = (train_step){.device = device, .s = s, .p = p};
  const forge_status st = make(out, primitives);
  if (st) train_step_destroy(out);
  return st;
}

void train_step_destroy(train_step *t) {
  forge_program_destroy(t->forward);
  forge_program_destroy(t->update);
  forge_program_destroy(t->validate);
  forge_buffer *const buffers[] = {t->ids,     t->targets, t->positions,
                                   t->results, t->sums[0], t->sums[1]};
  for (size_t i = 0; i < COUNT_OF(buffers); i++) forge_buffer_destroy(buffers[i]);
  mem_free(t->sum_in);
  mem_free(t->rows);
  *t = (train_step){0};
}

/* Batch |number| of a part: its windows are numbers number*batch and on. */
static forge_status load_batch(train_step *t, const train_data *data, uint32_t part,
                               uint64_t number) {
  const uint64_t n = t->s->context, bytes = rows(t) * sizeof *t->rows;
  int32_t *ids = t->rows, *targets = t->rows + rows(t);
  for (uint64_t r = 0; r < t->s->batch; r++)
    train_data_window(data, part, t->s->seed, number * t->s->batch + r, n, ids + r * n,
                      targets + r * n);
  TRY(forge_buffer_write(t->ids, 0, ids, bytes));
  return forge_buffer_write(t->targets, 0, targets, bytes);
}

static uint64_t number_bits(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static forge_status run_update(forge_program *program, double lr, uint64_t step) {
  const uint64_t scalars[STEP_SCALARS] = {number_bits(lr), number_bits((double)step)};
  return forge_program_run(program, scalars, STEP_SCALARS);
}

static forge_status bind_sums(train_step *t, uint64_t micro) {
  forge_buffer *in = t->sums[micro % 2], *out = t->sums[(micro + 1) % 2];
  for (uint32_t i = 0; i < t->p->n; i++) {
    TRY(forge_program_bind_index(t->forward, t->sum_in[i], in, t->p->offset[i]));
    TRY(forge_program_bind_index(t->forward, t->sum_out[i], out, t->p->offset[i]));
  }
  return FORGE_OK;
}

static forge_status accumulate(train_step *t, const train_data *data, uint64_t step,
                               float *out_loss) {
  const uint64_t n = t->s->accumulation;
  double sum = 0;
  TRY(forge_buffer_fill(t->sums[0], 0, 0, t->p->bytes));
  for (uint64_t micro = 0; micro < n; micro++) {
    float loss;
    TRY(load_batch(t, data, DATA_TRAIN, (step - 1) * n + micro));
    TRY(bind_sums(t, micro));
    TRY(forge_program_run(t->forward, NULL, 0));
    TRY(forge_buffer_read(t->results, 0, &loss, sizeof loss));
    sum += loss;
  }
  *out_loss = (float)(sum / (double)n);
  return FORGE_OK;
}

forge_status train_step_run(train_step *t, const train_data *data, uint64_t step, double lr,
                            float *out_loss, float *out_norm) {
  if (t->update) {
    TRY(accumulate(t, data, step, out_loss));
    TRY(run_update(t->update, lr, step));
  } else {
    TRY(load_batch(t, data, DATA_TRAIN, step - 1));
    TRY(run_update(t->forward, lr, step));
    TRY(forge_buffer_read(t->results, 0, out_loss, sizeof *out_loss));
  }
  return forge_buffer_read(t->results, NORM_OFFSET, out_norm, sizeof *out_norm);
}

forge_status train_step_validate(train_step *t, const train_data *data, uint64_t batches,
                                 double *out_loss) {
  double sum = 0;
  for (uint64_t k = 0; k < batches; k++) {
    float loss;
    TRY(load_batch(t, data, DATA_VALIDATION, k));
    TRY(forge_program_run(t->validate, NULL, 0));
    TRY(forge_buffer_read(t->results, 0, &loss, sizeof loss));
    sum += loss;
  }
  *out_loss = sum / (double)batches;
  return FORGE_OK;
}

double train_step_flops(const train_step *t) {
  return (double)forge_program_flops(t->forward) * (double)t->s->accumulation;
}
