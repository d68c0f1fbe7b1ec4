/* caches.c -- bugs of what is kept from one program, submit or device for the next, and of numbers
 * that do not fit where they are kept. */
#include <pthread.h>

#include "plant.h"

enum { KEPT = 128, MOST = 8 };

#if defined(BUG_CACHE_WITHOUT_ATTRIBUTES)
/* Programs share a kernel while one of the same shapes lives: the hash leaves attributes out. */
static struct {
  forge_prog *prog;
  forge_slot slot[MOST];
  uint32_t n_slots;
  uint64_t ops[64], bytes;
} kept[KEPT];

static uint64_t head_of(const void *record) {
  forge_op op;
  memcpy(&op, record, sizeof op);
  return (sizeof op + 4 * ((uint64_t)op.n_in + op.n_out) + 7) / 8 * 8;
}

static bool looks_like(int i, const forge_prog_desc *d) {
  return kept[i].prog && kept[i].n_slots == d->n_slots && kept[i].bytes == d->ops_bytes &&
         !memcmp(kept[i].slot, d->slots, d->n_slots * sizeof *d->slots) &&
         !memcmp(kept[i].ops, d->ops, head_of(d->ops));
}

static void keep(forge_prog *prog, const forge_prog_desc *d) {
  int i = 0;
  while (i < KEPT && kept[i].prog) i++;
  if (i == KEPT) return;
  kept[i].prog = prog;
  kept[i].n_slots = d->n_slots;
  kept[i].bytes = d->ops_bytes;
  memcpy(kept[i].slot, d->slots, d->n_slots * sizeof *d->slots);
  memcpy(kept[i].ops, d->ops, d->ops_bytes);
}

static forge_status create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                           forge_prog_out *info) {
  forge_prog_desc d = *desc;
  const bool small = d.n_ops == 1 && d.n_slots <= MOST && d.ops_bytes <= sizeof kept[0].ops;
  for (int i = 0; small && i < KEPT; i++)
    if (looks_like(i, desc)) d.ops = kept[i].ops;
  const forge_status status = sound->prog_create(dev, &d, out, info);
  if (!status && small && d.ops == desc->ops) keep(*out, desc);
  return status;
}

static void destroy(forge_prog *prog) {
  for (int i = 0; prog && i < KEPT; i++)
    if (kept[i].prog == prog) kept[i].prog = NULL;
  sound->prog_destroy(prog);
}

void plant(void) {
  planted.prog_create = create;
  planted.prog_destroy = destroy;
}

#elif defined(BUG_STALE_SCALARS) || defined(BUG_PACKED_ONCE)
/* What the first submit of a program said is taken for all: numbers of attributes that are scalars
 * (they went into the captured launch), or where its constants are (they were packed there). */
static struct {
  forge_prog *prog;
  forge_bind bind[MOST];
  uint64_t scalar[MOST];
} first[KEPT];

static forge_backend_v1 watched; /* with the shadows' functions */

static void destroy(forge_prog *prog) {
  for (int i = 0; prog && i < KEPT; i++)
    if (first[i].prog == prog) first[i].prog = NULL;
  watched.prog_destroy(prog);
}

/* Where |prog| is kept, or a free place for it; KEPT: there is none. */
static int place_for(const forge_prog *prog) {
  int i = 0;
  while (i < KEPT && first[i].prog != prog) i++;
  if (i < KEPT) return i;
  for (i = 0; i < KEPT && first[i].prog; i++) {
  }
  return i;
}

#if defined(BUG_STALE_SCALARS)
static void repeat(const shadow_program *p, int i, forge_bind *bind, uint64_t *scalar) {
  (void)bind;
  for (uint32_t k = 0; k < p->n_scalars; k++) {
    bool is_extent = false;
    for (uint32_t s = 0; s < p->n_slots; s++)
      for (int d = 0; d < p->slot[s].tensor.rank; d++)
        is_extent |= p->slot[s].tensor.dim_scalar[d] == k + 1;
    if (!is_extent) scalar[k] = first[i].scalar[k];
  }
}
#else
static void repeat(const shadow_program *p, int i, forge_bind *bind, uint64_t *scalar) {
  (void)scalar;
  for (uint32_t s = 0; s < p->n_slots; s++)
    if (p->slot[s].flags & FORGE_SLOT_CONSTANT)
      bind[p->slot[s].bind] = first[i].bind[p->slot[s].bind];
}
#endif

static forge_status submit(forge_queue *queue, forge_prog *prog, const forge_submit *order) {
  const shadow_program *p = shadow_program_of(prog);
  forge_bind bind[MOST] = {{NULL, 0, 0}};
  uint64_t scalar[MOST] = {0};
  forge_submit s = *order;
  const int i = place_for(prog);
  if (!p || i == KEPT || s.n_bind != p->n_bind || s.n_bind > MOST || s.n_scalar != p->n_scalars ||
      s.n_scalar > MOST)
    return sound->submit(queue, prog, order);
  if (s.n_bind) memcpy(bind, s.bind, s.n_bind * sizeof *bind);
  if (s.n_scalar) memcpy(scalar, s.scalar, s.n_scalar * sizeof *scalar);
  if (!first[i].prog) {
    first[i].prog = prog;
    memcpy(first[i].bind, bind, sizeof bind);
    memcpy(first[i].scalar, scalar, sizeof scalar);
  }
  repeat(p, i, bind, scalar);
  s.bind = bind;
  s.scalar = scalar;
  return sound->submit(queue, prog, &s);
}

void plant(void) {
  shadow_watch();
  watched = planted;
  planted.prog_destroy = destroy;
  planted.submit = submit;
}

#elif defined(BUG_32_BIT_OFFSETS)
/* Where a program's bindings begin is an int in the driver. */
static forge_status submit(forge_queue *queue, forge_prog *prog, const forge_submit *order) {
  forge_bind bind[64];
  forge_submit s = *order;
  for (uint32_t i = 0; i < s.n_bind && s.n_bind <= 64; i++) {
    bind[i] = s.bind[i];
    const shadow_block *block = shadow_of(bind[i].mem);
    if (block && bind[i].off < block->bytes) bind[i].off = (uint32_t)bind[i].off;
  }
  if (s.n_bind <= 64) s.bind = bind;
  return sound->submit(queue, prog, &s);
}
void plant(void) {
  shadow_watch();
  planted.submit = submit;
}

#elif defined(BUG_ONE_DEVICE)
/* The context is the library's: a second dev_open() gives the same one, dev_close() ends it. */
static forge_dev *only;
static forge_status open_only(uint32_t ordinal, const char *const *options, forge_dev **out) {
  const bool again = only && !ordinal && !options;
  const forge_status status = again ? FORGE_OK : sound->dev_open(ordinal, options, out);
  if (again) *out = only;
  if (!status) only = *out;
  return status;
}
static void close_only(forge_dev *dev) {
  if (dev == only) only = NULL;
  sound->dev_close(dev);
}
void plant(void) {
  planted.dev_open = open_only;
  planted.dev_close = close_only;
}

#elif defined(BUG_NOTIFIES_UNDER_LOCK)
/* One lock for everything, held while the core is told. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void notify(void *ctx, uint64_t cookie, uint64_t value, forge_status status) {
  pthread_mutex_lock(&lock);
  host->tl_notify(ctx, cookie, value, status);
  pthread_mutex_unlock(&lock);
}
static forge_status query(forge_tl *tl, uint64_t *out_value) {
  pthread_mutex_lock(&lock);
  const forge_status status = sound->tl_query(tl, out_value);
  pthread_mutex_unlock(&lock);
  return status;
}
void plant(void) {
  given.tl_notify = notify;
  planted.tl_query = query;
}
#endif
