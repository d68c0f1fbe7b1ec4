/* test_write.c -- models written by Forge: every format gives back the numbers it was given, and a
 * file is whole or absent. Nothing here rounds, so no device is needed. */
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf.h"
#include "tokenizer.h"

static void convert_ok(const char *from, const char *to) {
  const forge_convert_options o = {.size = sizeof o};
  if (forge_convert(NULL, from, to, &o)) fail_msg("%s", forge_error_last()->msg);
}

static void convert_fails(const char *from, const char *to, forge_status status, const char *word) {
  const forge_status st = forge_convert(NULL, from, to, NULL);
  if (st != status || !strstr(forge_error_last()->msg, word))
    fail_msg("wanted %s with \"%s\", got %s: %s", forge_status_name(status), word,
             forge_status_name(st), forge_error_last()->msg);
}

static void assert_file_is_sample(const char *path, const sample *s) {
  forge_model *m = open_ok(path);
  assert_is_sample(m, s);
  forge_model_close(m);
}

static void assert_same_bytes(const char *a, const char *b) {
  bytes x = load(a), y = load(b);
  assert_int_equal(x.n, y.n);
  assert_memory_equal(x.p, y.p, x.n);
  free(x.p);
  free(y.p);
}

/* The two unused tables of a .bin may differ: its other bytes are compared. */
static void assert_same_bin(const char *a, const char *b, const forge_model_config *c) {
  bytes x = load(a), y = load(b);
  const size_t tables = (size_t)c->n_ctx * c->head_dim * 4;
  const size_t head = c->tied_head ? 0 : (size_t)c->n_vocab * c->n_embd * 4;
  assert_int_equal(x.n, y.n);
  assert_memory_equal(x.p, y.p, x.n - head - tables);
  assert_memory_equal(x.p + x.n - head, y.p + x.n - head, head);
  free(x.p);
  free(y.p);
}

static void a_llama_goes_round_through_every_format_and_keeps_its_bits(void **state) {
  (void)state;
  for (uint32_t tied = 0; tied < 2; tied++) {
    char *dir = sample_folder();
    forge_model_config config = sample_llama;
    config.tied_head = tied;
    sample s = sample_make(&config, FORGE_F32);
    sample_bin(&s, in(dir, "a.bin"));
    convert_ok(in(dir, "a.bin"), in(dir, "b.gguf"));
    convert_ok(in(dir, "b.gguf"), in(dir, "c.safetensors"));
    convert_ok(in(dir, "c.safetensors"), in(dir, "folder"));
    convert_ok(in(dir, "folder"), in(dir, "d.bin"));
    assert_file_is_sample(in(dir, "b.gguf"), &s);
    assert_file_is_sample(in(dir, "c.safetensors"), &s);
    assert_file_is_sample(in(dir, "folder"), &s);
    assert_file_is_sample(in(dir, "d.bin"), &s);
    assert_same_bin(in(dir, "a.bin"), in(dir, "d.bin"), &config);
    convert_ok(in(dir, "d.bin"), in(dir, "e.gguf"));
    assert_same_bytes(in(dir, "b.gguf"), in(dir, "e.gguf"));
    sample_free(&s);
    sample_remove(dir);
  }
}

static void a_gpt2_goes_round_through_both_formats_and_keeps_its_bits(void **state) {
  (void)state;
  char *dir = sample_folder();
  sample s = sample_make(&sample_gpt2, FORGE_BF16);
  sample_gguf(&s, in(dir, "a.gguf"));
  convert_ok(in(dir, "a.gguf"), in(dir, "folder"));
  convert_ok(in(dir, "folder"), in(dir, "b.gguf"));
  assert_file_is_sample(in(dir, "folder"), &s);
  assert_file_is_sample(in(dir, "b.gguf"), &s);
  forge_model *m = open_ok(in(dir, "folder"));
  assert_int_equal(model_find(m, "blk.1.ffn_up.weight")->transposed, 1);
  assert_int_equal(model_find(m, "blk.1.ffn_up.weight")->dim[0], 32);
  forge_model_close(m);
  sample_free(&s);
  sample_remove(dir);
}

static void blocks_are_copied_from_gguf_to_gguf_as_they_are(void **state) {
  static const uint8_t types[] = {FORGE_Q8_0, FORGE_Q4_0, FORGE_Q4_K, FORGE_Q6_K};
  (void)state;
  char *dir = sample_folder();
  forge_model_config config = sample_llama;
  config.n_embd = config.n_ff = 256;
  config.head_dim = 64;
  for (size_t i = 0; i < COUNT_OF(types); i++) {
    sample s = sample_make(&config, types[i]);
    sample_gguf(&s, in(dir, "a.gguf"));
    convert_ok(in(dir, "a.gguf"), in(dir, "b.gguf"));
    assert_file_is_sample(in(dir, "b.gguf"), &s);
    convert_fails(in(dir, "a.gguf"), in(dir, "b.safetensors"), FORGE_E_UNSUPPORTED,
                  "safetensors cannot hold");
    assert_false(file_exists(in(dir, "b.safetensors")));
    sample_free(&s);
  }
  sample_remove(dir);
}

static void rope_scaling_survives_conversion(void **state) {
  (void)state;
  char *dir = sample_folder();
  forge_model_config config = sample_llama;
  sample s = sample_make(&config, FORGE_F32);
  sample_safetensors(&s, NAMES_HF, 0, s.n, in(dir, "model.safetensors"));
  sample_config_json(&s, in(dir, "config.json"),
                     ",\"rope_theta\":500000.0,\"rope_scaling\":{\"rope_type\":\"llama3\","
                     "\"factor\":32.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
                     "\"original_max_position_embeddings\":8192}");
  convert_ok(dir, in(dir, "m.gguf"));
  convert_ok(in(dir, "m.gguf"), in(dir, "again"));
  forge_model *a = open_ok(dir), *b = open_ok(in(dir, "m.gguf")), *c = open_ok(in(dir, "again"));
  const char name[] = "rope_freqs.weight";
  assert_memory_equal(model_find(a, name)->data, model_find(b, name)->data, 16);
  assert_memory_equal(model_find(a, name)->data, model_find(c, name)->data, 16);
  assert_true(c->config.rope_base == 500000);
  forge_model_close(a);
  forge_model_close(b);
  forge_model_close(c);
  convert_fails(in(dir, "m.gguf"), in(dir, "m.bin"), FORGE_E_UNSUPPORTED, "base 10000");
  sample_free(&s);
  sample_remove(dir);
}

static void what_a_format_cannot_say_is_refused(void **state) {
  (void)state;
  char *dir = sample_folder();
  sample s = sample_make(&sample_gpt2, FORGE_F32);
  sample_gguf(&s, in(dir, "gpt2.gguf"));
  convert_fails(in(dir, "gpt2.gguf"), in(dir, "m.bin"), FORGE_E_UNSUPPORTED, "gpt2");
  convert_fails(in(dir, "gpt2.gguf"), in(dir, "m.onnx"), FORGE_E_UNSUPPORTED, "not .onnx");
  convert_fails(in(dir, "none.gguf"), in(dir, "m.gguf"), FORGE_E_NOT_FOUND, "none.gguf");
  convert_fails(in(dir, "gpt2.gguf"), in(dir, "no/such/m.gguf"), FORGE_E_IO, "no/such");
  assert_false(file_exists(in(dir, "m.bin")));
  sample_free(&s);
  sample_remove(dir);
}

static void files_of_another_model_are_not_replaced(void **state) {
  (void)state;
  char *dir = sample_folder();
  sample s = sample_make(&sample_llama, FORGE_F32);
  sample_gguf(&s, in(dir, "a.gguf"));
  save_text(in(dir, "config.json"), "{\"model_type\":\"other\"}");
  convert_fails(in(dir, "a.gguf"), in(dir, "a.safetensors"), FORGE_E_EXISTS, "another model");
  assert_false(file_exists(in(dir, "a.safetensors")));
  assert_int_equal(file_make_directories(in(dir, "full")), FORGE_OK);
  save_text(in(dir, "full/notes.txt"), "mine");
  convert_fails(in(dir, "a.gguf"), in(dir, "full"), FORGE_E_EXISTS, "holds something");
  assert_true(file_exists(in(dir, "full/notes.txt")));
  assert_int_equal(file_make_directories(in(dir, "empty")), FORGE_OK);
  convert_ok(in(dir, "a.gguf"), in(dir, "empty/"));
  assert_file_is_sample(in(dir, "empty"), &s);
  convert_ok(in(dir, "a.gguf"), in(dir, "empty")); /* a folder with a model alone, like a file */
  assert_file_is_sample(in(dir, "empty"), &s);
  sample_free(&s);
  sample_remove(dir);
}

static void count_bytes(void *ctx, const char *what, uint64_t done, uint64_t total) {
  uint64_t *last = ctx;
  assert_non_null(what);
  assert_true(done > *last && done <= total);
  *last = done;
}

static void a_trained_model_is_written_from_memory_with_its_tokenizer(void **state) {
  static const char *const outs[] = {"m.gguf", "m.safetensors", "folder"};
  (void)state;
  char *dir = sample_folder();
  forge_tokenizer *tokenizer, *again;
  uint8_t hash[2][32];
  const char text_of[] = "one two three four, one two three four five six";
  sample s = sample_make(&sample_llama, FORGE_F32);
  assert_int_equal(tokenizer_train_chars(text_of, strlen(text_of), &tokenizer), FORGE_OK);
  assert_int_equal(forge_tokenizer_hash(tokenizer, hash[0]), FORGE_OK);
  for (size_t i = 0; i < COUNT_OF(outs); i++) {
    uint64_t done = 0, total = 0;
    for (uint32_t k = 0; k < s.n; k++) total += s.tensors[k].bytes;
    if (model_write(in(dir, outs[i]), &s.config, s.tensors, s.n, tokenizer, count_bytes, &done))
      fail_msg("%s", forge_error_last()->msg);
    assert_int_equal(done, total);
    assert_file_is_sample(in(dir, outs[i]), &s);
    forge_model *m = open_ok(in(dir, outs[i]));
    if (forge_model_tokenizer(m, &again)) fail_msg("%s", forge_error_last()->msg);
    int32_t ids[2][64];
    uint64_t n[2];
    assert_int_equal(forge_tokenizer_encode(tokenizer, text_of, strlen(text_of), 0, ids[0], 64, n),
                     FORGE_OK);
    assert_int_equal(forge_tokenizer_encode(again, text_of, strlen(text_of), 0, ids[1], 64, n + 1),
                     FORGE_OK);
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(ids[0], ids[1], n[0] * sizeof(int32_t));
    forge_model_close(m);
  }
  forge_tokenizer_close(tokenizer);
  sample_free(&s);
  sample_remove(dir);
}

static void tensors_that_contradict_themselves_are_not_written(void **state) {
  (void)state;
  char *dir = sample_folder();
  sample s = sample_make(&sample_llama, FORGE_F32);
  s.tensors[2].bytes--;
  assert_int_equal(model_write(in(dir, "m.gguf"), &s.config, s.tensors, s.n, NULL, NULL, NULL),
                   FORGE_E_INVALID);
  assert_false(file_exists(in(dir, "m.gguf")));
  sample_free(&s);
  sample_remove(dir);
}

static void stories260k_goes_round_and_keeps_its_bits(void **state) {
  static const char story[] = "Once upon a time, there was a little girl named Lily.";
  (void)state;
  const char *path = data_file("models/stories260K/stories260K.bin");
  if (!path) skip();
  char *dir = sample_folder();
  uint8_t hash[5][32];
  convert_ok(path, in(dir, "b.gguf"));
  convert_ok(in(dir, "b.gguf"), in(dir, "c.safetensors"));
  convert_ok(in(dir, "c.safetensors"), in(dir, "d.bin"));
  convert_ok(in(dir, "c.safetensors"), in(dir, "e.gguf"));
  const char *const files[] = {path, in(dir, "b.gguf"), in(dir, "c.safetensors"), in(dir, "d.bin"),
                               in(dir, "e.gguf")};
  int32_t ids[5][64];
  uint64_t n[5];
  for (int i = 0; i < 5; i++) {
    forge_tokenizer *t;
    forge_model *m = open_ok(files[i]);
    assert_int_equal(forge_model_hash(m, hash[i]), FORGE_OK);
    assert_memory_equal(hash[0], hash[i], 32);
    if (forge_model_tokenizer(m, &t)) fail_msg("%s", forge_error_last()->msg);
    if (forge_tokenizer_encode(t, story, strlen(story), FORGE_ENCODE_AUTO, ids[i], 64, &n[i]))
      fail_msg("%s", forge_error_last()->msg);
    assert_int_equal(n[0], n[i]);
    assert_memory_equal(ids[0], ids[i], n[0] * sizeof(int32_t));
    forge_model_close(m);
  }
  forge_model *m = open_ok(path);
  assert_same_bin(path, in(dir, "d.bin"), &m->config);
  forge_model_close(m);
  sample_remove(dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_llama_goes_round_through_every_format_and_keeps_its_bits),
      cmocka_unit_test(a_gpt2_goes_round_through_both_formats_and_keeps_its_bits),
      cmocka_unit_test(blocks_are_copied_from_gguf_to_gguf_as_they_are),
      cmocka_unit_test(rope_scaling_survives_conversion),
      cmocka_unit_test(what_a_format_cannot_say_is_refused),
      cmocka_unit_test(files_of_another_model_are_not_replaced),
      cmocka_unit_test(a_trained_model_is_written_from_memory_with_its_tokenizer),
      cmocka_unit_test(tensors_that_contradict_themselves_are_not_written),
      cmocka_unit_test(stories260k_goes_round_and_keeps_its_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
