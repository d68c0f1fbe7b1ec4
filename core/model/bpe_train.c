/* bpe_train.c -- counts the pairs in the distinct words of a text, joins the commonest, and updates
 * only the words that hold it. The heap holds old counts; an entry that is no longer true is put
 * back with the true one, or dropped. */
#include <stdlib.h>
#include <string.h>

#include "bpe_train.h"

typedef struct train_word {
  uint32_t at, n; /* symbols */
  uint32_t count;
} train_word;

typedef struct pair {
  int32_t left, right;
  int64_t count;
  uint32_t *words; /* where it was seen; may repeat and may be out of date */
  size_t n, cap;
  bool touched;
} pair;

typedef struct offer {
  int64_t count;
  uint32_t pair;
} offer;

typedef struct trainer {
  bpe_trained *out;
  piece_table pieces;
  int32_t *symbols;
  train_word *words;
  size_t n_words, cap_words;
  pair *pairs;
  size_t n_pairs, cap_pairs;
  uint32_t *slots, mask; /* (left, right) -> pair + 1 */
  offer *heap;
  size_t n_heap, cap_heap;
  uint32_t *touched; /* pairs whose count grew in this step */
  size_t n_touched, cap_touched;
} trainer;

void bpe_trained_finish(bpe_trained *trained) {
  for (uint32_t i = 0; trained->pieces && i < trained->n; i++) {
    void *own;
    memcpy(&own, &trained->pieces[i].s, sizeof own);
    mem_free(own);
  }
  mem_free(trained->pieces);
  mem_free(trained->merges);
  *trained = (bpe_trained){0};
}

static void finish(trainer *t) {
  for (size_t i = 0; i < t->n_pairs; i++) mem_free(t->pairs[i].words);
  mem_free(t->pieces.slots);
  mem_free(t->symbols);
  mem_free(t->words);
  mem_free(t->pairs);
  mem_free(t->slots);
  mem_free(t->heap);
  mem_free(t->touched);
}

static forge_status out_of_memory(void) { return FAIL(FORGE_E_OOM, "byte-pair training"); }

/* ---- pairs ---- */

static uint32_t place_of(const trainer *t, int32_t left, int32_t right) {
  const uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
  return (uint32_t)(((key ^ key >> 29) * 0x9E3779B97F4A7C15u) >> 32) & t->mask;
}

static forge_status grow_slots(trainer *t) {
  const uint32_t slots = t->slots ? 2 * (t->mask + 1) : 1 << 14;
  uint32_t *bigger = mem_zalloc_array(slots, sizeof *bigger);
  if (!bigger) return out_of_memory();
  mem_free(t->slots);
  t->slots = bigger;
  t->mask = slots - 1;
  for (uint32_t i = 0; i < t->n_pairs; i++) {
    uint32_t at = place_of(t, t->pairs[i].left, t->pairs[i].right);
    while (bigger[at]) at = (at + 1) & t->mask;
    bigger[at] = i + 1;
  }
  return FORGE_OK;
}

static forge_status find_pair(trainer *t, int32_t left, int32_t right, uint32_t *out) {
  if (!t->slots || 2 * t->n_pairs > t->mask) TRY(grow_slots(t));
  uint32_t at = place_of(t, left, right);
  for (; t->slots[at]; at = (at + 1) & t->mask) {
    *out = t->slots[at] - 1;
    if (t->pairs[*out].left == left && t->pairs[*out].right == right) return FORGE_OK;
  }
  if (!ARRAY_GROW(t->pairs, t->n_pairs, t->cap_pairs)) return out_of_memory();
  *out = (uint32_t)t->n_pairs++;
  t->pairs[*out] = (pair){.left = left, .right = right};
  t->slots[at] = *out + 1;
  return FORGE_OK;
}

/* |count| more of the pair in word |word|; below zero: fewer. */
static forge_status count_pair(trainer *t, int32_t left, int32_t right, int64_t count,
                               uint32_t where) {
  uint32_t index = 0;
  TRY(find_pair(t, left, right, &index));
  pair *p = &t->pairs[index];
  p->count += count;
  if (count < 0) return FORGE_OK;
  if (!p->n || p->words[p->n - 1] != where) {
    if (!ARRAY_GROW(p->words, p->n, p->cap)) return out_of_memory();
    p->words[p->n++] = where;
  }
  if (p->touched) return FORGE_OK;
  if (!ARRAY_GROW(t->touched, t->n_touched, t->cap_touched)) return out_of_memory();
  t->touched[t->n_touched++] = index;
  p->touched = true;
  return FORGE_OK;
}

/* The commoner first, of equals the lower ids. */
static bool is_better(const trainer *t, offer a, offer b) {
  if (a.count != b.count) return a.count > b.count;
  const pair *x = &t->pairs[a.pair], *y = &t->pairs[b.pair];
  return x->left != y->left ? x->left < y->left : x->right < y->right;
}

static forge_status heap_push(trainer *t, offer o) {
  if (!ARRAY_GROW(t->heap, t->n_heap, t->cap_heap)) return out_of_memory();
  size_t i = t->n_heap++;
  for (; i && is_better(t, o, t->heap[(i - 1) / 2]); i = (i - 1) / 2)
    t->heap[i] = t->heap[(i - 1) / 2];
  t->heap[i] = o;
  return FORGE_OK;
}

static offer heap_pop(trainer *t) {
  const offer top = t->heap[0], last = t->heap[--t->n_heap];
  size_t i = 0;
  for (size_t child = 1; child < t->n_heap; child = 2 * i + 1) {
    if (child + 1 < t->n_heap && is_better(t, t->heap[child + 1], t->heap[child])) child++;
    if (!is_better(t, t->heap[child], last)) break;
    t->heap[i] = t->heap[child];
    i = child;
  }
  t->heap[i] = last;
  return top;
}

static forge_status offer_touched(trainer *t) {
  for (size_t i = 0; i < t->n_touched; i++) {
    pair *p = &t->pairs[t->touched[i]];
    p->touched = false;
    if (p->count > 1) TRY(heap_push(t, (offer){.count = p->count, .pair = t->touched[i]}));
  }
  t->n_touched = 0;
  return FORGE_OK;
}

static forge_status best_pair(trainer *t, bool *out_found, uint32_t *out) {
  *out_found = false;
  while (t->n_heap && !*out_found) {
    const offer top = heap_pop(t);
    const int64_t now = t->pairs[top.pair].count;
    *out = top.pair;
    *out_found = now == top.count;
    if (now < top.count && now > 1) TRY(heap_push(t, (offer){.count = now, .pair = top.pair}));
  }
  return FORGE_OK;
}

/* ---- words ---- */

/* Equal words next to each other after sorting; |base| is what their places refer to. */
static int by_bytes(const void *a, const void *b, void *base) {
  const word *x = a, *y = b;
  const char *s = base;
  const int order = memcmp(s + x->at, s + y->at, x->n < y->n ? x->n : y->n);
  return order ? order : x->n < y->n ? -1 : x->n > y->n;
}

static forge_status take_word(trainer *t, const char *s, word w, uint32_t count, uint32_t *at) {
  if (!ARRAY_GROW(t->words, t->n_words, t->cap_words)) return out_of_memory();
  const uint32_t index = (uint32_t)t->n_words++;
  t->words[index] = (train_word){.at = *at, .n = w.n, .count = count};
  for (uint32_t i = 0; i < w.n; i++) {
    t->symbols[*at + i] = (uint8_t)s[w.at + i];
    if (i) TRY(count_pair(t, t->symbols[*at + i - 1], t->symbols[*at + i], count, index));
  }
  *at += w.n;
  return FORGE_OK;
}

static forge_status count_words(trainer *t, char *s, uint32_t n, words *list) {
  t->symbols = mem_zalloc_array(n, sizeof *t->symbols);
  if (!t->symbols) return out_of_memory();
  if (list->n) qsort_r(list->items, list->n, sizeof *list->items, by_bytes, s);
  uint32_t at = 0;
  for (size_t i = 0, next; i < list->n; i = next) {
    for (next = i + 1; next < list->n && !by_bytes(&list->items[i], &list->items[next], s);) next++;
    TRY(take_word(t, s, list->items[i], (uint32_t)(next - i), &at));
  }
  return offer_touched(t);
}

static forge_status cut(const char *s, uint32_t n, words *out) {
  pretokenizer p = {0};
  words spare = {0};
  forge_status st = pretokenize_add_named(&p, "gpt-2");
  if (!st) st = pretokenize_run(&p, s, n, out, &spare);
  mem_free(spare.items);
  pretokenize_finish(&p);
  return st;
}

/* ---- joining ---- */

/* The piece of two pieces together, new unless there is one with the same bytes. */
static forge_status join_pieces(trainer *t, int32_t left, int32_t right, int32_t *out) {
  bpe_trained *v = t->out;
  const tokenizer_piece a = v->pieces[left], b = v->pieces[right];
  char *bytes = mem_alloc(a.n + b.n);
  if (!bytes) return out_of_memory();
  memcpy(bytes, a.s, a.n);
  memcpy(bytes + a.n, b.s, b.n);
  *out = piece_table_find(&t->pieces, bytes, a.n + b.n);
  if (*out >= 0) {
    mem_free(bytes);
    return FORGE_OK;
  }
  uint32_t other;
  *out = (int32_t)v->n;
  v->pieces[v->n] = (tokenizer_piece){.s = bytes, .n = a.n + b.n};
  (void)piece_table_add(&t->pieces, v->n++, &other);
  return FORGE_OK;
}

/* Joins the pair wherever it stands in one word, counting the pairs that go and come. */
static forge_status join_in_word(trainer *t, uint32_t index, int32_t left, int32_t right,
                                 int32_t joined) {
  train_word *w = &t->words[index];
  int32_t *s = t->symbols + w->at;
  const int64_t count = w->count;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < w->n; i++) {
    if (i + 1 == w->n || s[i] != left || s[i + 1] != right) {
      s[kept++] = s[i];
      continue;
    }
    TRY(count_pair(t, left, right, -count, index));
    if (kept) {
      TRY(count_pair(t, s[kept - 1], left, -count, index));
      TRY(count_pair(t, s[kept - 1], joined, count, index));
    }
    if (i + 2 < w->n) {
      TRY(count_pair(t, right, s[i + 2], -count, index));
      TRY(count_pair(t, joined, s[i + 2], count, index));
    }
    s[kept++] = joined;
    i++;
  }
  w->n = kept;
  return FORGE_OK;
}

static forge_status join_everywhere(trainer *t, uint32_t index) {
  const int32_t left = t->pairs[index].left, right = t->pairs[index].right;
  int32_t joined = 0;
  TRY(join_pieces(t, left, right, &joined));
  uint32_t *where = t->pairs[index].words; /* the pair array may move below */
  const size_t n = t->pairs[index].n;
  t->pairs[index].words = NULL;
  t->pairs[index].n = t->pairs[index].cap = 0;
  forge_status st = FORGE_OK;
  for (size_t i = 0; i < n && !st; i++) st = join_in_word(t, where[i], left, right, joined);
  mem_free(where);
  TRY(st);
  bpe_trained *v = t->out;
  if (!ARRAY_GROW(v->merges, v->n_merges, v->cap_merges)) return out_of_memory();
  v->merges[v->n_merges++] = (tokenizer_merge){.left = left, .right = right};
  return offer_touched(t);
}

static forge_status start_pieces(trainer *t, uint32_t vocab_size) {
  bpe_trained *v = t->out;
  v->pieces = mem_zalloc_array(vocab_size, sizeof *v->pieces);
  if (!v->pieces) return out_of_memory();
  TRY(piece_table_init(&t->pieces, v->pieces, vocab_size));
  for (uint32_t i = 0, other; i < 256; i++) {
    const char byte = (char)i;
    v->pieces[i] = (tokenizer_piece){.s = mem_strndup(&byte, 1), .n = 1};
    v->n = i + 1;
    if (!v->pieces[i].s) return out_of_memory();
    (void)piece_table_add(&t->pieces, i, &other);
  }
  return FORGE_OK;
}

static forge_status train(trainer *t, const char *s, uint32_t n, uint32_t vocab_size) {
  words list = {0};
  char *copy = mem_strndup(s, n); /* qsort_r takes a plain pointer */
  forge_status st = copy ? start_pieces(t, vocab_size) : out_of_memory();
  if (!st) st = cut(copy, n, &list);
  if (!st) st = count_words(t, copy, n, &list);
  mem_free(list.items);
  mem_free(copy);
  TRY(st);
  while (t->out->n < vocab_size) {
    bool found = false;
    uint32_t best = 0;
    TRY(best_pair(t, &found, &best));
    if (!found) break;
    TRY(join_everywhere(t, best));
  }
  return FORGE_OK;
}

forge_status bpe_train(const char *s, uint32_t n, uint32_t vocab_size, bpe_trained *out) {
  trainer t = {.out = out};
  const forge_status st = train(&t, s, n, vocab_size);
  finish(&t);
  return st;
}
