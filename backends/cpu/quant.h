/* quant.h -- block types: extents, and one block written. */
#ifndef FORGE_CPU_QUANT_H
#define FORGE_CPU_QUANT_H

#include <stdbool.h>
#include <stdint.h>

bool cpu_is_block(uint8_t dtype);
int64_t cpu_block_elems(uint8_t dtype); /* 1 for plain types */
/* Bytes of |n| neighbouring elements; |n| a multiple of the block. */
int64_t cpu_row_bytes(uint8_t dtype, int64_t n);

/* 32 (Q8_0, Q4_0) or 256 elements into one block. Not finite elements give a block that is not
 * either. */
void cpu_encode_q8_0(const float *in, uint8_t *block);
void cpu_encode_q4_0(const float *in, uint8_t *block);
void cpu_encode_q4_k(const float *in, uint8_t *block);
void cpu_encode_q6_k(const float *in, uint8_t *block);

#endif
