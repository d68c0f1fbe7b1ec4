/* expand_case.h -- one composite, its inputs, and the ways its expansion is held against it: in
 * double precision op by op, and on the CPU backend, native and as primitives. */
#ifndef FORGE_TESTS_EXPAND_CASE_H
#define FORGE_TESTS_EXPAND_CASE_H

#include "bench_device.h"

#define DIM(...)                                                                                   \
  (sizeof((int64_t[]){__VA_ARGS__}) / 8), (int64_t[]) { __VA_ARGS__ }

typedef struct expand_case {
  build b;
  oracle *o;
  const char *name[8];
  double low[8], high[8];
  uint32_t n;
  const char *out[3];
  uint32_t n_out;
} expand_case;

/* Opens the devices; where there are none only the formulas are tested. */
void case_open_devices(void);
void case_close_devices(void);

expand_case case_begin(void);
/* An input whose elements lie in [low, high). */
forge_tid case_input(expand_case *c, const char *name, uint8_t dtype, uint32_t role, double low,
                     double high, size_t rank, const int64_t *dim);
forge_tid case_f32(expand_case *c, const char *name, size_t rank, const int64_t *dim);
forge_tid case_i32(expand_case *c, const char *name, double low, double high, size_t rank,
                   const int64_t *dim);
/* The composite; its outputs become "y0" "y1" "y2". */
void case_op(expand_case *c, uint16_t number, const void *attr, uint32_t bytes, const forge_tid *in,
             uint32_t n_in, uint32_t n_out);
#define OP(c, number, attr, n_out, ...)                                                            \
  case_op(c, FORGE_OP_##number, &(attr), sizeof(attr), (forge_tid[]){__VA_ARGS__},                 \
          sizeof((forge_tid[]){__VA_ARGS__}) / sizeof(forge_tid), n_out)
#define OP0(c, number, n_out, ...)                                                                 \
  case_op(c, FORGE_OP_##number, NULL, 0, (forge_tid[]){__VA_ARGS__},                               \
          sizeof((forge_tid[]){__VA_ARGS__}) / sizeof(forge_tid), n_out)

/* Random contents; call it before setting some by hand. */
oracle *case_fill(expand_case *c);
/* Compares all ways and ends the case. */
void case_check(expand_case *c, const char *what);
void case_check_scalars(expand_case *c, const uint64_t *scalars, const char *what);

#endif
