/* catalog.c -- which devices there are, what they are called and which of them may be used. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "device_parts.h"

/* ---- names ---- */

static bool copy_word(char *to, size_t size, const char *from, size_t n) {
  if (!n || n >= size) return false;
  memcpy(to, from, n);
  to[n] = 0;
  return true;
}

forge_status catalog_parse(const char *name, catalog_name *out) {
  *out = (catalog_name){0};
  const size_t backend = strcspn(name, "/:");
  const char *rest = name + backend;
  bool ok = copy_word(out->backend, sizeof out->backend, name, backend);
  if (ok && *rest == '/') {
    const size_t variant = strcspn(rest + 1, ":");
    ok = copy_word(out->variant, sizeof out->variant, rest + 1, variant);
    rest += 1 + variant;
  }
  if (ok && *rest == ':') {
    const size_t digits = strspn(rest + 1, "0123456789");
    ok = digits && digits < 10 && !rest[1 + digits];
    out->ordinal = (uint32_t)strtoul(rest + 1, NULL, 10);
  } else if (*rest) {
    ok = false;
  }
  if (ok) return FORGE_OK;
  return FAIL(FORGE_E_INVALID,
              "'%s' is no device name; write backend, backend:0 or backend/variant:0", name);
}

void catalog_device_name(const loader_backend *b, const loader_plugin *p, uint32_t ordinal,
                         char out[64]) {
  const char *variant = p->variant->name;
  snprintf(out, 64, "%s%s%s:%u", b->m.name, variant ? "/" : "", variant ? variant : "", ordinal);
}

void catalog_identity(const forge_dev_info *info, char uuid[48], char pci[32]) {
  static const uint8_t none[16];
  uuid[0] = pci[0] = 0;
  if (memcmp(info->uuid, none, sizeof none) != 0) {
    int n = snprintf(uuid, 48, "uuid:");
    for (int i = 0; i < 16; i++) n += snprintf(uuid + n, 48 - (size_t)n, "%02x", info->uuid[i]);
  }
  if (info->pci_bdf != 0xFFFFFFFFu)
    snprintf(pci, 32, "pci:%04x:%02x:%02x.%x", info->pci_domain, info->pci_bdf >> 8 & 0xFF,
             info->pci_bdf >> 3 & 31, info->pci_bdf & 7);
}

/* ---- backends ---- */

/* Place of |word| in a list setting, -1 if it is not there. */
static int place_in(const settings_item *list, const char *word) {
  for (size_t i = 0; i < list->n; i++)
    if (!strcmp(list->list[i], word)) return (int)i;
  return -1;
}

forge_status catalog_admit(const forge_runtime *r, const loader_backend *b) {
  const settings_item *listed = settings_get(r->settings, "backends");
  char key[64];
  bool enabled = true;
  if (listed->n && place_in(listed, b->m.name) < 0)
    return FAIL(FORGE_E_POLICY, "%s is not among the backends admitted by %s (backends = %s)",
                b->m.name, listed->origin, listed->text);
  snprintf(key, sizeof key, "backend.%s.enabled", b->m.name);
  const settings_item *item = settings_get(r->settings, key);
  if (item) settings_parse_bool(item->text, &enabled);
  if (enabled) return FORGE_OK;
  return FAIL(FORGE_E_POLICY, "%s is switched off by %s (%s = %s)", b->m.name, item->origin,
              item->key, item->text);
}

bool catalog_is_candidate(const forge_runtime *r, const loader_backend *b) {
  return settings_get(r->settings, "backends")->n || b->m.priority >= 0;
}

/* Lower is preferred. */
static int64_t rank_of(const forge_runtime *r, const loader_backend *b) {
  const settings_item *listed = settings_get(r->settings, "backends");
  return listed->n ? place_in(listed, b->m.name) : -b->m.priority;
}

size_t catalog_order(const forge_runtime *r, loader_backend **out, size_t max) {
  size_t n = 0;
  for (size_t i = 0; i < r->loader->n_backends && n < max; i++) {
    loader_backend *b = r->loader->backends[i];
    if (b->status || b->shadowed_by || catalog_admit(r, b)) continue;
    size_t at = n++;
    for (; at && rank_of(r, out[at - 1]) > rank_of(r, b); at--) out[at] = out[at - 1];
    out[at] = b;
  }
  return n;
}

/* ---- plugins ---- */

static forge_status find_variant(loader_backend *b, const char *name, loader_plugin **out) {
  text known = {0};
  for (size_t i = 0; i < b->m.n_variants; i++) {
    const char *own = b->m.variants[i].name;
    *out = &b->plugins[i];
    if (own && !strcmp(own, name)) {
      text_finish(&known);
      return FORGE_OK;
    }
    if (own) text_add(&known, "%s%s", known.n ? ", " : "", own);
  }
  const forge_status st = FAIL(FORGE_E_NOT_FOUND, "%s has no variant '%s'; it has %s", b->m.name,
                               name, known.n ? known.s : "none");
  text_finish(&known);
  return st;
}

forge_status catalog_plugin(loader_backend *b, const char *variant, loader_plugin **out) {
  if (*variant) {
    TRY(find_variant(b, variant, out));
    return loader_load(b, *out);
  }
  forge_status st = FORGE_OK;
  for (size_t i = 0; i < b->m.n_variants; i++) {
    *out = &b->plugins[i];
    const bool fits = !b->plugins[i].missing_isa[0];
    if (!fits && (st || i + 1 < b->m.n_variants)) continue; /* say the more telling failure */
    const forge_status tried = loader_load(b, *out);
    if (!tried) return FORGE_OK;
    st = tried;
  }
  return st;
}

loader_plugin *catalog_preferred(loader_backend *b) {
  loader_plugin *p = NULL;
  return catalog_plugin(b, "", &p) ? NULL : p;
}

/* ---- devices ---- */

forge_status catalog_info(const loader_plugin *p, uint32_t ordinal, forge_dev_info *out) {
  *out = (forge_dev_info){.size = sizeof *out, .pci_bdf = 0xFFFFFFFFu, .numa = -1};
  const forge_status st = library_table(p->lib)->dev_info(ordinal, out);
  out->name[sizeof out->name - 1] = 0;
  return st ? loader_failed(p->lib, st, "dev_info") : FORGE_OK;
}

static bool is_identity(const char *s) {
  unsigned domain, bus, slot, function;
  int n = 0;
  if (!strncmp(s, "uuid:", 5))
    return strlen(s) == 37 && strspn(s + 5, "0123456789abcdefABCDEF") == 32;
  return sscanf(s, "pci:%x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &n) == 4 && !s[n];
}

forge_status catalog_check_list(const settings_item *list) {
  catalog_name name;
  for (size_t i = 0; i < list->n; i++)
    if (!is_identity(list->list[i]) && catalog_parse(list->list[i], &name))
      return FAIL(FORGE_E_CONFIG,
                  "%s: %s: '%s' is no device; write backend, backend:0, backend/variant:0, uuid: "
                  "with 32 hexadecimal digits, or pci:0000:65:00.0",
                  list->origin, list->key, list->list[i]);
  return FORGE_OK;
}

/* True when an entry of visible or hidden means the device: a backend's name means all of it. */
static bool means(const char *entry, const loader_backend *b, const loader_plugin *p,
                  uint32_t ordinal, const forge_dev_info *info) {
  char uuid[48], pci[32];
  catalog_name name;
  if (!strncmp(entry, "uuid:", 5) || !strncmp(entry, "pci:", 4)) {
    catalog_identity(info, uuid, pci);
    return !strcasecmp(entry, uuid) || !strcasecmp(entry, pci);
  }
  if (catalog_parse(entry, &name) || strcmp(name.backend, b->m.name) != 0) return false;
  const char *own = p->variant->name;
  if (name.variant[0] && (!own || strcmp(name.variant, own) != 0)) return false;
  return !strchr(entry, ':') || name.ordinal == ordinal;
}

static bool listed_in(const settings_item *list, const loader_backend *b, const loader_plugin *p,
                      uint32_t ordinal, const forge_dev_info *info) {
  for (size_t i = 0; i < list->n; i++)
    if (means(list->list[i], b, p, ordinal, info)) return true;
  return false;
}

forge_status catalog_visible(const forge_runtime *r, const loader_backend *b,
                             const loader_plugin *p, uint32_t ordinal, const forge_dev_info *info) {
  const settings_item *hidden = settings_get(r->settings, "hidden");
  const settings_item *visible = settings_get(r->settings, "visible");
  char name[64];
  catalog_device_name(b, p, ordinal, name);
  if (listed_in(hidden, b, p, ordinal, info))
    return FAIL(FORGE_E_POLICY, "%s is hidden by %s (hidden = %s)", name, hidden->origin,
                hidden->text);
  if (visible->n && !listed_in(visible, b, p, ordinal, info))
    return FAIL(FORGE_E_POLICY, "%s is not among the visible devices of %s (visible = %s)", name,
                visible->origin, visible->text);
  return FORGE_OK;
}

forge_status catalog_memory_limit(const forge_runtime *r, const loader_backend *b,
                                  const forge_dev_info *info, uint64_t *out) {
  char key[64];
  settings_bytes amount;
  snprintf(key, sizeof key, "backend.%s.memory_limit", b->m.name);
  const settings_item *item = settings_get(r->settings, key);
  if (!item) item = settings_get(r->settings, "memory_limit");
  settings_parse_bytes(item->text, &amount); /* checked when it was read */
  if (amount.percent && !info->mem_total)
    return FAIL(FORGE_E_CONFIG, "%s: %s = %s, but the device does not tell its size; name bytes",
                item->origin, item->key, item->text);
  *out = amount.percent ? info->mem_total / 100 * amount.percent : amount.bytes;
  return FORGE_OK;
}

void catalog_list(const forge_runtime *r, text *out) {
  loader_backend *order[64];
  const size_t n = catalog_order(r, order, COUNT_OF(order));
  for (size_t i = 0; i < n; i++) {
    for (size_t v = 0; v < order[i]->m.n_variants; v++) {
      loader_plugin *p = &order[i]->plugins[v];
      if (loader_load(order[i], p)) continue;
      for (uint32_t k = 0; k < p->probe.n_devices; k++) {
        forge_dev_info info;
        char name[64];
        if (catalog_info(p, k, &info) || catalog_visible(r, order[i], p, k, &info)) continue;
        catalog_device_name(order[i], p, k, name);
        text_add(out, "%s%s", out->n ? ", " : "", name);
      }
    }
  }
}

bool catalog_default(const forge_runtime *r, char out[64]) {
  loader_backend *order[64];
  const size_t n = catalog_order(r, order, COUNT_OF(order));
  for (size_t i = 0; i < n; i++) {
    loader_plugin *p = catalog_is_candidate(r, order[i]) ? catalog_preferred(order[i]) : NULL;
    for (uint32_t k = 0; p && k < p->probe.n_devices; k++) {
      forge_dev_info info;
      if (catalog_info(p, k, &info) || catalog_visible(r, order[i], p, k, &info)) continue;
      catalog_device_name(order[i], p, k, out);
      return true;
    }
  }
  return false;
}
