/* device.c -- opening, closing, memory and the optional blocks. */
#include <stdio.h>
#include <string.h>

#include "validate.h"

/* ---- memory ---- */

static forge_status check_desc(const call *c, const forge_mem_desc *m) {
  if (m->size < sizeof *m) return wrong(c, "desc->size is %u; set it to sizeof *desc", m->size);
  if (m->kind < FORGE_MEM_DEVICE || m->kind > FORGE_MEM_HOST_SHARED)
    return wrong(c, "kind %u is no FORGE_MEM_*", m->kind);
  if (!m->bytes) return wrong(c, "0 bytes asked for; a block has at least one");
  if (m->align & (m->align - 1))
    return wrong(c, "alignment %llu is no power of two", (unsigned long long)m->align);
  if (m->flags || m->export_caps)
    return wrong(c, "flags %x and export_caps %x must be 0", m->flags, m->export_caps);
  return FORGE_OK;
}

static forge_status keep_memory(const call *c, vmem *m, forge_mem **out) {
  if (!object_publish(c, &m->o)) return FORGE_E_OOM;
  *out = (forge_mem *)(void *)m;
  return FORGE_OK;
}

static forge_status v_mem_alloc(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                                forge_mem_out *info) {
  call c;
  if (!begin(dev, "mem_alloc", &c)) return FORGE_E_INVALID;
  if (!desc || !out || !info) return refuse(&c, "desc, out and info must not be NULL");
  forge_status st = check_desc(&c, desc);
  if (st) return st;
  vmem *m = object_create(&c, OBJECT_MEMORY, sizeof *m);
  if (!m) return FORGE_E_OOM;
  m->bytes = desc->bytes;
  m->writable = true;
  st = c.d->inner->mem_alloc(c.d->dev, desc, &m->inner, info);
  st = judge_made(&c, st, m->inner);
  if (!st && desc->align && info->host_ptr && (uintptr_t)info->host_ptr % desc->align)
    complain(&c, "the backend gave %p, which is not aligned to %llu", info->host_ptr,
             (unsigned long long)desc->align);
  if (!st && (st = keep_memory(&c, m, out))) c.d->inner->mem_free(c.d->dev, m->inner);
  if (st) kit_free(m);
  return st;
}

static void let_go(forge_dev *dev, forge_mem *mem, const char *name, bool imported) {
  call c;
  if (!mem || !begin(dev, name, &c)) return;
  vmem *m = (vmem *)(void *)find(&c, mem, OBJECT_MEMORY, "memory");
  if (!m) return;
  if (m->imported != imported)
    complain(&c, "memory %u was %s; end it with %s", m->o.number,
             m->imported ? "imported" : "allocated", m->imported ? "release" : "mem_free");
  if (m->imported != imported) return;
  if (object_in_use(&c, &m->o, "freed") && c.d->refuses) return;
  object_bury(&c, &m->o);
  if (imported)
    c.d->hostreg->release(c.d->dev, m->inner);
  else
    c.d->inner->mem_free(c.d->dev, m->inner);
}

static void v_mem_free(forge_dev *dev, forge_mem *mem) { let_go(dev, mem, "mem_free", false); }

/* ---- blocks ---- */

static forge_status v_import(forge_dev *dev, void *host, uint64_t bytes, uint32_t writable,
                             forge_mem **out, forge_mem_out *info) {
  call c;
  if (!begin(dev, "import", &c)) return FORGE_E_INVALID;
  if (!out || !info) return refuse(&c, "out and info must not be NULL");
  forge_status st = FORGE_OK;
  if (!host || !bytes)
    st = wrong(&c, "host pages at %p, %llu bytes: nothing to import", host,
               (unsigned long long)bytes);
  else if ((uintptr_t)host % 4096)
    st = wrong(&c, "host pages begin at %p, which is no page's start", host);
  if (st) return st;
  vmem *m = object_create(&c, OBJECT_MEMORY, sizeof *m);
  if (!m) return FORGE_E_OOM;
  m->bytes = bytes;
  m->imported = true;
  m->writable = writable != 0;
  st = c.d->hostreg->import(c.d->dev, host, bytes, writable, &m->inner, info);
  st = judge_made(&c, st, m->inner);
  if (!st && (st = keep_memory(&c, m, out))) c.d->hostreg->release(c.d->dev, m->inner);
  if (st) kit_free(m);
  return st;
}

static void v_release(forge_dev *dev, forge_mem *mem) { let_go(dev, mem, "release", true); }

static forge_status v_lose(forge_dev *dev) {
  call c;
  if (!begin(dev, "lose", &c)) return FORGE_E_INVALID;
  c.d->lost = true;
  return c.d->testing->lose(c.d->dev);
}

static const forge_block_hostreg_v0 hostreg = {
    .n_slots = 2, .import = v_import, .release = v_release};
static const forge_block_testing_v0 testing = {.n_slots = 1, .lose = v_lose};

forge_status v_block(forge_dev *dev, uint32_t id, uint32_t minor, const void *inner,
                     const void **out_table) {
  vdev *d = (vdev *)(void *)dev;
  (void)minor;
  if (id == FORGE_BLOCK_HOSTREG) {
    d->hostreg = inner;
    *out_table = &hostreg;
  } else if (id == FORGE_BLOCK_TESTING) {
    d->testing = inner;
    *out_table = &testing;
  } else {
    return FORGE_E_UNSUPPORTED;
  }
  return FORGE_OK;
}

/* ---- closing ---- */

/* "memory 3 and 7, program 1" into |out|; the number of all. */
static uint32_t list_alive(const vdev *d, char *out, size_t size) {
  uint32_t n = 0;
  size_t at = 0;
  out[0] = 0;
  for (const object *o = d->objects; o; o = o->next) {
    if (o->died) continue;
    if (n++ < 8 && at < size)
      at += (size_t)snprintf(out + at, size - at, "%s%s %u (made by call %llu)", n > 1 ? ", " : "",
                             kind_name(o->kind), o->number, (unsigned long long)o->born);
  }
  return n;
}

/* What was left goes first, children before parents, so that the backend sees the right order. */
static void end_leftovers(vdev *d) {
  static const uint32_t order[] = {OBJECT_PROGRAM, OBJECT_MEMORY, OBJECT_QUEUE, OBJECT_TIMELINE};
  for (object *o = d->objects; o; o = o->next)
    if (o->kind == OBJECT_TIMELINE && !o->died)
      d->inner->tl_wait(((vtl *)(void *)o)->inner, ((vtl *)(void *)o)->promised, 1000000000u);
  for (size_t k = 0; k < KIT_COUNT(order); k++)
    for (object *o = d->objects; o; o = o->next) {
      if (o->died || o->kind != order[k]) continue;
      const vmem *m = (const vmem *)(void *)o;
      if (o->kind == OBJECT_PROGRAM) d->inner->prog_destroy(((vprog *)(void *)o)->inner);
      if (o->kind == OBJECT_QUEUE) d->inner->queue_destroy(((vqueue *)(void *)o)->inner);
      if (o->kind == OBJECT_TIMELINE) d->inner->tl_destroy(((vtl *)(void *)o)->inner);
      if (o->kind == OBJECT_MEMORY && m->imported) d->hostreg->release(d->dev, m->inner);
      if (o->kind == OBJECT_MEMORY && !m->imported) d->inner->mem_free(d->dev, m->inner);
    }
}

static void free_books(vdev *d) {
  for (object *o = d->objects; o;) {
    object *next = o->next;
    if (o->kind == OBJECT_PROGRAM) prog_release((vprog *)(void *)o);
    if (o->kind == OBJECT_TIMELINE) tl_release((vtl *)(void *)o);
    if (o->kind == OBJECT_QUEUE) works_end((vqueue *)(void *)o);
    kit_free(o);
    o = next;
  }
  pthread_mutex_destroy(&d->lock);
  kit_free(d);
}

static void v_dev_close(forge_dev *dev) {
  call c;
  char alive[400];
  if (!dev || !begin(dev, "dev_close", &c)) return;
  vdev *d = c.d;
  const uint32_t n = list_alive(d, alive, sizeof alive);
  if (n)
    complain(&c, "%u object%s still alive: %s%s; destroy what a device made before the device", n,
             n == 1 ? " is" : "s are", alive, n > 8 ? ", .." : "");
  if (n) end_leftovers(d);
  registry_forget(d);
  d->inner->dev_close(d->dev);
  const uint64_t problems = d->problems;
  kit_log(d->host, problems ? FORGE_LOG_WARN : FORGE_LOG_INFO,
          "validate: %s closed after %llu calls, %llu problem%s", d->name,
          (unsigned long long)c.number, (unsigned long long)problems, problems == 1 ? "" : "s");
  free_books(d);
}

/* ---- opening ---- */

static forge_status v_dev_query(forge_dev *dev, uint32_t key, uint64_t arg, forge_value *out) {
  call c;
  if (!begin(dev, "dev_query", &c)) return FORGE_E_INVALID;
  if (!out) return refuse(&c, "no place for the value: |out| is NULL");
  const forge_status st = c.d->inner->dev_query(c.d->dev, key, arg, out);
  if (!st && (out->kind < FORGE_VALUE_U64 || out->kind > FORGE_VALUE_STRING))
    complain(&c, "the backend answered key %u with a value of kind %u, which is none", key,
             out->kind);
  return st;
}

static const forge_backend_v1 slots = {
    .n_slots = FORGE_BACKEND_SLOTS,
    .dev_close = v_dev_close,
    .dev_query = v_dev_query,
    .mem_alloc = v_mem_alloc,
    .mem_free = v_mem_free,
    .queue_create = v_queue_create,
    .queue_destroy = v_queue_destroy,
    .tl_create = v_tl_create,
    .tl_destroy = v_tl_destroy,
    .tl_query = v_tl_query,
    .tl_wait = v_tl_wait,
    .op_support = v_op_support,
    .prog_create = v_prog_create,
    .prog_destroy = v_prog_destroy,
    .submit = v_submit,
    .copy = v_copy,
};

forge_status v_open(const forge_layer_open *in, forge_layer_device *out) {
  const char *action = kit_option(in->options, "action", "refuse");
  if (strcmp(action, "refuse") != 0 && strcmp(action, "log") != 0)
    return kit_fail(in->host, FORGE_E_CONFIG, "action = '%s' must be refuse or log", action);
  vdev *d = kit_zalloc(sizeof *d);
  if (!d) return kit_fail(in->host, FORGE_E_OOM, "validate: no host memory");
  d->o = (object){.kind = OBJECT_DEVICE, .number = 1, .d = d};
  d->inner = in->inner;
  d->dev = in->inner_dev;
  d->host = in->host;
  d->report_count = in->report_count;
  d->refuses = !strcmp(action, "refuse");
  d->races = kit_option_bool(in->options, "races");
  snprintf(d->name, sizeof d->name, "%s", in->device);
  pthread_mutex_init(&d->lock, NULL);
  registry_open();
  if (!registry_add(&d->o)) {
    kit_free(d);
    return kit_fail(in->host, FORGE_E_OOM, "validate: no host memory");
  }
  out->table = &slots;
  out->dev = (forge_dev *)(void *)d;
  return FORGE_OK;
}
