/* test_inspect.c -- forge_inspect tells what is in a file, also in one that Forge cannot run. */
#include "samples.h"

#include <jansson.h>
#include <string.h>

static json_t *inspected(const char *path) {
  char *encoded = NULL;
  if (forge_inspect(path, &encoded)) fail_msg("%s", forge_error_last()->msg);
  json_t *o = json_loads(encoded, 0, NULL);
  assert_non_null(o);
  forge_text_free(encoded);
  return o;
}

static const char *text_at(const json_t *o, const char *key) {
  const char *s = json_string_value(json_object_get(o, key));
  return s ? s : "";
}

static json_int_t number_at(const json_t *o, const char *key) {
  return json_integer_value(json_object_get(o, key));
}

static const json_t *tensor_named(const json_t *o, const char *name) {
  const json_t *t;
  size_t i;
  json_array_foreach(json_object_get(o, "tensors"), i,
                     t) if (!strcmp(text_at(t, "name"), name)) return t;
  fail_msg("no tensor %s", name);
  return NULL;
}

static uint64_t sample_bytes(const sample *s) {
  uint64_t n = 0;
  for (uint32_t i = 0; i < s->n; i++) n += s->tensors[i].bytes;
  return n;
}

/* The tensor's offset in the file leads to its bytes. */
static void assert_offset_leads_to(const char *path, const json_t *t, const model_tensor *want) {
  file_map map;
  assert_int_equal(file_map_open(path, &map), FORGE_OK);
  assert_int_equal(number_at(t, "bytes"), want->bytes);
  assert_memory_equal(map.data + number_at(t, "offset"), want->data, want->bytes);
  file_map_close(&map);
}

static void a_model_file_is_described_in_every_format(void **state) {
  (void)state;
  char *dir = sample_folder();
  sample s = sample_make(&sample_llama, FORGE_F32);
  sample_gguf(&s, in(dir, "m.gguf"));
  sample_bin(&s, in(dir, "m.bin"));
  sample_safetensors(&s, NAMES_HF, 0, s.n, in(dir, "model.safetensors"));
  sample_config_json(&s, in(dir, "config.json"), "");
  const char *const files[] = {"m.gguf", "m.bin", "model.safetensors", "."};
  const char *const kinds[] = {"gguf", "llama2c", "safetensors", "huggingface"};
  const char *const down[] = {"blk.1.ffn_down.weight", "blk.1.ffn_down.weight",
                              "model.layers.1.mlp.down_proj.weight",
                              "model.layers.1.mlp.down_proj.weight"};
  for (int i = 0; i < 4; i++) {
    json_t *o = inspected(in(dir, files[i]));
    assert_string_equal(text_at(o, "kind"), kinds[i]);
    assert_int_equal(number_at(o, "tensor_count"), s.n);
    assert_int_equal(number_at(o, "tensor_bytes"), sample_bytes(&s));
    assert_int_equal(number_at(json_object_get(o, "model"), "n_kv_head"), 2);
    assert_offset_leads_to(in(dir, i == 3 ? files[2] : files[i]), tensor_named(o, down[i]),
                           sample_find(&s, "blk.1.ffn_down.weight"));
    json_decref(o);
  }
  sample_free(&s);
  sample_remove(dir);
}

static void long_and_odd_values_are_summarised(void **state) {
  (void)state;
  char *dir = sample_folder(), text_of[400];
  memset(text_of, 'x', sizeof text_of);
  text_of[sizeof text_of - 1] = 0;
  gguf_file g = {0};
  gguf_key_str(&g, "long", text_of);
  gguf_key_str(&g, "odd",
               "a\xFF"
               "b");
  put_str(&g.keys, "list");
  put_u32(&g.keys, 9);
  put_u32(&g.keys, 4);
  put_u64(&g.keys, 1000);
  for (uint32_t i = 0; i < 1000; i++) put_u32(&g.keys, i);
  g.n_keys++;
  gguf_save(&g, in(dir, "m.gguf"));
  json_t *o = inspected(in(dir, "m.gguf"));
  const json_t *metadata = json_object_get(o, "metadata"),
               *list = json_object_get(metadata, "list");
  assert_int_equal(strlen(text_at(metadata, "long")), 203);
  assert_string_equal(text_at(metadata, "odd"), "a?b");
  assert_int_equal(number_at(list, "count"), 1000);
  assert_int_equal(json_array_size(json_object_get(list, "first")), 4);
  assert_non_null(strstr(text_at(o, "problem"), "no model"));
  json_decref(o);
  sample_remove(dir);
}

static void a_type_forge_does_not_have_is_named(void **state) {
  static const int64_t dim[] = {1, 256};
  static const uint8_t zeros[176];
  (void)state;
  char *dir = sample_folder();
  gguf_file g = {0};
  gguf_key_str(&g, "general.architecture", "llama");
  gguf_add(&g, "a", 13, 2, dim, zeros, sizeof zeros, -1);
  gguf_add(&g, "b", 99, 2, dim, zeros, 0, -1);
  gguf_save(&g, in(dir, "m.gguf"));
  json_t *o = inspected(in(dir, "m.gguf"));
  assert_string_equal(text_at(tensor_named(o, "a"), "type"), "q5_k");
  assert_int_equal(number_at(tensor_named(o, "a"), "bytes"), 176);
  assert_string_equal(text_at(tensor_named(o, "b"), "type"), "type 99");
  json_decref(o);
  sample_remove(dir);
}

static void what_is_no_model_is_refused_with_its_name(void **state) {
  char *encoded;
  (void)state;
  char *dir = sample_folder();
  save_text(in(dir, "a.txt"), "hello, this is no model at all");
  assert_int_not_equal(forge_inspect(in(dir, "a.txt"), &encoded), FORGE_OK);
  assert_non_null(strstr(forge_error_last()->msg, "a.txt"));
  assert_int_equal(forge_inspect(in(dir, "none"), &encoded), FORGE_E_NOT_FOUND);
  assert_int_not_equal(forge_inspect(dir, &encoded), FORGE_OK);
  sample_remove(dir);
}

static void real_files_are_described(void **state) {
  static const char *const files[] = {
      "models/stories260K/stories260K.bin",      "models/stories260K/stories260K.safetensors",
      "models/stories260K/tok512.model",         "models/stories260K/tok512.bin",
      "models/gguf/llama-2-tiny-random.gguf",    "tokenizers/gguf-vocab/ggml-vocab-gpt-2.gguf",
      "tokenizers/hf_small/tokenizer.json",      "adapters/peft_mrpc/adapter_model.safetensors",
      "adapters/discollama/adapters.safetensors"};
  static const char *const kinds[] = {"llama2c", "safetensors", "tokenizer",   "tokenizer",  "gguf",
                                      "gguf",    "tokenizer",   "safetensors", "safetensors"};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(files); i++) {
    const char *path = data_file(files[i]);
    if (!path) skip();
    json_t *o = inspected(path);
    assert_string_equal(text_at(o, "kind"), kinds[i]);
    json_decref(o);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_model_file_is_described_in_every_format),
      cmocka_unit_test(long_and_odd_values_are_summarised),
      cmocka_unit_test(a_type_forge_does_not_have_is_named),
      cmocka_unit_test(what_is_no_model_is_refused_with_its_name),
      cmocka_unit_test(real_files_are_described),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
