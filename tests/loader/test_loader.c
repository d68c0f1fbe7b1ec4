/* test_loader.c -- deliberately bad plugins: each gives its status and its words, and the good one
 * beside it stays usable. fakes.c is built once per row. */
#include <forge/forge.h>

#include "support.h"

typedef struct row {
  const char *fake;     /* library FORGE_TEST_FAKES/fake-<fake>.so, and the backend's name */
  const char *manifest; /* more lines of [backend] */
  forge_status want;
  const char *says;
} row;

#define TRIAL  "probe = subprocess\nprobe_timeout = 1\n"
#define DIRECT "probe = inprocess\n"

static const row rows[] = {
    {"no-symbol", DIRECT, FORGE_E_ABI, "exports no forge_backend_entry_v1"},
    {"no-symbol", TRIAL, FORGE_E_ABI, "exports no forge_backend_entry_v1"},
    {"wrong-major", DIRECT, FORGE_E_ABI, "exports no forge_backend_entry_v1"},
    {"short-table", DIRECT, FORGE_E_ABI, "its table has 12 slots; ABI 1.0 has 20"},
    {"no-table", DIRECT, FORGE_E_ABI, "its entry succeeded but gave no table"},
    {"layout", DIRECT, FORGE_E_ABI, "its structs are laid out otherwise"},
    {"minor", DIRECT, FORGE_E_ABI, "it speaks ABI 1.7 to 1.7, this core 1.0 to 1.1"},
    {"other-name", DIRECT, FORGE_E_MISMATCH,
     "it calls itself 'somebody-else', its manifest 'other-name'"},
    {"sanitizer", DIRECT, FORGE_E_ABI, "build both alike"},
    {"entry-fails", DIRECT, FORGE_E_FAULT, "its entry failed: the firmware is not loaded"},
    {"entry-fails", TRIAL, FORGE_E_FAULT, "its entry failed: the firmware is not loaded"},
    {"probe-fails", DIRECT, FORGE_E_FAULT, "the driver is older than 12.0; install a newer one"},
    {"probe-fails", TRIAL, FORGE_E_FAULT, "the driver is older than 12.0; install a newer one"},
    {"no-device", DIRECT, FORGE_E_NOT_FOUND, "no-device has no device: no such card"},
    {"abort-in-entry", TRIAL, FORGE_E_FAULT, "crashed in a trial process with signal 6"},
    {"crash-in-probe", TRIAL, FORGE_E_FAULT, "crashed in a trial process with signal 11"},
    {"hang-in-probe", TRIAL, FORGE_E_TIMEOUT, "did not answer within 1s in a trial process"},
    {"static-tls", DIRECT, FORGE_E_ABI, "static TLS block"},
    {"static-tls", TRIAL, FORGE_E_ABI, "static TLS block"},
    {"missing", DIRECT, FORGE_E_NOT_FOUND, "fake-missing.so"},
    {"plain", DIRECT "sha256 = 0000000000000000000000000000000000000000000000000000000000000000\n",
     FORGE_E_CORRUPT, "the manifest says 0000"},
    {"plain", DIRECT "abi_minor_min = 3\n", FORGE_E_ABI, "needs ABI 1.3; this core speaks 1.1"},
    {"plain", DIRECT "libary = x\n", FORGE_E_CONFIG, "no key 'libary'; did you mean 'library'?"},
    {"not-elf", DIRECT, FORGE_E_ABI, "cannot be loaded: "},
    {"not-elf", TRIAL, FORGE_E_ABI, "cannot be loaded: "},
    {"many-devices", DIRECT, FORGE_E_INTERNAL, "it speaks of 4294967295 devices"},
    {"no-handles", DIRECT, FORGE_E_INTERNAL, "dev_open: the backend says it succeeded and gave"},
    {"latin-name", DIRECT, FORGE_OK, NULL},
    {"next-min-0", DIRECT, FORGE_OK, NULL},
    {"next-min-1", DIRECT, FORGE_OK, NULL},
    {"next-min-1", TRIAL, FORGE_OK, NULL},
    {"next-min-2", DIRECT, FORGE_E_ABI, "it speaks ABI 1.2 to 1.2, this core 1.0 to 1.1"},
    {"minor-0", DIRECT, FORGE_OK, NULL},
    {"minor-0", TRIAL, FORGE_OK, NULL},
    {"minor-0-layout", DIRECT, FORGE_E_ABI,
     "(layout id 0109be497b965b41, ABI 1.0 has 0109be497b965b40)"},
    {"null-required", DIRECT, FORGE_OK, NULL},
    {"null-optional", DIRECT, FORGE_OK, NULL},
    {"plain", DIRECT, FORGE_OK, NULL},
    {"plain", TRIAL, FORGE_OK, NULL},
};

static void write_manifest(const char *name, const char *library, const char *more) {
  support_write("a.ini", "[backend]\nname = %s\nabi_major = 1\nlibrary = %s\n%s", name, library,
                more);
}

static forge_runtime *make_runtime(const char *extra) {
  char path[512];
  forge_runtime *runtime = NULL;
  snprintf(path, sizeof path, "backend_path=%s", support_dir);
  const char *overrides[] = {path, "log_level=error", extra, NULL};
  const forge_runtime_options options = {.size = sizeof options, .overrides = overrides};
  assert_ok(forge_runtime_create(&options, &runtime));
  return runtime;
}

/* The good plugin, named z.ini so that it comes after every bad one. */
static void expect_good_neighbour(forge_runtime *runtime) {
  forge_device *device;
  forge_buffer *buffer;
  char bytes[16] = "sixteen bytes!!", back[16] = "";
  assert_ok(forge_device_open(runtime, "null:1", &device));
  assert_ok(forge_buffer_create(device, sizeof bytes, NULL, &buffer));
  assert_ok(forge_buffer_write(buffer, 0, bytes, sizeof bytes));
  assert_ok(forge_buffer_read(buffer, 0, back, sizeof back));
  assert_memory_equal(bytes, back, sizeof bytes);
  forge_buffer_destroy(buffer);
  forge_device_close(device);
}

static void expect_row(const row *r) {
  char library[512], device_name[64];
  forge_device *device = NULL;
  snprintf(library, sizeof library, "%s/fake-%s.so", FORGE_TEST_FAKES, r->fake);
  snprintf(device_name, sizeof device_name, "%s:0", r->fake);
  write_manifest(r->fake, library, r->manifest);
  forge_runtime *runtime = make_runtime(NULL);
  const forge_status st = forge_device_open(runtime, device_name, &device);
  if (st != r->want)
    fail_msg("%s: %s, not %s: %s", r->fake, forge_status_name(st), forge_status_name(r->want),
             forge_error_last()->msg);
  if (st) assert_says(r->says);
  forge_device_close(device);
  expect_good_neighbour(runtime);
  forge_runtime_destroy(runtime);
}

static void each_bad_plugin_gets_its_verdict_and_spares_its_neighbour(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) expect_row(&rows[i]);
}

/* The device of a fake that loads. */
static forge_device *open_fake(const char *fake, forge_runtime **runtime) {
  char library[512], name[64];
  forge_device *device;
  snprintf(library, sizeof library, "%s/fake-%s.so", FORGE_TEST_FAKES, fake);
  snprintf(name, sizeof name, "%s:0", fake);
  write_manifest(fake, library, DIRECT);
  *runtime = make_runtime(NULL);
  assert_ok(forge_device_open(*runtime, name, &device));
  return device;
}

static void a_required_slot_left_null_answers_unsupported(void **state) {
  (void)state;
  forge_runtime *runtime;
  forge_buffer *buffer;
  char *json;
  forge_device *device = open_fake("null-required", &runtime);
  assert_ok(forge_buffer_create(device, 64, NULL, &buffer));
  assert_int_equal(forge_buffer_fill(buffer, 0, 1, 64), FORGE_E_UNSUPPORTED);
  assert_says("null-required:0: copy: not offered by this backend");
  forge_buffer_destroy(buffer);
  forge_device_close(device);
  assert_ok(forge_runtime_report(runtime, FORGE_REPORT_DOCTOR, &json));
  assert_non_null(strstr(json, "lacks required slots, which answer E_UNSUPPORTED: copy"));
  forge_text_free(json);
  forge_runtime_destroy(runtime);
}

static void an_optional_slot_left_null_is_not_missed(void **state) {
  (void)state;
  forge_runtime *runtime;
  forge_device_info info = {.size = sizeof info};
  forge_device *device = open_fake("null-optional", &runtime);
  assert_ok(forge_device_describe(device, &info));
  assert_string_equal(info.name, "null-optional:0");
  assert_int_equal(info.threads, 0);
  forge_device_close(device);
  forge_runtime_destroy(runtime);
}

static void expect_spoken(const char *fake, const char *abi) {
  forge_runtime *runtime;
  char *json = NULL;
  forge_device_close(open_fake(fake, &runtime));
  assert_ok(forge_runtime_report(runtime, FORGE_REPORT_DOCTOR, &json));
  if (!strstr(json, abi)) fail_msg("%s does not speak %s: %s", fake, abi, json);
  forge_text_free(json);
  forge_runtime_destroy(runtime);
}

static void each_side_speaks_the_newest_minor_both_know(void **state) {
  (void)state;
  expect_spoken("minor-0", "\"abi\": \"1.0\"");
  expect_spoken("next-min-0", "\"abi\": \"1.1\"");
}

static void names_that_are_no_utf8_do_not_spoil_the_reports(void **state) {
  (void)state;
  forge_runtime *runtime;
  char *json = NULL;
  forge_device_close(open_fake("latin-name", &runtime));
  assert_ok(forge_runtime_report(runtime, FORGE_REPORT_DEVICES, &json));
  assert_non_null(strstr(json, "\"Chip? 3\""));
  forge_text_free(json);
  assert_ok(forge_runtime_report(runtime, FORGE_REPORT_DOCTOR, &json));
  forge_text_free(json);
  forge_runtime_destroy(runtime);
}

static void a_bad_manifest_is_told_with_line_and_nearest_name(void **state) {
  (void)state;
  char *json;
  write_manifest("typo", "x.so", "libary = x\n");
  forge_runtime *runtime = make_runtime(NULL);
  assert_ok(forge_runtime_report(runtime, FORGE_REPORT_DOCTOR, &json));
  assert_non_null(strstr(json, "a.ini:5: [backend] has no key 'libary'; did you mean 'library'?"));
  assert_non_null(strstr(json, "\"verdict\": \"refused\""));
  forge_text_free(json);
  expect_good_neighbour(runtime);
  forge_runtime_destroy(runtime);
}

static void a_manifest_for_another_major_is_refused_without_loading(void **state) {
  (void)state;
  forge_device *device;
  support_write("a.ini", "[backend]\nname = next\nabi_major = 2\nlibrary = /nowhere.so\n");
  forge_runtime *runtime = make_runtime(NULL);
  assert_int_equal(forge_device_open(runtime, "next:0", &device), FORGE_E_ABI);
  assert_says("a.ini: made for ABI major 2; this core speaks 1");
  expect_good_neighbour(runtime);
  forge_runtime_destroy(runtime);
}

static void of_two_manifests_with_one_name_the_first_wins(void **state) {
  (void)state;
  char *json;
  write_manifest("null", FORGE_TEST_FAKES "/fake-no-symbol.so", DIRECT);
  forge_runtime *runtime = make_runtime(NULL);
  forge_device *device;
  assert_int_equal(forge_device_open(runtime, "null:0", &device), FORGE_E_ABI);
  assert_ok(forge_runtime_report(runtime, FORGE_REPORT_DOCTOR, &json));
  assert_non_null(strstr(json, "\"verdict\": \"shadowed\""));
  assert_non_null(strstr(json, "/a.ini has the name"));
  forge_text_free(json);
  forge_runtime_destroy(runtime);
}

static void the_first_variant_the_machine_fits_is_taken(void **state) {
  (void)state;
  forge_device *device;
  forge_device_info info = {.size = sizeof info};
  const char *good = FORGE_TEST_FAKES "/fake-plain.so";
  support_write("a.ini",
                "[backend]\nname = plain\nabi_major = 1\n" DIRECT
                "[variant dream]\nlibrary = %s\nisa = quantum warp9\n"
                "[variant broken]\nlibrary = %s/fake-no-symbol.so\n"
                "[variant real]\nlibrary = %s\nisa =\n[variant other]\nlibrary = %s\n",
                good, FORGE_TEST_FAKES, good, good);
  forge_runtime *runtime = make_runtime(NULL);
  assert_ok(forge_device_open(runtime, "plain", &device));
  assert_ok(forge_device_describe(device, &info));
  assert_string_equal(info.name, "plain/real:0");
  forge_device_close(device);
  assert_int_equal(forge_device_open(runtime, "plain/dream:0", &device), FORGE_E_UNSUPPORTED);
  assert_says("this machine lacks quantum warp9");
  assert_int_equal(forge_device_open(runtime, "plain/broken", &device), FORGE_E_ABI);
  assert_int_equal(forge_device_open(runtime, "plain/none", &device), FORGE_E_NOT_FOUND);
  assert_says("it has dream, broken, real, other");
  forge_runtime_destroy(runtime);
}

static void relative_folders_are_refused(void **state) {
  (void)state;
  forge_runtime *runtime;
  assert_int_equal(setenv("FORGE_BACKEND_PATH", "plugins:/x", 1), 0);
  assert_int_equal(forge_runtime_create(NULL, &runtime), FORGE_E_CONFIG);
  assert_says("FORGE_BACKEND_PATH: 'plugins' is relative");
  unsetenv("FORGE_BACKEND_PATH");
}

static void two_runtimes_share_a_library(void **state) {
  (void)state;
  write_manifest("plain", FORGE_TEST_FAKES "/fake-plain.so", DIRECT);
  forge_runtime *one = make_runtime(NULL), *two = make_runtime(NULL);
  expect_good_neighbour(one);
  expect_good_neighbour(two);
  forge_runtime_destroy(one);
  expect_good_neighbour(two);
  forge_runtime_destroy(two);
}

static void a_library_in_use_is_held_to_the_next_manifests_hash_too(void **state) {
  (void)state;
  forge_runtime *one, *two;
  forge_device *device = open_fake("plain", &one), *other;
  write_manifest("plain", FORGE_TEST_FAKES "/fake-plain.so",
                 DIRECT "sha256 = "
                        "0000000000000000000000000000000000000000000000000000000000000000\n");
  two = make_runtime(NULL);
  assert_int_equal(forge_device_open(two, "plain:0", &other), FORGE_E_CORRUPT);
  forge_runtime_destroy(two);
  forge_device_close(device);
  forge_runtime_destroy(one);
}

static int write_good(void **state) {
  (void)state;
  support_write("z.ini",
                "[backend]\nname = null\nabi_major = 1\npriority = -100\nlibrary = %s\n" DIRECT,
                FORGE_TEST_NULL);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(each_bad_plugin_gets_its_verdict_and_spares_its_neighbour, write_good),
      cmocka_unit_test_setup(a_required_slot_left_null_answers_unsupported, write_good),
      cmocka_unit_test_setup(an_optional_slot_left_null_is_not_missed, write_good),
      cmocka_unit_test_setup(each_side_speaks_the_newest_minor_both_know, write_good),
      cmocka_unit_test_setup(names_that_are_no_utf8_do_not_spoil_the_reports, write_good),
      cmocka_unit_test_setup(a_bad_manifest_is_told_with_line_and_nearest_name, write_good),
      cmocka_unit_test_setup(a_manifest_for_another_major_is_refused_without_loading, write_good),
      cmocka_unit_test_setup(of_two_manifests_with_one_name_the_first_wins, write_good),
      cmocka_unit_test_setup(the_first_variant_the_machine_fits_is_taken, write_good),
      cmocka_unit_test_setup(relative_folders_are_refused, write_good),
      cmocka_unit_test_setup(two_runtimes_share_a_library, write_good),
      cmocka_unit_test_setup(a_library_in_use_is_held_to_the_next_manifests_hash_too, write_good),
  };
  return cmocka_run_group_tests(tests, support_enter, support_leave);
}
