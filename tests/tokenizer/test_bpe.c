/* test_bpe.c -- byte-level BPE and tokenizer.json: words, merges, rules, refusals. */
#include "sample.h"

#define G    "\xC4\xA0" /* GPT-2's character for a space */
#define MARK "\xE2\x96\x81"

/* ---- byte-level ---- */

/* A byte-level vocabulary: 0 to 255 the bytes in GPT-2's alphabet, then what |more| and |merges|
 * say. */
static char *byte_json(const char *rules, const char *flags, const char *more, const char *merges) {
  sample_bytes vocab = {0};
  forge_tokenizer *bytes = NULL;
  assert_ok(tokenizer_train_bytes(&bytes));
  const tokenizer_vocab *v = tokenizer_vocab_of(bytes);
  for (uint32_t i = 0; i < v->n; i++) {
    const tokenizer_piece p = v->pieces[i];
    const bool escaped = p.n == 1 && (*p.s == '"' || *p.s == '\\');
    sample_print(&vocab, "%s\"%s%.*s\": %u", i ? "," : "", escaped ? "\\" : "", (int)p.n, p.s, i);
  }
  sample_print(&vocab, "%s", more);
  char *json = sample_json(rules, flags, vocab.s, merges);
  free(vocab.s);
  forge_tokenizer_close(bytes);
  return json;
}

#define BYTE_LEVEL(prefix, regex)                                                                  \
  "{\"type\":\"ByteLevel\",\"add_prefix_space\":" prefix ",\"use_regex\":" regex "}"

static forge_tokenizer *open_bytes(const char *pre, const char *flags, const char *more,
                                   const char *merges) {
  sample_bytes rules = {0};
  sample_print(&rules, "\"pre_tokenizer\":%s,\"decoder\":" BYTE_LEVEL("false", "true"), pre);
  char *json = byte_json(rules.s, flags, more, merges);
  forge_tokenizer *t = sample_open_json(json);
  free(json);
  free(rules.s);
  return t;
}

static const char gpt2[] = BYTE_LEVEL("false", "true");
static const char some[] = ",\"he\":256,\"ll\":257,\"" G "h\":258,\"" G "he\":259,\"12\":260";
static const char some_merges[] = "\"" G " h\",\"" G "h e\",\"h e\",\"l l\",\"1 2\"";

static void merges_apply_in_their_order_inside_words(void **state) {
  (void)state;
  forge_tokenizer *t = open_bytes(gpt2, "", some, some_merges);
  assert_ids(t, "hello he", 0, 256, 257, 'o', 259);
  assert_ids(t, "h e", 0, 'h', ' ', 'e'); /* a space is not a letter */
  assert_no_ids(t, "", 0);
  forge_tokenizer_close(t);
}

static void words_are_cut_the_way_gpt_2_does(void **state) {
  (void)state;
  /* merges that would reach over the cuts show where they are */
  forge_tokenizer *t =
      open_bytes(gpt2, "", ",\"e'\":256,\"'l\":257,\"" G G "\":258,\"o!\":259,\"a1\":260",
                 "\"e '\",\"' l\",\"" G " " G "\",\"o !\",\"a 1\"");
  assert_ids(t, "he'll", 0, 'h', 'e', 257, 'l');
  assert_ids(t, "a   b", 0, 'a', 258, ' ', 'b'); /* the last space belongs to the word */
  assert_ids(t, "a  ", 0, 'a', 258);
  assert_ids(t, "o!a1", 0, 'o', '!', 'a', '1');
  forge_tokenizer_close(t);
}

static void llama_3_takes_digits_by_threes_and_whole_words_without_merges(void **state) {
  (void)state;
  tokenizer_piece list[] = {{"1", 1},  {"2", 1},  {"3", 1},   {"4", 1},
                            {"12", 2}, {"34", 2}, {"234", 3}, {"1234", 4}};
  uint8_t types[8];
  memset(types, TOKENIZER_NORMAL, sizeof types);
  const tokenizer_merge merges[] = {{0, 1}, {2, 3}};
  tokenizer_vocab v = {.kind = TOKENIZER_BPE,
                       .n = 8,
                       .pieces = list,
                       .types = types,
                       .merges = merges,
                       .n_merges = 2,
                       .bos = -1,
                       .eos = -1,
                       .unk = -1,
                       .pad = -1,
                       .byte_level = true,
                       .ignore_merges = true,
                       .pretokenizer = "llama-bpe"};
  forge_tokenizer *t = sample_open_vocab(&v);
  assert_ids(t, "1234", 0, 4, 2, 3); /* 123, 4: neither "1234" nor "34" */
  assert_ids(t, "234", 0, 6);
  v.ignore_merges = false;
  forge_tokenizer *plain = sample_open_vocab(&v);
  assert_ids(plain, "234", 0, 1, 5);
  forge_tokenizer_close(plain);
  forge_tokenizer_close(t);
}

static void every_byte_string_round_trips(void **state) {
  (void)state;
  forge_tokenizer *t = open_bytes(gpt2, "", some, some_merges);
  uint64_t seed = 2;
  for (int i = 0; i < 20000; i++) {
    char s[40];
    const size_t n = sample_random(&seed) % sizeof s;
    for (size_t k = 0; k < n; k++) s[k] = (char)sample_random(&seed);
    assert_true(sample_round_trips(t, s, n));
  }
  forge_tokenizer_close(t);
}

static void a_space_before_the_first_word_is_added_once_and_taken_back(void **state) {
  (void)state;
  forge_tokenizer *t = open_bytes(BYTE_LEVEL("true", "true"), "", some, some_merges);
  assert_ids(t, "he", 0, 259);
  assert_ids(t, " he", 0, 259);
  assert_true(sample_round_trips(t, "he he", 5));
  forge_tokenizer_close(t);
}

static void bytes_without_a_piece_are_unknown_or_left_out(void **state) {
  (void)state;
  char *json = sample_json("\"pre_tokenizer\":" BYTE_LEVEL("false", "true"), "\"unk_token\":\"?\"",
                           "\"?\":0,\"a\":1", "");
  forge_tokenizer *t = sample_open_json(json);
  assert_ids(t, "axya", 0, 1, 0, 0, 1);
  forge_tokenizer_close(t);
  free(json);
  json = sample_json("\"pre_tokenizer\":" BYTE_LEVEL("false", "true"),
                     "\"unk_token\":\"?\",\"fuse_unk\":true", "\"?\":0,\"a\":1", "");
  t = sample_open_json(json);
  assert_ids(t, "axya", 0, 1, 0, 1);
  forge_tokenizer_close(t);
  free(json);
  json = sample_json("\"pre_tokenizer\":" BYTE_LEVEL("false", "true"), "", "\"a\":0", "");
  t = sample_open_json(json);
  assert_ids(t, "axya", 0, 0, 0);
  forge_tokenizer_close(t);
  free(json);
}

static void the_gpt_2_pair_of_files_is_the_same_tokenizer(void **state) {
  (void)state;
  static const char encoder[] = "{\"h\":0,\"e\":1,\"l\":2,\"" G "\":3,\"he\":4,\"" G "he\":5,"
                                "\"<|endoftext|>\":6}";
  static const char merges[] = "#version: 0.2\nh e\n" G " he\n";
  forge_tokenizer *t = NULL;
  assert_ok(tokenizer_from_gpt2(encoder, sizeof encoder - 1, merges, sizeof merges - 1, &t));
  assert_ids(t, "hel he<|endoftext|>", FORGE_ENCODE_SPECIAL, 4, 2, 5, 6);
  forge_tokenizer *json = sample_through_json(t);
  assert_true(sample_same_hash(t, json));
  forge_tokenizer_close(json);
  forge_tokenizer_close(t);
  static const char wrong[] = "h e\nh q\n";
  assert_int_equal(tokenizer_from_gpt2(encoder, sizeof encoder - 1, wrong, sizeof wrong - 1, &t),
                   FORGE_E_CORRUPT);
  assert_says("merge 1 names \"q\"");
}

/* ---- tokenizer.json's rules ---- */

#define LETTERS                                                                                    \
  "\"a\":0,\"b\":1,\"-\":2,\"1\":3,\"2\":4,\" \":5,\"a-\":6,\"-b\":7,\"--\":8,\"12\":9"
#define LETTER_MERGES "\"a -\",\"- b\",\"- -\",\"1 2\""

static forge_tokenizer *with_rules(const char *rules) {
  char *json = sample_json(rules, "", LETTERS, LETTER_MERGES);
  forge_tokenizer *t = sample_open_json(json);
  free(json);
  return t;
}

#define SPLIT(behaviour, invert)                                                                   \
  "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"-\"},\"behavior\":\"" behaviour \
  "\",\"invert\":" invert "}"

static void splits_behave_as_named(void **state) {
  (void)state;
  forge_tokenizer *t = with_rules(SPLIT("Isolated", "false"));
  assert_ids(t, "a--b", 0, 0, 2, 2, 1);
  forge_tokenizer_close(t);
  t = with_rules(SPLIT("Removed", "false"));
  assert_ids(t, "a--b", 0, 0, 1);
  forge_tokenizer_close(t);
  t = with_rules(SPLIT("Removed", "true"));
  assert_ids(t, "a--b", 0, 2, 2);
  forge_tokenizer_close(t);
  t = with_rules(SPLIT("MergedWithPrevious", "false"));
  assert_ids(t, "a--b", 0, 6, 2, 1);
  forge_tokenizer_close(t);
  t = with_rules(SPLIT("MergedWithNext", "false"));
  assert_ids(t, "a--b", 0, 0, 2, 7);
  forge_tokenizer_close(t);
  t = with_rules(SPLIT("Contiguous", "false"));
  assert_ids(t, "a--b", 0, 0, 8, 1);
  forge_tokenizer_close(t);
}

static void digits_stand_alone_where_asked(void **state) {
  (void)state;
  forge_tokenizer *t =
      with_rules("\"pre_tokenizer\":{\"type\":\"Digits\",\"individual_digits\":true}");
  assert_ids(t, "a12", 0, 0, 3, 4);
  forge_tokenizer_close(t);
  t = with_rules("\"pre_tokenizer\":{\"type\":\"Digits\",\"individual_digits\":false}");
  assert_ids(t, "a12", 0, 0, 9);
  forge_tokenizer_close(t);
}

#define MARKED        "\"" MARK "\":0,\"a\":1,\"" MARK "a\":2,\"b\":3,\"a" MARK "\":4"
#define MARKED_MERGES "\"a " MARK "\",\"" MARK " a\""

static forge_tokenizer *marked(const char *rules, const char *flags) {
  char *json = sample_json(rules, flags, MARKED, MARKED_MERGES);
  forge_tokenizer *t = sample_open_json(json);
  free(json);
  return t;
}

#define METASPACE(scheme, split)                                                                   \
  "{\"type\":\"Metaspace\",\"replacement\":\"" MARK "\",\"prepend_scheme\":\"" scheme              \
  "\",\"split\":" split "}"

static void metaspace_marks_spaces_and_the_beginning_as_its_scheme_says(void **state) {
  (void)state;
  forge_tokenizer *t = marked("\"pre_tokenizer\":" METASPACE("always", "true"), "");
  assert_ids(t, "a a", 0, 2, 2);
  assert_ids(t, " a", 0, 2); /* no second one */
  forge_tokenizer_close(t);
  t = marked(
      "\"pre_tokenizer\":" METASPACE("never", "true") ",\"decoder\":" METASPACE("never", "true"),
      "");
  assert_ids(t, "a a", 0, 1, 2);
  assert_true(sample_round_trips(t, " a a", 4));
  forge_tokenizer_close(t);
  t = marked("\"pre_tokenizer\":" METASPACE("never", "false"), "");
  assert_ids(t, "a a", 0, 4, 1); /* not cut: a piece may hold a mark at its end */
  forge_tokenizer_close(t);
  t = marked(
      "\"added_tokens\":[{\"id\":5,\"content\":\"#\",\"special\":false}],"
      "\"pre_tokenizer\":" METASPACE("first", "true") ",\"decoder\":" METASPACE("first", "true"),
      "");
  assert_ids(t, "a#a", 0, 2, 5, 1);
  assert_true(sample_round_trips(t, "a#a", 3));
  forge_tokenizer_close(t);
}

static void llama_2_style_json_prepends_replaces_and_falls_back_to_bytes(void **state) {
  (void)state;
  char *json = sample_json(
      "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":"
      "\"" MARK "\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" MARK
      "\"}]},\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{"
      "\"String\":\"" MARK "\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"
      "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}",
      "\"byte_fallback\":true", MARKED ",\"<0xC3>\":5,\"<0xA9>\":6", MARKED_MERGES);
  forge_tokenizer *t = sample_open_json(json);
  assert_ids(t, " a\xC3\xA9", 0, 0, 2, 5, 6);
  assert_true(sample_round_trips(t, " a  b\xC3\xA9", 7));
  forge_tokenizer *again = sample_through_json(t);
  assert_true(sample_same_hash(t, again));
  forge_tokenizer_close(again);
  forge_tokenizer_close(t);
  free(json);
}

static void nfc_composes_where_asked_and_leaves_broken_bytes_alone(void **state) {
  (void)state;
  char *json = sample_json(
      "\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":" BYTE_LEVEL("false", "true"), "",
      "\"\xC3\x83\":0,\"\xC2\xA9\":1,\"e\":2,\"\xC3\xBF\":3", "");
  forge_tokenizer *t = sample_open_json(json);
  assert_ids(t, "e\xCC\x81", 0, 0, 1); /* e and a combining acute are one character */
  assert_ids(t, "e\xFF", 0, 2, 3);
  forge_tokenizer_close(t);
  free(json);
}

static void added_tokens_match_longest_and_take_white_space_as_told(void **state) {
  (void)state;
  forge_tokenizer *t = with_rules(
      "\"added_tokens\":[{\"id\":10,\"content\":\"<x>\",\"special\":false},"
      "{\"id\":11,\"content\":\"<x><y>\",\"special\":false,\"lstrip\":true,\"rstrip\":true},"
      "{\"id\":12,\"content\":\"<z>\",\"special\":true}]");
  assert_ids(t, "a<x>b", 0, 0, 10, 1);
  assert_ids(t, "a \n <x><y>\t b", 0, 0, 11, 1);
  assert_ids(t, "a<z>b", FORGE_ENCODE_SPECIAL, 0, 12, 1);
  assert_ids(t, "a<z>b", 0, 0, 1); /* text, for which there are no pieces here */
  forge_tokenizer_close(t);
}

static void a_template_says_what_goes_around_the_text(void **state) {
  (void)state;
  forge_tokenizer *t = with_rules(
      "\"added_tokens\":[{\"id\":10,\"content\":\"[B]\",\"special\":true},{\"id\":11,\"content\":"
      "\"[E]\",\"special\":true}],\"post_processor\":{\"type\":\"Sequence\",\"processors\":["
      "{\"type\":\"ByteLevel\"},{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{"
      "\"id\":\"[B]\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},"
      "{\"SpecialToken\":{\"id\":\"[E]\",\"type_id\":0}}],\"special_tokens\":{\"[B]\":{\"ids\":["
      "10]},\"[E]\":{\"ids\":[11]}}}]}");
  assert_ids(t, "a", FORGE_ENCODE_AUTO, 10, 0, 11);
  forge_tokenizer *again = sample_through_json(t);
  assert_true(sample_same_hash(t, again));
  forge_tokenizer_close(again);
  forge_tokenizer_close(t);
}

static void tokenizer_config_names_what_tokenizer_json_does_not(void **state) {
  (void)state;
  char *json = sample_json("", "", LETTERS, LETTER_MERGES);
  static const char config[] =
      "{\"bos_token\":\"a\",\"eos_token\":{\"content\":\"b\"},\"pad_token\":null}";
  forge_tokenizer *t = NULL;
  assert_ok(tokenizer_from_json_config(json, strlen(json), config, sizeof config - 1, &t));
  assert_int_equal(tokenizer_vocab_of(t)->bos, 0);
  assert_int_equal(tokenizer_vocab_of(t)->eos, 1);
  assert_int_equal(tokenizer_vocab_of(t)->pad, -1);
  forge_tokenizer_close(t);
  free(json);
}

static void pieces_may_hold_any_character_even_nul(void **state) {
  (void)state;
  char *json =
      sample_json("", "", "\"\\u0000\":0,\"\\\\u0000\":1,\"\\\"\":2,\"\\n\\u0000\":3,\"\\n\":4",
                  "[\"\\n\",\"\\u0000\"]");
  forge_tokenizer *t = sample_open_json(json);
  assert_ids(t, "\0\"\n\0\n", 0, 0, 2, 3, 4);
  forge_tokenizer *again = sample_through_json(t);
  assert_true(sample_same_hash(t, again));
  forge_tokenizer_close(again);
  forge_tokenizer_close(t);
  free(json);
}

/* ---- refusals ---- */

static void rules_that_are_not_supported_are_named_by_their_path(void **state) {
  (void)state;
  static const struct {
    const char *rules, *flags, *says;
  } cases[] = {
      {"\"normalizer\":{\"type\":\"Lowercase\"}", "", "normalizer.type \"Lowercase\""},
      {"\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":"
       "\"StripAccents\"}]}",
       "", "normalizer.normalizers[1].type \"StripAccents\""},
      {"\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}", "", "pre_tokenizer.type"},
      {"\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":"
       "\"Isolated\"}",
       "", "pre_tokenizer: pattern \"(\""},
      {"\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"-\"},\"behavior\":"
       "\"Sideways\"}",
       "", "pre_tokenizer.behavior \"Sideways\""},
      {"\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" BYTE_LEVEL(
           "false", "true") ",{\"type\":\"Digits\"}]}",
       "", "pre_tokenizer.pretokenizers[1].type"},
      {"\"decoder\":{\"type\":\"WordPiece\"}", "", "decoder.type \"WordPiece\""},
      {"\"post_processor\":{\"type\":\"RobertaProcessing\"}", "",
       "post_processor.type \"RobertaProcessing\""},
      {"\"added_tokens\":[{\"id\":10,\"content\":\"x\",\"single_word\":true}]", "",
       "added_tokens[0].single_word"},
      {"", "\"dropout\":0.1", "model.dropout"},
      {"", "\"end_of_word_suffix\":\"</w>\"", "model.end_of_word_suffix \"</w>\""},
      {"", "\"continuing_subword_prefix\":\"##\"", "model.continuing_subword_prefix"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char *json = sample_json(cases[i].rules, cases[i].flags, LETTERS, LETTER_MERGES);
    forge_tokenizer *t = NULL;
    const forge_status st = tokenizer_from_json(json, strlen(json), &t);
    if (st != FORGE_E_UNSUPPORTED) fail_msg("%s: status %d", cases[i].says, st);
    assert_says(cases[i].says);
    free(json);
  }
  static const char unigram[] = "{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}";
  forge_tokenizer *t = NULL;
  assert_int_equal(tokenizer_from_json(unigram, sizeof unigram - 1, &t), FORGE_E_UNSUPPORTED);
  assert_says("model.type \"Unigram\"");
}

static void damaged_files_are_refused_with_the_place(void **state) {
  (void)state;
  static const struct {
    const char *vocab, *merges, *says;
  } cases[] = {
      {"\"a\":0,\"a\":1", "", "duplicate"},
      {"\"a\":0,\"b\":0", "", "id 0 belongs to"},
      {"\"a\":-1", "", "no sane id"},
      {"\"a\":4000000000", "", "no sane id"},
      {"\"a\":\"x\"", "", "no sane id"},
      {"", "", "model.vocab is empty"},
      {"\"a\":0", "\"a b\"", "merge 0 names \"b\""},
      {"\"a\":0,\"b\":1", "\"a b\"", "leads to no piece"},
      {"\"a\":0,\"b\":1,\"ab\":2", "\"a b\",\"a b\"", "merges 0 and 1 are the same"},
      {"\"a\":0", "\"a\"", "is not two pieces"},
      {"\"a\":0", "17", "merges[0] is not two pieces"},
      {"\"a\":0", "", "unk_token \"q\""},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char *json = sample_json("", i + 1 == COUNT_OF(cases) ? "\"unk_token\":\"q\"" : "",
                             cases[i].vocab, cases[i].merges);
    forge_tokenizer *t = NULL;
    const forge_status st = tokenizer_from_json(json, strlen(json), &t);
    if (st != FORGE_E_CORRUPT) fail_msg("%s: status %d", cases[i].says, st);
    assert_says(cases[i].says);
    free(json);
  }
}

static void deep_cut_or_empty_json_is_refused(void **state) {
  (void)state;
  forge_tokenizer *t = NULL;
  char deep[200001];
  memset(deep, '[', sizeof deep - 1);
  deep[sizeof deep - 1] = 0;
  assert_int_equal(tokenizer_from_json(deep, sizeof deep - 1, &t), FORGE_E_CORRUPT);
  assert_int_equal(tokenizer_from_json("", 0, &t), FORGE_E_CORRUPT);
  assert_int_equal(tokenizer_from_json("[]", 2, &t), FORGE_E_CORRUPT);
  assert_int_equal(tokenizer_from_json("{\"model\":3}", 11, &t), FORGE_E_CORRUPT);
  char *json = sample_json("", "", LETTERS, LETTER_MERGES);
  for (size_t n = 0; n < strlen(json); n++)
    assert_int_equal(tokenizer_from_json(json, n, &t), FORGE_E_CORRUPT);
  free(json);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(merges_apply_in_their_order_inside_words),
      cmocka_unit_test(words_are_cut_the_way_gpt_2_does),
      cmocka_unit_test(llama_3_takes_digits_by_threes_and_whole_words_without_merges),
      cmocka_unit_test(every_byte_string_round_trips),
      cmocka_unit_test(a_space_before_the_first_word_is_added_once_and_taken_back),
      cmocka_unit_test(bytes_without_a_piece_are_unknown_or_left_out),
      cmocka_unit_test(the_gpt_2_pair_of_files_is_the_same_tokenizer),
      cmocka_unit_test(splits_behave_as_named),
      cmocka_unit_test(digits_stand_alone_where_asked),
      cmocka_unit_test(metaspace_marks_spaces_and_the_beginning_as_its_scheme_says),
      cmocka_unit_test(llama_2_style_json_prepends_replaces_and_falls_back_to_bytes),
      cmocka_unit_test(nfc_composes_where_asked_and_leaves_broken_bytes_alone),
      cmocka_unit_test(added_tokens_match_longest_and_take_white_space_as_told),
      cmocka_unit_test(a_template_says_what_goes_around_the_text),
      cmocka_unit_test(tokenizer_config_names_what_tokenizer_json_does_not),
      cmocka_unit_test(pieces_may_hold_any_character_even_nul),
      cmocka_unit_test(rules_that_are_not_supported_are_named_by_their_path),
      cmocka_unit_test(damaged_files_are_refused_with_the_place),
      cmocka_unit_test(deep_cut_or_empty_json_is_refused),
  };
  return cmocka_run_group_tests_name("bpe", tests, NULL, NULL);
}
