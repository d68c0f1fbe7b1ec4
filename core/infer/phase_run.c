/* phase_run.c -- a phase's hot path: one small write of inputs, one submit, one small read. */
#include <math.h>
#include <string.h>

#include "phase.h"

static forge_status check_ids(const phase *p, const int32_t *ids, uint64_t n) {
  for (uint64_t i = 0; i < n; i++)
    if (ids[i] < 0 || (uint32_t)ids[i] >= p->config.n_vocab)
      return FAIL(FORGE_E_INVALID, "token %llu is %d; this model's tokens are 0 to %u",
                  (unsigned long long)i, ids[i], p->config.n_vocab - 1);
  return FORGE_OK;
}

/* Lays out |n| tokens that follow the context, and sends them in one piece. |targets| may be NULL.
 */
static forge_status send(phase *p, const int32_t *ids, const int32_t *targets, uint32_t n) {
  const phase_input at = phase_input_layout(p);
  int32_t *positions = (int32_t *)(void *)(p->staging + at.positions);
  int32_t *slots = (int32_t *)(void *)(p->staging + at.slots);
  const uint32_t page = p->options.page_tokens;
  const int32_t start = (int32_t)p->position, last = (int32_t)n - 1;
  memcpy(p->staging + at.ids, ids, n * sizeof *ids);
  if (targets) memcpy(p->staging + at.targets, targets, n * sizeof *targets);
  for (uint32_t i = 0; i < n; i++) {
    const uint64_t where = p->position + i;
    positions[i] = (int32_t)where;
    slots[i] = p->pages[where / page] * (int32_t)page + (int32_t)(where % page);
  }
  memcpy(p->staging + at.starts, &start, sizeof start);
  memcpy(p->staging + at.last, &last, sizeof last);
  return forge_buffer_write(p->input, 0, p->staging, at.bytes);
}

/* One run of CHUNK or SCORE over |n| tokens. */
static forge_status run_many(phase *p, uint32_t kind, const int32_t *ids, const int32_t *targets,
                             uint32_t n) {
  const uint64_t scalars[] = {n};
  TRY(send(p, ids, targets, n));
  TRY(forge_program_run(p->programs[kind], scalars, 1));
  p->position += n;
  return FORGE_OK;
}

static forge_status check_prompt(const phase *p, const int32_t *ids, uint64_t n) {
  if (!n || !ids) return FAIL(FORGE_E_INVALID, "the prompt has no tokens; give at least one");
  if (n > p->options.n_ctx)
    return FAIL(FORGE_E_INVALID, "the prompt has %llu tokens and the context room for %u; %s",
                (unsigned long long)n, p->options.n_ctx,
                p->options.n_ctx < p->config.n_ctx ? "make the phase with a larger n_ctx"
                                                   : "that is all this model was made for");
  return check_ids(p, ids, n);
}

forge_status phase_prompt(phase *p, const int32_t *ids, uint64_t n, uint64_t deadline) {
  TRY(check_prompt(p, ids, n));
  TRY(phase_need(p, PHASE_CHUNK));
  p->position = 0;
  p->has_logits = false;
  forge_status st = FORGE_OK;
  for (uint64_t done = 0; !st && done < n; done = p->position) {
    const uint64_t left = n - done, chunk = p->options.chunk;
    if (deadline && time_now_ns() >= deadline)
      st = FAIL(FORGE_E_TIMEOUT, "deadline reached after %llu of %llu prompt tokens",
                (unsigned long long)done, (unsigned long long)n);
    else
      st = run_many(p, PHASE_CHUNK, ids + done, NULL, (uint32_t)(left < chunk ? left : chunk));
  }
  if (st) p->position = 0;
  p->has_logits = !st;
  return st;
}

forge_status phase_step(phase *p, int32_t id) {
  if (!p->position)
    return FAIL(FORGE_E_INVALID, "the context is empty; import a capsule or read a prompt first");
  if (p->position >= p->options.n_ctx)
    return FAIL(FORGE_E_INVALID, "the context is full (%u tokens)", p->options.n_ctx);
  TRY(check_ids(p, &id, 1));
  TRY(phase_need(p, PHASE_STEP));
  TRY(send(p, &id, NULL, 1));
  TRY(forge_program_run(p->programs[PHASE_STEP], NULL, 0));
  p->position++;
  p->has_logits = true;
  return FORGE_OK;
}

static forge_status score_chunk(phase *p, const int32_t *ids, const int32_t *targets, uint32_t n,
                                double *nll) {
  uint32_t counted = 0;
  float loss;
  for (uint32_t i = 0; i < n; i++) counted += targets[i] >= 0;
  TRY(run_many(p, PHASE_SCORE, ids, targets, n));
  if (!counted) return FORGE_OK;
  TRY(forge_buffer_read(p->choice, PHASE_LOSS_AT, &loss, sizeof loss));
  *nll += (double)loss * counted;
  return FORGE_OK;
}

forge_status phase_score(phase *p, const int32_t *ids, const int32_t *targets, uint64_t n,
                         double *out_nll) {
  TRY(check_prompt(p, ids, n));
  TRY(phase_need(p, PHASE_SCORE));
  p->position = 0;
  p->has_logits = false;
  *out_nll = 0;
  while (p->position < n) {
    const uint64_t at = p->position, left = n - at, chunk = p->options.chunk;
    TRY(score_chunk(p, ids + at, targets + at, (uint32_t)(left < chunk ? left : chunk), out_nll));
  }
  return FORGE_OK;
}

forge_status phase_read_logits(phase *p, float *out) {
  if (!p->has_logits)
    return FAIL(FORGE_E_INVALID,
                "no logits yet: read a prompt or take a step first (an imported context has none)");
  return forge_buffer_read(p->logits, 0, out, (uint64_t)p->config.n_vocab * sizeof *out);
}

static forge_status check_sampling(const forge_sampling *s) {
  if (!(s->temperature >= 0 && isfinite(s->temperature)))
    return FAIL(FORGE_E_INVALID, "sampling: temperature is %g; it must be 0 or above",
                s->temperature);
  if (!(s->top_p >= 0 && s->top_p <= 1) || !(s->min_p >= 0 && s->min_p <= 1))
    return FAIL(FORGE_E_INVALID, "sampling: top_p (%g) and min_p (%g) must be 0 to 1", s->top_p,
                s->min_p);
  if (s->top_k > INT32_MAX) return FAIL(FORGE_E_INVALID, "sampling: top_k is too large");
  return FORGE_OK;
}

forge_status phase_sample(phase *p, const forge_sampling *sampling, uint64_t counter,
                          int32_t *out_id) {
  forge_sampling s;
  uint8_t params[PHASE_ID_AT] = {0};
  TRY(sized_in(&s, sizeof s, sampling, "sampling"));
  TRY(check_sampling(&s));
  if (!p->has_logits)
    return FAIL(FORGE_E_INVALID,
                "no logits to choose from: read a prompt or take a step first (after an import, a "
                "step with the capsule's first token)");
  TRY(phase_need(p, PHASE_SAMPLE));
  const float numbers[4] = {(float)s.temperature, (float)(s.top_p > 0 ? s.top_p : 1),
                            (float)s.min_p, 0};
  const uint32_t words[4] = {s.top_k, (uint32_t)s.seed, (uint32_t)(s.seed >> 32),
                             (uint32_t)counter};
  memcpy(params + PHASE_PARAMS_AT, numbers, sizeof numbers);
  memcpy(params + PHASE_IPARAMS_AT, words, sizeof words);
  TRY(forge_buffer_write(p->choice, 0, params, sizeof params));
  TRY(forge_program_run(p->programs[PHASE_SAMPLE], NULL, 0));
  return forge_buffer_read(p->choice, PHASE_ID_AT, out_id, sizeof *out_id);
}

/* Calls |move| for each stretch of tokens |start| .. that lies in one page. */
typedef forge_status (*move_fn)(phase *p, uint64_t offset, uint8_t *host, uint64_t bytes);

static forge_status walk_pages(phase *p, uint32_t layer, uint32_t which, uint64_t start, uint64_t n,
                               uint8_t *host, move_fn move) {
  const uint64_t page = p->options.page_tokens;
  const uint64_t base = (2 * (uint64_t)layer + which) * p->kv_stride;
  for (uint64_t at = start; at < start + n;) {
    const uint64_t row = at % page, fits = page - row, left = start + n - at;
    const uint64_t rows = left < fits ? left : fits;
    const uint64_t slot = (uint64_t)p->pages[at / page] * page + row;
    TRY(move(p, base + slot * p->kv_token_bytes, host, rows * p->kv_token_bytes));
    host += rows * p->kv_token_bytes;
    at += rows;
  }
  return FORGE_OK;
}

static forge_status move_out(phase *p, uint64_t offset, uint8_t *host, uint64_t bytes) {
  return forge_buffer_read(p->kv, offset, host, bytes);
}

static forge_status move_in(phase *p, uint64_t offset, uint8_t *host, uint64_t bytes) {
  return forge_buffer_write(p->kv, offset, host, bytes);
}

forge_status phase_kv_read(phase *p, uint32_t layer, uint32_t which, uint64_t start, uint64_t n,
                           uint8_t *out) {
  return walk_pages(p, layer, which, start, n, out, move_out);
}

forge_status phase_kv_write(phase *p, uint32_t layer, uint32_t which, uint64_t start, uint64_t n,
                            const uint8_t *bytes) {
  return walk_pages(p, layer, which, start, n, (uint8_t *)(uintptr_t)bytes, move_in);
}
