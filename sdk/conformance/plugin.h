/* plugin.h -- the plugin in this process: loaded, negotiated, and its table wrapped so that every
 * call is watched. One plugin per process; a child only. */
#ifndef FORGE_CONFORMANCE_PLUGIN_H
#define FORGE_CONFORMANCE_PLUGIN_H

#include <stdbool.h>

#include <forge/backend.h>

/* dlopen and dlsym; each fails the test. Once. */
typedef forge_status plugin_entry(const forge_hello *hello, forge_reply *reply);
plugin_entry *plugin_find_entry(void);
/* Why the library cannot be loaded or has no entry; NULL if it can and has. */
const char *plugin_trouble(void);

/* Calls the entry with a host table not used before. The status; |reply| may be NULL. */
forge_status plugin_negotiate(forge_reply *reply);
/* Loads and negotiates if that has not been done; fails the test when it does not succeed. */
void plugin_load(void);
const forge_backend_v1 *plugin_table(void); /* the plugin's own, complete; missing slots NULL */
const forge_host *plugin_host(void);        /* the table it was given last */
/* shutdown(), after which the host table is out of bounds. */
void plugin_shutdown(void);

/* The watched table; plugin_load() done. */
const forge_backend_v1 *plugin_watched(void);
/* The watched HOSTREG, TESTING .. blocks are the plugin's own: NULL if it has none. */
const void *plugin_block(uint32_t id, uint32_t minor);

/* Marks a call as in progress for reports and crash messages. */
void plugin_enter(const char *function);
forge_status plugin_leave(forge_status status);
/* host.c tells what was reported. */
bool plugin_heard(const forge_error *error);

/* The longest call of each function so far. */
typedef struct plugin_time {
  const char *function;
  double seconds;
  unsigned calls;
} plugin_time;
unsigned plugin_times(plugin_time *out, unsigned most);

#endif
