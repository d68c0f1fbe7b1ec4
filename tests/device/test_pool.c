/* test_pool.c -- the sub-allocator against a model: a list of what is live, and a backend that
 * counts. */
#include "pool.h"

#include "support.h"

enum { MAX_LIVE = 200, STEPS = 20000 };

/* A backend with |capacity| bytes; blocks are numbered, not touched. */
typedef struct backend {
  uint64_t capacity, taken, granularity;
  uintptr_t next;
  uint64_t sizes[1 << 16];
} backend;

static forge_status take(void *ctx, uint64_t bytes, forge_mem **out, forge_mem_out *info) {
  backend *b = ctx;
  if (bytes > b->capacity - b->taken) return FAIL(FORGE_E_OOM, "the card is full");
  b->taken += bytes;
  b->next = (b->next + 1) % (1 << 16);
  b->sizes[b->next] = bytes;
  info->granularity = b->granularity;
  *out = (forge_mem *)(b->next + 1);
  return FORGE_OK;
}

static void give(void *ctx, forge_mem *mem) {
  backend *b = ctx;
  const uintptr_t number = (uintptr_t)mem - 1;
  assert_true(b->sizes[number] > 0);
  b->taken -= b->sizes[number];
  b->sizes[number] = 0;
}

static backend card;

static pool *make_pool(uint64_t capacity, uint64_t limit, uint64_t granularity) {
  pool *p;
  card = (backend){.capacity = capacity, .granularity = granularity};
  assert_ok(pool_create(&(pool_source){&card, take, give}, limit, &p));
  return p;
}

static uint64_t random_state;
static uint64_t random_below(uint64_t n) {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return (random_state >> 33) % n;
}

typedef struct model {
  pool_piece *live[MAX_LIVE];
  uint64_t asked[MAX_LIVE], used;
  size_t n;
} model;

static uint64_t rounded(uint64_t bytes) {
  return (bytes + POOL_ALIGN - 1) / POOL_ALIGN * POOL_ALIGN;
}

static void expect_apart(const model *m, const pool_piece *piece) {
  const forge_bind b = pool_piece_bind(piece);
  assert_int_equal(b.off % POOL_ALIGN, 0);
  assert_true(b.off + b.len <= card.sizes[(uintptr_t)b.mem - 1]);
  for (size_t i = 0; i < m->n; i++) {
    const forge_bind o = pool_piece_bind(m->live[i]);
    assert_false(o.mem == b.mem && o.off < b.off + b.len && b.off < o.off + o.len);
  }
}

static void take_one(pool *p, model *m) {
  const uint64_t sizes[] = {1 + random_below(4096), 1 + random_below(1 << 20),
                            1 + random_below(8 << 20), (1 << 20) + random_below(3)};
  const uint64_t bytes = sizes[random_below(4)];
  pool_piece *piece;
  const forge_status st = pool_take(p, bytes, random_below(2) ? "weights" : "kv", &piece);
  if (st) {
    assert_int_equal(st, FORGE_E_OOM);
    return;
  }
  expect_apart(m, piece);
  m->live[m->n] = piece;
  m->asked[m->n++] = bytes;
  m->used += rounded(bytes);
}

static void give_one(pool *p, model *m) {
  const size_t i = random_below(m->n);
  m->used -= rounded(m->asked[i]);
  pool_give(p, m->live[i]);
  m->live[i] = m->live[--m->n];
  m->asked[i] = m->asked[m->n];
}

static void run_against_model(uint64_t capacity, uint64_t limit, uint64_t granularity) {
  pool *p = make_pool(capacity, limit, granularity);
  model m = {.n = 0};
  pool_account a;
  for (int step = 0; step < STEPS; step++) {
    if (m.n < MAX_LIVE && (!m.n || random_below(100) < 55))
      take_one(p, &m);
    else
      give_one(p, &m);
    if (random_below(500) == 0) pool_trim(p);
    pool_describe(p, &a);
    assert_int_equal(a.used, m.used);
    assert_int_equal(a.n_pieces, m.n);
    assert_int_equal(a.held, card.taken);
    assert_true(!limit || a.held <= limit);
    if (step % 64 == 0) assert_true(pool_is_sound(p));
  }
  while (m.n) give_one(p, &m);
  assert_true(pool_is_sound(p));
  pool_trim(p);
  assert_int_equal(card.taken, 0);
  pool_destroy(p);
}

static void pieces_never_overlap_and_accounts_always_agree(void **state) {
  (void)state;
  random_state = 7;
  run_against_model(UINT64_MAX / 2, 0, 0);
}

static void the_same_holds_at_a_limit_and_on_a_full_card(void **state) {
  (void)state;
  random_state = 8;
  run_against_model(UINT64_MAX / 2, 64 << 20, 4096);
  run_against_model(50 << 20, 0, 2 << 20);
}

static void out_of_memory_tells_need_limit_and_holders(void **state) {
  (void)state;
  pool *p = make_pool(UINT64_MAX / 2, 16 << 20, 0);
  pool_piece *weights, *kv, *more;
  assert_ok(pool_take(p, 8 << 20, "weights", &weights));
  assert_ok(pool_take(p, 1000, "kv", &kv));
  assert_int_equal(pool_take(p, 12 << 20, "logits", &more), FORGE_E_OOM);
  assert_says("logits needs 12.00 MiB (12582912 bytes); limit 16.00 MiB");
  assert_says("weights 8.00 MiB in 1, kv 1.00 KiB in 1");
  assert_says("raise memory_limit");
  pool_give(p, weights);
  assert_ok(pool_take(p, 12 << 20, "logits", &more)); /* what was cached made room */
  pool_destroy(p);
}

static void out_of_memory_of_the_card_passes_its_words_on(void **state) {
  (void)state;
  pool *p = make_pool(4 << 20, 0, 0);
  pool_piece *piece;
  assert_int_equal(pool_take(p, 5 << 20, NULL, &piece), FORGE_E_OOM);
  assert_says("other needs 5.00 MiB");
  assert_says("limit none");
  assert_says("the backend: the card is full");
  pool_destroy(p);
}

static void absurd_sizes_are_out_of_memory_not_an_overflow(void **state) {
  (void)state;
  pool *p = make_pool(1 << 30, 0, 0);
  pool_piece *piece;
  assert_int_equal(pool_take(p, UINT64_MAX, NULL, &piece), FORGE_E_OOM);
  assert_int_equal(pool_take(p, UINT64_MAX - 255, NULL, &piece), FORGE_E_OOM);
  assert_int_equal(pool_take(p, UINT64_MAX / 2, NULL, &piece), FORGE_E_OOM);
  assert_true(pool_is_sound(p));
  pool_destroy(p);
}

static void freed_memory_is_used_again_without_asking_the_backend(void **state) {
  (void)state;
  pool *p = make_pool(1 << 30, 0, 0);
  pool_piece *a, *b, *c;
  assert_ok(pool_take(p, 3 << 20, NULL, &a));
  const uint64_t taken = card.taken;
  pool_give(p, a);
  for (int i = 0; i < 100; i++) {
    assert_ok(pool_take(p, 2 << 20, NULL, &b));
    assert_ok(pool_take(p, (1 << 20) - 256 + (1 << 10), NULL, &c));
    pool_give(p, b);
    pool_give(p, c);
  }
  assert_true(card.taken <= taken + POOL_SMALL_CHUNK + (2 << 20));
  pool_destroy(p);
}

static void a_small_limit_still_serves_what_fits(void **state) {
  (void)state;
  pool *p = make_pool(1 << 30, 100000, 4096);
  pool_piece *a, *b;
  assert_ok(pool_take(p, 60000, NULL, &a));
  assert_ok(pool_take(p, 30000, NULL, &b));
  assert_int_equal(pool_take(p, 30000, NULL, &b), FORGE_E_OOM);
  pool_destroy(p);
}

static void noted_memory_counts_against_the_limit(void **state) {
  (void)state;
  pool *p = make_pool(1 << 30, 10 << 20, 0);
  pool_account a;
  pool_piece *piece;
  pool_note(p, "workspace", 6 << 20);
  assert_int_equal(pool_take(p, 5 << 20, NULL, &piece), FORGE_E_OOM);
  assert_says("workspace 6.00 MiB in 1");
  pool_note(p, "workspace", -(6 << 20));
  assert_ok(pool_take(p, 5 << 20, NULL, &piece));
  pool_describe(p, &a);
  assert_int_equal(a.peak, 6 << 20);
  assert_true(pool_is_sound(p));
  pool_destroy(p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pieces_never_overlap_and_accounts_always_agree),
      cmocka_unit_test(the_same_holds_at_a_limit_and_on_a_full_card),
      cmocka_unit_test(out_of_memory_tells_need_limit_and_holders),
      cmocka_unit_test(out_of_memory_of_the_card_passes_its_words_on),
      cmocka_unit_test(absurd_sizes_are_out_of_memory_not_an_overflow),
      cmocka_unit_test(freed_memory_is_used_again_without_asking_the_backend),
      cmocka_unit_test(a_small_limit_still_serves_what_fits),
      cmocka_unit_test(noted_memory_counts_against_the_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
