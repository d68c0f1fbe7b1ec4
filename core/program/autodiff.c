/* autodiff.c -- the reverse pass: from the loss back through the list, one gradient function per
 * op. Every gradient is F32. Gradients that meet at a tensor are added in the order of the reverse
 * list, later ops first. Views have no op: what flows into one is added to the tensor it is a view
 * of, at the places it sees. */
#include <string.h>

#include "formula.h"

typedef struct reverse {
  build b;
  forge_tid *grad; /* per root value: its gradient so far, dense and of its dims */
  bool *owned;     /* per value: the gradient's memory is ours alone and may be added into */
  bool *need;      /* per value: it depends on a tensor asked for */
  size_t n_values; /* when the pass began */
} reverse;

static forge_status fail_memory(void) { return FAIL(FORGE_E_OOM, "no memory for a gradient"); }

/* A dense tensor seen under the dims of |like|, which has as many elements. */
static forge_tid seen_as(build *b, forge_tid x, const forge_tensor *like) {
  forge_tensor t = *like;
  uint64_t elements;
  forge_tid out = FORGE_TID_NONE;
  if (b->status) return out;
  t.dtype = formula_shape(b, x).dtype;
  b->status = tensor_set_dense(&t, &elements);
  if (!b->status) b->status = forge_builder_view(b->builder, x, &t, 0, &out);
  return out;
}

/* Sums |g| over the dims that |view| repeats; |view| then sees each place once. */
static forge_tid sum_repeats(build *b, forge_tid g, forge_tensor *view) {
  uint32_t dims = 0;
  for (uint32_t k = 0; k < view->rank; k++) {
    if (view->stride[k] || (view->dim[k] == 1 && !view->dim_scalar[k])) continue;
    dims |= 1u << k;
    view->dim[k] = 1;
    view->dim_scalar[k] = 0;
  }
  return dims ? build_reduce(b, g, FORGE_REDUCE_SUM, dims) : g;
}

/* True when the view is its root under other dims: all elements, in order. */
static bool is_reshape(const forge_tensor *view, int64_t offset, const forge_tensor *root) {
  return offset == 0 && tensor_is_dense(view) && tensor_elements(view) == tensor_elements(root);
}

/* Gives the root a gradient that is dense memory of our own, to be added into. */
static void own_gradient(reverse *r, forge_tid root) {
  build *b = &r->b;
  const forge_tensor t = formula_shape(b, root);
  if (r->owned[root]) return;
  if (r->grad[root] == FORGE_TID_NONE) {
    r->grad[root] = build_fill(b, FORGE_F32, t.rank, t.dim, t.dim_scalar, 0);
  } else {
    forge_tid copy = 0;
    r->grad[root] = build_op(b, FORGE_OP_COPY_STRIDED, NULL, 0, &r->grad[root], 1, &copy, 1);
  }
  r->owned[root] = true;
}

/* Adds |g| at the places |view| sees of the root. */
static void add_at(reverse *r, forge_tid root, const forge_tensor *view, int64_t offset,
                   forge_tid g) {
  static const forge_attr_axpby plus = {{1, 0, 0}, {1, 0, 0}};
  build *b = &r->b;
  if (!tensor_is_injective(view)) {
    b->status = FAIL(FORGE_E_UNSUPPORTED, "no gradient through a view whose elements overlap");
    return;
  }
  own_gradient(r, root);
  forge_tensor t = *view;
  t.dtype = FORGE_F32;
  forge_tid place = FORGE_TID_NONE;
  if (!b->status) b->status = forge_builder_view(b->builder, r->grad[root], &t, offset, &place);
  const forge_tid in[] = {place, g};
  formula_into(b, FORGE_OP_AXPBY, &plus, sizeof plus, in, 2, &place);
  r->grad[root] = formula_renew(b, r->grad[root]);
}

/* |g| (F32, dims of |tid|) flows into |tid|. */
static void add_gradient(reverse *r, forge_tid tid, forge_tid g) {
  build *b = &r->b;
  const graph_value v = r->b.builder->values[tid];
  const graph_value root = r->b.builder->values[v.root];
  forge_tensor view = v.t;
  const int64_t offset = v.offset - root.offset;
  g = sum_repeats(b, g, &view);
  if (!is_reshape(&view, offset, &root.t)) {
    add_at(r, v.root, &view, offset, g);
    return;
  }
  g = seen_as(b, build_dense(b, g), &root.t);
  forge_tid *have = &r->grad[v.root];
  *have = *have == FORGE_TID_NONE ? g : build_axpby(b, 1, *have, 1, g);
  r->owned[v.root] = false;
}

/* The gradient of |tid| as it stands, seen through the view |tid| is; NONE if nothing flowed. */
static forge_tid gradient_of(reverse *r, forge_tid tid) {
  build *b = &r->b;
  if (tid == FORGE_TID_NONE) return FORGE_TID_NONE;
  const graph_value v = b->builder->values[tid];
  const forge_tid g = r->grad[v.root];
  if (g == FORGE_TID_NONE || v.root == tid || b->status) return g;
  forge_tid out = FORGE_TID_NONE;
  forge_tensor t = v.t;
  t.dtype = FORGE_F32;
  b->status =
      forge_builder_view(b->builder, g, &t, v.offset - b->builder->values[v.root].offset, &out);
  return out;
}

/* Marks what depends on the tensors asked for. A storage overwritten in place carries the mark on.
 */
static void mark_needed(reverse *r, const forge_tid *wrt, uint32_t n, size_t n_nodes) {
  const forge_builder *g = r->b.builder;
  for (uint32_t i = 0; i < n; i++) r->need[g->values[wrt[i]].root] = true;
  for (size_t i = 0; i < n_nodes; i++) {
    const graph_node *node = &g->nodes[i];
    bool any = false;
    for (uint32_t k = 0; k < node->n_in; k++) {
      const forge_tid in = graph_inputs(g, node)[k];
      any |= in != FORGE_TID_NONE && r->need[g->values[in].root];
    }
    for (uint32_t k = 0; any && k < node->n_out; k++) {
      const forge_tid out = graph_outputs(g, node)[k];
      r->need[g->values[out].root] |= dtype_is_float(g->values[out].t.dtype);
    }
  }
}

enum { MAX_IN = 8 };

/* One op backwards. */
static void reverse_op(reverse *r, const graph_node *node, const op_row *row) {
  forge_builder *g = r->b.builder;
  forge_tid in[MAX_IN], out[3], dout[3], din[MAX_IN];
  bool need[MAX_IN], any = false;
  uint64_t attr[GRAPH_ATTR_WORDS];
  memcpy(in, graph_inputs(g, node), node->n_in * sizeof *in);
  memcpy(out, graph_outputs(g, node), node->n_out * sizeof *out);
  graph_copy_attr(g, node, attr);
  for (uint32_t k = 0; k < node->n_in; k++) {
    need[k] = in[k] != FORGE_TID_NONE && r->need[g->values[in[k]].root] &&
              dtype_is_float(g->values[in[k]].t.dtype);
    any |= need[k];
    din[k] = FORGE_TID_NONE;
  }
  if (!any) return;
  any = false;
  for (uint32_t k = 0; k < node->n_out; k++)
    any |= (dout[k] = gradient_of(r, out[k])) != FORGE_TID_NONE;
  if (!any || r->b.status) return;
  if (!row->gradient) {
    r->b.status =
        FAIL(FORGE_E_UNSUPPORTED, "%s has no gradient, and the loss depends on a tensor through it",
             row->name);
    return;
  }
  grad_call c = {&r->b, attr, in, out, node->n_in, dout, need, din};
  const forge_status st = row->gradient(&c);
  if (st && !r->b.status) r->b.status = st;
  for (uint32_t k = 0; k < node->n_in && !r->b.status; k++)
    if (need[k] && din[k] != FORGE_TID_NONE) add_gradient(r, in[k], din[k]);
}

static void reverse_list(reverse *r, size_t n_nodes) {
  forge_builder *g = r->b.builder;
  for (size_t i = n_nodes; i-- > 0 && !r->b.status;) {
    const graph_node node = g->nodes[i];
    const op_row *row = op_find(node.op);
    bool carries = false;
    for (uint32_t k = 0; k < node.n_out; k++) {
      const forge_tid root = g->values[graph_outputs(g, &node)[k]].root;
      carries |= root < r->n_values && r->grad[root] != FORGE_TID_NONE;
    }
    if (!carries) continue;
    if (node.n_in > MAX_IN)
      r->b.status = FAIL(FORGE_E_UNSUPPORTED, "%s has no gradient", row->name);
    else
      reverse_op(r, &node, row);
    if (r->b.status) base_fail_in(r->b.status, "gradient of op %zu (%s)", i, row->name);
  }
}

/* The results: a view asked for sees its part of the whole; what nothing reached is zero. */
static void collect(reverse *r, const forge_tid *wrt, uint32_t n, forge_tid *out) {
  build *b = &r->b;
  for (uint32_t i = 0; i < n && !b->status; i++) {
    const forge_tensor t = formula_shape(b, wrt[i]);
    const forge_tid g = gradient_of(r, wrt[i]);
    out[i] = g == FORGE_TID_NONE ? build_fill(b, FORGE_F32, t.rank, t.dim, t.dim_scalar, 0)
                                 : build_dense(b, g);
  }
}

static forge_status check_request(const forge_builder *g, forge_tid loss, const forge_tid *wrt,
                                  uint32_t n) {
  char shown[TENSOR_TEXT];
  if (loss >= g->n_values)
    return FAIL(FORGE_E_INVALID, "gradient: the loss is no tensor of this builder");
  const forge_tensor *l = &g->values[loss].t;
  if (l->rank || l->dtype != FORGE_F32)
    return FAIL(FORGE_E_INVALID, "gradient: the loss is %s; F32 of rank 0 wanted, reduce it first",
                tensor_text(l, shown));
  for (uint32_t i = 0; i < n; i++) {
    if (wrt[i] >= g->n_values)
      return FAIL(FORGE_E_INVALID, "gradient: tensor %u asked for is none of this builder", i);
    const forge_tensor *t = &g->values[wrt[i]].t;
    if (!dtype_is_float(t->dtype) || !tensor_is_injective(t))
      return FAIL(FORGE_E_INVALID,
                  "gradient: %s asked for (number %u) has none; only float tensors without "
                  "repeated elements do",
                  tensor_text(t, shown), i);
  }
  return FORGE_OK;
}

forge_status forge_builder_gradient(forge_builder *g, forge_tid loss, const forge_tid *wrt,
                                    uint32_t n, forge_tid *out_gradients) {
  TRY(check_request(g, loss, wrt, n));
  reverse r = {.b = {.builder = g}, .n_values = g->n_values};
  const size_t n_nodes = g->n_nodes;
  r.grad = mem_zalloc_array(r.n_values, sizeof *r.grad);
  r.owned = mem_zalloc_array(r.n_values, sizeof *r.owned);
  r.need = mem_zalloc_array(r.n_values, sizeof *r.need);
  if (r.grad && r.owned && r.need) {
    for (size_t i = 0; i < r.n_values; i++) r.grad[i] = FORGE_TID_NONE;
    mark_needed(&r, wrt, n, n_nodes);
    add_gradient(&r, loss, build_fill(&r.b, FORGE_F32, 0, NULL, NULL, 1));
    reverse_list(&r, n_nodes);
    collect(&r, wrt, n, out_gradients);
  } else {
    r.b.status = fail_memory();
  }
  mem_free(r.grad);
  mem_free(r.owned);
  mem_free(r.need);
  return r.b.status;
}
