/* harness.h -- a device of a plugin with layers around it, driven straight through the outer table,
 * without a core: the host's services are the test's, and keep what was said. */
#ifndef FORGE_TEST_HARNESS_H
#define FORGE_TEST_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <forge/layer.h>

enum { MAX_LAYERS = 3 };

typedef struct harness {
  const forge_backend_v1 *t, *inner; /* the outermost table, and the plugin's */
  forge_dev *dev, *inner_dev;
  const forge_layer_v1 *layers[MAX_LAYERS];
  forge_dev *outer[MAX_LAYERS]; /* innermost first */
  int n_layers;
} harness;

/* |plugin|: "null", "cpu-portable", or the path of a library; |layers|: names, innermost first,
 * NULL-terminated; |options|: of all of them. */
void harness_open(harness *h, const char *plugin, const char *const *layers,
                  const char *const *options);
/* The same where opening is to fail; returns the status of the layer that refused. */
forge_status harness_try(harness *h, const char *plugin, const char *const *layers,
                         const char *const *options);
void harness_close(harness *h);
/* HOSTREG through the layers; NULL: none. */
const void *harness_block(const harness *h, uint32_t id);

/* What was reported or logged last, and all of it since harness_forget(). */
extern char harness_said[1 << 16];
extern _Atomic int harness_notified; /* calls of tl_notify that came to the test's own cookie */
void harness_forget(void);
/* While other threads may still say something. */
int harness_has(const char *words);
#define assert_said(words)                                                                         \
  do {                                                                                             \
    if (!strstr(harness_said, words)) fail_msg("expected '%s' in: %s", words, harness_said);       \
  } while (0)
#define assert_silent()                                                                            \
  do {                                                                                             \
    if (harness_said[0]) fail_msg("said: %s", harness_said);                                       \
  } while (0)

/* ---- short ways ---- */

forge_mem *make_memory(harness *h, uint64_t bytes);
forge_queue *make_queue(harness *h);
forge_tl *make_timeline(harness *h);
/* y = x of |n| f32, in bindings 0 and 1. */
forge_prog *make_copy_program(harness *h, int64_t n);
/* The description of make_copy_program(), to be spoilt. Valid until the next call. */
forge_prog_desc *copy_description(int64_t n);
extern forge_slot copy_slots[2];
typedef struct copy_record {
  forge_op op;
  uint32_t ids[2];
} copy_record;
extern copy_record copy_op;

typedef struct order {
  forge_submit s;
  forge_bind bind[4];
  forge_point wait[2], signal[2];
} order;
/* Binds x and y, signals |tl| at |value| if that is not NULL. */
void fill_order(order *o, forge_mem *x, forge_mem *y, uint64_t bytes, forge_tl *tl, uint64_t value);

#endif
