/* tracks.c -- pieces of work become slices. A slice begins when the work was given to the queue or
 * the piece before it was done, whichever is later, and ends when its timeline was seen to rise. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trace.h"

void track_begin(tdev *d, track *t, const char *format, ...) {
  char name[96], quoted[192];
  va_list args;
  va_start(args, format);
  vsnprintf(name, sizeof name, format, args);
  va_end(args);
  t->id = ++d->n_tracks;
  file_event(
      d->file,
      "\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":%u,\"tid\":%u,\"args\":{\"name\":\"%s\"}",
      d->group, t->id, file_quote(name, quoted, sizeof quoted));
}

void track_push(track *t, piece *p) {
  if (t->last)
    t->last->next = p;
  else
    t->first = p;
  t->last = p;
}

void track_withdraw(track *t, piece *p) {
  piece **at = &t->first;
  while (*at && *at != p) at = &(*at)->next;
  if (*at) *at = p->next;
  t->last = NULL;
  for (piece *left = t->first; left; left = left->next) t->last = left;
  kit_free(p);
}

/* ---- arrows ---- */

static void arrow(tdev *d, char phase, uint64_t flow, uint32_t track_id, uint64_t ns) {
  file_event(d->file,
             "\"name\":\"order\",\"cat\":\"order\",\"ph\":\"%c\",%s\"id\":%llu,\"pid\":%u,\"tid\":"
             "%u,\"ts\":" FILE_US,
             phase, phase == 'f' ? "\"bp\":\"e\"," : "", (unsigned long long)flow, d->group,
             track_id, FILE_US_OF(ns));
}

static void mark(tdev *d, ttl *tl, uint64_t value, uint32_t track_id) {
  const uint64_t i = tl->n_marks++ % MARKS;
  tl->marks[i].value = value;
  tl->marks[i].flow = file_new_flow(d->file);
  tl->marks[i].done_ns = 0;
  tl->marks[i].track = track_id;
  tl->marks[i].wanted = false;
}

/* The signal that reaches |value|: the least of those remembered that is not below. */
static int find_mark(const ttl *tl, uint64_t value) {
  int best = -1;
  for (int i = 0; i < MARKS && (uint64_t)i < tl->n_marks; i++)
    if (tl->marks[i].value >= value && (best < 0 || tl->marks[i].value < tl->marks[best].value))
      best = i;
  return best;
}

void track_arrows(tdev *d, const track *t, piece *p, const forge_submit *order) {
  for (uint32_t i = 0; order && i < order->n_wait && p->n_flows < 4; i++) {
    ttl *tl = (ttl *)(void *)order->wait[i].tl;
    const int k = find_mark(tl, order->wait[i].value);
    if (k < 0) continue;
    p->flows[p->n_flows++] = tl->marks[k].flow;
    if (tl->marks[k].done_ns && !tl->marks[k].wanted)
      arrow(d, 's', tl->marks[k].flow, tl->marks[k].track,
            file_ns(d->file, tl->marks[k].done_ns) - 1);
    tl->marks[k].wanted = true;
  }
  for (uint32_t i = 0; order && i < order->n_signal; i++) {
    ttl *tl = (ttl *)(void *)order->signal[i].tl;
    mark(d, tl, order->signal[i].value, t->id);
    if (p->n_signals == 4) continue;
    p->signals[p->n_signals].tl = tl;
    p->signals[p->n_signals++].value = order->signal[i].value;
  }
}

static void begin_arrows(tdev *d, const piece *p, uint64_t done_ns) {
  for (uint32_t i = 0; i < p->n_signals; i++) {
    const int k = p->signals[i].tl ? find_mark(p->signals[i].tl, p->signals[i].value) : -1;
    if (k < 0 || p->signals[i].tl->marks[k].value != p->signals[i].value) continue;
    p->signals[i].tl->marks[k].done_ns = done_ns;
    if (p->signals[i].tl->marks[k].wanted)
      arrow(d, 's', p->signals[i].tl->marks[k].flow, p->signals[i].tl->marks[k].track,
            file_ns(d->file, done_ns) - 1);
  }
}

/* ---- slices ---- */

static void write_piece(tdev *d, track *t, const piece *p, uint64_t now, forge_status status) {
  uint64_t from = p->given_ns > t->free_ns ? p->given_ns : t->free_ns;
  if (now < from + 2) now = from + 2;
  t->free_ns = now;
  char failed[48] = "";
  if (status) snprintf(failed, sizeof failed, ",\"failed\":%d", status);
  file_event(d->file,
             "\"name\":\"%s\",\"cat\":\"%s\",\"ph\":\"X\",\"pid\":%u,\"tid\":%u,\"ts\":" FILE_US
             ",\"dur\":" FILE_US ",\"args\":{\"number\":%llu,\"%s\":%llu%s}",
             p->name, p->ops ? "work" : "copy", d->group, t->id, FILE_US_OF(file_ns(d->file, from)),
             FILE_US_OF(now - from), (unsigned long long)p->number, p->ops ? "ops" : "bytes",
             (unsigned long long)(p->ops ? p->ops : p->bytes), failed);
  for (uint32_t i = 0; i < p->n_flows; i++)
    arrow(d, 'f', p->flows[i], t->id, file_ns(d->file, from));
  begin_arrows(d, p, now);
}

static void finish_to(tdev *d, track *t, const piece *last, uint64_t now, forge_status status) {
  for (bool more = true; more && t->first;) {
    piece *p = t->first;
    more = p != last;
    /* nothing tells when work without a signal ends; it did not begin after its successor */
    const bool unseen = !p->tl && p->next;
    write_piece(d, t, p, unseen ? p->next->given_ns : now, status);
    t->first = p->next;
    if (!t->first) t->last = NULL;
    kit_free(p);
  }
}

static void reached(tdev *d, track *t, const forge_tl *tl, uint64_t value, uint64_t now,
                    forge_status status) {
  const piece *last = NULL;
  for (const piece *p = t->first; p; p = p->next)
    if (p->tl == tl && (status || p->value <= value)) last = p;
  if (last) finish_to(d, t, last, now, status);
}

void tracks_reached(tdev *d, const forge_tl *tl, uint64_t value, forge_status status) {
  const uint64_t now = kit_now_ns();
  for (tqueue *q = d->queues; q; q = q->next) {
    reached(d, &q->ops, tl, value, now, status);
    reached(d, &q->work, tl, value, now, status);
  }
}

static void forget(track *t, const ttl *tl) {
  for (piece *p = t->first; p; p = p->next)
    for (uint32_t i = 0; i < p->n_signals; i++)
      if (p->signals[i].tl == tl) p->signals[i].tl = NULL;
}

void tracks_forget(tdev *d, const ttl *tl) {
  for (tqueue *q = d->queues; q; q = q->next) forget(&q->work, tl);
}

void track_end(tdev *d, track *t) { finish_to(d, t, NULL, kit_now_ns(), FORGE_OK); }

/* ---- the host ---- */

static void name_thread(tdev *d, uint32_t tid) {
  static _Thread_local const trace_file *named;
  char name[32] = "", quoted[128];
  if (named == d->file) return;
  named = d->file;
  prctl(PR_GET_NAME, name);
  file_event(
      d->file,
      "\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":%u,\"args\":{\"name\":\"%s\"}", tid,
      file_quote(name, quoted, sizeof quoted));
}

void host_call(tdev *d, const char *name, uint64_t began, uint64_t flow) {
  static _Thread_local uint32_t tid;
  if (!tid) tid = (uint32_t)syscall(SYS_gettid);
  name_thread(d, tid);
  const uint64_t from = file_ns(d->file, began), to = file_ns(d->file, kit_now_ns());
  file_event(d->file,
             "\"name\":\"%s\",\"cat\":\"call\",\"ph\":\"X\",\"pid\":1,\"tid\":%u,\"ts\":" FILE_US
             ",\"dur\":" FILE_US,
             name, tid, FILE_US_OF(from), FILE_US_OF(to - from));
  if (flow)
    file_event(d->file,
               "\"name\":\"order\",\"cat\":\"order\",\"ph\":\"s\",\"id\":%llu,\"pid\":1,\"tid\":%u,"
               "\"ts\":" FILE_US,
               (unsigned long long)flow, tid, FILE_US_OF(from));
}
