/* plant.h -- planted bugs: a sound plugin whose table is wrapped by one defect, as a wrong line in
 * a vendor's source would change it. Each library is the sound plugin (its entry renamed to
 * sound_entry), entry.c, shadow.c, later.c and one file of bugs, compiled with -DBUG_<NAME>;
 * bugs.csv says which file, what was planted and which test has to catch it.
 *
 * A bug defines plant(), which changes slots of |planted|, and services of |given| that the sound
 * plugin gets. */
#ifndef BUGS_PLANT_H
#define BUGS_PLANT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <forge/backend.h>

extern const forge_backend_v1 *sound; /* the sound plugin's own table */
extern forge_backend_v1 planted;      /* what is handed out; a copy of |sound| until plant() */
extern const forge_host *host;        /* the services as they came */
extern forge_host given;              /* what the sound plugin is given; a copy until plant() */

forge_status sound_entry(const forge_hello *hello, forge_reply *reply);
void plant(void);

forge_status refuse(forge_status status, const char *msg); /* reports and returns |status| */

/* ---- shadow.c: what the blocks and programs are, seen from outside ---- */

/* Follows mem_alloc, mem_free, prog_create and prog_destroy; call it in plant(). */
void shadow_watch(void);
typedef struct shadow_block {
  forge_mem *mem;
  uint8_t *data;
  uint64_t bytes;
} shadow_block;
const shadow_block *shadow_of(const forge_mem *mem);

enum { SHADOW_SLOTS = 64, SHADOW_WORDS = 1024 };
typedef struct shadow_program {
  forge_prog *prog;
  uint32_t n_slots, n_ops, n_bind, n_scalars, flags;
  forge_slot slot[SHADOW_SLOTS];
  uint64_t ops[SHADOW_WORDS];
} shadow_program;
const shadow_program *shadow_program_of(const forge_prog *prog);

/* One op of a submit that has just been computed. Absent tensors have no data. */
typedef struct done_op {
  uint16_t op;
  const void *attr;
  uint32_t n_in, n_out, flags; /* flags of the program */
  forge_tensor t[8];           /* inputs, then outputs; extents as of this submit */
  uint8_t *data[8];
} done_op;
/* Wraps submit: |spoil| is called for each op when it has been computed, before the signals. */
void after_each_op(void (*spoil)(done_op *op));

int64_t elements_of(const forge_tensor *t);
/* Byte offset of element |i| in row-major order, for types that are no block types. */
int64_t place_of(const forge_tensor *t, int64_t i);
/* The element as a float; F32 only. */
float *f32_at(const done_op *op, uint32_t k, int64_t i);
static inline const forge_tensor *output_of(const done_op *op) { return &op->t[op->n_in]; }

/* ---- later.c: the same plugin with a thread for each queue ---- */

/* What is done wrong; all false is a sound asynchronous plugin. */
typedef struct later_wrong {
  bool ignores_waits, signals_first, reads_arrays_late;
} later_wrong;
void later_watch(later_wrong wrong); /* shadow_watch() included */

#endif
