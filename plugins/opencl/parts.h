/* parts.h -- small things several files of ops share. */
#ifndef FORGE_OPENCL_PARTS_H
#define FORGE_OPENCL_PARTS_H

#include <stdio.h>

#include "opencl.h"

/* The type whose LOAD and PUT move |bytes| (4, 2, else 1) as they are. */
uint8_t ocl_raw_type(uint32_t bytes);
int32_t ocl_i32_of(double value); /* towards zero, saturated, NaN: 0 */
/* |value| as an element of a plain type, in the low bits. */
uint32_t ocl_element_bits(double value, uint8_t dtype);

#endif
