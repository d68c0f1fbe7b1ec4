/* tokenizer_gguf.c -- a tokenizer out of GGUF's tokenizer.ggml.* keys, and back into their terms.
 */
#include <string.h>

#include "tokenizer_parts.h"

#define KEY(name) "tokenizer.ggml." name

/* Arrays on their way from the file to the vocabulary. */
typedef struct draft {
  tokenizer_vocab v;
  tokenizer_piece *pieces;
  float *scores;
  uint8_t *types;
  tokenizer_merge *merges;
  piece_table table;
  char *pre;
} draft;

static void draft_finish(draft *d) {
  mem_free(d->pieces);
  mem_free(d->scores);
  mem_free(d->types);
  mem_free(d->merges);
  mem_free(d->table.slots);
  mem_free(d->pre);
}

static forge_status take_pieces(const gguf *g, draft *d) {
  gguf_items items;
  gguf_string s;
  TRY(gguf_get_items(g, KEY("tokens"), GGUF_STRING, &items));
  if (!items.left || items.left > TOKENIZER_MAX_PIECES)
    return FAIL(FORGE_E_CORRUPT, "%s: " KEY("tokens") " has %llu entries; 1 to %d are sane",
                g->path, (unsigned long long)items.left, TOKENIZER_MAX_PIECES);
  d->v.n = (uint32_t)items.left;
  d->pieces = mem_zalloc_array(d->v.n, sizeof *d->pieces);
  d->types = mem_zalloc(d->v.n);
  if (!d->pieces || !d->types) return FAIL(FORGE_E_OOM, "%s: %u tokens", g->path, d->v.n);
  for (uint32_t i = 0; gguf_next_string(&items, &s); i++) {
    if (s.n > TOKENIZER_MAX_PIECE_BYTES)
      return FAIL(FORGE_E_CORRUPT, "%s: token %u has %llu bytes", g->path, i,
                  (unsigned long long)s.n);
    d->pieces[i] = (tokenizer_piece){.s = s.s, .n = (uint32_t)s.n};
  }
  return FORGE_OK;
}

static forge_status check_count(const gguf *g, const char *key, uint64_t count, uint32_t n) {
  if (!count || count == n) return FORGE_OK;
  return FAIL(FORGE_E_CORRUPT, "%s: %s has %llu entries for %u tokens", g->path, key,
              (unsigned long long)count, n);
}

static forge_status take_types(const gguf *g, draft *d) {
  gguf_items items;
  int64_t type;
  TRY(gguf_get_items(g, KEY("token_type"), GGUF_I64, &items));
  TRY(check_count(g, KEY("token_type"), items.left, d->v.n));
  if (!items.left) memset(d->types, TOKENIZER_NORMAL, d->v.n);
  for (uint32_t i = 0; gguf_next_int(&items, &type); i++) {
    if (type < TOKENIZER_NORMAL || type > TOKENIZER_BYTE)
      return FAIL(FORGE_E_CORRUPT, "%s: token %u has type %lld; types are 1 to 6", g->path, i,
                  (long long)type);
    d->types[i] = d->pieces[i].n ? (uint8_t)type : TOKENIZER_UNUSED;
    if (type == TOKENIZER_BYTE) d->v.byte_fallback = true;
  }
  return FORGE_OK;
}

static forge_status take_scores(const gguf *g, draft *d) {
  gguf_items items;
  double score;
  TRY(gguf_get_items(g, KEY("scores"), GGUF_F64, &items));
  TRY(check_count(g, KEY("scores"), items.left, d->v.n));
  if (!items.left)
    return FAIL(FORGE_E_CORRUPT, "%s: " KEY("scores") " is missing for a \"llama\" tokenizer",
                g->path);
  d->scores = mem_zalloc_array(d->v.n, sizeof *d->scores);
  if (!d->scores) return FAIL(FORGE_E_OOM, "%s: scores", g->path);
  for (uint32_t i = 0; gguf_next_float(&items, &score); i++) d->scores[i] = (float)score;
  d->v.scores = d->scores;
  return FORGE_OK;
}

/* "left right"; neither has a space in it, but a piece may begin with one in odd files. */
static forge_status take_merge(const gguf *g, draft *d, gguf_string s, uint32_t index) {
  const char *space = s.n > 2 ? memchr(s.s + 1, ' ', s.n - 1) : NULL;
  const uint32_t left = space ? (uint32_t)(space - s.s) : 0;
  const int32_t a = space ? piece_table_find(&d->table, s.s, left) : -1;
  const int32_t b = space ? piece_table_find(&d->table, space + 1, (uint32_t)(s.n - left - 1)) : -1;
  if (a < 0 || b < 0)
    return FAIL(FORGE_E_CORRUPT, "%s: merge %u, \"%.*s\", is not two tokens", g->path, index,
                s.n < 60 ? (int)s.n : 60, s.s);
  d->merges[index] = (tokenizer_merge){.left = a, .right = b};
  return FORGE_OK;
}

static forge_status take_merges(const gguf *g, draft *d) {
  gguf_items items;
  gguf_string s;
  uint32_t other;
  TRY(gguf_get_items(g, KEY("merges"), GGUF_STRING, &items));
  if (items.left > 1u << 23)
    return FAIL(FORGE_E_CORRUPT, "%s: %llu merges", g->path, (unsigned long long)items.left);
  d->v.n_merges = (uint32_t)items.left;
  d->merges = mem_zalloc_array(d->v.n_merges, sizeof *d->merges);
  if (!d->merges) return FAIL(FORGE_E_OOM, "%s: merges", g->path);
  TRY(piece_table_init(&d->table, d->pieces, d->v.n));
  for (uint32_t i = 0; i < d->v.n; i++)
    (void)piece_table_add(&d->table, i, &other); /* duplicates are refused later, by name */
  for (uint32_t i = 0; gguf_next_string(&items, &s); i++) TRY(take_merge(g, d, s, i));
  d->v.merges = d->merges;
  return FORGE_OK;
}

static forge_status take_id(const gguf *g, const char *key, int32_t otherwise, int32_t *out) {
  int64_t id;
  TRY(gguf_get_int(g, key, otherwise, &id));
  if (id < -1 || id > INT32_MAX)
    return FAIL(FORGE_E_CORRUPT, "%s: %s is %lld", g->path, key, (long long)id);
  *out = (int32_t)id;
  return FORGE_OK;
}

static forge_status take_switches(const gguf *g, draft *d) {
  tokenizer_vocab *v = &d->v;
  const bool spm = v->kind == TOKENIZER_SPM;
  const bool llama3 = !spm && tokenizer_pre_is_llama3(v->pretokenizer);
  TRY(take_id(g, KEY("bos_token_id"), spm ? 1 : -1, &v->bos));
  TRY(take_id(g, KEY("eos_token_id"), spm ? 2 : -1, &v->eos));
  TRY(take_id(g, KEY("unknown_token_id"), spm ? 0 : -1, &v->unk));
  TRY(take_id(g, KEY("padding_token_id"), -1, &v->pad));
  TRY(gguf_get_bool(g, KEY("add_bos_token"), spm || llama3, &v->add_bos));
  TRY(gguf_get_bool(g, KEY("add_eos_token"), false, &v->add_eos));
  TRY(gguf_get_bool(g, KEY("add_space_prefix"), spm, &v->add_space_prefix));
  TRY(gguf_get_bool(g, KEY("remove_extra_whitespaces"), false, &v->remove_extra_spaces));
  v->ignore_merges = llama3; /* GGUF says it by the pre-tokenizer's name alone */
  if (v->bos < 0) v->add_bos = false;
  if (v->eos < 0) v->add_eos = false;
  return FORGE_OK;
}

/* Files from before the key was there are GPT-2's kind or Llama 2's. */
static forge_status take_pre(const gguf *g, draft *d) {
  gguf_string pre;
  TRY(gguf_get_string(g, KEY("pre"), &pre));
  d->pre = pre.s ? mem_strndup(pre.s, pre.n) : mem_strdup("gpt-2");
  d->v.pretokenizer = d->pre;
  d->v.byte_level = true;
  return d->pre ? FORGE_OK : FAIL(FORGE_E_OOM, "%s: tokenizer", g->path);
}

static forge_status take_all(const gguf *g, draft *d) {
  gguf_string model;
  TRY(gguf_get_string(g, KEY("model"), &model));
  if (!model.s)
    return FAIL(FORGE_E_NOT_FOUND, "%s: no tokenizer inside (no key " KEY("model") ")", g->path);
  const bool spm = gguf_string_is(model, "llama");
  if (!spm && !gguf_string_is(model, "gpt2"))
    return FAIL(FORGE_E_UNSUPPORTED,
                "%s: " KEY("model") " \"%.*s\" is not supported; llama and gpt2 are", g->path,
                model.n < 40 ? (int)model.n : 40, model.s);
  d->v.kind = spm ? TOKENIZER_SPM : TOKENIZER_BPE;
  TRY(take_pieces(g, d));
  TRY(take_types(g, d));
  TRY(spm ? take_scores(g, d) : take_merges(g, d));
  if (!spm) TRY(take_pre(g, d));
  return take_switches(g, d);
}

forge_status tokenizer_from_gguf(const gguf *file, forge_tokenizer **out_tokenizer) {
  draft d = {0};
  forge_status st = take_all(file, &d);
  if (!st) {
    d.v.pieces = d.pieces;
    d.v.types = d.types;
    st = tokenizer_from_vocab(&d.v, out_tokenizer);
    if (st) st = base_fail_in(st, "%s", file->path);
  }
  draft_finish(&d);
  return st;
}
