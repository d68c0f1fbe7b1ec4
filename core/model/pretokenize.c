/* pretokenize.c -- splitting steps over a list of words; the regular expressions are
 * pretokenize_regex.c's. */
#include <string.h>

#include "tokenizer_parts.h"

forge_status pretokenize_add(pretokenizer *p, const char *pattern, bool literal, uint8_t behaviour,
                             bool invert) {
  if (p->n == PRETOKENIZE_MAX_STEPS)
    return FAIL(FORGE_E_UNSUPPORTED, "pre-tokenizer: more than %d steps", PRETOKENIZE_MAX_STEPS);
  pretokenize_step *step = &p->steps[p->n];
  *step = (pretokenize_step){.behaviour = behaviour, .invert = invert, .literal = literal};
  TRY(pretokenize_regex_open(pattern, strlen(pattern), literal, &step->regex));
  p->n++;
  step->pattern = mem_strdup(pattern);
  return step->pattern ? FORGE_OK : FAIL(FORGE_E_OOM, "pre-tokenizer: %s", pattern);
}

void pretokenize_finish(pretokenizer *p) {
  for (uint32_t i = 0; i < p->n; i++) {
    pretokenize_regex_close(p->steps[i].regex);
    mem_free(p->steps[i].pattern);
  }
  p->n = 0;
}

/* ---- names ---- */

/* What GGUF's tokenizer.ggml.pre means, as regular expressions whose matches become words; the
 * first row of equal ones is the name Forge writes. */
#define GPT2_WORDS                                                                                 \
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LLAMA3_WORDS(digits)                                                                       \
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" digits                       \
  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const struct {
  const char *name, *patterns[2];
} known[] = {
    {"gpt-2", {GPT2_WORDS}},
    {"llama-bpe", {LLAMA3_WORDS("{1,3}")}},
    {"qwen2", {LLAMA3_WORDS("")}},
    {"smollm", {"\\p{N}", GPT2_WORDS}},
    {"starcoder", {"\\p{N}", GPT2_WORDS}},
    {"llama3", {LLAMA3_WORDS("{1,3}")}},
    {"llama-v3", {LLAMA3_WORDS("{1,3}")}},
    {"stablelm2", {LLAMA3_WORDS("")}},
    {"phi-2", {GPT2_WORDS}},
    {"", {NULL}},
};

forge_status pretokenize_add_named(pretokenizer *p, const char *name) {
  for (size_t i = 0; i < COUNT_OF(known); i++) {
    if (strcmp(known[i].name, name) != 0) continue;
    for (size_t k = 0; k < 2 && known[i].patterns[k]; k++)
      TRY(pretokenize_add(p, known[i].patterns[k], false, SPLIT_ISOLATED, false));
    return FORGE_OK;
  }
  return FAIL(
      FORGE_E_UNSUPPORTED,
      "tokenizer: pre-tokenizer \"%.60s\" is not known; gpt-2, llama-bpe, qwen2, smollm are", name);
}

static bool is_known(const pretokenizer *p, size_t row) {
  for (uint32_t k = 0; k < 2; k++) {
    const char *pattern = known[row].patterns[k];
    if (!pattern || k >= p->n) return !pattern && k == p->n;
    if (p->steps[k].literal || p->steps[k].invert || p->steps[k].behaviour != SPLIT_ISOLATED ||
        strcmp(p->steps[k].pattern, pattern) != 0)
      return false;
  }
  return p->n == 2;
}

const char *pretokenize_name(const pretokenizer *p) {
  for (size_t i = 0; i < COUNT_OF(known); i++)
    if (is_known(p, i)) return known[i].name;
  return NULL;
}

/* ---- cutting ---- */

static forge_status add_word(words *w, uint32_t at, uint32_t n, bool raw) {
  if (!n) return FORGE_OK;
  if (!ARRAY_GROW(w->items, w->n, w->cap)) return FAIL(FORGE_E_OOM, "tokenizer: %zu words", w->n);
  w->items[w->n++] = (word){.at = at, .n = n, .raw = raw};
  return FORGE_OK;
}

/* Runs of UTF-8 and of bytes that are not. */
static forge_status add_runs(words *out, const char *s, uint32_t n) {
  uint32_t start = 0;
  bool raw = false;
  for (uint32_t at = 0; at < n;) {
    const uint32_t length = utf8_length(s + at, n - at);
    if ((length == 0) != raw) {
      TRY(add_word(out, start, at - start, raw));
      start = at;
      raw = !raw;
    }
    at += length ? length : 1;
  }
  return add_word(out, start, n - start, raw);
}

/* Takes the matches and the stretches between them in turn and makes words of them. */
typedef struct cutter {
  words *out;
  uint8_t behaviour;
  uint32_t base;   /* where the text of the word being cut begins */
  size_t first;    /* its first word in |out| */
  bool last_match; /* the last stretch was a match */
  bool open;       /* MERGED_WITH_NEXT: the last word waits for more */
} cutter;

static forge_status cut(cutter *c, uint32_t at, uint32_t n, bool match) {
  if (!n) return FORGE_OK;
  words *out = c->out;
  word *last = out->n > c->first ? &out->items[out->n - 1] : NULL;
  const bool was_match = c->last_match, open = c->open;
  c->last_match = match;
  c->open = false;
  switch (c->behaviour) {
  case SPLIT_REMOVED: return match ? FORGE_OK : add_word(out, c->base + at, n, false);
  case SPLIT_MERGED_WITH_PREVIOUS:
    if (!match || was_match || !last) break;
    last->n += n;
    return FORGE_OK;
  case SPLIT_MERGED_WITH_NEXT:
    c->open = match;
    if (match || !open) break;
    last->n += n;
    return FORGE_OK;
  case SPLIT_CONTIGUOUS:
    if (!last || match != was_match) break;
    last->n += n;
    return FORGE_OK;
  default: break;
  }
  return add_word(out, c->base + at, n, false);
}

static forge_status cut_word(const pretokenize_step *step, pretokenize_search *search,
                             const char *s, word w, words *out) {
  cutter c = {.out = out, .behaviour = step->behaviour, .base = w.at, .first = out->n};
  pretokenize_search_text(search, s + w.at, w.n);
  uint32_t done = 0;
  for (;;) {
    uint32_t at, n;
    bool found;
    TRY(pretokenize_search_next(search, &found, &at, &n));
    if (!found) break;
    TRY(cut(&c, done, at - done, step->invert));
    TRY(cut(&c, at, n, !step->invert));
    done = at + n;
  }
  return cut(&c, done, w.n - done, step->invert);
}

static forge_status cut_all(const pretokenize_step *step, const char *s, const words *in,
                            words *out) {
  pretokenize_search search;
  TRY(pretokenize_search_begin(&search, step->regex));
  forge_status st = FORGE_OK;
  out->n = 0;
  for (size_t i = 0; i < in->n && !st; i++) {
    const word w = in->items[i];
    st = w.raw ? add_word(out, w.at, w.n, true) : cut_word(step, &search, s, w, out);
  }
  pretokenize_search_end(&search);
  return st;
}

forge_status pretokenize_run(const pretokenizer *p, const char *s, uint32_t n, words *out,
                             words *spare) {
  out->n = 0;
  if (!p->n) return add_word(out, 0, n, false);
  TRY(add_runs(out, s, n));
  for (uint32_t i = 0; i < p->n; i++) {
    TRY(cut_all(&p->steps[i], s, out, spare));
    const words swap = *out;
    *out = *spare;
    *spare = swap;
  }
  return FORGE_OK;
}
