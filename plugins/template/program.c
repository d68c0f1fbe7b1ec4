/* program.c -- op records read, answers about them, and the list run. A program is its ops with
 * their kernels found and their tensors laid out; a submit fills in addresses and extents. */
#include <inttypes.h>
#include <string.h>

#include "backend.h"

enum { MAX_OPERANDS = MAX_IN + MAX_OUT };

typedef struct step {
  const kernel *kernel;
  call args;                   /* tensors at their largest, no addresses */
  uint32_t slot[MAX_OPERANDS]; /* of args.in, then args.out; FORGE_SLOT_NONE: absent */
} step;

struct forge_prog {
  uint32_t n_bind, n_scalars, n_slots, n_steps;
  uint64_t *need; /* bytes of each binding that its tensors take at their largest */
  forge_slot *slots;
  uint8_t *ops; /* the records: attributes stay there */
  step *steps;
};

/* ---- records ---- */

static const kernel *find_kernel(uint16_t op) {
  for (const kernel *k = kernels; k->op; k++)
    if (k->op == op) return k;
  return NULL;
}

static forge_status wrong(uint32_t index) {
  return fail(FORGE_E_INVALID, "template: the record of op %" PRIu32 " is damaged", index);
}

static forge_status read_tensors(const forge_prog_desc *desc, const uint8_t *ids,
                                 const forge_op *op, uint32_t index, step *out) {
  for (uint32_t i = 0; i < MAX_OPERANDS; i++) out->slot[i] = FORGE_SLOT_NONE;
  for (uint32_t i = 0; i < (uint32_t)op->n_in + op->n_out; i++) {
    const uint32_t at = i < op->n_in ? i : MAX_IN + i - op->n_in;
    uint32_t id;
    memcpy(&id, ids + 4 * i, sizeof id);
    if (id == FORGE_SLOT_NONE) continue;
    if (id >= desc->n_slots || desc->slots[id].bind >= desc->n_bind) return wrong(index);
    view *v = at < MAX_IN ? &out->args.in[at] : &out->args.out[at - MAX_IN];
    v->t = desc->slots[id].tensor;
    out->slot[at] = id;
  }
  return FORGE_OK;
}

/* Op number |index|, whose record begins at byte |*at|; the next begins at |*at| afterwards. An op
 * that has no kernel here, or is of a later version, leaves out->kernel NULL. */
static forge_status read_step(const forge_prog_desc *desc, uint32_t index, uint64_t *at,
                              forge_op *op, step *out) {
  const uint8_t *record = (const uint8_t *)desc->ops + *at;
  const uint64_t left = desc->ops_bytes - *at;
  *out = (step){.kernel = NULL};
  if (left < sizeof *op) return wrong(index);
  memcpy(op, record, sizeof *op);
  if (op->bytes < sizeof *op || op->bytes > left || op->bytes % 8) return wrong(index);
  *at += op->bytes;
  const kernel *k = op->op_ver == 1 && !op->flags ? find_kernel(op->op) : NULL;
  if (!k || op->n_in > MAX_IN || op->n_out > MAX_OUT) return FORGE_OK;
  const uint64_t attr = (sizeof *op + 4 * ((uint64_t)op->n_in + op->n_out) + 7) / 8 * 8;
  if (attr + k->attr_bytes > op->bytes) return wrong(index);
  out->kernel = k;
  out->args.attr = record + attr;
  return read_tensors(desc, record + sizeof *op, op, index, out);
}

/* ---- what is supported ---- */

static uint8_t reason_against(const step *s) {
  if (!s->kernel) return FORGE_REASON_OP;
  for (int i = 0; i < MAX_OPERANDS; i++) {
    const view *v = i < MAX_IN ? &s->args.in[i] : &s->args.out[i - MAX_IN];
    if (v->t.layout != FORGE_LAYOUT_ROW_MAJOR || v->t.flags) return FORGE_REASON_STRIDES;
  }
  return s->kernel->supports ? s->kernel->supports(&s->args) : FORGE_REASON_NONE;
}

static bool is_composite(uint16_t op) {
#define CASE_(name, number, cls, inputs, outputs, text)                                            \
  case number: return cls == FORGE_CLASS_COMPOSITE;
  switch (op) {
    FORGE_OP_MAP(CASE_)
  default: return false;
  }
#undef CASE_
}

/* NATIVE must be true: submit() may not refuse what was promised here. */
forge_status op_support(forge_dev *dev, const forge_prog_desc *desc, forge_support *out_per_op) {
  (void)dev; /* hardware looks at what this one can do */
  uint64_t at = 0;
  for (uint32_t i = 0; i < desc->n_ops; i++) {
    forge_op op;
    step s;
    const forge_status status = read_step(desc, i, &at, &op, &s);
    if (status) return status;
    const uint8_t reason = reason_against(&s);
    const uint8_t no =
        is_composite(op.op) && op.op_ver == 1 ? FORGE_SUPPORT_DECOMPOSED : FORGE_SUPPORT_NO;
    out_per_op[i] = (forge_support){.answer = reason ? no : FORGE_SUPPORT_NATIVE,
                                    .reason = reason,
                                    .rel_cost = reason ? 0 : 100};
  }
  return FORGE_OK;
}

/* ---- building. The place to compile, capture or plan ---- */

static forge_status reserve(forge_prog *p, const forge_prog_desc *desc) {
  p->need = zalloc(desc->n_bind * sizeof *p->need);
  p->slots = p->need ? zalloc(desc->n_slots * sizeof *p->slots) : NULL;
  p->ops = p->slots ? zalloc(desc->ops_bytes) : NULL;
  p->steps = p->ops ? zalloc(desc->n_ops * sizeof *p->steps) : NULL;
  if (!p->steps) return FORGE_E_OOM;
  /* The description is borrowed for the call: what submit() needs is kept. */
  if (desc->n_slots) memcpy(p->slots, desc->slots, desc->n_slots * sizeof *p->slots);
  if (desc->ops_bytes) memcpy(p->ops, desc->ops, desc->ops_bytes);
  return FORGE_OK;
}

/* Where the tensor of a slot ends in its binding; 0: it has no element. */
static uint64_t end_of(const forge_slot *slot) {
  const forge_tensor *t = &slot->tensor;
  const packing p = packing_of(t->dtype);
  uint64_t last = 0;
  for (int k = 0; k < t->rank; k++) {
    if (!t->dim[k]) return 0;
    last += (uint64_t)(t->dim[k] - 1) * (uint64_t)t->stride[k];
  }
  return slot->offset + (last / (uint64_t)p.elems + 1) * (uint64_t)p.bytes;
}

static forge_status measure(forge_prog *p) {
  for (uint32_t i = 0; i < p->n_slots; i++) {
    const uint32_t bind = p->slots[i].bind;
    if (bind >= p->n_bind)
      return fail(FORGE_E_INVALID, "template: slot %" PRIu32 " lies in no binding", i);
    const uint64_t end = end_of(&p->slots[i]);
    if (end > p->need[bind]) p->need[bind] = end;
  }
  return FORGE_OK;
}

static forge_status build(forge_prog *p, const forge_prog_desc *desc) {
  forge_status status = reserve(p, desc);
  if (!status) status = measure(p);
  forge_prog_desc kept = *desc;
  kept.ops = p->ops;
  uint64_t at = 0;
  for (; !status && p->n_steps < desc->n_ops; p->n_steps++) {
    forge_op op;
    step *s = &p->steps[p->n_steps];
    if ((status = read_step(&kept, p->n_steps, &at, &op, s))) break;
    const uint8_t reason = reason_against(s);
    if (reason)
      status = fail(FORGE_E_UNSUPPORTED, "template: op %" PRIu32 " (number %u): reason %u",
                    p->n_steps, op.op, reason);
  }
  return status;
}

/* These loops always give the same bits; where kernels race for sums, refuse DETERMINISTIC. */
forge_status prog_create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                         forge_prog_out *info) {
  const uint32_t known =
      FORGE_PROGRAM_ONE_SHOT | FORGE_PROGRAM_REPLAYABLE | FORGE_PROGRAM_DETERMINISTIC;
  forge_status status = check_alive(dev);
  if (status) return status;
  if (desc->flags & ~known)
    return fail(FORGE_E_UNSUPPORTED, "template: unknown flags %#" PRIx32 " of a program",
                desc->flags);
  forge_prog *p = zalloc(sizeof *p);
  if (!p) return FORGE_E_OOM;
  p->n_bind = desc->n_bind;
  p->n_scalars = desc->n_scalars;
  p->n_slots = desc->n_slots;
  if ((status = build(p, desc))) {
    prog_destroy(p);
    return status;
  }
  info->workspace_bytes = 0; /* device memory the kernels need beside their tensors */
  *out = p;
  return FORGE_OK;
}

void prog_destroy(forge_prog *p) {
  if (!p) return;
  release(p->need);
  release(p->slots);
  release(p->ops);
  release(p->steps);
  release(p);
}

/* ---- running ---- */

static forge_status check_extents(const forge_prog *p, const forge_submit *order) {
  for (uint32_t i = 0; i < p->n_slots; i++) {
    const forge_tensor *t = &p->slots[i].tensor;
    for (int k = 0; k < t->rank; k++)
      if (t->dim_scalar[k] && (t->dim_scalar[k] > order->n_scalar ||
                               order->scalar[t->dim_scalar[k] - 1] > (uint64_t)t->dim[k]))
        return fail(FORGE_E_INVALID, "template: slot %" PRIu32 " is larger than its maximum", i);
  }
  return FORGE_OK;
}

forge_status prog_check(const forge_prog *p, const forge_submit *order) {
  if (order->flags) return fail(FORGE_E_UNSUPPORTED, "template: unknown flags of a submit");
  if (order->n_bind != p->n_bind || order->n_scalar != p->n_scalars)
    return fail(FORGE_E_INVALID, "template: not the bindings and scalars of the program");
  for (uint32_t i = 0; i < p->n_bind; i++) {
    const forge_bind *b = &order->bind[i];
    if (!p->need[i]) continue; /* nothing of it is used; it may have no memory */
    if (b->len < p->need[i])
      return fail(FORGE_E_INVALID,
                  "template: binding %" PRIu32 " has %" PRIu64 " bytes; the program needs %" PRIu64,
                  i, b->len, p->need[i]);
    const forge_status status = check_range(b);
    if (status) return status;
  }
  return check_extents(p, order);
}

/* |v| as this submit has it. */
static void place(const forge_prog *p, uint32_t slot, const forge_submit *order, view *v) {
  if (slot == FORGE_SLOT_NONE) return;
  const forge_slot *s = &p->slots[slot];
  const forge_bind *b = &order->bind[s->bind];
  v->data = b->mem ? b->mem->data + b->off + s->offset : NULL;
  for (int k = 0; k < v->t.rank; k++)
    if (v->t.dim_scalar[k]) v->t.dim[k] = (int64_t)order->scalar[v->t.dim_scalar[k] - 1];
}

void prog_run(const forge_prog *p, const forge_submit *order) {
  for (uint32_t i = 0; i < p->n_steps; i++) {
    const step *s = &p->steps[i];
    call c = s->args;
    c.scalar = order->scalar;
    for (int k = 0; k < MAX_IN; k++) place(p, s->slot[k], order, &c.in[k]);
    for (int k = 0; k < MAX_OUT; k++) place(p, s->slot[MAX_IN + k], order, &c.out[k]);
    s->kernel->run(&c);
  }
}
