/* manifest.h -- what a plugin says about itself before anything of it is loaded: an INI file
 * NAME.ini in a folder of the search order (loader.h).
 *
 *   [backend]
 *   name = cpu                  a lower-case word; devices are named after it
 *   abi_major = 1
 *   abi_minor_min = 0           the minors the plugin speaks; default 0
 *   abi_minor_max = 0           default abi_minor_min
 *   priority = 10               higher is tried first; below 0: only when named; default 0
 *   probe = inprocess           or subprocess (default): entry and probe run first in a child
 *                               process, so that a crash or a hang there is a verdict
 *   probe_timeout = 10          seconds the child may take, 1 .. 300
 *   deepbind = no               yes: the plugin's own copies of its libraries win
 *   library = ../forge-x.so     relative to the manifest's folder; without variants only
 *   sha256 = <64 hex digits>    optional; without variants only
 *   [variant avx2]              any number, in order of preference
 *   library = ../forge-cpu-avx2.so
 *   isa = avx2 fma f16c         words of /proc/cpuinfo, all needed; absent: runs everywhere
 *   sha256 = ..
 *   [option threads]            what backend.cpu.threads may be set to
 *   type = int                  int, bool, string or float
 *   min = 0                     int and float
 *   max = 1024
 *   default = 0
 *   help = one line
 *
 * A layer (forge/layer.h) has instead of [backend] a section
 *   [layer]
 *   name = trace
 *   abi_major, abi_minor_min, abi_minor_max, library, sha256 as above; and [option ..]
 *
 * An unknown section or key, a key given twice and a value out of range are errors with line and
 * nearest name. A section without keys counts for nothing. Comments begin with ';' or '#'. */
#ifndef FORGE_MANIFEST_H
#define FORGE_MANIFEST_H

#include "base.h"

enum { MANIFEST_INT = 1, MANIFEST_BOOL, MANIFEST_STRING, MANIFEST_FLOAT };

typedef struct manifest_option {
  char *name, *fallback, *help; /* fallback and help may be NULL */
  uint32_t type, line;
  uint32_t given; /* bit set of the keys present */
  bool has_min, has_max;
  double min, max;
} manifest_option;

typedef struct manifest_variant {
  char *name;                   /* NULL: the only library of a manifest without variants */
  char *library, *isa, *sha256; /* isa and sha256 may be NULL */
  uint32_t line, given;
} manifest_variant;

typedef struct manifest {
  char *path; /* of the manifest itself */
  char *name;
  int64_t abi_major, abi_minor_min, abi_minor_max, priority, probe_timeout;
  bool in_process, deepbind, is_layer;
  uint32_t given;
  manifest_variant *variants; /* at least one */
  size_t n_variants, variants_cap;
  manifest_option *options;
  size_t n_options, options_cap;
} manifest;

/* Reads |n| bytes; |path| stands for the file in messages. Fails: E_CONFIG with path and line. A
 * failed manifest may hold its name and must be finished all the same. */
forge_status manifest_parse(const char *path, const char *source, size_t n, manifest *out);
forge_status manifest_read(const char *path, manifest *out);
void manifest_finish(manifest *m);

/* Checks a value for an option; |origin| begins the message. Fails: E_CONFIG. */
forge_status manifest_check_option(const manifest_option *o, const char *key, const char *value,
                                   const char *origin);
/* The values an option may have, for people: "from 0 to 8". */
void manifest_range(const manifest_option *o, char out[64]);
const char *manifest_type_name(uint32_t type);

#endif
