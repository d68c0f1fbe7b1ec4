/* slopes.h -- gradients against central differences, both in double precision. */
#ifndef FORGE_ORACLE_SLOPES_H
#define FORGE_ORACLE_SLOPES_H

#include "ref64.h"

/* Central differences of sum(dy * y) in in[which], where y is output |y_number| of the forward op;
 * |y_like| have the dims of all its outputs. in[which] is as it was afterwards. The result is new.
 */
ref *slope_differences(uint16_t fwd, const void *attr, ref *const *in, uint32_t n_in,
                       ref *const *y_like, uint32_t n_out, uint32_t y_number, const ref *dy,
                       uint32_t which);

#endif
