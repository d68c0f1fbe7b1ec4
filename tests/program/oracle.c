/* oracle.c -- gathers each op's operands from their views, lets ref64 work, puts results back. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "oracle.h"
#include "ref64.h"

uint64_t test_random(uint64_t *state) {
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

double test_uniform(uint64_t *state) { return (double)(test_random(state) >> 11) * 0x1p-53; }

static void load_constant(const graph_storage *s, double *to) {
  for (uint64_t i = 0; i < s->elements; i++)
    to[i] = s->dtype == FORGE_F32 ? (double)((const float *)s->data)[i]
                                  : (double)((const int32_t *)s->data)[i];
}

oracle *oracle_make(const forge_builder *g) {
  oracle *o = calloc(1, sizeof *o);
  assert_non_null(o);
  o->g = g;
  o->storage = calloc(g->n_storages + 1, sizeof *o->storage);
  for (size_t i = 0; i < g->n_storages; i++) {
    o->storage[i] = calloc(g->storages[i].elements + 1, sizeof(double));
    if (g->storages[i].data) load_constant(&g->storages[i], o->storage[i]);
  }
  return o;
}

void oracle_free(oracle *o) {
  for (size_t i = 0; i < o->g->n_storages; i++) free(o->storage[i]);
  free(o->storage);
  free(o);
}

static uint32_t find_storage(const oracle *o, const char *name) {
  for (uint32_t i = 0; i < o->g->n_storages; i++)
    if (o->g->storages[i].name && !strcmp(o->g->storages[i].name, name)) return i;
  fail_msg("no tensor %s", name);
  return 0;
}

double *oracle_named(oracle *o, const char *name, uint64_t *out_n) {
  const uint32_t s = find_storage(o, name);
  if (out_n) *out_n = o->g->storages[s].elements;
  return o->storage[s];
}

void oracle_random(oracle *o, const char *name, uint64_t seed, double low, double high) {
  const graph_storage *s = &o->g->storages[find_storage(o, name)];
  double *to = o->storage[find_storage(o, name)];
  for (uint64_t i = 0; i < s->elements; i++) {
    const double x = low + (high - low) * test_uniform(&seed);
    to[i] = s->dtype == FORGE_I32 ? (double)(int64_t)x : (double)(float)x;
  }
}

/* Copies between a view and dense elements, in row-major order; extents may be scalars. */
static int64_t extent(const oracle *o, const forge_tensor *t, uint32_t k) {
  return t->dim_scalar[k] ? (int64_t)o->scalars[t->dim_scalar[k] - 1] : t->dim[k];
}

static ref *make_ref(const oracle *o, const graph_value *v) {
  int64_t dim[FORGE_MAX_RANK];
  for (uint32_t k = 0; k < v->t.rank; k++) dim[k] = extent(o, &v->t, k);
  return ref_make(v->t.rank, dim);
}

static void move(const oracle *o, const graph_value *v, ref *r, bool store) {
  double *base = o->storage[v->storage] + v->offset;
  const int64_t n = ref_count(r);
  for (int64_t i = 0; i < n; i++) {
    int64_t rest = i, at = 0;
    for (int k = r->rank; k-- > 0;) {
      at += rest % r->dim[k] * v->t.stride[k];
      rest /= r->dim[k];
    }
    if (store)
      base[at] = r->v[i];
    else
      r->v[i] = base[at];
  }
}

static void run_node(const oracle *o, const graph_node *n) {
  ref *in[32] = {0}, *out[3] = {0};
  assert_true(n->n_in <= 32);
  for (uint32_t k = 0; k < n->n_in; k++) {
    const forge_tid tid = graph_inputs(o->g, n)[k];
    if (tid == FORGE_TID_NONE) continue;
    in[k] = make_ref(o, &o->g->values[tid]);
    move(o, &o->g->values[tid], in[k], false);
  }
  for (uint32_t k = 0; k < n->n_out; k++) {
    const forge_tid tid = graph_outputs(o->g, n)[k];
    if (tid != FORGE_TID_NONE) out[k] = make_ref(o, &o->g->values[tid]);
  }
  if (!ref64_run(n->op, graph_attr(o->g, n), (const ref *const *)in, n->n_in, out, n->n_out,
                 o->scalars))
    fail_msg("ref64 does not know op %u", n->op);
  for (uint32_t k = 0; k < n->n_out; k++)
    if (out[k]) move(o, &o->g->values[graph_outputs(o->g, n)[k]], out[k], true);
  for (uint32_t k = 0; k < n->n_in; k++) ref_free(in[k]);
  for (uint32_t k = 0; k < n->n_out; k++) ref_free(out[k]);
}

void oracle_run(oracle *o, const uint64_t *scalars) {
  o->scalars = scalars;
  for (size_t i = 0; i < o->g->n_nodes; i++) run_node(o, &o->g->nodes[i]);
}
