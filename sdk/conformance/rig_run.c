/* rig_run.c -- programs of the rig: described, asked for, built, run over an image of device memory
 * and judged by what changed in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin.h"
#include "rig_parts.h"

/* ---- description ---- */

static uint32_t slot_of(rig_program *p, rig_tensor *t, uint32_t skew) {
  if (!t) return FORGE_SLOT_NONE;
  for (uint32_t i = 0; i < p->n; i++)
    if (p->tensor[i] == t) return i;
  CHECK(p->n < RIG_MOST_TENSORS, "the suite's program has too many tensors");
  p->slot[p->n] =
      (forge_slot){.tensor = t->t,
                   .bind = p->n,
                   .offset = skew * rig_type_bytes(t->t.dtype, rig_type_block(t->t.dtype))};
  p->tensor[p->n] = t;
  return p->n++;
}

static void add_op(rig_program *p, const rig_op *o, uint32_t skew) {
  uint32_t ids[RIG_MOST_TENSORS];
  CHECK(o->n_in + o->n_out <= RIG_MOST_TENSORS, "the suite's op has too many tensors");
  for (uint32_t i = 0; i < o->n_in; i++) ids[i] = slot_of(p, o->in[i], skew);
  for (uint32_t i = 0; i < o->n_out; i++) {
    const uint32_t before = p->n, id = slot_of(p, o->out[i], skew);
    ids[o->n_in + i] = id;
    if (id == FORGE_SLOT_NONE) continue;
    p->written[id] = id == before && p->n > before ? 1 : p->written[id] == 1 ? 1 : 2;
  }
  const uint32_t at = (uint32_t)(sizeof(forge_op) + 4 * (o->n_in + o->n_out) + 7) / 8 * 8;
  const uint32_t bytes = (at + o->attr_bytes + 7) / 8 * 8;
  const forge_op head = {.op = o->op,
                         .op_ver = 1,
                         .n_in = (uint16_t)o->n_in,
                         .n_out = (uint16_t)o->n_out,
                         .bytes = bytes};
  CHECK(p->desc.ops_bytes + bytes <= sizeof p->record, "the suite's program is too long");
  uint8_t *to = (uint8_t *)p->record + p->desc.ops_bytes;
  memcpy(to, &head, sizeof head);
  memcpy(to + sizeof head, ids, 4 * (o->n_in + o->n_out));
  if (o->attr_bytes) memcpy(to + at, o->attr, o->attr_bytes);
  p->desc.ops_bytes += bytes;
}

static const rig_how usual = {.n_scalar = 0};

void rig_describe(rig_program *p, const rig_op *ops, uint32_t n, const rig_how *how) {
  if (!how) how = &usual;
  memset(p, 0, sizeof *p);
  p->desc = (forge_prog_desc){.size = sizeof p->desc,
                              .flags = how->flags,
                              .n_ops = n,
                              .slots = p->slot,
                              .ops = p->record,
                              .n_scalars = how->n_scalar,
                              .prog_id = 1};
  for (uint32_t i = 0; i < n; i++) add_op(p, &ops[i], how->skew);
  p->desc.n_slots = p->desc.n_bind = p->n;
}

/* ---- support ---- */

void rig_support(rig *r, const rig_op *ops, uint32_t n, forge_support *out_per_op) {
  rig_support_how(r, ops, n, NULL, out_per_op);
}

void rig_support_how(rig *r, const rig_op *ops, uint32_t n, const rig_how *how,
                     forge_support *out_per_op) {
  rig_program *p = rig_zalloc(sizeof *p);
  rig_describe(p, ops, n, how);
  for (uint32_t i = 0; i < n; i++) out_per_op[i] = (forge_support){.answer = 99};
  rig_expect(rig_table()->op_support(r->dev, &p->desc, out_per_op), "op_support");
  for (uint32_t i = 0; i < n; i++) {
    const forge_support *s = &out_per_op[i];
    CHECK(s->answer <= FORGE_SUPPORT_NATIVE, "op_support gives no answer for op %u (%s)", i,
          rig_op_name(ops[i].op));
    CHECK(s->answer == FORGE_SUPPORT_NATIVE ||
              (s->reason > FORGE_REASON_NONE && s->reason <= FORGE_REASON_HARDWARE),
          "op_support answers %s for %s without a reason (reason is %u)",
          s->answer ? "DECOMPOSED" : "NO", rig_op_name(ops[i].op), s->reason);
  }
  free(p);
}

void rig_require(rig *r, const rig_op *ops, uint32_t n) {
  forge_support *s = rig_zalloc(n * sizeof *s);
  rig_support(r, ops, n, s);
  for (uint32_t i = 0; i < n; i++)
    if (s[i].answer != FORGE_SUPPORT_NATIVE)
      test_unsupported("%s: %s, because of %s", rig_op_name(ops[i].op),
                       s[i].answer ? "DECOMPOSED" : "NO", rig_reason_name(s[i].reason));
  free(s);
}

/* ---- the image ---- */

typedef struct image {
  const forge_backend_v1 *unwatched; /* the plugin's own table, where time is taken; else NULL */
  const rig_program *p;
  const rig_how *how;
  uint64_t at[RIG_MOST_TENSORS];    /* where tensor i's first element is */
  uint64_t begin[RIG_MOST_TENSORS]; /* where its binding begins */
  uint8_t *before, *after;
  uint64_t bytes;
} image;

static uint64_t up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

/* Every 2-byte and 4-byte word is a NaN of its float types, and no two places look alike. */
static uint8_t canary(uint64_t at, uint64_t salt) {
  const uint64_t h = (at + salt * 977 + 1) * UINT64_C(0x9E3779B97F4A7C15) >> 33;
  return at & 1 ? (h & 1 ? 0xFF : 0x7F) : (uint8_t)(0x81 + h % 0x7F);
}

static void lay_out(image *m) {
  uint64_t at = 0;
  for (uint32_t i = 0; i < m->p->n; i++) {
    m->begin[i] = up(at + RIG_GAP, RIG_ALIGN);
    m->at[i] = m->begin[i] + m->p->slot[i].offset;
    at = m->at[i] + m->p->tensor[i]->bytes;
  }
  m->bytes = up(at + RIG_GAP, RIG_ALIGN);
}

static void paint(image *m, uint64_t salt) {
  m->before = rig_zalloc(m->bytes);
  m->after = rig_zalloc(m->bytes);
  for (uint64_t i = 0; i < m->bytes; i++) m->before[i] = canary(i, salt);
  for (uint32_t i = 0; i < m->p->n; i++)
    if (m->p->written[i] != 1 || m->how->keep_outputs)
      memcpy(m->before + m->at[i], m->p->tensor[i]->data, m->p->tensor[i]->bytes);
}

/* "output 0 of SWIGLU (F32 [3, 7])" */
static const char *label(const image *m, uint32_t i, char *out, size_t bytes) {
  const rig_tensor *t = m->p->tensor[i];
  int n = snprintf(out, bytes, "%s tensor %u (%s [", m->p->written[i] ? "output" : "input", i,
                   rig_type_name(t->t.dtype));
  for (int k = 0; k < t->t.rank && n < (int)bytes; k++)
    n += snprintf(out + n, bytes - (size_t)n, k ? ", %lld" : "%lld", (long long)t->t.dim[k]);
  if (n < (int)bytes) snprintf(out + n, bytes - (size_t)n, "])");
  return out;
}

static void check_gap(const image *m, uint64_t from, uint64_t to, uint32_t next) {
  char name[160];
  for (uint64_t b = from; b < to; b++) {
    if (m->before[b] == m->after[b]) continue;
    if (next > 0 && (next == m->p->n || b - from <= to - b))
      test_fail("memory past the end of %s was written: byte %llu after its last",
                label(m, next - 1, name, sizeof name), (unsigned long long)(b - from));
    test_fail("memory before the start of %s was written: %llu byte(s) before its first",
              label(m, next, name, sizeof name), (unsigned long long)(m->at[next] - b));
  }
}

/* Bytes of a strided tensor that belong to no element. */
static void check_holes(const image *m, uint32_t i) {
  const rig_tensor *t = m->p->tensor[i];
  const int64_t n = rig_elements(t);
  const uint64_t one = rig_type_bytes(t->t.dtype, 1);
  char name[160];
  if (rig_type_block(t->t.dtype) > 1 || t->bytes == (uint64_t)n * one) return;
  uint8_t *used = rig_zalloc(t->bytes + 1);
  for (int64_t e = 0; e < n; e++) memset(used + (uint64_t)rig_offset(t, e) * one, 1, one);
  for (uint64_t b = 0; b < t->bytes; b++)
    if (!used[b] && m->before[m->at[i] + b] != m->after[m->at[i] + b])
      test_fail("a byte between the elements of strided %s was written: byte %llu",
                label(m, i, name, sizeof name), (unsigned long long)b);
  free(used);
}

static void check_input(const image *m, uint32_t i) {
  char name[160];
  for (uint64_t b = 0; b < m->p->tensor[i]->bytes; b++)
    if (m->before[m->at[i] + b] != m->after[m->at[i] + b])
      test_fail("%s was changed by the program: byte %llu", label(m, i, name, sizeof name),
                (unsigned long long)b);
}

static void judge(const image *m) {
  uint64_t end = 0;
  for (uint32_t i = 0; i < m->p->n; i++) {
    check_gap(m, end, m->at[i], i);
    end = m->at[i] + m->p->tensor[i]->bytes;
    if (m->p->written[i])
      check_holes(m, i);
    else
      check_input(m, i);
  }
  check_gap(m, end, m->bytes, m->p->n);
  for (uint32_t i = 0; i < m->p->n; i++)
    if (m->p->written[i])
      memcpy(m->p->tensor[i]->data, m->after + m->at[i], m->p->tensor[i]->bytes);
}

/* ---- running ---- */

static void make_room(rig *r, uint64_t bytes) {
  if (bytes <= r->arena_bytes) return;
  rig_finish(r);
  rig_free_mem(r, r->arena);
  r->arena = NULL;
  r->arena_bytes = 0;
  r->arena = rig_alloc(r, bytes);
  r->arena_bytes = bytes;
}

static forge_status submit_once(rig *r, const image *m, forge_prog *prog) {
  forge_bind bind[RIG_MOST_TENSORS];
  for (uint32_t i = 0; i < m->p->n; i++)
    bind[i] = (forge_bind){r->arena, m->begin[i], m->p->slot[i].offset + m->p->tensor[i]->bytes};
  const forge_point done = {r->tl, r->value + 1};
  const forge_submit s = {.size = sizeof s,
                          .n_bind = m->p->n,
                          .n_scalar = m->how->n_scalar,
                          .n_signal = 1,
                          .bind = bind,
                          .scalar = m->how->scalar,
                          .signal = &done};
  const forge_status status =
      (m->unwatched ? m->unwatched : rig_table())->submit(r->queue, prog, &s);
  if (!status) r->value++;
  return status;
}

static void put_image(rig *r, image *m) {
  lay_out(m);
  paint(m, r->runs++);
  make_room(r, m->bytes);
  rig_put(r, r->arena, 0, m->before, m->bytes);
}

static forge_status run_image(rig *r, image *m, forge_prog *prog) {
  forge_status status = FORGE_OK;
  put_image(r, m);
  for (uint32_t k = 0; !status && k < (m->how->times ? m->how->times : 1); k++)
    status = submit_once(r, m, prog);
  if (!status) {
    status = rig_table()->tl_wait(r->tl, r->value, (uint64_t)(RIG_PATIENCE * test_set.slow * 1e9));
    if (status == FORGE_E_TIMEOUT) rig_wait_for(r, r->value, "submit");
  }
  if (status) return status;
  rig_fetch(r, r->arena, 0, m->after, m->bytes);
  judge(m);
  return FORGE_OK;
}

forge_status rig_run_how(rig *r, const rig_op *ops, uint32_t n, const rig_how *how) {
  rig_program *p = rig_zalloc(sizeof *p);
  forge_prog *prog = NULL;
  forge_prog_out info = {.size = sizeof info};
  image m = {.p = p, .how = how ? how : &usual};
  rig_describe(p, ops, n, how);
  forge_status status = rig_table()->prog_create(r->dev, &p->desc, &prog, &info);
  if (!status) CHECK(prog, "prog_create answered OK and gave NULL");
  if (!status) status = run_image(r, &m, prog);
  if (prog) rig_table()->prog_destroy(prog);
  free(m.before);
  free(m.after);
  free(p);
  return status;
}

forge_status rig_run(rig *r, const rig_op *ops, uint32_t n) { return rig_run_how(r, ops, n, NULL); }

void rig_must_how(rig *r, const rig_op *ops, uint32_t n, const rig_how *how) {
  const forge_status status = rig_run_how(r, ops, n, how);
  if (status)
    test_fail("%s%s: %s (%d): %s", rig_op_name(n ? ops[0].op : 0), n > 1 ? " and more" : "",
              rig_status_name(status), status, rig_words());
}

void rig_must(rig *r, const rig_op *ops, uint32_t n) { rig_must_how(r, ops, n, NULL); }

/* ---- measuring ---- */

static double round_of(rig *r, const image *m, forge_prog *prog, uint32_t times) {
  const double start = test_now();
  for (uint32_t k = 0; k < times; k++) rig_expect(submit_once(r, m, prog), "submit");
  rig_finish(r);
  return (test_now() - start) / times;
}

void rig_time(rig *r, const rig_op *ops, uint32_t n, double seconds, double *round,
              uint32_t rounds) {
  static const rig_how replay = {.flags = FORGE_PROGRAM_REPLAYABLE, .keep_outputs = true};
  rig_program *p = rig_zalloc(sizeof *p);
  forge_prog *prog = NULL;
  forge_prog_out info = {.size = sizeof info};
  image m = {.p = p, .how = &replay, .unwatched = plugin_table()};
  rig_describe(p, ops, n, &replay);
  rig_expect(rig_table()->prog_create(r->dev, &p->desc, &prog, &info), "prog_create");
  put_image(r, &m);
  round_of(r, &m, prog, 1);
  const double once = round_of(r, &m, prog, 1);
  const double share = seconds / rounds / (once > 1e-9 ? once : 1e-9);
  const uint32_t times = share > 2000 ? 2000u : share < 1 ? 1u : (uint32_t)share;
  for (uint32_t k = 0; k < rounds; k++) round[k] = round_of(r, &m, prog, times);
  rig_table()->prog_destroy(prog);
  free(m.before);
  free(m.after);
  free(p);
}
