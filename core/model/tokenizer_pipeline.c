/* tokenizer_pipeline.c -- a tokenizer.json's normalizer, pre_tokenizer and decoder. What Forge does
 * not have is refused with its JSON path: a rule left out would give other ids without a word. */
#include <string.h>

#include <jansson.h>

#include "tokenizer_parts.h"

enum { MAX_DEPTH = 8, PATH_BYTES = 160 };

/* A place in the pipeline, for messages. */
typedef struct place {
  char path[PATH_BYTES];
  uint32_t depth;
} place;

static place inside(const place *outer, const char *list, size_t index) {
  place inner = {.depth = outer->depth + 1};
  snprintf(inner.path, sizeof inner.path, "%.100s.%s[%zu]", outer->path, list, index);
  return inner;
}

static forge_status refuse(const place *where, const char *what, const char *value) {
  return FAIL(FORGE_E_UNSUPPORTED, "tokenizer.json: %s%s%s \"%.60s\" is not supported", where->path,
              what[0] ? "." : "", what, value ? value : "?");
}

static const char *type_of(const json_t *item) {
  const char *type = json_string_value(json_object_get(item, "type"));
  return type ? type : "";
}

/* A flag of |item|; absent or null: |otherwise|. */
static bool flag(const json_t *item, const char *name, bool otherwise) {
  const json_t *value = json_object_get(item, name);
  return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

/* A text of |item| as an own copy. */
static forge_status take_text(const json_t *item, const place *where, const char *name,
                              char **out) {
  const json_t *value = json_object_get(item, name);
  if (!json_is_string(value))
    return FAIL(FORGE_E_CORRUPT, "tokenizer.json: %s.%s is no text", where->path, name);
  if (strlen(json_string_value(value)) != json_string_length(value))
    return refuse(where, name, "text with a NUL");
  *out = mem_strdup(json_string_value(value));
  return *out ? FORGE_OK : FAIL(FORGE_E_OOM, "tokenizer: rules");
}

/* {"String": ".."} or {"Regex": ".."}. */
static forge_status take_pattern(const json_t *item, const place *where, char **out,
                                 bool *out_literal) {
  const json_t *pattern = json_object_get(item, "pattern");
  *out_literal = json_object_get(pattern, "String") != NULL;
  place inner = *where;
  snprintf(inner.path, sizeof inner.path, "%.140s.pattern", where->path);
  TRY(take_text(pattern, &inner, *out_literal ? "String" : "Regex", out));
  return *out && **out ? FORGE_OK : refuse(&inner, "", "an empty pattern");
}

typedef forge_status (*item_fn)(const json_t *item, const place *where, tokenizer_rules *rules);

/* |item|, or each of a Sequence's items; null is none. */
static forge_status each(const json_t *item, const place *where, const char *list, item_fn fn,
                         tokenizer_rules *rules) {
  if (!item || json_is_null(item)) return FORGE_OK;
  if (!json_is_object(item))
    return FAIL(FORGE_E_CORRUPT, "tokenizer.json: %s is no object", where->path);
  if (strcmp(type_of(item), "Sequence") != 0) return fn(item, where, rules);
  if (where->depth >= MAX_DEPTH) return refuse(where, "", "a deeper nesting");
  const json_t *items = json_object_get(item, list);
  if (!json_is_array(items))
    return FAIL(FORGE_E_CORRUPT, "tokenizer.json: %s.%s is no list", where->path, list);
  for (size_t i = 0; i < json_array_size(items); i++) {
    const place inner = inside(where, list, i);
    TRY(each(json_array_get(items, i), &inner, list, fn, rules));
  }
  return FORGE_OK;
}

/* ---- normalizer ---- */

/* A further step, NULL when there are too many. */
static normalize_step *add_step(tokenizer_rules *rules, uint8_t kind) {
  if (rules->n_steps == RULES_MAX_STEPS) return NULL;
  normalize_step *step = &rules->steps[rules->n_steps++];
  *step = (normalize_step){.kind = kind};
  return step;
}

static forge_status too_many(const place *where) { return refuse(where, "", "one more step"); }

static forge_status add_prefix(tokenizer_rules *rules, const place *where, const char *prefix,
                               bool first_only) {
  normalize_step *step = add_step(rules, NORMALIZE_PREPEND);
  if (!step) return too_many(where);
  step->unless_present = true;
  step->first_only = first_only;
  step->to = mem_strdup(prefix);
  rules->space_prefix = true;
  return step->to ? FORGE_OK : FAIL(FORGE_E_OOM, "tokenizer: rules");
}

static forge_status add_replace(const json_t *item, const place *where, tokenizer_rules *rules) {
  normalize_step *step = add_step(rules, NORMALIZE_REPLACE);
  bool literal = false;
  if (!step) return too_many(where);
  TRY(take_pattern(item, where, &step->from, &literal));
  TRY(take_text(item, where, "content", &step->to));
  if (literal) return FORGE_OK;
  step->kind = NORMALIZE_REPLACE_REGEX;
  const forge_status st =
      pretokenize_regex_open(step->from, strlen(step->from), false, &step->regex);
  return st ? base_fail_in(st, "tokenizer.json: %s", where->path) : FORGE_OK;
}

static forge_status add_normalizer(const json_t *item, const place *where, tokenizer_rules *rules) {
  const char *type = type_of(item);
  if (!strcmp(type, "NFC")) return add_step(rules, NORMALIZE_NFC) ? FORGE_OK : too_many(where);
  if (!strcmp(type, "Replace")) return add_replace(item, where, rules);
  if (strcmp(type, "Prepend") != 0) return refuse(where, "type", type);
  normalize_step *step = add_step(rules, NORMALIZE_PREPEND);
  if (!step) return too_many(where);
  rules->space_prefix = true;
  return take_text(item, where, "prepend", &step->to);
}

/* ---- pre_tokenizer ---- */

static forge_status behaviour_of(const json_t *item, const place *where, uint8_t *out) {
  static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext",
                                      "Contiguous"};
  const char *name = json_string_value(json_object_get(item, "behavior"));
  for (uint8_t i = 0; name && i < COUNT_OF(names); i++)
    if (!strcmp(names[i], name)) {
      *out = i;
      return FORGE_OK;
    }
  return refuse(where, "behavior", name);
}

static forge_status add_split(const json_t *item, const place *where, tokenizer_rules *rules) {
  uint8_t behaviour = 0;
  char *pattern = NULL;
  bool literal = false;
  TRY(behaviour_of(item, where, &behaviour));
  forge_status st = take_pattern(item, where, &pattern, &literal);
  if (!st) {
    st = pretokenize_add(&rules->split, pattern, literal, behaviour, flag(item, "invert", false));
    if (st) st = base_fail_in(st, "tokenizer.json: %s", where->path);
  }
  mem_free(pattern);
  return st;
}

static bool is_first(const tokenizer_rules *rules) { return !rules->split.n; }

static forge_status add_byte_level(const json_t *item, const place *where, tokenizer_rules *rules) {
  if (flag(item, "add_prefix_space", true)) {
    /* it would be added to every word that the steps before it cut */
    if (!is_first(rules)) return refuse(where, "add_prefix_space", "true behind other steps");
    TRY(add_prefix(rules, where, " ", false));
  }
  if (flag(item, "use_regex", true)) TRY(pretokenize_add_named(&rules->split, "gpt-2"));
  rules->byte_level = true;
  return FORGE_OK;
}

static forge_status add_metaspace(const json_t *item, const place *where, tokenizer_rules *rules) {
  const char *scheme = json_string_value(json_object_get(item, "prepend_scheme"));
  if (!scheme) scheme = flag(item, "add_prefix_space", true) ? "always" : "never";
  if (!is_first(rules)) return refuse(where, "type", "Metaspace behind other steps");
  normalize_step *step = add_step(rules, NORMALIZE_REPLACE);
  if (!step) return too_many(where);
  TRY(take_text(item, where, "replacement", &step->to));
  step->from = mem_strdup(" ");
  if (!step->from) return FAIL(FORGE_E_OOM, "tokenizer: rules");
  if (!strcmp(scheme, "always") || !strcmp(scheme, "first"))
    TRY(add_prefix(rules, where, step->to, scheme[0] == 'f'));
  else if (strcmp(scheme, "never") != 0)
    return refuse(where, "prepend_scheme", scheme);
  if (!flag(item, "split", true)) return FORGE_OK;
  return pretokenize_add(&rules->split, step->to, true, SPLIT_MERGED_WITH_NEXT, false);
}

static forge_status add_pretokenizer(const json_t *item, const place *where,
                                     tokenizer_rules *rules) {
  const char *type = type_of(item);
  if (rules->byte_level) return refuse(where, "type", "a step behind ByteLevel");
  if (!strcmp(type, "ByteLevel")) return add_byte_level(item, where, rules);
  if (!strcmp(type, "Metaspace")) return add_metaspace(item, where, rules);
  if (!strcmp(type, "Split")) return add_split(item, where, rules);
  if (strcmp(type, "Digits") != 0) return refuse(where, "type", type);
  const bool single = flag(item, "individual_digits", false);
  return pretokenize_add(&rules->split, single ? "\\p{N}" : "\\p{N}+", false, SPLIT_ISOLATED,
                         false);
}

/* ---- decoder ---- */

static forge_status set_print(tokenizer_rules *rules, const place *where, const char *from,
                              const char *to) {
  if (rules->print_from) return refuse(where, "type", "a second replacement");
  rules->print_from = mem_strdup(from);
  rules->print_to = mem_strdup(to);
  return rules->print_from && rules->print_to ? FORGE_OK : FAIL(FORGE_E_OOM, "tokenizer: rules");
}

static forge_status add_print_replace(const json_t *item, const place *where,
                                      tokenizer_rules *rules) {
  char *from = NULL, *to = NULL;
  bool literal = false;
  forge_status st = take_pattern(item, where, &from, &literal);
  if (!st && !literal) st = refuse(where, "pattern.Regex", from);
  if (!st) st = take_text(item, where, "content", &to);
  if (!st) st = set_print(rules, where, from, to);
  mem_free(from);
  mem_free(to);
  return st;
}

/* Only what takes back a first space: {"content": " ", "start": 1, "stop": 0}. */
static forge_status add_strip(const json_t *item, const place *where, tokenizer_rules *rules) {
  const char *content = json_string_value(json_object_get(item, "content"));
  if (!content || strcmp(content, " ") != 0) return refuse(where, "content", content);
  if (json_integer_value(json_object_get(item, "stop"))) return refuse(where, "stop", "above 0");
  const json_int_t start = json_integer_value(json_object_get(item, "start"));
  if (start < 0 || start > 1) return refuse(where, "start", "above 1");
  rules->strip = start == 1;
  return FORGE_OK;
}

static forge_status add_decoder(const json_t *item, const place *where, tokenizer_rules *rules) {
  const char *type = type_of(item);
  if (!strcmp(type, "Fuse")) return FORGE_OK;
  if (!strcmp(type, "Replace")) return add_print_replace(item, where, rules);
  if (!strcmp(type, "Strip")) return add_strip(item, where, rules);
  if (!strcmp(type, "ByteFallback")) {
    rules->print_bytes = true;
    return FORGE_OK;
  }
  if (!strcmp(type, "ByteLevel")) {
    if (!rules->byte_level) return refuse(where, "type", "ByteLevel without such a pre_tokenizer");
    return FORGE_OK;
  }
  if (strcmp(type, "Metaspace") != 0) return refuse(where, "type", type);
  const char *mark = json_string_value(json_object_get(item, "replacement"));
  const char *scheme = json_string_value(json_object_get(item, "prepend_scheme"));
  rules->strip = scheme ? strcmp(scheme, "never") != 0 : flag(item, "add_prefix_space", true);
  return set_print(rules, where, mark ? mark : SPACE_MARK, " ");
}

forge_status tokenizer_rules_from_json(const char *pipeline, tokenizer_rules *out) {
  json_error_t error;
  json_t *root = json_loads(pipeline, JSON_REJECT_DUPLICATES, &error);
  if (!root) return FAIL(FORGE_E_CORRUPT, "tokenizer.json: %s", error.text);
  const place normalizer = {.path = "normalizer"}, pre = {.path = "pre_tokenizer"},
              decoder = {.path = "decoder"};
  forge_status st =
      each(json_object_get(root, "normalizer"), &normalizer, "normalizers", add_normalizer, out);
  if (!st)
    st = each(json_object_get(root, "pre_tokenizer"), &pre, "pretokenizers", add_pretokenizer, out);
  if (!st) st = each(json_object_get(root, "decoder"), &decoder, "decoders", add_decoder, out);
  json_decref(root);
  if (!st && out->byte_level && out->print_from) st = refuse(&decoder, "type", "Replace");
  /* bytes in, bytes out: the space that was put in front is taken back by nothing else */
  if (!st && out->byte_level) out->strip = out->space_prefix;
  return st;
}
