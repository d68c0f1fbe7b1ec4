/* tokenizer_json_special.c -- which tokens begin and end a text: tokenizer.json says it in its
 * post_processor or not at all, tokenizer_config.json beside it by name. */
#include <string.h>

#include "tokenizer_json.h"

enum { MAX_PROCESSORS = 8 };

static const char *word_of(const json_t *object, const char *name) {
  const char *value = json_string_value(json_object_get(object, name));
  return value ? value : "";
}

/* ---- post_processor ---- */

static forge_status template_token(json_draft *draft, const json_t *processor, const char *name,
                                   const char *path, int32_t *out) {
  const json_t *known = json_object_get(json_object_get(processor, "special_tokens"), name);
  const json_t *ids = json_object_get(known, "ids");
  if (json_array_size(ids) != 1)
    return FAIL(FORGE_E_UNSUPPORTED, "tokenizer.json: %s.special_tokens: \"%.40s\" is not one id",
                path, name);
  const json_int_t id = json_integer_value(json_array_get(ids, 0));
  if (id < 0 || id >= draft->n || !json_is_integer(json_array_get(ids, 0)))
    return FAIL(FORGE_E_CORRUPT, "tokenizer.json: %s.special_tokens: \"%.40s\" is id %lld of %u",
                path, name, (long long)id, draft->n);
  *out = (int32_t)id;
  return FORGE_OK;
}

/* One token before the sequence is BOS, one behind it EOS. */
static forge_status take_template(json_draft *draft, const json_t *processor, const char *path) {
  const json_t *single = json_object_get(processor, "single");
  bool behind = false;
  for (size_t i = 0; i < json_array_size(single); i++) {
    const json_t *item = json_array_get(single, i);
    const json_t *special = json_object_get(item, "SpecialToken");
    if (json_object_get(item, "Sequence") && !behind) {
      behind = true;
      continue;
    }
    bool *add = behind ? &draft->v.add_eos : &draft->v.add_bos;
    if (!special || *add)
      return FAIL(
          FORGE_E_UNSUPPORTED,
          "tokenizer.json: %s.single[%zu]: more than one token before or behind the text is "
          "not supported",
          path, i);
    TRY(template_token(draft, processor, word_of(special, "id"), path,
                       behind ? &draft->v.eos : &draft->v.bos));
    *add = true;
  }
  if (!behind)
    return FAIL(FORGE_E_CORRUPT, "tokenizer.json: %s.single has no place for the text", path);
  return FORGE_OK;
}

static forge_status take_processor(json_draft *draft, const json_t *processor, const char *path) {
  const char *type = word_of(processor, "type");
  if (!strcmp(type, "ByteLevel")) return FORGE_OK; /* moves offsets, no ids */
  if (!strcmp(type, "TemplateProcessing")) return take_template(draft, processor, path);
  return FAIL(FORGE_E_UNSUPPORTED, "tokenizer.json: %s.type \"%.40s\" is not supported", path,
              type);
}

static forge_status take_processors(json_draft *draft) {
  const json_t *post = json_object_get(draft->root, "post_processor");
  if (!post || json_is_null(post)) return FORGE_OK;
  if (strcmp(word_of(post, "type"), "Sequence") != 0)
    return take_processor(draft, post, "post_processor");
  const json_t *list = json_object_get(post, "processors");
  if (json_array_size(list) > MAX_PROCESSORS)
    return FAIL(FORGE_E_UNSUPPORTED, "tokenizer.json: post_processor.processors: more than %d",
                MAX_PROCESSORS);
  for (size_t i = 0; i < json_array_size(list); i++) {
    char path[64];
    snprintf(path, sizeof path, "post_processor.processors[%zu]", i);
    TRY(take_processor(draft, json_array_get(list, i), path));
  }
  return FORGE_OK;
}

/* ---- names ---- */

/* The token |key| of tokenizer_config.json, a text or an object with a content; it counts as
 * special. */
static void take_configured(json_draft *draft, const json_t *config, const char *key, int32_t *id) {
  const json_t *value = json_object_get(config, key);
  const char *name = json_string_value(value);
  if (!name) name = word_of(value, "content");
  const int32_t found = *name ? json_draft_id(draft, name) : -1;
  if (found < 0) return;
  if (*id < 0) *id = found; /* the template's word stands */
  if (draft->types[found] == TOKENIZER_NORMAL) draft->types[found] = TOKENIZER_CONTROL;
}

static forge_status take_config(json_draft *draft, const char *config, uint64_t bytes) {
  if (!config) return FORGE_OK;
  json_error_t error;
  json_t *root = json_loadb(config, bytes, JSON_REJECT_DUPLICATES, &error);
  if (!root)
    return FAIL(FORGE_E_CORRUPT, "tokenizer_config.json: line %d, column %d: %s", error.line,
                error.column, error.text);
  take_configured(draft, root, "bos_token", &draft->v.bos);
  take_configured(draft, root, "eos_token", &draft->v.eos);
  take_configured(draft, root, "pad_token", &draft->v.pad);
  json_decref(root);
  return FORGE_OK;
}

static void take_known(const json_draft *draft, const char *const *names, size_t n, int32_t *id) {
  for (size_t i = 0; i < n && *id < 0; i++) {
    const int32_t found = json_draft_id(draft, names[i]);
    if (found >= 0 && draft->types[found] == TOKENIZER_CONTROL) *id = found;
  }
}

forge_status json_draft_specials(json_draft *draft, const char *config, uint64_t bytes) {
  static const char *const bos[] = {"<s>", "<|begin_of_text|>", "<|endoftext|>"};
  static const char *const eos[] = {"</s>", "<|end_of_text|>", "<|endoftext|>", "<|im_end|>"};
  static const char *const pad[] = {"<pad>", "[PAD]"};
  TRY(take_processors(draft));
  TRY(take_config(draft, config, bytes));
  take_known(draft, bos, COUNT_OF(bos), &draft->v.bos);
  take_known(draft, eos, COUNT_OF(eos), &draft->v.eos);
  take_known(draft, pad, COUNT_OF(pad), &draft->v.pad);
  return FORGE_OK;
}
