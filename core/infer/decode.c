/* decode.c -- the token phase. See forge/infer.h. */
#include <string.h>

#include "handover.h"

forge_status forge_decode_create(forge_model *model, forge_device *device,
                                 const forge_phase_options *options, forge_decode **out_decode) {
  const uint32_t first = 1u << PHASE_STEP | 1u << PHASE_SAMPLE;
  forge_decode *d = mem_zalloc(sizeof *d);
  if (!d) return FAIL(FORGE_E_OOM, "decode");
  forge_status st = phase_create(model, device, options, first, &d->phase);
  if (!st && !(d->ids = mem_zalloc_array(d->phase->options.n_ctx, sizeof *d->ids)))
    st = FAIL(FORGE_E_OOM, "a context of %u tokens", d->phase->options.n_ctx);
  if (st) {
    forge_decode_destroy(d);
    return base_fail_in(st, "decode");
  }
  *out_decode = d;
  return FORGE_OK;
}

void forge_decode_destroy(forge_decode *decode) {
  if (!decode) return;
  phase_destroy(decode->phase);
  mem_free(decode->ids);
  mem_free(decode);
}

forge_status forge_decode_import(forge_decode *decode, const forge_capsule *capsule,
                                 const int32_t *ids, uint64_t n, const forge_request *request) {
  forge_request r;
  if (!capsule || !ids) return FAIL(FORGE_E_INVALID, "import: give the capsule and its token ids");
  TRY(sized_in(&r, sizeof r, request, "request"));
  TRY(handover_adopt(decode->phase, capsule, ids, n, request ? &r : NULL));
  memcpy(decode->ids, ids, n * sizeof *ids);
  return FORGE_OK;
}

forge_status decode_prompt(forge_decode *d, const int32_t *ids, uint64_t n, uint64_t deadline) {
  TRY(phase_prompt(d->phase, ids, n, deadline));
  memcpy(d->ids, ids, n * sizeof *ids);
  return FORGE_OK;
}

forge_status forge_decode_prompt(forge_decode *decode, const int32_t *ids, uint64_t n,
                                 float *logits) {
  TRY(decode_prompt(decode, ids, n, 0));
  return logits ? phase_read_logits(decode->phase, logits) : FORGE_OK;
}

forge_status forge_decode_step(forge_decode *decode, int32_t id, float *logits) {
  phase *p = decode->phase;
  TRY(phase_step(p, id));
  decode->ids[p->position - 1] = id;
  return logits ? phase_read_logits(p, logits) : FORGE_OK;
}

forge_status forge_decode_sample(forge_decode *decode, const forge_sampling *sampling,
                                 uint64_t counter, int32_t *out_id) {
  return phase_sample(decode->phase, sampling, counter, out_id);
}

forge_status forge_decode_export(forge_decode *decode, const forge_request *request,
                                 uint64_t counter, int32_t first_token,
                                 forge_capsule **out_capsule) {
  forge_request r;
  TRY(sized_in(&r, sizeof r, request, "request"));
  return handover_seal(decode->phase, decode->ids, &r, counter, first_token, out_capsule);
}

uint64_t forge_decode_position(const forge_decode *decode) { return decode->phase->position; }
