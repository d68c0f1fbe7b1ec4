/* test_manifest.c -- what a manifest may say, and the words for what it may not. */
#include "manifest.h"

#include "support.h"

#define HEAD "[backend]\nname = x\nabi_major = 1\n"

static void a_whole_manifest_is_read(void **state) {
  (void)state;
  static const char source[] = "; a comment\n[backend]\nname = cpu\nabi_major = 1\n"
                               "abi_minor_min = 0\nabi_minor_max = 4\npriority = 10   ; high\n"
                               "probe = inprocess\nprobe_timeout = 3\ndeepbind = yes\n"
                               "[variant avx2]\nlibrary = ../a.so\nisa = avx2 fma\n"
                               "[variant portable]\nlibrary = /b.so\nisa =\n"
                               "[option threads]\ntype = int\nmin = 0\nmax = 8\ndefault = 2\n"
                               "help = how many\n[option fast]\ntype = bool\ndefault = no\n";
  manifest m;
  assert_ok(manifest_parse("t.ini", source, strlen(source), &m));
  assert_string_equal(m.name, "cpu");
  assert_int_equal(m.abi_minor_max, 4);
  assert_int_equal(m.priority, 10);
  assert_true(m.in_process && m.deepbind);
  assert_int_equal(m.probe_timeout, 3);
  assert_int_equal(m.n_variants, 2);
  assert_string_equal(m.variants[0].isa, "avx2 fma");
  assert_string_equal(m.variants[1].library, "/b.so");
  assert_int_equal(m.n_options, 2);
  assert_string_equal(m.options[0].fallback, "2");
  assert_ok(manifest_check_option(&m.options[0], "k", "8", "here"));
  assert_int_equal(manifest_check_option(&m.options[0], "k", "9", "here"), FORGE_E_CONFIG);
  assert_says("here: k = '9' must be from 0 to 8");
  assert_int_equal(manifest_check_option(&m.options[0], "k", "4.5", "here"), FORGE_E_CONFIG);
  assert_says("must be an int");
  assert_int_equal(manifest_check_option(&m.options[1], "k", "maybe", "here"), FORGE_E_CONFIG);
  assert_says("must be a bool");
  manifest_finish(&m);
}

static void what_is_not_said_has_its_default(void **state) {
  (void)state;
  manifest m;
  assert_ok(manifest_parse("t.ini", HEAD "library = l.so\n", strlen(HEAD "library = l.so\n"), &m));
  assert_false(m.in_process); /* a stranger is tried in a child first */
  assert_false(m.deepbind);
  assert_int_equal(m.priority, 0);
  assert_int_equal(m.abi_minor_max, 0);
  assert_int_equal(m.probe_timeout, 10);
  assert_int_equal(m.n_variants, 1);
  assert_null(m.variants[0].name);
  manifest_finish(&m);
}

static void mistakes_are_told_with_their_line(void **state) {
  (void)state;
  static const struct {
    const char *source, *says;
  } rows[] = {
      {"", "t.ini:1: [backend] has no name"},
      {"[backend]\nname = x\n", "[backend] has no abi_major"},
      {HEAD, "[backend] has no library and there is no [variant ..]"},
      {HEAD "librari = y\n", "t.ini:4: [backend] has no key 'librari'; did you mean 'library'?"},
      {HEAD "zzzzzz = y\n", "t.ini:4: [backend] has no key 'zzzzzz'"},
      {HEAD "name = y\n", "t.ini:4: [backend] has name twice"},
      {"[backends]\nname = x\n", "t.ini:2: there is no section [backends]; did you mean [backend]"},
      {"name = x\n", "there is no section []; a key needs [backend]"},
      {"[backend]\nname = Big Name\n", "must be a lower-case word"},
      {HEAD "priority = 1e3\n", "priority = '1e3' must be a whole number from -1000 to 1000"},
      {HEAD "probe = never\n", "must be inprocess or subprocess"},
      {HEAD "deepbind = perhaps\n", "must be yes or no"},
      {HEAD "sha256 = 12\n", "sha256 must be 64 hexadecimal digits"},
      {HEAD "library =\n", "library is empty"},
      {HEAD "abi_minor_min = 2\nabi_minor_max = 1\nlibrary = l\n", "abi_minor_max is below"},
      {HEAD "library = l\n[variant a]\nlibrary = m\n", "belong into the [variant ..] sections"},
      {HEAD "[variant a]\nisa = x\n", "variant a has no library"},
      {HEAD "library = l\n[option a]\nhelp = h\n", "t.ini:6: option a has no type"},
      {HEAD "library = l\n[option a]\ntype = number\n", "type 'number' must be int"},
      {HEAD "library = l\n[option a]\ntype = bool\nmin = 1\n", "min and max are for int and float"},
      {HEAD "library = l\n[option a]\ntype = int\nmin = 2\nmax = 1\n", "min is above max"},
      {HEAD "library = l\n[option a]\ntype = int\nmax = 1\ndefault = 2\n", "must be up to 1"},
      {HEAD "library = l\n[option enabled]\ntype = int\n", "not one of the core's own"},
      {HEAD "what is this\n", "t.ini:4: neither [section], key = value nor a comment"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    manifest m;
    const forge_status st = manifest_parse("t.ini", rows[i].source, strlen(rows[i].source), &m);
    if (st != FORGE_E_CONFIG) fail_msg("row %zu: %s", i, forge_status_name(st));
    assert_says(rows[i].says);
    manifest_finish(&m);
  }
}

static void long_lines_and_zero_bytes_are_refused(void **state) {
  (void)state;
  char source[1000];
  manifest m;
  memset(source, 'a', sizeof source);
  assert_int_equal(manifest_parse("t.ini", source, sizeof source, &m), FORGE_E_CONFIG);
  assert_says("t.ini:1: the line is longer than 190 bytes");
  manifest_finish(&m);
  assert_int_equal(manifest_parse("t.ini", "[ba\0ckend]\n", 11, &m), FORGE_E_CONFIG);
  assert_says("a zero byte");
  manifest_finish(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_whole_manifest_is_read),
      cmocka_unit_test(what_is_not_said_has_its_default),
      cmocka_unit_test(mistakes_are_told_with_their_line),
      cmocka_unit_test(long_lines_and_zero_bytes_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
