/* report.c -- devices and settings as JSON. */
#include <jansson.h>
#include <string.h>

#include "device_parts.h"
#include "report.h"

forge_status report_take(json_t *root, char **out) {
  *out = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
  json_decref(root);
  return *out ? FORGE_OK : FAIL(FORGE_E_OOM, "no host memory for a report");
}

json_t *report_string(const char *s) {
  if (!s) return json_null();
  json_t *out = json_string(s);
  if (out) return out;
  text plain = {0};
  for (; *s; s++) text_add_bytes(&plain, *s & 0x80 ? "?" : s, 1);
  char *readable = text_take(&plain);
  out = readable ? json_string(readable) : NULL;
  mem_free(readable);
  return out;
}

json_t *report_text(const char *s) { return s && *s ? report_string(s) : json_null(); }

/* ---- devices ---- */

typedef struct listing {
  const forge_runtime *r;
  json_t *devices, *problems;
  char first[64]; /* the default device */
} listing;

static const char *type_name(uint32_t type) {
  switch (type) {
  case FORGE_DEVICE_CPU: return "cpu";
  case FORGE_DEVICE_GPU: return "gpu";
  case FORGE_DEVICE_ACCELERATOR: return "accelerator";
  default: return "unknown";
  }
}

/* The first listed device of another backend that is the same hardware. */
static const char *find_same(const json_t *devices, const char *backend, const char *uuid,
                             const char *pci, uint32_t partition) {
  size_t i;
  json_t *other;
  json_array_foreach(devices, i, other) {
    const char *other_uuid = json_string_value(json_object_get(other, "uuid"));
    const char *other_pci = json_string_value(json_object_get(other, "pci"));
    if (!strcmp(json_string_value(json_object_get(other, "backend")), backend)) continue;
    const bool same_slot = other_pci && !strcmp(other_pci, pci) &&
                           json_integer_value(json_object_get(other, "partition")) == partition;
    if ((other_uuid && !strcmp(other_uuid, uuid)) || same_slot)
      return json_string_value(json_object_get(other, "name"));
  }
  return NULL;
}

static void add_device(listing *l, loader_backend *b, loader_plugin *p, uint32_t ordinal) {
  forge_dev_info info;
  char name[64], alias[64], uuid[48], pci[32];
  catalog_device_name(b, p, ordinal, name);
  if (catalog_info(p, ordinal, &info)) {
    json_array_append_new(l->problems, json_pack("{s:s, s:o}", "name", name, "reason",
                                                 report_string(forge_error_last()->msg)));
    return;
  }
  const bool hidden = catalog_visible(l->r, b, p, ordinal, &info) != FORGE_OK;
  json_t *why = hidden ? report_string(forge_error_last()->msg) : json_null();
  catalog_identity(&info, uuid, pci);
  snprintf(alias, sizeof alias, "%s:%u", b->m.name, ordinal);
  const bool has_alias = p->variant->name && catalog_preferred(b) == p;
  json_array_append_new(
      l->devices,
      json_pack("{s:s, s:o, s:s, s:o, s:i, s:s, s:o, s:I, s:o, s:o, s:o, s:i, s:i, s:b, s:o, s:o, "
                "s:b}",
                "name", name, "alias", report_text(has_alias ? alias : NULL), "backend", b->m.name,
                "variant", report_text(p->variant->name), "ordinal", (int)ordinal, "type",
                type_name(info.type), "model", report_text(info.name), "memory_total",
                (json_int_t)info.mem_total, "driver", report_text(p->probe.driver), "uuid",
                report_text(uuid), "pci", report_text(pci), "partition", (int)info.partition,
                "numa", (int)info.numa, "usable", !hidden, "why_not", why, "same_as",
                report_text(find_same(l->devices, b->m.name, uuid, pci, info.partition)), "default",
                !strcmp(name, l->first)));
}

static void add_backend(listing *l, loader_backend *b) {
  for (size_t v = 0; v < b->m.n_variants; v++) {
    loader_plugin *p = &b->plugins[v];
    char name[64];
    snprintf(name, sizeof name, "%s%s%s", b->m.name, p->variant->name ? "/" : "",
             p->variant->name ? p->variant->name : "");
    const char *why = NULL;
    if (p->missing_isa[0]) continue; /* nothing to repair; `forge doctor` tells */
    if (loader_load(b, p)) why = forge_error_last()->msg;
    if (!why && !p->probe.n_devices) why = p->probe.why_not ? p->probe.why_not : "it has no device";
    if (why)
      json_array_append_new(l->problems,
                            json_pack("{s:s, s:o}", "name", name, "reason", report_string(why)));
    for (uint32_t k = 0; !why && k < p->probe.n_devices; k++) add_device(l, b, p, k);
  }
}

forge_status report_devices(forge_runtime *r, char **out) {
  loader_backend *order[64];
  listing l = {.r = r, .devices = json_array(), .problems = json_array()};
  const size_t n = catalog_order(r, order, COUNT_OF(order));
  const bool any = catalog_default(r, l.first);
  for (size_t i = 0; i < n; i++) add_backend(&l, order[i]);
  return report_take(json_pack("{s:o, s:o, s:o}", "default", report_text(any ? l.first : NULL),
                               "devices", l.devices, "problems", l.problems),
                     out);
}

/* ---- settings ---- */

static json_t *setting_value(const settings_item *item) {
  if (!item->row || item->row->type != SETTINGS_LIST) return report_string(item->text);
  json_t *list = json_array();
  for (size_t i = 0; i < item->n; i++) json_array_append_new(list, report_string(item->list[i]));
  return list;
}

static json_t *setting(const settings_item *item) {
  static const char *const sources[] = {"default", "file", "environment", "override"};
  return json_pack("{s:o, s:o, s:o, s:s}", "key", report_string(item->key), "value",
                   setting_value(item), "origin", report_string(item->origin), "source",
                   sources[item->source]);
}

static int by_key(const void *a, const void *b) {
  const settings_item *const *x = a, *const *y = b;
  const int options = (settings_room_of((*x)->key) != 0) - (settings_room_of((*y)->key) != 0);
  return options ? options : strcmp((*x)->key, (*y)->key);
}

static json_t *all_settings(const forge_runtime *r) {
  const size_t n = settings_count(r->settings);
  const settings_item **sorted = mem_zalloc_array(n, sizeof(void *));
  json_t *list = json_array();
  for (size_t i = 0; sorted && i < n; i++) sorted[i] = settings_at(r->settings, i);
  /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers are sorted */
  if (sorted) qsort(sorted, n, sizeof *sorted, by_key);
  for (size_t i = 0; sorted && i < n; i++) json_array_append_new(list, setting(sorted[i]));
  mem_free(sorted);
  return list;
}

static json_t *all_rows(void) {
  size_t n;
  const settings_row *rows = settings_rows(&n);
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++)
    json_array_append_new(list,
                          json_pack("{s:s, s:s, s:s, s:s, s:s}", "key", rows[i].key, "type",
                                    settings_type_name(rows[i].type), "default", rows[i].fallback,
                                    "range", rows[i].range, "help", rows[i].help));
  return list;
}

static json_t *option(const manifest *m, const manifest_option *o) {
  char range[64];
  manifest_range(o, range);
  return json_pack("{s:o, s:s, s:o, s:s, s:o}", "key",
                   json_sprintf("%s.%s.%s", m->is_layer ? "layer" : "backend", m->name, o->name),
                   "type", manifest_type_name(o->type), "default",
                   report_string(o->fallback ? o->fallback : ""), "range", range, "help",
                   report_text(o->help));
}

static void add_options(json_t *list, loader_backend *const *all, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const loader_backend *b = all[i];
    for (size_t k = 0; !b->status && !b->shadowed_by && k < b->m.n_options; k++)
      json_array_append_new(list, option(&b->m, &b->m.options[k]));
  }
}

/* What the manifests in use declare. */
static json_t *all_options(const loader *l) {
  json_t *list = json_array();
  add_options(list, l->backends, l->n_backends);
  add_options(list, l->layers, l->n_layers);
  return list;
}

forge_status report_config(forge_runtime *r, char **out) {
  return report_take(json_pack("{s:o, s:o, s:o, s:o}", "file",
                               report_text(settings_file(r->settings)), "settings", all_settings(r),
                               "known", all_rows(), "options", all_options(r->loader)),
                     out);
}
