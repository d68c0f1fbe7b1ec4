/* test_convert.c -- conversion that rounds, on the CPU backend: sizes, error bounds, fallbacks, and
 * that what needs no rounding keeps its bits. */
#include "samples.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static forge_runtime *runtime;
static forge_device *device;

static forge_status convert(const char *from, const char *to, uint32_t dtype) {
  const forge_convert_options o = {.size = sizeof o, .dtype = dtype};
  return forge_convert(device, from, to, &o);
}

static void convert_ok(const char *from, const char *to, uint32_t dtype) {
  if (convert(from, to, dtype)) fail_msg("%s", forge_error_last()->msg);
}

static void convert_fails(const char *from, const char *to, uint32_t dtype, forge_status status,
                          const char *word) {
  const forge_status st = convert(from, to, dtype);
  if (st != status || !strstr(forge_error_last()->msg, word))
    fail_msg("wanted %s with \"%s\", got %s: %s", forge_status_name(status), word,
             forge_status_name(st), forge_error_last()->msg);
  assert_false(file_exists(to));
}

static void assert_file_is_sample(const char *path, const sample *s) {
  forge_model *m = open_ok(path);
  assert_is_sample(m, s);
  forge_model_close(m);
}

static const forge_model_config *wide(void) {
  static forge_model_config config;
  config = sample_llama;
  config.n_embd = config.n_ff = 256;
  config.head_dim = 64;
  return &config;
}

static void values_that_fit_survive_half_precision_and_back(void **state) {
  static const uint8_t types[] = {FORGE_F16, FORGE_BF16};
  (void)state;
  char *dir = sample_folder();
  forge_model_config config = sample_llama;
  config.n_vocab = 9001; /* more rows than one chunk, and a rest */
  sample full = sample_make(&config, FORGE_F32);
  sample_gguf(&full, in(dir, "a.gguf"));
  for (size_t i = 0; i < COUNT_OF(types); i++) {
    sample half = sample_make(&config, types[i]);
    convert_ok(in(dir, "a.gguf"), in(dir, "half.gguf"), types[i]);
    convert_ok(in(dir, "half.gguf"), in(dir, "half"), 0);
    convert_ok(in(dir, "half"), in(dir, "back.gguf"), FORGE_F32);
    assert_file_is_sample(in(dir, "half.gguf"), &half);
    assert_file_is_sample(in(dir, "half"), &half);
    assert_file_is_sample(in(dir, "back.gguf"), &full);
    sample_free(&half);
    assert_int_equal(remove(in(dir, "half/config.json")), 0);
    assert_int_equal(remove(in(dir, "half/model.safetensors")), 0);
  }
  sample_free(&full);
  sample_remove(dir);
}

/* Root of the mean squared error over all tensors. */
static double mean_error(const forge_model *m, const sample *s) {
  double sum = 0, n = 0;
  for (uint32_t i = 0; i < s->n; i++) {
    const float *want = s->tensors[i].data, *have = model_find(m, s->tensors[i].name)->data;
    for (size_t k = 0; k < s->tensors[i].bytes / sizeof *want; k++, n++)
      sum += pow((double)want[k] - (double)have[k], 2);
  }
  return sqrt(sum / n);
}

static void every_block_type_has_its_size_and_its_error(void **state) {
  /* A step of width w errs by w / sqrt(12) on average. Values reach 63/64, so the steps are 1/129,
   * 1/32, 1/7.6 and 1/8.1; a tenth more for rounded scales. */
  static const struct {
    uint8_t dtype;
    double bits, error;
  } cases[] = {{FORGE_Q8_0, 8.5, 0.0025},
               {FORGE_Q6_K, 6.5625, 0.0099},
               {FORGE_Q4_K, 4.5, 0.0417},
               {FORGE_Q4_0, 4.5, 0.0392}};
  (void)state;
  char *dir = sample_folder();
  sample s = sample_make(wide(), FORGE_F32);
  sample_gguf(&s, in(dir, "a.gguf"));
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    convert_ok(in(dir, "a.gguf"), in(dir, "q.gguf"), cases[i].dtype);
    convert_ok(in(dir, "q.gguf"), in(dir, "back.gguf"), FORGE_F32);
    forge_model *q = open_ok(in(dir, "q.gguf")), *back = open_ok(in(dir, "back.gguf"));
    const model_tensor *t = model_find(q, "blk.0.ffn_up.weight");
    assert_int_equal(t->dtype, cases[i].dtype);
    assert_int_equal(t->bytes, (uint64_t)(256 * 256 * cases[i].bits / 8));
    assert_int_equal(model_find(q, "blk.0.attn_norm.weight")->dtype, FORGE_F32);
    const double error = mean_error(back, &s);
    print_message("%s: %g\n", dtype_name(t->dtype), error);
    if (error > cases[i].error || error == 0) fail_msg("%s: %g", dtype_name(t->dtype), error);
    forge_model_close(q);
    forge_model_close(back);
  }
  sample_free(&s);
  sample_remove(dir);
}

static void blocks_become_other_blocks(void **state) {
  (void)state;
  char *dir = sample_folder();
  sample s = sample_make(wide(), FORGE_F32);
  sample_gguf(&s, in(dir, "a.gguf"));
  convert_ok(in(dir, "a.gguf"), in(dir, "q8.gguf"), FORGE_Q8_0);
  convert_ok(in(dir, "q8.gguf"), in(dir, "q4.gguf"), FORGE_Q4_0);
  convert_ok(in(dir, "q4.gguf"), in(dir, "folder"), FORGE_F32);
  forge_model *m = open_ok(in(dir, "q4.gguf"));
  assert_int_equal(model_find(m, "token_embd.weight")->dtype, FORGE_Q4_0);
  forge_model_close(m);
  sample_free(&s);
  sample_remove(dir);
}

static void rows_that_are_no_whole_blocks_fall_back(void **state) {
  static const struct {
    uint32_t wanted;
    uint8_t embd, down; /* rows of 64 and of 44 */
  } cases[] = {{FORGE_Q4_K, FORGE_Q8_0, FORGE_F16},
               {FORGE_Q6_K, FORGE_Q8_0, FORGE_F16},
               {FORGE_Q4_0, FORGE_Q4_0, FORGE_F16},
               {FORGE_Q8_0, FORGE_Q8_0, FORGE_F16}};
  (void)state;
  char *dir = sample_folder();
  forge_model_config config = sample_llama;
  config.n_embd = 64;
  config.head_dim = 16;
  config.n_ff = 44;
  sample s = sample_make(&config, FORGE_F32);
  sample_gguf(&s, in(dir, "a.gguf"));
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    convert_ok(in(dir, "a.gguf"), in(dir, "q.gguf"), cases[i].wanted);
    forge_model *m = open_ok(in(dir, "q.gguf"));
    assert_int_equal(model_find(m, "token_embd.weight")->dtype, cases[i].embd);
    assert_int_equal(model_find(m, "blk.1.ffn_down.weight")->dtype, cases[i].down);
    forge_model_close(m);
  }
  sample_free(&s);
  sample_remove(dir);
}

static void a_transposed_gpt2_quantizes_to_the_same_model(void **state) {
  uint8_t hash[2][32];
  (void)state;
  char *dir = sample_folder();
  sample s = sample_make(&sample_gpt2, FORGE_F32);
  sample_gguf(&s, in(dir, "a.gguf"));
  sample_safetensors(&s, NAMES_GPT2, 0, s.n, in(dir, "model.safetensors"));
  sample_config_json(&s, in(dir, "config.json"), "");
  convert_ok(in(dir, "a.gguf"), in(dir, "q1.gguf"), FORGE_Q8_0);
  convert_ok(dir, in(dir, "q2.gguf"), FORGE_Q8_0);
  for (int i = 0; i < 2; i++) {
    forge_model *m = open_ok(in(dir, i ? "q2.gguf" : "q1.gguf"));
    assert_int_equal(model_find(m, "blk.0.attn_qkv.weight")->dtype, FORGE_Q8_0);
    assert_int_equal(model_find(m, "position_embd.weight")->dtype, FORGE_F32);
    assert_int_equal(forge_model_hash(m, hash[i]), FORGE_OK);
    forge_model_close(m);
  }
  assert_memory_equal(hash[0], hash[1], 32);
  sample_free(&s);
  sample_remove(dir);
}

static void halved_heads_quantize_to_the_same_model(void **state) {
  uint8_t hash[2][32];
  (void)state;
  char *dir = sample_folder();
  sample s = sample_make(wide(), FORGE_F32);
  sample_gguf(&s, in(dir, "a.gguf"));
  sample_safetensors(&s, NAMES_HF, 0, s.n, in(dir, "model.safetensors"));
  sample_config_json(&s, in(dir, "config.json"), "");
  convert_ok(in(dir, "a.gguf"), in(dir, "q1.gguf"), FORGE_Q6_K);
  convert_ok(dir, in(dir, "q2.gguf"), FORGE_Q6_K);
  for (int i = 0; i < 2; i++) {
    forge_model *m = open_ok(in(dir, i ? "q2.gguf" : "q1.gguf"));
    assert_int_equal(forge_model_hash(m, hash[i]), FORGE_OK);
    forge_model_close(m);
  }
  assert_memory_equal(hash[0], hash[1], 32);
  sample_free(&s);
  sample_remove(dir);
}

/* bf16 norms, as published folders have them. */
static void vectors_become_f32(void **state) {
  (void)state;
  char *dir = sample_folder();
  sample s = sample_make(&sample_llama, FORGE_BF16),
         narrow = sample_make(&sample_llama, FORGE_BF16);
  for (uint32_t i = 0; i < s.n; i++) {
    model_tensor *t = &narrow.tensors[i];
    if (t->rank == 2) continue;
    uint16_t *to = (uint16_t *)(uintptr_t)t->data;
    for (size_t k = 0; k < t->bytes / 4; k++)
      memcpy(to + k, (const uint8_t *)t->data + 4 * k + 2, 2);
    t->bytes /= 2;
    t->dtype = FORGE_BF16;
  }
  sample_safetensors(&narrow, NAMES_HF, 0, narrow.n, in(dir, "model.safetensors"));
  sample_config_json(&narrow, in(dir, "config.json"), "");
  assert_file_is_sample(dir, &narrow);
  convert_ok(dir, in(dir, "m.gguf"), 0);
  assert_file_is_sample(in(dir, "m.gguf"), &s);
  sample_free(&s);
  sample_free(&narrow);
  sample_remove(dir);
}

static void a_llama2c_file_is_f32_whatever_it_comes_from(void **state) {
  (void)state;
  char *dir = sample_folder();
  sample half = sample_make(&sample_llama, FORGE_F16), full = sample_make(&sample_llama, FORGE_F32);
  sample_gguf(&half, in(dir, "half.gguf"));
  convert_ok(in(dir, "half.gguf"), in(dir, "m.bin"), 0);
  assert_file_is_sample(in(dir, "m.bin"), &full);
  convert_fails(in(dir, "half.gguf"), in(dir, "n.bin"), FORGE_F16, FORGE_E_UNSUPPORTED,
                "holds f32 only");
  sample_free(&half);
  sample_free(&full);
  sample_remove(dir);
}

static void types_a_file_cannot_hold_are_refused(void **state) {
  (void)state;
  char *dir = sample_folder();
  sample s = sample_make(wide(), FORGE_F32);
  sample_gguf(&s, in(dir, "a.gguf"));
  convert_fails(in(dir, "a.gguf"), in(dir, "m.safetensors"), FORGE_Q8_0, FORGE_E_UNSUPPORTED,
                "safetensors cannot hold");
  convert_fails(in(dir, "a.gguf"), in(dir, "folder"), FORGE_Q4_K, FORGE_E_UNSUPPORTED,
                "safetensors cannot hold");
  convert_fails(in(dir, "a.gguf"), in(dir, "m.gguf"), FORGE_I8, FORGE_E_INVALID, "no weights");
  convert_fails(in(dir, "a.gguf"), in(dir, "m.gguf"), 77, FORGE_E_INVALID, "no weights");
  forge_device *kept = device;
  device = NULL;
  convert_fails(in(dir, "a.gguf"), in(dir, "m.gguf"), FORGE_F16, FORGE_E_INVALID, "device");
  device = kept;
  sample_free(&s);
  sample_remove(dir);
}

static void a_source_is_never_replaced_by_its_conversion(void **state) {
  (void)state;
  char *dir = sample_folder();
  sample s = sample_make(&sample_llama, FORGE_F32);
  sample_gguf(&s, in(dir, "a.gguf"));
  convert_ok(in(dir, "a.gguf"), in(dir, "hf"), 0);
  assert_int_equal(link(in(dir, "a.gguf"), in(dir, "b.gguf")), 0);
  static const char *const pairs[][2] = {{"a.gguf", "a.gguf"}, {"a.gguf", "./a.gguf"},
                                         {"a.gguf", "b.gguf"}, {"hf", "hf"},
                                         {"hf", "hf/"},        {"hf", "hf/model.safetensors"}};
  for (size_t i = 0; i < COUNT_OF(pairs); i++) {
    const forge_status st = convert(in(dir, pairs[i][0]), in(dir, pairs[i][1]), FORGE_F16);
    if (st != FORGE_E_INVALID || !strstr(forge_error_last()->msg, "another place"))
      fail_msg("%s into %s: %s", pairs[i][0], pairs[i][1], forge_error_last()->msg);
  }
  assert_file_is_sample(in(dir, "a.gguf"), &s);
  assert_file_is_sample(in(dir, "hf"), &s);
  sample_free(&s);
  sample_remove(dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_that_fit_survive_half_precision_and_back),
      cmocka_unit_test(every_block_type_has_its_size_and_its_error),
      cmocka_unit_test(blocks_become_other_blocks),
      cmocka_unit_test(rows_that_are_no_whole_blocks_fall_back),
      cmocka_unit_test(a_transposed_gpt2_quantizes_to_the_same_model),
      cmocka_unit_test(halved_heads_quantize_to_the_same_model),
      cmocka_unit_test(vectors_become_f32),
      cmocka_unit_test(a_llama2c_file_is_f32_whatever_it_comes_from),
      cmocka_unit_test(types_a_file_cannot_hold_are_refused),
      cmocka_unit_test(a_source_is_never_replaced_by_its_conversion),
  };
  const forge_runtime_options o = {.size = sizeof o};
  if (forge_runtime_create(&o, &runtime) || forge_device_open(runtime, "cpu", &device)) {
    printf("skipped: no CPU backend: %s\n", forge_error_last()->msg);
    forge_runtime_destroy(runtime);
    return 77;
  }
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  forge_device_close(device);
  forge_runtime_destroy(runtime);
  return failed;
}
