/* test_damage.c -- damaged, truncated, contradictory and foreign files are refused with a reason.
 */
#include "samples.h"

#include <stdlib.h>
#include <string.h>

/* Opening fails somehow, and the reason names the file. */
static void refused(const char *path) {
  forge_model *m = NULL;
  const forge_status st = forge_model_open(path, NULL, &m);
  if (!st) {
    forge_model_close(m);
    fail_msg("%s was opened", path);
  }
  if (st != FORGE_E_CORRUPT && st != FORGE_E_UNSUPPORTED)
    fail_msg("%s: %s", forge_status_name(st), forge_error_last()->msg);
  assert_non_null(strstr(forge_error_last()->msg, path));
}

static void write_prefix(const bytes *whole, size_t n, const char *path) {
  bytes cut = {0};
  put(&cut, whole->p, n);
  save(&cut, path);
}

static void refuses_every_prefix(const char *path, const char *cut_path, size_t step) {
  bytes whole = load(path);
  for (size_t n = 0; n < whole.n; n += n < 2048 ? 7 : step) {
    write_prefix(&whole, n, cut_path);
    refused(cut_path);
  }
  write_prefix(&whole, whole.n - 1, cut_path);
  refused(cut_path);
  free(whole.p);
}

static void a_truncated_file_is_refused_wherever_it_ends(void **state) {
  (void)state;
  char *dir = sample_folder();
  sample s = sample_make(&sample_llama, FORGE_F32);
  sample_bin(&s, in(dir, "m.bin"));
  sample_gguf(&s, in(dir, "m.gguf"));
  sample_safetensors(&s, NAMES_HF, 0, s.n, in(dir, "m.safetensors"));
  sample_config_json(&s, in(dir, "config.json"), "");
  refuses_every_prefix(in(dir, "m.bin"), in(dir, "cut.bin"), 4999);
  refuses_every_prefix(in(dir, "m.gguf"), in(dir, "cut.gguf"), 4999);
  refuses_every_prefix(in(dir, "m.safetensors"), in(dir, "cut.safetensors"), 4999);
  sample_free(&s);
  sample_remove(dir);
}

static void real_files_are_refused_when_truncated(void **state) {
  static const char *const names[] = {
      "models/stories260K/stories260K.bin", "models/stories260K/stories260K.safetensors",
      "models/gguf/llama-2-tiny-random.gguf", "tokenizers/gguf-vocab/ggml-vocab-llama-spm.gguf"};
  (void)state;
  char *dir = sample_folder();
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    const char *path = data_file(names[i]);
    if (!path) {
      sample_remove(dir);
      skip();
    }
    bytes whole = load(path);
    for (size_t k = 0; k < 12; k++) {
      write_prefix(&whole, whole.n * k / 12, in(dir, "cut.gguf"));
      refused(in(dir, "cut.gguf"));
    }
    free(whole.p);
  }
  sample_remove(dir);
}

/* ---- GGUF ---- */

static const int64_t two[] = {2, 4};
static const float zeros[64];

static void raw_gguf(const char *path, uint32_t version, uint64_t tensors, uint64_t keys) {
  bytes b = {0};
  put(&b, "GGUF", 4);
  put_u32(&b, version);
  put_u64(&b, tensors);
  put_u64(&b, keys);
  for (int i = 0; i < 64; i++) put_u64(&b, 0);
  save(&b, path);
}

static void a_gguf_header_that_cannot_be_is_refused(void **state) {
  (void)state;
  char *dir = sample_folder();
  const char *path = in(dir, "m.gguf");
  raw_gguf(path, 1, 0, 0);
  open_fails(path, FORGE_E_UNSUPPORTED, "version 1");
  raw_gguf(path, 4, 0, 0);
  open_fails(path, FORGE_E_UNSUPPORTED, "version 4");
  raw_gguf(path, 0x03000000, 0, 0);
  open_fails(path, FORGE_E_UNSUPPORTED, "big-endian");
  raw_gguf(path, 3, UINT64_MAX, 0);
  open_fails(path, FORGE_E_CORRUPT, "claims 18446744073709551615 tensors");
  raw_gguf(path, 3, 0, 1u << 19);
  open_fails(path, FORGE_E_CORRUPT, "keys");
  raw_gguf(path, 3, 0, 0);
  open_fails(path, FORGE_E_UNSUPPORTED, "no model");
  sample_remove(dir);
}

static void gguf_with_value(const char *path, uint32_t type, const void *value, size_t n) {
  gguf_file g = {0};
  put_str(&g.keys, "a.key");
  put_u32(&g.keys, type);
  put(&g.keys, value, n);
  g.n_keys = 1;
  gguf_save(&g, path);
}

static void gguf_values_that_cannot_be_are_refused(void **state) {
  (void)state;
  char *dir = sample_folder();
  const char *path = in(dir, "m.gguf");
  const uint64_t huge = UINT64_MAX - 3;
  gguf_with_value(path, 77, "", 0);
  open_fails(path, FORGE_E_CORRUPT, "unknown value type 77");
  gguf_with_value(path, 8, &huge, sizeof huge);
  open_fails(path, FORGE_E_CORRUPT, "claims 18446744073709551612 bytes");
  bytes nested = {0};
  for (int i = 0; i < 40; i++) {
    put_u32(&nested, 9);
    put_u64(&nested, 1);
  }
  gguf_with_value(path, 9, nested.p, nested.n);
  open_fails(path, FORGE_E_CORRUPT, "nested deeper");
  bytes array = {0};
  put_u32(&array, 10);
  put_u64(&array, UINT64_MAX / 4);
  gguf_with_value(path, 9, array.p, array.n);
  open_fails(path, FORGE_E_CORRUPT, "ends inside an array");
  free(nested.p);
  free(array.p);
  sample_remove(dir);
}

static void one_tensor(const char *path, const char *name, uint32_t type, uint32_t rank,
                       const int64_t *dim, int64_t offset) {
  gguf_file g = {0};
  gguf_add(&g, "first", 0, 2, two, zeros, 32, -1);
  gguf_add(&g, name, type, rank, dim, zeros, 64, offset);
  gguf_save(&g, path);
}

static void gguf_tensors_that_cannot_be_are_refused(void **state) {
  static const int64_t negative[] = {-1, 4}, wide[] = {INT64_MAX, INT64_MAX}, nine[9] = {1},
                       odd[] = {2, 31};
  (void)state;
  char *dir = sample_folder();
  const char *path = in(dir, "m.gguf");
  one_tensor(path, "t", 0, 2, two, 0);
  open_fails(path, FORGE_E_CORRUPT, "overlaps");
  one_tensor(path, "t", 0, 2, two, 33);
  open_fails(path, FORGE_E_CORRUPT, "aligned");
  one_tensor(path, "t", 0, 2, two, 1 << 20);
  open_fails(path, FORGE_E_CORRUPT, "outside the file");
  one_tensor(path, "t", 0, 2, two, INT64_MAX - 31);
  open_fails(path, FORGE_E_CORRUPT, "outside the file");
  one_tensor(path, "t", 0, 2, negative, 32);
  open_fails(path, FORGE_E_CORRUPT, "dimensions are impossible");
  one_tensor(path, "t", 0, 2, wide, 32);
  open_fails(path, FORGE_E_CORRUPT, "dimensions are impossible");
  one_tensor(path, "t", 8, 2, odd, 32);
  open_fails(path, FORGE_E_CORRUPT, "whole number of blocks");
  one_tensor(path, "first", 0, 2, two, 32);
  open_fails(path, FORGE_E_CORRUPT, "twice");
  one_tensor(path, "t", 0, 9, nine, 32);
  open_fails(path, FORGE_E_CORRUPT, "more than 4 dimensions");
  sample_remove(dir);
}

static void a_binary_file_that_went_through_a_text_tool_is_recognised(void **state) {
  (void)state;
  char *dir = sample_folder();
  forge_model_config config = sample_llama;
  config.n_layer = 10; /* "\n" in the header */
  sample s = sample_make(&config, FORGE_F32);
  gguf_file g = {0};
  gguf_key_str(&g, "general.description", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj");
  gguf_fill(&g, &s);
  gguf_save(&g, in(dir, "m.gguf"));
  bytes whole = load(in(dir, "m.gguf")), mangled = {0};
  for (size_t i = 0; i < whole.n; i++) {
    if (whole.p[i] == '\n') put(&mangled, "\r", 1);
    put(&mangled, whole.p + i, 1);
  }
  save(&mangled, in(dir, "crlf.gguf"));
  open_fails(in(dir, "crlf.gguf"), FORGE_E_CORRUPT, "CRLF");
  free(whole.p);
  sample_free(&s);
  sample_remove(dir);
}

/* ---- model against configuration ---- */

static void gguf_of(const sample *s, const char *path, void (*change)(gguf_file *g)) {
  gguf_file g = {0};
  change(&g);
  gguf_fill(&g, s);
  gguf_save(&g, path);
}

static void add_experts(gguf_file *g) { gguf_key_u32(g, "llama.expert_count", 8); }
static void add_yarn(gguf_file *g) { gguf_key_str(g, "llama.rope.scaling.type", "yarn"); }
static void add_partial(gguf_file *g) { gguf_key_u32(g, "llama.rope.dimension_count", 4); }
static void add_text(gguf_file *g) { gguf_key_str(g, "llama.rope.freq_base", "10000"); }
static void add_stranger(gguf_file *g) {
  gguf_add(g, "blk.0.attn_q.bias", 0, 1, two, zeros, 8, -1);
}
static void add_second(gguf_file *g) { gguf_key_u32(g, "llama.context_length", 8); }

static void what_forge_would_compute_wrongly_is_refused(void **state) {
  (void)state;
  char *dir = sample_folder();
  const char *path = in(dir, "m.gguf");
  sample s = sample_make(&sample_llama, FORGE_F32);
  gguf_of(&s, path, add_experts);
  open_fails(path, FORGE_E_UNSUPPORTED, "experts");
  gguf_of(&s, path, add_yarn);
  open_fails(path, FORGE_E_UNSUPPORTED, "yarn");
  gguf_of(&s, path, add_partial);
  open_fails(path, FORGE_E_UNSUPPORTED, "rotated");
  gguf_of(&s, path, add_text);
  open_fails(path, FORGE_E_CORRUPT, "has type string");
  gguf_of(&s, path, add_stranger);
  open_fails(path, FORGE_E_UNSUPPORTED, "blk.0.attn_q.bias has no place");
  gguf_of(&s, path, add_second);
  open_fails(path, FORGE_E_CORRUPT, "twice");
  sample_free(&s);
  sample_remove(dir);
}

static void shapes_that_contradict_the_configuration_are_refused(void **state) {
  (void)state;
  char *dir = sample_folder();
  const char *path = in(dir, "m.gguf");
  sample s = sample_make(&sample_llama, FORGE_F32);
  s.config.n_ff = 65;
  sample_gguf(&s, path);
  open_fails(path, FORGE_E_CORRUPT, "blk.0.ffn_gate.weight is 64 x 32");
  s.config.n_ff = 64;
  s.config.n_layer = 3;
  sample_gguf(&s, path);
  open_fails(path, FORGE_E_CORRUPT, "blk.2.attn_norm.weight is missing");
  s.config.n_layer = 1;
  sample_gguf(&s, path);
  open_fails(path, FORGE_E_UNSUPPORTED, "blk.1.");
  s.config.n_layer = 2;
  s.config.n_kv_head = 3;
  sample_gguf(&s, path);
  open_fails(path, FORGE_E_CORRUPT, "n_kv_head");
  s.config.n_kv_head = 2;
  s.config.n_head = 0;
  sample_gguf(&s, path);
  open_fails(path, FORGE_E_CORRUPT, "heads");
  s.config.n_head = 4;
  s.config.n_layer = UINT32_MAX;
  sample_gguf(&s, path);
  open_fails(path, FORGE_E_CORRUPT, "n_layer");
  sample_free(&s);
  sample_remove(dir);
}

/* ---- safetensors and folders ---- */

static void raw_safetensors(const char *path, const char *header, size_t data_bytes) {
  bytes b = {0};
  put_str(&b, header);
  for (size_t i = 0; i < data_bytes; i++) put(&b, "", 1);
  save(&b, path);
}

static void a_safetensors_header_that_cannot_be_is_refused(void **state) {
  static const struct {
    const char *header, *word;
  } cases[] = {
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}", "JSON"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", "disagree"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", "impossible"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", "truncated"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", "shape"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", "shape"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,8],\"data_offsets\":[0,8]}}",
       "shape"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "hole"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "holds 8"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
       "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
       "overlaps"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
       "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
       "duplicate"},
      {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", "dtype"},
      {"{\"a\":[]}", "dtype"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "pair"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":7,\"data_offsets\":[0,8]}}", "list"},
  };
  (void)state;
  char *dir = sample_folder();
  const char *path = in(dir, "m.safetensors");
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    raw_safetensors(path, cases[i].header, 8);
    open_fails(path, FORGE_E_CORRUPT, cases[i].word);
  }
  raw_safetensors(path, "{\"a\":{\"dtype\":\"F5\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
  open_fails(path, FORGE_E_UNSUPPORTED, "F5");
  raw_safetensors(path, "{}", 0);
  open_fails(path, FORGE_E_UNSUPPORTED, "no llama or gpt2");
  sample_remove(dir);
}

static void a_folder_with_a_wrong_configuration_is_refused(void **state) {
  static const struct {
    const char *more;
    forge_status status;
    const char *word;
  } cases[] = {
      {",\"hidden_act\":\"gelu\"", FORGE_E_UNSUPPORTED, "hidden_act"},
      {",\"attention_bias\":true", FORGE_E_UNSUPPORTED, "attention_bias"},
      {",\"sliding_window\":4096", FORGE_E_UNSUPPORTED, "sliding"},
      {",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":2}", FORGE_E_UNSUPPORTED, "yarn"},
      {",\"rope_scaling\":{\"type\":\"linear\",\"factor\":0}", FORGE_E_CORRUPT, "factor"},
      {",\"rope_theta\":\"x\"", FORGE_E_CORRUPT, "rope_theta"},
      {",\"head_dim\":7", FORGE_E_CORRUPT, "head_dim"},
      {",\"head_dim\":-8", FORGE_E_CORRUPT, "head_dim"},
      {",\"x\":", FORGE_E_CORRUPT, "line 1"},
  };
  (void)state;
  char *dir = sample_folder();
  sample s = sample_make(&sample_llama, FORGE_F32);
  sample_safetensors(&s, NAMES_HF, 0, s.n, in(dir, "model.safetensors"));
  open_fails(dir, FORGE_E_NOT_FOUND, "config.json");
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    sample_config_json(&s, in(dir, "config.json"), cases[i].more);
    open_fails(dir, cases[i].status, cases[i].word);
  }
  save_text(in(dir, "config.json"), "{\"model_type\":\"bert\"}");
  open_fails(dir, FORGE_E_UNSUPPORTED, "bert");
  save_text(in(dir, "config.json"), "{\"model_type\":\"llama\"}");
  open_fails(dir, FORGE_E_CORRUPT, "vocab_size");
  save_text(in(dir, "config.json"), "[]");
  open_fails(dir, FORGE_E_CORRUPT, "object");
  sample_free(&s);
  sample_remove(dir);
}

static void an_index_that_leads_elsewhere_is_refused(void **state) {
  (void)state;
  char *dir = sample_folder();
  const char *index = in(dir, "model.safetensors.index.json");
  open_fails(dir, FORGE_E_UNSUPPORTED, "no model");
  save_text(index, "{\"weight_map\":{\"a\":\"../../etc/passwd\"}}");
  open_fails(dir, FORGE_E_CORRUPT, "no name of a file beside it");
  save_text(index, "{\"weight_map\":{\"a\":7}}");
  open_fails(dir, FORGE_E_CORRUPT, "no name of a file beside it");
  save_text(index, "{\"weight_map\":{\"a\":\"gone.safetensors\"}}");
  open_fails(dir, FORGE_E_NOT_FOUND, "a shard it names is missing");
  save_text(index, "{}");
  open_fails(dir, FORGE_E_CORRUPT, "weight_map");
  sample_remove(dir);
}

/* ---- llama2.c ---- */

static void a_llama2c_header_that_cannot_be_is_refused(void **state) {
  static const int32_t headers[][7] = {
      {0, 64, 2, 4, 2, 40, 32},
      {32, 64, 2, 5, 2, 40, 32},
      {32, 64, 2, 4, 3, 40, 32},
      {32, 64, 2, 4, 2, 0, 32},
      {32, 64, 2, 4, 2, INT32_MIN, 32},
      {32, 64, 2, 4, 2, 40, -1},
      {INT32_MAX, INT32_MAX, INT32_MAX, 1, 1, INT32_MAX, INT32_MAX}};
  (void)state;
  char *dir = sample_folder();
  const char *path = in(dir, "m.bin");
  for (size_t i = 0; i < COUNT_OF(headers); i++) {
    bytes b = {0};
    put(&b, headers[i], sizeof headers[i]);
    for (int k = 0; k < 100; k++) put_f32(&b, 0);
    save(&b, path);
    open_fails(path, FORGE_E_CORRUPT, "no llama2.c header");
  }
  bytes b = {0};
  put_u32(&b, 0x616b3432);
  for (int k = 0; k < 100; k++) put_u32(&b, 1);
  save(&b, path);
  open_fails(path, FORGE_E_UNSUPPORTED, "version 1 or later");
  sample_remove(dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_truncated_file_is_refused_wherever_it_ends),
      cmocka_unit_test(real_files_are_refused_when_truncated),
      cmocka_unit_test(a_gguf_header_that_cannot_be_is_refused),
      cmocka_unit_test(gguf_values_that_cannot_be_are_refused),
      cmocka_unit_test(gguf_tensors_that_cannot_be_are_refused),
      cmocka_unit_test(a_binary_file_that_went_through_a_text_tool_is_recognised),
      cmocka_unit_test(what_forge_would_compute_wrongly_is_refused),
      cmocka_unit_test(shapes_that_contradict_the_configuration_are_refused),
      cmocka_unit_test(a_safetensors_header_that_cannot_be_is_refused),
      cmocka_unit_test(a_folder_with_a_wrong_configuration_is_refused),
      cmocka_unit_test(an_index_that_leads_elsewhere_is_refused),
      cmocka_unit_test(a_llama2c_header_that_cannot_be_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
