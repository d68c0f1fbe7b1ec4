/* prefill.c -- the prompt phase. See forge/infer.h. */
#include "handover.h"

forge_status forge_prefill_create(forge_model *model, forge_device *device,
                                  const forge_phase_options *options, forge_prefill **out_prefill) {
  forge_prefill *f = mem_zalloc(sizeof *f);
  if (!f) return FAIL(FORGE_E_OOM, "prefill");
  const uint32_t first = 1u << PHASE_CHUNK | 1u << PHASE_SAMPLE;
  const forge_status st = phase_create(model, device, options, first, &f->phase);
  if (st) {
    mem_free(f);
    return base_fail_in(st, "prefill");
  }
  *out_prefill = f;
  return FORGE_OK;
}

void forge_prefill_destroy(forge_prefill *prefill) {
  if (!prefill) return;
  phase_destroy(prefill->phase);
  mem_free(prefill);
}

forge_status forge_prefill_run(forge_prefill *prefill, const int32_t *ids, uint64_t n,
                               const forge_request *request, float *logits,
                               forge_capsule **out_capsule) {
  forge_request r;
  int32_t first;
  TRY(sized_in(&r, sizeof r, request, "request"));
  TRY(phase_prompt(prefill->phase, ids, n, 0));
  if (logits) TRY(phase_read_logits(prefill->phase, logits));
  if (!out_capsule) return FORGE_OK;
  TRY(phase_sample(prefill->phase, r.sampling, 0, &first));
  return handover_seal(prefill->phase, ids, &r, 1, first, out_capsule);
}
