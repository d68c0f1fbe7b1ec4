/* library.c -- shared objects of this process: opened once, never closed. */
#include <dlfcn.h>
#include <string.h>

#include "file.h"
#include "hash.h"
#include "loader_parts.h"

static library *all; /* under process_lock() */

const forge_backend_v1 *library_table(const library *lib) { return &lib->table; }
uint32_t library_minor(const library *lib) { return lib->minor; }
const char *library_vendor(const library *lib) { return lib->vendor; }
const char *library_version(const library *lib) { return lib->version; }

static forge_status check_hash(const char *path, const char *want) {
  file_map map;
  hash_sha256 h;
  uint8_t sum[32];
  char hex[65];
  if (!want) return FORGE_OK;
  TRY(file_map_open(path, &map));
  hash_sha256_start(&h);
  hash_sha256_add(&h, map.data, map.bytes);
  hash_sha256_end(&h, sum);
  file_map_close(&map);
  hash_hex(sum, sizeof sum, hex);
  if (!strcmp(hex, want)) return FORGE_OK;
  return FAIL(FORGE_E_CORRUPT,
              "%s: sha256 is %s, the manifest says %s; not the file it was made for", path, hex,
              want);
}

static int open_flags(const manifest *m) {
  int flags = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
#if defined(RTLD_DEEPBIND)
  /* A sanitizer must stay the one in front. */
  if (m->deepbind && FORGE_SANITIZER_BUILT == FORGE_SANITIZER_NONE) flags |= RTLD_DEEPBIND;
#else
  (void)m;
#endif
  return flags;
}

forge_status library_entry(const library *lib, void **out) {
  static const char *const symbols[] = {"forge_backend_entry_v1", "forge_layer_entry_v1"};
  static const char *const kinds[] = {"backend", "layer"};
  const bool is = lib->is_layer;
  *out = dlsym(lib->handle, symbols[is]);
  if (*out) return FORGE_OK;
  if (dlsym(lib->handle, symbols[!is]))
    return FAIL(FORGE_E_ABI, "%s: is the library of a %s; its manifest must say [%s], not [%s]",
                lib->path, kinds[!is], kinds[!is], kinds[is]);
  return FAIL(FORGE_E_ABI, "%s: exports no %s: no Forge %s, or one for another ABI major",
              lib->path, symbols[is], kinds[is]);
}

typedef forge_status (*entry_fn)(const forge_hello *, forge_reply *);

static forge_status greet(const manifest *m, library *lib) {
  entry_fn entry;
  void *symbol;
  TRY(library_entry(lib, &symbol));
  memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from object to function */
  const forge_hello hello = {
      .size = sizeof hello, .minor_min = 0, .minor_max = FORGE_ABI_MINOR, .host = &lib->host};
  forge_reply reply = {.size = sizeof reply};
  host_forget_report();
  const forge_status st = entry(&hello, &reply);
  if (st) return loader_failed(lib, st, "its entry failed");
  const forge_status adopted = adopt_reply(m, &reply, lib);
  return adopted ? base_fail_in(adopted, "%s", lib->path) : FORGE_OK;
}

forge_status library_open(const manifest *m, library *lib) {
  snprintf(lib->name, sizeof lib->name, "%s", m->name);
  lib->is_layer = m->is_layer;
  if (!lib->handle) lib->handle = dlopen(lib->path, open_flags(m));
  if (!lib->handle) {
    const char *why = dlerror();
    return FAIL(FORGE_E_ABI, "cannot be loaded: %s", why ? why : "dlopen gave no reason");
  }
  return m->is_layer ? layer_greet(m, lib) : greet(m, lib);
}

static library *find(const char *path) {
  for (library *lib = all; lib; lib = lib->next)
    if (!strcmp(lib->path, path)) return lib;
  library *lib = mem_zalloc(sizeof *lib);
  if (!lib || !(lib->path = mem_strdup(path))) {
    mem_free(lib);
    return NULL;
  }
  host_init(lib);
  lib->number = all ? all->number + 1 : 0;
  lib->next = all;
  all = lib;
  return lib;
}

forge_status library_acquire(const manifest *m, const loader_plugin *p, library **out) {
  if (!file_exists(p->path)) return base_fail_errno(FORGE_E_NOT_FOUND, "%s", p->path);
  library *lib = find(p->path);
  if (!lib) return FAIL(FORGE_E_OOM, "%s: no memory", p->path);
  TRY(check_hash(lib->path, p->variant->sha256)); /* another manifest may have had none */
  if (!lib->refs) {
    if (!m->in_process && !lib->tried) TRY(trial_run(m, lib));
    lib->tried = true;
    TRY(library_open(m, lib));
  } else if (strcmp(lib->name, m->name) != 0 || lib->is_layer != m->is_layer) {
    return FAIL(FORGE_E_MISMATCH, "%s: is already the library of the %s '%s'", lib->path,
                lib->is_layer ? "layer" : "backend", lib->name);
  }
  lib->refs++;
  *out = lib;
  return FORGE_OK;
}

void library_abandon(library *lib) { lib->refs++; }

void library_after_fork(void) {
  for (library *lib = all; lib; lib = lib->next) pthread_mutex_init(&lib->late_lock, NULL);
}

void library_release(library *lib) {
  if (lib && !--lib->refs) lib->table.shutdown();
}
