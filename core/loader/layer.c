/* layer.c -- libraries of layers: the same handshake as a backend's, with a smaller table. */
#include <string.h>

#include "loader_parts.h"

const forge_layer_v1 *library_layer(const library *lib) { return &lib->layer; }

static void nothing_to_end(void) {}

static forge_status adopt(const manifest *m, const forge_layer_reply *r, library *lib) {
  const forge_reply facts = {.size = sizeof facts,
                             .minor_min = r->minor_min,
                             .minor_max = r->minor_max,
                             .sanitizer = r->sanitizer,
                             .layout_id = r->layout_id};
  TRY(adopt_check(&facts));
  if (!r->table) return FAIL(FORGE_E_ABI, "its entry succeeded but gave no table");
  if (!r->name || strcmp(r->name, m->name) != 0)
    return FAIL(FORGE_E_MISMATCH, "it calls itself '%s', its manifest '%s'",
                r->name ? r->name : "(nothing)", m->name);
  if (r->table->n_slots < FORGE_LAYER_SLOTS)
    return FAIL(FORGE_E_ABI, "its table has %u slots; a layer of ABI 1.1 has %u", r->table->n_slots,
                FORGE_LAYER_SLOTS);
  if (!r->table->open || !r->table->block)
    return FAIL(FORGE_E_ABI, "its table lacks open or block");
  memcpy(&lib->layer, r->table, sizeof lib->layer);
  lib->layer.n_slots = FORGE_LAYER_SLOTS;
  lib->table.shutdown = r->table->shutdown ? r->table->shutdown : nothing_to_end;
  lib->minor = r->minor_max < FORGE_ABI_MINOR ? r->minor_max : FORGE_ABI_MINOR;
  lib->vendor = r->vendor ? r->vendor : "";
  lib->version = r->version ? r->version : "";
  return FORGE_OK;
}

typedef forge_status (*entry_fn)(const forge_layer_hello *, forge_layer_reply *);

forge_status layer_greet(const manifest *m, library *lib) {
  entry_fn entry;
  void *symbol;
  TRY(library_entry(lib, &symbol));
  memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from object to function */
  const forge_layer_hello hello = {
      .size = sizeof hello, .minor_min = 0, .minor_max = FORGE_ABI_MINOR, .host = &lib->host};
  forge_layer_reply reply = {.size = sizeof reply};
  host_forget_report();
  const forge_status st = entry(&hello, &reply);
  if (st) return loader_failed(lib, st, "its entry failed");
  const forge_status adopted = adopt(m, &reply, lib);
  return adopted ? base_fail_in(adopted, "%s", lib->path) : FORGE_OK;
}

forge_status loader_layer_load(loader_backend *layer) {
  loader_plugin *p = layer->plugins;
  if (p->state == LOADER_REFUSED)
    return FAIL(p->status, "%s", p->reason ? p->reason : "no memory for the reason");
  if (p->state == LOADER_READY) return FORGE_OK;
  p->status = library_acquire(&layer->m, p, &p->lib);
  p->state = p->status ? LOADER_REFUSED : LOADER_READY;
  if (p->status) p->reason = mem_strdup(forge_error_last()->msg);
  return p->status;
}
