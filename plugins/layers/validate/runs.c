/* runs.c -- see runs.h. */
#include "runs.h"

#include <string.h>

/* True when the dimensions from |k| on touch every byte between their first and their last. */
static bool is_dense(const forge_tensor *t, uint32_t k) {
  uint64_t span, elems;
  forge_tensor part = *t;
  part.rank = (uint8_t)(t->rank - k);
  memmove(part.dim, t->dim + k, part.rank * sizeof *part.dim);
  memmove(part.stride, t->stride + k, part.rank * sizeof *part.stride);
  if (!kit_view_span(&part, &span) || !kit_view_elems(&part, &elems)) return false;
  const uint64_t bytes = elems / kit_block_elems(t->dtype) * kit_block_bytes(t->dtype);
  for (uint32_t i = 0; i < part.rank; i++)
    if (part.dim[i] > 1 && !part.stride[i]) return false; /* repeats: counted too often */
  return bytes >= span;
}

static uint64_t bytes_at(const forge_tensor *t, uint64_t element) {
  return element / kit_block_elems(t->dtype) * kit_block_bytes(t->dtype);
}

void runs_of(const forge_slot *slot, runs *out) {
  const forge_tensor *t = &slot->tensor;
  uint64_t span, rows = 1;
  uint32_t k = 0;
  kit_view_span(t, &span);
  *out = (runs){.exact = true};
  if (!span) return;
  while (k < t->rank && !is_dense(t, k) && rows * (uint64_t)t->dim[k] <= MAX_RUNS)
    rows *= (uint64_t)t->dim[k++];
  if (!is_dense(t, k)) {
    *out = (runs){.n = 1};
    out->at[0].lo = slot->offset;
    out->at[0].hi = slot->offset + span;
    return;
  }
  forge_tensor row = *t;
  row.rank = (uint8_t)(t->rank - k);
  memmove(row.dim, t->dim + k, row.rank * sizeof *row.dim);
  memmove(row.stride, t->stride + k, row.rank * sizeof *row.stride);
  kit_view_span(&row, &span);
  for (uint64_t r = 0; r < rows; r++) {
    uint64_t rest = r, element = 0;
    for (uint32_t d = k; d--;) {
      element += rest % (uint64_t)t->dim[d] * (uint64_t)t->stride[d];
      rest /= (uint64_t)t->dim[d];
    }
    out->at[out->n].lo = slot->offset + bytes_at(t, element);
    out->at[out->n].hi = out->at[out->n].lo + span;
    out->n++;
  }
}

bool runs_meet(const forge_slot *a, const forge_slot *b, uint64_t *out) {
  uint64_t span_a, span_b;
  if (a->bind != b->bind || !kit_view_span(&a->tensor, &span_a) ||
      !kit_view_span(&b->tensor, &span_b))
    return false;
  if (a->offset >= b->offset + span_b || b->offset >= a->offset + span_a) return false;
  runs x, y;
  runs_of(a, &x);
  runs_of(b, &y);
  for (uint32_t i = 0; x.exact && y.exact && i < x.n; i++)
    for (uint32_t k = 0; k < y.n; k++)
      if (x.at[i].lo < y.at[k].hi && y.at[k].lo < x.at[i].hi) {
        *out = x.at[i].lo > y.at[k].lo ? x.at[i].lo : y.at[k].lo;
        return true;
      }
  return false;
}

bool same_view(const forge_slot *a, const forge_slot *b) {
  return a->bind == b->bind && a->offset == b->offset &&
         !memcmp(&a->tensor, &b->tensor, sizeof a->tensor);
}
