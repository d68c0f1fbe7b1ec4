/* forge/timeline.h -- timelines made out of a vendor's streams and events.
 *
 * Hardware knows streams (work in order) and events (a place in a stream that is reached or not);
 * the ABI knows timelines. A plugin that links libforge-timeline.a gives four functions about its
 * events and gets forge_tl objects for the table's tl_* slots, and a bracket round each submit:
 *
 *   forge_timeline_begin(q->watch, q->stream, prog_id, submit, &work)   waits handed to the stream
 *   .. enqueue on q->stream, record an event behind it ..
 *   return forge_timeline_end(work, event, FORGE_OK)                    signals when it is reached
 *
 * A watch is the thread that looks after one stream: it waits for the events in the order of the
 * brackets and raises or fails the timelines. A thread in tl_wait() without a time limit waits for
 * the event itself, so the watch's wake-up is not in its way.
 *
 * Nothing is allocated between begin and end, so work once enqueued cannot be lost to lack of
 * memory. Memory comes from host->alloc. The library is static, its symbols are hidden, and it
 * makes no thread but the watches.
 *
 * Order: events of one watch are reached in the order of the brackets (a stream in order). A wait
 * names a point that is reached or that an earlier bracket, ended, signals (backend.h). */
#ifndef FORGE_TIMELINE_H
#define FORGE_TIMELINE_H

#include <forge/backend.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the vendor knows about events. Called from any thread, without a lock of the library. */
typedef struct forge_timeline_events {
  /* Blocks until |event| is reached: FORGE_OK, or why the work before it failed. Several threads
   * may wait for one event. Answers at once when it is called again. */
  forge_status (*wait)(void *ctx, void *event);
  /* Whether it is reached (or failed), without blocking. NULL: never asked. */
  int (*is_done)(void *ctx, void *event);
  /* What is enqueued on |stream| from now on starts after |event|; returns at once. The event may
   * be another stream's. NULL: the library waits on the calling thread. */
  forge_status (*stream_wait)(void *ctx, void *stream, void *event);
  /* Nobody asks about |event| any more. */
  void (*release)(void *ctx, void *event);
  /* The work with |tag| failed; its timelines, the first at |value| (0: none), fail next: the
   * place to call host->report(). NULL: nobody is told. */
  void (*failed)(void *ctx, uint64_t tag, uint64_t value, forge_status status);
} forge_timeline_events;

/* One device's. Outlives its timelines and watches. */
typedef struct forge_timeline_source {
  const forge_host *host;
  const forge_timeline_events *events;
  void *ctx; /* first argument of the events' functions */
} forge_timeline_source;

/* ---- the table's tl_* slots ---- */

forge_status forge_timeline_create(const forge_timeline_source *source, uint64_t initial,
                                   uint64_t cookie, forge_tl **out);
/* No tl_notify() of this timeline is running or comes any more when it returns, so it may not be
 * called from within one. Points not yet reached are forgotten. */
void forge_timeline_destroy(forge_tl *tl);
forge_status forge_timeline_query(forge_tl *tl, uint64_t *out_value);
forge_status forge_timeline_wait(forge_tl *tl, uint64_t value, uint64_t timeout_ns);
/* Fails it for good, unless it has failed already. */
void forge_timeline_fail(forge_tl *tl, forge_status status);

/* ---- streams ---- */

typedef struct forge_watch forge_watch; /* the thread that looks after one stream */
typedef struct forge_work forge_work;   /* what stands between begin and end */

forge_status forge_watch_create(const forge_timeline_source *source, forge_watch **out);
/* Waits until the work given to it is done and its timelines know, then joins the thread. NULL is
 * fine. */
void forge_watch_destroy(forge_watch *watch);

/* Makes |stream| wait for the waits of |order| (NULL: none) and reserves what its signals need.
 * |tag| is for failed(). A wait that has failed is no failure of this call: see
 * forge_work_status(). E_OOM, E_INVALID (a point nobody will signal) or stream_wait()'s answer:
 * nothing was begun. Brackets of one watch do not overlap (the core serialises calls on a queue).
 */
forge_status forge_timeline_begin(forge_watch *watch, void *stream, uint64_t tag,
                                  const forge_submit *order, forge_work **out);
/* Not FORGE_OK when a wait has failed already: enqueue nothing and end with event NULL. */
forge_status forge_work_status(const forge_work *work);
/* |event| is the library's from now on; its signals are reached with it, or fail with a wait or
 * with it. NULL: there is nothing left to wait for, or, with a |status|, the work failed on its
 * way. Returns FORGE_OK, or, where there is no signal to carry it, the failure known by now. */
forge_status forge_timeline_end(forge_work *work, void *event, forge_status status);
/* The call fails and nothing was enqueued: no signal changes. */
void forge_timeline_cancel(forge_work *work);

#ifdef __cplusplus
}
#endif
#endif
