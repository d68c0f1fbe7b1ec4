/* device.c -- opening, sharing and closing devices. */
#include <stdio.h>
#include <string.h>

#include "device_parts.h"

const forge_backend_v1 *device_table(const forge_device *d) { return d->table; }
forge_dev *device_handle(const forge_device *d) { return d->dev; }
const char *device_name(const forge_device *d) { return d->name; }
uint32_t device_fallback_policy(const forge_device *d) { return d->fallback; }

forge_status device_failed(forge_device *d, forge_status status, const char *what) {
  char place[160];
  snprintf(place, sizeof place, "%s: %s", d->name, what);
  if (status == FORGE_E_DEVICE_LOST) device_note_failed(d, status);
  return loader_failed(d->plugin->lib, status, place);
}

forge_status device_made(forge_device *d, forge_status status, const void *object,
                         const char *what) {
  if (status) return device_failed(d, status, what);
  if (object) return FORGE_OK;
  return FAIL(FORGE_E_INTERNAL, "%s: %s: the backend says it succeeded and gave nothing", d->name,
              what);
}

void device_retain(forge_device *d) { atomic_fetch_add(&d->refs, 1); }

void device_note_memory(forge_device *d, const char *tag, int64_t bytes) {
  if (!bytes || device_check_process(d)) return;
  pthread_mutex_lock(&d->memory_lock);
  pool_note(d->pool, tag, bytes);
  pthread_mutex_unlock(&d->memory_lock);
}

/* ---- memory blocks from the backend ---- */

static forge_status take_block(void *ctx, uint64_t bytes, forge_mem **out, forge_mem_out *info) {
  forge_device *d = ctx;
  const forge_mem_desc desc = {
      .size = sizeof desc, .kind = FORGE_MEM_DEVICE, .bytes = bytes, .align = POOL_ALIGN};
  const forge_status st = d->table->mem_alloc(d->dev, &desc, out, info);
  return device_made(d, st, *out, "mem_alloc");
}

static void give_block(void *ctx, forge_mem *mem) {
  const forge_device *d = ctx;
  d->table->mem_free(d->dev, mem);
}

/* ---- opening ---- */

static uint32_t fallback_of(const forge_runtime *r, bool named) {
  static const char *const names[] = {"auto", "error", "warn", "allow"};
  const char *word = settings_get(r->settings, "fallback")->text;
  for (uint32_t i = 1; i < COUNT_OF(names); i++)
    if (!strcmp(names[i], word)) return i; /* FORGE_FALLBACK_ERROR, _WARN, _ALLOW of program.h */
  return named ? 1 : 2;
}

static void find_blocks(forge_device *d) {
  const forge_block_hostreg_v0 *hostreg = layers_block(d, FORGE_BLOCK_HOSTREG, 0);
  if (hostreg && hostreg->n_slots >= 2 && hostreg->import && hostreg->release) d->hostreg = hostreg;
}

static void find_threads(forge_device *d) {
  forge_value value = {0};
  if (!d->table->dev_query(d->dev, FORGE_QUERY_THREADS, 0, &value) &&
      value.kind == FORGE_VALUE_U64 && value.status != FORGE_UNKNOWN)
    d->threads = (uint32_t)value.v.u;
}

/* Key, value, .. NULL of what is set for the backend's options; borrowed from the settings. */
static forge_status open_backend(forge_device *d) {
  const manifest *m = &d->backend->m;
  const char **kv = mem_zalloc_array(2 * m->n_options + 1, sizeof *kv);
  if (!kv) return FAIL(FORGE_E_OOM, "%s: no host memory", d->name);
  for (size_t i = 0, n = 0; i < m->n_options; i++) {
    char key[64];
    snprintf(key, sizeof key, "backend.%s.%s", m->name, m->options[i].name);
    const settings_item *item = settings_get(d->runtime->settings, key);
    if (!item) continue;
    kv[n++] = m->options[i].name;
    kv[n++] = item->text;
  }
  const forge_status st = d->table->dev_open(d->ordinal, kv, &d->dev);
  mem_free(kv);
  if (st) d->dev = NULL; /* whatever it left there is not ours to close */
  return device_made(d, st, d->dev, "dev_open");
}

static forge_status open_parts(forge_device *d) {
  uint64_t limit;
  forge_status st;
  TRY(catalog_memory_limit(d->runtime, d->backend, &d->info, &limit));
  TRY(open_backend(d));
  TRY(layers_open(d));
  if ((st = d->table->queue_create(d->dev, FORGE_QUEUE_COMPUTE, 0, &d->queue))) d->queue = NULL;
  TRY(device_made(d, st, d->queue, "queue_create"));
  if ((st = d->table->tl_create(d->dev, 0, (uint64_t)(uintptr_t)&d->listener, &d->tl)))
    d->tl = NULL;
  TRY(device_made(d, st, d->tl, "tl_create"));
  TRY(pool_create(&(pool_source){d, take_block, give_block}, limit, &d->pool));
  find_blocks(d);
  find_threads(d);
  loader_forget_refusals(d->plugin->lib);
  return FORGE_OK;
}

/* Child-first; fine on a device that was opened in part. In a child of fork() the backend's half
 * belongs to the parent and is left alone. */
static void destroy(forge_device *d) {
  if (!device_check_process(d)) {
    if (d->tl) forge_device_wait(d);
    pool_destroy(d->pool);
    if (d->queue) d->table->queue_destroy(d->queue);
    if (d->tl) d->table->tl_destroy(d->tl);
    if (d->dev) d->table->dev_close(d->dev);
  } else {
    library_abandon(d->plugin->lib);
    layers_abandon(d);
  }
  mem_free(d->layers);
  pthread_mutex_destroy(&d->memory_lock);
  runtime_release(d->runtime);
  mem_free(d);
}

static forge_status create(forge_runtime *r, loader_backend *b, loader_plugin *p,
                           const forge_dev_info *info, uint32_t ordinal, forge_device **out) {
  forge_device *d = mem_zalloc(sizeof *d);
  if (!d) return FAIL(FORGE_E_OOM, "%s: no host memory", b->m.name);
  *d = (forge_device){.table = library_table(p->lib),
                      .generation = process_generation,
                      .refs = 1,
                      .ordinal = ordinal,
                      .runtime = r,
                      .backend = b,
                      .plugin = p,
                      .listener = {device_notify},
                      .info = *info};
  catalog_device_name(b, p, ordinal, d->name);
  pthread_mutex_init(&d->memory_lock, NULL);
  atomic_fetch_add(&r->refs, 1);
  const forge_status st = open_parts(d);
  if (st) {
    destroy(d);
    return st;
  }
  d->next = r->devices;
  r->devices = d;
  *out = d;
  return FORGE_OK;
}

/* An open device once more; one that is about to close is not revived. */
static forge_device *find_open(const forge_runtime *r, const loader_plugin *p, uint32_t ordinal) {
  for (forge_device *d = r->devices; d; d = d->next) {
    uint32_t refs = atomic_load(&d->refs);
    if (d->plugin != p || d->ordinal != ordinal || d->generation != process_generation) continue;
    while (refs)
      if (atomic_compare_exchange_weak(&d->refs, &refs, refs + 1)) return d;
  }
  return NULL;
}

static forge_status open_ordinal(forge_runtime *r, loader_backend *b, loader_plugin *p,
                                 uint32_t ordinal, bool named, forge_device **out) {
  forge_dev_info info;
  const uint32_t n = p->probe.n_devices;
  if (!n)
    return FAIL(FORGE_E_NOT_FOUND, "%s has no device: %s", b->m.name,
                p->probe.why_not ? p->probe.why_not : "it does not say why");
  if (ordinal >= n)
    return FAIL(FORGE_E_NOT_FOUND, "%s has %u device%s, numbered from 0; there is no number %u",
                b->m.name, n, n == 1 ? "" : "s", ordinal);
  TRY(catalog_info(p, ordinal, &info));
  TRY(catalog_visible(r, b, p, ordinal, &info));
  const uint32_t fallback = fallback_of(r, named);
  *out = find_open(r, p, ordinal);
  if (!*out) {
    TRY(create(r, b, p, &info, ordinal, out));
    atomic_store(&(*out)->fallback, fallback);
  } else if (fallback < atomic_load(&(*out)->fallback)) {
    atomic_store(&(*out)->fallback, fallback); /* the strictest of those who opened it */
  }
  return FORGE_OK;
}

/* ---- by name ---- */

static forge_status not_found(const forge_runtime *r, const char *backend) {
  for (size_t i = 0; i < r->loader->n_backends; i++) { /* there, but refused */
    const loader_backend *b = r->loader->backends[i];
    if (b->status && b->m.name && !strcmp(b->m.name, backend))
      return FAIL(b->status, "%s", b->reason ? b->reason : "its manifest was refused");
  }
  text known = {0};
  catalog_list(r, &known);
  const forge_status st = FAIL(
      FORGE_E_NOT_FOUND, "no backend '%s' is installed; there is %s (`forge doctor` tells more)",
      backend, known.n ? known.s : "no device at all");
  text_finish(&known);
  return st;
}

static forge_status open_named(forge_runtime *r, const char *name, forge_device **out) {
  catalog_name parsed;
  loader_plugin *p;
  TRY(catalog_parse(name, &parsed));
  loader_backend *b = loader_find(r->loader, parsed.backend);
  if (!b) return not_found(r, parsed.backend);
  TRY(catalog_admit(r, b));
  TRY(catalog_plugin(b, parsed.variant, &p));
  return open_ordinal(r, b, p, parsed.ordinal, true, out);
}

/* The first that opens. What stands in the way of each is told when none does. */
static forge_status open_default(forge_runtime *r, forge_device **out) {
  loader_backend *order[64];
  const size_t n = catalog_order(r, order, COUNT_OF(order));
  text why = {0};
  for (size_t i = 0; i < n; i++) {
    loader_plugin *p;
    if (!catalog_is_candidate(r, order[i])) continue;
    forge_status st = catalog_plugin(order[i], "", &p);
    uint32_t ordinal = 0;
    while (!st) {
      st = open_ordinal(r, order[i], p, ordinal, false, out);
      if (!st) {
        text_finish(&why);
        return FORGE_OK;
      }
      if (++ordinal < p->probe.n_devices) st = FORGE_OK;
    }
    text_add(&why, "; %s: %s", order[i]->m.name, forge_error_last()->msg);
  }
  const forge_status st = FAIL(FORGE_E_NOT_FOUND, "no device can be used%s",
                               why.n ? why.s : "; no backend is installed (see `forge doctor`)");
  text_finish(&why);
  return st;
}

forge_status forge_device_open(forge_runtime *r, const char *name, forge_device **out_device) {
  if (!r) return FAIL(FORGE_E_INVALID, "forge_device_open needs a runtime");
  process_lock();
  const forge_status st =
      name && *name ? open_named(r, name, out_device) : open_default(r, out_device);
  process_unlock();
  return st;
}

void forge_device_close(forge_device *d) {
  if (!d || atomic_fetch_sub(&d->refs, 1) != 1) return;
  if (!device_check_process(d)) forge_device_wait(d); /* not while others wait for the lock */
  process_lock();
  forge_device **at = &d->runtime->devices;
  while (*at && *at != d) at = &(*at)->next;
  if (*at) *at = d->next;
  destroy(d);
  process_unlock();
}

forge_status forge_device_describe(forge_device *d, forge_device_info *info) {
  pool_account account = {0};
  if (!d || info->size < sizeof *info)
    return FAIL(FORGE_E_INVALID, "forge_device_describe: no device, or info->size is not set");
  TRY(device_check_process(d));
  pthread_mutex_lock(&d->memory_lock);
  pool_describe(d->pool, &account);
  pthread_mutex_unlock(&d->memory_lock);
  *info = (forge_device_info){.size = info->size,
                              .type = d->info.type,
                              .memory_total = d->info.mem_total,
                              .memory_limit = account.limit,
                              .memory_used = account.used,
                              .memory_peak = account.peak,
                              .memory_held = account.held,
                              .threads = d->threads};
  memcpy(info->name, d->name, sizeof info->name);
  memcpy(info->model, d->info.name, sizeof info->model);
  return FORGE_OK;
}
