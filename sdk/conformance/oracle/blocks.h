/* blocks.h -- the block types, read and written one element at a time from their layouts in
 * forge/types.h. */
#ifndef FORGE_ORACLE_BLOCKS_H
#define FORGE_ORACLE_BLOCKS_H

#include "tensor.h"

/* Element |i| of the block at |block|, exactly as the layout says. */
double block_element(uint8_t dtype, const uint8_t *block, int i);

/* How the scales of a block come out. */
enum {
  BLOCK_ORDINARY, /* about 0.01 to 0.1, of both signs */
  BLOCK_WHOLE,    /* elements are small whole numbers, so that their sums are exact in f32 */
  BLOCK_EXTREME,  /* zeros, denormals, the largest halves, the ends of all small numbers */
};
/* Fills a tensor of a block type with arbitrary blocks whose scales are finite. */
void block_random(rig_tensor *t, uint64_t seed, int scales);

#endif
