/* build.c -- ops as calls with a sticky failure; views that move nothing. */
#include <inttypes.h>
#include <string.h>

#include "graph.h"

/* Keeps the first failure and turns it into "no tensor". */
static forge_tid settle(build *b, forge_status st, forge_tid tid) {
  if (st && !b->status) b->status = st;
  return st ? FORGE_TID_NONE : tid;
}

/* Describes |x|; false once anything failed. */
static bool look(build *b, forge_tid x, forge_tensor *out) {
  if (!b->status) settle(b, forge_builder_describe(b->builder, x, out), x);
  return !b->status;
}

forge_tid build_op(build *b, uint16_t op, const void *attrs, uint32_t attr_bytes,
                   const forge_tid *in, uint32_t n_in, forge_tid *out, uint32_t n_out) {
  if (b->status) {
    for (uint32_t k = 0; k < n_out; k++) out[k] = FORGE_TID_NONE;
    return FORGE_TID_NONE;
  }
  const forge_status st = forge_builder_op(b->builder, op, attrs, attr_bytes, in, n_in, out, n_out);
  return settle(b, st, out[0]);
}

/* One output, all inputs there or optional. */
static forge_tid one(build *b, uint16_t op, const void *attrs, uint32_t attr_bytes,
                     const forge_tid *in, uint32_t n_in) {
  forge_tid out = 0;
  return build_op(b, op, attrs, attr_bytes, in, n_in, &out, 1);
}

static forge_tid view(build *b, forge_tid x, const forge_tensor *t, int64_t offset) {
  forge_tid out = FORGE_TID_NONE;
  if (b->status) return FORGE_TID_NONE;
  const forge_status st = forge_builder_view(b->builder, x, t, offset, &out);
  return settle(b, st, out);
}

forge_tid build_tensor(build *b, uint32_t role, const char *name, uint8_t dtype, uint8_t rank,
                       const int64_t *dim, const uint8_t *dim_scalar) {
  forge_tid out = FORGE_TID_NONE;
  if (b->status) return FORGE_TID_NONE;
  const forge_status st =
      forge_builder_tensor(b->builder, role, name, dtype, rank, dim, dim_scalar, &out);
  return settle(b, st, out);
}

/* Replaces a -1 by what is left over. */
static forge_status resolve_dims(const forge_tensor *t, uint8_t rank, const int64_t *dim,
                                 int64_t out[FORGE_MAX_RANK]) {
  char shown[TENSOR_TEXT];
  const int64_t have = (int64_t)tensor_elements(t);
  int64_t known = 1;
  int open = -1;
  if (rank > FORGE_MAX_RANK)
    return FAIL(FORGE_E_INVALID, "reshape: rank %u is above %d", rank, FORGE_MAX_RANK);
  for (int k = 0; k < rank; k++) {
    out[k] = dim[k];
    if (dim[k] < 0 && open < 0)
      open = k;
    else if (dim[k] < 0 || MUL_OVERFLOWS(known, dim[k], &known))
      return FAIL(FORGE_E_INVALID, "reshape of %s: one dim at most may be -1",
                  tensor_text(t, shown));
  }
  if (open >= 0 && known) out[open] = have / known;
  if (open < 0 ? known != have : !known || have % known)
    return FAIL(FORGE_E_INVALID,
                "reshape of %s: %" PRId64 " elements do not fit into dims of product %" PRId64,
                tensor_text(t, shown), have, known);
  return FORGE_OK;
}

forge_tid build_reshape(build *b, forge_tid x, uint8_t rank, const int64_t *dim) {
  forge_tensor t, out;
  int64_t full[FORGE_MAX_RANK] = {0};
  uint8_t scalar[8];
  if (!look(b, x, &t)) return FORGE_TID_NONE;
  forge_status st = resolve_dims(&t, rank, dim, full);
  if (!st) st = tensor_reshape_scalars(&t, rank, full, scalar);
  if (st) return settle(b, st, x);
  if (!tensor_reshape(&t, rank, full, &out)) {
    x = build_dense(b, x);
    if (!look(b, x, &t)) return FORGE_TID_NONE;
    tensor_reshape(&t, rank, full, &out);
  }
  memcpy(out.dim_scalar, scalar, sizeof scalar);
  return view(b, x, &out, 0);
}

forge_tid build_slice(build *b, forge_tid x, uint32_t dim, int64_t start, int64_t length) {
  forge_tensor t;
  if (!look(b, x, &t)) return FORGE_TID_NONE;
  if (dim >= t.rank || start < 0 || length < 0 || start > t.dim[dim] ||
      length > t.dim[dim] - start || t.dim_scalar[dim]) {
    char shown[TENSOR_TEXT];
    return settle(b,
                  FAIL(FORGE_E_INVALID,
                       "slice of %s: %" PRId64 " from %" PRId64
                       " on are not within dimension %u, or that is a scalar",
                       tensor_text(&t, shown), length, start, dim),
                  x);
  }
  t.dim[dim] = length;
  return view(b, x, &t, start * t.stride[dim]);
}

forge_tid build_permute(build *b, forge_tid x, const uint8_t *order) {
  forge_tensor t;
  uint32_t seen = 0;
  if (!look(b, x, &t)) return FORGE_TID_NONE;
  forge_tensor out = t;
  for (uint32_t k = 0; k < t.rank; k++) {
    seen |= order[k] < t.rank ? 1u << order[k] : 0;
    const uint32_t from = order[k] < t.rank ? order[k] : 0;
    out.dim[k] = t.dim[from];
    out.stride[k] = t.stride[from];
    out.dim_scalar[k] = t.dim_scalar[from];
  }
  if (seen != (1u << t.rank) - 1)
    return settle(b, FAIL(FORGE_E_INVALID, "permute: every dimension must be named once"), x);
  return view(b, x, &out, 0);
}

forge_tid build_broadcast(build *b, forge_tid x, forge_tid like) {
  forge_tensor t, l;
  if (!look(b, x, &t) || !look(b, like, &l)) return FORGE_TID_NONE;
  if (tensor_same_dims(&t, &l)) return x;
  forge_tensor out = l;
  out.dtype = t.dtype;
  bool fits = t.rank <= l.rank;
  for (uint32_t k = 0; fits && k < l.rank; k++) {
    const uint32_t front = (uint32_t)(l.rank - t.rank);
    const bool missing = k < front;
    const bool equal = !missing && tensor_same_dim(&t, k - front, &l, k);
    fits = missing || equal || (t.dim[k - front] == 1 && !t.dim_scalar[k - front]);
    out.stride[k] = equal ? t.stride[k - front] : 0;
  }
  if (!fits) {
    char a[TENSOR_TEXT], c[TENSOR_TEXT];
    return settle(b,
                  FAIL(FORGE_E_INVALID,
                       "broadcast of %s to %s: extents must be equal, 1, or missing in front",
                       tensor_text(&t, a), tensor_text(&l, c)),
                  x);
  }
  return view(b, x, &out, 0);
}

forge_tid build_dense(build *b, forge_tid x) {
  forge_tensor t;
  if (!look(b, x, &t)) return FORGE_TID_NONE;
  return tensor_is_dense(&t) ? x : one(b, FORGE_OP_COPY_STRIDED, NULL, 0, &x, 1);
}

static forge_tid shaped(build *b, uint16_t op, const void *attr, uint32_t attr_bytes,
                        const forge_tid *in, uint32_t n_in, const forge_tensor *shape) {
  forge_tid out = FORGE_TID_NONE;
  if (b->status) return FORGE_TID_NONE;
  const forge_status st =
      forge_builder_op_shaped(b->builder, op, attr, attr_bytes, in, n_in, shape, &out);
  return settle(b, st, out);
}

forge_tid build_cast(build *b, forge_tid x, uint8_t dtype) {
  forge_tensor t;
  if (!look(b, x, &t) || t.dtype == dtype) return b->status ? FORGE_TID_NONE : x;
  t.dtype = dtype;
  return shaped(b, FORGE_OP_CAST, NULL, 0, &x, 1, &t);
}

forge_tid build_fill(build *b, uint8_t dtype, uint8_t rank, const int64_t *dim,
                     const uint8_t *dim_scalar, double value) {
  const forge_attr_fill a = {value};
  forge_tensor t = {.dtype = dtype, .rank = rank};
  if (rank && rank <= FORGE_MAX_RANK) {
    memcpy(t.dim, dim, rank * sizeof *dim);
    if (dim_scalar) memcpy(t.dim_scalar, dim_scalar, rank);
  }
  return shaped(b, FORGE_OP_FILL, &a, sizeof a, NULL, 0, &t);
}

forge_tid build_unary(build *b, forge_tid x, uint32_t kind) {
  const forge_attr_kind a = {kind, 0};
  return one(b, FORGE_OP_UNARY, &a, sizeof a, &x, 1);
}

forge_tid build_binary(build *b, forge_tid x, forge_tid y, uint32_t kind) {
  const forge_attr_kind a = {kind, 0};
  const forge_tid in[] = {x, build_broadcast(b, y, x)};
  return one(b, FORGE_OP_BINARY, &a, sizeof a, in, 2);
}

forge_tid build_add(build *b, forge_tid x, forge_tid y) {
  return build_binary(b, x, y, FORGE_BINARY_ADD);
}

forge_tid build_mul(build *b, forge_tid x, forge_tid y) {
  return build_binary(b, x, y, FORGE_BINARY_MUL);
}

forge_tid build_axpby(build *b, double alpha, forge_tid x, double beta, forge_tid y) {
  const forge_attr_axpby a = {{alpha, 0, 0}, {beta, 0, 0}};
  const forge_tid in[] = {x, build_broadcast(b, y, x)};
  return one(b, FORGE_OP_AXPBY, &a, sizeof a, in, 2);
}

forge_tid build_reduce(build *b, forge_tid x, uint32_t kind, uint32_t dims) {
  const forge_attr_reduce a = {kind, dims};
  return one(b, FORGE_OP_REDUCE, &a, sizeof a, &x, 1);
}

forge_tid build_matmul(build *b, forge_tid x, forge_tid y, forge_tid bias, uint32_t flags) {
  const forge_attr_matmul a = {flags, 0};
  const forge_tid in[] = {x, y, bias};
  return one(b, FORGE_OP_MATMUL, &a, sizeof a, in, 3);
}

/* x [.., K] as one matrix [rows, K] where no scalar stands in the way, else unchanged. */
static forge_tid as_matrix(build *b, forge_tid x, const forge_tensor *t) {
  int64_t rows = 1;
  uint8_t scalar[8];
  for (uint32_t k = 0; k + 1u < t->rank; k++) rows *= t->dim[k];
  const int64_t dim[2] = {rows, t->dim[t->rank - 1]};
  if (t->rank == 2 || tensor_reshape_scalars(t, 2, dim, scalar)) return x;
  return build_reshape(b, x, 2, dim);
}

/* w repeated (stride 0) for each matrix of x. */
static forge_tid for_each_matrix(build *b, forge_tid w, forge_tid x) {
  forge_tensor t, l;
  if (!look(b, w, &t) || !look(b, x, &l)) return FORGE_TID_NONE;
  if (l.rank <= 2) return w;
  forge_tensor out = l;
  out.dtype = t.dtype;
  for (uint32_t k = 0; k < l.rank; k++) {
    const bool last = k + 2u >= l.rank;
    const uint32_t from = last ? k + 2u - l.rank : 0;
    out.stride[k] = last ? t.stride[from] : 0;
    if (last) out.dim[k] = t.dim[from];
    if (last) out.dim_scalar[k] = t.dim_scalar[from];
  }
  return view(b, w, &out, 0);
}

forge_tid build_linear(build *b, forge_tid x, forge_tid w, forge_tid bias, bool transposed) {
  forge_tensor t, wt, out;
  if (!look(b, x, &t) || !look(b, w, &wt)) return FORGE_TID_NONE;
  if (!t.rank || wt.rank != 2) {
    char shown[TENSOR_TEXT];
    return settle(b,
                  FAIL(FORGE_E_INVALID, "linear: the weights are %s; a matrix wanted",
                       tensor_text(&wt, shown)),
                  x);
  }
  const forge_tid m = as_matrix(b, x, &t);
  forge_tid y;
  if (dtype_block_elems(wt.dtype) > 1) {
    const forge_tid in[] = {m, w, bias};
    y = one(b, FORGE_OP_QMATMUL, NULL, 0, in, 3);
  } else {
    y = build_matmul(b, m, for_each_matrix(b, w, m), bias, transposed ? 0 : FORGE_MATMUL_TRANS_B);
  }
  if (m == x || !look(b, y, &out)) return y;
  int64_t dim[FORGE_MAX_RANK];
  memcpy(dim, t.dim, sizeof dim);
  dim[t.rank - 1] = out.dim[1];
  return build_reshape(b, y, t.rank, dim);
}

forge_tid build_gather(build *b, forge_tid table, forge_tid ids) {
  return one(b, FORGE_OP_GATHER_ROWS, NULL, 0, (forge_tid[]){table, ids}, 2);
}

forge_tid build_softmax(build *b, forge_tid x, double scale) {
  const forge_attr_softmax a = {scale};
  return one(b, FORGE_OP_SOFTMAX, &a, sizeof a, &x, 1);
}

forge_tid build_rmsnorm(build *b, forge_tid x, forge_tid w, double eps) {
  const forge_attr_norm a = {eps};
  return one(b, FORGE_OP_RMSNORM, &a, sizeof a, (forge_tid[]){x, w}, 2);
}

forge_tid build_layernorm(build *b, forge_tid x, forge_tid w, forge_tid bias, double eps) {
  const forge_attr_norm a = {eps};
  return one(b, FORGE_OP_LAYERNORM, &a, sizeof a, (forge_tid[]){x, w, bias}, 3);
}

forge_tid build_rope(build *b, forge_tid x, forge_tid positions, forge_tid freq_factors,
                     const forge_attr_rope *attr) {
  return one(b, FORGE_OP_ROPE, attr, sizeof *attr, (forge_tid[]){x, positions, freq_factors}, 3);
}

forge_tid build_swiglu(build *b, forge_tid gate, forge_tid up) {
  return one(b, FORGE_OP_SWIGLU, NULL, 0, (forge_tid[]){gate, up}, 2);
}

forge_tid build_attention(build *b, forge_tid q, forge_tid k, forge_tid v, forge_tid starts,
                          forge_tid page_table, const forge_attr_attention *attr) {
  const forge_tid in[] = {q, k, v, starts, page_table};
  return one(b, FORGE_OP_ATTENTION, attr, sizeof *attr, in, 5);
}

forge_tid build_kv_write(build *b, forge_tid pages, forge_tid slots, forge_tid src) {
  return one(b, FORGE_OP_KV_WRITE, NULL, 0, (forge_tid[]){pages, slots, src}, 3);
}

forge_tid build_cross_entropy(build *b, forge_tid logits, forge_tid targets) {
  return one(b, FORGE_OP_CROSS_ENTROPY, NULL, 0, (forge_tid[]){logits, targets}, 2);
}

forge_tid build_sample(build *b, forge_tid logits, forge_tid params, forge_tid iparams) {
  return one(b, FORGE_OP_SAMPLE, NULL, 0, (forge_tid[]){logits, params, iparams}, 3);
}
