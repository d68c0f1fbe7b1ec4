/* grouped.h -- products in which each row chooses its matrix (grouped.c), for the table in
 * matmul.c, and what they borrow from there. */
#ifndef FORGE_CPU_GROUPED_H
#define FORGE_CPU_GROUPED_H

#include "../cpu.h"
#include "../gemm.h"

/* One product by the best way, shared among threads. |scratch|: gemm_scratch(k) for each. */
void cpu_product_run(const gemm *g, cpu_threads *threads, void *scratch);

uint8_t cpu_grouped_supports(const forge_tensor *const *in, uint32_t n_in,
                             const forge_tensor *const *out, uint32_t n_out, const void *attr);
uint64_t cpu_grouped_scratch(const forge_tensor *const *in, uint32_t n_in,
                             const forge_tensor *const *out, uint32_t n_out, const void *attr,
                             uint32_t n_threads);
forge_status cpu_grouped_run(const cpu_call *call);
uint8_t cpu_grouped_dw_supports(const forge_tensor *const *in, uint32_t n_in,
                                const forge_tensor *const *out, uint32_t n_out, const void *attr);
uint64_t cpu_grouped_dw_scratch(const forge_tensor *const *in, uint32_t n_in,
                                const forge_tensor *const *out, uint32_t n_out, const void *attr,
                                uint32_t n_threads);
forge_status cpu_grouped_dw_run(const cpu_call *call);

#endif
