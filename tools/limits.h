/* limits.h -- what this machine can do at most, measured: the yardstick `forge bench` holds Forge
 * against. */
#ifndef FORGE_LIMITS_H
#define FORGE_LIMITS_H

#include <stdint.h>

/* Each runs for about |seconds| on |threads| threads and returns the rate, 0 when it could not be
 * measured. */
double limits_fma_flops(uint32_t threads,
                        double seconds); /* f32 multiply-adds in registers, 2 each */
double limits_read_bandwidth(uint32_t threads,
                             double seconds); /* bytes/s summed from memory, 512 MiB */

/* Processors this process may run on. */
uint32_t limits_threads(void);
/* The instruction set limits_fma_flops() uses here. */
const char *limits_isa(void);

#endif
