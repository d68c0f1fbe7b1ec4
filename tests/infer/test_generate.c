/* test_generate.c -- text in, text out: the same split and unsplit, and when the capsule is
 * tampered with on its way. Needs no data. */
#include "rig.h"

enum { TOKENS = 30 };
static const char prompt[] = "the hen and the cat";
static forge_model *model;
static forge_device *on[RIG_VARIANTS];
static const char *names[RIG_VARIANTS];
static uint32_t n_devices;

static forge_generate_options plain(rig_text *t) {
  return (forge_generate_options){.size = sizeof(forge_generate_options),
                                  .flags = FORGE_GENERATE_IGNORE_END,
                                  .max_tokens = TOKENS,
                                  .on_text = rig_catch,
                                  .ctx = t};
}

static forge_generate_result generate(forge_device *from, forge_device *to,
                                      const forge_generate_options *o) {
  forge_generator *g = NULL;
  forge_generate_result r = {.size = sizeof r};
  OK(forge_generator_create(model, from, to, NULL, &g));
  OK(forge_generate(g, prompt, strlen(prompt), o, &r));
  forge_generator_destroy(g);
  return r;
}

static forge_generate_result unsplit(rig_text *t) {
  const forge_generate_options o = plain(t);
  return generate(on[0], on[0], &o);
}

static void assert_same_text(const rig_text *a, const rig_text *b) {
  assert_int_equal(a->n, b->n);
  assert_memory_equal(a->s, b->s, a->n);
}

static void greedy_text_is_the_same_on_all_pairs_of_devices(void **state) {
  (void)state;
  rig_text whole = {.n = 0};
  forge_generate_result r = unsplit(&whole);
  assert_int_equal(r.new_tokens, TOKENS);
  assert_int_equal(r.stop, FORGE_STOP_LENGTH);
  assert_int_equal(r.capsule_bytes, 0);
  for (uint32_t i = 0; i < n_devices; i++)
    for (uint32_t k = 0; k < n_devices; k++) {
      rig_text t = {.n = 0};
      const forge_generate_options o = plain(&t);
      r = generate(on[i], on[k], &o);
      assert_true((r.capsule_bytes > 0) == (i != k));
      assert_int_equal(r.recomputed, 0);
      assert_same_text(&whole, &t);
    }
}

static void the_same_seed_gives_the_same_text_split_or_not(void **state) {
  (void)state;
  forge_sampling s = {
      .size = sizeof s, .temperature = 1.5, .top_k = 50, .top_p = 0.95, .min_p = 0.001, .seed = 77};
  rig_text a = {.n = 0}, b = {.n = 0}, c = {.n = 0};
  forge_generate_options o = plain(&a);
  o.sampling = &s;
  generate(on[0], on[0], &o);
  o.ctx = &b;
  generate(on[0], on[n_devices - 1], &o);
  assert_same_text(&a, &b);
  s.seed = 78;
  o.ctx = &c;
  generate(on[0], on[0], &o);
  assert_true(a.n != c.n || memcmp(a.s, c.s, a.n));
}

/* ---- tampering on the way ---- */

typedef struct courier {
  rig_text text; /* first: ctx serves on_text too */
  forge_status (*deliver)(struct courier *c, const uint8_t *bytes, uint64_t n, forge_capsule **out);
  forge_model *other;
  uint8_t *kept; /* the bytes of an earlier request */
  uint64_t n_kept;
} courier;

static forge_status carry(void *ctx, const void *bytes, uint64_t n, forge_capsule **out) {
  courier *c = ctx;
  return c->deliver(c, bytes, n, out);
}

static forge_status faithfully(courier *c, const uint8_t *bytes, uint64_t n, forge_capsule **out) {
  (void)c;
  return forge_capsule_open(bytes, n, out);
}

static forge_status changed(const uint8_t *bytes, uint64_t n, uint64_t at, forge_capsule **out) {
  uint8_t *copy = malloc(n);
  assert_non_null(copy);
  memcpy(copy, bytes, n);
  copy[at] ^= 0x10;
  const forge_status st = forge_capsule_open(copy, n, out);
  free(copy);
  return st;
}

static forge_status flip_in_header(courier *c, const uint8_t *b, uint64_t n, forge_capsule **out) {
  (void)c;
  return changed(b, n, 50, out);
}

static forge_status flip_in_keys(courier *c, const uint8_t *b, uint64_t n, forge_capsule **out) {
  (void)c;
  return changed(b, n, n / 2, out);
}

static forge_status flip_in_tail(courier *c, const uint8_t *b, uint64_t n, forge_capsule **out) {
  (void)c;
  return changed(b, n, n - 60, out);
}

static forge_status cut(courier *c, const uint8_t *b, uint64_t n, forge_capsule **out) {
  (void)c;
  return forge_capsule_open(b, n - 9, out);
}

static forge_status lose(courier *c, const uint8_t *b, uint64_t n, forge_capsule **out) {
  (void)c;
  (void)b;
  (void)n;
  *out = NULL;
  return FORGE_OK;
}

/* A sound capsule of another model, made for this very request and prompt. */
static forge_status of_other_model(courier *c, const uint8_t *b, uint64_t n, forge_capsule **out) {
  forge_capsule *sent = NULL;
  forge_capsule_info info = {.size = sizeof info};
  forge_prefill *p = NULL;
  forge_tokenizer *t = NULL;
  int32_t ids[64];
  uint64_t n_ids;
  forge_request request = {.size = sizeof request};
  OK(forge_capsule_open(b, n, &sent));
  OK(forge_capsule_describe(sent, &info));
  memcpy(request.id, info.request_id, sizeof request.id);
  request.epoch = info.epoch;
  OK(forge_model_tokenizer(model, &t));
  OK(forge_tokenizer_encode(t, prompt, strlen(prompt), FORGE_ENCODE_AUTO, ids, 64, &n_ids));
  OK(forge_prefill_create(c->other, on[0], NULL, &p));
  OK(forge_prefill_run(p, ids, n_ids, &request, NULL, out));
  forge_prefill_destroy(p);
  forge_capsule_destroy(sent);
  return FORGE_OK;
}

static forge_status keep(courier *c, const uint8_t *b, uint64_t n, forge_capsule **out) {
  free(c->kept);
  c->kept = malloc(n);
  assert_non_null(c->kept);
  memcpy(c->kept, b, n);
  c->n_kept = n;
  return forge_capsule_open(b, n, out);
}

static forge_status of_earlier_request(courier *c, const uint8_t *b, uint64_t n,
                                       forge_capsule **out) {
  (void)b;
  (void)n;
  return forge_capsule_open(c->kept, c->n_kept, out);
}

static forge_generate_result send_by(courier *c) {
  forge_generate_options o = plain(&c->text);
  o.carry = carry;
  o.ctx = c;
  c->text = (rig_text){.n = 0};
  return generate(on[0], on[n_devices - 1], &o);
}

static void a_tampered_capsule_is_refused_and_the_text_is_the_same(void **state) {
  (void)state;
  rig_shape shape = rig_small;
  static const struct {
    forge_status (*deliver)(courier *, const uint8_t *, uint64_t, forge_capsule **);
    const char *says; /* NULL: it must be taken */
    int model;        /* 1: other weights, 2: another tokenizer */
  } cases[] = {{faithfully, NULL, 0},
               {flip_in_header, "capsule", 0},
               {flip_in_keys, "digest", 0},
               {flip_in_tail, "root", 0},
               {cut, "bytes", 0},
               {lose, "no capsule", 0},
               {of_other_model, "model", 1},
               {of_other_model, "tokenizer", 2},
               {keep, NULL, 0},
               {of_earlier_request, "request", 0}};
  rig_text whole = {.n = 0};
  static courier c;
  if (n_devices < 2) {
    print_message("one variant only: no way between phases to tamper with\n");
    skip();
  }
  unsplit(&whole);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    shape.seed = rig_small.seed + (cases[i].model == 1);
    shape.other_tokenizer = cases[i].model == 2;
    c.other = cases[i].model ? rig_model("other", &shape) : NULL;
    c.deliver = cases[i].deliver;
    const forge_generate_result r = send_by(&c);
    assert_int_equal(r.recomputed, cases[i].says != NULL);
    if (cases[i].says && !strstr(r.refusal, cases[i].says))
      fail_msg("refused with '%s'; it should speak of '%s'", r.refusal, cases[i].says);
    assert_same_text(&whole, &c.text);
    forge_model_close(c.other);
  }
  free(c.kept);
}

/* ---- how a text ends ---- */

static void a_stop_string_ends_the_text_before_it(void **state) {
  (void)state;
  rig_text whole = {.n = 0}, t = {.n = 0};
  char stop[8] = {0};
  unsplit(&whole);
  memcpy(stop, whole.s + whole.n / 2, 5);
  const char *at = strstr(whole.s, stop);
  assert_non_null(at);
  const char *const stops[] = {"never there", stop};
  forge_generate_options o = plain(&t);
  o.stops = stops;
  o.n_stops = 2;
  const forge_generate_result r = generate(on[0], on[0], &o);
  assert_int_equal(r.stop, FORGE_STOP_TEXT);
  assert_int_equal(t.n, at - whole.s);
  assert_memory_equal(t.s, whole.s, t.n);
}

static void the_context_and_the_caller_end_it_too(void **state) {
  (void)state;
  rig_text t = {.n = 0};
  forge_generate_options o = plain(&t);
  o.max_tokens = 10000;
  forge_generate_result r = generate(on[0], on[0], &o);
  assert_int_equal(r.stop, FORGE_STOP_CONTEXT);
  assert_int_equal(r.prompt_tokens + r.new_tokens, RIG_CTX + 1);
  t = (rig_text){.stop_after = 3};
  r = generate(on[0], on[0], &o);
  assert_int_equal(r.stop, FORGE_STOP_CALLER);
  assert_int_equal(t.calls, 3);
  t = (rig_text){.n = 0};
  o.max_tokens = 0;
  r = generate(on[0], on[0], &o);
  assert_int_equal(r.new_tokens, 0);
  assert_int_equal(t.n, 0);
}

static void a_deadline_ends_it_with_the_text_so_far(void **state) {
  (void)state;
  rig_text t = {.n = 0};
  forge_generate_options o = plain(&t);
  forge_generate_result r = {.size = sizeof r};
  forge_generator *g = NULL;
  o.deadline_ns = 1;
  OK(forge_generator_create(model, on[0], on[0], NULL, &g));
  rig_fails(forge_generate(g, prompt, strlen(prompt), &o, &r), FORGE_E_TIMEOUT, "deadline");
  assert_int_equal(r.new_tokens, 0);
  o.deadline_ns = UINT64_C(3600000000000);
  OK(forge_generate(g, prompt, strlen(prompt), &o, &r));
  assert_int_equal(r.new_tokens, TOKENS);
  forge_generator_destroy(g);
}

static void one_generator_serves_many_prompts_and_an_empty_one(void **state) {
  (void)state;
  rig_text whole = {.n = 0}, t = {.n = 0};
  forge_generate_options o = plain(&t);
  forge_generate_result r = {.size = sizeof r};
  forge_generator *g = NULL;
  unsplit(&whole);
  OK(forge_generator_create(model, on[0], on[n_devices - 1], NULL, &g));
  OK(forge_generate(g, "", 0, &o, &r));
  assert_int_equal(r.prompt_tokens, 1);
  for (int i = 0; i < 3; i++) {
    t = (rig_text){.n = 0};
    OK(forge_generate(g, prompt, strlen(prompt), &o, &r));
    assert_same_text(&whole, &t);
  }
  forge_generator_destroy(g);
}

static int setup(void **state) {
  (void)state;
  n_devices = rig_variants(on, names);
  model = rig_model("small", &rig_small);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  forge_model_close(model);
  rig_close();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(greedy_text_is_the_same_on_all_pairs_of_devices),
      cmocka_unit_test(the_same_seed_gives_the_same_text_split_or_not),
      cmocka_unit_test(a_tampered_capsule_is_refused_and_the_text_is_the_same),
      cmocka_unit_test(a_stop_string_ends_the_text_before_it),
      cmocka_unit_test(the_context_and_the_caller_end_it_too),
      cmocka_unit_test(a_deadline_ends_it_with_the_text_so_far),
      cmocka_unit_test(one_generator_serves_many_prompts_and_an_empty_one),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
