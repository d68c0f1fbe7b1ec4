/* infer.c -- checking one op's inputs: the checks all ops share, and what they say when they fail.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "rows.h"

/* Name of input |i| out of the row's list ("a b bias"); the last name serves all further inputs. */
static const char *input_name(const shape_call *c, uint32_t i, char out[32]) {
  const char *s = c->row->inputs;
  for (; i && strchr(s, ' '); i--) s = strchr(s, ' ') + 1;
  snprintf(out, 32, "%.*s", (int)strcspn(s, " "), s);
  return out;
}

forge_status shape_fail(const shape_call *c, uint32_t i, const char *format, ...) {
  char name[32], shape[TENSOR_TEXT], why[512];
  va_list args;
  va_start(args, format);
  vsnprintf(why, sizeof why, format, args);
  va_end(args);
  if (i >= c->n_in || !c->in[i]) return FAIL(FORGE_E_INVALID, "%s: %s", c->op, why);
  return FAIL(FORGE_E_INVALID, "%s: input %u (%s) is %s: %s", c->op, i, input_name(c, i, name),
              tensor_text(c->in[i], shape), why);
}

forge_status shape_type(const shape_call *c, uint32_t i, uint32_t allowed) {
  if (!c->in[i]) return FORGE_OK;
  const uint8_t d = c->in[i]->dtype;
  const uint32_t is = d == FORGE_F32                      ? SHAPE_F32 | SHAPE_FLOAT
                      : d == FORGE_F16 || d == FORGE_BF16 ? SHAPE_FLOAT
                      : d == FORGE_I32                    ? SHAPE_I32
                      : d == FORGE_I8                     ? SHAPE_I8
                                                          : SHAPE_BLOCK;
  if (is & allowed) return FORGE_OK;
  return shape_fail(c, i, "wanted %s%s%s%s; CAST it first", allowed & SHAPE_F32 ? "F32 " : "",
                    allowed & SHAPE_FLOAT ? "a float type " : "", allowed & SHAPE_I32 ? "I32 " : "",
                    allowed & SHAPE_BLOCK ? "a block type" : "");
}

forge_status shape_rank(const shape_call *c, uint32_t i, uint32_t lo, uint32_t hi) {
  if (!c->in[i] || (c->in[i]->rank >= lo && c->in[i]->rank <= hi)) return FORGE_OK;
  if (lo == hi) return shape_fail(c, i, "rank %u wanted; reshape it", lo);
  return shape_fail(c, i, "a rank from %u to %u wanted; reshape it", lo, hi);
}

forge_status shape_same(const shape_call *c, uint32_t i, uint32_t j) {
  char name[32], shape[TENSOR_TEXT];
  if (!c->in[i] || !c->in[j] || tensor_same_dims(c->in[i], c->in[j])) return FORGE_OK;
  return shape_fail(c, i,
                    "the dims differ from input %u (%s) %s; ops do not broadcast by themselves, "
                    "repeat with a view of stride 0",
                    j, input_name(c, j, name), tensor_text(c->in[j], shape));
}

forge_status shape_dim(const shape_call *c, uint32_t i, uint32_t k, uint32_t j, uint32_t l) {
  char name[32], shape[TENSOR_TEXT];
  if (!c->in[i] || !c->in[j] || tensor_same_dim(c->in[i], k, c->in[j], l)) return FORGE_OK;
  return shape_fail(c, i,
                    "dimension %u (%" PRId64 "%s) differs from dimension %u (%" PRId64
                    "%s) of input %u (%s) %s",
                    k, c->in[i]->dim[k], c->in[i]->dim_scalar[k] ? ", a scalar" : "", l,
                    c->in[j]->dim[l], c->in[j]->dim_scalar[l] ? ", a scalar" : "", j,
                    input_name(c, j, name), tensor_text(c->in[j], shape));
}

forge_status shape_number(const shape_call *c, const forge_attr_number *n, const char *what) {
  if (n->scalar <= c->n_scalars) return FORGE_OK;
  return FAIL(FORGE_E_INVALID,
              "%s: attribute %s names scalar %u of %u; declare it first with forge_builder_scalar",
              c->op, what, n->scalar - 1, c->n_scalars);
}

forge_status shape_kind(const shape_call *c, uint32_t kind, uint32_t last, const char *what) {
  if (kind >= 1 && kind <= last) return FORGE_OK;
  return FAIL(FORGE_E_INVALID, "%s: %s %u is unknown; 1 to %u are defined in forge/ops.h", c->op,
              what, kind, last);
}

void shape_out(shape_call *c, uint32_t k, uint8_t dtype, const forge_tensor *like) {
  forge_tensor t = {.dtype = dtype, .rank = like->rank};
  memcpy(t.dim, like->dim, sizeof t.dim);
  memcpy(t.dim_scalar, like->dim_scalar, sizeof t.dim_scalar);
  c->out[k] = t;
}
