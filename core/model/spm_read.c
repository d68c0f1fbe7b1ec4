/* spm_read.c -- SentencePiece's .model: a protobuf message with pieces, scores and switches. */
#include <string.h>

#include "sentencepiece.pb-c.h"
#include "tokenizer_parts.h"

enum { MAX_MODEL = 1 << 28 };

static forge_status check_model(const Spm__Model *model) {
  const Spm__Trainer *trainer = model->trainer;
  const Spm__Normalizer *normalizer = model->normalizer;
  if (!model->n_pieces) return FAIL(FORGE_E_CORRUPT, "tokenizer.model: no pieces");
  if (model->n_pieces > TOKENIZER_MAX_PIECES)
    return FAIL(FORGE_E_CORRUPT, "tokenizer.model: %zu pieces; at most %d are sane",
                model->n_pieces, TOKENIZER_MAX_PIECES);
  if (!trainer) return FAIL(FORGE_E_CORRUPT, "tokenizer.model: no trainer part, so no model type");
  if (trainer->model_type != SPM__TRAINER__MODEL_TYPE__BPE)
    return FAIL(
        FORGE_E_UNSUPPORTED,
        "tokenizer.model: model_type %d (1 unigram, 3 word, 4 char) is not supported; BPE is",
        (int)trainer->model_type);
  if (trainer->treat_whitespace_as_suffix)
    return FAIL(FORGE_E_UNSUPPORTED, "tokenizer.model: treat_whitespace_as_suffix");
  if (normalizer && normalizer->precompiled_charsmap.len)
    return FAIL(
        FORGE_E_UNSUPPORTED,
        "tokenizer.model: normalizer \"%.*s\" has a character map; only identity is supported",
        normalizer->name.len < 40 ? (int)normalizer->name.len : 40,
        normalizer->name.len ? (const char *)normalizer->name.data : "");
  if (normalizer && !normalizer->escape_whitespaces)
    return FAIL(FORGE_E_UNSUPPORTED, "tokenizer.model: escape_whitespaces off");
  return FORGE_OK;
}

/* An id of the trainer part counts when its piece has the type for it. */
static int32_t special(const uint8_t *types, size_t n, int32_t id, uint8_t type) {
  return id >= 0 && (size_t)id < n && types[id] == type ? id : -1;
}

static void take_switches(const Spm__Model *model, const uint8_t *types, tokenizer_vocab *v) {
  const Spm__Trainer *trainer = model->trainer;
  const Spm__Normalizer *normalizer = model->normalizer;
  const size_t n = model->n_pieces;
  v->bos = special(types, n, trainer->bos_id, TOKENIZER_CONTROL);
  v->eos = special(types, n, trainer->eos_id, TOKENIZER_CONTROL);
  v->pad = special(types, n, trainer->pad_id, TOKENIZER_CONTROL);
  v->unk = special(types, n, trainer->unk_id, TOKENIZER_UNKNOWN);
  v->byte_fallback = trainer->byte_fallback;
  v->add_bos = v->bos >= 0; /* Llama's habit; the file does not say */
  v->add_space_prefix = normalizer ? normalizer->add_dummy_prefix : true;
  v->remove_extra_spaces = normalizer ? normalizer->remove_extra_whitespaces : true;
}

static forge_status take_model(const Spm__Model *model, forge_tokenizer **out_tokenizer) {
  TRY(check_model(model));
  const size_t n = model->n_pieces;
  tokenizer_piece *pieces = mem_zalloc_array(n, sizeof *pieces);
  float *scores = mem_zalloc_array(n, sizeof *scores);
  uint8_t *types = mem_zalloc(n);
  forge_status st = pieces && scores && types ? FORGE_OK : FAIL(FORGE_E_OOM, "tokenizer.model");
  for (size_t i = 0; i < n && !st; i++) {
    const Spm__Piece *piece = model->pieces[i];
    if (piece->piece.len > TOKENIZER_MAX_PIECE_BYTES)
      st = FAIL(FORGE_E_CORRUPT, "tokenizer.model: piece %zu has %zu bytes", i, piece->piece.len);
    pieces[i] =
        (tokenizer_piece){.s = (const char *)piece->piece.data, .n = (uint32_t)piece->piece.len};
    scores[i] = piece->score;
    types[i] = (uint8_t)piece->type; /* proto2 keeps other numbers out of an enum */
  }
  if (!st) {
    tokenizer_vocab v = {.kind = TOKENIZER_SPM,
                         .n = (uint32_t)n,
                         .pieces = pieces,
                         .scores = scores,
                         .types = types};
    take_switches(model, types, &v);
    st = tokenizer_from_vocab(&v, out_tokenizer);
  }
  mem_free(pieces);
  mem_free(scores);
  mem_free(types);
  return st;
}

forge_status tokenizer_from_spm(const uint8_t *data, uint64_t bytes,
                                forge_tokenizer **out_tokenizer) {
  if (bytes > MAX_MODEL)
    return FAIL(FORGE_E_CORRUPT, "tokenizer.model: %llu bytes; at most %d are sane",
                (unsigned long long)bytes, MAX_MODEL);
  Spm__Model *model = spm__model__unpack(NULL, bytes, data);
  if (!model)
    return FAIL(FORGE_E_CORRUPT, "tokenizer.model: not a SentencePiece model, or cut short");
  const forge_status st = take_model(model, out_tokenizer);
  spm__model__free_unpacked(model, NULL);
  return st;
}
