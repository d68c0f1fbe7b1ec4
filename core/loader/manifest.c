/* manifest.c -- see manifest.h. inih splits the lines; one row per key says what may stand there.
 */
#include "manifest.h"

#include <ctype.h>
#include <ini.h>
#include <string.h>

#include "file.h"
#include "loader_parts.h"

enum {
  MAX_MANIFEST_BYTES = 1 << 16,
  MAX_LINE_BYTES = 190, /* inih's own buffer is 200 and splits what is longer */
  MAX_NAME_BYTES = 23,
  HASH_DIGITS = 64
};

typedef enum kind { INT, YES_NO, TEXT, NAME, HASH, PROBE, TYPE, NUMBER } kind;
typedef enum section { BACKEND, VARIANT, OPTION, LAYER } section;

typedef struct row {
  section in;
  const char *key;
  kind is;
  size_t at;        /* offset in the struct of the section */
  int64_t min, max; /* INT: range; TEXT: min 1 where it may not be empty */
} row;

typedef struct parser {
  manifest *m;
  const char *rest;
  size_t left;
  uint32_t line;
  uint32_t sections;     /* bit set of BACKEND and LAYER met */
  manifest_variant sole; /* library and sha256 of [backend] or [layer] */
  forge_status status;
} parser;

static const row rows[] = {
    {BACKEND, "name", NAME, offsetof(manifest, name), 0, 0},
    {BACKEND, "abi_major", INT, offsetof(manifest, abi_major), 0, 65535},
    {BACKEND, "abi_minor_min", INT, offsetof(manifest, abi_minor_min), 0, 65535},
    {BACKEND, "abi_minor_max", INT, offsetof(manifest, abi_minor_max), 0, 65535},
    {BACKEND, "priority", INT, offsetof(manifest, priority), -1000, 1000},
    {BACKEND, "probe", PROBE, offsetof(manifest, in_process), 0, 0},
    {BACKEND, "probe_timeout", INT, offsetof(manifest, probe_timeout), 1, 300},
    {BACKEND, "deepbind", YES_NO, offsetof(manifest, deepbind), 0, 0},
    {BACKEND, "library", TEXT, 0, 1, 0}, /* into parser.sole, as a variant's */
    {BACKEND, "sha256", HASH, 0, 0, 0},
    {VARIANT, "library", TEXT, offsetof(manifest_variant, library), 1, 0},
    {VARIANT, "isa", TEXT, offsetof(manifest_variant, isa), 0, 0},
    {VARIANT, "sha256", HASH, offsetof(manifest_variant, sha256), 0, 0},
    {OPTION, "type", TYPE, offsetof(manifest_option, type), 0, 0},
    {OPTION, "min", NUMBER, offsetof(manifest_option, min), 0, 0},
    {OPTION, "max", NUMBER, offsetof(manifest_option, max), 0, 0},
    {OPTION, "default", TEXT, offsetof(manifest_option, fallback), 0, 0},
    {OPTION, "help", TEXT, offsetof(manifest_option, help), 0, 0},
    {LAYER, "name", NAME, offsetof(manifest, name), 0, 0},
    {LAYER, "abi_major", INT, offsetof(manifest, abi_major), 0, 65535},
    {LAYER, "abi_minor_min", INT, offsetof(manifest, abi_minor_min), 0, 65535},
    {LAYER, "abi_minor_max", INT, offsetof(manifest, abi_minor_max), 0, 65535},
    {LAYER, "library", TEXT, 0, 1, 0},
    {LAYER, "sha256", HASH, 0, 0, 0},
};

static forge_status say(const parser *p, const char *format, ...) BASE_PRINTF(2, 3);
static forge_status say(const parser *p, const char *format, ...) {
  char what[512];
  va_list args;
  va_start(args, format);
  /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): the analyser loses va_start */
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  return FAIL(FORGE_E_CONFIG, "%s:%u: %s", p->m->path, p->line, what);
}

#define WRONG(...) base_failure(say(__VA_ARGS__))

static forge_status out_of_memory(const parser *p) {
  return FAIL(FORGE_E_OOM, "%s: no memory for the manifest", p->m->path);
}

/* ---- values ---- */

static bool is_name(const char *s) {
  const size_t n = strlen(s);
  if (!n || n > MAX_NAME_BYTES || !islower((unsigned char)*s)) return false;
  return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

static forge_status set_text(const parser *p, char **to, const char *value) {
  *to = mem_strdup(value);
  return *to ? FORGE_OK : out_of_memory(p);
}

static forge_status set_hash(const parser *p, const row *r, char **to, const char *value) {
  if (strlen(value) != HASH_DIGITS || strspn(value, "0123456789abcdefABCDEF") != HASH_DIGITS)
    return WRONG(p, "%s must be %d hexadecimal digits", r->key, HASH_DIGITS);
  TRY(set_text(p, to, value));
  for (char *c = *to; c && *c; c++) *c = (char)tolower((unsigned char)*c);
  return FORGE_OK;
}

static forge_status set_type(const parser *p, uint32_t *to, const char *value) {
  *to = value_type(value);
  return *to ? FORGE_OK : WRONG(p, "type '%s' must be int, bool, string or float", value);
}

static forge_status set(const parser *p, const row *r, void *into, const char *value) {
  void *to = (char *)into + r->at;
  switch (r->is) {
  case INT:
    if (value_int(value, r->min, r->max, to)) return FORGE_OK;
    return WRONG(p, "%s = '%s' must be a whole number from %lld to %lld", r->key, value,
                 (long long)r->min, (long long)r->max);
  case YES_NO:
    return value_bool(value, to) ? FORGE_OK
                                 : WRONG(p, "%s = '%s' must be yes or no", r->key, value);
  case NAME:
    if (is_name(value)) return set_text(p, to, value);
    return WRONG(p, "%s = '%s' must be a lower-case word of at most %d letters", r->key, value,
                 MAX_NAME_BYTES);
  case HASH: return set_hash(p, r, to, value);
  case PROBE:
    *(bool *)to = !strcmp(value, "inprocess");
    if (*(bool *)to || !strcmp(value, "subprocess")) return FORGE_OK;
    return WRONG(p, "probe = '%s' must be inprocess or subprocess", value);
  case TYPE: return set_type(p, to, value);
  case NUMBER:
    if (value_number(value, to)) return FORGE_OK;
    return WRONG(p, "%s = '%s' is no number", r->key, value);
  case TEXT: break;
  }
  if (!*value && r->min) return WRONG(p, "%s is empty", r->key);
  return set_text(p, to, value);
}

/* ---- sections ---- */

static forge_status find_variant(parser *p, const char *name, manifest_variant **out) {
  manifest *m = p->m;
  for (size_t i = 0; i < m->n_variants; i++) {
    *out = &m->variants[i];
    if (!strcmp(m->variants[i].name, name)) return FORGE_OK;
  }
  if (!is_name(name))
    return WRONG(p, "variant '%s' must be a lower-case word of at most %d letters", name,
                 MAX_NAME_BYTES);
  if (!ARRAY_GROW(m->variants, m->n_variants, m->variants_cap)) return out_of_memory(p);
  *out = &m->variants[m->n_variants++];
  **out = (manifest_variant){.line = p->line, .name = mem_strdup(name)};
  return (*out)->name ? FORGE_OK : out_of_memory(p);
}

static forge_status find_option(parser *p, const char *name, manifest_option **out) {
  manifest *m = p->m;
  for (size_t i = 0; i < m->n_options; i++) {
    *out = &m->options[i];
    if (!strcmp(m->options[i].name, name)) return FORGE_OK;
  }
  if (!is_name(name) || !strcmp(name, "enabled") || !strcmp(name, "memory_limit"))
    return WRONG(p, "option '%s' must be a lower-case word and not one of the core's own", name);
  if (!ARRAY_GROW(m->options, m->n_options, m->options_cap)) return out_of_memory(p);
  *out = &m->options[m->n_options++];
  **out = (manifest_option){.line = p->line, .name = mem_strdup(name)};
  return (*out)->name ? FORGE_OK : out_of_memory(p);
}

/* The struct that the section's keys go into, and its set of keys seen. */
static forge_status open_section(parser *p, const char *name, section *in, void **into,
                                 uint32_t **given) {
  static const char *const names[] = {"backend", "variant NAME", "option NAME", "layer"};
  if (!strcmp(name, "backend") || !strcmp(name, "layer")) {
    *in = *name == 'l' ? LAYER : BACKEND;
    p->sections |= 1u << *in;
    p->m->is_layer = *in == LAYER;
    *into = p->m;
    *given = &p->m->given;
  } else if (!strncmp(name, "variant ", 8)) {
    manifest_variant *v = NULL;
    TRY(find_variant(p, name + 8, &v));
    *in = VARIANT;
    *into = v;
    *given = &v->given;
  } else if (!strncmp(name, "option ", 7)) {
    manifest_option *o = NULL;
    TRY(find_option(p, name + 7, &o));
    *in = OPTION;
    *into = o;
    *given = &o->given;
  } else {
    const char *nearest = name_nearest(name, names, COUNT_OF(names));
    return WRONG(p, "there is no section [%s]; %s[%s]", name,
                 nearest ? "did you mean " : "a key needs ", nearest ? nearest : "backend");
  }
  return FORGE_OK;
}

static forge_status take_key(parser *p, const char *section_name, const char *key,
                             const char *value) {
  section in = BACKEND;
  void *into = NULL;
  uint32_t *given = NULL;
  const char *names[COUNT_OF(rows)];
  size_t n = 0;
  TRY(open_section(p, section_name, &in, &into, &given));
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    if (rows[i].in != in) continue;
    names[n++] = rows[i].key;
    if (strcmp(rows[i].key, key) != 0) continue;
    if (*given & 1u << i) return WRONG(p, "[%s] has %s twice", section_name, key);
    *given |= 1u << i;
    row r = rows[i];
    const bool top = in == BACKEND || in == LAYER;
    if (top && !strcmp(key, "library")) {
      into = &p->sole;
      r.at = offsetof(manifest_variant, library);
    } else if (top && !strcmp(key, "sha256")) {
      into = &p->sole;
      r.at = offsetof(manifest_variant, sha256);
    }
    if (in == OPTION && !strcmp(key, "min")) ((manifest_option *)into)->has_min = true;
    if (in == OPTION && !strcmp(key, "max")) ((manifest_option *)into)->has_max = true;
    return set(p, &r, into, value);
  }
  const char *nearest = name_nearest(key, names, n);
  return WRONG(p, "[%s] has no key '%s'%s%s%s", section_name, key,
               nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* ---- lines ---- */

static int on_key(void *user, const char *section_name, const char *key, const char *value) {
  parser *p = user;
  if (!p->status) p->status = take_key(p, section_name, key, value);
  return !p->status;
}

/* One line for inih, as fgets would; counts lines, which inih does not tell. */
static char *next_line(char *to, int size, void *user) {
  parser *p = user;
  if (!p->left || p->status) return NULL;
  const char *end = memchr(p->rest, '\n', p->left);
  const size_t n = end ? (size_t)(end - p->rest) + 1 : p->left;
  p->line++;
  if (n > MAX_LINE_BYTES || n + 1 > (size_t)size)
    p->status = WRONG(p, "the line is longer than %d bytes", MAX_LINE_BYTES);
  else if (memchr(p->rest, 0, n))
    p->status = WRONG(p, "a zero byte; not a text");
  if (p->status) return NULL;
  memcpy(to, p->rest, n);
  to[n] = 0;
  p->rest += n;
  p->left -= n;
  return to;
}

/* ---- the whole ---- */

static forge_status check_options(parser *p) {
  for (size_t i = 0; i < p->m->n_options; i++) {
    const manifest_option *o = &p->m->options[i];
    char origin[512];
    p->line = o->line;
    if (!o->type) return WRONG(p, "option %s has no type", o->name);
    if ((o->has_min || o->has_max) && o->type != MANIFEST_INT && o->type != MANIFEST_FLOAT)
      return WRONG(p, "option %s: min and max are for int and float", o->name);
    if (o->has_min && o->has_max && o->min > o->max)
      return WRONG(p, "option %s: min is above max", o->name);
    snprintf(origin, sizeof origin, "%s:%u", p->m->path, p->line);
    if (o->fallback) TRY(manifest_check_option(o, "default", o->fallback, origin));
  }
  return FORGE_OK;
}

static const char *title(const manifest *m) { return m->is_layer ? "layer" : "backend"; }

static forge_status check_variants(parser *p) {
  manifest *m = p->m;
  p->line = 1;
  if (m->n_variants && m->is_layer) return WRONG(p, "a layer has no variants");
  if (m->n_variants && (p->sole.library || p->sole.sha256))
    return WRONG(p, "library and sha256 belong into the [variant ..] sections");
  if (!m->n_variants) {
    if (!p->sole.library)
      return WRONG(p, "[%s] has no library%s", title(m),
                   m->is_layer ? "" : " and there is no [variant ..]");
    if (!ARRAY_GROW(m->variants, m->n_variants, m->variants_cap)) return out_of_memory(p);
    p->sole.line = 1;
    m->variants[m->n_variants++] = p->sole;
    p->sole = (manifest_variant){0};
  }
  for (size_t i = 0; i < m->n_variants; i++) {
    p->line = m->variants[i].line;
    if (!m->variants[i].library) return WRONG(p, "variant %s has no library", m->variants[i].name);
  }
  return FORGE_OK;
}

static forge_status check(parser *p) {
  manifest *m = p->m;
  p->line = 1;
  if (p->sections == (1u << BACKEND | 1u << LAYER))
    return WRONG(p, "[backend] and [layer] in one manifest; write two files");
  if (!m->name) return WRONG(p, "[%s] has no name", title(m));
  if (m->abi_major < 0) return WRONG(p, "[%s] has no abi_major", title(m));
  if (m->abi_minor_max < 0) m->abi_minor_max = m->abi_minor_min;
  if (m->abi_minor_max < m->abi_minor_min) return WRONG(p, "abi_minor_max is below abi_minor_min");
  if (m->is_layer) m->in_process = true; /* it has nothing to probe */
  TRY(check_variants(p));
  return check_options(p);
}

forge_status manifest_parse(const char *path, const char *source, size_t n, manifest *out) {
  *out = (manifest){.abi_major = -1, .abi_minor_max = -1, .probe_timeout = 10};
  parser p = {.m = out, .rest = source, .left = n};
  if (!(out->path = mem_strdup(path))) return FAIL(FORGE_E_OOM, "%s: no memory", path);
  const int bad_line = ini_parse_stream(next_line, &p, on_key, &p);
  if (!p.status && bad_line) {
    p.line = bad_line > 0 ? (uint32_t)bad_line : 1;
    p.status = WRONG(&p, "neither [section], key = value nor a comment");
  }
  if (!p.status) p.status = check(&p);
  mem_free(p.sole.library);
  mem_free(p.sole.sha256);
  return p.status;
}

forge_status manifest_read(const char *path, manifest *out) {
  char *source;
  uint64_t n;
  *out = (manifest){.path = mem_strdup(path)};
  if (!out->path) return FAIL(FORGE_E_OOM, "%s: no memory", path);
  TRY(file_read(path, MAX_MANIFEST_BYTES, &source, &n));
  manifest_finish(out);
  const forge_status st = manifest_parse(path, source, (size_t)n, out);
  mem_free(source);
  return st;
}

void manifest_finish(manifest *m) {
  for (size_t i = 0; i < m->n_variants; i++) {
    mem_free(m->variants[i].name);
    mem_free(m->variants[i].library);
    mem_free(m->variants[i].isa);
    mem_free(m->variants[i].sha256);
  }
  for (size_t i = 0; i < m->n_options; i++) {
    mem_free(m->options[i].name);
    mem_free(m->options[i].fallback);
    mem_free(m->options[i].help);
  }
  mem_free(m->variants);
  mem_free(m->options);
  mem_free(m->path);
  mem_free(m->name);
  *m = (manifest){0};
}
