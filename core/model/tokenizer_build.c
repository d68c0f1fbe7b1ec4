/* tokenizer_build.c -- from a vocabulary table, checked, to a tokenizer. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer_parts.h"

enum { MAX_MERGES = 1 << 23 };

/* For messages: no more of a piece than fits a line. */
#define SHOWN(piece) (int)((piece).n < 40 ? (piece).n : 40), (piece).s

static forge_status check_pieces(const tokenizer_vocab *v) {
  for (uint32_t i = 0; i < v->n; i++) {
    const tokenizer_piece piece = v->pieces[i];
    if (piece.n > TOKENIZER_MAX_PIECE_BYTES)
      return FAIL(FORGE_E_CORRUPT, "tokenizer: piece %u has %u bytes; at most %d are sane", i,
                  piece.n, TOKENIZER_MAX_PIECE_BYTES);
    if (v->types[i] < TOKENIZER_NORMAL || v->types[i] > TOKENIZER_BYTE)
      return FAIL(FORGE_E_CORRUPT, "tokenizer: piece %u has type %u; types are 1 to 6", i,
                  v->types[i]);
    if (v->types[i] == TOKENIZER_BYTE && tokenizer_byte_of_piece(&piece) < 0)
      return FAIL(FORGE_E_CORRUPT, "tokenizer: byte piece %u is \"%.*s\", not \"<0x..>\"", i,
                  SHOWN(piece));
    if (v->scores && isnan(v->scores[i]))
      return FAIL(FORGE_E_CORRUPT, "tokenizer: the score of piece %u is not a number", i);
  }
  return FORGE_OK;
}

static forge_status check_id(const tokenizer_vocab *v, const char *what, int32_t id) {
  if (id < -1 || (id >= 0 && (uint32_t)id >= v->n))
    return FAIL(FORGE_E_CORRUPT, "tokenizer: %s is id %d; ids are 0 to %u", what, id, v->n - 1);
  return FORGE_OK;
}

static forge_status check(const tokenizer_vocab *v) {
  if (v->kind != TOKENIZER_SPM && v->kind != TOKENIZER_BPE)
    return FAIL(FORGE_E_INVALID, "tokenizer: kind %u", v->kind);
  if (!v->n || v->n > TOKENIZER_MAX_PIECES)
    return FAIL(FORGE_E_CORRUPT, "tokenizer: %u pieces; 1 to %d are sane", v->n,
                TOKENIZER_MAX_PIECES);
  if (v->n_merges > MAX_MERGES)
    return FAIL(FORGE_E_CORRUPT, "tokenizer: %u merges; at most %d are sane", v->n_merges,
                MAX_MERGES);
  if (v->kind == TOKENIZER_SPM && !v->scores)
    return FAIL(FORGE_E_CORRUPT, "tokenizer: a SentencePiece vocabulary without scores");
  TRY(check_id(v, "BOS", v->bos));
  TRY(check_id(v, "EOS", v->eos));
  TRY(check_id(v, "UNK", v->unk));
  TRY(check_id(v, "PAD", v->pad));
  return check_pieces(v);
}

static void *copy_of(const void *items, size_t bytes) {
  void *copy = mem_alloc(bytes);
  if (copy && bytes) memcpy(copy, items, bytes);
  return copy;
}

/* The pieces themselves, one behind the other. */
static forge_status copy_pieces(forge_tokenizer *t, const tokenizer_vocab *v) {
  size_t total = 0;
  for (uint32_t i = 0; i < v->n; i++) total += v->pieces[i].n;
  tokenizer_piece *pieces = mem_zalloc_array(v->n, sizeof *pieces);
  t->vocab.pieces = pieces;
  t->piece_bytes = mem_alloc(total);
  if (!pieces || !t->piece_bytes) return FAIL(FORGE_E_OOM, "tokenizer: %zu bytes", total);
  char *at = t->piece_bytes;
  for (uint32_t i = 0; i < v->n; i++) {
    pieces[i] = (tokenizer_piece){.s = at, .n = v->pieces[i].n};
    if (pieces[i].n) memcpy(at, v->pieces[i].s, pieces[i].n);
    at += pieces[i].n;
    if (pieces[i].n > t->max_piece) t->max_piece = pieces[i].n;
  }
  return FORGE_OK;
}

/* Copies all arrays; |t->vocab| points to nothing of the caller's afterwards, also on failure. */
static forge_status copy_vocab(forge_tokenizer *t, const tokenizer_vocab *v) {
  t->vocab = *v;
  t->vocab.pieces = NULL;
  t->vocab.scores = v->scores ? copy_of(v->scores, v->n * sizeof *v->scores) : NULL;
  t->vocab.types = copy_of(v->types, v->n);
  t->vocab.strips = v->strips ? copy_of(v->strips, v->n) : NULL;
  t->vocab.merges =
      v->n_merges ? copy_of(v->merges, (size_t)v->n_merges * sizeof *v->merges) : NULL;
  t->vocab.pretokenizer = v->pretokenizer ? mem_strdup(v->pretokenizer) : NULL;
  t->vocab.pipeline = v->pipeline ? mem_strdup(v->pipeline) : NULL;
  if (!t->vocab.types || (v->scores && !t->vocab.scores) || (v->strips && !t->vocab.strips) ||
      (v->n_merges && !t->vocab.merges) || (v->pretokenizer && !t->vocab.pretokenizer) ||
      (v->pipeline && !t->vocab.pipeline))
    return FAIL(FORGE_E_OOM, "tokenizer: %u pieces, %u merges", v->n, v->n_merges);
  return copy_pieces(t, v);
}

static forge_status index_pieces(forge_tokenizer *t) {
  const tokenizer_vocab *v = &t->vocab;
  TRY(piece_table_init(&t->pieces, v->pieces, v->n));
  for (uint32_t i = 0; i < v->n; i++) {
    uint32_t other;
    if (v->pieces[i].n && !piece_table_add(&t->pieces, i, &other))
      return FAIL(FORGE_E_CORRUPT, "tokenizer: pieces %u and %u are the same, \"%.*s\"", other, i,
                  SHOWN(v->pieces[i]));
  }
  return FORGE_OK;
}

static forge_status index_merge(forge_tokenizer *t, uint32_t rank, char *joined) {
  const tokenizer_vocab *v = &t->vocab;
  const tokenizer_merge pair = v->merges[rank];
  if (pair.left < 0 || pair.right < 0 || (uint32_t)pair.left >= v->n ||
      (uint32_t)pair.right >= v->n)
    return FAIL(FORGE_E_CORRUPT, "tokenizer: merge %u is of ids %d and %d; ids are 0 to %u", rank,
                pair.left, pair.right, v->n - 1);
  const tokenizer_piece left = v->pieces[pair.left], right = v->pieces[pair.right];
  int32_t id = -1;
  if (left.n && right.n && left.n + right.n <= t->max_piece) {
    memcpy(joined, left.s, left.n);
    memcpy(joined + left.n, right.s, right.n);
    id = piece_table_find(&t->pieces, joined, left.n + right.n);
  }
  if (id < 0)
    return FAIL(FORGE_E_CORRUPT, "tokenizer: merge %u, \"%.*s\" and \"%.*s\", leads to no piece",
                rank, SHOWN(left), SHOWN(right));
  uint32_t other;
  if (!merge_table_add(&t->merges, pair, rank, (uint32_t)id, &other))
    return FAIL(FORGE_E_CORRUPT, "tokenizer: merges %u and %u are the same, \"%.*s\" and \"%.*s\"",
                other, rank, SHOWN(left), SHOWN(right));
  return FORGE_OK;
}

static forge_status index_merges(forge_tokenizer *t) {
  TRY(merge_table_init(&t->merges, t->vocab.n_merges));
  char *joined = mem_alloc(t->max_piece);
  forge_status st = joined ? FORGE_OK : FAIL(FORGE_E_OOM, "tokenizer: merges");
  for (uint32_t i = 0; i < t->vocab.n_merges && !st; i++) st = index_merge(t, i, joined);
  mem_free(joined);
  return st;
}

typedef struct scored {
  float score;
  uint32_t id;
} scored;

static int best_first(const void *a, const void *b) {
  const scored *x = a, *y = b;
  if (x->score != y->score) return x->score > y->score ? -1 : 1;
  return x->id < y->id ? -1 : x->id > y->id;
}

/* Scores as places in order, equal ones sharing a place, so that joining compares integers. */
static forge_status rank_scores(forge_tokenizer *t) {
  const tokenizer_vocab *v = &t->vocab;
  scored *order = mem_zalloc_array(v->n, sizeof *order);
  t->ranks = mem_zalloc_array(v->n, sizeof *t->ranks);
  if (!order || !t->ranks) {
    mem_free(order);
    return FAIL(FORGE_E_OOM, "tokenizer: %u scores", v->n);
  }
  for (uint32_t i = 0; i < v->n; i++) order[i] = (scored){.score = v->scores[i], .id = i};
  qsort(order, v->n, sizeof *order, best_first);
  for (uint32_t i = 0, rank = 0; i < v->n; i++) {
    if (i && order[i].score != order[i - 1].score) rank = i;
    t->ranks[order[i].id] = tokenizer_is_text(v->types[order[i].id]) ? rank : UINT32_MAX;
  }
  mem_free(order);
  return FORGE_OK;
}

static uint32_t put_code_point(uint32_t c, char *s) {
  if (c < 0x80) {
    s[0] = (char)c;
    return 1;
  }
  s[0] = (char)(0xC0 | c >> 6); /* the alphabet ends below U+0800 */
  s[1] = (char)(0x80 | (c & 0x3F));
  return 2;
}

static void index_bytes(forge_tokenizer *t) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    char piece[8];
    uint32_t n;
    if (t->vocab.byte_level)
      n = put_code_point(alphabet_of_byte((uint8_t)byte), piece);
    else
      n = (uint32_t)snprintf(piece, sizeof piece, "<0x%02X>", byte);
    const int32_t id = piece_table_find(&t->pieces, piece, n);
    const uint8_t wanted = t->vocab.byte_level ? TOKENIZER_NORMAL : TOKENIZER_BYTE;
    t->byte_ids[byte] = id >= 0 && t->vocab.types[id] == wanted ? id : -1;
  }
}

static forge_status index_added(forge_tokenizer *t) {
  const tokenizer_vocab *v = &t->vocab;
  for (uint32_t i = 0; i < v->n; i++)
    if (v->pieces[i].n && (tokenizer_is_special(v->types[i]) || v->types[i] == TOKENIZER_USER))
      TRY(trie_add(&t->added, &v->pieces[i], (int32_t)i));
  return FORGE_OK;
}

/* Words found whole: what normal pieces print, which for the alphabet is one to one. */
static forge_status index_words(forge_tokenizer *t) {
  if (!t->vocab.ignore_merges || !t->vocab.byte_level) return FORGE_OK;
  TRY(piece_table_init(&t->words, t->prints, t->vocab.n));
  char *scratch = mem_alloc(t->max_piece);
  if (!scratch) return FAIL(FORGE_E_OOM, "tokenizer: words");
  for (uint32_t i = 0, other, n; i < t->vocab.n; i++)
    if (t->vocab.types[i] == TOKENIZER_NORMAL && t->prints[i].n &&
        alphabet_decode(&t->vocab.pieces[i], scratch, &n))
      (void)piece_table_add(&t->words, i, &other);
  mem_free(scratch);
  return FORGE_OK;
}

/* Whether a word's pieces never depend on the word before it (words begin with a space mark). */
static bool is_word_safe(const tokenizer_vocab *v) {
  for (uint32_t i = 0; i < v->n; i++) {
    const tokenizer_piece p = v->pieces[i];
    for (uint32_t at = 1; at + SPACE_MARK_BYTES <= p.n; at++) {
      if (memcmp(p.s + at, SPACE_MARK, SPACE_MARK_BYTES) != 0) continue;
      if (at < SPACE_MARK_BYTES || memcmp(p.s + at - SPACE_MARK_BYTES, SPACE_MARK, 3) != 0)
        return false;
    }
  }
  return true;
}

static forge_status build(forge_tokenizer *t, const tokenizer_vocab *v) {
  TRY(copy_vocab(t, v));
  TRY(v->pipeline ? tokenizer_rules_from_json(t->vocab.pipeline, &t->rules)
                  : tokenizer_rules_for(&t->vocab, &t->rules));
  t->vocab.byte_level = t->rules.byte_level;
  t->vocab.add_space_prefix = t->rules.space_prefix;
  TRY(index_pieces(t));
  TRY(index_merges(t));
  if (v->kind == TOKENIZER_SPM) TRY(rank_scores(t));
  index_bytes(t);
  TRY(index_added(t));
  t->word_safe = is_word_safe(&t->vocab);
  TRY(tokenizer_make_prints(t));
  TRY(index_words(t));
  tokenizer_make_hash(t);
  return FORGE_OK;
}

forge_status tokenizer_from_vocab(const tokenizer_vocab *vocab, forge_tokenizer **out_tokenizer) {
  TRY(check(vocab));
  forge_tokenizer *t = mem_zalloc(sizeof *t);
  if (!t) return FAIL(FORGE_E_OOM, "tokenizer");
  const forge_status st = build(t, vocab);
  if (st) {
    forge_tokenizer_close(t);
    return st;
  }
  *out_tokenizer = t;
  return FORGE_OK;
}
