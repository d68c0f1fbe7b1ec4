/* tokenizer.c -- ids back to text, what a tokenizer says of itself, its identity. */
#include <string.h>

#include "hash.h"
#include "tokenizer_parts.h"

static void free_const(const void *p) {
  void *own;
  memcpy(&own, &p, sizeof own);
  mem_free(own);
}

void forge_tokenizer_close(forge_tokenizer *tokenizer) {
  if (!tokenizer) return;
  const tokenizer_vocab *v = &tokenizer->vocab;
  free_const(v->pieces);
  free_const(v->scores);
  free_const(v->types);
  free_const(v->strips);
  free_const(v->merges);
  free_const(v->pretokenizer);
  free_const(v->pipeline);
  mem_free(tokenizer->piece_bytes);
  mem_free(tokenizer->pieces.slots);
  mem_free(tokenizer->words.slots);
  mem_free(tokenizer->merges.slots);
  mem_free(tokenizer->added.nodes);
  mem_free(tokenizer->ranks);
  mem_free(tokenizer->prints);
  mem_free(tokenizer->print_bytes);
  tokenizer_rules_finish(&tokenizer->rules);
  mem_free(tokenizer);
}

const tokenizer_vocab *tokenizer_vocab_of(const forge_tokenizer *tokenizer) {
  return &tokenizer->vocab;
}

forge_status forge_tokenizer_describe(const forge_tokenizer *tokenizer,
                                      forge_tokenizer_info *info) {
  if (!tokenizer || !info || info->size < sizeof info->size)
    return FAIL(FORGE_E_INVALID, "tokenizer or info is NULL, or info->size is not set");
  const tokenizer_vocab *v = &tokenizer->vocab;
  const forge_tokenizer_info all = {.size = info->size,
                                    .n_vocab = v->n,
                                    .bos = v->bos,
                                    .eos = v->eos,
                                    .unk = v->unk,
                                    .pad = v->pad,
                                    .add_bos = v->add_bos,
                                    .add_eos = v->add_eos};
  memcpy(info, &all, info->size < sizeof all ? info->size : sizeof all);
  return FORGE_OK;
}

forge_status forge_tokenizer_hash(forge_tokenizer *tokenizer, uint8_t out_sha256[32]) {
  if (!tokenizer || !out_sha256) return FAIL(FORGE_E_INVALID, "tokenizer or hash is NULL");
  memcpy(out_sha256, tokenizer->hash, 32);
  return FORGE_OK;
}

/* ---- identity ---- */

static void hash_number(hash_sha256 *h, int64_t number) { hash_sha256_add(h, &number, 8); }

static void hash_text(hash_sha256 *h, const char *s, size_t n) {
  hash_number(h, (int64_t)n);
  if (n) hash_sha256_add(h, s, n);
}

static void hash_word(hash_sha256 *h, const char *s) {
  hash_text(h, s ? s : "", s ? strlen(s) : 0);
}

static void hash_rules(hash_sha256 *h, const tokenizer_rules *r, bool merges) {
  hash_number(h, r->n_steps);
  for (uint32_t i = 0; i < r->n_steps; i++) {
    const normalize_step *step = &r->steps[i];
    hash_number(h, step->kind | step->unless_present << 8 | step->first_only << 9);
    hash_word(h, step->from);
    hash_word(h, step->to);
  }
  /* without merges every byte is its own piece, however the text was cut */
  const uint32_t n_split = merges ? r->split.n : 0;
  hash_number(h, n_split);
  for (uint32_t i = 0; i < n_split; i++) {
    const pretokenize_step *step = &r->split.steps[i];
    hash_number(h, step->behaviour | step->invert << 8 | step->literal << 9);
    hash_word(h, step->pattern);
  }
  hash_word(h, r->print_from);
  hash_word(h, r->print_to);
  hash_number(h, r->print_bytes | r->strip << 1 | r->byte_level << 2 | r->space_prefix << 3);
}

void tokenizer_make_hash(forge_tokenizer *t) {
  const tokenizer_vocab *v = &t->vocab;
  hash_sha256 h;
  hash_sha256_start(&h);
  hash_number(&h, v->kind);
  hash_number(&h, v->n);
  for (uint32_t i = 0; i < v->n; i++) {
    hash_text(&h, v->pieces[i].s, v->pieces[i].n);
    hash_number(&h, v->types[i] | (v->strips ? v->strips[i] : 0) << 8);
    hash_number(&h, t->ranks ? t->ranks[i] : 0);
  }
  hash_number(&h, v->n_merges);
  for (uint32_t i = 0; i < v->n_merges; i++) {
    hash_number(&h, v->merges[i].left);
    hash_number(&h, v->merges[i].right);
  }
  hash_number(&h, v->bos);
  hash_number(&h, v->eos);
  hash_number(&h, v->unk);
  hash_number(&h, v->pad);
  hash_number(&h, v->add_bos | v->add_eos << 1 | v->byte_fallback << 2 | v->fuse_unk << 3 |
                      v->ignore_merges << 4 | v->remove_extra_spaces << 5);
  hash_rules(&h, &t->rules, v->n_merges || !t->rules.byte_level);
  hash_sha256_end(&h, t->hash);
}

/* ---- decoding ---- */

/* What |id| prints behind |previous|. */
static tokenizer_piece print_of(const forge_tokenizer *t, int32_t previous, int32_t id,
                                bool special) {
  tokenizer_piece print = t->prints[id];
  if (tokenizer_is_special(t->vocab.types[id])) {
    if (!special) print.n = 0;
    return print;
  }
  const bool begins = previous < 0 || previous == t->vocab.bos;
  if (t->rules.strip && begins && print.n && print.s[0] == ' ') print.s++, print.n--;
  return print;
}

forge_status forge_tokenizer_decode(const forge_tokenizer *tokenizer, int32_t previous,
                                    const int32_t *ids, uint64_t n, uint32_t flags, char *bytes,
                                    uint64_t capacity, uint64_t *out_n) {
  if (!tokenizer || (!ids && n) || (!bytes && capacity) || !out_n)
    return FAIL(FORGE_E_INVALID, "decode: tokenizer, ids, bytes or out_n is NULL");
  if (flags & ~(uint32_t)FORGE_DECODE_SPECIAL)
    return FAIL(FORGE_E_INVALID, "decode: flags 0x%x; 0x%x are known", flags, FORGE_DECODE_SPECIAL);
  uint64_t total = 0;
  for (uint64_t i = 0; i < n; i++) {
    if (ids[i] < 0 || (uint32_t)ids[i] >= tokenizer->vocab.n)
      return FAIL(FORGE_E_INVALID, "decode: id %d at place %llu; ids are 0 to %u", ids[i],
                  (unsigned long long)i, tokenizer->vocab.n - 1);
    const tokenizer_piece print =
        print_of(tokenizer, previous, ids[i], flags & FORGE_DECODE_SPECIAL);
    if (print.n && total <= capacity && print.n <= capacity - total)
      memcpy(bytes + total, print.s, print.n);
    total += print.n;
    previous = ids[i];
  }
  *out_n = total;
  if (bytes && total > capacity)
    return FAIL(FORGE_E_INVALID, "decode: room for %llu bytes, %llu needed",
                (unsigned long long)capacity, (unsigned long long)total);
  return FORGE_OK;
}
