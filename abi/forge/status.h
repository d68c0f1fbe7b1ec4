/* forge/status.h -- what a call answers. 0 is success; a negative number says what to do, the error
 * record (forge_error below) says why. Numbers reach disk and wire and are never reused. */
#ifndef FORGE_STATUS_H
#define FORGE_STATUS_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef int32_t forge_status; /* fixed width; an enum's size is the compiler's choice */

/* clang-format off */
/* generated from registry/status.csv; do not edit */
#define FORGE_STATUS_MAP(X) \
  X(OK, 0, "success") \
  X(E_RETRY, -1, "the call may succeed if it is made again") \
  X(E_OOM, -2, "out of host or device memory") \
  X(E_UNSUPPORTED, -3, "not offered by this backend or this version") \
  X(E_INVALID, -4, "bad argument") \
  X(E_DEVICE_LOST, -5, "the device is gone; only destroy calls work") \
  X(E_FAULT, -6, "the work failed on the device") \
  X(E_TIMEOUT, -7, "the time given ran out") \
  X(E_FORKED, -8, "the device was opened before fork; open it again in the child") \
  X(E_ABI, -9, "built for another ABI") \
  X(E_CORRUPT, -10, "stored data failed a check") \
  X(E_NOT_FOUND, -11, "no such thing") \
  X(E_IO, -12, "reading or writing a file failed") \
  X(E_CONFIG, -13, "the operator's configuration is wrong") \
  X(E_CANCELLED, -14, "stopped on request") \
  X(E_POLICY, -15, "the operator's policy forbids it") \
  X(E_MISMATCH, -16, "two things that must belong together do not") \
  X(E_EXISTS, -17, "it is already there") \
  X(E_INTERNAL, -18, "a fault of Forge itself")
/* end of generated text */
/* clang-format on */
#define FORGE_STATUS_ENUM_(name, number, text) FORGE_##name = number,
enum { FORGE_STATUS_MAP(FORGE_STATUS_ENUM_) FORGE_STATUS_LIMIT_ = -65536 };

/* What a failure reaches. */
enum {
  FORGE_SCOPE_CALL = 0,
  FORGE_SCOPE_QUEUE = 1,
  FORGE_SCOPE_DEVICE = 2,
  FORGE_SCOPE_PROCESS = 3
};

#define FORGE_OP_INDEX_UNKNOWN 0xFFFFFFFFu

/* The structured reason for a failure. Strings are borrowed: a plugin keeps them alive during
 * report(), the core keeps them until the next Forge call on the same thread. */
typedef struct forge_error {
  uint32_t size;  /* sizeof(forge_error) */
  uint32_t scope; /* FORGE_SCOPE_* */
  forge_status code;
  int32_t native_code;       /* the driver's own number, 0 if none */
  const char *native_domain; /* whose number that is ("cuda", "errno"), NULL if none */
  const char *msg;           /* the thing, the place, the remedy; one line, no final newline */
  uint32_t op_index;         /* op in its program, FORGE_OP_INDEX_UNKNOWN if none */
  uint32_t retryable;        /* 1 if the same call may succeed later */
  uint64_t prog_id;          /* 0 if none */
  uint64_t tl_value;         /* timeline value the work was to signal, 0 if none */
} forge_error;

#ifdef __cplusplus
}
#endif
#endif
