/* forge/state.h -- checkpoints: a job's state on disk, whole or absent, verified before it is used.
 *
 *   forge_store       a folder of checkpoints of one job               forge_store_open
 *   forge_checkpoint  one being written                                forge_checkpoint_begin
 *   forge_restore     one being read                                   forge_restore_open
 *
 * A checkpoint is named tensors and named blobs at one step. It is written under a temporary name,
 * flushed, renamed and its folder flushed; that last flush is the moment it exists. A failure at
 * any earlier point (full disk, I/O error, a killed process, lost power) leaves the previous
 * checkpoint as it was. Old ones are removed only after a new one exists. Every byte of the file is
 * covered by a checksum, and nothing is handed out that was not checked. Format:
 * docs/checkpoints.md.
 *
 * Threads: a store and what was opened on it belong to one thread at a time. */
#ifndef FORGE_STATE_H
#define FORGE_STATE_H

#include "forge.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct forge_store forge_store;
typedef struct forge_checkpoint forge_checkpoint;
typedef struct forge_restore forge_restore;

/* READ_ONLY: neither creates the folder nor takes the lock nor removes leftovers. */
enum { FORGE_STORE_READ_ONLY = 1 };

/* Zero-initialise, then set |size|. */
typedef struct forge_store_options {
  uint32_t size, flags; /* FORGE_STORE_* */
  uint32_t keep;        /* newest checkpoints kept after a commit; 0: 2 */
  uint32_t rsv;
} forge_store_options;

/* Opens (and creates) the store in folder |path|, locks it against other writers until it is closed
 * or the process ends, and removes what an interrupted save left. NULL options: defaults. Fails:
 * E_EXISTS (another process writes here), E_IO, E_NOT_FOUND (READ_ONLY and no such folder). */
FORGE_API forge_status forge_store_open(const char *path, const forge_store_options *options,
                                        forge_store **out_store);
FORGE_API void forge_store_close(forge_store *store);

/* Steps that have a checkpoint, newest first, unverified. Writes up to |capacity| and always the
 * number there are. */
FORGE_API forge_status forge_store_steps(forge_store *store, uint64_t *steps, uint64_t capacity,
                                         uint64_t *out_n);

/* ---- writing ---- */

/* Begins the checkpoint of |step|; one at a time per store. One that exists for that step is
 * replaced at commit. Fails: E_IO (the disk is full, not writable), E_POLICY (a read-only store).
 */
FORGE_API forge_status forge_checkpoint_begin(forge_store *store, uint64_t step,
                                              forge_checkpoint **out_checkpoint);

/* Appends a dense row-major tensor from a buffer, starting |offset| bytes in, or from host memory.
 * Work submitted to the device before is waited for. Names are unique, at most 255 bytes of UTF-8.
 * After a failure only abort remains. */
FORGE_API forge_status forge_checkpoint_tensor(forge_checkpoint *checkpoint, const char *name,
                                               uint8_t dtype, uint8_t rank, const int64_t *dim,
                                               forge_buffer *buffer, uint64_t offset);
FORGE_API forge_status forge_checkpoint_host_tensor(forge_checkpoint *checkpoint, const char *name,
                                                    uint8_t dtype, uint8_t rank, const int64_t *dim,
                                                    const void *data);
/* Appends |bytes| (may be 0) bytes of anything. */
FORGE_API forge_status forge_checkpoint_blob(forge_checkpoint *checkpoint, const char *name,
                                             const void *data, uint64_t bytes);

/* Makes it durable, then removes what is beyond |keep|. Ends |checkpoint| in success and failure
 * alike. On failure nothing of it is left, except that a failed flush of the folder (the message
 * says so) leaves a whole checkpoint that a loss of power may still take. */
FORGE_API forge_status forge_checkpoint_commit(forge_checkpoint *checkpoint);
/* Ends it without a trace. NULL is fine. */
FORGE_API void forge_checkpoint_abort(forge_checkpoint *checkpoint);

/* ---- reading ---- */

#define FORGE_STEP_NEWEST UINT64_MAX

/* Opens the checkpoint of |step|, or the newest that is valid, after checking all of it. Fails:
 * E_NOT_FOUND (none), E_CORRUPT (which file, which tensor). With NEWEST a damaged one is passed
 * over: forge_restore_note() says so. */
FORGE_API forge_status forge_restore_open(forge_store *store, uint64_t step,
                                          forge_restore **out_restore);
FORGE_API void forge_restore_close(forge_restore *restore);
FORGE_API uint64_t forge_restore_step(const forge_restore *restore);
/* "" or which newer checkpoints were passed over and why; borrowed. */
FORGE_API const char *forge_restore_note(const forge_restore *restore);

/* Reads a tensor into a buffer or host memory, checking it again on the way. Fails: E_NOT_FOUND,
 * E_MISMATCH (type or shape differ from what is asked), E_CORRUPT. */
FORGE_API forge_status forge_restore_tensor(forge_restore *restore, const char *name, uint8_t dtype,
                                            uint8_t rank, const int64_t *dim, forge_buffer *buffer,
                                            uint64_t offset);
FORGE_API forge_status forge_restore_host_tensor(forge_restore *restore, const char *name,
                                                 uint8_t dtype, uint8_t rank, const int64_t *dim,
                                                 void *data);
/* A copy of a blob, zero-terminated behind its bytes; the caller frees it with forge_text_free().
 */
FORGE_API forge_status forge_restore_blob(forge_restore *restore, const char *name, char **out_data,
                                          uint64_t *out_bytes);

/* ---- looking ---- */

/* Checks every byte of one checkpoint file: OK, or E_CORRUPT naming what is wrong. */
FORGE_API forge_status forge_checkpoint_verify(const char *path);
/* JSON of one checkpoint file: kind, step, tensors and blobs with type, shape, offset, bytes.
 * Checks the manifest, not the data. The caller frees it. */
FORGE_API forge_status forge_checkpoint_inspect(const char *path, char **out_json);

#ifdef __cplusplus
}
#endif
#endif
