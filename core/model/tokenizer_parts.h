/* tokenizer_parts.h -- what a tokenizer is made of; for the tokenizer's own files alone. */
#ifndef FORGE_TOKENIZER_PARTS_H
#define FORGE_TOKENIZER_PARTS_H

#include "pretokenize.h"
#include "tokenizer.h"

/* SentencePiece's mark for a space, U+2581. */
#define SPACE_MARK "\xE2\x96\x81"
enum { SPACE_MARK_BYTES = 3 };

enum {
  TOKENIZER_MAX_PIECES = 1 << 22,
  TOKENIZER_MAX_PIECE_BYTES = 1 << 16,
  TOKENIZER_MAX_TEXT = 1 << 30 /* bytes of one text; indices inside are 32-bit */
};

/* ---- tables ---- */

typedef struct table_slot {
  uint32_t tag, id1; /* id + 1; 0: empty */
} table_slot;
/* Bytes -> id of the piece with these bytes. */
typedef struct piece_table {
  const tokenizer_piece *pieces; /* borrowed */
  table_slot *slots;
  uint32_t mask;
} piece_table;
forge_status piece_table_init(piece_table *table, const tokenizer_piece *pieces, uint32_t n);
/* False, with the other's id, when a piece with the same bytes is there already. */
bool piece_table_add(piece_table *table, uint32_t id, uint32_t *out_other);
int32_t piece_table_find(const piece_table *table, const char *s, uint32_t n); /* -1: none */

typedef struct merge_slot {
  uint64_t pair; /* left << 32 | right */
  uint32_t rank, id1;
} merge_slot;
/* Two neighbours -> what they become and how soon. */
typedef struct merge_table {
  merge_slot *slots;
  uint32_t mask;
} merge_table;
forge_status merge_table_init(merge_table *table, uint32_t n);
/* False, with the other's rank, when the pair is there already. */
bool merge_table_add(merge_table *table, tokenizer_merge pair, uint32_t rank, uint32_t id,
                     uint32_t *out_other);
const merge_slot *merge_table_find(const merge_table *table, int32_t left, int32_t right);

/* Added tokens as a byte tree: the longest one at a place. */
typedef struct trie_node {
  uint32_t child, sibling; /* 0: none; node 0 is the root */
  int32_t id;              /* -1: no token ends here */
  uint8_t byte;
} trie_node;
typedef struct trie {
  trie_node *nodes;
  size_t n, cap;
  uint8_t first[256]; /* a token begins with this byte */
} trie;
forge_status trie_add(trie *tree, const tokenizer_piece *piece, int32_t id);
/* The longest token at |s| whose type is in |type_mask| (bits 1 << TOKENIZER_*), its length to
 * |out_n|; -1: none. */
int32_t trie_match(const trie *tree, const uint8_t *types, uint32_t type_mask, const char *s,
                   uint64_t n, uint32_t *out_n);

/* ---- rules around the pieces ---- */

enum { NORMALIZE_NFC = 1, NORMALIZE_PREPEND, NORMALIZE_REPLACE, NORMALIZE_REPLACE_REGEX };
typedef struct normalize_step {
  uint8_t kind;
  bool unless_present; /* PREPEND: not before a text that begins with it */
  bool first_only;     /* PREPEND: only at the very beginning of a text */
  char *from, *to;     /* PREPEND: |to|; REPLACE: both; owned */
  pretokenize_regex *regex;
} normalize_step;

enum { RULES_MAX_STEPS = 16 };
typedef struct tokenizer_rules {
  normalize_step steps[RULES_MAX_STEPS];
  uint32_t n_steps;
  pretokenizer split;
  /* decoding: |from| in a piece prints as |to|; |strip|: the encoder's first space is dropped */
  char *print_from, *print_to;
  bool print_bytes, strip, byte_level, space_prefix;
} tokenizer_rules;
void tokenizer_rules_finish(tokenizer_rules *rules);
/* From a tokenizer.json's normalizer, pre_tokenizer, decoder in the JSON object |pipeline|. */
forge_status tokenizer_rules_from_json(const char *pipeline, tokenizer_rules *out);
/* For a vocabulary without |pipeline|. */
forge_status tokenizer_rules_for(const tokenizer_vocab *vocab, tokenizer_rules *out);

/* Bytes that grow; |failed| once memory was out or the text too long. */
typedef struct buffer {
  char *s;
  size_t n, cap;
  bool failed;
} buffer;
void buffer_add(buffer *b, const char *s, size_t n);
/* |in| through the steps into |out|, |spare| being scratch. |first|: |in| begins the text. */
forge_status normalize_run(const tokenizer_rules *rules, const char *s, uint64_t n, bool first,
                           buffer *out, buffer *spare);

/* ---- the tokenizer ---- */

struct forge_tokenizer {
  tokenizer_vocab vocab; /* everything it points to is owned */
  char *piece_bytes;
  piece_table pieces;
  piece_table words; /* ignore_merges: by the bytes a piece stands for */
  merge_table merges;
  trie added;
  tokenizer_rules rules;
  uint32_t *ranks;         /* [n] SPM: order of joining; UINT32_MAX: never produced */
  int32_t byte_ids[256];   /* the piece of a single byte, -1: none */
  uint32_t max_piece;      /* bytes of the longest piece */
  bool word_safe;          /* no piece has a space mark behind another character */
  tokenizer_piece *prints; /* [n] what an id prints */
  char *print_bytes;
  uint8_t hash[32];
};

static inline bool tokenizer_is_special(uint8_t type) {
  return type == TOKENIZER_CONTROL || type == TOKENIZER_UNKNOWN;
}
static inline bool tokenizer_is_text(uint8_t type) {
  return type == TOKENIZER_NORMAL || type == TOKENIZER_USER;
}

/* GPT-2's alphabet: the code point that stands for a byte, and back (-1: none). */
uint32_t alphabet_of_byte(uint8_t byte);
int32_t alphabet_byte(uint32_t code_point);
/* The bytes behind |piece|, at most piece->n of them, to |out|; false when a character is outside
 * the alphabet. */
bool alphabet_decode(const tokenizer_piece *piece, char *out, uint32_t *out_n);
/* "<0x41>" -> 0x41; -1 for anything else. */
int32_t tokenizer_byte_of_piece(const tokenizer_piece *piece);
/* Llama 3's: words that are pieces are taken whole, and prompts begin with BOS. */
bool tokenizer_pre_is_llama3(const char *pre);
/* Fills |prints|. */
forge_status tokenizer_make_prints(forge_tokenizer *t);
/* Fills |hash|. */
void tokenizer_make_hash(forge_tokenizer *t);

/* Length of the UTF-8 character at |s|, 0 if there is none. */
uint32_t utf8_length(const char *s, uint64_t n);

#endif
