/* unary.h -- UNARY and UNARY_BWD for the table of pointwise.c. */
#ifndef FORGE_CPU_UNARY_H
#define FORGE_CPU_UNARY_H

#include "../cpu.h"

uint8_t cpu_supports_unary(const forge_tensor *const *in, uint32_t n_in,
                           const forge_tensor *const *out, uint32_t n_out, const void *attr);
forge_status cpu_run_unary(const cpu_call *c);
forge_status cpu_run_unary_bwd(const cpu_call *c);

#endif
