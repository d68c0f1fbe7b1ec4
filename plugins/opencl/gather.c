/* gather.c -- the tables of all files of ops; the first row that accepts an op has it. */
#include "host.h"

const ocl_op *const ocl_op_tables[] = {
    ocl_ops_elementwise, ocl_ops_rows,      ocl_ops_reduce,    ocl_ops_random, ocl_ops_matmul,
    ocl_ops_quant,       ocl_ops_encode,    ocl_ops_attention, ocl_ops_norm,   ocl_ops_loss,
    ocl_ops_optimizer,   ocl_ops_pointwise, ocl_ops_sample,    ocl_ops_moe,    NULL};
