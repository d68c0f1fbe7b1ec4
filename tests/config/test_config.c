/* test_config.c -- the operator's settings: which source wins, what is refused and with which
 * words, and that the documentation has every row. */
#include "settings.h"

#include "file.h"
#include "support.h"

static settings *parse(const char *source, const char *const *overrides) {
  settings *s = NULL;
  assert_ok(settings_parse("test.conf", source, strlen(source), overrides, &s));
  return s;
}

static void expect_refused(const char *source, const char *says) {
  settings *s = NULL;
  const forge_status st = settings_parse("test.conf", source, strlen(source), NULL, &s);
  if (st != FORGE_E_CONFIG) fail_msg("%s: %s", source, forge_status_name(st));
  assert_says(says);
}

static void expect_setting(const settings *s, const char *key, const char *value,
                           const char *origin) {
  const settings_item *item = settings_get(s, key);
  if (!item) fail_msg("%s has no value", key);
  assert_string_equal(item->text, value);
  assert_string_equal(item->origin, origin);
}

static void a_file_gives_every_kind_of_value(void **state) {
  (void)state;
  settings *s = parse("backends = [\"cpu\", \"null\"];\n"
                      "fallback = \"warn\"; # a comment\n"
                      "memory_limit = 4096;\n"
                      "backend: {\n"
                      "  cpu: { threads = 4; fast = true; scale = 0.1; memory_limit = \"80%\"; };\n"
                      "};\n",
                      NULL);
  expect_setting(s, "backends", "cpu, null", "test.conf:1");
  assert_int_equal(settings_get(s, "backends")->n, 2);
  assert_string_equal(settings_get(s, "backends")->list[1], "null");
  expect_setting(s, "fallback", "warn", "test.conf:2");
  expect_setting(s, "memory_limit", "4096", "test.conf:3");
  expect_setting(s, "backend.cpu.threads", "4", "test.conf:5");
  expect_setting(s, "backend.cpu.fast", "true", "test.conf:5");
  expect_setting(s, "backend.cpu.scale", "0.1", "test.conf:5");
  expect_setting(s, "visible", "", "default");
  assert_int_equal(settings_get(s, "visible")->n, 0);
  settings_free(s);
}

static void flag_beats_environment_beats_file_beats_default(void **state) {
  (void)state;
  const char *overrides[] = {"fallback=error", "backend.cpu.threads=1", NULL};
  const char *file = "fallback = \"warn\"; log_level = \"info\"; memory_limit = \"1G\";\n"
                     "backend: { cpu: { threads = 8; depth = 3; width = 5 } };";
  setenv("FORGE_FALLBACK", "allow", 1);
  setenv("FORGE_LOG_LEVEL", "debug", 1);
  setenv("FORGE_BACKEND_CPU_THREADS", "16", 1);
  setenv("FORGE_BACKEND_CPU_DEPTH", "4", 1);
  setenv("FORGE_VISIBLE", "cpu:0, null:1", 1);
  settings *s = parse(file, overrides);
  assert_ok(settings_declare(s, "cpu", "threads", "0"));
  assert_ok(settings_declare(s, "cpu", "depth", "0"));
  assert_ok(settings_declare(s, "cpu", "width", "0"));
  assert_ok(settings_declare(s, "cpu", "height", "2"));
  assert_ok(settings_declare(s, "cpu", "absent", NULL));
  expect_setting(s, "fallback", "error", "override");
  expect_setting(s, "log_level", "debug", "environment FORGE_LOG_LEVEL");
  expect_setting(s, "memory_limit", "1G", "test.conf:1");
  expect_setting(s, "visible", "cpu:0, null:1", "environment FORGE_VISIBLE");
  assert_int_equal(settings_get(s, "visible")->n, 2);
  expect_setting(s, "backend.cpu.threads", "1", "override");
  expect_setting(s, "backend.cpu.depth", "4", "environment FORGE_BACKEND_CPU_DEPTH");
  expect_setting(s, "backend.cpu.width", "5", "test.conf:2");
  expect_setting(s, "backend.cpu.height", "2", "default");
  assert_null(settings_get(s, "backend.cpu.absent"));
  settings_free(s);
  unsetenv("FORGE_FALLBACK");
  unsetenv("FORGE_LOG_LEVEL");
  unsetenv("FORGE_BACKEND_CPU_THREADS");
  unsetenv("FORGE_BACKEND_CPU_DEPTH");
  unsetenv("FORGE_VISIBLE");
}

static void mistakes_are_told_with_line_and_nearest_name(void **state) {
  (void)state;
  expect_refused("\nfalback = \"warn\";",
                 "test.conf:2: there is no setting 'falback'; did you mean "
                 "'fallback'?");
  expect_refused("qqqqqqqqq = 1;", "`forge config help` lists them");
  expect_refused("fallback = \"maybe\";",
                 "fallback = 'maybe' must be one of auto|error|warn|allow");
  expect_refused("fallback = \"auto|error\";", "must be one of");
  expect_refused("memory_limit = \"12X\";", "memory_limit = '12X' must be bytes with K, M, G or T");
  expect_refused("memory_limit = \"101%\";", "must be");
  expect_refused("memory_limit = 0;", "must be");
  expect_refused("memory_limit = -5;", "must be");
  expect_refused("memory_limit = \"99999999999T\";", "must be");
  expect_refused("fallback = [\"warn\"];", "fallback takes one value, not a list");
  expect_refused("backends = [1, 2];", "backends: entry 1 must be a text in quotes");
  expect_refused("backends = [\"a\", \"a\"];", "'a' is there twice");
  expect_refused("backend_path = [\"plugins\"];", "'plugins' is relative");
  expect_refused("device: { x = 1 };", "there is no group 'device'");
  expect_refused("backend: { cpu: { a: { b = 1 } } };", "an option is a single value");
  expect_refused("backend: { cpu: { enabled = \"perhaps\" } };", "must be true or false");
  expect_refused("a = 1; a = 2;", "duplicate");
  expect_refused("fallback = ", "syntax error");
  expect_refused("@include \"/etc/passwd\"\n", "directives such as @include are not supported");
}

static void a_zero_byte_is_refused_not_taken_for_the_end(void **state) {
  (void)state;
  settings *s = NULL;
  assert_int_equal(settings_parse("test.conf", "a\0b", 3, NULL, &s), FORGE_E_CONFIG);
  assert_says("test.conf:1: a zero byte");
}

static void overrides_are_checked_like_the_file(void **state) {
  (void)state;
  static const struct {
    const char *override, *says;
  } rows[] = {{"fallback", "must read key=value"},
              {"=x", "must read key=value"},
              {"falback=warn", "did you mean 'fallback'?"},
              {"log_level=loud", "must be one of"}};
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    const char *overrides[] = {rows[i].override, NULL};
    settings *s = NULL;
    assert_int_equal(settings_parse(NULL, NULL, 0, overrides, &s), FORGE_E_CONFIG);
    assert_says(rows[i].says);
  }
  const char *twice[] = {"fallback=warn", "fallback=allow", NULL};
  settings *s = NULL;
  assert_int_equal(settings_parse(NULL, NULL, 0, twice, &s), FORGE_E_CONFIG);
  assert_says("fallback is overridden twice");
}

static void amounts_are_binary_and_exact(void **state) {
  (void)state;
  static const struct {
    const char *s;
    uint64_t bytes;
    uint32_t percent;
  } good[] = {{"1", 1, 0},
              {"512K", 512 << 10, 0},
              {"3m", 3 << 20, 0},
              {"2GiB", 2ull << 30, 0},
              {"1TB", 1ull << 40, 0},
              {"80%", 0, 80},
              {"none", 0, 0}};
  static const char *const bad[] = {"",         "0", "-1", "1.5G", "G",  "1Q",
                                    "1Kx",      "%", "0%", "200%", " 1", "99999999999999999999",
                                    "16777216T"};
  settings_bytes out;
  for (size_t i = 0; i < COUNT_OF(good); i++) {
    assert_true(settings_parse_bytes(good[i].s, &out));
    assert_int_equal(out.bytes, good[i].bytes);
    assert_int_equal(out.percent, good[i].percent);
  }
  for (size_t i = 0; i < COUNT_OF(bad); i++)
    if (settings_parse_bytes(bad[i], &out)) fail_msg("'%s' was taken", bad[i]);
}

static void the_file_is_looked_for_in_the_documented_places(void **state) {
  (void)state;
  settings *s;
  char folder[300], path[600];
  assert_ok(settings_load(NULL, NULL, &s)); /* nothing anywhere: defaults */
  assert_null(settings_file(s));
  settings_free(s);
  snprintf(folder, sizeof folder, "%s/forge", support_dir);
  assert_ok(file_make_directories(folder));
  support_write("forge/forge.conf", "fallback = \"warn\";");
  assert_ok(settings_load(NULL, NULL, &s)); /* XDG_CONFIG_HOME */
  expect_setting(s, "fallback", "warn", settings_get(s, "fallback")->origin);
  settings_free(s);
  snprintf(path, sizeof path, "%s", support_write("named.conf", "fallback = \"allow\";"));
  setenv("FORGE_CONFIG", path, 1);
  assert_ok(settings_load(NULL, NULL, &s));
  assert_string_equal(settings_file(s), path);
  settings_free(s);
  assert_ok(settings_load(support_write("given.conf", "fallback = \"error\";"), NULL, &s));
  assert_string_equal(settings_get(s, "fallback")->text, "error");
  settings_free(s);
  setenv("FORGE_CONFIG", "relative.conf", 1);
  assert_int_equal(settings_load(NULL, NULL, &s), FORGE_E_CONFIG);
  assert_says("FORGE_CONFIG: 'relative.conf' is relative");
  setenv("FORGE_CONFIG", "/does/not/exist.conf", 1);
  assert_int_equal(settings_load(NULL, NULL, &s), FORGE_E_NOT_FOUND);
  assert_says("/does/not/exist.conf");
  unsetenv("FORGE_CONFIG");
}

static void the_documentation_has_every_row(void **state) {
  (void)state;
  char *doc;
  size_t n;
  const settings_row *rows = settings_rows(&n);
  assert_ok(file_read(FORGE_TEST_SOURCE_DIR "/docs/configuration.md", 1 << 20, &doc, NULL));
  for (size_t i = 0; i < n; i++) {
    char start[128];
    snprintf(start, sizeof start, "| `%s` | %s | %s |", rows[i].key,
             settings_type_name(rows[i].type), rows[i].fallback);
    const char *line = strstr(doc, start), *end = line ? strchr(line, '\n') : NULL;
    const char *help = line ? strstr(line, rows[i].help) : NULL;
    if (!help || !end || help > end)
      fail_msg("%s: run `forge config help --markdown` and put its table into the document", start);
  }
  mem_free(doc);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_file_gives_every_kind_of_value),
      cmocka_unit_test(flag_beats_environment_beats_file_beats_default),
      cmocka_unit_test(mistakes_are_told_with_line_and_nearest_name),
      cmocka_unit_test(a_zero_byte_is_refused_not_taken_for_the_end),
      cmocka_unit_test(overrides_are_checked_like_the_file),
      cmocka_unit_test(amounts_are_binary_and_exact),
      cmocka_unit_test(the_file_is_looked_for_in_the_documented_places),
      cmocka_unit_test(the_documentation_has_every_row),
  };
  return cmocka_run_group_tests(tests, support_enter, support_leave);
}
