/* opencl.h -- what a file of ops (ops_*.c) needs: the op as decoded, how to ask for kernels, and
 * how to launch them. The host half of the plugin (host.h) calls it; ops never call OpenCL
 * themselves.
 *
 * An op is three functions in a row of a table:
 *   support()  may it run: types, strides and attributes of tensors at their maximal extents.
 *   plan()     once, in prog_create: names the kernels (ocl_want) and the scratch (ocl_scratch).
 *   launch()   at every submit: arguments and ranges for this run's extents. No allocation, no
 *              compilation, no waiting.
 *
 * Kernels live in kernels/NAME.cl and are embedded. The text compiled is kernels/common.cl, then
 * NAME.cl, with the options of ocl_want. What is known when a program is built is an option, so
 * that the compiler sees a constant: element types are numbers, -DX=2 meaning FORGE_F16, and the
 * macros of common.cl take that number: LOAD(X, px, i) reads element i as float whatever X is. What
 * changes from submit to submit (extents, scalars) is an argument. Prefer few builds: one file and
 * one set of options is one compilation, kernels in it come free; a kind of op that costs one
 * uniform branch is better an argument.
 *
 * Rules for kernels:
 *   - OpenCL C 1.2; no fp16 type (halves by LOAD/STORE), no fp64 arithmetic unless OCL_FP64 is
 *     defined, no sub-groups, no float atomics: the same inputs give the same bits.
 *   - Helpers are `inline`, never `static`: PoCL 3.1 miscompiles barriers in helpers with internal
 *     linkage. Keep barriers in the kernel itself or in loops whose count every work-item shares.
 *   - With every integer argument 0 a kernel touches no memory. It is run once like that, with one
 *     work-group, as it is built: drivers that compile at the first launch do so then, and a submit
 *     never compiles.
 *   - A tensor is two arguments: `__global char *base, ulong at`, its first element at base + at.
 *     One buffer may stand behind several tensors, so no restrict.
 *   - #pragma OPENCL FP_CONTRACT OFF holds (common.cl); say fma() where it is meant. */
#ifndef FORGE_OPENCL_H
#define FORGE_OPENCL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <forge/backend.h>

/* The device as kernels have to know it. */
typedef struct ocl_caps {
  bool is_cpu;        /* work-items of a group run one after the other in vectors: favour long inner
                         loops over many items; local memory is plain memory */
  bool fp64;          /* OCL_FP64 is defined in kernels */
  uint32_t units;     /* compute units */
  uint32_t max_group; /* work-items in a group, at most */
  uint32_t team; /* work-items that share a row, a head or a product; 1: each does all of one */
  uint64_t local_bytes; /* of local memory */
} ocl_caps;

/* A tensor of an op. In support() and plan() dims are the maxima, in launch() this run's. */
typedef struct ocl_view {
  forge_tensor t;
  bool there;   /* false: an absent optional tensor; nothing else is set then */
  void *mem;    /* cl_mem; launch() only */
  uint64_t off; /* bytes from the start of |mem| to the first element */
} ocl_view;

/* An op as decoded. */
typedef struct ocl_call {
  uint16_t op;
  uint16_t n_in, n_out;
  const ocl_view *in, *out;
  const void *attr;       /* the op's forge_attr_*, 8-byte aligned */
  const uint64_t *scalar; /* of the submit; NULL before */
  const ocl_caps *caps;
} ocl_call;

/* ---- plan ---- */

typedef struct ocl_plan ocl_plan;

/* The kernel |name| of kernels/|file|.cl built with |options| ("-DX=1 -DWG=64", a printf format).
 * Kernels of an op are numbered 0, 1, .. in the order they are asked for. Asking again for the same
 * build costs nothing. At most OCL_MAX_WANTS for one op. */
#define OCL_MAX_WANTS 8
forge_status ocl_want(ocl_plan *plan, const char *file, const char *name, const char *options, ...)
    __attribute__((format(printf, 4, 5)));
/* At least |bytes| of device memory for the time this op runs; contents undefined. */
void ocl_scratch(ocl_plan *plan, uint64_t bytes);

/* ---- launch ---- */

/* A launch in the making. Failures stick: the calls below do nothing after one, and launch()
 * returns ocl_done(). */
typedef struct ocl_launch ocl_launch;

/* Begins: kernel number |want| of this op, arguments in the order of the calls that follow. */
void ocl_begin(ocl_launch *l, uint32_t want);
void ocl_arg_view(ocl_launch *l, const ocl_view *v); /* two arguments; absent: NULL and 0 */
void ocl_arg_scratch(ocl_launch *l, uint64_t off);   /* two arguments: scratch + |off| bytes */
void ocl_arg_int(ocl_launch *l, int64_t value);      /* int: -2^31 .. 2^31-1, else the op fails */
void ocl_arg_long(ocl_launch *l, int64_t value);
void ocl_arg_float(ocl_launch *l, double value);                 /* float */
void ocl_arg_struct(ocl_launch *l, const void *p, size_t bytes); /* a struct, by value */
void ocl_arg_local(ocl_launch *l, size_t bytes);                 /* __local memory */
/* Runs it: |groups| work-groups of |local| work-items in each of |rank| dimensions. No group at
 * all: nothing happens. */
void ocl_run(ocl_launch *l, uint32_t rank, const size_t *groups, const size_t *local);
void ocl_run1(ocl_launch *l, int64_t groups, uint32_t local);
void ocl_run2(ocl_launch *l, int64_t groups0, int64_t groups1, uint32_t local0, uint32_t local1);
/* Whether this launch is the one that has kernels compiled: then each that a later submit could
 * choose is to be run. */
bool ocl_is_warming(const ocl_launch *l);
forge_status ocl_done(ocl_launch *l);

/* ---- ops ---- */

typedef struct ocl_op {
  uint16_t op;
  /* FORGE_REASON_NONE or why not. Counts and shapes were checked by the core. */
  uint8_t (*support)(const ocl_call *c);
  forge_status (*plan)(ocl_plan *plan, const ocl_call *c);
  forge_status (*launch)(ocl_launch *l, const ocl_call *c);
} ocl_op;

/* Tables end with op 0. Several rows may name one op: the first whose support() says NONE has it,
 * so a special case goes in a row of its own. gather.c lists the tables, in this order. */
extern const ocl_op ocl_ops_elementwise[]; /* COPY_STRIDED CAST FILL BINARY UNARY AXPBY MASK */
extern const ocl_op ocl_ops_rows[];        /* GATHER_ROWS SCATTER_ROWS of plain types */
extern const ocl_op ocl_ops_reduce[];      /* REDUCE SOFTMAX TOPK */
extern const ocl_op ocl_ops_random[];      /* RNG_PHILOX */
extern const ocl_op ocl_ops_matmul[];      /* MATMUL GROUPED_MATMUL GROUPED_MATMUL_DW */
extern const ocl_op ocl_ops_quant[];       /* QMATMUL, CAST and GATHER_ROWS of block types */
extern const ocl_op ocl_ops_encode[];      /* CAST into block types */
extern const ocl_op ocl_ops_attention[];   /* ATTENTION ATTENTION_BWD KV_WRITE ROPE */
extern const ocl_op ocl_ops_norm[];        /* RMSNORM LAYERNORM and gradients, GLOBAL_NORM */
extern const ocl_op ocl_ops_loss[];        /* CROSS_ENTROPY and gradient */
extern const ocl_op ocl_ops_optimizer[];   /* ADAMW */
extern const ocl_op ocl_ops_pointwise[];   /* SWIGLU and gradient, UNARY_BWD */
extern const ocl_op ocl_ops_sample[];      /* SAMPLE */
extern const ocl_op ocl_ops_moe[];         /* MOE_ROUTE and gradient */

/* ---- shapes (shape.c) ---- */

int64_t ocl_elements(const forge_tensor *t);
int64_t ocl_rows(const forge_tensor *t);    /* product of all dims but the last; 1 for rank 0 */
int64_t ocl_columns(const forge_tensor *t); /* the last dim; 1 for rank 0 */
int64_t ocl_column_stride(const forge_tensor *t); /* of the last dim, in elements; 1 for rank 0 */
bool ocl_is_dense(const forge_tensor *t);         /* row-major without gaps */
bool ocl_rows_dense(const forge_tensor *t); /* the last dim has stride 1, or at most one element */
bool ocl_is_float(uint8_t dtype);           /* F32, F16, BF16 */
bool ocl_is_moving(const forge_tensor *t);  /* some extent is a scalar */
uint32_t ocl_type_bytes(uint8_t dtype);     /* of a plain type; 0 for block types */
double ocl_number(const ocl_call *c, const forge_attr_number *n); /* launch() only */
int64_t ocl_groups(int64_t n, int64_t per_group);                 /* n / per_group, rounded up */

/* Elements of up to four tensors of equal dims, walked together: `nd` of common.cl, an argument by
 * ocl_arg_struct. Neighbouring dims that every tensor walks evenly are one, extents of 1 are gone:
 * dense tensors have rank 1 and stride 1. ND_AT(shape, k, i) is the element of tensor k at
 * row-major number i. */
typedef struct ocl_nd {
  int64_t n;                                              /* elements in all */
  int64_t dim[FORGE_MAX_RANK], stride[4][FORGE_MAX_RANK]; /* dim[0] is the innermost */
  int32_t rank, dense;                                    /* dense: rank <= 1 and every stride 1 */
} ocl_nd;
void ocl_nd_make(ocl_nd *out, const ocl_view *const *views, uint32_t n_views);
/* The same over the leading dims of tensors, their last dim left out: n is the number of rows. */
void ocl_nd_rows(ocl_nd *out, const ocl_view *const *views, uint32_t n_views);

#endif
