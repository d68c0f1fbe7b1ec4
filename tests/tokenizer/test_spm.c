/* test_spm.c -- SentencePiece-style tokenizers: joining, spaces, bytes, special tokens, files. */
#include "sample.h"

#define MARK "\xE2\x96\x81"

/* Ids of the words below begin here. */
enum { W = 259 };
/* better-scored words come first: "bc" wins over "ab" */
static const char *const words[] = {"bc", "ab", MARK "a", MARK, "a", "b", "c", "\xC3\xA9", NULL};
enum { BC = W, AB, MARK_A, MARK_, A, B, C, E_ACUTE };

static forge_tokenizer *open_words(void) {
  static sample_vocab vocab;
  sample_spm(&vocab, words);
  return sample_open_vocab(&vocab.v);
}

static void the_best_scored_neighbours_are_joined_first(void **state) {
  (void)state;
  forge_tokenizer *t = open_words();
  assert_ids(t, "abc", 0, MARK_A, BC); /* bc first, so ab never forms */
  assert_ids(t, "ab", 0, MARK_, AB);   /* ab before the mark takes the a */
  assert_ids(t, "aab", 0, MARK_A, AB);
  forge_tokenizer_close(t);
}

static void of_equal_scores_the_leftmost_is_joined_first(void **state) {
  (void)state;
  static const char *const pairs[] = {"aa", "a", MARK, NULL};
  sample_vocab vocab;
  sample_spm(&vocab, pairs);
  forge_tokenizer *t = sample_open_vocab(&vocab.v);
  assert_ids(t, "aaaaa", 0, W + 2, W, W, W + 1);
  forge_tokenizer_close(t);
}

static void one_space_goes_before_a_text_and_decoding_takes_it_back(void **state) {
  (void)state;
  forge_tokenizer *t = open_words();
  assert_no_ids(t, "", 0);
  assert_ids(t, " ", 0, MARK_, MARK_);
  assert_ids(t, " a", 0, MARK_, MARK_A);
  uint64_t n;
  const int32_t ids[] = {1, MARK_A, MARK_A};
  char *s = sample_decode(t, -1, ids, 3, 0, &n);
  assert_string_equal(s, "a a"); /* only the one behind BOS */
  free(s);
  s = sample_decode(t, A, ids + 1, 2, 0, &n);
  assert_string_equal(s, " a a"); /* in the middle of a text nothing is dropped */
  free(s);
  s = sample_decode(t, 1, ids + 1, 1, 0, &n);
  assert_string_equal(s, "a");
  free(s);
  forge_tokenizer_close(t);
}

static void characters_without_a_piece_become_bytes(void **state) {
  (void)state;
  forge_tokenizer *t = open_words();
  assert_ids(t, "\xC3\xA9", 0, MARK_, E_ACUTE);
  assert_ids(t, "\xC3\xA8", 0, MARK_, 3 + 0xC3, 3 + 0xA8);
  assert_ids(t, "\xFF\xC3", 0, MARK_, 3 + 0xFF, 3 + 0xC3); /* not UTF-8 */
  forge_tokenizer_close(t);
}

static void without_byte_pieces_a_run_of_unknown_characters_is_one_unknown(void **state) {
  (void)state;
  sample_vocab vocab;
  sample_spm(&vocab, words);
  vocab.v.byte_fallback = false;
  forge_tokenizer *t = sample_open_vocab(&vocab.v);
  assert_ids(t, "axyza", 0, MARK_A, 0, A);
  uint64_t n;
  const int32_t ids[] = {MARK_A, 0, A};
  char *s = sample_decode(t, -1, ids, 3, 0, &n);
  assert_string_equal(s, "aa");
  free(s);
  s = sample_decode(t, -1, ids, 3, FORGE_DECODE_SPECIAL, &n);
  assert_string_equal(s, "a<unk>a");
  free(s);
  forge_tokenizer_close(t);
}

static void user_defined_pieces_stay_whole(void **state) {
  (void)state;
  sample_vocab vocab;
  sample_spm(&vocab, words);
  vocab.types[AB] = TOKENIZER_USER;
  forge_tokenizer *t = sample_open_vocab(&vocab.v);
  assert_ids(t, "abc", 0, MARK_, AB, C); /* not bc */
  forge_tokenizer_close(t);
}

static void special_tokens_in_a_text_are_text_unless_asked_for(void **state) {
  (void)state;
  forge_tokenizer *t = open_words();
  uint64_t n;
  int32_t *ids = sample_encode(t, "a</s>b", 6, 0, &n);
  assert_int_equal(n, 6); /* mark-a, four bytes, b */
  assert_int_equal(ids[1], 3 + '<');
  free(ids);
  assert_ids(t, "a</s>b", FORGE_ENCODE_SPECIAL, MARK_A, 2, MARK_, B);
  assert_ids(t, "<s>", FORGE_ENCODE_SPECIAL, 1);
  forge_tokenizer_close(t);
}

static void bos_and_eos_are_added_on_request_and_as_the_model_expects(void **state) {
  (void)state;
  forge_tokenizer *t = open_words();
  assert_ids(t, "a", FORGE_ENCODE_BOS, 1, MARK_A);
  assert_ids(t, "a", FORGE_ENCODE_EOS, MARK_A, 2);
  assert_ids(t, "a", FORGE_ENCODE_AUTO, 1, MARK_A);
  assert_ids(t, "", FORGE_ENCODE_AUTO, 1);
  forge_tokenizer_info info = {.size = sizeof info};
  assert_ok(forge_tokenizer_describe(t, &info));
  assert_int_equal(info.n_vocab, E_ACUTE + 1);
  assert_int_equal(info.bos, 1);
  assert_int_equal(info.eos, 2);
  assert_int_equal(info.pad, -1);
  assert_int_equal(info.add_bos, 1);
  assert_int_equal(info.add_eos, 0);
  forge_tokenizer_close(t);
}

static void extra_spaces_go_where_the_model_says_so(void **state) {
  (void)state;
  sample_vocab vocab;
  sample_spm(&vocab, words);
  vocab.v.remove_extra_spaces = true;
  forge_tokenizer *t = sample_open_vocab(&vocab.v);
  assert_ids(t, "  a   a  ", 0, MARK_A, MARK_A);
  assert_no_ids(t, "   ", 0);
  forge_tokenizer *json = sample_through_json(t);
  assert_ids(json, "  a   a  ", 0, MARK_A, MARK_A);
  assert_no_ids(json, "   ", 0);
  forge_tokenizer_close(json);
  forge_tokenizer_close(t);
}

static void model_bin_gguf_and_json_forms_are_the_same_tokenizer(void **state) {
  (void)state;
  sample_vocab vocab;
  sample_spm(&vocab, words);
  forge_tokenizer *t = sample_open_vocab(&vocab.v), *model = NULL, *bin = NULL, *from_gguf = NULL;
  sample_bytes spm = sample_spm_file(&vocab, 2, NULL, 0), llama2c = sample_llama2c_file(&vocab);
  assert_ok(tokenizer_from_spm((const uint8_t *)spm.s, spm.n, &model));
  assert_ok(tokenizer_from_llama2c((const uint8_t *)llama2c.s, llama2c.n, &bin));
  sample_bytes file = sample_gguf_file(t);
  gguf g;
  assert_ok(gguf_parse("sample.gguf", (const uint8_t *)file.s, file.n, &g));
  assert_ok(tokenizer_from_gguf(&g, &from_gguf));
  gguf_close(&g);
  forge_tokenizer *json = sample_through_json(t);
  assert_true(sample_same_hash(t, model));
  assert_true(sample_same_hash(t, bin));
  assert_true(sample_same_hash(t, from_gguf));
  static const char s[] = "ab abc  aab\xC3\xA9\xFF c";
  assert_true(sample_same_ids(t, json, s, sizeof s - 1));
  assert_true(sample_round_trips(t, s, sizeof s - 1));
  assert_true(sample_round_trips(json, s, sizeof s - 1));

  uint8_t *written = NULL;
  uint64_t n;
  assert_ok(tokenizer_llama2c_write(t, &written, &n));
  forge_tokenizer *again = NULL;
  assert_ok(tokenizer_from_llama2c(written, n, &again));
  assert_true(sample_same_hash(t, again));
  mem_free(written);
  free(spm.s);
  free(llama2c.s);
  free(file.s);
  forge_tokenizer *all[] = {t, model, bin, from_gguf, json, again};
  for (size_t i = 0; i < COUNT_OF(all); i++) forge_tokenizer_close(all[i]);
}

/* The slow and obvious way: look at all neighbours, join the best, begin again. */
static size_t join_slowly(const sample_vocab *vocab, const char *s, size_t n, int32_t *out) {
  uint32_t at[64], length[64];
  size_t k = 0;
  for (size_t i = 0; i < n; i++, k++) at[k] = (uint32_t)i, length[k] = 1;
  for (;;) {
    size_t best = SIZE_MAX;
    float score = 0;
    for (size_t i = 0; i + 1 < k; i++)
      for (uint32_t p = W; p < vocab->v.n; p++)
        if (vocab->pieces[p].n == length[i] + length[i + 1] &&
            !memcmp(vocab->pieces[p].s, s + at[i], vocab->pieces[p].n) &&
            (best == SIZE_MAX || vocab->scores[p] > score)) {
          best = i;
          score = vocab->scores[p];
        }
    if (best == SIZE_MAX) break;
    length[best] += length[best + 1];
    for (size_t i = best + 1; i + 1 < k; i++) at[i] = at[i + 1], length[i] = length[i + 1];
    k--;
  }
  for (size_t i = 0; i < k; i++)
    for (uint32_t p = W; p < vocab->v.n; p++)
      if (vocab->pieces[p].n == length[i] && !memcmp(vocab->pieces[p].s, s + at[i], length[i]))
        out[i] = (int32_t)p;
  return k;
}

static void joining_agrees_with_the_slow_way_on_random_vocabularies(void **state) {
  (void)state;
  uint64_t seed = 1;
  for (int round = 0; round < 200; round++) {
    char spelled[40][8];
    const char *list[41] = {"a", "b", "c"};
    size_t n = 3;
    for (int tries = 0; tries < 30; tries++) {
      const size_t length = 2 + sample_random(&seed) % 4;
      for (size_t i = 0; i < length; i++) spelled[n][i] = (char)('a' + sample_random(&seed) % 3);
      spelled[n][length] = 0;
      bool fresh = true;
      for (size_t i = 0; i < n; i++) fresh &= strcmp(list[i], spelled[n]) != 0;
      if (fresh) list[n] = spelled[n], n++;
    }
    list[n] = NULL;
    sample_vocab vocab;
    sample_spm(&vocab, list);
    vocab.v.add_space_prefix = false;
    for (uint32_t p = W; p < vocab.v.n; p++) /* some scores are equal */
      vocab.scores[p] = -(float)(sample_random(&seed) % 16);
    forge_tokenizer *t = sample_open_vocab(&vocab.v);
    for (int k = 0; k < 20; k++) {
      char s[48];
      int32_t expected[64];
      const size_t length = 1 + sample_random(&seed) % 47;
      for (size_t i = 0; i < length; i++) s[i] = (char)('a' + sample_random(&seed) % 3);
      const size_t n_ids = join_slowly(&vocab, s, length, expected);
      sample_expect(t, s, length, 0, expected, n_ids);
    }
    forge_tokenizer_close(t);
  }
}

static void models_that_are_not_supported_or_damaged_are_refused(void **state) {
  (void)state;
  sample_vocab vocab;
  sample_spm(&vocab, words);
  forge_tokenizer *t = NULL;
  sample_bytes file = sample_spm_file(&vocab, 1, NULL, 0);
  assert_int_equal(tokenizer_from_spm((uint8_t *)file.s, file.n, &t), FORGE_E_UNSUPPORTED);
  assert_says("unigram");
  free(file.s);
  static const char nfkc[] = {1 << 3 | 2, 3, 'n', 'm', 't', 2 << 3 | 2, 2, 'x', 'y'};
  file = sample_spm_file(&vocab, 2, nfkc, sizeof nfkc);
  assert_int_equal(tokenizer_from_spm((uint8_t *)file.s, file.n, &t), FORGE_E_UNSUPPORTED);
  assert_says("\"nmt\" has a character map");
  free(file.s);
  file = sample_spm_file(&vocab, 2, NULL, 0);
  assert_int_equal(tokenizer_from_spm((uint8_t *)file.s, file.n - 3, &t), FORGE_E_CORRUPT);
  assert_says("cut short");
  free(file.s);
  file = sample_llama2c_file(&vocab);
  assert_int_equal(tokenizer_from_llama2c((uint8_t *)file.s, file.n - 1, &t), FORGE_E_CORRUPT);
  assert_says("claims");
  assert_int_equal(tokenizer_from_llama2c((uint8_t *)file.s, 400, &t), FORGE_E_CORRUPT);
  free(file.s);
}

static void hostile_vocabularies_are_refused_with_the_entry(void **state) {
  (void)state;
  sample_vocab vocab;
  forge_tokenizer *t = NULL;
  sample_spm(&vocab, words);
  vocab.pieces[BC] = vocab.pieces[AB];
  assert_int_equal(tokenizer_from_vocab(&vocab.v, &t), FORGE_E_CORRUPT);
  assert_says("pieces 259 and 260 are the same, \"ab\"");
  sample_spm(&vocab, words);
  vocab.scores[A] = (float)strtod("nan", NULL);
  assert_int_equal(tokenizer_from_vocab(&vocab.v, &t), FORGE_E_CORRUPT);
  assert_says("score of piece 263");
  sample_spm(&vocab, words);
  vocab.v.eos = 99999;
  assert_int_equal(tokenizer_from_vocab(&vocab.v, &t), FORGE_E_CORRUPT);
  assert_says("EOS is id 99999");
  sample_spm(&vocab, words);
  vocab.types[5] = 77;
  assert_int_equal(tokenizer_from_vocab(&vocab.v, &t), FORGE_E_CORRUPT);
  assert_says("type 77");
  sample_spm(&vocab, words);
  vocab.types[A] = TOKENIZER_BYTE;
  assert_int_equal(tokenizer_from_vocab(&vocab.v, &t), FORGE_E_CORRUPT);
  assert_says("byte piece 263");
  vocab.v.n = 0;
  assert_int_equal(tokenizer_from_vocab(&vocab.v, &t), FORGE_E_CORRUPT);
}

static void bad_arguments_are_named_and_nothing_is_lost_when_room_is_short(void **state) {
  (void)state;
  forge_tokenizer *t = open_words();
  int32_t ids[2] = {-7, -7};
  uint64_t n;
  assert_int_equal(forge_tokenizer_encode(t, "ab ab", 5, 0, ids, 2, &n), FORGE_E_INVALID);
  assert_int_equal(n, 4);
  assert_int_equal(ids[1], AB);
  assert_int_equal(forge_tokenizer_encode(t, "a", 1, 1 << 20, ids, 2, &n), FORGE_E_INVALID);
  assert_int_equal(forge_tokenizer_encode(t, NULL, 1, 0, ids, 2, &n), FORGE_E_INVALID);
  char s[2];
  const int32_t good[] = {AB, AB}, bad[] = {AB, 999999}, worse[] = {-1};
  assert_int_equal(forge_tokenizer_decode(t, A, good, 2, 0, s, 2, &n), FORGE_E_INVALID);
  assert_int_equal(n, 4);
  assert_int_equal(forge_tokenizer_decode(t, A, bad, 2, 0, NULL, 0, &n), FORGE_E_INVALID);
  assert_says("id 999999 at place 1");
  assert_int_equal(forge_tokenizer_decode(t, A, worse, 1, 0, NULL, 0, &n), FORGE_E_INVALID);
  forge_tokenizer_close(t);
  forge_tokenizer_close(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_best_scored_neighbours_are_joined_first),
      cmocka_unit_test(of_equal_scores_the_leftmost_is_joined_first),
      cmocka_unit_test(one_space_goes_before_a_text_and_decoding_takes_it_back),
      cmocka_unit_test(characters_without_a_piece_become_bytes),
      cmocka_unit_test(without_byte_pieces_a_run_of_unknown_characters_is_one_unknown),
      cmocka_unit_test(user_defined_pieces_stay_whole),
      cmocka_unit_test(special_tokens_in_a_text_are_text_unless_asked_for),
      cmocka_unit_test(bos_and_eos_are_added_on_request_and_as_the_model_expects),
      cmocka_unit_test(extra_spaces_go_where_the_model_says_so),
      cmocka_unit_test(model_bin_gguf_and_json_forms_are_the_same_tokenizer),
      cmocka_unit_test(joining_agrees_with_the_slow_way_on_random_vocabularies),
      cmocka_unit_test(models_that_are_not_supported_or_damaged_are_refused),
      cmocka_unit_test(hostile_vocabularies_are_refused_with_the_entry),
      cmocka_unit_test(bad_arguments_are_named_and_nothing_is_lost_when_room_is_short),
  };
  return cmocka_run_group_tests_name("spm", tests, NULL, NULL);
}
