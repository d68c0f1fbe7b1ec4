/* tokenizer_json.h -- a tokenizer.json on its way to a vocabulary table; for its readers alone. */
#ifndef FORGE_TOKENIZER_JSON_H
#define FORGE_TOKENIZER_JSON_H

#include <jansson.h>

#include "tokenizer_parts.h"

typedef struct json_draft {
  json_t *root, *ids; /* |ids|: model.vocab */
  uint32_t n;
  tokenizer_piece *pieces; /* [n], into |root| or |restored| */
  uint8_t *types, *strips; /* [n] */
  tokenizer_merge *merges; /* [v.n_merges] */
  char *pipeline;
  char *restored; /* pieces that hold NULs */
  size_t n_restored;
  tokenizer_vocab v;
} json_draft;

/* Ends the reading of a draft: a tokenizer of it if |st| is FORGE_OK; the draft is finished either
 * way. */
forge_status json_draft_end(json_draft *draft, forge_status st, forge_tokenizer **out_tokenizer);

/* |bytes| of JSON to draft->root. jansson takes no NUL in a key and character vocabularies have
 * one; it stands as U+FDD0, which is no character, until json_draft_pieces() puts it back. Fails:
 * E_CORRUPT (line and column), E_UNSUPPORTED (both in one file). */
forge_status json_draft_parse(json_draft *draft, const char *json, uint64_t bytes);
/* draft->ids (and added tokens, if |added| is a list) to pieces and types. */
forge_status json_draft_pieces(json_draft *draft, const json_t *added);
/* The pair of a merge by its two pieces; |index| is for messages. */
forge_status json_draft_merge(json_draft *draft, const char *left, size_t left_n, const char *right,
                              size_t right_n, size_t index, tokenizer_merge *out);
/* "left right". */
forge_status json_draft_merge_line(json_draft *draft, const char *line, size_t n, size_t index,
                                   tokenizer_merge *out);
/* The id of a piece, -1 if there is none. */
int32_t json_draft_id(const json_draft *draft, const char *piece);

/* BOS, EOS and whether they are added: from post_processor, then tokenizer_config.json (may be
 * NULL), then by well-known names of special tokens. */
forge_status json_draft_specials(json_draft *draft, const char *config, uint64_t bytes);

#endif
