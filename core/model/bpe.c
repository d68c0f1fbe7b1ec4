/* bpe.c -- symbols in a linked list, possible joins in a binary heap; a join that no longer fits is
 * dropped when it comes up. */
#include "bpe.h"

void bpe_work_finish(bpe_work *work) {
  mem_free(work->symbols);
  mem_free(work->heap);
  *work = (bpe_work){0};
}

forge_status bpe_push(bpe_work *work, uint32_t at, uint32_t n, int32_t id) {
  if (!ARRAY_GROW(work->symbols, work->n, work->cap))
    return FAIL(FORGE_E_OOM, "tokenizer: a word of %zu symbols", work->n);
  const int32_t index = (int32_t)work->n++;
  work->symbols[index] = (bpe_symbol){.at = at, .n = n, .prev = index - 1, .next = -1, .id = id};
  if (index) work->symbols[index - 1].next = index;
  return FORGE_OK;
}

static forge_status heap_push(bpe_work *work, bpe_join join) {
  if (!ARRAY_GROW(work->heap, work->n_heap, work->cap_heap))
    return FAIL(FORGE_E_OOM, "tokenizer: %zu joins", work->n_heap);
  size_t i = work->n_heap++;
  for (; i && work->heap[(i - 1) / 2].key > join.key; i = (i - 1) / 2)
    work->heap[i] = work->heap[(i - 1) / 2];
  work->heap[i] = join;
  return FORGE_OK;
}

static bpe_join heap_pop(bpe_work *work) {
  const bpe_join top = work->heap[0], last = work->heap[--work->n_heap];
  const size_t n = work->n_heap;
  size_t i = 0;
  for (size_t child = 1; child < n; child = 2 * i + 1) {
    if (child + 1 < n && work->heap[child + 1].key < work->heap[child].key) child++;
    if (work->heap[child].key >= last.key) break;
    work->heap[i] = work->heap[child];
    i = child;
  }
  work->heap[i] = last;
  return top;
}

/* User-defined pieces are whole already and join nothing. */
static bool is_frozen(const forge_tokenizer *t, const bpe_symbol *s) {
  return s->id >= 0 && t->vocab.types[s->id] == TOKENIZER_USER;
}

static bool spm_join(const forge_tokenizer *t, const bpe_work *work, const bpe_symbol *left,
                     const bpe_symbol *right, uint32_t *out_rank, int32_t *out_id) {
  const uint32_t n = left->n + right->n;
  if (n > t->max_piece || is_frozen(t, left) || is_frozen(t, right)) return false;
  *out_id = piece_table_find(&t->pieces, work->s + left->at, n);
  if (*out_id < 0) return false;
  *out_rank = t->ranks[*out_id];
  return *out_rank != UINT32_MAX;
}

static bool merge_join(const forge_tokenizer *t, const bpe_symbol *left, const bpe_symbol *right,
                       uint32_t *out_rank, int32_t *out_id) {
  if (left->id < 0 || right->id < 0) return false;
  const merge_slot *slot = merge_table_find(&t->merges, left->id, right->id);
  if (!slot) return false;
  *out_rank = slot->rank;
  *out_id = (int32_t)(slot->id1 - 1);
  return true;
}

/* Puts the join of symbol |index| with its right neighbour, if there is one, on the heap. */
static forge_status offer(bpe_work *work, const forge_tokenizer *t, int32_t index) {
  if (index < 0 || work->symbols[index].next < 0) return FORGE_OK;
  const bpe_symbol *left = &work->symbols[index], *right = &work->symbols[left->next];
  uint32_t rank;
  int32_t id;
  const bool joins = t->vocab.kind == TOKENIZER_SPM ? spm_join(t, work, left, right, &rank, &id)
                                                    : merge_join(t, left, right, &rank, &id);
  if (!joins) return FORGE_OK;
  return heap_push(
      work,
      (bpe_join){.key = (uint64_t)rank << 32 | (uint32_t)index, .n = left->n + right->n, .id = id});
}

/* Lengths only grow, so that a left and a right part of the old length together are the old parts.
 */
static bool is_stale(const bpe_work *work, const bpe_join *join) {
  const bpe_symbol *left = &work->symbols[(uint32_t)join->key];
  if (!left->n || left->next < 0) return true;
  return left->n + work->symbols[left->next].n != join->n;
}

static void take(bpe_work *work, const bpe_join *join) {
  bpe_symbol *left = &work->symbols[(uint32_t)join->key], *right = &work->symbols[left->next];
  left->n = join->n;
  left->id = join->id;
  left->next = right->next;
  if (right->next >= 0) work->symbols[right->next].prev = (int32_t)(uint32_t)join->key;
  right->n = 0;
}

forge_status bpe_run(bpe_work *work, const forge_tokenizer *t) {
  work->n_heap = 0;
  for (size_t i = 0; i + 1 < work->n; i++) TRY(offer(work, t, (int32_t)i));
  while (work->n_heap) {
    const bpe_join join = heap_pop(work);
    if (is_stale(work, &join)) continue;
    take(work, &join);
    const int32_t index = (int32_t)(uint32_t)join.key;
    TRY(offer(work, t, work->symbols[index].prev));
    TRY(offer(work, t, index));
  }
  return FORGE_OK;
}
