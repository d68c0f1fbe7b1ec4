/* shape.c -- shapes and walks: the helpers of opencl.h that ops ask about their tensors. */
#include <string.h>

#include "opencl.h"

int64_t ocl_elements(const forge_tensor *t) {
  int64_t n = 1;
  for (int k = 0; k < t->rank; k++) n *= t->dim[k];
  return n;
}

int64_t ocl_rows(const forge_tensor *t) {
  int64_t n = 1;
  for (int k = 0; k + 1 < t->rank; k++) n *= t->dim[k];
  return n;
}

int64_t ocl_columns(const forge_tensor *t) { return t->rank ? t->dim[t->rank - 1] : 1; }

int64_t ocl_column_stride(const forge_tensor *t) { return t->rank ? t->stride[t->rank - 1] : 1; }

bool ocl_is_dense(const forge_tensor *t) {
  int64_t stride = 1;
  for (int k = t->rank - 1; k >= 0; k--) {
    if (t->dim[k] > 1 && t->stride[k] != stride) return false;
    stride *= t->dim[k];
  }
  return true;
}

bool ocl_rows_dense(const forge_tensor *t) {
  return t->rank == 0 || t->dim[t->rank - 1] <= 1 || t->stride[t->rank - 1] == 1;
}

bool ocl_is_float(uint8_t dtype) {
  return dtype == FORGE_F32 || dtype == FORGE_F16 || dtype == FORGE_BF16;
}

bool ocl_is_moving(const forge_tensor *t) {
  for (int k = 0; k < t->rank; k++)
    if (t->dim_scalar[k]) return true;
  return false;
}

uint32_t ocl_type_bytes(uint8_t dtype) {
  switch (dtype) {
  case FORGE_F32:
  case FORGE_I32: return 4;
  case FORGE_F16:
  case FORGE_BF16: return 2;
  case FORGE_I8: return 1;
  default: return 0;
  }
}

double ocl_number(const ocl_call *c, const forge_attr_number *n) {
  if (!n->scalar) return n->value;
  double value;
  memcpy(&value, &c->scalar[n->scalar - 1], sizeof value);
  return value;
}

int64_t ocl_groups(int64_t n, int64_t per_group) { return n <= 0 ? 0 : (n - 1) / per_group + 1; }

/* Whether every tensor's step of dim |outer| is a whole run of the innermost dim so far. */
static bool joins(const ocl_nd *nd, const ocl_view *const *views, uint32_t n_views, int outer) {
  const int last = nd->rank - 1;
  for (uint32_t i = 0; i < n_views; i++)
    if (views[i]->there && views[i]->t.stride[outer] != nd->stride[i][last] * nd->dim[last])
      return false;
  return true;
}

/* The dims from |top| - 1 up, joined where they can be. */
static void walk(ocl_nd *out, const ocl_view *const *views, uint32_t n_views, int top) {
  const forge_tensor *shape = &views[0]->t;
  *out = (ocl_nd){.n = 1};
  for (int k = top - 1; k >= 0; k--) {
    const int64_t dim = shape->dim[k];
    out->n *= dim;
    if (dim == 1) continue;
    if (out->rank && joins(out, views, n_views, k)) {
      out->dim[out->rank - 1] *= dim;
      continue;
    }
    for (uint32_t i = 0; i < n_views; i++)
      if (views[i]->there) out->stride[i][out->rank] = views[i]->t.stride[k];
    out->dim[out->rank++] = dim;
  }
  out->dense = out->rank <= 1;
  for (uint32_t i = 0; i < n_views && out->rank; i++)
    if (views[i]->there && out->stride[i][0] != 1) out->dense = 0;
}

void ocl_nd_make(ocl_nd *out, const ocl_view *const *views, uint32_t n_views) {
  walk(out, views, n_views, views[0]->t.rank);
}

void ocl_nd_rows(ocl_nd *out, const ocl_view *const *views, uint32_t n_views) {
  walk(out, views, n_views, views[0]->t.rank ? views[0]->t.rank - 1 : 0);
}
