/* gather.c -- the op tables of all kernel files behind one lookup. */
#include "glue.h"

static const cpu_op *const tables[] = {
    cpu_ops_matmul, cpu_ops_move,      cpu_ops_pointwise, cpu_ops_reduce,
    cpu_ops_norm,   cpu_ops_rope,      cpu_ops_attention, cpu_ops_loss,
    cpu_ops_moe,    cpu_ops_optimizer, cpu_ops_random,
};

const cpu_op *cpu_find_op(uint16_t op) {
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
    for (const cpu_op *row = tables[i]; row->op; row++)
      if (row->op == op) return row;
  return NULL;
}
