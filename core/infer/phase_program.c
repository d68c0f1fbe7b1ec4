/* phase_program.c -- the op lists of a phase and what their names are bound to. */
#include <stdio.h>

#include "phase.h"

static forge_tid declare(build *b, uint32_t role, const char *name, uint8_t dtype, int64_t n,
                         uint32_t scalar) {
  const uint8_t dim_scalar[] = {(uint8_t)scalar};
  return build_tensor(b, role, name, dtype, 1, &n, dim_scalar);
}

static forge_tid declare_param(build *b, const char *name, const model_tensor *t) {
  return t ? build_tensor(b, FORGE_ROLE_PARAM, name, t->dtype, t->rank, t->dim, NULL)
           : FORGE_TID_NONE;
}

/* The run's tokens: |tokens| of them, or as many as the scalar says. */
static arch_inputs declare_inputs(const phase *p, build *b, int64_t tokens, uint32_t scalar) {
  const int64_t table_dim[] = {1, p->n_pages};
  return (arch_inputs){
      .ids = declare(b, FORGE_ROLE_INPUT, "ids", FORGE_I32, tokens, scalar),
      .positions = declare(b, FORGE_ROLE_INPUT, "positions", FORGE_I32, tokens, scalar),
      .slots = declare(b, FORGE_ROLE_INPUT, "slots", FORGE_I32, tokens, scalar),
      .starts = declare(b, FORGE_ROLE_INPUT, "starts", FORGE_I32, 1, 0),
      .page_table = build_tensor(b, FORGE_ROLE_INPUT, "page_table", FORGE_I32, 2, table_dim, NULL),
      .batch = 1,
      .tokens = tokens,
      .token_scalar = scalar,
      .compute_dtype = FORGE_F32,
      .n_pages = p->n_pages,
      .page_tokens = p->options.page_tokens,
      .kv_dtype = (uint8_t)p->options.kv_dtype,
      .rope_freqs = declare_param(b, "rope_freqs.weight", p->weights->rope_freqs),
  };
}

static void put_output(build *b, forge_tid x, const char *name) {
  if (!b->status) b->status = forge_builder_output(b->builder, x, name);
}

/* Logits of one row: of the only token, or of the last of a chunk. */
static void finish_logits(const phase *p, build *b, const forge_tid *params, forge_tid hidden,
                          bool chunk) {
  if (chunk)
    hidden = build_gather(b, hidden, declare(b, FORGE_ROLE_INPUT, "last", FORGE_I32, 1, 0));
  put_output(b, arch_logits(b, &p->config, p->weights->stored, params, hidden, FORGE_F32),
             "logits");
}

static void finish_score(const phase *p, build *b, const forge_tid *params, forge_tid hidden,
                         const arch_inputs *in) {
  const forge_tid targets =
      declare(b, FORGE_ROLE_INPUT, "targets", FORGE_I32, in->tokens, in->token_scalar);
  const forge_tid logits =
      arch_logits(b, &p->config, p->weights->stored, params, hidden, FORGE_F32);
  put_output(b, build_cross_entropy(b, logits, targets), "loss");
}

static forge_status describe_model(const phase *p, uint32_t kind, forge_builder *builder) {
  build b = {.builder = builder};
  const bool many = kind != PHASE_STEP;
  const int64_t tokens = many ? p->options.chunk : 1;
  uint32_t scalar = 0;
  forge_tid *params = mem_zalloc_array(p->weights->n, sizeof *params);
  if (!params) return FAIL(FORGE_E_OOM, "program of %u parameters", p->weights->n);
  if (many) b.status = forge_builder_scalar(builder, "tokens", (uint64_t)tokens, &scalar);
  const arch_inputs in = declare_inputs(p, &b, tokens, many ? scalar + 1 : 0);
  for (uint32_t i = 0; i < p->weights->n; i++)
    params[i] = declare_param(&b, p->weights->params[i].name, p->weights->stored[i]);
  const forge_tid hidden = arch_hidden(&b, &p->config, p->weights->stored, params, &in);
  if (kind == PHASE_SCORE)
    finish_score(p, &b, params, hidden, &in);
  else
    finish_logits(p, &b, params, hidden, many);
  mem_free(params);
  return b.status;
}

static forge_status describe_sample(const phase *p, forge_builder *builder) {
  build b = {.builder = builder};
  const int64_t logits_dim[] = {1, p->config.n_vocab}, four[] = {1, 4};
  const forge_tid logits =
      build_tensor(&b, FORGE_ROLE_INPUT, "logits", FORGE_F32, 2, logits_dim, NULL);
  const forge_tid params = build_tensor(&b, FORGE_ROLE_INPUT, "params", FORGE_F32, 2, four, NULL);
  const forge_tid iparams = build_tensor(&b, FORGE_ROLE_INPUT, "iparams", FORGE_I32, 2, four, NULL);
  put_output(&b, build_sample(&b, logits, params, iparams), "id");
  return b.status;
}

forge_status phase_describe(const phase *p, uint32_t kind, forge_builder *builder) {
  return kind == PHASE_SAMPLE ? describe_sample(p, builder) : describe_model(p, kind, builder);
}

static forge_status bind_weights(const phase *p, forge_program *program) {
  const placed *w = p->weights;
  for (uint32_t i = 0; i < w->n; i++)
    if (w->buffers[i]) TRY(forge_program_bind(program, w->params[i].name, w->buffers[i], 0));
  if (w->rope_freqs_buffer)
    TRY(forge_program_bind(program, "rope_freqs.weight", w->rope_freqs_buffer, 0));
  return FORGE_OK;
}

static forge_status bind_kv(const phase *p, forge_program *program) {
  for (uint32_t layer = 0; layer < p->config.n_layer; layer++)
    for (uint32_t which = 0; which < 2; which++) {
      char name[32];
      snprintf(name, sizeof name, "kv.%u.%c", layer, which ? 'v' : 'k');
      TRY(forge_program_bind(program, name, p->kv, (2 * (uint64_t)layer + which) * p->kv_stride));
    }
  return FORGE_OK;
}

static forge_status bind_model(const phase *p, uint32_t kind, forge_program *program) {
  const phase_input at = phase_input_layout(p);
  TRY(bind_weights(p, program));
  TRY(bind_kv(p, program));
  TRY(forge_program_bind(program, "ids", p->input, at.ids));
  TRY(forge_program_bind(program, "slots", p->input, at.slots));
  TRY(forge_program_bind(program, "starts", p->input, at.starts));
  TRY(forge_program_bind(program, "positions", p->input, at.positions));
  TRY(forge_program_bind(program, "page_table", p->table, 0));
  if (kind == PHASE_CHUNK) TRY(forge_program_bind(program, "last", p->input, at.last));
  if (kind != PHASE_SCORE) return forge_program_bind(program, "logits", p->logits, 0);
  TRY(forge_program_bind(program, "targets", p->input, at.targets));
  return forge_program_bind(program, "loss", p->choice, PHASE_LOSS_AT);
}

static forge_status bind_sample(const phase *p, forge_program *program) {
  TRY(forge_program_bind(program, "logits", p->logits, 0));
  TRY(forge_program_bind(program, "params", p->choice, PHASE_PARAMS_AT));
  TRY(forge_program_bind(program, "iparams", p->choice, PHASE_IPARAMS_AT));
  return forge_program_bind(program, "id", p->choice, PHASE_ID_AT);
}

forge_status phase_need(phase *p, uint32_t kind) {
  const forge_program_options options = {.size = sizeof options,
                                         .flags = p->options.flags,
                                         .fallback = p->options.fallback,
                                         .n_fallback = p->options.n_fallback,
                                         .fallbacks = p->options.fallbacks};
  forge_builder *builder = NULL;
  forge_program *program = NULL;
  if (p->programs[kind]) return FORGE_OK;
  TRY(forge_builder_create(&builder));
  forge_status st = phase_describe(p, kind, builder);
  if (!st) st = forge_program_create(p->device, builder, &options, &program);
  if (!st) st = kind == PHASE_SAMPLE ? bind_sample(p, program) : bind_model(p, kind, program);
  forge_builder_destroy(builder);
  if (st)
    forge_program_destroy(program);
  else
    p->programs[kind] = program;
  return st;
}
