/* perplexity.c -- how well a model predicts a text. Procedure: forge/infer.h and docs/phases.md. */
#include <math.h>

#include "phase.h"

/* Scores the window of inputs |begin| .. |end|-1: targets up to |*scored| were counted before. */
static forge_status score_window(phase *p, const int32_t *ids, int32_t *targets, uint64_t begin,
                                 uint64_t end, uint64_t *scored, double *nll) {
  double sum;
  for (uint64_t i = begin; i < end; i++) targets[i - begin] = i + 1 > *scored ? ids[i + 1] : -1;
  TRY(phase_score(p, ids + begin, targets, end - begin, &sum));
  *nll += sum;
  *scored = end;
  return FORGE_OK;
}

static forge_status score_all(phase *p, const int32_t *ids, uint64_t n, int32_t *targets,
                              const forge_perplexity_options *o, double *nll) {
  const uint64_t window = p->options.n_ctx;
  uint64_t scored = 0;
  for (uint64_t begin = 0; scored < n - 1; begin += o->stride) {
    const uint64_t end = n - 1 - begin < window ? n - 1 : begin + window;
    TRY(score_window(p, ids, targets, begin, end, &scored, nll));
    if (o->progress) o->progress(o->progress_ctx, "perplexity", scored, n - 1);
  }
  return FORGE_OK;
}

static forge_status settle(forge_model *model, const forge_perplexity_options *options, uint64_t n,
                           forge_perplexity_options *o, forge_phase_options *phase_options) {
  forge_model_config config = {.size = sizeof config};
  TRY(sized_in(o, sizeof *o, options, "perplexity options"));
  TRY(sized_in(phase_options, sizeof *phase_options, o->phase, "phase options"));
  TRY(forge_model_describe(model, &config));
  if (n < 2) return FAIL(FORGE_E_INVALID, "perplexity: the text has fewer than 2 tokens");
  if (!o->n_ctx) o->n_ctx = config.n_ctx;
  if (o->n_ctx > config.n_ctx)
    return FAIL(FORGE_E_INVALID, "perplexity: n_ctx is %u; the model was made for at most %u",
                o->n_ctx, config.n_ctx);
  if (!o->stride) o->stride = o->n_ctx;
  if (o->stride > o->n_ctx)
    return FAIL(FORGE_E_INVALID, "perplexity: stride (%u) is over n_ctx (%u) and would leave gaps",
                o->stride, o->n_ctx);
  phase_options->size = sizeof *phase_options;
  phase_options->n_ctx = o->n_ctx;
  return FORGE_OK;
}

forge_status forge_perplexity(forge_model *model, forge_device *device, const int32_t *ids,
                              uint64_t n, const forge_perplexity_options *options,
                              forge_perplexity_result *result) {
  forge_perplexity_options o;
  forge_phase_options phase_options;
  phase *p = NULL;
  double nll = 0;
  TRY(settle(model, options, n, &o, &phase_options));
  int32_t *targets = mem_zalloc_array(o.n_ctx, sizeof *targets);
  if (!targets) return FAIL(FORGE_E_OOM, "a window of %u tokens", o.n_ctx);
  forge_status st = phase_create(model, device, &phase_options, 1u << PHASE_SCORE, &p);
  const uint64_t start = time_now_ns();
  if (!st) st = score_all(p, ids, n, targets, &o, &nll);
  const forge_perplexity_result ours = {.n_ctx = o.n_ctx,
                                        .stride = o.stride,
                                        .scored = n - 1,
                                        .nll = nll,
                                        .perplexity = exp(nll / (double)(n - 1)),
                                        .ns = time_now_ns() - start};
  phase_destroy(p);
  mem_free(targets);
  TRY(st);
  return sized_out(result, &ours, sizeof ours, "perplexity result");
}
