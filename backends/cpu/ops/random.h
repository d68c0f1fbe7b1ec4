/* random.h -- Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011) and the table row of SAMPLE. */
#ifndef FORGE_CPU_RANDOM_H
#define FORGE_CPU_RANDOM_H

#include "../cpu.h"

/* counter (four words) under key (two words), ten rounds. */
void cpu_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

uint8_t cpu_supports_sample(const forge_tensor *const *in, uint32_t n_in,
                            const forge_tensor *const *out, uint32_t n_out, const void *attr);
uint64_t cpu_scratch_sample(const forge_tensor *const *in, uint32_t n_in,
                            const forge_tensor *const *out, uint32_t n_out, const void *attr,
                            uint32_t n_threads);
forge_status cpu_run_sample(const cpu_call *c);

#endif
