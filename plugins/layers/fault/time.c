/* time.c -- timelines that show what the inner ones reached, later or not at all. A value that is
 * held hides every later one, since a timeline that has risen past it would have reached it. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "fault.h"

#define PATIENCE_NS UINT64_C(10000000000) /* for work below to end when the device is lost */

/* ---- what is shown; all under the lock ---- */

static uint64_t visible(const ftl *tl) {
  const uint64_t top = tl->holds ? tl->holds->floor : UINT64_MAX;
  const uint64_t value = tl->seen < top ? tl->seen : top;
  return value > tl->shown ? value : tl->shown;
}

static void start_clocks(ftl *tl) {
  for (hold *h = tl->holds; h && h->value <= tl->seen; h = h->next)
    if (!h->until_ns) h->until_ns = kit_now_ns() + h->delay_ns;
}

/* Takes away the holds whose time has come; true: the timeline rose or failed. */
static bool let_go(ftl *tl) {
  const uint64_t now = kit_now_ns(), before = tl->shown;
  while (tl->holds && tl->holds->until_ns && tl->holds->until_ns <= now && !tl->failed) {
    hold *h = tl->holds;
    tl->holds = h->next;
    if (h->status) tl->failed = tl->injected = h->status;
    kit_free(h);
    if (tl->failed) return true;
  }
  if (tl->failed) return false;
  tl->shown = visible(tl);
  return tl->shown != before;
}

static void free_holds(ftl *tl) {
  while (tl->holds) {
    hold *h = tl->holds;
    tl->holds = h->next;
    kit_free(h);
  }
}

/* Under the lock, which is given up while the host is told; the timeline is not destroyed then. */
static void tell(fdev *d, ftl *tl) {
  const uint64_t value = tl->shown;
  const forge_status st = tl->failed;
  const bool ours = st && st == tl->injected;
  tl->telling++;
  pthread_cond_broadcast(&d->moved);
  pthread_mutex_unlock(&d->lock);
  if (ours) kit_fail(d->w.host, st, "the work failed, as the layer fault was told");
  d->w.host->tl_notify(d->w.host->ctx, tl->w.cookie, value, st);
  pthread_mutex_lock(&d->lock);
  tl->telling--;
  pthread_cond_broadcast(&d->moved);
}

static void refresh(fdev *d, ftl *tl) {
  start_clocks(tl);
  if (let_go(tl)) tell(d, tl);
}

static void saw(fdev *d, ftl *tl, uint64_t value, forge_status status) {
  pthread_mutex_lock(&d->lock);
  if (value > tl->seen) tl->seen = value;
  if (status && !tl->failed) {
    tl->failed = status;
    tell(d, tl);
  } else {
    refresh(d, tl);
  }
  pthread_cond_broadcast(&d->moved);
  pthread_mutex_unlock(&d->lock);
}

static void reached(forge_listener *self, uint64_t value, forge_status status) {
  ftl *tl = (ftl *)(void *)self;
  saw(fdev_of(tl->w.d), tl, value, status);
}

/* ---- the timer ---- */

static uint64_t next_deadline(const fdev *d) {
  uint64_t next = UINT64_MAX;
  for (const ftl *tl = d->timelines; tl; tl = tl->next)
    if (tl->holds && tl->holds->until_ns && !tl->failed && tl->holds->until_ns < next)
      next = tl->holds->until_ns;
  return next;
}

static int sleep_until(fdev *d, uint64_t ns) {
  const struct timespec at = {.tv_sec = (time_t)(ns / 1000000000u),
                              .tv_nsec = (long)(ns % 1000000000u)};
  return ns == UINT64_MAX ? pthread_cond_wait(&d->moved, &d->lock)
                          : pthread_cond_timedwait(&d->moved, &d->lock, &at);
}

static ftl *due(const fdev *d) {
  for (ftl *tl = d->timelines; tl; tl = tl->next)
    if (tl->holds && tl->holds->until_ns && !tl->failed && tl->holds->until_ns <= kit_now_ns())
      return tl;
  return NULL;
}

static void *run_timer(void *arg) {
  fdev *d = arg;
  pthread_mutex_lock(&d->lock);
  while (!d->stop) {
    ftl *tl = due(d);
    if (tl)
      refresh(d, tl);
    else
      sleep_until(d, next_deadline(d));
  }
  pthread_mutex_unlock(&d->lock);
  return NULL;
}

void time_finish(fdev *d) {
  pthread_mutex_lock(&d->lock);
  d->stop = true;
  pthread_cond_broadcast(&d->moved);
  pthread_mutex_unlock(&d->lock);
  if (d->has_timer) pthread_join(d->timer, NULL);
}

/* ---- promises ---- */

static bool add_hold(ftl *tl, uint64_t value, uint64_t delay_ns, forge_status status) {
  hold *h = kit_zalloc(sizeof *h), **at = &tl->holds;
  if (!h) return false;
  *h = (hold){.value = value, .floor = tl->promised, .delay_ns = delay_ns, .status = status};
  while (*at) at = &(*at)->next; /* values rise */
  *at = h;
  return true;
}

/* Of the first |n| signals. Under the lock. */
static void take_back(const forge_submit *order, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    ftl *tl = (ftl *)(void *)order->signal[i].tl;
    tl->promised = tl->before;
    for (hold **at = &tl->holds; *at; at = &(*at)->next) {
      if ((*at)->value != order->signal[i].value) continue;
      hold *h = *at;
      *at = h->next;
      kit_free(h);
      break;
    }
  }
}

bool time_promise(fdev *d, const forge_submit *order, uint64_t delay_ns, forge_status status) {
  const bool holds = delay_ns || status;
  bool ok = true;
  uint32_t i = 0;
  pthread_mutex_lock(&d->lock);
  if (holds && !d->has_timer) ok = d->has_timer = !pthread_create(&d->timer, NULL, run_timer, d);
  for (; ok && order && i < order->n_signal; i++) {
    ftl *tl = (ftl *)(void *)order->signal[i].tl;
    if (holds) ok = add_hold(tl, order->signal[i].value, delay_ns, status);
    if (!ok) break;
    tl->before = tl->promised;
    tl->promised = order->signal[i].value;
  }
  if (!ok) take_back(order, i);
  pthread_mutex_unlock(&d->lock);
  return ok;
}

void time_withdraw(fdev *d, const forge_submit *order) {
  pthread_mutex_lock(&d->lock);
  take_back(order, order ? order->n_signal : 0);
  pthread_mutex_unlock(&d->lock);
}

/* ---- the slots ---- */

forge_status f_tl_create(forge_dev *dev, uint64_t initial, uint64_t cookie, forge_tl **out) {
  fdev *d = fdev_of(wrap_of_dev(dev));
  forge_status st = fault_call(d, CALL_TL_CREATE);
  if (!st) st = wrap_tl_create(dev, initial, cookie, out);
  if (st) return st;
  ftl *tl = (ftl *)(void *)*out;
  tl->w.listener.reached = reached;
  tl->promised = tl->seen = tl->shown = initial;
  pthread_mutex_lock(&d->lock);
  tl->next = d->timelines;
  d->timelines = tl;
  pthread_mutex_unlock(&d->lock);
  return FORGE_OK;
}

void f_tl_destroy(forge_tl *timeline) {
  ftl *tl = (ftl *)(void *)timeline;
  if (!tl) return;
  fdev *d = fdev_of(tl->w.d);
  pthread_mutex_lock(&d->lock);
  while (tl->telling) pthread_cond_wait(&d->moved, &d->lock);
  ftl **at = &d->timelines;
  while (*at != tl) at = &(*at)->next;
  *at = tl->next;
  free_holds(tl);
  pthread_mutex_unlock(&d->lock);
  wrap_tl_destroy(timeline);
}

static forge_status failure_of(fdev *d, const ftl *tl) {
  pthread_mutex_lock(&d->lock);
  const forge_status st = tl->failed;
  pthread_mutex_unlock(&d->lock);
  return st;
}

forge_status f_tl_query(forge_tl *timeline, uint64_t *out_value) {
  ftl *tl = (ftl *)(void *)timeline;
  fdev *d = fdev_of(tl->w.d);
  uint64_t value = 0;
  forge_status st = failure_of(d, tl);
  if (!st) st = fault_call(d, CALL_TL_QUERY);
  if (st) return st;
  st = d->w.inner->tl_query(tl->w.inner, &value);
  saw(d, tl, st ? 0 : value, st);
  pthread_mutex_lock(&d->lock);
  st = tl->failed;
  if (!st) *out_value = tl->shown;
  pthread_mutex_unlock(&d->lock);
  return st;
}

static forge_status wait_shown(fdev *d, const ftl *tl, uint64_t value, uint64_t deadline) {
  pthread_mutex_lock(&d->lock);
  while (!tl->failed && tl->shown < value) {
    if (sleep_until(d, deadline) != ETIMEDOUT) continue;
    pthread_mutex_unlock(&d->lock);
    return FORGE_E_TIMEOUT;
  }
  const forge_status st = tl->failed;
  pthread_mutex_unlock(&d->lock);
  return st;
}

forge_status f_tl_wait(forge_tl *timeline, uint64_t value, uint64_t timeout_ns) {
  ftl *tl = (ftl *)(void *)timeline;
  fdev *d = fdev_of(tl->w.d);
  const uint64_t now = kit_now_ns();
  const uint64_t deadline = timeout_ns < UINT64_MAX - now ? now + timeout_ns : UINT64_MAX;
  forge_status st = failure_of(d, tl);
  if (!st) st = fault_call(d, CALL_TL_WAIT);
  if (st) return st;
  st = d->w.inner->tl_wait(tl->w.inner, value, timeout_ns);
  if (st == FORGE_E_TIMEOUT) return st;
  saw(d, tl, st ? 0 : value, st);
  return wait_shown(d, tl, value, deadline);
}

/* ---- the end of all ---- */

/* Below, the work runs on; nothing of it may be freed before it is done. */
void time_lose(fdev *d) {
  pthread_mutex_lock(&d->lock);
  for (ftl *tl = d->timelines; tl; tl = tl->next) {
    const uint64_t promised = tl->promised;
    tl->telling++;
    pthread_mutex_unlock(&d->lock);
    d->w.inner->tl_wait(tl->w.inner, promised, PATIENCE_NS);
    pthread_mutex_lock(&d->lock);
    tl->telling--;
    if (!tl->failed) {
      tl->failed = tl->injected = FORGE_E_DEVICE_LOST;
      tell(d, tl);
    }
  }
  pthread_mutex_unlock(&d->lock);
}
