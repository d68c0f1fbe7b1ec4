/* test_phases.c -- prompt and token phase as objects: the same bits split, unsplit and recomputed,
 * whatever the chunks and pages; a refused capsule changes nothing. Needs no data. */
#include <math.h>

#include "arch.h"
#include "rig.h"
#include "weights.h"

enum { PROMPT = 37, STEPS = 12, TAIL_BYTES = 104 };
static forge_model *model;
static forge_device *device; /* the portable variant */
static int32_t prompt[PROMPT];

typedef struct run { /* logits after the prompt and after each step */
  float logits[STEPS + 1][RIG_VOCAB];
} run;

static forge_phase_options options_of(uint32_t chunk, uint32_t page) {
  return (forge_phase_options){
      .size = sizeof(forge_phase_options), .chunk = chunk, .page_tokens = page};
}

static int32_t argmax(const float *x) {
  int32_t best = 0;
  for (int32_t i = 1; i < RIG_VOCAB; i++)
    if (x[i] > x[best]) best = i;
  return best;
}

static void take_steps(forge_decode *d, run *r) {
  for (int i = 0; i < STEPS; i++) OK(forge_decode_step(d, argmax(r->logits[i]), r->logits[i + 1]));
}

static void unsplit(forge_model *m, forge_device *on, const forge_phase_options *o, run *out) {
  forge_decode *d = NULL;
  OK(forge_decode_create(m, on, o, &d));
  OK(forge_decode_prompt(d, prompt, PROMPT, out->logits[0]));
  take_steps(d, out);
  forge_decode_destroy(d);
}

static forge_capsule *seal(forge_model *m, forge_device *on, const forge_phase_options *o,
                           const forge_request *request, float *logits) {
  forge_prefill *p = NULL;
  forge_capsule *c = NULL;
  OK(forge_prefill_create(m, on, o, &p));
  OK(forge_prefill_run(p, prompt, PROMPT, request, logits, &c));
  forge_prefill_destroy(p);
  return c;
}

static void split(forge_model *m, forge_device *from, forge_device *to,
                  const forge_phase_options *o, run *out) {
  forge_decode *d = NULL;
  forge_capsule *c = seal(m, from, o, NULL, out->logits[0]);
  OK(forge_decode_create(m, to, o, &d));
  OK(forge_decode_import(d, c, prompt, PROMPT, NULL));
  forge_capsule_destroy(c);
  take_steps(d, out);
  forge_decode_destroy(d);
}

static void assert_same_bits(const run *a, const run *b) {
  for (int i = 0; i <= STEPS; i++)
    if (memcmp(a->logits[i], b->logits[i], sizeof a->logits[i])) fail_msg("step %d differs", i);
}

static void assert_close(const run *a, const run *b, float tolerance) {
  for (int i = 0; i <= STEPS; i++)
    for (int k = 0; k < RIG_VOCAB; k++)
      if (!(fabsf(a->logits[i][k] - b->logits[i][k]) <= tolerance))
        fail_msg("step %d, token %d: %g and %g", i, k, (double)a->logits[i][k],
                 (double)b->logits[i][k]);
}

static void split_and_unsplit_runs_give_the_same_bits_on_every_variant(void **state) {
  (void)state;
  static run whole, parts;
  forge_device *on[RIG_VARIANTS];
  const char *names[RIG_VARIANTS];
  const uint32_t n = rig_variants(on, names);
  for (uint32_t i = 0; i < n; i++) {
    unsplit(model, on[i], NULL, &whole);
    for (uint32_t k = 0; k < n; k++) {
      split(model, on[k], on[i], NULL, &parts);
      assert_same_bits(&whole, &parts);
    }
  }
}

static void keys_and_values_are_the_same_bytes_on_every_variant(void **state) {
  (void)state;
  forge_device *on[RIG_VARIANTS];
  const char *names[RIG_VARIANTS];
  const uint32_t n = rig_variants(on, names);
  forge_capsule *first = seal(model, on[0], NULL, NULL, NULL);
  for (uint32_t i = 1; i < n; i++) {
    forge_capsule *c = seal(model, on[i], NULL, NULL, NULL);
    assert_int_equal(forge_capsule_bytes(first), forge_capsule_bytes(c));
    assert_memory_equal(forge_capsule_data(first), forge_capsule_data(c), forge_capsule_bytes(c));
    forge_capsule_destroy(c);
  }
  forge_capsule_destroy(first);
}

static void the_importer_exports_the_same_keys_and_values(void **state) {
  (void)state;
  forge_device *on[RIG_VARIANTS];
  const char *names[RIG_VARIANTS];
  const uint32_t n = rig_variants(on, names);
  const forge_phase_options small_pages = options_of(8, 5);
  const forge_request request = {.size = sizeof request, .id = {1, 2, 3}, .epoch = 9};
  forge_capsule *sent = seal(model, on[0], NULL, &request, NULL), *again = NULL;
  forge_decode *d = NULL;
  OK(forge_decode_create(model, on[n - 1], &small_pages, &d));
  OK(forge_decode_import(d, sent, prompt, PROMPT, &request));
  OK(forge_decode_export(d, &request, 1, 0, &again));
  assert_int_equal(forge_capsule_bytes(sent), forge_capsule_bytes(again));
  assert_memory_equal(forge_capsule_data(sent), forge_capsule_data(again),
                      forge_capsule_bytes(sent) - TAIL_BYTES);
  forge_decode_destroy(d);
  forge_capsule_destroy(sent);
  forge_capsule_destroy(again);
}

static void chunks_and_pages_of_any_size_give_the_same_bits(void **state) {
  (void)state;
  static const uint32_t sizes[][2] = {{1, 16}, {7, 1}, {64, 5}, {PROMPT, 96}, {16, 16}};
  static run first, other;
  unsplit(model, device, NULL, &first);
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    const forge_phase_options o = options_of(sizes[i][0], sizes[i][1]);
    unsplit(model, device, &o, &other);
    assert_same_bits(&first, &other);
  }
}

static void tokens_read_as_prompt_or_as_steps_give_the_same_bits(void **state) {
  (void)state;
  float a[RIG_VOCAB], b[RIG_VOCAB];
  forge_decode *d = NULL;
  OK(forge_decode_create(model, device, NULL, &d));
  OK(forge_decode_prompt(d, prompt, PROMPT, a));
  OK(forge_decode_prompt(d, prompt, 1, b));
  for (int i = 1; i < PROMPT; i++) OK(forge_decode_step(d, prompt[i], b));
  assert_memory_equal(a, b, sizeof a);
  forge_decode_destroy(d);
}

static void a_device_with_primitives_alone_gives_the_same_to_tolerance(void **state) {
  (void)state;
  static run native, primitive;
  forge_phase_options o = options_of(16, 16);
  o.flags = FORGE_COMPILE_PRIMITIVES;
  unsplit(model, device, NULL, &native);
  split(model, device, device, &o, &primitive);
  assert_close(&native, &primitive, 1e-4f);
}

static void half_precision_pages_travel_as_they_are(void **state) {
  (void)state;
  static run half, split_half, full;
  static const uint32_t types[] = {FORGE_F16, FORGE_BF16};
  unsplit(model, device, NULL, &full);
  for (int i = 0; i < 2; i++) {
    forge_phase_options o = options_of(0, 0);
    o.kv_dtype = types[i];
    unsplit(model, device, &o, &half);
    split(model, device, device, &o, &split_half);
    assert_same_bits(&half, &split_half);
    forge_capsule *c = seal(model, device, &o, NULL, NULL);
    forge_decode *d = NULL;
    OK(forge_decode_create(model, device, NULL, &d));
    rig_fails(forge_decode_import(d, c, prompt, PROMPT, NULL), FORGE_E_MISMATCH, "kv_dtype");
    forge_decode_destroy(d);
    forge_capsule_destroy(c);
  }
}

static void a_refused_capsule_changes_nothing(void **state) {
  (void)state;
  float before[RIG_VOCAB], after[RIG_VOCAB];
  const forge_request mine = {.size = sizeof mine, .id = {1}, .epoch = 2};
  const forge_request old = {.size = sizeof old, .id = {1}, .epoch = 1};
  const forge_request other = {.size = sizeof other, .id = {2}, .epoch = 2};
  int32_t wrong[PROMPT];
  forge_capsule *c = seal(model, device, NULL, &mine, NULL);
  forge_decode *d = NULL;
  memcpy(wrong, prompt, sizeof wrong);
  wrong[PROMPT / 2] ^= 1;
  OK(forge_decode_create(model, device, NULL, &d));
  OK(forge_decode_prompt(d, prompt, 9, NULL));
  OK(forge_decode_step(d, 40, before));
  rig_fails(forge_decode_import(d, c, wrong, PROMPT, &mine), FORGE_E_MISMATCH, "prompt");
  rig_fails(forge_decode_import(d, c, prompt, PROMPT - 1, &mine), FORGE_E_MISMATCH, "prompt");
  rig_fails(forge_decode_import(d, c, prompt, PROMPT, &old), FORGE_E_MISMATCH, "epoch");
  rig_fails(forge_decode_import(d, c, prompt, PROMPT, &other), FORGE_E_MISMATCH, "request");
  assert_int_equal(forge_decode_position(d), 10);
  OK(forge_decode_step(d, 41, after));
  OK(forge_decode_prompt(d, prompt, 9, NULL));
  OK(forge_decode_step(d, 40, NULL));
  OK(forge_decode_step(d, 41, before));
  assert_memory_equal(before, after, sizeof before);
  forge_decode_destroy(d);
  forge_capsule_destroy(c);
}

static void steps_reserve_no_device_memory(void **state) {
  (void)state;
  forge_device_info before = {.size = sizeof before}, after = {.size = sizeof after};
  forge_decode *d = NULL;
  int32_t id;
  OK(forge_decode_create(model, device, NULL, &d));
  OK(forge_decode_prompt(d, prompt, PROMPT, NULL));
  OK(forge_decode_sample(d, NULL, 0, &id));
  OK(forge_device_describe(device, &before));
  for (uint64_t i = 0; i < 20; i++) {
    OK(forge_decode_step(d, id, NULL));
    OK(forge_decode_sample(d, NULL, i + 1, &id));
  }
  OK(forge_device_describe(device, &after));
  assert_int_equal(before.memory_used, after.memory_used);
  assert_int_equal(before.memory_peak, after.memory_peak);
  forge_decode_destroy(d);
}

static void misuse_is_told_apart(void **state) {
  (void)state;
  forge_phase_options o = options_of(0, 0);
  forge_decode *d = NULL;
  int32_t id, many[RIG_CTX + 1] = {0};
  o.n_ctx = RIG_CTX + 1;
  rig_fails(forge_decode_create(model, device, &o, &d), FORGE_E_INVALID, "n_ctx");
  o.n_ctx = 8;
  OK(forge_decode_create(model, device, &o, &d));
  rig_fails(forge_decode_step(d, 1, NULL), FORGE_E_INVALID, "empty");
  rig_fails(forge_decode_sample(d, NULL, 0, &id), FORGE_E_INVALID, "no logits");
  rig_fails(forge_decode_prompt(d, many, 9, NULL), FORGE_E_INVALID, "9 tokens");
  rig_fails(forge_decode_prompt(d, many, 0, NULL), FORGE_E_INVALID, "no tokens");
  many[3] = RIG_VOCAB;
  rig_fails(forge_decode_prompt(d, many, 8, NULL), FORGE_E_INVALID, "token 3");
  many[3] = 0;
  OK(forge_decode_prompt(d, many, 8, NULL));
  rig_fails(forge_decode_step(d, 1, NULL), FORGE_E_INVALID, "full");
  const forge_sampling cold = {.size = sizeof cold, .temperature = -1};
  rig_fails(forge_decode_sample(d, &cold, 0, &id), FORGE_E_INVALID, "temperature");
  forge_decode_destroy(d);
}

/* ---- gpt2: learned positions, fused projections, with and without biases ---- */

static forge_model *gpt2_model(uint32_t has_bias) {
  const forge_model_config config = {.size = sizeof config,
                                     .family = FORGE_FAMILY_GPT2,
                                     .n_vocab = RIG_VOCAB,
                                     .n_ctx = RIG_CTX,
                                     .n_embd = 32,
                                     .n_layer = 2,
                                     .n_head = 4,
                                     .n_kv_head = 4,
                                     .head_dim = 8,
                                     .n_ff = 64,
                                     .tied_head = 1,
                                     .norm_eps = 1e-5,
                                     .rope_scale = 1,
                                     .has_bias = has_bias};
  arch_param *params = NULL;
  uint32_t n = 0, seed = 5;
  forge_model *m = NULL;
  OK(arch_params(&config, &params, &n));
  model_tensor *tensors = calloc(n, sizeof *tensors);
  assert_non_null(tensors);
  for (uint32_t i = 0; i < n; i++) {
    const int64_t cols = params[i].rank == 2 ? params[i].dim[1] : 1;
    const size_t elems = (size_t)(params[i].dim[0] * cols);
    float *data = malloc(elems * sizeof *data);
    assert_non_null(data);
    for (size_t k = 0; k < elems; k++) {
      seed = seed * 1664525u + 1013904223u;
      data[k] = (float)params[i].ones + ((float)(seed >> 8) / (1 << 24) - 0.5f) * 0.3f;
    }
    tensors[i] = (model_tensor){.name = params[i].name,
                                .dtype = FORGE_F32,
                                .rank = params[i].rank,
                                .dim = {params[i].dim[0], cols},
                                .data = data,
                                .bytes = elems * sizeof *data};
  }
  const char *leaf = has_bias ? "gpt2.gguf" : "plain.gguf";
  OK(model_write(rig_temporary(leaf), &config, tensors, n, NULL, NULL, NULL));
  for (uint32_t i = 0; i < n; i++) free((void *)(uintptr_t)tensors[i].data);
  free(tensors);
  mem_free(params);
  OK(forge_model_open(rig_temporary(leaf), NULL, &m));
  return m;
}

static void gpt2_runs_split_and_unsplit_with_and_without_biases(void **state) {
  (void)state;
  static run whole, parts, primitive;
  forge_phase_options o = options_of(8, 4);
  for (uint32_t has_bias = 0; has_bias < 2; has_bias++) {
    forge_model *m = gpt2_model(has_bias);
    unsplit(m, device, NULL, &whole);
    split(m, device, device, &o, &parts);
    assert_same_bits(&whole, &parts);
    forge_phase_options p = o;
    p.flags = FORGE_COMPILE_PRIMITIVES;
    unsplit(m, device, &p, &primitive);
    assert_close(&whole, &primitive, 1e-4f);
    forge_model_close(m);
  }
}

/* ---- perplexity ---- */

static void a_model_that_knows_nothing_has_the_vocabulary_as_perplexity(void **state) {
  (void)state;
  rig_shape shape = rig_small;
  shape.uniform = 1;
  forge_model *m = rig_model("uniform", &shape);
  forge_perplexity_result r = {.size = sizeof r};
  OK(forge_perplexity(m, device, prompt, PROMPT, NULL, &r));
  assert_int_equal(r.scored, PROMPT - 1);
  assert_true(fabs(r.perplexity - RIG_VOCAB) < 1e-3);
  forge_model_close(m);
}

static void every_token_counts_once_whatever_the_window(void **state) {
  (void)state;
  static const uint32_t windows[][2] = {{8, 8}, {8, 3}, {10, 1}, {36, 36}, {40, 17}};
  forge_perplexity_result r = {.size = sizeof r}, whole = {.size = sizeof whole};
  OK(forge_perplexity(model, device, prompt, PROMPT, NULL, &whole));
  for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
    const forge_perplexity_options o = {
        .size = sizeof o, .n_ctx = windows[i][0], .stride = windows[i][1]};
    OK(forge_perplexity(model, device, prompt, PROMPT, &o, &r));
    assert_int_equal(r.scored, PROMPT - 1);
    assert_true(isfinite(r.perplexity));
    if (windows[i][0] >= PROMPT - 1) assert_true(fabs(r.nll - whole.nll) < 1e-3);
  }
  const forge_perplexity_options gaps = {.size = sizeof gaps, .n_ctx = 8, .stride = 9};
  rig_fails(forge_perplexity(model, device, prompt, PROMPT, &gaps, &r), FORGE_E_INVALID, "gaps");
  rig_fails(forge_perplexity(model, device, prompt, 1, NULL, &r), FORGE_E_INVALID, "2 tokens");
}

static void perplexity_is_what_the_logits_say(void **state) {
  (void)state;
  float logits[RIG_VOCAB];
  forge_perplexity_result r = {.size = sizeof r};
  forge_decode *d = NULL;
  double nll = 0;
  OK(forge_decode_create(model, device, NULL, &d));
  OK(forge_decode_prompt(d, prompt, 1, logits));
  for (int i = 1; i < PROMPT; i++) {
    double sum = 0;
    for (int k = 0; k < RIG_VOCAB; k++) sum += exp((double)logits[k]);
    nll += log(sum) - (double)logits[prompt[i]];
    OK(forge_decode_step(d, prompt[i], logits));
  }
  OK(forge_perplexity(model, device, prompt, PROMPT, NULL, &r));
  assert_true(fabs(r.nll - nll) < 1e-3);
  assert_true(fabs(r.perplexity - exp(nll / (PROMPT - 1))) < 1e-3 * r.perplexity);
  forge_decode_destroy(d);
}

static int setup(void **state) {
  (void)state;
  for (int i = 0; i < PROMPT; i++) prompt[i] = (i * 53 + 11) % RIG_VOCAB;
  device = rig_device("cpu/portable:0");
  if (device) model = rig_model("small", &rig_small);
  return device ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  forge_model_close(model);
  rig_close();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(split_and_unsplit_runs_give_the_same_bits_on_every_variant),
      cmocka_unit_test(keys_and_values_are_the_same_bytes_on_every_variant),
      cmocka_unit_test(the_importer_exports_the_same_keys_and_values),
      cmocka_unit_test(chunks_and_pages_of_any_size_give_the_same_bits),
      cmocka_unit_test(tokens_read_as_prompt_or_as_steps_give_the_same_bits),
      cmocka_unit_test(a_device_with_primitives_alone_gives_the_same_to_tolerance),
      cmocka_unit_test(half_precision_pages_travel_as_they_are),
      cmocka_unit_test(a_refused_capsule_changes_nothing),
      cmocka_unit_test(steps_reserve_no_device_memory),
      cmocka_unit_test(misuse_is_told_apart),
      cmocka_unit_test(gpt2_runs_split_and_unsplit_with_and_without_biases),
      cmocka_unit_test(a_model_that_knows_nothing_has_the_vocabulary_as_perplexity),
      cmocka_unit_test(every_token_counts_once_whatever_the_window),
      cmocka_unit_test(perplexity_is_what_the_logits_say),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
