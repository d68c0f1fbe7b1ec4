/* work.c -- submits and copies that fail, come late, or give wrong results. */
#include <stdio.h>
#include <string.h>

#include "fault.h"

/* ---- programs: where their results lie ---- */

static bool note_outputs(fprog *p, const forge_prog_desc *desc) {
  const forge_op *op = desc->ops;
  for (uint32_t i = 0; i < desc->n_ops; i++, op = kit_op_next(op)) {
    const uint32_t *ids = kit_op_ids(op) + op->n_in;
    for (uint32_t k = 0; k < op->n_out; k++) {
      if (ids[k] == FORGE_SLOT_NONE) continue;
      if (!KIT_GROW(p->outputs, p->n_outputs, p->cap_outputs)) return false;
      p->outputs[p->n_outputs++] =
          (output){.slot = desc->slots[ids[k]], .op_index = i, .output = k, .op = op->op};
    }
  }
  return true;
}

void f_prog_destroy(forge_prog *prog) {
  fprog *p = (fprog *)(void *)prog;
  if (p) kit_free(p->outputs);
  wrap_prog_destroy(prog);
}

forge_status f_prog_create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                           forge_prog_out *info) {
  fdev *d = fdev_of(wrap_of_dev(dev));
  forge_status st = fault_call(d, CALL_PROG_CREATE);
  if (!st) st = wrap_prog_create(dev, desc, out, info);
  if (st || note_outputs((fprog *)(void *)*out, desc)) return st;
  f_prog_destroy(*out);
  return kit_fail(d->w.host, FORGE_E_OOM, "%s: no host memory for fault", d->w.name);
}

/* ---- wrong results ---- */

/* A random element of an output as this submit runs it; false: it has none. */
static bool pick_element(const output *o, const forge_submit *order, uint64_t random,
                         uint64_t *out_at, uint64_t *out_number) {
  const forge_tensor *t = &o->slot.tensor;
  uint64_t element = 0;
  *out_number = 0;
  for (uint32_t k = 0; k < t->rank; k++) {
    const uint64_t extent =
        t->dim_scalar[k] ? order->scalar[t->dim_scalar[k] - 1] : (uint64_t)t->dim[k];
    if (!extent) return false;
    random = rules_mix(random);
    *out_number = *out_number * extent + random % extent;
    element += random % extent * (uint64_t)t->stride[k];
  }
  *out_at =
      o->slot.offset + element / kit_block_elems(t->dtype) * (uint64_t)kit_block_bytes(t->dtype);
  return true;
}

/* Starts at a random output and takes the next that has an element. */
static const output *pick_output(const fprog *p, const rule *r, const forge_submit *order,
                                 uint64_t random, uint64_t *out_at, uint64_t *out_number) {
  for (size_t i = 0; i < p->n_outputs; i++) {
    const output *o = &p->outputs[(random + i) % p->n_outputs];
    if (r->op >= 0 && o->op_index != (uint64_t)r->op) continue;
    if (pick_element(o, order, random, out_at, out_number)) return o;
  }
  return NULL;
}

/* A copy that the layer waits for itself; |w| carries what is to be signalled besides. */
static forge_status copy_and_wait(fdev *d, forge_queue *inner, const forge_copy *c, wrap_order *w) {
  const forge_point done = {d->own_tl, ++d->own_value};
  forge_submit order = {.size = sizeof order, .n_signal = 1, .signal = &done};
  if (w) {
    w->inner.n_wait = 0; /* the work before it waited */
    wrap_order_signal(w, done.tl, done.value);
    order.n_signal = w->inner.n_signal;
    order.signal = w->inner.signal;
  }
  const forge_status st = d->w.inner->copy(inner, c, 1, &order);
  return st ? st : d->w.inner->tl_wait(d->own_tl, done.value, FORGE_WAIT_FOREVER);
}

/* So many bits, each another, as far as there are as many; which, into |out| for the log. */
static void flip(uint8_t *bytes, uint32_t size, uint32_t bits, uint64_t random, char *out,
                 size_t out_size) {
  size_t n = 0;
  uint8_t done[256] = {0};
  out[0] = 0;
  for (uint32_t i = 0; i < bits && i < size * 8; i++) {
    random = rules_mix(random);
    uint32_t bit = (uint32_t)(random % (size * 8));
    while (done[bit / 8] >> bit % 8 & 1) bit = (bit + 1) % (size * 8);
    done[bit / 8] |= (uint8_t)(1u << bit % 8);
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    if (n < out_size) n += (size_t)snprintf(out + n, out_size - n, "%s%u", i ? ", " : "", bit);
  }
}

/* The work, then the change, then the signals: nobody sees the right result. */
static forge_status submit_wrong(fdev *d, forge_queue *inner, const fprog *p, const rule *r,
                                 wrap_order *w, const forge_submit *outer, uint64_t count,
                                 uint64_t random) {
  uint64_t at, number;
  uint8_t bytes[256];
  char bits[160];
  const output *o = pick_output(p, r, outer, random, &at, &number);
  if (!o) {
    kit_log(kit_host, FORGE_LOG_WARN, "submit %llu on %s (%s): the program has no such result",
            (unsigned long long)count, d->w.name, r->text);
    return d->w.inner->submit(inner, p->w.inner, &w->inner);
  }
  const uint32_t size = kit_block_bytes(o->slot.tensor.dtype);
  const forge_bind *b = &outer->bind[o->slot.bind];
  const forge_bind place = {b->mem, b->off + at, size};
  const forge_point done = {d->own_tl, ++d->own_value};
  forge_submit part = w->inner;
  part.n_signal = 1;
  part.signal = &done;
  forge_status st = d->w.inner->submit(inner, p->w.inner, &part);
  if (!st) st = d->w.inner->tl_wait(d->own_tl, done.value, FORGE_WAIT_FOREVER);
  forge_copy c = {.kind = FORGE_COPY_TO_HOST, .src = place, .host = bytes};
  if (!st) st = copy_and_wait(d, inner, &c, NULL);
  if (st) return st;
  flip(bytes, size, r->bits, random, bits, sizeof bits);
  kit_log(kit_host, FORGE_LOG_WARN,
          "submit %llu on %s (%s, seed %llu): op %u %s, output %u, element %llu: bit %s "
          "flipped",
          (unsigned long long)count, d->w.name, r->text, (unsigned long long)d->rules.seed,
          o->op_index, kit_op_name(o->op), o->output, (unsigned long long)number, bits);
  c = (forge_copy){.kind = FORGE_COPY_TO_DEVICE, .dst = place, .host = bytes};
  return copy_and_wait(d, inner, &c, w);
}

/* ---- submit and copy ---- */

typedef struct blow {
  const rule *r;
  uint64_t count, random, delay_ns;
  forge_status fails;
} blow;

static uint64_t delay_of(const rule *r, uint64_t random) {
  return r->least_ns + (r->most_ns > r->least_ns ? random % (r->most_ns - r->least_ns + 1) : 0);
}

/* What becomes of a piece of work; not OK: it is refused. */
static forge_status strike(fdev *d, uint32_t call, blow *b) {
  *b = (blow){0};
  b->r = rules_strike(&d->rules, call, &b->count, &b->random);
  forge_status st = fault_check_lost(d);
  if (st || !b->r) return st;
  const rule *r = b->r;
  if (r->what == DO_FLIP) return FORGE_OK; /* tells of itself */
  if (r->what == DO_DELAY) b->delay_ns = delay_of(r, b->random);
  if (r->what == DO_FAIL) b->fails = r->status;
  kit_log(kit_host, FORGE_LOG_WARN, "%s %llu on %s (%s, seed %llu)%s", rules_call_name(r->call),
          (unsigned long long)b->count, d->w.name, r->text, (unsigned long long)d->rules.seed,
          r->what == DO_DELAY  ? ": done later"
          : r->what == DO_FAIL ? ": will fail"
                               : "");
  if (r->what == DO_LOSE) fault_lose(d);
  if (r->what == DO_LOSE) return fault_check_lost(d);
  if (r->what == DO_STATUS)
    return kit_fail(d->w.host, r->status, "injected by the layer fault (rule %s)", r->text);
  return FORGE_OK;
}

static forge_status begin(fdev *d, uint32_t call, const forge_submit *order, blow *b,
                          wrap_order *w) {
  forge_status st = strike(d, call, b);
  if (!st) st = wrap_order_init(w, order, 1, d->w.host);
  if (st) return st;
  if (time_promise(d, order, b->delay_ns, b->fails)) return FORGE_OK;
  wrap_order_finish(w);
  return kit_fail(d->w.host, FORGE_E_OOM, "%s: no host memory for fault", d->w.name);
}

static void end(fdev *d, const forge_submit *order, wrap_order *w, forge_status st) {
  if (st) time_withdraw(d, order);
  wrap_order_finish(w);
}

forge_status f_submit(forge_queue *queue, forge_prog *prog, const forge_submit *order) {
  const wrap_queue *q = wrap_of_queue(queue);
  const fprog *p = (const fprog *)(void *)prog;
  fdev *d = fdev_of(q->d);
  wrap_order w;
  blow b;
  forge_status st = begin(d, CALL_SUBMIT, order, &b, &w);
  if (st) return st;
  if (b.r && b.r->what == DO_FLIP) {
    pthread_mutex_lock(&d->own_lock);
    st = submit_wrong(d, q->inner, p, b.r, &w, order, b.count, b.random);
    pthread_mutex_unlock(&d->own_lock);
  } else {
    st = d->w.inner->submit(q->inner, p->w.inner, &w.inner);
  }
  end(d, order, &w, st);
  return st;
}

forge_status f_copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                    const forge_submit *order) {
  const wrap_queue *q = wrap_of_queue(queue);
  fdev *d = fdev_of(q->d);
  wrap_order w;
  blow b;
  forge_status st = begin(d, CALL_COPY, order, &b, &w);
  if (st) return st;
  st = d->w.inner->copy(q->inner, copies, n, order ? &w.inner : NULL);
  end(d, order, &w, st);
  return st;
}
