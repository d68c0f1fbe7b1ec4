/* time.c -- one queue and one timeline per device: submit, copy, wait.
 *
 * Values of the timeline are given out under the device's guard, in the order of submission. What
 * the backend tells through tl_notify() is kept in |reached|, so that asking for finished work
 * makes no call. */
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "device_parts.h"

void guard_wait(guard *g) {
  while (atomic_exchange_explicit(&g->state, 2, memory_order_acquire))
    syscall(SYS_futex, &g->state, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
}

void guard_wake(guard *g) { syscall(SYS_futex, &g->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0); }

static bool is_foreign(const forge_device *d) {
  return d->generation != atomic_load_explicit(&process_generation, memory_order_relaxed);
}

forge_status device_check_process(const forge_device *d) {
  if (!is_foreign(d)) return FORGE_OK;
  return FAIL(FORGE_E_FORKED, "%s: was opened before fork(); open it again in this process",
              d->name);
}

static bool is_lost(const forge_device *d) {
  return atomic_load_explicit(&d->failed, memory_order_relaxed) == FORGE_E_DEVICE_LOST;
}

forge_status device_check_alive(const forge_device *d) {
  TRY(device_check_process(d));
  if (!is_lost(d)) return FORGE_OK;
  return FAIL(FORGE_E_DEVICE_LOST, "%s: the device is gone; close it and open it again", d->name);
}

/* ---- what was reached ---- */

static void note_reached(forge_device *d, uint64_t value) {
  uint64_t known = atomic_load_explicit(&d->reached, memory_order_relaxed);
  while (known < value &&
         !atomic_compare_exchange_weak_explicit(&d->reached, &known, value, memory_order_release,
                                                memory_order_relaxed)) {
  }
}

void device_note_failed(forge_device *d, forge_status status) {
  forge_status none = FORGE_OK;
  atomic_compare_exchange_strong(&d->failed, &none, status); /* the first failure is the reason */
}

void device_notify(forge_listener *self, uint64_t value, forge_status status) {
  forge_device *d = (forge_device *)((char *)self - offsetof(forge_device, listener));
  if (status)
    device_note_failed(d, status);
  else
    note_reached(d, value);
}

forge_status device_wait_value(forge_device *d, uint64_t value, uint64_t timeout_ns) {
  TRY(device_check_process(d));
  if (value <= atomic_load_explicit(&d->reached, memory_order_acquire)) return FORGE_OK;
  if (value > atomic_load(&d->submitted))
    return FAIL(FORGE_E_INVALID, "%s: moment %llu was never submitted", d->name,
                (unsigned long long)value);
  forge_status st = atomic_load(&d->failed);
  if (!st) st = d->table->tl_wait(d->tl, value, timeout_ns);
  if (!st) {
    note_reached(d, value);
    return FORGE_OK;
  }
  if (st == FORGE_E_TIMEOUT)
    return FAIL(st, "%s: the work did not finish in the time given", d->name);
  device_note_failed(d, st);
  return device_failed(d, st, "work on the device");
}

/* ---- work ---- */

forge_status device_submit(forge_device *d, forge_prog *prog, const forge_bind *bind,
                           uint32_t n_bind, const uint64_t *scalar, uint32_t n_scalar,
                           forge_moment *out_done) {
  if (is_foreign(d) || is_lost(d)) return device_check_alive(d);
  guard_enter(&d->turn);
  const uint64_t value = atomic_load_explicit(&d->submitted, memory_order_relaxed) + 1;
  const forge_point done = {d->tl, value};
  const forge_submit order = {.size = sizeof order,
                              .n_bind = n_bind,
                              .n_scalar = n_scalar,
                              .n_signal = 1,
                              .bind = bind,
                              .scalar = scalar,
                              .signal = &done};
  const forge_status st = d->table->submit(d->queue, prog, &order);
  if (!st) atomic_store_explicit(&d->submitted, value, memory_order_release);
  guard_leave(&d->turn);
  if (st) return device_failed(d, st, "submit");
  if (out_done) *out_done = (forge_moment){d, value};
  return FORGE_OK;
}

forge_status device_copy_now(forge_device *d, const forge_copy *copies, uint32_t n) {
  TRY(device_check_alive(d));
  guard_enter(&d->turn);
  const uint64_t value = atomic_load_explicit(&d->submitted, memory_order_relaxed) + 1;
  const forge_point done = {d->tl, value};
  const forge_submit order = {.size = sizeof order, .n_signal = 1, .signal = &done};
  const forge_status st = d->table->copy(d->queue, copies, n, &order);
  if (!st) atomic_store_explicit(&d->submitted, value, memory_order_release);
  guard_leave(&d->turn);
  if (st) return device_failed(d, st, "copy");
  return device_wait_value(d, value, FORGE_WAIT_FOREVER);
}

forge_status forge_moment_wait(forge_moment moment, uint64_t timeout_ns) {
  if (!moment.device) return FAIL(FORGE_E_INVALID, "a moment without a device");
  return device_wait_value(moment.device, moment.value, timeout_ns);
}

forge_status forge_device_wait(forge_device *d) {
  return device_wait_value(d, atomic_load(&d->submitted), FORGE_WAIT_FOREVER);
}
