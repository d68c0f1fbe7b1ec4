/* gguf.c -- the structure of a GGUF file, checked byte by byte before anything is believed.
 * Layout (github.com/ggml-org/ggml, docs/gguf.md): magic, version, counts, keys, tensor records,
 * padding up to the alignment, tensor data. All little-endian. */
#include "gguf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gguf_type.h"

enum {
  MAX_ENTRIES = 1 << 20, /* keys or tensors: far above any model, small enough to allocate */
  MAX_NAME = 65535,
  MAX_NESTING = 4
};

typedef struct reader {
  const char *path;
  const uint8_t *data;
  uint64_t at, bytes;
} reader;

static forge_status cut_short(const reader *r, const char *what) {
  return FAIL(FORGE_E_CORRUPT,
              "%s: the file ends inside %s at byte %" PRIu64 " (it has %" PRIu64
              " bytes): it is truncated or damaged; get it again",
              r->path, what, r->at, r->bytes);
}

static forge_status take(reader *r, uint64_t n, const char *what, const uint8_t **out) {
  if (n > r->bytes - r->at) return cut_short(r, what);
  *out = r->data + r->at;
  r->at += n;
  return FORGE_OK;
}

static forge_status take_u32(reader *r, const char *what, uint32_t *out) {
  const uint8_t *p;
  TRY(take(r, sizeof *out, what, &p));
  memcpy(out, p, sizeof *out);
  return FORGE_OK;
}

static forge_status take_u64(reader *r, const char *what, uint64_t *out) {
  const uint8_t *p;
  TRY(take(r, sizeof *out, what, &p));
  memcpy(out, p, sizeof *out);
  return FORGE_OK;
}

static forge_status take_string(reader *r, uint64_t limit, const char *what, gguf_string *out) {
  const uint64_t start = r->at;
  const uint8_t *p;
  TRY(take_u64(r, what, &out->n));
  if (out->n > limit || out->n > r->bytes - r->at)
    return FAIL(FORGE_E_CORRUPT,
                "%s: %s at byte %" PRIu64 " claims %" PRIu64
                " bytes: the file is truncated or damaged; get it again",
                r->path, what, start, out->n);
  TRY(take(r, out->n, what, &p));
  out->s = (const char *)p;
  return FORGE_OK;
}

static forge_status take_items(reader *r, uint32_t type, uint64_t count, int depth);

static forge_status take_array(reader *r, int depth, gguf_value *out) {
  const uint64_t start = r->at;
  TRY(take_u32(r, "an array", &out->item_type));
  TRY(take_u64(r, "an array", &out->count));
  if (depth == MAX_NESTING)
    return FAIL(FORGE_E_CORRUPT, "%s: arrays nested deeper than %d at byte %" PRIu64, r->path,
                MAX_NESTING, start);
  out->data = r->data + r->at;
  const uint64_t first = r->at;
  TRY(take_items(r, out->item_type, out->count, depth + 1));
  out->bytes = r->at - first;
  return FORGE_OK;
}

static forge_status take_value(reader *r, uint32_t type, int depth, gguf_value *out) {
  *out = (gguf_value){.type = type, .item_type = type, .count = 1};
  if (type == GGUF_ARRAY) return take_array(r, depth, out);
  if (type == GGUF_STRING) {
    gguf_string s;
    TRY(take_string(r, r->bytes, "a string value", &s));
    out->data = (const uint8_t *)s.s;
    out->bytes = s.n;
    return FORGE_OK;
  }
  out->bytes = gguf_value_bytes(type);
  if (!out->bytes)
    return FAIL(FORGE_E_CORRUPT, "%s: unknown value type %" PRIu32 " at byte %" PRIu64, r->path,
                type, r->at);
  return take(r, out->bytes, "a value", &out->data);
}

static forge_status take_items(reader *r, uint32_t type, uint64_t count, int depth) {
  const uint64_t each = gguf_value_bytes(type);
  uint64_t bytes;
  if (each) {
    const uint8_t *p;
    if (MUL_OVERFLOWS(each, count, &bytes)) return cut_short(r, "an array");
    return take(r, bytes, "an array", &p);
  }
  for (uint64_t i = 0; i < count; i++) {
    gguf_value item;
    TRY(take_value(r, type, depth, &item));
  }
  return FORGE_OK;
}

static forge_status read_keys(reader *r, gguf *g) {
  for (uint32_t i = 0; i < g->n_keys; i++) {
    gguf_key *key = &g->keys[i];
    uint32_t type;
    TRY(take_string(r, MAX_NAME, "a key's name", &key->name));
    TRY(take_u32(r, "a key's type", &type));
    const forge_status st = take_value(r, type, 0, &key->value);
    if (st) return base_fail_in(st, "value of key %" PRIu32, i);
  }
  return FORGE_OK;
}

static forge_status bad_tensor(const gguf *g, const gguf_tensor *t, const char *why) {
  return FAIL(FORGE_E_CORRUPT, "%s: tensor %.*s: %s; the file is damaged, get it again", g->path,
              (int)(t->name.n < 128 ? t->name.n : 128), t->name.s, why);
}

static forge_status tensor_size(const gguf *g, gguf_tensor *t) {
  uint64_t elems = 1, total;
  for (uint32_t k = 0; k < t->rank; k++)
    if (t->dim[k] < 0 || MUL_OVERFLOWS(elems, (uint64_t)t->dim[k], &elems))
      return bad_tensor(g, t, "its dimensions are impossible");
  const gguf_type *type = gguf_type_of(t->type);
  if (!type) return FORGE_OK;
  t->dtype = type->dtype;
  const uint64_t row = t->rank ? (uint64_t)t->dim[t->rank - 1] : 1;
  if (row % type->block_elems) return bad_tensor(g, t, "its rows are no whole number of blocks");
  if (MUL_OVERFLOWS(elems / type->block_elems, type->block_bytes, &total))
    return bad_tensor(g, t, "its size is impossible");
  t->bytes = total;
  return FORGE_OK;
}

static forge_status read_tensor(reader *r, const gguf *g, gguf_tensor *t) {
  uint32_t rank;
  uint64_t dim;
  TRY(take_string(r, MAX_NAME, "a tensor's name", &t->name));
  TRY(take_u32(r, "a tensor's rank", &rank));
  if (rank > COUNT_OF(t->dim)) return bad_tensor(g, t, "it has more than 4 dimensions");
  t->rank = (uint8_t)rank;
  for (uint32_t k = 0; k < rank; k++) {
    TRY(take_u64(r, "a tensor's dimensions", &dim));
    if (dim > INT64_MAX) return bad_tensor(g, t, "its dimensions are impossible");
    t->dim[rank - 1 - k] = (int64_t)dim;
  }
  TRY(take_u32(r, "a tensor's type", &t->type));
  TRY(take_u64(r, "a tensor's offset", &t->offset));
  return tensor_size(g, t);
}

static forge_status place_tensor(const gguf *g, gguf_tensor *t) {
  if (t->offset % g->alignment) return bad_tensor(g, t, "its offset is not aligned");
  if (t->offset > g->bytes || ADD_OVERFLOWS(t->offset, g->data_start, &t->offset) ||
      t->offset > g->bytes || t->bytes > g->bytes - t->offset)
    return FAIL(FORGE_E_CORRUPT,
                "%s: tensor %.*s lies outside the file, which has %" PRIu64
                " bytes: it is truncated or damaged; get it again",
                g->path, (int)(t->name.n < 128 ? t->name.n : 128), t->name.s, g->bytes);
  t->data = g->data + t->offset;
  return FORGE_OK;
}

static int by_offset(const void *a, const void *b) {
  const gguf_tensor *x = *(gguf_tensor *const *)a, *y = *(gguf_tensor *const *)b;
  if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
  return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static forge_status check_overlaps(const gguf *g, const gguf_tensor **sorted) {
  for (uint32_t i = 0; i < g->n_tensors; i++) sorted[i] = &g->tensors[i];
  qsort(sorted, g->n_tensors, sizeof(void *), by_offset);
  for (uint32_t i = 1; i < g->n_tensors; i++)
    if (sorted[i - 1]->offset + sorted[i - 1]->bytes > sorted[i]->offset)
      return bad_tensor(g, sorted[i], "it overlaps another tensor");
  return FORGE_OK;
}

static int by_name(const void *a, const void *b) {
  const gguf_string *x = *(const gguf_string *const *)a, *y = *(const gguf_string *const *)b;
  const int order = memcmp(x->s, y->s, x->n < y->n ? x->n : y->n);
  return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* |names[i]| is followed by others |stride| bytes on. */
static forge_status check_unique(const gguf *g, const void *first, size_t stride, uint32_t n,
                                 const gguf_string **sorted, const char *what) {
  for (uint32_t i = 0; i < n; i++)
    sorted[i] = (const gguf_string *)(const void *)((const char *)first + i * stride);
  qsort(sorted, n, sizeof(void *), by_name);
  for (uint32_t i = 1; i < n; i++)
    if (!by_name(&sorted[i - 1], &sorted[i]))
      return FAIL(FORGE_E_CORRUPT, "%s: %s %.*s is there twice", g->path, what,
                  (int)(sorted[i]->n < 128 ? sorted[i]->n : 128), sorted[i]->s);
  return FORGE_OK;
}

static forge_status check_structure(const gguf *g) {
  const uint32_t n = g->n_keys > g->n_tensors ? g->n_keys : g->n_tensors;
  void *sorted = mem_zalloc_array(n ? n : 1, sizeof(void *));
  if (!sorted) return FAIL(FORGE_E_OOM, "%s: no memory for its index", g->path);
  forge_status st =
      check_unique(g, &g->keys[0].name, sizeof g->keys[0], g->n_keys, sorted, "the key");
  if (!st)
    st = check_unique(g, &g->tensors[0].name, sizeof g->tensors[0], g->n_tensors, sorted,
                      "the tensor");
  if (!st) st = check_overlaps(g, sorted);
  mem_free(sorted);
  return st;
}

static forge_status read_alignment(gguf *g) {
  int64_t alignment;
  TRY(gguf_get_int(g, "general.alignment", 32, &alignment));
  if (alignment < 1 || alignment > 1 << 20 || (alignment & (alignment - 1)))
    return FAIL(FORGE_E_CORRUPT, "%s: general.alignment is %" PRId64 ", no power of two", g->path,
                alignment);
  g->alignment = (uint64_t)alignment;
  return FORGE_OK;
}

static forge_status read_count(reader *r, const char *what, uint32_t *out) {
  uint64_t n;
  TRY(take_u64(r, "the header", &n));
  if (n > MAX_ENTRIES || n > (r->bytes - r->at) / 12)
    return FAIL(FORGE_E_CORRUPT,
                "%s: the header claims %" PRIu64 " %s in %" PRIu64
                " bytes: it is truncated or damaged; get it again",
                r->path, n, what, r->bytes);
  *out = (uint32_t)n;
  return FORGE_OK;
}

static forge_status read_header(reader *r, gguf *g) {
  if (!gguf_is(r->data, r->bytes))
    return FAIL(FORGE_E_CORRUPT, "%s: does not begin with \"GGUF\"", r->path);
  r->at = 4;
  TRY(take_u32(r, "the header", &g->version));
  if (g->version && !(g->version & 0xFFFF))
    return FAIL(FORGE_E_UNSUPPORTED, "%s: a big-endian GGUF; convert it to little-endian", r->path);
  if (g->version != 2 && g->version != 3)
    return FAIL(FORGE_E_UNSUPPORTED,
                "%s: GGUF version %" PRIu32 "; Forge reads 2 and 3, so convert the model again",
                r->path, g->version);
  TRY(read_count(r, "tensors", &g->n_tensors));
  return read_count(r, "keys", &g->n_keys);
}

static forge_status parse(gguf *g) {
  reader r = {.path = g->path, .data = g->data, .bytes = g->bytes};
  TRY(read_header(&r, g));
  /* One spare entry, so that the first element's address always exists. */
  g->keys = mem_zalloc_array((size_t)g->n_keys + 1, sizeof *g->keys);
  g->tensors = mem_zalloc_array((size_t)g->n_tensors + 1, sizeof *g->tensors);
  if (!g->keys || !g->tensors) return FAIL(FORGE_E_OOM, "%s: no memory for its index", g->path);
  TRY(read_keys(&r, g));
  TRY(read_alignment(g));
  for (uint32_t i = 0; i < g->n_tensors; i++) TRY(read_tensor(&r, g, &g->tensors[i]));
  g->data_start = (r.at + g->alignment - 1) / g->alignment * g->alignment;
  for (uint32_t i = 0; i < g->n_tensors; i++) TRY(place_tensor(g, &g->tensors[i]));
  return check_structure(g);
}

/* A text tool that touched a binary file leaves traces: bytes that are no UTF-8 become EF BF BD,
 * and every line end becomes CR LF. */
static forge_status explain_damage(const gguf *g, forge_status st) {
  uint64_t replaced = 0, lines = 0, crlf = 0;
  for (uint64_t i = 0; i + 2 < g->bytes; i++) {
    replaced += g->data[i] == 0xEF && g->data[i + 1] == 0xBF && g->data[i + 2] == 0xBD;
    lines += g->data[i + 1] == '\n';
    crlf += g->data[i] == '\r' && g->data[i + 1] == '\n';
  }
  if (replaced > 64 && replaced > g->bytes / 1000)
    return base_fail_in(st,
                        "a tool that took this binary file for text damaged it (%" PRIu64
                        " bytes became U+FFFD, as a CRLF or encoding conversion does); get it "
                        "again in binary mode",
                        replaced);
  if (lines >= 8 && crlf == lines)
    return base_fail_in(st, "every line end of this binary file is CR LF: a CRLF text conversion "
                            "damaged it; get it again in binary mode");
  return st;
}

forge_status gguf_parse(const char *path, const uint8_t *data, uint64_t bytes, gguf *out) {
  *out = (gguf){.data = data, .bytes = bytes, .path = mem_strdup(path)};
  if (!out->path) return FAIL(FORGE_E_OOM, "%s: no memory to open it", path);
  forge_status st = parse(out);
  if (st == FORGE_E_CORRUPT) st = explain_damage(out, st);
  if (st) gguf_close(out);
  return st;
}

forge_status gguf_open(const char *path, gguf *out) {
  file_map map;
  *out = (gguf){0};
  TRY(file_map_open(path, &map));
  const forge_status st = gguf_parse(path, map.data, map.bytes, out);
  if (st)
    file_map_close(&map);
  else
    out->map = map;
  return st;
}

void gguf_close(gguf *g) {
  mem_free(g->path);
  mem_free(g->keys);
  mem_free(g->tensors);
  file_map_close(&g->map);
  *g = (gguf){0};
}

bool gguf_is(const uint8_t *data, uint64_t bytes) { return bytes >= 4 && !memcmp(data, "GGUF", 4); }
