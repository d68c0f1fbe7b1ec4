/* tokenizer_rules.c -- the rules around the pieces for a vocabulary that names them (GGUF, GPT-2,
 * SentencePiece) instead of spelling them out. tokenizer_pipeline.c reads the spelled-out ones. */
#include <string.h>

#include "tokenizer_parts.h"

bool tokenizer_pre_is_llama3(const char *pre) {
  return !strcmp(pre, "llama-bpe") || !strcmp(pre, "llama3") || !strcmp(pre, "llama-v3");
}

void tokenizer_rules_finish(tokenizer_rules *rules) {
  for (uint32_t i = 0; i < rules->n_steps; i++) {
    mem_free(rules->steps[i].from);
    mem_free(rules->steps[i].to);
    pretokenize_regex_close(rules->steps[i].regex);
  }
  pretokenize_finish(&rules->split);
  mem_free(rules->print_from);
  mem_free(rules->print_to);
  *rules = (tokenizer_rules){0};
}

static forge_status own(const char *s, char **out) {
  *out = mem_strdup(s);
  return *out ? FORGE_OK : FAIL(FORGE_E_OOM, "tokenizer: rules");
}

forge_status tokenizer_rules_for(const tokenizer_vocab *vocab, tokenizer_rules *out) {
  out->byte_level = vocab->kind == TOKENIZER_BPE && vocab->byte_level;
  out->space_prefix = out->strip = vocab->add_space_prefix;
  out->print_bytes = vocab->kind == TOKENIZER_SPM || vocab->byte_fallback;
  if (vocab->kind == TOKENIZER_SPM) {
    TRY(own(SPACE_MARK, &out->print_from));
    return own(" ", &out->print_to);
  }
  if (vocab->add_space_prefix) {
    out->steps[0] = (normalize_step){.kind = NORMALIZE_PREPEND, .unless_present = true};
    out->n_steps = 1;
    TRY(own(" ", &out->steps[0].to));
  }
  return pretokenize_add_named(&out->split, vocab->pretokenizer ? vocab->pretokenizer : "");
}
