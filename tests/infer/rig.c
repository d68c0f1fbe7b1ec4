/* rig.c -- see rig.h. */
#include "rig.h"

#include <dirent.h>
#include <unistd.h>

static forge_runtime *runtime;
enum { MAX_DEVICES = 8 };
static struct {
  char name[64];
  forge_device *device;
} devices[MAX_DEVICES];
static char folder[512];

const rig_shape rig_small = {
    .dim = 48, .hidden = 80, .layers = 3, .heads = 6, .kv_heads = 2, .seed = 7};

void rig_ok(forge_status status, const char *what, const char *file, int line) {
  if (!status) return;
  fprintf(stderr, "%s:%d: %s: %s: %s\n", file, line, what, forge_status_name(status),
          forge_error_last()->msg);
  fail();
}

void rig_fails(forge_status is, forge_status want, const char *says) {
  if (is != want)
    fprintf(stderr, "expected %s, got %s (%s)\n", forge_status_name(want), forge_status_name(is),
            is ? forge_error_last()->msg : "");
  assert_int_equal(is, want);
  if (!strstr(forge_error_last()->msg, says))
    fail_msg("the reason is '%s'; it should speak of '%s'", forge_error_last()->msg, says);
}

/* The temporary folder and the files in it. */
static void remove_folder(void) {
  DIR *dir = *folder ? opendir(folder) : NULL;
  for (struct dirent *e; dir && (e = readdir(dir));)
    if (*e->d_name != '.') unlink(rig_temporary(e->d_name));
  if (dir) closedir(dir);
  rmdir(folder);
  *folder = 0;
}

void rig_close(void) {
  for (int i = 0; i < MAX_DEVICES; i++) forge_device_close(devices[i].device);
  memset(devices, 0, sizeof devices);
  forge_runtime_destroy(runtime);
  runtime = NULL;
  remove_folder();
}

forge_device *rig_device(const char *name) {
  const forge_runtime_options options = {.size = sizeof options};
  if (!runtime) OK(forge_runtime_create(&options, &runtime));
  for (int i = 0; i < MAX_DEVICES; i++) {
    if (!strcmp(devices[i].name, name)) return devices[i].device;
    if (devices[i].device) continue;
    if (forge_device_open(runtime, name, &devices[i].device)) {
      print_message("no %s here: %s\n", name, forge_error_last()->msg);
      return NULL;
    }
    snprintf(devices[i].name, sizeof devices[i].name, "%s", name);
    return devices[i].device;
  }
  return NULL;
}

uint32_t rig_variants(forge_device *out[RIG_VARIANTS], const char *names[RIG_VARIANTS]) {
  static const char *const all[] = {"cpu/portable:0", "cpu/avx2:0", "cpu/avx512:0"};
  uint32_t n = 0;
  for (int i = 0; i < RIG_VARIANTS; i++) {
    out[n] = rig_device(all[i]);
    names[n] = all[i];
    n += out[n] != NULL;
  }
  assert_true(n >= 1 && names[0] == all[0]);
  return n;
}

const char *rig_temporary(const char *name) {
  static char path[1024];
  if (!*folder) {
    const char *where = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/forge-infer-XXXXXX", where ? where : "/tmp");
    assert_non_null(mkdtemp(folder));
  }
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

const char *rig_data(const char *relative) {
  static char path[1024];
  const char *root = getenv("FORGE_TEST_DATA");
  if (root && *root)
    snprintf(path, sizeof path, "%s/%s", root, relative);
  else
    snprintf(path, sizeof path, "%s/../shared/data/%s", FORGE_TEST_SOURCE_DIR, relative);
  return access(path, R_OK) ? NULL : path;
}

static float random_weight(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return ((float)(*state >> 8) / (float)(1 << 24) - 0.5f) * 0.5f;
}

static void put_floats(FILE *f, size_t n, uint32_t *state, float base, float spread) {
  for (size_t i = 0; i < n; i++) {
    const float x = base + spread * random_weight(state);
    assert_int_equal(fwrite(&x, sizeof x, 1, f), 1);
  }
}

/* The order of a version 0 file. */
static void write_model(const char *path, const rig_shape *s) {
  const int32_t header[] = {s->dim,      s->hidden,  s->layers, s->heads,
                            s->kv_heads, -RIG_VOCAB, RIG_CTX};
  const size_t d = (size_t)s->dim, l = (size_t)s->layers, h = (size_t)s->hidden;
  const size_t head = d / (size_t)s->heads, kv = head * (size_t)s->kv_heads;
  uint32_t state = s->seed;
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(header, sizeof header, 1, f), 1);
  put_floats(f, RIG_VOCAB * d, &state, 0, 4);
  put_floats(f, l * d, &state, 1, 0.2f);
  put_floats(f, l * d * (d + 2 * kv) + l * d * d, &state, 0, 1);
  put_floats(f, l * d, &state, 1, 0.2f);
  put_floats(f, 3 * l * d * h, &state, 0, 1);
  put_floats(f, d, &state, 1, 0.2f);
  put_floats(f, RIG_CTX * head, &state, 0, 0);
  put_floats(f, RIG_VOCAB * d, &state, 0, s->uniform ? 0 : 2);
  assert_int_equal(fclose(f), 0);
}

static void put_piece(FILE *f, float score, const char *piece) {
  const int32_t n = (int32_t)strlen(piece);
  assert_int_equal(fwrite(&score, sizeof score, 1, f), 1);
  assert_int_equal(fwrite(&n, sizeof n, 1, f), 1);
  assert_int_equal(fwrite(piece, (size_t)n, 1, f), 1);
}

static void write_tokenizer(const char *path, int other) {
  static const char *const words[RIG_VOCAB - 259] = {" ",  "e", "t", "a",  "o",  "n",   "i",
                                                     "s",  "h", "r", "he", "in", "the", " the",
                                                     "an", "d", "l", "u",  "c",  "m",   "w"};
  const int32_t longest = 8;
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(&longest, sizeof longest, 1, f), 1);
  put_piece(f, 0, "<unk>");
  put_piece(f, 0, "\n<s>\n");
  put_piece(f, 0, "\n</s>\n");
  for (int i = 0; i < 256; i++) {
    char name[8];
    snprintf(name, sizeof name, "<0x%02X>", i);
    put_piece(f, 0, name);
  }
  for (int i = 0; i < RIG_VOCAB - 259; i++) put_piece(f, (float)(other ? i : -i), words[i]);
  assert_int_equal(fclose(f), 0);
}

forge_model *rig_model(const char *name, const rig_shape *shape) {
  char path[1024], tokenizer[1024], leaf[64];
  forge_model *model = NULL;
  snprintf(leaf, sizeof leaf, "%s.bin", name);
  snprintf(path, sizeof path, "%s", rig_temporary(leaf));
  snprintf(leaf, sizeof leaf, "%s.tok", name);
  snprintf(tokenizer, sizeof tokenizer, "%s", rig_temporary(leaf));
  write_model(path, shape);
  write_tokenizer(tokenizer, shape->other_tokenizer);
  OK(forge_model_open(path, tokenizer, &model));
  return model;
}

int32_t rig_catch(void *ctx, const char *bytes, uint64_t n) {
  rig_text *t = ctx;
  assert_true(t->n + n < sizeof t->s);
  memcpy(t->s + t->n, bytes, n);
  t->n += n;
  t->s[t->n] = 0;
  return ++t->calls == t->stop_after;
}
