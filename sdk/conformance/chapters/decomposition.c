/* decomposition.c -- each composite the device has, against the core's expansion of it into
 * primitives on the same device. Through libforge.so: the plugin is opened as a program would. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <forge/program.h>

#include "cases.h"

#define MUST(call)                                                                                 \
  do {                                                                                             \
    if (call) test_fail("%s: %s", #call, forge_error_last()->msg);                                 \
  } while (0)

/* ---- the core, with this plugin alone ---- */

typedef struct core {
  char folder[128];
  forge_runtime *runtime;
  forge_device *device;
} core;

static FILE *create(const core *k, const char *leaf) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", k->folder, leaf);
  FILE *f = fopen(path, "w");
  if (!f) test_skip("no file can be written in %s", k->folder);
  return f;
}

static void erase(const core *k) {
  static const char *const leaves[] = {"plugin.ini", "forge.conf"};
  char path[256];
  for (int i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "%s/%s", k->folder, leaves[i]);
    unlink(path);
  }
  rmdir(k->folder);
}

/* A manifest that names the library and takes the options of the command line as they are. */
static void write_manifest(const core *k) {
  FILE *f = create(k, "plugin.ini");
  fprintf(f,
          "[backend]\nname = %s\nabi_major = %u\nabi_minor_min = 0\nabi_minor_max = %u\nprobe = "
          "inprocess\n",
          test_set.plugin, FORGE_ABI_MAJOR, FORGE_ABI_MINOR);
  fprintf(f, "library = ../../../../../../../..%s\n",
          test_set.library); /* relative to the folder */
  for (const char *const *o = test_set.options; o && o[0] && o[1]; o += 2)
    fprintf(f, "[option %s]\ntype = string\n", o[0]);
  fclose(f);
  fclose(create(k, "forge.conf"));
}

static core core_open(void) {
  core k = {{0}, NULL, NULL};
  const char *tmp = getenv("TMPDIR");
  char path[sizeof k.folder + 32], setting[33][256], name[160];
  const char *overrides[34] = {NULL};
  uint32_t n = 0;
  if (!test_set.plugin || !test_set.plugin[0]) test_skip("the plugin has no name");
  snprintf(k.folder, sizeof k.folder, "%.90s/forge-XXXXXX", tmp && tmp[0] == '/' ? tmp : "/tmp");
  if (!mkdtemp(k.folder)) test_skip("no folder can be made beside %s", k.folder);
  write_manifest(&k);
  snprintf(setting[n], sizeof setting[n], "backend_path=%s", k.folder);
  for (const char *const *o = test_set.options; o && o[0] && o[1] && n < 31; o += 2)
    snprintf(setting[++n], sizeof setting[n], "backend.%s.%s=%s", test_set.plugin, o[0], o[1]);
  for (uint32_t i = 0; i <= n; i++) overrides[i] = setting[i];
  snprintf(path, sizeof path, "%s/forge.conf", k.folder);
  snprintf(name, sizeof name, "%s:%u", test_set.plugin, test_set.device);
  const forge_runtime_options options = {
      .size = sizeof options, .config_path = path, .overrides = overrides};
  const forge_status made = forge_runtime_create(&options, &k.runtime);
  const forge_status opened = made ? made : forge_device_open(k.runtime, name, &k.device);
  erase(&k);
  if (opened) test_fail("the core does not open %s: %s", name, forge_error_last()->msg);
  return k;
}

static void core_close(core *k) {
  forge_device_close(k->device);
  forge_runtime_destroy(k->runtime);
}

/* ---- a call as a program ---- */

static const char *input_name(uint32_t k) {
  static const char *const names[] = {"x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7"};
  return names[k];
}
static const char *output_name(uint32_t k) {
  static const char *const names[] = {"y0", "y1", "y2"};
  return names[k];
}

static bool in_place(const op_call *c, uint32_t k) {
  return k < c->n_in && c->out[k] && c->in[k] == c->out[k];
}

static forge_builder *build(const op_call *c) {
  forge_builder *b;
  forge_tid in[CASE_MOST_IN], out[CASE_MOST_OUT] = {0};
  MUST(forge_builder_create(&b));
  for (uint32_t k = 0; k < c->n_in; k++) {
    const rig_tensor *t = c->in[k];
    const uint32_t role = k < c->n_out && in_place(c, k) ? FORGE_ROLE_STATE : FORGE_ROLE_INPUT;
    in[k] = FORGE_TID_NONE;
    if (t)
      MUST(forge_builder_tensor(b, role, input_name(k), t->t.dtype, t->t.rank, t->t.dim, NULL,
                                &in[k]));
  }
  for (uint32_t k = 0; k < c->n_out; k++) out[k] = c->out[k] ? 0 : FORGE_TID_NONE;
  if (c->op == FORGE_OP_GROUPED_MATMUL_DW)
    MUST(forge_builder_op_shaped(b, c->op, &c->attr, c->attr_bytes, in, c->n_in, &c->out[0]->t,
                                 out));
  else
    MUST(forge_builder_op(b, c->op, c->attr_bytes ? &c->attr : NULL, c->attr_bytes, in, c->n_in,
                          out, c->n_out));
  for (uint32_t k = 0; k < c->n_out; k++)
    if (c->out[k] && !in_place(c, k)) MUST(forge_builder_output(b, out[k], output_name(k)));
  return b;
}

static forge_buffer *bind(core *k, forge_program *p, const char *name, const rig_tensor *t) {
  forge_buffer *buffer;
  MUST(forge_buffer_create(k->device, t->bytes ? t->bytes : 1, "conformance", &buffer));
  MUST(forge_buffer_write(buffer, 0, t->data, t->bytes));
  MUST(forge_program_bind(p, name, buffer, 0));
  return buffer;
}

/* Runs the call and leaves its outputs in their tensors. False if the core finds no way. */
static bool run_call(core *k, op_call *c, uint32_t flags) {
  const forge_program_options options = {
      .size = sizeof options, .flags = flags, .fallback = FORGE_FALLBACK_ERROR};
  forge_program *p = NULL;
  forge_buffer *in[CASE_MOST_IN] = {NULL}, *out[CASE_MOST_OUT] = {NULL};
  forge_builder *b = build(c);
  const forge_status status = forge_program_create(k->device, b, &options, &p);
  forge_builder_destroy(b);
  if (status == FORGE_E_POLICY) return false;
  if (status)
    test_fail("%s%s: %s", rig_op_name(c->op), flags ? " as primitives" : "",
              forge_error_last()->msg);
  for (uint32_t i = 0; i < c->n_in; i++)
    if (c->in[i]) in[i] = bind(k, p, input_name(i), c->in[i]);
  for (uint32_t i = 0; i < c->n_out; i++)
    if (c->out[i] && !in_place(c, i)) out[i] = bind(k, p, output_name(i), c->out[i]);
  if (forge_program_run(p, NULL, 0))
    test_fail("%s%s: %s", rig_op_name(c->op), flags ? " as primitives" : "",
              forge_error_last()->msg);
  for (uint32_t i = 0; i < c->n_out; i++)
    if (c->out[i])
      MUST(
          forge_buffer_read(in_place(c, i) ? in[i] : out[i], 0, c->out[i]->data, c->out[i]->bytes));
  forge_program_destroy(p);
  for (uint32_t i = 0; i < c->n_in; i++) forge_buffer_destroy(in[i]);
  for (uint32_t i = 0; i < c->n_out; i++) forge_buffer_destroy(out[i]);
  return true;
}

/* ---- the comparison ---- */

/* Both roundings, and those of the intermediates an expansion writes to memory. */
static void compare(const op_call *native, const op_call *expanded, const expected *e) {
  for (uint32_t k = 0; k < native->n_out; k++) {
    if (!native->out[k]) continue;
    const bool whole = native->out[k]->t.dtype == FORGE_I32;
    for (int64_t i = 0; i < rig_elements(native->out[k]); i++) {
      const double a = rig_get(native->out[k], i), b = rig_get(expanded->out[k], i);
      const double room = whole ? 0.0 : 16.0 * e->limit[k]->v[i] + 1e-5 * (1.0 + fabs(a));
      if (a != b && !(isnan(a) && isnan(b)) && !(fabs(a - b) <= room))
        test_fail(
            "%s, %s: y%u element %lld is %.9g, and %.9g when the core expands it into primitives",
            rig_op_name(native->op), call_words(native), k, (long long)i, a, b);
    }
  }
}

static bool check_call(core *k, const op_maker *m, uint32_t variant) {
  op_call native = cases_base(m, variant), expanded = cases_base(m, variant);
  bool done = false;
  if (!native.n_scalar) {
    expected e = call_expected(&native);
    test_at("%s", call_words(&native));
    done = run_call(k, &native, 0) && run_call(k, &expanded, FORGE_COMPILE_PRIMITIVES);
    if (done) compare(&native, &expanded, &e);
    expected_free(&e);
  }
  call_free(&native);
  call_free(&expanded);
  return done;
}

static void decomposition(const void *arg) {
  const uint16_t op = *(const uint16_t *)arg;
  uint32_t done = 0;
  core k = core_open();
  for (uint32_t i = 0; cases_maker(i); i++) {
    op_call c = cases_base(cases_maker(i), 0);
    const bool mine = c.op == op;
    call_free(&c);
    for (uint32_t v = 0; mine && v < cases_maker(i)->variants; v++)
      done += check_call(&k, cases_maker(i), v);
  }
  if (!done) test_unsupported("%s", forge_error_last()->msg);
  core_close(&k);
}

void chapter_decomposition(test_list *list) {
  static const uint16_t ops[] = {
#define ROW(name, number, cls, inputs, outputs, text) number,
      FORGE_OP_MAP(ROW)
#undef ROW
  };
  char id[64];
  for (uint32_t k = 0; k < COUNT_OF(ops); k++) {
    if (ops[k] < FORGE_OP_FIRST_COMPOSITE) continue;
    snprintf(id, sizeof id, "decomposition.%s", rig_op_name(ops[k]));
    TEST_OF(list, id, decomposition, &ops[k], FB_S9);
  }
}
