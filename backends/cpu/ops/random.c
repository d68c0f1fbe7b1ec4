/* random.c -- RNG_PHILOX: every group of four elements has its own counter, so groups may be made
 * in any order. SAMPLE is in sample.c. */
#include "random.h"

#include "span.h"

void cpu_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

typedef struct rng {
  const cpu_call *call;
  uint32_t kind, stream, offset, key[2];
  float a, b;
  int64_t elements;
} rng;

static float fraction(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; }

static void uniforms(const rng *r, const uint32_t word[4], float *y) {
  for (int i = 0; i < 4; i++) y[i] = r->a + (r->b - r->a) * fraction(word[i]);
}

static void normals(const rng *r, const uint32_t word[4], float *y) {
  for (int i = 0; i < 4; i += 2) {
    const float u = (float)((word[i] >> 8) + 1) * 0x1p-24f;
    const float radius = sqrtf(-2.0f * logf(u)), t = 6.28318530718f * fraction(word[i + 1]);
    y[i] = r->a + r->b * (radius * cosf(t));
    y[i + 1] = r->a + r->b * (radius * sinf(t));
  }
}

/* Pieces of SPAN_MAX elements. */
static void fill_pieces(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  (void)thread;
  const rng *r = ctx;
  float y[SPAN_MAX];
  for (int64_t piece = begin; piece < end; piece++) {
    const int64_t first = piece * SPAN_MAX, n = cpu_min(SPAN_MAX, r->elements - first);
    for (int64_t i = 0; i < n; i += 4) {
      const uint64_t group = (uint64_t)(first + i) / 4;
      const uint32_t counter[4] = {(uint32_t)group, (uint32_t)(group >> 32), r->stream, r->offset};
      uint32_t word[4];
      cpu_philox(counter, r->key, word);
      if (r->kind == FORGE_RNG_UNIFORM)
        uniforms(r, word, y + i);
      else
        normals(r, word, y + i);
    }
    cpu_flat_write(&r->call->out[0], first, n, y);
  }
}

/* Rows with keys of their own: each is a sequence that begins anew. */
static void fill_rows(void *ctx, int64_t begin, int64_t end, uint32_t thread) {
  (void)thread;
  const rng *r = ctx;
  const cpu_view *keys = &r->call->in[0], *to = &r->call->out[0];
  const int64_t step = keys->t.stride[keys->t.rank - 1], columns = cpu_columns(&to->t);
  for (int64_t row = begin; row < end; row++) {
    const uint32_t *key = (const uint32_t *)keys->data + cpu_row_offset(&keys->t, row);
    float *line = (float *)to->data + cpu_row_offset(&to->t, row);
    for (int64_t c = 0; c < columns; c++) {
      const uint64_t group = (uint64_t)c / 4;
      uint32_t word[4];
      float y[4];
      cpu_philox(
          (const uint32_t[4]){(uint32_t)group, (uint32_t)(group >> 32), r->stream, key[2 * step]},
          (const uint32_t[2]){key[0], key[step]}, word);
      if (r->kind == FORGE_RNG_UNIFORM)
        uniforms(r, word, y);
      else
        normals(r, word, y);
      line[c * to->t.stride[to->t.rank - 1]] = y[c % 4];
    }
  }
}

static uint8_t supports_rng(const forge_tensor *const *in, uint32_t n_in,
                            const forge_tensor *const *out, uint32_t n_out, const void *attr) {
  (void)n_out;
  const uint32_t kind = ((const forge_attr_rng *)attr)->kind;
  if (n_in && in[0] && in[0]->dtype != FORGE_I32) return FORGE_REASON_DTYPE;
  if (n_in && in[0] && (!in[0]->rank || in[0]->dim[in[0]->rank - 1] != 3))
    return FORGE_REASON_SHAPE;
  if (kind != FORGE_RNG_UNIFORM && kind != FORGE_RNG_NORMAL) return FORGE_REASON_ATTRIBUTES;
  return out[0]->dtype == FORGE_F32 ? FORGE_REASON_NONE : FORGE_REASON_DTYPE;
}

static forge_status run_rng(const cpu_call *c) {
  const forge_attr_rng *a = c->attr;
  const uint64_t seed = a->seed_scalar ? c->scalar[a->seed_scalar - 1] : a->seed;
  const uint64_t offset = a->offset_scalar ? c->scalar[a->offset_scalar - 1] : a->offset;
  rng r = {.call = c,
           .kind = a->kind,
           .stream = a->stream,
           .offset = (uint32_t)offset,
           .key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
           .a = (float)a->a,
           .b = (float)a->b,
           .elements = cpu_elements(&c->out[0].t)};
  if (c->n_in && c->in[0].data)
    cpu_parallel(c->threads, cpu_rows(&c->out[0].t), 16, fill_rows, &r);
  else
    cpu_parallel(c->threads, cpu_ceil_div(r.elements, SPAN_MAX), 4, fill_pieces, &r);
  return FORGE_OK;
}

const cpu_op cpu_ops_random[] = {
    {.op = FORGE_OP_RNG_PHILOX, .supports = supports_rng, .run = run_rng},
    {.op = FORGE_OP_SAMPLE,
     .supports = cpu_supports_sample,
     .scratch = cpu_scratch_sample,
     .run = cpu_run_sample},
    {.op = 0},
};
