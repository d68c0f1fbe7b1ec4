/* test_reference.c -- stories260K against the recorded output of llama2.c, from every format, on
 * every variant of the CPU backend. Needs the data folder; skips without. */
#include <math.h>

#include "rig.h"

enum { STEPS = 32, VOCAB = 512 };
static forge_device *on[RIG_VARIANTS];
static const char *names[RIG_VARIANTS];
static uint32_t n_devices;

/* llama2.c's -n counts positions: the prompt's tokens but BOS, then the new ones. */
static const struct {
  const char *prompt, *file;
  uint64_t positions;
} texts[] = {{"", "reference/stories260K_greedy200.expected.txt", 200},
             {"", "reference/s260k_greedy_1.txt", 256},
             {"Once upon a time", "reference/s260k_greedy_2.txt", 256},
             {"Lily and Tom", "reference/s260k_greedy_3.txt", 256}};

static char *read_file(const char *path, size_t *out_n) {
  FILE *f = path ? fopen(path, "rb") : NULL;
  char *bytes = malloc(1 << 20);
  assert_non_null(f);
  assert_non_null(bytes);
  *out_n = fread(bytes, 1, (1 << 20) - 1, f);
  bytes[*out_n] = 0;
  fclose(f);
  return bytes;
}

static forge_model *open_stories(void) {
  char path[1024], tokenizer[1024];
  forge_model *m = NULL;
  snprintf(path, sizeof path, "%s", rig_data("models/stories260K/stories260K.bin"));
  snprintf(tokenizer, sizeof tokenizer, "%s", rig_data("models/stories260K/tok512.bin"));
  OK(forge_model_open(path, tokenizer, &m));
  return m;
}

static uint64_t count_tokens(forge_model *m, const char *text) {
  forge_tokenizer *t = NULL;
  int32_t ids[256];
  uint64_t n;
  OK(forge_model_tokenizer(m, &t));
  OK(forge_tokenizer_encode(t, text, strlen(text), FORGE_ENCODE_AUTO, ids, 256, &n));
  return n;
}

static void assert_texts(forge_model *m, forge_device *from, forge_device *to, const char *what) {
  forge_generator *g = NULL;
  OK(forge_generator_create(m, from, to, NULL, &g));
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    rig_text t = {.n = 0};
    char whole[sizeof t.s + 256];
    forge_generate_result r = {.size = sizeof r};
    const uint64_t n = count_tokens(m, texts[i].prompt);
    const forge_generate_options o = {.size = sizeof o,
                                      .max_tokens = texts[i].positions - (n - 1),
                                      .on_text = rig_catch,
                                      .ctx = &t};
    OK(forge_generate(g, texts[i].prompt, strlen(texts[i].prompt), &o, &r));
    snprintf(whole, sizeof whole, "%s%s\n", texts[i].prompt, t.s);
    size_t bytes;
    char *want = read_file(rig_data(texts[i].file), &bytes);
    if (strcmp(whole, want)) fail_msg("%s, %s:\n%s", what, texts[i].file, whole);
    free(want);
    assert_int_equal(r.recomputed, 0);
    if (from == on[0] && to == on[0])
      print_message("%s: --max-tokens %llu\n", texts[i].file, (unsigned long long)o.max_tokens);
  }
  forge_generator_destroy(g);
}

static void greedy_texts_are_llama2c_s_on_every_variant_and_split(void **state) {
  (void)state;
  forge_model *m = open_stories();
  for (uint32_t i = 0; i < n_devices; i++) {
    assert_texts(m, on[i], on[i], names[i]);
    assert_texts(m, on[i], on[(i + 1) % n_devices], names[i]);
  }
  forge_model_close(m);
}

static float assert_logits(forge_model *m, forge_device *device) {
  static float want[STEPS][VOCAB], is[VOCAB];
  int32_t ids[STEPS];
  float worst = 0;
  size_t bytes;
  char *tokens = read_file(rig_data("reference/stories260K.tokens32.txt"), &bytes), *at = tokens;
  for (int i = 0; i < STEPS; i++) ids[i] = (int32_t)strtol(at, &at, 10);
  free(tokens);
  char *logits = read_file(rig_data("reference/stories260K.logits32.f32"), &bytes);
  assert_int_equal(bytes, sizeof want);
  memcpy(want, logits, sizeof want);
  free(logits);
  forge_decode *d = NULL;
  OK(forge_decode_create(m, device, NULL, &d));
  for (int i = 0; i < STEPS; i++) {
    if (i)
      OK(forge_decode_step(d, ids[i], is));
    else
      OK(forge_decode_prompt(d, ids, 1, is));
    for (int k = 0; k < VOCAB; k++) worst = fmaxf(worst, fabsf(is[k] - want[i][k]));
  }
  forge_decode_destroy(d);
  assert_true(worst <= 1e-4f);
  return worst;
}

static void logits_of_32_steps_are_within_1e_4(void **state) {
  (void)state;
  forge_model *m = open_stories();
  for (uint32_t i = 0; i < n_devices; i++)
    print_message("%s: largest difference %g\n", names[i], (double)assert_logits(m, on[i]));
  forge_model_close(m);
}

static forge_model *converted(const char *leaf, uint32_t dtype) {
  char tokenizer[1024], in[1024];
  forge_model *m = NULL;
  snprintf(tokenizer, sizeof tokenizer, "%s", rig_data("models/stories260K/tok512.bin"));
  snprintf(in, sizeof in, "%s", rig_data("models/stories260K/stories260K.bin"));
  const forge_convert_options o = {.size = sizeof o, .dtype = dtype, .tokenizer_path = tokenizer};
  OK(forge_convert(on[0], in, rig_temporary(leaf), &o));
  OK(forge_model_open(rig_temporary(leaf), NULL, &m));
  return m;
}

static void gguf_and_safetensors_made_by_convert_say_the_same(void **state) {
  (void)state;
  static const char *const leaves[] = {"f32.gguf", "st.safetensors"};
  for (int f = 0; f < 2; f++) {
    forge_model *m = converted(leaves[f], 0);
    for (uint32_t i = 0; i < n_devices; i++) {
      assert_texts(m, on[i], on[i], leaves[f]);
      assert_logits(m, on[i]);
    }
    forge_model_close(m);
  }
}

/* The first |n| tokens of the validation text: enough for a stable figure, quick enough for a test.
 */
static forge_perplexity_result perplexity(forge_model *m, forge_device *device, uint64_t limit) {
  size_t bytes;
  char *text = read_file(rig_data("text/tinystories_valid.txt"), &bytes);
  int32_t *ids = malloc(bytes * sizeof *ids);
  uint64_t n;
  forge_tokenizer *t = NULL;
  forge_perplexity_result r = {.size = sizeof r};
  assert_non_null(ids);
  OK(forge_model_tokenizer(m, &t));
  OK(forge_tokenizer_encode(t, text, bytes, FORGE_ENCODE_AUTO, ids, bytes, &n));
  OK(forge_perplexity(m, device, ids, n < limit ? n : limit, NULL, &r));
  free(ids);
  free(text);
  return r;
}

static void q8_0_predicts_within_one_percent_of_f32(void **state) {
  (void)state;
  enum { LIMIT = 8192 };
  forge_device *fastest = on[n_devices - 1];
  forge_model *f32 = open_stories();
  forge_model *q8 = converted("q8_0.gguf", FORGE_Q8_0);
  const forge_perplexity_result a = perplexity(f32, fastest, LIMIT);
  const forge_perplexity_result b = perplexity(q8, fastest, LIMIT);
  print_message("perplexity f32 %.4f, q8_0 %.4f over %llu tokens\n", a.perplexity, b.perplexity,
                (unsigned long long)a.scored);
  assert_true(fabs(b.perplexity / a.perplexity - 1) < 0.01);
  forge_model_close(f32);
  forge_model_close(q8);
}

static void the_random_gguf_loads_and_runs_on_every_variant(void **state) {
  (void)state;
  forge_model *m = NULL;
  rig_text first = {.n = 0};
  OK(forge_model_open(rig_data("models/gguf/llama-2-tiny-random.gguf"), NULL, &m));
  for (uint32_t i = 0; i < n_devices; i++) {
    forge_generator *g = NULL;
    rig_text t = {.n = 0};
    forge_generate_result r = {.size = sizeof r};
    const forge_generate_options o = {.size = sizeof o,
                                      .max_tokens = 24,
                                      .flags = FORGE_GENERATE_IGNORE_END,
                                      .on_text = rig_catch,
                                      .ctx = &t};
    OK(forge_generator_create(m, on[0], on[i], NULL, &g));
    OK(forge_generate(g, "Hello", 5, &o, &r));
    assert_int_equal(r.new_tokens, 24);
    assert_int_equal(r.recomputed, 0);
    if (!i) first = t;
    assert_int_equal(first.n, t.n);
    assert_memory_equal(first.s, t.s, t.n);
    forge_generator_destroy(g);
  }
  forge_model_close(m);
}

static int setup(void **state) {
  (void)state;
  n_devices = rig_variants(on, names);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  rig_close();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(greedy_texts_are_llama2c_s_on_every_variant_and_split),
      cmocka_unit_test(logits_of_32_steps_are_within_1e_4),
      cmocka_unit_test(gguf_and_safetensors_made_by_convert_say_the_same),
      cmocka_unit_test(q8_0_predicts_within_one_percent_of_f32),
      cmocka_unit_test(the_random_gguf_loads_and_runs_on_every_variant),
  };
  if (!rig_data("models/stories260K/stories260K.bin")) {
    printf("no data folder (FORGE_TEST_DATA): references cannot be compared\n");
    return 77;
  }
  return cmocka_run_group_tests(tests, setup, teardown);
}
