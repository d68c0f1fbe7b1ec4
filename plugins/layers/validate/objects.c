/* objects.c -- the registry of handles, and the words for what is wrong with one. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "validate.h"

/* ---- words ---- */

static void word(const call *c, char *out, size_t size, const char *format, va_list args) {
  char text[512];
  vsnprintf(text, sizeof text, format, args);
  atomic_fetch_add(&c->d->problems, 1);
  snprintf(out, size, "validate: %s (call %llu on %s): %s", c->name, (unsigned long long)c->number,
           c->d->name, text);
}

forge_status wrong(const call *c, const char *format, ...) {
  char msg[700];
  va_list args;
  va_start(args, format);
  word(c, msg, sizeof msg, format, args);
  va_end(args);
  if (c->d->refuses) return kit_fail(c->d->host, FORGE_E_INVALID, "%s", msg);
  kit_log(c->d->host, FORGE_LOG_ERROR, "%s", msg);
  return FORGE_OK;
}

forge_status refuse(const call *c, const char *format, ...) {
  char msg[700];
  va_list args;
  va_start(args, format);
  word(c, msg, sizeof msg, format, args);
  va_end(args);
  if (!c->d->refuses) kit_log(c->d->host, FORGE_LOG_ERROR, "%s", msg);
  return kit_fail(c->d->host, FORGE_E_INVALID, "%s", msg);
}

void complain(const call *c, const char *format, ...) {
  char msg[700];
  va_list args;
  va_start(args, format);
  word(c, msg, sizeof msg, format, args);
  va_end(args);
  kit_log(c->d->host, FORGE_LOG_ERROR, "%s", msg);
}

const char *kind_name(uint32_t kind) {
  static const char *const names[] = {"nothing", "device",   "memory",
                                      "queue",   "timeline", "program"};
  return kind < KIT_COUNT(names) ? names[kind] : names[0];
}

/* ---- the registry: addresses of all objects of all open devices, open addressing ---- */

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static object **slots;
static size_t n_slots, n_used;
static object *const grave = (object *)(uintptr_t)8; /* a slot that was used */

static size_t place_of(const void *p) {
  return (size_t)(((uint64_t)(uintptr_t)p >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 20) &
         (n_slots - 1);
}

static object *look_up(const void *p) {
  for (size_t i = n_slots ? place_of(p) : 0; n_slots && slots[i]; i = (i + 1) & (n_slots - 1))
    if (slots[i] == p) return slots[i];
  return NULL;
}

static void put(object *o) {
  size_t i = place_of(o);
  while (slots[i]) i = (i + 1) & (n_slots - 1);
  slots[i] = o;
  n_used++;
}

static bool rehash(void) {
  object **old = slots;
  const size_t n = n_slots;
  size_t alive = 0;
  for (size_t i = 0; i < n; i++) alive += old[i] && old[i] != grave;
  size_t bigger = 256;
  while (bigger < alive * 4) bigger *= 2;
  object **fresh = kit_zalloc(bigger * sizeof(object *));
  if (!fresh) return false;
  slots = fresh;
  n_slots = bigger;
  n_used = 0;
  for (size_t i = 0; i < n; i++)
    if (old[i] && old[i] != grave) put(old[i]);
  kit_free((void *)old);
  return true;
}

void registry_open(void) {
  static pid_t process;
  if (process && process != getpid()) {
    pthread_mutex_init(&registry_lock, NULL);
    slots = NULL;
    n_slots = n_used = 0;
  }
  process = getpid();
}

bool registry_add(object *o) {
  pthread_mutex_lock(&registry_lock);
  const bool ok = n_used * 2 < n_slots || rehash();
  if (ok) put(o);
  pthread_mutex_unlock(&registry_lock);
  return ok;
}

void registry_forget(const vdev *d) {
  size_t alive = 0;
  pthread_mutex_lock(&registry_lock);
  for (size_t i = 0; i < n_slots; i++) {
    if (slots[i] && slots[i] != grave && slots[i]->d == d) slots[i] = grave;
    alive += slots[i] && slots[i] != grave;
  }
  if (!alive) {
    kit_free((void *)slots);
    slots = NULL;
    n_slots = n_used = 0;
  }
  pthread_mutex_unlock(&registry_lock);
}

static object *registered(const void *p) {
  pthread_mutex_lock(&registry_lock);
  object *o = look_up(p);
  pthread_mutex_unlock(&registry_lock);
  return o;
}

/* Any device, to speak through when a handle leads to none. */
static vdev *any_device(void) {
  vdev *d = NULL;
  pthread_mutex_lock(&registry_lock);
  for (size_t i = 0; !d && i < n_slots; i++)
    if (slots[i] && slots[i] != grave) d = slots[i]->d;
  pthread_mutex_unlock(&registry_lock);
  return d;
}

/* ---- calls ---- */

static void start(vdev *d, const char *name, call *out) {
  *out = (call){.d = d,
                .name = name,
                .number = atomic_fetch_add(&d->calls, 1) + 1,
                .reports = d->report_count ? d->report_count(d->host->ctx) : 0};
}

object *known(const call *c, const void *handle, uint32_t kind) {
  object *o = handle ? registered(handle) : NULL;
  return o && o->kind == kind && o->d == c->d && !o->died ? o : NULL;
}

object *find(const call *c, const void *handle, uint32_t kind, const char *what) {
  object *o = handle ? registered(handle) : NULL;
  if (!handle)
    refuse(c, "%s is NULL; give a %s of this device", what, kind_name(kind));
  else if (!o)
    refuse(c, "%s %p is no handle of any open device; was its device closed, or is it garbage?",
           what, handle);
  else if (o->kind != kind)
    refuse(c, "%s is %s %u of %s, where a %s belongs", what, kind_name(o->kind), o->number,
           o->d->name, kind_name(kind));
  else if (o->d != c->d)
    refuse(c, "%s is %s %u of %s; objects of one device mean nothing to another", what,
           kind_name(kind), o->number, o->d->name);
  else if (o->died)
    refuse(c, "%s is %s %u, which was destroyed by call %llu", what, kind_name(kind), o->number,
           (unsigned long long)o->died);
  else
    return o;
  return NULL;
}

bool begin(forge_dev *dev, const char *name, call *out) {
  object *o = dev ? registered(dev) : NULL;
  vdev *d = o ? o->d : any_device();
  if (d) start(d, name, out);
  if (o && o->kind == OBJECT_DEVICE) return true;
  if (d)
    refuse(out, "the device %p is %s; call with the device that dev_open gave", (void *)dev,
           o ? "an object of another kind" : "not open");
  return false;
}

bool begin_on(const void *handle, uint32_t kind, const char *name, call *out, object **object_out) {
  object *o = handle ? registered(handle) : NULL;
  vdev *d = o ? o->d : any_device();
  if (!d) return false;
  start(d, name, out);
  *object_out = find(out, handle, kind, kind_name(kind));
  return *object_out != NULL;
}

/* ---- the backend's side ---- */

forge_status judge(const call *c, forge_status st) {
  if (!st) return FORGE_OK;
  if (st > 0)
    complain(c, "the backend answered %d, which is no status; FORGE_E_* are negative", st);
  if (st == FORGE_E_DEVICE_LOST) c->d->lost = true;
  if (st != FORGE_E_UNSUPPORTED && st != FORGE_E_TIMEOUT && c->d->report_count &&
      c->d->report_count(c->d->host->ctx) == c->reports && !c->d->lost)
    complain(c, "the backend failed with %d and did not say why; it must call host->report() first",
             st);
  return st;
}

forge_status judge_made(const call *c, forge_status st, const void *made) {
  judge(c, st);
  if (st || made) return st;
  complain(c, "the backend answered success and gave no object");
  return kit_fail(c->d->host, FORGE_E_INTERNAL,
                  "%s: %s: the backend says it succeeded and gave "
                  "nothing",
                  c->d->name, c->name);
}

/* ---- objects ---- */

void *object_create(const call *c, uint32_t kind, size_t bytes) {
  object *o = kit_zalloc(bytes);
  if (!o) {
    kit_fail(c->d->host, FORGE_E_OOM, "%s: %s: no host memory for validate's books", c->d->name,
             c->name);
    return NULL;
  }
  *o = (object){.kind = kind, .born = c->number, .d = c->d};
  return o;
}

bool object_publish(const call *c, object *o) {
  if (!registry_add(o)) {
    kit_fail(c->d->host, FORGE_E_OOM, "%s: %s: no host memory for validate's books", c->d->name,
             c->name);
    return false;
  }
  pthread_mutex_lock(&c->d->lock);
  o->number = ++c->d->numbers[o->kind];
  o->next = c->d->objects;
  c->d->objects = o;
  pthread_mutex_unlock(&c->d->lock);
  return true;
}

void object_bury(const call *c, object *o) {
  pthread_mutex_lock(&c->d->lock);
  o->died = c->number;
  pthread_mutex_unlock(&c->d->lock);
}
