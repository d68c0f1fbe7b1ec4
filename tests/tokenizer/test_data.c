/* test_data.c -- real tokenizers and texts: recorded ids, the same vocabulary in different files,
 * round trips. Skips where the data is not there. */
#include "file.h"
#include "sample.h"

static char data_dir[512];

static const char *const texts[] = {"alice", "sherlock", "tinyshakespeare", "tinystories_valid",
                                    "tinystories_train"};

typedef struct text_file {
  char *s;
  uint64_t n;
} text_file;

static const char *in_data(const char *name) {
  static char path[2][1024];
  static int turn;
  turn = !turn;
  snprintf(path[turn], sizeof path[turn], "%s/%s", data_dir, name);
  return path[turn];
}

static forge_tokenizer *open_data(const char *name) {
  forge_tokenizer *t = NULL;
  assert_ok(forge_tokenizer_open(in_data(name), &t));
  return t;
}

static text_file read_data(const char *name) {
  text_file f;
  assert_ok(file_read(in_data(name), UINT32_MAX, &f.s, &f.n));
  return f;
}

static text_file read_text(size_t i) {
  char name[64];
  snprintf(name, sizeof name, "text/%s.txt", texts[i]);
  return read_data(name);
}

/* ---- recorded ids ---- */

static void check_recorded(const char *name) {
  static const char separator[] = "\n__ggml_vocab_test__\n";
  char path[128];
  snprintf(path, sizeof path, "tokenizers/gguf-vocab/%s", name);
  forge_tokenizer *t = open_data(path);
  snprintf(path, sizeof path, "tokenizers/gguf-vocab/%s.inp", name);
  text_file in = read_data(path);
  snprintf(path, sizeof path, "tokenizers/gguf-vocab/%s.out", name);
  text_file out = read_data(path);
  char *s = in.s, *line = out.s;
  int cases = 0;
  for (bool more = true; more; cases++) {
    char *end = memmem(s, (size_t)(in.s + in.n - s), separator, sizeof separator - 1);
    assert_non_null(end);
    more = end + sizeof separator - 1 < in.s + in.n;
    int32_t ids[1024];
    size_t n = 0;
    char *stop = strchr(line, '\n'), *next;
    assert_non_null(stop);
    *stop = 0;
    for (long id; id = strtol(line, &next, 10), next != line; line = next) ids[n++] = (int32_t)id;
    sample_expect(t, s, (size_t)(end - s), 0, ids, n);
    assert_true(sample_round_trips(t, s, (size_t)(end - s)));
    s = end + sizeof separator - 1;
    line = stop + 1;
  }
  assert_true(cases > 40);
  printf("%s: %d texts as recorded\n", name, cases);
  mem_free(in.s);
  mem_free(out.s);
  forge_tokenizer_close(t);
}

static void recorded_ids_of_gpt_2_and_llama_2_are_reproduced(void **state) {
  (void)state;
  check_recorded("ggml-vocab-gpt-2.gguf");
  check_recorded("ggml-vocab-llama-spm.gguf");
}

static void a_gguf_damaged_by_line_end_conversion_gets_a_clear_error(void **state) {
  (void)state;
  forge_tokenizer *t = NULL;
  const forge_status st = forge_tokenizer_open(
      in_data("tokenizers/gguf-vocab/BAD-crlf-mangled.ggml-vocab-llama-spm.gguf"), &t);
  assert_int_equal(st, FORGE_E_CORRUPT);
  assert_says("get it again");
}

/* ---- one vocabulary, several files ---- */

static void check_same(const char *a_name, const char *b_name, bool same_hash) {
  forge_tokenizer *a = open_data(a_name), *b = open_data(b_name);
  for (size_t i = 0; i < COUNT_OF(texts); i++) {
    text_file f = read_text(i);
    if (!sample_same_ids(a, b, f.s, f.n))
      fail_msg("%s: %s and %s differ", texts[i], a_name, b_name);
    mem_free(f.s);
  }
  if (same_hash) assert_true(sample_same_hash(a, b));
  forge_tokenizer_close(a);
  forge_tokenizer_close(b);
}

static void llama_2_is_the_same_from_model_and_gguf(void **state) {
  (void)state;
  check_same("tokenizers/llama2/tokenizer.model", "tokenizers/gguf-vocab/ggml-vocab-llama-spm.gguf",
             true);
  check_same("tokenizers/llama2/tokenizer.model", "models/gguf/llama-2-tiny-random.gguf", true);
}

static void gpt_2_is_the_same_from_its_pair_and_gguf(void **state) {
  (void)state;
  check_same("tokenizers/gpt2", "tokenizers/gguf-vocab/ggml-vocab-gpt-2.gguf", true);
}

/* What tok512.model asks for and llama2.c's .bin cannot say: single spaces only. */
static uint64_t drop_extra_spaces(char *s, uint64_t n) {
  uint64_t kept = 0;
  for (uint64_t i = 0; i < n; i++)
    if (s[i] != ' ' || (kept && s[kept - 1] != ' ')) s[kept++] = s[i];
  while (kept && s[kept - 1] == ' ') kept--;
  return kept;
}

static void tok512_is_the_same_from_model_and_bin_once_extra_spaces_are_gone(void **state) {
  (void)state;
  forge_tokenizer *model = open_data("models/stories260K/tok512.model");
  forge_tokenizer *bin = open_data("models/stories260K/tok512.bin");
  for (size_t i = 0; i < COUNT_OF(texts); i++) {
    text_file f = read_text(i);
    f.n = drop_extra_spaces(f.s, f.n);
    assert_true(sample_same_ids(model, bin, f.s, f.n));
    assert_true(sample_round_trips(model, f.s, f.n));
    mem_free(f.s);
  }
  forge_tokenizer_close(model);
  forge_tokenizer_close(bin);
}

static void written_as_tokenizer_json_they_give_the_same_ids(void **state) {
  (void)state;
  static const char *const names[] = {"tokenizers/llama2", "models/stories260K/tok512.bin",
                                      "models/stories260K/tok512.model", "tokenizers/gpt2",
                                      "tokenizers/hf_tinystories"};
  for (size_t k = 0; k < COUNT_OF(names); k++) {
    forge_tokenizer *t = open_data(names[k]), *json = sample_through_json(t);
    for (size_t i = 0; i < 4; i++) {
      text_file f = read_text(i);
      if (!sample_same_ids(t, json, f.s, f.n)) fail_msg("%s: %s differs", texts[i], names[k]);
      mem_free(f.s);
    }
    forge_tokenizer_close(json);
    forge_tokenizer_close(t);
  }
}

/* ---- round trips ---- */

static void every_text_round_trips_where_the_vocabulary_covers_all_bytes(void **state) {
  (void)state;
  /* their other forms give the same ids, as shown above */
  static const char *const names[] = {"tokenizers/llama2", "tokenizers/gpt2",
                                      "models/stories260K/tok512.bin"};
  for (size_t k = 0; k < COUNT_OF(names); k++) {
    forge_tokenizer *t = open_data(names[k]);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
      text_file f = read_text(i);
      if (!sample_round_trips(t, f.s, f.n)) fail_msg("%s: %s", names[k], texts[i]);
      mem_free(f.s);
    }
    forge_tokenizer_close(t);
  }
}

/* hf_tinystories has pieces only for the bytes its own training text had; the others are [UNK], in
 * Hugging Face's library as well. */
static void tinystories_tokenizer_loses_only_bytes_it_has_no_piece_for(void **state) {
  (void)state;
  forge_tokenizer *t = open_data("tokenizers/hf_tinystories");
  for (size_t i = 0; i < COUNT_OF(texts); i++) {
    text_file f = read_text(i);
    uint64_t n, back_n, lost = 0;
    int32_t *ids = sample_encode(t, f.s, f.n, 0, &n);
    for (uint64_t k = 0; k < n; k++) lost += ids[k] == 1;
    char *back = sample_decode(t, -1, ids, n, 0, &back_n);
    assert_int_equal(back_n + lost, f.n);
    uint64_t at = 0;
    for (uint64_t k = 0; k < back_n; k++, at++) /* what is there is there in order */
      while (at < f.n && f.s[at] != back[k]) at++;
    assert_true(at <= f.n);
    printf("%s: %llu of %llu bytes have no piece in hf_tinystories\n", texts[i],
           (unsigned long long)lost, (unsigned long long)f.n);
    free(ids);
    free(back);
    mem_free(f.s);
  }
  forge_tokenizer_close(t);
}

/* hf_small's byte-level rules turn a space into a character that its vocabulary lacks: spaces,
 * control characters and everything beyond ASCII are left out, in Hugging Face's library as well.
 */
static void hf_small_keeps_what_is_visible_ascii(void **state) {
  (void)state;
  forge_tokenizer *t = open_data("tokenizers/hf_small");
  text_file f = read_text(0);
  uint64_t n, back_n, kept = 0;
  int32_t *ids = sample_encode(t, f.s, f.n, 0, &n);
  char *back = sample_decode(t, -1, ids, n, 0, &back_n);
  for (uint64_t i = 0; i < f.n; i++)
    if (f.s[i] > ' ' && f.s[i] < 0x7F) f.s[kept++] = f.s[i];
  assert_int_equal(back_n, kept);
  assert_memory_equal(back, f.s, kept);
  free(ids);
  free(back);
  mem_free(f.s);
  forge_tokenizer_close(t);
}

static bool has_mark(const char *s, size_t n) { return memmem(s, n, "\xE2\x96\x81", 3); }

static size_t random_text(uint64_t *seed, char *s, size_t cap) {
  static const char *const bits[] = {
      "the",  " ",        "  ",           "\n",   "1234",         "\xF0\x9F\xA6\x99",
      "\xC3", "\xE2\x96", "'re",          "\r\n", "\xEF\xBF\xBF", "e\xCC\x81",
      "<s>",  "</s>",     "<|endoftext|>"};
  size_t n = 0;
  for (size_t k = sample_random(seed) % 12; k && n + 16 < cap; k--) {
    const uint64_t r = sample_random(seed);
    if (r & 1) {
      s[n++] = (char)(r >> 8);
      continue;
    }
    const char *bit = bits[(r >> 8) % COUNT_OF(bits)];
    memcpy(s + n, bit, strlen(bit));
    n += strlen(bit);
  }
  return n;
}

static void a_hundred_thousand_random_byte_strings_round_trip(void **state) {
  (void)state;
  static const char *const names[] = {"tokenizers/llama2", "tokenizers/gpt2",
                                      "models/stories260K/tok512.bin"};
  for (size_t k = 0; k < COUNT_OF(names); k++) {
    forge_tokenizer *t = open_data(names[k]);
    uint64_t seed = 3 + k;
    for (int i = 0; i < 100000; i++) {
      char s[256];
      int32_t ids[1024];
      const size_t n = random_text(&seed, s, sizeof s);
      if (has_mark(s, n)) continue; /* U+2581 is a space in SentencePiece, whoever reads it */
      uint64_t n_ids, back_n;
      char back[512];
      assert_int_equal(forge_tokenizer_encode(t, s, n, 0, ids, 1024, &n_ids), FORGE_OK);
      assert_int_equal(forge_tokenizer_decode(t, -1, ids, n_ids, 0, back, sizeof back, &back_n),
                       FORGE_OK);
      if (back_n != n || memcmp(s, back, n)) fail_msg("%s: string %d", names[k], i);
    }
    forge_tokenizer_close(t);
  }
}

/* ---- speed and training ---- */

static void time_grows_with_the_text_and_not_with_its_square(void **state) {
  (void)state;
  static const char *const names[] = {"tokenizers/llama2", "tokenizers/gpt2"};
  enum { N = 1 << 20 };
  char *s = malloc(N);
  assert_non_null(s);
  for (size_t k = 0; k < COUNT_OF(names); k++) {
    forge_tokenizer *t = open_data(names[k]);
    for (int kind = 0; kind < 3; kind++) {
      for (size_t i = 0; i < N; i++) s[i] = kind == 0 ? 'a' : kind == 1 ? ' ' : "ab"[i & 1];
      const uint64_t start = time_now_ns();
      assert_true(sample_round_trips(t, s, N));
      const double seconds = (double)(time_now_ns() - start) * 1e-9;
      printf("%s: 1 MiB without a word break (%s) in %.2f s\n", names[k],
             kind == 0   ? "aaaa"
             : kind == 1 ? "spaces"
                         : "abab",
             seconds);
      assert_true(seconds < 60); /* the square would be days */
    }
    forge_tokenizer_close(t);
  }
  free(s);
}

static void byte_pairs_are_learnt_from_a_real_text(void **state) {
  (void)state;
  text_file f = read_data("text/tinyshakespeare.txt");
  forge_tokenizer *t = NULL;
  const uint64_t start = time_now_ns();
  assert_ok(tokenizer_train_bpe(f.s, f.n, 1024, &t));
  const double seconds = (double)(time_now_ns() - start) * 1e-9;
  uint64_t n;
  int32_t *ids = sample_encode(t, f.s, f.n, 0, &n);
  printf("tinyshakespeare: 1024 pieces in %.2f s, %.2f bytes a token\n", seconds,
         (double)f.n / (double)n);
  assert_true(n * 11 < f.n * 5); /* more than 2.2 bytes a token */
  assert_true(sample_round_trips(t, f.s, f.n));
  free(ids);
  forge_tokenizer_close(t);
  assert_ok(tokenizer_train_chars(f.s, f.n, &t));
  assert_int_equal(tokenizer_vocab_of(t)->n, 65); /* what nanoGPT counts */
  assert_true(sample_round_trips(t, f.s, f.n));
  forge_tokenizer_close(t);
  mem_free(f.s);
}

int main(void) {
  const char *dir = getenv("FORGE_TEST_DATA");
  snprintf(data_dir, sizeof data_dir, "%s",
           dir && *dir ? dir : FORGE_TEST_SOURCE_DIR "/../shared/data");
  if (!file_is_directory(in_data("tokenizers"))) {
    printf("skipped: no real tokenizers in %s (FORGE_TEST_DATA)\n", data_dir);
    return 77;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(recorded_ids_of_gpt_2_and_llama_2_are_reproduced),
      cmocka_unit_test(a_gguf_damaged_by_line_end_conversion_gets_a_clear_error),
      cmocka_unit_test(llama_2_is_the_same_from_model_and_gguf),
      cmocka_unit_test(gpt_2_is_the_same_from_its_pair_and_gguf),
      cmocka_unit_test(tok512_is_the_same_from_model_and_bin_once_extra_spaces_are_gone),
      cmocka_unit_test(written_as_tokenizer_json_they_give_the_same_ids),
      cmocka_unit_test(every_text_round_trips_where_the_vocabulary_covers_all_bytes),
      cmocka_unit_test(tinystories_tokenizer_loses_only_bytes_it_has_no_piece_for),
      cmocka_unit_test(hf_small_keeps_what_is_visible_ascii),
      cmocka_unit_test(a_hundred_thousand_random_byte_strings_round_trip),
      cmocka_unit_test(time_grows_with_the_text_and_not_with_its_square),
      cmocka_unit_test(byte_pairs_are_learnt_from_a_real_text),
  };
  return cmocka_run_group_tests_name("data", tests, NULL, NULL);
}
