/* tokenizer.h -- what the rooms to the right and the readers of model files know about tokenizers
 * beyond forge/model.h: the vocabulary as a table, making a tokenizer from such a table, from bytes
 * in memory, or from a text, and writing it down again.
 *
 * A forge_tokenizer never changes after it was made; any number of threads may use one. Everything
 * a call takes is copied, so that the caller's files may be closed at once. */
#ifndef FORGE_TOKENIZER_H
#define FORGE_TOKENIZER_H

#include <forge/model.h>

#include "base.h"
#include "gguf.h"

/* How pieces are joined: the best-scored neighbours first (SentencePiece), or by a list of merges
 * (GPT-2, Llama 3, Hugging Face). */
enum { TOKENIZER_SPM = 1, TOKENIZER_BPE = 2 };

/* Piece types, numbered as in GGUF and SentencePiece. */
enum {
  TOKENIZER_NORMAL = 1,
  TOKENIZER_UNKNOWN = 2, /* what stands for text that has no piece */
  TOKENIZER_CONTROL = 3, /* special: never produced from text unless FORGE_ENCODE_SPECIAL */
  TOKENIZER_USER = 4,    /* taken whole out of any text before anything else happens */
  TOKENIZER_UNUSED = 5,  /* never produced */
  TOKENIZER_BYTE = 6     /* "<0x41>": one byte that no other piece covers */
};

/* Pieces as files write them: SentencePiece's with U+2581 for a space, byte-level ones in GPT-2's
 * alphabet (one character per byte). Not zero-terminated; an empty one is never produced. */
typedef struct tokenizer_piece {
  const char *s;
  uint32_t n; /* bytes */
} tokenizer_piece;

/* pieces[left] followed by pieces[right] becomes their concatenation; earlier ones win. */
typedef struct tokenizer_merge {
  int32_t left, right;
} tokenizer_merge;

/* What an added token (TOKENIZER_CONTROL or TOKENIZER_USER) does to the white space around it. */
enum { TOKENIZER_LSTRIP = 1, TOKENIZER_RSTRIP = 2 };

typedef struct tokenizer_vocab {
  uint32_t kind, n;              /* TOKENIZER_SPM or _BPE; number of pieces */
  const tokenizer_piece *pieces; /* [n], no two the same */
  const float *scores;           /* [n], SPM; NULL for BPE */
  const uint8_t *types;          /* [n] */
  const uint8_t *strips;         /* [n] bits TOKENIZER_LSTRIP.., NULL: none */
  const tokenizer_merge *merges; /* [n_merges], BPE */
  uint32_t n_merges;
  int32_t bos, eos, unk, pad; /* -1: none */
  bool add_bos, add_eos;      /* what the model expects around a prompt */
  bool byte_level;            /* BPE: text becomes GPT-2's byte alphabet first */
  bool byte_fallback;         /* text without a piece becomes TOKENIZER_BYTE pieces */
  bool fuse_unk;              /* BPE: a run of unknown characters is one |unk| (SPM: always) */
  bool ignore_merges;         /* BPE: a word that is a piece is taken whole */
  bool add_space_prefix;      /* a space before the first word (SPM always, BPE if it has none) */
  bool remove_extra_spaces;   /* SPM: spaces at the ends go, runs of them become one */
  const char *pretokenizer;   /* BPE: name as in GGUF ("gpt-2", "llama-bpe" ..), "" for none;
                                 NULL: what |pipeline| says */
  const char *pipeline;       /* BPE from a tokenizer.json: JSON object with its normalizer,
                                 pre_tokenizer, post_processor and decoder; NULL otherwise */
} tokenizer_vocab;

/* Borrowed from the tokenizer. */
const tokenizer_vocab *tokenizer_vocab_of(const forge_tokenizer *tokenizer);

/* Checks |vocab| and builds what encoding needs. Fails: E_CORRUPT (duplicate pieces, ids out of
 * range, merges that lead to no piece, NaN scores; the message names the entry), E_UNSUPPORTED (a
 * pre-tokenizer or a pipeline part that Forge does not have, by name or JSON path). */
forge_status tokenizer_from_vocab(const tokenizer_vocab *vocab, forge_tokenizer **out_tokenizer);

/* The one inside a GGUF. Fails: E_NOT_FOUND when it has none, E_CORRUPT, E_UNSUPPORTED. */
forge_status tokenizer_from_gguf(const gguf *file, forge_tokenizer **out_tokenizer);
/* The text of a tokenizer.json. */
forge_status tokenizer_from_json(const char *json, uint64_t bytes, forge_tokenizer **out_tokenizer);
/* The same with a tokenizer_config.json (may be NULL), which names BOS, EOS, PAD. */
forge_status tokenizer_from_json_config(const char *json, uint64_t bytes, const char *config,
                                        uint64_t config_bytes, forge_tokenizer **out_tokenizer);
/* SentencePiece's .model (BPE models with identity normalization). */
forge_status tokenizer_from_spm(const uint8_t *data, uint64_t bytes,
                                forge_tokenizer **out_tokenizer);
/* llama2.c's tokenizer.bin: scores and pieces in Llama 2's order (unk, bos, eos, 256 bytes, ..). */
forge_status tokenizer_from_llama2c(const uint8_t *data, uint64_t bytes,
                                    forge_tokenizer **out_tokenizer);
/* GPT-2's pair: encoder.json (piece -> id) and vocab.bpe (a merge per line). */
forge_status tokenizer_from_gpt2(const char *encoder, uint64_t encoder_bytes, const char *merges,
                                 uint64_t merges_bytes, forge_tokenizer **out_tokenizer);
/* The tokenizer |tokenizer.json|, tokenizer.model, encoder.json + vocab.bpe, vocab.json +
 * merges.txt or tokenizer.bin in folder |dir|, in this order. Fails: E_NOT_FOUND. */
forge_status tokenizer_from_folder(const char *dir, forge_tokenizer **out_tokenizer);

/* A tokenizer.json that Forge and Hugging Face's library read the same; the caller frees it
 * (forge_text_free). SPM scores become merges. */
forge_status tokenizer_json_write(const forge_tokenizer *tokenizer, char **out_json);

/* The tokenizer in GGUF's terms, for writing the tokenizer.ggml.* keys. Pieces, types, scores, and
 * merges ("left right") are in order; |scores| is NULL for "gpt2", |merges| for "llama". */
typedef struct tokenizer_gguf {
  const char *model, *pre; /* "llama" or "gpt2"; "default", "gpt-2", "llama-bpe" .. */
  uint32_t n, n_merges;
  const tokenizer_piece *pieces; /* [n] */
  const int32_t *types;          /* [n] */
  const float *scores;           /* [n] */
  const tokenizer_piece *merges; /* [n_merges] */
  int32_t bos, eos, unk, pad;    /* -1: write no key */
  bool add_bos, add_eos, add_space_prefix, remove_extra_spaces;
  void *memory; /* all of the above */
} tokenizer_gguf;
/* Fails: E_UNSUPPORTED when GGUF has no name for its pre-tokenizer or rules. */
forge_status tokenizer_gguf_view(const forge_tokenizer *tokenizer, tokenizer_gguf *out_view);
void tokenizer_gguf_free(tokenizer_gguf *view);

/* llama2.c's tokenizer.bin, for writing beside a .bin model; the caller frees it (mem_free). Fails:
 * E_UNSUPPORTED unless the tokenizer is an SPM one in Llama 2's order. */
forge_status tokenizer_llama2c_write(const forge_tokenizer *tokenizer, uint8_t **out_data,
                                     uint64_t *out_bytes);

/* ---- made from a text, for training from scratch ----
 * The same text gives the same tokenizer. None of them has special tokens or adds BOS or EOS. */

/* 256 pieces: id i is byte i. */
forge_status tokenizer_train_bytes(forge_tokenizer **out_tokenizer);
/* A piece for each distinct character of |text| in the order of their code points (the vocabulary
 * nanoGPT's character-level examples use). Other characters are left out of later texts, with a
 * warning. Fails: E_INVALID (empty, or not UTF-8, with the byte). */
forge_status tokenizer_train_chars(const char *text, uint64_t bytes,
                                   forge_tokenizer **out_tokenizer);
/* Byte-level BPE with GPT-2's pre-tokenizer: 256 bytes, then the commonest pair again and again (of
 * equally common ones the lowest ids) until there are |vocab_size| pieces or no pair occurs twice.
 * Any bytes encode. Fails: E_INVALID (vocab_size < 256 or above a million). */
forge_status tokenizer_train_bpe(const char *text, uint64_t bytes, uint32_t vocab_size,
                                 forge_tokenizer **out_tokenizer);

#endif
