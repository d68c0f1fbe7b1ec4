/* test_runner.c -- forge-conformance as a vendor meets it: what it says to files that are no
 * plugin, its exit status, its ledger and its reports. The suite's judgement of bad plugins is
 * tried in bugs/. */
#include <sys/wait.h>

#include <jansson.h>

#include "support.h"

#define PORTABLE FORGE_TEST_BUILD_DIR "/lib/forge/forge-cpu-portable.so"
#define MANIFEST FORGE_TEST_BUILD_DIR "/lib/forge/backends.d/cpu.ini"
#define LIBFORGE FORGE_TEST_BUILD_DIR "/lib/libforge.so"
#define LAYER    FORGE_TEST_BUILD_DIR "/lib/forge/forge-layer-trace.so"

static char said[1 << 20];

/* Runs the suite with |arguments| after |words| of the shell; what it printed is in |said|. */
static int suite_after(const char *words, const char *arguments) {
  char command[4096];
  snprintf(command, sizeof command, "cd %s && %s %s %s 2>&1 </dev/null", support_dir, words,
           FORGE_TEST_BUILD_DIR "/bin/forge-conformance", arguments);
  FILE *f = popen(command, "r");
  assert_non_null(f);
  const size_t n = fread(said, 1, sizeof said - 1, f);
  said[n] = 0;
  const int status = pclose(f);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static int suite(const char *arguments) { return suite_after("", arguments); }

static void says(const char *words) {
  if (!strstr(said, words)) fail_msg("it does not say \"%s\":\n%s", words, said);
}
static void does_not_say(const char *words) {
  if (strstr(said, words)) fail_msg("it says \"%s\":\n%s", words, said);
}

/* ---- what is no plugin ---- */

static void files_that_are_no_plugin_are_told_apart(void **state) {
  (void)state;
  support_write("notes.txt", "%s", "These are notes about a plugin, and no plugin.\n");
  support_write("short.so", "%s", "\177ELF");
  support_write("layer.ini", "%s", "[layer]\nname = trace\n");
  support_write("spoilt.ini", "%s", "this is no manifest\n");
  assert_int_equal(suite("nowhere.so"), 3);
  says("nowhere.so: No such file");
  assert_int_equal(suite("notes.txt"), 3);
  says("is no shared object");
  assert_int_equal(suite("short.so"), 3);
  says("is no shared object");
  assert_int_equal(suite("."), 3);
  says("is a folder");
  assert_int_equal(suite("layer.ini"), 3);
  says("names no library");
  assert_int_equal(suite("spoilt.ini"), 3);
  says("line 1");
  assert_int_equal(suite(LIBFORGE), 3);
  says("no forge_backend_entry_v1");
  assert_int_equal(suite(LAYER), 3);
  says("is a layer");
  assert_int_equal(suite("/proc/self/exe"), 3);
}

static void the_command_line_is_checked(void **state) {
  (void)state;
  assert_int_equal(suite(""), 2);
  says("which plugin?");
  assert_int_equal(suite("--help"), 0);
  says("Examples:");
  says("Exit status:");
  assert_int_equal(suite("--version"), 0);
  says("ABI 1.");
  assert_int_equal(suite("--no-such-option x"), 2);
  assert_int_equal(suite("-o novalue " PORTABLE), 2);
  says("KEY=VALUE");
  assert_int_equal(suite("-t never " PORTABLE), 2);
  assert_int_equal(suite("-j 0 " PORTABLE), 2);
  assert_int_equal(suite("--report page.pdf " PORTABLE), 2);
  says(".html or .md");
  assert_int_equal(suite(PORTABLE " another.so"), 2);
  assert_int_equal(suite("-f 'nothing.like.this' " PORTABLE), 2);
  says("--list");
}

static void a_device_that_is_not_there_is_nothing_to_test(void **state) {
  (void)state;
  assert_int_equal(suite("-d 7 -f 'probe.*' " PORTABLE), 77);
  says("no device 7");
}

/* ---- running ---- */

static void tests_are_chosen_and_their_verdicts_counted(void **state) {
  (void)state;
  assert_int_equal(suite("-f 'handshake.*' -f probe.answers " PORTABLE), 0);
  says("pass        handshake.entry");
  says("pass        probe.answers");
  says(" 0 fail");
  says("level: not asked");
  does_not_say("memory.");
  assert_int_equal(suite("-q -f 'handshake.*' " PORTABLE), 0);
  does_not_say("handshake.entry");
  assert_int_equal(
      suite("-q -f 'op.*.f32.one' -f 'op.*.uniform.one' -f 'op.*.f32_f16.one' " PORTABLE), 0);
  says("of 14 primitives");
  does_not_say("trains and serves"); /* not all of it was asked */
}

static void a_manifest_names_the_library_and_the_plugin(void **state) {
  (void)state;
  assert_int_equal(suite("-f 'handshake.*' " MANIFEST), 0);
  says("handshake.strings");
  says("cpu ");
}

/* Who ignores SIGCHLD hands that down, and children end unheard. */
static void children_are_heard_of_whoever_starts_the_suite(void **state) {
  (void)state;
  assert_int_equal(suite_after("trap '' CHLD && exec", "-f 'probe.*' " PORTABLE), 0);
  says("3 pass");
}

static void options_reach_the_device(void **state) {
  (void)state;
  assert_int_equal(suite("-f device.opens_again -o threads=1 " PORTABLE), 0);
  assert_int_equal(suite("-f device.opens_again -o threads=many " PORTABLE), 1);
  says("threads");
  says("FB-D5");
}

static void ids_and_rules_are_printed_without_a_plugin(void **state) {
  (void)state;
  assert_int_equal(suite("--list -f 'memory.*'"), 0);
  says("memory.free_null");
  says("FB-M3");
  does_not_say("handshake.");
  assert_int_equal(suite("--rules markdown"), 0);
  says("| FB-M3 |");
  says("`memory.free_null`");
  does_not_say("has no test");
  assert_int_equal(suite("--rules text"), 0);
  says("otherwise:");
}

/* ---- the ledger ---- */

static void a_ledger_marks_what_is_not_offered_and_what_is_known_to_fail(void **state) {
  (void)state;
  support_write("ledger.ini", "%s",
                "[unsupported]\nprobe.* = no probing here\n"
                "[expected failure]\ndevice.opens_again = known\n");
  assert_int_equal(suite("-L ledger.ini -f device.opens_again -f 'probe.*' -o threads=many "
                         "--json l.json " PORTABLE),
                   0);
  says("xfail       device.opens_again");
  says("expected: known");
  says("3 unsupported");
}

static void an_unexpected_pass_is_a_failure(void **state) {
  (void)state;
  support_write("stale.ini", "%s", "[expected failure]\nprobe.answers = was broken in 1.2\n");
  assert_int_equal(suite("-L stale.ini -f 'probe.*' " PORTABLE), 1);
  says("xpass       probe.answers");
  says("was broken in 1.2");
  says("1 xpass");
}

static void a_wrong_ledger_is_refused_with_the_nearest_name(void **state) {
  (void)state;
  support_write("typo.ini", "%s", "[unsupported]\nmemory.fre_nul = never\n");
  assert_int_equal(suite("-L typo.ini " PORTABLE), 2);
  says("memory.fre_nul");
  says("memory.free_null");
  support_write("section.ini", "%s", "[unsuported]\nmemory.free_null = never\n");
  assert_int_equal(suite("-L section.ini " PORTABLE), 2);
  says("[unsupported]");
  support_write("silent.ini", "%s", "[unsupported]\nmemory.free_null =\n");
  assert_int_equal(suite("-L silent.ini " PORTABLE), 2);
  says("has no reason");
  assert_int_equal(suite("-L nowhere.ini " PORTABLE), 2);
  says("cannot be read");
}

/* ---- reports ---- */

static json_t *read_json(const char *leaf) {
  char path[512];
  json_error_t error;
  snprintf(path, sizeof path, "%s/%s", support_dir, leaf);
  json_t *j = json_load_file(path, 0, &error);
  if (!j) fail_msg("%s: %s", leaf, error.text);
  return j;
}

static void the_json_report_has_everything(void **state) {
  (void)state;
  assert_int_equal(suite("-f 'probe.*' -f op.FILL.f32.odd --json out.json " PORTABLE), 0);
  json_t *j = read_json("out.json");
  assert_non_null(json_object_get(j, "suite"));
  assert_non_null(json_object_get(j, "abi"));
  const json_t *plugin = json_object_get(j, "plugin"), *summary = json_object_get(j, "summary");
  assert_string_equal(json_string_value(json_object_get(plugin, "name")), "cpu");
  assert_int_equal(json_integer_value(json_object_get(plugin, "devices")), 1);
  assert_true(json_is_true(json_object_get(summary, "ok")));
  assert_int_equal(json_integer_value(json_object_get(summary, "pass")), 4);
  assert_int_equal(json_integer_value(json_object_get(summary, "primitives")), 1);
  const json_t *tests = json_object_get(j, "tests"), *first = json_array_get(tests, 0);
  assert_int_equal(json_array_size(tests), 4);
  assert_string_equal(json_string_value(json_object_get(first, "verdict")), "pass");
  assert_true(json_array_size(json_object_get(first, "rules")) >= 1);
  const json_t *row = json_object_get(json_object_get(j, "support"), "FILL");
  assert_string_equal(json_string_value(json_object_get(row, "F32")), "pass");
  json_decref(j);
}

/* Well-formed by a parser that is not ours. */
static void the_junit_report_is_xml(void **state) {
  char command[1024];
  (void)state;
  assert_int_equal(
      suite("-f device.opens_again -f 'probe.*' -o 'threads=<&\"' --junit out.xml " PORTABLE), 1);
  if (system("command -v python3 >/dev/null")) skip();
  snprintf(command, sizeof command,
           "python3 -c 'import sys, xml.etree.ElementTree as t\n"
           "r = t.parse(sys.argv[1]).getroot()\n"
           "assert r.tag == \"testsuites\" and r.get(\"tests\") == \"4\", r.attrib\n"
           "assert r.get(\"failures\") == \"1\", r.attrib\n"
           "assert len(list(r.iter(\"testcase\"))) == 4\n"
           "assert \"<&\" in r.find(\".//failure\").get(\"message\")' %s/out.xml",
           support_dir);
  assert_int_equal(system(command), 0);
}

static void read_text(const char *leaf) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", support_dir, leaf);
  FILE *f = fopen(path, "r");
  assert_non_null(f);
  const size_t n = fread(said, 1, sizeof said - 1, f);
  said[n] = 0;
  fclose(f);
}

static void the_page_can_be_published(void **state) {
  (void)state;
  assert_int_equal(suite("-f op.FILL.f32.odd --report out.html " PORTABLE), 0);
  read_text("out.html");
  says("<!doctype html>");
  says("1 of 14 primitives");
  says("every test passed");
  does_not_say("http");
  assert_int_equal(
      suite("-f op.FILL.f32.odd -f device.opens_again -o threads=many --report out.md " PORTABLE),
      1);
  read_text("out.md");
  says("# Forge conformance: cpu");
  says("device.opens_again");
  assert_int_equal(suite("-f op.FILL.f32.odd --report /no/such/folder/out.md " PORTABLE), 1);
  says("cannot be written");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(files_that_are_no_plugin_are_told_apart),
      cmocka_unit_test(the_command_line_is_checked),
      cmocka_unit_test(a_device_that_is_not_there_is_nothing_to_test),
      cmocka_unit_test(tests_are_chosen_and_their_verdicts_counted),
      cmocka_unit_test(a_manifest_names_the_library_and_the_plugin),
      cmocka_unit_test(children_are_heard_of_whoever_starts_the_suite),
      cmocka_unit_test(options_reach_the_device),
      cmocka_unit_test(ids_and_rules_are_printed_without_a_plugin),
      cmocka_unit_test(a_ledger_marks_what_is_not_offered_and_what_is_known_to_fail),
      cmocka_unit_test(an_unexpected_pass_is_a_failure),
      cmocka_unit_test(a_wrong_ledger_is_refused_with_the_nearest_name),
      cmocka_unit_test(the_json_report_has_everything),
      cmocka_unit_test(the_junit_report_is_xml),
      cmocka_unit_test(the_page_can_be_published),
  };
  return cmocka_run_group_tests_name("runner", tests, support_enter, support_leave);
}
