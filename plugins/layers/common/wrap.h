/* wrap.h -- a device with every slot passed on: a layer replaces the slots it cares for. Memory
 * handles stay the inner's own; devices, queues, timelines and programs are wrapped, so that a call
 * that names only a queue is known to belong to this device.
 *
 * A layer's own structs begin with the ones below and say their size at wrap_open(). */
#ifndef FORGE_LAYER_WRAP_H
#define FORGE_LAYER_WRAP_H

#include "kit.h"

typedef struct wrap_dev {
  const forge_backend_v1 *inner;
  forge_dev *dev; /* the inner one */
  const forge_host *host;
  uint64_t (*report_count)(void *ctx);
  const forge_block_hostreg_v0 *hostreg; /* the inner's; NULL: none */
  const forge_block_testing_v0 *testing;
  size_t queue_bytes, tl_bytes, prog_bytes; /* of the layer's own structs */
  forge_backend_v1 table;                   /* the outer one */
  char name[64];
} wrap_dev;

typedef struct wrap_queue {
  wrap_dev *d;
  forge_queue *inner;
} wrap_queue;

typedef struct wrap_prog {
  wrap_dev *d;
  forge_prog *inner;
} wrap_prog;

typedef struct wrap_tl {
  forge_listener listener; /* what the inner timeline's cookie points to */
  wrap_dev *d;
  forge_tl *inner;
  uint64_t cookie; /* the outer one */
} wrap_tl;

static inline wrap_dev *wrap_of_dev(forge_dev *dev) { return (wrap_dev *)(void *)dev; }
static inline wrap_queue *wrap_of_queue(forge_queue *q) { return (wrap_queue *)(void *)q; }
static inline wrap_prog *wrap_of_prog(forge_prog *p) { return (wrap_prog *)(void *)p; }
static inline wrap_tl *wrap_of_tl(forge_tl *tl) { return (wrap_tl *)(void *)tl; }

/* A zeroed device of |dev_bytes| around |in|, all slots passed on; NULL: no memory. The layer sets
 * the sizes of its other structs and its slots in ->table. */
wrap_dev *wrap_open(const forge_layer_open *in, size_t dev_bytes);
void wrap_answer(wrap_dev *d, forge_layer_device *out);

/* The slots as they pass on, to be called from a layer's own. */
void wrap_dev_close(forge_dev *dev);
forge_status wrap_queue_create(forge_dev *dev, uint32_t kind, int32_t priority, forge_queue **out);
void wrap_queue_destroy(forge_queue *queue);
forge_status wrap_tl_create(forge_dev *dev, uint64_t initial, uint64_t cookie, forge_tl **out);
void wrap_tl_destroy(forge_tl *tl);
forge_status wrap_prog_create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                              forge_prog_out *info);
void wrap_prog_destroy(forge_prog *prog);
/* HOSTREG and TESTING take a device and memory only; other blocks are not known here. */
forge_status wrap_block(forge_dev *dev, uint32_t id, uint32_t minor, const void *inner,
                        const void **out_table);
/* Replaces import and release of HOSTREG for the layer; NULL: passed on. */
extern const forge_block_hostreg_v0 *wrap_hostreg;

/* An order with inner handles; |extra| more signals can be appended to it. */
enum { WRAP_POINTS = 12 };
typedef struct wrap_order {
  forge_submit inner;
  forge_point small[WRAP_POINTS];
  forge_point *points;
} wrap_order;
/* Fails: E_OOM. |order| may be NULL. */
forge_status wrap_order_init(wrap_order *w, const forge_submit *order, uint32_t extra,
                             const forge_host *host);
void wrap_order_signal(wrap_order *w, forge_tl *inner, uint64_t value);
void wrap_order_finish(wrap_order *w);

#endif
