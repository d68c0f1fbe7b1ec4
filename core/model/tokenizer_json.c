/* tokenizer_json.c -- Hugging Face's tokenizer.json with a BPE model. */
#include <stdlib.h>
#include <string.h>

#include "tokenizer_json.h"

enum { MAX_JSON = 1 << 28, SPARE_IDS = 4096 };
#define NUL_STAND_IN "\xEF\xB7\x90" /* U+FDD0 */

static void finish_draft(json_draft *draft) {
  json_decref(draft->root);
  mem_free(draft->pieces);
  mem_free(draft->types);
  mem_free(draft->strips);
  mem_free(draft->merges);
  mem_free(draft->pipeline);
  mem_free(draft->restored);
  *draft = (json_draft){0};
}

/* ---- text ---- */

/* Puts \ufdd0 for every \u0000; true if there was one. */
static bool replace_nuls(char *json, size_t n) {
  bool any = false;
  for (size_t i = 0; i + 1 < n; i++) {
    if (json[i] != '\\') continue;
    if (i + 6 <= n && !memcmp(json + i, "\\u0000", 6)) {
      for (int k = 0; k < 4; k++) json[i + 2 + k] = "fdd0"[k];
      any = true;
    }
    i++; /* what follows a backslash begins no other escape */
  }
  return any;
}

forge_status json_draft_parse(json_draft *draft, const char *json, uint64_t bytes) {
  if (bytes > MAX_JSON)
    return FAIL(FORGE_E_CORRUPT, "tokenizer.json: %llu bytes; at most %d are sane",
                (unsigned long long)bytes, MAX_JSON);
  char *copy = mem_strndup(json, bytes);
  if (!copy) return FAIL(FORGE_E_OOM, "tokenizer.json: %llu bytes", (unsigned long long)bytes);
  const bool taken = memmem(copy, bytes, NUL_STAND_IN, 3) || strcasestr(copy, "\\ufdd0");
  const bool nuls = replace_nuls(copy, bytes);
  json_error_t error;
  if (!(nuls && taken)) draft->root = json_loadb(copy, bytes, JSON_REJECT_DUPLICATES, &error);
  mem_free(copy);
  if (nuls && taken)
    return FAIL(FORGE_E_UNSUPPORTED, "tokenizer.json: both U+0000 and U+FDD0 occur");
  if (!draft->root)
    return FAIL(FORGE_E_CORRUPT, "tokenizer.json: line %d, column %d: %s", error.line, error.column,
                error.text);
  if (!json_is_object(draft->root)) return FAIL(FORGE_E_CORRUPT, "tokenizer.json: no object");
  draft->restored = nuls ? mem_alloc(bytes) : NULL;
  if (nuls && !draft->restored) return FAIL(FORGE_E_OOM, "tokenizer.json");
  return FORGE_OK;
}

/* |s| itself, or a copy with its NULs back. */
static tokenizer_piece restore(json_draft *draft, const char *s, size_t n) {
  if (!draft->restored || !memmem(s, n, NUL_STAND_IN, 3))
    return (tokenizer_piece){.s = s, .n = (uint32_t)n};
  char *own = draft->restored + draft->n_restored, *to = own;
  for (size_t i = 0; i < n; to++) {
    const bool nul = i + 3 <= n && !memcmp(s + i, NUL_STAND_IN, 3);
    *to = nul ? 0 : s[i];
    i += nul ? 3 : 1;
  }
  draft->n_restored += (size_t)(to - own);
  return (tokenizer_piece){.s = own, .n = (uint32_t)(to - own)};
}

/* ---- pieces ---- */

static forge_status check_id(const json_t *value, const char *what, const char *name,
                             uint64_t entries, uint32_t *out) {
  const json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
  if (id < 0 || (uint64_t)id >= 2 * entries + SPARE_IDS)
    return FAIL(FORGE_E_CORRUPT,
                "tokenizer.json: %s: \"%.40s\" has no sane id (%lld among %llu pieces)", what, name,
                (long long)id, (unsigned long long)entries);
  *out = (uint32_t)id;
  return FORGE_OK;
}

static const char *content_of(const json_t *token) {
  return json_string_value(json_object_get(token, "content"));
}

/* The number of ids: one more than the highest. */
static forge_status count_ids(json_draft *draft, const json_t *added) {
  const uint64_t entries = json_object_size(draft->ids) + json_array_size(added);
  const char *name;
  json_t *value;
  uint32_t id = 0;
  json_object_foreach(draft->ids, name, value) {
    TRY(check_id(value, "model.vocab", name, entries, &id));
    if (id >= draft->n) draft->n = id + 1;
  }
  for (size_t i = 0; i < json_array_size(added); i++) {
    const json_t *token = json_array_get(added, i);
    const char *content = content_of(token);
    TRY(check_id(json_object_get(token, "id"), "added_tokens", content ? content : "", entries,
                 &id));
    if (!content || !*content)
      return FAIL(FORGE_E_CORRUPT, "tokenizer.json: added_tokens[%zu].content is empty", i);
    if (id >= draft->n) draft->n = id + 1;
  }
  if (!draft->n) return FAIL(FORGE_E_CORRUPT, "tokenizer.json: model.vocab is empty");
  return FORGE_OK;
}

static forge_status place_piece(json_draft *draft, uint32_t id, tokenizer_piece piece,
                                const char *what) {
  if (draft->pieces[id].n)
    return FAIL(FORGE_E_CORRUPT, "tokenizer.json: %s: id %u belongs to \"%.40s\" and \"%.40s\"",
                what, id, draft->pieces[id].s, piece.s);
  draft->pieces[id] = piece;
  const bool byte = draft->v.byte_fallback && tokenizer_byte_of_piece(&piece) >= 0;
  draft->types[id] = !piece.n ? TOKENIZER_UNUSED : byte ? TOKENIZER_BYTE : TOKENIZER_NORMAL;
  return FORGE_OK;
}

static bool is_set(const json_t *object, const char *name) {
  return json_is_true(json_object_get(object, name));
}

static forge_status place_added(json_draft *draft, const json_t *token, size_t index) {
  const char *content = content_of(token);
  const uint32_t id = (uint32_t)json_integer_value(json_object_get(token, "id"));
  const json_t *listed = json_object_get(draft->ids, content);
  if (is_set(token, "single_word"))
    return FAIL(FORGE_E_UNSUPPORTED,
                "tokenizer.json: added_tokens[%zu].single_word is not supported", index);
  if (!listed) {
    const json_t *whole = json_object_get(token, "content");
    TRY(place_piece(draft, id, restore(draft, content, json_string_length(whole)), "added_tokens"));
  } else if ((uint32_t)json_integer_value(listed) != id) {
    return FAIL(FORGE_E_CORRUPT,
                "tokenizer.json: added_tokens[%zu] \"%.40s\" is id %u here and %lld in model.vocab",
                index, content, id, (long long)json_integer_value(listed));
  }
  draft->types[id] = is_set(token, "special") ? TOKENIZER_CONTROL : TOKENIZER_USER;
  draft->strips[id] = (uint8_t)((is_set(token, "lstrip") ? TOKENIZER_LSTRIP : 0) |
                                (is_set(token, "rstrip") ? TOKENIZER_RSTRIP : 0));
  return FORGE_OK;
}

forge_status json_draft_pieces(json_draft *draft, const json_t *added) {
  if (!json_is_object(draft->ids))
    return FAIL(FORGE_E_CORRUPT, "tokenizer.json: model.vocab is no object");
  TRY(count_ids(draft, added));
  draft->pieces = mem_zalloc_array(draft->n, sizeof *draft->pieces);
  draft->types = mem_zalloc(draft->n);
  draft->strips = mem_zalloc(draft->n);
  if (!draft->pieces || !draft->types || !draft->strips)
    return FAIL(FORGE_E_OOM, "tokenizer.json: %u pieces", draft->n);
  memset(draft->types, TOKENIZER_UNUSED, draft->n);
  for (void *at = json_object_iter(draft->ids); at; at = json_object_iter_next(draft->ids, at)) {
    const uint32_t id = (uint32_t)json_integer_value(json_object_iter_value(at));
    const tokenizer_piece piece =
        restore(draft, json_object_iter_key(at), json_object_iter_key_len(at));
    TRY(place_piece(draft, id, piece, "model.vocab"));
  }
  for (size_t i = 0; i < json_array_size(added); i++)
    TRY(place_added(draft, json_array_get(added, i), i));
  return FORGE_OK;
}

int32_t json_draft_id(const json_draft *draft, const char *piece) {
  const json_t *listed = json_object_get(draft->ids, piece);
  if (listed) return (int32_t)json_integer_value(listed);
  const size_t n = strlen(piece);
  for (uint32_t i = 0; n && i < draft->n; i++)
    if (draft->pieces[i].n == n && !memcmp(draft->pieces[i].s, piece, n)) return (int32_t)i;
  return -1;
}

/* ---- merges ---- */

forge_status json_draft_merge(json_draft *draft, const char *left, size_t left_n, const char *right,
                              size_t right_n, size_t index, tokenizer_merge *out) {
  const json_t *a = json_object_getn(draft->ids, left, left_n);
  const json_t *b = json_object_getn(draft->ids, right, right_n);
  if (!a || !b)
    return FAIL(FORGE_E_CORRUPT, "tokenizer: merge %zu names \"%.*s\", which is no piece", index,
                (int)((a ? right_n : left_n) < 60 ? (a ? right_n : left_n) : 60), a ? right : left);
  *out = (tokenizer_merge){.left = (int32_t)json_integer_value(a),
                           .right = (int32_t)json_integer_value(b)};
  return FORGE_OK;
}

forge_status json_draft_merge_line(json_draft *draft, const char *line, size_t n, size_t index,
                                   tokenizer_merge *out) {
  const char *space = memchr(line, ' ', n);
  const size_t left = space ? (size_t)(space - line) : 0, right = space ? n - left - 1 : 0;
  if (!left || !right || memchr(space + 1, ' ', right))
    return FAIL(FORGE_E_CORRUPT, "tokenizer: merge %zu, \"%.*s\", is not two pieces", index,
                n < 60 ? (int)n : 60, line);
  return json_draft_merge(draft, line, left, space + 1, right, index, out);
}

static forge_status one_merge(json_draft *draft, const json_t *item, size_t index) {
  tokenizer_merge *out = &draft->merges[index];
  if (json_is_string(item))
    return json_draft_merge_line(draft, json_string_value(item), json_string_length(item), index,
                                 out);
  const json_t *left = json_array_get(item, 0), *right = json_array_get(item, 1);
  if (json_array_size(item) != 2 || !json_is_string(left) || !json_is_string(right))
    return FAIL(FORGE_E_CORRUPT, "tokenizer.json: model.merges[%zu] is not two pieces", index);
  return json_draft_merge(draft, json_string_value(left), json_string_length(left),
                          json_string_value(right), json_string_length(right), index, out);
}

static forge_status take_merges(json_draft *draft, const json_t *list) {
  const size_t n = json_array_size(list);
  if (!json_is_array(list)) return FAIL(FORGE_E_CORRUPT, "tokenizer.json: model.merges is no list");
  draft->merges = mem_zalloc_array(n, sizeof *draft->merges);
  if (!draft->merges) return FAIL(FORGE_E_OOM, "tokenizer.json: %zu merges", n);
  for (size_t i = 0; i < n; i++) TRY(one_merge(draft, json_array_get(list, i), i));
  draft->v.n_merges = (uint32_t)n;
  return FORGE_OK;
}

/* ---- the model ---- */

static forge_status refuse_text(const json_t *model, const char *name) {
  const char *value = json_string_value(json_object_get(model, name));
  if (!value || !*value) return FORGE_OK;
  return FAIL(FORGE_E_UNSUPPORTED, "tokenizer.json: model.%s \"%.40s\" is not supported", name,
              value);
}

static forge_status check_model(const json_t *model) {
  const char *type = json_string_value(json_object_get(model, "type"));
  if (!json_is_object(model)) return FAIL(FORGE_E_CORRUPT, "tokenizer.json: model is no object");
  if (type ? strcmp(type, "BPE") != 0 : !json_object_get(model, "merges"))
    return FAIL(FORGE_E_UNSUPPORTED,
                "tokenizer.json: model.type \"%.40s\" is not supported; BPE is",
                type ? type : "(none)");
  if (json_number_value(json_object_get(model, "dropout")) != 0)
    return FAIL(FORGE_E_UNSUPPORTED, "tokenizer.json: model.dropout is not supported");
  TRY(refuse_text(model, "continuing_subword_prefix"));
  return refuse_text(model, "end_of_word_suffix");
}

static forge_status take_unk(json_draft *draft, const json_t *model) {
  const char *unk = json_string_value(json_object_get(model, "unk_token"));
  if (!unk) return FORGE_OK;
  draft->v.unk = json_draft_id(draft, unk);
  if (draft->v.unk < 0)
    return FAIL(FORGE_E_CORRUPT, "tokenizer.json: model.unk_token \"%.40s\" is no piece", unk);
  draft->types[draft->v.unk] = TOKENIZER_UNKNOWN;
  return FORGE_OK;
}

static forge_status take_pipeline(json_draft *draft) {
  static const char *const parts[] = {"normalizer", "pre_tokenizer", "post_processor", "decoder"};
  json_t *all = json_object();
  for (size_t i = 0; i < COUNT_OF(parts); i++) {
    json_t *part = json_object_get(draft->root, parts[i]);
    if (part) json_object_set(all, parts[i], part);
  }
  char *dumped = json_dumps(all, JSON_COMPACT);
  json_decref(all);
  draft->pipeline = dumped ? mem_strdup(dumped) : NULL;
  if (dumped) free(dumped);
  return draft->pipeline ? FORGE_OK : FAIL(FORGE_E_OOM, "tokenizer.json: rules");
}

static forge_status read_all(json_draft *draft, const char *json, uint64_t bytes,
                             const char *config, uint64_t config_bytes) {
  TRY(json_draft_parse(draft, json, bytes));
  const json_t *model = json_object_get(draft->root, "model");
  TRY(check_model(model));
  draft->v = (tokenizer_vocab){.kind = TOKENIZER_BPE, .bos = -1, .eos = -1, .unk = -1, .pad = -1};
  draft->v.byte_fallback = is_set(model, "byte_fallback");
  draft->v.fuse_unk = is_set(model, "fuse_unk");
  draft->v.ignore_merges = is_set(model, "ignore_merges");
  draft->ids = json_object_get(model, "vocab");
  TRY(json_draft_pieces(draft, json_object_get(draft->root, "added_tokens")));
  TRY(take_merges(draft, json_object_get(model, "merges")));
  TRY(take_unk(draft, model));
  TRY(take_pipeline(draft));
  return json_draft_specials(draft, config, config_bytes);
}

forge_status json_draft_end(json_draft *draft, forge_status st, forge_tokenizer **out_tokenizer) {
  if (!st) {
    draft->v.n = draft->n;
    draft->v.pieces = draft->pieces;
    draft->v.types = draft->types;
    draft->v.strips = draft->strips;
    draft->v.merges = draft->merges;
    draft->v.pipeline = draft->pipeline;
    st = tokenizer_from_vocab(&draft->v, out_tokenizer);
  }
  finish_draft(draft);
  return st;
}

forge_status tokenizer_from_json_config(const char *json, uint64_t bytes, const char *config,
                                        uint64_t config_bytes, forge_tokenizer **out_tokenizer) {
  json_draft draft = {0};
  const forge_status st = read_all(&draft, json, bytes, config, config_bytes);
  return json_draft_end(&draft, st, out_tokenizer);
}

forge_status tokenizer_from_json(const char *json, uint64_t bytes,
                                 forge_tokenizer **out_tokenizer) {
  return tokenizer_from_json_config(json, bytes, NULL, 0, out_tokenizer);
}
