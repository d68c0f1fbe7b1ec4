/* program.c -- programs: their description is held against the rules, and what they read and write
 * is noted, for the checks of a submit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runs.h"
#include "validate.h"

void prog_release(vprog *p) {
  kit_free(p->need);
  kit_free(p->limit);
  kit_free(p->align);
  kit_free(p->access);
  p->need = p->limit = NULL;
  p->align = NULL;
  p->access = NULL;
  p->n_access = 0;
}

/* ---- what it touches ---- */

typedef struct notes {
  access_range *items;
  size_t n, cap;
  bool failed;
} notes;

static void note_slot(notes *to, const forge_slot *slot, bool writes) {
  runs r;
  runs_of(slot, &r);
  for (uint32_t i = 0; i < r.n && !to->failed; i++) {
    if (!KIT_GROW(to->items, to->n, to->cap)) {
      to->failed = true;
      return;
    }
    to->items[to->n++] = (access_range){slot->bind, writes, r.at[i].lo, r.at[i].hi};
  }
}

static int by_place(const void *a, const void *b) {
  const access_range *x = a, *y = b;
  if (x->bind != y->bind) return x->bind < y->bind ? -1 : 1;
  if (x->writes != y->writes) return x->writes < y->writes ? -1 : 1;
  return (x->lo > y->lo) - (x->lo < y->lo);
}

static void merge(notes *of) {
  size_t n = 0;
  if (of->n) qsort(of->items, of->n, sizeof *of->items, by_place);
  for (size_t i = 0; i < of->n; i++) {
    access_range *last = n ? &of->items[n - 1] : NULL;
    const access_range *next = &of->items[i];
    if (last && last->bind == next->bind && last->writes == next->writes && next->lo <= last->hi)
      last->hi = next->hi > last->hi ? next->hi : last->hi;
    else
      of->items[n++] = *next;
  }
  of->n = n;
}

static void note_limits(vprog *p, const forge_slot *s) {
  const forge_tensor *t = &s->tensor;
  uint64_t span;
  kit_view_span(t, &span);
  const uint64_t end = span ? s->offset + span : 0;
  if (end > p->need[s->bind]) p->need[s->bind] = end;
  if (kit_dtype_align(t->dtype) > p->align[s->bind]) p->align[s->bind] = kit_dtype_align(t->dtype);
  for (uint32_t k = 0; k < t->rank; k++) {
    const uint32_t scalar = t->dim_scalar[k];
    if (scalar && (uint64_t)t->dim[k] < p->limit[scalar - 1])
      p->limit[scalar - 1] = (uint64_t)t->dim[k];
  }
}

static bool take_notes(vprog *p, const forge_prog_desc *desc) {
  notes of = {0};
  const forge_op *op = desc->ops;
  p->need = kit_zalloc((desc->n_bind + 1) * sizeof *p->need);
  p->align = kit_zalloc((desc->n_bind + 1) * sizeof *p->align);
  p->limit = kit_zalloc((desc->n_scalars + 1) * sizeof *p->limit);
  if (!p->need || !p->align || !p->limit) return false;
  memset(p->limit, 0xFF, desc->n_scalars * sizeof *p->limit);
  for (uint32_t i = 0; i < desc->n_ops; i++, op = kit_op_next(op)) {
    const uint32_t *ids = kit_op_ids(op);
    for (uint32_t k = 0; k < (uint32_t)op->n_in + op->n_out; k++) {
      if (ids[k] == FORGE_SLOT_NONE) continue;
      note_limits(p, &desc->slots[ids[k]]);
      if (p->o.d->races) note_slot(&of, &desc->slots[ids[k]], k >= op->n_in);
    }
  }
  merge(&of);
  p->access = of.items;
  p->n_access = (uint32_t)of.n;
  return !of.failed;
}

/* ---- the slots ---- */

static void judge_support(const call *c, const forge_prog_desc *desc, const forge_support *out) {
  for (uint32_t i = 0; i < desc->n_ops; i++) {
    if (out[i].answer > FORGE_SUPPORT_NATIVE)
      complain(c, "op %u: the backend answered %u, which is no FORGE_SUPPORT_*", i, out[i].answer);
    else if (out[i].answer != FORGE_SUPPORT_NATIVE && out[i].reason == FORGE_REASON_NONE)
      complain(c, "op %u: the backend declines and gives no reason", i);
  }
}

forge_status v_op_support(forge_dev *dev, const forge_prog_desc *desc, forge_support *out_per_op) {
  call c;
  if (!begin(dev, "op_support", &c)) return FORGE_E_INVALID;
  if (!desc || !out_per_op) return refuse(&c, "desc and out_per_op must not be NULL");
  forge_status st = description_check(&c, desc);
  if (st) return st;
  st = judge(&c, c.d->inner->op_support(c.d->dev, desc, out_per_op));
  if (!st) judge_support(&c, desc, out_per_op);
  return st;
}

/* A description that the operator lets pass although it is wrong cannot be looked into. */
static bool is_sound(const call *c, uint64_t before) {
  return atomic_load(&c->d->problems) == before;
}

forge_status v_prog_create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                           forge_prog_out *info) {
  call c;
  if (!begin(dev, "prog_create", &c)) return FORGE_E_INVALID;
  if (!desc || !out || !info) return refuse(&c, "desc, out and info must not be NULL");
  const uint64_t before = atomic_load(&c.d->problems);
  forge_status st = description_check(&c, desc);
  if (st) return st;
  vprog *p = object_create(&c, OBJECT_PROGRAM, sizeof *p);
  if (!p) return FORGE_E_OOM;
  p->n_bind = desc->n_bind;
  p->n_scalars = desc->n_scalars;
  p->n_ops = desc->n_ops;
  if (is_sound(&c, before) && !take_notes(p, desc))
    st = kit_fail(c.d->host, FORGE_E_OOM, "%s: prog_create: no host memory for validate's books",
                  c.d->name);
  if (!st) {
    st = c.d->inner->prog_create(c.d->dev, desc, &p->inner, info);
    st = judge_made(&c, st, p->inner);
  }
  if (!st && !object_publish(&c, &p->o)) {
    c.d->inner->prog_destroy(p->inner);
    st = FORGE_E_OOM;
  }
  if (st) {
    prog_release(p);
    kit_free(p);
  } else {
    *out = (forge_prog *)(void *)p;
  }
  return st;
}

void v_prog_destroy(forge_prog *prog) {
  call c;
  object *o;
  if (!prog || !begin_on(prog, OBJECT_PROGRAM, "prog_destroy", &c, &o)) return;
  vprog *p = (vprog *)(void *)o;
  if (object_in_use(&c, o, "destroyed") && c.d->refuses) return;
  object_bury(&c, o);
  c.d->inner->prog_destroy(p->inner);
  prog_release(p);
}
