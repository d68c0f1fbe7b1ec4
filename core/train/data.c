/* data.c -- see data.h. */
#include "data.h"

#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "hash.h"

static forge_status make_tokenizer(const train_settings *s, const file_map *map,
                                   const forge_tokenizer *own, train_data *d) {
  const char *kind = s->tokenizer, *bytes = (const char *)map->data;
  if (!*kind && own) {
    d->tokenizer = own;
    return FORGE_OK;
  }
  forge_status st;
  if (!*kind || !strcmp(kind, "char"))
    st = tokenizer_train_chars(bytes, map->bytes, &d->owned);
  else if (!strcmp(kind, "byte"))
    st = tokenizer_train_bytes(&d->owned);
  else if (!strncmp(kind, "bpe:", 4))
    st = tokenizer_train_bpe(bytes, map->bytes, (uint32_t)strtoul(kind + 4, NULL, 10), &d->owned);
  else
    st = forge_tokenizer_open(kind, &d->owned);
  d->tokenizer = d->owned;
  return st;
}

static forge_status room_for(train_data *d, uint64_t n, const char *path) {
  if (n < 4) return FAIL(FORGE_E_INVALID, "%s: too short to learn from", path);
  if (n > SIZE_MAX / sizeof *d->ids || !(d->ids = mem_alloc((size_t)n * sizeof *d->ids)))
    return FAIL(FORGE_E_OOM, "%s: no memory for %llu tokens", path, (unsigned long long)n);
  return FORGE_OK;
}

static forge_status encode(const train_settings *s, const file_map *map, train_data *d) {
  const char *bytes = (const char *)map->data;
  uint64_t n = 0;
  const forge_status st = forge_tokenizer_encode(d->tokenizer, bytes, map->bytes, 0, NULL, 0, &n);
  if (st && !(st == FORGE_E_INVALID && n)) return st;
  TRY(room_for(d, n, s->text));
  return forge_tokenizer_encode(d->tokenizer, bytes, map->bytes, 0, d->ids, n, &d->n);
}

static forge_status read_text(const train_settings *s, const forge_tokenizer *own, train_data *d) {
  file_map map;
  TRY(file_map_open(s->text, &map));
  forge_status st =
      map.bytes ? make_tokenizer(s, &map, own, d) : FAIL(FORGE_E_INVALID, "%s: is empty", s->text);
  if (!st) st = encode(s, &map, d);
  file_map_close(&map);
  if (st) return base_fail_in(st, "training text");
  forge_tokenizer_info info = {.size = sizeof info};
  TRY(forge_tokenizer_describe(d->tokenizer, &info));
  d->n_vocab = info.n_vocab;
  return FORGE_OK;
}

static forge_status take_numbers(const train_settings *s, const file_map *map, train_data *d) {
  const uint64_t width = !strcmp(s->tokens_type, "u16") ? 2 : 4;
  if (map->bytes % width)
    return FAIL(FORGE_E_INVALID, "%s: %llu bytes are no whole number of %s", s->tokens,
                (unsigned long long)map->bytes, s->tokens_type);
  TRY(room_for(d, map->bytes / width, s->tokens));
  d->n = map->bytes / width;
  for (uint64_t i = 0; i < d->n; i++) {
    uint32_t id = 0;
    memcpy(&id, map->data + i * width, width);
    if (id > INT32_MAX - 1)
      return FAIL(FORGE_E_INVALID, "%s: number %llu (%u) is too large for a token", s->tokens,
                  (unsigned long long)i, id);
    d->ids[i] = (int32_t)id;
    if (id >= d->n_vocab) d->n_vocab = id + 1;
  }
  return FORGE_OK;
}

/* A tokenizer is not needed to learn, but goes out with the model. */
static forge_status read_numbers(const train_settings *s, const forge_tokenizer *own,
                                 train_data *d) {
  file_map map;
  if (*s->tokenizer) {
    TRY(forge_tokenizer_open(s->tokenizer, &d->owned));
    d->tokenizer = d->owned;
  } else {
    d->tokenizer = own;
  }
  TRY(file_map_open(s->tokens, &map));
  const forge_status st = take_numbers(s, &map, d);
  file_map_close(&map);
  if (st || !d->tokenizer) return st;
  forge_tokenizer_info info = {.size = sizeof info};
  TRY(forge_tokenizer_describe(d->tokenizer, &info));
  if (d->n_vocab > info.n_vocab)
    return FAIL(FORGE_E_MISMATCH, "%s: has token %u, but the tokenizer knows %u", s->tokens,
                d->n_vocab - 1, info.n_vocab);
  d->n_vocab = info.n_vocab;
  return FORGE_OK;
}

static forge_status check_parts(const train_settings *s, const train_data *d) {
  const uint64_t rest = d->n - d->n_train;
  if (d->n_train > s->context && (!rest || rest > s->context)) return FORGE_OK;
  return FAIL(FORGE_E_INVALID,
              "the data has %llu tokens to train and %llu to validate with; each part must be "
              "longer than context (%llu): give more text, or set context or validation lower",
              (unsigned long long)d->n_train, (unsigned long long)rest,
              (unsigned long long)s->context);
}

forge_status train_data_open(const train_settings *s, const forge_tokenizer *own, train_data *out) {
  *out = (train_data){0};
  forge_status st;
  if (*s->text && *s->tokens)
    st = FAIL(FORGE_E_CONFIG, "text and tokens are both given; give one");
  else if (*s->text)
    st = read_text(s, own, out);
  else if (*s->tokens)
    st = read_numbers(s, own, out);
  else
    st = FAIL(FORGE_E_CONFIG, "no text to learn from: give --text FILE, or text or tokens in the "
                              "configuration");
  if (!st) {
    uint8_t hash[16];
    hash_xxh128(out->ids, (size_t)out->n * sizeof *out->ids, 0, hash);
    hash_hex(hash, sizeof hash, out->identity);
    out->n_train = out->n - (uint64_t)((double)out->n * s->validation);
    st = check_parts(s, out);
  }
  if (st) train_data_close(out);
  return st;
}

void train_data_close(train_data *d) {
  mem_free(d->ids);
  forge_tokenizer_close(d->owned);
  *d = (train_data){0};
}

uint64_t train_data_part(const train_data *d, uint32_t part) {
  return part == DATA_TRAIN ? d->n_train : d->n - d->n_train;
}

/* A bijective mixer (the finalizer of SplitMix64, Steele et al. 2014): neighbours in, no relation
 * out. */
static uint64_t mix(uint64_t z) {
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

void train_data_window(const train_data *d, uint32_t part, uint64_t seed, uint64_t number,
                       uint64_t n, int32_t *ids, int32_t *targets) {
  const uint64_t drawn = mix(mix(mix(seed + 0x9E3779B97F4A7C15u) + part) + number);
  const uint64_t places = train_data_part(d, part) - n;
  const uint64_t place = (uint64_t)(((unsigned __int128)drawn * places) >> 64);
  const int32_t *from = d->ids + (part == DATA_TRAIN ? 0 : d->n_train) + place;
  memcpy(ids, from, (size_t)n * sizeof *ids);
  memcpy(targets, from + 1, (size_t)n * sizeof *targets);
}
