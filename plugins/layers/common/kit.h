/* kit.h -- what the layers of this folder share: words for failures, options, facts about ops and
 * views. A layer of another house needs none of it. */
#ifndef FORGE_LAYER_KIT_H
#define FORGE_LAYER_KIT_H

#include <stdbool.h>

#include <forge/layer.h>

#define KIT_COUNT(array)    (sizeof(array) / sizeof((array)[0]))
#define KIT_PRINTF(fmt, at) __attribute__((format(printf, fmt, at)))

/* The layer's own services: set by its entry. Host memory of every layer comes from here. */
extern const forge_host *kit_host;

/* Fills the reply of an entry; false: the core speaks no minor the layer knows. */
bool kit_greet(const forge_layer_hello *hello, forge_layer_reply *reply, const char *name,
               const forge_layer_v1 *table);

void *kit_zalloc(size_t bytes); /* NULL when there is none */
void kit_free(void *p);
/* Room for one more in an array that doubles; false when memory is out. */
bool kit_grow(void **items, size_t *cap, size_t item_bytes, size_t need);
#define KIT_GROW(items, n, cap)                                                                    \
  ((n) < (cap) || kit_grow((void **)&(items), &(cap), sizeof *(items), (n) + 1))

/* Reports through |host| and returns |status|. */
forge_status kit_fail(const forge_host *host, forge_status status, const char *format, ...)
    KIT_PRINTF(3, 4);
void kit_log(const forge_host *host, int32_t level, const char *format, ...) KIT_PRINTF(3, 4);

/* The value of an option, |fallback| if it is not given. */
const char *kit_option(const char *const *options, const char *name, const char *fallback);
uint64_t kit_option_u64(const char *const *options, const char *name, uint64_t fallback);
bool kit_option_bool(const char *const *options, const char *name);

uint64_t kit_now_ns(void); /* monotonic */

/* ---- ops ---- */

typedef struct kit_op {
  const char *name;
  int8_t n_in, n_out;                /* -1: one or more */
  uint8_t optional_in, optional_out; /* bit k */
  uint8_t inplace;                   /* bit k: output k may be input k */
  uint8_t attr_bytes;                /* of version 1 */
} kit_op;
/* NULL for a number that is no op. */
const kit_op *kit_op_find(uint16_t op);
const char *kit_op_name(uint16_t op); /* "no op" */

/* The slot ids of a record: inputs, then outputs. */
const uint32_t *kit_op_ids(const forge_op *op);
/* The record behind |op|. */
const forge_op *kit_op_next(const forge_op *op);

/* ---- views ---- */

/* Elements and bytes of one block of a type; 0 for no type. */
uint32_t kit_block_elems(uint8_t dtype);
uint32_t kit_block_bytes(uint8_t dtype);
const char *kit_dtype_name(uint8_t dtype);
/* What a place of the type must be a multiple of. */
uint32_t kit_dtype_align(uint8_t dtype);
/* Bytes from a view's first element past its last, 0 for an empty one; false when that does not
 * fit 64 bits. */
bool kit_view_span(const forge_tensor *t, uint64_t *out_bytes);
/* Elements of a view. */
bool kit_view_elems(const forge_tensor *t, uint64_t *out);

#endif
