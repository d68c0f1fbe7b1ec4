/* pretokenize_regex.c -- PCRE2 with Unicode properties; compiled to machine code where it can be.
 * Patterns come from files: compiling and matching have limits. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "pretokenize.h"

enum { MAX_PATTERN = 4096, MAX_STEPS = 10000000, MAX_HEAP_KIB = 64 << 10, MAX_JIT_STACK = 1 << 20 };

struct pretokenize_regex {
  pcre2_code *code;
};

typedef struct match_data {
  pcre2_match_data *match;
  pcre2_match_context *context;
  pcre2_jit_stack *stack;
} match_data;

forge_status pretokenize_regex_open(const char *pattern, size_t n, bool literal,
                                    pretokenize_regex **out) {
  if (n > MAX_PATTERN)
    return FAIL(FORGE_E_UNSUPPORTED, "pattern of %zu bytes; at most %d are taken", n, MAX_PATTERN);
  pretokenize_regex *regex = mem_zalloc(sizeof *regex);
  if (!regex) return FAIL(FORGE_E_OOM, "pattern");
  const uint32_t options = literal ? PCRE2_UTF | PCRE2_LITERAL : PCRE2_UTF | PCRE2_UCP;
  int number;
  PCRE2_SIZE at;
  regex->code = pcre2_compile((PCRE2_SPTR)pattern, n, options, &number, &at, NULL);
  if (!regex->code) {
    PCRE2_UCHAR reason[160] = "";
    pcre2_get_error_message(number, reason, sizeof reason);
    mem_free(regex);
    return FAIL(FORGE_E_UNSUPPORTED, "pattern \"%.200s\": %s at byte %zu", pattern,
                (const char *)reason, (size_t)at);
  }
  (void)pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE); /* without it matching is slower */
  *out = regex;
  return FORGE_OK;
}

void pretokenize_regex_close(pretokenize_regex *regex) {
  if (regex) pcre2_code_free(regex->code);
  mem_free(regex);
}

forge_status pretokenize_search_begin(pretokenize_search *search, const pretokenize_regex *regex) {
  match_data *data = mem_zalloc(sizeof *data);
  *search = (pretokenize_search){.regex = regex, .data = data};
  if (data) {
    data->match = pcre2_match_data_create_from_pattern(regex->code, NULL);
    data->context = pcre2_match_context_create(NULL);
    data->stack = pcre2_jit_stack_create(32 << 10, MAX_JIT_STACK, NULL);
  }
  if (!data || !data->match || !data->context) {
    pretokenize_search_end(search);
    return FAIL(FORGE_E_OOM, "pattern search");
  }
  pcre2_set_match_limit(data->context, MAX_STEPS);
  pcre2_set_heap_limit(data->context, MAX_HEAP_KIB);
  pcre2_jit_stack_assign(data->context, NULL, data->stack);
  return FORGE_OK;
}

void pretokenize_search_text(pretokenize_search *search, const char *s, uint32_t n) {
  search->s = s;
  search->n = n;
  search->at = 0;
}

void pretokenize_search_end(pretokenize_search *search) {
  match_data *data = search->data;
  if (!data) return;
  pcre2_match_data_free(data->match);
  pcre2_match_context_free(data->context);
  pcre2_jit_stack_free(data->stack);
  mem_free(data);
  search->data = NULL;
}

forge_status pretokenize_search_next(pretokenize_search *search, bool *out_found, uint32_t *out_at,
                                     uint32_t *out_n) {
  match_data *data = search->data;
  const uint32_t options = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
  *out_found = false;
  if (search->at >= search->n) return FORGE_OK;
  const int found = pcre2_match(search->regex->code, (PCRE2_SPTR)search->s, search->n, search->at,
                                options, data->match, data->context);
  if (found == PCRE2_ERROR_NOMATCH) return FORGE_OK;
  if (found < 0) {
    PCRE2_UCHAR reason[160] = "";
    pcre2_get_error_message(found, reason, sizeof reason);
    return FAIL(FORGE_E_UNSUPPORTED, "tokenizer: a pattern is too hard for this text: %s",
                (const char *)reason);
  }
  const PCRE2_SIZE *place = pcre2_get_ovector_pointer(data->match);
  /* \K in a pattern moves the start of what it matched */
  if (place[0] < search->at || place[1] <= place[0])
    return FAIL(FORGE_E_UNSUPPORTED, "tokenizer: a pattern matches backwards at byte %zu",
                (size_t)place[0]);
  *out_found = true;
  *out_at = (uint32_t)place[0];
  *out_n = (uint32_t)(place[1] - place[0]);
  search->at = (uint32_t)place[1];
  return FORGE_OK;
}
