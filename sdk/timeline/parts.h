/* parts.h -- what timeline.c and watch.c share.
 *
 * A work is one bracket. Its points hang in the pending lists of their timelines, in the order of
 * the brackets. Whoever learns first that its event is reached (the watch, or a thread in
 * tl_wait() or tl_query()) claims a point and alone settles it; a claimed point may be touched by
 * its claimant only, and its timeline lives until it is settled. */
#ifndef FORGE_TIMELINE_PARTS_H
#define FORGE_TIMELINE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "forge/timeline.h"

typedef struct point {
  forge_tl *tl;
  uint64_t value;
  forge_work *work;
  struct point *next; /* in tl->pending */
  atomic_bool claimed;
} point;

struct forge_work {
  _Atomic uint32_t refs;
  forge_watch *watch;
  const forge_timeline_source *source;
  void *event;         /* NULL: nothing to wait for */
  forge_status status; /* failed on its way; then, once decided, what became of it */
  atomic_bool decided;
  bool deciding; /* one thread does, without the lock; the others sleep */
  pthread_mutex_t lock;
  pthread_cond_t known;
  uint64_t tag;
  forge_work *next; /* in the watch's line */
  uint32_t n_waits, n_points;
  forge_work **waits; /* works this one waits for, held until it is decided */
  point points[];
};

struct forge_tl {
  const forge_timeline_source *source;
  uint64_t cookie;
  _Atomic uint64_t value;
  _Atomic int32_t status; /* the failure, 0 while it lives */
  pthread_mutex_t lock;
  pthread_cond_t changed; /* value, status, pending, busy */
  point *pending, **last;
  uint32_t busy; /* threads between settling and the end of their notify */
};

/* Blocks until |work| is done; what became of it. */
forge_status work_wait(forge_work *work);
bool work_is_done(forge_work *work);
void work_hold(forge_work *work);
void work_drop(forge_work *work);

/* Puts the points of |work| into their timelines. */
void timeline_publish(forge_work *work);
/* Raises or fails the timelines of the points nobody has claimed. */
void timeline_settle(forge_work *work, forge_status status);
/* The work that will bring |tl| to |value|, held; NULL with *out_status when it is there already
 * (OK), has failed, or (TIMELINE_NOBODY) no work will bring it there. */
#define TIMELINE_NOBODY 1
forge_work *timeline_find(forge_tl *tl, uint64_t value, forge_status *out_status);

void *timeline_alloc(const forge_timeline_source *source, size_t bytes); /* zeroed; reports */
forge_status timeline_fail_call(const forge_timeline_source *source, forge_status status,
                                const char *msg);

#endif
