/* cpu.h -- what the files of this backend share. The backend sees abi/ alone; every variant
 * (portable, avx2, avx512, neon) is these same sources compiled with other flags into its own
 * library.
 *
 * Arithmetic: all variants give the same bits. Sums run in 16 lanes (lanes.h), every multiply-add
 * of a sum is fused, the compiler may not contract or reassociate (-ffp-contract=off), and work is
 * split among threads only over independent outputs, never inside a sum. So results depend neither
 * on the variant nor on the thread count. */
#ifndef FORGE_CPU_H
#define FORGE_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <forge/backend.h>

extern const forge_host *cpu_host; /* set by the entry, alive until shutdown */

/* Reports the reason through the host and returns |status|. */
forge_status cpu_fail(forge_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- threads (threads.c) ---- */

typedef struct cpu_threads cpu_threads;
typedef void (*cpu_task)(void *ctx, int64_t begin, int64_t end, uint32_t thread);

/* |n| threads in all (the caller is one of them), 0: as many as this process may use. */
forge_status cpu_threads_create(uint32_t n, cpu_threads **out);
void cpu_threads_destroy(cpu_threads *threads);
uint32_t cpu_threads_count(const cpu_threads *threads);
/* Runs task over [0, n) in pieces that start at multiples of |grain|; returns when all are done.
 * Small work runs on the caller alone. Which thread runs which piece is not defined, so a piece
 * must not depend on it. */
void cpu_parallel(cpu_threads *threads, int64_t n, int64_t grain, cpu_task task, void *ctx);

/* ---- kernels ---- */

/* A tensor of the running submit: dims already hold the extents of this run. */
typedef struct cpu_view {
  uint8_t *data; /* first element; NULL for an absent optional tensor */
  forge_tensor t;
} cpu_view;

/* One op of the running submit. */
typedef struct cpu_call {
  const cpu_view *in, *out;
  uint32_t n_in, n_out;
  const void *attr;       /* the op's forge_attr_* */
  const uint64_t *scalar; /* of the submit */
  cpu_threads *threads;
  void *scratch; /* cpu_op.scratch() bytes, 64-byte aligned, shared by the call's threads */
} cpu_call;

/* One row of the op table: what this backend can do and how. */
typedef struct cpu_op {
  uint16_t op;
  /* FORGE_REASON_NONE when the tensors and attributes can be run, else why not. Types and strides
   * only: the core has checked counts and shapes. |in| and |out| may hold NULL for absent tensors.
   */
  uint8_t (*supports)(const forge_tensor *const *in, uint32_t n_in, const forge_tensor *const *out,
                      uint32_t n_out, const void *attr);
  /* Bytes the call needs beside its tensors, at maximal extents; NULL: none. */
  uint64_t (*scratch)(const forge_tensor *const *in, uint32_t n_in, const forge_tensor *const *out,
                      uint32_t n_out, const void *attr, uint32_t n_threads);
  forge_status (*run)(const cpu_call *call);
} cpu_op;

/* Every kernel file lends its rows; backend.c gathers them. Ended by op 0. */
extern const cpu_op
    cpu_ops_matmul[]; /* ops/matmul.c: MATMUL QMATMUL GROUPED_MATMUL GROUPED_MATMUL_DW */
extern const cpu_op
    cpu_ops_move[]; /* ops/move.c: COPY_STRIDED CAST FILL GATHER_ROWS SCATTER_ROWS KV_WRITE */
extern const cpu_op
    cpu_ops_pointwise[]; /* ops/pointwise.c: BINARY UNARY UNARY_BWD AXPBY MASK SWIGLU SWIGLU_BWD */
extern const cpu_op cpu_ops_reduce[];    /* ops/reduce.c: REDUCE SOFTMAX TOPK GLOBAL_NORM */
extern const cpu_op cpu_ops_norm[];      /* ops/norm.c: RMSNORM LAYERNORM and gradients */
extern const cpu_op cpu_ops_rope[];      /* ops/rope.c */
extern const cpu_op cpu_ops_attention[]; /* ops/attention.c: ATTENTION ATTENTION_BWD */
extern const cpu_op cpu_ops_loss[];      /* ops/loss.c: CROSS_ENTROPY CROSS_ENTROPY_BWD */
extern const cpu_op cpu_ops_optimizer[]; /* ops/optimizer.c: ADAMW */
extern const cpu_op cpu_ops_random[];    /* ops/random.c: RNG_PHILOX SAMPLE */
extern const cpu_op cpu_ops_moe[];       /* ops/moe.c: MOE_ROUTE MOE_ROUTE_BWD */

/* ---- views (view.c) ---- */

int64_t cpu_elements(const forge_tensor *t); /* product of the dims */
bool cpu_is_dense(const forge_tensor *t);    /* row-major without gaps */
bool cpu_rows_dense(const forge_tensor *t);  /* the last dimension has stride 1 (or extent <= 1) */
int64_t cpu_rows(const forge_tensor *t);     /* elements / last dim (1 for rank 0) */
int64_t cpu_columns(const forge_tensor *t);  /* last dim, 1 for rank 0 */
int64_t cpu_row_offset(const forge_tensor *t,
                       int64_t row);    /* in elements, of row number |row| over the leading dims */
uint32_t cpu_type_bytes(uint8_t dtype); /* of a plain type, 0 for block types */
double cpu_number(const cpu_call *c, const forge_attr_number *n);

/* |n| elements of any type from element |first| of the row at |row| (first a multiple of the block)
 * to f32. */
void cpu_decode(uint8_t dtype, const uint8_t *row, int64_t first, int64_t n, float *out);
/* f32 to |dtype|: rounding to nearest even, integers towards zero and saturated; block types as
 * written in quant_encode.c. n a multiple of the block. */
void cpu_encode(uint8_t dtype, const float *in, int64_t n, uint8_t *out);
float cpu_f16_to_f32(uint16_t h);
uint16_t cpu_f32_to_f16(float f);
float cpu_bf16_to_f32(uint16_t h);
uint16_t cpu_f32_to_bf16(float f);

#endif
