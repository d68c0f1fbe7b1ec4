/* doctor.c -- every manifest with its verdict and the reason, and what would be chosen. Loads what
 * may be used; what the operator switched off is told, not touched. */
#include <string.h>

#include "device_parts.h"
#include "report.h"

static const char *status_name(forge_status status) {
  const char *name = forge_status_name(status);
  return strncmp(name, "FORGE_", 6) ? name : name + 6;
}

static json_t *blocks_of(const loader_plugin *p) {
  static const char *const names[] = {"",      "COLL",   "IPC",       "VMM",     "QUIESCE",
                                      "GRAPH", "PROF",   "TELEMETRY", "HOSTREG", "INTEROP",
                                      "CACHE", "FILEIO", "KERNEL",    "TESTING"};
  json_t *list = json_array();
  for (uint32_t id = 1; id < COUNT_OF(names); id++) {
    const void *table = NULL;
    if (!library_table(p->lib)->get_block(id, 0, &table) && table)
      json_array_append_new(list, json_string(names[id]));
  }
  loader_forget_refusals(p->lib);
  return list;
}

static json_t *devices_of(const forge_runtime *r, const loader_backend *b, const loader_plugin *p) {
  json_t *list = json_array();
  for (uint32_t k = 0; k < p->probe.n_devices; k++) {
    forge_dev_info info;
    char name[64];
    catalog_device_name(b, p, k, name);
    forge_status st = catalog_info(p, k, &info);
    if (!st) st = catalog_visible(r, b, p, k, &info);
    json_array_append_new(list, json_pack("{s:s, s:b, s:o}", "name", name, "usable", !st, "why_not",
                                          report_text(st ? forge_error_last()->msg : NULL)));
  }
  return list;
}

static void describe_ready(const forge_runtime *r, const loader_backend *b, const loader_plugin *p,
                           json_t *out) {
  const bool any = p->probe.n_devices != 0;
  json_object_set_new(out, "verdict", json_string(any ? "ready" : "no device"));
  json_object_set_new(out, "reason",
                      report_text(any                ? p->note
                                  : p->probe.why_not ? p->probe.why_not
                                                     : "it does not say why"));
  json_object_set_new(out, "abi", json_sprintf("%u.%u", FORGE_ABI_MAJOR, library_minor(p->lib)));
  json_object_set_new(out, "vendor", report_text(library_vendor(p->lib)));
  json_object_set_new(out, "version", report_text(library_version(p->lib)));
  json_object_set_new(out, "driver", report_text(p->probe.driver));
  json_object_set_new(out, "score", json_integer(p->probe.score));
  json_object_set_new(out, "blocks", blocks_of(p));
  json_object_set_new(out, "devices", devices_of(r, b, p));
}

static json_t *plugin(const forge_runtime *r, loader_backend *b, loader_plugin *p, bool admitted) {
  json_t *out = json_pack("{s:o, s:o, s:o}", "variant", report_text(p->variant->name), "library",
                          report_string(p->path), "isa", report_text(p->variant->isa));
  if (!out) return NULL;
  if (p->missing_isa[0]) {
    json_object_set_new(out, "verdict", json_string("does not fit"));
    json_object_set_new(out, "reason", json_sprintf("this machine lacks %s", p->missing_isa));
  } else if (!admitted) {
    json_object_set_new(out, "verdict", json_string("not tried"));
    json_object_set_new(out, "reason", json_null());
  } else if (loader_load(b, p)) {
    json_object_set_new(out, "verdict", json_string("refused"));
    json_object_set_new(out, "status", json_string(status_name(forge_error_last()->code)));
    json_object_set_new(out, "reason", report_string(forge_error_last()->msg));
  } else {
    describe_ready(r, b, p, out);
  }
  return out;
}

/* The best of the plugins' verdicts stands for the backend. */
static const char *sum_up(const json_t *plugins) {
  static const char *const best_first[] = {"ready", "no device", "refused"};
  for (size_t k = 0; k < COUNT_OF(best_first); k++) {
    size_t i;
    json_t *p;
    json_array_foreach(plugins, i, p) {
      const char *verdict = json_string_value(json_object_get(p, "verdict"));
      if (verdict && !strcmp(verdict, best_first[k])) return best_first[k];
    }
  }
  return "does not fit";
}

static json_t *backend(const forge_runtime *r, loader_backend *b) {
  json_t *plugins = json_array();
  const char *verdict = NULL, *reason = NULL;
  char shadowed[512];
  if (b->status) {
    verdict = "refused";
    reason = b->reason;
  } else if (b->shadowed_by) {
    verdict = "shadowed";
    snprintf(shadowed, sizeof shadowed, "%s has the name", b->shadowed_by);
    reason = shadowed;
  } else if (catalog_admit(r, b)) {
    verdict = "not admitted";
    reason = forge_error_last()->msg;
  }
  json_t *why = report_text(reason); /* the message is overwritten by what follows */
  for (size_t i = 0; b->plugins && i < b->m.n_variants; i++)
    json_array_append_new(plugins, plugin(r, b, &b->plugins[i], !verdict));
  if (!verdict) verdict = sum_up(plugins);
  const loader_plugin *preferred = strcmp(verdict, "ready") ? NULL : catalog_preferred(b);
  return json_pack("{s:o, s:o, s:s, s:o, s:o, s:i, s:b, s:o, s:o}", "name", report_text(b->m.name),
                   "manifest", report_string(b->m.path), "verdict", verdict, "status",
                   report_text(b->status ? status_name(b->status) : NULL), "reason", why,
                   "priority", (int)b->m.priority, "only_when_named",
                   !b->status && !catalog_is_candidate(r, b), "preferred",
                   report_text(preferred ? preferred->variant->name : NULL), "plugins", plugins);
}

/* Place in the setting `layers`, 1 the outermost; 0: not switched on. */
static size_t place_of(const forge_runtime *r, const char *name) {
  const settings_item *listed = settings_get(r->settings, "layers");
  for (size_t i = 0; name && i < listed->n; i++)
    if (!strcmp(listed->list[i], name)) return i + 1;
  return 0;
}

/* One that is not switched on is not loaded, so that asking changes nothing. */
static json_t *layer(const forge_runtime *r, loader_backend *l) {
  const bool usable = !l->status && !l->shadowed_by;
  const size_t place = usable ? place_of(r, l->m.name) : 0;
  const char *verdict = l->status ? "refused" : l->shadowed_by ? "shadowed" : "off";
  forge_status st = l->status;
  json_t *why = report_text(l->status ? l->reason : NULL);
  if (place) {
    st = loader_layer_load(l);
    verdict = st ? "refused" : "on";
    if (st) {
      json_decref(why);
      why = report_string(forge_error_last()->msg);
    }
  }
  const library *lib = usable && l->plugins->state == LOADER_READY ? l->plugins->lib : NULL;
  return json_pack("{s:o, s:o, s:o, s:s, s:o, s:o, s:i, s:o, s:o, s:o}", "name",
                   report_text(l->m.name), "manifest", report_string(l->m.path), "library",
                   report_text(l->plugins ? l->plugins->path : NULL), "verdict", verdict, "status",
                   report_text(st ? status_name(st) : NULL), "reason", why, "place", (int)place,
                   "abi",
                   lib ? json_sprintf("%u.%u", FORGE_ABI_MAJOR, library_minor(lib)) : json_null(),
                   "vendor", report_text(lib ? library_vendor(lib) : NULL), "version",
                   report_text(lib ? library_version(lib) : NULL));
}

static json_t *layers(const forge_runtime *r) {
  json_t *list = json_array();
  for (size_t i = 0; i < r->loader->n_layers; i++)
    json_array_append_new(list, layer(r, r->loader->layers[i]));
  return list;
}

static json_t *folders(const loader *l) {
  json_t *list = json_array();
  for (size_t i = 0; i < l->n_folders; i++)
    json_array_append_new(list,
                          json_pack("{s:o, s:s, s:b}", "path", report_string(l->folders[i].path),
                                    "named_by", l->folders[i].why, "found", l->folders[i].found));
  return list;
}

/* Backends the operator lists that no manifest stands for. */
static json_t *absent(const forge_runtime *r) {
  const settings_item *listed = settings_get(r->settings, "backends");
  json_t *list = json_array();
  for (size_t i = 0; i < listed->n; i++)
    if (!loader_find(r->loader, listed->list[i]))
      json_array_append_new(list, json_pack("{s:o, s:o}", "name", report_string(listed->list[i]),
                                            "listed_by", report_string(listed->origin)));
  return list;
}

forge_status report_doctor(forge_runtime *r, char **out) {
  char first[64];
  json_t *backends = json_array();
  for (size_t i = 0; i < r->loader->n_backends; i++)
    json_array_append_new(backends, backend(r, r->loader->backends[i]));
  const bool any = catalog_default(r, first);
  return report_take(json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "version",
                               forge_version(), "abi",
                               json_sprintf("%u.%u", FORGE_ABI_MAJOR, FORGE_ABI_MINOR), "config",
                               report_text(settings_file(r->settings)), "folders",
                               folders(r->loader), "backends", backends, "absent", absent(r),
                               "layers", layers(r), "default", report_text(any ? first : NULL),
                               "fallback", settings_get(r->settings, "fallback")->text),
                     out);
}
