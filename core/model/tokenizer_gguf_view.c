/* tokenizer_gguf_view.c -- a tokenizer in GGUF's terms. GGUF has two kinds: "llama" (scores, spaces
 * as marks) and "gpt2" (merges, byte alphabet, a pre-tokenizer by name). */
#include <string.h>

#include "tokenizer_parts.h"

/* Everything a view points to. */
typedef struct view_memory {
  tokenizer_piece *pieces, *merges;
  int32_t *types;
  float *scores;
  char *bytes;
} view_memory;

void tokenizer_gguf_free(tokenizer_gguf *view) {
  view_memory *m = view->memory;
  if (m) {
    mem_free(m->pieces);
    mem_free(m->merges);
    mem_free(m->types);
    mem_free(m->scores);
    mem_free(m->bytes);
    mem_free(m);
  }
  *view = (tokenizer_gguf){0};
}

static forge_status refuse(const char *what) {
  return FAIL(FORGE_E_UNSUPPORTED,
              "GGUF cannot say this tokenizer's %s; keep the Hugging Face form, or give a "
              "tokenizer.model",
              what);
}

static forge_status start(const forge_tokenizer *t, tokenizer_gguf *view) {
  const tokenizer_vocab *v = &t->vocab;
  for (uint32_t i = 0; v->strips && i < v->n; i++)
    if (v->strips[i]) return refuse("tokens that take the white space around them");
  view_memory *m = mem_zalloc(sizeof *m);
  *view = (tokenizer_gguf){.n = v->n,
                           .bos = v->bos,
                           .eos = v->eos,
                           .unk = v->unk,
                           .pad = v->pad,
                           .add_bos = v->add_bos,
                           .add_eos = v->add_eos,
                           .add_space_prefix = v->add_space_prefix,
                           .remove_extra_spaces = v->remove_extra_spaces,
                           .pieces = v->pieces,
                           .memory = m};
  if (!m) return FAIL(FORGE_E_OOM, "tokenizer");
  m->types = mem_zalloc_array(v->n, sizeof *m->types);
  if (!m->types) return FAIL(FORGE_E_OOM, "tokenizer: %u pieces", v->n);
  for (uint32_t i = 0; i < v->n; i++) m->types[i] = v->types[i];
  view->types = m->types;
  return FORGE_OK;
}

/* ---- gpt2 ---- */

static forge_status check_byte_level(const forge_tokenizer *t, const char **out_pre) {
  const tokenizer_rules *r = &t->rules;
  const bool prefix = r->n_steps == 1 && r->steps[0].kind == NORMALIZE_PREPEND &&
                      r->steps[0].unless_present && !strcmp(r->steps[0].to, " ");
  if (r->n_steps && !prefix) return refuse("normalizer");
  const char *pre = pretokenize_name(&r->split);
  if (pre && !*pre && !t->vocab.n_merges) pre = "gpt-2"; /* any: there is nothing to join */
  if (!pre || !*pre) return refuse("pre-tokenizer");
  if (t->vocab.ignore_merges != tokenizer_pre_is_llama3(pre)) return refuse("ignore_merges");
  *out_pre = pre;
  return FORGE_OK;
}

static forge_status list_merges(const forge_tokenizer *t, tokenizer_gguf *view) {
  const tokenizer_vocab *v = &t->vocab;
  view_memory *m = view->memory;
  size_t total = 0;
  for (uint32_t i = 0; i < v->n_merges; i++)
    total += v->pieces[v->merges[i].left].n + v->pieces[v->merges[i].right].n + 1u;
  m->bytes = mem_alloc(total);
  m->merges = mem_zalloc_array(v->n_merges, sizeof *m->merges);
  if (!m->bytes || !m->merges) return FAIL(FORGE_E_OOM, "tokenizer: %u merges", v->n_merges);
  char *at = m->bytes;
  for (uint32_t i = 0; i < v->n_merges; i++) {
    const tokenizer_piece left = v->pieces[v->merges[i].left],
                          right = v->pieces[v->merges[i].right];
    if (memchr(left.s, ' ', left.n) || memchr(right.s, ' ', right.n))
      return refuse("merges with a space in them");
    m->merges[i] = (tokenizer_piece){.s = at, .n = left.n + 1 + right.n};
    memcpy(at, left.s, left.n);
    at[left.n] = ' ';
    memcpy(at + left.n + 1, right.s, right.n);
    at += m->merges[i].n;
  }
  view->merges = m->merges;
  view->n_merges = v->n_merges;
  return FORGE_OK;
}

/* ---- llama ---- */

static bool replaces(const normalize_step *step, uint8_t kind, const char *from, const char *to) {
  return step->kind == kind && !strcmp(step->from, from) && !strcmp(step->to, to);
}

/* The steps tokenizer_json_write() makes of remove_extra_spaces: 2 when they come first, else 0. */
static uint32_t trimming_steps(const tokenizer_rules *r) {
  return r->n_steps >= 2 && replaces(&r->steps[0], NORMALIZE_REPLACE_REGEX, "\\A +| +\\z", "") &&
                 replaces(&r->steps[1], NORMALIZE_REPLACE_REGEX, " {2,}", " ")
             ? 2
             : 0;
}

/* Prepend a mark, then marks for spaces: what "llama" does by itself. */
static bool is_llama_normalizer(const tokenizer_rules *r) {
  const uint32_t first = trimming_steps(r);
  if (r->n_steps != first + 2 || !r->strip) return false;
  const normalize_step *prepend = &r->steps[first];
  return prepend->kind == NORMALIZE_PREPEND && !prepend->unless_present &&
         !strcmp(prepend->to, SPACE_MARK) &&
         replaces(&r->steps[first + 1], NORMALIZE_REPLACE, " ", SPACE_MARK);
}

/* A merge's place in the list becomes its result's score; longer pieces that no merge makes are
 * never produced. */
static void score_merges(const forge_tokenizer *t, view_memory *m) {
  const tokenizer_vocab *v = &t->vocab;
  for (uint32_t i = 0; i < v->n; i++) m->scores[i] = -(float)v->n_merges - 1;
  for (uint32_t i = v->n_merges; i-- > 0;) {
    const merge_slot *slot = merge_table_find(&t->merges, v->merges[i].left, v->merges[i].right);
    m->scores[slot->id1 - 1] = -(float)i;
  }
  for (uint32_t i = 0; i < v->n; i++)
    if (v->types[i] == TOKENIZER_NORMAL && m->scores[i] < -(float)v->n_merges &&
        utf8_length(v->pieces[i].s, v->pieces[i].n) < v->pieces[i].n)
      m->types[i] = TOKENIZER_UNUSED;
}

/* Pieces with spaces as pieces with marks. */
static forge_status mark_spaces(const tokenizer_vocab *v, tokenizer_gguf *view) {
  view_memory *m = view->memory;
  buffer bytes = {0};
  m->pieces = mem_zalloc_array(v->n, sizeof *m->pieces);
  for (uint32_t i = 0; m->pieces && i < v->n; i++) {
    const size_t before = bytes.n;
    for (uint32_t k = 0; k < v->pieces[i].n; k++) {
      const bool space = v->pieces[i].s[k] == ' ';
      buffer_add(&bytes, space ? SPACE_MARK : v->pieces[i].s + k, space ? SPACE_MARK_BYTES : 1);
    }
    m->pieces[i].n = (uint32_t)(bytes.n - before);
  }
  m->bytes = bytes.s;
  if (!m->pieces || bytes.failed) return FAIL(FORGE_E_OOM, "tokenizer: %u pieces", v->n);
  size_t at = 0;
  for (uint32_t i = 0; i < v->n; i++) {
    m->pieces[i].s = m->bytes ? m->bytes + at : "";
    at += m->pieces[i].n;
  }
  view->pieces = m->pieces;
  return FORGE_OK;
}

static forge_status view_characters(const forge_tokenizer *t, tokenizer_gguf *view) {
  const tokenizer_vocab *v = &t->vocab;
  view_memory *m = view->memory;
  const bool plain = !t->rules.n_steps && !t->rules.split.n;
  if (!plain && (!is_llama_normalizer(&t->rules) || t->rules.split.n)) return refuse("normalizer");
  if (v->ignore_merges) return refuse("ignore_merges");
  m->scores = mem_zalloc_array(v->n, sizeof *m->scores);
  if (!m->scores) return FAIL(FORGE_E_OOM, "tokenizer: scores");
  score_merges(t, m);
  view->scores = m->scores;
  if (!plain) {
    view->add_space_prefix = true;
    view->remove_extra_spaces = trimming_steps(&t->rules) != 0;
    return FORGE_OK;
  }
  if (piece_table_find(&t->pieces, SPACE_MARK, SPACE_MARK_BYTES) >= 0)
    return refuse("two characters, the space and U+2581");
  return mark_spaces(v, view);
}

static forge_status view_all(const forge_tokenizer *t, tokenizer_gguf *view) {
  TRY(start(t, view));
  if (t->vocab.byte_level) {
    view->model = "gpt2";
    TRY(check_byte_level(t, &view->pre));
    return list_merges(t, view);
  }
  view->model = "llama";
  view->pre = "default";
  if (t->vocab.kind == TOKENIZER_BPE) return view_characters(t, view);
  view->scores = t->vocab.scores;
  return FORGE_OK;
}

forge_status tokenizer_gguf_view(const forge_tokenizer *tokenizer, tokenizer_gguf *out_view) {
  *out_view = (tokenizer_gguf){0};
  const forge_status st = view_all(tokenizer, out_view);
  if (st) tokenizer_gguf_free(out_view);
  return st;
}
