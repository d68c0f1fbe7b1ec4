/* builder.c -- the public calls that grow a program: tensors, scalars, ops, views, outputs. */
#include <inttypes.h>
#include <string.h>

#include "rows.h"

forge_status forge_builder_scalar(forge_builder *g, const char *name, uint64_t max,
                                  uint32_t *out_index) {
  if (!name || !*name) return FAIL(FORGE_E_INVALID, "a scalar needs a name");
  for (size_t i = 0; i < g->n_scalars; i++)
    if (!strcmp(g->scalars[i].name, name)) {
      if (g->scalars[i].max != max)
        return FAIL(FORGE_E_INVALID,
                    "scalar \"%s\" was declared with maximum %" PRIu64 ", now %" PRIu64
                    "; give both the same",
                    name, g->scalars[i].max, max);
      *out_index = (uint32_t)i;
      return FORGE_OK;
    }
  if (g->n_scalars == UINT8_MAX) /* dim_scalar is one byte */
    return FAIL(FORGE_E_INVALID, "scalar \"%s\": a program has at most 255", name);
  if (!ARRAY_GROW(g->scalars, g->n_scalars, g->cap_scalars))
    return FAIL(FORGE_E_OOM, "no memory for scalar \"%s\"", name);
  char *copy = mem_strdup(name);
  if (!copy) return FAIL(FORGE_E_OOM, "no memory for scalar \"%s\"", name);
  g->scalars[g->n_scalars] = (graph_scalar){.name = copy, .max = max};
  *out_index = (uint32_t)g->n_scalars++;
  return FORGE_OK;
}

static forge_status check_name(const forge_builder *g, const char *name) {
  if (!name || !*name) return FAIL(FORGE_E_INVALID, "a bound tensor needs a name");
  for (size_t i = 0; i < g->n_storages; i++)
    if (g->storages[i].name && !strcmp(g->storages[i].name, name))
      return FAIL(FORGE_E_EXISTS,
                  "the program has a tensor or output \"%s\" already; choose another name", name);
  return FORGE_OK;
}

/* Dims and scalars of a description are sane; fills in dense strides. */
static forge_status check_dims(const forge_builder *g, forge_tensor *t, uint64_t *out_elements) {
  char shown[TENSOR_TEXT];
  const uint32_t block = dtype_block_elems(t->dtype);
  if (!block) return FAIL(FORGE_E_INVALID, "element type %u is unknown", t->dtype);
  if (t->rank > FORGE_MAX_RANK)
    return FAIL(FORGE_E_INVALID, "rank %u is above %d", t->rank, FORGE_MAX_RANK);
  for (uint32_t k = 0; k < t->rank; k++)
    if (t->dim_scalar[k] > g->n_scalars)
      return FAIL(FORGE_E_INVALID, "dimension %u of %s names scalar %u of %zu; declare it first", k,
                  tensor_text(t, shown), t->dim_scalar[k] - 1u, g->n_scalars);
  TRY(tensor_set_dense(t, out_elements));
  if (block > 1 && (!t->rank || t->dim[t->rank - 1] % block || t->dim_scalar[t->rank - 1]))
    return FAIL(FORGE_E_INVALID, "%s: the last dimension must be a fixed multiple of %u elements",
                tensor_text(t, shown), block);
  return FORGE_OK;
}

forge_status forge_builder_tensor(forge_builder *g, uint32_t role, const char *name, uint8_t dtype,
                                  uint8_t rank, const int64_t *dim, const uint8_t *dim_scalar,
                                  forge_tid *out_tensor) {
  forge_tensor t = {.dtype = dtype, .rank = rank};
  uint64_t elements;
  uint32_t storage;
  TRY(check_name(g, name));
  if (role < FORGE_ROLE_INPUT || role > FORGE_ROLE_STATE)
    return FAIL(FORGE_E_INVALID, "tensor \"%s\": role %u is unknown", name, role);
  if (rank <= FORGE_MAX_RANK && rank) {
    memcpy(t.dim, dim, rank * sizeof *dim);
    if (dim_scalar) memcpy(t.dim_scalar, dim_scalar, rank);
  }
  if (check_dims(g, &t, &elements)) return base_fail_in(FORGE_E_INVALID, "tensor \"%s\"", name);
  TRY(graph_add_storage(g, (uint8_t)role, dtype, elements, name, &storage));
  return graph_add_value(g, &t, storage, 0, FORGE_TID_NONE, out_tensor);
}

static forge_status check_tensor(const forge_builder *g, const char *what, uint32_t i,
                                 forge_tid tid) {
  if (tid >= g->n_values)
    return FAIL(FORGE_E_INVALID, "%s: input %u is no tensor of this builder", what, i);
  const graph_value *v = &g->values[tid];
  const graph_storage *s = &g->storages[v->storage];
  if (!g->compiling && v->version != s->version)
    return FAIL(
        FORGE_E_INVALID,
        "%s: input %u (\"%s\") was overwritten in place since; use the id the later op gave", what,
        i, s->name ? s->name : "");
  return FORGE_OK;
}

/* Looks the inputs up and lets the row infer. |tensors| has room for c->n_in pointers. */
static forge_status check_op(const forge_builder *g, const op_row *row, const forge_tid *in,
                             const forge_tensor **tensors, shape_call *c) {
  for (uint32_t i = 0; i < c->n_in; i++) {
    const bool optional = row->n_in >= 0 && (row->optional_in >> i & 1);
    tensors[i] = NULL;
    if (in[i] == FORGE_TID_NONE && optional) continue;
    if (in[i] == FORGE_TID_NONE)
      return FAIL(FORGE_E_INVALID, "%s: input %u is missing and not optional", row->name, i);
    TRY(check_tensor(g, row->name, i, in[i]));
    tensors[i] = &g->values[in[i]].t;
  }
  c->in = tensors;
  return row->infer(c);
}

/* What an op writes in place is a STATE, and no other input of the op lies in the same storage. */
static forge_status check_inplace(const forge_builder *g, const op_row *row, const shape_call *c,
                                  const forge_tid *in) {
  for (int8_t k = 0; k < row->n_out; k++) {
    if (!(row->inplace >> k & 1)) continue;
    const uint32_t storage = g->values[in[k]].storage;
    if (g->storages[storage].role != FORGE_ROLE_STATE)
      return shape_fail(c, (uint32_t)k, "it is written in place; declare it FORGE_ROLE_STATE");
    for (uint32_t i = 0; i < c->n_in; i++)
      if (i != (uint32_t)k && in[i] != FORGE_TID_NONE && g->values[in[i]].storage == storage)
        return shape_fail(c, i,
                          "it shares memory with input %d, which is written in place; copy "
                          "it first",
                          k);
  }
  return FORGE_OK;
}

/* The output values: a fresh storage each, or the input's where the op works in place. */
static forge_status make_outputs(forge_builder *g, const op_row *row, shape_call *c,
                                 const forge_tid *in, forge_tid *out) {
  TRY(check_inplace(g, row, c, in));
  for (int8_t k = 0; k < row->n_out; k++) {
    uint64_t elements;
    uint32_t storage;
    if (row->inplace >> k & 1) {
      const graph_value v = g->values[in[k]];
      g->storages[v.storage].version++;
      TRY(graph_add_value(g, &v.t, v.storage, v.offset, FORGE_TID_NONE, &out[k]));
      continue;
    }
    TRY(check_dims(g, &c->out[k], &elements));
    TRY(graph_add_storage(g, GRAPH_TEMP, c->out[k].dtype, elements, NULL, &storage));
    TRY(graph_add_value(g, &c->out[k], storage, 0, FORGE_TID_NONE, &out[k]));
  }
  return FORGE_OK;
}

/* The given views take the outputs: equal dims and type, and no older id sees them any more. */
static forge_status take_outputs(forge_builder *g, const op_row *row, const shape_call *c,
                                 forge_tid *out) {
  char is[TENSOR_TEXT], want[TENSOR_TEXT];
  for (int8_t k = 0; k < row->n_out; k++) {
    if (out[k] == FORGE_TID_NONE) continue;
    const graph_value *v = &g->values[out[k]];
    if (!tensor_same_dims(&v->t, &c->out[k]) || v->t.dtype != c->out[k].dtype)
      return FAIL(FORGE_E_INTERNAL, "%s: output %d %s does not fit into %s", row->name, k,
                  tensor_text(&c->out[k], is), tensor_text(&v->t, want));
    g->storages[v->storage].version++;
    TRY(graph_renew(g, &out[k]));
  }
  return FORGE_OK;
}

static forge_status check_counts(const op_row *row, const void *attr, uint32_t attr_bytes,
                                 uint32_t n_in) {
  if (attr_bytes != row->attr_bytes)
    return FAIL(FORGE_E_INVALID,
                "%s: %u bytes of attributes given, its struct in forge/ops.h has %u", row->name,
                attr_bytes, row->attr_bytes);
  if (attr_bytes && !attr)
    return FAIL(FORGE_E_INVALID, "%s: no attributes given, its struct in forge/ops.h has %u bytes",
                row->name, attr_bytes);
  if (row->n_in < 0 ? n_in < 1 || n_in > UINT16_MAX : n_in > (uint32_t)row->n_in)
    return FAIL(FORGE_E_INVALID, "%s: %u inputs given, it has %d", row->name, n_in, row->n_in);
  return FORGE_OK;
}

enum { FEW = 8 };

/* Checks and appends one op. |write|: outputs go into the views |out| holds on entry. */
static forge_status add_op(forge_builder *g, uint16_t op, const void *attr, uint32_t attr_bytes,
                           const forge_tid *given, uint32_t n_in, const forge_tensor *wanted,
                           bool write, forge_tid out[3]) {
  const op_row *row = op_find(op);
  if (!row) return FAIL(FORGE_E_INVALID, "op %u is unknown; forge/ops.h lists them", (unsigned)op);
  TRY(check_counts(row, attr, attr_bytes, n_in));
  const uint32_t n = row->n_in < 0 ? n_in : (uint32_t)row->n_in;
  forge_tid few_ids[FEW], *in = few_ids;
  const forge_tensor *few_tensors[FEW], **tensors = few_tensors;
  if (n > FEW) {
    in = mem_zalloc_array(n, sizeof *in);
    tensors = mem_zalloc_array(n, sizeof *tensors);
  }
  forge_status st = in && tensors ? FORGE_OK : FAIL(FORGE_E_OOM, "%s: no memory", row->name);
  for (uint32_t i = 0; !st && i < n; i++) in[i] = i < n_in ? given[i] : FORGE_TID_NONE;
  shape_call c = {.op = row->name,
                  .row = row,
                  .attr = attr,
                  .n_in = n,
                  .n_scalars = (uint32_t)g->n_scalars,
                  .wanted = wanted};
  if (!st) st = check_op(g, row, in, tensors, &c);
  if (!st) st = write ? take_outputs(g, row, &c, out) : make_outputs(g, row, &c, in, out);
  if (!st) st = graph_append(g, op, attr, attr_bytes, in, n, out, (uint32_t)row->n_out);
  if (in != few_ids) mem_free(in);
  if (tensors != few_tensors) mem_free(tensors);
  return st;
}

forge_status graph_write(forge_builder *g, uint16_t op, const void *attr, uint32_t attr_bytes,
                         const forge_tid *in, uint32_t n_in, forge_tid *out, uint32_t n_out) {
  forge_tid all[3] = {FORGE_TID_NONE, FORGE_TID_NONE, FORGE_TID_NONE};
  memcpy(all, out, n_out * sizeof *out);
  const forge_tensor wanted = g->values[out[0]].t;
  TRY(add_op(g, op, attr, attr_bytes, in, n_in, &wanted, true, all));
  memcpy(out, all, n_out * sizeof *out);
  return FORGE_OK;
}

/* Hands out the outputs that were asked for. An optional one that was not is made all the same, so
 * that a gradient finds it; the compiler drops what nobody reads. */
static void give_outputs(const op_row *row, const forge_tid all[3], forge_tid *out, uint32_t n) {
  for (uint32_t k = 0; k < n; k++)
    if (!(row->optional_out >> k & 1) || out[k] != FORGE_TID_NONE) out[k] = all[k];
}

forge_status forge_builder_op(forge_builder *g, uint16_t op, const void *attrs, uint32_t attr_bytes,
                              const forge_tid *in, uint32_t n_in, forge_tid *out, uint32_t n_out) {
  forge_tid all[3];
  const op_row *row = op_find(op);
  if (row && (n_out > (uint32_t)row->n_out ||
              (n_out < (uint32_t)row->n_out && !(row->optional_out >> n_out & 1))))
    return FAIL(FORGE_E_INVALID, "%s: %u outputs asked for, it has %d", row->name, n_out,
                row->n_out);
  TRY(add_op(g, op, attrs, attr_bytes, in, n_in, NULL, false, all));
  give_outputs(row, all, out, n_out);
  return FORGE_OK;
}

forge_status forge_builder_op_shaped(forge_builder *g, uint16_t op, const void *attrs,
                                     uint32_t attr_bytes, const forge_tid *in, uint32_t n_in,
                                     const forge_tensor *shape, forge_tid *out_tensor) {
  forge_tid all[3];
  forge_tensor wanted = *shape;
  uint64_t elements;
  TRY(check_dims(g, &wanted, &elements));
  TRY(add_op(g, op, attrs, attr_bytes, in, n_in, &wanted, false, all));
  *out_tensor = all[0];
  return FORGE_OK;
}

static forge_status check_view(const graph_value *v, const graph_storage *s, const forge_tensor *t,
                               int64_t offset) {
  char shown[TENSOR_TEXT], from[TENSOR_TEXT];
  const int64_t block = dtype_block_elems(t->dtype);
  bool bad = offset < 0 || (uint64_t)offset > s->elements || t->dtype != v->t.dtype;
  uint64_t reach = (uint64_t)offset + 1;
  int64_t count = 1; /* repeated elements too: kernels count them in 64 bits */
  for (uint32_t k = 0; k < t->rank; k++) {
    uint64_t step;
    bad |= t->dim[k] < 0 || t->stride[k] < 0;
    if (bad || !t->dim[k]) continue;
    bad |= MUL_OVERFLOWS(count, t->dim[k], &count);
    bad |= MUL_OVERFLOWS((uint64_t)t->dim[k] - 1, (uint64_t)t->stride[k], &step) ||
           ADD_OVERFLOWS(reach, step, &reach);
    if (block > 1 && k + 1u < t->rank) bad |= t->stride[k] % block != 0;
  }
  if (block > 1)
    bad |= offset % block || !t->rank || t->stride[t->rank - 1] != 1 || t->dim[t->rank - 1] % block;
  if (bad || (tensor_elements(t) && reach > s->elements))
    return FAIL(FORGE_E_INVALID,
                "view %s at element %" PRId64 " of %s: it leaves the %" PRIu64
                " elements there are, has too many, changes the type, or cuts a block",
                tensor_text(t, shown), offset, tensor_text(&v->t, from), s->elements);
  return FORGE_OK;
}

forge_status forge_builder_view(forge_builder *g, forge_tid source, const forge_tensor *view,
                                int64_t offset, forge_tid *out_tensor) {
  TRY(check_tensor(g, "view", 0, source));
  if (view->rank > FORGE_MAX_RANK)
    return FAIL(FORGE_E_INVALID, "view: rank %u is above %d", view->rank, FORGE_MAX_RANK);
  const graph_value v = g->values[source];
  forge_tensor t = *view;
  t.flags = 0;
  t.rsv = 0;
  memset(t.dim_scalar + t.rank, 0, 8u - t.rank);
  for (uint32_t k = t.rank; k < FORGE_MAX_RANK; k++) t.dim[k] = t.stride[k] = 0;
  for (uint32_t k = 0; k < t.rank; k++)
    if (t.dim_scalar[k] > g->n_scalars)
      return FAIL(FORGE_E_INVALID, "view: dimension %u names a scalar that is not declared", k);
  if (ADD_OVERFLOWS(offset, v.offset, &offset))
    return FAIL(FORGE_E_INVALID, "view: offset too large");
  TRY(check_view(&v, &g->storages[v.storage], &t, offset));
  return graph_add_value(g, &t, v.storage, offset, v.root, out_tensor);
}

forge_status forge_builder_describe(const forge_builder *g, forge_tid tensor, forge_tensor *out) {
  if (tensor >= g->n_values)
    return FAIL(FORGE_E_INVALID, "%u is no tensor of this builder", tensor);
  *out = g->values[tensor].t;
  return FORGE_OK;
}

/* True when the value is the whole of a temp that has no name yet: the output can live in its
 * binding from the start. */
static bool is_whole_temp(const forge_builder *g, const graph_value *v) {
  const graph_storage *s = &g->storages[v->storage];
  return s->role == GRAPH_TEMP && !s->name && v->offset == 0 && tensor_is_dense(&v->t) &&
         tensor_elements(&v->t) == s->elements;
}

forge_status forge_builder_output(forge_builder *g, forge_tid tensor, const char *name) {
  TRY(check_name(g, name));
  TRY(check_tensor(g, "output", 0, tensor));
  if (!is_whole_temp(g, &g->values[tensor])) { /* a view, a state, an input: its own copy */
    forge_tid copy[3];
    TRY(add_op(g, FORGE_OP_COPY_STRIDED, NULL, 0, &tensor, 1, NULL, false, copy));
    tensor = copy[0];
  }
  graph_storage *s = &g->storages[g->values[tensor].storage];
  if (!(s->name = mem_strdup(name))) return FAIL(FORGE_E_OOM, "no memory for output \"%s\"", name);
  s->is_output = 1;
  return FORGE_OK;
}
