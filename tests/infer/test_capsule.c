/* test_capsule.c -- what a capsule refuses: everything but itself. No model, no device. */
#include "capsule.h"
#include "rig.h"

enum { LAYERS = 2, HEADS = 2, DIM = 3, TOKENS = 5 };
static const int32_t ids[TOKENS] = {1, 5, 9, 200, 3};

/* Keys and values that say where they belong. */
static forge_status numbered(void *ctx, uint32_t layer, uint32_t which, uint64_t start, uint64_t n,
                             uint8_t *out) {
  const uint64_t row = *(const uint64_t *)ctx;
  for (uint64_t t = 0; t < n; t++)
    for (uint64_t i = 0; i < row / 2; i++) {
      const uint16_t x = (uint16_t)(1000 * layer + 500 * which + 10 * (start + t) + i);
      memcpy(out + t * row + 2 * i, &x, sizeof x);
    }
  return FORGE_OK;
}

static capsule_header header_of(uint32_t heads, uint64_t n) {
  capsule_header h = {.epoch = 3,
                      .n_tokens = n,
                      .n_layers = LAYERS,
                      .kv_heads = heads,
                      .head_dim = DIM,
                      .dtype = FORGE_F16,
                      .attention = CAPSULE_ATTENTION_FULL,
                      .rope_style = FORGE_ROPE_STYLE_INTERLEAVED,
                      .rope_base = 10000,
                      .rope_scale = 1};
  for (int i = 0; i < 32; i++) h.model_hash[i] = (uint8_t)i, h.tokenizer_hash[i] = (uint8_t)(2 * i);
  for (int i = 0; i < 16; i++) h.request_id[i] = (uint8_t)(100 + i);
  capsule_prefix_hash(ids, TOKENS, h.prefix_hash);
  return h;
}

static forge_capsule *sample(void) {
  const capsule_header h = header_of(HEADS, TOKENS);
  const capsule_tail tail = {
      .temperature = 0.5, .top_p = 1, .seed = 42, .counter = 1, .first_token = 17};
  uint64_t row = 2 * HEADS * DIM;
  forge_capsule *c = NULL;
  OK(capsule_seal(&h, &tail, numbered, &row, &c));
  return c;
}

static uint8_t *bytes_of(const forge_capsule *c, size_t room) {
  uint8_t *copy = calloc(1, room);
  assert_non_null(copy);
  memcpy(copy, forge_capsule_data(c), forge_capsule_bytes(c));
  return copy;
}

static void an_opened_capsule_has_the_bytes_and_facts_of_the_sealed_one(void **state) {
  (void)state;
  forge_capsule *c = sample(), *again = NULL;
  forge_capsule_info info = {.size = sizeof info};
  OK(forge_capsule_open(forge_capsule_data(c), forge_capsule_bytes(c), &again));
  assert_int_equal(forge_capsule_bytes(c), forge_capsule_bytes(again));
  assert_memory_equal(forge_capsule_data(c), forge_capsule_data(again), forge_capsule_bytes(c));
  OK(forge_capsule_describe(again, &info));
  assert_int_equal(info.n_tokens, TOKENS);
  assert_int_equal(info.n_layers, LAYERS);
  assert_int_equal(info.kv_dtype, FORGE_F16);
  assert_int_equal(info.n_chunks, 2 * LAYERS);
  assert_int_equal(info.epoch, 3);
  assert_int_equal(info.seed, 42);
  assert_int_equal(info.first_token, 17);
  assert_true(info.temperature == 0.5);
  forge_capsule_destroy(c);
  forge_capsule_destroy(again);
}

static void a_flipped_bit_anywhere_is_refused(void **state) {
  (void)state;
  forge_capsule *c = sample(), *bad = NULL;
  const uint64_t n = forge_capsule_bytes(c);
  uint8_t *bytes = bytes_of(c, n);
  for (uint64_t bit = 0; bit < 8 * n; bit++) {
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    const forge_status st = forge_capsule_open(bytes, n, &bad);
    if (st != FORGE_E_CORRUPT && st != FORGE_E_UNSUPPORTED)
      fail_msg("bit %llu of byte %llu: %s", (unsigned long long)(bit % 8),
               (unsigned long long)(bit / 8), forge_status_name(st));
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  free(bytes);
  forge_capsule_destroy(c);
}

static void a_capsule_cut_or_extended_anywhere_is_refused(void **state) {
  (void)state;
  forge_capsule *c = sample(), *bad = NULL;
  const uint64_t n = forge_capsule_bytes(c);
  uint8_t *bytes = bytes_of(c, n + 64);
  for (uint64_t k = 0; k <= n + 64; k++)
    if (k != n) assert_int_equal(forge_capsule_open(bytes, k, &bad), FORGE_E_CORRUPT);
  rig_fails(forge_capsule_open(bytes, n - 1, &bad), FORGE_E_CORRUPT, "bytes");
  free(bytes);
  forge_capsule_destroy(c);
}

static void chunks_in_another_order_are_refused_and_named(void **state) {
  (void)state;
  forge_capsule *c = sample(), *bad = NULL;
  const uint64_t n = forge_capsule_bytes(c);
  uint8_t *bytes = bytes_of(c, n), chunk[512];
  const uint64_t size = sizeof(capsule_chunk) + 64; /* 5 tokens of 12 bytes, padded */
  assert_int_equal(n, sizeof(capsule_header) + 2 * LAYERS * size + sizeof(capsule_tail));
  uint8_t *first = bytes + sizeof(capsule_header), *second = first + size;
  memcpy(chunk, first, size);
  memcpy(first, second, size);
  memcpy(second, chunk, size);
  rig_fails(forge_capsule_open(bytes, n, &bad), FORGE_E_CORRUPT, "layer 0 keys");
  free(bytes);
  forge_capsule_destroy(c);
}

/* Somebody who rewrites header and root cannot give one request's keys to another: the digests of
 * the payloads are keyed. */
static void a_payload_moved_to_another_request_is_refused(void **state) {
  (void)state;
  forge_capsule *c = sample(), *bad = NULL;
  const uint64_t n = forge_capsule_bytes(c);
  uint8_t *bytes = bytes_of(c, n);
  capsule_header h;
  capsule_plan plan;
  memcpy(&h, bytes, sizeof h);
  h.request_id[0] ^= 1;
  OK(capsule_plan_of(&h, &plan));
  memcpy(bytes, &h, sizeof h);
  capsule_root(bytes, &plan, bytes + n - 32);
  rig_fails(forge_capsule_open(bytes, n, &bad), FORGE_E_CORRUPT, "digest differs");
  free(bytes);
  forge_capsule_destroy(c);
}

static void sizes_that_overflow_are_refused(void **state) {
  (void)state;
  static const struct {
    size_t at;
    uint64_t value;
    size_t bytes;
  } lies[] = {
      {offsetof(capsule_header, n_tokens), UINT64_MAX, 8},
      {offsetof(capsule_header, n_tokens), 1 << 28, 8},
      {offsetof(capsule_header, n_layers), UINT32_MAX, 4},
      {offsetof(capsule_header, kv_heads), 1 << 24, 4},
      {offsetof(capsule_header, head_dim), 0, 4},
      {offsetof(capsule_header, dtype), FORGE_Q8_0, 4},
      {offsetof(capsule_header, header_bytes), 8, 4},
      {offsetof(capsule_header, total_bytes), UINT64_MAX, 8},
  };
  forge_capsule *c = sample(), *bad = NULL;
  const uint64_t n = forge_capsule_bytes(c);
  for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
    uint8_t *bytes = bytes_of(c, n);
    memcpy(bytes + lies[i].at, &lies[i].value, lies[i].bytes);
    assert_int_equal(forge_capsule_open(bytes, n, &bad), FORGE_E_CORRUPT);
    free(bytes);
  }
  forge_capsule_destroy(c);
}

static void long_prompts_are_several_chunks_each_in_its_place(void **state) {
  (void)state;
  enum { WIDE = 20000, MANY = 40 }; /* 120,000 bytes a token: 8 tokens a chunk */
  const capsule_header h = header_of(WIDE, MANY);
  const capsule_tail tail = {.counter = 1};
  uint64_t row = 2 * WIDE * DIM;
  forge_capsule *c = NULL, *again = NULL;
  forge_capsule_info info = {.size = sizeof info};
  OK(capsule_seal(&h, &tail, numbered, &row, &c));
  OK(forge_capsule_open(forge_capsule_data(c), forge_capsule_bytes(c), &again));
  OK(forge_capsule_describe(again, &info));
  assert_int_equal(info.n_chunks, 2 * LAYERS * 5);
  uint8_t *bytes = bytes_of(c, forge_capsule_bytes(c));
  bytes[forge_capsule_bytes(c) / 2 + 1000] ^= 4;
  forge_capsule *bad = NULL;
  rig_fails(forge_capsule_open(bytes, forge_capsule_bytes(c), &bad), FORGE_E_CORRUPT, "layer 1");
  free(bytes);
  forge_capsule_destroy(c);
  forge_capsule_destroy(again);
}

static void equal_tokens_alone_have_equal_prefix_hashes(void **state) {
  (void)state;
  const int32_t other[TOKENS] = {1, 5, 9, 3, 200};
  uint8_t a[16], b[16];
  capsule_prefix_hash(ids, TOKENS, a);
  capsule_prefix_hash(other, TOKENS, b);
  assert_memory_not_equal(a, b, 16);
  capsule_prefix_hash(ids, TOKENS - 1, b);
  assert_memory_not_equal(a, b, 16);
  capsule_prefix_hash(ids, TOKENS, b);
  assert_memory_equal(a, b, 16);
}

static void a_saved_capsule_loads_and_is_private_to_its_owner(void **state) {
  (void)state;
  const char *path = rig_temporary("capsule");
  forge_capsule *c = sample(), *again = NULL;
  char *json = NULL;
  OK(forge_capsule_save(c, path));
  OK(forge_capsule_load(path, &again));
  assert_memory_equal(forge_capsule_data(c), forge_capsule_data(again), forge_capsule_bytes(c));
  OK(forge_capsule_inspect(path, &json));
  assert_non_null(strstr(json, "\"intact\""));
  assert_non_null(strstr(json, "\"tokens\": 5"));
  forge_text_free(json);
  forge_capsule_destroy(again);
  FILE *f = fopen(path, "r+b");
  assert_non_null(f);
  fseek(f, 300, SEEK_SET);
  fputc(0xEE, f);
  fclose(f);
  rig_fails(forge_capsule_load(path, &again), FORGE_E_CORRUPT, path);
  OK(forge_capsule_inspect(path, &json));
  assert_null(strstr(json, "\"intact\""));
  forge_text_free(json);
  forge_capsule_destroy(c);
}

/* The layout on disk and wire is fixed: this file was written when version 1 was made. */
static void version_1_is_still_what_it_was(void **state) {
  (void)state;
  const char *path = FORGE_TEST_SOURCE_DIR "/tests/infer/capsule_v1.bin";
  if (getenv("FORGE_WRITE_GOLDEN")) {
    forge_capsule *fresh = sample();
    OK(forge_capsule_save(fresh, path));
    forge_capsule_destroy(fresh);
  }
  forge_capsule *c = sample(), *golden = NULL;
  OK(forge_capsule_load(path, &golden));
  assert_int_equal(forge_capsule_bytes(c), forge_capsule_bytes(golden));
  assert_memory_equal(forge_capsule_data(c), forge_capsule_data(golden), forge_capsule_bytes(c));
  forge_capsule_destroy(c);
  forge_capsule_destroy(golden);
}

static int teardown(void **state) {
  (void)state;
  rig_close();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_opened_capsule_has_the_bytes_and_facts_of_the_sealed_one),
      cmocka_unit_test(a_flipped_bit_anywhere_is_refused),
      cmocka_unit_test(a_capsule_cut_or_extended_anywhere_is_refused),
      cmocka_unit_test(chunks_in_another_order_are_refused_and_named),
      cmocka_unit_test(a_payload_moved_to_another_request_is_refused),
      cmocka_unit_test(sizes_that_overflow_are_refused),
      cmocka_unit_test(long_prompts_are_several_chunks_each_in_its_place),
      cmocka_unit_test(equal_tokens_alone_have_equal_prefix_hashes),
      cmocka_unit_test(a_saved_capsule_loads_and_is_private_to_its_owner),
      cmocka_unit_test(version_1_is_still_what_it_was),
  };
  return cmocka_run_group_tests(tests, NULL, teardown);
}
