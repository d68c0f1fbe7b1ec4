/* store.h -- what the files of the state room share. Public half: forge/state.h.
 *
 * A store's folder holds step-N.fck (N in 20 digits, so that names sort), "lock", and while a save
 * is under way one step-N.PID.part. */
#ifndef FORGE_STATE_STORE_H
#define FORGE_STATE_STORE_H

#include <forge/state.h>

#include "format.h"
#include "io.h"

struct forge_store {
  char *path;
  const state_io *io;
  uint32_t keep;
  bool read_only;
  int lock; /* -1: none */
  forge_checkpoint *writing;
};

/* forge_store_open() with other hands on the disk; |io| outlives the store. */
forge_status store_open_with(const char *path, const forge_store_options *options,
                             const state_io *io, forge_store **out);

/* Steps present, newest first; the caller's (mem_free). */
forge_status store_list(const forge_store *store, uint64_t **out_steps, size_t *out_n);
/* The file of a step; owned by the caller, NULL when memory is out. */
char *store_file(const forge_store *store, uint64_t step);
/* Removes what is older than the |keep| newest sound checkpoints up to |step|. Failures are logged:
 * the new checkpoint stands. */
void store_retain(const forge_store *store, uint64_t step);

/* A checkpoint file open for reading, header, footer and manifest checked. */
typedef struct state_file {
  int fd;
  char *path;
  uint8_t *chunk; /* FORMAT_CHUNK bytes */
  format_manifest manifest;
} state_file;
forge_status state_file_open(const char *path, state_file *out);
void state_file_close(state_file *f);
/* Reads chunk |i| of |item| into f->chunk, checked; *out_n bytes of it belong to the item. */
forge_status state_file_chunk(state_file *f, const format_item *item, size_t i, uint64_t *out_n);
/* Every chunk of every item. */
forge_status state_file_verify(state_file *f);

#endif
