/* forge/ops.h -- the op set: what each op computes, on which shapes, with which attributes.
 *
 * Primitives (number < 64) every backend must answer NATIVE. Composites it should; where it does
 * not, the core expands them into primitives by the normative decomposition
 * (core/program/expand_*.c). The portable variant of backends/cpu is the reference a doubt is
 * settled with.
 *
 * Words used below. "rows of x" are its leading dimensions taken together, R of them; "columns" its
 * last dimension, C. "Float" is F32, F16 or BF16. Sums are accumulated in f32 or wider. All tensors
 * of one op may be strided unless an op says "contiguous". Extents of zero are legal and do
 * nothing. An input marked optional is FORGE_SLOT_NONE when absent. Outputs never overlap inputs
 * unless the registry says inplace or the two slots are the same view.
 *
 * Attributes are the struct named after the op, or none. They follow the slot ids in the op record.
 */
#ifndef FORGE_OPS_H
#define FORGE_OPS_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
/* generated from registry/op.csv; do not edit */
enum { FORGE_CLASS_PRIMITIVE = 1, FORGE_CLASS_COMPOSITE = 2 };
/* X(name, number, class, inputs (-1: one or more), outputs, text) */
#define FORGE_OP_MAP(X) \
  X(COPY_STRIDED, 1, FORGE_CLASS_PRIMITIVE, 1, 1, "y = x; any strides on both sides") \
  X(CAST, 2, FORGE_CLASS_PRIMITIVE, 1, 1, "y = x in another element type; block types along a contiguous last dimension") \
  X(FILL, 3, FORGE_CLASS_PRIMITIVE, 0, 1, "y = value") \
  X(BINARY, 4, FORGE_CLASS_PRIMITIVE, 2, 1, "y = a op b elementwise") \
  X(UNARY, 5, FORGE_CLASS_PRIMITIVE, 1, 1, "y = f(x) elementwise") \
  X(AXPBY, 6, FORGE_CLASS_PRIMITIVE, 2, 1, "y = alpha*a + beta*b elementwise") \
  X(REDUCE, 7, FORGE_CLASS_PRIMITIVE, 1, 1, "sum max mean or argmax over chosen dimensions; each keeps extent 1") \
  X(MATMUL, 8, FORGE_CLASS_PRIMITIVE, 3, 1, "y = op(a) op(b) + bias; batched; f32 accumulation; input 2 optional") \
  X(GATHER_ROWS, 9, FORGE_CLASS_PRIMITIVE, 2, 1, "y[i] = table[ids[i]]") \
  X(SCATTER_ROWS, 10, FORGE_CLASS_PRIMITIVE, 3, 1, "y = base with rows ids[i] set to or increased by src[i]; input 0 optional") \
  X(SOFTMAX, 11, FORGE_CLASS_PRIMITIVE, 1, 1, "softmax of scale*x over the last dimension") \
  X(TOPK, 12, FORGE_CLASS_PRIMITIVE, 1, 2, "k largest of each row with their columns") \
  X(RNG_PHILOX, 13, FORGE_CLASS_PRIMITIVE, 1, 1, "counter-based random numbers; input 0 optional") \
  X(MASK, 14, FORGE_CLASS_PRIMITIVE, 2, 1, "y = keep ? x : fill; input 1 depends on the kind") \
  X(RMSNORM, 64, FORGE_CLASS_COMPOSITE, 2, 1, "y = x * w / sqrt(mean(x^2)+eps)") \
  X(RMSNORM_BWD, 65, FORGE_CLASS_COMPOSITE, 3, 2, "gradient of RMSNORM") \
  X(LAYERNORM, 66, FORGE_CLASS_COMPOSITE, 3, 1, "y = (x-mean)/sqrt(var+eps) * w + b; input 2 optional") \
  X(LAYERNORM_BWD, 67, FORGE_CLASS_COMPOSITE, 3, 3, "gradient of LAYERNORM") \
  X(ROPE, 68, FORGE_CLASS_COMPOSITE, 3, 1, "rotary position embedding; input 2 optional") \
  X(SWIGLU, 69, FORGE_CLASS_COMPOSITE, 2, 1, "y = silu(gate) * up") \
  X(SWIGLU_BWD, 70, FORGE_CLASS_COMPOSITE, 3, 2, "gradient of SWIGLU") \
  X(UNARY_BWD, 71, FORGE_CLASS_COMPOSITE, 2, 1, "dx = f'(x) * dy") \
  X(ATTENTION, 72, FORGE_CLASS_COMPOSITE, 5, 2, "scaled dot-product attention with grouped heads; dense or paged") \
  X(ATTENTION_BWD, 73, FORGE_CLASS_COMPOSITE, 6, 3, "gradient of dense ATTENTION") \
  X(KV_WRITE, 74, FORGE_CLASS_COMPOSITE, 3, 1, "pages with rows slots[i] set to src[i]") \
  X(CROSS_ENTROPY, 75, FORGE_CLASS_COMPOSITE, 2, 1, "mean negative log-likelihood of the targets") \
  X(CROSS_ENTROPY_BWD, 76, FORGE_CLASS_COMPOSITE, 3, 1, "gradient of CROSS_ENTROPY") \
  X(ADAMW, 77, FORGE_CLASS_COMPOSITE, 5, 3, "one decoupled weight-decay Adam update") \
  X(GLOBAL_NORM, 78, FORGE_CLASS_COMPOSITE, -1, 2, "l2 norm over all inputs and the clipping factor") \
  X(SAMPLE, 79, FORGE_CLASS_COMPOSITE, 3, 1, "one token id per row of logits") \
  X(QMATMUL, 80, FORGE_CLASS_COMPOSITE, 3, 1, "y = x w^T + bias with w in a block type; input 2 optional") \
  X(MOE_ROUTE, 81, FORGE_CLASS_COMPOSITE, 1, 2, "softmax then top-k experts and their weights") \
  X(MOE_ROUTE_BWD, 82, FORGE_CLASS_COMPOSITE, 3, 1, "gradient of MOE_ROUTE") \
  X(GROUPED_MATMUL, 83, FORGE_CLASS_COMPOSITE, 3, 1, "y_t = w[ids_t] x_t or its transpose") \
  X(GROUPED_MATMUL_DW, 84, FORGE_CLASS_COMPOSITE, 3, 1, "dw[e] = sum over t with ids_t = e of dy_t x_t^T")
/* end of generated text */
/* clang-format on */
#define FORGE_OP_ENUM_(name, number, cls, inputs, outputs, text) FORGE_OP_##name = number,
enum { FORGE_OP_NONE = 0, FORGE_OP_MAP(FORGE_OP_ENUM_) FORGE_OP_LIMIT = 65536 };
#define FORGE_OP_FIRST_COMPOSITE 64u

#define FORGE_SLOT_NONE 0xFFFFFFFFu

/* One op in a program's list. The record is this header, then |n_in| and |n_out| slot ids (uint32_t
 * each), zero to seven bytes of zero up to a multiple of 8, then the attributes. |bytes| is the
 * whole record, a multiple of 8. */
typedef struct forge_op {
  uint16_t op;     /* FORGE_OP_* */
  uint16_t op_ver; /* 1; raised when an op's attributes grow */
  uint16_t n_in, n_out;
  uint32_t bytes, flags; /* flags: 0 */
  uint64_t src_tag;      /* the builder's number for the op this one came from; for reports only */
} forge_op;

/* A scalar attribute that is fixed or read at submit: scalar 0 = |value| as it stands, else scalar
 * number (scalar-1) of the submit, which holds the bits of an IEEE binary64. */
typedef struct forge_attr_number {
  double value;
  uint32_t scalar, rsv;
} forge_attr_number;

/* CAST: float to float rounds to nearest even; float to I32 or I8 truncates and saturates (NaN: 0).
 */

/* FILL: y = value; floats rounded, I32 and I8 truncated. */
typedef struct forge_attr_fill {
  double value;
} forge_attr_fill;

/* BINARY: a, b, y of equal dims and dtype (float or I32). MAX and MIN of a NaN are NaN. */
enum {
  FORGE_BINARY_ADD = 1,
  FORGE_BINARY_SUB = 2,
  FORGE_BINARY_MUL = 3,
  FORGE_BINARY_DIV = 4,
  FORGE_BINARY_MAX = 5,
  FORGE_BINARY_MIN = 6
};
/* UNARY and UNARY_BWD: float in, same float out. GELU is the tanh form GPT-2 uses:
 * 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). SILU: x sigmoid(x). STEP: x > 0 ? 1 : 0 (bwd 0).
 */
enum {
  FORGE_UNARY_NEG = 1,
  FORGE_UNARY_EXP = 2,
  FORGE_UNARY_LOG = 3,
  FORGE_UNARY_SQRT = 4,
  FORGE_UNARY_RSQRT = 5,
  FORGE_UNARY_RECIP = 6,
  FORGE_UNARY_SQUARE = 7,
  FORGE_UNARY_SIGMOID = 8,
  FORGE_UNARY_SILU = 9,
  FORGE_UNARY_GELU = 10,
  FORGE_UNARY_TANH = 11,
  FORGE_UNARY_RELU = 12,
  FORGE_UNARY_SIN = 13,
  FORGE_UNARY_COS = 14,
  FORGE_UNARY_ABS = 15,
  FORGE_UNARY_STEP = 16
};
/* REDUCE: y has x's rank; reduced dims are 1. ARGMAX reduces the last dimension alone to I32, the
 * lowest column among equals; a NaN counts as larger than all. */
enum { FORGE_REDUCE_SUM = 1, FORGE_REDUCE_MAX = 2, FORGE_REDUCE_ARGMAX = 3, FORGE_REDUCE_MEAN = 4 };
typedef struct forge_attr_kind { /* BINARY, UNARY, UNARY_BWD (x, dy -> dx) */
  uint32_t kind, rsv;
} forge_attr_kind;
typedef struct forge_attr_reduce {
  uint32_t kind;
  uint32_t dims; /* bit k: dimension k is reduced */
} forge_attr_reduce;

/* AXPBY: y = alpha*a + beta*b; equal dims, float. y may be the same view as a or b. */
typedef struct forge_attr_axpby {
  forge_attr_number alpha, beta;
} forge_attr_axpby;

/* MATMUL: a [.., M, K] or, with TRANS_A, [.., K, M]; b [.., K, N] or, with TRANS_B, [.., N, K];
 * bias [N] optional; y [.., M, N] = a b + bias. Rank 2 to 6, all three of equal rank, equal leading
 * dims (stride 0 repeats). a and b float, each of its own type; y and bias F32 (y may be F16/BF16:
 * rounded once). K = 0 gives the bias. The order of summation over K does not depend on M, N or the
 * batch. */
enum { FORGE_MATMUL_TRANS_A = 1, FORGE_MATMUL_TRANS_B = 2 };
typedef struct forge_attr_matmul {
  uint32_t flags, rsv;
} forge_attr_matmul;

/* GATHER_ROWS: table [R, C] of any type, ids I32 [..], y [.., C] F32 (or the table's type if that
 * is no block type). An id outside 0..R-1 gives a row of NaN (I32: of -1); memory outside the table
 * is never read.
 *
 * SCATTER_ROWS: base [R, C] optional (absent: zeros; then |rows| of the attributes is R), ids I32
 * [n], src [n, C] F32, y [R, C] of base's type: F32, or for SET also F16 or BF16 (src is rounded).
 * Rows are taken in order of i, so ADD is deterministic and the last SET wins. Ids outside are
 * skipped. Where y is the same view as base it works in place and touches no other row. */
enum { FORGE_SCATTER_SET = 1, FORGE_SCATTER_ADD = 2 };

/* SOFTMAX: y = exp(scale*x - max) / sum over the last dimension; F32. A row of only -inf gives
 * zeros. */
typedef struct forge_attr_softmax {
  double scale;
} forge_attr_softmax;

/* TOPK: x [.., C] F32 -> values [.., k] F32 descending, columns [.., k] I32; the lower column first
 * among equals; 1 <= k <= C. */
typedef struct forge_attr_topk {
  uint32_t k, rsv;
} forge_attr_topk;

/* RNG_PHILOX: y F32. Element e (row-major number) is word e%4 of Philox4x32-10 (Salmon et al. 2011)
 * with key = (seed low, seed high), counter = (e/4 low, e/4 high, stream, offset low). seed and
 * offset are 64-bit scalars by number, 0 = the fixed value. UNIFORM: a + (b-a) * (w >> 8) * 2^-24.
 * NORMAL: a + b*z, z by Box-Muller from words (0,1) -> elements 0,1 and (2,3) -> 2,3: r = sqrt(-2
 * ln u1), u1 = ((w0>>8)+1)*2^-24, t = 2 pi u2, u2 = (w1>>8)*2^-24; elements r cos t, r sin t.
 * With the optional input keys I32 [.., 3] and y [.., C] each row is a sequence of its own: its
 * elements are numbered from 0, key = (keys[0], keys[1]), offset low = keys[2], and the seed and
 * offset of the attributes are not looked at. */
enum { FORGE_RNG_UNIFORM = 1, FORGE_RNG_NORMAL = 2 };
typedef struct forge_attr_rng {
  uint32_t kind, stream;
  double a, b;
  uint64_t seed, offset;
  uint32_t seed_scalar, offset_scalar; /* 0: the fixed value; else scalar number - 1 */
} forge_attr_rng;

/* MASK: y = keep ? x : fill. TENSOR: input 1 is I32 of x's dims, keep where not 0. CAUSAL: x [..,
 * T, S], input 1 is I32 of x's leading dims [..] (rank - 2) holding the position p of query row 0,
 * optional (0): keep where column <= p + row. LENGTH: x [.., C], input 1 I32 of dims [..] (rank -
 * 1): keep where column < length. x and y of equal dims, F32 or I32. */
enum { FORGE_MASK_TENSOR = 1, FORGE_MASK_CAUSAL = 2, FORGE_MASK_LENGTH = 3 };
typedef struct forge_attr_mask {
  uint32_t kind, rsv;
  double fill;
} forge_attr_mask;

typedef struct forge_attr_scatter {
  uint32_t mode, rows; /* rows: R where base is absent, else 0 */
} forge_attr_scatter;

/* RMSNORM: x [.., C], w [C] -> y. RMSNORM_BWD: x, w, dy -> dx, dw [C] (dw summed over rows in
 * order). LAYERNORM: x, w, b (optional) -> y; population variance. LAYERNORM_BWD: x, w, dy -> dx,
 * dw, db. F32. */
typedef struct forge_attr_norm {
  double eps;
} forge_attr_norm;

/* ROPE: x [.., T, H, D] F32, positions I32 [T] or [.., T], freq_factors F32 [n_rot/2] optional ->
 * y. Pair i of the first n_rot of D columns is turned by angle p * scale / (base^(2i/n_rot) *
 * freq_factors[i]); the rest is copied. Pairs are (2i, 2i+1) when INTERLEAVED (llama2.c, GGUF
 * llama), else (i, i + n_rot/2) (Hugging Face). INVERSE turns back: it is the gradient. */
enum { FORGE_ROPE_INTERLEAVED = 1, FORGE_ROPE_INVERSE = 2 };
typedef struct forge_attr_rope {
  double base, scale;
  uint32_t n_rot, flags;
} forge_attr_rope;

/* ATTENTION: y = softmax(scale q k^T, visible keys) v, heads h of q using key head h / (H/KVH).
 *   inputs 0 q [B, T, H, D] F32
 *   dense: 1 k [B, S, KVH, D], 2 v [B, S, KVH, D] (any float); 4 page_table absent
 *   paged: 1 k [P, page, KVH, D], 2 v likewise; 4 page_table I32 [B, max_pages]: key j of sequence
 * b is row j % page of page page_table[b][j / page]; a page outside 0..P-1 ends the sequence there
 *   3 starts I32 [B] optional (0): absolute position of the sequence's first query
 *   outputs 0 y [B, T, H, D] F32; 1 lse [B, H, T] F32 = log sum exp of the scaled visible scores,
 * optional Key j is visible to query i when j < S (dense) or j < starts + T (paged), and, with
 * CAUSAL, j <= starts + i; with window > 0 also j > starts + i - window. No visible key gives y =
 * 0, lse = -inf. The result for a query does not depend on T, B or the page size.
 *
 * ATTENTION_BWD (dense, no window): q, k, v, y, lse, dy -> dq, dk, dv. F32. starts are 0. */
enum { FORGE_ATTENTION_CAUSAL = 1 };
typedef struct forge_attr_attention {
  double scale;
  uint32_t flags, window;
} forge_attr_attention;

/* KV_WRITE: pages [P, page, KVH, D] (F32, F16 or BF16), slots I32 [T], src F32 [T, KVH, D] -> pages
 * with row slots[t] (page slots[t] / page, row slots[t] % page) replaced by src[t] (rounded to the
 * pages' type). In place. Slots outside are skipped.
 *
 * SWIGLU: gate, up -> y; SWIGLU_BWD: gate, up, dy -> dgate, dup. Equal dims, F32.
 *
 * CROSS_ENTROPY: logits [R, V] F32, targets I32 [R] -> loss [] F32 = mean over rows with 0 <=
 * target < V of log sum exp(logits) - logits[target]; no such row: 0. CROSS_ENTROPY_BWD: logits,
 * targets, dloss [] -> dlogits = (softmax - onehot) * dloss / count, 0 in skipped rows.
 *
 * ADAMW: p, m, v, g (equal dims, F32), clip [] optional -> p, m, v in place. g' = g*clip; t = step
 * scalar (bits of a binary64, first step 1): m = b1 m + (1-b1) g'; v = b2 v + (1-b2) g'^2; p -= lr
 * (m/(1-b1^t) / (sqrt(v/(1-b2^t))
 * + eps) + wd p) (Loshchilov and Hutter 2019). */
typedef struct forge_attr_adamw {
  double beta1, beta2, eps, weight_decay;
  forge_attr_number lr, step;
} forge_attr_adamw;

/* GLOBAL_NORM: g_1..g_n F32 -> norm [] = sqrt(sum of squares over all), factor [] = norm > max_norm
 * ? max_norm/norm : 1; max_norm 0: always 1. A norm that is not finite gives factor 0. */
typedef struct forge_attr_global_norm {
  double max_norm;
} forge_attr_global_norm;

/* SAMPLE: logits [R, V] F32, params F32 [R, 4] = {temperature, top_p, min_p, 0}, iparams I32 [R, 4]
 * = {top_k, seed low, seed high, counter} -> ids I32 [R]. temperature <= 0: argmax, lowest id among
 * equals. Otherwise the candidates are cut by top_k (0: all), then by min_p (keep p >= min_p *
 * p_max), then by top_p (the smallest set of most likely ids whose probabilities, renormalised
 * after the cuts before, reach top_p), and one is drawn: u = the uniform of RNG_PHILOX with key =
 * seed, counter words (0, 0, 0, counter), word 0; the first candidate, in order of falling
 * probability then rising id, whose cumulative probability exceeds u. */

/* QMATMUL: x [.., M, K] F32, w [N, K] of a block type, bias [N] F32 optional -> y [.., M, N] F32.
 * Equal to MATMUL with TRANS_B over the decoded weights; activations are not rounded. */

/* MOE_ROUTE: logits [T, E] F32 -> ids I32 [T, k], weights F32 [T, k]: the k most likely experts
 * after softmax, weights divided by their sum if NORMALISE. MOE_ROUTE_BWD: logits, ids, dweights ->
 * dlogits. */
enum { FORGE_MOE_NORMALISE = 1 };
typedef struct forge_attr_moe {
  uint32_t k, flags;
} forge_attr_moe;

/* GROUPED_MATMUL: x [T, K] F32, w [E, N, K] float, ids I32 [T] -> y [T, N], y_t = w[ids_t] x_t;
 * with TRANS_A the other way: x [T, N] -> y [T, K], y_t = w[ids_t]^T x_t (the gradient). Ids
 * outside give zeros. GROUPED_MATMUL_DW: x [T, K], dy [T, N], ids -> dw [E, N, K] F32, summed in
 * order of t. Attributes: forge_attr_matmul. */

#ifdef __cplusplus
}
#endif
#endif
