/* forge/layer.h -- what stands between the core and a device: a shared object that sees every call
 * of the table, and may refuse, count or change it. The operator switches layers on by name; one
 * that is not switched on is not loaded and costs nothing.
 *
 * A layer is a shared object with one exported symbol, forge_layer_entry_v1(), and a manifest with
 * a [layer] section. Each time a device is opened, open() of each layer in force is called, the
 * innermost first: it is given the table and the device below it ("inner") and answers with those
 * the caller above shall use ("outer"). What is outermost is what the core calls, directly.
 *
 * Rules. (1) The outer table is a copy of the inner one with slots replaced, and its n_slots is
 * FORGE_BACKEND_SLOTS as the layer was compiled. A slot may be left as it is only if every handle
 * it takes is the inner's own: a layer that wraps queues replaces each slot that takes a queue.
 * (2) The outer table and device live until the outer dev_close(), which closes the inner device.
 * (3) probe, get_block, shutdown, dev_info and dev_open of the outer table are not called.
 * (4) Optional blocks go through block(); a layer that does not know a block and wraps any handle
 * answers E_UNSUPPORTED. (5) All that backend.h asks of a backend a layer keeps: threads, errors,
 * order, no abort; and all that it asks of the core a layer keeps towards the inner device.
 * (6) Failures of its own are reported through forge_layer_open's |host|, so that the caller hears
 * them as the device's; lines for people go through either host. (7) In a child of fork() that
 * inherited an open device neither its dev_close() nor shutdown() is called.
 *
 * Versions are negotiated as for backends (backend.h). A layer sees the tables and structs of its
 * own minor, below it and above it, whatever its neighbours speak: the core translates. */
#ifndef FORGE_LAYER_H
#define FORGE_LAYER_H

#include "backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Behind every cookie of tl_create() stands one of these: the cookie is its address, and it lives
 * until tl_destroy() has returned. host's tl_notify() calls |reached| with the listener, value and
 * status it was given, on the thread that called it. So a layer that wants to hear of a timeline
 * first gives the inner one the address of a listener of its own, and passes on what it heard by
 * host->tl_notify() with the cookie that the outer one was made with, holding no lock that a table
 * function takes. */
typedef struct forge_listener {
  void (*reached)(struct forge_listener *self, uint64_t value, forge_status status);
} forge_listener;

/* Core to layer. */
typedef struct forge_layer_hello {
  uint32_t size, minor_min, minor_max, rsv; /* minors of the ABI this core speaks */
  const forge_host *host;                   /* outlives the layer */
} forge_layer_hello;

/* Layer to core. Zeroed and |size| set before the call. Strings live for ever. */
typedef struct forge_layer_reply {
  uint32_t size, minor_min, minor_max, sanitizer; /* as in forge_reply */
  uint64_t layout_id;                             /* FORGE_LAYOUT_ID as the layer was compiled */
  const char *name, *vendor, *version;            /* name as in the manifest */
  const struct forge_layer_v1 *table;
} forge_layer_reply;

/* What open() is given. All of it but |options| and |device| lives until the outer dev_close(). */
typedef struct forge_layer_open {
  uint32_t size, rsv;
  const char *device;            /* "cpu/avx2:0"; borrowed for the call */
  const char *const *options;    /* key, value, .. NULL as checked against the manifest; borrowed */
  const forge_backend_v1 *inner; /* no slot is NULL */
  forge_dev *inner_dev;
  const forge_host *host; /* the device's own services: what is reported here is its failure */
  /* A number that rises with each host->report() on the calling thread: the same before and after a
   * call of the inner table, nobody said why it failed. ctx: host->ctx. */
  uint64_t (*report_count)(void *ctx);
} forge_layer_open;

/* What open() answers; zeroed and |size| set before the call. */
typedef struct forge_layer_device {
  uint32_t size, rsv;
  const forge_backend_v1 *table;
  forge_dev *dev;
} forge_layer_device;

/* Append-only within a major, as the table of a backend is. The core calls these one at a time. */
typedef struct forge_layer_v1 {
  uint32_t n_slots, rsv; /* FORGE_LAYER_SLOTS */
  /* Called for each device, again each time one is opened. Fails: the device is not opened; the
   * layer has given back what it took and left the inner device open, which the core closes. */
  forge_status (*open)(const forge_layer_open *in, forge_layer_device *out);
  /* |inner| is the table of block |id| below the layer. Answers the one to be used above it, which
   * takes the outer handles, and may be |inner| itself; E_UNSUPPORTED: above there is none. Both
   * live until the outer dev_close(). May be called more than once for a block. */
  forge_status (*block)(forge_dev *dev, uint32_t id, uint32_t minor, const void *inner,
                        const void **out_table);
  /* No device is open. Joins every thread. May be NULL. */
  void (*shutdown)(void);
} forge_layer_v1;

#define FORGE_LAYER_SLOTS 3u

/* The one exported symbol. */
FORGE_BACKEND_ENTRY forge_status forge_layer_entry_v1(const forge_layer_hello *hello,
                                                      forge_layer_reply *reply);

#ifdef __cplusplus
}
#endif
#endif
