/* map.h -- elementwise ops: a kernel on contiguous f32, run over operands of equal dims and any
 * strides and types. */
#ifndef FORGE_CPU_MAP_H
#define FORGE_CPU_MAP_H

#include "span.h"

#define MAP_MAX 8

/* |n| <= SPAN_MAX elements of every operand. I32 operands arrive as the int32_t they are. out[i]
 * may be in[j]. */
typedef void (*cpu_map_kernel)(const void *ctx, const float *const *in, float *const *out,
                               int64_t n);

/* Runs |kernel| over the call's first |n_in| inputs and all its outputs (n_in + n_out <= MAP_MAX,
 * all there, equal dims). Adjacent dims that lie without gaps in every operand run as one. */
forge_status cpu_map(const cpu_call *c, uint32_t n_in, cpu_map_kernel kernel, const void *ctx);

#endif
