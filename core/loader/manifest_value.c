/* manifest_value.c -- values of a manifest, and of the options it declares. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader_parts.h"

bool value_int(const char *s, int64_t min, int64_t max, int64_t *out) {
  char *end;
  errno = 0;
  const long long value = strtoll(s, &end, 10);
  *out = value;
  return !errno && end != s && !*end && value >= min && value <= max;
}

bool value_number(const char *s, double *out) {
  char *end;
  *out = strtod(s, &end);
  return end != s && !*end && *out - *out == 0; /* neither infinite nor NaN */
}

bool value_bool(const char *s, bool *out) {
  static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
  for (size_t i = 0; i < COUNT_OF(words); i++) {
    if (strcmp(s, words[i]) != 0) continue;
    *out = i & 1;
    return true;
  }
  return false;
}

static const char *const type_names[] = {"", "int", "bool", "string", "float"};

const char *manifest_type_name(uint32_t type) {
  return type < COUNT_OF(type_names) ? type_names[type] : "";
}

/* 0: no such type. */
uint32_t value_type(const char *s) {
  for (uint32_t i = 1; i < COUNT_OF(type_names); i++)
    if (!strcmp(s, type_names[i])) return i;
  return 0;
}

void manifest_range(const manifest_option *o, char out[64]) {
  if (o->has_min && o->has_max)
    snprintf(out, 64, "from %.10g to %.10g", o->min, o->max);
  else if (o->has_min || o->has_max)
    snprintf(out, 64, "%s %.10g", o->has_min ? "from" : "up to", o->has_min ? o->min : o->max);
  else
    snprintf(out, 64, "%s", o->type == MANIFEST_BOOL ? "yes or no" : "any");
}

forge_status manifest_check_option(const manifest_option *o, const char *key, const char *value,
                                   const char *origin) {
  bool truth, ok = true;
  double number = 0;
  int64_t whole = 0;
  if (o->type == MANIFEST_BOOL) ok = value_bool(value, &truth);
  if (o->type == MANIFEST_FLOAT) ok = value_number(value, &number);
  if (o->type == MANIFEST_INT) {
    ok = value_int(value, INT64_MIN, INT64_MAX, &whole);
    number = (double)whole;
  }
  if (!ok)
    return FAIL(FORGE_E_CONFIG, "%s: %s = '%s' must be %s %s", origin, key, value,
                o->type == MANIFEST_INT ? "an" : "a", manifest_type_name(o->type));
  if ((!o->has_min || number >= o->min) && (!o->has_max || number <= o->max)) return FORGE_OK;
  char range[64];
  manifest_range(o, range);
  return FAIL(FORGE_E_CONFIG, "%s: %s = '%s' must be %s", origin, key, value, range);
}
