/* shadow.c -- see plant.h. Tables of fixed size: no allocation of ours shows in a leak check. */
#include <pthread.h>

#include "plant.h"

enum { BLOCKS = 4096, PROGRAMS = 64 };
static shadow_block blocks[BLOCKS];
static shadow_program programs[PROGRAMS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void (*spoiler)(done_op *op);

const shadow_block *shadow_of(const forge_mem *mem) {
  const shadow_block *found = NULL;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < BLOCKS && !found; i++)
    if (mem && blocks[i].mem == mem) found = &blocks[i];
  pthread_mutex_unlock(&lock);
  return found;
}

static void note_block(forge_mem *old, const shadow_block *new) {
  pthread_mutex_lock(&lock);
  for (int i = 0; i < BLOCKS; i++)
    if (blocks[i].mem == old) {
      blocks[i] = *new;
      break;
    }
  pthread_mutex_unlock(&lock);
}

static forge_status watch_alloc(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                                forge_mem_out *info) {
  const forge_status status = sound->mem_alloc(dev, desc, out, info);
  if (!status) note_block(NULL, &(shadow_block){*out, info->host_ptr, desc->bytes});
  return status;
}

static void watch_free(forge_dev *dev, forge_mem *mem) {
  if (mem) note_block(mem, &(shadow_block){0});
  sound->mem_free(dev, mem);
}

const shadow_program *shadow_program_of(const forge_prog *prog) {
  const shadow_program *found = NULL;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < PROGRAMS && !found; i++)
    if (prog && programs[i].prog == prog) found = &programs[i];
  pthread_mutex_unlock(&lock);
  return found;
}

/* Programs too large for the table are left alone. */
static void note_program(forge_prog *prog, const forge_prog_desc *d) {
  if (d->n_slots > SHADOW_SLOTS || d->ops_bytes > sizeof programs[0].ops) return;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < PROGRAMS; i++) {
    shadow_program *p = &programs[i];
    if (p->prog) continue;
    *p = (shadow_program){.prog = prog,
                          .n_slots = d->n_slots,
                          .n_ops = d->n_ops,
                          .n_bind = d->n_bind,
                          .n_scalars = d->n_scalars,
                          .flags = d->flags};
    if (d->n_slots) memcpy(p->slot, d->slots, d->n_slots * sizeof *d->slots);
    if (d->ops_bytes) memcpy(p->ops, d->ops, d->ops_bytes);
    break;
  }
  pthread_mutex_unlock(&lock);
}

static forge_status watch_create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                                 forge_prog_out *info) {
  const forge_status status = sound->prog_create(dev, desc, out, info);
  if (!status) note_program(*out, desc);
  return status;
}

static void watch_destroy(forge_prog *prog) {
  shadow_program *p = (shadow_program *)shadow_program_of(prog);
  if (p) p->prog = NULL;
  sound->prog_destroy(prog);
}

void shadow_watch(void) {
  planted.mem_alloc = watch_alloc;
  planted.mem_free = watch_free;
  planted.prog_create = watch_create;
  planted.prog_destroy = watch_destroy;
}

/* ---- ops ---- */

int64_t elements_of(const forge_tensor *t) {
  int64_t n = 1;
  for (int k = 0; k < t->rank; k++) n *= t->dim[k];
  return n;
}

static int64_t element_bytes(uint8_t dtype) {
  return dtype == FORGE_I8 ? 1 : dtype == FORGE_F16 || dtype == FORGE_BF16 ? 2 : 4;
}

int64_t place_of(const forge_tensor *t, int64_t i) {
  int64_t at = 0;
  for (int k = t->rank - 1; k >= 0; k--) {
    at += i % t->dim[k] * t->stride[k];
    i /= t->dim[k];
  }
  return at * element_bytes(t->dtype);
}

float *f32_at(const done_op *op, uint32_t k, int64_t i) {
  return (float *)(void *)(op->data[k] + place_of(&op->t[k], i));
}

static void resolve(const shadow_program *p, const forge_submit *order, uint32_t id, done_op *op,
                    uint32_t k) {
  op->t[k] = (forge_tensor){0};
  op->data[k] = NULL;
  if (id == FORGE_SLOT_NONE || id >= p->n_slots) return;
  const forge_slot *slot = &p->slot[id];
  const forge_bind *bind = &order->bind[slot->bind];
  const shadow_block *block = shadow_of(bind->mem);
  if (!block) return;
  op->t[k] = slot->tensor;
  for (int d = 0; d < slot->tensor.rank; d++)
    if (slot->tensor.dim_scalar[d])
      op->t[k].dim[d] = (int64_t)order->scalar[slot->tensor.dim_scalar[d] - 1];
  op->data[k] = block->data + bind->off + slot->offset;
}

static void spoil_program(const shadow_program *p, const forge_submit *order) {
  const uint8_t *at = (const uint8_t *)p->ops;
  for (uint32_t i = 0; i < p->n_ops; i++) {
    forge_op head;
    uint32_t ids[8];
    memcpy(&head, at, sizeof head);
    const uint32_t n = head.n_in + head.n_out;
    done_op op = {.op = head.op, .n_in = head.n_in, .n_out = head.n_out, .flags = p->flags};
    op.attr = at + sizeof head + ((n * sizeof *ids + 7) & ~(size_t)7);
    if (n <= 8) {
      memcpy(ids, at + sizeof head, n * sizeof *ids);
      for (uint32_t k = 0; k < n; k++) resolve(p, order, ids[k], &op, k);
      spoiler(&op);
    }
    at += head.bytes;
  }
}

static forge_status submit_and_spoil(forge_queue *queue, forge_prog *prog,
                                     const forge_submit *order) {
  const shadow_program *p = shadow_program_of(prog);
  forge_submit quiet = *order, rest = {.size = sizeof rest};
  quiet.n_signal = 0;
  rest.n_signal = order->n_signal;
  rest.signal = order->signal;
  const forge_status status = sound->submit(queue, prog, p ? &quiet : order);
  if (status || !p) return status;
  spoil_program(p, order);
  return sound->copy(queue, NULL, 0, &rest);
}

void after_each_op(void (*spoil)(done_op *op)) {
  spoiler = spoil;
  shadow_watch();
  planted.submit = submit_and_spoil;
}
