/* pretokenize.h -- cutting text into words by regular expressions (PCRE2, Unicode) before pieces
 * are joined. A compiled pretokenizer never changes and may be used by several threads. */
#ifndef FORGE_PRETOKENIZE_H
#define FORGE_PRETOKENIZE_H

#include "base.h"

typedef struct pretokenize_regex pretokenize_regex;
/* |literal|: the pattern is plain text. Fails: E_UNSUPPORTED with PCRE2's reason and place. */
forge_status pretokenize_regex_open(const char *pattern, size_t n, bool literal,
                                    pretokenize_regex **out);
void pretokenize_regex_close(pretokenize_regex *regex);

/* A search through one valid UTF-8 text. */
typedef struct pretokenize_search {
  const pretokenize_regex *regex;
  const char *s;
  uint32_t n, at; /* where to go on */
  void *data;     /* ended by _end */
} pretokenize_search;
forge_status pretokenize_search_begin(pretokenize_search *search, const pretokenize_regex *regex);
void pretokenize_search_text(pretokenize_search *search, const char *s, uint32_t n);
/* The next match that is not empty; |*out_found| false at the end. Fails: E_UNSUPPORTED when the
 * pattern needs more steps than a tokenizer's should. */
forge_status pretokenize_search_next(pretokenize_search *search, bool *out_found, uint32_t *out_at,
                                     uint32_t *out_n);
void pretokenize_search_end(pretokenize_search *search);

/* What becomes of a match, named as in tokenizer.json. */
enum {
  SPLIT_REMOVED = 0,
  SPLIT_ISOLATED = 1,
  SPLIT_MERGED_WITH_PREVIOUS = 2,
  SPLIT_MERGED_WITH_NEXT = 3,
  SPLIT_CONTIGUOUS = 4
};

enum { PRETOKENIZE_MAX_STEPS = 16 };
typedef struct pretokenize_step {
  pretokenize_regex *regex;
  char *pattern; /* for names and hashes */
  uint8_t behaviour;
  bool invert, literal;
} pretokenize_step;
typedef struct pretokenizer {
  pretokenize_step steps[PRETOKENIZE_MAX_STEPS];
  uint32_t n;
} pretokenizer;

forge_status pretokenize_add(pretokenizer *p, const char *pattern, bool literal, uint8_t behaviour,
                             bool invert);
/* The steps GGUF knows under |name| ("" is no step). Fails: E_UNSUPPORTED listing the names. */
forge_status pretokenize_add_named(pretokenizer *p, const char *name);
/* The name whose steps these are, NULL if none. */
const char *pretokenize_name(const pretokenizer *p);
void pretokenize_finish(pretokenizer *p);

typedef struct word {
  uint32_t at, n;
  bool raw; /* not UTF-8: no step looks at it */
} word;
typedef struct words {
  word *items;
  size_t n, cap;
} words;
/* Cuts |n| bytes at |s| into |out|, |spare| being scratch; both keep their memory between calls.
 * Bytes that are not UTF-8 become words of their own. */
forge_status pretokenize_run(const pretokenizer *p, const char *s, uint32_t n, words *out,
                             words *spare);

#endif
