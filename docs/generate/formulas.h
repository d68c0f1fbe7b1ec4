/* formulas.h -- what the op reference is made from: the core's own expansions and reverse steps,
 * run on small shapes and written as lines such as "t1 = MATMUL(x, w, TRANS_B) -> [3, 7]". cases.c
 * one op with inputs each lines.c  a list of ops as text main.c   all cases through the core, as
 * JSON; ops.py makes docs/ops.md of it */
#ifndef FORMULAS_H
#define FORMULAS_H

#include <jansson.h>

#include "graph.h"

enum { FORMULA_EXPAND = 1, FORMULA_GRADIENT = 2 }; /* what a case is shown for */

typedef struct formula_input {
  const char *name; /* NULL: absent */
  uint8_t dtype, role, rank;
  int64_t dim[FORGE_MAX_RANK];
} formula_input;

typedef struct formula_case {
  uint16_t op;
  uint8_t uses; /* FORMULA_*; 0: only its attributes are checked */
  const char *title;
  const char *attributes; /* the struct's name without forge_attr_ */
  const void *attr;
  uint32_t attr_bytes, n_in;
  formula_input in[6];
  forge_tensor wanted; /* rank and dtype where the output does not follow */
} formula_case;

extern const formula_case formula_cases[];
extern const size_t formula_n_cases;

/* Ops |first| .. of |g| as lines; an array of strings. */
json_t *formula_lines(const forge_builder *g, size_t first);
/* One tensor as an operand: its name, and dims and strides where it is seen otherwise. */
void formula_operand(const forge_builder *g, forge_tid tid, char *out, size_t bytes);

#endif
