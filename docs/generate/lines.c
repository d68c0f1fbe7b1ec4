/* lines.c -- a list of ops as text. An intermediate is called t1, t2, .. in order of appearance, a
 * constant of the program c1, .. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "formulas.h"

typedef struct line {
  char s[1024];
  size_t n;
} line;

static void put(line *t, const char *format, ...) BASE_PRINTF(2, 3);
static void put(line *t, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const int n = vsnprintf(t->s + t->n, sizeof t->s - t->n, format, args);
  va_end(args);
  t->n = n < 0 || (size_t)n >= sizeof t->s - t->n ? sizeof t->s - 1 : t->n + (size_t)n;
}

/* ---- tensors ---- */

/* The value that stands for a whole storage: the first made of it. */
static const graph_value *whole_of(const forge_builder *g, uint32_t storage) {
  size_t i = 0;
  while (i + 1 < g->n_values && g->values[i].storage != storage) i++;
  return &g->values[i];
}

static bool appears_in(const forge_builder *g, const graph_node *n, uint32_t storage) {
  for (uint32_t k = 0; k < (uint32_t)n->n_in + n->n_out; k++) {
    const forge_tid id = g->ids[n->ids + k];
    if (id != FORGE_TID_NONE && g->values[id].storage == storage) return true;
  }
  return false;
}

static uint32_t first_use(const forge_builder *g, uint32_t storage) {
  uint32_t i = 0;
  while (i < g->n_nodes && !appears_in(g, &g->nodes[i], storage)) i++;
  return i;
}

/* Place of a nameless storage among those of its role, in order of use. */
static uint32_t number_of(const forge_builder *g, uint32_t storage) {
  const uint32_t mine = first_use(g, storage);
  uint32_t n = 1;
  for (uint32_t s = 0; s < g->n_storages; s++) {
    const graph_storage *other = &g->storages[s];
    if (other->name || other->role != g->storages[storage].role || s == storage) continue;
    const uint32_t at = first_use(g, s);
    n += at < g->n_nodes && (at < mine || (at == mine && s < storage));
  }
  return n;
}

static void put_storage(line *t, const forge_builder *g, uint32_t storage) {
  const graph_storage *s = &g->storages[storage];
  if (s->name)
    put(t, "%s", s->name);
  else
    put(t, "%s%u", s->role == GRAPH_CONSTANT ? "c" : "t", number_of(g, storage));
}

static void put_dims(line *t, const forge_tensor *x) {
  for (uint32_t k = 0; k < x->rank; k++) put(t, "%s%" PRId64, k ? ", " : "", x->dim[k]);
}

static void put_strides(line *t, const forge_tensor *x) {
  bool moves = false;
  for (uint32_t k = 0; k < x->rank; k++) moves |= x->stride[k] != 0;
  for (uint32_t k = 0; moves && k < x->rank; k++)
    put(t, "%s%" PRId64, k ? ", " : "; ", x->stride[k]);
  if (!moves) put(t, "; 0");
}

static void put_operand(line *t, const forge_builder *g, forge_tid tid) {
  if (tid == FORGE_TID_NONE) {
    put(t, "-");
    return;
  }
  const graph_value *v = &g->values[tid], *whole = whole_of(g, v->storage);
  put_storage(t, g, v->storage);
  const bool dense =
      tensor_is_dense(&v->t) && !v->offset && tensor_elements(&v->t) == tensor_elements(&whole->t);
  if (dense && tensor_same_dims(&v->t, &whole->t)) return;
  put(t, "[");
  put_dims(t, &v->t);
  if (!dense && v->t.rank) put_strides(t, &v->t);
  if (v->offset) put(t, "; +%" PRId64, v->offset);
  put(t, "]");
}

void formula_operand(const forge_builder *g, forge_tid tid, char *out, size_t bytes) {
  line t = {0};
  put_operand(&t, g, tid);
  snprintf(out, bytes, "%s", t.s);
}

/* ---- attributes ---- */

static const char *const unary[] = {"?",     "NEG",    "EXP",     "LOG",  "SQRT", "RSQRT",
                                    "RECIP", "SQUARE", "SIGMOID", "SILU", "GELU", "TANH",
                                    "RELU",  "SIN",    "COS",     "ABS",  "STEP"};
static const char *const binary[] = {"?", "ADD", "SUB", "MUL", "DIV", "MAX", "MIN"};
static const char *const reduce[] = {"?", "SUM", "MAX", "ARGMAX", "MEAN"};
static const char *const mask[] = {"?", "TENSOR", "CAUSAL", "LENGTH"};
static const char *const scatter[] = {"?", "SET", "ADD"};
static const char *const rng[] = {"?", "UNIFORM", "NORMAL"};

/* The kind is written behind the op's name: UNARY.EXP. */
static const char *kind_name(uint16_t op, const void *attr) {
  uint32_t kind;
  if (!attr) return NULL;
  memcpy(&kind, attr, sizeof kind);
  switch (op) {
  case FORGE_OP_UNARY:
  case FORGE_OP_UNARY_BWD: return unary[kind];
  case FORGE_OP_BINARY: return binary[kind];
  case FORGE_OP_REDUCE: return reduce[kind];
  case FORGE_OP_MASK: return mask[kind];
  case FORGE_OP_SCATTER_ROWS: return scatter[kind];
  case FORGE_OP_RNG_PHILOX: return rng[kind];
  default: return NULL;
  }
}

static void put_number(line *t, const forge_builder *g, const char *name,
                       const forge_attr_number *a) {
  if (a->scalar)
    put(t, ", %s scalar %s", name, g->scalars[a->scalar - 1].name);
  else
    put(t, ", %s %.9g", name, a->value);
}

static void put_flags(line *t, uint32_t flags, const char *first, const char *second) {
  if (flags & 1) put(t, ", %s", first);
  if (flags & 2) put(t, ", %s", second);
}

static void put_reduced(line *t, uint32_t dims) {
  put(t, ", dims");
  for (uint32_t k = 0; k < FORGE_MAX_RANK; k++)
    if (dims >> k & 1) put(t, " %u", k);
}

static void put_attributes(line *t, const forge_builder *g, uint16_t op, const void *a) {
  const forge_attr_axpby *ab = a;
  const forge_attr_attention *at = a;
  const forge_attr_rope *r = a;
  const forge_attr_moe *m = a;
  const forge_attr_rng *n = a;
  switch (op) {
  case FORGE_OP_REDUCE: put_reduced(t, ((const forge_attr_reduce *)a)->dims); break;
  case FORGE_OP_FILL: put(t, "%.9g", ((const forge_attr_fill *)a)->value); break;
  case FORGE_OP_MASK: put(t, ", fill %.9g", ((const forge_attr_mask *)a)->fill); break;
  case FORGE_OP_SOFTMAX: put(t, ", scale %.9g", ((const forge_attr_softmax *)a)->scale); break;
  case FORGE_OP_TOPK: put(t, ", k %u", ((const forge_attr_topk *)a)->k); break;
  case FORGE_OP_SCATTER_ROWS:
    if (((const forge_attr_scatter *)a)->rows)
      put(t, ", rows %u", ((const forge_attr_scatter *)a)->rows);
    break;
  case FORGE_OP_AXPBY:
    put_number(t, g, "alpha", &ab->alpha);
    put_number(t, g, "beta", &ab->beta);
    break;
  case FORGE_OP_MATMUL:
  case FORGE_OP_GROUPED_MATMUL:
  case FORGE_OP_GROUPED_MATMUL_DW:
    put_flags(t, ((const forge_attr_matmul *)a)->flags, "TRANS_A", "TRANS_B");
    break;
  case FORGE_OP_RNG_PHILOX: put(t, ", a %.9g, b %.9g, stream %u", n->a, n->b, n->stream); break;
  case FORGE_OP_RMSNORM_BWD:
  case FORGE_OP_LAYERNORM_BWD: put(t, ", eps %.9g", ((const forge_attr_norm *)a)->eps); break;
  case FORGE_OP_ROPE:
    put(t, ", base %.9g, scale %.9g, n_rot %u", r->base, r->scale, r->n_rot);
    put_flags(t, r->flags, "INTERLEAVED", "INVERSE");
    break;
  case FORGE_OP_ATTENTION_BWD:
    put(t, ", scale %.9g", at->scale);
    put_flags(t, at->flags, "CAUSAL", "");
    break;
  case FORGE_OP_MOE_ROUTE_BWD:
    put(t, ", k %u", m->k);
    put_flags(t, m->flags, "NORMALISE", "");
    break;
  default: break;
  }
}

/* ---- ops ---- */

static void put_result(line *t, const forge_tensor *x) {
  char name[TENSOR_TEXT];
  const forge_tensor scalar = {.dtype = x->dtype};
  tensor_text(&scalar, name);
  for (char *c = name; *c && *c != ' '; c++)
    if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
  *strchr(name, ' ') = 0;
  put(t, " -> %s%s[", x->dtype == FORGE_F32 ? "" : name, x->dtype == FORGE_F32 ? "" : " ");
  put_dims(t, x);
  put(t, "]");
}

static json_t *op_line(const forge_builder *g, const graph_node *n) {
  line t = {0};
  const void *attr = n->attr_bytes ? graph_attr(g, n) : NULL;
  const char *kind = kind_name(n->op, attr);
  const forge_tid *in = graph_inputs(g, n), *out = graph_outputs(g, n);
  for (uint32_t k = 0; k < n->n_out; k++) {
    if (k) put(&t, ", ");
    put_operand(&t, g, out[k]);
  }
  put(&t, " = %s%s%s(", op_find(n->op)->name, kind ? "." : "", kind ? kind : "");
  for (uint32_t k = 0; k < n->n_in; k++) {
    if (k) put(&t, ", ");
    put_operand(&t, g, in[k]);
  }
  if (attr) put_attributes(&t, g, n->op, attr);
  put(&t, ")");
  for (uint32_t k = 0; k < n->n_out; k++)
    if (out[k] != FORGE_TID_NONE) {
      put_result(&t, &g->values[out[k]].t);
      break;
    }
  return json_string(t.s);
}

static json_t *constant_line(const forge_builder *g, uint32_t storage) {
  enum { SHOWN = 8 };
  line t = {0};
  const graph_storage *s = &g->storages[storage];
  const bool floats = s->dtype == FORGE_F32;
  const int32_t *whole = s->data;
  const float *real = s->data;
  put_storage(&t, g, storage);
  put(&t, " = constant");
  for (uint64_t i = 0; i < s->elements && i < SHOWN; i++)
    put(&t, "%s%.9g", i ? ", " : " ", floats ? (double)real[i] : (double)whole[i]);
  put(&t, "%s -> %s[", s->elements > SHOWN ? ", .." : "", floats ? "" : "I32 ");
  put_dims(&t, &whole_of(g, storage)->t);
  put(&t, "]");
  return json_string(t.s);
}

json_t *formula_lines(const forge_builder *g, size_t first) {
  json_t *lines = json_array();
  for (uint32_t s = 0; s < g->n_storages; s++)
    if (g->storages[s].role == GRAPH_CONSTANT && first_use(g, s) < g->n_nodes)
      json_array_append_new(lines, constant_line(g, s));
  for (size_t i = first; i < g->n_nodes; i++)
    json_array_append_new(lines, op_line(g, &g->nodes[i]));
  return lines;
}
