/* tokenizer_open.c -- which reader a file or a folder is for. */
#include <string.h>

#include "file.h"
#include "tokenizer_json.h"

enum { MAX_FILE = 1 << 28 };

/* ---- GPT-2's pair ---- */

static forge_status count_lines(json_draft *draft, const char *s, uint64_t n) {
  uint64_t lines = 1;
  for (uint64_t i = 0; i < n; i++) lines += s[i] == '\n';
  draft->merges = mem_zalloc_array(lines, sizeof *draft->merges);
  return draft->merges ? FORGE_OK : FAIL(FORGE_E_OOM, "vocab.bpe: merges");
}

static forge_status take_lines(json_draft *draft, const char *s, uint64_t n) {
  TRY(count_lines(draft, s, n));
  const char *end = s + n;
  for (const char *line = s, *next; line < end; line = next) {
    const char *stop = memchr(line, '\n', (size_t)(end - line));
    next = stop ? stop + 1 : end;
    size_t length = (size_t)((stop ? stop : end) - line);
    if (length && line[length - 1] == '\r') length--;
    if (!length || (line == s && length >= 9 && !memcmp(line, "#version:", 9))) continue;
    TRY(json_draft_merge_line(draft, line, length, draft->v.n_merges,
                              &draft->merges[draft->v.n_merges]));
    draft->v.n_merges++;
  }
  return FORGE_OK;
}

static forge_status take_pair(json_draft *draft, const char *encoder, uint64_t encoder_bytes,
                              const char *merges, uint64_t merges_bytes) {
  TRY(json_draft_parse(draft, encoder, encoder_bytes));
  draft->ids = draft->root;
  TRY(json_draft_pieces(draft, NULL));
  TRY(take_lines(draft, merges, merges_bytes));
  const int32_t end = json_draft_id(draft, "<|endoftext|>");
  if (end >= 0) draft->types[end] = TOKENIZER_CONTROL;
  draft->v.kind = TOKENIZER_BPE;
  draft->v.bos = draft->v.eos = end;
  draft->v.unk = draft->v.pad = -1;
  draft->v.byte_level = true;
  draft->v.pretokenizer = "gpt-2";
  return FORGE_OK;
}

forge_status tokenizer_from_gpt2(const char *encoder, uint64_t encoder_bytes, const char *merges,
                                 uint64_t merges_bytes, forge_tokenizer **out_tokenizer) {
  json_draft draft = {0};
  const forge_status st = take_pair(&draft, encoder, encoder_bytes, merges, merges_bytes);
  return json_draft_end(&draft, st, out_tokenizer);
}

static forge_status open_pair(const char *encoder_path, const char *merges_path,
                              forge_tokenizer **out) {
  char *encoder = NULL, *merges = NULL;
  uint64_t encoder_bytes = 0, merges_bytes = 0;
  forge_status st = file_read(encoder_path, MAX_FILE, &encoder, &encoder_bytes);
  if (!st) st = file_read(merges_path, MAX_FILE, &merges, &merges_bytes);
  if (!st) {
    st = tokenizer_from_gpt2(encoder, encoder_bytes, merges, merges_bytes, out);
    if (st) st = base_fail_in(st, "%s and %s", encoder_path, merges_path);
  }
  mem_free(encoder);
  mem_free(merges);
  return st;
}

/* ---- one file ---- */

/* tokenizer_config.json beside |path|; absent: NULL. */
static forge_status read_config(const char *path, char **out, uint64_t *out_bytes) {
  char *dir = file_parent(path), *config = dir ? file_join(dir, "tokenizer_config.json") : NULL;
  forge_status st = config ? FORGE_OK : FAIL(FORGE_E_OOM, "%s", path);
  if (!st && file_exists(config)) st = file_read(config, MAX_FILE, out, out_bytes);
  mem_free(dir);
  mem_free(config);
  return st;
}

static forge_status open_json(const char *path, forge_tokenizer **out) {
  char *json = NULL, *config = NULL;
  uint64_t bytes = 0, config_bytes = 0;
  forge_status st = file_read(path, MAX_FILE, &json, &bytes);
  if (!st) st = read_config(path, &config, &config_bytes);
  if (!st) {
    st = tokenizer_from_json_config(json, bytes, config, config_bytes, out);
    if (st) st = base_fail_in(st, "%s", path);
  }
  mem_free(json);
  mem_free(config);
  return st;
}

static forge_status open_gguf(const char *path, forge_tokenizer **out) {
  gguf file = {0};
  forge_status st = gguf_open(path, &file);
  if (!st) st = tokenizer_from_gguf(&file, out);
  gguf_close(&file);
  return st;
}

typedef forge_status (*bytes_fn)(const uint8_t *data, uint64_t bytes, forge_tokenizer **out);

static forge_status open_bytes(const char *path, bytes_fn read, forge_tokenizer **out) {
  file_map map;
  TRY(file_map_open(path, &map));
  forge_status st = read(map.data, map.bytes, out);
  if (st) st = base_fail_in(st, "%s", path);
  file_map_close(&map);
  return st;
}

enum { FORM_GGUF, FORM_JSON, FORM_SPM, FORM_LLAMA2C };

/* By what the file begins with, its name deciding between the two that have no mark. */
static forge_status form_of(const char *path, int *out) {
  file_map map;
  TRY(file_map_open(path, &map));
  const uint8_t first = map.bytes ? map.data[0] : 0;
  const bool is_gguf = gguf_is(map.data, map.bytes);
  file_map_close(&map);
  if (is_gguf || text_ends_with(path, ".gguf"))
    *out = FORM_GGUF;
  else if (text_ends_with(path, ".json"))
    *out = FORM_JSON;
  else if (text_ends_with(path, ".bin"))
    *out = FORM_LLAMA2C;
  else if (text_ends_with(path, ".model"))
    *out = FORM_SPM;
  else
    *out = first == '{' ? FORM_JSON : first == '\n' ? FORM_SPM : FORM_LLAMA2C;
  return FORGE_OK;
}

/* ---- a folder ---- */

/* "dir/name" if that is there, else NULL. */
static char *find_in(const char *dir, const char *name) {
  char *path = file_join(dir, name);
  if (path && file_exists(path)) return path;
  mem_free(path);
  return NULL;
}

static forge_status try_pair(const char *dir, const char *encoder_name, const char *merges_name,
                             bool *out_found, forge_tokenizer **out) {
  char *encoder = find_in(dir, encoder_name), *merges = find_in(dir, merges_name);
  *out_found = encoder && merges;
  const forge_status st = *out_found ? open_pair(encoder, merges, out) : FORGE_OK;
  mem_free(encoder);
  mem_free(merges);
  return st;
}

static forge_status try_file(const char *dir, const char *name, bool *out_found,
                             forge_tokenizer **out) {
  char *path = find_in(dir, name);
  *out_found = path != NULL;
  const forge_status st = path ? forge_tokenizer_open(path, out) : FORGE_OK;
  mem_free(path);
  return st;
}

forge_status tokenizer_from_folder(const char *dir, forge_tokenizer **out_tokenizer) {
  bool found;
  TRY(try_file(dir, "tokenizer.json", &found, out_tokenizer));
  if (!found) TRY(try_file(dir, "tokenizer.model", &found, out_tokenizer));
  if (!found) TRY(try_pair(dir, "encoder.json", "vocab.bpe", &found, out_tokenizer));
  if (!found) TRY(try_pair(dir, "vocab.json", "merges.txt", &found, out_tokenizer));
  if (!found) TRY(try_file(dir, "tokenizer.bin", &found, out_tokenizer));
  if (found) return FORGE_OK;
  return FAIL(
      FORGE_E_NOT_FOUND,
      "%s: no tokenizer in it (tokenizer.json, tokenizer.model, encoder.json with vocab.bpe, "
      "vocab.json with merges.txt, or tokenizer.bin)",
      dir);
}

forge_status forge_tokenizer_open(const char *path, forge_tokenizer **out_tokenizer) {
  if (!path || !out_tokenizer) return FAIL(FORGE_E_INVALID, "tokenizer: path or result is NULL");
  if (file_is_directory(path)) return tokenizer_from_folder(path, out_tokenizer);
  int form;
  TRY(form_of(path, &form));
  switch (form) {
  case FORM_GGUF: return open_gguf(path, out_tokenizer);
  case FORM_JSON: return open_json(path, out_tokenizer);
  case FORM_SPM: return open_bytes(path, tokenizer_from_spm, out_tokenizer);
  default: return open_bytes(path, tokenizer_from_llama2c, out_tokenizer);
  }
}
