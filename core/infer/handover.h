/* handover.h -- a phase's context to a capsule and back. */
#ifndef FORGE_HANDOVER_H
#define FORGE_HANDOVER_H

#include "capsule.h"
#include "phase.h"

/* The context, which came from |ids| (as many as the position), sealed. |request| NULL: all zero.
 * |counter| tokens were drawn, |first_token| the last of them. */
forge_status handover_seal(phase *p, const int32_t *ids, const forge_request *request,
                           uint64_t counter, int32_t first_token, forge_capsule **out);
/* Verifies, writes the pages, then makes them the context. */
forge_status handover_adopt(phase *p, const forge_capsule *c, const int32_t *ids, uint64_t n,
                            const forge_request *request);

/* A phase behind each public object. |ids|: the tokens of the context. */
struct forge_prefill {
  phase *phase;
};
struct forge_decode {
  phase *phase;
  int32_t *ids; /* room for n_ctx */
};
/* forge_decode_prompt() with a deadline (time_now_ns(), 0: none). */
forge_status decode_prompt(forge_decode *d, const int32_t *ids, uint64_t n, uint64_t deadline);

#endif
