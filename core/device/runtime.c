/* runtime.c -- the operator's settings and the manifests, checked against each other. */
#include <stdio.h>
#include <string.h>

#include "device_parts.h"

static void apply_log_level(const settings *s) {
  static const char *const names[] = {"error", "warn", "info", "debug", "trace"};
  const settings_item *level = settings_get(s, "log_level");
  if (level->source == SETTINGS_DEFAULT) return; /* what forge_log_to() chose stands */
  for (size_t i = 0; i < COUNT_OF(names); i++)
    if (!strcmp(names[i], level->text)) log_set_level((int32_t)i);
}

/* The options of a manifest become settings, and what was given for them is checked. */
static forge_status declare_options(settings *s, const manifest *m) {
  const char *room = m->is_layer ? "layer" : "backend";
  if (!m->is_layer) TRY(settings_declare_backend(s, m->name));
  for (size_t i = 0; i < m->n_options; i++) {
    const manifest_option *o = &m->options[i];
    char key[64];
    TRY((m->is_layer ? settings_declare_layer : settings_declare)(s, m->name, o->name,
                                                                  o->fallback));
    snprintf(key, sizeof key, "%s.%s.%s", room, m->name, o->name);
    const settings_item *item = settings_get(s, key);
    if (item) TRY(manifest_check_option(o, key, item->text, item->origin));
  }
  return FORGE_OK;
}

static forge_status declare_all(settings *s, loader_backend *const *all, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!all[i]->status && !all[i]->shadowed_by) TRY(declare_options(s, &all[i]->m));
  return FORGE_OK;
}

static forge_status unknown_option(const settings_item *item, const manifest *m) {
  const char *names[64] = {"enabled", "memory_limit"};
  size_t n = m->is_layer ? 0 : 2;
  for (size_t i = 0; i < m->n_options && n < COUNT_OF(names); i++) names[n++] = m->options[i].name;
  const char *option = strrchr(item->key, '.') + 1, *nearest = name_nearest(option, names, n);
  text known = {0};
  for (size_t i = 0; i < n; i++) text_add(&known, "%s%s", i ? ", " : "", names[i]);
  const forge_status st = FAIL(FORGE_E_CONFIG, "%s: %s %s has no option '%s'; %s%s%s", item->origin,
                               m->is_layer ? "layer" : "backend", m->name, option,
                               nearest   ? "did you mean '"
                               : known.n ? "it has "
                                         : "it has none",
                               nearest ? nearest : (known.n ? known.s : ""), nearest ? "'?" : "");
  text_finish(&known);
  return st;
}

/* A key nobody declared: a misspelt option is an error; a backend or layer that is not installed
 * only earns a warning, since one file may serve many machines. */
static forge_status check_undeclared(const forge_runtime *r) {
  for (size_t i = 0; i < settings_count(r->settings); i++) {
    const settings_item *item = settings_at(r->settings, i);
    char name[64];
    if (item->known) continue;
    const size_t room = settings_room_of(item->key);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(item->key + room, "."), item->key + room);
    const bool is_layer = item->key[0] == 'l';
    const loader_backend *b =
        is_layer ? loader_find_layer(r->loader, name) : loader_find(r->loader, name);
    if (b) return unknown_option(item, &b->m);
    log_line(FORGE_LOG_WARN, "%s: %s: no %s '%s' is installed", item->origin, item->key,
             is_layer ? "layer" : "backend", name);
  }
  return FORGE_OK;
}

static void warn_of_absent(const forge_runtime *r) {
  const settings_item *listed = settings_get(r->settings, "backends");
  for (size_t i = 0; i < listed->n; i++)
    if (!loader_find(r->loader, listed->list[i]))
      log_line(FORGE_LOG_WARN, "%s: backends: no backend '%s' is installed", listed->origin,
               listed->list[i]);
}

static forge_status set_up(forge_runtime *r, const forge_runtime_options *o) {
  TRY(settings_load(o ? o->config_path : NULL, o ? o->overrides : NULL, &r->settings));
  apply_log_level(r->settings);
  TRY(catalog_check_list(settings_get(r->settings, "visible")));
  TRY(catalog_check_list(settings_get(r->settings, "hidden")));
  const settings_item *folders = settings_get(r->settings, "backend_path");
  TRY(loader_create(folders->list, folders->n, &r->loader));
  TRY(declare_all(r->settings, r->loader->backends, r->loader->n_backends));
  TRY(declare_all(r->settings, r->loader->layers, r->loader->n_layers));
  TRY(check_undeclared(r));
  TRY(layers_check(r));
  warn_of_absent(r);
  return FORGE_OK;
}

forge_status forge_runtime_create(const forge_runtime_options *options,
                                  forge_runtime **out_runtime) {
  if (options && options->size < sizeof *options)
    return FAIL(FORGE_E_INVALID, "forge_runtime_options: size is not set");
  forge_runtime *r = mem_zalloc(sizeof *r);
  if (!r) return FAIL(FORGE_E_OOM, "no host memory for a runtime");
  r->refs = 1;
  process_lock();
  const forge_status st = set_up(r, options);
  process_unlock();
  if (st)
    forge_runtime_destroy(r);
  else
    *out_runtime = r;
  return st;
}

/* Under process_lock(). Devices keep their runtime, so that a wrong order of ends is harmless. */
void runtime_release(forge_runtime *r) {
  if (atomic_fetch_sub(&r->refs, 1) != 1) return;
  loader_free(r->loader);
  settings_free(r->settings);
  mem_free(r);
}

void forge_runtime_destroy(forge_runtime *r) {
  if (!r) return;
  process_lock();
  runtime_release(r);
  process_unlock();
}

forge_status forge_runtime_report(forge_runtime *r, uint32_t what, char **out_json) {
  process_lock();
  forge_status st;
  switch (what) {
  case FORGE_REPORT_DEVICES: st = report_devices(r, out_json); break;
  case FORGE_REPORT_DOCTOR: st = report_doctor(r, out_json); break;
  case FORGE_REPORT_CONFIG: st = report_config(r, out_json); break;
  default: st = FAIL(FORGE_E_UNSUPPORTED, "there is no report number %u", what);
  }
  process_unlock();
  return st;
}
