/* params.c -- where the weights of a run lie, and in and out of checkpoints and models. How they
 * begin is in init.c. */
#include "params.h"

#include <stdio.h>
#include <string.h>

enum { ALIGN = 256 };

static uint32_t feed_forward(const train_settings *s, bool gpt2) {
  if (s->n_ff) return (uint32_t)s->n_ff;
  const uint64_t wide = gpt2 ? 4 * s->n_embd : 8 * s->n_embd / 3;
  return (uint32_t)((wide + 31) / 32 * 32);
}

static forge_status from_settings(const train_settings *s, uint32_t n_vocab,
                                  forge_model_config *out) {
  const bool gpt2 = !strcmp(s->family, "gpt2");
  if (s->n_embd % s->n_head)
    return FAIL(FORGE_E_CONFIG, "n_embd (%llu) must be a multiple of n_head (%llu)",
                (unsigned long long)s->n_embd, (unsigned long long)s->n_head);
  *out = (forge_model_config){
      .size = sizeof *out,
      .family = gpt2 ? FORGE_FAMILY_GPT2 : FORGE_FAMILY_LLAMA,
      .n_vocab = s->n_vocab ? (uint32_t)s->n_vocab : n_vocab,
      .n_ctx = (uint32_t)s->context,
      .n_embd = (uint32_t)s->n_embd,
      .n_layer = (uint32_t)s->n_layer,
      .n_head = (uint32_t)s->n_head,
      .n_kv_head = (uint32_t)(s->n_kv_head ? s->n_kv_head : s->n_head),
      .head_dim = (uint32_t)(s->n_embd / s->n_head),
      .n_ff = feed_forward(s, gpt2),
      .tied_head = s->tied_head,
      .rope_style = FORGE_ROPE_STYLE_HALF,
      .norm_eps = s->norm_eps,
      .rope_base = s->rope_base,
      .rope_scale = 1,
      .has_bias = gpt2 && s->bias,
  };
  return FORGE_OK;
}

forge_status train_params_shape(const train_settings *s, const forge_model *weights,
                                uint32_t n_vocab, forge_model_config *out) {
  *out = (forge_model_config){.size = sizeof *out};
  if (weights)
    TRY(forge_model_describe(weights, out));
  else
    TRY(from_settings(s, n_vocab, out));
  if (out->n_vocab < n_vocab)
    return FAIL(FORGE_E_MISMATCH, "the data has tokens up to %u, but the model knows only %u",
                n_vocab - 1, out->n_vocab);
  if (out->n_ctx < s->context)
    return FAIL(FORGE_E_MISMATCH, "context is %llu, but the model was made for %u at most",
                (unsigned long long)s->context, out->n_ctx);
  return FORGE_OK;
}

uint64_t train_params_elements(const arch_param *param) {
  return (uint64_t)param->dim[0] * (uint64_t)(param->rank == 2 ? param->dim[1] : 1);
}

/* arch_params() bounds every extent, so that none of this overflows. */
static void lay_out(train_params *p) {
  for (uint32_t i = 0; i < p->n; i++) {
    const uint64_t elements = train_params_elements(&p->param[i]);
    p->offset[i] = p->bytes;
    p->bytes += (elements * sizeof(float) + ALIGN - 1) / ALIGN * ALIGN;
    p->elements += elements;
  }
}

forge_status train_params_create(forge_device *device, const forge_model_config *config,
                                 train_params *out) {
  static const char *const tags[PARAMS_KINDS] = {"weights", "first moments", "second moments"};
  *out = (train_params){.config = *config};
  forge_status st = arch_params(config, &out->param, &out->n);
  if (!st && !(out->offset = mem_zalloc_array(out->n, sizeof *out->offset)))
    st = FAIL(FORGE_E_OOM, "training: no memory");
  if (!st) lay_out(out);
  for (uint32_t k = 0; !st && k < PARAMS_KINDS; k++)
    st = forge_buffer_create(device, out->bytes, tags[k], &out->buffer[k]);
  if (st) train_params_destroy(out);
  return st;
}

void train_params_destroy(train_params *p) {
  for (uint32_t k = 0; k < PARAMS_KINDS; k++) forge_buffer_destroy(p->buffer[k]);
  mem_free(p->param);
  mem_free(p->offset);
  *p = (train_params){0};
}

const char *train_params_name(const train_params *p, uint32_t kind, uint32_t i,
                              char out[PARAMS_NAME]) {
  snprintf(out, PARAMS_NAME, "%c/%s", "pmv"[kind], p -> param[i].name);
  return out;
}

forge_status train_params_save(const train_params *p, forge_checkpoint *checkpoint) {
  char name[PARAMS_NAME];
  for (uint32_t k = 0; k < PARAMS_KINDS; k++)
    for (uint32_t i = 0; i < p->n; i++)
      TRY(forge_checkpoint_tensor(checkpoint, train_params_name(p, k, i, name), FORGE_F32,
                                  p->param[i].rank, p->param[i].dim, p->buffer[k], p->offset[i]));
  return FORGE_OK;
}

forge_status train_params_restore(train_params *p, forge_restore *restore) {
  char name[PARAMS_NAME];
  for (uint32_t k = 0; k < PARAMS_KINDS; k++)
    for (uint32_t i = 0; i < p->n; i++)
      TRY(forge_restore_tensor(restore, train_params_name(p, k, i, name), FORGE_F32,
                               p->param[i].rank, p->param[i].dim, p->buffer[k], p->offset[i]));
  return FORGE_OK;
}

forge_status train_params_export(const train_params *p, const forge_tokenizer *tokenizer,
                                 const char *path) {
  uint8_t *host = mem_alloc(p->bytes);
  model_tensor *tensors = mem_zalloc_array(p->n, sizeof *tensors);
  forge_status st =
      host && tensors ? FORGE_OK : FAIL(FORGE_E_OOM, "%s: no memory for the weights", path);
  if (!st) st = forge_buffer_read(p->buffer[PARAMS_P], 0, host, p->bytes);
  for (uint32_t i = 0; !st && i < p->n; i++) {
    const arch_param *param = &p->param[i];
    tensors[i] = (model_tensor){.name = param->name,
                                .dtype = FORGE_F32,
                                .rank = param->rank,
                                .dim = {param->dim[0], param->dim[1]},
                                .data = host + p->offset[i],
                                .bytes = train_params_elements(param) * sizeof(float)};
  }
  if (!st) st = model_write(path, &p->config, tensors, p->n, tokenizer, NULL, NULL);
  mem_free(tensors);
  mem_free(host);
  return st;
}
