/* model_rows.c -- the rows of a stored tensor in the canonical order, whatever order the file has.
 * Bytes are moved, never computed with.
 *
 * Rotary positions turn pairs of rows of q and k. INTERLEAVED keeps the pair (2i, 2i+1) together;
 * HALF keeps i and i + head_dim/2. Going from one to the other is a permutation of the rows inside
 * each head. */
#include <string.h>

#include "model_parts.h"

int64_t model_row_elems(const model_tensor *t) {
  if (t->rank < 2) return t->rank ? t->dim[0] : 1;
  return t->dim[t->transposed ? 0 : 1];
}

int64_t model_row_count(const model_tensor *t) {
  if (t->rank < 2) return 1;
  return t->dim[t->transposed ? 1 : 0];
}

uint64_t model_row_bytes(const model_tensor *t) {
  uint64_t bytes = 0;
  (void)dtype_bytes(t->dtype, (uint64_t)model_row_elems(t), &bytes);
  return bytes;
}

static bool is_rotated(const model_tensor *t) {
  const char *dot = strrchr(t->name, '.');
  if (!dot || strcmp(dot, ".weight") != 0 || dot - t->name < 6) return false;
  return !strncmp(dot - 6, "attn_q", 6) || !strncmp(dot - 6, "attn_k", 6);
}

/* Which stored row holds what row |r| is to hold. */
static int64_t source_row(int64_t r, int64_t head_dim, uint32_t to) {
  const int64_t head = r / head_dim * head_dim, i = r % head_dim, half = head_dim / 2;
  if (to == FORGE_ROPE_STYLE_INTERLEAVED) return head + i / 2 + i % 2 * half;
  return head + i % half * 2 + i / half;
}

/* Element (r, c) of the result is element (c, r) of the file; plain types only. */
static void gather_columns(const model_tensor *t, int64_t first, int64_t n, uint8_t *out) {
  const int64_t rows = t->dim[0], cols = t->dim[1];
  const uint8_t *data = t->data;
  const size_t each = model_row_bytes(t) / (size_t)(rows ? rows : 1);
  for (int64_t c = 0; c < rows; c++)
    for (int64_t r = 0; r < n; r++)
      memcpy(out + (size_t)(r * rows + c) * each, data + (size_t)(c * cols + first + r) * each,
             each);
}

void model_rows(const model_tensor *t, const forge_model_config *config, uint32_t to, int64_t first,
                int64_t n, void *out) {
  const size_t bytes = model_row_bytes(t);
  const uint8_t *data = t->data;
  if (t->transposed) {
    gather_columns(t, first, n, out);
    return;
  }
  if (to == config->rope_style || config->family != FORGE_FAMILY_LLAMA || !is_rotated(t)) {
    if (n && bytes) memcpy(out, data + (size_t)first * bytes, (size_t)n * bytes);
    return;
  }
  for (int64_t r = 0; r < n; r++)
    memcpy((uint8_t *)out + (size_t)r * bytes,
           data + (size_t)source_row(first + r, config->head_dim, to) * bytes, bytes);
}
