/* search.c -- the folders that manifests are looked for in. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "loader_parts.h"

/* Takes over |path|. A folder met before is not searched again. */
static forge_status add(loader *l, char *path, const char *why) {
  if (!path) return FAIL(FORGE_E_OOM, "no memory for a folder's name");
  char *real = realpath(path, NULL);
  const bool found = real && file_is_directory(real);
  for (size_t i = 0; i < l->n_folders; i++) {
    if (strcmp(l->folders[i].path, real ? real : path) != 0) continue;
    free(real);
    mem_free(path);
    return FORGE_OK;
  }
  char *name = real ? mem_strdup(real) : NULL;
  free(real);
  if (name) {
    mem_free(path);
    path = name;
  }
  if (!ARRAY_GROW(l->folders, l->n_folders, l->folders_cap)) {
    mem_free(path);
    return FAIL(FORGE_E_OOM, "no memory for the list of folders");
  }
  l->folders[l->n_folders++] = (loader_folder){.path = path, .why = why, .found = found};
  return FORGE_OK;
}

static forge_status add_absolute(loader *l, const char *path, size_t n, const char *why) {
  if (path[0] != '/')
    return FAIL(FORGE_E_CONFIG,
                "%s: '%.*s' is relative; name folders from the root, so that it does not matter "
                "where a program is started",
                why, (int)n, path);
  return add(l, mem_strndup(path, n), why);
}

static forge_status add_environment(loader *l) {
  const char *s = secure_getenv("FORGE_BACKEND_PATH");
  while (s && *s) {
    const size_t n = strcspn(s, ":");
    if (n) TRY(add_absolute(l, s, n, "FORGE_BACKEND_PATH"));
    s += n + (s[n] == ':');
  }
  return FORGE_OK;
}

static forge_status add_home(loader *l) {
  const char *data = secure_getenv("XDG_DATA_HOME"), *home = secure_getenv("HOME");
  if (data && data[0] == '/')
    return add(l, mem_printf("%s/forge/backends.d", data), "XDG_DATA_HOME");
  if (home && home[0] == '/')
    return add(l, mem_printf("%s/.local/share/forge/backends.d", home), "home folder");
  return FORGE_OK;
}

static forge_status add_beside_library(loader *l) {
  Dl_info info;
  void *self;
  forge_status (*const any)(char *const *, size_t, loader **) = loader_create;
  memcpy(&self, &any, sizeof self);
  if (!dladdr(self, &info) || !info.dli_fname) return FORGE_OK;
  char *file = realpath(info.dli_fname, NULL);
  if (!file) return FORGE_OK;
  char *dir = file_parent(file);
  free(file);
  if (!dir) return FAIL(FORGE_E_OOM, "no memory for a folder's name");
  char *folder = mem_printf("%s/forge/backends.d", dir);
  mem_free(dir);
  return add(l, folder, "beside libforge.so");
}

forge_status search_folders(loader *l, char *const *folders, size_t n) {
  for (size_t i = 0; i < n; i++)
    TRY(add_absolute(l, folders[i], strlen(folders[i]), "setting backend_path"));
  TRY(add_environment(l));
  TRY(add_home(l));
  TRY(add(l, mem_strdup("/etc/forge/backends.d"), "system"));
  return add_beside_library(l);
}
