/* tensor.h -- tensors in the host's memory, element by element and without haste: what tests fill,
 * hand to a device and read again.
 *
 *   rig_tensor *x = rig_make(FORGE_F32, 2, (int64_t[]){3, 7});
 *   rig_random(x, 1, -1.0, 1.0);
 *   rig_get(x, 5);                       element 5 in row-major order, as a double
 *
 * Conversions are this file's own, so that they may judge a device's. Memory for a test's tensors
 * is taken for granted: without it the process ends with a message and status 3. */
#ifndef FORGE_ORACLE_TENSOR_H
#define FORGE_ORACLE_TENSOR_H

#include <stdbool.h>
#include <stdint.h>

#include <forge/types.h>

typedef struct rig_tensor {
  forge_tensor t;
  uint8_t *data;  /* |bytes| of its own, so that a sanitizer sees a step too far */
  uint64_t bytes; /* from the first element to the end of the last */
} rig_tensor;

/* Dense and zeroed. A dimension of 0 is legal. Freed by rig_free() (NULL is fine). */
rig_tensor *rig_make(uint8_t dtype, int rank, const int64_t *dim);
/* The same with strides of the caller's (in elements; 0 repeats). */
rig_tensor *rig_make_strided(uint8_t dtype, int rank, const int64_t *dim, const int64_t *stride);
void rig_free(rig_tensor *t);

/* Elements by row-major number; whole numbers in integer types. Block types are decoded by get;
 * set is not for them. set rounds floats to nearest even, truncates and saturates whole numbers. */
int64_t rig_elements(const rig_tensor *t);
double rig_get(const rig_tensor *t, int64_t i);
void rig_set(rig_tensor *t, int64_t i, double value);
/* All elements in row-major order: rig_get() and rig_set() of each, quickly. */
void rig_read(const rig_tensor *t, double *out);
void rig_write(rig_tensor *t, const double *values);
/* Where element |i| begins, in elements from the start. */
int64_t rig_offset(const rig_tensor *t, int64_t i);
/* Every element from low to high, evenly distributed, the same for the same seed. */
void rig_random(rig_tensor *t, uint64_t seed, double low, double high);

/* Bytes of |elements| neighbours; whole blocks. */
uint64_t rig_type_bytes(uint8_t dtype, int64_t elements);
/* Elements of one block: 1 for plain types. */
int64_t rig_type_block(uint8_t dtype);
const char *rig_type_name(uint8_t dtype);
/* Zeroed memory, never NULL. */
void *rig_zalloc(uint64_t bytes);

double rig_from_half(uint16_t h);
uint16_t rig_to_half(double x);

#endif
