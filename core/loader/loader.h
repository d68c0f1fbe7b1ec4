/* loader.h -- the plugins there are, and their tables once somebody needs them.
 *
 * Search order of manifests (*.ini, by name within a folder); the first sound manifest of a name
 * wins, later ones are kept as shadowed:
 *   1. the folders of the setting backend_path
 *   2. $FORGE_BACKEND_PATH, folders separated by ':'
 *   3. $XDG_DATA_HOME/forge/backends.d (~/.local/share without it)
 *   4. /etc/forge/backends.d
 *   5. forge/backends.d beside libforge.so
 * Never the current directory: relative folders are refused. The environment counts only where
 * secure_getenv() gives it.
 *
 * loader_create() decides everything that can be decided without loading: ABI range and the ISA of
 * each variant; loader_load() checks the hash, then tries the library in a child process where the
 * manifest asks for it, loads it, negotiates, adapts its table and probes. Whatever fails becomes
 * the verdict of that one plugin. Libraries are never closed; they are shared by all loaders of a
 * process.
 *
 * Manifests of layers come from the same folders and are kept apart; loader_layer_load() loads one.
 *
 * Threads: everything here is called under process_lock(), except loader_failed() and the table. */
#ifndef FORGE_LOADER_H
#define FORGE_LOADER_H

#include <forge/layer.h>

#include "base.h"
#include "manifest.h"

/* ---- the process: one lock for all that is rare, and what fork() does to it ---- */

void process_lock(void);
void process_unlock(void);
/* Rises by one in the child of every fork. */
extern _Atomic uint32_t process_generation;

/* ---- plugins ---- */

typedef struct library library;

enum { LOADER_FOUND = 0, LOADER_READY, LOADER_REFUSED };

/* One library: a variant of a backend, or the whole of one without variants. */
typedef struct loader_plugin {
  const manifest_variant *variant;
  char *path;           /* of the library, absolute */
  char missing_isa[64]; /* words this machine lacks; "" where it fits */
  uint32_t state;       /* LOADER_* */
  forge_status status;  /* REFUSED: the verdict and its reason */
  char *reason;
  char *note;        /* READY: what is odd but works; NULL: nothing */
  library *lib;      /* READY */
  forge_probe probe; /* READY */
} loader_plugin;

typedef struct loader_backend {
  manifest m;
  forge_status status;     /* of the manifest; not OK: no plugin of it is used */
  char *reason;            /* for people, where status is not OK */
  const char *shadowed_by; /* the manifest that has the name, NULL if none */
  loader_plugin *plugins;  /* m.n_variants of them; NULL where status is not OK */
} loader_backend;

typedef struct loader_folder {
  char *path;
  const char *why; /* which rule named it */
  bool found;
} loader_folder;

typedef struct loader {
  loader_folder *folders;
  size_t n_folders, folders_cap;
  loader_backend **backends; /* in the order found */
  size_t n_backends, backends_cap;
  loader_backend **layers; /* manifests with [layer]; plugins has one entry */
  size_t n_layers, layers_cap;
  char isa[4096]; /* " word word .. " of this machine */
} loader;

/* |folders|: setting backend_path. Fails: E_CONFIG for a relative folder, E_OOM. */
forge_status loader_create(char *const *folders, size_t n, loader **out);
/* Shuts down libraries that no other loader uses. No device of them is open. */
void loader_free(loader *l);

/* The backend in use under a name, NULL if none. */
loader_backend *loader_find(const loader *l, const char *name);

/* Makes a plugin READY, or answers its verdict again. Fails: E_UNSUPPORTED (ISA), E_CORRUPT (hash),
 * E_ABI, E_NOT_FOUND, E_FAULT and E_TIMEOUT (in the child), the entry's or probe's own. */
forge_status loader_load(loader_backend *b, loader_plugin *p);

/* ---- layers ---- */

/* The layer in use under a name, NULL if none. */
loader_backend *loader_find_layer(const loader *l, const char *name);
/* Makes a layer READY, or answers its verdict again. Fails: as loader_load(). */
forge_status loader_layer_load(loader_backend *layer);
const forge_layer_v1 *library_layer(const library *lib);

/* A table a layer gave, adapted to full size. Fails: E_ABI for one that is too short. */
forge_status loader_adopt_table(const forge_backend_v1 *theirs, forge_backend_v1 *ours);
/* The services a backend got. */
const forge_host *library_host(const library *lib);
/* How often report() of a library was called on this thread; ctx as in its forge_host. */
uint64_t loader_report_count(void *ctx);

/* ---- libraries ---- */

/* Adapted: full size, no NULL slot. */
const forge_backend_v1 *library_table(const library *lib);
uint32_t library_minor(const library *lib);
const char *library_vendor(const library *lib);
const char *library_version(const library *lib);

/* For a child of fork() that ends a device of its parent: the library is not shut down in this
 * process any more, since its device was never closed here and its threads are not in it. */
void library_abandon(library *lib);

/* Turns a plugin's status into this thread's failure "|what|: <what the plugin reported>". */
forge_status loader_failed(const library *lib, forge_status status, const char *what);
/* After questions that a plugin may answer with E_UNSUPPORTED (blocks, queries): what it reported
 * with that is no reason for a later failure. */
void loader_forget_refusals(library *lib);

#endif
