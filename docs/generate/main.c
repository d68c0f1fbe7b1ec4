/* main.c -- every case through the core's expansion and reverse step; JSON on standard output. */
#include <stdio.h>
#include <string.h>

#include "compile.h"
#include "formulas.h"

static const char *const plain_names[] = {"y", "y1", "y2"};
static const char *const gradient_names[] = {"dy", "dy1", "dy2"};

typedef struct shown {
  build b;
  forge_tid in[6], out[3];
} shown;

static void add_inputs(shown *s, const formula_case *c) {
  uint32_t scalar;
  static const char *const scalars[] = {"lr", "step"};
  for (uint32_t i = 0; i < COUNT_OF(scalars) && !s->b.status; i++)
    s->b.status = forge_builder_scalar(s->b.builder, scalars[i], UINT64_MAX, &scalar);
  for (uint32_t i = 0; i < c->n_in; i++) {
    const formula_input *in = &c->in[i];
    s->in[i] = in->name
                   ? build_tensor(&s->b, in->role, in->name, in->dtype, in->rank, in->dim, NULL)
                   : FORGE_TID_NONE;
  }
}

static void add_op(shown *s, const formula_case *c) {
  const op_row *row = op_find(c->op);
  if (c->wanted.dtype && !s->b.status)
    s->b.status = forge_builder_op_shaped(s->b.builder, c->op, c->attr, c->attr_bytes, s->in,
                                          c->n_in, &c->wanted, s->out);
  else
    build_op(&s->b, c->op, c->attr, c->attr_bytes, s->in, c->n_in, s->out, (uint32_t)row->n_out);
}

static shown begin(const formula_case *c) {
  shown s = {0};
  s.b.status = forge_builder_create(&s.b.builder);
  if (!s.b.status) add_inputs(&s, c);
  if (!s.b.status) add_op(&s, c);
  return s;
}

/* Outputs that are no states get names, so that they are neither dropped nor called t1. */
static void name_outputs(shown *s, const formula_case *c) {
  const op_row *row = op_find(c->op);
  for (int k = 0; k < row->n_out && !s->b.status; k++)
    if (!(row->inplace >> k & 1))
      s->b.status = forge_builder_output(s->b.builder, s->out[k],
                                         row->n_out > 1 && !k ? "y0" : plain_names[k]);
}

static json_t *expansion(const formula_case *c, forge_status *status) {
  shown s = begin(c);
  forge_builder *g = NULL;
  uint8_t all[8];
  json_t *lines = NULL;
  name_outputs(&s, c);
  if (!s.b.status) s.b.status = graph_clone(s.b.builder, &g);
  if (g) g->compiling = true;
  if (!s.b.status) s.b.status = reduce_dead(g);
  for (size_t i = 0; g && i < g->n_nodes && i < COUNT_OF(all); i++)
    all[i] = op_find(g->nodes[i].op)->expand != NULL;
  if (!s.b.status) s.b.status = reduce_expand(g, all);
  if (!s.b.status) lines = formula_lines(g, 0);
  *status = s.b.status;
  forge_builder_destroy(g);
  forge_builder_destroy(s.b.builder);
  return lines;
}

/* "dx = t5" for each gradient the reverse step gave. */
static void say_results(const shown *s, const formula_case *c, const forge_tid *din,
                        json_t *lines) {
  for (uint32_t i = 0; i < c->n_in; i++) {
    char operand[256], line[320];
    if (!c->in[i].name || din[i] == FORGE_TID_NONE) continue;
    formula_operand(s->b.builder, din[i], operand, sizeof operand);
    snprintf(line, sizeof line, "d%s = %s", c->in[i].name, operand);
    json_array_append_new(lines, json_string(line));
  }
}

static json_t *gradient(const formula_case *c, forge_status *status) {
  shown s = begin(c);
  const op_row *row = op_find(c->op);
  forge_tid dout[3] = {FORGE_TID_NONE, FORGE_TID_NONE, FORGE_TID_NONE}, din[6];
  bool need[6] = {false};
  for (int k = 0; k < row->n_out && !s.b.status; k++) {
    const forge_tensor t = s.b.builder->values[s.out[k]].t;
    if (!s.b.builder->storages[s.b.builder->values[s.out[k]].storage].name)
      s.b.status =
          forge_builder_output(s.b.builder, s.out[k], row->n_out > 1 && !k ? "y0" : plain_names[k]);
    const bool flows = dtype_is_float(t.dtype) && !(row->optional_out >> k & 1);
    if (flows)
      dout[k] =
          build_tensor(&s.b, FORGE_ROLE_INPUT, gradient_names[k], FORGE_F32, t.rank, t.dim, NULL);
  }
  for (uint32_t i = 0; i < c->n_in; i++) {
    din[i] = FORGE_TID_NONE;
    need[i] = c->in[i].role == FORGE_ROLE_PARAM;
  }
  const size_t first = s.b.builder->n_nodes;
  grad_call call = {&s.b, c->attr, s.in, s.out, c->n_in, dout, need, din};
  if (!s.b.status) {
    const forge_status st = row->gradient(&call);
    if (st) s.b.status = st;
  }
  json_t *lines = s.b.status ? NULL : formula_lines(s.b.builder, first);
  for (uint32_t i = 0; i < c->n_in; i++)
    if (!need[i]) din[i] = FORGE_TID_NONE;
  if (lines) say_results(&s, c, din, lines);
  *status = s.b.status;
  forge_builder_destroy(s.b.builder);
  return lines;
}

/* The inputs as "x F32 [3, 7], w F32 [7]". */
static json_t *inputs_text(const formula_case *c) {
  char out[512] = "", one[TENSOR_TEXT];
  size_t n = 0;
  for (uint32_t i = 0; i < c->n_in; i++) {
    if (!c->in[i].name) continue;
    forge_tensor t = {.dtype = c->in[i].dtype, .rank = c->in[i].rank};
    memcpy(t.dim, c->in[i].dim, sizeof t.dim);
    n += (size_t)snprintf(out + n, sizeof out - n, "%s%s %s", n ? ", " : "", c->in[i].name,
                          tensor_text(&t, one));
  }
  return json_string(out);
}

static json_t *op_facts(const formula_case *c) {
  const op_row *row = op_find(c->op);
  return json_pack("{s:s, s:i, s:i, s:i, s:b, s:b, s:s, s:[], s:[]}", "inputs", row->inputs,
                   "optional_in", row->optional_in, "optional_out", row->optional_out, "inplace",
                   row->inplace, "composite", row->expand != NULL, "has_gradient",
                   row->gradient != NULL, "attributes", c->attributes ? c->attributes : "",
                   "expansions", "gradients");
}

static forge_status add_case(json_t *ops, const formula_case *c) {
  const op_row *row = op_find(c->op);
  static const char *const lists[] = {"expansions", "gradients"};
  if (!json_object_get(ops, row->name)) json_object_set_new(ops, row->name, op_facts(c));
  json_t *op = json_object_get(ops, row->name);
  for (uint32_t k = 0; k < 2; k++) {
    forge_status st = FORGE_OK;
    if (!(c->uses >> k & 1)) continue;
    json_t *lines = k ? gradient(c, &st) : expansion(c, &st);
    if (st) return st;
    json_array_append_new(
        json_object_get(op, lists[k]),
        json_pack("{s:s, s:o, s:o}", "title", c->title, "inputs", inputs_text(c), "lines", lines));
  }
  return FORGE_OK;
}

int main(void) {
  json_t *ops = json_object();
  for (size_t i = 0; i < formula_n_cases; i++)
    if (add_case(ops, &formula_cases[i])) {
      fprintf(stderr, "%s (%s): %s\n", op_find(formula_cases[i].op)->name, formula_cases[i].title,
              forge_error_last()->msg);
      return 1;
    }
  json_dumpf(ops, stdout, JSON_INDENT(1));
  json_decref(ops);
  return 0;
}
