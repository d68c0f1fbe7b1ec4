/* view.c -- shapes and addresses: the helpers of cpu.h that kernels ask about their tensors. */
#include <string.h>

#include "cpu.h"

int64_t cpu_elements(const forge_tensor *t) {
  int64_t n = 1;
  for (int k = 0; k < t->rank; k++) n *= t->dim[k];
  return n;
}

bool cpu_is_dense(const forge_tensor *t) {
  int64_t stride = 1;
  for (int k = t->rank - 1; k >= 0; k--) {
    if (t->dim[k] > 1 && t->stride[k] != stride) return false;
    stride *= t->dim[k];
  }
  return true;
}

bool cpu_rows_dense(const forge_tensor *t) {
  return t->rank == 0 || t->dim[t->rank - 1] <= 1 || t->stride[t->rank - 1] == 1;
}

int64_t cpu_rows(const forge_tensor *t) {
  int64_t n = 1;
  for (int k = 0; k + 1 < t->rank; k++) n *= t->dim[k];
  return n;
}

int64_t cpu_columns(const forge_tensor *t) { return t->rank ? t->dim[t->rank - 1] : 1; }

int64_t cpu_row_offset(const forge_tensor *t, int64_t row) {
  int64_t offset = 0;
  for (int k = t->rank - 2; k >= 0; k--) {
    offset += row % t->dim[k] * t->stride[k];
    row /= t->dim[k];
  }
  return offset;
}

uint32_t cpu_type_bytes(uint8_t dtype) {
  switch (dtype) {
  case FORGE_F32:
  case FORGE_I32: return 4;
  case FORGE_F16:
  case FORGE_BF16: return 2;
  case FORGE_I8: return 1;
  default: return 0;
  }
}

double cpu_number(const cpu_call *c, const forge_attr_number *n) {
  if (!n->scalar) return n->value;
  double value;
  memcpy(&value, &c->scalar[n->scalar - 1], sizeof value);
  return value;
}
