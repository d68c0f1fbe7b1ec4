/* trace.h -- what the files of the layer trace share. A device is a group of tracks, a queue has
 * one for its work and, with per_op, one for its ops; the threads that call are tracks of the
 * group "host". */
#ifndef FORGE_TRACE_H
#define FORGE_TRACE_H

#include <pthread.h>
#include <stdatomic.h>

#include "file.h"
#include "wrap.h"

/* Work under way on a track. */
typedef struct piece {
  struct piece *next;
  uint64_t given_ns, value, bytes, number;
  forge_tl *tl;          /* outer or the track's own; done when it reaches |value|; NULL: unseen */
  uint64_t flows[4];     /* arrows that end here */
  uint32_t n_flows, ops; /* ops 0: a copy */
  uint32_t n_signals;
  struct {
    struct ttl *tl; /* NULL: destroyed since */
    uint64_t value;
  } signals[4]; /* arrows may begin here */
  char name[64];
} piece;

typedef struct track {
  uint32_t id;
  uint64_t free_ns; /* when the piece before was done */
  piece *first, *last;
} track;

enum { MARKS = 32 };
/* A timeline's own: where the arrows to a waiting piece begin. */
typedef struct ttl {
  wrap_tl w;
  struct {
    uint64_t value, flow, done_ns; /* done_ns 0: not yet */
    uint32_t track;
    bool wanted; /* somebody waits for it */
  } marks[MARKS];
  uint64_t n_marks;
} ttl;

typedef struct tdev tdev;
typedef struct tqueue {
  wrap_queue w;
  struct tqueue *next;
  track work, ops;
  forge_listener op_listener;
  forge_tl *op_tl; /* inner; per_op only */
  uint64_t op_value;
} tqueue;

typedef struct tprog {
  wrap_prog w;
  forge_prog **parts; /* per_op: one program of one op each; inner */
  const char **names;
  uint32_t n_ops;
  char name[64];
} tprog;

struct tdev {
  wrap_dev w;
  trace_file *file;
  uint32_t group, n_tracks, n_queues;
  bool per_op;
  uint64_t from, to; /* submits that are traced; to 0: all */
  _Atomic uint64_t submits, programs;
  pthread_mutex_t lock; /* of queues, tracks and marks */
  tqueue *queues;
  struct {
    const forge_mem *mem;
    uint64_t bytes;
  } * blocks;
  size_t n_blocks, cap_blocks;
  uint64_t held;
};

static inline tdev *dev_of(wrap_dev *d) { return (tdev *)(void *)d; }

/* ---- tracks.c ---- */

void track_begin(tdev *d, track *t, const char *format, ...) KIT_PRINTF(3, 4);
/* Under the lock: |p| is given to the track; NULL: it is not traced. */
void track_push(track *t, piece *p);
void track_withdraw(track *t, piece *p);
/* Under the lock: all that is done by |tl| at |value| is written. */
void tracks_reached(tdev *d, const forge_tl *tl, uint64_t value, forge_status status);
/* Under the lock: a timeline ends; of its work others may still have to be seen. */
void tracks_forget(tdev *d, const ttl *tl);
void track_end(tdev *d, track *t);
/* Arrows: from the signals to the waits of an order. Under the lock. */
void track_arrows(tdev *d, const track *t, piece *p, const forge_submit *order);

/* A call of the host, from |began| till now. |flow| 0: no arrow begins in it. */
void host_call(tdev *d, const char *name, uint64_t began, uint64_t flow);

/* ---- work.c, trace.c ---- */

forge_status t_prog_create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                           forge_prog_out *info);
void t_prog_destroy(forge_prog *prog);
forge_status t_submit(forge_queue *queue, forge_prog *prog, const forge_submit *order);
forge_status t_copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                    const forge_submit *order);

#endif
