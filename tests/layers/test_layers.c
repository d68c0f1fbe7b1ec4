/* test_layers.c -- layers as the operator has them: switched on by name, refused with a reason, and
 * not there at all when off. */
#include <jansson.h>
#include <stdbool.h>

#include "device.h"
#include "loader.h"
#include "support.h"

static char path_setting[512];

static forge_status try_runtime(const char *const *settings, forge_runtime **out) {
  const char *overrides[12] = {path_setting};
  size_t n = 1;
  for (; settings && *settings; settings++) overrides[n++] = *settings;
  const forge_runtime_options options = {.size = sizeof options, .overrides = overrides};
  return forge_runtime_create(&options, out);
}

static forge_runtime *make_runtime(const char *const *settings) {
  forge_runtime *runtime = NULL;
  assert_ok(try_runtime(settings, &runtime));
  return runtime;
}

static bool is_mapped(const char *what) {
  char line[1024];
  bool found = false;
  FILE *f = fopen("/proc/self/maps", "r");
  while (fgets(line, sizeof line, f)) found |= strstr(line, what) != NULL;
  fclose(f);
  return found;
}

static int setup(void **state) {
  if (support_enter(state)) return -1;
  snprintf(path_setting, sizeof path_setting, "backend_path=%s/lib/forge/backends.d,%s",
           FORGE_TEST_BUILD_DIR, support_dir);
  return 0;
}

/* ---- tests; the first must come first ---- */

static void a_layer_that_is_off_is_not_loaded(void **state) {
  (void)state;
  forge_runtime *runtime = make_runtime(NULL);
  forge_device *device;
  char *json;
  assert_ok(forge_device_open(runtime, "null:0", &device));
  assert_ok(forge_runtime_report(runtime, FORGE_REPORT_DOCTOR, &json));
  assert_false(is_mapped("forge-layer"));
  const forge_backend_v1 *table = device_table(device);
  forge_device_close(device);
  assert_non_null(strstr(json, "\"validate\""));
  assert_non_null(strstr(json, "\"off\""));
  forge_text_free(json);
  forge_runtime_destroy(runtime);
  assert_non_null(table);
}

static void one_that_is_on_stands_in_every_call(void **state) {
  (void)state;
  forge_runtime *runtime = make_runtime((const char *[]){"layers=validate", NULL});
  forge_device *device;
  forge_buffer *a;
  assert_ok(forge_device_open(runtime, "null:0", &device));
  assert_true(is_mapped("forge-layer-validate"));
  assert_false(is_mapped("forge-layer-trace"));
  assert_ok(forge_buffer_create(device, 1000, "test", &a));
  assert_ok(forge_buffer_fill(a, 0, 3, 1000));
  forge_prog *nothing = NULL;
  forge_moment done;
  assert_int_equal(device_submit(device, nothing, NULL, 0, NULL, 0, &done), FORGE_E_INVALID);
  assert_says("null:0: submit: validate: submit (call ");
  assert_says("program is NULL; give a program of this device");
  forge_buffer_destroy(a);
  forge_device_close(device);
  forge_runtime_destroy(runtime);
}

static double fill_time(const char *layers, const char *file) {
  char setting[300], trace[300];
  snprintf(setting, sizeof setting, "layers=%s", layers);
  snprintf(trace, sizeof trace, "layer.trace.file=%s/%s", support_dir, file);
  forge_runtime *runtime =
      make_runtime((const char *[]){setting, trace, "layer.fault.rules=copy:1:delay=300ms", NULL});
  forge_device *device;
  forge_buffer *a;
  assert_ok(forge_device_open(runtime, "null:0", &device));
  assert_ok(forge_buffer_create(device, 1000, "test", &a));
  assert_ok(forge_buffer_fill(a, 0, 3, 1000));
  forge_buffer_destroy(a);
  forge_device_close(device);
  forge_runtime_destroy(runtime);
  snprintf(trace, sizeof trace, "%s/%s", support_dir, file);
  json_t *root = json_load_file(trace, 0, NULL), *e;
  size_t i;
  double us = -1;
  assert_non_null(root);
  json_array_foreach(root, i, e) {
    const char *name = json_string_value(json_object_get(e, "name"));
    if (!strcmp(name, "fill")) us = json_number_value(json_object_get(e, "dur"));
  }
  json_decref(root);
  return us;
}

static void the_first_named_is_the_outermost(void **state) {
  (void)state;
  const double outside = fill_time("trace,fault", "a.json");
  const double inside = fill_time("fault,trace", "b.json");
  assert_true(outside >= 300000);
  assert_true(inside >= 0 && inside < 300000);
}

static void mapped_weights_stay_mapped_under_layers(void **state) {
  (void)state;
  char trace[300];
  snprintf(trace, sizeof trace, "layer.trace.file=%s/c.json", support_dir);
  forge_runtime *runtime =
      make_runtime((const char *[]){"layers=validate,trace,fault", trace, NULL});
  forge_device *device;
  forge_buffer *b;
  static const uint8_t weights[10000];
  assert_ok(forge_device_open(runtime, "cpu/portable:0", &device));
  assert_ok(forge_buffer_import(device, weights + 4, 9000, "weights", &b));
  assert_false(forge_buffer_is_copy(b));
  uint8_t back[9000];
  assert_ok(forge_buffer_read(b, 0, back, sizeof back));
  assert_memory_equal(back, weights + 4, sizeof back);
  forge_buffer_destroy(b);
  forge_device_close(device);
  forge_runtime_destroy(runtime);
}

static void a_lost_device_says_so_and_is_closed(void **state) {
  (void)state;
  forge_runtime *runtime = make_runtime(
      (const char *[]){"layers=validate,fault", "layer.fault.rules=copy:2:lost", NULL});
  forge_device *device;
  forge_buffer *a;
  assert_ok(forge_device_open(runtime, "cpu/portable:0", &device));
  assert_ok(forge_buffer_create(device, 1000, "test", &a));
  assert_ok(forge_buffer_fill(a, 0, 3, 1000));
  assert_int_equal(forge_buffer_fill(a, 0, 4, 1000), FORGE_E_DEVICE_LOST);
  assert_says("the device is gone");
  assert_int_equal(forge_buffer_fill(a, 0, 4, 1000), FORGE_E_DEVICE_LOST);
  forge_buffer_destroy(a);
  forge_device_close(device);
  forge_runtime_destroy(runtime);
}

static void names_and_options_are_checked_with_the_nearest_word(void **state) {
  static const struct {
    const char *settings[4], *says;
  } cases[] = {
      {{"layers=validat"}, "there is no layer 'validat'; did you mean 'validate'?"},
      {{"layers=zzzzzzz"}, "there is no layer 'zzzzzzz'; there is "},
      {{"layers=trace,trace"}, "'trace' is there twice"},
      {{"layer.trace.fil=x"}, "layer trace has no option 'fil'; did you mean 'file'?"},
      {{"layer.trace.from=0"}, "layer.trace.from = '0' must be from 1"},
      {{"layer.trace.per_op=perhaps"}, "must be a bool"},
      {{"layers=validate", "layer.validate.action=ignore"}, NULL},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    forge_runtime *runtime = NULL;
    const forge_status st = try_runtime(cases[i].settings, &runtime);
    if (cases[i].says) {
      assert_int_equal(st, FORGE_E_CONFIG);
      assert_says(cases[i].says);
      continue;
    }
    forge_device *device;
    assert_ok(st);
    assert_int_equal(forge_device_open(runtime, "null:0", &device), FORGE_E_CONFIG);
    assert_says("layer validate: null:0: action = 'ignore' must be refuse or log");
    forge_runtime_destroy(runtime);
  }
}

static void settings_of_a_layer_come_from_file_and_environment(void **state) {
  (void)state;
  char *json;
  char conf[512];
  snprintf(conf, sizeof conf, "%s",
           support_write("f.conf",
                         "layers = [\"validate\", \"fault\"];\nlayer: { fault: { seed = 9; "
                         "}; trace: { per_op = true; }; };\n"));
  setenv("FORGE_LAYER_FAULT_RULES", "submit:9999:lost", 1);
  const char *overrides[] = {path_setting, NULL};
  const forge_runtime_options options = {
      .size = sizeof options, .config_path = conf, .overrides = overrides};
  forge_runtime *runtime = NULL;
  assert_ok(forge_runtime_create(&options, &runtime));
  unsetenv("FORGE_LAYER_FAULT_RULES");
  assert_ok(forge_runtime_report(runtime, FORGE_REPORT_CONFIG, &json));
  assert_non_null(strstr(json, "environment FORGE_LAYER_FAULT_RULES"));
  assert_non_null(strstr(json, "\"layer.fault.seed\""));
  assert_non_null(strstr(json, "f.conf:2"));
  forge_text_free(json);
  assert_ok(forge_runtime_report(runtime, FORGE_REPORT_DOCTOR, &json));
  json_t *root = json_loads(json, 0, NULL), *l;
  size_t i;
  json_array_foreach(json_object_get(root, "layers"), i, l) {
    const char *name = json_string_value(json_object_get(l, "name"));
    const int place = (int)json_integer_value(json_object_get(l, "place"));
    assert_int_equal(place, !strcmp(name, "validate") ? 1 : !strcmp(name, "fault") ? 2 : 0);
    assert_string_equal(json_string_value(json_object_get(l, "verdict")), place ? "on" : "off");
  }
  assert_int_equal(i, 3);
  json_decref(root);
  forge_text_free(json);
  forge_runtime_destroy(runtime);
}

/* A layer that is on and cannot work is an error, never silently left out. */
static void a_layer_that_cannot_be_used_is_an_error(void **state) {
  (void)state;
  forge_runtime *runtime = NULL;
  forge_device *device;
  char *json;
  support_write("gone.ini", "[layer]\nname = gone\nabi_major = 1\nlibrary = ./gone.so\n");
  support_write("wrong.ini", "[layer]\nname = wrong\nabi_major = 1\nlibrary = %s\n",
                LAYERS_BAD_PLUGIN);
  support_write("future.ini", "[layer]\nname = future\nabi_major = 7\nlibrary = x.so\n");
  runtime = make_runtime((const char *[]){"layers=gone", NULL});
  assert_int_equal(forge_device_open(runtime, "null:0", &device), FORGE_E_NOT_FOUND);
  assert_says("layer gone cannot be loaded; repair it or take it out");
  assert_ok(forge_runtime_report(runtime, FORGE_REPORT_DOCTOR, &json));
  assert_non_null(strstr(json, "\"refused\""));
  forge_text_free(json);
  forge_runtime_destroy(runtime);
  runtime = make_runtime((const char *[]){"layers=validate,wrong", NULL});
  assert_int_equal(forge_device_open(runtime, "null:0", &device), FORGE_E_ABI);
  assert_says("is the library of a backend; its manifest must say [backend], not [layer]");
  forge_runtime_destroy(runtime);
  assert_int_equal(try_runtime((const char *[]){"layers=future", NULL}, &runtime), FORGE_E_ABI);
  assert_says("made for ABI major 7");
}

/* A manifest of the wrong kind over a library that is in use already. */
static void a_library_is_a_layer_or_a_backend_and_not_both(void **state) {
  (void)state;
  forge_device *device;
  support_write("null.ini", "[layer]\nname = null\nabi_major = 1\nlibrary = %s/%s\n",
                FORGE_TEST_BUILD_DIR, "lib/forge/forge-null.so");
  support_write("trace.ini", "[backend]\nname = trace\nabi_major = 1\nlibrary = %s/%s\n",
                FORGE_TEST_BUILD_DIR, "lib/forge/forge-layer-trace.so");
  char trace[300];
  snprintf(trace, sizeof trace, "layer.trace.file=%s/d.json", support_dir);
  forge_runtime *runtime = make_runtime((const char *[]){"layers=null", trace, NULL});
  assert_int_equal(forge_device_open(runtime, "null:0", &device), FORGE_E_MISMATCH);
  assert_says("forge-null.so: is already the library of the backend 'null'");
  forge_runtime_destroy(runtime);
  runtime = make_runtime((const char *[]){"layers=trace", trace, NULL});
  assert_ok(forge_device_open(runtime, "null:0", &device));
  forge_device *none;
  assert_int_equal(forge_device_open(runtime, "trace:0", &none), FORGE_E_MISMATCH);
  assert_says("forge-layer-trace.so: is already the library of the layer 'trace'");
  forge_device_close(device);
  forge_runtime_destroy(runtime);
}

static void manifests_of_layers_are_checked(void **state) {
  static const struct {
    const char *text, *says;
  } cases[] = {
      {"[layer]\nname = a\nabi_major = 1\n", "[layer] has no library"},
      {"[layer]\nname = a\nlibrary = x\n", "[layer] has no abi_major"},
      {"[layer]\nname = a\npriority = 3\n", "[layer] has no key 'priority'"},
      {"[layer]\nname = a\nabi_major = 1\nlibrary = x\n[variant b]\nlibrary = y\n", "no variants"},
      {"[layer]\nname = a\nabi_major = 1\nlibrary = x\n[backend]\nprobe = inprocess\n",
       "[backend] and [layer] in one manifest"},
      {"[layers]\nname = a\n", "did you mean [layer]"},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    manifest m;
    assert_int_equal(manifest_parse("t.ini", cases[i].text, strlen(cases[i].text), &m),
                     FORGE_E_CONFIG);
    assert_says(cases[i].says);
    manifest_finish(&m);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_layer_that_is_off_is_not_loaded),
      cmocka_unit_test(one_that_is_on_stands_in_every_call),
      cmocka_unit_test(the_first_named_is_the_outermost),
      cmocka_unit_test(mapped_weights_stay_mapped_under_layers),
      cmocka_unit_test(a_lost_device_says_so_and_is_closed),
      cmocka_unit_test(names_and_options_are_checked_with_the_nearest_word),
      cmocka_unit_test(settings_of_a_layer_come_from_file_and_environment),
      cmocka_unit_test(a_layer_that_cannot_be_used_is_an_error),
      cmocka_unit_test(manifests_of_layers_are_checked),
      cmocka_unit_test(a_library_is_a_layer_or_a_backend_and_not_both),
  };
  return cmocka_run_group_tests(tests, setup, support_leave);
}
