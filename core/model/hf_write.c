/* hf_write.c -- a model as Hugging Face has it: one .safetensors with config.json, tokenizer.json
 * and tokenizer_config.json beside it. The model file is written last, so that while it is absent
 * nobody takes the rest for a model. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hf.h"
#include "hf_names.h"
#include "model_write.h"
#include "safetensors.h"

enum { CONFIG, TOKENIZER, TOKENIZER_CONFIG, COMPANIONS };
static const char *const companion_names[] = {"config.json", "tokenizer.json",
                                              "tokenizer_config.json"};

/* The small files as texts; NULL: none. */
typedef struct companions {
  char *text[COMPANIONS];
} companions;

static void companions_finish(companions *c) {
  for (int i = 0; i < COMPANIONS; i++) mem_free(c->text[i]);
}

static uint8_t matrix_type(const model_source *s) {
  for (uint32_t i = 0; i < s->n; i++)
    if (s->tensors[i].rank == 2) return s->tensors[i].dtype;
  return FORGE_F32;
}

static forge_status make_config(const model_source *s, char **out) {
  const tokenizer_vocab *v = s->tokenizer ? tokenizer_vocab_of(s->tokenizer) : NULL;
  hf_rope_llama3 rope;
  float *factors;
  TRY(model_source_rope(s, &factors));
  const bool known = !factors || hf_rope_from_factors(factors, s->config, &rope);
  const bool scaled = factors != NULL;
  mem_free(factors);
  if (!known)
    return FAIL(FORGE_E_UNSUPPORTED,
                "its rope factors follow no formula config.json has: write a .gguf instead");
  return hf_config_text(s->config, matrix_type(s), scaled ? &rope : NULL, v ? v->bos : -1,
                        v ? v->eos : -1, out);
}

static void set_token(json_t *json, const char *key, const tokenizer_vocab *v, int32_t id) {
  if (id < 0 || (uint32_t)id >= v->n) return;
  json_object_set_new(json, key, json_stringn(v->pieces[id].s, v->pieces[id].n));
}

static forge_status make_tokenizer_config(const forge_tokenizer *tokenizer, char **out) {
  const tokenizer_vocab *v = tokenizer_vocab_of(tokenizer);
  json_t *json = json_object();
  json_object_set_new(json, "tokenizer_class", json_string("PreTrainedTokenizerFast"));
  json_object_set_new(json, "add_bos_token", json_boolean(v->add_bos));
  json_object_set_new(json, "add_eos_token", json_boolean(v->add_eos));
  set_token(json, "bos_token", v, v->bos);
  set_token(json, "eos_token", v, v->eos);
  set_token(json, "unk_token", v, v->unk);
  set_token(json, "pad_token", v, v->pad);
  char *encoded = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
  json_decref(json);
  *out = encoded ? mem_printf("%s\n", encoded) : NULL;
  free(encoded);
  return *out ? FORGE_OK : FAIL(FORGE_E_OOM, "tokenizer_config.json");
}

static forge_status make_companions(const model_source *s, companions *c) {
  TRY(make_config(s, &c->text[CONFIG]));
  if (!s->tokenizer) return FORGE_OK;
  TRY(tokenizer_json_write(s->tokenizer, &c->text[TOKENIZER]));
  return make_tokenizer_config(s->tokenizer, &c->text[TOKENIZER_CONFIG]);
}

/* ---- the .safetensors ---- */

static int convention_of(const forge_model_config *c) {
  return c->family == FORGE_FAMILY_GPT2 ? HF_NAMES_GPT2 : HF_NAMES_LLAMA;
}

/* The factors live in config.json. */
static bool is_stored(const model_tensor *t) { return strcmp(t->name, "rope_freqs.weight") != 0; }

static forge_status describe_tensor(const model_source *s, const model_tensor *t, uint64_t *at,
                                    json_t *header) {
  char name[128];
  const int convention = convention_of(s->config);
  const char *type = safetensors_type_name(t->dtype);
  if (!hf_from_canonical(convention, t->name, name))
    return FAIL(FORGE_E_UNSUPPORTED, "tensor %s has no name in a Hugging Face model", t->name);
  if (!type)
    return FAIL(FORGE_E_UNSUPPORTED,
                "tensor %s is %s, which safetensors cannot hold: give --type f32, f16 or bf16, or "
                "write a .gguf",
                t->name, dtype_name(t->dtype));
  const bool turned = hf_is_transposed(convention, t->name);
  json_t *shape = json_array();
  for (uint32_t k = 0; k < t->rank; k++)
    json_array_append_new(shape, json_integer(t->dim[turned ? t->rank - 1 - k : k]));
  const uint64_t end = *at + model_tensor_bytes(t);
  json_t *entry = json_pack("{s:s, s:o, s:[I,I]}", "dtype", type, "shape", shape, "data_offsets",
                            (json_int_t)*at, (json_int_t)end);
  *at = end;
  if (!entry || json_object_set_new(header, name, entry))
    return FAIL(FORGE_E_OOM, "no memory for the header");
  return FORGE_OK;
}

/* Wider types first, so that each tensor is aligned to its elements. */
static bool in_pass(const model_tensor *t, int pass) {
  return is_stored(t) && (dtype_block_bytes(t->dtype) >= 4) == (pass == 0);
}

static forge_status describe(const model_source *s, json_t *header) {
  uint64_t at = 0;
  json_object_set_new(header, "__metadata__", json_pack("{s:s}", "format", "pt"));
  for (int pass = 0; pass < 2; pass++)
    for (uint32_t i = 0; i < s->n; i++)
      if (in_pass(&s->tensors[i], pass)) TRY(describe_tensor(s, &s->tensors[i], &at, header));
  return FORGE_OK;
}

static forge_status put_header(const json_t *header, FILE *stream) {
  char *encoded = json_dumps(header, JSON_COMPACT);
  if (!encoded) return FAIL(FORGE_E_OOM, "no memory for the header");
  const size_t n = strlen(encoded);
  const uint64_t length = (n + 7) / 8 * 8;
  forge_status st = model_put_bytes(&length, sizeof length, stream);
  if (!st) st = model_put_bytes(encoded, n, stream);
  if (!st) st = model_put_bytes("       ", length - n, stream);
  free(encoded);
  return st;
}

static forge_status put_tensor(model_source *s, uint32_t index, FILE *stream) {
  if (hf_is_transposed(convention_of(s->config), s->tensors[index].name))
    return model_put_transposed(s, index, stream);
  return model_put(s, index, FORGE_ROPE_STYLE_HALF, stream);
}

static forge_status put_all(model_source *s, FILE *stream) {
  json_t *header = json_object();
  forge_status st = header ? describe(s, header) : FAIL(FORGE_E_OOM, "no memory for the header");
  if (!st) st = put_header(header, stream);
  json_decref(header);
  TRY(st);
  for (int pass = 0; pass < 2; pass++)
    for (uint32_t i = 0; i < s->n; i++)
      if (in_pass(&s->tensors[i], pass)) TRY(put_tensor(s, i, stream));
  return FORGE_OK;
}

static forge_status write_weights(const char *path, model_source *s) {
  file_writer w;
  TRY(file_writer_open(path, &w));
  const forge_status st = put_all(s, w.stream);
  if (!st) return file_writer_commit(&w);
  file_writer_abandon(&w);
  return base_fail_in(st, "%s", path);
}

/* ---- files together ---- */

typedef forge_status (*companion_step)(const char *path, const char *main_path, const char *text);

static forge_status step_check(const char *path, const char *main_path, const char *text_of) {
  return model_companion_check(path, main_path, text_of, text_of ? strlen(text_of) : 0);
}

static forge_status step_write(const char *path, const char *main_path, const char *text_of) {
  (void)main_path;
  return model_companion_write(path, text_of, text_of ? strlen(text_of) : 0);
}

static forge_status each_companion(const char *dir, const char *main_path, const companions *c,
                                   companion_step step) {
  for (int i = 0; i < COMPANIONS; i++) {
    char *path = file_join(dir, companion_names[i]);
    if (!path) return FAIL(FORGE_E_OOM, "%s", dir);
    const forge_status st = step(path, main_path, c->text[i]);
    mem_free(path);
    TRY(st);
  }
  return FORGE_OK;
}

forge_status hf_write_file(const char *path, model_source *s) {
  companions c = {{NULL}};
  char *dir = file_parent(path);
  forge_status st = dir ? FORGE_OK : FAIL(FORGE_E_OOM, "%s", path);
  if (!st) st = make_companions(s, &c);
  if (st) st = base_fail_in(st, "%s", path);
  if (!st) st = each_companion(dir, path, &c, step_check);
  if (!st) st = each_companion(dir, path, &c, step_write);
  if (!st) st = write_weights(path, s);
  companions_finish(&c);
  mem_free(dir);
  return st;
}

static const char *const folder_names[] = {"config.json", "tokenizer.json", "tokenizer_config.json",
                                           "model.safetensors"};

static void remove_folder(const char *dir) {
  for (size_t i = 0; i < COUNT_OF(folder_names); i++) {
    char *path = file_join(dir, folder_names[i]);
    if (path) unlink(path);
    mem_free(path);
  }
  rmdir(dir);
}

static bool is_ours(const char *name) {
  if (!strcmp(name, ".") || !strcmp(name, "..")) return true;
  for (size_t i = 0; i < COUNT_OF(folder_names); i++)
    if (!strcmp(name, folder_names[i])) return true;
  return false;
}

/* Nothing but what remove_folder() removes. */
static bool holds_a_model_alone(const char *dir) {
  DIR *d = opendir(dir);
  bool alone = d != NULL;
  for (const struct dirent *entry; alone && (entry = readdir(d));) alone = is_ours(entry->d_name);
  if (d) closedir(d);
  return alone;
}

/* The old model keeps its files until the new one has its name. */
static forge_status replace(const char *temporary, const char *path) {
  char *old = mem_printf("%s.old.%ld", path, (long)getpid());
  if (!old) return FAIL(FORGE_E_OOM, "%s: no memory to write it", path);
  forge_status st = FORGE_OK;
  if (rename(path, old)) {
    st = base_fail_errno(FORGE_E_IO, "%s: the model there cannot be replaced", path);
  } else if (rename(temporary, path)) {
    st = base_fail_errno(FORGE_E_IO, "%s: cannot be written", path);
    if (rename(old, path)) st = base_fail_in(st, "the model that was there is now %s", old);
  } else if (!(st = file_sync_parent(path))) {
    remove_folder(old);
  }
  mem_free(old);
  return st;
}

/* rename() replaces an empty folder and no other. */
static forge_status publish(const char *temporary, const char *path) {
  if (!rename(temporary, path)) return file_sync_parent(path);
  if (errno != ENOTEMPTY && errno != EEXIST)
    return base_fail_errno(FORGE_E_IO, "%s: cannot be written", path);
  if (holds_a_model_alone(path)) return replace(temporary, path);
  return FAIL(FORGE_E_EXISTS,
              "%s: a folder is written as a whole and this one holds something other than a "
              "model: remove it or give another",
              path);
}

forge_status hf_write_folder(const char *path, model_source *s) {
  size_t n = strlen(path);
  while (n > 1 && path[n - 1] == '/') n--;
  char *target = mem_strndup(path, n);
  char *temporary = target ? mem_printf("%s.partial.%ld", target, (long)getpid()) : NULL;
  char *weights = temporary ? file_join(temporary, "model.safetensors") : NULL;
  forge_status st = weights ? FORGE_OK : FAIL(FORGE_E_OOM, "%s", path);
  if (!st && file_exists(target) && !file_is_directory(target))
    st = FAIL(FORGE_E_EXISTS, "%s: is a file; a folder was to be written there", target);
  if (!st) st = file_make_directories(temporary);
  if (!st) {
    st = hf_write_file(weights, s);
    if (!st) st = publish(temporary, target);
    if (st) remove_folder(temporary);
  }
  mem_free(weights);
  mem_free(temporary);
  mem_free(target);
  return st;
}
