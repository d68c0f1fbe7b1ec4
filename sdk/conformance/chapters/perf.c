/* perf.c -- measurements, with --perf alone: what the device does per second, as the median of
 * several rounds, and how far the rounds lie apart. They pass whatever they find. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "plugin.h"
#include "rig_parts.h"

#define ROUNDS  7
#define SECONDS 0.7 /* of measuring, for each figure */

static int by_size(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* |work| per second of the median round; and the distance of the quartiles by the median. */
static void figure(const char *what, double *round, double work, const char *unit) {
  char name[200];
  qsort(round, ROUNDS, sizeof *round, by_size);
  const double median = round[ROUNDS / 2],
               spread = (round[3 * ROUNDS / 4] - round[ROUNDS / 4]) / median;
  test_figure(what, work / median, unit);
  snprintf(name, sizeof name, "%s, spread", what);
  test_figure(name, 100.0 * spread, "%");
}

/* A latency: the median itself. */
static void latency(const char *what, double *round) {
  char name[200];
  qsort(round, ROUNDS, sizeof *round, by_size);
  test_figure(what, 1e6 * round[ROUNDS / 2], "us");
  snprintf(name, sizeof name, "%s, least", what);
  test_figure(name, 1e6 * round[0], "us");
}

static void time_call(rig *r, op_call *c, const char *what, double work, const char *unit) {
  double round[ROUNDS];
  const rig_op op = call_op(c);
  rig_require(r, &op, 1);
  rig_time(r, &op, 1, SECONDS, round, ROUNDS);
  figure(what, round, work, unit);
  call_free(c);
}

/* ---- products ---- */

static const struct product {
  const char *name;
  uint8_t type;
  int64_t m, n, k;
} products[] = {
    {"f32.prompt", FORGE_F32, 512, 512, 512},   {"f32.token", FORGE_F32, 1, 4096, 2048},
    {"f16.prompt", FORGE_F16, 512, 512, 512},   {"f16.token", FORGE_F16, 1, 4096, 2048},
    {"bf16.prompt", FORGE_BF16, 512, 512, 512}, {"bf16.token", FORGE_BF16, 1, 4096, 2048},
    {"q8_0.prompt", FORGE_Q8_0, 512, 512, 512}, {"q8_0.token", FORGE_Q8_0, 1, 4096, 2048},
    {"q4_k.prompt", FORGE_Q4_K, 512, 512, 512}, {"q4_k.token", FORGE_Q4_K, 1, 4096, 2048}};

static void product(const void *arg) {
  const struct product *p = arg;
  const bool blocks = rig_type_block(p->type) > 1;
  const forge_attr_matmul attr = {FORGE_MATMUL_TRANS_B, 0};
  op_call c = {.op = blocks ? FORGE_OP_QMATMUL : FORGE_OP_MATMUL, .n_in = 3, .n_out = 1};
  char what[120];
  rig *r = rig_open();
  if (!blocks) CALL_ATTR(&c, attr);
  c.in[0] = call_random(&c, FORGE_F32, 2, (int64_t[]){p->m, p->k}, 1, -1.0, 1.0);
  c.in[1] = call_random(&c, p->type, 2, (int64_t[]){p->n, p->k}, 2, -1.0, 1.0);
  c.out[0] = rig_make(FORGE_F32, 2, (int64_t[]){p->m, p->n});
  snprintf(what, sizeof what, "x f32[%lld,%lld] by w %s[%lld,%lld]", (long long)p->m,
           (long long)p->k, rig_type_name(p->type), (long long)p->n, (long long)p->k);
  time_call(r, &c, what, 2e-9 * (double)(p->m * p->n * p->k), "GFLOP/s");
  rig_close(r);
}

/* ---- copies ---- */

/* The suite's watching costs more than a small copy. */
static void copy_unwatched(rig *r, const forge_copy *copy) {
  const forge_point done = {rig_timeline(r), rig_next_value(r)};
  const forge_submit order = {.size = sizeof order, .n_signal = 1, .signal = &done};
  rig_expect(plugin_table()->copy(rig_queue(r), copy, 1, &order), "copy");
}

static void copies(const void *arg) {
  static const struct {
    uint32_t kind;
    const char *name;
  } kinds[] = {{FORGE_COPY_TO_DEVICE, "host to device"},
               {FORGE_COPY_TO_HOST, "device to host"},
               {FORGE_COPY_ON_DEVICE, "on the device"},
               {FORGE_COPY_FILL, "fill"}};
  static const uint64_t sizes_of[] = {4096, UINT64_C(32) << 20};
  rig *r = rig_open();
  (void)arg;
  for (uint32_t s = 0; s < COUNT_OF(sizes_of); s++) {
    const uint64_t bytes = sizes_of[s];
    forge_mem *a = rig_alloc(r, bytes), *b = rig_alloc(r, bytes);
    uint8_t *host = rig_zalloc(bytes);
    const uint32_t times = s ? 3 : 300;
    for (uint32_t k = 0; k < COUNT_OF(kinds); k++) {
      const forge_copy copy = {.kind = kinds[k].kind,
                               .dst = {a, 0, bytes},
                               .src = {kinds[k].kind == FORGE_COPY_ON_DEVICE ? b : a, 0, bytes},
                               .host = host};
      double round[ROUNDS];
      char what[80];
      for (uint32_t i = 0; i < ROUNDS; i++) {
        const double start = test_now();
        for (uint32_t j = 0; j < times; j++) copy_unwatched(r, &copy);
        rig_finish(r);
        round[i] = (test_now() - start) / times;
      }
      snprintf(what, sizeof what, "%s, %llu KiB", kinds[k].name, (unsigned long long)bytes / 1024);
      figure(what, round, (double)bytes * 1e-9, "GB/s");
    }
    rig_free_mem(r, a);
    rig_free_mem(r, b);
    free(host);
  }
  rig_close(r);
}

/* ---- ops that only move ---- */

static void bandwidth(const void *arg) {
  const int64_t dim[] = {2048, 2048};
  const double bytes = 4e-9 * 2048 * 2048;
  const forge_attr_kind add = {FORGE_BINARY_ADD, 0}, gelu = {FORGE_UNARY_GELU, 0};
  const forge_attr_norm norm = {1e-5};
  const forge_attr_softmax softmax = {1.0};
  static const struct {
    uint16_t op;
    uint8_t n_in;
    const char *name;
  } rows[] = {{FORGE_OP_COPY_STRIDED, 1, "COPY_STRIDED"}, {FORGE_OP_BINARY, 2, "BINARY ADD"},
              {FORGE_OP_UNARY, 1, "UNARY GELU"},          {FORGE_OP_SOFTMAX, 1, "SOFTMAX"},
              {FORGE_OP_RMSNORM, 2, "RMSNORM"},           {FORGE_OP_SWIGLU, 2, "SWIGLU"}};
  rig *r = rig_open();
  (void)arg;
  for (uint32_t k = 0; k < COUNT_OF(rows); k++) {
    op_call c = {.op = rows[k].op, .n_in = rows[k].n_in, .n_out = 1};
    if (c.op == FORGE_OP_BINARY) CALL_ATTR(&c, add);
    if (c.op == FORGE_OP_UNARY) CALL_ATTR(&c, gelu);
    if (c.op == FORGE_OP_SOFTMAX) CALL_ATTR(&c, softmax);
    if (c.op == FORGE_OP_RMSNORM) CALL_ATTR(&c, norm);
    for (uint32_t i = 0; i < c.n_in; i++)
      c.in[i] = c.op == FORGE_OP_RMSNORM && i
                    ? call_random(&c, FORGE_F32, 1, dim, 2, -1.0, 1.0)
                    : call_random(&c, FORGE_F32, 2, dim, 1 + i, -1.0, 1.0);
    c.out[0] = rig_make(FORGE_F32, 2, dim);
    const rig_op op = call_op(&c);
    forge_support answer;
    rig_support(r, &op, 1, &answer);
    const double moved = bytes * (c.op == FORGE_OP_RMSNORM ? 2.0 : 1.0 + c.n_in);
    if (answer.answer == FORGE_SUPPORT_NATIVE)
      time_call(r, &c, rows[k].name, moved, "GB/s");
    else
      call_free(&c);
  }
  rig_close(r);
}

/* ---- what one submit costs ---- */

static void submits(const void *arg) {
  const int64_t dim[] = {1};
  const forge_attr_fill attr = {1.0};
  static const uint32_t bindings[] = {0, 1, 19};
  rig *r = rig_open();
  (void)arg;
  for (uint32_t k = 0; k < COUNT_OF(bindings); k++) {
    rig_op ops[19];
    rig_tensor *y[19];
    double round[ROUNDS];
    char what[80];
    for (uint32_t i = 0; i < bindings[k]; i++) {
      y[i] = rig_make(FORGE_F32, 1, dim);
      ops[i] = RIG_OP(FORGE_OP_FILL, &attr, sizeof attr, NULL, 0, &y[i], 1);
    }
    if (bindings[k]) rig_require(r, ops, bindings[k]);
    rig_time(r, ops, bindings[k], SECONDS, round, ROUNDS);
    snprintf(what, sizeof what, "submit of %u ops and bindings", bindings[k]);
    latency(what, round);
    for (uint32_t i = 0; i < bindings[k]; i++) rig_free(y[i]);
  }
  rig_close(r);
}

/* ---- attention ---- */

static const struct attention_size {
  const char *name;
  int64_t t, s;
} attentions[] = {{"prompt", 256, 256}, {"token", 1, 2048}};

static void attention(const void *arg) {
  const struct attention_size *a = arg;
  const forge_attr_attention attr = {.scale = 0.125, .flags = FORGE_ATTENTION_CAUSAL};
  const int64_t q[] = {1, a->t, 8, 64}, k[] = {1, a->s, 2, 64}, one[] = {1};
  op_call c = {.op = FORGE_OP_ATTENTION, .n_in = 5, .n_out = 2};
  char what[80];
  rig *r = rig_open();
  CALL_ATTR(&c, attr);
  c.in[0] = call_random(&c, FORGE_F32, 4, q, 1, -1.0, 1.0);
  for (uint32_t i = 1; i < 3; i++) c.in[i] = call_random(&c, FORGE_F16, 4, k, 1 + i, -1.0, 1.0);
  c.in[3] = rig_make(FORGE_I32, 1, one);
  rig_set(c.in[3], 0, (double)(a->s - a->t));
  c.out[0] = rig_make(FORGE_F32, 4, q);
  const double seen = (double)a->t * ((double)a->s - 0.5 * (double)(a->t - 1)),
               work = 4e-9 * seen * 8 * 64;
  snprintf(what, sizeof what, "%lld queries of 8 heads of 64 over %lld keys", (long long)a->t,
           (long long)a->s);
  time_call(r, &c, what, work, "GFLOP/s");
  rig_close(r);
}

void chapter_perf(test_list *list) {
  char id[64];
  for (uint32_t k = 0; k < COUNT_OF(products); k++) {
    const bool blocks = rig_type_block(products[k].type) > 1;
    snprintf(id, sizeof id, "perf.%s.%s", blocks ? "QMATMUL" : "MATMUL", products[k].name);
    TEST_WITH(list, id, product, &products[k], TEST_PERF | TEST_ALONE, 120, FB_B1);
  }
  for (uint32_t k = 0; k < COUNT_OF(attentions); k++) {
    snprintf(id, sizeof id, "perf.ATTENTION.%s", attentions[k].name);
    TEST_WITH(list, id, attention, &attentions[k], TEST_PERF | TEST_ALONE, 120, FB_B1);
  }
  TEST_WITH(list, "perf.copies", copies, NULL, TEST_PERF | TEST_ALONE, 120, FB_B1);
  TEST_WITH(list, "perf.bandwidth", bandwidth, NULL, TEST_PERF | TEST_ALONE, 120, FB_B1);
  TEST_WITH(list, "perf.submit", submits, NULL, TEST_PERF | TEST_ALONE, 120, FB_B1);
}
