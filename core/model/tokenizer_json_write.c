/* tokenizer_json_write.c -- tokenizer.json as Hugging Face's library writes it. Rules that came
 * from a tokenizer.json go back as they were; the others are put in its words. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tokenizer_parts.h"

/* A JSON string of |n| bytes; NULs and control characters as escapes. */
static void add_string(text *t, const char *s, size_t n) {
  text_add_bytes(t, "\"", 1);
  for (size_t i = 0, plain = 0; i <= n; i++) {
    const uint8_t c = i < n ? (uint8_t)s[i] : 0;
    if (i < n && c >= 0x20 && c != '"' && c != '\\' && c != 0x7F) continue;
    text_add_bytes(t, s + plain, i - plain);
    plain = i + 1;
    if (i == n) break;
    if (c == '"' || c == '\\')
      text_add(t, "\\%c", c);
    else
      text_add(t, "\\u%04x", c);
  }
  text_add_bytes(t, "\"", 1);
}

static void add_piece(text *t, const tokenizer_piece *piece) { add_string(t, piece->s, piece->n); }

static forge_status check_utf8(const tokenizer_vocab *v) {
  for (uint32_t i = 0; i < v->n; i++) {
    const tokenizer_piece piece = v->pieces[i];
    for (uint32_t at = 0, n; at < piece.n; at += n)
      if (!(n = utf8_length(piece.s + at, piece.n - at)))
        return FAIL(FORGE_E_UNSUPPORTED,
                    "tokenizer.json: piece %u is not UTF-8, so JSON cannot hold it", i);
  }
  return FORGE_OK;
}

/* ---- added tokens ---- */

static void add_added(text *t, const tokenizer_vocab *v) {
  bool any = false;
  text_add(t, "  \"added_tokens\": [");
  for (uint32_t i = 0; i < v->n; i++) {
    const bool special = tokenizer_is_special(v->types[i]);
    const uint8_t strip = v->strips ? v->strips[i] : 0;
    if (!v->pieces[i].n || (!special && v->types[i] != TOKENIZER_USER)) continue;
    text_add(t, "%s\n    {\"id\": %u, \"content\": ", any ? "," : "", i);
    add_piece(t, &v->pieces[i]);
    text_add(t,
             ", \"single_word\": false, \"lstrip\": %s, \"rstrip\": %s, \"normalized\": false, "
             "\"special\": %s}",
             strip & TOKENIZER_LSTRIP ? "true" : "false",
             strip & TOKENIZER_RSTRIP ? "true" : "false", special ? "true" : "false");
    any = true;
  }
  text_add(t, any ? "\n  ],\n" : "],\n");
}

/* ---- rules ---- */

static void add_template_token(text *t, const tokenizer_vocab *v, int32_t id) {
  text_add(t, "{\"SpecialToken\": {\"id\": ");
  add_piece(t, &v->pieces[id]);
  text_add(t, ", \"type_id\": 0}}");
}

static void add_template_entry(text *t, const tokenizer_vocab *v, int32_t id) {
  add_piece(t, &v->pieces[id]);
  text_add(t, ": {\"id\": ");
  add_piece(t, &v->pieces[id]);
  text_add(t, ", \"ids\": [%d], \"tokens\": [", id);
  add_piece(t, &v->pieces[id]);
  text_add(t, "]}");
}

static void add_post_processor(text *t, const tokenizer_vocab *v) {
  static const char *const sequences[] = {"{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}",
                                          "{\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}"};
  text_add(t, "  \"post_processor\": ");
  if (!v->add_bos && !v->add_eos) {
    text_add(t, "null,\n");
    return;
  }
  text_add(t, "{\"type\": \"TemplateProcessing\"");
  for (int pair = 0; pair < 2; pair++) {
    text_add(t, ", \"%s\": [", pair ? "pair" : "single");
    for (int k = 0; k <= pair; k++) {
      if (k) text_add(t, ", ");
      if (v->add_bos) add_template_token(t, v, v->bos);
      text_add(t, "%s%s", v->add_bos ? ", " : "", sequences[k]);
      if (v->add_eos) text_add(t, ", ");
      if (v->add_eos) add_template_token(t, v, v->eos);
    }
    text_add(t, "]");
  }
  text_add(t, ", \"special_tokens\": {");
  if (v->add_bos) add_template_entry(t, v, v->bos);
  if (v->add_bos && v->add_eos && v->bos != v->eos) text_add(t, ", ");
  if (v->add_eos && !(v->add_bos && v->bos == v->eos)) add_template_entry(t, v, v->eos);
  text_add(t, "}},\n");
}

static void add_spm_rules(text *t, const tokenizer_vocab *v) {
  text_add(t, "  \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [");
  if (v->remove_extra_spaces)
    text_add(t,
             "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \"\\\\A +| +\\\\z\"}, \"content\": "
             "\"\"}, {\"type\": \"Replace\", \"pattern\": {\"Regex\": \" {2,}\"}, \"content\": "
             "\" \"}, ");
  if (v->add_space_prefix)
    text_add(t, "{\"type\": \"Prepend\", \"prepend\": \"" SPACE_MARK "\"}, ");
  text_add(t, "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"" SPACE_MARK
              "\"}]},\n  \"pre_tokenizer\": null,\n");
  add_post_processor(t, v);
  text_add(t, "  \"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", "
              "\"pattern\": {\"String\": \"" SPACE_MARK "\"}, \"content\": \" \"}, "
              "{\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}");
  if (v->add_space_prefix)
    text_add(t, ", {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}");
  text_add(t, "]},\n");
}

static void add_byte_level(text *t, bool prefix, bool regex) {
  text_add(t,
           "{\"type\": \"ByteLevel\", \"add_prefix_space\": %s, \"trim_offsets\": true, "
           "\"use_regex\": %s}",
           prefix ? "true" : "false", regex ? "true" : "false");
}

static forge_status add_byte_rules(text *t, const forge_tokenizer *tokenizer) {
  const tokenizer_vocab *v = &tokenizer->vocab;
  const pretokenizer *split = &tokenizer->rules.split;
  const char *name = pretokenize_name(split);
  const bool simple = name && (!*name || !strcmp(name, "gpt-2"));
  if (!simple && v->add_space_prefix)
    return FAIL(FORGE_E_UNSUPPORTED,
                "tokenizer.json: a space before the text and pre-tokenizer "
                "\"%s\" do not go together",
                name ? name : "?");
  text_add(t, "  \"normalizer\": null,\n  \"pre_tokenizer\": ");
  if (!simple) text_add(t, "{\"type\": \"Sequence\", \"pretokenizers\": [");
  for (uint32_t i = 0; i < split->n && !simple; i++) {
    text_add(t, "{\"type\": \"Split\", \"pattern\": {\"Regex\": ");
    add_string(t, split->steps[i].pattern, strlen(split->steps[i].pattern));
    text_add(t, "}, \"behavior\": \"Isolated\", \"invert\": false}, ");
  }
  add_byte_level(t, v->add_space_prefix, simple && *name);
  text_add(t, simple ? ",\n" : "]},\n");
  add_post_processor(t, v);
  text_add(t, "  \"decoder\": ");
  add_byte_level(t, v->add_space_prefix, true);
  text_add(t, ",\n");
  return FORGE_OK;
}

/* The members of |pipeline|, each on a line. */
static forge_status add_pipeline(text *t, const char *pipeline) {
  json_t *root = json_loads(pipeline, 0, NULL), *part;
  const char *name;
  if (!root) return FAIL(FORGE_E_OOM, "tokenizer.json: rules");
  json_object_foreach(root, name, part) {
    char *dumped = json_dumps(part, JSON_ENCODE_ANY);
    if (!dumped) t->failed = true;
    text_add(t, "  \"%s\": %s,\n", name, dumped ? dumped : "");
    free(dumped);
  }
  json_decref(root);
  return FORGE_OK;
}

static forge_status add_rules(text *t, const forge_tokenizer *tokenizer) {
  const tokenizer_vocab *v = &tokenizer->vocab;
  if (v->pipeline) return add_pipeline(t, v->pipeline);
  if (v->kind == TOKENIZER_SPM) {
    for (uint32_t i = 0; i < v->n && v->add_space_prefix; i++)
      if (v->types[i] == TOKENIZER_USER)
        return FAIL(
            FORGE_E_UNSUPPORTED,
            "tokenizer.json: user-defined piece %u would be followed by a space there; keep "
            "the tokenizer.model",
            i);
    add_spm_rules(t, v);
    return FORGE_OK;
  }
  if (v->byte_level) return add_byte_rules(t, tokenizer);
  text_add(t, "  \"normalizer\": null,\n  \"pre_tokenizer\": null,\n");
  add_post_processor(t, v);
  text_add(t, "  \"decoder\": {\"type\": \"Fuse\"},\n");
  return FORGE_OK;
}

/* ---- merges ---- */

typedef struct ranked {
  uint32_t rank, id; /* of the result */
  tokenizer_merge pair;
} ranked;
typedef struct ranked_list {
  ranked *items;
  size_t n, cap;
} ranked_list;

static int in_order(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
  if (x->id != y->id) return x->id < y->id ? -1 : 1;
  if (x->pair.left != y->pair.left) return x->pair.left < y->pair.left ? -1 : 1;
  return x->pair.right < y->pair.right ? -1 : x->pair.right > y->pair.right;
}

/* Every way a piece can be put together from two others, at the place of its score. */
static forge_status split_piece(const forge_tokenizer *t, uint32_t id, ranked_list *out) {
  const tokenizer_piece piece = t->vocab.pieces[id];
  for (uint32_t at = utf8_length(piece.s, piece.n), n; at && at < piece.n; at += n) {
    const int32_t left = piece_table_find(&t->pieces, piece.s, at);
    const int32_t right = piece_table_find(&t->pieces, piece.s + at, piece.n - at);
    n = utf8_length(piece.s + at, piece.n - at);
    if (left < 0 || right < 0 || !tokenizer_is_text(t->vocab.types[left]) ||
        !tokenizer_is_text(t->vocab.types[right]))
      continue;
    if (!ARRAY_GROW(out->items, out->n, out->cap))
      return FAIL(FORGE_E_OOM, "tokenizer.json: merges");
    out->items[out->n++] =
        (ranked){.rank = t->ranks[id], .id = id, .pair = {.left = left, .right = right}};
  }
  return FORGE_OK;
}

static forge_status list_merges(const forge_tokenizer *t, ranked_list *out) {
  const tokenizer_vocab *v = &t->vocab;
  for (uint32_t i = 0; i < v->n_merges; i++) {
    if (!ARRAY_GROW(out->items, out->n, out->cap))
      return FAIL(FORGE_E_OOM, "tokenizer.json: merges");
    out->items[out->n++] = (ranked){.rank = i, .pair = v->merges[i]};
  }
  for (uint32_t i = 0; v->kind == TOKENIZER_SPM && i < v->n; i++)
    if (v->types[i] == TOKENIZER_NORMAL) TRY(split_piece(t, i, out));
  if (out->n) qsort(out->items, out->n, sizeof *out->items, in_order);
  return FORGE_OK;
}

static bool has_space(const tokenizer_piece *piece) { return memchr(piece->s, ' ', piece->n); }

/* "left right", which every version reads, unless a piece has a space: then ["left", "right"]. */
static void add_merges(text *t, const tokenizer_vocab *v, const ranked_list *list) {
  bool spaces = false;
  for (size_t i = 0; i < list->n; i++)
    spaces |= has_space(&v->pieces[list->items[i].pair.left]) ||
              has_space(&v->pieces[list->items[i].pair.right]);
  text_add(t, "    \"merges\": [");
  for (size_t i = 0; i < list->n; i++) {
    const tokenizer_piece left = v->pieces[list->items[i].pair.left];
    const tokenizer_piece right = v->pieces[list->items[i].pair.right];
    text_add(t, i ? ",\n      " : "\n      ");
    if (spaces) {
      text_add(t, "[");
      add_piece(t, &left);
      text_add(t, ", ");
      add_piece(t, &right);
      text_add(t, "]");
    } else {
      text both = {0};
      text_add_bytes(&both, left.s, left.n);
      text_add_bytes(&both, " ", 1);
      text_add_bytes(&both, right.s, right.n);
      t->failed |= both.failed;
      if (!both.failed) add_string(t, both.s, both.n);
      text_finish(&both);
    }
  }
  text_add(t, list->n ? "\n    ]\n" : "]\n");
}

/* ---- the file ---- */

static void add_vocab(text *t, const tokenizer_vocab *v) {
  bool any = false;
  text_add(t, "    \"vocab\": {");
  for (uint32_t i = 0; i < v->n; i++) {
    if (!v->pieces[i].n) continue;
    text_add(t, any ? ",\n      " : "\n      ");
    add_piece(t, &v->pieces[i]);
    text_add(t, ": %u", i);
    any = true;
  }
  text_add(t, "\n    },\n");
}

static const char *word_for(bool value) { return value ? "true" : "false"; }

static void add_model(text *t, const forge_tokenizer *tokenizer, const ranked_list *merges) {
  const tokenizer_vocab *v = &tokenizer->vocab;
  text_add(t,
           "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": ");
  if (v->unk >= 0)
    add_piece(t, &v->pieces[v->unk]);
  else
    text_add(t, "null");
  text_add(t,
           ",\n    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n"
           "    \"fuse_unk\": %s,\n    \"byte_fallback\": %s,\n    \"ignore_merges\": %s,\n",
           word_for(v->fuse_unk || v->kind == TOKENIZER_SPM), word_for(v->byte_fallback),
           word_for(v->ignore_merges));
  add_vocab(t, v);
  add_merges(t, v, merges);
  text_add(t, "  }\n}\n");
}

/* JSON names special tokens by their text. */
static forge_status check_named(const tokenizer_vocab *v) {
  const int32_t ids[] = {v->unk, v->add_bos ? v->bos : -1, v->add_eos ? v->eos : -1};
  for (size_t i = 0; i < COUNT_OF(ids); i++)
    if (ids[i] >= 0 && !v->pieces[ids[i]].n)
      return FAIL(FORGE_E_UNSUPPORTED, "tokenizer.json: special piece %d has no text", ids[i]);
  return FORGE_OK;
}

forge_status tokenizer_json_write(const forge_tokenizer *tokenizer, char **out_json) {
  TRY(check_utf8(&tokenizer->vocab));
  TRY(check_named(&tokenizer->vocab));
  text t = {0};
  ranked_list merges = {0};
  forge_status st = list_merges(tokenizer, &merges);
  text_add(&t, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n");
  add_added(&t, &tokenizer->vocab);
  if (!st) st = add_rules(&t, tokenizer);
  if (!st) add_model(&t, tokenizer, &merges);
  mem_free(merges.items);
  if (st) {
    text_finish(&t);
    return st;
  }
  *out_json = text_take(&t);
  return *out_json ? FORGE_OK : FORGE_E_OOM;
}
