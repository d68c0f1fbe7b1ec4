/* loader_parts.h -- what the files of the loader room share. */
#ifndef FORGE_LOADER_PARTS_H
#define FORGE_LOADER_PARTS_H

#include <pthread.h>

#include "loader.h"

enum { REPORT_BYTES = 768, REPORT_DOMAIN_BYTES = 32 };

/* What a plugin said about a failure, with its own copies of the strings. */
typedef struct host_report {
  const library *lib; /* NULL: nothing */
  forge_error error;
  char msg[REPORT_BYTES], domain[REPORT_DOMAIN_BYTES];
} host_report;

/* Lives for ever once made: threads of a plugin may call its host to the end. */
struct library {
  library *next;
  char *path;
  void *handle;                 /* of dlopen(), NULL: not loaded */
  uint32_t number, refs, minor; /* number: of the libraries of this process */
  bool tried;                   /* the trial in a child went well */
  bool is_layer;                /* and no backend: which of the two tables below is there */
  forge_backend_v1 table;
  forge_layer_v1 layer; /* of a layer, which has no |table| but its shutdown */
  char missing[256];    /* required slots it lacks */
  const char *vendor, *version;
  char name[32]; /* for log lines */
  forge_host host;
  pthread_mutex_t late_lock;
  host_report late; /* the last report of any thread, for failures behind submit() */
};

/* manifest_value.c: false where the text is no such value. */
bool value_int(const char *s, int64_t min, int64_t max, int64_t *out);
bool value_number(const char *s, double *out);
bool value_bool(const char *s, bool *out);
uint32_t value_type(const char *s); /* MANIFEST_INT ..; 0: none */

/* host.c */
void host_init(library *lib);
void host_forget_report(void);

/* adopt.c: fills |lib|'s table from |reply|. Fails: E_ABI. */
forge_status adopt_reply(const manifest *m, const forge_reply *reply, library *lib);
/* The minors, layout and sanitizer of a reply. */
forge_status adopt_check(const forge_reply *reply);

/* layer.c: greets a layer's library. */
forge_status layer_greet(const manifest *m, library *lib);
/* The entry of an open library. Fails: E_ABI for a library that is no plugin, or of the other kind.
 */
forge_status library_entry(const library *lib, void **out);

/* library.c: loads, or loads again; the caller releases. */
forge_status library_acquire(const manifest *m, const loader_plugin *p, library **out);
void library_release(library *lib);
/* In the child, under process_lock(): what another thread of the parent held is free again. */
void library_after_fork(void);
/* dlopen and entry, in whatever process this is. */
forge_status library_open(const manifest *m, library *lib);

/* trial.c: library_open() and probe in a child process. Fails: as they do, E_FAULT, E_TIMEOUT. */
forge_status trial_run(const manifest *m, library *lib);

/* isa.c: " word word .. " */
void isa_of_machine(char *out, size_t size);
/* The words of |needed| that |have| lacks, cut to |size|; "" if none. */
void isa_missing(const char *needed, const char *have, char *out, size_t size);

/* search.c: the folders of the search order. */
forge_status search_folders(loader *l, char *const *folders, size_t n);

#endif
