/* layers.c -- the layers the operator switched on, put around a device as it is opened. Afterwards
 * nothing here is called: the device's table simply is the outermost layer's. */
#include <stdio.h>
#include <string.h>

#include "device_parts.h"

/* ---- which ---- */

static forge_status refused(const forge_runtime *r, const settings_item *listed, const char *name) {
  for (size_t i = 0; i < r->loader->n_layers; i++) {
    const loader_backend *l = r->loader->layers[i];
    if (l->status && l->m.name && !strcmp(l->m.name, name))
      return FAIL(l->status, "%s: layers: '%s' cannot be used: %s", listed->origin, name,
                  l->reason ? l->reason : "its manifest was refused");
  }
  return FORGE_OK;
}

static forge_status unknown(const forge_runtime *r, const settings_item *listed, const char *name) {
  const char *names[32];
  size_t n = 0;
  text known = {0};
  TRY(refused(r, listed, name));
  for (size_t i = 0; i < r->loader->n_layers && n < COUNT_OF(names); i++) {
    const loader_backend *l = r->loader->layers[i];
    if (l->status || l->shadowed_by) continue;
    text_add(&known, "%s%s", n ? ", " : "; there is ", l->m.name);
    names[n++] = l->m.name;
  }
  const char *nearest = name_nearest(name, names, n);
  const forge_status st =
      FAIL(FORGE_E_CONFIG, "%s: layers: there is no layer '%s'%s%s%s", listed->origin, name,
           nearest   ? "; did you mean '"
           : known.n ? known.s
                     : "; none is installed",
           nearest ? nearest : "", nearest ? "'?" : "");
  text_finish(&known);
  return st;
}

forge_status layers_check(const forge_runtime *r) {
  const settings_item *listed = settings_get(r->settings, "layers");
  for (size_t i = 0; i < listed->n; i++)
    if (!loader_find_layer(r->loader, listed->list[i])) return unknown(r, listed, listed->list[i]);
  return FORGE_OK;
}

/* ---- opening ---- */

/* Key, value, .. NULL; the array is the caller's, the strings the settings'. */
static const char **options_of(const forge_device *d, const manifest *m) {
  const char **kv = mem_zalloc_array(2 * m->n_options + 1, sizeof *kv);
  for (size_t i = 0, n = 0; kv && i < m->n_options; i++) {
    char key[64];
    snprintf(key, sizeof key, "layer.%s.%s", m->name, m->options[i].name);
    const settings_item *item = settings_get(d->runtime->settings, key);
    if (!item) continue;
    kv[n++] = m->options[i].name;
    kv[n++] = item->text;
  }
  return kv;
}

static forge_status answer(const forge_device *d, const forge_layer_device *out,
                           device_layer *layer) {
  if (!out->table || !out->dev)
    return FAIL(FORGE_E_INTERNAL, "%s: the layer says it opened and gave no device", d->name);
  TRY(loader_adopt_table(out->table, &layer->table));
  layer->dev = out->dev;
  return FORGE_OK;
}

static forge_status wrap(forge_device *d, const loader_backend *b, device_layer *layer) {
  const char **kv = options_of(d, &b->m);
  if (!kv) return FAIL(FORGE_E_OOM, "%s: no host memory", d->name);
  const forge_host *host = library_host(d->plugin->lib);
  const forge_layer_open in = {.size = sizeof in,
                               .device = d->name,
                               .options = kv,
                               .inner = d->table,
                               .inner_dev = d->dev,
                               .host = host,
                               .report_count = loader_report_count};
  forge_layer_device out = {.size = sizeof out};
  layer->lib = b->plugins->lib;
  const uint64_t before = loader_report_count(host->ctx);
  forge_status st = library_layer(layer->lib)->open(&in, &out);
  mem_free(kv);
  /* Its words may have come as the device's own or as the layer's. */
  const bool as_device = loader_report_count(host->ctx) != before;
  st = st ? loader_failed(as_device ? d->plugin->lib : layer->lib, st, d->name)
          : answer(d, &out, layer);
  return st ? base_fail_in(st, "layer %s", b->m.name) : FORGE_OK;
}

forge_status layers_open(forge_device *d) {
  const settings_item *listed = settings_get(d->runtime->settings, "layers");
  if (!listed->n) return FORGE_OK;
  if (!(d->layers = mem_zalloc_array(listed->n, sizeof *d->layers)))
    return FAIL(FORGE_E_OOM, "%s: no host memory", d->name);
  for (size_t i = listed->n; i--;) {
    loader_backend *b = loader_find_layer(d->runtime->loader, listed->list[i]);
    device_layer *layer = &d->layers[d->n_layers];
    if (loader_layer_load(b))
      return base_fail_in(forge_error_last()->code,
                          "%s: %s = %s: layer %s cannot be loaded; repair it or take it out",
                          listed->origin, listed->key, listed->text, b->m.name);
    TRY(wrap(d, b, layer));
    d->n_layers++;
    d->table = &layer->table;
    d->dev = layer->dev;
  }
  return FORGE_OK;
}

/* ---- the open device ---- */

const void *layers_block(const forge_device *d, uint32_t id, uint32_t minor) {
  const void *block = NULL;
  if (library_table(d->plugin->lib)->get_block(id, minor, &block)) return NULL;
  for (size_t i = 0; block && i < d->n_layers; i++) {
    const void *outer = NULL;
    if (library_layer(d->layers[i].lib)->block(d->layers[i].dev, id, minor, block, &outer))
      return NULL;
    block = outer;
  }
  return block;
}

void layers_abandon(const forge_device *d) {
  for (size_t i = 0; i < d->n_layers; i++) library_abandon(d->layers[i].lib);
}
