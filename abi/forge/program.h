/* forge/program.h -- build a list of ops, differentiate it, run it on a device many times.
 *
 *   forge_builder *b;  forge_tid x, w, y;
 *   forge_builder_create(&b);
 *   forge_builder_tensor(b, FORGE_ROLE_INPUT, "x", FORGE_F32, 2, (int64_t[]){8, 64}, NULL, &x);
 *   forge_builder_tensor(b, FORGE_ROLE_PARAM, "w", FORGE_F32, 2, (int64_t[]){32, 64}, NULL, &w);
 *   forge_attr_matmul mm = {FORGE_MATMUL_TRANS_B, 0};
 *   forge_builder_op(b, FORGE_OP_MATMUL, &mm, sizeof mm, (forge_tid[]){x, w}, 2, &y, 1);
 *   forge_builder_output(b, y, "y");
 *   forge_program_create(device, b, NULL, &p);
 *   forge_program_bind(p, "x", xbuf, 0);  ... "w" ... "y" ...
 *   forge_program_run(p, NULL, 0);
 *
 * Tensors are values: an op makes new ones and never changes old ones. Ops the registry calls
 * inplace give their output the storage of a STATE tensor; later ops see the new contents through
 * the new id. */
#ifndef FORGE_PROGRAM_H
#define FORGE_PROGRAM_H

#include "forge.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct forge_builder forge_builder;
typedef struct forge_program forge_program;

/* A tensor of one builder. FORGE_TID_NONE stands for an absent optional input. */
typedef uint32_t forge_tid;
#define FORGE_TID_NONE 0xFFFFFFFFu

FORGE_API forge_status forge_builder_create(forge_builder **out_builder);
FORGE_API void forge_builder_destroy(forge_builder *builder);

/* INPUT: read, bound per run. PARAM: weights; read, and constant while bound. STATE: read and
 * written in place, lives on between runs (KV pages, optimizer moments, trained weights). */
enum { FORGE_ROLE_INPUT = 1, FORGE_ROLE_PARAM = 2, FORGE_ROLE_STATE = 3 };

/* A number given at run time: an extent (at most |max|) or an attribute. Returns its index in the
 * run's scalars. Equal names give the same scalar. */
FORGE_API forge_status forge_builder_scalar(forge_builder *builder, const char *name, uint64_t max,
                                            uint32_t *out_index);

/* A dense row-major tensor bound by |name| (unique). dim_scalar[k]: 0 or scalar index + 1, NULL:
 * all fixed. */
FORGE_API forge_status forge_builder_tensor(forge_builder *builder, uint32_t role, const char *name,
                                            uint8_t dtype, uint8_t rank, const int64_t *dim,
                                            const uint8_t *dim_scalar, forge_tid *out_tensor);

/* Appends an op; infers and returns its |n_out| outputs. An output passed as FORGE_TID_NONE in
 * |out| on entry and marked optional by ops.h is left out; others ignore the entry value. Fails:
 * E_INVALID naming op, input, shapes, remedy. */
FORGE_API forge_status forge_builder_op(forge_builder *builder, uint16_t op, const void *attrs,
                                        uint32_t attr_bytes, const forge_tid *in, uint32_t n_in,
                                        forge_tid *out, uint32_t n_out);

/* The same for an op with one output whose type or shape does not follow from its inputs: CAST,
 * FILL, RNG_PHILOX, GROUPED_MATMUL_DW; also GATHER_ROWS and MATMUL for an output in F16 or BF16.
 * |shape| gives dtype, rank, dims and dim_scalar; its strides are not looked at. */
FORGE_API forge_status forge_builder_op_shaped(forge_builder *builder, uint16_t op,
                                               const void *attrs, uint32_t attr_bytes,
                                               const forge_tid *in, uint32_t n_in,
                                               const forge_tensor *shape, forge_tid *out_tensor);

/* The same elements seen otherwise: no work, no memory. |view| gives rank, dims, dim_scalar and
 * strides (dtype as the source, which has one contiguous storage or is itself a view), starting
 * |offset| elements into the source's view. */
FORGE_API forge_status forge_builder_view(forge_builder *builder, forge_tid source,
                                          const forge_tensor *view, int64_t offset,
                                          forge_tid *out_tensor);

/* Shape, strides and type of a tensor. */
FORGE_API forge_status forge_builder_describe(const forge_builder *builder, forge_tid tensor,
                                              forge_tensor *out);

/* Makes a tensor's contents readable after a run through the binding |name|. */
FORGE_API forge_status forge_builder_output(forge_builder *builder, forge_tid tensor,
                                            const char *name);

/* Appends the reverse pass: d(loss)/d(wrt[i]) for a rank-0 F32 |loss|. A tensor loss does not
 * depend on gets zeros. Fails: E_UNSUPPORTED naming an op on the way that has no gradient. */
FORGE_API forge_status forge_builder_gradient(forge_builder *builder, forge_tid loss,
                                              const forge_tid *wrt, uint32_t n,
                                              forge_tid *out_gradients);

enum {
  FORGE_COMPILE_DETERMINISTIC = 1, /* the same bits each run, or refuse */
  FORGE_COMPILE_PRIMITIVES =
      2 /* expand every composite, even where the device has it (tests, doubts) */
};
enum {
  FORGE_FALLBACK_CONFIGURED = 0,
  FORGE_FALLBACK_ERROR = 1,
  FORGE_FALLBACK_WARN = 2,
  FORGE_FALLBACK_ALLOW = 3
};

typedef struct forge_program_options {
  uint32_t size, flags;           /* FORGE_COMPILE_* */
  uint32_t fallback, n_fallback;  /* FORGE_FALLBACK_*; what to do with ops |device| cannot run */
  forge_device *const *fallbacks; /* devices to run them on, first that can */
} forge_program_options;

/* Decomposes, places, plans memory and builds. The builder may be used further or destroyed. NULL
 * options: defaults. Fails: E_POLICY (an op the device cannot run; names op, reason, remedy),
 * E_OOM. */
FORGE_API forge_status forge_program_create(forge_device *device, const forge_builder *builder,
                                            const forge_program_options *options,
                                            forge_program **out_program);
FORGE_API void forge_program_destroy(forge_program *program);

/* Binds an input, param, state or output from |offset| (a multiple of 64) on; it stays bound until
 * bound again. The buffer is on the program's device. Not while a run is under way. Fails:
 * E_NOT_FOUND (lists the names), E_INVALID (too small, wrong device, or imported memory that the
 * program would write). */
FORGE_API forge_status forge_program_bind(forge_program *program, const char *name,
                                          forge_buffer *buffer, uint64_t offset);
/* The same by number, for the hot path: the number of a name, or E_NOT_FOUND. */
FORGE_API forge_status forge_program_binding(const forge_program *program, const char *name,
                                             uint32_t *out_index);
FORGE_API forge_status forge_program_bind_index(forge_program *program, uint32_t index,
                                                forge_buffer *buffer, uint64_t offset);

/* Queues one execution; takes no lock and allocates nothing. |scalars| in builder order (extents as
 * integers, attribute numbers as binary64 bits). The moment may be NULL. Fails: E_INVALID
 * (something is unbound, a scalar is over its maximum); failures of the work itself come from
 * forge_moment_wait(). */
FORGE_API forge_status forge_program_submit(forge_program *program, const uint64_t *scalars,
                                            uint32_t n_scalars, forge_moment *out_done);
/* submit, then wait. */
FORGE_API forge_status forge_program_run(forge_program *program, const uint64_t *scalars,
                                         uint32_t n_scalars);

/* JSON: op counts, where each op runs and why, memory plan (workspace, peak, bindings), flop count
 * of one run at maximal extents. The caller frees it. */
FORGE_API forge_status forge_program_report(const forge_program *program, char **out_json);

/* Bytes of intermediate memory the program holds, and floating-point operations of one run at
 * maximal extents (multiply-add = 2; matrix products and attention only, as MFU counts them). */
FORGE_API uint64_t forge_program_workspace_bytes(const forge_program *program);
FORGE_API uint64_t forge_program_flops(const forge_program *program);

#ifdef __cplusplus
}
#endif
#endif
