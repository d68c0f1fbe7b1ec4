/* graph.h -- what a builder holds: storages, values (views of storages) and a flat list of ops.
 * Private to this room. The compiler works on a copy of the same structure, so that an expansion of
 * a composite is written with the calls models are written with (build.h). */
#ifndef FORGE_GRAPH_H
#define FORGE_GRAPH_H

#include "build.h"
#include "dtype.h"

/* Roles of a storage beside FORGE_ROLE_*. */
enum { GRAPH_TEMP = 0, GRAPH_CONSTANT = 4 };
#define GRAPH_NONE 0xFFFFFFFFu

/* Memory with one element type. */
typedef struct graph_storage {
  uint64_t elements;
  uint8_t dtype, role;
  uint8_t is_output; /* a temp with a name of its own: it lives in that binding */
  uint8_t rsv;
  uint32_t version; /* rises when an op writes into it in place */
  char *name;       /* of its binding; owned; NULL for a temp nobody reads */
  void *data;       /* contents of a constant; owned */
} graph_storage;

/* A tensor id names one of these. */
typedef struct graph_value {
  forge_tensor t;
  int64_t offset; /* elements from the start of the storage */
  uint32_t storage, version;
  forge_tid root;    /* the value this is a view of, itself if none */
  uint32_t producer; /* op that made the root, GRAPH_NONE for bound tensors and constants */
} graph_value;

typedef struct graph_node {
  uint16_t op, n_in, n_out, rsv;
  uint32_t ids; /* first of n_in + n_out tensor ids */
  uint32_t attr, attr_bytes;
  uint32_t tag; /* number of the builder's op it came from */
} graph_node;

typedef struct graph_scalar {
  char *name;
  uint64_t max;
} graph_scalar;

struct forge_builder {
  graph_storage *storages;
  graph_value *values;
  graph_node *nodes;
  uint32_t *ids;
  uint8_t *attrs;
  graph_scalar *scalars;
  size_t n_storages, n_values, n_nodes, n_ids, n_attrs, n_scalars;
  size_t cap_storages, cap_values, cap_nodes, cap_ids, cap_attrs, cap_scalars;
  uint32_t tag;   /* given to the next nodes while |compiling| */
  bool compiling; /* list order was checked before: old versions may be read */
};

/* ---- the list (graph.c) ---- */

forge_status graph_clone(const forge_builder *g, forge_builder **out);
forge_status graph_add_storage(forge_builder *g, uint8_t role, uint8_t dtype, uint64_t elements,
                               const char *name, uint32_t *out);
forge_status graph_add_value(forge_builder *g, const forge_tensor *t, uint32_t storage,
                             int64_t offset, forge_tid root, forge_tid *out);
/* Appends a checked op as it stands; |out| holds existing values. */
forge_status graph_append(forge_builder *g, uint16_t op, const void *attr, uint32_t attr_bytes,
                          const forge_tid *in, uint32_t n_in, const forge_tid *out, uint32_t n_out);
/* A tensor whose contents the program itself holds; equal ones are kept once. |data| is copied. */
forge_status graph_constant(forge_builder *g, uint8_t dtype, uint8_t rank, const int64_t *dim,
                            const void *data, forge_tid *out);
/* A fresh dense temp with the dims of |t| that nothing has written yet. */
forge_status graph_fresh(forge_builder *g, const forge_tensor *t, uint8_t dtype, forge_tid *out);
/* Appends |op| so that its outputs are written into the views |out|; each becomes a new id of that
 * view. Shapes are checked as forge_builder_op() does. */
forge_status graph_write(forge_builder *g, uint16_t op, const void *attr, uint32_t attr_bytes,
                         const forge_tid *in, uint32_t n_in, forge_tid *out, uint32_t n_out);
/* The same view under a new id that sees the storage as it is now. */
forge_status graph_renew(forge_builder *g, forge_tid *tid);

static inline const graph_value *graph_at(const forge_builder *g, forge_tid tid) {
  return &g->values[tid];
}
static inline const forge_tid *graph_inputs(const forge_builder *g, const graph_node *n) {
  return g->ids + n->ids;
}
static inline const forge_tid *graph_outputs(const forge_builder *g, const graph_node *n) {
  return g->ids + n->ids + n->n_in;
}
/* The op's attributes, copied because the arrays move while a list grows. */
enum { GRAPH_ATTR_WORDS = 16 };
void graph_copy_attr(const forge_builder *g, const graph_node *n, uint64_t out[GRAPH_ATTR_WORDS]);
static inline const void *graph_attr(const forge_builder *g, const graph_node *n) {
  return g->attrs + n->attr;
}

/* ---- tensors (tensor.c) ---- */

static inline bool dtype_is_float(uint8_t d) {
  return d == FORGE_F32 || d == FORGE_F16 || d == FORGE_BF16;
}

/* "f32 [<=8, 64]" into |out|. */
enum { TENSOR_TEXT = 160 };
const char *tensor_text(const forge_tensor *t, char out[TENSOR_TEXT]);
/* Sets row-major strides; E_INVALID when the element count does not fit. */
forge_status tensor_set_dense(forge_tensor *t, uint64_t *out_elements);
bool tensor_is_dense(const forge_tensor *t);
bool tensor_same_dim(const forge_tensor *a, uint32_t i, const forge_tensor *b, uint32_t j);
bool tensor_same_dims(const forge_tensor *a, const forge_tensor *b);
bool tensor_has_scalar(const forge_tensor *t);
/* Product of the (maximal) dims. */
uint64_t tensor_elements(const forge_tensor *t);
/* Last element's distance from the first. */
uint64_t tensor_span(const forge_tensor *t);
/* True when no two elements share a place. */
bool tensor_is_injective(const forge_tensor *t);
/* |t| seen under other dims without moving an element; false when that is impossible. */
bool tensor_reshape(const forge_tensor *t, uint8_t rank, const int64_t *dim, forge_tensor *out);
/* Which scalar each of the new dims keeps (tensor.dim_scalar); E_INVALID when one would be lost. */
forge_status tensor_reshape_scalars(const forge_tensor *t, uint8_t rank, const int64_t *dim,
                                    uint8_t *out_scalar);

/* ---- ops (ops.c) ---- */

/* One op whose shapes are being checked. Absent optional inputs are NULL. */
typedef struct shape_call {
  const char *op;
  const struct op_row *row;
  const void *attr;
  const forge_tensor *const *in;
  uint32_t n_in, n_scalars;
  const forge_tensor *wanted; /* output as the caller wants it, NULL: infer */
  forge_tensor out[3];
} shape_call;

/* The reverse step of one op: reads the gradients of the outputs, adds to those of the inputs. */
typedef struct grad_call {
  build *b;
  const void *attr;
  const forge_tid *in, *out;
  uint32_t n_in;
  const forge_tid *dout; /* per output: F32 gradient or FORGE_TID_NONE */
  const bool *need;      /* per input: its gradient is wanted */
  forge_tid *din;        /* per input: F32 gradient of the input's dims, FORGE_TID_NONE: none */
} grad_call;

/* The normative expansion of one composite: writes into the values |out| (NONE: not wanted). */
typedef struct expand_call {
  build *b;
  const void *attr;
  const forge_tid *in;
  uint32_t n_in;
  const forge_tid *out;
  uint32_t first_storage; /* storages from here on are the expansion's own */
} expand_call;

typedef struct op_row {
  const char *name;
  uint8_t class;
  int8_t n_in, n_out;
  uint8_t optional_in, optional_out; /* bit k */
  uint8_t inplace;                   /* bit k: output k takes input k's storage */
  uint8_t attr_bytes;
  const char *inputs; /* their names, for messages */
  forge_status (*infer)(shape_call *c);
  forge_status (*gradient)(grad_call *c); /* NULL: none */
  void (*expand)(expand_call *c);         /* NULL: a primitive */
  double (*flops)(const forge_tensor *const *in, const forge_tensor *const *out, const void *attr);
} op_row;

/* NULL for a number that is no op. */
const op_row *op_find(uint16_t op);

#endif
