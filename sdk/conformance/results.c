/* results.c -- see results.h. */
#include "results.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <forge/ops.h>

const char *verdict_word(verdict v) {
  static const char *const words[] = {
#define X(NAME, word, text, bad) word,
      VERDICT_MAP(X)
#undef X
  };
  return v < VERDICT_COUNT ? words[v] : "-";
}

bool verdict_is_bad(verdict v) {
  static const bool is_bad[] = {
#define X(NAME, word, text, bad) bad,
      VERDICT_MAP(X)
#undef X
  };
  return v < VERDICT_COUNT && is_bad[v];
}

static void free_result(result *r) {
  for (size_t i = 0; i < r->n_figures; i++) {
    free(r->figure[i].name);
    free(r->figure[i].unit);
  }
  free(r->figure);
  free(r->reason);
  free(r->notes);
  free(r->output);
}

void results_free(results *all) {
  for (size_t i = 0; i < all->n; i++) free_result(&all->result[i]);
  free(all->result);
}

size_t results_count(const results *all, verdict v) {
  size_t n = 0;
  for (size_t i = 0; i < all->n; i++) n += all->result[i].done && all->result[i].verdict == v;
  return n;
}

size_t results_done(const results *all) {
  size_t n = 0;
  for (size_t i = 0; i < all->n; i++) n += all->result[i].done;
  return n;
}

bool results_bad(const results *all) {
  for (size_t i = 0; i < all->n; i++)
    if (all->result[i].done && verdict_is_bad(all->result[i].verdict)) return true;
  return false;
}

void results_chapter(const char *id, char *out, size_t bytes) {
  snprintf(out, bytes, "%.*s", (int)strcspn(id, "."), id);
}

/* ---- the level ---- */

/* One word of an id names |type|: "f16", "f16_f32" or "f32_f16". */
static bool word_names(const char *word, size_t n, const char *type) {
  const size_t m = strlen(type);
  if (n < m) return false;
  if (!strncasecmp(word, type, m) && (n == m || word[m] == '_')) return true;
  return !strncasecmp(word + n - m, type, m) && word[n - m - 1] == '_';
}

static bool is_about(const char *id, const char *op, const char *type) {
  const size_t n = strlen(op);
  if (strncmp(id, "op.", 3) != 0 || strncmp(id + 3, op, n) != 0 || id[3 + n] != '.') return false;
  if (!type[0]) return true;
  for (id += 3 + n; *id == '.'; id += strcspn(id + 1, ".") + 1)
    if (word_names(id + 1, strcspn(id + 1, "."), type)) return true;
  return false;
}

verdict results_cell(const results *all, const char *op, const char *type) {
  /* From the best to the worst of news about an op. */
  static const int weight[] = {
      [VERDICT_PASS] = 3, [VERDICT_FAIL] = 7,        [VERDICT_CRASH] = 9, [VERDICT_TIMEOUT] = 8,
      [VERDICT_SKIP] = 1, [VERDICT_UNSUPPORTED] = 2, [VERDICT_XFAIL] = 5, [VERDICT_XPASS] = 6};
  verdict worst = VERDICT_COUNT;
  for (size_t i = 0; i < all->n; i++) {
    const result *r = &all->result[i];
    if (!r->done || !is_about(r->test->id, op, type)) continue;
    if (worst == VERDICT_COUNT || weight[r->verdict] > weight[worst]) worst = r->verdict;
  }
  return worst;
}

static bool is_declared(verdict v) {
  return v != VERDICT_COUNT && v != VERDICT_UNSUPPORTED && v != VERDICT_SKIP;
}

level results_level(const results *all) {
  level l = {.complete = all->whole && results_done(all) == all->n && !results_bad(all)};
#define X(name, number, cls, inputs, outputs, text)                                                \
  {                                                                                                \
    const verdict v = results_cell(all, #name, "");                                                \
    l.asked |= v != VERDICT_COUNT;                                                                 \
    if (cls == FORGE_CLASS_PRIMITIVE) {                                                            \
      l.all_primitives++;                                                                          \
      l.primitives += is_declared(v);                                                              \
      l.complete &= is_declared(v) && v != VERDICT_XFAIL;                                          \
    } else {                                                                                       \
      l.all_composites++;                                                                          \
      l.composites += is_declared(v);                                                              \
    }                                                                                              \
  }
  FORGE_OP_MAP(X)
#undef X
  return l;
}

void results_level_text(const level *l, char *out, size_t bytes) {
  if (!l->asked)
    snprintf(out, bytes, "level: not asked (no test of ops was run)");
  else
    snprintf(out, bytes, "level: declares %u of %u primitives, %u of %u composites%s",
             l->primitives, l->all_primitives, l->composites, l->all_composites,
             l->complete ? "; primitives complete: trains and serves" : "");
}
