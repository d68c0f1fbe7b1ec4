/* test_formats.c -- models open from every format, and are the same model whatever the format. */
#include "samples.h"

#include <math.h>
#include <string.h>

static void open_and_compare(const char *path, const sample *s, uint8_t out_hash[32]) {
  forge_model *m = open_ok(path);
  assert_is_sample(m, s);
  if (out_hash) assert_int_equal(forge_model_hash(m, out_hash), FORGE_OK);
  forge_model_close(m);
}

static void a_llama_is_the_same_model_in_every_format(void **state) {
  uint8_t hash[4][32];
  (void)state;
  char *dir = sample_folder(), *meta = sample_folder();
  sample s = sample_make(&sample_llama, FORGE_F32);
  sample_bin(&s, in(dir, "m.bin"));
  sample_gguf(&s, in(dir, "m.gguf"));
  sample_safetensors(&s, NAMES_HF, 0, s.n, in(dir, "model.safetensors"));
  sample_config_json(&s, in(dir, "config.json"), "");
  sample_safetensors(&s, NAMES_META, 0, s.n, in(meta, "m.safetensors"));
  save_text(in(meta, "params.json"), "{\"dim\":32,\"n_layers\":2,\"n_heads\":4,\"n_kv_heads\":2,"
                                     "\"max_seq_len\":32,\"vocab_size\":-1}");
  open_and_compare(in(dir, "m.bin"), &s, hash[0]);
  open_and_compare(in(dir, "m.gguf"), &s, hash[1]);
  open_and_compare(dir, &s, hash[2]);
  open_and_compare(in(dir, "model.safetensors"), &s, NULL);
  open_and_compare(in(meta, "m.safetensors"), &s, hash[3]);
  for (int i = 1; i < 4; i++) assert_memory_equal(hash[0], hash[i], 32);
  sample_free(&s);
  sample_remove(dir);
  sample_remove(meta);
}

static void a_gpt2_is_the_same_model_in_every_format(void **state) {
  uint8_t hash[3][32];
  (void)state;
  char *dir = sample_folder(), *rooted = sample_folder();
  sample s = sample_make(&sample_gpt2, FORGE_F32);
  sample_gguf(&s, in(dir, "m.gguf"));
  sample_safetensors(&s, NAMES_GPT2, 0, s.n, in(dir, "model.safetensors"));
  sample_config_json(&s, in(dir, "config.json"), "");
  sample_safetensors(&s, NAMES_GPT2_ROOTED, 0, s.n, in(rooted, "model.safetensors"));
  sample_config_json(&s, in(rooted, "config.json"), ",\"activation_function\":\"gelu_new\"");
  open_and_compare(in(dir, "m.gguf"), &s, hash[0]);
  open_and_compare(dir, &s, hash[1]);
  open_and_compare(rooted, &s, hash[2]);
  assert_memory_equal(hash[0], hash[1], 32);
  assert_memory_equal(hash[0], hash[2], 32);
  sample_free(&s);
  sample_remove(dir);
  sample_remove(rooted);
}

static void stored_masks_and_rotary_tables_are_left_out(void **state) {
  (void)state;
  char *dir = sample_folder();
  const sample s = {.config = sample_gpt2};
  sample full = sample_make(&s.config, FORGE_F32);
  safetensors_file f = {0};
  const float one = 1;
  const int64_t dim[] = {1, 1, 1, 1};
  safetensors_add(&f, "h.0.attn.bias", "F32", 4, dim, &one, sizeof one);
  safetensors_add(&f, "h.0.attn.masked_bias", "F32", 0, dim, &one, sizeof one);
  safetensors_save(&f, in(dir, "masks.safetensors"));
  sample_safetensors(&full, NAMES_GPT2, 0, full.n, in(dir, "rest.safetensors"));
  sample_config_json(&full, in(dir, "config.json"), "");
  save_text(in(dir, "model.safetensors.index.json"),
            "{\"weight_map\":{\"h.0.attn.bias\":\"masks.safetensors\","
            "\"wte.weight\":\"rest.safetensors\"}}");
  open_and_compare(dir, &full, NULL);
  sample_free(&full);
  sample_remove(dir);
}

static void a_model_in_shards_opens_through_its_index(void **state) {
  (void)state;
  char *dir = sample_folder();
  sample s = sample_make(&sample_llama, FORGE_BF16);
  sample_safetensors(&s, NAMES_HF, 0, 7, in(dir, "model-00001-of-00002.safetensors"));
  sample_safetensors(&s, NAMES_HF, 7, s.n, in(dir, "model-00002-of-00002.safetensors"));
  sample_config_json(&s, in(dir, "config.json"), "");
  save_text(in(dir, "model.safetensors.index.json"),
            "{\"metadata\":{},\"weight_map\":{"
            "\"model.embed_tokens.weight\":\"model-00001-of-00002.safetensors\","
            "\"model.norm.weight\":\"model-00002-of-00002.safetensors\"}}");
  open_and_compare(dir, &s, NULL);
  sample_free(&s);
  sample_remove(dir);
}

static void every_element_type_opens_from_a_gguf(void **state) {
  static const uint8_t types[] = {FORGE_F32,  FORGE_F16,  FORGE_BF16, FORGE_Q8_0,
                                  FORGE_Q4_0, FORGE_Q4_K, FORGE_Q6_K};
  (void)state;
  char *dir = sample_folder();
  forge_model_config config = sample_llama;
  config.n_embd = config.n_ff = 256;
  config.head_dim = 64;
  config.n_layer = 1;
  for (size_t i = 0; i < COUNT_OF(types); i++) {
    sample s = sample_make(&config, types[i]);
    sample_gguf(&s, in(dir, "m.gguf"));
    open_and_compare(in(dir, "m.gguf"), &s, NULL);
    sample_free(&s);
  }
  sample_remove(dir);
}

static void half_precision_opens_from_safetensors(void **state) {
  (void)state;
  char *dir = sample_folder();
  for (int i = 0; i < 2; i++) {
    sample s = sample_make(&sample_llama, i ? FORGE_F16 : FORGE_BF16);
    sample_safetensors(&s, NAMES_HF, 0, s.n, in(dir, "model.safetensors"));
    sample_config_json(&s, in(dir, "config.json"), "");
    open_and_compare(dir, &s, NULL);
    sample_free(&s);
  }
  sample_remove(dir);
}

static void a_head_is_tied_when_it_is_absent_or_the_configuration_says_so(void **state) {
  (void)state;
  char *dir = sample_folder();
  forge_model_config config = sample_llama;
  sample untied = sample_make(&config, FORGE_F32);
  config.tied_head = 1;
  sample tied = sample_make(&config, FORGE_F32);
  sample_bin(&tied, in(dir, "m.bin"));
  sample_gguf(&tied, in(dir, "m.gguf"));
  open_and_compare(in(dir, "m.bin"), &tied, NULL);
  open_and_compare(in(dir, "m.gguf"), &tied, NULL);
  sample_safetensors(&untied, NAMES_HF, 0, untied.n, in(dir, "model.safetensors"));
  sample_config_json(&untied, in(dir, "config.json"), ",\"tie_word_embeddings\":true");
  open_and_compare(dir, &tied, NULL); /* the stored head is not used */
  sample_free(&untied);
  sample_free(&tied);
  sample_remove(dir);
}

static void llama3_rope_scaling_becomes_frequency_factors(void **state) {
  (void)state;
  char *dir = sample_folder();
  sample s = sample_make(&sample_llama, FORGE_F32);
  sample_safetensors(&s, NAMES_HF, 0, s.n, in(dir, "model.safetensors"));
  sample_config_json(&s, in(dir, "config.json"),
                     ",\"rope_theta\":500000.0,\"rope_scaling\":{\"rope_type\":\"llama3\","
                     "\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
                     "\"original_max_position_embeddings\":256}");
  forge_model *m = open_ok(dir);
  const model_tensor *t = model_find(m, "rope_freqs.weight");
  assert_non_null(t);
  assert_int_equal(t->dim[0], 4);
  const float *f = t->data;
  assert_true(m->config.rope_base == 500000);
  assert_true(f[0] == 1); /* one turn in 6.3 tokens */
  /* one turn in 2 pi 500000^(1/4) = 167.1 tokens: 1.532 turns in 256 */
  const double turns = 256 / (2 * 3.14159265358979 * pow(500000, 0.25));
  const double smooth = (turns - 1) / 3;
  assert_true(fabs((double)f[1] - 1 / ((1 - smooth) / 8 + smooth)) < 1e-5);
  assert_true(f[2] == 8 && f[3] == 8);
  forge_model_close(m);
  sample_free(&s);
  sample_remove(dir);
}

static void linear_rope_scaling_and_wide_heads_are_read(void **state) {
  (void)state;
  char *dir = sample_folder();
  forge_model_config config = sample_llama;
  config.head_dim = 16; /* 4 heads of 16 on 32 */
  sample s = sample_make(&config, FORGE_F32);
  sample_safetensors(&s, NAMES_HF, 0, s.n, in(dir, "model.safetensors"));
  sample_config_json(&s, in(dir, "config.json"),
                     ",\"head_dim\":16,\"rope_scaling\":{\"type\":\"linear\",\"factor\":4.0}");
  forge_model *m = open_ok(dir);
  assert_true(m->config.rope_scale == 0.25);
  assert_int_equal(m->config.head_dim, 16);
  forge_model_close(m);
  gguf_file g = {0};
  gguf_fill(&g, &s);
  gguf_key_u32(&g, "llama.attention.key_length", 16);
  gguf_key_u32(&g, "llama.attention.value_length", 16);
  gguf_key_f32(&g, "llama.rope.freq_base", 1e6f);
  gguf_key_str(&g, "llama.rope.scaling.type", "linear");
  gguf_key_f32(&g, "llama.rope.scaling.factor", 2);
  gguf_save(&g, in(dir, "m.gguf"));
  m = open_ok(in(dir, "m.gguf"));
  assert_true(m->config.rope_scale == 0.5 && m->config.rope_base == 1e6);
  forge_model_close(m);
  sample_free(&s);
  sample_remove(dir);
}

static void a_different_number_is_a_different_model(void **state) {
  uint8_t a[32], b[32];
  (void)state;
  char *dir = sample_folder();
  sample s = sample_make(&sample_llama, FORGE_F32);
  sample_gguf(&s, in(dir, "a.gguf"));
  ((float *)(uintptr_t)s.tensors[3].data)[5] += 1;
  sample_gguf(&s, in(dir, "b.gguf"));
  open_and_compare(in(dir, "b.gguf"), &s, b);
  forge_model *m = open_ok(in(dir, "a.gguf"));
  assert_int_equal(forge_model_hash(m, a), FORGE_OK);
  assert_memory_not_equal(a, b, 32);
  forge_model_close(m);
  sample_free(&s);
  sample_remove(dir);
}

static void asking_for_a_tokenizer_that_is_not_there_says_so(void **state) {
  (void)state;
  char *dir = sample_folder();
  forge_tokenizer *t;
  sample s = sample_make(&sample_llama, FORGE_F32);
  sample_bin(&s, in(dir, "m.bin"));
  forge_model *m = open_ok(in(dir, "m.bin"));
  assert_int_equal(forge_model_tokenizer(m, &t), FORGE_E_NOT_FOUND);
  assert_non_null(strstr(forge_error_last()->msg, "tok40.bin"));
  forge_model_close(m);
  assert_int_equal(forge_model_open(in(dir, "m.bin"), in(dir, "none.json"), &m), FORGE_E_NOT_FOUND);
  sample_free(&s);
  sample_remove(dir);
}

/* ---- real files ---- */

static void stories260k_is_the_same_model_as_bin_and_as_safetensors(void **state) {
  uint8_t hash[2][32];
  const char *const paths[] = {"models/stories260K/stories260K.bin",
                               "models/stories260K/stories260K.safetensors"};
  (void)state;
  if (!data_file(paths[0])) skip();
  for (int i = 0; i < 2; i++) {
    forge_model *m = open_ok(data_file(paths[i]));
    assert_int_equal(forge_model_parameters(m), 260032);
    assert_int_equal(m->config.n_kv_head, 4);
    assert_int_equal(m->config.n_ff, 172);
    assert_int_equal(m->config.tied_head, 1);
    assert_int_equal(forge_model_hash(m, hash[i]), FORGE_OK);
    forge_model_close(m);
  }
  assert_memory_equal(hash[0], hash[1], 32);
}

static void a_gguf_from_elsewhere_opens_with_its_tokenizer(void **state) {
  (void)state;
  const char *path = data_file("models/gguf/llama-2-tiny-random.gguf");
  if (!path) skip();
  forge_tokenizer *t;
  forge_tokenizer_info info = {.size = sizeof info};
  forge_model *m = open_ok(path);
  assert_int_equal(m->config.n_vocab, 32000);
  assert_int_equal(m->config.head_dim, 4);
  assert_int_equal(model_find(m, "blk.0.ffn_down.weight")->dtype, FORGE_F16);
  assert_int_equal(forge_model_tokenizer(m, &t), FORGE_OK);
  assert_int_equal(forge_tokenizer_describe(t, &info), FORGE_OK);
  assert_int_equal(info.n_vocab, 32000);
  assert_int_equal(info.bos, 1);
  forge_model_close(m);
}

static void damaged_and_foreign_files_say_what_they_are(void **state) {
  (void)state;
  const char *bad = data_file("tokenizers/gguf-vocab/BAD-crlf-mangled.ggml-vocab-llama-spm.gguf");
  if (!bad) skip();
  open_fails(bad, FORGE_E_CORRUPT, "a tool that took this binary file for text");
  open_fails(data_file("tokenizers/gguf-vocab/ggml-vocab-gpt-2.gguf"), FORGE_E_UNSUPPORTED,
             "no model");
  open_fails(data_file("adapters/peft_mrpc/adapter_model.safetensors"), FORGE_E_UNSUPPORTED,
             "no llama or gpt2 model");
  open_fails(data_file("text/alice.txt"), FORGE_E_UNSUPPORTED, "no model Forge knows");
  open_fails(data_file("models/stories260K/tok512.bin"), FORGE_E_CORRUPT, "no llama2.c header");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_llama_is_the_same_model_in_every_format),
      cmocka_unit_test(a_gpt2_is_the_same_model_in_every_format),
      cmocka_unit_test(stored_masks_and_rotary_tables_are_left_out),
      cmocka_unit_test(a_model_in_shards_opens_through_its_index),
      cmocka_unit_test(every_element_type_opens_from_a_gguf),
      cmocka_unit_test(half_precision_opens_from_safetensors),
      cmocka_unit_test(a_head_is_tied_when_it_is_absent_or_the_configuration_says_so),
      cmocka_unit_test(llama3_rope_scaling_becomes_frequency_factors),
      cmocka_unit_test(linear_rope_scaling_and_wide_heads_are_read),
      cmocka_unit_test(a_different_number_is_a_different_model),
      cmocka_unit_test(asking_for_a_tokenizer_that_is_not_there_says_so),
      cmocka_unit_test(stories260k_is_the_same_model_as_bin_and_as_safetensors),
      cmocka_unit_test(a_gguf_from_elsewhere_opens_with_its_tokenizer),
      cmocka_unit_test(damaged_and_foreign_files_say_what_they_are),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
