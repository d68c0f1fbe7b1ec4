/* train_settings.c -- the table of keys, and values in and out of it. */
#include "train_settings.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <forge/train.h>

enum { KIND_TEXT, KIND_COUNT, KIND_REAL, KIND_FLAG };

typedef struct row {
  const char *name, *otherwise, *choices, *help;
  size_t at;
  double least, most;
  uint8_t kind, may_change;
} row;

#define ROW(type, key, otherwise_, least_, most_, may_change_, choices_, help_)                    \
  {.name = #key,                                                                                   \
   .otherwise = otherwise_,                                                                        \
   .choices = choices_,                                                                            \
   .help = help_,                                                                                  \
   .at = offsetof(train_settings, key),                                                            \
   .least = least_,                                                                                \
   .most = most_,                                                                                  \
   .kind = KIND_##type,                                                                            \
   .may_change = may_change_},
static const row rows[] = {TRAIN_KEYS(ROW)};

static char *field(const train_settings *s, const row *r) { return (char *)(uintptr_t)s + r->at; }

forge_status train_settings_find(const char *name, const char *origin, uint32_t *out_key) {
  const char *names[COUNT_OF(rows)];
  for (uint32_t i = 0; i < COUNT_OF(rows); i++) {
    names[i] = rows[i].name;
    *out_key = i;
    if (!strcmp(name, rows[i].name)) return FORGE_OK;
  }
  const char *nearest = name_nearest(name, names, COUNT_OF(rows));
  return FAIL(FORGE_E_CONFIG, "%s: there is no key '%s'%s%s%s; forge train --help lists them",
              origin, name, nearest ? "; did you mean '" : "", nearest ? nearest : "",
              nearest ? "'?" : "");
}

static bool is_choice(const char *choices, const char *value) {
  const size_t n = strlen(value);
  for (const char *at = choices; n && (at = strstr(at, value)); at++)
    if ((at == choices || at[-1] == '|') && (at[n] == '|' || !at[n])) return true;
  return false;
}

static forge_status set_text(const row *r, char **field_, const char *value, const char *origin) {
  if (r->choices && !is_choice(r->choices, value))
    return FAIL(FORGE_E_CONFIG, "%s: %s is '%s'; it must be one of %s", origin, r->name, value,
                r->choices);
  char *copy = mem_strdup(value);
  if (!copy) return FAIL(FORGE_E_OOM, "%s: no memory", origin);
  mem_free(*field_);
  *field_ = copy;
  return FORGE_OK;
}

static forge_status set_number(const row *r, void *field_, const char *value, const char *origin) {
  char *end;
  errno = 0;
  const double number = strtod(value, &end);
  const bool whole = r->kind != KIND_COUNT || (number == floor(number) && number < 0x1p53);
  if (errno || end == value || *end || !(number >= r->least && number <= r->most) || !whole)
    return FAIL(FORGE_E_CONFIG, "%s: %s is '%s'; it must be a%s number from %g to %g", origin,
                r->name, value, r->kind == KIND_COUNT ? " whole" : "", r->least, r->most);
  if (r->kind == KIND_COUNT)
    *(uint64_t *)field_ = (uint64_t)number;
  else
    *(double *)field_ = number;
  return FORGE_OK;
}

static forge_status set_flag(const row *r, bool *field_, const char *value, const char *origin) {
  const bool yes = !strcmp(value, "true");
  if (!yes && strcmp(value, "false") != 0)
    return FAIL(FORGE_E_CONFIG, "%s: %s is '%s'; it must be true or false", origin, r->name, value);
  *field_ = yes;
  return FORGE_OK;
}

static forge_status set_row(train_settings *s, const row *r, const char *value,
                            const char *origin) {
  void *at = field(s, r);
  switch (r->kind) {
  case KIND_TEXT: return set_text(r, at, value, origin);
  case KIND_FLAG: return set_flag(r, at, value, origin);
  default: return set_number(r, at, value, origin);
  }
}

forge_status train_settings_set(train_settings *s, uint32_t key, const char *value,
                                const char *origin) {
  TRY(set_row(s, &rows[key], value, origin));
  s->given[key] = true;
  return FORGE_OK;
}

forge_status train_settings_init(train_settings *s) {
  memset(s, 0, sizeof *s);
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    const forge_status st = set_row(s, &rows[i], rows[i].otherwise, "default");
    if (!st) continue;
    train_settings_finish(s);
    return st;
  }
  return FORGE_OK;
}

void train_settings_finish(train_settings *s) {
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    if (rows[i].kind == KIND_TEXT) mem_free(*(char **)(void *)field(s, &rows[i]));
  memset(s, 0, sizeof *s);
}

forge_status train_settings_text(train_settings *s, const char *pair, const char *origin) {
  const char *equals = strchr(pair, '=');
  if (!equals) return FAIL(FORGE_E_CONFIG, "%s: '%s' is not of the form key=value", origin, pair);
  char *name = mem_strndup(pair, (size_t)(equals - pair));
  if (!name) return FAIL(FORGE_E_OOM, "%s: no memory", origin);
  uint32_t key;
  const forge_status st = train_settings_find(name, origin, &key);
  mem_free(name);
  return st ? st : train_settings_set(s, key, equals + 1, origin);
}

/* ---- out again ---- */

static void add_quoted(text *t, const char *s) {
  text_add(t, "\"");
  for (; *s; s++) {
    if (*s == '"' || *s == '\\')
      text_add(t, "\\%c", *s);
    else if ((unsigned char)*s < ' ')
      text_add(t, "\\x%02x", (unsigned char)*s);
    else
      text_add(t, "%c", *s);
  }
  text_add(t, "\"");
}

/* The shortest decimal that reads back as the same number, with a point so that it stays a float.
 */
static void add_real(text *t, double value) {
  char s[40];
  for (int digits = 1; digits <= 17; digits++) {
    snprintf(s, sizeof s, "%.*g", digits, value);
    if (strtod(s, NULL) == value) break;
  }
  text_add(t, "%s%s", s, strpbrk(s, ".e") ? "" : ".0");
}

static void add_value(text *t, const train_settings *s, const row *r) {
  const void *at = field(s, r);
  switch (r->kind) {
  case KIND_TEXT: add_quoted(t, *(char *const *)at); break;
  case KIND_COUNT: {
    const unsigned long long value = *(const uint64_t *)at;
    text_add(t, value > INT32_MAX ? "%lluL" : "%llu", value);
    break;
  }
  case KIND_REAL: add_real(t, *(const double *)at); break;
  default: text_add(t, *(const bool *)at ? "true" : "false"); break;
  }
}

static char *value_text(const train_settings *s, const row *r) {
  text t = {0};
  add_value(&t, s, r);
  return text_take(&t);
}

char *train_settings_write(const train_settings *s) {
  text t = {0};
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    text_add(&t, "%s = ", rows[i].name);
    add_value(&t, s, &rows[i]);
    text_add(&t, ";  # %s\n", rows[i].help);
  }
  return text_take(&t);
}

static forge_status merge_row(train_settings *recorded, const train_settings *s, const row *r) {
  char *old = value_text(recorded, r), *new = value_text(s, r);
  forge_status st = old && new ? FORGE_OK : FAIL(FORGE_E_OOM, "resume: no memory");
  if (!st && strcmp(old, new) != 0) {
    if (!r->may_change)
      st = FAIL(FORGE_E_MISMATCH,
                "resume: %s is %s now but the run was started with %s; take it back, or start a "
                "new run in another folder",
                r->name, new, old);
    else if (r->kind == KIND_TEXT)
      st =
          set_text(r, (char **)(void *)field(recorded, r), *(char **)(void *)field(s, r), "resume");
    else
      memcpy(field(recorded, r), field(s, r),
             r->kind == KIND_FLAG ? sizeof(bool) : sizeof(uint64_t));
  }
  mem_free(old);
  mem_free(new);
  return st;
}

forge_status train_settings_merge(train_settings *recorded, const train_settings *s) {
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    if (s->given[i]) TRY(merge_row(recorded, s, &rows[i]));
  return FORGE_OK;
}

forge_status forge_train_keys(char **out_text) {
  text t = {0};
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    const row *r = &rows[i];
    text_add(&t, "  %-20s %s", r->name, r->help);
    if (r->choices) text_add(&t, " (%s)", r->choices);
    text_add(&t, *r->otherwise ? "; default %s\n" : "%s\n", r->otherwise);
  }
  *out_text = text_take(&t);
  return *out_text ? FORGE_OK : FORGE_E_OOM;
}
