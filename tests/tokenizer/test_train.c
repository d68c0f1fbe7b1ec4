/* test_train.c -- tokenizers made from a text, and everything they can be written as. */
#include <pthread.h>

#include "sample.h"

static const char story[] =
    "The cat sat on the mat. The cat ate the rat. The rat that the cat ate sat on the hat. "
    "\xC3\x89t\xC3\xA9 the cat, the mat, the hat; then the rat sat. 1999 2000 2001\n\n  Then?\n";

/* ---- bytes and characters ---- */

static void byte_vocabulary_has_byte_i_as_id_i(void **state) {
  (void)state;
  forge_tokenizer *t = NULL;
  assert_ok(tokenizer_train_bytes(&t));
  char all[256];
  int32_t ids[256];
  for (int i = 0; i < 256; i++) all[i] = (char)i, ids[i] = i;
  sample_expect(t, all, 256, 0, ids, 256);
  sample_expect(t, all, 256, FORGE_ENCODE_AUTO, ids, 256);
  assert_true(sample_round_trips(t, all, 256));
  forge_tokenizer_info info = {.size = sizeof info};
  assert_ok(forge_tokenizer_describe(t, &info));
  assert_int_equal(info.n_vocab, 256);
  assert_int_equal(info.bos, -1);
  forge_tokenizer_close(t);
}

static void character_vocabulary_is_the_sorted_characters_of_the_text(void **state) {
  (void)state;
  forge_tokenizer *t = NULL;
  static const char s[] = "b a\xC3\xA9"
                          "a\n\0";
  assert_ok(tokenizer_train_chars(s, sizeof s - 1, &t));
  assert_ids(t, "ab\xC3\xA9 \n\0", 0, 3, 4, 5, 2, 1, 0);
  assert_ids(t, "a?a", 0, 3, 3); /* what the text never had is left out */
  assert_true(sample_round_trips(t, s, sizeof s - 1));
  forge_tokenizer_close(t);
  assert_int_equal(tokenizer_train_chars("", 0, &t), FORGE_E_INVALID);
  assert_int_equal(tokenizer_train_chars("ab\xFF", 3, &t), FORGE_E_INVALID);
  assert_says("at byte 2");
}

/* ---- byte pairs ---- */

static void commonest_pair_becomes_a_piece_first(void **state) {
  (void)state;
  forge_tokenizer *t = NULL;
  static const char s[] = "ab\nab\nab\ncd\ncd\nef\nef\nax";
  assert_ok(tokenizer_train_bpe(s, sizeof s - 1, 258, &t));
  const tokenizer_vocab *v = tokenizer_vocab_of(t);
  assert_int_equal(v->n, 258);
  assert_int_equal(v->merges[0].left, 'a'); /* three times */
  assert_int_equal(v->merges[0].right, 'b');
  assert_int_equal(v->merges[1].left, 'c'); /* twice, as "ef", whose ids are higher */
  assert_int_equal(v->merges[1].right, 'd');
  forge_tokenizer_close(t);
}

/* The slow and obvious way: count all pairs of all words, join the commonest, begin again. */
typedef struct slow_word {
  int32_t ids[32];
  size_t n;
} slow_word;

static bool slow_best(const slow_word *words, size_t n, tokenizer_merge *best) {
  size_t most = 1;
  for (size_t w = 0; w < n; w++)
    for (size_t i = 0; i + 1 < words[w].n; i++) {
      const tokenizer_merge pair = {words[w].ids[i], words[w].ids[i + 1]};
      size_t count = 0;
      for (size_t x = 0; x < n; x++)
        for (size_t k = 0; k + 1 < words[x].n; k++)
          count += words[x].ids[k] == pair.left && words[x].ids[k + 1] == pair.right;
      const bool lower =
          pair.left < best->left || (pair.left == best->left && pair.right < best->right);
      if (count > most || (count == most && count > 1 && lower)) most = count, *best = pair;
    }
  return most > 1;
}

static void slow_join(slow_word *w, tokenizer_merge pair, int32_t id) {
  size_t kept = 0;
  for (size_t i = 0; i < w->n; i++) {
    const bool hit = i + 1 < w->n && w->ids[i] == pair.left && w->ids[i + 1] == pair.right;
    w->ids[kept++] = hit ? id : w->ids[i];
    i += hit;
  }
  w->n = kept;
}

static void training_agrees_with_the_slow_way(void **state) {
  (void)state;
  uint64_t seed = 7;
  for (int round = 0; round < 30; round++) {
    /* words of letters parted by newlines, which GPT-2's pattern cuts off as words of their own */
    char s[600];
    slow_word words[128] = {0};
    size_t n = 0, n_words = 0;
    while (n_words + 2 < COUNT_OF(words) && n + 12 < sizeof s) {
      slow_word *w = &words[n_words++];
      for (size_t k = 1 + sample_random(&seed) % 9; k; k--) {
        s[n] = (char)('a' + sample_random(&seed) % 2);
        w->ids[w->n++] = (uint8_t)s[n++];
      }
      s[n++] = '\n';
      words[n_words++] = (slow_word){.ids = {'\n'}, .n = 1};
    }
    forge_tokenizer *t = NULL;
    assert_ok(tokenizer_train_bpe(s, n, 300, &t));
    const tokenizer_vocab *v = tokenizer_vocab_of(t);
    for (uint32_t i = 0; i < v->n_merges; i++) {
      tokenizer_merge best = {INT32_MAX, INT32_MAX};
      assert_true(slow_best(words, n_words, &best));
      assert_int_equal(v->merges[i].left, best.left);
      assert_int_equal(v->merges[i].right, best.right);
      /* the same bytes from two pairs are one piece */
      char joined[64];
      const tokenizer_piece a = v->pieces[best.left], b = v->pieces[best.right];
      const size_t length = a.n + b.n;
      memcpy(joined, a.s, a.n);
      memcpy(joined + a.n, b.s, b.n);
      int32_t id = -1;
      for (uint32_t p = 0; p < v->n; p++)
        if (v->pieces[p].n == length && !memcmp(v->pieces[p].s, joined, length)) id = (int32_t)p;
      assert_true(id >= 0);
      for (size_t w = 0; w < n_words; w++) slow_join(&words[w], best, id);
    }
    forge_tokenizer_close(t);
  }
}

static void trained_pairs_are_deterministic_and_cover_all_bytes(void **state) {
  (void)state;
  forge_tokenizer *a = NULL, *b = NULL;
  assert_ok(tokenizer_train_bpe(story, sizeof story - 1, 300, &a));
  assert_ok(tokenizer_train_bpe(story, sizeof story - 1, 300, &b));
  assert_true(sample_same_hash(a, b));
  assert_true(sample_round_trips(a, story, sizeof story - 1));
  assert_true(sample_round_trips(a, "\xFF\x00 zebra \xC3", 10));
  uint64_t n;
  int32_t *ids = sample_encode(a, story, sizeof story - 1, 0, &n);
  assert_true(n < (sizeof story - 1) * 2 / 3);
  free(ids);
  forge_tokenizer_close(a);
  forge_tokenizer_close(b);
  assert_ok(tokenizer_train_bpe("aaaa", 4, 10000, &a)); /* there is no more to learn */
  assert_true(tokenizer_vocab_of(a)->n < 260);
  forge_tokenizer_close(a);
  assert_ok(tokenizer_train_bpe("", 0, 256, &a));
  forge_tokenizer_close(a);
  assert_int_equal(tokenizer_train_bpe("aaaa", 4, 255, &a), FORGE_E_INVALID);
}

/* ---- the same tokenizer in other forms ---- */

static void check_forms(forge_tokenizer *t, const char *s, size_t n, bool same_kind) {
  forge_tokenizer *json = sample_through_json(t), *from_gguf = NULL;
  sample_bytes file = sample_gguf_file(t);
  gguf g;
  assert_ok(gguf_parse("trained.gguf", (const uint8_t *)file.s, file.n, &g));
  assert_ok(tokenizer_from_gguf(&g, &from_gguf));
  gguf_close(&g);
  free(file.s);
  assert_true(sample_same_ids(t, json, s, n));
  assert_true(sample_same_ids(t, from_gguf, s, n));
  assert_true(sample_round_trips(from_gguf, s, n));
  assert_true(sample_round_trips(json, s, n));
  if (same_kind) assert_true(sample_same_hash(t, json));
  if (same_kind) assert_true(sample_same_hash(t, from_gguf));
  forge_tokenizer_close(json);
  forge_tokenizer_close(from_gguf);
  forge_tokenizer_close(t);
}

static void trained_tokenizers_survive_tokenizer_json_and_gguf(void **state) {
  (void)state;
  forge_tokenizer *t = NULL;
  assert_ok(tokenizer_train_bytes(&t));
  check_forms(t, story, sizeof story - 1, true);
  assert_ok(tokenizer_train_bpe(story, sizeof story - 1, 300, &t));
  check_forms(t, story, sizeof story - 1, true);
  assert_ok(tokenizer_train_chars(story, sizeof story - 1, &t));
  check_forms(t, story, sizeof story - 1, false); /* GGUF has it as a SentencePiece vocabulary */
  assert_int_equal(tokenizer_train_bytes(&t), FORGE_OK);
  uint8_t *bin = NULL;
  uint64_t n;
  assert_int_equal(tokenizer_llama2c_write(t, &bin, &n), FORGE_E_UNSUPPORTED);
  forge_tokenizer_close(t);
}

static void a_folder_is_searched_for_every_form(void **state) {
  (void)state;
  forge_tokenizer *t = NULL, *trained = NULL;
  assert_int_equal(forge_tokenizer_open(support_dir, &t), FORGE_E_NOT_FOUND);
  assert_says("no tokenizer in it");
  assert_int_equal(forge_tokenizer_open("no/such/file", &t), FORGE_E_NOT_FOUND);
  support_write("vocab.json", "{\"a\": 0, \"b\": 1, \"ab\": 2}");
  support_write("merges.txt", "#version: 0.2\na b\n");
  assert_ok(forge_tokenizer_open(support_dir, &t));
  assert_ids(t, "abb", 0, 2, 1);
  forge_tokenizer_close(t);
  assert_ok(tokenizer_train_chars(story, sizeof story - 1, &trained));
  char *json = NULL;
  assert_ok(tokenizer_json_write(trained, &json));
  char path[512];
  snprintf(path, sizeof path, "%s", support_write("tokenizer.json", "%s", json));
  support_write("tokenizer_config.json", "{\"eos_token\": \"?\"}");
  assert_ok(forge_tokenizer_open(support_dir, &t));
  assert_true(sample_same_ids(t, trained, "cat", 3));
  const tokenizer_vocab *v = tokenizer_vocab_of(t);
  assert_true(v->eos >= 0 && v->pieces[v->eos].n == 1 && *v->pieces[v->eos].s == '?');
  forge_tokenizer_close(t);
  assert_ok(forge_tokenizer_open(path, &t)); /* the file itself */
  forge_tokenizer_close(t);
  support_write("tokenizer.json", "{");
  assert_int_equal(forge_tokenizer_open(path, &t), FORGE_E_CORRUPT);
  assert_says("tokenizer.json: tokenizer.json: line 1");
  forge_text_free(json);
  forge_tokenizer_close(trained);
}

/* ---- threads ---- */

static void *encode_often(void *tokenizer) {
  const forge_tokenizer *t = tokenizer;
  intptr_t wrong = 0;
  for (int i = 0; i < 50; i++) {
    int32_t ids[512];
    uint64_t n;
    char s[1024];
    wrong += forge_tokenizer_encode(t, story, sizeof story - 1, 0, ids, 512, &n) != FORGE_OK;
    wrong += forge_tokenizer_decode(t, -1, ids, n, 0, s, sizeof s, &n) != FORGE_OK;
    wrong += n != sizeof story - 1 || memcmp(s, story, n) != 0;
  }
  return (void *)wrong;
}

static void threads_may_share_a_tokenizer(void **state) {
  (void)state;
  forge_tokenizer *t = NULL;
  assert_ok(tokenizer_train_bpe(story, sizeof story - 1, 300, &t));
  pthread_t threads[4];
  for (size_t i = 0; i < COUNT_OF(threads); i++)
    assert_int_equal(pthread_create(&threads[i], NULL, encode_often, t), 0);
  for (size_t i = 0; i < COUNT_OF(threads); i++) {
    void *wrong;
    pthread_join(threads[i], &wrong);
    assert_null(wrong);
  }
  forge_tokenizer_close(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(byte_vocabulary_has_byte_i_as_id_i),
      cmocka_unit_test(character_vocabulary_is_the_sorted_characters_of_the_text),
      cmocka_unit_test(commonest_pair_becomes_a_piece_first),
      cmocka_unit_test(training_agrees_with_the_slow_way),
      cmocka_unit_test(trained_pairs_are_deterministic_and_cover_all_bytes),
      cmocka_unit_test(trained_tokenizers_survive_tokenizer_json_and_gguf),
      cmocka_unit_test(a_folder_is_searched_for_every_form),
      cmocka_unit_test(threads_may_share_a_tokenizer),
  };
  return cmocka_run_group_tests_name("train", tests, support_enter, support_leave);
}
