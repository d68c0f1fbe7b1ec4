/* plugin.c -- see plugin.h: loading and what is remembered of calls. The wrappers are watch.c. */
#include "plugin.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "borrow.h"
#include "host.h"
#include "rig.h"
#include "stage.h"

#define MOST_FUNCTIONS 32

static forge_backend_v1 table;
static const forge_host *host;
static plugin_entry *entry;
static bool loaded;

static _Thread_local rig_last_call last;
static _Thread_local unsigned depth;
static _Thread_local double began;
static _Thread_local uint32_t foreign_before;

static plugin_time times[MOST_FUNCTIONS];
static unsigned n_times;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- loading ---- */

const char *plugin_trouble(void) {
  if (entry) return NULL;
  void *library = dlopen(test_set.library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!library) return dlerror();
  *(void **)&entry = dlsym(library, "forge_backend_entry_v1");
  if (entry) return NULL;
  return dlsym(library, "forge_layer_entry_v1") ? "the library is a layer, and this suite is for "
                                                  "backends; forge lint looks at its file"
                                                : "the library has no forge_backend_entry_v1";
}

plugin_entry *plugin_find_entry(void) {
  const char *trouble = plugin_trouble();
  if (trouble) test_fail("the plugin cannot be loaded: %s", trouble);
  return entry;
}

forge_status plugin_negotiate(forge_reply *reply) {
  plugin_find_entry();
  forge_reply r = {.size = sizeof r};
  host = host_new();
  const forge_hello hello = {
      .size = sizeof hello, .minor_min = 0, .minor_max = FORGE_ABI_MINOR, .host = host};
  const forge_hello *lent = borrow(&hello, sizeof hello);
  plugin_enter("forge_backend_entry_v1");
  const forge_status status = plugin_leave(entry(lent, &r));
  memset(&table, 0, sizeof table);
  if (!status && r.table) {
    const size_t known =
        offsetof(forge_backend_v1, probe) + r.table->n_slots * sizeof(void (*)(void));
    memcpy(&table, r.table, known < sizeof table ? known : sizeof table);
  }
  if (reply) *reply = r;
  return status;
}

void plugin_load(void) {
  if (loaded) return;
  const forge_status status = plugin_negotiate(NULL);
  if (status)
    test_fail("the entry answers %s (%d): %s", rig_status_name(status), status, rig_words());
  if (!table.probe || !table.dev_open || !table.submit)
    test_fail("the table lacks required slots; see handshake.table");
  loaded = true;
}

const forge_backend_v1 *plugin_table(void) { return &table; }
const forge_host *plugin_host(void) { return host; }

void plugin_shutdown(void) {
  if (!host) return;
  plugin_enter("shutdown");
  if (table.shutdown) table.shutdown();
  plugin_leave(FORGE_OK);
  host_retire(host);
  loaded = false;
}

const void *plugin_block(uint32_t id, uint32_t minor) {
  const void *block = NULL;
  plugin_load();
  if (!table.get_block) return NULL;
  plugin_enter("get_block");
  const forge_status status = plugin_leave(table.get_block(id, minor, &block));
  return status ? NULL : block;
}

/* ---- calls ---- */

void plugin_enter(const char *function) {
  if (depth++) return;
  last = (rig_last_call){.function = function};
  foreign_before = host_foreign_reports();
  test_stage->call = function;
  began = test_now();
}

static void note_time(const char *function, double seconds) {
  pthread_mutex_lock(&lock);
  unsigned i = 0;
  while (i < n_times && strcmp(times[i].function, function) != 0) i++;
  if (i == n_times && n_times < MOST_FUNCTIONS)
    times[n_times++] = (plugin_time){.function = function};
  if (i < n_times) {
    if (seconds > times[i].seconds) times[i].seconds = seconds;
    times[i].calls++;
  }
  pthread_mutex_unlock(&lock);
}

forge_status plugin_leave(forge_status status) {
  if (--depth) return status;
  last.seconds = test_now() - began;
  last.status = status;
  if (status && !last.reports) last.reports = host_foreign_reports() - foreign_before;
  test_stage->call = NULL;
  note_time(last.function, last.seconds);
  borrow_end(last.function);
  return status;
}

/* A record of a thread inside a watched call belongs to that call. */
bool plugin_heard(const forge_error *error) {
  if (!depth) return false;
  last.reports++;
  last.code = error->code;
  snprintf(last.msg, sizeof last.msg, "%s", error->msg ? error->msg : "");
  return true;
}

const rig_last_call *rig_last(void) { return &last; }

const char *rig_words(void) { return last.msg[0] ? last.msg : "(the plugin said nothing)"; }

unsigned plugin_times(plugin_time *out, unsigned most) {
  pthread_mutex_lock(&lock);
  for (unsigned i = 0; i < n_times && i < most; i++) out[i] = times[i];
  const unsigned n = n_times;
  pthread_mutex_unlock(&lock);
  return n;
}
