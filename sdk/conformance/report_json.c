/* report_json.c -- everything, for programs. */
#include <jansson.h>
#include <string.h>

#include <forge/ops.h>

#include "report.h"
#include "report_file.h"
#include "rules.h"

/* A plugin's output need not be UTF-8. */
static json_t *text(const char *s) {
  json_t *j = json_string(s ? s : "");
  if (j) return j;
  char safe[1024];
  size_t n = 0;
  for (; n < sizeof safe - 1 && s[n]; n++) safe[n] = s[n] & 0x80 ? '?' : s[n];
  safe[n] = 0;
  return json_string(safe);
}

static json_t *rules_of_test(const test_case *t) {
  json_t *list = json_array();
  for (int i = 0; i < TEST_MOST_RULES && t->rules[i]; i++)
    json_array_append_new(list, json_string(rules_text(t->rules[i])->id));
  return list;
}

static json_t *figures(const result *r) {
  json_t *list = json_array();
  for (size_t i = 0; i < r->n_figures; i++)
    json_array_append_new(list, json_pack("{s:o,s:f,s:o}", "name", text(r->figure[i].name), "value",
                                          r->figure[i].value, "unit", text(r->figure[i].unit)));
  return list;
}

static json_t *tests(const results *all) {
  json_t *list = json_array();
  for (size_t i = 0; i < all->n; i++) {
    const result *r = &all->result[i];
    if (!r->done) continue;
    json_array_append_new(
        list, json_pack("{s:o,s:o,s:s,s:o,s:f,s:o,s:o,s:o}", "id", text(r->test->id), "rules",
                        rules_of_test(r->test), "verdict", verdict_word(r->verdict), "reason",
                        text(r->reason), "seconds", r->seconds, "notes", text(r->notes), "output",
                        text(r->output), "figures", figures(r)));
  }
  return list;
}

static json_t *plugin(const facts *f) {
  return json_pack("{s:o,s:o,s:o,s:i,s:i,s:o,s:i,s:i,s:o,s:I,s:o}", "name", text(f->name), "vendor",
                   text(f->vendor), "version", text(f->version), "minor_min", (int)f->minor_min,
                   "minor_max", (int)f->minor_max, "driver", text(f->driver), "devices",
                   (int)f->n_devices, "device_ordinal", (int)test_set.device, "device",
                   text(f->device), "mem_total", (json_int_t)f->mem_total, "library",
                   text(test_set.library));
}

static json_t *summary(const results *all) {
  json_t *s = json_object();
  const level l = results_level(all);
  char words[160];
  for (int v = 0; v < VERDICT_COUNT; v++)
    json_object_set_new(s, verdict_word((verdict)v),
                        json_integer((json_int_t)results_count(all, (verdict)v)));
  results_level_text(&l, words, sizeof words);
  json_object_set_new(s, "ok", json_boolean(!results_bad(all)));
  json_object_set_new(s, "seconds", json_real(all->seconds));
  json_object_set_new(s, "level", text(words));
  json_object_set_new(s, "primitives", json_integer(l.primitives));
  json_object_set_new(s, "composites", json_integer(l.composites));
  json_object_set_new(s, "primitives_complete", json_boolean(l.asked && l.complete));
  return s;
}

/* op -> type -> worst verdict */
static json_t *support(const results *all) {
  static const char *const ops[] = {
#define X(name, number, cls, inputs, outputs, words) #name,
      FORGE_OP_MAP(X)
#undef X
  };
  static const char *const types[] = {
#define X(name, number, elems, bytes, words) #name,
      FORGE_DTYPE_MAP(X)
#undef X
  };
  json_t *table = json_object();
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
    json_t *row = json_object();
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
      const verdict v = results_cell(all, ops[i], types[k]);
      if (v != VERDICT_COUNT) json_object_set_new(row, types[k], json_string(verdict_word(v)));
    }
    json_object_set_new(table, ops[i], row);
  }
  return table;
}

bool report_json(const results *all, const char *path) {
  report_file r = {0};
  if (!report_begin(&r, path)) return false;
  char abi[32];
  snprintf(abi, sizeof abi, "%u.%u", FORGE_ABI_MAJOR, FORGE_ABI_MINOR);
  json_t *root = json_pack("{s:s,s:s,s:o,s:o,s:o,s:o}", "suite", FORGE_VERSION, "abi", abi,
                           "plugin", plugin(&all->facts), "summary", summary(all), "support",
                           support(all), "tests", tests(all));
  const bool well = root && !json_dumpf(root, r.f, JSON_INDENT(1));
  fputc('\n', r.f);
  json_decref(root);
  if (!well) fprintf(stderr, "forge-conformance: %s: the results do not fit into JSON\n", path);
  return report_end(&r) && well;
}
