/* tensor.c -- arithmetic on tensor descriptions: sizes, strides, reshapes that move nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "graph.h"

const char *tensor_text(const forge_tensor *t, char out[TENSOR_TEXT]) {
  int n = snprintf(out, TENSOR_TEXT, "%s [", dtype_name(t->dtype));
  for (uint32_t k = 0; k < t->rank; k++)
    n += snprintf(out + n, TENSOR_TEXT - (size_t)n, "%s%s%" PRId64, k ? ", " : "",
                  t->dim_scalar[k] ? "<=" : "", t->dim[k]);
  snprintf(out + n, TENSOR_TEXT - (size_t)n, "]");
  return out;
}

forge_status tensor_set_dense(forge_tensor *t, uint64_t *out_elements) {
  char shown[TENSOR_TEXT];
  int64_t n = 1;
  bool overflow = false;
  for (uint32_t k = t->rank; k-- > 0;) {
    t->stride[k] = n;
    overflow |= t->dim[k] < 0 || MUL_OVERFLOWS(n, t->dim[k] ? t->dim[k] : 1, &n);
  }
  for (uint32_t k = t->rank; k < FORGE_MAX_RANK; k++) t->dim[k] = t->stride[k] = 0;
  if (overflow || n > INT64_MAX / 16)
    return FAIL(FORGE_E_INVALID, "a tensor of %s has a negative extent or too many elements",
                tensor_text(t, shown));
  *out_elements = tensor_elements(t);
  return FORGE_OK;
}

bool tensor_is_dense(const forge_tensor *t) {
  int64_t n = 1;
  for (uint32_t k = t->rank; k-- > 0;) {
    if (t->dim[k] != 1 && t->stride[k] != n) return false;
    n *= t->dim[k];
  }
  return true;
}

bool tensor_same_dim(const forge_tensor *a, uint32_t i, const forge_tensor *b, uint32_t j) {
  return a->dim[i] == b->dim[j] && a->dim_scalar[i] == b->dim_scalar[j];
}

bool tensor_same_dims(const forge_tensor *a, const forge_tensor *b) {
  if (a->rank != b->rank) return false;
  for (uint32_t k = 0; k < a->rank; k++)
    if (!tensor_same_dim(a, k, b, k)) return false;
  return true;
}

bool tensor_has_scalar(const forge_tensor *t) {
  for (uint32_t k = 0; k < t->rank; k++)
    if (t->dim_scalar[k]) return true;
  return false;
}

uint64_t tensor_elements(const forge_tensor *t) {
  uint64_t n = 1;
  for (uint32_t k = 0; k < t->rank; k++) n *= (uint64_t)t->dim[k];
  return n;
}

uint64_t tensor_span(const forge_tensor *t) {
  uint64_t n = 0;
  for (uint32_t k = 0; k < t->rank; k++)
    if (t->dim[k]) n += (uint64_t)(t->dim[k] - 1) * (uint64_t)t->stride[k];
  return n;
}

/* The dim not yet taken that steps least; rank if none is left. */
static uint32_t least_step(const forge_tensor *t, uint32_t taken) {
  uint32_t k = t->rank;
  for (uint32_t i = 0; i < t->rank; i++)
    if (!(taken >> i & 1) && (k == t->rank || t->stride[i] < t->stride[k])) k = i;
  return k;
}

bool tensor_is_injective(const forge_tensor *t) {
  uint32_t taken = 0;
  int64_t reach = 0; /* farthest place the dims taken so far get to */
  for (uint32_t k; (k = least_step(t, taken)) < t->rank;) {
    taken |= 1u << k;
    if (t->dim[k] <= 1 && !t->dim_scalar[k]) continue;
    if (t->stride[k] <= reach) return false;
    reach += (t->dim[k] - 1) * t->stride[k];
  }
  return true;
}

/* One run of source dims with the run of new dims that has the same product. */
static bool split_group(const forge_tensor *t, uint32_t i, uint32_t i_end, const int64_t *dim,
                        uint32_t j, uint32_t j_end, int64_t *stride) {
  int64_t step = 0, expect = 0;
  bool first = true;
  for (uint32_t k = i_end; k-- > i;) { /* the source dims must be one arithmetic progression */
    if (t->dim[k] == 1) continue;
    if (!first && t->stride[k] != expect) return false;
    if (first) step = t->stride[k];
    first = false;
    expect = t->stride[k] * t->dim[k];
  }
  int64_t s = first ? 1 : step;
  for (uint32_t k = j_end; k-- > j;) {
    stride[k] = s;
    s *= dim[k];
  }
  return true;
}

bool tensor_reshape(const forge_tensor *t, uint8_t rank, const int64_t *dim, forge_tensor *out) {
  forge_tensor r = {.dtype = t->dtype, .rank = rank, .layout = t->layout};
  memcpy(r.dim, dim, rank * sizeof *dim);
  uint64_t n;
  if (tensor_set_dense(&r, &n)) return false;
  if (tensor_is_dense(t) || !n) {
    *out = r;
    return true;
  }
  uint32_t i = 0, j = 0;
  while (i < t->rank || j < rank) {
    const uint32_t i0 = i, j0 = j;
    int64_t a = i < t->rank ? t->dim[i++] : 1, b = j < rank ? dim[j++] : 1;
    while (a != b) {
      if (a < b && i < t->rank)
        a *= t->dim[i++];
      else if (b < a && j < rank)
        b *= dim[j++];
      else
        return false;
    }
    if (!split_group(t, i0, i, dim, j0, j, r.stride)) return false;
  }
  *out = r;
  return true;
}

forge_status tensor_reshape_scalars(const forge_tensor *t, uint8_t rank, const int64_t *dim,
                                    uint8_t *out_scalar) {
  char shown[TENSOR_TEXT];
  memset(out_scalar, 0, 8);
  for (uint32_t i = 0; i < t->rank; i++) {
    if (!t->dim_scalar[i]) continue;
    int64_t before = 1, seen = 1;
    for (uint32_t k = 0; k < i; k++) before *= t->dim[k];
    uint32_t found = FORGE_MAX_RANK;
    for (uint32_t k = 0; k < rank; k++) { /* the last fitting place: extents of 1 come before it */
      if (seen == before && dim[k] == t->dim[i] && !out_scalar[k]) found = k;
      seen *= dim[k];
    }
    if (found == FORGE_MAX_RANK)
      return FAIL(FORGE_E_INVALID,
                  "reshape of %s: dimension %u is a scalar and must stay whole behind the same "
                  "leading extents; keep an extent of %" PRId64 " there",
                  tensor_text(t, shown), i, t->dim[i]);
    out_scalar[found] = t->dim_scalar[i];
  }
  return FORGE_OK;
}
