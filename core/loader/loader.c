/* loader.c -- manifests become backends, and each plugin its verdict. */
#include "loader.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "loader_parts.h"

enum { MAX_DEVICES = 4096 }; /* of one backend: every one is asked for its properties */

static void backend_free(loader_backend *b) {
  for (size_t i = 0; b->plugins && i < b->m.n_variants; i++) {
    loader_plugin *p = &b->plugins[i];
    library_release(p->lib);
    mem_free(p->path);
    mem_free(p->reason);
    mem_free(p->note);
  }
  mem_free(b->plugins);
  mem_free(b->reason);
  manifest_finish(&b->m);
  mem_free(b);
}

void loader_free(loader *l) {
  if (!l) return;
  for (size_t i = 0; i < l->n_backends; i++) backend_free(l->backends[i]);
  for (size_t i = 0; i < l->n_layers; i++) backend_free(l->layers[i]);
  for (size_t i = 0; i < l->n_folders; i++) mem_free(l->folders[i].path);
  mem_free(l->backends);
  mem_free(l->layers);
  mem_free(l->folders);
  mem_free(l);
}

static loader_backend *find(loader_backend *const *all, size_t n, const char *name) {
  for (size_t i = 0; i < n; i++)
    if (!all[i]->status && !all[i]->shadowed_by && !strcmp(all[i]->m.name, name)) return all[i];
  return NULL;
}

loader_backend *loader_find(const loader *l, const char *name) {
  return find(l->backends, l->n_backends, name);
}

loader_backend *loader_find_layer(const loader *l, const char *name) {
  return find(l->layers, l->n_layers, name);
}

/* ---- manifests ---- */

static forge_status check_abi(const manifest *m) {
  if (m->abi_major != FORGE_ABI_MAJOR)
    return FAIL(FORGE_E_ABI, "%s: made for ABI major %lld; this core speaks %u", m->path,
                (long long)m->abi_major, FORGE_ABI_MAJOR);
  if (m->abi_minor_min > (int64_t)FORGE_ABI_MINOR)
    return FAIL(FORGE_E_ABI, "%s: needs ABI %u.%lld; this core speaks %u.%u", m->path,
                FORGE_ABI_MAJOR, (long long)m->abi_minor_min, FORGE_ABI_MAJOR, FORGE_ABI_MINOR);
  return FORGE_OK;
}

/* The file's absolute path, without "..", where it exists. */
static char *library_path(const char *dir, const char *file) {
  char *joined = file[0] == '/' ? mem_strdup(file) : file_join(dir, file);
  char *real = joined ? realpath(joined, NULL) : NULL;
  char *path = real ? mem_strdup(real) : NULL;
  free(real);
  if (!path) return joined;
  mem_free(joined);
  return path;
}

static forge_status make_plugins(const loader *l, loader_backend *b) {
  char *dir = file_parent(b->m.path);
  b->plugins = mem_zalloc_array(b->m.n_variants, sizeof *b->plugins);
  bool ok = dir && b->plugins;
  for (size_t i = 0; ok && i < b->m.n_variants; i++) {
    loader_plugin *p = &b->plugins[i];
    p->variant = &b->m.variants[i];
    p->path = library_path(dir, p->variant->library);
    ok = p->path != NULL;
    isa_missing(p->variant->isa, l->isa, p->missing_isa, sizeof p->missing_isa);
  }
  mem_free(dir);
  return ok ? FORGE_OK : FAIL(FORGE_E_OOM, "%s: no memory", b->m.path);
}

static forge_status read_backend(loader *l, const char *path) {
  /* NOLINTBEGIN(bugprone-sizeof-expression): arrays of pointers */
  if (!ARRAY_GROW(l->backends, l->n_backends, l->backends_cap) ||
      !ARRAY_GROW(l->layers, l->n_layers, l->layers_cap))
    return FAIL(FORGE_E_OOM, "no memory for the list of backends");
  /* NOLINTEND(bugprone-sizeof-expression) */
  loader_backend *b = mem_zalloc(sizeof *b);
  if (!b) return FAIL(FORGE_E_OOM, "%s: no memory", path);
  b->status = manifest_read(path, &b->m);
  if (!b->status) b->status = check_abi(&b->m);
  if (!b->status) {
    const loader_backend *first =
        b->m.is_layer ? loader_find_layer(l, b->m.name) : loader_find(l, b->m.name);
    if (first) b->shadowed_by = first->m.path;
    b->status = make_plugins(l, b);
  }
  if (b->status) b->reason = mem_strdup(forge_error_last()->msg);
  if (b->m.is_layer)
    l->layers[l->n_layers++] = b;
  else
    l->backends[l->n_backends++] = b;
  return FORGE_OK;
}

static int is_manifest(const struct dirent *entry) {
  return entry->d_name[0] != '.' && text_ends_with(entry->d_name, ".ini");
}

static int by_name(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

static forge_status read_folder(loader *l, const loader_folder *folder) {
  struct dirent **names;
  forge_status st = FORGE_OK;
  const int n = folder->found ? scandir(folder->path, &names, is_manifest, by_name) : 0;
  for (int i = 0; i < n; i++) {
    char *path = file_join(folder->path, names[i]->d_name);
    if (!st) st = path ? read_backend(l, path) : FAIL(FORGE_E_OOM, "no memory for a path");
    mem_free(path);
    free(names[i]);
  }
  if (folder->found && n >= 0) free(names);
  return st;
}

forge_status loader_create(char *const *folders, size_t n, loader **out) {
  loader *l = mem_zalloc(sizeof *l);
  if (!l) return FAIL(FORGE_E_OOM, "no memory for the loader");
  isa_of_machine(l->isa, sizeof l->isa);
  forge_status st = search_folders(l, folders, n);
  for (size_t i = 0; !st && i < l->n_folders; i++) st = read_folder(l, &l->folders[i]);
  if (st)
    loader_free(l);
  else
    *out = l;
  return st;
}

/* ---- plugins ---- */

static forge_status load(loader_backend *b, loader_plugin *p) {
  if (p->missing_isa[0])
    return FAIL(FORGE_E_UNSUPPORTED, "%s: this machine lacks %s", p->path, p->missing_isa);
  TRY(library_acquire(&b->m, p, &p->lib));
  p->probe = (forge_probe){.size = sizeof p->probe};
  host_forget_report();
  const forge_status st = p->lib->table.probe(&p->probe);
  if (!st && p->probe.n_devices <= MAX_DEVICES) return FORGE_OK;
  library *lib = p->lib;
  p->lib = NULL;
  forge_status failed;
  if (st)
    failed = loader_failed(lib, st, p->path);
  else
    failed = FAIL(FORGE_E_INTERNAL, "%s: it speaks of %u devices; at most %d can be", p->path,
                  p->probe.n_devices, MAX_DEVICES);
  library_release(lib);
  return base_failure(base_fail_in(failed, "probe"));
}

forge_status loader_load(loader_backend *b, loader_plugin *p) {
  if (p->state == LOADER_REFUSED)
    return FAIL(p->status, "%s", p->reason ? p->reason : "no memory for the reason");
  if (p->state == LOADER_READY) return FORGE_OK;
  p->status = load(b, p);
  p->state = p->status ? LOADER_REFUSED : LOADER_READY;
  if (p->status) {
    p->reason = mem_strdup(forge_error_last()->msg);
    return p->status;
  }
  if (p->lib->missing[0])
    p->note = mem_printf("lacks required slots, which answer E_UNSUPPORTED: %s", p->lib->missing);
  return FORGE_OK;
}
