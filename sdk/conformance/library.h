/* library.h -- from the PLUGIN of the command line to the shared object under test. */
#ifndef FORGE_CONFORMANCE_LIBRARY_H
#define FORGE_CONFORMANCE_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

#define MOST_VARIANTS 16

typedef struct libraries {
  char name[64];                  /* of the manifest, "" without one */
  char path[MOST_VARIANTS][4096]; /* absolute; in the manifest's order of preference */
  unsigned n;
} libraries;

/* False after a sentence in |why|: no such file, no shared object, a manifest that names none. */
bool library_find(const char *plugin, libraries *out, char *why, size_t bytes);

#endif
