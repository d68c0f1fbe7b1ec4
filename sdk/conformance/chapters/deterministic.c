/* deterministic.c -- the same bits: with FORGE_PROGRAM_DETERMINISTIC for the same inputs, and
 * always where ops.h says that an order of summation does not depend on what stands beside. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"

/* ---- other work in between, on a queue of its own ---- */

typedef struct noise {
  pthread_t thread;
  _Atomic bool stop;
} noise;

static void *make_noise(void *arg) {
  noise *n = arg;
  const forge_attr_matmul attr = {0, 0};
  const int64_t dim[] = {33, 33};
  rig *r = rig_open();
  rig_tensor *a = rig_make(FORGE_F32, 2, dim), *y = rig_make(FORGE_F32, 2, dim);
  rig_random(a, 1, -1.0, 1.0);
  const rig_op op =
      RIG_OP(FORGE_OP_MATMUL, &attr, sizeof attr, ((rig_tensor *[]){a, a, NULL}), 3, &y, 1);
  forge_support answer;
  rig_support(r, &op, 1, &answer);
  while (!atomic_load(&n->stop) && answer.answer == FORGE_SUPPORT_NATIVE) rig_must(r, &op, 1);
  rig_free(a);
  rig_free(y);
  rig_close(r);
  return NULL;
}

static void noise_begin(noise *n) {
  atomic_init(&n->stop, false);
  CHECK(!pthread_create(&n->thread, NULL, make_noise, n), "the suite can make no thread");
}

static void noise_end(noise *n) {
  atomic_store(&n->stop, true);
  pthread_join(n->thread, NULL);
}

/* ---- eight times the same ---- */

/* The outputs' elements, without what lies between them. */
static uint64_t bits_of(const op_call *c) {
  uint64_t h = 1469598103934665603u;
  for (uint32_t k = 0; k < c->n_out; k++)
    for (uint64_t b = 0; c->out[k] && b < c->out[k]->bytes; b++)
      h = (h ^ c->out[k]->data[b]) * 1099511628211u;
  return h;
}

/* False if the device does not offer it or refuses the promise. */
static bool run_eight_times(rig *r, const op_maker *m, const sizes *s, uint32_t variant) {
  uint64_t first = 0;
  for (uint32_t k = 0; k < 8; k++) {
    op_call c = {.op = 0};
    m->make(&c, m, s, variant % m->variants);
    const rig_op op = call_op(&c);
    const rig_how how = {.scalar = c.scalar,
                         .n_scalar = c.n_scalar,
                         .flags = FORGE_PROGRAM_DETERMINISTIC,
                         .skew = k % 4};
    forge_support answer;
    rig_support_how(r, &op, 1, &how, &answer);
    const forge_status status =
        answer.answer == FORGE_SUPPORT_NATIVE ? rig_run_how(r, &op, 1, &how) : FORGE_E_UNSUPPORTED;
    const uint64_t bits = bits_of(&c);
    test_at("%s, run %u, %s", m->name, k, call_words(&c));
    CHECK(!status || status == FORGE_E_UNSUPPORTED, "%s fails with %s: %s", m->name,
          rig_status_name(status), rig_words());
    CHECK(!status || !k, "%s runs and is then refused", m->name);
    CHECK(status || !k || bits == first,
          "%s, %s: run %u of the same inputs, DETERMINISTIC, gave other bits than run 0", m->name,
          call_words(&c), k);
    call_free(&c);
    first = k ? first : bits;
    if (status) return false;
  }
  return true;
}

static void same_bits(const void *arg) {
  const op_maker *m = arg;
  noise n;
  uint32_t done = 0;
  rig *r = rig_open();
  noise_begin(&n);
  for (uint32_t i = 0; i < m->shapes->n_usual; i++)
    done += run_eight_times(r, m, &m->shapes->usual[i], i);
  for (uint32_t i = 0; i < m->shapes->n_odd && i < 3; i++)
    done += run_eight_times(r, m, &m->shapes->odd[i], i);
  if (!m->shapes->n_odd) done += run_eight_times(r, m, &m->shapes->odd[0], 1);
  noise_end(&n);
  rig_close(r);
  if (!done)
    test_unsupported("%s is not offered with FORGE_PROGRAM_DETERMINISTIC: %s", m->name,
                     rig_words());
}

/* ---- MATMUL: a row by itself ---- */

/* Elements [row, row + rows) x [column, column + columns) of the last two dims of matrix |at|. */
static rig_tensor *part(const rig_tensor *t, int64_t at, int64_t row, int64_t rows, int64_t column,
                        int64_t columns) {
  const int r = t->t.rank;
  const int64_t m = t->t.dim[r - 2], n = t->t.dim[r - 1], dim[] = {rows, columns};
  rig_tensor *y = rig_make(t->t.dtype, 2, dim);
  for (int64_t i = 0; i < rows * columns; i++)
    rig_set(y, i, rig_get(t, (at * m + row + i / columns) * n + column + i % columns));
  return y;
}

static void matmul(rig *r, uint32_t flags, rig_tensor *a, rig_tensor *b, rig_tensor *y) {
  const forge_attr_matmul attr = {flags, 0};
  const rig_op op =
      RIG_OP(FORGE_OP_MATMUL, &attr, sizeof attr, ((rig_tensor *[]){a, b, NULL}), 3, &y, 1);
  rig_require(r, &op, 1);
  rig_must(r, &op, 1);
}

static void rows_alone(const void *arg) {
  static const int64_t pieces[][5] = {/* matrix, row, rows, column, columns */
                                      {0, 0, 1, 0, 33},  {1, 16, 1, 0, 33}, {2, 3, 5, 7, 1},
                                      {2, 0, 17, 32, 1}, {1, 8, 9, 1, 31},  {0, 16, 1, 32, 1}};
  const uint8_t type = *(const uint8_t *)arg;
  rig *r = rig_open();
  for (uint32_t flags = 0; flags < 4; flags++) {
    const bool ta = flags & FORGE_MATMUL_TRANS_A, tb = flags & FORGE_MATMUL_TRANS_B;
    const int64_t k = 261, a_dim[] = {3, ta ? k : 17, ta ? 17 : k},
                  b_dim[] = {3, tb ? 33 : k, tb ? k : 33}, y_dim[] = {3, 17, 33};
    rig_tensor *a = rig_make(type, 3, a_dim), *b = rig_make(type, 3, b_dim),
               *y = rig_make(FORGE_F32, 3, y_dim);
    rig_random(a, 1, -1.0, 1.0);
    rig_random(b, 2, -1.0, 1.0);
    matmul(r, flags, a, b, y);
    for (uint32_t i = 0; i < COUNT_OF(pieces); i++) {
      const int64_t *p = pieces[i], dim[] = {p[2], p[4]};
      rig_tensor *one = ta ? part(a, p[0], 0, k, p[1], p[2]) : part(a, p[0], p[1], p[2], 0, k);
      rig_tensor *other = tb ? part(b, p[0], p[3], p[4], 0, k) : part(b, p[0], 0, k, p[3], p[4]);
      rig_tensor *got = rig_make(FORGE_F32, 2, dim), *want = part(y, p[0], p[1], p[2], p[3], p[4]);
      matmul(r, flags, one, other, got);
      CHECK(!memcmp(got->data, want->data, got->bytes),
            "MATMUL of %s, flags %u: %lld rows and %lld columns alone have other bits than in a "
            "batch of 3 products of 17x33; K is %lld",
            rig_type_name(type), flags, (long long)p[2], (long long)p[4], (long long)k);
      rig_free(one);
      rig_free(other);
      rig_free(got);
      rig_free(want);
    }
    rig_free(a);
    rig_free(b);
    rig_free(y);
  }
  rig_close(r);
}

/* ---- ATTENTION: a query by itself, and over pages ---- */

static rig_tensor *slice(const rig_tensor *x, int64_t b, int64_t first, int64_t n) {
  const int64_t dim[] = {1, n, x->t.dim[2], x->t.dim[3]}, row = dim[2] * dim[3];
  rig_tensor *y = rig_make(x->t.dtype, 4, dim);
  for (int64_t i = 0; i < n * row; i++)
    rig_set(y, i, rig_get(x, (b * x->t.dim[1] + first) * row + i));
  return y;
}

/* The keys of sequence |b| in pages of |size| rows, in falling order. */
static rig_tensor *in_pages(const rig_tensor *x, int64_t b, int64_t size, int64_t n) {
  const int64_t dim[] = {n + 2, size, x->t.dim[2], x->t.dim[3]}, row = dim[2] * dim[3],
                s = x->t.dim[1];
  rig_tensor *y = rig_make(x->t.dtype, 4, dim);
  for (int64_t e = 0; e < s * row; e++) {
    const int64_t key = e / row, page = n + 1 - key / size;
    rig_set(y, (page * size + key % size) * row + e % row, rig_get(x, b * s * row + e));
  }
  return y;
}

static void attend(rig *r, rig_tensor *const *in, rig_tensor *y) {
  const forge_attr_attention attr = {0.2, FORGE_ATTENTION_CAUSAL, 0};
  const rig_op op =
      RIG_OP(FORGE_OP_ATTENTION, &attr, sizeof attr, in, 5, ((rig_tensor *[]){y, NULL}), 2);
  rig_require(r, &op, 1);
  rig_must(r, &op, 1);
}

static void check_piece(rig *r, rig_tensor *const *all, const rig_tensor *y, int64_t b,
                        int64_t first, int64_t n, int64_t page) {
  const int64_t keys = all[1]->t.dim[1], pages = page ? (keys + page - 1) / page : 0, one[] = {1},
                table[] = {1, pages};
  rig_tensor *in[] = {slice(all[0], b, first, n), NULL, NULL, rig_make(FORGE_I32, 1, one), NULL};
  for (int i = 1; i < 3; i++)
    in[i] = page ? in_pages(all[i], b, page, pages) : slice(all[i], b, 0, keys);
  rig_set(in[3], 0, (double)first);
  if (page) in[4] = rig_make(FORGE_I32, 2, table);
  for (int64_t p = 0; p < pages; p++) rig_set(in[4], p, (double)(pages + 1 - p));
  rig_tensor *got = rig_make(FORGE_F32, 4, in[0]->t.dim), *want = slice(y, b, first, n);
  attend(r, in, got);
  CHECK(!memcmp(got->data, want->data, got->bytes),
        "ATTENTION: queries %lld to %lld of sequence %lld, pages of %lld rows (0: dense), have "
        "other bits than among all 70 of 2 sequences",
        (long long)first, (long long)(first + n - 1), (long long)b, (long long)page);
  for (int i = 0; i < 5; i++) rig_free(in[i]);
  rig_free(got);
  rig_free(want);
}

static void queries_alone(const void *arg) {
  static const int64_t pieces[][2] = {{0, 1}, {63, 1}, {64, 1}, {69, 1}, {17, 40}, {1, 2}},
                       pages[] = {0, 16, 7, 1};
  const uint8_t type = *(const uint8_t *)arg;
  const int64_t q[] = {2, 70, 6, 20}, k[] = {2, 70, 2, 20};
  rig *r = rig_open();
  rig_tensor *in[] = {rig_make(FORGE_F32, 4, q), rig_make(type, 4, k), rig_make(type, 4, k), NULL,
                      NULL};
  rig_tensor *y = rig_make(FORGE_F32, 4, q);
  for (uint32_t i = 0; i < 3; i++) rig_random(in[i], i, -1.0, 1.0);
  attend(r, in, y);
  for (uint32_t i = 0; i < COUNT_OF(pieces); i++)
    for (uint32_t p = 0; p < COUNT_OF(pages); p++)
      check_piece(r, in, y, i % 2, pieces[i][0], pieces[i][1], pages[p]);
  for (int i = 0; i < 3; i++) rig_free(in[i]);
  rig_free(y);
  rig_close(r);
}

/* ---- SCATTER_ROWS ADD: in order of i, so the bits are known ---- */

static void scatter_order(const void *arg) {
  const int64_t rows = 5, n = 700, columns = 65, dim[] = {rows, columns}, src[] = {n, columns};
  const forge_attr_scatter attr = {FORGE_SCATTER_ADD, 0};
  (void)arg;
  case_run run = case_begin("order");
  op_call c = {.op = FORGE_OP_SCATTER_ROWS, .n_in = 3, .n_out = 1};
  CALL_ATTR(&c, attr);
  c.in[0] = call_random(&c, FORGE_F32, 2, dim, 1, -1.0, 1.0);
  c.in[1] = call_ids(1, &n, 2, rows, true);
  c.in[2] = call_random(&c, FORGE_F32, 2, src, 3, -1.0, 1.0);
  c.out[0] = rig_make(FORGE_F32, 2, dim);
  if (case_offered(&run, &c)) {
    const rig_op op = call_op(&c);
    rig_must(run.r, &op, 1);
    for (int64_t e = 0; e < rows * columns; e++) {
      float want = (float)rig_get(c.in[0], e);
      for (int64_t i = 0; i < n; i++)
        if ((int64_t)rig_get(c.in[1], i) == e / columns)
          want += (float)rig_get(c.in[2], i * columns + e % columns);
      CHECK((float)rig_get(c.out[0], e) == want,
            "SCATTER_ROWS ADD: element %lld is %.9g; added in order of i it is %.9g", (long long)e,
            rig_get(c.out[0], e), (double)want);
    }
    run.done++;
  }
  call_free(&c);
  case_end(&run);
}

void chapter_deterministic(test_list *list) {
  static const uint8_t types[] = {FORGE_F32, FORGE_F16, FORGE_BF16};
  static const char *const names[] = {"f32", "f16", "bf16"};
  char id[96];
  for (uint32_t i = 0; cases_maker(i); i++) {
    snprintf(id, sizeof id, "deterministic.%s", cases_maker(i)->name);
    TEST_OF(list, id, same_bits, cases_maker(i), FB_S10);
  }
  for (uint32_t k = 0; k < COUNT_OF(types); k++) {
    snprintf(id, sizeof id, "deterministic.MATMUL.%s.rows_alone", names[k]);
    TEST_OF(list, id, rows_alone, &types[k], FB_S11);
    snprintf(id, sizeof id, "deterministic.ATTENTION.%s.queries_alone", names[k]);
    TEST_OF(list, id, queries_alone, &types[k], FB_S11);
  }
  TEST(list, "deterministic.SCATTER_ROWS.order", scatter_order, FB_S1);
}
