/* rig.h -- one op on one variant of the CPU backend, straight through its table: no core between.
 *
 *   rig *r = rig_open("avx2", 2);                     NULL: this machine cannot run that variant
 *   rig_tensor *x = rig_make(FORGE_F32, 2, (int64_t[]){3, 7}), *y = rig_make(..);
 *   rig_random(x, 1, -1.0, 1.0);
 *   forge_attr_kind exp = {FORGE_UNARY_EXP, 0};
 *   rig_must(r, FORGE_OP_UNARY, &exp, sizeof exp, (rig_tensor *[]){x}, 1, (rig_tensor *[]){y}, 1);
 *   rig_get(y, 5);                                    element 5 in row-major order, as a double
 *
 * Every tensor is a block of memory of exactly its size, so that AddressSanitizer sees a step too
 * far. A tensor that stands among inputs and outputs is one binding: that is how inplace is said.
 * NULL is an absent optional tensor. */
#ifndef FORGE_TESTS_RIG_H
#define FORGE_TESTS_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include <forge/backend.h>

#include "tensor.h"

typedef struct rig rig;

/* Best first; ended by NULL. Those of other architectures do not open. */
extern const char *const rig_variants[];

/* |threads| 0: all processors. The library is opened once and stays. */
rig *rig_open(const char *variant, uint32_t threads);
rig *rig_open_with(const char *variant, const char *const *options);
void rig_close(rig *r);
const forge_backend_v1 *rig_table(const rig *r);
forge_dev *rig_device(const rig *r);
forge_queue *rig_queue(const rig *r);
/* What the backend reported last, and how often it did. */
const char *rig_error(void);
int rig_reports(void);
/* Notices of timelines: how many, and the last. */
int rig_notices(void);
void rig_last_notice(uint64_t *cookie, uint64_t *value, forge_status *status);

/* Builds a program of this op, runs it, destroys it. */
forge_status rig_run(rig *r, uint16_t op, const void *attr, uint32_t attr_bytes,
                     rig_tensor *const *in, uint32_t n_in, rig_tensor *const *out, uint32_t n_out);
/* The same with scalars. A tensor's dim_scalar may name them. */
forge_status rig_run_scalars(rig *r, uint16_t op, const void *attr, uint32_t attr_bytes,
                             rig_tensor *const *in, uint32_t n_in, rig_tensor *const *out,
                             uint32_t n_out, const uint64_t *scalar, uint32_t n_scalars);
/* rig_run that fails the cmocka test, with the backend's words, when it does not succeed. */
void rig_must(rig *r, uint16_t op, const void *attr, uint32_t attr_bytes, rig_tensor *const *in,
              uint32_t n_in, rig_tensor *const *out, uint32_t n_out);
/* What op_support answers. */
forge_support rig_support(rig *r, uint16_t op, const void *attr, uint32_t attr_bytes,
                          rig_tensor *const *in, uint32_t n_in, rig_tensor *const *out,
                          uint32_t n_out);

/* Runs the op on every variant this machine has, with 1, 2, 3 and 4 threads, and fails the test
 * unless all outputs have the bits of the portable variant with one thread, which |out| holds
 * afterwards. Outputs that are also inputs start each run as they were. */
void rig_same_bits(uint16_t op, const void *attr, uint32_t attr_bytes, rig_tensor *const *in,
                   uint32_t n_in, rig_tensor *const *out, uint32_t n_out);

#endif
