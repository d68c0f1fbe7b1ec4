/* llama2c.h -- the llama2.c file format, version 0, for its reader and its writer. */
#ifndef FORGE_LLAMA2C_H
#define FORGE_LLAMA2C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct llama2c_header {
  int32_t dim, hidden_dim, n_layers, n_heads, n_kv_heads;
  int32_t vocab_size; /* negative: a head of its own follows */
  int32_t seq_len;
} llama2c_header;

/* What the format leaves out. */
#define LLAMA2C_NORM_EPS  1e-5
#define LLAMA2C_ROPE_BASE 10000.0

/* Kinds of tensors in file order, the head excepted. */
uint32_t llama2c_kinds(void);
/* Canonical name of kind |kind| in |layer|; true when there is one per layer. */
bool llama2c_tensor_name(uint32_t kind, uint32_t layer, char *out, size_t n);
/* Bytes of the two unused tables between the last norm and the head. */
uint64_t llama2c_table_bytes(const llama2c_header *h);

#endif
