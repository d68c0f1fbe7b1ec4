/* pool.h -- the core's own caching sub-allocator: one per device, over big blocks ("chunks") taken
 * from the backend.
 *
 * Pieces are multiples of POOL_ALIGN. A request of at most POOL_SMALL_MAX comes from shared chunks
 * of POOL_SMALL_CHUNK; a larger one has chunks of its own kind, rounded up by at most an eighth.
 * Within a kind the smallest free piece that fits is split, and neighbours are joined again when
 * they are given back. Chunks without a live piece stay cached until the limit or the backend is
 * out of memory. Not thread-safe: the device holds its memory lock. Knows nothing of devices. */
#ifndef FORGE_POOL_H
#define FORGE_POOL_H

#include <forge/backend.h>

#include "base.h"

enum { POOL_ALIGN = 256, POOL_SMALL_MAX = 1 << 20, POOL_SMALL_CHUNK = 2 << 20 };

/* Where chunks come from. take() records its failure; E_OOM makes the pool release what it caches
 * and ask once more. */
typedef struct pool_source {
  void *ctx;
  forge_status (*take)(void *ctx, uint64_t bytes, forge_mem **out, forge_mem_out *info);
  void (*give)(void *ctx, forge_mem *mem);
} pool_source;

typedef struct pool pool;
typedef struct pool_piece pool_piece;

/* |limit|: the most bytes held, 0: none. */
forge_status pool_create(const pool_source *source, uint64_t limit, pool **out);
/* Gives every chunk back. Live pieces become invalid. NULL is fine. */
void pool_destroy(pool *p);

/* |bytes| > 0. |tag| names the purpose in accounts; NULL: "other". Fails: E_OOM naming need, limit
 * and what holds the rest; nothing has changed but the cache. */
forge_status pool_take(pool *p, uint64_t bytes, const char *tag, pool_piece **out);
/* No submitted work uses the piece. NULL is fine. */
void pool_give(pool *p, pool_piece *piece);
forge_bind pool_piece_bind(const pool_piece *piece); /* len: the bytes asked for */
void *pool_piece_host(const pool_piece *piece);      /* NULL where the host does not see it */

/* Counts memory of the device held outside the pool (workspace of programs): |bytes| more, or less.
 * It counts towards the limit, and is never refused: it is there already. */
void pool_note(pool *p, const char *tag, int64_t bytes);

/* Gives chunks without a live piece back. */
void pool_trim(pool *p);

typedef struct pool_account {
  uint64_t limit, used, peak, held, cached; /* cached: in chunks without a live piece */
  uint64_t n_pieces, n_chunks;
} pool_account;
void pool_describe(const pool *p, pool_account *out);

typedef struct pool_tag {
  char name[32];
  uint64_t bytes, n;
} pool_tag;
/* Every purpose ever named, in the order met. */
const pool_tag *pool_tags(const pool *p, size_t *out_n);

/* True when lists, sizes and accounts agree; for tests. */
bool pool_is_sound(const pool *p);

#endif
