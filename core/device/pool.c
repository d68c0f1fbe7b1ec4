/* pool.c -- see pool.h. A chunk is a row of pieces in address order; free pieces also stand in the
 * bin of their size's power of two. */
#include "pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { KINDS = 2, BINS = 56, MAX_TAGS = 64 };

typedef struct chunk {
  struct chunk *next, *previous;
  forge_mem *mem;
  uint8_t *host;
  uint64_t bytes, live; /* live: pieces in use */
  uint32_t kind, rsv;
  pool_piece *first;
} chunk;

struct pool_piece {
  chunk *in;
  uint64_t off, bytes, asked; /* asked: 0 when free */
  uint32_t tag, rsv;
  pool_piece *left, *right;            /* neighbours in the chunk */
  pool_piece *bin_next, *bin_previous; /* while free */
};

struct pool {
  pool_source source;
  uint64_t granularity;
  pool_account account;
  chunk *chunks;
  pool_piece *bins[KINDS][BINS];
  pool_tag tags[MAX_TAGS];
  size_t n_tags;
  bool refused; /* the backend had no memory during this take */
};

/* ---- tags ---- */

/* The last tag collects what comes after MAX_TAGS different names. */
static uint32_t find_tag(pool *p, const char *name) {
  if (!name || !*name) name = "other";
  for (uint32_t i = 0; i < p->n_tags; i++)
    if (!strncmp(p->tags[i].name, name, sizeof p->tags[i].name - 1)) return i;
  if (p->n_tags == MAX_TAGS) return MAX_TAGS - 1;
  pool_tag *tag = &p->tags[p->n_tags];
  snprintf(tag->name, sizeof tag->name, "%s", p->n_tags == MAX_TAGS - 1 ? "further" : name);
  return (uint32_t)p->n_tags++;
}

const pool_tag *pool_tags(const pool *p, size_t *out_n) {
  *out_n = p->n_tags;
  return p->tags;
}

static void count_used(pool *p, uint32_t tag, int64_t bytes, int64_t n) {
  p->account.used += (uint64_t)bytes;
  p->tags[tag].bytes += (uint64_t)bytes;
  p->tags[tag].n += (uint64_t)n;
  if (p->account.used > p->account.peak) p->account.peak = p->account.used;
}

void pool_note(pool *p, const char *tag, int64_t bytes) {
  count_used(p, find_tag(p, tag), bytes, bytes > 0 ? 1 : -1);
  p->account.held += (uint64_t)bytes;
}

/* ---- bins ---- */

static uint32_t bin_of(uint64_t bytes) {
  const uint32_t log2 = 63u - (uint32_t)__builtin_clzll(bytes / POOL_ALIGN);
  return log2 < BINS ? log2 : BINS - 1;
}

static void bin_add(pool *p, pool_piece *piece) {
  pool_piece **head = &p->bins[piece->in->kind][bin_of(piece->bytes)];
  piece->bin_previous = NULL;
  piece->bin_next = *head;
  if (*head) (*head)->bin_previous = piece;
  *head = piece;
}

static void bin_remove(pool *p, pool_piece *piece) {
  if (piece->bin_next) piece->bin_next->bin_previous = piece->bin_previous;
  if (piece->bin_previous)
    piece->bin_previous->bin_next = piece->bin_next;
  else
    p->bins[piece->in->kind][bin_of(piece->bytes)] = piece->bin_next;
}

/* The smallest free piece of at least |need| bytes. */
static pool_piece *find_free(const pool *p, uint32_t kind, uint64_t need) {
  pool_piece *best = NULL;
  for (uint32_t bin = bin_of(need); !best && bin < BINS; bin++)
    for (pool_piece *f = p->bins[kind][bin]; f; f = f->bin_next)
      if (f->bytes >= need && (!best || f->bytes < best->bytes)) best = f;
  return best;
}

/* ---- chunks ---- */

static void unlink_chunk(pool *p, chunk *c) {
  if (c->next) c->next->previous = c->previous;
  if (c->previous)
    c->previous->next = c->next;
  else
    p->chunks = c->next;
  p->account.held -= c->bytes;
  p->account.n_chunks--;
}

static void free_chunk(pool *p, chunk *c) {
  for (pool_piece *piece = c->first; piece;) {
    pool_piece *right = piece->right;
    mem_free(piece);
    piece = right;
  }
  p->source.give(p->source.ctx, c->mem);
  mem_free(c);
}

void pool_trim(pool *p) {
  for (chunk *c = p->chunks; c;) {
    chunk *next = c->next;
    if (!c->live) {
      bin_remove(p, c->first); /* joined again, it is one piece */
      p->account.cached -= c->bytes;
      unlink_chunk(p, c);
      free_chunk(p, c);
    }
    c = next;
  }
}

static uint64_t round_up(uint64_t bytes, uint64_t step) {
  const uint64_t rest = bytes % step;
  return rest && bytes <= UINT64_MAX - step ? bytes + step - rest : bytes;
}

/* What to ask the backend for: roomy at first, so that the next request finds a place. */
static uint64_t chunk_bytes(const pool *p, uint32_t kind, uint64_t need) {
  if (!kind) return round_up(POOL_SMALL_CHUNK, p->granularity);
  const uint64_t eighth = (uint64_t)1 << (63 - __builtin_clzll(need) - 3);
  return round_up(round_up(need, eighth), p->granularity);
}

static bool within_limit(const pool *p, uint64_t bytes) {
  uint64_t sum;
  if (ADD_OVERFLOWS(p->account.held, bytes, &sum)) return false;
  return !p->account.limit || sum <= p->account.limit;
}

static forge_status add_chunk(pool *p, uint32_t kind, uint64_t bytes, pool_piece **out) {
  chunk *c = mem_zalloc(sizeof *c);
  pool_piece *piece = mem_zalloc(sizeof *piece);
  forge_mem_out info = {.size = sizeof info};
  forge_status st = c && piece ? p->source.take(p->source.ctx, bytes, &c->mem, &info)
                               : FAIL(FORGE_E_OOM, "no host memory for the account of a block");
  if (st) {
    p->refused = true;
    mem_free(c);
    mem_free(piece);
    return st;
  }
  if (info.granularity > p->granularity) p->granularity = info.granularity;
  *piece = (pool_piece){.in = c, .bytes = bytes};
  c->host = info.host_ptr;
  c->bytes = bytes;
  c->kind = kind;
  c->first = piece;
  c->next = p->chunks;
  if (c->next) c->next->previous = c;
  p->chunks = c;
  p->account.held += bytes;
  p->account.cached += bytes;
  p->account.n_chunks++;
  bin_add(p, piece);
  *out = piece;
  return FORGE_OK;
}

/* A new chunk of the roomy size or, near the limit, of exactly what is needed. */
static forge_status grow(pool *p, uint32_t kind, uint64_t need, pool_piece **out) {
  const uint64_t roomy = chunk_bytes(p, kind, need);
  forge_status st = FORGE_E_OOM;
  if (within_limit(p, roomy)) st = add_chunk(p, kind, roomy, out);
  if (st == FORGE_E_OOM && roomy != need && within_limit(p, need))
    st = add_chunk(p, kind, need, out);
  return st;
}

/* ---- pieces ---- */

/* Cuts |piece| to |need|; the rest is free again. False: no host memory, the piece stays whole. */
static bool split(pool *p, pool_piece *piece, uint64_t need) {
  if (piece->bytes == need) return true;
  pool_piece *rest = mem_zalloc(sizeof *rest);
  if (!rest) return false;
  *rest = (pool_piece){.in = piece->in,
                       .off = piece->off + need,
                       .bytes = piece->bytes - need,
                       .left = piece,
                       .right = piece->right};
  if (rest->right) rest->right->left = rest;
  piece->right = rest;
  piece->bytes = need;
  bin_add(p, rest);
  return true;
}

static void join_right(pool *p, pool_piece *piece) {
  pool_piece *right = piece->right;
  if (!right || right->asked) return;
  bin_remove(p, right);
  piece->bytes += right->bytes;
  piece->right = right->right;
  if (right->right) right->right->left = piece;
  mem_free(right);
}

static const char *amount(uint64_t bytes, char out[32]) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = (double)bytes;
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < COUNT_OF(units); unit++) value /= 1024;
  snprintf(out, 32, unit ? "%.2f %s" : "%.0f %s", value, units[unit]);
  return out;
}

/* E_OOM with need, limit and what holds the rest; |why|: the backend's words, NULL if it was the
 * limit. */
static forge_status out_of_memory(const pool *p, uint64_t bytes, const char *tag, const char *why) {
  char need[32], limit[32], held[32], each[32], list[512] = "";
  size_t n = 0;
  for (size_t i = 0; i < p->n_tags; i++) {
    const pool_tag *t = &p->tags[i];
    if (!t->bytes || n >= sizeof list) continue;
    n += (size_t)snprintf(list + n, sizeof list - n, "%s%s %s in %" PRIu64, n ? ", " : "", t->name,
                          amount(t->bytes, each), t->n);
  }
  return FAIL(FORGE_E_OOM, "%s needs %s (%" PRIu64 " bytes); limit %s; %s held (%s)%s%s",
              tag && *tag ? tag : "other", amount(bytes, need), bytes,
              p->account.limit ? amount(p->account.limit, limit) : "none",
              amount(p->account.held, held), n ? list : "by nothing live",
              why ? "; the backend: " : "; raise memory_limit or use less", why ? why : "");
}

static forge_status find_room(pool *p, uint64_t need, pool_piece **out) {
  const uint32_t kind = need > POOL_SMALL_MAX;
  if ((*out = find_free(p, kind, need))) return FORGE_OK;
  forge_status st = grow(p, kind, need, out);
  if (st != FORGE_E_OOM) return st;
  pool_trim(p);
  st = grow(p, kind, need, out);
  if (st == FORGE_E_OOM && (*out = find_free(p, !kind, need))) st = FORGE_OK;
  return st;
}

forge_status pool_take(pool *p, uint64_t bytes, const char *tag, pool_piece **out) {
  const uint64_t need = round_up(bytes, POOL_ALIGN);
  pool_piece *piece = NULL;
  p->refused = false;
  const forge_status st = need % POOL_ALIGN ? FORGE_E_OOM : find_room(p, need, &piece);
  if (st == FORGE_E_OOM) {
    char why[256];
    snprintf(why, sizeof why, "%s", forge_error_last()->msg);
    return out_of_memory(p, bytes, tag, p->refused ? why : NULL);
  }
  if (st) return st;
  bin_remove(p, piece);
  if (!piece->in->live++) p->account.cached -= piece->in->bytes;
  split(p, piece, need);
  piece->asked = bytes;
  piece->tag = find_tag(p, tag);
  p->account.n_pieces++;
  count_used(p, piece->tag, (int64_t)piece->bytes, 1);
  *out = piece;
  return FORGE_OK;
}

void pool_give(pool *p, pool_piece *piece) {
  if (!piece) return;
  count_used(p, piece->tag, -(int64_t)piece->bytes, -1);
  p->account.n_pieces--;
  piece->asked = 0;
  if (!--piece->in->live) p->account.cached += piece->in->bytes;
  join_right(p, piece);
  if (piece->left && !piece->left->asked) {
    piece = piece->left;
    bin_remove(p, piece);
    bin_add(p, piece->right); /* join_right() takes it out again */
    join_right(p, piece);
  }
  bin_add(p, piece);
}

forge_bind pool_piece_bind(const pool_piece *piece) {
  return (forge_bind){piece->in->mem, piece->off, piece->asked};
}

void *pool_piece_host(const pool_piece *piece) {
  return piece->in->host ? piece->in->host + piece->off : NULL;
}

/* ---- the whole ---- */

forge_status pool_create(const pool_source *source, uint64_t limit, pool **out) {
  pool *p = mem_zalloc(sizeof *p);
  if (!p) return FAIL(FORGE_E_OOM, "no host memory for a pool");
  p->source = *source;
  p->account.limit = limit;
  p->granularity = POOL_ALIGN;
  *out = p;
  return FORGE_OK;
}

void pool_destroy(pool *p) {
  while (p && p->chunks) {
    chunk *c = p->chunks;
    unlink_chunk(p, c);
    free_chunk(p, c);
  }
  mem_free(p);
}

void pool_describe(const pool *p, pool_account *out) { *out = p->account; }

static bool chunk_is_sound(const chunk *c, uint64_t *used) {
  uint64_t off = 0, live = 0;
  for (const pool_piece *piece = c->first; piece; piece = piece->right) {
    if (piece->off != off || piece->in != c || piece->bytes % POOL_ALIGN) return false;
    if (piece->right && piece->right->left != piece) return false;
    if (piece->right && !piece->asked && !piece->right->asked) return false; /* not joined */
    off += piece->bytes;
    if (piece->asked) live++, *used += piece->bytes;
  }
  return off == c->bytes && live == c->live;
}

bool pool_is_sound(const pool *p) {
  uint64_t used = 0, held = 0, cached = 0, tagged = 0;
  for (const chunk *c = p->chunks; c; c = c->next) {
    if (!chunk_is_sound(c, &used)) return false;
    held += c->bytes;
    cached += c->live ? 0 : c->bytes;
  }
  for (size_t i = 0; i < p->n_tags; i++) tagged += p->tags[i].bytes;
  const uint64_t noted = p->account.held - held;
  return cached == p->account.cached && used + noted == p->account.used &&
         tagged == p->account.used;
}
