/* samples.c -- see samples.h. */
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void put(bytes *b, const void *data, size_t n) {
  if (b->n + n > b->cap) {
    b->cap = (b->n + n) * 2 + 64;
    b->p = realloc(b->p, b->cap);
    assert_non_null(b->p);
  }
  if (n) memcpy(b->p + b->n, data, n);
  b->n += n;
}

void put_u32(bytes *b, uint32_t x) { put(b, &x, sizeof x); }
void put_u64(bytes *b, uint64_t x) { put(b, &x, sizeof x); }
void put_f32(bytes *b, float x) { put(b, &x, sizeof x); }
void put_str(bytes *b, const char *s) {
  put_u64(b, strlen(s));
  put(b, s, strlen(s));
}

void save(bytes *b, const char *path) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  if (b->n) assert_int_equal(fwrite(b->p, 1, b->n, f), b->n);
  assert_int_equal(fclose(f), 0);
  free(b->p);
  *b = (bytes){0};
}

bytes load(const char *path) {
  char *text_of;
  uint64_t n;
  bytes b = {0};
  assert_int_equal(file_read(path, UINT32_MAX, &text_of, &n), FORGE_OK);
  put(&b, text_of, n);
  mem_free(text_of);
  return b;
}

void save_text(const char *path, const char *contents) {
  bytes b = {0};
  put(&b, contents, strlen(contents));
  save(&b, path);
}

char *sample_folder(void) {
  const char *root = getenv("TMPDIR");
  char *path = mem_printf("%s/forge-model-XXXXXX", root ? root : "/tmp");
  assert_non_null(path);
  assert_non_null(mkdtemp(path));
  return path;
}

void sample_remove(char *folder) {
  char *command = mem_printf("rm -rf '%s'", folder);
  assert_int_equal(system(command), 0);
  mem_free(command);
  mem_free(folder);
}

const char *in(const char *folder, const char *name) {
  static char places[32][512];
  static int next;
  char *place = places[next++ % 32];
  snprintf(place, sizeof places[0], "%s/%s", folder, name);
  return place;
}

const char *data_file(const char *name) {
  const char *root = getenv("FORGE_TEST_DATA");
  const char *path = in(root ? root : FORGE_TEST_SOURCE_DIR "/../shared/data", name);
  if (file_exists(path)) return path;
  print_message("skipped: %s is not there (set FORGE_TEST_DATA)\n", path);
  return NULL;
}

/* ---- a model in memory ---- */

const forge_model_config sample_llama = {.size = sizeof(forge_model_config),
                                         .family = FORGE_FAMILY_LLAMA,
                                         .n_vocab = 40,
                                         .n_ctx = 32,
                                         .n_embd = 32,
                                         .n_layer = 2,
                                         .n_head = 4,
                                         .n_kv_head = 2,
                                         .head_dim = 8,
                                         .n_ff = 64,
                                         .rope_style = FORGE_ROPE_STYLE_INTERLEAVED,
                                         .norm_eps = 1e-5,
                                         .rope_base = 10000,
                                         .rope_scale = 1};
const forge_model_config sample_gpt2 = {.size = sizeof(forge_model_config),
                                        .family = FORGE_FAMILY_GPT2,
                                        .n_vocab = 40,
                                        .n_ctx = 16,
                                        .n_embd = 32,
                                        .n_layer = 2,
                                        .n_head = 4,
                                        .n_kv_head = 4,
                                        .head_dim = 8,
                                        .n_ff = 128,
                                        .tied_head = 1,
                                        .norm_eps = 1e-5,
                                        .has_bias = 1};

static uint32_t random_state;
static uint32_t random_next(void) {
  random_state = random_state * 1664525u + 1013904223u;
  return random_state >> 8;
}

static float small_value(void) { return ((float)(random_next() % 127) - 63) / 64; }

/* Exact for the values above: a few mantissa bits, no subnormals. */
static uint16_t to_f16(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  if (!(u & 0x7FFFFFFF)) return (uint16_t)(u >> 16);
  return (uint16_t)((u >> 16 & 0x8000) | ((u >> 23 & 0xFF) - 112) << 10 | (u >> 13 & 0x3FF));
}

static void put_plain(bytes *b, uint8_t dtype, size_t elems) {
  for (size_t i = 0; i < elems; i++) {
    const float x = small_value();
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    const uint16_t half = dtype == FORGE_F16 ? to_f16(x) : (uint16_t)(u >> 16);
    if (dtype == FORGE_F32)
      put_f32(b, x);
    else
      put(b, &half, sizeof half);
  }
}

/* Offset of the f16 scale in a block: last in Q6_K, first elsewhere (Q4_K: two of them). */
static void put_block(bytes *b, uint8_t dtype) {
  uint8_t block[256];
  const uint32_t n = dtype_block_bytes(dtype);
  const uint16_t one = 0x3C00;
  for (uint32_t i = 0; i < n; i++) block[i] = (uint8_t)random_next();
  if (dtype == FORGE_Q6_K) {
    memcpy(block + n - 2, &one, 2);
  } else {
    memcpy(block, &one, 2);
    if (dtype == FORGE_Q4_K) memcpy(block + 2, &one, 2);
  }
  put(b, block, n);
}

static model_tensor make_tensor(const arch_param *p, uint8_t dtype) {
  bytes b = {0};
  model_tensor t = {.name = p->name, .rank = p->rank, .dim = {p->dim[0], p->dim[1]}};
  const size_t elems = (size_t)p->dim[0] * (size_t)(p->rank == 2 ? p->dim[1] : 1);
  t.dtype = p->rank == 2 ? dtype : FORGE_F32;
  if (dtype_block_elems(t.dtype) == 1)
    put_plain(&b, t.dtype, elems);
  else
    for (size_t i = 0; i < elems / dtype_block_elems(dtype); i++) put_block(&b, dtype);
  t.data = b.p;
  t.bytes = b.n;
  return t;
}

sample sample_make(const forge_model_config *config, uint8_t dtype) {
  sample s = {.config = *config};
  random_state = 12345;
  assert_int_equal(arch_params(config, &s.params, &s.n), FORGE_OK);
  s.tensors = calloc(s.n, sizeof *s.tensors);
  for (uint32_t i = 0; i < s.n; i++) s.tensors[i] = make_tensor(&s.params[i], dtype);
  return s;
}

void sample_free(sample *s) {
  for (uint32_t i = 0; i < s->n; i++) free((void *)(uintptr_t)s->tensors[i].data);
  free(s->tensors);
  mem_free(s->params);
}

const model_tensor *sample_find(const sample *s, const char *name) {
  for (uint32_t i = 0; i < s->n; i++)
    if (!strcmp(s->tensors[i].name, name)) return &s->tensors[i];
  fail_msg("the sample has no %s", name);
  return NULL;
}

/* ---- checks ---- */

forge_model *open_ok(const char *path) {
  forge_model *m = NULL;
  if (forge_model_open(path, NULL, &m)) fail_msg("%s", forge_error_last()->msg);
  return m;
}

void open_fails(const char *path, forge_status status, const char *word) {
  forge_model *m = NULL;
  const forge_status st = forge_model_open(path, NULL, &m);
  if (!st) {
    forge_model_close(m);
    fail_msg("%s was opened", path);
  }
  if (st != status || !strstr(forge_error_last()->msg, word))
    fail_msg("wanted %s with \"%s\", got %s: %s", forge_status_name(status), word,
             forge_status_name(st), forge_error_last()->msg);
}

static void assert_same_tensor(const forge_model *m, const model_tensor *want) {
  const model_tensor *have = model_find(m, want->name);
  if (!have) fail_msg("%s is missing", want->name);
  assert_int_equal(have->dtype, want->dtype);
  assert_int_equal(have->bytes, want->bytes);
  assert_int_equal(model_row_count(have), model_row_count(want));
  uint8_t *rows = malloc(want->bytes);
  model_rows(have, &m->config, FORGE_ROPE_STYLE_INTERLEAVED, 0, model_row_count(have), rows);
  if (memcmp(rows, want->data, want->bytes)) fail_msg("%s has other contents", want->name);
  free(rows);
}

void assert_is_sample(const forge_model *m, const sample *s) {
  forge_model_config c = {.size = sizeof c};
  assert_int_equal(forge_model_describe(m, &c), FORGE_OK);
  assert_true(c.rope_style || c.family == FORGE_FAMILY_GPT2);
  c.rope_style = s->config.rope_style;
  assert_true((float)c.norm_eps == (float)s->config.norm_eps);
  c.norm_eps = s->config.norm_eps;
  if (c.family == FORGE_FAMILY_GPT2) c.rope_base = c.rope_scale = 0;
  assert_memory_equal(&c, &s->config, sizeof c);
  assert_int_equal(model_tensor_count(m), s->n);
  for (uint32_t i = 0; i < s->n; i++) assert_same_tensor(m, &s->tensors[i]);
}
