/* forge/types.h -- the words every other header uses. Part of the ABI: C11 and C++11, no core
 * behind it.
 *
 * Rules for every struct in abi/: fixed-width members only, no implicit padding, reserved words are
 * zero and stay zero, little-endian machines. A struct that may grow begins with |size|, its size
 * in bytes as the side that made it was compiled. Numbers come from abi/registry and are never
 * reused. */
#ifndef FORGE_TYPES_H
#define FORGE_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FORGE_ABI_MAJOR 1u
#define FORGE_ABI_MINOR 1u

#if defined(FORGE_BUILDING) && defined(__GNUC__)
#define FORGE_API __attribute__((visibility("default")))
#else
#define FORGE_API
#endif

/* Element types (abi/registry/dtype.csv). Block types pack |block_elems| neighbours of the last
 * dimension into |block_bytes| bytes; their last dimension is a multiple of block_elems and has
 * stride 1. */
/* clang-format off */
/* generated from registry/dtype.csv; do not edit */
#define FORGE_DTYPE_MAP(X) \
  X(F32, 1, 1, 4, "IEEE binary32") \
  X(F16, 2, 1, 2, "IEEE binary16") \
  X(BF16, 3, 1, 2, "upper half of binary32") \
  X(I32, 4, 1, 4, "signed 32-bit integer") \
  X(I8, 5, 1, 1, "signed 8-bit integer") \
  X(Q8_0, 16, 32, 34, "f16 scale d then 32 i8 q: x = d*q") \
  X(Q4_0, 17, 32, 18, "f16 scale d then 16 bytes: element i in the low nibble of byte i for i<16 and i+16 in the high one: x = d*(q-8)") \
  X(Q4_K, 18, 256, 144, "f16 d and dmin then 12 bytes of eight packed 6-bit scales and minima then 128 bytes of nibbles: x = d*sc*q - dmin*m") \
  X(Q6_K, 19, 256, 210, "128 bytes of low 4 bits then 64 of high 2 bits then 16 i8 scales then f16 d: x = d*sc*(q-32)")
/* end of generated text */
/* clang-format on */
#define FORGE_DTYPE_ENUM_(name, number, block_elems, block_bytes, text) FORGE_##name = number,
enum { FORGE_DTYPE_NONE = 0, FORGE_DTYPE_MAP(FORGE_DTYPE_ENUM_) FORGE_DTYPE_LIMIT = 256 };

#define FORGE_MAX_RANK 6

/* A typed, strided view. dim[0] is the outermost dimension; elements (i0,..) sit at sum(i_k *
 * stride[k]) elements from the view's start (for block types: at that element's place in its row of
 * blocks). Stride 0 repeats, which is how broadcasting is expressed: ops never broadcast by
 * themselves unless they say so. dim_scalar[k] is 0 where dim[k] is fixed; otherwise the extent is
 * scalar number dim_scalar[k]-1 of the submit, at most dim[k]. Strides always follow the maximum,
 * so an address never depends on a scalar. */
typedef struct forge_tensor {
  uint8_t dtype;  /* FORGE_F32 .. */
  uint8_t rank;   /* 0 (one element) .. FORGE_MAX_RANK */
  uint8_t layout; /* FORGE_LAYOUT_ROW_MAJOR; others only where a backend asked for them */
  uint8_t flags;  /* 0 */
  uint32_t rsv;
  uint8_t dim_scalar[8]; /* entries 6 and 7 are 0 */
  int64_t dim[FORGE_MAX_RANK];
  int64_t stride[FORGE_MAX_RANK]; /* in elements, never negative */
} forge_tensor;

/* clang-format off */
/* generated from registry/layout.csv; do not edit */
enum {
  FORGE_LAYOUT_ROW_MAJOR = 0, /* elements at the strides given; blocks contiguous along the last dimension */
};
/* end of generated text */
/* clang-format on */

/* How sure a reported number is. 0 is never a way to say "unknown". */
enum { FORGE_UNKNOWN = 0, FORGE_KNOWN = 1, FORGE_ESTIMATED = 2 };

/* Severity of a log line. */
enum {
  FORGE_LOG_ERROR = 0,
  FORGE_LOG_WARN = 1,
  FORGE_LOG_INFO = 2,
  FORGE_LOG_DEBUG = 3,
  FORGE_LOG_TRACE = 4
};

#ifdef __cplusplus
}
#endif
#endif
