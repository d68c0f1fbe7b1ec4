/* device_parts.h -- what the files of the device room share. */
#ifndef FORGE_DEVICE_PARTS_H
#define FORGE_DEVICE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "device.h"
#include "guard.h"
#include "loader.h"
#include "pool.h"
#include "settings.h"

struct forge_runtime {
  settings *settings;
  loader *loader;
  _Atomic uint32_t refs; /* the caller's and one per open device */
  forge_device *devices; /* open ones, under process_lock() */
};

/* One layer around an open device. */
typedef struct device_layer {
  library *lib;
  forge_dev *dev;         /* the outer one */
  forge_backend_v1 table; /* the outer one, full size */
} device_layer;

struct forge_device {
  /* what a submit touches; of the outermost layer where there is one */
  const forge_backend_v1 *table;
  forge_queue *queue;
  forge_tl *tl;
  uint32_t generation; /* of the process that opened it */
  guard turn;          /* calls on the queue, one at a time */
  _Atomic uint64_t submitted, reached;
  _Atomic forge_status failed; /* of the timeline, for good */
  /* the rest */
  _Atomic uint32_t refs, fallback;
  uint32_t ordinal, threads;
  forge_dev *dev;
  forge_listener listener; /* its address is the cookie of |tl| */
  device_layer *layers;    /* innermost first; none: NULL */
  size_t n_layers;
  forge_device *next;
  forge_runtime *runtime;
  loader_backend *backend;
  loader_plugin *plugin;
  const forge_block_hostreg_v0 *hostreg; /* NULL: the backend has no such block */
  pthread_mutex_t memory_lock;
  pool *pool;
  forge_dev_info info;
  char name[64];
};

/* ---- runtime.c ---- */

void runtime_release(forge_runtime *r);

/* ---- catalog.c: which devices there are and which of them may be used. Under process_lock(). ----
 */

/* "cpu/avx2:0" taken apart; variant "" if none. */
typedef struct catalog_name {
  char backend[32], variant[32];
  uint32_t ordinal;
} catalog_name;
/* Fails: E_INVALID with what a name looks like. */
forge_status catalog_parse(const char *name, catalog_name *out);

/* Backends that may be used, in order of preference. Returns their number, at most |max|. */
size_t catalog_order(const forge_runtime *r, loader_backend **out, size_t max);
/* True where the default device may be one of the backend's: the operator listed it, or its
 * manifest's priority is not negative. */
bool catalog_is_candidate(const forge_runtime *r, const loader_backend *b);
/* Fails: E_POLICY (not in `backends`, not enabled). */
forge_status catalog_admit(const forge_runtime *r, const loader_backend *b);
/* The plugin of a name, loaded. Fails: as loader_load(), E_NOT_FOUND. */
forge_status catalog_plugin(loader_backend *b, const char *variant, loader_plugin **out);
/* The plugin that "backend:0" stands for, loaded; NULL if there is none. */
loader_plugin *catalog_preferred(loader_backend *b);

/* "cpu/avx2:0" into |out|. */
void catalog_device_name(const loader_backend *b, const loader_plugin *p, uint32_t ordinal,
                         char out[64]);
/* "uuid:.." and "pci:0000:65:00.0"; "" where the device has none. */
void catalog_identity(const forge_dev_info *info, char uuid[48], char pci[32]);
/* Entries of visible and hidden: device names, uuid:.. and pci:.. in the form catalog_identity()
 * gives. Fails: E_CONFIG; a misspelt entry would hide nothing. */
forge_status catalog_check_list(const settings_item *list);
/* Fails: E_POLICY naming the setting and its origin. */
forge_status catalog_visible(const forge_runtime *r, const loader_backend *b,
                             const loader_plugin *p, uint32_t ordinal, const forge_dev_info *info);
/* dev_info() with the fields the core guarantees. */
forge_status catalog_info(const loader_plugin *p, uint32_t ordinal, forge_dev_info *out);
/* The memory limit the operator set for a device, 0: none. Fails: E_CONFIG (a percentage of an
 * unknown total). */
forge_status catalog_memory_limit(const forge_runtime *r, const loader_backend *b,
                                  const forge_dev_info *info, uint64_t *out);
/* What the configuration's first device is, without opening it; false: there is none. */
bool catalog_default(const forge_runtime *r, char out[64]);
/* Names of every device that may be used, for messages: "cpu/avx2:0, null:0". */
void catalog_list(const forge_runtime *r, text *out);

/* ---- time.c ---- */

/* Waits until |value| is reached. */
forge_status device_wait_value(forge_device *device, uint64_t value, uint64_t timeout_ns);
/* Queues |n| copies behind all work submitted so far and waits for them. */
forge_status device_copy_now(forge_device *device, const forge_copy *copies, uint32_t n);
/* The device's moments fail from now on; the first failure is the reason. */
void device_note_failed(forge_device *device, forge_status status);
/* The listener's. */
void device_notify(forge_listener *self, uint64_t value, forge_status status);

/* ---- layers.c: what the setting `layers` puts around a device. Under process_lock(). ---- */

/* Every layer listed is installed and sound. Fails: E_CONFIG with the nearest name, the manifest's
 * own verdict. */
forge_status layers_check(const forge_runtime *r);
/* Puts the layers in force around the backend's open device. Fails: as loader_layer_load(), and as
 * the layer says; the device is then still to be closed through its table. */
forge_status layers_open(forge_device *d);
/* The table of an optional block as it is above the layers; NULL: there is none. */
const void *layers_block(const forge_device *d, uint32_t id, uint32_t minor);
/* In a child of fork(): see library_abandon(). */
void layers_abandon(const forge_device *d);

/* ---- report.c, doctor.c: the caller frees the text ---- */

forge_status report_devices(forge_runtime *r, char **out);
forge_status report_config(forge_runtime *r, char **out);
forge_status report_doctor(forge_runtime *r, char **out);

#endif
